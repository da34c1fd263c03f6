package nightly

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/duet-bench/duet/internal/history"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

func said(notes []string, words string) bool {
	return slices.ContainsFunc(notes, func(n string) bool { return strings.Contains(n, words) })
}

func TestFirstNight(t *testing.T) {
	l := &lab{t: t}
	n, err := l.night(lineOf(3), Options{SelfCheck: true, Bisect: time.Hour, Job: history.Job{ID: 7, Attempt: 2}})
	if err != nil {
		t.Fatal(err)
	}
	e := n.Entry
	if e.ID != sha(2)+"-7.2" || e.State != history.Measured || e.Anchor.SHA != sha(2) || n.Move != nil || !said(e.Notes, "becomes the anchor") {
		t.Errorf("got %+v", e)
	}
	if len(l.asked) != 2 || l.asked[0].Same != plan.SameOnce || l.asked[1].Same != plan.SameAgain || l.asked[1].Base != sha(2) || l.asked[1].Head != sha(2) {
		t.Errorf("measured %+v, want the night and the self-check", l.asked)
	}
	if e.SelfCheck == nil || e.SelfCheck.Rows == 0 || len(e.SelfCheck.False) != 0 {
		t.Errorf("self-check: got %+v, want rows and no false alarm", e.SelfCheck)
	}
	if row := e.Rows[0]; !row.Identical || row.Ratio != 1 || row.Commit == 0 {
		t.Errorf("got row %+v, want an identical one with its figure", row)
	}
	if text, err := history.Encode(e); err != nil {
		t.Errorf("the entry cannot be recorded: %v", err)
	} else if back, err := history.Decode("night.json", text); err != nil || back.ID != e.ID {
		t.Errorf("the entry cannot be read again: %v", err)
	}
}

