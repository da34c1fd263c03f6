package selftest

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/stats"
)

// deck is every round of the bank that a kind of report can be dealt from, base and head side by side. Rounds with a
// trial of either that does not count are not in it: a run repeats those.
type deck struct {
	timing   map[slot][]both[*banked]
	counting map[plan.Lang][]both[map[string]result.Cost]
}

// deckOf gathers a subject's rounds, of all workloads.
func (b *Bank) deckOf(lang plan.Lang, plant string) deck {
	d := deck{timing: map[slot][]both[*banked]{}, counting: map[plan.Lang][]both[map[string]result.Cost]{}}
	base, head := BaseOf(lang).Service, Subject{Plant: plant, Lang: lang}.Variant().Service
	for _, r := range b.Timing {
		x, y := r.trials[base], r.trials[head]
		if x != nil && y != nil && x.trial.Invalid == "" && y.trial.Invalid == "" {
			at := slot{lang, r.workload}
			d.timing[at] = append(d.timing[at], both[*banked]{x, y})
		}
	}
	for _, r := range b.Counting {
		if pair, ok := countedPair(r.costs[base], r.costs[head]); ok {
			d.counting[lang] = append(d.counting[lang], pair)
		}
	}
	return d
}

// countedPair keeps the windows in which both sides count.
func countedPair(base, head map[string]result.Cost) (pair both[map[string]result.Cost], ok bool) {
	pair = both[map[string]result.Cost]{{}, {}}
	for name, x := range base {
		if y, found := head[name]; found && x.Invalid == "" && y.Invalid == "" {
			pair[0][name], pair[1][name] = x, y
		}
	}
	return pair, len(pair[0]) > 0
}

// with is a deck with another's rounds beside its own.
func (d deck) with(other deck) deck {
	sum := deck{timing: maps.Clone(d.timing), counting: maps.Clone(d.counting)}
	maps.Copy(sum.timing, other.timing)
	maps.Copy(sum.counting, other.counting)
	return sum
}

// room is the fewest rounds that a language's or all languages' timing slots and callgrind rounds hold; lists too short
// for the smallest report have no part in it.
func (d deck) room(lang plan.Lang, smallest size) (timing, counting int) {
	for at, rounds := range d.timing {
		if n := len(rounds); (lang == "" || at.lang == lang) && n >= smallest.timing() {
			timing = least(timing, n)
		}
	}
	for of, rounds := range d.counting {
		if n := len(rounds); (lang == "" || of == lang) && n >= smallest.counting() {
			counting = least(counting, n)
		}
	}
	return timing, counting
}

// least is the smaller of two, 0 standing for none so far.
func least(a, b int) int {
	if a == 0 || b < a {
		return b
	}
	return a
}

// reports is how many disjoint reports of a size a language's part of the deck holds, by pass.
func (d deck) reports(lang plan.Lang, s size) (timing, counting int) {
	for at, rounds := range d.timing {
		if at.lang == lang && s.timing() > 0 {
			timing = max(timing, len(rounds)/s.timing())
		}
	}
	if s.counting() > 0 {
		counting = len(d.counting[lang]) / s.counting()
	}
	return timing, counting
}

// dealt is one report's rounds, still folded.
type dealt struct {
	timing   map[slot][]both[*banked]
	counting map[plan.Lang][]both[map[string]result.Cost]
}

// choose picks rounds of a deck; lists that pick nothing are left out.
func (d deck) choose(s size, timing func(slot, int) []int, counting func(plan.Lang, int) []int) dealt {
	out := dealt{timing: map[slot][]both[*banked]{}, counting: map[plan.Lang][]both[map[string]result.Cost]{}}
	for at, rounds := range d.timing {
		for _, i := range timing(at, len(rounds)) {
			out.timing[at] = append(out.timing[at], rounds[i])
		}
	}
	for lang, rounds := range d.counting {
		for _, i := range counting(lang, len(rounds)) {
			out.counting[lang] = append(out.counting[lang], rounds[i])
		}
	}
	return out
}

