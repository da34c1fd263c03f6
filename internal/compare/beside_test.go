package compare_test

import (
	"math"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/workload"
)

// headRun is three services at head alone, a twice as fast as b in every round and c between them; rounds wobble together.
func headRun(rounds int) result.Run {
	run := result.Run{Schema: result.Schema, State: result.Measured, Parity: &result.ParityResult{Requests: 60},
		Plan: plan.Plan{Services: map[plan.Variant]plan.Service{}, NoBase: "by wish", Workloads: []workload.Workload{{Name: "w"}, {Name: "x"}},
			Pairs: []plan.Pair{{Name: "a-c", Go: "a", Rust: "c"}, {Name: "b-c", Go: "b", Rust: "c"}}}}
	for service, speed := range map[string]float64{"a": 2000, "b": 1000, "c": 1500} {
		v := plan.Variant{Service: service, Side: plan.Head}
		run.Plan.Services[v] = plan.Service{Name: service, Lang: plan.Go}
		for _, w := range run.Plan.Workloads {
			for round := range rounds {
				wobble := 1 + 0.3*float64(round%3) // the same for all of a round: paired, it is gone
				own := 1 + 0.01*float64((round+len(run.Trials)/rounds)%2)
				run.Trials = append(run.Trials, result.Trial{Variant: v, Workload: w.Name, Phase: plan.Screen, Round: round + 1,
					Open: result.Stage{Requests: 500, Seconds: 1}, Closed: result.Stage{Requests: 1000, Seconds: 1000 / (speed * wobble * own)}})
			}
		}
	}
	return run
}

func TestBetween(t *testing.T) {
	d := compare.Describe(headRun(7))
	m, _ := result.MetricByName("throughput")
	got := d.Between([]string{"a"}, []string{"b"}, "w", m)
	if got.Why != "" || got.Rounds != 7 || math.Abs(got.Ratio-2) > 0.03 || got.CI[0] > 2 || got.CI[1] < 2 || got.CI[1]/got.CI[0] > 1.05 {
		t.Errorf("a ÷ b: %+v", got)
	}
	back := d.Between([]string{"b"}, []string{"a"}, "w", m)
	if math.Abs(got.Ratio*back.Ratio-1) > 1e-12 || math.Abs(got.CI[0]*back.CI[1]-1) > 1e-12 {
		t.Errorf("swapped: %+v and %+v", got, back)
	}
	// Of several services the geometric mean: √(2·1) ÷ 1.5.
	if got := d.Between([]string{"a", "b"}, []string{"c"}, "w", m); math.Abs(got.Ratio-math.Sqrt2/1.5) > 0.03 {
		t.Errorf("a and b ÷ c: %+v", got)
	}
	p99, _ := result.MetricByName("p99")
	for _, c := range []struct {
		got compare.Ratio
		why string
	}{
		{d.Between([]string{"a"}, []string{"z"}, "w", m), "z was not measured"},
		{d.Between(nil, []string{"a"}, "w", m), "no such service was measured"},
		{d.Between([]string{"a"}, []string{"b"}, "w", p99), "a has 3500 requests: p99 needs 10000"},
		{compare.Describe(headRun(6)).Between([]string{"a"}, []string{"b"}, "w", m), "6 valid rounds: at least 7 are needed"},
	} {
		if c.got.Why != c.why || c.got.Ratio != 0 || c.got.CI != (compare.Interval{}) {
			t.Errorf("got %+v, want %q", c.got, c.why)
		}
	}
}

func TestStandings(t *testing.T) {
	c := compare.Run(headRun(7))
	if len(c.Standings) != 6 {
		t.Fatalf("%d standings, want 3 services under 2 workloads: %+v", len(c.Standings), c.Standings)
	}
	for _, s := range c.Standings {
		want := map[string]float64{"a": 1, "b": 0.5, "c": 0.75}[s.Service]
		if s.Best != "a" || math.Abs(s.Ratio-want) > 0.02 {
			t.Errorf("%+v, want %g of a", s, want)
		}
	}
	two := headRun(7)
	delete(two.Plan.Services, plan.Variant{Service: "c", Side: plan.Head})
	if got := compare.Run(two).Standings; got != nil {
		t.Errorf("two services have standings: %+v", got)
	}
}

// Who answers differently has no ratio; who was compared through a third one has.
func TestStandingsOfTheUnlike(t *testing.T) {
	run := headRun(7)
	run.Parity.Differences = []result.Difference{{A: plan.Variant{Service: "b", Side: plan.Head}, B: plan.Variant{Service: "c", Side: plan.Head}, Workload: "w"}}
	run.Parity.Total = 1
	d := compare.Describe(run)
	m, _ := result.MetricByName("throughput")
	for _, two := range [][2]string{{"b", "c"}, {"c", "b"}, {"a", "b"}} { // a agrees with c, and b does not
		if got := d.Between([]string{two[0]}, []string{two[1]}, "w", m); !strings.Contains(got.Why, "do not answer alike") {
			t.Errorf("%v: %+v", two, got)
		}
	}
	if got := d.Between([]string{"a"}, []string{"c"}, "w", m); got.Why != "" {
		t.Errorf("a and c agree: %+v", got)
	}
	for _, s := range compare.Run(run).Standings {
		if s.Service == "b" {
			t.Errorf("b has a standing: %+v", s)
		}
	}
}

func TestNarrowing(t *testing.T) {
	run := headRun(7)
	for i := range run.Trials { // under x the two are nearer
		if run.Trials[i].Workload == "x" && run.Trials[i].Variant.Service == "b" {
			run.Trials[i].Closed.Seconds /= 1.6
		}
	}
	m, _ := result.MetricByName("throughput")
	quotient, product := compare.Describe(run).Narrowing([]string{"a"}, []string{"b"}, "w", "x", m)
	if math.Abs(quotient.Ratio-1.6) > 0.05 || quotient.CI[0] <= 1 || math.Abs(product.Ratio-2.5) > 0.08 || product.CI[0] <= 1 {
		t.Errorf("from 2 to 1.25: quotient %+v, product %+v", quotient, product)
	}
}
