package stats

import (
	"math"
	"math/rand/v2"
	"slices"
)

// ChangePoint is where a series starts to differ persistently.
type ChangePoint struct {
	At            int     // index of the first value after the change
	Before, After float64 // means of the stretches before and after it, up to the next change points; outliers held in
	P             float64 // of the permutation test; where it ended early, the least it can say
}

// ChangeOptions tunes ChangePoints. Zero values: the defaults.
type ChangeOptions struct {
	Seed         uint64  // of the permutations
	Alpha        float64 // a change point has a p-value of at most this; default 0.001
	Permutations int     // default 999: with it 0.001 is the least p-value there is
	MinSegment   int     // fewest values between change points; default 4. At 1 an outlier would be a stretch of its own
	MinEffect    float64 // smallest difference of the means that counts, in the unit of the values; default 0
}

// Defaults of ChangeOptions; docs/history.md has the simulation that they were chosen by.
const (
	changeAlpha        = 0.001
	changePermutations = 999
	changeSegment      = 4
	changeWindow       = 400 // a year of nights and a month
)

// ChangePoints finds where the level of a series changes, oldest first: E-divisive with means and a permutation test.
//
//   - A stretch is split where the energy statistic of the values before and the values after is greatest (Matteson and
//     James, JASA 2014, with exponent 1; the values after may end anywhere before the stretch does, so that a short change
//     in a long series is seen). Both halves are then split in the same way.
//   - A split counts when few enough permutations of its stretch have one as great. The permutations are seeded: the same
//     series has the same change points. MongoDB uses this test (Daly et al., ICPE 2020); Hunter and Apache Otava use
//     Student's t instead (Fleming et al., ICPE 2023).
//   - Afterwards every change point is put at the best place between its neighbours, is tested once more there, and must be
//     a change of level: the statistic also sees other changes of distribution, which are none of performance.
//
// One outlier is none: the statistic's terms within a stretch take away what it adds between them, no stretch is shorter than
// MinSegment, and a value far from its neighbours is held in (holdIn). Fewer than twice MinSegment values, or one that
// is not finite, have no change points.
//
// A permutation takes O(n²) steps, and a series without changes needs few. Long series are searched in windows of
// changeWindow values that overlap by half, as in Hunter, so that time grows as the series does, and what was found once stays as more
// values come.
func ChangePoints(x []float64, o ChangeOptions) []ChangePoint {
	o = o.filled()
	if len(x) < 2*o.MinSegment || !finite(x) {
		return nil
	}
	d := divider{ChangeOptions: o, x: holdIn(x), tested: map[[2]int]tested{}}
	for from := 0; from == 0 || from+changeWindow/2 < len(x); from += changeWindow / 2 {
		d.divide(from, min(from+changeWindow, len(x)))
	}
	d.unite()
	return d.settle()
}

func (o ChangeOptions) filled() ChangeOptions {
	if o.Alpha <= 0 {
		o.Alpha = changeAlpha
	}
	if o.Permutations <= 0 {
		o.Permutations = changePermutations
	}
	if o.MinSegment <= 0 {
		o.MinSegment = changeSegment
	}
	o.MinSegment = max(o.MinSegment, 2) // one value has no distance to itself
	return o
}

// split is a change point that the permutation test let pass.
type split struct {
	at int
	p  float64
}

// divider splits one series.
type divider struct {
	ChangeOptions
	x       []float64
	found   []split
	scratch energy
	tested  map[[2]int]tested // stretches that were tested already
	full    bool              // no early end for a split: for tests
}

// tested is what the permutation test said.
type tested struct {
	p  float64
	ok bool
}

