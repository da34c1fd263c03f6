package nightly

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/duet-bench/duet/internal/history"
	"github.com/duet-bench/duet/internal/triage"
)

// Record adds nights to the store, oldest first, and gives all that it holds then. A night that is there already is not
// added again: a job that is re-run, or a night that was kept while GitHub was away, does no harm. Whatever cannot be read
// stops it before anything is written.
func Record(ctx context.Context, store history.Store, nights []history.Entry) (l history.Loaded, added int, err error) {
	if l, err = store.Load(ctx); err != nil {
		return l, 0, err
	}
	fresh, err := unrecorded(l.Entries, nights)
	if err != nil || len(fresh) == 0 {
		return l, 0, err
	}
	for _, n := range fresh {
		if err := store.Append(ctx, n); err != nil {
			return l, added, &UnrecordedError{Nights: fresh[added:], Err: err}
		}
		added++
	}
	l, err = store.Load(ctx) // another recorder's nights as well
	return l, added, err
}

// UnrecordedError is a history that could not be added to; what is missing there is in Nights.
type UnrecordedError struct {
	Nights []history.Entry
	Err    error
}

func (e *UnrecordedError) Error() string {
	return fmt.Sprintf("%d nights are not in the history yet: %v", len(e.Nights), e.Err)
}

func (e *UnrecordedError) Unwrap() error { return e.Err }

// unrecorded are the nights that are not there, oldest first.
func unrecorded(there, nights []history.Entry) ([]history.Entry, error) {
	known := map[string]history.Entry{}
	for _, e := range there {
		known[e.ID] = e
	}
	var fresh []history.Entry
	for _, n := range nights {
		old, ok := known[n.ID]
		if !ok {
			known[n.ID] = n
			fresh = append(fresh, n)
			continue
		}
		was, errWas := history.Encode(old)
		is, errIs := history.Encode(n)
		if err := errors.Join(errWas, errIs); err != nil {
			return nil, err
		}
		if !bytes.Equal(was, is) {
			return nil, fmt.Errorf("night %s is recorded already, and says something else: nothing was added", n.ID)
		}
	}
	slices.SortStableFunc(fresh, func(a, b history.Entry) int { return cmp.Compare(a.Recorded, b.Recorded) })
	return fresh, nil
}

// Report is what people read of a night.
type Report struct {
	Triage   triage.Report
	Markdown string
	// Open says that a confirmed regression stands: the issue is open as long.
	Open bool
}

// Tell makes the report of the last night from all entries, oldest first.
func Tell(in triage.Input) Report {
	r := triage.New(in)
	for _, moved := range [][]triage.Moved{r.Regressed, r.Improved} {
		for i := range moved {
			explain(&moved[i], in.Entries)
		}
	}
	for i := range r.Open {
		if s, ok := suspectOf(in.Entries, r.Open[i].Key, near(in.Entries, r.Open[i].Since.SHA)); ok && s.FirstBad != nil {
			r.Open[i].Since = *s.FirstBad
		}
	}
	return Report{Triage: r, Markdown: triage.Markdown(r), Open: len(r.Open) > 0}
}

// explain adds to a change what the bisection of it found.
func explain(m *triage.Moved, entries []history.Entry) {
	s, ok := suspectOf(entries, m.Key, near(entries, m.Commit.SHA))
	if !ok {
		return
	}
	m.FirstBad, m.Suspects, m.Note = s.FirstBad, s.Left, s.Why
	if by := (history.Key{Service: s.Service, Workload: s.Workload, Metric: s.Metric}); by != m.Key && s.FirstBad != nil {
		m.Note = "found by " + strings.Join([]string{by.Service, cmp.Or(by.Workload, "build"), by.Metric}, " · ")
	}
}

// near are the commits of the nights around one: a change point may move there as nights are added.
func near(entries []history.Entry, sha string) (commits []string) {
	i := slices.IndexFunc(entries, func(e history.Entry) bool { return e.Commit.SHA == sha })
	if i < 0 {
		return []string{sha}
	}
	for _, e := range entries[max(0, i-nearby):min(len(entries), i+nearby+1)] {
		commits = append(commits, e.Commit.SHA)
	}
	return commits
}

// suspectOf is the latest suspect of a key whose change came with one of the commits; else of its service's: one merge moves
// many rows.
func suspectOf(entries []history.Entry, k history.Key, commits []string) (found history.Suspect, ok bool) {
	own := false
	for _, e := range entries {
		for _, s := range e.Suspects {
			if s.Service != k.Service || !slices.Contains(commits, s.To.SHA) {
				continue
			}
			if itself := s.Workload == k.Workload && s.Metric == k.Metric; itself || !own {
				found, ok, own = s, true, own || itself
			}
		}
	}
	return found, ok
}
