package report

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/profdiff"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/workload"
)

// pageFixture is a run as large as one of the bundled pair: four variants, three workloads, nine rounds, with a graph of
// about 1,500 frames for each service, workload and kind of profile.
func pageFixture() (Report, Page) {
	rng := rand.New(rand.NewPCG(7, 7))
	f := fixtures()[0] // regressed
	run, c := f.run, f.c
	run.Plan.Workloads = append(run.Plan.Workloads, workload.Workload{Name: "list", Version: 1})
	run.Rates = append(run.Rates, result.OfferedRate{Workload: "list", PerSecond: 3100})
	c.Services["rust"] = compare.ServiceVerdict{Lang: plan.Rust, Verdict: compare.Unchanged}
	c.Rows = append(only(c.Rows, "go"), unchanged("rust")...)
	for _, row := range slices.Clone(c.Rows) {
		if row.Workload == "json-pipeline" {
			row.Workload = "list"
			c.Rows = append(c.Rows, row)
		}
	}
	for i, r := range c.Rows { // not all alike
		if r.Verdict != compare.Unchanged || r.Rounds == 0 {
			continue
		}
		r.Noise *= 0.4 + rng.Float64()
		r.Ratio = 1 + r.Margin*0.3*rng.NormFloat64()
		r.Head = r.Base * r.Ratio
		half := r.Margin * (0.2 + 0.4*rng.Float64())
		r.CI = compare.Interval{r.Ratio - half, r.Ratio + half}
		c.Rows[i] = r
	}
	judge(&c, row("rust", "list", "p90", 0.9e-3, 1.05, 0.14, compare.Inconclusive))
	judge(&c, row("rust", "json-pipeline", "throughput", 5655, 1.093, 0.02, compare.Improved))
	c.Verdict = compare.Regressed
	c.Services["go"] = compare.ServiceVerdict{Lang: plan.Go, Verdict: compare.Regressed}
	c.Services["rust"] = compare.ServiceVerdict{Lang: plan.Rust, Verdict: compare.Inconclusive}
	run.Trials, run.GoRuntimes = pageTrials(rng, run), goRuntimes(rng, run)
	return New(run, c, f.o), NewPage(run, pageGraphs(rng, run))
}

func pageTrials(rng *rand.Rand, run result.Run) []result.Trial {
	var out []result.Trial
	for round := range 9 {
		for i, w := range run.Plan.Workloads {
			for _, service := range []string{"go", "rust"} {
				for _, side := range []plan.Side{plan.Base, plan.Head} {
					t := newTrial(v(service, side), w.Name)
					t.Round = round + 1
					scale := map[string]float64{"go": 1, "rust": 0.45}[service] * (1 + 0.02*rng.NormFloat64()) * (1 + float64(i))
					if service == "go" && side == plan.Head && i == 0 {
						scale *= 1.07
					}
					for range 4000 {
						x := 350e-6 * scale * math.Exp(0.3*rng.NormFloat64())
						if rng.Float64() < 0.02 {
							x += 1e-3 * rng.ExpFloat64() * scale
						}
						t.Open.Latency.Record(time.Duration(x * float64(time.Second)))
					}
					t.Memory.PeakRSS += int64(1e5 * rng.NormFloat64())
					out = append(out, t)
				}
			}
		}
	}
	withCurves(out)
	for i := range out { // a collector's saw-tooth
		for j := range out[i].Memory.Curve {
			p := &out[i].Memory.Curve[j]
			if out[i].Variant.Service == "go" {
				p.RSS -= int64(9e5 * float64(j%9) / 9 * rng.Float64())
			}
		}
	}
	return out
}

