package profdiff

import (
	"cmp"
	"maps"
	"math"
	"path"
	"slices"

	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/stats"
)

// Measure is what a change is counted in.
type Measure int

// The measures.
const (
	ByInstructions Measure = iota
	ByAllocations
)

// Window is what one window of a variant cost and who is charged with it.
type Window struct {
	Requests     int64
	Instructions int64 // of the service bucket
	Allocations  int64
	Charges      []Charge
	Lines        []LineCharge
}

// WindowOf is a window as a run keeps it.
func WindowOf(run result.Run, c result.Cost) Window {
	w := Window{Requests: c.Requests, Instructions: c.Buckets[result.BucketService], Allocations: c.Allocations}
	for _, f := range c.Functions {
		w.Charges = append(w.Charges, Charge{
			Name: run.Name(f.Function), File: run.Name(f.File), Line: f.Line, Caller: run.Name(f.Caller), Own: f.Own,
			Instructions: f.Instructions, Allocations: f.Allocations,
		})
	}
	for _, l := range c.Lines {
		w.Lines = append(w.Lines, LineCharge{
			File: run.Name(l.File), Line: l.Line, Function: run.Name(l.Function), Instructions: l.Instructions, Allocations: l.Allocations,
		})
	}
	return w
}

// Pair is base's and head's window of one round.
type Pair struct{ Base, Head Window }

// Finding is what moved between base and head under one workload. Figures are per request, means over the pairs.
type Finding struct {
	Base, Head float64 // all of the service's
	Moved      []Moved // the greatest change first, whatever its sign
	// Smallest is a change of one function that would have been named, wherever it was.
	Smallest float64
	Rounds   int
	Own      bool // functions of the service's own are known at all
}

// Moved is a function whose cost moved beyond doubt.
type Moved struct {
	Name  string
	Was   string // its name at base, where it was renamed or moved
	Via   string // the function that it calls, with most of the change: at base inlined, or not there
	Own   bool   // else Name is a package that no own code called
	New   bool   // at head only, under a name that nothing at base answers to
	File  string // in head's tree; empty: unknown
	Line  int    // the first of the lines that moved, or about where it begins; 0: unknown
	Last  int    // the last of the lines that moved; 0: Line is where it begins
	Base  float64
	Head  float64
	Delta float64 // head − base
	// Low and High are the ends of Delta's 95 % interval; NaN with fewer than three pairs. Exact: every pair agreed.
	Low, High float64
	Exact     bool
}

const (
	// bar is the share of the request's total that a function has to move by to be named (docs/methodology.md).
	bar = 0.005
	// spreads is how many standard deviations of the paired differences it has to move by as well.
	spreads = 3
	// mostPairs, mostMoved and mostAligned bound the time that a hostile run.json can take: a run has 9 pairs and moves a
	// handful of functions of some hundred lines.
	mostPairs, mostMoved, mostAligned = 32, 50, 1 << 20
	// LeastPairs is how many dumps a side anything is named on.
	LeastPairs = 2
	// alpha makes the intervals 95 % ones: they describe.
	alpha = 0.025
	// alike is how far two costs may be apart for one function to be taken for the other under a new name.
	alike = 1.5
	// news is what functions of head alone, and of base alone, are taken together as.
	news = "\x00new"
)

