package compare

import (
	"fmt"
	"math"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/stats"
)

// The constants of METHOD.md section 2.
const (
	// minRounds is the fewest valid rounds that anything is judged on.
	minRounds = 7
	// screenAlpha is each one-sided test's level at one of three looks, and so stricter than needed at callgrind's two:
	// at most 5 % over all of them.
	screenAlpha = 0.05 / 3
	// familyAlpha bounds the chance that a report holds any false Improved or Regressed.
	familyAlpha = 0.01
	// power is that of every "detectable" and "more rounds".
	power = 0.8
	// maxLostMore is how many more trials one side may lose than the other before the rest is its better part.
	maxLostMore = 3
	// maxMoreRounds bounds "more rounds": beyond it the honest answer is that rounds will not settle it.
	maxMoreRounds = 500
)

// bar is what the rounds of one pass must bring before anything is judged on them.
type bar struct {
	pass            plan.Pass
	screen, confirm int // fewest valid rounds
}

// barOf is the bar of a metric's pass. Counts are a hundred times steadier than times, so fewer rounds carry them.
func barOf(m result.Metric) bar {
	if m.Count != nil {
		return bar{pass: plan.Instructions, screen: 3, confirm: 4}
	}
	return bar{pass: plan.Timing, screen: minRounds, confirm: minRounds}
}

// resolution is the least standard deviation that a metric's effects count as having.
func resolution(m result.Metric) float64 {
	if m.Resolution > 0 {
		return m.Resolution
	}
	return result.DefaultResolution
}

// sample is a metric's base and head figures of the same rounds, and their effects d = ln(head ÷ base).
type sample struct {
	base, head, d []float64
}

// pair pairs figures by round, in the order of the rounds; phase "" takes both phases.
func pair(base, head map[mark]float64, phase plan.Phase) sample {
	var s sample
	for _, at := range sortedMarks(head) {
		b, ok := base[at]
		if !ok || (phase != "" && at.phase != phase) {
			continue
		}
		if d, ok := stats.LogRatio(b, head[at]); ok {
			s.base, s.head, s.d = append(s.base, b), append(s.head, head[at]), append(s.d, d)
		}
	}
	return s
}

// candidate is a row on its way to a verdict.
type candidate struct {
	row      Comparison
	bar      bar
	floor    float64 // of the effects' standard deviation
	log      float64 // ln(1 + margin)
	screen   sample
	confirm  sample
	method   stats.Method   // chosen on screening rounds for both phases, so that the confirming test keeps its level
	estimate stats.Estimate // of the screening rounds
	median   float64        // of the screening rounds' effects
	state    plan.RowState  // where screening leaves it
	halt     string         // why it cannot be judged, "" when it can
}

// screened gathers a row's rounds and decides where screening leaves it.
//
// The state is computed from all screening rounds anew at each look and never remembered: the last look's is a
// pure function of run.json. Suspicion goes before equivalence: a skewed sample can have both, and then
// fresh rounds should speak.
func (r record) screened(service, workload string, m result.Metric) candidate {
	head := r.figures(variant(service, plan.Head), workload, m)
	base := r.figures(variant(service, plan.Base), workload, m)
	c := candidate{
		bar: barOf(m), floor: resolution(m), log: math.Log1p(r.margin(m)),
		screen:  pair(base, head, plan.Screen),
		confirm: pair(base, head, plan.Confirm),
		state:   plan.RowOpen,
	}
	c.method = stats.MethodFor(c.screen.d, c.floor)
	c.estimate = stats.Estimated(c.screen.d, c.method, c.floor)
	c.median, _ = stats.Median(c.screen.d)
	if c.halt = r.unsound(service, workload, m, c.screen, len(base), len(head)); c.halt != "" {
		return c
	}
	switch {
	case math.Abs(c.median) > c.log:
		c.state = plan.RowSuspect
	case c.estimate.Within(c.log, screenAlpha):
		c.state = plan.RowDecided
	}
	return c
}

