package stats_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/duet-bench/duet/internal/stats"
)

// near fails unless got is want within a relative 1e-9 (or 1e-12 absolutely).
func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-9*math.Abs(want)+1e-12) {
		t.Errorf("%s = %.17g, want %.17g", what, got, want)
	}
}

var (
	calm    = []float64{0.012, 0.018, 0.009, 0.021, 0.015, 0.011, 0.017}
	outlier = []float64{0.012, 0.018, 0.009, 0.021, 0.015, 0.011, 0.217}
	wild    = []float64{-0.031, 0.004, 0.022, -0.013, 0.008, 0.001, -0.006, 0.017, -0.002, 0.012, -0.044, 0.003, 0.009, -0.001, 0.005}
)

// The vectors were computed with scipy 1.17.1:
//
//	def mean(d, al, b):
//	    ci = stats.ttest_1samp(d, 0).confidence_interval(1-2*al)
//	    print(np.mean(d), stats.sem(d), np.std(d, ddof=1), ci.low, ci.high,
//	          stats.ttest_1samp(d, b, alternative='greater').pvalue, stats.ttest_1samp(d, -b, alternative='less').pvalue)
//	def trim(d, al, b):
//	    n = len(d); g = int(.2*n); h = n-2*g
//	    m = stats.trim_mean(d, .2); w = np.asarray(mstats.winsorize(np.array(d), (g/n+1e-9, g/n+1e-9)))
//	    se = np.sqrt(((w-w.mean())**2).sum()/(h*(h-1))); t = stats.t(h-1); q = t.ppf(1-al)
//	    print(m, se, np.std(d, ddof=1), m-q*se, m+q*se, t.sf((m-b)/se), t.cdf((m+b)/se))
//	for d in (calm, outlier, wild): mean(d, .05/3, .01); trim(d, .05/3, .01)
func TestEstimateAgreesWithSciPy(t *testing.T) {
	for _, v := range []struct {
		name                                        string
		d                                           []float64
		method                                      stats.Method
		center, se, sd, low, high, pAbove, pAtLeast float64
	}{
		{"calm mean", calm, stats.Mean, 0.014714285714285713, 0.001614138214921742, 0.004270608298368657, 0.010276927896111955, 0.019151643532459475, 0.013304896779310443, 0.9999975486231057},
		{"calm trimmed", calm, stats.Trimmed, 0.014599999999999998, 0.0017566201313073597, 0.004270608298368657, 0.009002853967972265, 0.020197146032027734, 0.029440891531418458, 0.9999245826096944},
		{"outlier mean", outlier, stats.Mean, 0.04328571428571428, 0.02899483885577067, 0.0767131329167618, -0.0364227479103685, 0.12299417648179714, 0.147337969659422, 0.9421320033349053},
		{"outlier trimmed", outlier, stats.Trimmed, 0.0154, 0.0024465719457465967, 0.0767131329167618, 0.007604449775937415, 0.023195550224062587, 0.04595767252644245, 0.9997569908944598},
		{"wild mean", wild, stats.Mean, -0.0010666666666666665, 0.0044736973806872825, 0.017326555451373588, -0.011623788055246982, 0.00949045472191366, 0.9866041677229557, 0.9671684902668016},
		{"wild trimmed", wild, stats.Trimmed, 0.002333333333333333, 0.00270801280154532, 0.017326555451373588, -0.004615480111030028, 0.009282146777696693, 0.9889437030093394, 0.9990681981440876},
	} {
		t.Run(v.name, func(t *testing.T) {
			e := stats.Estimated(v.d, v.method, 0)
			if e.Outcome != stats.Sound || e.Trimmed != (v.method == stats.Trimmed) || e.Floored {
				t.Fatalf("Estimated = %+v, want sound", e)
			}
			near(t, "Center", e.Center, v.center)
			near(t, "SE", e.SE, v.se)
			sd, _ := stats.SD(v.d)
			near(t, "SD", sd, v.sd)
			low, high := e.Interval(0.05 / 3)
			near(t, "low", low, v.low)
			near(t, "high", high, v.high)
			near(t, "Above", e.Above(0.01), v.pAbove)
			near(t, "Below", e.Below(-0.01), v.pAtLeast)
			if got, want := e.Within(0.0192, 0.05/3), v.low > -0.0192 && v.high < 0.0192; got != want {
				t.Errorf("Within(0.0192) = %v, want %v", got, want)
			}
		})
	}
}

