package profdiff

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

// fn is a charge of the service's own.
func fn(name, file string, instructions int64) Charge {
	return Charge{Name: name, File: file, Line: 1, Own: true, Instructions: instructions}
}

// window is one of 100 requests; its total is the sum of what is charged.
func window(charges ...Charge) Window {
	w := Window{Requests: 100, Charges: charges}
	for _, c := range charges {
		w.Instructions, w.Allocations = w.Instructions+c.Instructions, w.Allocations+c.Allocations
	}
	return w
}

// rounds pairs two windows so many times, base's first function spread by so many instructions from round to round.
func rounds(n int, spread int64, base, head Window) []Pair {
	var pairs []Pair
	for i := range n {
		b := base
		b.Charges = append([]Charge{}, base.Charges...)
		b.Charges[0].Instructions += spread * int64(i-n/2)
		pairs = append(pairs, Pair{Base: b, Head: head})
	}
	return pairs
}

func blamed(t *testing.T, pairs []Pair, m Measure) Finding {
	t.Helper()
	f, ok := Blame(pairs, m)
	if !ok {
		t.Fatal("got nothing from pairs that are enough")
	}
	return f
}

func text(f Finding) string {
	var all []string
	for _, m := range f.Moved {
		s := fmt.Sprintf("%s %+.0f", m.Name, m.Delta)
		if m.Was != "" {
			s += " was " + m.Was
		}
		if m.Via != "" {
			s += " via " + m.Via
		}
		if m.New {
			s += " new"
		}
		if m.Last > 0 {
			s += fmt.Sprintf(" %s:%d-%d", m.File, m.Line, m.Last)
		}
		all = append(all, s)
	}
	return strings.Join(all, "; ")
}

func TestBlame(t *testing.T) {
	rest := fn("main.rest", "main.go", 900_000)
	check := func(what string, pairs []Pair, want string) {
		t.Helper()
		if got := text(blamed(t, pairs, ByInstructions)); got != want {
			t.Errorf("%s: got %q, want %q", what, got, want)
		}
	}
	slug := func(n int64) Charge { return fn("core.slug", "text.go", n) }
	check("nothing", rounds(3, 10, window(rest, slug(100_000)), window(rest, slug(100_000))), "")
	check("10 % of a function of a tenth", rounds(3, 10, window(slug(100_000), rest), window(slug(110_000), rest)), "core.slug +100")
	check("less than one half percent of the request", rounds(3, 10, window(slug(100_000), rest), window(slug(104_900), rest)), "")
	check("less than three times the spread", rounds(3, 4_000, window(slug(100_000), rest), window(slug(110_000), rest)), "")
	check("two pairs", rounds(2, 10, window(slug(100_000), rest), window(slug(110_000), rest)), "core.slug +100")
	check("two that moved", rounds(3, 10, window(slug(100_000), rest), window(slug(110_000), fn("main.rest", "main.go", 800_000))), "main.rest -1000; core.slug +100")

	check("moved to another place", rounds(3, 10, window(slug(100_000), rest), window(fn("text.slug", "text/slug.go", 100_000), rest)), "")
	check("moved, and dearer", rounds(3, 10, window(slug(100_000), rest), window(fn("text.slug", "text/slug.go", 120_000), rest)), "text.slug +200 was core.slug")
	check("renamed in its file", rounds(3, 10, window(slug(100_000), rest), window(fn("core.slugify", "text.go", 110_000), rest)), "core.slugify +100 was core.slug")

	helper := fn("core.helper", "text.go", 60_000)
	helper.Caller = "core.slug"
	check("a part of it in a function of its own", rounds(3, 10, window(slug(100_000), rest), window(slug(40_000), helper, rest)), "")
	dear := helper
	dear.Instructions = 80_000
	check("the same, and dearer", rounds(3, 10, window(slug(100_000), rest), window(slug(40_000), dear, rest)), "core.slug +200 via core.helper")
	check("inlined into its caller", rounds(3, 10, window(slug(40_000), helper, rest), window(slug(100_000), rest)), "")

	check("new, and nobody's", rounds(3, 10, window(rest), window(rest, fn("main.audit", "audit.go", 50_000))), "main.audit +500 new")
	check("one name for another", rounds(3, 10, window(rest, fn("main.old", "old.go", 50_000)), window(rest, fn("main.audit", "audit.go", 50_000))), "")
	check("gone", rounds(3, 10, window(rest, fn("main.old", "old.go", 50_000)), window(rest)), "main.old -500")
	loop := fn("main.a", "a.go", 30_000)
	loop.Caller = "main.b"
	pool := fn("main.b", "b.go", 30_000)
	pool.Caller = "main.a"
	check("new ones that call each other", rounds(3, 10, window(rest), window(rest, loop, pool)), "main.a +600 new")
	check("a package", rounds(3, 10, window(rest, Charge{Name: "net/http", Instructions: 50_000}), window(rest, Charge{Name: "net/http", Instructions: 90_000})), "net/http +400")
}

