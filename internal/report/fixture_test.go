package report

import (
	"fmt"
	"math"
	"time"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/workload"
)

const (
	headSHA = "4f1c2a9be07d5a8833c19d64f0b2e7a15c6d9e01"
	baseSHA = "9a0be51d3c7f42e6b8d1045f6a2c3b4d5e6f7081"
)

func v(service string, side plan.Side) plan.Variant {
	return plan.Variant{Service: service, Side: side}
}

// fixture is a run and what was concluded from it, made by hand: these tests are about words and layout.
type fixture struct {
	name string
	run  result.Run
	c    compare.Comparisons
	o    Options
}

// newRun is a sound run of the default pair under two workloads.
func newRun() result.Run {
	run := result.Run{
		Schema: result.Schema, Duet: "v0.1.0", State: result.Measured, Started: "2026-03-01T12:00:00Z", Seconds: 214.3, Attempt: 1,
		Plan: plan.Plan{
			Schema:    plan.Schema,
			Head:      plan.Commit{SHA: headSHA, Ref: "faster-links"},
			Base:      &plan.Commit{SHA: baseSHA, Ref: "main", Reason: "merge base with main", Behind: 3},
			Changed:   []string{"examples/go/nethttp/main.go"},
			Services:  map[plan.Variant]plan.Service{},
			Pairs:     []plan.Pair{{Name: "default", Go: "go", Rust: "rust"}},
			Workloads: []workload.Workload{{Name: "url-shortener", Version: 1}, {Name: "json-pipeline", Version: 1}},
			Margins:   map[string]float64{}, Ignore: []string{"**/*.md"},
			Policy: plan.Policy{Gate: plan.GateNever, Isolation: "basic", SelfHostedForks: "refuse"},
			Budget: 2 * time.Minute, Seed: 1, Rounds: plan.Rounds{Looks: []int{7, 11, 15}, Confirm: 7},
			Window: plan.Window{Trial: 2 * time.Second, Open: 1200 * time.Millisecond, Closed: 800 * time.Millisecond, Slice: 25 * time.Millisecond},
		},
		Machine: result.Machine{OS: "linux", Arch: "amd64", Kernel: "6.1.0", CPU: "AMD EPYC 7B13", Cores: 2, Memory: 25_200_000_000,
			Toolchains: map[string]string{"go": "go1.26.8", "rust": "rustc 1.95.0"}, Isolation: "basic: uid, no_new_privs, subreaper",
			Turns: "together", ClientCPU: "1", ServiceCPU: "0"},
		Parity:    &result.ParityResult{Requests: 1284, Differences: []result.Difference{}},
		Rates:     []result.OfferedRate{{Workload: "url-shortener", PerSecond: 2310}, {Workload: "json-pipeline", PerSecond: 412.5}},
		Durations: []result.StepDuration{{Step: "build", Seconds: 61.2}, {Step: "parity", Seconds: 2.1}, {Step: "calibrate", Seconds: 8}, {Step: "round", Seconds: 143}},
	}
	for _, service := range []string{"go", "rust"} {
		for _, side := range []plan.Side{plan.Base, plan.Head} {
			run.Plan.Services[v(service, side)] = plan.Service{Name: service, Lang: plan.Lang(service), Dir: "examples/" + service,
				Ready: plan.Ready{Path: "/health", Timeout: 10 * time.Second}}
			run.Builds = append(run.Builds, newBuild(v(service, side)))
			for _, w := range run.Plan.Workloads {
				run.Trials = append(run.Trials, newTrial(v(service, side), w.Name))
			}
		}
	}
	return run
}

func newBuild(variant plan.Variant) result.Build {
	b := result.Build{Variant: variant, CleanSeconds: 3.12, CleanCPU: 5.8, IncrementalSeconds: 0.61, IncrementalCPU: 0.9,
		BinaryBytes: 9_130_000, BinarySHA256: "aa", InputsSHA256: "bb", Dependencies: 7}
	if variant.Service == "rust" {
		b.CleanSeconds, b.CleanCPU, b.IncrementalSeconds, b.BinaryBytes, b.Dependencies = 41.3, 78, 4.82, 6_240_000, 48
	}
	if variant.Side == plan.Head {
		b.CleanSeconds *= 1.03
	}
	return b
}

