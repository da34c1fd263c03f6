package claims

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/workload"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestTheRule(t *testing.T) {
	inf := math.Inf(1)
	for _, c := range []struct {
		band      Band
		low, high float64
		want      Outcome
	}{
		{more(), 1.01, 1.2, Holds},
		{more(), 0.9, 0.99, DoesNotHold},
		{more(), 0.99, 1.2, CannotBeTold},
		{more(), 1, 1.2, CannotBeTold}, // equal is not more
		{more(), 0.9, 1, DoesNotHold},
		{Band{1.45, 1.55}, 1.46, 1.54, Holds},
		{Band{1.45, 1.55}, 1.45, 1.55, Holds},
		{Band{1.45, 1.55}, 1.05, 1.15, DoesNotHold},
		{Band{1.45, 1.55}, 1.6, 1.7, DoesNotHold},
		{Band{1.45, 1.55}, 1.4, 1.5, CannotBeTold},
		{Band{1.45, 1.55}, 1.5, 1.6, CannotBeTold},
		{Band{1.45, 1.55}, 1.2, 1.8, CannotBeTold}, // wider than the claim
		{Band{30, 60}, 60, 60, Holds},
		{Band{30, 60}, 61, 61, DoesNotHold},
		// what is no interval tells nothing
		{more(), 0, 0, CannotBeTold},
		{more(), 0, inf, CannotBeTold},
		{more(), 1.1, inf, CannotBeTold},
		{more(), math.NaN(), math.NaN(), CannotBeTold},
		{more(), 2, 1.5, CannotBeTold},
	} {
		if got := c.band.Hold(compare.Interval{c.low, c.high}); got != c.want {
			t.Errorf("[%g, %g] against %s: %s, want %s", c.low, c.high, c.band, got, c.want)
		}
	}
}

func TestARowContradictsAClaim(t *testing.T) {
	for _, c := range []struct {
		rows []Outcome
		want Outcome
	}{
		{nil, CannotBeTold},
		{[]Outcome{Holds}, Holds},
		{[]Outcome{Holds, Holds}, Holds},
		{[]Outcome{Holds, CannotBeTold}, CannotBeTold},
		{[]Outcome{CannotBeTold, DoesNotHold}, DoesNotHold},
		{[]Outcome{Holds, DoesNotHold, Holds}, DoesNotHold},
	} {
		claim := Claim{Outcome: Holds}
		for _, o := range c.rows {
			claim.Rows = append(claim.Rows, Row{Outcome: o})
		}
		if claim.settle(); claim.Outcome != c.want {
			t.Errorf("%v: %s, want %s", c.rows, claim.Outcome, c.want)
		}
	}
}

func TestNarrowed(t *testing.T) {
	above, below, astride, none := compare.Interval{1.1, 1.2}, compare.Interval{0.8, 0.9}, compare.Interval{0.9, 1.1}, compare.Interval{}
	for _, c := range []struct {
		quotient, product compare.Interval
		want              Outcome
	}{
		{above, above, Holds}, {below, below, Holds}, // Rust ahead, Go ahead
		{above, below, DoesNotHold}, {below, above, DoesNotHold},
		{astride, above, CannotBeTold}, {above, astride, CannotBeTold}, {none, none, CannotBeTold}, {none, above, CannotBeTold},
	} {
		if got := narrowed(c.quotient, c.product); got != c.want {
			t.Errorf("%v %v: %s, want %s", c.quotient, c.product, got, c.want)
		}
	}
}

// speed is how much faster than nethttp a service of the synthetic run is.
var speed = map[string]float64{
	"nethttp": 1, "gin": 0.95, "fiber": 1.25, "echo": 0.96, "chi": 0.98, "axum": 1.30, "actix": 1.375, "rocket": 0.9,
}

var order = []string{"nethttp", "gin", "fiber", "echo", "chi", "axum", "actix", "rocket"}

func langOf(service string) plan.Lang {
	if slices.Contains([]string{"axum", "actix", "rocket"}, service) {
		return plan.Rust
	}
	return plan.Go
}