func TestBlameFigures(t *testing.T) {
	pairs := rounds(5, 100, window(fn("core.slug", "text.go", 100_000), fn("main.rest", "main.go", 900_000)),
		window(fn("core.slug", "text.go", 120_000), fn("main.rest", "main.go", 900_000)))
	f := blamed(t, pairs, ByInstructions)
	if f.Base != 10_000 || f.Head != 10_200 || f.Rounds != 5 || !f.Own || f.Smallest != 50 {
		t.Errorf("got %+v", f)
	}
	// d = 202, 201, 200, 199, 198: SD 1.5811, SE 0.7071, t(4) at 97.5 % 2.7764.
	if m := f.Moved[0]; m.Delta != 200 || m.Base != 1000 || m.Head != 1200 || math.Abs(m.Low-198.037) > 1e-3 || math.Abs(m.High-201.963) > 1e-3 || m.Exact {
		t.Errorf("got %+v", m)
	}
	for i := range pairs {
		for _, w := range []*Window{&pairs[i].Base, &pairs[i].Head} {
			w.Charges = append([]Charge{}, w.Charges...)
			w.Charges[0].Allocations, w.Allocations = 300, 1000
		}
		pairs[i].Head.Charges[0].Allocations, pairs[i].Head.Allocations = 400, 1100
	}
	f = blamed(t, pairs, ByAllocations)
	if m := f.Moved[0]; len(f.Moved) != 1 || m.Delta != 1 || !m.Exact || m.Low != 1 || m.High != 1 {
		t.Errorf("got %+v", f)
	}
	if _, ok := Blame(pairs[:1], ByInstructions); ok {
		t.Error("one pair is enough: want two")
	}
	pairs[0].Head.Requests = 0
	if f := blamed(t, pairs, ByAllocations); f.Rounds != 4 {
		t.Errorf("a window without requests: got %d rounds, want 4", f.Rounds)
	}
	two := blamed(t, pairs[1:3], ByInstructions)
	if m := two.Moved[0]; !math.IsNaN(m.Low) || !math.IsNaN(m.High) {
		t.Errorf("two pairs: got the interval %v to %v, want none", m.Low, m.High)
	}
}

// One round of seven in which callgrind got it wrong hides nothing, and makes nothing up.
func TestBlameOutlier(t *testing.T) {
	slug, rest := fn("core.slug", "text.go", 100_000), fn("main.rest", "main.go", 900_000)
	dear := fn("core.slug", "text.go", 110_000)
	wrong := window(fn("core.slug", "text.go", 400_000), fn("main.rest", "main.go", 600_000))
	pairs := rounds(7, 10, window(slug, rest), window(dear, rest))
	pairs[3].Head = wrong
	if got := blamed(t, pairs, ByInstructions); len(got.Moved) != 1 || got.Moved[0].Name != "core.slug" || math.Abs(got.Moved[0].Delta-100) > 1 {
		t.Errorf("with a change: got %q", text(got))
	}
	pairs = rounds(7, 10, window(slug, rest), window(slug, rest))
	pairs[3].Head = wrong
	if got := blamed(t, pairs, ByInstructions); len(got.Moved) != 0 {
		t.Errorf("without a change: got %q", text(got))
	}
}

