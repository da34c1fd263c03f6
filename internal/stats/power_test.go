package stats_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/duet-bench/duet/internal/stats"
)

// The vectors were computed with scipy 1.17.1:
//
//	def ncp(n, al, p):
//	    c = stats.t.ppf(1-al, n-1); return brentq(lambda x: stats.nct.sf(c, n-1, x)-p, 0, 200)
//	detectable = m + ncp(n, al, p)*s/np.sqrt(n)
func TestDetectable(t *testing.T) {
	for _, v := range []struct {
		n                                 int
		noise, margin, alpha, power, want float64
	}{
		{7, 0.01, math.Log1p(0.01), 0.01, 0.8, 0.025576599074546964},
		{7, 0.015, math.Log1p(0.02), 0.01 / 40, 0.8, 0.0669406880727073},
		{15, 0.003, math.Log1p(0.005), 0.05 / 3, 0.9, 0.007869576955380203},
		{4, 0.01, math.Log1p(0.01), 0.01, 0.8, 0.039291604378442826},
		{3, 0.01, math.Log1p(0.01), 0.01, 0.8, 0.06167537452926011},
		{7, 0, 0.01, 0.01, 0.8, 0.01}, // without noise, all beyond the margin
	} {
		got, ok := stats.Detectable(v.n, v.noise, v.margin, v.alpha, v.power)
		if !ok || !(math.Abs(got-v.want) <= 1e-6*v.want) {
			t.Errorf("Detectable(%d, %g, %g, %g, %g) = %g, %v, want %g", v.n, v.noise, v.margin, v.alpha, v.power, got, ok, v.want)
		}
	}
	nan, inf := math.NaN(), math.Inf(1)
	for _, v := range [][4]float64{{nan, 0.01, 0.01, 0.8}, {inf, 0.01, 0.01, 0.8}, {-1, 0.01, 0.01, 0.8}, {1, nan, 0.01, 0.8}, {1, 0.01, 0, 0.8}, {1, 0.01, nan, 0.8}, {1, 0.01, 0.01, 1}, {1, 0.01, 0.01, nan}} {
		if got, ok := stats.Detectable(7, v[0], v[1], v[2], v[3]); ok {
			t.Errorf("Detectable(7, %v) = %g, true, want ok false", v, got)
		}
	}
	if _, ok := stats.Detectable(2, 0.01, 0.01, 0.01, 0.8); ok {
		t.Error("Detectable of two rounds, want ok false")
	}
	if got, ok := stats.Detectable(3, 0.01, 0.01, 0.00025, 0.8); ok {
		t.Errorf("Detectable beyond the search's bound = %g, true, want ok false", got)
	}
}

// Counts by scipy: n = 3; while (e-m)*np.sqrt(n)/s < ncp(n, al, p): n += 1
func TestRounds(t *testing.T) {
	check := func(effect, noise float64, want int) {
		t.Helper()
		if got, _ := stats.RoundsToFind(effect, noise, 0.01, 0.01, 0.8, 1000); got != want {
			t.Errorf("RoundsToFind(%g, %g) = %d, want %d", effect, noise, got, want)
		}
	}
	check(0.03, 0.01, 6)
	check(-0.03, 0.01, 6) // the sign does not matter
	check(0.03, 0.02, 13)
	check(0.013, 0.01, 115)
	check(0.0101, 0.01, 0) // more than the limit
	check(0.01, 0.01, 0)   // not beyond the margin
	check(0.02, math.NaN(), 0)
	check(math.Inf(1), 0.01, 0)
	check(0.5, 0, stats.MinSamples)

	n, ok := stats.RoundsToBound(0.002, 0.01, 0.02, 0.05/3, 0.8, 1000)
	if !ok || n < 4 || n > 15 {
		t.Errorf("RoundsToBound = %d, %v, want a handful", n, ok)
	}
	if n, ok := stats.RoundsToBound(0.03, 0.01, 0.02, 0.05/3, 0.8, 1000); ok {
		t.Errorf("RoundsToBound of an effect beyond the margin = %d, want ok false", n)
	}
	// What it promises holds: with that many rounds, at least 80 % are bounded.
	rng, found := rand.New(rand.NewPCG(9, 9)), 0
	for range 2000 {
		if stats.Estimated(normal(rng, n, 0.002, 0.01), stats.Mean, 0).Within(0.02, 0.05/3) {
			found++
		}
	}
	if found < 1600 {
		t.Errorf("with RoundsToBound's %d rounds %d of 2000 were bounded, want at least 1600", n, found)
	}
}