func newTrial(variant plan.Variant, w string) result.Trial {
	scale := map[string]float64{"go": 1, "rust": 0.4}[variant.Service]
	t := result.Trial{Variant: variant, Workload: w, Phase: plan.Screen, Round: 7, ColdStart: 0.0123 * scale,
		Open:   result.Stage{Requests: 4000, Seconds: 2, CPUSeconds: 1.1 * scale, Offered: 2000, Achieved: 2000, LatenessP99: 22e-6, Slices: 100},
		Closed: result.Stage{Requests: 4000, Seconds: 0.4, CPUSeconds: 1.1 * scale, ClientCPUSeconds: 4000 * 6.4e-6},
		Memory: result.Memory{PeakRSS: int64(23_400_000 * scale), PeakPSS: int64(22_100_000 * scale),
			PeakPSSAnon: int64(17_600_000 * scale)}}
	return t
}

// withCurves gives every trial more samples of memory than a chart shows.
func withCurves(trials []result.Trial) {
	for i := range trials {
		m := &trials[i].Memory
		for j := range 65 {
			grown := int64(float64(m.PeakRSS) * (1 - math.Exp(-float64(j+5)/20)))
			m.Curve = append(m.Curve, result.MemoryPoint{At: float64(j) * 0.05, RSS: grown, PSS: grown, PSSAnon: grown / 2})
		}
	}
}

// row makes a comparison whose interval is ratio ± half, both as shares.
func row(service, w, metric string, base, ratio, half float64, verdict compare.Verdict) compare.Comparison {
	m, _ := result.MetricByName(metric)
	return compare.Comparison{
		Service: service, Workload: w, Metric: metric, Unit: m.Unit, Better: m.Better, Base: base, Head: base * ratio, Ratio: ratio,
		CI: compare.Interval{ratio - half, ratio + half}, Level: 0.967, Margin: m.Margin, Detectable: 2 * half, Noise: half,
		Rounds: 7, Confirmed: verdict == compare.Regressed || verdict == compare.Improved, Verdict: verdict,
	}
}

// unchanged is every row of a service under both workloads, none moved.
func unchanged(service string) []compare.Comparison {
	scale := map[string]float64{"go": 1, "rust": 0.45}[service]
	if scale == 0 {
		scale = 1
	}
	var out []compare.Comparison
	for i, w := range []string{"url-shortener", "json-pipeline"} {
		s := scale * float64(i*3+1)
		for _, x := range []struct {
			metric string
			base   float64
		}{{"cpu_per_request", 98.2e-6 * s}, {"p50", 412e-6 * s}, {"p90", 701e-6 * s}, {"p95", 930e-6 * s},
			{"throughput", 10_180 / s}, {"peak_rss", 23.4e6 * scale}, {"pss_anon", 17.6e6 * scale}, {"cold_start", 12.3e-3 * scale}} {
			out = append(out, row(service, w, x.metric, x.base, 0.998, 0.006, compare.Unchanged))
		}
		p99 := row(service, w, "p99", 1.9e-3*s, 1, 0, compare.NotJudged)
		p99.CI, p99.Ratio, p99.Noise, p99.Detectable, p99.Rounds, p99.Why = compare.Interval{}, 0, 0, 0, 0, "needs 10,000 requests, has 4,000"
		out = append(out, p99)
	}
	size := row(service, "", "binary_size", 9.13e6*scale, 1.0004, 0, compare.Unchanged)
	size.Rounds = 0
	return append(out, size)
}

