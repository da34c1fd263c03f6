package selftest

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/workload"
)

// world is a machine that never was: figures with log-normal noise, and plants of known size.
type world struct {
	rng    *rand.Rand
	noise  float64                       // of every time between rounds
	count  float64                       // of every count
	plants map[string]map[string]float64 // plant → metric → effect, a share
}

// quietWorld has half a percent of noise.
func quietWorld(seed uint64) world {
	return world{rng: rand.New(rand.NewPCG(seed, 1)), noise: 0.005, count: 0.0005, plants: map[string]map[string]float64{
		"work-3":   {result.CallgrindInstructions: 0.03, result.CPUPerRequest: 0.03},
		"memory-5": {"peak_rss": 0.05},
	}}
}

func (w world) jitter(sd float64) float64 { return math.Exp(sd * w.rng.NormFloat64()) }

func (w world) trial(v plan.Variant, workload string, effects map[string]float64) result.Trial {
	like := result.Trial{Workload: workload}
	like.Open.Requests = 700
	like.Open.Offered = 1000
	figures := map[string]float64{
		result.CPUPerRequest: 500e-6, "p50": 600e-6, "p90": 900e-6, "p95": 1.2e-3, "p99": 2e-3, "throughput": 2000,
		"peak_rss": 20e6, "pss": 18e6, "pss_anon": 12e6, "cold_start": 0.02,
	}
	for _, m := range result.Metrics() { // a map has no order, and a seed must give the same figures
		if x, ok := figures[m.Name]; ok {
			figures[m.Name] = x * (1 + effects[m.Name]) * w.jitter(w.noise)
		}
	}
	t := made(like, figures)
	t.Variant, t.Phase = v, plan.Screen
	t.Open.Seconds = 0.6
	return t
}

func (w world) cost(v plan.Variant, workload string, effects map[string]float64) result.Cost {
	service := 1e6 * (1 + effects[result.CallgrindInstructions]) * w.jitter(w.count)
	return result.Cost{
		Variant: v, Workload: workload, Phase: plan.Screen, Requests: 1000,
		Buckets:     map[string]int64{result.BucketService: int64(1000 * service), result.BucketScheduler: int64(1e7 * w.jitter(0.05))},
		Allocations: int64(1000 * 200 * (1 + effects["allocations"])),
	}
}

// twoLanguages are base against itself and two plants, in Go and in Rust.
func twoLanguages() []Subject {
	var all []Subject
	for _, lang := range []plan.Lang{plan.Go, plan.Rust} {
		all = append(all,
			Subject{Plant: Again, Lang: lang, Workload: Heavy, Timing: true, Counting: true},
			Subject{Plant: "work-3", About: "3 % more work", Lang: lang, Workload: Heavy, Timing: true, Counting: true, Targets: []Target{
				{Workload: Heavy, Metric: Work, Aim: mostly}, {Workload: Heavy, Metric: result.CPUPerRequest, Aim: mostly, Quiet: true},
			}},
			Subject{Plant: "memory-5", About: "5 % more memory", Lang: lang, Workload: Heavy, Timing: true, Targets: []Target{
				{Workload: Heavy, Metric: "peak_rss", Aim: often},
			}},
		)
	}
	return all
}

func header() Header {
	return Header{
		Schema: BankSchema, Duet: "0.1.0", Pair: "abc", Seed: 1, Window: Window(), Subjects: twoLanguages(),
		Workloads: []workload.Workload{{Name: Heavy}},
		Machine:   result.Machine{OS: "linux", Arch: "amd64", Kernel: "6.1", CPU: "a CPU", Cores: 2, Toolchains: map[string]string{"go": "go1.26"}},
	}
}

// bank measures so many timing and callgrind rounds of each language.
func (w world) bank(t *testing.T, timing, counting int) *Bank {
	t.Helper()
	b := &Bank{Sessions: []Header{header()}}
	for _, lang := range []plan.Lang{plan.Go, plan.Rust} {
		variants := []plan.Variant{BaseOf(lang)}
		effects := []map[string]float64{nil}
		for _, s := range twoLanguages() {
			if s.Lang == lang {
				variants, effects = append(variants, s.Variant()), append(effects, w.plants[s.Plant])
			}
		}
		for range timing {
			r := timingRound{workload: Heavy, trials: map[string]*banked{}}
			for i, v := range variants {
				folded, err := bank(w.trial(v, Heavy, effects[i]))
				if err != nil {
					t.Fatal(err)
				}
				r.trials[v.Service] = folded
			}
			b.Timing = append(b.Timing, r)
		}
		for range counting {
			r := countRound{costs: map[string]map[string]result.Cost{}}
			for i, v := range variants {
				r.costs[v.Service] = map[string]result.Cost{Heavy: w.cost(v, Heavy, effects[i])}
			}
			b.Counting = append(b.Counting, r)
		}
	}
	return b
}

// made is a trial with given figures, so that the judge reads them as it reads measured ones.
func made(like result.Trial, figures map[string]float64) result.Trial {
	const many = 1e9 // counts stand for ratios: rounding them must not show
	t := result.Trial{Workload: like.Workload, ColdStart: figures["cold_start"]}
	t.Open.Requests = like.Open.Requests
	t.Open.CPUSeconds = figures[result.CPUPerRequest] * float64(like.Open.Requests)
	t.Open.Instructions = int64(math.Round(figures[result.Instructions] * float64(like.Open.Requests)))
	t.Open.Cycles = int64(math.Round(figures["cycles"] * float64(like.Open.Requests)))
	if perSecond := figures["throughput"]; perSecond > 0 {
		t.Closed.Requests, t.Closed.Seconds = many, many/perSecond
		t.Closed.CPUSeconds = figures[result.CPUPerRequest] * many
	}
	t.Memory.PeakRSS = int64(math.Round(figures["peak_rss"]))
	t.Memory.PeakPSS = int64(math.Round(figures["pss"]))
	t.Memory.PeakPSSAnon = int64(math.Round(figures["pss_anon"]))
	t.Open.Latency = latencies(figures)
	return t
}

// latencies is a histogram with the given percentiles.
func latencies(figures map[string]float64) (h result.Histogram) {
	at, least := 0, 0.0
	for _, p := range []struct {
		name  string
		share int // requests in a thousand up to here
	}{{"p50", 500}, {"p90", 900}, {"p95", 950}, {"p99", 1000}} {
		value, ok := figures[p.name]
		if !ok {
			continue
		}
		least = max(least, value)
		for ; at < p.share; at++ {
			h.Record(time.Duration(math.Round(least * float64(time.Second))))
		}
	}
	return h
}