// Lines are named by head's numbers, though every line below an insertion has another one than at base.
func TestBlameLines(t *testing.T) {
	at := func(file string, costs map[int]int64) (lines []LineCharge) {
		for line, cost := range costs {
			lines = append(lines, LineCharge{File: file, Line: line, Function: "core.slug", Instructions: cost})
		}
		return lines
	}
	check := func(what string, base, head map[int]int64, headFile, want string) {
		t.Helper()
		sum := func(costs map[int]int64) (n int64) {
			for _, c := range costs {
				n += c
			}
			return n
		}
		b, h := window(fn("core.slug", "text.go", sum(base))), window(fn("core.slug", headFile, sum(head)))
		b.Lines, h.Lines = at("text.go", base), at(headFile, head)
		if got := text(blamed(t, rounds(3, 10, b, h), ByInstructions)); got != want {
			t.Errorf("%s: got %q, want %q", what, got, want)
		}
	}
	old := map[int]int64{10: 5_000, 11: 20_000, 12: 100_000, 13: 50_000}
	check("a dearer line", old, map[int]int64{10: 5_000, 11: 20_000, 12: 130_000, 13: 50_000}, "text.go", "core.slug +300 text.go:12-12")
	check("inserted lines", old, map[int]int64{10: 5_000, 11: 30_000, 12: 31_000, 13: 20_000, 14: 100_000, 15: 50_000}, "text.go", "core.slug +610 text.go:11-12")
	check("all below, a line dearer", old, map[int]int64{110: 5_000, 111: 20_000, 112: 100_000, 113: 80_000}, "text.go", "core.slug +300 text.go:113-113")
	check("in another folder", old, map[int]int64{10: 5_000, 11: 20_000, 12: 130_000, 13: 50_000}, "words/text.go", "core.slug +300 words/text.go:12-12")
	check("nowhere in particular", map[int]int64{}, map[int]int64{}, "text.go", "")
}

// A run.json may come from anybody: functions and lines that no two windows share take neither the memory nor the time
// of an alignment of all with all.
func TestBlameBounded(t *testing.T) {
	var pairs []Pair
	for i := range 4 * mostPairs {
		var p Pair
		for n, w := range []*Window{&p.Base, &p.Head} {
			w.Requests, w.Instructions = 100, 1_000_000
			for j := range maxCharges {
				name := fmt.Sprintf("f%d", (i*2+n)*maxCharges+j)
				c := fn(name, "one.go", int64(1_000_000*(n+j)))
				c.Caller = fmt.Sprintf("f%d", (i*2+n)*maxCharges+(j+1)%maxCharges)
				w.Charges = append(w.Charges, c)
				w.Lines = append(w.Lines, LineCharge{File: "one.go", Line: (i*2+n)*maxCharges + j + 1, Function: name, Instructions: int64(1_000_000 * (n + j))})
			}
		}
		pairs = append(pairs, p)
	}
	f := blamed(t, pairs, ByInstructions)
	if f.Rounds != mostPairs || len(f.Moved) > mostMoved {
		t.Errorf("got %d rounds and %d functions, want at most %d and %d", f.Rounds, len(f.Moved), mostPairs, mostMoved)
	}
	if got := gains(make([]lineCost, 2000), make([]lineCost, 2000)); len(got) != 2000 || got[0] != 0 {
		t.Errorf("an alignment that is too large: got %d gains", len(got))
	}
}