// newComparisons is nothing moved, for both services.
func newComparisons() compare.Comparisons {
	c := compare.Comparisons{
		Verdict: compare.Unchanged,
		Services: map[string]compare.ServiceVerdict{
			"go":   {Lang: plan.Go, Verdict: compare.Unchanged},
			"rust": {Lang: plan.Rust, Verdict: compare.Unchanged},
		},
		Rows: append(unchanged("go"), unchanged("rust")...),
	}
	for _, w := range []string{"url-shortener", "json-pipeline"} {
		for i, metric := range []string{"cpu_per_request", "p50", "p99", "throughput", "peak_rss"} {
			at := 0.42 + 0.03*float64(i)
			c.Gaps = append(c.Gaps, compare.Gap{Pair: "default", Workload: w, Metric: metric, Base: at + 0.03, Head: at,
				HeadCI: compare.Interval{at - 0.01, at + 0.01}, Ratio: at / (at + 0.03), CI: compare.Interval{0.91, 0.97}})
		}
	}
	return c
}

// judge replaces the row of the same name and gives the service a verdict.
func judge(c *compare.Comparisons, r compare.Comparison) {
	for i, old := range c.Rows {
		if old.Service == r.Service && old.Workload == r.Workload && old.Metric == r.Metric {
			c.Rows[i] = r
		}
	}
	s := c.Services[r.Service]
	s.Verdict = r.Verdict
	c.Services[r.Service] = s
	c.Verdict = r.Verdict
}

// identicalRows are a service's rows where both sides are the same program.
func identicalRows(rows []compare.Comparison) []compare.Comparison {
	for i := range rows {
		rows[i].Base, rows[i].Ratio, rows[i].CI, rows[i].Noise, rows[i].Rounds = 0, 0, compare.Interval{}, 0, 0
		rows[i].Identical, rows[i].Verdict, rows[i].Detectable = true, compare.Unchanged, 0
	}
	return rows
}

// headRows are rows without a base.
func headRows(rows []compare.Comparison, why string) []compare.Comparison {
	rows = identicalRows(rows)
	for i := range rows {
		rows[i].Identical, rows[i].Verdict, rows[i].Why = false, compare.NotJudged, why
	}
	return rows
}

func only(rows []compare.Comparison, service string) []compare.Comparison {
	var out []compare.Comparison
	for _, r := range rows {
		if r.Service == service {
			out = append(out, r)
		}
	}
	return out
}

func logLines(n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("main.go:%d:2: undefined: lookup%d", i+10, i))
	}
	return out
}

// fixtures are the states of a report, one golden file set each.
func fixtures() []fixture {
	return append(measuredFixtures(), brokenFixtures()...)
}

func measuredFixtures() []fixture {
	regressed := fixture{name: "regressed", run: newRun(), c: newComparisons(), o: Options{Files: []string{".duet/run.json", ".duet/report.json", ".duet/comment.md"}}}
	regressed.run.Warnings = []string{"duet.yml was changed by head: workloads are head's for both sides"}
	withCurves(regressed.run.Trials)
	judge(&regressed.c, row("go", "url-shortener", "p50", 412e-6, 1.071, 0.012, compare.Regressed))
	worst := row("go", "url-shortener", "cpu_per_request", 98.2e-6, 1.079, 0.011, compare.Regressed)
	judge(&regressed.c, worst)
	regressed.c.Worst = &worst
	regressed.c.Services["rust"] = compare.ServiceVerdict{Lang: plan.Rust, Verdict: compare.Unchanged, Identical: true}
	regressed.c.Rows = append(only(regressed.c.Rows, "go"), identicalRows(unchanged("rust"))...)

	regressed.c.Why = whys()

	// In a job of GitHub Actions, of GitHub's test merge, and let through by a maintainer.
	accepted := fixture{name: "accepted", run: newRun(), c: regressed.c, o: Options{
		Key: ".github/workflows/duet.yml:duet.yml", Job: Job{ID: 123, Attempt: 2, URL: "https://github.com/o/r/actions/runs/123/attempts/2"},
		Accepted: Acceptance{By: "ann", Label: "duet-accept"},
	}}
	accepted.run.Plan.Head.MergeOf, accepted.run.Plan.Head.SHA = headSHA, "77aa01c4d5e6f708192a3b4c5d6e7f8091a2b3c4"
	improved := fixture{name: "improved", run: newRun(), c: newComparisons(), o: Options{}}
	judge(&improved.c, row("rust", "json-pipeline", "throughput", 5655, 1.093, 0.02, compare.Improved))

	inconclusive := fixture{name: "inconclusive", run: newRun(), c: newComparisons()}
	for _, metric := range []string{"p90", "p95"} {
		r := row("go", "json-pipeline", metric, 2.8e-3, 1.041, 0.11, compare.Inconclusive)
		r.MoreRounds = 9
		judge(&inconclusive.c, r)
	}
	inconclusive.run.Plan.Dropped = []plan.Dropped{{Workload: "health", Reason: "the budget of 2m has room for two workloads"}}
	inconclusive.run.Trials[0].Invalid = "achieved 1,210 of 2,310 requests a second"
	inconclusive.run.Trials[1].Open.Dropped = map[string]int{"stolen time": 12, "clock gap": 1}

	identical := fixture{name: "identical", run: newRun(), c: newComparisons()}
	identical.c.Rows = append(identicalRows(unchanged("go")), identicalRows(unchanged("rust"))...)
	for n, s := range identical.c.Services {
		s.Identical = true
		identical.c.Services[n] = s
	}
	for i := range identical.c.Gaps {
		identical.c.Gaps[i].Base, identical.c.Gaps[i].Ratio, identical.c.Gaps[i].CI = 0, 0, compare.Interval{}
	}
	return []fixture{regressed, accepted, improved, inconclusive, theCompiler(), identical, {name: "unchanged", run: newRun(), c: newComparisons()},
		withoutBase(), singleService(), headOnlyService(), manyServices(false), manyServices(true), mergedShards(true), mergedShards(false)}
}