func goRuntimes(rng *rand.Rand, run result.Run) []result.GoRuntime {
	var out []result.GoRuntime
	for _, side := range []plan.Side{plan.Head, plan.Base} {
		for _, w := range run.Plan.Workloads {
			g := result.GoRuntime{Variant: v("go", side), Workload: w.Name, Requests: 60_000, Seconds: 24, GCCycles: 412, GCCPUShare: 0.031,
				HeapLive: 4_100_000, AllocObjects: 1_164_000, AllocBytes: 98_000_000, Goroutines: 14}
			for range 824 {
				g.GCPauses.Record(time.Duration(22_000 * math.Exp(0.6*rng.NormFloat64())))
			}
			for range 50_000 {
				g.SchedLatency.Record(time.Duration(3_000 * math.Exp(1.1*rng.NormFloat64())))
			}
			out = append(out, g)
		}
	}
	return out
}

// pageGraphs are two services under three workloads, CPU and allocations.
func pageGraphs(rng *rand.Rand, run result.Run) []profdiff.Graph {
	var out []profdiff.Graph
	for _, service := range []string{"go", "rust"} {
		for _, w := range run.Plan.Workloads {
			out = append(out, newGraph(rng, service, w.Name, result.ProfileCPU, "s", 98.2e-6, 24_000, 1500),
				newGraph(rng, service, w.Name, result.ProfileAllocs, "objects", 19.4, 80_000, 1500),
				newGraph(rng, service, w.Name, result.ProfileAllocs, "B", 1640, 80_000, 1500))
		}
	}
	return out
}

// newGraph grows a graph of about so many frames that cost so much a request, from so many samples a side.
func newGraph(rng *rand.Rand, service, w string, kind result.ProfileKind, unit string, cost, samples float64, frames int) profdiff.Graph {
	g := profdiff.Graph{Service: service, Workload: w, Kind: kind, Unit: unit, Tool: "runtime/pprof", HasBase: true, HasHead: true, Samples: [2]int64{int64(samples), int64(samples * 1.04)}}
	chain := []string{"runtime.goexit", "net/http.(*Server).Serve.gowrap3", "net/http.(*conn).serve", "net/http.serverHandler.ServeHTTP", "net/http.(*ServeMux).ServeHTTP", "net/http.HandlerFunc.ServeHTTP"}
	if service == "rust" {
		chain = nil
		for i := range 34 {
			chain = append(chain, fmt.Sprintf("tokio::runtime::scheduler::current_thread::Context::run_task::{{closure}}#%d", i))
		}
		chain = append(chain, "<axum::routing::route::RouteFuture<E> as core::future::future::Future>::poll")
	}
	grower := grower{rng: rng, rust: service == "rust", least: 1 / float64(frames), sample: cost / samples}
	root := profdiff.Frame{}
	own := grower.grow(0.83*cost, cost, 0, true)
	own.Name, own.File, own.Line, own.Own = "github.com/acme/shortener/cmd/server.(*API).handle", "cmd/server/api.go", 41, true
	if grower.rust {
		own.Name, own.File = "server::api::handle::{{closure}}", "server/src/api.rs"
	}
	if service == "go" && w == "url-shortener" {
		own = grower.planted(own)
	}
	below := own
	for _, name := range slices.Backward(chain) {
		below = grower.finish(profdiff.Frame{Name: name, Calls: []profdiff.Frame{below, grower.grow(0.002*cost, cost, 30, false)}})
	}
	collector := grower.grow(0.17*cost, cost, 30, false)
	collector.Name = "runtime.gcBgMarkWorker"
	if grower.rust {
		collector.Name = "mio::poll::Poll::poll"
	}
	root.Calls = []profdiff.Frame{below, collector}
	g.Root = grower.finish(root)
	return g
}

type grower struct {
	rng    *rand.Rand
	rust   bool
	least  float64 // of the whole
	sample float64 // what one sample is worth
	made   int
}

// grow makes a frame of about so much cost and what it calls.
func (g *grower) grow(cost, whole float64, depth int, own bool) profdiff.Frame {
	g.made++
	f := g.named(own)
	left := cost
	for n := 1 + g.rng.IntN(4); n > 0 && left > 1.5*g.least*whole && depth < 45; n-- {
		part := left * (0.25 + 0.6*g.rng.Float64())
		if n == 1 {
			part = left * 0.93
		}
		f.Calls = append(f.Calls, g.grow(part, whole, depth+1, own && g.rng.Float64() < 0.7))
		left -= part
	}
	f.Base, f.Head = left, left*(1+0.03*g.rng.NormFloat64())
	switch {
	case own && g.made%41 == 0:
		f.Head *= 1.8
	case own && g.made%67 == 0:
		f.Head = 0
		for i := range f.Calls {
			f.Calls[i] = gone(f.Calls[i])
		}
	case own && g.made%83 == 0:
		f.Head *= 0.4
	}
	return g.finish(f)
}