// disjoint is the i-th report of rounds that follow each other. A list too short for it is left out. With fill, other
// languages start over instead: their rows are only the report's company.
func (d deck) disjoint(s size, i int, fill func(plan.Lang) bool) dealt {
	part := func(lang plan.Lang, have, need int) []int {
		if need == 0 || have < need {
			return nil
		}
		at := i
		if fill(lang) {
			at = i % (have / need)
		}
		if (at+1)*need > have {
			return nil
		}
		return span(at*need, (at+1)*need)
	}
	return d.choose(s,
		func(at slot, have int) []int { return part(at.lang, have, s.timing()) },
		func(lang plan.Lang, have int) []int { return part(lang, have, s.counting()) })
}

func span(from, to int) []int {
	all := make([]int, 0, to-from)
	for i := from; i < to; i++ {
		all = append(all, i)
	}
	return all
}

// resampled is a report of rounds drawn at random, none of them twice. Two such reports share rounds.
func (d deck) resampled(s size, rng *rand.Rand) dealt {
	// Drawn for every list in a fixed order: maps have none, and a seed must give the same reports.
	timing, counting := map[slot][]int{}, map[plan.Lang][]int{}
	for _, at := range d.slots() {
		timing[at] = draw(rng, len(d.timing[at]), s.timing())
	}
	for _, lang := range []plan.Lang{plan.Go, plan.Rust} {
		counting[lang] = draw(rng, len(d.counting[lang]), s.counting())
	}
	return d.choose(s, func(at slot, _ int) []int { return timing[at] }, func(lang plan.Lang, _ int) []int { return counting[lang] })
}

func draw(rng *rand.Rand, have, need int) []int {
	if need == 0 || have < need {
		return nil
	}
	return rng.Perm(have)[:need]
}

// slots are the deck's timing slots in a fixed order.
func (d deck) slots() []slot {
	var all []slot
	for at := range d.timing {
		all = append(all, at)
	}
	slices.SortFunc(all, func(a, b slot) int {
		return cmp.Or(cmp.Compare(a.lang, b.lang), cmp.Compare(a.workload, b.workload))
	})
	return all
}

// unfold makes a report's rounds ready to be judged.
func (d dealt) unfold() hand {
	h := hand{timing: map[slot][]both[result.Trial]{}, counting: d.counting}
	for at, rounds := range d.timing {
		for _, r := range rounds {
			h.timing[at] = append(h.timing[at], both[result.Trial]{r[0].unfold(), r[1].unfold()})
		}
	}
	return h
}

// series is one metric's figures in rounds, base and head of the same ones, and their effects.
type series struct{ base, head, d []float64 }

// series reads a metric of one language under one workload.
func (d dealt) series(at slot, m result.Metric) series {
	var s series
	add := func(base, head float64, ok bool) {
		if effect, fine := stats.LogRatio(base, head); ok && fine {
			s.base, s.head, s.d = append(s.base, base), append(s.head, head), append(s.d, effect)
		}
	}
	switch {
	case m.Read != nil:
		for _, r := range d.timing[at] {
			x, okX := r[0].figures[m.Name]
			y, okY := r[1].figures[m.Name]
			add(x, y, okX && okY)
		}
	case m.Count != nil:
		for _, r := range d.counting[at.lang] {
			x, okX := m.Count(r[0][at.workload])
			y, okY := m.Count(r[1][at.workload])
			add(x, y, okX && okY)
		}
	}
	return s
}

// all is the whole deck as one hand, for figures that no report stands behind.
func (d deck) all() dealt { return dealt(d) }

// workMetric is the row that judges work under a workload.
func (d dealt) workMetric(at slot) string {
	m, _ := result.MetricByName(result.Instructions)
	if len(d.series(at, m).d) > 0 {
		return result.Instructions
	}
	return result.CallgrindInstructions
}