// theCompiler is a Rust regression that a cross-check put down to inlining, in work and in time.
func theCompiler() fixture {
	f := fixture{name: "inlining", run: newRun(), c: newComparisons()}
	for _, metric := range []string{"instructions_callgrind", "cpu_per_request"} {
		r := row("rust", "json-pipeline", metric, 177e-6, 1.017, 0.003, compare.Inconclusive)
		r.Confirmed, r.Compiler, r.Why = true, true, compare.TheCompiler
		if metric == "instructions_callgrind" {
			r.Base, r.Head = 674_398, 685_863
			f.c.Rows = append(f.c.Rows, r)
		}
		judge(&f.c, r)
	}
	s := f.c.Services["rust"]
	s.Why = "json-pipeline · instructions (callgrind): " + compare.TheCompiler
	f.c.Services["rust"] = s
	f.c.Why = []compare.Why{{Service: "rust", Workload: "json-pipeline", Measure: "instructions", Base: 674_398, Head: 685_863, Smallest: 3372, Rounds: 7,
		Functions: []compare.Blamed{{Name: "duet_core::text::slug", File: "rust/core/src/text.rs", Line: 31, Last: 36, Base: 30_200, Head: 41_100, Delta: 10_900,
			CI: compare.Interval{10_850, 10_950}, Share: 0.95, Changed: compare.ChangedNo}},
		Cross:    "The compiler's inlining, not your code: with one codegen unit at both sides instructions change by +0.01 % [−0.02, +0.05]",
		Compiler: true}}
	for i, v := range []plan.Variant{v("rust", plan.Base), v("rust", plan.Head)} {
		f.run.Costs = append(f.run.Costs, result.Cost{Variant: v, Workload: "json-pipeline", Phase: plan.Screen, Round: 5, Requests: 100},
			result.Cost{Variant: v, Workload: "json-pipeline", Build: plan.OneUnit, Phase: plan.Cross, Round: 4, Requests: 100, Allocations: int64(i)})
	}
	return f
}