// planted makes one function under the handler dearer, and another vanish.
func (g *grower) planted(f profdiff.Frame) profdiff.Frame {
	largest := &f.Calls[0]
	for _, c := range f.Calls {
		f.Base, f.Head = f.Base-c.Base, f.Head-c.Head
	}
	for i := range largest.Calls {
		switch i {
		case 0:
			largest.Calls[i] = g.dearer(largest.Calls[i], 1.35)
		case 1:
			largest.Calls[i] = g.dearer(largest.Calls[i], 0.8)
		}
	}
	largest.Calls = append(largest.Calls, gone(profdiff.Frame{Name: "fmt.Sprintf", Base: f.Base * 0.9, Calls: []profdiff.Frame{{Name: "fmt.(*pp).doPrintf", Base: f.Base * 0.7}}}))
	var base, head float64
	for _, c := range largest.Calls {
		base, head = base+c.Base, head+c.Head
	}
	largest.Base, largest.Head = base, head
	largest.Z = (head - base) / math.Sqrt((head+base)*g.sample)
	return g.finish(f)
}

func (g *grower) dearer(f profdiff.Frame, by float64) profdiff.Frame {
	f.Head *= by
	f.Z = (f.Head - f.Base) / math.Sqrt((f.Head+f.Base)*g.sample)
	for i := range f.Calls {
		f.Calls[i] = g.dearer(f.Calls[i], by)
	}
	return f
}

// gone is a frame that head has no longer.
func gone(f profdiff.Frame) profdiff.Frame {
	f.Head, f.Z = 0, -9
	for i := range f.Calls {
		f.Calls[i] = gone(f.Calls[i])
	}
	return f
}

// finish adds what is called to a frame's own cost.
func (g *grower) finish(f profdiff.Frame) profdiff.Frame {
	for _, c := range f.Calls {
		f.Base, f.Head = f.Base+c.Base, f.Head+c.Head
	}
	if sum := f.Base + f.Head; sum > 0 {
		f.Z = (f.Head - f.Base) / math.Sqrt(sum*g.sample)
	}
	slices.SortStableFunc(f.Calls, func(a, b profdiff.Frame) int { return int(math.Copysign(1, b.Base+b.Head-a.Base-a.Head)) })
	return f
}

func (g *grower) named(own bool) profdiff.Frame {
	n := g.rng.IntN(90)
	packages := []string{"encoding/json", "github.com/jackc/pgx/v5/pgconn", "runtime", "strconv", "net/textproto", "bufio", "sync", "internal/poll"}
	methods := []string{"(*Store).Lookup", "(*decodeState).object", "mallocgc", "(*Writer).Flush", "appendInt", "(*Conn).Exec", "parse", "(*Mutex).Lock", "memmove"}
	switch {
	case own && g.rust:
		return profdiff.Frame{Name: fmt.Sprintf("server::store::Store<T>::lookup_%d", n), File: fmt.Sprintf("server/src/store_%d.rs", n%7), Line: 10 + n, Own: true}
	case own:
		return profdiff.Frame{Name: fmt.Sprintf("github.com/acme/shortener/internal/store%d.(*Store).Lookup%d", n%7, n), File: fmt.Sprintf("internal/store%d/store.go", n%7), Line: 10 + n, Own: true}
	case g.rust:
		return profdiff.Frame{Name: fmt.Sprintf("<alloc::vec::Vec<T, A> as core::iter::traits::collect::Extend<T%d>>::extend", n)}
	}
	return profdiff.Frame{Name: packages[n%len(packages)] + "." + methods[n%len(methods)] + fmt.Sprint(n)}
}
