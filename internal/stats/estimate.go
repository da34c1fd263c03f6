package stats

import (
	"math"
	"slices"
)

// Estimate is the centre of a sample of effects and how well it is known. Unless Outcome is Sound its
// interval is the whole line and its p-values are 1: nothing can be concluded from it by mistake.
type Estimate struct {
	Outcome Outcome
	N       int
	Center  float64 // mean or trimmed mean
	SE      float64 // standard error of Center, never below floor ÷ √n
	DF      float64 // degrees of freedom of the t that Center follows
	Trimmed bool
	Floored bool // SE stands on the floor, not on the sample's own spread
}

// Method chooses an estimator.
type Method int

// The estimators.
const (
	Mean    Method = iota // Student's t: the most powerful where rounds are about normal
	Trimmed               // Tukey–McLaughlin's t on the 20 % trimmed mean: where tails are heavy
)

// MethodFor is the rule: Trimmed where HeavyTails, else Mean. Ask it on screening rounds, so that the test of
// the confirmation rounds is fixed before they are seen and keeps its level.
func MethodFor(d []float64, floor float64) Method {
	if HeavyTails(d, floor) {
		return Trimmed
	}
	return Mean
}

// trimShare is cut from each end: Wilcox's recommendation, 1 of 7, 2 of 11 and 3 of 15 rounds.
const trimShare = 0.2

// Estimated is the estimate of the centre of d. floor is the resolution of one effect (log units): values that were
// rounded can agree by accident, so the spread counts as at least that. With floor 0 a constant sample is Constant.
//
// Trimmed: with g = ⌊0.2 n⌋ cut from each end, h = n − 2 g and SSD_w the winsorised sum of squares,
// SE² = SSD_w ÷ (h (h − 1)) and df = h − 1 (Tukey and McLaughlin 1963; Yuen 1974).
func Estimated(d []float64, method Method, floor float64) Estimate {
	n := len(d)
	e := Estimate{N: n}
	switch {
	case !finite(d) || math.IsNaN(floor) || floor < 0:
		e.Outcome = NotFinite
		return e
	case n < MinSamples:
		return e
	}
	s := slices.Sorted(slices.Values(d))
	g := 0
	if method == Trimmed {
		g = int(trimShare * float64(n))
	}
	h := n - 2*g
	e.Center, e.Trimmed, e.DF = mean(s[g:n-g]), g > 0, float64(h-1)
	for i := range g { // winsorise
		s[i], s[n-1-i] = s[g], s[n-1-g]
	}
	e.SE = math.Sqrt(squares(s) / float64(h*(h-1)))
	if least := floor / math.Sqrt(float64(n)); e.SE < least {
		e.SE, e.Floored = least, true
	}
	if e.SE == 0 {
		e.Outcome = Constant
		return e
	}
	e.Outcome = Sound
	return e
}

// Interval is the 1 − 2 alpha confidence interval of the centre: each end fails with probability alpha.
func (e Estimate) Interval(alpha float64) (low, high float64) {
	if e.Outcome != Sound || !(alpha > 0 && alpha < 0.5) {
		return math.Inf(-1), math.Inf(1)
	}
	reach := student(e.DF).Quantile(1-alpha) * e.SE
	return e.Center - reach, e.Center + reach
}

// Above is the p-value of H0 "the centre is at most bound", one-sided; 1 when there is no sound estimate.
func (e Estimate) Above(bound float64) float64 {
	if e.Outcome != Sound || math.IsNaN(bound) {
		return 1
	}
	return student(e.DF).CDF((bound - e.Center) / e.SE)
}

// Below is the p-value of H0 "the centre is at least bound", one-sided.
func (e Estimate) Below(bound float64) float64 {
	if e.Outcome != Sound || math.IsNaN(bound) {
		return 1
	}
	return student(e.DF).CDF((e.Center - bound) / e.SE)
}

// Within reports equivalence: both one-sided tests reject at alpha (Schuirmann 1987), which is to say that the
// 1 − 2 alpha interval lies inside ±margin. Asked by p-values, because quantiles cost ten times as much.
func (e Estimate) Within(margin, alpha float64) bool {
	return alpha < 0.5 && e.Above(-margin) < alpha && e.Below(margin) < alpha
}

// HolmStep is one hypothesis' fate under Holm's correction.
type HolmStep struct {
	Rejected bool
	// Alpha is the level at which the hypothesis was tested, and for those after the stop the level that stopped:
	// Rejected is exactly p ≤ Alpha, so an interval drawn at Alpha agrees with the decision.
	Alpha float64
}

// Holm corrects p-values for their number, so that the chance of any false rejection among them is at most alpha
// (Holm 1979). The answer is in the order of p; a p that is not a number counts as 1.
func Holm(p []float64, alpha float64) []HolmStep {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	value := func(i int) float64 {
		if p[i] >= 0 && p[i] <= 1 {
			return p[i]
		}
		return 1
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case value(a) < value(b):
			return -1
		case value(a) > value(b):
			return 1
		}
		return 0
	})
	steps := make([]HolmStep, len(p))
	level, stopped := 0.0, false
	for rank, i := range order {
		if !stopped {
			level = alpha / float64(len(p)-rank)
			stopped = !(value(i) <= level)
		}
		steps[i] = HolmStep{Rejected: !stopped, Alpha: level}
	}
	return steps
}