// Every first bad merge between two nights is named, by the judge that judges everything else.
func TestNightNamesEveryPosition(t *testing.T) {
	const n = 12
	for first := 1; first < n; first++ {
		b := lineOf(n)
		l := &lab{t: t, work: map[string]float64{}}
		for i := first; i < n; i++ {
			l.work[sha(i)] = 1050
		}
		past := l.goodAndBad(b)
		got, err := l.night(b, Options{Entries: past, Bisect: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Entry.Suspects) != 1 {
			t.Fatalf("%d: %d suspects, want one", first, len(got.Entry.Suspects))
		}
		s := got.Entry.Suspects[0]
		if s.FirstBad == nil || s.FirstBad.SHA != sha(first) || s.From.SHA != sha(0) || s.To.SHA != sha(n-1) || s.Metric != "instructions_callgrind" {
			t.Errorf("%d: got %+v", first, s)
		}
		for _, m := range l.asked[1:] {
			if m.Base != sha(0) || !slices.Equal(m.Services, []string{"go"}) || !slices.Equal(m.Workloads, []string{"health"}) || m.Share != 1 {
				t.Errorf("%d: measured %+v, want one service and workload against the last good commit", first, m)
			}
		}
		if len(l.asked) > 1+5 {
			t.Errorf("%d: %d measurements", first, len(l.asked))
		}
		// The next night sees the same change point, and does not look into it again.
		l.clock, l.asked = l.clock.Add(24*time.Hour), nil
		again, err := l.night(b, Options{Entries: append(past, got.Entry), Bisect: time.Hour})
		if err != nil || len(again.Entry.Suspects) != 0 || len(l.asked) != 1 {
			t.Errorf("%d: the next night measured %d times and has %+v, %v", first, len(l.asked), again.Entry.Suspects, err)
		}
	}
}

func TestNightBisectsAround(t *testing.T) {
	const n, first = 9, 6
	for name, v := range map[string]struct {
		change func(*lab, *branch)
		bisect time.Duration
		want   string // first bad; "": none
		left   int
		why    string
	}{
		"a commit that does not build":          {change: func(l *lab, _ *branch) { l.broken = map[string]bool{sha(4): true} }, want: sha(first)},
		"the one before it does not build":      {change: func(l *lab, _ *branch) { l.broken = map[string]bool{sha(5): true} }, left: 2, why: "2 commits cannot be told apart"},
		"a commit that is vague once":           {change: func(l *lab, _ *branch) { l.vague = map[string]int{sha(5): 1} }, want: sha(first)},
		"a commit that stays vague":             {change: func(l *lab, _ *branch) { l.vague = map[string]int{sha(5): 9} }, left: 2, why: "cannot be told apart"},
		"no time":                               {bisect: time.Second, left: n - 1, why: outOfTime},
		"some time":                             {bisect: 21 * time.Minute, left: 4, why: outOfTime},
		"a change that cannot be seen again":    {change: func(l *lab, _ *branch) { l.work = nil }, left: n - 1, why: "could not be told"},
		"a branch that was forced in between":   {change: func(_ *lab, b *branch) { b.forced, b.shas = b.shas[:1], b.shas[1:] }, why: "not in one line"},
		"a base whose configuration is no more": {change: func(l *lab, _ *branch) { l.refusals = map[string]error{"bisect-2": plan.Usagef("", "no duet.yml")} }, want: sha(first)},
	} {
		t.Run(name, func(t *testing.T) {
			b := lineOf(n)
			l := &lab{t: t, work: map[string]float64{}, each: 0}
			for i := first; i < n; i++ {
				l.work[sha(i)] = 1050
			}
			past := l.goodAndBad(b)
			if v.change != nil {
				v.change(l, &b)
			}
			l.each = 10 * time.Minute
			bisect := 10 * time.Hour
			if v.bisect != 0 {
				bisect = v.bisect
			}
			got, err := l.night(b, Options{Entries: past, Bisect: bisect})
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Entry.Suspects) != 1 {
				t.Fatalf("%d suspects, want one", len(got.Entry.Suspects))
			}
			s := got.Entry.Suspects[0]
			named := ""
			if s.FirstBad != nil {
				named = s.FirstBad.SHA
			}
			if named != v.want || len(s.Left) != v.left || !strings.Contains(s.Why, v.why) {
				t.Errorf("got %q, %d left, %q (steps %+v), want %q, %d, %q", named, len(s.Left), s.Why, s.Steps, v.want, v.left, v.why)
			}
			if _, err := history.Encode(got.Entry); err != nil {
				t.Errorf("the entry cannot be recorded: %v", err)
			}
			if v.why != outOfTime {
				return
			}
			// The next night goes on with what is left.
			l.clock = l.clock.Add(24 * time.Hour)
			again, err := l.night(b, Options{Entries: append(past, got.Entry), Bisect: 10 * time.Hour})
			if err != nil || len(again.Entry.Suspects) != 1 || again.Entry.Suspects[0].FirstBad == nil || again.Entry.Suspects[0].FirstBad.SHA != sha(first) {
				t.Errorf("the next night: got %+v, %v", again.Entry.Suspects, err)
			}
		})
	}
}

