package plan

import (
	"fmt"
	"slices"
)

// Next is the next thing to do. It is a pure function: the same plan and progress give the same step.
//
//	build base's variants, then head's ▸ parity ▸ calibrate each workload ▸ callgrind rounds to their looks ▸ screening
//	rounds, in turns over the workloads, to the looks ▸ callgrind rounds and then rounds that confirm suspects ▸ the
//	cross-check of Rust's regressions ▸ profiles of each workload ▸ done
//
// A service whose head variant failed is given up, and the others go on; one whose base variant failed, or whose
// inputs are identical, is measured at head alone.
func Next(p Plan, pr Progress) Step {
	for _, v := range p.variants() {
		if !pr.Built[v] && !pr.Failed[v] {
			return Step{Kind: StepBuild, Variant: v}
		}
	}
	live := p.Live(pr)
	if len(live) == 0 {
		return Step{Kind: StepDone}
	}
	if !pr.ParityDone {
		return Step{Kind: StepParity}
	}
	for _, w := range p.Workloads {
		if _, stopped := pr.Stopped[w.Name]; !stopped && !pr.Calibrated[w.Name] {
			return Step{Kind: StepCalibrate, Workload: w.Name}
		}
	}
	for _, next := range []func(Progress, []Variant) (Step, bool){p.screenCounts, p.screen, p.confirmCounts, p.confirm, p.cross, p.profile} {
		if step, ok := next(pr, live); ok {
			return step
		}
	}
	return Step{Kind: StepDone}
}

// ServiceNames are the services at head in configuration's order.
func (p Plan) ServiceNames() []string {
	if len(p.Order) > 0 {
		return p.Order
	}
	var names []string
	for v := range p.Services {
		if v.Side == Head {
			names = append(names, v.Service)
		}
	}
	slices.Sort(names)
	return names
}

// variants are all variants in building order: base first, because head takes over its dependency cache.
func (p Plan) variants() []Variant {
	var all []Variant
	for _, side := range []Side{Base, Head} {
		for _, name := range p.ServiceNames() {
			if _, ok := p.Services[Variant{name, side}]; ok {
				all = append(all, Variant{name, side})
			}
		}
	}
	return all
}

// Live are the variants worth measuring: head's, and base's where there is something to compare.
func (p Plan) Live(pr Progress) []Variant {
	var live []Variant
	for _, name := range p.ServiceNames() {
		base, head := Variant{name, Base}, Variant{name, Head}
		if pr.Failed[head] {
			continue
		}
		if _, ok := p.Services[base]; ok && !pr.Failed[base] && !pr.Identical[name] {
			live = append(live, base)
		}
		live = append(live, head)
	}
	return live
}

// screen is the next screening round: the workload with the fewest rounds, the first of equals.
func (p Plan) screen(pr Progress, live []Variant) (Step, bool) {
	compared := slices.ContainsFunc(live, func(v Variant) bool { return v.Side == Base })
	looks := p.Rounds.Looks
	if !compared && len(looks) > 1 {
		looks = looks[:1] // described, not judged
	}
	name, done := "", 0
	for _, w := range p.Workloads {
		rounds := pr.Rounds[w.Name][Screen]
		if _, stopped := pr.Stopped[w.Name]; stopped || screened(looks, rounds, pr.Rows, w.Name) {
			continue
		}
		if name == "" || rounds < done {
			name, done = w.Name, rounds
		}
	}
	if name == "" {
		return Step{}, false
	}
	step := p.round(name, Screen, done+1, live)
	step.Settle = compared && slices.Contains(looks, step.Round)
	return step, true
}

// screened says whether a workload's screening is over: at its last look, or at one that left no row open.
func screened(looks []int, rounds int, rows []Row, workload string) bool {
	if len(looks) == 0 || rounds >= looks[len(looks)-1] {
		return true
	}
	if !slices.Contains(looks, rounds) {
		return false
	}
	return !slices.ContainsFunc(rows, func(r Row) bool {
		return r.Pass == Timing && r.Workload == workload && r.State == RowOpen
	})
}

// confirm is the next confirmation round: as screen, for the services with suspects, which are measured at both
// sides.
func (p Plan) confirm(pr Progress, live []Variant) (Step, bool) {
	name, done := "", 0
	var suspects []Variant
	for _, w := range p.Workloads {
		rounds := pr.Rounds[w.Name][Confirm]
		if _, stopped := pr.Stopped[w.Name]; stopped || rounds >= p.ConfirmRounds(pr.Rows, w.Name) || name != "" && rounds >= done {
			continue
		}
		if variants := suspected(live, pr.Rows, w.Name); len(variants) > 0 {
			name, done, suspects = w.Name, rounds, variants
		}
	}
	if name == "" {
		return Step{}, false
	}
	return p.round(name, Confirm, done+1, suspects), true
}

// profile is the sampling passes of the next workload that had none.
func (p Plan) profile(pr Progress, live []Variant) (Step, bool) {
	if p.Profile <= 0 {
		return Step{}, false
	}
	for _, w := range p.Workloads {
		if _, stopped := pr.Stopped[w.Name]; stopped || pr.Profiled[w.Name] {
			continue
		}
		rng := random(p.Seed, "order of profiles, "+w.Name)
		return Step{Kind: StepProfile, Workload: w.Name, Start: shuffled(rng, live)}, true
	}
	return Step{}, false
}

// ConfirmRounds is how many fresh rounds a workload's suspects get: the most that one of them needs, within the plan's
// bounds. It is fixed by screening alone, before the first fresh round, so that the test keeps its level.
func (p Plan) ConfirmRounds(rows []Row, workload string) int {
	rounds := p.Rounds.Confirm
	for _, r := range rows {
		if r.Pass == Timing && r.Workload == workload && r.State == RowSuspect {
			rounds = max(rounds, min(r.Needs, p.Rounds.ConfirmMost))
		}
	}
	return rounds
}

// suspected are the live variants of services with a suspect row in a workload and both sides alive.
func suspected(live []Variant, rows []Row, workload string) []Variant {
	var variants []Variant
	for _, v := range live {
		suspect := slices.ContainsFunc(rows, func(r Row) bool {
			return r.Pass == Timing && r.Service == v.Service && r.Workload == workload && r.State == RowSuspect
		})
		if suspect && slices.Contains(live, Variant{v.Service, Base}) {
			variants = append(variants, v)
		}
	}
	return variants
}

func (p Plan) round(workload string, phase Phase, round int, variants []Variant) Step {
	rng := random(p.Seed, fmt.Sprintf("order of %s, %s round %d", workload, phase, round))
	slice := max(p.Window.Slice, 1)
	return Step{
		Kind: StepRound, Workload: workload, Phase: phase, Round: round,
		Start:  shuffled(rng, variants),
		Open:   balanced(rng, variants, max(int(p.Window.Open/slice), 1)),
		Closed: balanced(rng, variants, max(int(p.Window.Closed/slice), 1)),
	}
}
