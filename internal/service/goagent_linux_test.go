package service

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/pprof/profile"

	"github.com/duet-bench/duet/internal/goagent"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/sandbox"
)

// profiledService is the service of testdata/profiled, built with an agent, where every uid can run it.
func profiledService(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(folder(t), "profiled")
	text, err := builtService()
	check(t, err)
	check(t, os.WriteFile(binary, text, 0o755))
	return binary
}

// profiledVariable names the binary where it cannot be built: the user that TestWithoutRoot plays has no Go.
const profiledVariable = "PROFILED_SERVICE"

// builtService builds it, once.
var builtService = sync.OnceValues(func() ([]byte, error) {
	if binary := os.Getenv(profiledVariable); binary != "" {
		return os.ReadFile(binary)
	}
	return agentInside("testdata/profiled")
})

// agentInside builds the program in a folder with an agent that does nothing until it is asked to.
func agentInside(folder string) ([]byte, error) {
	main, err := filepath.Abs(folder)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "duet-service")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	source, list, binary := filepath.Join(dir, "agent.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "service")
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(main, goagent.FileName): source}})
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.WriteFile(source, goagent.Source(""), 0o644), os.WriteFile(list, text, 0o644)); err != nil {
		return nil, err
	}
	build := exec.Command("go", "build", "-overlay", list, "-o", binary, ".")
	build.Dir = main
	if output, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, output)
	}
	return os.ReadFile(binary)
}

// withAgent starts the service with an agent that is asked for wants.
func withAgent(t *testing.T, wants GoWants, args ...string) (*GoAgent, *Service) {
	t.Helper()
	g := NewGoAgent(wants)
	s := spec(t, profiledService(t))
	s.Service.Run = args
	s.Wrap = g.Wrap(s.Box, s.Service.Env)
	return g, started(t, s)
}

// window profiles some requests.
func window(t *testing.T, p Profiler, s *Service, load ...string) map[result.ProfileKind]*profile.Profile {
	t.Helper()
	check(t, p.Begin(t.Context(), s))
	for _, path := range load {
		get(t, s, path)
	}
	collected, err := p.End(t.Context(), s)
	check(t, err)
	all := map[result.ProfileKind]*profile.Profile{}
	for _, c := range collected {
		all[c.Kind], err = profile.ParseData(c.PProf)
		check(t, err)
		for _, sample := range all[c.Kind].Sample {
			if where := strings.Join(stack(sample), " "); strings.Contains(where, goagent.Prefix) {
				t.Errorf("%s: holds the agent's own %s", c.Kind, where)
			}
		}
	}
	return all
}

// stack is the names of a sample's functions, the leaf first.
func stack(s *profile.Sample) (names []string) {
	for _, l := range s.Location {
		for _, line := range l.Line {
			names = append(names, line.Function.Name)
		}
	}
	return names
}

// under sums a column of the samples with a function on the stack; "" is any.
func under(p *profile.Profile, column int, function string) (sum int64) {
	for _, s := range p.Sample {
		if function == "" || slices.Contains(stack(s), function) {
			sum += s.Value[column]
		}
	}
	return sum
}

func TestGoAgentCPU(t *testing.T) {
	g, s := withAgent(t, GoCPU)
	check(t, g.Attach(t.Context(), s))
	if _, err := g.Metrics(t.Context(), s); err == nil {
		t.Error("counters without a window")
	}
	for turn := range 2 {
		all := window(t, g, s, "/burn?n=600", "/contend", "/contend", "/collect")
		cpu := all[result.ProfileCPU]
		if got, whole := under(cpu, 1, "main.burn"), under(cpu, 1, ""); got < whole/2 || got < int64(200*time.Millisecond) {
			t.Errorf("window %d: %v of %v of CPU in main.burn, want most of 600 ms", turn, time.Duration(got), time.Duration(whole))
		}
		if got := under(all[result.ProfileBlock], 1, "main.contend"); got < int64(time.Millisecond) {
			t.Errorf("window %d: %v blocked in main.contend, want some 4 ms", turn, time.Duration(got))
		}
		if all[result.ProfileMutex] == nil {
			t.Errorf("window %d: no mutex profile", turn)
		}
		if got := under(all[result.ProfileGoroutine], 0, "main.main"); got != 1 {
			t.Errorf("window %d: %d goroutines in main.main, want 1", turn, got)
		}
		c, err := g.Metrics(t.Context(), s)
		check(t, err)
		r := c.Runtime(plan.Variant{Service: "go"}, "w", 4)
		if c.GCCycles < 1 || c.GCPauses.Count() < 1 || c.SchedLatency.Count() < 50 || r.AllocObjects < 400 || r.HeapLive < 10_000 || r.Goroutines < 2 ||
			r.Seconds <= 0 || r.GCCPUShare < 0 || r.GCCPUShare > 1 || len(c.Missing) > 0 {
			t.Errorf("window %d: counters %+v, %d pauses, %d latencies", turn, c, c.GCPauses.Count(), c.SchedLatency.Count())
		}
	}
	if got, err := os.ReadFile(filepath.Join(s.spec.Box.Logs(), "service.log")); err != nil || len(got) > 0 {
		t.Errorf("the service printed %q, %v", got, err)
	}
}