// Drift in steps that are each below the margin: the merge with which it is beyond the margin is named.
func TestNightNamesDrift(t *testing.T) {
	const n = 10
	b := lineOf(n)
	l := &lab{t: t, work: map[string]float64{}}
	for i := 1; i < n; i++ { // 0.2 % each; the margin of instructions is 0.5 %
		l.work[sha(i)] = 1000 + 2*float64(i)
	}
	got, err := l.night(b, Options{Entries: l.goodAndBad(b), Bisect: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Entry.Suspects) != 1 || got.Entry.Suspects[0].FirstBad == nil {
		t.Fatalf("got %+v", got.Entry.Suspects)
	}
	if s := got.Entry.Suspects[0].FirstBad.SHA; s != sha(3) {
		t.Errorf("got %s, want %s, the first beyond 0.5 %%", s, sha(3))
	}
}

func TestNightsThatAreStrange(t *testing.T) {
	b := lineOf(4)
	for name, v := range map[string]struct {
		b     func(b *branch)
		lab   func(*lab)
		o     func(*Options)
		check func(t *testing.T, n Night, err error, l *lab)
	}{
		"head does not build": {
			lab: func(l *lab) { l.broken = map[string]bool{sha(3): true} },
			check: func(t *testing.T, n Night, err error, l *lab) {
				if err != nil || n.Entry.State != history.NotMeasured || !strings.Contains(n.Entry.Error, "x.go:1: syntax error") || n.Entry.Anchor.SHA != sha(0) || len(l.asked) != 1 {
					t.Errorf("got %+v, %v", n.Entry, err)
				}
			}},
		"the anchor does not build": {
			lab: func(l *lab) { l.broken = map[string]bool{sha(0): true} },
			check: func(t *testing.T, n Night, err error, l *lab) {
				if err != nil || n.Entry.State != history.Measured || !said(n.Entry.Notes, "go of the anchor failed while building") || n.Entry.Rows[0].Ratio != 0 || n.Entry.Rows[0].Commit == 0 {
					t.Errorf("got %+v, %v", n.Entry, err)
				}
			}},
		"the branch was forced, and the anchor is still to be had": {
			b: func(b *branch) { b.forced, b.shas = b.shas[:3], []string{sha(30), sha(31)} },
			check: func(t *testing.T, n Night, err error, l *lab) {
				if err != nil || n.Entry.Anchor.SHA != sha(0) || !said(n.Entry.Notes, "the anchor 000000000000 is not on the default branch") || !said(n.Entry.Notes, "the last night's commit") {
					t.Errorf("got %+v, %v", n.Entry, err)
				}
			}},
		"the branch was forced, and the anchor is gone": {
			b: func(b *branch) { b.gone, b.shas = b.shas[:3], []string{sha(30), sha(31)} },
			check: func(t *testing.T, n Night, err error, l *lab) {
				if err != nil || n.Entry.Anchor.SHA != sha(31) || !said(n.Entry.Notes, "in no clone any more") || n.Move != nil {
					t.Errorf("got %+v, %v", n.Entry, err)
				}
			}},
		"the clock went back": {
			lab: func(l *lab) { l.clock = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC) },
			check: func(t *testing.T, n Night, err error, l *lab) {
				if err != nil || !said(n.Entry.Notes, "a clock is wrong") {
					t.Errorf("got %q, %v", n.Entry.Notes, err)
				}
			}},
		"the anchor is moved to head": {
			o: func(o *Options) { o.Move = true },
			check: func(t *testing.T, n Night, err error, l *lab) {
				if err != nil || n.Move == nil || n.Move.Previous.SHA != sha(0) || n.Move.Anchor.SHA != sha(3) || n.Entry.Anchor.SHA != sha(3) || n.Move.ID == n.Entry.ID {
					t.Errorf("got %+v and %+v, %v", n.Move, n.Entry, err)
				}
				if l.asked[0].Head != sha(3) || l.asked[0].Base != sha(0) {
					t.Errorf("measured %+v first, want both anchors", l.asked[0])
				}
			}},
		"the anchor is moved, and the old one does not build": {
			lab: func(l *lab) { l.broken = map[string]bool{sha(0): true} },
			o:   func(o *Options) { o.Configured = sha(2) },
			check: func(t *testing.T, n Night, err error, l *lab) {
				// Figures of the new anchor alone chain nothing.
				if err != nil || n.Move != nil || n.Entry.Anchor.SHA != sha(2) || !said(n.Entry.Notes, "could not be measured against each other") {
					t.Errorf("got %+v and %q, %v", n.Move, n.Entry.Notes, err)
				}
			}},
		"the old anchor is gone": {
			b: func(b *branch) { b.gone, b.shas = b.shas[:1], b.shas[1:] },
			o: func(o *Options) { o.Anchor = sha(2) },
			check: func(t *testing.T, n Night, err error, l *lab) {
				if err != nil || n.Move != nil || n.Entry.Anchor.SHA != sha(2) || !said(n.Entry.Notes, "the anchor before") {
					t.Errorf("got %+v and %q, %v", n.Move, n.Entry.Notes, err)
				}
			}},
		"an anchor that is not there": {
			o: func(o *Options) { o.Anchor = "v9" },
			check: func(t *testing.T, n Night, err error, l *lab) {
				var usage *plan.UsageError
				if !errors.As(err, &usage) || !strings.Contains(err.Error(), `--anchor "v9"`) {
					t.Errorf("got %v, want a usage error", err)
				}
			}},
		"a configuration that cannot be read": {
			lab: func(l *lab) { l.refusals = map[string]error{"night": plan.Usagef("", "duet.yml:1:1")} },
			check: func(t *testing.T, n Night, err error, l *lab) {
				var usage *plan.UsageError
				if !errors.As(err, &usage) {
					t.Errorf("got %v, want the usage error", err)
				}
			}},
		"two nights of one commit": {
			o: func(o *Options) { o.Head = sha(0); o.Job = history.Job{ID: 99, Attempt: 1} },
			check: func(t *testing.T, n Night, err error, l *lab) {
				if err != nil || n.Entry.ID != sha(0)+"-99.1" || n.Entry.Anchor.SHA != sha(0) {
					t.Errorf("got %+v, %v", n.Entry, err)
				}
			}},
	} {
		t.Run(name, func(t *testing.T) {
			l := &lab{t: t}
			past := l.nights(b, sha(0), sha(1), sha(2))
			here := branch{shas: slices.Clone(b.shas)}
			if v.b != nil {
				v.b(&here)
			}
			if v.lab != nil {
				v.lab(l)
			}
			o := Options{Entries: past, Bisect: time.Hour}
			if v.o != nil {
				v.o(&o)
			}
			n, err := l.night(here, o)
			v.check(t, n, err, l)
			if err == nil {
				for _, e := range n.Entries() {
					if _, err := history.Encode(e); err != nil {
						t.Errorf("it cannot be recorded: %v", err)
					}
				}
			}
		})
	}
}