// binomtest(k, n).proportion_ci(.95, 'wilson') of scipy 1.17.1.
func TestWilson(t *testing.T) {
	for _, v := range []struct {
		k, n      int
		low, high float64
	}{
		{0, 300, 0, 0.012642971224546036},
		{3, 300, 0.003406618437715286, 0.02898349336233983},
		{95, 100, 0.8882495307680809, 0.978456320845632},
		{10, 10, 0.7224672001371109, 1},
	} {
		low, high, ok := stats.Wilson(v.k, v.n, 0.95)
		if !ok {
			t.Errorf("Wilson(%d, %d): not ok", v.k, v.n)
		}
		near(t, "low", low, v.low)
		near(t, "high", high, v.high)
	}
	for _, v := range [][2]int{{0, 0}, {-1, 5}, {6, 5}, {1, -1}} {
		if low, high, ok := stats.Wilson(v[0], v[1], 0.95); ok || low != 0 || high != 1 {
			t.Errorf("Wilson(%v) = [%g, %g], %v, want the whole line and ok false", v, low, high, ok)
		}
	}
}

func normal(rng *rand.Rand, n int, center, sd float64) []float64 {
	d := make([]float64, n)
	for i := range d {
		d[i] = center + sd*rng.NormFloat64()
	}
	return d
}

// rounds is one way in which round effects are distributed, with centre 0.
type rounds struct {
	name string
	draw func(rng *rand.Rand, n int) []float64
}

var distributions = []rounds{
	{"normal", func(rng *rand.Rand, n int) []float64 { return normal(rng, n, 0, 0.01) }},
	{"heavy: a tenth ten times as wide", func(rng *rand.Rand, n int) []float64 {
		d := normal(rng, n, 0, 0.01)
		for i := range d {
			if rng.IntN(10) == 0 {
				d[i] *= 10
			}
		}
		return d
	}},
	{"bimodal processes", func(rng *rand.Rand, n int) []float64 {
		d := normal(rng, n, 0, 0.003)
		for i := range d {
			d[i] += 0.02 * float64(rng.IntN(2)-rng.IntN(2))
		}
		return d
	}},
	{"slow drift, paired away but for a tenth", func(rng *rand.Rand, n int) []float64 {
		d, slope := normal(rng, n, 0, 0.01), 0.001*rng.NormFloat64()
		for i := range d {
			d[i] += slope * (float64(i) - float64(n-1)/2)
		}
		return d
	}},
}

// Coverage of the interval and the level of the confirming test, with the estimator chosen as in a report:
// the screening rounds choose it, fresh rounds are judged. Bounds: 2,000 reports, nominal 2 % missed in all.
func TestConfirmationKeepsItsLevel(t *testing.T) {
	const reports, alpha = 2000, 0.01
	for _, dist := range distributions {
		rng := rand.New(rand.NewPCG(11, 4))
		above, below := 0, 0
		for range reports {
			method := stats.MethodFor(dist.draw(rng, 11), 0.0005)
			e := stats.Estimated(dist.draw(rng, 7), method, 0.0005)
			low, high := e.Interval(alpha)
			if low > 0 {
				above++
			}
			if high < 0 {
				below++
			}
			if (e.Above(0) < alpha) != (low > 0) {
				t.Fatalf("%s: the test and its interval disagree: %+v", dist.name, e)
			}
		}
		missed := float64(above+below) / reports
		t.Logf("%s: missed above %d, below %d of %d", dist.name, above, below, reports)
		if missed > 0.028 {
			t.Errorf("%s: the %g interval missed the centre in %.2f %% of reports, want at most 2.8 %%", dist.name, 1-2*alpha, 100*missed)
		}
	}
}

