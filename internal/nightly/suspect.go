package nightly

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/history"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/triage"
)

const (
	// recent is how many nights back a change point is looked into: older ones are history.
	recent = 30
	// nearby is how many nights a change point may move as nights are added, and still be the one that was looked into.
	nearby = 3
)

// moreLooks are the rounds of a commit of which the judge could not tell, and moreTime is how many times the measuring time
// it has for them.
func moreLooks() []int { return []int{15, 25, 40} }

const moreTime = 3

// lead is a change for the worse that nobody looked into yet.
type lead struct {
	key      history.Key
	severity float64 // in margins
	from, to history.Commit
	left     []history.Commit // of an earlier night's bisection that ran out of time
}

// leads are the changes worth a bisection, the worst first: for the worse by more than the margin, in the last nights, and
// one for each service and stretch of commits, since one merge moves many rows.
func leads(entries []history.Entry, series []history.Series, changes []history.Change) []lead {
	byKey := map[history.Key]history.Series{}
	for _, s := range series {
		byKey[s.Key] = s
	}
	var all []lead
	for _, c := range changes {
		s, ok := byKey[c.Key]
		if !ok || c.From < 0 || c.From >= c.At || c.At >= len(s.Points) || len(s.Points)-c.At > recent {
			continue
		}
		l := lead{key: c.Key, severity: triage.Severity(c.Key.Metric, c.Before, c.After)}
		if l.severity < 1 {
			continue
		}
		l.from, l.to = entries[s.Points[c.From].Entry].Commit, entries[s.Points[c.At].Entry].Commit
		around := func(nights int) (commits []string) {
			for _, p := range s.Points[max(0, c.At-nights):min(len(s.Points), c.At+nights+1)] {
				commits = append(commits, p.SHA)
			}
			return commits
		}
		if before, ok := lookedInto(entries, c.Key, around(nearby), around(1)); ok {
			if !before.unfinished() {
				continue
			}
			l.key = history.Key{Service: before.Service, Workload: before.Workload, Metric: before.Metric}
			l.from, l.to, l.left = before.From, before.To, before.Left
		}
		all = append(all, l)
	}
	slices.SortStableFunc(all, func(a, b lead) int {
		return cmp.Or(cmp.Compare(b.severity, a.severity), triage.CompareKeys(a.key, b.key))
	})
	seen := map[string]bool{}
	return slices.DeleteFunc(all, func(l lead) bool {
		stretch := l.key.Service + l.from.SHA + l.to.SHA
		defer func() { seen[stretch] = true }()
		return seen[stretch]
	})
}

// outOfTime begins the reason of a suspect that the next night goes on with.
const outOfTime = "the time for bisections was used up"

// suspect is one with the questions that are asked of it here.
type suspect struct{ history.Suspect }

func (s suspect) unfinished() bool {
	return len(s.Why) >= len(outOfTime) && s.Why[:len(outOfTime)] == outOfTime
}

// lookedInto is the latest suspect whose change lies nearby, where it is of this very row, or at most a night away, where it is
// of another row of the service: one merge moves many rows, and two merges may follow each other.
func lookedInto(entries []history.Entry, k history.Key, nearby, nextTo []string) (last suspect, ok bool) {
	for _, e := range entries {
		for _, s := range e.Suspects {
			commits := nextTo
			if s.Workload == k.Workload && s.Metric == k.Metric {
				commits = nearby
			}
			if s.Service == k.Service && slices.Contains(commits, s.To.SHA) {
				last, ok = suspect{s}, true
			}
		}
	}
	return last, ok
}

// lookInto finds tonight's change points and bisects the commits of those that are new, within the budget.
func (w *walk) lookInto(ctx context.Context) error {
	if w.o.Bisect <= 0 || w.o.Changes == nil {
		return nil
	}
	entries := append(slices.Clone(w.o.Entries), w.night.Entries()...)
	series := history.Join(entries)
	all := leads(entries, series, w.o.Changes(series))
	t := &timer{now: w.o.Now, until: w.o.Now().Add(w.o.Bisect)}
	for _, l := range all {
		s, err := w.trace(ctx, l, t)
		if err != nil {
			return err
		}
		w.night.Entry.Suspects = append(w.night.Entry.Suspects, s)
	}
	return nil
}

// timer keeps bisections within their time: a measurement begins only if one as long as the longest so far would end.
type timer struct {
	now     func() time.Time
	until   time.Time
	longest time.Duration
	runs    int
}

func (t *timer) allows() bool { return !t.now().Add(t.longest).After(t.until) }

