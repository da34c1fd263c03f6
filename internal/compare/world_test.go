package compare_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/workload"
)

// world makes synthetic runs: every figure of a trial is its metric's usual size times exp(shift + noise).
type world struct {
	run   result.Run
	rng   *rand.Rand
	noise float64 // SD of the log of one trial's figure; d has √2 times as much
	// shift is ln(figure ÷ usual); nil: none.
	shift func(v plan.Variant, workload, metric string) float64
	// disturb is what one round does to its trials' figures, as ln, by variant and metric; nil: nothing.
	disturb func(rng *rand.Rand) map[plan.Variant]map[string]float64
	// spoil may change a trial before it is added; nil: nothing.
	spoil func(t *result.Trial)
	// latency adds histograms, which cost time.
	latency bool
}

const requests = 1000

var usual = map[string]float64{
	"cpu_per_request": 100e-6, "p50": 200e-6, "throughput": 20_000, "peak_rss": 40e6, "pss_anon": 30e6, "cold_start": 0.05,
}

// metrics in a fixed order, so that a seed draws the same noise each time.
var metrics = []string{"cpu_per_request", "p50", "throughput", "peak_rss", "pss_anon", "cold_start"}

func newWorld(seed uint64, noise float64, workloads ...string) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 1)), noise: noise}
	p := plan.Plan{
		Schema:   plan.Schema,
		Head:     plan.Commit{SHA: "1111111"},
		Base:     &plan.Commit{SHA: "2222222"},
		Services: map[plan.Variant]plan.Service{},
		Pairs:    []plan.Pair{{Name: "default", Go: "go", Rust: "rust"}},
		Rounds:   plan.Rounds{Looks: []int{7, 11, 15}, Confirm: 7},
		Margins:  map[string]float64{},
	}
	for _, v := range variants {
		p.Services[v] = plan.Service{Name: v.Service, Lang: plan.Lang(v.Service)}
		w.run.Builds = append(w.run.Builds, result.Build{Variant: v, BinaryBytes: 8_000_000})
	}
	for _, name := range workloads {
		p.Workloads = append(p.Workloads, workload.Workload{Name: name})
	}
	w.run.Schema, w.run.State, w.run.Plan = result.Schema, result.Measured, p
	w.run.Parity = &result.ParityResult{Requests: 100}
	return w
}

var variants = []plan.Variant{
	{Service: "go", Side: plan.Base}, {Service: "go", Side: plan.Head},
	{Service: "rust", Side: plan.Base}, {Service: "rust", Side: plan.Head},
}

func (w *world) build(v plan.Variant) *result.Build {
	for i := range w.run.Builds {
		if w.run.Builds[i].Variant == v {
			return &w.run.Builds[i]
		}
	}
	panic("no build of " + v.String())
}

func (w *world) identical(service string) {
	w.build(plan.Variant{Service: service, Side: plan.Head}).IdenticalToBase = true
}

// round adds one round of a workload for every variant of the plan that would be measured.
func (w *world) round(name string, phase plan.Phase, round int) {
	identical := map[string]bool{}
	for _, b := range w.run.Builds {
		identical[b.Variant.Service] = identical[b.Variant.Service] || b.IdenticalToBase
	}
	var disturbed map[plan.Variant]map[string]float64
	if w.disturb != nil {
		disturbed = w.disturb(w.rng)
	}
	for _, v := range variants {
		if _, ok := w.run.Plan.Services[v]; !ok || (identical[v.Service] && v.Side == plan.Base) {
			continue
		}
		figure := map[string]float64{}
		for _, m := range metrics {
			d := w.noise*w.rng.NormFloat64() + disturbed[v][m]
			if w.shift != nil {
				d += w.shift(v, name, m)
			}
			figure[m] = usual[m] * math.Exp(d)
		}
		t := result.Trial{
			Variant: v, Workload: name, Phase: phase, Round: round, ColdStart: figure["cold_start"],
			Open:   result.Stage{Requests: requests, Seconds: 1, CPUSeconds: requests * figure["cpu_per_request"]},
			Closed: result.Stage{Requests: requests, Seconds: requests / figure["throughput"], CPUSeconds: requests * figure["cpu_per_request"]},
			Memory: result.Memory{PeakRSS: int64(figure["peak_rss"]), PeakPSSAnon: int64(figure["pss_anon"]), PeakPSS: int64(figure["pss_anon"])},
		}
		if w.latency {
			t.Open.Latency.Record(time.Duration(figure["p50"] * 1e9))
		}
		if w.spoil != nil {
			w.spoil(&t)
		}
		w.run.Trials = append(w.run.Trials, t)
	}
}

// measure walks the workloads as plan.Next does: looks until no row of a workload is open, then confirmation if any is suspect.
func (w *world) measure() compare.Comparisons {
	all := w.run.Trials
	for _, wl := range w.run.Plan.Workloads {
		states := map[plan.RowState]int{}
		round := 0
		w.run.Trials = nil // the other workloads' rows do not matter to this one's looks
		for _, look := range w.run.Plan.Rounds.Looks {
			for ; round < look; round++ {
				w.round(wl.Name, plan.Screen, round+1)
			}
			w.run.Rows = compare.Settle(&w.run)
			clear(states)
			for _, row := range w.run.Rows {
				if row.Workload == wl.Name && row.Pass == plan.Timing {
					states[row.State]++
				}
			}
			if states[plan.RowOpen] == 0 {
				break
			}
		}
		if states[plan.RowSuspect] > 0 {
			for round := range w.run.Plan.ConfirmRounds(w.run.Rows, wl.Name) {
				w.round(wl.Name, plan.Confirm, round+1)
			}
		}
		all = append(all, w.run.Trials...)
	}
	w.run.Trials = all
	return compare.Run(w.run)
}

// row finds a row or fails.
func row(t *testing.T, c compare.Comparisons, service, workload, metric string) compare.Comparison {
	t.Helper()
	for _, r := range c.Rows {
		if r.Service == service && r.Workload == workload && r.Metric == metric {
			return r
		}
	}
	t.Fatalf("no row %s · %s · %s among %d", service, workload, metric, len(c.Rows))
	return compare.Comparison{}
}

// plant shifts one metric of one service at head by a share.
func plant(service, metric string, share float64) func(plan.Variant, string, string) float64 {
	return func(v plan.Variant, _, m string) float64 {
		if v.Service == service && v.Side == plan.Head && m == metric {
			return math.Log1p(share)
		}
		return 0
	}
}
