package result

import (
	"math"
	"testing"
)

// A service that waits more answers fewer requests in the closed stage. What each costs it is the same, and so is the figure.
func TestCPUPerRequestKnowsNoMix(t *testing.T) {
	t.Parallel()
	trial := func(open, closed float64, answered int64) Trial {
		return Trial{
			Open:   Stage{Requests: 1000, CPUSeconds: 1000 * open},
			Closed: Stage{Requests: answered, CPUSeconds: float64(answered) * closed},
		}
	}
	before, _ := cpuPerRequest(trial(40e-6, 10e-6, 20_000))
	for answered, want := range map[int64]float64{20_000: 20e-6, 2_000: 20e-6, 1: 20e-6} {
		if got, ok := cpuPerRequest(trial(40e-6, 10e-6, answered)); !ok || math.Abs(got-want) > 1e-15 {
			t.Errorf("%d answered: got %g, %v, want %g", answered, got, ok, want)
		}
	}
	// What costs a tenth more in both stages costs a tenth more.
	if after, _ := cpuPerRequest(trial(44e-6, 11e-6, 18_000)); math.Abs(after/before-1.1) > 1e-12 {
		t.Errorf("a tenth more reads as %g", after/before)
	}
	for name, without := range map[string]Trial{"no open stage": trial(0, 10e-6, 9), "no closed stage": trial(40e-6, 0, 0)} {
		if got, ok := cpuPerRequest(without); ok {
			t.Errorf("%s: got %g", name, got)
		}
	}
}
