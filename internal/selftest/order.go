package selftest

import (
	"slices"
	"time"

	"github.com/duet-bench/duet/internal/plan"
)

// perGroup is how many plants a round holds beside base and base again: blocks stay short, so that what is compared
// is measured close together, and the base still costs only a third.
const perGroup = 4

// Group is what one kind of round measures: a language's base, the same again, and some plants.
type Group struct {
	Workload string // timing rounds
	Variants []plan.Variant
}

// Layout is the bank's order: the kinds of rounds, which follow each other for ever.
type Layout struct {
	Timing   []Group
	Counting []Group // their windows are the plan's workloads
	// TimingRounds and CountRounds are what one report takes: both kinds progress as reports do.
	TimingRounds, CountRounds int
}

// LayOut puts subjects into groups, languages in turns so that both progress alike.
func LayOut(subjects []Subject, rounds plan.Rounds) Layout {
	size := sizeOf(rounds)
	l := Layout{TimingRounds: size.timing(), CountRounds: size.counting()}
	var timing, counting [][]Group
	for _, lang := range langs(subjects) {
		for _, workload := range workloadsOf(subjects, lang) {
			timing = append(timing, groups(lang, workload, subjects, func(s Subject) bool { return s.Timing && s.Workload == workload }))
		}
		counting = append(counting, groups(lang, "", subjects, func(s Subject) bool { return s.Counting }))
	}
	l.Timing, l.Counting = zip(timing), zip(counting)
	return l
}

func workloadsOf(subjects []Subject, lang plan.Lang) []string {
	var found []string
	for _, s := range subjects {
		if s.Lang == lang && s.Timing && !slices.Contains(found, s.Workload) {
			found = append(found, s.Workload)
		}
	}
	return found
}

// groups are the rounds that hold a language's subjects for which keep holds, in groups as even as can be.
func groups(lang plan.Lang, workload string, subjects []Subject, keep func(Subject) bool) []Group {
	var plants []plan.Variant
	again, found := Subject{Plant: Again, Lang: lang}.Variant(), false
	for _, s := range subjects {
		if s.Lang != lang || !keep(s) {
			continue
		}
		found = true
		if s.Plant != Again && !slices.Contains(plants, s.Variant()) {
			plants = append(plants, s.Variant())
		}
	}
	if !found {
		return nil
	}
	n := max(1, (len(plants)+perGroup-1)/perGroup)
	var all []Group
	for i := range n {
		share := plants[i*len(plants)/n : (i+1)*len(plants)/n]
		all = append(all, Group{Workload: workload, Variants: slices.Concat([]plan.Variant{BaseOf(lang), again}, share)})
	}
	return all
}

// zip takes one of each list in turn until all are used up.
func zip(lists [][]Group) []Group {
	var all []Group
	for i := 0; ; i++ {
		done := true
		for _, list := range lists {
			if i < len(list) {
				all, done = append(all, list[i]), false
			}
		}
		if done {
			return all
		}
	}
}

// Next is the bank's order, for harness.Options.Next: builds, the rate of each workload, and then rounds for ever. It
// is pure. Timing and callgrind rounds progress as reports do: neither kind waits for the other.
func (l Layout) Next(p plan.Plan, pr plan.Progress) plan.Step {
	for _, name := range p.ServiceNames() {
		v := plan.Variant{Service: name, Side: plan.Head}
		if !pr.Built[v] && !pr.Failed[v] {
			return plan.Step{Kind: plan.StepBuild, Variant: v}
		}
	}
	timing, counting := viable(l.Timing, pr), viable(l.Counting, pr)
	if pr.CountOver[plan.Screen] != "" {
		counting = nil
	}
	timing = slices.DeleteFunc(timing, func(g Group) bool { _, stopped := pr.Stopped[g.Workload]; return stopped })
	for _, g := range timing {
		if !pr.Calibrated[g.Workload] {
			return plan.Step{Kind: plan.StepCalibrate, Workload: g.Workload}
		}
	}
	timed, counted := 0, pr.Counted[plan.Screen]
	for _, phases := range pr.Rounds {
		timed += phases[plan.Screen]
	}
	switch {
	case len(timing) == 0 && len(counting) == 0:
		return plan.Step{Kind: plan.StepDone}
	case len(timing) == 0 || len(counting) > 0 && behind(counted, l.CountRounds*len(counting), timed, l.TimingRounds*len(timing)):
		g := counting[counted%len(counting)]
		return plan.Step{Kind: plan.StepCount, Phase: plan.Screen, Round: counted + 1, Start: rotated(g.Variants, counted/len(counting)), Windows: windows(p, pr)}
	}
	g := timing[timed%len(timing)]
	return plan.RoundOf(p, g.Workload, plan.Screen, pr.Rounds[g.Workload][plan.Screen]+1, g.Variants)
}

// behind says whether a of so many rounds is a smaller share than b of its own.
func behind(a, of int, b, ofB int) bool { return a*ofB < b*of }

// Expect is about how many timing rounds of a workload fit into a time, for progress.
func (l Layout) Expect(workload string, d time.Duration, windows int) int {
	const (
		variant = 1600 * time.Millisecond // one trial of a second, with start, warm-up and stop
		process = 3 * time.Second         // a start under callgrind
		window  = 3 * time.Second         // one workload in it
		atATime = 2
	)
	var cycle time.Duration // of one report in every group
	rounds := 0
	for _, g := range l.Timing {
		cycle += time.Duration(l.TimingRounds*len(g.Variants)) * variant
		if g.Workload == workload {
			rounds += l.TimingRounds
		}
	}
	for _, g := range l.Counting {
		cycle += time.Duration(l.CountRounds*(len(g.Variants)+atATime-1)/atATime) * (process + time.Duration(windows)*window)
	}
	if cycle == 0 || d < 0 {
		return 0
	}
	return int(float64(rounds) * float64(d) / float64(cycle))
}

// viable are the groups that can still say something: the base and one more are alive.
func viable(all []Group, pr plan.Progress) []Group {
	var kept []Group
	for _, g := range all {
		alive := slices.DeleteFunc(slices.Clone(g.Variants), func(v plan.Variant) bool { return pr.Failed[v] })
		if len(alive) >= 2 && alive[0] == g.Variants[0] {
			kept = append(kept, Group{Workload: g.Workload, Variants: alive})
		}
	}
	return kept
}

// rotated starts the list elsewhere: two processes run at a time, and each variant should have each neighbour.
func rotated(variants []plan.Variant, by int) []plan.Variant {
	// Base moves through all places and the others turn around it.
	others := variants[1:]
	k := by % len(others)
	turned := slices.Concat(others[k:], others[:k])
	return slices.Insert(turned, (by/len(others))%len(variants), variants[0])
}

func windows(p plan.Plan, pr plan.Progress) []string {
	var names []string
	for _, w := range p.Workloads {
		if _, stopped := pr.Stopped[w.Name]; !stopped {
			names = append(names, w.Name)
		}
	}
	return names
}