// whys are a regression with functions to blame, one with none, and one of time alone.
func whys() []compare.Why {
	return []compare.Why{
		{Service: "go", Workload: "url-shortener", Measure: "instructions", Base: 102_310, Head: 115_655, Smallest: 511.55, Rounds: 7,
			Words: "This explains less than half of it", Functions: []compare.Blamed{
				{Name: "shortener.(*Store).Lookup", File: "store/store.go", Line: 88, Last: 96, Base: 20_100, Head: 28_240, Delta: 8140,
					CI: compare.Interval{8010, 8260}, Share: 0.61, Changed: compare.ChangedYes},
				{Name: "shortener.clean", Was: "shortener.tidy", File: "store/a-folder-of-a-very-long-name/text.go", Line: 12, Base: 900, Head: 3_800, Delta: 2900,
					CI: compare.Interval{2890, 2910}, Share: 0.217, Changed: compare.ChangedNo},
				{Name: "main.serve", Via: "main.audit", File: "main.go", Line: 40, Last: 40, Base: 400, Head: 1_900, Delta: 1500, Share: 0.112, Changed: compare.ChangedYes},
				{Name: "net/http", Outside: true, Base: 9_000, Head: 9_600, Delta: 600, CI: compare.Interval{580, 620}, Share: 0.045},
			}},
		{Service: "go", Workload: "url-shortener", Measure: "allocations", Base: 19.4, Head: 21.4, Smallest: 0.097, Rounds: 7, Functions: []compare.Blamed{
			{Name: "main.audit", New: true, File: "main.go", Line: 51, Last: 52, Head: 2, Delta: 2, CI: compare.Interval{2, 2}, Exact: true, Share: 1, Changed: compare.ChangedYes}}},
		{Service: "go", Workload: "json-pipeline", Words: "Time was lost without more work (instructions (callgrind) unchanged within 0.2 %), so no function is to blame: waiting, locks, cache or the kernel"},
	}
}

// mergedShards is a run of three machines: one shard is missing, or two of its machines differ and all are there.
func mergedShards(missing bool) fixture {
	f := fixture{name: "merged", run: newRun(), c: newComparisons()}
	f.run.Plan.Workloads = append(f.run.Plan.Workloads, workload.Workload{Name: "search", Version: 1})
	other := f.run.Machine
	other.CPU, other.Isolation = "Intel Xeon", "container: duet (sha256:0)"
	f.run.Shards = []result.Shard{
		{Index: 1, Count: 3, Workloads: []string{"url-shortener"}, State: result.Measured, Seconds: 214.3, Machine: &f.run.Machine, Builds: f.run.Builds},
		{Index: 2, Count: 3, Workloads: []string{"json-pipeline"}, State: result.Measured, Seconds: 180, Machine: &other},
		{Index: 3, Count: 3, Workloads: []string{"search"}, State: result.Measured, Seconds: 190, Machine: &other},
	}
	if !missing {
		judge(&f.c, row("go", "json-pipeline", "cpu_per_request", 98.2e-6, 1.079, 0.011, compare.Regressed))
		worst := row("go", "json-pipeline", "cpu_per_request", 98.2e-6, 1.079, 0.011, compare.Regressed)
		f.c.Worst = &worst
	}
	for _, service := range []string{"go", "rust"} {
		r := row(service, "search", "cpu_per_request", 50e-6, 0.998, 0.006, compare.Unchanged)
		if missing {
			r = compare.Comparison{Service: service, Workload: "search", Metric: "cpu_per_request", Unit: r.Unit, Better: r.Better, Margin: r.Margin, Why: "shard 3 of 3 is missing"}
			f.c.Services[service] = compare.ServiceVerdict{Lang: plan.Lang(service), Verdict: compare.Inconclusive, Why: "search · CPU per request is not judged: shard 3 of 3 is missing"}
			f.c.Verdict = compare.Inconclusive
		}
		f.c.Rows = append(f.c.Rows, r)
	}
	if missing {
		f.name, f.run.Shards[2] = "merged-missing", result.Shard{Index: 3, Count: 3, Workloads: []string{"search"}, State: result.Missing}
	}
	return f
}

func withoutBase() fixture {
	f := fixture{name: "no-base", run: newRun(), c: newComparisons()}
	f.run.Plan.Base, f.run.Plan.NoBase = nil, "the history is shallow: no merge base with main"
	for _, service := range []string{"go", "rust"} {
		delete(f.run.Plan.Services, v(service, plan.Base))
		f.c.Services[service] = compare.ServiceVerdict{Lang: plan.Lang(service)}
	}
	f.c.Verdict = compare.NotJudged
	f.c.Rows = append(headRows(unchanged("go"), "no base"), headRows(unchanged("rust"), "no base")...)
	for i := range f.c.Gaps {
		f.c.Gaps[i].Base, f.c.Gaps[i].Ratio, f.c.Gaps[i].CI = 0, 0, compare.Interval{}
	}
	f.run.Builds = []result.Build{newBuild(v("go", plan.Head)), newBuild(v("rust", plan.Head))}
	return f
}