func TestMethodFor(t *testing.T) {
	for _, v := range []struct {
		name  string
		d     []float64
		floor float64
		want  stats.Method
	}{
		{"calm", calm, 0, stats.Mean},
		{"one far off", outlier, 0, stats.Trimmed},
		{"constant", []float64{1, 1, 1, 1, 1, 1, 1}, 0.001, stats.Mean},
		{"one step of resolution is no tail", []float64{0, 0, 0, 0, 0, 0, 0.001}, 0.001, stats.Mean},
		{"constant but one", []float64{0, 0, 0, 0, 0, 0, 0.1}, 0.001, stats.Trimmed},
		{"too few", []float64{0, 9}, 0, stats.Mean},
		{"NaN", []float64{0, math.NaN(), 9}, 0, stats.Mean},
	} {
		if got := stats.MethodFor(v.d, v.floor); got != v.want {
			t.Errorf("%s: MethodFor = %v, want %v", v.name, got, v.want)
		}
	}
}

// SECURITY.md R18: a figure that cannot be real never becomes an effect.
func TestLogRatio(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, v := range []struct {
		base, head float64
		ok         bool
	}{
		{1, 2, true}, {2, 1, true}, {0.0001, 0.0001, true}, {1e14, 1e-11, true},
		{0, 0, false}, {1, 0, false}, {0, 1, false}, {-1, 1, false}, {1, -1, false}, {-1, -2, false},
		{nan, 1, false}, {1, nan, false}, {nan, nan, false}, {inf, 1, false}, {1, inf, false}, {inf, inf, false}, {-inf, 1, false},
		{1e308, 1e308, false}, {1, 1e308, false}, {1e-308, 1, false}, {5e-324, 5e-324, false},
	} {
		d, ok := stats.LogRatio(v.base, v.head)
		if ok != v.ok {
			t.Errorf("LogRatio(%g, %g) ok = %v, want %v", v.base, v.head, ok, v.ok)
		}
		if !ok && d != 0 {
			t.Errorf("LogRatio(%g, %g) = %g with ok false, want 0", v.base, v.head, d)
		}
		if swapped, _ := stats.LogRatio(v.head, v.base); swapped != -d {
			t.Errorf("LogRatio(%g, %g) = %g, swapped %g: not the exact negative", v.base, v.head, d, swapped)
		}
	}
	d, _ := stats.LogRatio(100, 103)
	near(t, "LogRatio(100, 103)", d, math.Log(1.03))
}

func TestUnsoundSamplesConcludeNothing(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, v := range []struct {
		name string
		d    []float64
		want stats.Outcome
	}{
		{"none", nil, stats.TooFew},
		{"two", []float64{5, 5.1}, stats.TooFew},
		{"NaN", []float64{5, 5, nan, 5}, stats.NotFinite},
		{"infinite", []float64{5, 5, inf, 5}, stats.NotFinite},
		{"both infinities", []float64{inf, -inf, 5, 5}, stats.NotFinite},
		{"constant", []float64{5, 5, 5, 5, 5, 5, 5}, stats.Constant},
	} {
		for _, method := range []stats.Method{stats.Mean, stats.Trimmed} {
			e := stats.Estimated(v.d, method, 0)
			low, high := e.Interval(0.01)
			if e.Outcome != v.want || e.Above(0) != 1 || e.Below(9) != 1 || e.Within(100, 0.01) ||
				!math.IsInf(low, -1) || !math.IsInf(high, 1) {
				t.Errorf("%s: %+v concludes something, want %v and nothing", v.name, e, v.want)
			}
		}
	}
	if e := (stats.Estimate{}); e.Outcome == stats.Sound || e.Above(-9) != 1 {
		t.Errorf("the zero Estimate claims something: %+v", e)
	}
	if e := stats.Estimated(calm, stats.Mean, nan); e.Outcome != stats.NotFinite {
		t.Errorf("floor NaN: %v, want not finite", e.Outcome)
	}
}

// A constant sample of rounded figures is known to the resolution and no better.
func TestFloor(t *testing.T) {
	const floor = 0.001
	e := stats.Estimated([]float64{0, 0, 0, 0, 0, 0, 0}, stats.Mean, floor)
	if e.Outcome != stats.Sound || !e.Floored {
		t.Fatalf("Estimated = %+v, want sound and floored", e)
	}
	near(t, "SE", e.SE, floor/math.Sqrt(7))
	low, high := e.Interval(0.05 / 3)
	if !(high > 0.9*floor && high < 1.2*floor && low == -high) {
		t.Errorf("interval [%g, %g], want about ± the resolution %g", low, high, floor)
	}
	if e := stats.Estimated(calm, stats.Mean, floor); e.Floored {
		t.Error("a spread above the floor was floored")
	}
}

