package result

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/duet-bench/duet/internal/plan"
)

// large is a run of so many services at two sides, workloads and rounds.
func large(services, workloads, rounds int) Run {
	rng := rand.New(rand.NewPCG(1, 2))
	var hs []Histogram
	for range 8 { // shared: a histogram takes much memory
		var h Histogram
		for range 900 {
			h.Record(time.Duration(float64(200*time.Microsecond) * math.Exp(0.4*rng.NormFloat64())))
		}
		hs = append(hs, h)
	}
	r := Run{Schema: Schema}
	for range rounds {
		for w := range workloads {
			for s := range 2 * services {
				side := plan.Base
				if s%2 == 1 {
					side = plan.Head
				}
				stage := Stage{Requests: 900, Seconds: 0.3 + rng.Float64()/100, CPUSeconds: rng.Float64(), Offered: 3000.5, Achieved: 2999.9 + rng.Float64(),
					Latency: hs[rng.IntN(8)], Service: hs[rng.IntN(8)], LatenessP99: 0.0000012, Slices: 12}
				t := Trial{Variant: plan.Variant{Service: fmt.Sprintf("service-%d", s/2), Side: side}, Workload: fmt.Sprintf("workload-%d", w), Phase: plan.Screen,
					Round: len(r.Trials)/(2*services*workloads) + 1, ColdStart: rng.Float64(), Open: stage, Closed: stage}
				for range 20 {
					t.Memory.Curve = append(t.Memory.Curve, MemoryPoint{At: rng.Float64(), RSS: rng.Int64N(1e8), PSS: rng.Int64N(1e8), PSSAnon: rng.Int64N(1e8)})
				}
				r.Trials = append(r.Trials, t)
			}
		}
	}
	for i := range MaxNames {
		r.Names = append(r.Names, fmt.Sprintf("%0*d", 60, i))
	}
	for round := range rounds {
		for w := range workloads {
			for s := range 2 * services {
				c := Cost{Variant: plan.Variant{Service: fmt.Sprintf("service-%d", s/2), Side: plan.Head}, Workload: fmt.Sprintf("workload-%d", w),
					Phase: plan.Screen, Round: round + 1, Requests: 600, Buckets: map[string]int64{BucketService: 1e9}, Allocations: 1e6}
				for i := range MaxFunctions {
					c.Functions = append(c.Functions, FunctionCost{Function: Name(i + 1), File: Name(i + 301), Line: i, Caller: 1, Own: true, Instructions: rng.Int64N(1e8), Allocations: rng.Int64N(1e5)})
					c.Lines = append(c.Lines, LineCost{File: Name(i + 301), Line: i, Function: Name(i + 1), Instructions: rng.Int64N(1e8), Allocations: rng.Int64N(1e5)})
				}
				r.Costs = append(r.Costs, c)
			}
		}
	}
	return r
}

// What is there to be looked at alone gives way, said; what verdicts stand on never does.
func TestEncodeStaysWithinItsBound(t *testing.T) {
	r := large(2, 2, 3)
	whole, err := Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, share := range []float64{0.9, 0.6, 0.35} {
		limit := int(share * float64(len(whole)))
		text, err := encodeWithin(r, limit)
		if err != nil || len(text) > limit {
			t.Fatalf("within %d bytes: got %d, %v", limit, len(text), err)
		}
		got, err := Decode(text)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Warnings) == 0 || !strings.Contains(got.Warnings[0], "too large") {
			t.Errorf("within %d bytes: warnings %q", limit, got.Warnings)
		}
		for i, cost := range got.Costs {
			if cost.Instructions() != r.Costs[i].Instructions() || cost.Allocations != r.Costs[i].Allocations {
				t.Fatalf("within %d bytes: cost %d: got %+v", limit, i, cost)
			}
		}
		for i, trial := range got.Trials {
			for _, m := range Metrics() {
				if m.Read == nil {
					continue
				}
				want, wantOK := m.Read(r.Trials[i])
				if x, ok := m.Read(trial); x != want || ok != wantOK {
					t.Fatalf("within %d bytes: %s of trial %d: got %v, want %v", limit, m.Name, i, x, want)
				}
			}
		}
	}
	if len(r.Warnings) > 0 || len(r.Trials[5].Memory.Curve) == 0 {
		t.Error("encoding changed the run")
	}
	if text, err := encodeWithin(r, 1000); err == nil || text != nil {
		t.Errorf("within 1000 bytes: got %d bytes, want an error", len(text))
	}
}
