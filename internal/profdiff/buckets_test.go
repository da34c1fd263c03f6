package profdiff

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

func TestBuckets(t *testing.T) {
	const service, allocator, collector, scheduler = result.BucketService, result.BucketAllocator, result.BucketCollector, result.BucketScheduler
	check := func(lang plan.Lang, name, want string) {
		t.Helper()
		if got := matcherFor(lang).bucket(normalise(name)); got != want {
			t.Errorf("%s %s: got %s, want %s", lang, name, got, want)
		}
	}
	check(plan.Go, "main.(*app).serve", service)
	check(plan.Go, "main.schedule", service)
	check(plan.Go, "runtime.memmove", service)
	check(plan.Go, "runtime.newproc1", service)
	check(plan.Go, "runtime.mapassign_faststr", service)
	check(plan.Go, "syscall.Syscall", service)
	check(plan.Go, "runtime.findRunnable'2", scheduler)
	check(plan.Go, "runtime.futex.abi0", scheduler)
	check(plan.Go, "runtime.startm.func1", scheduler)
	check(plan.Go, "runtime.(*timers).check", scheduler)
	check(plan.Go, "runtime.(*timer).modify", service)
	check(plan.Go, "runtime.gcDrain", collector)
	check(plan.Go, "gcWriteBarrier", collector)
	check(plan.Go, "runtime.(*sweepLocked).sweep.(*mheap).freeSpan.func2", collector)
	check(plan.Go, "runtime.typeAssert", collector)
	check(plan.Go, "runtime.(*mcache).prepareForSweep", collector)
	check(plan.Go, "runtime.(*mcache).refill", allocator)
	check(plan.Go, "runtime.mallocgcSmallScanNoHeaderSC3", allocator)
	check(plan.Go, "runtime.growslice", allocator)

	check(plan.Rust, "core::fmt::write", service)
	check(plan.Rust, "__memcpy_avx_unaligned_erms", service)
	check(plan.Rust, "runtime.gcDrain", service)
	check(plan.Rust, "tokio::runtime::scheduler::multi_thread::worker::Context::run_task", service)
	check(plan.Rust, "<tokio::runtime::scheduler::multi_thread::worker::Context>::park_internal", scheduler)
	check(plan.Rust, "tokio::runtime::time::<impl tokio::runtime::time::handle::Handle>::process_at_time", scheduler)
	check(plan.Rust, "<tokio::runtime::time::handle::Handle>::process_at_time", scheduler)
	check(plan.Rust, "<tokio::time::sleep::Sleep as core::future::future::Future>::poll", service)
	check(plan.Rust, "epoll_wait", scheduler)
	check(plan.Rust, "parking_lot_core::parking_lot::park", scheduler)
	check(plan.Rust, "__rustc::__rdl_alloc", allocator)
	check(plan.Rust, "_RNvCsfLfy6EI15iL_7___rustc12___rust_alloc", allocator)
	check(plan.Rust, "_int_free_merge_chunk", allocator)
	check(plan.Rust, "unlink_chunk.constprop.0", allocator)
	check(plan.Rust, "_rjem_malloc", allocator)
	check(plan.Rust, "malloc_stats_of_mine", service)

	check("other", "malloc", service)
}

