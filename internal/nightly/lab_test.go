package nightly

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/duet-bench/duet/internal/history"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// branch is a default branch of commits in a row, the oldest first; forced ones are in no line with the others.
type branch struct {
	shas   []string
	forced []string
	gone   []string
}

func sha(n int) string { return fmt.Sprintf("%040x", n+1) }

func commit(sha string) history.Commit {
	return history.Commit{SHA: sha, Subject: "commit " + sha[36:], Author: "ann", Date: "2026-01-02T03:04:05Z"}
}

func lineOf(n int) branch {
	b := branch{}
	for i := range n {
		b.shas = append(b.shas, sha(i))
	}
	return b
}

func (b branch) Commit(_ context.Context, rev string) (history.Commit, error) {
	switch {
	case rev == "HEAD":
		return commit(b.shas[len(b.shas)-1]), nil
	case slices.Contains(b.shas, rev), slices.Contains(b.forced, rev):
		return commit(rev), nil
	case slices.Contains(b.gone, rev):
		return history.Commit{}, fmt.Errorf("%w: %s", ErrGone, rev)
	}
	return history.Commit{}, fmt.Errorf("unexpected revision %q", rev)
}

func (b branch) Between(_ context.Context, after, upTo string) (all []history.Commit, ok bool, err error) {
	from, to := slices.Index(b.shas, after), slices.Index(b.shas, upTo)
	if from < 0 || to < from {
		return nil, false, nil
	}
	for _, s := range b.shas[from+1 : to+1] {
		all = append(all, commit(s))
	}
	return all, true, nil
}

// lab measures by what it is told of each commit: how much work a request is, and which commits do not build.
type lab struct {
	t        *testing.T
	work     map[string]float64 // by sha; else 1000
	broken   map[string]bool
	vague    map[string]int // measurements of a commit that the judge cannot tell from
	asked    []Measurement
	clock    time.Time
	each     time.Duration
	refusals map[string]error // by name of the measurement
}

func (l *lab) measure(_ context.Context, m Measurement) (result.Run, error) {
	l.asked = append(l.asked, m)
	l.clock = l.clock.Add(l.each)
	if err := l.refusals[m.Name]; err != nil {
		return result.Run{}, err
	}
	run := result.Run{
		Schema: result.Schema, Duet: "test", State: result.Measured, Started: l.clock.UTC().Format(time.RFC3339), Attempt: 1,
		Plan: plan.Plan{
			Schema: plan.Schema, Head: plan.Commit{SHA: m.Head}, Base: &plan.Commit{SHA: m.Base}, Changed: []string{"x.go"}, Same: m.Same,
			Services:  map[plan.Variant]plan.Service{{Service: "go", Side: plan.Base}: {Name: "go", Lang: plan.Go}, {Service: "go", Side: plan.Head}: {Name: "go", Lang: plan.Go}},
			Order:     []string{"go"},
			Workloads: workloadsNamed("health"),
			Rounds:    plan.Rounds{Looks: []int{7}, Confirm: 7, CountLooks: []int{3}, CountConfirm: 4},
		},
		Machine: result.Machine{OS: "linux", Arch: "amd64", CPU: "a CPU", Cores: 2, Isolation: "basic", Toolchains: map[string]string{"go": "go1.26.8"}},
	}
	for _, side := range []plan.Side{plan.Base, plan.Head} {
		sha := map[plan.Side]string{plan.Base: m.Base, plan.Head: m.Head}[side]
		v := plan.Variant{Service: "go", Side: side}
		if l.broken[sha] {
			run.Failures = append(run.Failures, result.Failure{Variant: v, Step: "building", Error: "exit status 1", LogTail: []string{"# x", "x.go:1: syntax error"}})
			if side == plan.Head {
				run.State = result.NotMeasured
			}
			continue
		}
		same := m.Head == m.Base
		run.Builds = append(run.Builds, result.Build{Variant: v, CleanSeconds: 2, BinaryBytes: 1000, IdenticalToBase: same && side == plan.Head})
		work := l.work[sha]
		if work == 0 {
			work = 1000
		}
		if side == plan.Head && l.vague[sha] > 0 {
			l.vague[sha]--
			work *= 1.005
			l.count(&run, v, work, 0.01)
			continue
		}
		l.count(&run, v, work, 0.0001)
	}
	return run, nil
}

// count adds callgrind rounds of screening and confirmation, whose figures spread by so much.
func (l *lab) count(run *result.Run, v plan.Variant, work, spread float64) {
	for phase, rounds := range map[plan.Phase]int{plan.Screen: 3, plan.Confirm: 4} {
		for round := 1; round <= rounds; round++ {
			wobble := spread * float64((round*7+len(v.Side)*3)%5-2)
			run.Costs = append(run.Costs, result.Cost{Variant: v, Workload: "health", Phase: phase, Round: round, Requests: 1000,
				Buckets: map[string]int64{result.BucketService: int64(1000 * work * (1 + wobble))}})
		}
	}
}

// night runs one night of a lab.
func (l *lab) night(b branch, o Options) (Night, error) {
	l.t.Helper()
	if l.clock.IsZero() {
		l.clock = time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	}
	if o.Head == "" {
		o.Head = "HEAD"
	}
	o.Now = func() time.Time { return l.clock }
	o.Say = func(format string, args ...any) { l.t.Logf(format, args...) }
	if o.Changes == nil {
		o.Changes = func(s []history.Series) []history.Change { return history.Changes(s, history.ChangesOptions{}) }
	}
	return Run(l.t.Context(), o, b, l.measure)
}

// nights are entries of one night after the other, made by the lab itself.
func (l *lab) nights(b branch, shas ...string) (all []history.Entry) {
	l.t.Helper()
	l.clock = time.Date(2026, 1, 1, 3, 0, 0, 0, time.UTC)
	for i, s := range shas {
		n, err := l.night(b, Options{Head: s, Entries: all, Job: history.Job{ID: int64(i + 1), Attempt: 1}})
		if err != nil {
			l.t.Fatal(err)
		}
		all = append(all, n.Entries()...)
		l.clock = l.clock.Add(24 * time.Hour)
	}
	l.asked = nil
	return all
}

// goodAndBad are nights of the first commit and then of the last one.
func (l *lab) goodAndBad(b branch) []history.Entry {
	shas := slices.Repeat([]string{b.shas[0]}, 12)
	return l.nights(b, append(shas, slices.Repeat([]string{b.shas[len(b.shas)-1]}, 6)...)...)
}
