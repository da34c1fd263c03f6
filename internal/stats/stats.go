// Package stats turns paired figures into effects, intervals and error rates that hold.
//
// Its stance: the unit is the round, an effect is d = ln(head ÷ base), a margin is held from both sides,
// and bad input has a named outcome, never a number that looks sound. It is pure, knows no metric and no
// verdict, and takes its distributions from gonum. All margins and effects are in log units (ln of a ratio).
// docs/methodology.md derives every formula.
package stats

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// Outcome says whether an Estimate stands, and if not, why. Its zero value claims nothing.
type Outcome int

// The outcomes.
const (
	TooFew    Outcome = iota // fewer than MinSamples effects
	NotFinite                // NaN or infinity among the effects
	Constant                 // no spread at all and no floor to stand in for it
	Sound
)

var outcomeWords = [...]string{"too few samples", "not finite", "constant", "sound"}

func (o Outcome) String() string { return outcomeWords[o] }

// MinSamples is the fewest effects that have an estimate: with two, t quantiles are so wide that nothing
// could be said anyway.
const MinSamples = 3

// Bounds of a figure that can be real. In base units they hold a picosecond to 30 million years and a byte
// to a petabyte; what lies outside came from a broken reading or an overflow.
const (
	minFigure = 1e-12
	maxFigure = 1e15
)

// LogRatio is d = ln(head ÷ base); ok is false unless both are finite, positive and of a plausible size.
// The predicate is closed: NaN satisfies no comparison and so is never ok. Swapping the two negates d exactly.
func LogRatio(base, head float64) (d float64, ok bool) {
	if !Plausible(base) || !Plausible(head) {
		return 0, false
	}
	return math.Log(head) - math.Log(base), true
}

// Plausible reports whether a figure can be a measured one.
func Plausible(x float64) bool { return x >= minFigure && x <= maxFigure }

// Median of x, ok false when x is empty or holds NaN.
func Median(x []float64) (median float64, ok bool) {
	if len(x) == 0 || slices.ContainsFunc(x, math.IsNaN) {
		return 0, false
	}
	s := slices.Sorted(slices.Values(x))
	n := len(s)
	return s[(n-1)/2]/2 + s[n/2]/2, true
}

// SD is the sample standard deviation (n − 1), ok false below two values or with a value that is not finite.
// For a row's effects it is the row's noise.
func SD(x []float64) (sd float64, ok bool) {
	if len(x) < 2 || !finite(x) {
		return 0, false
	}
	s := slices.Sorted(slices.Values(x))
	return math.Sqrt(squares(s) / float64(len(s)-1)), true
}

// HeavyTails reports whether some effect lies more than tailLimit robust standard deviations from the median
// (Iglewicz and Hoaglin's modified z-score). floor is the resolution of the effects: spread below it is not spread.
//
// The limit is chosen by simulation: normal rounds exceed it 3 % of the time at n = 7, 1 % at 11 and 0.4 % at
// 15; a tenth of rounds at ten times the spread exceeds it 27, 38 and 48 % of the time. Being wrong costs power only.
func HeavyTails(x []float64, floor float64) bool {
	median, ok := Median(x)
	if !ok || len(x) < MinSamples {
		return false
	}
	off := make([]float64, len(x))
	for i, v := range x {
		off[i] = math.Abs(v - median)
	}
	mad, _ := Median(off)
	return slices.Max(off) > tailLimit*max(mad*madToSD, floor)
}

const (
	tailLimit = 7
	madToSD   = 1.4826 // makes the MAD of normal values estimate their SD
)

func finite(x []float64) bool {
	return !slices.ContainsFunc(x, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
}

// mean of a sorted sample, added from both ends at once: negating every value negates it exactly, and
// the order in which the values came does not matter.
func mean(sorted []float64) float64 {
	sum, n := 0.0, len(sorted)
	for i := range n / 2 {
		sum += sorted[i] + sorted[n-1-i]
	}
	if n%2 == 1 {
		sum += sorted[n/2]
	}
	return sum / float64(n)
}

// squares is the sum of squared deviations from the mean of a sorted sample; exactly 0 when all are equal.
func squares(sorted []float64) float64 {
	n := len(sorted)
	if sorted[0] == sorted[n-1] {
		return 0
	}
	m, sum := mean(sorted), 0.0
	square := func(i int) float64 { return (sorted[i] - m) * (sorted[i] - m) }
	for i := range n / 2 {
		sum += square(i) + square(n-1-i)
	}
	if n%2 == 1 {
		sum += square(n / 2)
	}
	return sum
}

func student(df float64) distuv.StudentsT { return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: df} }
