package compare_test

import (
	"testing"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/plan"
)

// A self-check measures the same inputs at both sides: they are compared as if they differed, and nothing is found.
func TestIdenticalInputsMeasuredAgain(t *testing.T) {
	w := newWorld(1, 0.005, "list")
	w.run.Plan.Same = plan.SameAgain
	c := w.measure()
	for i := range w.run.Builds { // as the builds say once both are measured
		if w.run.Builds[i].Variant.Side == plan.Head {
			w.run.Builds[i].IdenticalToBase = true
		}
	}
	again := compare.Run(w.run)
	if len(again.Rows) == 0 || len(again.Rows) != len(c.Rows) {
		t.Fatalf("%d rows, want %d", len(again.Rows), len(c.Rows))
	}
	compared := 0
	for i, r := range again.Rows {
		if r.Identical || r.Verdict == compare.Improved || r.Verdict == compare.Regressed || r.Ratio != c.Rows[i].Ratio {
			t.Errorf("row %+v", r)
		}
		if r.Rounds > 1 && r.Ratio != 1 {
			compared++
		}
	}
	if compared == 0 {
		t.Error("nothing was compared")
	}
}
