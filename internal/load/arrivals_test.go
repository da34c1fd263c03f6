package load

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func starts(t *testing.T, a Arrivals, k int, length time.Duration) []time.Duration {
	t.Helper()
	got, err := a.Starts(nil, k, length)
	if err != nil {
		t.Fatalf("%+v.Starts(%d, %v): %v", a, k, length, err)
	}
	for i, start := range got {
		if start < 0 || start >= length || i > 0 && start < got[i-1] {
			t.Fatalf("%+v.Starts(%d, %v)[%d] = %v: not in order within the slice", a, k, length, i, start)
		}
	}
	return got
}

func TestConstantArrivals(t *testing.T) {
	check := func(perSecond float64, k int, length time.Duration, want ...time.Duration) {
		t.Helper()
		if got := starts(t, Arrivals{PerSecond: perSecond}, k, length); !slices.Equal(got, want) {
			t.Errorf("%v/s, slice %d of %v: got %v, want %v", perSecond, k, length, got, want)
		}
	}
	ms := time.Millisecond
	check(1000, 0, 3*ms, 0, ms, 2*ms)
	check(1000, 7, 3*ms, 0, ms, 2*ms)
	check(500, 0, 3*ms, 0, 2*ms)
	check(500, 1, 3*ms, ms)
	check(100, 0, 4*ms, 0)
	check(100, 1, 4*ms)
	check(100, 2, 4*ms, 2*ms)
}

// Whatever the rate and the cut, the slices together hold what the whole stretch holds.
func TestConstantArrivalsLoseNothing(t *testing.T) {
	for _, rate := range []float64{0.3, 7, 333.3, 1999.9, 20_000} {
		for _, length := range []time.Duration{5 * time.Millisecond, 7_777_777, 100 * time.Millisecond} {
			const n = 500
			a, count := Arrivals{PerSecond: rate}, 0
			for k := range n {
				count += len(starts(t, a, k, length))
			}
			if want := rate * n * length.Seconds(); math.Abs(float64(count)-want) > 1 {
				t.Errorf("%v/s in %d slices of %v: got %d starts, want %.1f", rate, n, length, count, want)
			}
		}
	}
}

func TestPoissonArrivals(t *testing.T) {
	a := Arrivals{Process: Poisson, PerSecond: 2000, Seed: 7}
	const n, length = 2000, 5 * time.Millisecond
	var counts, gaps []float64
	for k := range n {
		s := starts(t, a, k, length)
		counts = append(counts, float64(len(s)))
		for i := 1; i < len(s); i++ {
			gaps = append(gaps, (s[i] - s[i-1]).Seconds())
		}
	}
	mean, variance := moments(counts)
	// A Poisson count has its mean as its variance: 10 in each slice; fixed seed, so no flakes.
	if math.Abs(mean-10) > 0.3 || math.Abs(variance-10) > 1 {
		t.Errorf("counts of slices: mean %.2f, variance %.2f, want 10 and 10", mean, variance)
	}
	if len(gaps) == 0 || slices.Max(gaps) < 0.002 {
		t.Errorf("gaps are too even for a Poisson process")
	}

	if again := starts(t, a, 3, length); !slices.Equal(again, starts(t, a, 3, length)) {
		t.Errorf("the same seed and slice gave other starts")
	}
	if slices.Equal(starts(t, a, 3, length), starts(t, a, 4, length)) {
		t.Errorf("two slices have the same starts")
	}
	other := a
	other.Seed++
	if slices.Equal(starts(t, a, 3, length), starts(t, other, 3, length)) {
		t.Errorf("two seeds gave the same starts")
	}
	if tiny := starts(t, Arrivals{Process: Poisson, PerSecond: 1e-300}, 0, length); len(tiny) != 0 {
		t.Errorf("a rate of 1e-300 gave %d starts in one slice", len(tiny))
	}
}

func moments(values []float64) (mean, variance float64) {
	for _, v := range values {
		mean += v / float64(len(values))
	}
	for _, v := range values {
		variance += (v - mean) * (v - mean) / float64(len(values)-1)
	}
	return mean, variance
}

func TestStartsAppends(t *testing.T) {
	for _, process := range []Process{Constant, Poisson} {
		a := Arrivals{Process: process, PerSecond: 1000}
		got, err := a.Starts([]time.Duration{42}, 0, 20*time.Millisecond)
		if err != nil || len(got) < 2 || got[0] != 42 || !slices.Equal(got[1:], starts(t, a, 0, 20*time.Millisecond)) {
			t.Errorf("%s: got %v, %v", process, got, err)
		}
	}
}

func TestStartsRefuses(t *testing.T) {
	check := func(a Arrivals, k int, length time.Duration, want string) {
		t.Helper()
		if got, err := a.Starts(nil, k, length); err == nil || len(got) > 0 || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v.Starts(%d, %v): got %v, %v, want an error with %q", a, k, length, got, err, want)
		}
	}
	check(Arrivals{}, 0, time.Second, "rate 0")
	check(Arrivals{PerSecond: -1}, 0, time.Second, "rate -1")
	check(Arrivals{PerSecond: math.NaN()}, 0, time.Second, "rate NaN")
	check(Arrivals{PerSecond: math.Inf(1)}, 0, time.Second, "rate +Inf")
	check(Arrivals{PerSecond: 1}, -1, time.Second, "slice -1")
	check(Arrivals{PerSecond: 1}, 0, 0, "positive length")
	check(Arrivals{PerSecond: 1e9}, 0, time.Second, "at most")
	check(Arrivals{PerSecond: 1, Process: "bursts"}, 0, time.Second, `unexpected process "bursts"`)
}