// synthetic is a run of all eight services under some workloads, in which a service's figures are its speed's times a
// wobble of so much from round to round; gap is how much of the difference in speed a workload shows.
func synthetic(rounds int, wobble float64, gap map[string]float64, workloads ...string) result.Run {
	run := result.Run{
		Schema: result.Schema, Duet: "0.1.0", State: result.Measured, Started: "2026-03-01T12:00:00Z", Seconds: 962,
		Plan: plan.Plan{
			Schema: plan.Schema, Head: plan.Commit{SHA: "4f1c2a9be07d5a8833c19d64f0b2e7a15c6d9e01"}, NoBase: "none by wish (--base none)",
			Services: map[plan.Variant]plan.Service{}, Order: order, Seed: 1, Budget: 6 * time.Minute, Margins: map[string]float64{},
			Rounds: plan.Rounds{Looks: []int{7}}, Window: plan.Window{Trial: time.Second, Open: 600 * time.Millisecond, Closed: 400 * time.Millisecond, Slice: 25 * time.Millisecond},
		},
		Machine: result.Machine{OS: "linux", Arch: "amd64", Kernel: "6.1.0", CPU: "AMD EPYC 7B13", Cores: 2, Memory: 25_200_000_000,
			Toolchains: map[string]string{"go": "go1.26.8", "rust": "rustc 1.95.0"}, Isolation: "basic: uid, no_new_privs, subreaper",
			Turns: "together", ClientCPU: "1", ServiceCPU: "0"},
		Parity: &result.ParityResult{Requests: 2100, Differences: []result.Difference{}},
	}
	for i, service := range order {
		v := plan.Variant{Service: service, Side: plan.Head}
		lang := langOf(service)
		run.Plan.Services[v] = plan.Service{Name: service, Lang: lang, Dir: "examples/" + string(lang) + "/" + service}
		b := result.Build{Variant: v, CleanSeconds: 10 + float64(i), CleanCPU: 18 + float64(i), IncrementalSeconds: 0.7, IncrementalCPU: 1, BinaryBytes: 9_000_000, Dependencies: 8 + i,
			Settings: map[string]string{"CGO_ENABLED": "0"}}
		if lang == plan.Rust {
			b.CleanSeconds, b.CleanCPU, b.IncrementalSeconds, b.IncrementalCPU, b.Dependencies = 100, 190, 12, 20, 50+10*(i-5)
			b.Settings = map[string]string{"codegen-units": "1"}
		}
		run.Builds = append(run.Builds, b)
	}
	for _, a := range order[:5] {
		for _, b := range order[5:] {
			run.Plan.Pairs = append(run.Plan.Pairs, plan.Pair{Name: a + "-" + b, Go: a, Rust: b})
		}
	}
	for _, name := range workloads {
		run.Plan.Workloads = append(run.Plan.Workloads, workload.Workload{Name: name, Version: 1})
		run.Rates = append(run.Rates, result.OfferedRate{Workload: name, PerSecond: 5000})
		for round := 1; round <= rounds; round++ {
			for i, service := range order {
				share, ok := gap[name]
				if !ok {
					share = 1
				}
				// Each service is off by another amount in each round, and by nothing over all of them.
				x := math.Pow(speed[service], share) * math.Exp(wobble*math.Sin(float64(2*i)+2*math.Pi*float64(round)/float64(rounds)))
				memory := 20e6
				if langOf(service) == plan.Rust {
					memory = 8e6
					x *= math.Exp(2 * wobble * math.Cos(2*math.Pi*float64(round)/float64(rounds))) // or a mean over services loses it
				}
				trial := result.Trial{
					Variant: plan.Variant{Service: service, Side: plan.Head}, Workload: name, Phase: plan.Screen, Round: round, ColdStart: 0.02 / x,
					Open:   result.Stage{Requests: 3000, Seconds: 0.6, CPUSeconds: 3000 * 60e-6 / x, Offered: 5000, Achieved: 5000},
					Closed: result.Stage{Requests: 8000, Seconds: 0.4 / x, CPUSeconds: 8000 * 50e-6 / x},
					Memory: result.Memory{PeakRSS: int64(memory / x), PeakPSS: int64(memory / x), PeakPSSAnon: int64(0.6 * memory / x)},
				}
				trial.Open.Latency.Record(time.Duration(200e3 / x))
				run.Trials = append(run.Trials, trial)
			}
		}
	}
	return run
}

func claim(t *testing.T, p Page, says string) Claim {
	t.Helper()
	for _, c := range p.Claims {
		if strings.Contains(c.Says, says) {
			return c
		}
	}
	t.Fatalf("no claim says %q", says)
	return Claim{}
}

