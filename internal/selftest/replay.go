package selftest

import (
	"slices"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/workload"
)

// size is how many rounds of the bank a report may use: the looks of screening and the confirmation of both passes.
type size struct {
	looks, countLooks     []int
	confirm, countConfirm int
	confirmMost           int
}

func sizeOf(r plan.Rounds) size {
	return size{looks: r.Looks, confirm: r.Confirm, confirmMost: r.ConfirmMost, countLooks: r.CountLooks, countConfirm: r.CountConfirm}
}

// timing and counting are the rounds of a report in which everything stays open and is then suspect; 0: the pass is off.
func (s size) timing() int   { return total(s.looks, max(s.confirm, s.confirmMost)) }
func (s size) counting() int { return total(s.countLooks, s.countConfirm) }

// smallest is a report that ends at its first look.
func (s size) smallest() size {
	s.looks, s.countLooks = s.looks[:min(1, len(s.looks))], s.countLooks[:min(1, len(s.countLooks))]
	s.confirmMost = s.confirm
	return s
}

func total(looks []int, confirm int) int {
	if len(looks) == 0 {
		return 0
	}
	return looks[len(looks)-1] + confirm
}

// within cuts screening to the looks that so many rounds have room for, as a short budget does; ok is false where they
// have room for none.
func (s size) within(timing, counting int) (size, bool) {
	for len(s.looks) > 0 && total(s.looks, s.confirm) > timing {
		s.looks = s.looks[:len(s.looks)-1]
	}
	if len(s.looks) > 0 {
		s.confirmMost = min(s.confirmMost, timing-s.looks[len(s.looks)-1])
	}
	for len(s.countLooks) > 0 && s.counting() > counting {
		s.countLooks = s.countLooks[:len(s.countLooks)-1]
	}
	return s, len(s.looks) > 0 || len(s.countLooks) > 0
}

// slot is one language under one workload: rounds are dealt to it.
type slot struct {
	lang     plan.Lang
	workload string
}

// both are the two variants of one round, base first.
type both[T any] [2]T

// hand is what one report is dealt: rounds of the bank, in the order in which they are used up.
type hand struct {
	timing   map[slot][]both[result.Trial]
	counting map[plan.Lang][]both[map[string]result.Cost] // by workload: a callgrind round serves all windows
}

// replay makes the run that a hand's rounds would have been, in the very order and with the very looks of plan.Next,
// and has it judged.
func replay(h hand, s size, workloads []workload.Workload) compare.Comparisons {
	run := result.Run{Schema: result.Schema, State: result.Measured, Plan: reportPlan(h, s, workloads)}
	pr := plan.Progress{
		Built: map[plan.Variant]bool{}, ParityDone: true, Calibrated: map[string]bool{},
		Rounds: map[string]map[plan.Phase]int{}, Counted: map[plan.Phase]int{}, CountOver: map[plan.Phase]string{},
	}
	for v := range run.Plan.Services {
		pr.Built[v] = true
	}
	for _, w := range run.Plan.Workloads {
		pr.Calibrated[w.Name], pr.Rounds[w.Name] = true, map[plan.Phase]int{}
	}
	d := dealer{hand: h, timed: map[slot]int{}, counted: map[plan.Lang]int{}}
	for {
		step := plan.Next(run.Plan, pr)
		switch step.Kind {
		case plan.StepRound:
			run.Trials = append(run.Trials, d.trials(step)...)
			pr.Rounds[step.Workload][step.Phase] = step.Round
		case plan.StepCount:
			run.Costs = append(run.Costs, d.costs(step)...)
			pr.Counted[step.Phase] = step.Round
		default: // done: nothing else is left to do
			run.Rows = pr.Rows
			return compare.Run(run)
		}
		if step.Settle {
			pr.Rows = compare.Settle(&run)
		}
	}
}

// reportPlan is the plan of an ordinary run: each language that was dealt rounds, at base and at head.
func reportPlan(h hand, s size, workloads []workload.Workload) plan.Plan {
	p := plan.Plan{
		Schema: plan.Schema, Base: &plan.Commit{}, Services: map[plan.Variant]plan.Service{},
		// One block a stage: the order inside a round was the bank's, only that of the rounds is asked for.
		Window: plan.Window{Trial: 2, Open: 1, Closed: 1, Slice: 1},
	}
	used := map[string]bool{}
	dealt := map[plan.Lang]bool{}
	for at, rounds := range h.timing {
		if len(rounds) > 0 {
			used[at.workload], dealt[at.lang] = true, true
		}
	}
	if len(used) > 0 {
		p.Rounds.Looks, p.Rounds.Confirm, p.Rounds.ConfirmMost = s.looks, s.confirm, s.confirmMost
	}
	for lang, rounds := range h.counting {
		if len(rounds) == 0 {
			continue
		}
		p.Rounds.CountLooks, p.Rounds.CountConfirm, dealt[lang] = s.countLooks, s.countConfirm, true
		for name := range rounds[0][0] {
			used[name] = true
		}
	}
	for _, lang := range []plan.Lang{plan.Go, plan.Rust} {
		if !dealt[lang] {
			continue
		}
		p.Order = append(p.Order, string(lang))
		for _, side := range []plan.Side{plan.Base, plan.Head} {
			p.Services[plan.Variant{Service: string(lang), Side: side}] = plan.Service{Name: string(lang), Lang: lang}
		}
	}
	for _, w := range workloads {
		if used[w.Name] {
			p.Workloads = append(p.Workloads, w)
		}
	}
	return p
}

// dealer hands out a hand's rounds, each of them once.
type dealer struct {
	hand    hand
	timed   map[slot]int
	counted map[plan.Lang]int
}

func services(variants []plan.Variant) []plan.Lang {
	var found []plan.Lang
	for _, v := range variants {
		if !slices.Contains(found, plan.Lang(v.Service)) {
			found = append(found, plan.Lang(v.Service))
		}
	}
	return found
}

// trials are a round's, relabelled. A language that was dealt no more rounds of a workload has none.
func (d *dealer) trials(step plan.Step) []result.Trial {
	var all []result.Trial
	for _, lang := range services(step.Start) {
		at := slot{lang, step.Workload}
		i := d.timed[at]
		if i >= len(d.hand.timing[at]) {
			continue
		}
		d.timed[at]++
		for k, side := range []plan.Side{plan.Base, plan.Head} {
			t := d.hand.timing[at][i][k]
			t.Variant, t.Phase, t.Round = plan.Variant{Service: string(lang), Side: side}, step.Phase, step.Round
			all = append(all, t)
		}
	}
	return all
}

func (d *dealer) costs(step plan.Step) []result.Cost {
	var all []result.Cost
	for _, lang := range services(step.Start) {
		i := d.counted[lang]
		if i >= len(d.hand.counting[lang]) {
			continue
		}
		d.counted[lang]++
		for _, name := range step.Windows {
			for k, side := range []plan.Side{plan.Base, plan.Head} {
				c, ok := d.hand.counting[lang][i][k][name]
				if !ok {
					continue
				}
				c.Variant, c.Phase, c.Round = plan.Variant{Service: string(lang), Side: side}, step.Phase, step.Round
				all = append(all, c)
			}
		}
	}
	return all
}