// unsound says why screening rounds carry no verdict, "" when they do.
func (r record) unsound(service, workload string, m result.Metric, s sample, base, head int) string {
	rounds := 0
	for _, side := range []plan.Side{plan.Base, plan.Head} {
		v := variant(service, side)
		invalid, trials, reason := r.lost(v, workload, m)
		if invalid > 0 && 2*invalid >= trials {
			return fmt.Sprintf("%d of %d %s of %s do not count, first: %s", invalid, trials, roundsWord(m), v, reason)
		}
		rounds = max(rounds, trials)
	}
	if margin := r.margin(m); !(margin >= 0) || math.IsInf(margin, 1) {
		return fmt.Sprintf("margin %g is not a share", margin)
	}
	switch {
	case rounds == 0 && m.Count != nil:
		return "not counted: callgrind did not run"
	case rounds == 0:
		return "not measured"
	case base == 0 && head == 0:
		return "no figure at base or head"
	case base == 0:
		return "no figure at base"
	case head == 0:
		return "no figure at head"
	case len(s.d) < barOf(m).screen:
		return fmt.Sprintf("%d valid screening rounds: at least %d are needed", len(s.d), barOf(m).screen)
	}
	return ""
}

func roundsWord(m result.Metric) string {
	if m.Count != nil {
		return "callgrind rounds"
	}
	return "trials"
}

// Settle says where every row stands after a look: suspect when the median effect is beyond the margin,
// decided when the 1 − 2α interval lies inside it, else open. The harness puts the answer into
// plan.Progress.Rows; rows that nobody will judge (no base, identical, facts, a stopped workload) are not in it. A row that more
// rounds cannot help (no figure, too few requests in sight) is decided: nothing waits for it.
func Settle(run *result.Run) []plan.Row {
	r := newRecord(run)
	var rows []plan.Row
	for _, service := range r.services() {
		for _, w := range run.Plan.Workloads {
			r := r.at(w.Name)
			if r.identical[service] || r.uncompared(service) != "" || r.run.Stopped[w.Name] != "" {
				continue
			}
			for _, m := range result.Metrics() {
				if m.Judged && m.Fact == nil {
					state, needs := r.settled(service, w.Name, m)
					rows = append(rows, plan.Row{Service: service, Workload: w.Name, Metric: m.Name, Pass: barOf(m).pass, State: state, Needs: needs})
				}
			}
		}
	}
	return rows
}

// settled is where a row stands, and how many fresh rounds it needs if it is suspect.
func (r record) settled(service, workload string, m result.Metric) (state plan.RowState, needs int) {
	c := r.screened(service, workload, m)
	if m.Count != nil {
		if r.instead(service, workload, m) != "" {
			return plan.RowDecided, 0
		}
		return c.state, 0
	}
	looks := r.run.Plan.Rounds.Looks
	last := 0
	if len(looks) > 0 {
		last = looks[len(looks)-1]
	}
	head, base := variant(service, plan.Head), variant(service, plan.Base)
	if _, valid := r.requests(head, workload); valid >= minRounds && len(r.trials[cell{base, workload}]) == 0 {
		return plan.RowDecided, 0 // base cannot serve this workload
	}
	for _, v := range []plan.Variant{base, head} {
		requests, valid := r.requests(v, workload)
		if valid < minRounds {
			continue
		}
		// Confirmation is not counted in: a row is not confirmed only to learn that it may be judged.
		if requests*int64(max(last, valid))/int64(valid) < m.MinRequests {
			return plan.RowDecided, 0
		}
		if len(r.figures(v, workload, m)) == 0 {
			return plan.RowDecided, 0
		}
	}
	return c.state, c.needs(r.run.Plan.Rounds.ConfirmMost)
}

// Fresh rounds are asked for by what screening showed, which is larger than the truth more often than not: so a report
// is sized for more than the usual power.
const (
	confirmPower   = 0.95
	likelySuspects = 4 // by which Holm's first step divides
)

// needs is how many fresh rounds a suspect takes to be confirmed. Where most of them would find it half of the time, it
// is most; where not even that, more than the usual number would be wasted: 0.
func (c candidate) needs(most int) int {
	if c.state != plan.RowSuspect || most == 0 {
		return 0
	}
	noise := c.estimate.SE * math.Sqrt(float64(c.estimate.N))
	effect := max(math.Abs(c.estimate.Center), math.Abs(c.median))
	const alpha = familyAlpha / likelySuspects
	if n, ok := stats.RoundsToFind(effect, noise, c.log, alpha, confirmPower, most); ok {
		return n
	}
	if _, ok := stats.RoundsToFind(effect, noise, c.log, alpha, 0.5, most); ok {
		return most
	}
	return 0
}
