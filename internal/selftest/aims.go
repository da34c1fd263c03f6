package selftest

import (
	"fmt"
	"strings"

	"github.com/duet-bench/duet/internal/result"
)

// falseAim is the most reports of base against itself that may hold a false row.
const falseAim = 0.01

// aims sets what was promised beside what was reached.
func (e *evaluation) aims() {
	e.falseAim()
	for i := range e.out.Found {
		if f := &e.out.Found[i]; f.Aim > 0 {
			if f.Outcome = e.outcome(*f); f.Outcome != Reached && (f.Outcome != TooFew || f.missed()) {
				f.Way = f.way()
			}
		}
	}
	for i := range e.out.Named {
		n := &e.out.Named[i]
		if n.Outcome = n.Disjoint.atMost(falseAim); n.Outcome == TooFew && n.Resampled.Low > falseAim {
			n.Outcome = NotReached
		}
	}
}

// falseAim is judged by the bank where it is large enough, else by the simulation, said which.
func (e *evaluation) falseAim() {
	f := &e.out.False
	f.Outcome, f.JudgedBy = f.Disjoint.atMost(falseAim), "the bank"
	if sim := e.out.Simulation; sim != nil && f.Outcome == TooFew {
		f.Outcome, f.JudgedBy = sim.False.atMost(falseAim), "simulation on the bank's residuals"
	}
}

// outcome is that of a plant's aim. A time aim holds on quiet machines; on busy ones it asks only that nothing wrong
// is said.
func (e *evaluation) outcome(f Found) Outcome {
	const rounding = 0.9 // the planted effect is read with noise
	outcome := f.Disjoint.Found.atLeast(f.Aim)
	busy := f.Quiet && e.out.Kind == Busy
	switch {
	case outcome == Reached:
		return Reached
	case f.Rounds > 0 && f.Effect < rounding*f.Least:
		return TooSmall
	case !busy || outcome == TooFew && !f.missed():
		return outcome
	case f.wrong() > 0:
		return NotReached
	}
	return NotAimedFor
}

// missed says whether the reports that there are find it less often than aimed at.
func (f Found) missed() bool {
	d, r := f.Disjoint.Found, f.Resampled.Found
	return float64(d.K+r.K) < f.Aim*float64(d.N+r.N)
}

// wrong counts reports that say the contrary: inconclusive is not wrong.
func (f Found) wrong() int {
	n := f.Disjoint.Wrong + f.Resampled.Wrong
	if f.Effect > f.Margin {
		n += f.Disjoint.Unchanged + f.Resampled.Unchanged
	}
	return n
}

// way is what stands between a plant and its aim.
func (f Found) way() string {
	if f.Rounds == 0 {
		return "no round of it yet"
	}
	var parts []string
	t := f.Disjoint
	if t.Found.N < enough && f.Resampled.Found.N > 0 {
		t = f.Resampled
	}
	for _, words := range t.otherwise() {
		parts = append(parts, fmt.Sprintf("%s of %d", words, t.Found.N))
	}
	return strings.Join(append(parts, f.needs()), "; ")
}

// otherwise is what a row was called where it was not found, in words.
func (t Tally) otherwise() (words []string) {
	for _, part := range []struct {
		n    int
		what string
	}{{t.Inconclusive, "inconclusive"}, {t.Unchanged, "unchanged"}, {t.Wrong, "improved"}, {t.NotJudged, "not judged"}} {
		if part.n > 0 {
			words = append(words, fmt.Sprintf("%d %s", part.n, part.what))
		}
	}
	return words
}

// needs says how many rounds the effect takes at this noise.
func (f Found) needs() string {
	reads := fmt.Sprintf("it reads %s at a noise of %s", percent(f.Effect), share2(f.Noise))
	switch {
	case f.Effect <= f.Margin:
		return fmt.Sprintf("%s: not beyond the margin of %g %%, so no number of rounds finds it", reads, 100*f.Margin)
	case f.NeedRounds == 0:
		return fmt.Sprintf("%s: needs more than %d fresh rounds", reads, maxNeed)
	}
	return fmt.Sprintf("%s: needs %d fresh rounds", reads, f.NeedRounds)
}

// label is a metric's short name in the self-test's tables.
func label(metric string) string {
	m, _ := result.MetricByName(metric)
	return strings.Replace(m.Label, " per request", "", 1)
}

// words is "19 of 20 [76–99 %]".
func (s Share) words() string {
	if s.N == 0 {
		return none
	}
	digits := 0
	if s.High < 0.1 {
		digits = 1
	}
	return fmt.Sprintf("%d of %d [%.*f–%.*f %%]", s.K, s.N, digits, 100*s.Low, digits, 100*s.High)
}