// manyServices is two pairs of a matrix, one service in both: at head alone, or with a base and one regression.
func manyServices(based bool) fixture {
	f := fixture{name: "many-services-head", run: newRun(), c: newComparisons()}
	services := []string{"fiber", "gin", "axum"}
	f.run.Plan.Order, f.run.Plan.Services, f.run.Builds, f.run.Trials = services, map[plan.Variant]plan.Service{}, nil, nil
	f.run.Plan.Pairs = []plan.Pair{{Name: "gin-axum", Go: "gin", Rust: "axum"}, {Name: "fiber-axum", Go: "fiber", Rust: "axum"}}
	f.c = compare.Comparisons{Services: map[string]compare.ServiceVerdict{}}
	sides := []plan.Side{plan.Head}
	if based {
		f.name, sides, f.c.Verdict = "many-services", []plan.Side{plan.Base, plan.Head}, compare.Regressed
	} else {
		f.run.Plan.Base, f.run.Plan.NoBase = nil, "none by wish (--base none)"
	}
	for i, service := range services {
		lang := plan.Go
		if service == "axum" {
			lang = plan.Rust
		}
		f.c.Services[service] = compare.ServiceVerdict{Lang: lang}
		rows := unchanged(service)
		if !based {
			rows = headRows(rows, "baseline: none (none by wish (--base none))")
		}
		f.c.Rows = append(f.c.Rows, rows...)
		for _, side := range sides {
			f.run.Plan.Services[v(service, side)] = plan.Service{Name: service, Lang: lang}
			b := newBuild(v(service, side))
			b.Settings = map[string]string{"GOAMD64": "v1", "CGO_ENABLED": "0"}
			if lang == plan.Rust {
				b.Settings = map[string]string{"codegen-units": "1", "panic": "unwind"}
			}
			f.run.Builds = append(f.run.Builds, b)
		}
		for _, w := range f.run.Plan.Workloads {
			s := compare.Standing{Service: service, Workload: w.Name, Metric: "throughput", Best: "fiber", Ratio: 1 - 0.08*float64(i)}
			s.CI = compare.Interval{s.Ratio - 0.02, s.Ratio + 0.02}
			if service == "axum" && w.Name == "json-pipeline" {
				continue // its answers differ
			}
			f.c.Standings = append(f.c.Standings, s)
		}
	}
	if based {
		worst := row("gin", "url-shortener", "p50", 412e-6, 1.071, 0.012, compare.Regressed)
		judge(&f.c, worst)
		f.c.Worst = &worst
	}
	return f
}

func singleService() fixture {
	f := fixture{name: "single-service", run: newRun(), c: newComparisons()}
	f.run.Plan.Pairs, f.run.Plan.Services = nil, map[plan.Variant]plan.Service{
		v("gateway", plan.Base): {Name: "gateway", Lang: plan.Go}, v("gateway", plan.Head): {Name: "gateway", Lang: plan.Go}}
	f.run.Builds = []result.Build{newBuild(v("gateway", plan.Base)), newBuild(v("gateway", plan.Head))}
	f.run.Parity, f.run.Trials = nil, nil
	f.c = compare.Comparisons{Verdict: compare.Regressed, Rows: unchanged("gateway"),
		Services: map[string]compare.ServiceVerdict{"gateway": {Lang: plan.Go}}}
	judge(&f.c, row("gateway", "url-shortener", "peak_rss", 23.4e6, 1.31, 0.02, compare.Regressed))
	return f
}

