// Package nightly is one night on the default branch: its head against a fixed anchor, against itself, and what made it
// slower.
//
// Its stance: a night never guesses. The anchor stays until it is moved, and a move measures both; a change for the worse
// is a change point of the series, and the first bad merge is named by the same judge as everything else, or the commits
// that remain are. What went wrong is part of the night's entry. Deciding is pure; measuring and git are handed in.
package nightly

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/history"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// Measurement is one run of the night's.
type Measurement struct {
	Name       string    // of its file, run.json before it: "night", "self-check", "bisect-1"
	Head, Base string    // full shas, compared as they are
	Same       plan.Same //
	Services   []string  // by name; nil: all
	Workloads  []string  // by name; nil: all
	// Share is the part of the usual measuring time that it has, 0 to 1; 0: all of it.
	Share float64
	// Looks are the rounds after which it may end; nil: duet.yml's.
	Looks []int
}

// Measurer carries a measurement out, as `duet measure` does. The error is for what no commit is to blame for.
type Measurer func(context.Context, Measurement) (result.Run, error)

// Branch is the default branch's history.
type Branch interface {
	// Commit finds a revision; it fails with ErrGone where no clone has it any more.
	Commit(ctx context.Context, rev string) (history.Commit, error)
	// Between are the commits after one and up to another on the other's first-parent line, oldest first; ok is false where
	// the first is not on it.
	Between(ctx context.Context, after, upTo string) (commits []history.Commit, ok bool, err error)
}

// ErrGone is a commit that is not to be had any more.
var ErrGone = errors.New("the commit is gone")

// Options of a night.
type Options struct {
	Entries    []history.Entry // the history so far
	Head       string          // revision
	Anchor     string          // revision asked for; empty: Configured, else the history's
	Configured string          // full sha, of duet.yml
	Move       bool            // to Anchor, Configured or else head
	SelfCheck  bool
	Bisect     time.Duration // most time of all bisections; 0: none
	Job        history.Job
	Now        func() time.Time
	Say        func(format string, args ...any) // a line of the log
	// Changes finds the change points of series.
	Changes func([]history.Series) []history.Change
}

// Night is what a night found.
type Night struct {
	Move  *history.Entry // of an anchor that was moved: it is recorded before Entry
	Entry history.Entry
}

// Entries are all that a night records, in order.
func (n Night) Entries() []history.Entry {
	if n.Move == nil {
		return []history.Entry{n.Entry}
	}
	return []history.Entry{*n.Move, n.Entry}
}

// Run is a whole night. A head that cannot be measured is a night all the same, and its entry says why; the error is for
// what leaves nothing to record: an interrupt, a head that is not there.
func Run(ctx context.Context, o Options, b Branch, measure Measurer) (Night, error) {
	w := walk{o: o, branch: b, measure: measure}
	if err := w.begin(ctx); err != nil {
		return Night{}, err
	}
	if err := w.moveAnchor(ctx); err != nil {
		return Night{}, err
	}
	run, err := w.judged(ctx, Measurement{Name: "night", Head: w.head.SHA, Base: w.anchor.SHA, Same: plan.SameOnce})
	if err != nil {
		return Night{}, err
	}
	w.night.Entry = EntryOf(run.Run, run.Comparisons, Meta{Commit: w.head, Anchor: w.anchor, Job: o.Job})
	w.night.Entry.Notes = append(w.notes, w.night.Entry.Notes...)
	if w.night.Entry.State != history.Measured {
		return w.night, nil
	}
	if o.SelfCheck {
		if err := w.selfCheck(ctx); err != nil {
			return Night{}, err
		}
	}
	err = w.lookInto(ctx)
	return w.night, err
}

// walk is a night under way.
type walk struct {
	o       Options
	branch  Branch
	measure Measurer

	head, anchor history.Commit
	previous     *history.Commit // the anchor before, where it is moved
	notes        []string
	night        Night
}

func (w *walk) notef(format string, args ...any) {
	text := clipped(fmt.Sprintf(format, args...))
	w.notes = append(w.notes, text)
	w.o.Say("note: %s", text)
}

// judgedRun is a run and what the judge says of it.
type judgedRun struct {
	result.Run
	compare.Comparisons
}

// judged measures and judges. Where a run failed for a reason of its own, the reason is in the run.
func (w *walk) judged(ctx context.Context, m Measurement) (judgedRun, error) {
	run, err := w.measure(ctx, m)
	if ctx.Err() != nil {
		return judgedRun{}, context.Cause(ctx)
	}
	if err != nil {
		if run.Schema == "" { // there is not even a plan: nothing to record
			return judgedRun{}, fmt.Errorf("measuring %s: %w", m.Name, err)
		}
		run.State = result.NotMeasured
		if run.Error == "" {
			run.Error = err.Error()
		}
	}
	return judgedRun{run, compare.Run(run)}, nil
}

