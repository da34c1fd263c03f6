package compare

import (
	"math"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/stats"
)

// gapAlpha makes a gap's interval a plain 95 % one: it describes, and nothing is decided by it.
const gapAlpha = 0.025

// gaps are Rust ÷ Go for every pair whose answers agree, over the valid rounds of both phases.
func (r record) gaps(differ disagreement) []Gap {
	var gaps []Gap
	for _, p := range r.run.Plan.Pairs {
		if differ.withheld[p.Name] {
			continue
		}
		for _, w := range r.run.Plan.Workloads {
			at := r.at(w.Name)
			if !at.alike(p) {
				continue
			}
			for _, m := range result.Metrics() {
				if gap, ok := at.gap(p, w.Name, m); ok {
					gaps = append(gaps, gap)
				}
			}
		}
		for _, m := range result.Metrics() {
			if gap, ok := r.factGap(p, m); ok {
				gaps = append(gaps, gap)
			}
		}
	}
	return gaps
}

// alike says that a machine compared the answers of a pair that lives at head.
func (r record) alike(p plan.Pair) bool {
	return r.run.Parity != nil && r.failure(variant(p.Go, plan.Head)) == "" && r.failure(variant(p.Rust, plan.Head)) == ""
}

// gap pairs the two languages by round; ok is false with fewer than minRounds rounds at head or, for
// percentiles, too few requests. Without as many rounds of all four variants only head is described.
func (r record) gap(p plan.Pair, workload string, m result.Metric) (gap Gap, ok bool) {
	if m.Fact != nil {
		return Gap{}, false
	}
	side := func(s plan.Side) map[mark]float64 {
		for _, service := range []string{p.Go, p.Rust} {
			if n, _ := r.requests(variant(service, s), workload); n < m.MinRequests {
				return nil
			}
		}
		return effects(r.figures(variant(p.Go, s), workload, m), r.figures(variant(p.Rust, s), workload, m))
	}
	atHead, atBase := side(plan.Head), map[mark]float64{}
	if r.uncompared(p.Go) == "" && r.uncompared(p.Rust) == "" {
		atBase = side(plan.Base)
	}
	var head, base, change []float64
	for _, at := range sortedMarks(atHead) {
		if b, both := atBase[at]; both {
			head, base, change = append(head, atHead[at]), append(base, b), append(change, atHead[at]-b)
		}
	}
	described := len(change) >= minRounds
	if !described {
		head = nil
		for _, at := range sortedMarks(atHead) {
			head = append(head, atHead[at])
		}
	}
	if len(head) < barOf(m).screen {
		return Gap{}, false
	}
	gap = Gap{Pair: p.Name, Workload: workload, Metric: m.Name}
	gap.Head, gap.HeadCI = center(head)
	if described {
		gap.Base, _ = center(base)
		gap.Ratio, gap.CI = center(change)
		if r.identical[p.Go] && r.identical[p.Rust] {
			gap.Ratio, gap.CI = 1, Interval{1, 1}
		}
	}
	return gap, true
}

// effects are ln(rust ÷ go) of the rounds that both have.
func effects(goFigures, rustFigures map[mark]float64) map[mark]float64 {
	found := map[mark]float64{}
	for at, g := range goFigures {
		if d, ok := stats.LogRatio(g, rustFigures[at]); ok {
			found[at] = d
		}
	}
	return found
}

// center is a sample's ratio and its 95 % interval. Means throughout, never trimmed: so that the change of the
// gap is exactly head's gap ÷ base's.
func center(d []float64) (ratio float64, ci Interval) {
	e := stats.Estimated(d, stats.Mean, result.DefaultResolution)
	low, high := e.Interval(gapAlpha)
	return math.Exp(e.Center), Interval{math.Exp(low), math.Exp(high)}
}

// factGap is the gap of exact values: its intervals are the ratios themselves.
func (r record) factGap(p plan.Pair, m result.Metric) (gap Gap, ok bool) {
	side := func(s plan.Side) (ratio float64, ok bool) {
		g, goOK := r.fact(variant(p.Go, s), m)
		x, rustOK := r.fact(variant(p.Rust, s), m)
		if !goOK || !rustOK {
			return 0, false
		}
		return x / g, true
	}
	gap = Gap{Pair: p.Name, Metric: m.Name}
	if gap.Head, ok = side(plan.Head); !ok {
		return Gap{}, false
	}
	gap.HeadCI = Interval{gap.Head, gap.Head}
	if r.uncompared(p.Go) != "" || r.uncompared(p.Rust) != "" {
		return gap, true
	}
	if base, ok := side(plan.Base); ok {
		gap.Base, gap.Ratio = base, gap.Head/base
		gap.CI = Interval{gap.Ratio, gap.Ratio}
	}
	return gap, true
}
