package service

import (
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/stats"
)

// BenchmarkProfilers is how much more CPU time a request takes while a profiler looks, in the bundled pair:
// processes with and without it in turns, and a second one without it for what no profiler at all looks like.
// `go test -run - -bench Profilers -benchtime 30x -timeout 1h ./internal/service`
func BenchmarkProfilers(b *testing.B) {
	goBinary, rustBinary := bundledGo(b), bundledRust(b)
	for _, c := range []struct {
		name, binary string
		requests     int // of each process in each turn
		profiler     func() (Profiler, error)
	}{
		{"Go/CPU", goBinary, 1200, func() (Profiler, error) { return NewGoAgent(GoCPU), nil }},
		{"Go/allocations", goBinary, 200, func() (Profiler, error) { return NewGoAgent(GoAllocations), nil }},
		{"Rust/gperftools CPU", rustBinary, 3000, func() (Profiler, error) { return FindGperftools(WantCPU) }},
		{"Rust/gperftools allocations", rustBinary, 100, func() (Profiler, error) { return FindGperftools(WantAllocations) }},
		{"Rust/perf", rustBinary, 3000, func() (Profiler, error) { return FindPerf() }},
	} {
		for _, route := range []string{"/pipeline", "/health"} {
			b.Run(c.name+route, func(b *testing.B) {
				profiler, err := c.profiler()
				if err != nil && strings.HasSuffix(c.name, "perf") {
					b.Skip(err) // the kernel lets nobody look
				}
				check(b, err)
				overhead(b, profiler, c.binary, route, c.requests)
			})
		}
	}
}

// overhead reports the CPU time a request takes under a profiler, over that of a process without one: the mean of b.N turns
// and its 95 % interval, and the same of the second process without one.
func overhead(b *testing.B, profiler Profiler, binary, route string, requests int) {
	alone := NewEndpoint("", 0) // of no kind: nothing is asked
	looked := underProfiler(b, profiler, binary)
	first, second := underProfiler(b, alone, binary), underProfiler(b, alone, binary)
	spend := func(s *Service, p Profiler) float64 {
		check(b, p.Begin(b.Context(), s))
		before, err := s.CPU()
		check(b, err)
		for range requests {
			ask(b, s, route)
		}
		after, err := s.CPU()
		check(b, err)
		if _, err := p.End(b.Context(), s); err != nil && !strings.Contains(err.Error(), "empty") { // a short window
			b.Fatal(err)
		}
		return (after - before).Seconds() / float64(requests)
	}
	for _, s := range []*Service{first, second} {
		spend(s, alone)
	}
	spend(looked, profiler)
	var more, none []float64
	for turn := 0; b.Loop(); turn++ {
		var cost [3]float64
		for i := range cost {
			switch at := (turn + i) % len(cost); at {
			case 0:
				cost[at] = spend(first, alone)
			case 1:
				cost[at] = spend(second, alone)
			case 2:
				cost[at] = spend(looked, profiler)
			}
		}
		more, none = append(more, math.Log(cost[2]/cost[0])), append(none, math.Log(cost[1]/cost[0]))
	}
	report := func(name string, d []float64) {
		if e := stats.Estimated(d, stats.MethodFor(d, 0), 0); e.Outcome == stats.Sound {
			low, high := e.Interval(0.025)
			b.ReportMetric(math.Exp(e.Center), name)
			b.ReportMetric(math.Exp(low), name+"-low")
			b.ReportMetric(math.Exp(high), name+"-high")
		}
	}
	report("ratio", more)
	report("none", none)
}

// ask sends one request and reads its answer.
func ask(b *testing.B, s *Service, route string) {
	b.Helper()
	if route == "/health" {
		get(b, s, route)
		return
	}
	response, err := s.HTTP().Post("http://"+s.Host()+route, "application/json", strings.NewReader(records))
	check(b, err)
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	check(b, err)
	if response.StatusCode != 200 {
		b.Fatalf("%s: status %d", route, response.StatusCode)
	}
}

// records is a body of the bundled pair's /pipeline.
var records = func() string {
	var all []string
	for i := range 30 {
		all = append(all, fmt.Sprintf(`{"id":%d,"name":" alpha  beta O'Hara ","email":"a.%d@b.example.org","amount":%d,"quantity":3.25,"currency":"EUR","tags":["x","urgent","y","b2b"],"note":null}`, i+1, i, i+100))
	}
	return `{"records":[` + strings.Join(all, ",") + `]}`
}()

// bundledGo is the bundled Go service with an agent inside.
func bundledGo(b *testing.B) string {
	b.Helper()
	text, err := agentInside("../../examples/go/nethttp")
	check(b, err)
	binary := filepath.Join(folder(b), "nethttp")
	check(b, os.WriteFile(binary, text, 0o755))
	return binary
}

// bundledRust is the bundled Rust service.
func bundledRust(b *testing.B) string {
	b.Helper()
	target := b.TempDir()
	command := exec.Command("cargo", "build", "--release", "--quiet", "--locked")
	command.Dir = "../../examples/rust/axum"
	command.Env = append(os.Environ(), "CARGO_TARGET_DIR="+target)
	if output, err := command.CombinedOutput(); err != nil {
		b.Fatalf("cargo build: %v\n%s", err, output)
	}
	text, err := os.ReadFile(filepath.Join(target, "release", "axum"))
	check(b, err)
	binary := filepath.Join(folder(b), "axum")
	check(b, os.WriteFile(binary, text, 0o755))
	return binary
}
