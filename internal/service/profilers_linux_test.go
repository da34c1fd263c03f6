package service

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/pprof/profile"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// Manifests of the service under profilers.
const (
	manifest    = "[package]\nname = \"profiled\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n"
	leanProfile = "[profile.release]\nstrip = true\nlto = \"fat\"\npanic = \"abort\"\n"
)

// withNames is how a binary to be profiled is built (see internal/build).
var withNames = [...]string{"CARGO_PROFILE_RELEASE_DEBUG=1", "CARGO_PROFILE_RELEASE_STRIP=none"}

// cargo builds the service and returns where any uid can run it.
func cargo(t testing.TB, text string, environ ...string) string {
	t.Helper()
	source, target := t.TempDir(), t.TempDir()
	check(t, os.CopyFS(source, os.DirFS("testdata/profiled")))
	check(t, os.WriteFile(filepath.Join(source, "Cargo.toml"), []byte(text), 0o644))
	command := exec.Command("cargo", "build", "--release", "--quiet", "--offline")
	command.Dir = source
	command.Env = append(append(os.Environ(), "CARGO_TARGET_DIR="+target), environ...)
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("cargo build: %v\n%s", err, output)
	}
	built, err := filepath.Glob(target + "/release/profiled")
	check(t, err)
	if len(built) == 0 {
		built, err = filepath.Glob(target + "/*/release/profiled")
		check(t, err)
	}
	to := filepath.Join(folder(t), "profiled")
	text2, err := os.ReadFile(built[0])
	check(t, err)
	check(t, os.WriteFile(to, text2, 0o755))
	return to
}

// under starts a binary under a profiler that is inside when it returns.
func underProfiler(t testing.TB, p Profiler, binary string, args ...string) *Service {
	t.Helper()
	s := unattached(t, p, binary, args...)
	check(t, p.Attach(t.Context(), s))
	return s
}

func unattached(t testing.TB, p Profiler, binary string, args ...string) *Service {
	t.Helper()
	box := newBox(t)
	return started(t, Spec{
		Variant: plan.Variant{Service: "rust", Side: plan.Head}, Box: box, Binary: binary,
		Service: plan.Service{Run: args}, Wrap: p.Wrap(box, nil),
	})
}

// window is what a profiler sees of requests.
func windowOf(t *testing.T, p Profiler, s *Service, load func()) map[result.ProfileKind]*seen {
	t.Helper()
	check(t, p.Begin(t.Context(), s))
	load()
	all, err := p.End(t.Context(), s)
	check(t, err)
	found := map[result.ProfileKind]*seen{}
	for _, c := range all {
		parsed, err := profile.ParseData(c.PProf)
		check(t, err)
		if found[c.Kind] != nil {
			t.Errorf("%s twice", c.Kind)
		}
		found[c.Kind] = &seen{t: t, p: parsed, notes: strings.Join(c.Notes, "\n")}
	}
	return found
}

// busy asks for a path until the service has spent that much CPU time on it.
func busy(t *testing.T, s *Service, spend time.Duration, paths ...string) {
	t.Helper()
	before, err := s.CPU()
	check(t, err)
	for {
		for _, path := range paths {
			get(t, s, path)
		}
		now, err := s.CPU()
		check(t, err)
		if now-before >= spend {
			return
		}
	}
}

// seen is a profile under test.
type seen struct {
	t     *testing.T
	p     *profile.Profile
	notes string
}

// self is the share of value i that was sampled in a function itself, inlined ones too.
func (s *seen) self(function string, i int) float64 {
	return s.share(i, func(stack []profile.Line) bool { return stack[0].Function.Name == function })
}

// with is the share of stacks on which a function is called by another, directly.
func (s *seen) with(function, caller string, i int) float64 {
	return s.share(i, func(stack []profile.Line) bool {
		for at := range stack[1:] {
			if stack[at].Function.Name == function && stack[at+1].Function.Name == caller {
				return true
			}
		}
		return false
	})
}

// on is the share of stacks that a function is on.
func (s *seen) on(part string, i int) float64 {
	return s.share(i, func(stack []profile.Line) bool {
		for _, line := range stack {
			if strings.Contains(line.Function.Name, part) {
				return true
			}
		}
		return false
	})
}

func (s *seen) share(i int, counts func([]profile.Line) bool) float64 {
	var part, all float64
	for _, sample := range s.p.Sample {
		var stack []profile.Line // the innermost first
		for _, l := range sample.Location {
			stack = append(stack, l.Line...)
		}
		all += float64(sample.Value[i])
		if len(stack) > 0 && counts(stack) {
			part += float64(sample.Value[i])
		}
	}
	return part / all
}

func (s *seen) total(i int) (all int64) {
	for _, sample := range s.p.Sample {
		all += sample.Value[i]
	}
	return all
}