func TestClaims(t *testing.T) {
	all := []string{"health", "json-pipeline", "url-shortener", "db-query"}
	quiet := New(synthetic(7, 0.002, map[string]float64{"json-pipeline": 0.4, "db-query": 1.5}, all...), Extras{}, nil)
	noisy := New(synthetic(7, 0.5, nil, all...), Extras{}, nil)
	short := New(synthetic(6, 0.002, nil, all...), Extras{}, nil)
	for _, c := range []struct {
		says                string
		quiet, noisy, short Outcome
	}{
		{"more requests a second than Fiber", Holds, CannotBeTold, CannotBeTold},
		{"1.5 times", DoesNotHold, CannotBeTold, CannotBeTold},
		{"1.1 times", Holds, CannotBeTold, CannotBeTold},
		{"The gap narrows", DoesNotHold, CannotBeTold, CannotBeTold},
		{"less memory", Holds, Holds, CannotBeTold}, // far from both ends
		{"p99 is better", Holds, CannotBeTold, CannotBeTold},
		{"p99.9 is better", Holds, CannotBeTold, CannotBeTold},
		{"less CPU", Holds, CannotBeTold, CannotBeTold},
		{"compiles in 2–5 minutes", Holds, Holds, Holds},
		{"incremental", Holds, Holds, Holds},
		{"30–60 crates", DoesNotHold, DoesNotHold, DoesNotHold}, // rocket has 70
		{"5–15 modules", Holds, Holds, Holds},
		{"Gin outperforms Actix", DoesNotHold, CannotBeTold, CannotBeTold},
		{"10–15 % more", DoesNotHold, CannotBeTold, CannotBeTold}, // 1.375 ÷ 1.30 = 1.06
		{"highest raw throughput", Holds, CannotBeTold, CannotBeTold},
		{"Rocket has fallen behind", Holds, CannotBeTold, CannotBeTold},
		{"hello world", CannotBeTold, CannotBeTold, CannotBeTold}, // nothing was counted
		{"2 KB", CannotBeTold, CannotBeTold, CannotBeTold},
	} {
		for _, p := range []struct {
			name string
			page Page
			want Outcome
		}{{"quiet", quiet, c.quiet}, {"noisy", noisy, c.noisy}, {"six rounds", short, c.short}} {
			if got := claim(t, p.page, c.says); got.Outcome != p.want {
				t.Errorf("%s: %q %s, want %s: %+v", p.name, c.says, got.Outcome, p.want, got.Rows)
			}
		}
	}
	rows := claim(t, quiet, "The gap narrows").Rows
	if rows[0].Outcome != Holds || rows[1].Outcome != DoesNotHold {
		t.Errorf("json-pipeline has 0.4 of the gap and db-query 1.5 of it: %+v", rows)
	}
}