// Blame says which functions' cost moved: base against head, paired over rounds. ok is false with fewer than LeastPairs
// pairs.
//
// A function that one side lacks is never named for that: it is the other side's function of its name in another
// place, or of its file and cost under another name; else it counts for the function that calls it, which may have had
// its code before. What is left of either side is taken together, so that code which only changed its name cancels out.
func Blame(pairs []Pair, m Measure) (f Finding, ok bool) {
	pairs = slices.DeleteFunc(slices.Clone(pairs), func(p Pair) bool { return p.Base.Requests <= 0 || p.Head.Requests <= 0 })
	if len(pairs) < LeastPairs {
		return Finding{}, false
	}
	pairs = pairs[:min(len(pairs), mostPairs)]
	base, head := newSide(pairs, m, func(p Pair) Window { return p.Base }), newSide(pairs, m, func(p Pair) Window { return p.Head })
	f = Finding{Base: average(base.total), Head: average(head.total), Rounds: len(pairs)}
	f.Own = slices.ContainsFunc(head.order, func(name string) bool { return head.functions[name].Own })
	all := match(base, head)
	least := bar * f.Base
	f.Smallest = least
	type candidate struct {
		*kin
		change change
	}
	var moved []candidate
	for _, g := range all.list() {
		d := make([]float64, len(pairs))
		for i := range d {
			d[i] = g.head[i] - g.base[i]
		}
		c := changeOf(d, least)
		if g.own {
			f.Smallest = math.Max(f.Smallest, spreads*c.spread)
		}
		if by := math.Abs(c.by); by >= least && by >= spreads*c.spread && by > 0 {
			moved = append(moved, candidate{g, c})
		}
	}
	slices.SortStableFunc(moved, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(math.Abs(b.change.by), math.Abs(a.change.by)), cmp.Compare(a.name, b.name))
	})
	for _, c := range moved[:min(len(moved), mostMoved)] {
		f.Moved = append(f.Moved, c.moved(c.change, base, head))
	}
	return f, true
}

// change is what the differences of a function's pairs come to.
type change struct {
	by, spread float64 // centre and standard deviation
	low, high  float64 // of by, 95 %; NaN with too few pairs
	exact      bool    // every pair agreed
}

// changeOf estimates a change from its differences: by their mean, or by a trimmed mean where one of five or more lies
// far off. Once in some ten rounds callgrind puts a large part of a request under a wrong call.
func changeOf(d []float64, least float64) change {
	c := change{by: average(d), low: math.NaN(), high: math.NaN()}
	c.spread, _ = stats.SD(d)
	switch e := stats.Estimated(d, stats.MethodFor(d, least/100), 0); e.Outcome {
	case stats.Sound:
		c.by, c.spread = e.Center, e.SE*math.Sqrt(float64(e.N))
		c.low, c.high = e.Interval(alpha)
	case stats.Constant:
		c.low, c.high, c.exact = c.by, c.by, true
	}
	return c
}

// side is one side's functions over all pairs, in costs per request.
type side struct {
	total     []float64
	functions map[string]Charge // by name, as the dearest window has it
	cost      map[string][]float64
	order     []string // names, the dearest first
	lines     []lineCost
}

// lineCost is a line's mean cost per request.
type lineCost struct {
	LineCharge
	cost float64
}

func newSide(pairs []Pair, m Measure, of func(Pair) Window) side {
	s := side{functions: map[string]Charge{}, cost: map[string][]float64{}}
	lines := map[LineCharge]float64{}
	dearest := map[string]float64{}
	for i, p := range pairs {
		w := of(p)
		each := 1 / float64(w.Requests)
		s.total = append(s.total, float64(m.of(w.Instructions, w.Allocations))*each)
		for _, c := range w.Charges {
			cost := float64(m.of(c.Instructions, c.Allocations)) * each
			if s.cost[c.Name] == nil {
				s.cost[c.Name] = make([]float64, len(pairs))
				s.order = append(s.order, c.Name)
			}
			s.cost[c.Name][i] += cost
			if _, seen := s.functions[c.Name]; !seen || cost > dearest[c.Name] {
				s.functions[c.Name], dearest[c.Name] = c, cost
			}
		}
		for _, l := range w.Lines {
			key := LineCharge{File: l.File, Line: l.Line, Function: l.Function}
			lines[key] += float64(m.of(l.Instructions, l.Allocations)) * each / float64(len(pairs))
		}
	}
	slices.SortStableFunc(s.order, func(a, b string) int {
		return cmp.Or(cmp.Compare(average(s.cost[b]), average(s.cost[a])), cmp.Compare(a, b))
	})
	for key, cost := range lines {
		s.lines = append(s.lines, lineCost{key, cost})
	}
	slices.SortFunc(s.lines, func(a, b lineCost) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Function, b.Function))
	})
	return s
}

func (m Measure) of(instructions, allocations int64) int64 {
	if m == ByAllocations {
		return allocations
	}
	return instructions
}

func average(x []float64) float64 {
	var sum float64
	for _, v := range x {
		sum += v
	}
	return sum / float64(max(len(x), 1))
}