// atLeast checks a share.
func (s *seen) atLeast(what string, got, want float64) {
	s.t.Helper()
	if !(got >= want) {
		s.t.Errorf("%s: got a share of %.2f, want at least %.2f of\n%s", what, got, want, s.p)
	}
}

// line says where a function's lines lie.
func (s *seen) line(function string) (file string, lines []int64) {
	for _, l := range s.p.Location {
		for _, line := range l.Line {
			if line.Function.Name == function {
				file = line.Function.Filename
				lines = append(lines, line.Line)
			}
		}
	}
	return file, lines
}

func gperftools(t *testing.T, want Want) *Gperftools {
	t.Helper()
	g, err := FindGperftools(want)
	check(t, err)
	return g
}

func TestGperftoolsCPU(t *testing.T) {
	for name, text := range map[string]string{"plain": manifest, "lean": manifest + leanProfile} {
		t.Run(name, func(t *testing.T) {
			g := gperftools(t, WantCPU)
			s := underProfiler(t, g, cargo(t, text, withNames[:]...))
			busy(t, s, 50*time.Millisecond, "/plain") // outside of any window
			first := windowOf(t, g, s, func() { busy(t, s, time.Second, "/plain", "/inlined", "/inlined") })[result.ProfileCPU]
			first.atLeast("plain", first.self("profiled::work::deep::plain", 0), 0.1)
			first.atLeast("inlined", first.self("profiled::work::deep::inlined", 0), 0.2)
			first.atLeast("inlined in its caller", first.with("profiled::work::deep::inlined", "profiled::work::deep::caller", 0), 0.2)
			first.atLeast("serve", first.on("profiled::serve", 0), 0.8)
			if file, lines := first.line("profiled::work::deep::inlined"); !strings.HasSuffix(file, "src/main.rs") || lines[0] < 25 || lines[0] > 33 {
				t.Errorf("inlined: got %s:%v, want its lines of main.rs", file, lines)
			}
			if first.p.Period != int64(time.Second/cpuHertz) || first.p.SampleType[1].Unit != "nanoseconds" || strings.Contains(first.notes, "it has no") {
				t.Errorf("got a period of %d, %v, notes %q", first.p.Period, first.p.SampleType, first.notes)
			}
			second := windowOf(t, g, s, func() { busy(t, s, 500*time.Millisecond, "/plain") })[result.ProfileCPU]
			second.atLeast("plain in a window of its own", second.self("profiled::work::deep::plain", 0), 0.8)
		})
	}
}

func TestGperftoolsAllocations(t *testing.T) {
	g := gperftools(t, WantAllocations)
	s := underProfiler(t, g, cargo(t, manifest+leanProfile, withNames[:]...))
	const requests = 20
	ask := func() {
		for range requests {
			get(t, s, "/allocate")
		}
	}
	ask()
	for range 2 {
		all := windowOf(t, g, s, ask)
		allocs, inUse := all[result.ProfileAllocs], all[result.ProfileHeap]
		if allocs == nil || inUse == nil || len(all) != 2 {
			t.Fatalf("got %v, want allocations and what is in use", all)
		}
		// 1,000 boxes of 96 bytes and 9 steps of a growing vector are fill's; the forgotten box of 1,000 bytes stays.
		fill := "profiled::work::Store<T>::fill"
		objects := allocs.share(0, func(stack []profile.Line) bool { return has(stack, fill) }) * float64(allocs.total(0))
		if objects < 1000*requests || objects > 1020*requests {
			t.Errorf("fill: got %.0f objects in %d requests, want 1,000 to 1,020 each of\n%s", objects, requests, allocs.p)
		}
		bytes := allocs.share(1, func(stack []profile.Line) bool { return has(stack, fill) }) * float64(allocs.total(1))
		if perRequest := bytes / requests; perRequest < 96_000 || perRequest > 130_000 {
			t.Errorf("fill: got %.0f bytes a request", perRequest)
		}
		kept := inUse.share(1, func(stack []profile.Line) bool { return has(stack, "profiled::answer") }) * float64(inUse.total(1))
		if kept < 2*requests*1000 {
			t.Errorf("in use: got %.0f bytes of answer's, want %d at least of\n%s", kept, 2*requests*1000, inUse.p)
		}
	}
}

func has(stack []profile.Line, function string) bool {
	for _, line := range stack {
		if line.Function.Name == function {
			return true
		}
	}
	return false
}

