package profdiff

import (
	"cmp"
	"math"
	"slices"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// Charge is what one function of the service's own code cost in a window, with all that it had libraries and the
// runtime do: memmove, malloc and a decoder go to whoever called them. Code that nobody's own code called (a server's
// loop, an executor) stands under the name of its package.
type Charge struct {
	Name         string
	File         string // in the repository; empty: unknown
	Line         int    // where it begins, about; 0: unknown
	Caller       string // the function of the service's own that called it most; empty: none
	Own          bool
	Instructions int64 // of the service bucket
	Allocations  int64
}

// LineCharge is what one line of the service's own source cost, inlined code at its own line, with what is called there.
type LineCharge struct {
	File         string
	Line         int
	Function     string // the charged function that it counts for
	Instructions int64
	Allocations  int64
}

// Bounds of what is kept of a window.
const (
	maxCharges = 300
	maxShown   = 300 // lines
	// keptShare of the window's instructions, or of its allocations, is the least that a line is kept for, or a function
	// that is not the service's own: a hundredth of the smallest change that is ever named. All that is left out is far
	// below one half percent.
	keptShare = 1.0 / 20_000
)

const (
	// steps is how many frames of library code a cost may rise through before it counts as nobody's.
	steps = 96
	// madeUp is how dear a call may be, in calls of the same function on average, before it is callgrind's invention at
	// a goroutine switch. In the bundled Go service honest ones reach 67 (an answer in one Write beside thousands of
	// short ones) and inventions begin there.
	madeUp = 128
	// rare is how many of the window's requests share one call at most, for a call's own cost to be believed: inventions
	// were seen in up to one request in 12.
	rare = 8
)

// ChargeOf says who of the service's own code a window's instructions and allocations are to be put down to. requests
// is how many the window served.
//
// A cost rises from the function that spent it to its callers, in shares of what their calls cost (in shares of their
// number, where the callee is the allocator or a call cannot be believed), until it meets the service's own code. The
// scheduler and the collector call nobody's code on purpose: what rises as far as them belongs to no caller.
func ChargeOf(d Dump, lang plan.Lang, src Source, requests int64) ([]Charge, []LineCharge) {
	g := newGraph(d, lang, src)
	g.share(requests)
	instructions := g.rise(g.instructions())
	allocations := g.rise(g.allocations())
	charges := g.charges(instructions, allocations)
	return charges, g.lines(instructions, allocations)
}

// graph is a dump as its costs rise.
type graph struct {
	d        Dump
	lang     plan.Lang
	src      Source
	bucketOf func(name string) string
	own      []bool
	file     []string // in the repository, of own functions
	name     []string // under which a function is charged
	bucket   []string
	into     [][]int // calls by callee, recursion left out
	shares   []float64
	known    map[string]string // debug paths resolved
	owner    []int             // nearest own function from each function, -1: none
}

func newGraph(d Dump, lang plan.Lang, src Source) *graph {
	g := &graph{d: d, lang: lang, src: src, known: map[string]string{}, bucketOf: matcherFor(lang).bucket}
	g.apart()
	n := len(g.d.Functions)
	g.own, g.file, g.name, g.bucket = make([]bool, n), make([]string, n), make([]string, n), make([]string, n)
	g.into, g.shares = make([][]int, n), make([]float64, len(g.d.Calls))
	for i, f := range g.d.Functions {
		g.bucket[i] = g.bucketOf(f.Name)
		g.file[i] = g.resolve(f.File)
		named := src.named(f.Name, lang) && !src.foreign(f.File, lang)
		g.own[i] = g.bucket[i] == result.BucketService && (g.file[i] != "" || named)
		if g.own[i] {
			g.name[i] = ownName(f.Name, lang)
		} else {
			g.name[i], g.file[i] = outside(f, lang), ""
		}
	}
	for e, c := range g.d.Calls {
		if c.Caller != c.Callee {
			g.into[c.Callee] = append(g.into[c.Callee], e)
		}
	}
	return g
}

func (g *graph) resolve(debug string) string {
	if debug == "" {
		return ""
	}
	repo, ok := g.known[debug]
	if !ok {
		repo, _ = g.src.file(debug, g.lang)
		g.known[debug] = repo
	}
	return repo
}

func (g *graph) instructions() []float64 {
	at := make([]float64, len(g.d.Functions))
	for i, f := range g.d.Functions {
		if g.bucket[i] == result.BucketService {
			at[i] = float64(f.Self)
		}
	}
	return at
}

func (g *graph) allocations() []float64 {
	counts := allocationEntries(g.d, g.lang)
	at := make([]float64, len(g.d.Functions))
	for i, f := range g.d.Functions {
		if counts(f.Name) {
			at[i] = float64(f.Calls)
		}
	}
	return at
}

// share decides which share of a function's cost rises by which call: first by the calls' number alone, which tells
// what a call costs on average, then by what each is said to have cost, as far as that can be.
func (g *graph) share(requests int64) {
	byNumber := func(_ int, c Call) float64 { return float64(c.Times) }
	g.weigh(byNumber)
	average := g.rise(g.instructions()).through
	g.weigh(func(callee int, c Call) float64 {
		calls := float64(max(g.d.Functions[callee].Calls, 1))
		usual := float64(c.Times) * (average[callee] + 1) / calls
		if c.Times*rare < requests || g.bucket[callee] == result.BucketAllocator || float64(c.Inclusive) > madeUp*usual {
			return usual
		}
		return float64(c.Inclusive)
	})
}

func (g *graph) weigh(weight func(callee int, c Call) float64) {
	for callee, calls := range g.into {
		var all float64
		for _, e := range calls {
			g.shares[e] = weight(callee, g.d.Calls[e])
			all += g.shares[e]
		}
		for _, e := range calls {
			if all > 0 {
				g.shares[e] /= all
			}
		}
	}
}

// risen is where costs ended.
type risen struct {
	through []float64 // by function: all that came to it, its own cost included
	kept    []float64 // by function: what ended there, of own functions and of those that nobody's own code called
	byCall  []float64 // by call: what rose through it
}

// rise lets costs rise until they meet own code.
func (g *graph) rise(from []float64) risen {
	n := len(from)
	r := risen{through: make([]float64, n), kept: make([]float64, n), byCall: make([]float64, len(g.d.Calls))}
	reached := make([]float64, n) // the share of a function's cost that reaches own code
	moving := slices.Clone(from)
	for range steps {
		next, reaches := make([]float64, n), make([]float64, n)
		left := 0.0
		for i, amount := range moving {
			r.through[i] += amount
			if g.own[i] {
				r.kept[i] += amount
				continue
			}
			for _, e := range g.into[i] {
				caller, share := g.d.Calls[e].Caller, g.shares[e]
				if g.stops(caller) {
					continue
				}
				if g.own[caller] {
					reaches[i] += share
				} else {
					reaches[i] += share * reached[caller]
				}
				if amount > 0 {
					r.byCall[e] += share * amount
					next[caller] += share * amount
					left += share * amount
				}
			}
		}
		moving, reached = next, reaches
		if left < 0.5 {
			break
		}
	}
	for i, amount := range moving { // own code that the last step came to
		if g.own[i] {
			r.kept[i] += amount
		}
	}
	for i := range from {
		if !g.own[i] {
			r.kept[i] = from[i] * (1 - math.Min(reached[i], 1))
		}
	}
	return r
}

// stops is whether a function's calls are no reason to put anything down to it or to its callers.
func (g *graph) stops(i int) bool {
	return g.bucket[i] == result.BucketScheduler || g.bucket[i] == result.BucketCollector
}

// charges are the functions that ended with something, the dearest first.
func (g *graph) charges(instructions, allocations risen) []Charge {
	g.owners()
	lines := g.begins()
	at := map[string]int{}
	sums := map[string][2]float64{}
	var all []Charge
	for i := range g.d.Functions {
		if instructions.kept[i] < 0.5 && allocations.kept[i] < 0.5 {
			continue
		}
		key := g.name[i]
		k, seen := at[key]
		if !seen {
			k = len(all)
			at[key] = k
			all = append(all, Charge{Name: key, Own: g.own[i], File: g.file[i], Line: lines[i]})
			if o := g.ownerAbove(i); g.own[i] && o >= 0 {
				all[k].Caller = g.name[o]
			}
		}
		if all[k].File == "" {
			all[k].File, all[k].Line = g.file[i], lines[i]
		}
		s := sums[key]
		sums[key] = [2]float64{s[0] + instructions.kept[i], s[1] + allocations.kept[i]}
	}
	for k, c := range all {
		all[k].Instructions, all[k].Allocations = int64(math.Round(sums[c.Name][0])), int64(math.Round(sums[c.Name][1]))
	}
	// An own function is kept however cheap it is: that it was there tells one that became dear from a new one.
	return most(all, maxCharges, func(c Charge) (int64, int64, bool) { return c.Instructions, c.Allocations, c.Own })
}

// owners finds the nearest own function above every function: up the call that is made most often.
func (g *graph) owners() {
	g.owner = make([]int, len(g.d.Functions))
	for i := range g.owner {
		g.owner[i] = -1
		at := i
		for range steps {
			if g.own[at] {
				g.owner[i] = at
				break
			}
			if at = g.above(at); at < 0 {
				break
			}
		}
	}
}

// above is a function's caller by most calls, -1 without one.
func (g *graph) above(i int) int {
	best, times := -1, int64(0)
	for _, e := range g.into[i] {
		if c := g.d.Calls[e]; c.Times > times && !g.stops(c.Caller) {
			best, times = c.Caller, c.Times
		}
	}
	return best
}

// ownerAbove is the nearest own function above i that goes by another name: of those at one distance by the most calls.
// Own code that a library calls back (a closure under an iterator) is called from below as well.
func (g *graph) ownerAbove(i int) int {
	seen := map[int]bool{i: true}
	at := []int{i}
	for n := 0; n < len(at) && n < steps; n++ {
		calls := slices.Clone(g.into[at[n]])
		slices.SortStableFunc(calls, func(a, b int) int { return cmp.Compare(g.d.Calls[b].Times, g.d.Calls[a].Times) })
		for _, e := range calls {
			caller := g.d.Calls[e].Caller
			if seen[caller] || g.stops(caller) {
				continue
			}
			if g.own[caller] && g.name[caller] != g.name[i] {
				return caller
			}
			seen[caller] = true
			at = append(at, caller)
		}
	}
	return -1
}

// begins is the first line of each own function that has a cost in the function's own file.
func (g *graph) begins() []int {
	first := map[[2]string]int{}
	for _, l := range g.d.Lines {
		key := [2]string{l.Function, l.File}
		if at, ok := first[key]; !ok || l.Line < at {
			first[key] = l.Line
		}
	}
	lines := make([]int, len(g.d.Functions))
	for i, f := range g.d.Functions {
		if g.own[i] && g.file[i] != "" {
			lines[i] = first[[2]string{f.Name, f.File}]
		}
	}
	return lines
}

// lines are the lines of the service's own source with their costs, the dearest first. A line that the compiler put into a
// library's function counts for the own function that called it.
func (g *graph) lines(instructions, allocations risen) []LineCharge {
	first := firstOf(g.d.Functions)
	type key struct {
		file     string
		line     int
		function string
	}
	sums := map[key][2]float64{}
	add := func(file string, line, function int, ir, allocs float64) {
		repo := g.resolve(file)
		if repo == "" || line <= 0 || ir+allocs <= 0 {
			return
		}
		if owner := g.owner[function]; owner >= 0 {
			function = owner
		}
		k := key{repo, line, g.name[function]}
		s := sums[k]
		sums[k] = [2]float64{s[0] + ir, s[1] + allocs}
	}
	for _, l := range g.d.Lines {
		if i := first[l.Function]; g.bucket[i] == result.BucketService {
			add(l.File, l.Line, i, float64(l.Self), 0)
		}
	}
	for e, c := range g.d.Calls {
		if g.own[c.Caller] {
			add(c.File, c.Line, c.Caller, instructions.byCall[e], allocations.byCall[e])
		}
	}
	var all []LineCharge
	for k, s := range sums {
		all = append(all, LineCharge{File: k.file, Line: k.line, Function: k.function,
			Instructions: int64(math.Round(s[0])), Allocations: int64(math.Round(s[1]))})
	}
	slices.SortFunc(all, func(a, b LineCharge) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Function, b.Function))
	})
	return most(all, maxShown, func(l LineCharge) (int64, int64, bool) { return l.Instructions, l.Allocations, false })
}

// most keeps what is worth its room or is kept however cheap, and of that the dearest.
func most[T any](all []T, limit int, cost func(T) (instructions, allocations int64, kept bool)) []T {
	var instructions, allocations int64
	for _, x := range all {
		i, a, _ := cost(x)
		instructions, allocations = instructions+i, allocations+a
	}
	rank := func(x T) float64 {
		i, a, _ := cost(x)
		return math.Max(float64(i)/float64(max(instructions, 1)), float64(a)/float64(max(allocations, 1)))
	}
	all = slices.DeleteFunc(all, func(x T) bool {
		_, _, kept := cost(x)
		return !kept && rank(x) < keptShare
	})
	slices.SortStableFunc(all, func(a, b T) int { return cmp.Compare(rank(b), rank(a)) })
	return all[:min(len(all), limit)]
}
