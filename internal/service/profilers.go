package service

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/duet-bench/duet/internal/symbols"
)

// Want is what a profiler is to collect.
type Want int

// A CPU profiler slows a service by little, one that sees every allocation by much: they are passes of their own.
const (
	WantCPU         Want = iota // result.ProfileCPU
	WantAllocations             // result.ProfileAllocs and result.ProfileHeap
)

// Profilers are what can look into a program from outside, the best first. Each is for one process at a time.
type Profilers struct {
	CPU         []Profiler // none: Notes say why
	Allocations []Profiler // none: Notes say why
	Notes       []string   // what does not work with this program or on this machine, and what would help
}

// ProfilersFor decides what can profile a program that knows nothing of profilers, such as one in Rust, and that is started
// with a service's own environment.
func ProfilersFor(binary string, env map[string]string) Profilers {
	var p Profilers
	f, err := symbols.Open(binary)
	if err != nil {
		p.note("nothing can profile it: %v", err)
		return p
	}
	defer f.Close()
	unloadable := loadsNothing(f.Interpreter())
	p.findCPU(unloadable)
	switch allocator := ownAllocator(f, env["LD_PRELOAD"]); {
	case unloadable != "":
		p.note("no allocations by stack: %s", unloadable)
	case allocator != "":
		p.note("no allocations by stack: it brings an allocator of its own (%s), which gperftools does not see", allocator)
	default:
		if found, err := FindGperftools(WantAllocations); err != nil {
			p.note("no allocations by stack: %v", err)
		} else {
			p.Allocations = append(p.Allocations, found)
		}
	}
	return p
}

func (p *Profilers) findCPU(unloadable string) {
	preferred := ""
	if unloadable != "" {
		preferred = "not gperftools: " + unloadable
	} else if found, err := FindGperftools(WantCPU); err != nil {
		preferred = err.Error()
	} else {
		p.CPU = append(p.CPU, found)
	}
	found, err := FindPerf()
	switch {
	case err == nil:
		p.CPU = append(p.CPU, found)
		if preferred != "" {
			p.note("CPU by perf, %s", preferred)
		}
	case preferred != "":
		p.note("no CPU profile: %s; and not perf: %v", preferred, err)
	}
}

func (p *Profilers) note(format string, args ...any) {
	p.Notes = append(p.Notes, fmt.Sprintf(format, args...))
}

// loadsNothing says why nothing can be loaded into a program with that interpreter; empty: it can.
func loadsNothing(interpreter string) string {
	switch {
	case interpreter == "":
		return "a static binary loads no libraries"
	case strings.HasPrefix(filepath.Base(interpreter), "ld-musl"):
		return "a binary for musl cannot load a library for glibc"
	}
	return ""
}

// allocators are functions by which an allocator inside a program is known.
var allocators = [...]struct{ name, function string }{
	{"jemalloc", "_rjem_malloc"}, {"jemalloc", "je_malloc"}, {"jemalloc", "mallocx"},
	{"mimalloc", "mi_malloc"}, {"tcmalloc", "tc_malloc"}, {"tcmalloc", "TCMallocInternalMalloc"},
	{"snmalloc", "sn_malloc"}, {"snmalloc", "sn_rust_alloc"}, {"rpmalloc", "rpmalloc"},
}

// ownAllocator is the allocator that a program brings, by its symbols or by what is loaded into it; empty: libc's.
func ownAllocator(f *symbols.File, preload string) string {
	for _, a := range allocators {
		if f.Has(a.function) {
			return a.name
		}
	}
	for _, library := range strings.FieldsFunc(preload, func(r rune) bool { return r == ':' || r == ' ' }) {
		if name := filepath.Base(library); strings.Contains(name, "malloc") {
			return name
		}
	}
	return ""
}