// divide splits x[from:to] where it should be split, and then both parts.
func (d *divider) divide(from, to int) {
	if to-from < 2*d.MinSegment {
		return
	}
	at, q := d.scratch.best(d.x[from:to], d.MinSegment, math.Inf(1))
	if at == 0 {
		return
	}
	said := tested{p: 1, ok: true}
	if math.Abs(average(d.x[from:from+at])-average(d.x[from+at:to])) < d.MinEffect {
		said.ok = d.screen(from, to, q)
	} else {
		said.p, said.ok = d.test(from, to, q)
		d.tested[[2]int{from, to}] = said
	}
	if !said.ok {
		return
	}
	d.found = append(d.found, split{at: from + at, p: said.p})
	d.divide(from, from+at)
	d.divide(from+at, to)
}

// screen is a test of a tenth of the permutations, for a split whose levels differ by less than counts: it only helps to find
// what lies on either side of it, and settle tests or drops it.
func (d *divider) screen(from, to int, q float64) bool {
	quick := *d
	quick.Permutations, quick.Alpha = max(d.Permutations/10, 1), min(10*d.Alpha, 1)
	_, ok := quick.test(from, to, q)
	return ok
}

// The permutation test ends early where more permutations would not change what it says. Against: when too many were as
// great already (Besag and Clifford, Biometrika 1991). For: when none of the first was as great and the statistic is many of
// their standard deviations above their mean. Over permutations it has an exponential tail (the greatest of weighted sums of
// squares, of values that holdIn bounds), of about e^(−0.7k) at k standard deviations: one in a million at 20, one in
// twenty thousand at 14, where more permutations have told the two. TestEarlyEnd holds it against full tests.
var earlyEnds = map[int]float64{19: 40, 49: 20, 199: 14}

// sameness is how much less counts as as great: sums in another order differ in their last digits, and a series of few
// different values has many permutations with one and the same statistic.
const sameness = 1e-9

// test is the p-value of a statistic q of x[from:to], ok where it is at most alpha.
func (d *divider) test(from, to int, q float64) (p float64, ok bool) {
	dice := rand.New(rand.NewPCG(d.Seed, uint64(from)<<32|uint64(to)))
	shuffled := slices.Clone(d.x[from:to])
	allowed := d.Alpha * float64(d.Permutations+1)
	q *= 1 - sameness
	asGreat, sum, squares := 0, 0.0, 0.0
	for n := 1; n <= d.Permutations; n++ {
		dice.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		_, r := d.scratch.best(shuffled, d.MinSegment, q)
		if r >= q {
			if asGreat++; float64(asGreat+1) > allowed {
				return 1, false
			}
		}
		sum, squares = sum+r, squares+r*r
		if limit, may := earlyEnds[n]; may && asGreat == 0 && !d.full {
			mean := sum / float64(n)
			if spread := math.Sqrt(max(squares/float64(n)-mean*mean, 0) * float64(n) / float64(n-1)); q > mean+limit*spread {
				return 1 / float64(d.Permutations+1), true
			}
		}
	}
	p = float64(asGreat+1) / float64(d.Permutations+1)
	return p, p <= d.Alpha
}

// unite sorts what the windows found, and takes one of those that are nearer to each other than a stretch is long.
func (d *divider) unite() {
	slices.SortFunc(d.found, func(a, b split) int { return a.at - b.at })
	one := d.found[:0]
	for _, s := range d.found {
		if n := len(one); n > 0 && s.at-one[n-1].at < d.MinSegment {
			one[n-1].p = min(one[n-1].p, s.p)
			continue
		}
		one = append(one, s)
	}
	d.found = one
}

// settle puts every change point at the best place between its neighbours, and drops what is no change there: the first split
// of a series with several changes lies between them as often as at one. The weakest goes first, until all stand.
func (d *divider) settle() []ChangePoint {
	for len(d.found) > 0 {
		d.relocate()
		i, strength := d.weakest()
		if strength >= 1 && d.stand() {
			break
		}
		if strength < 1 {
			d.found = slices.Delete(d.found, i, i+1)
		}
	}
	if len(d.found) == 0 {
		return nil
	}
	points := make([]ChangePoint, len(d.found))
	for i, s := range d.found {
		from, to := d.between(i)
		points[i] = ChangePoint{At: s.at, Before: average(d.x[from:s.at]), After: average(d.x[s.at:to]), P: s.p}
	}
	return points
}

