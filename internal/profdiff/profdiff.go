// Package profdiff reads callgrind's dumps and says who spent a window's instructions. Its stance: a dump is a ledger
// that must add up, or it is refused; and what a language's runtime does in its own time is not the service's doing.
package profdiff

import (
	"strings"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// Dump is what one callgrind dump counted.
type Dump struct {
	Total     int64      // instructions, as the dump's own totals say
	Functions []Function // with a cost or a call, greatest Self first
	Lines     []Line     // where the binary has debug information, greatest Self first
	Calls     []Call     // by caller
}

// Function is one function's share of a Dump, with what was inlined into it.
type Function struct {
	Name   string // demangled, without Rust's hash and callgrind's recursion suffix
	Object string // the binary or library it is in
	File   string // where it begins, as the debug information says; empty: unknown
	Self   int64  // instructions, callees left out
	Calls  int64  // how often it was called
}

// Line is one source line's share of a Dump within one function.
type Line struct {
	File     string
	Line     int
	Function string
	Self     int64 // instructions
}

// Call is one place from which one function calls another. Where callgrind saw a goroutine being switched, it takes
// what ran next for a call that never was: few of them, and each as dear as all that ran until the next switch.
type Call struct {
	Caller, Callee int    // into Functions
	File           string // where the call stands, which may be an inlined function's file; empty: unknown
	Line           int
	Times          int64
	Inclusive      int64 // instructions of the callee and all below it
}

// Split yields the instructions of each of result's buckets. They sum to all self costs; a function that no table
// names is the service's, and so is everything in a language without a table.
func Split(d Dump, lang plan.Lang) map[string]int64 {
	match := matcherFor(lang)
	split := map[string]int64{
		result.BucketService: 0, result.BucketAllocator: 0, result.BucketCollector: 0, result.BucketScheduler: 0,
	}
	for _, f := range d.Functions {
		split[match.bucket(f.Name)] += f.Self
	}
	return split
}

// Allocations counts the heap allocations of a Dump by calls of the runtime's own entry points: exact, and each once.
// In Rust a reallocation counts as one. 0: none, or a binary whose symbols were stripped.
func Allocations(d Dump, lang plan.Lang) int64 {
	return calls(d, allocationEntries(d, lang))
}

// allocationEntries tells the functions each of whose calls is one allocation of a Dump.
func allocationEntries(d Dump, lang plan.Lang) func(name string) bool {
	switch lang {
	case plan.Go:
		return isGoAllocation
	case plan.Rust:
		return rustAllocationEntries(d)
	}
	return isOneOf()
}

// isGoAllocation tells the functions that hand out one object each. runtime.mallocgc itself is left out: it calls one
// of these, and compiled code calls those that are made for one size (…SC3, …Size8) past it.
func isGoAllocation(name string) bool {
	kind, ok := strings.CutPrefix(name, "runtime.mallocgc")
	return ok && (kind == "Large" || kind == "SmallNoscan" || kind == "SmallScanHeader" || kind == "SmallScanNoHeader" ||
		kind == "Tiny" || strings.HasPrefix(kind, "TinySize") || strings.HasPrefix(kind, "SmallNoScanSC") ||
		strings.HasPrefix(kind, "SmallScanNoHeaderSC"))
}

// rustAllocationEntries are __rust_alloc and __rust_alloc_zeroed, or the empty function that std calls before either of
// them, which remains where a global allocator is inlined, and __rust_realloc. Where none is left, it is libc's malloc.
func rustAllocationEntries(d Dump) func(name string) bool {
	direct := []string{"__rust_alloc", "__rust_alloc_zeroed"}
	announced := []string{"__rust_no_alloc_shim_is_unstable", "__rust_no_alloc_shim_is_unstable_v2"}
	made, told := calls(d, isOneOf(direct...)), calls(d, isOneOf(announced...))
	switch {
	case max(made, told) == 0:
		return isOneOf("malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc")
	case made >= told:
		return isOneOf(append(direct, "__rust_realloc")...)
	}
	return isOneOf(append(announced, "__rust_realloc")...)
}

// isOneOf matches names of Rust's runtime, which current compilers put into a crate called __rustc.
func isOneOf(names ...string) func(string) bool {
	return func(name string) bool {
		name = strings.TrimPrefix(name, "__rustc::")
		for _, n := range names {
			if name == n {
				return true
			}
		}
		return false
	}
}

func calls(d Dump, counts func(string) bool) int64 {
	var n int64
	for _, f := range d.Functions {
		if counts(f.Name) {
			n += f.Calls
		}
	}
	return n
}