func headOnlyService() fixture {
	f := fixture{name: "head-only-service", run: newRun(), c: newComparisons()}
	delete(f.run.Plan.Services, v("rust", plan.Base))
	f.c.Services["rust"] = compare.ServiceVerdict{Lang: plan.Rust, Why: "no such service at base: head alone was measured"}
	f.c.Rows = append(unchanged("go"), headRows(unchanged("rust"), "no such service at base")...)
	for i := range f.c.Gaps {
		f.c.Gaps[i].Base, f.c.Gaps[i].Ratio, f.c.Gaps[i].CI = 0, 0, compare.Interval{}
	}
	return f
}

func brokenFixtures() []fixture {
	none := fixture{name: "nothing-changed", run: newRun()}
	none.run.State, none.run.Builds, none.run.Trials, none.run.Parity, none.run.Rates, none.run.Durations = result.NothingChanged, nil, nil, nil, nil, nil
	none.run.Plan.Changed = []string{}
	none.c = compare.Run(none.run)

	cancelled := fixture{name: "cancelled", run: newRun()}
	cancelled.run.State, cancelled.run.Trials, cancelled.run.Seconds = result.Cancelled, nil, 74.2
	cancelled.c = compare.Comparisons{Services: map[string]compare.ServiceVerdict{"go": {Lang: plan.Go}, "rust": {Lang: plan.Rust}}}

	running := fixture{name: "running", run: result.Run{Plan: plan.Plan{Head: plan.Commit{SHA: headSHA}}}, o: Options{State: Running, Key: ".github/workflows/duet.yml:1"}}
	superseded := fixture{name: "superseded", run: newRun(), c: newComparisons(), o: Options{State: Superseded, NewHead: "77aa01c4d5e6f708192a3b4c5d6e7f8091a2b3c4"}}
	return []fixture{none, cancelled, running, superseded,
		broken("build-failed-head", plan.Head, "building", "building go@head: go build: exit status 1", logLines(26)),
		broken("build-failed-base", plan.Base, "building", "building go@base: go build: exit status 1", logLines(3)),
		broken("start-failed", plan.Head, "starting", "starting go@head: /health gave no good answer within 10 s", []string{"listen tcp :8080: bind: address already in use"}),
		broken("crashed", plan.Head, "measuring", "measuring go@head url-shortener round 3: exited with status 2", []string{"panic: runtime error: index out of range [3] with length 3", "goroutine 17 [running]:"}),
		parityFailed(false), parityFailed(true)}
}

// broken is a run in which one Go variant failed and Rust was measured.
func broken(title string, side plan.Side, doing, message string, tail []string) fixture {
	f := fixture{name: title, run: newRun(), c: newComparisons()}
	f.run.Failures = []result.Failure{{Variant: v("go", side), Step: doing, Error: message, LogTail: tail}}
	for i, b := range f.run.Builds {
		if doing == "building" && b.Variant == v("go", side) {
			f.run.Builds[i] = result.Build{Variant: b.Variant, Error: message, LogTail: tail}
		}
	}
	f.run.State = result.NotMeasured
	f.c.Verdict = compare.NotJudged
	if side == plan.Base {
		f.run.State, f.c.Verdict = result.Measured, compare.Unchanged
	}
	f.c.Services["go"] = compare.ServiceVerdict{Lang: plan.Go, Why: "could not be measured"}
	f.c.Rows, f.c.Gaps = only(f.c.Rows, "rust"), nil
	f.run.Parity = nil
	return f
}

func parityFailed(broke bool) fixture {
	f := fixture{name: "parity-failed", run: newRun(), c: newComparisons()}
	f.c.Gaps = nil
	if broke {
		f.name, f.c.ParityBroke = "parity-broke", true
	}
	f.run.Parity.Total, f.c.Withheld = 4, []string{"default"}
	for i := range 4 {
		f.run.Parity.Differences = append(f.run.Parity.Differences, result.Difference{A: v("go", plan.Head), B: v("rust", plan.Head),
			Workload: "url-shortener", Request: fmt.Sprintf("GET /links/%d", i), What: "body",
			Diff: []string{" {", fmt.Sprintf(`-  "hits": %d,`, i+1), fmt.Sprintf(`+  "hits": "%d",`, i+1), " }"}})
	}
	return f
}