// weakest is the change point whose levels differ least for how well they are known.
func (d *divider) weakest() (weakest int, least float64) {
	least = math.Inf(1)
	for i := range d.found {
		from, to := d.around(i)
		if s := d.strength(from, d.found[i].at, to); s < least {
			weakest, least = i, s
		}
	}
	return weakest, least
}

// stand tests every change point once more, in the two stretches it lies between. It drops the first that fails, and then
// says false.
func (d *divider) stand() bool {
	for i := range d.found {
		from, to := d.around(i)
		said, before := d.tested[[2]int{from, to}]
		if !before {
			_, q := d.scratch.best(d.x[from:to], d.MinSegment, math.Inf(1))
			said.p, said.ok = d.test(from, to, q)
			d.tested[[2]int{from, to}] = said
		}
		if !said.ok {
			d.found = slices.Delete(d.found, i, i+1)
			return false
		}
		d.found[i].p = said.p
	}
	return true
}

// around is where the stretches before and after change point i begin and end, as far as it is tested: a window at most.
func (d *divider) around(i int) (from, to int) {
	from, to = d.between(i)
	return max(from, d.found[i].at-changeWindow), min(to, d.found[i].at+changeWindow)
}

// between is where the change points before and after change point i are, or the ends of the series.
func (d *divider) between(i int) (from, to int) {
	from, to = 0, len(d.x)
	if i > 0 {
		from = d.found[i-1].at
	}
	if i+1 < len(d.found) {
		to = d.found[i+1].at
	}
	return from, to
}

// relocate moves each change point to where its two stretches differ most.
func (d *divider) relocate() {
	for i := range d.found {
		from, to := d.around(i)
		if at := d.scratch.bestOf(d.x[from:to], d.MinSegment); at > 0 {
			d.found[i].at = from + at
		}
	}
}

// levelLimit is how many standard errors the means of two stretches differ by at least. What the permutation test let pass by a
// change of level is above 4; what it let pass by a change of spread alone is mostly below.
const levelLimit = 4

// strength is the difference of the means of x[from:at] and x[at:to] as a share of the least that counts.
func (d *divider) strength(from, at, to int) float64 {
	a, b := d.x[from:at], d.x[at:to]
	difference := math.Abs(average(a) - average(b))
	if difference == 0 {
		return 0
	}
	least := max(d.MinEffect, levelLimit*math.Sqrt(variance(a)/float64(len(a))+variance(b)/float64(len(b))))
	return difference / max(least, math.SmallestNonzeroFloat64)
}

func average(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

// variance is the sample variance; 0 for one value.
func variance(x []float64) float64 {
	if len(x) < 2 {
		return 0
	}
	m, sum := average(x), 0.0
	for _, v := range x {
		sum += (v - m) * (v - m)
	}
	return sum / float64(len(x)-1)
}

// Values further from the median of their neighbourhood (three on either side) than outlierLimit robust standard deviations
// are held in at that distance. Normal noise gets there once in many thousand values, so the permutations see what the
// series has; a step does not, since the median of seven follows it.
const (
	outlierLimit  = 6
	neighbourhood = 3
)

// holdIn is a copy of x without far outliers. Where most values equal their neighbourhood's median there is no scale to
// call anything far by, and x stays as it is.
func holdIn(x []float64) []float64 {
	held := slices.Clone(x)
	near := make([]float64, len(x))
	off := make([]float64, len(x))
	for i := range x {
		from := min(max(i-neighbourhood, 0), max(len(x)-2*neighbourhood-1, 0))
		near[i], _ = Median(x[from:min(from+2*neighbourhood+1, len(x))])
		off[i] = math.Abs(x[i] - near[i])
	}
	mad, _ := Median(off)
	if mad == 0 {
		return held
	}
	limit := outlierLimit * madToSD * mad
	for i := range held {
		held[i] = min(max(held[i], near[i]-limit), near[i]+limit)
	}
	return held
}