// kin is functions of both sides that are one for the comparison.
type kin struct {
	name       string // head's, or base's where head has none
	was        string
	own        bool
	base, head []float64
	members    map[string]bool // names of either side
	newest     string          // head's dearest function that was folded into it
}

type kinships struct {
	byName map[string]*kin
	order  []string
}

func (k *kinships) list() []*kin {
	all := make([]*kin, len(k.order))
	for i, name := range k.order {
		all[i] = k.byName[name]
	}
	return all
}

func (k *kinships) at(name string, own bool, rounds int) *kin {
	if found, ok := k.byName[name]; ok {
		return found
	}
	made := &kin{name: name, own: own, base: make([]float64, rounds), head: make([]float64, rounds), members: map[string]bool{}}
	k.byName[name] = made
	k.order = append(k.order, name)
	return made
}

// match makes kin of the two sides' functions.
func match(base, head side) *kinships {
	renamed := renames(base, head)
	all := &kinships{byName: map[string]*kin{}}
	rounds := len(base.total)
	atBase := map[string]string{} // base's name of head's function
	for was, is := range renamed {
		atBase[is] = was
	}
	// home is the group's name of a function: its own where both sides have it.
	home := func(s, other side, name string, called func(string) string) string {
		for range steps {
			if _, both := other.functions[called(name)]; both || !s.functions[name].Own {
				return name
			}
			caller := s.functions[name].Caller
			if _, known := s.functions[caller]; !known {
				return news
			}
			name = caller
		}
		return news
	}
	for _, name := range head.order {
		to := home(head, base, name, func(n string) string { return cmp.Or(atBase[n], n) })
		g := all.at(to, head.functions[name].Own, rounds)
		g.was = atBase[to]
		g.members[name] = true
		if to != name && g.newest == "" {
			g.newest = name
		}
		add(g.head, head.cost[name])
	}
	for _, name := range base.order {
		to := home(base, head, name, func(n string) string { return cmp.Or(renamed[n], n) })
		g := all.at(cmp.Or(renamed[to], to), base.functions[name].Own, rounds)
		g.members[name] = true
		add(g.base, base.cost[name])
	}
	return all
}

func add(to, from []float64) {
	for i, v := range from {
		to[i] += v
	}
}

// renames pairs own functions that only base has with own functions that only head has: first those of one name in
// another place, then those of one file with about the same cost, the dearest first.
func renames(base, head side) map[string]string {
	found, taken := map[string]string{}, map[string]bool{}
	alone := func(s, other side) []string {
		return slices.DeleteFunc(slices.Clone(s.order), func(name string) bool {
			_, both := other.functions[name]
			return both || !s.functions[name].Own
		})
	}
	onlyBase, onlyHead := alone(base, head), alone(head, base)
	pair := func(key func(s side, name string) string, same func(was, is string) bool) {
		byKey := map[string][]string{}
		for _, is := range onlyHead {
			byKey[key(head, is)] = append(byKey[key(head, is)], is)
		}
		for _, was := range onlyBase {
			if found[was] != "" || key(base, was) == "" {
				continue
			}
			for _, is := range byKey[key(base, was)] {
				if !taken[is] && same(was, is) {
					found[was], taken[is] = is, true
					break
				}
			}
		}
	}
	pair(func(_ side, name string) string { return lastName(name) }, func(_, _ string) bool { return true })
	pair(func(s side, name string) string { return s.functions[name].File }, func(was, is string) bool {
		b, h := average(base.cost[was]), average(head.cost[is])
		return b < alike*h && h < alike*b
	})
	return found
}

// moved describes kin that moved.
func (g *kin) moved(by change, base, head side) Moved {
	m := Moved{
		Name: g.name, Was: g.was, Own: g.own, Base: average(g.base), Head: average(g.head),
		Delta: by.by, Low: by.low, High: by.high, Exact: by.exact,
	}
	c, atHead := head.functions[g.name]
	if !atHead {
		c = base.functions[g.name]
	}
	switch {
	case g.name == news:
		m.New, m.Name = true, g.newest
		if g.newest == "" { // what base alone had went away
			for _, name := range base.order {
				if g.members[name] {
					m.Name, m.New = name, false
					break
				}
			}
		}
		c = cmp.Or(head.functions[m.Name], base.functions[m.Name])
	case g.newest != "" && 2*average(head.cost[g.newest]) > m.Delta && m.Delta > 0:
		m.Via = g.newest
	}
	m.File, m.Line = c.File, c.Line
	if file, first, last, ok := g.linesMoved(base, head, m.Delta); ok {
		m.File, m.Line, m.Last = file, first, last
	}
	return m
}

