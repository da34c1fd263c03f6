package harness

import (
	"testing"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// What differs by chance, once and not again, is no difference; what differs both times is.
func TestBothTimes(t *testing.T) {
	a, b := plan.Variant{Service: "go", Side: plan.Head}, plan.Variant{Service: "rust", Side: plan.Head}
	at := func(i int, what string) difference {
		return difference{at: i, found: result.Difference{A: a, B: b, What: what}}
	}
	got := bothTimes([]difference{at(1, "body"), at(2, "body"), at(3, "status")}, []difference{at(2, "body"), at(3, "body")})
	if len(got) != 1 || got[0].at != 2 {
		t.Errorf("got %+v, want the second request's body alone", got)
	}
}

func TestRecordKeepsAFewOfEachTwo(t *testing.T) {
	var all []difference
	for _, side := range []plan.Side{plan.Base, plan.Head} {
		for i := range 10 {
			all = append(all, difference{at: i, found: result.Difference{
				A: plan.Variant{Service: "go", Side: side}, B: plan.Variant{Service: "rust", Side: side}, What: "body",
			}})
		}
	}
	var found result.ParityResult
	record(&found, all)
	if found.Total != 20 || len(found.Differences) != 2*differencesEach {
		t.Errorf("got %d in all and %d kept, want 20 and %d", found.Total, len(found.Differences), 2*differencesEach)
	}
}