func TestGoAgentAllocations(t *testing.T) {
	g, s := withAgent(t, GoAllocations)
	check(t, g.Attach(t.Context(), s))
	for turn, n := range []int64{1000, 250} {
		load := fmt.Sprintf("/allocate?n=%d", n)
		all := window(t, g, s, load, "/keep?n=10", load)
		objects, bytes := under(all[result.ProfileAllocs], 0, "main.allocate"), under(all[result.ProfileAllocs], 1, "main.allocate")
		if objects != 2*n || bytes != 2*n*48 {
			t.Errorf("window %d: %d objects and %d bytes from main.allocate, want %d and %d", turn, objects, bytes, 2*n, 2*n*48)
		}
		inUse := under(all[result.ProfileHeap], 1, "main.keep")
		if want := int64(turn+1) * 10 << 16; inUse < want || inUse > want+1<<16 {
			t.Errorf("window %d: %d bytes in use from main.keep, want %d and their list", turn, inUse, want)
		}
	}
	c, err := g.Metrics(t.Context(), s)
	check(t, err)
	if c.AllocObjects < 500 || c.AllocObjects > 100_000 { // exactly: no processor may keep some to itself
		t.Errorf("%d objects in the last window, want 500 and what the requests take", c.AllocObjects)
	}
}

// Contention that the service counts itself goes on being counted, at its own rate.
func TestGoAgentMutex(t *testing.T) {
	g, s := withAgent(t, GoCPU)
	check(t, g.Attach(t.Context(), s))
	p := g.processes[0]
	fraction := func(ask string) (was string) {
		check(t, g.with(t.Context(), s, p, func(c *agentConn) error {
			text, err := c.ask(goagent.Mutex+" "+ask, wordsLimit)
			was = string(text)
			return err
		}))
		return was
	}
	fraction("1")
	all := window(t, g, s, "/contend", "/burn?n=20")
	if got := under(all[result.ProfileMutex], 0, ""); got < 10 {
		t.Errorf("%d waits for a mutex, want some 200", got)
	}
	if got := fraction("-1"); got != "1" {
		t.Errorf("the service's rate is %s afterwards, want its own", got)
	}
}

// What the service's processes do counts, wherever it is done.
func TestGoAgentProcesses(t *testing.T) {
	g, s := withAgent(t, GoCPU, "parent")
	check(t, g.Attach(t.Context(), s))
	if len(g.processes) != 2 {
		t.Errorf("found %d agents, want the parent's and the child's", len(g.processes))
	}
	all := window(t, g, s, "/burn?n=300")
	if got := under(all[result.ProfileCPU], 1, "main.burn"); got < int64(100*time.Millisecond) {
		t.Errorf("%v in main.burn, want most of 300 ms", time.Duration(got))
	}
}