// begin finds head and anchor, and says what is strange about them.
func (w *walk) begin(ctx context.Context) (err error) {
	if w.head, err = w.branch.Commit(ctx, w.o.Head); err != nil {
		return fmt.Errorf("finding the head: %w", err)
	}
	asked := ""
	if w.o.Anchor != "" {
		c, err := w.branch.Commit(ctx, w.o.Anchor)
		if err != nil {
			return plan.Usagef("name a commit of the default branch", "--anchor %q: %w", w.o.Anchor, err)
		}
		asked = c.SHA
	}
	latest := LatestAnchor(w.o.Entries)
	want := ChooseAnchor(latest, asked, w.o.Configured, w.head.SHA, w.o.Move)
	if want.First {
		w.notef("there is no history yet: this night's commit %s becomes the anchor", short(w.head.SHA))
	}
	if w.anchor, err = w.branch.Commit(ctx, want.SHA); errors.Is(err, ErrGone) {
		w.notef("the anchor %s is in no clone any more: %s becomes the anchor, and series begin anew; a tag keeps a commit", short(want.SHA), short(w.head.SHA))
		w.anchor, want.Previous, err = w.head, "", nil
	}
	if err != nil {
		return fmt.Errorf("finding the anchor: %w", err)
	}
	if want.Previous != "" {
		previous, err := w.branch.Commit(ctx, want.Previous)
		switch {
		case errors.Is(err, ErrGone):
			w.notef("the anchor before, %s, is in no clone any more: series begin anew at %s", short(want.Previous), short(w.anchor.SHA))
		case err != nil:
			return fmt.Errorf("finding the anchor before: %w", err)
		default:
			w.previous = &previous
		}
	}
	return w.forced(ctx)
}

// forced says what of the history is no longer on the branch, and what the clocks disagree about.
func (w *walk) forced(ctx context.Context) error {
	for _, c := range []struct{ what, sha string }{{"the anchor", w.anchor.SHA}, {"the last night's commit", lastCommit(w.o.Entries)}} {
		if c.sha == "" {
			continue
		}
		_, ok, err := w.branch.Between(ctx, c.sha, w.head.SHA)
		if err != nil {
			return fmt.Errorf("looking for %s %s: %w", c.what, short(c.sha), err)
		}
		if !ok {
			w.notef("%s %s is not on the default branch any more (it was forced, or the clone is shallow): measured all the same, and nothing is bisected across that", c.what, short(c.sha))
		}
	}
	if last, ok := history.LastMeasured(w.o.Entries); ok {
		if at, err := time.Parse(time.RFC3339, last.Recorded); err == nil && at.After(w.o.Now()) {
			w.notef("the last night says it was measured on %s, which is still to come: a clock is wrong, and nights are ordered by their clocks", last.Recorded)
		}
	}
	return nil
}

// moveAnchor measures the new anchor against the one before, once, so that series go on.
func (w *walk) moveAnchor(ctx context.Context) error {
	if w.previous == nil {
		return nil
	}
	w.o.Say("the anchor moves from %s to %s: both are measured against each other once", short(w.previous.SHA), short(w.anchor.SHA))
	run, err := w.judged(ctx, Measurement{Name: "anchor", Head: w.anchor.SHA, Base: w.previous.SHA, Same: plan.SameOnce})
	why := ""
	var usage *plan.UsageError
	switch {
	case errors.As(err, &usage): // a configuration of that time, say
		why = usage.Error()
	case err != nil:
		return err
	default:
		entry := EntryOf(run.Run, run.Comparisons, Meta{Commit: w.anchor, Anchor: w.anchor, Previous: w.previous, Job: w.o.Job})
		if slices.ContainsFunc(entry.Rows, func(r history.Row) bool { return r.Ratio > 0 }) {
			w.night.Move = &entry
			return nil
		}
		why = failureOf(run.Run)
	}
	w.notef("the anchors could not be measured against each other (%s): series begin anew at %s", clipped(why), short(w.anchor.SHA))
	return nil
}

// selfCheck measures the head against itself: whatever the judge finds is a false alarm.
func (w *walk) selfCheck(ctx context.Context) error {
	run, err := w.judged(ctx, Measurement{Name: "self-check", Head: w.head.SHA, Base: w.head.SHA, Same: plan.SameAgain})
	if err != nil {
		return err
	}
	entry := &w.night.Entry
	if run.State != result.Measured {
		entry.Notes = append(entry.Notes, "the self-check could not be measured: "+failureOf(run.Run))
		return nil
	}
	check := SelfCheckOf(run.Comparisons)
	entry.SelfCheck = &check
	w.o.Say("self-check: %d of %d rows were called changed", len(check.False), check.Rows)
	return nil
}
