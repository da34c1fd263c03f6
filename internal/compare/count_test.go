package compare_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// counts adds callgrind rounds of one workload: a million instructions and 200 allocations a request, head's shifted,
// with a round-to-round standard deviation of 0.02 %.
func (w *world) counts(workload string, phase plan.Phase, rounds int, instructions, allocations float64) {
	for round := range rounds {
		for _, v := range variants {
			more, extra := 0.0, 0.0
			if v.Service == "go" && v.Side == plan.Head {
				more, extra = instructions, allocations
			}
			const served = 600
			w.run.Costs = append(w.run.Costs, result.Cost{
				Variant: v, Workload: workload, Phase: phase, Round: round + 1, Requests: served,
				Buckets: map[string]int64{
					result.BucketService:   int64(served * 1e6 * (1 + more) * math.Exp(0.0002*w.rng.NormFloat64())),
					result.BucketScheduler: int64(served * 1e5 * math.Exp(0.2*w.rng.NormFloat64())),
				},
				Allocations: int64(served * 200 * (1 + extra)),
			})
		}
	}
}

// One percent more work and one more allocation in 100 are found on three rounds and four fresh ones; the scheduler's
// noise beside them is nobody's.
func TestCountsAreJudged(t *testing.T) {
	w := newWorld(1, 0.001, "list")
	w.counts("list", plan.Screen, 3, 0.01, 0.01)
	states := map[string]plan.RowState{}
	for _, r := range compare.Settle(&w.run) {
		if r.Pass == plan.Instructions {
			states[r.Service+" "+r.Metric] = r.State
		}
	}
	want := map[string]plan.RowState{
		"go instructions_callgrind": plan.RowSuspect, "go allocations": plan.RowSuspect,
		"rust instructions_callgrind": plan.RowDecided, "rust allocations": plan.RowDecided,
	}
	for name, state := range want {
		if states[name] != state {
			t.Errorf("%s: %q after three rounds, want %q", name, states[name], state)
		}
	}
	w.counts("list", plan.Confirm, 4, 0.01, 0.01)
	c := w.measure()
	for _, metric := range []string{"instructions_callgrind", "allocations"} {
		if r := row(t, c, "go", "list", metric); r.Verdict != compare.Regressed || !r.Confirmed || math.Abs(r.Ratio-1.01) > 0.001 {
			t.Errorf("%s: %+v, want regressed by 1 %%", metric, r)
		}
		if r := row(t, c, "rust", "list", metric); r.Verdict != compare.Unchanged {
			t.Errorf("%s: %+v, want unchanged", metric, r)
		}
	}
	if r := row(t, c, "go", "list", "instructions_total"); r.Verdict != compare.NotJudged {
		t.Errorf("the total is judged: %+v", r)
	}
	if got := c.Services["go"].Verdict; got != compare.Regressed {
		t.Errorf("go: %v, want regressed", got)
	}
}

// Without callgrind's rounds the rows say so, and CPU per request is the work row.
func TestNothingCounted(t *testing.T) {
	c := newWorld(1, 0.001, "list").measure()
	if r := row(t, c, "go", "list", "instructions_callgrind"); r.Verdict != compare.NotJudged || !strings.Contains(r.Why, "callgrind did not run") {
		t.Errorf("%+v, want not judged because callgrind did not run", r)
	}
	if got := c.Services["go"].Verdict; got != compare.Unchanged {
		t.Errorf("go: %v (%s), want unchanged", got, c.Services["go"].Why)
	}
}

// Slower without more work is said in words.
func TestTimeWithoutWork(t *testing.T) {
	w := newWorld(1, 0.001, "list")
	w.shift = plant("go", "cpu_per_request", 0.10)
	w.counts("list", plan.Screen, 3, 0, 0)
	c := w.measure()
	said := func(text string) bool { return strings.Contains(text, "without more work") }
	if !slices.ContainsFunc(c.Warnings, said) {
		t.Errorf("warnings %q: want one that tells time from work", c.Warnings)
	}
}