func TestProfilersRefuse(t *testing.T) {
	binary := cargo(t, manifest, withNames[:]...)
	t.Run("not loaded", func(t *testing.T) {
		g := gperftools(t, WantCPU)
		s := unattached(t, &Perf{}, binary) // without the library
		wants(t, g.Attach(t.Context(), s), "profiling rust@head with gperftools", "libprofiler", "not in its process")
		wants(t, g.Begin(t.Context(), s), "waits for signal 12")
		check(t, s.Alive())
	})
	t.Run("the service has a SIGPROF handler", func(t *testing.T) {
		g := gperftools(t, WantCPU)
		s := underProfiler(t, g, binary, "takes-sigprof")
		check(t, g.Begin(t.Context(), s))
		busy(t, s, 300*time.Millisecond, "/plain")
		_, err := g.End(t.Context(), s)
		wants(t, err, "its profile is empty", "handles SIGPROF itself")
		check(t, s.Alive())
	})
	t.Run("the service gave the signal back", func(t *testing.T) {
		g := gperftools(t, WantCPU)
		s := unattached(t, g, binary, "gives-sigusr2-back")
		wants(t, g.Attach(t.Context(), s), "waits for signal 12")
		wants(t, g.Begin(t.Context(), s), "waits for signal 12")
		check(t, s.Alive())
	})
	t.Run("the service dies", func(t *testing.T) {
		g := gperftools(t, WantCPU)
		s := underProfiler(t, g, binary)
		check(t, g.Begin(t.Context(), s))
		s.HTTP().Get("http://" + s.Host() + "/crash")
		until(t, "it is dead", func() bool { return s.Alive() != nil })
		_, err := g.End(t.Context(), s)
		wants(t, err, "may not bear the profiler", "killed by SIGABRT")
	})
	t.Run("an idle window", func(t *testing.T) {
		g := gperftools(t, WantCPU)
		s := underProfiler(t, g, binary)
		check(t, g.Begin(t.Context(), s))
		_, err := g.End(t.Context(), s)
		wants(t, err, "its profile is empty: the window had")
	})
	t.Run("no symbols", func(t *testing.T) {
		g := gperftools(t, WantCPU)
		s := underProfiler(t, g, cargo(t, manifest+leanProfile))
		found := windowOf(t, g, s, func() { busy(t, s, 500*time.Millisecond, "/plain") })[result.ProfileCPU]
		found.atLeast("the binary", found.self("[profiled]", 0), 0.8)
		wantsText(t, found.notes, "stripped")
	})
}

func wants(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("got no error, want one that has %q", parts)
		return
	}
	wantsText(t, err.Error(), parts...)
}

func wantsText(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("got %q, want %q in it", text, part)
		}
	}
}

// static builds the service as a binary that loads no library, as one for musl is.
func static(t *testing.T) string {
	t.Helper()
	host := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH] + "-unknown-linux-gnu"
	return cargo(t, manifest, append(withNames[:], "CARGO_BUILD_TARGET="+host, "RUSTFLAGS=-C target-feature=+crt-static")...)
}

func TestProfilersFor(t *testing.T) {
	dynamic := cargo(t, manifest)
	p := ProfilersFor(dynamic, nil)
	if len(p.CPU) == 0 || p.CPU[0].Tool() != "gperftools" || len(p.Allocations) != 1 || len(p.Notes) != 0 {
		t.Errorf("got %+v, want gperftools first and no notes", p)
	}
	p = ProfilersFor(dynamic, map[string]string{"LD_PRELOAD": "/usr/lib/libjemalloc.so.2"})
	if len(p.Allocations) != 0 {
		t.Errorf("got %+v, want no allocations beside jemalloc", p)
	}
	wantsText(t, strings.Join(p.Notes, "\n"), "no allocations by stack", "libjemalloc.so.2")

	p = ProfilersFor(static(t), nil)
	for _, one := range append(p.CPU, p.Allocations...) {
		if one.Tool() != "perf" {
			t.Errorf("got %s for a static binary", one.Tool())
		}
	}
	wantsText(t, strings.Join(p.Notes, "\n"), "a static binary loads no libraries", "no allocations by stack")

	p = ProfilersFor("testdata/profiled/src/main.rs", nil)
	wantsText(t, strings.Join(p.Notes, "\n"), "nothing can profile it")
}

// Where the kernel lets nobody look, that is what is checked.
func TestPerf(t *testing.T) {
	p, err := FindPerf()
	if err != nil {
		wantsText(t, err.Error(), "perf")
		return
	}
	s := underProfiler(t, p, static(t))
	for range 2 {
		found := windowOf(t, p, s, func() { busy(t, s, time.Second, "/plain", "/inlined", "/inlined") })[result.ProfileCPU]
		found.atLeast("plain", found.self("profiled::work::deep::plain", 0), 0.1)
		found.atLeast("inlined", found.self("profiled::work::deep::inlined", 0), 0.2)
		wantsText(t, found.notes, "frame pointers")
	}
	check(t, s.Stop(context.Background()))
	wants(t, p.Begin(t.Context(), s), "profiling rust@head with perf")
}
