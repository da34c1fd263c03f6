package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/profdiff"
	"github.com/duet-bench/duet/internal/result"
)

// What one side's profile lists as own is own at the other as well, and a file is the side's.
func TestOwnFunctionsOfBothSides(t *testing.T) {
	base, head := plan.Variant{Service: "go", Side: plan.Base}, plan.Variant{Service: "go", Side: plan.Head}
	run := result.Run{
		Names: []string{"main.kept", "main.new", "fmt.Sprintf", "old.go", "new.go", "main.other"},
		Profiles: []result.Profile{
			{Variant: base, Functions: []result.SampledFunction{{Function: 1, File: 4, Own: true}, {Function: 3}}},
			{Variant: head, Functions: []result.SampledFunction{{Function: 1, File: 5, Own: true}, {Function: 2, File: 5, Own: true}}},
			{Variant: plan.Variant{Service: "rust", Side: plan.Head}, Functions: []result.SampledFunction{{Function: 6, File: 5, Own: true}}},
		},
	}
	for v, want := range map[plan.Variant]profdiff.Known{
		base: {"main.kept": "old.go", "main.new": "new.go"},
		head: {"main.kept": "new.go", "main.new": "new.go"},
	} {
		if diff := cmp.Diff(want, ownFunctions(run, v)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", v, diff)
		}
	}
}