func TestNormalise(t *testing.T) {
	check := func(name, want string) {
		t.Helper()
		if got := normalise(name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	check("main.fib'2", "main.fib")
	check("'2", "'2")
	check("f'", "f'")
	check("f'2x", "f'2x")
	check("<&'a T>::f", "<&'a T>::f")
	check("core::fmt::write::h0123456789abcdef", "core::fmt::write")
	check("core::fmt::write::h0123456789abcdef'12", "core::fmt::write")
	check("core::fmt::write::h0123456789abcdeX", "core::fmt::write::h0123456789abcdeX")
	check("_ZN4core3fmt5write17h0123456789abcdefE", "core::fmt::write")
	check("_RNvCsfLfy6EI15iL_7___rustc12___rust_alloc", "__rustc::__rust_alloc")
	check("_Zero", "_Zero")
	check("runtime.futex.abi0", "runtime.futex")
}

func TestAllocations(t *testing.T) {
	check := func(lang plan.Lang, want int64, functions ...Function) {
		t.Helper()
		if got := Allocations(Dump{Functions: functions}, lang); got != want {
			t.Errorf("%s %v: got %d, want %d", lang, functions, got, want)
		}
	}
	called := func(name string, n int64) Function { return Function{Name: name, Calls: n} }
	check(plan.Go, 9, called("runtime.mallocgc", 5), called("runtime.mallocgcTiny", 2), called("runtime.mallocgcLarge", 3),
		called("runtime.mallocgcSmallScanNoHeaderSC7", 4), called("runtime.mallocgcSmallNoscanReuse", 1))
	check(plan.Rust, 7, called("__rustc::__rust_alloc", 4), called("__rustc::__rust_alloc_zeroed", 1),
		called("__rustc::__rust_no_alloc_shim_is_unstable_v2", 5), called("__rustc::__rust_realloc", 2), called("malloc", 99))
	check(plan.Rust, 6, called("__rustc::__rust_no_alloc_shim_is_unstable_v2", 6), called("_rjem_malloc", 6))
	check(plan.Rust, 5, called("malloc", 2), called("realloc", 2), called("posix_memalign", 1), called("free", 4))
	check("other", 0, called("malloc", 2))
}

// A symbol that the Go in use no longer has fails here, before it silently falls to the service. Symbols are looked for
// in the runtime's source, which has those of every platform and those that a small program does not link; most must
// be in the table of a real program as well, or the source is not what runs.
func TestGoTableNamesTheRuntime(t *testing.T) {
	declared := runtimeFunctions(t)
	linked := programSymbols(t)
	var symbols, found int
	for _, g := range goTable() {
		for _, symbol := range g.symbols {
			start, isStart := strings.CutSuffix(symbol, "*")
			if !has(declared, start, isStart) && !has(linked, start, isStart) {
				t.Errorf("%s (%s): the runtime of the Go in use has no such function", symbol, g.bucket)
			}
			symbols++
			if has(linked, start, isStart) {
				found++
			}
		}
	}
	if found < symbols*2/3 {
		t.Errorf("a program has %d of the table's %d symbols, expected two thirds", found, symbols)
	}
	var entries int
	for name := range linked {
		if isGoAllocation(name) {
			entries++
		}
	}
	if entries < 5 {
		t.Errorf("a program has %d entry points of the allocator, expected at least 5", entries)
	}
	for name := range linked {
		if strings.HasPrefix(name, "runtime.mallocgc") && !isGoAllocation(name) && name != "runtime.mallocgc" && name != "runtime.mallocgcSmallNoscanReuse" {
			t.Errorf("%s: is this an entry point of the allocator? isGoAllocation does not know it", name)
		}
	}
}

func has(names map[string]bool, text string, isStart bool) bool {
	if !isStart {
		return names[text]
	}
	for name := range names {
		if strings.HasPrefix(name, text) {
			return true
		}
	}
	return false
}

// programSymbols are the functions of a small HTTP program, as the Go in use links it.
func programSymbols(t *testing.T) map[string]bool {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module small\n\ngo 1.24\n")
	write("main.go", `package main

import "net/http"

func main() { http.ListenAndServe("127.0.0.1:0", nil) }
`)
	runGo(t, dir, "build", "-o", "small", ".")
	names := map[string]bool{}
	for _, line := range strings.Split(runGo(t, dir, "tool", "nm", "small"), "\n") {
		if fields := strings.Fields(line); len(fields) == 3 && strings.EqualFold(fields[1], "t") {
			names[strings.TrimSuffix(fields[2], ".abi0")] = true
		}
	}
	return names
}

func runGo(t *testing.T, dir string, args ...string) string {
	t.Helper()
	command := exec.Command("go", args...)
	command.Dir = dir
	command.Env = append(os.Environ(), "GOOS=linux", "GOFLAGS=", "GOWORK=off")
	text, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("go %v: %v: %s", args, err, text)
	}
	return string(text)
}

// runtimeFunctions are the functions that the sources of the Go in use declare, by their symbols.
func runtimeFunctions(t *testing.T) map[string]bool {
	t.Helper()
	root := filepath.Join(strings.TrimSpace(runGo(t, ".", "env", "GOROOT")), "src")
	names := map[string]bool{}
	for _, dir := range []string{"runtime", "internal/runtime", "sync", "internal/poll"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || strings.HasSuffix(path, "_test.go") {
				return err
			}
			if strings.HasSuffix(path, ".go") {
				goFunctions(t, root, path, names)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	assembly, err := os.ReadFile(filepath.Join(root, "runtime", "asm_amd64.s"))
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile(`(?m)^TEXT (\w+)<>`).FindAllSubmatch(assembly, -1) {
		names[string(match[1])] = true
	}
	return names
}

func goFunctions(t *testing.T, root, path string, names map[string]bool) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.Rel(root, filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, declaration := range file.Decls {
		if f, ok := declaration.(*ast.FuncDecl); ok {
			names[filepath.ToSlash(dir)+"."+receiver(f)+f.Name.Name] = true
		}
	}
}

func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	kind := f.Recv.List[0].Type
	if pointer, ok := kind.(*ast.StarExpr); ok {
		if name, ok := pointer.X.(*ast.Ident); ok {
			return "(*" + name.Name + ")."
		}
	}
	if name, ok := kind.(*ast.Ident); ok {
		return name.Name + "."
	}
	return ""
}