func TestMetamorphic(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 1))
	for range 200 {
		n := 3 + rng.IntN(20)
		d, negated, shuffled, shifted, scaled := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
		for i := range d {
			d[i] = rng.NormFloat64() * 0.02
			negated[i], shifted[i], scaled[i], shuffled[i] = -d[i], d[i]+0.5, d[i]*3, d[i]
		}
		rng.Shuffle(n, func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		for _, method := range []stats.Method{stats.Mean, stats.Trimmed} {
			e := stats.Estimated(d, method, 0)
			low, high := e.Interval(0.01)
			swapped := stats.Estimated(negated, method, 0)
			if l, h := swapped.Interval(0.01); l != -high || h != -low || swapped.Above(0.01) != e.Below(-0.01) {
				t.Fatalf("swap is not exact: [%g, %g] became [%g, %g]", low, high, l, h)
			}
			if s := stats.Estimated(shuffled, method, 0); s != e {
				t.Fatalf("order matters: %+v, %+v", e, s)
			}
			near(t, "shifted centre", stats.Estimated(shifted, method, 0).Center, e.Center+0.5)
			near(t, "shifted SE", stats.Estimated(shifted, method, 0).SE, e.SE)
			near(t, "scaled SE", stats.Estimated(scaled, method, 0).SE, 3*e.SE)
			near(t, "p is the interval's", e.Above(low), 0.01)
		}
		if stats.MethodFor(d, 0) != stats.MethodFor(negated, 0) || stats.MethodFor(d, 0) != stats.MethodFor(shuffled, 0) {
			t.Fatal("MethodFor depends on sign or order")
		}
	}
}

// Decisions agree with statsmodels 0.15.0: multipletests(p, .01, 'holm').
func TestHolm(t *testing.T) {
	for _, v := range []struct {
		p    []float64
		want []bool
	}{
		{nil, nil},
		{[]float64{0.01}, []bool{true}},
		{[]float64{0.0100001}, []bool{false}},
		{[]float64{0.001, 0.0009, 0.2, 0.004}, []bool{true, true, false, true}},
		{[]float64{0.0001, 0.0001, 0.02}, []bool{true, true, false}},
		{[]float64{0.5, 0.004, 0.003, 0.0024}, []bool{false, true, true, true}},
		{[]float64{0.5, 0.004, 0.003, 0.0026}, []bool{false, false, false, false}}, // the first step stops all
		{[]float64{math.NaN(), 0.004}, []bool{false, true}},
		{[]float64{-1, 0.004}, []bool{false, true}},
	} {
		got := stats.Holm(v.p, 0.01)
		for i := range v.want {
			if got[i].Rejected != v.want[i] {
				t.Errorf("Holm(%v) = %+v, want %v", v.p, got, v.want)
				break
			}
			if p := v.p[i]; p >= 0 && p <= 1 && got[i].Rejected != (p <= got[i].Alpha) {
				t.Errorf("Holm(%v)[%d]: decision %v is not p ≤ %g", v.p, i, got[i].Rejected, got[i].Alpha)
			}
		}
	}
}

func TestMedianSDPlausible(t *testing.T) {
	for _, v := range []struct {
		x    []float64
		want float64
		ok   bool
	}{{nil, 0, false}, {[]float64{3}, 3, true}, {[]float64{4, 1}, 2.5, true}, {[]float64{9, 1, 2}, 2, true}, {[]float64{1, math.NaN()}, 0, false}} {
		if got, ok := stats.Median(v.x); got != v.want || ok != v.ok {
			t.Errorf("Median(%v) = %g, %v, want %g, %v", v.x, got, ok, v.want, v.ok)
		}
	}
	for _, x := range [][]float64{nil, {1}, {1, math.NaN()}, {1, math.Inf(1)}} {
		if sd, ok := stats.SD(x); ok {
			t.Errorf("SD(%v) = %g, true, want ok false", x, sd)
		}
	}
	if sd, ok := stats.SD([]float64{0.1, 0.1, 0.1}); sd != 0 || !ok {
		t.Errorf("SD of a constant = %g, %v, want exactly 0", sd, ok)
	}
}