// A moved anchor leaves the series whole: what was before and after it stands on one scale.
func TestMovedAnchorChains(t *testing.T) {
	b := lineOf(6)
	l := &lab{t: t, each: time.Minute, work: map[string]float64{sha(3): 1100, sha(4): 1100, sha(5): 1210}}
	past := l.nights(b, sha(0), sha(1), sha(3))
	moved, err := l.night(b, Options{Entries: past, Head: sha(4), Move: true})
	if err != nil || moved.Move == nil {
		t.Fatalf("got %+v, %v", moved, err)
	}
	past = append(past, moved.Entries()...)
	l.clock = l.clock.Add(24 * time.Hour)
	last, err := l.night(b, Options{Entries: past, Head: sha(5)})
	if err != nil || last.Entry.Anchor.SHA != sha(4) || last.Move != nil {
		t.Fatalf("got %+v, %v", last, err)
	}
	for _, s := range history.Join(append(past, last.Entry)) {
		if s.Key.Metric != "instructions_callgrind" {
			continue
		}
		if n := len(s.Points); len(s.Breaks) != 0 || n != 5 || s.Points[n-1].Ratio < 1.2 || s.Points[n-1].Ratio > 1.22 {
			t.Errorf("got %+v with breaks %+v, want one stretch that ends at 1.21", s.Points, s.Breaks)
		}
		return
	}
	t.Error("no series of instructions")
}

func TestInterruptedNight(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("interrupted")
	o := Options{Head: "HEAD", Now: time.Now, Say: t.Logf}
	_, err := Run(ctx, o, lineOf(2), func(context.Context, Measurement) (result.Run, error) {
		cancel(stop)
		return result.Run{Schema: result.Schema, State: result.Cancelled}, stop
	})
	if !errors.Is(err, stop) {
		t.Errorf("got %v, want the cause", err)
	}
}