// The screening interval chooses its estimator on the same rounds: its coverage, at all three looks.
func TestScreeningCoverage(t *testing.T) {
	const reports, alpha = 1500, 0.05 / 3
	for _, dist := range distributions {
		rng := rand.New(rand.NewPCG(5, 8))
		for _, n := range []int{7, 11, 15} {
			missed := 0
			for range reports {
				d := dist.draw(rng, n)
				low, high := stats.Estimated(d, stats.MethodFor(d, 0.0005), 0.0005).Interval(alpha)
				if low > 0 || high < 0 {
					missed++
				}
			}
			t.Logf("%s, n %d: missed %.2f %%", dist.name, n, 100*float64(missed)/reports)
			if float64(missed) > 0.046*reports {
				t.Errorf("%s, n %d: missed in %d of %d, want at most 4.6 %% (nominal 3.3 %%)", dist.name, n, missed, reports)
			}
		}
	}
}

// METHOD.md section 2: 40 rows, screening at 7, 11 and 15, suspects confirmed on 7 fresh rounds, Holm at 1 %.
func TestFamilyWise(t *testing.T) {
	const rows, margin, floor = 40, 0.00995, 0.0005
	report := func(rng *rand.Rand, dist rounds, planted float64) (falseReports int, found bool) {
		var p []float64
		var isPlant []bool
		for row := range rows {
			shift := 0.0
			if row == 0 {
				shift = planted
			}
			draw := func(n int) []float64 {
				d := dist.draw(rng, n)
				for i := range d {
					d[i] += shift
				}
				return d
			}
			d := draw(15)
			suspect := false
			for _, look := range []int{7, 11, 15} {
				median, _ := stats.Median(d[:look])
				suspect = math.Abs(median) > margin
				if suspect || stats.Estimated(d[:look], stats.MethodFor(d[:look], floor), floor).Within(margin, 0.05/3) {
					d = d[:look]
					break
				}
			}
			if !suspect {
				continue
			}
			e := stats.Estimated(draw(7), stats.MethodFor(d, floor), floor)
			if median, _ := stats.Median(d); median > 0 {
				p = append(p, e.Above(margin))
			} else {
				p = append(p, e.Below(-margin))
			}
			isPlant = append(isPlant, row == 0 && planted != 0)
		}
		for i, step := range stats.Holm(p, 0.01) {
			switch {
			case step.Rejected && isPlant[i]:
				found = true
			case step.Rejected:
				falseReports++
			}
		}
		return falseReports, found
	}
	for _, dist := range distributions[:3] {
		rng, reports, wrong := rand.New(rand.NewPCG(2, 6)), 800, 0
		for range reports {
			if n, _ := report(rng, dist, 0); n > 0 {
				wrong++
			}
		}
		t.Logf("%s: %d of %d A/A reports were false", dist.name, wrong, reports)
		if wrong > reports/100 {
			t.Errorf("%s: %d of %d A/A reports were false, want at most 1 %%", dist.name, wrong, reports)
		}
	}
	rng, reports, found := rand.New(rand.NewPCG(7, 7)), 300, 0
	for range reports {
		if _, ok := report(rng, distributions[0], math.Log(1.03)); ok {
			found++
		}
	}
	t.Logf("+3 %% at a round-to-round SD of 1 %%: found in %d of %d", found, reports)
	if found < reports*85/100 {
		t.Errorf("+3 %% at a round-to-round SD of 1 %%: found in %d of %d, want at least 85 %%", found, reports)
	}
}