// A namespace, a box with a long path, and a process that executed itself anew are no obstacle.
func TestGoAgentReached(t *testing.T) {
	n := private(t)
	for name, change := range map[string]func(*Spec){
		"a network of its own": func(s *Spec) { s.NetNS = n },
		"executed anew":        func(s *Spec) { s.Service.Run = []string{"again"} },
		"long path": func(s *Spec) {
			box, err := sandbox.New(sandbox.Options{Name: "go@head", Dir: filepath.Join(folder(t), strings.Repeat("long", 30)), Isolate: true})
			check(t, err)
			t.Cleanup(func() { check(t, box.Close()) })
			s.Box = box
		},
	} {
		if name == "a network of its own" && n == nil {
			continue
		}
		g, sp := NewGoAgent(GoCPU), spec(t, profiledService(t))
		sp.Service.Run = nil
		change(&sp)
		sp.Wrap = g.Wrap(sp.Box, nil)
		if err := g.Attach(t.Context(), started(t, sp)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// private is a network, where Duet may make one.
func private(t *testing.T) *Namespace {
	t.Helper()
	if !sandbox.Probe().Namespaces || !sandbox.Probe().Root {
		return nil
	}
	n, err := NewNamespace()
	check(t, err)
	t.Cleanup(func() { n.Close() })
	return n
}

// TestGoAgentRefusals: every way in which the agent may not be there is an error that says so.
func TestGoAgentRefusals(t *testing.T) {
	plain := program(t)
	elsewhere := filepath.Join(folder(t), "s")
	l, err := net.Listen("unix", elsewhere)
	check(t, err)
	defer l.Close()
	check(t, os.Chmod(elsewhere, 0o777))
	for _, c := range []struct {
		wants GoWants
		args  []string
		want  string
	}{
		{GoAllocations, []string{"own-rate"}, "it sets runtime.MemProfileRate to 4096 itself"},
		{GoCPU, []string{"shell", plain, "role", "serve"}, "the service replaced itself by " + plain},
		{GoCPU, []string{"forgets"}, "started itself anew without the variable DUET_AGENT"},
		{GoCPU, []string{"removes"}, "it made no socket in TMPDIR, or the service removed it"},
		{GoCPU, []string{"stranger", elsewhere}, "is no socket"},
	} {
		g, s := withAgent(t, c.wants, c.args...)
		if err := g.Attach(t.Context(), s); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %q", c.args, err, c.want)
		}
	}
	text, err := os.ReadFile(plain) // knows the mark, as a test of agents does
	check(t, err)
	check(t, os.Remove(plain)) // it runs
	check(t, os.WriteFile(plain, bytes.ReplaceAll(text, []byte(goagent.Mark), []byte(strings.ToUpper(goagent.Mark))), 0o755))
	g, sp := NewGoAgent(GoCPU), spec(t, plain, "serve")
	sp.Wrap = g.Wrap(sp.Box, nil)
	if err := g.Attach(t.Context(), started(t, sp)); err == nil || !strings.Contains(err.Error(), "there is none in the binary program") {
		t.Errorf("a binary without an agent: got %v", err)
	}
}

// A socket in the agent's place that another process listens on is not spoken to.
func TestGoAgentStranger(t *testing.T) {
	g, s := withAgent(t, GoCPU, "removes")
	path := goagent.Socket(filepath.Join(s.spec.Box.Tmp(), agentName), s.process.Pid())
	l, err := net.Listen("unix", path)
	check(t, err)
	defer l.Close()
	if err := g.Attach(t.Context(), s); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("process %d of uid %d listens", os.Getpid(), os.Getuid())) {
		t.Errorf("got %v", err)
	}
}

func TestGoAgentInTheWay(t *testing.T) {
	t.Run("own profile", func(t *testing.T) {
		g, s := withAgent(t, GoCPU, "own-profile")
		check(t, g.Attach(t.Context(), s))
		if err := g.Begin(t.Context(), s); err == nil || !strings.Contains(err.Error(), "beginning to profile go@head: asking for cpu-start: the service takes a CPU profile of itself") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("ends the profile", func(t *testing.T) {
		g, s := withAgent(t, GoCPU)
		check(t, g.Attach(t.Context(), s))
		check(t, g.Begin(t.Context(), s))
		get(t, s, "/stop-profile")
		get(t, s, "/burn?n=700")
		if _, err := g.End(t.Context(), s); err == nil || !strings.Contains(err.Error(), errNoSamples.Error()) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("dies", func(t *testing.T) {
		g, s := withAgent(t, GoCPU)
		check(t, g.Attach(t.Context(), s))
		check(t, g.Begin(t.Context(), s))
		s.HTTP().Get("http://" + s.Host() + "/crash")
		<-s.process.Done()
		if _, err := g.End(t.Context(), s); err == nil || !strings.Contains(err.Error(), "go@head ended while it was measured: killed by SIGKILL") {
			t.Errorf("got %v", err)
		}
	})
}

func TestEndpoint(t *testing.T) {
	sp := spec(t, profiledService(t))
	sp.Service.Run = nil
	s := started(t, sp) // its agent sleeps
	e := NewEndpoint("/pprof", 3*time.Second, result.ProfileCPU, result.ProfileAllocs, result.ProfileHeap, result.ProfileGoroutine, result.ProfileMutex)
	check(t, e.Attach(t.Context(), s))
	all := window(t, e, s, "/burn?n=700")
	if got := under(all[result.ProfileCPU], 1, "main.burn"); got == 0 { // how much of it fits into the profile is up to the machine
		t.Error("nothing in main.burn, want some of 700 ms")
	}
	if len(all) != 5 {
		t.Errorf("got %d profiles, want 5", len(all))
	}
	if _, err := e.End(t.Context(), s); err == nil {
		t.Error("ended a window that was not open")
	}
	for path, want := range map[string]string{
		"/nowhere": "GET /nowhere/profile?seconds=1: status 404",
		"/burn":    "GET /burn/profile?seconds=1: status 404",
	} {
		if err := NewEndpoint(path, time.Second, result.ProfileCPU).Attach(t.Context(), s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
	if err := NewEndpoint("/pprof", time.Second, "nothing").Attach(t.Context(), s); err == nil || !strings.Contains(err.Error(), "status 404") {
		t.Errorf("got %v", err)
	}
}
