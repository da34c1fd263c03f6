package compare_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// charged gives every window a function that has all of what head does more, and one that has the rest.
func (w *world) charged() {
	w.run.Names = []string{"example.com/shop/core.slug", "core/text.go", "example.com/shop/core.rest", "core/rest.go"}
	for i := range w.run.Costs {
		c := &w.run.Costs[i]
		rest := result.FunctionCost{Function: 3, File: 4, Line: 7, Own: true, Instructions: c.Requests * 900_000, Allocations: c.Requests * 150}
		slug := result.FunctionCost{
			Function: 1, File: 2, Line: 10, Own: true,
			Instructions: c.Buckets[result.BucketService] - rest.Instructions, Allocations: c.Allocations - rest.Allocations,
		}
		c.Functions = []result.FunctionCost{rest, slug}
		c.Lines = []result.LineCost{{File: 2, Line: 12, Function: 1, Instructions: slug.Instructions, Allocations: slug.Allocations}}
	}
}

func whys(all []compare.Why) string {
	var text []string
	for _, w := range all {
		s := fmt.Sprintf("%s %s %s over %d:", w.Service, w.Workload, w.Measure, w.Rounds)
		for _, f := range w.Functions {
			s += fmt.Sprintf(" %s %s:%d-%d %s", f.Name, f.File, f.Line, f.Last, f.Changed)
			if f.Exact {
				s += " exact"
			}
		}
		if w.Words != "" {
			s += " " + w.Words
		}
		text = append(text, s)
	}
	return strings.Join(text, "; ")
}

func TestWhy(t *testing.T) {
	check := func(what string, w *world, want string) {
		t.Helper()
		if got := whys(w.measure().Why); got != want {
			t.Errorf("%s:\n got %s\nwant %s", what, got, want)
		}
	}
	counted := func(instructions, allocations float64) *world {
		w := newWorld(1, 0.001, "list")
		w.counts("list", plan.Screen, 3, instructions, allocations)
		w.counts("list", plan.Confirm, 4, instructions, allocations)
		w.run.Plan.Changed = []string{"core/text.go"}
		return w
	}
	both := counted(0.02, 0.02)
	both.charged()
	check("work and allocations", both, "go list instructions over 7: core.slug core/text.go:12-12 yes; go list allocations over 7: core.slug core/text.go:12-12 yes exact")
	elsewhere := counted(0.02, 0)
	elsewhere.charged()
	elsewhere.run.Plan.Changed = []string{"other.go"}
	check("a file that was not changed", elsewhere, "go list instructions over 7: core.slug core/text.go:12-12 no")
	many := counted(0.02, 0)
	many.charged()
	many.run.Plan.Changed = make([]string, 300)
	check("a full list of changed files", many, "go list instructions over 7: core.slug core/text.go:12-12 ")
	check("no functions", counted(0.02, 0), "go list instructions over 0: No function can be named: that takes 2 callgrind rounds with symbols at each side, and there are 0")
	same := counted(0, 0)
	same.charged()
	check("nothing", same, "")

	slower := counted(0, 0)
	slower.charged()
	slower.shift = plant("go", "cpu_per_request", 0.10)
	got := slower.measure().Why
	if len(got) != 1 || got[0].Measure != "" || !strings.Contains(got[0].Words, "without more work (instructions (callgrind) unchanged within 0.") {
		t.Errorf("time alone: got %s", whys(got))
	}
	memory := counted(0, 0)
	memory.shift = plant("go", "peak_rss", 0.30)
	check("memory", memory, "")
}