// trace bisects one lead.
func (w *walk) trace(ctx context.Context, l lead, t *timer) (history.Suspect, error) {
	s := history.Suspect{Service: l.key.Service, Workload: l.key.Workload, Metric: l.key.Metric, From: l.from, To: l.to}
	commits := l.left
	if len(commits) == 0 {
		found, ok, err := w.branch.Between(ctx, l.from.SHA, l.to.SHA)
		if err != nil {
			return s, fmt.Errorf("listing the commits of %s to %s: %w", short(l.from.SHA), short(l.to.SHA), err)
		}
		if !ok {
			s.Why = "the commits are not in one line any more (the branch was forced, or the clone is shallow): nothing was bisected"
			return s, nil
		}
		commits = found
	}
	if len(commits) == 0 {
		s.Why = "no commit lies between the nights: the machine or its surroundings changed"
		return s, nil
	}
	w.o.Say("bisecting %s of %s under %s: %d commits after %s", l.key.Metric, l.key.Service, l.key.Workload, len(commits), short(l.from.SHA))
	found, err := Search(len(commits), func(i int, again bool) (Answer, error) {
		if !t.allows() {
			return NoTime, nil
		}
		answer, step, err := w.ask(ctx, l, commits[i].SHA, again, t)
		if err == nil {
			s.Steps = append(s.Steps, step)
		}
		return answer, err
	})
	if err != nil {
		return s, err
	}
	conclude(&s, found, commits)
	w.o.Say("%s", Concluded(s))
	return s, nil
}

// conclude puts what the search found into words.
func conclude(s *history.Suspect, f Found, commits []history.Commit) {
	if i, ok := f.First(); ok {
		s.FirstBad = &commits[i]
		return
	}
	left := commits[f.Low : f.High+1]
	s.Left = left[:min(len(left), history.MaxLeft)]
	switch {
	case f.NoTime && len(left) > history.MaxLeft:
		s.Left, s.Why = nil, outOfTime
	case f.NoTime:
		s.Why = outOfTime
	case !f.Reproduced:
		s.Why = fmt.Sprintf("%s could not be told from %s in a run of their own, so nothing was traced", short(s.To.SHA), short(s.From.SHA))
	default:
		s.Why = fmt.Sprintf("%d commits cannot be told apart: those between could not be measured, or not be judged", len(left))
	}
}

// Concluded is a suspect in a line.
func Concluded(s history.Suspect) string {
	if s.FirstBad != nil {
		return fmt.Sprintf("first bad merge: %s %s", short(s.FirstBad.SHA), s.FirstBad.Subject)
	}
	return "no first bad merge is named: " + s.Why
}

// ask measures one commit against the last good one and reads the row.
func (w *walk) ask(ctx context.Context, l lead, sha string, again bool, t *timer) (Answer, history.Step, error) {
	began := t.now()
	t.runs++
	m := Measurement{
		Name: fmt.Sprintf("bisect-%d", t.runs), Head: sha, Base: l.from.SHA, Same: "", Services: []string{l.key.Service},
		Share: w.share(),
	}
	if l.key.Workload != "" {
		m.Workloads = []string{l.key.Workload}
	}
	if again {
		m.Looks = moreLooks()
		m.Share *= moreTime
	}
	run, err := w.judged(ctx, m)
	var usage *plan.UsageError
	if errors.As(err, &usage) { // that commit's configuration has no such service, say
		return Skipped, history.Step{Commit: sha, Found: Skipped.String(), Why: clipped(usage.Error())}, nil
	}
	if err != nil {
		return Unsure, history.Step{}, err
	}
	t.longest = max(t.longest, t.now().Sub(began))
	answer, step := read(run, l.key)
	step.Commit = sha
	w.o.Say("%s is %s%s", short(sha), answer, because(step.Why))
	return answer, step, nil
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

// share is one service's and one workload's part of the night's measuring time.
func (w *walk) share() float64 {
	services, workloads := len(w.night.Entry.Services), len(w.night.Entry.Workloads)
	return 1 / float64(max(services*workloads, 1))
}

// read is what a run says of one row: worse is bad, and so is nothing but a confirmed verdict.
func read(run judgedRun, k history.Key) (Answer, history.Step) {
	step := history.Step{}
	answer := Unsure
	row, ok := rowOf(run.Comparisons, k)
	step.Ratio, step.Low, step.High, step.Rounds = known(row.Ratio), known(row.CI[0]), known(row.CI[1]), row.Rounds
	switch {
	case run.State == result.NothingChanged:
		answer = Good
	case !ok, row.Verdict == compare.NotJudged:
		answer, step.Why = Skipped, clipped(cmp.Or(row.Why, run.Services[k.Service].Why, failureOf(run.Run)))
	case row.Verdict == compare.Regressed:
		answer = Bad
	case row.Verdict == compare.Unchanged, row.Verdict == compare.Improved:
		answer = Good
	default:
		step.Why = clipped(cmp.Or(row.Why, "the interval reaches across the margin"))
	}
	step.Found = answer.String()
	return answer, step
}