// What a run lacks cannot be told, and the page says why.
func TestMissing(t *testing.T) {
	run := synthetic(7, 0.002, nil, "health", "db-query")
	run.Stopped = map[string]string{"db-query": "no PostgreSQL"}
	run.Plan.Dropped = []plan.Dropped{{Workload: "url-shortener", Reason: "the budget of 1m has no room"}}
	run.Trials = slices.DeleteFunc(run.Trials, func(t result.Trial) bool { return t.Workload == "db-query" || t.Variant.Service == "rocket" })
	run.Failures = []result.Failure{{Variant: plan.Variant{Service: "rocket", Side: plan.Head}, Step: "starting", Error: "no answer | <b>`x`"}}
	for i := range run.Trials {
		run.Trials[i].Open.Requests = 1000
	}
	p := New(run, Extras{Why: "no such commit"}, nil)
	for says, why := range map[string]string{
		"Rocket has fallen":     "rocket does not start at head",
		"less CPU":              "rocket does not start at head",
		"p99 is better":         "nethttp has 7000 requests: p99 needs 10000",
		"Gin outperforms Actix": "left out: the budget of 1m has no room",
		"The gap narrows":       "no PostgreSQL",
	} {
		c := claim(t, p, says)
		if c.Outcome != CannotBeTold || !slices.ContainsFunc(c.Rows, func(r Row) bool { return r.Why == why }) {
			t.Errorf("%q %s, want %q: %+v", says, c.Outcome, why, c.Rows)
		}
	}
	page := Markdown(p)
	for _, want := range []string{"no answer ' 'b''x'", "Lines were not counted: no such commit", "db-query"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	if strings.Contains(page, "<b>") {
		t.Error("a service's words are markup")
	}
	empty := New(result.Run{State: result.Cancelled}, Extras{}, nil)
	for _, c := range empty.Claims {
		if c.Outcome != CannotBeTold {
			t.Errorf("of an empty run %q %s", c.Says, c.Outcome)
		}
	}
	if page := Markdown(empty); !strings.Contains(page, `**The run is "cancelled"**`) {
		t.Error("the page of a cancelled run does not say so")
	}
}

// Services that answer differently are not held against each other.
func TestUnlike(t *testing.T) {
	run := synthetic(7, 0.002, nil, "health")
	for _, a := range order[:5] {
		run.Parity.Differences = append(run.Parity.Differences, result.Difference{
			A: plan.Variant{Service: a, Side: plan.Head}, B: plan.Variant{Service: "actix", Side: plan.Head}, Workload: "health", What: "body"})
	}
	run.Parity.Total = len(run.Parity.Differences)
	p := New(run, Extras{}, nil)
	for _, says := range []string{"more requests a second than Fiber", "10–15 % more", "less CPU"} {
		if c := claim(t, p, says); c.Outcome != CannotBeTold || !strings.Contains(c.Rows[0].Why, "do not answer alike") {
			t.Errorf("%q: %+v", says, c.Rows)
		}
	}
	if c := claim(t, p, "highest raw throughput"); c.Outcome != Holds { // the Go services agree with axum, and so with each other
		t.Errorf("%+v", c.Rows)
	}
}

// The page of a recorded run, byte for byte.
func TestGolden(t *testing.T) {
	path := filepath.Join("testdata", "run.json")
	if *update {
		text, err := result.Encode(synthetic(7, 0.01, map[string]float64{"json-pipeline": 0.5}, "health", "json-pipeline"))
		if err != nil {
			t.Fatal(err)
		}
		write(t, path, text)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	run, err := result.Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	extras := Extras{Lines: map[string]Lines{"gin": {120, 900}, "axum": {110, 1000}}, Hello: map[string]int{"gin": 12, "axum": 11},
		Goroutine: Goroutine{Count: 10_000, Stack: 2048, Whole: 2500, Go: "go1.26.8"}}
	got := Markdown(New(run, extras, []string{"--budget", "6m0s", "--seed", "1"}))
	golden := filepath.Join("testdata", "claims.md")
	if *update {
		write(t, golden, []byte(got))
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("claims.md differs (-want +got; -update rewrites it):\n%s", diff)
	}
	for i, line := range strings.Split(got, "\n") {
		if strings.HasPrefix(line, "|") && !strings.HasSuffix(line, "|") {
			t.Errorf("line %d is half a row: %s", i+1, line)
		}
	}
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestCountLines(t *testing.T) {
	for _, c := range []struct {
		file, source string
		want         int
	}{
		{"a.go", "// Package a.\npackage a\n\n/* one\n\ntwo */\nfunc f() {} // tail\n/* x */ var y int\n", 3},
		{"a_test.go", "package a\n", 0},
		{"a.go", "//go:build plants\n\npackage a\nvar x int\n", 0},
		{"a.go", "//go:build !plants && linux\n\npackage a\nvar x int\n", 2},
		{"a.rs", "//! Doc.\nuse x;\n\nfn f() {}\n#[cfg(test)]\nmod tests {\n    fn t() {}\n}\n", 2},
		{"a.rs", "#[cfg(test)]\nuse x;\nfn f() {}\n", 3},
		{"src/plants.rs", "fn f() {}\n", 0},
		{"Cargo.toml", "[package]\n", 0},
	} {
		if got := CountLines(c.file, c.source); got != c.want {
			t.Errorf("%s %q: %d lines, want %d", c.file, c.source, got, c.want)
		}
	}
}

// The same run gives the same page, whether it was read from run.json or not.
func TestPure(t *testing.T) {
	run := synthetic(7, 0.01, nil, "health")
	text, err := json.Marshal(run)
	if err != nil {
		t.Fatal(err)
	}
	var read result.Run
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	if a, b := fmt.Sprint(Markdown(New(run, Extras{}, nil))), Markdown(New(read, Extras{}, nil)); a != b {
		t.Error(cmp.Diff(a, b))
	}
}
