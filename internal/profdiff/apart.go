package profdiff

import (
	"math"
	"slices"
	"strings"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// apart is a dump in which own code that the compiler put into a library's functions stands by itself, under the
// names of the functions it was written as: a framework's generic function that calls a handler often holds all of it,
// and one that holds a handler at base may hold none at head. What lines do not tell, the library's code that was
// inlined into such a function, stays with the library's.
//
// Rust alone: Go's compiler puts a generic function's body where it is written.
func (g *graph) apart() {
	if g.lang != plan.Rust {
		return
	}
	a := newParting(g)
	a.moveLines()
	a.moveCalls()
	a.finish()
}

// parting is own code on its way out of a library's functions. New functions are appended, so that an index means one
// function all the time.
type parting struct {
	*graph
	whole   []bool           // by function of the dump as it was: nothing is taken out of it
	byName  map[string]int   // own functions, by their written paths
	byPlace map[string]int   // and by file and path in it: an impl may stand in another module than its type
	at      map[place]int    // where a line of a function goes
	left    map[int]bool     // functions that something was taken from
	calls   map[[2]int]int64 // from such a function to what was taken out of it: instructions of what that calls
}

func newParting(g *graph) *parting {
	a := &parting{
		graph: g, whole: make([]bool, len(g.d.Functions)), byName: map[string]int{}, byPlace: map[string]int{},
		at: map[place]int{}, left: map[int]bool{}, calls: map[[2]int]int64{},
	}
	g.d = Dump{Total: g.d.Total, Functions: slices.Clone(g.d.Functions), Lines: slices.Clone(g.d.Lines), Calls: slices.Clone(g.d.Calls)}
	for i := len(g.d.Functions) - 1; i >= 0; i-- { // of one name the dearest
		f := g.d.Functions[i]
		if g.bucketOf(f.Name) != result.BucketService {
			a.whole[i] = true
			continue
		}
		path, file := writtenPath(ownName(f.Name, g.lang)), g.resolve(f.File)
		var inFile []string
		if file != "" {
			inFile = g.src.Outlines.named(g.src.inTree(file), path)
		}
		a.whole[i] = inFile != nil || g.src.named(f.Name, g.lang) && !g.src.foreign(f.File, g.lang)
		if a.whole[i] {
			a.byName[path] = i
		}
		if inFile != nil {
			a.byPlace[placeName(file, inFile)] = i
		}
	}
	return a
}

func (a *parting) moveLines() {
	first := firstOf(a.d.Functions) // lines know no more than a name
	for k, l := range a.d.Lines {
		i := first[l.Function]
		if a.whole[i] || a.d.Functions[i].Self < l.Self {
			continue
		}
		if to, ok := a.to(i, l.File, l.Line); ok {
			a.d.Functions[i].Self -= l.Self
			a.d.Functions[to].Self += l.Self
			a.d.Lines[k].Function = a.d.Functions[to].Name
		}
	}
}

func (a *parting) moveCalls() {
	for e, c := range a.d.Calls {
		if a.whole[c.Caller] {
			continue
		}
		if to, ok := a.to(c.Caller, c.File, c.Line); ok && to != c.Callee {
			a.d.Calls[e].Caller = to
			a.calls[[2]int{c.Caller, to}] = saturated(a.calls[[2]int{c.Caller, to}], c.Inclusive)
		}
	}
}

// place is where a line stands and the function it was found in.
type place struct {
	function int
	file     string
	line     int
}

// placeName is a function's place in the tree.
func placeName(file string, inFile []string) string {
	return file + "\x00" + strings.Join(inFile, "::")
}

// saturated is a + b, both positive, or the largest number.
func saturated(a, b int64) int64 {
	if s, err := sum(a, b); err == nil {
		return s
	}
	return math.MaxInt64
}

// to is the function that a line of another's belongs to, made where the dump has none.
func (a *parting) to(from int, debug string, line int) (to int, ok bool) {
	file := a.resolve(debug)
	if file == "" || line <= 0 {
		return 0, false
	}
	k := place{from, debug, line}
	if to, ok := a.at[k]; ok {
		return to, to != from
	}
	name, inFile := a.src.written(file, line)
	to, known := a.byName[name]
	if !known {
		to, known = a.byPlace[placeName(file, inFile)]
	}
	switch {
	case name == "":
		to = from
	case !known:
		to = len(a.d.Functions)
		a.byName[name], a.byPlace[placeName(file, inFile)] = to, to
		a.d.Functions = append(a.d.Functions, Function{Name: name, Object: a.d.Functions[from].Object, File: debug})
	}
	if a.at[k] = to; to != from {
		a.left[from] = true
		a.calls[[2]int{from, to}] += 0
	}
	return to, to != from
}

// finish ties what was taken out to where it was, which is how it is reached, and takes the files off that are left.
func (a *parting) finish() {
	for ends, below := range a.calls {
		from, to := ends[0], ends[1]
		times := max(a.d.Functions[from].Calls, 1)
		a.d.Calls = append(a.d.Calls, Call{Caller: from, Callee: to, Times: times, Inclusive: saturated(a.d.Functions[to].Self, below)})
		a.d.Functions[to].Calls = max(a.d.Functions[to].Calls, times)
	}
	for i := range a.left {
		a.d.Functions[i].File = ""
	}
	slices.SortFunc(a.d.Calls, byEnds)
}

// firstOf is the index of each name's first function, its dearest.
func firstOf(functions []Function) map[string]int {
	first := map[string]int{}
	for i := len(functions) - 1; i >= 0; i-- {
		first[functions[i].Name] = i
	}
	return first
}

// writtenPath is a function's path without what a trait and type arguments add to it: a::B::f of <a::B<c> as d::E>::f,
// of <a::B<c>>::f, of e::<impl a::B>::f and of e::<impl d::E for a::B>::f.
func writtenPath(name string) string {
	if at := strings.Index(name, "::<impl "); at >= 0 {
		name = "<" + name[at+len("::<impl "):]
		if at := outermost(name[1:], " for "); at >= 0 {
			name = "<" + name[1+at+len(" for "):]
		}
	}
	inner, ok := strings.CutPrefix(name, "<")
	if !ok {
		return name
	}
	end := outermost(inner, ">")
	if end < 0 {
		return name
	}
	self := inner[:end]
	if at := outermost(self, " as "); at >= 0 {
		self = self[:at]
	}
	self, _, _ = strings.Cut(self, "<")
	for _, word := range []string{"&", "mut "} {
		self = strings.TrimPrefix(self, word)
	}
	return self + inner[end+1:]
}

// outermost is where a part of a type begins outside of any <>; -1: nowhere.
func outermost(name, part string) int {
	depth := 0
	for i := range len(name) {
		if depth == 0 && strings.HasPrefix(name[i:], part) {
			return i
		}
		switch {
		case name[i] == '<':
			depth++
		case name[i] == '>' && (i == 0 || name[i-1] != '-'): // not of fn() -> T
			depth--
		}
	}
	return -1
}