// linesMoved are head's lines of a group in which most of a rise stands: the line that rose most with those beside it.
func (g *kin) linesMoved(base, head side, rise float64) (file string, first, last int, ok bool) {
	if rise <= 0 {
		return "", 0, 0, false
	}
	type risen struct {
		file string
		line int
		gain float64
	}
	var all []risen
	atBase := g.linesOf(base)
	for file, lines := range g.linesOf(head) {
		for i, gain := range gains(atBase.like(file), lines) {
			all = append(all, risen{file, lines[i].Line, gain})
		}
	}
	slices.SortFunc(all, func(a, b risen) int {
		return cmp.Or(cmp.Compare(b.gain, a.gain), cmp.Compare(a.file, b.file), cmp.Compare(a.line, b.line))
	})
	const (
		worth  = 0.2 // of the rise: less than that is no place to look at
		beside = 0.1 // of the top line's gain
		gap    = 3   // lines
	)
	if len(all) == 0 || all[0].gain < worth*rise {
		return "", 0, 0, false
	}
	top := all[0]
	first, last = top.line, top.line
	for grown := true; grown; {
		grown = false
		for _, r := range all[1:] {
			if r.file != top.file || r.gain < beside*top.gain {
				continue
			}
			if r.line < first && first-r.line <= gap {
				first, grown = r.line, true
			}
			if r.line > last && r.line-last <= gap {
				last, grown = r.line, true
			}
		}
	}
	return top.file, first, last, true
}

// fileLines are lines with their costs by file, in the order of lines, each once.
type fileLines map[string][]lineCost

func (g *kin) linesOf(s side) fileLines {
	files := fileLines{}
	for _, l := range s.lines {
		if !g.members[l.Function] {
			continue
		}
		lines := files[l.File]
		if n := len(lines); n > 0 && lines[n-1].Line == l.Line {
			lines[n-1].cost += l.cost
			continue
		}
		files[l.File] = append(lines, l)
	}
	return files
}

// like are the lines of a file, or of the one of its name that was elsewhere.
func (f fileLines) like(file string) []lineCost {
	if lines, ok := f[file]; ok {
		return lines
	}
	for _, other := range slices.Sorted(maps.Keys(f)) {
		if path.Base(other) == path.Base(file) {
			return f[other]
		}
	}
	return nil
}

// gains is by how much each of head's lines of a file costs more than the line of base that it was. Lines keep their
// order but not their numbers, so the pairing that leaves the most cost in common is taken (an alignment, as in
// Needleman and Wunsch 1970).
func gains(base, head []lineCost) []float64 {
	n, m := len(base), len(head)
	if n*m > mostAligned {
		return make([]float64, m) // nothing is known of any line
	}
	best := make([][]float64, n+1)
	for i := range best {
		best[i] = make([]float64, m+1)
	}
	common := func(b, h lineCost) float64 {
		w := math.Min(b.cost, h.cost) - math.Abs(b.cost-h.cost)/4
		if b.Line == h.Line {
			w *= 1.001 // of equals, the one of the same number
		}
		return w
	}
	for i := n - 1; i >= 0; i-- {
		for j := m - 1; j >= 0; j-- {
			best[i][j] = math.Max(math.Max(best[i+1][j], best[i][j+1]), best[i+1][j+1]+common(base[i], head[j]))
		}
	}
	gain := make([]float64, m)
	for j := range head {
		gain[j] = head[j].cost
	}
	for i, j := 0, 0; i < n && j < m; {
		switch best[i][j] {
		case best[i+1][j+1] + common(base[i], head[j]):
			gain[j] = head[j].cost - base[i].cost
			i, j = i+1, j+1
		case best[i+1][j]:
			i++
		default:
			j++
		}
	}
	return gain
}
