package plan

import (
	"fmt"
	"slices"
)

// screenCounts is the next callgrind round of screening: every service that has two sides to compare, all workloads.
func (p Plan) screenCounts(pr Progress, live []Variant) (Step, bool) {
	looks, done := p.Rounds.CountLooks, pr.Counted[Screen]
	if len(looks) == 0 || done >= looks[len(looks)-1] || pr.CountOver[Screen] != "" {
		return Step{}, false
	}
	open := func(r Row) bool { return r.Pass == Instructions && r.State == RowOpen }
	if slices.Contains(looks, done) && !slices.ContainsFunc(pr.Rows, open) {
		return Step{}, false
	}
	step, ok := p.countRound(Screen, done+1, compared(live), p.going(pr))
	step.Settle = slices.Contains(looks, step.Round)
	return step, ok
}

// confirmCounts is the next callgrind round of confirmation: the services and the workloads of suspect rows.
func (p Plan) confirmCounts(pr Progress, live []Variant) (Step, bool) {
	done := pr.Counted[Confirm]
	if done >= p.Rounds.CountConfirm || pr.CountOver[Confirm] != "" {
		return Step{}, false
	}
	suspect := func(match func(Row) bool) bool {
		return slices.ContainsFunc(pr.Rows, func(r Row) bool {
			return r.Pass == Instructions && r.State == RowSuspect && match(r)
		})
	}
	variants := slices.DeleteFunc(compared(live), func(v Variant) bool {
		return !suspect(func(r Row) bool { return r.Service == v.Service })
	})
	windows := slices.DeleteFunc(p.going(pr), func(workload string) bool {
		return !suspect(func(r Row) bool { return r.Workload == workload })
	})
	return p.countRound(Confirm, done+1, variants, windows)
}

// countRound is one callgrind round. The sides of a service come one after the other, because two processes run at a
// time: whatever the machine does then, it does to both.
func (p Plan) countRound(phase Phase, round int, variants []Variant, windows []string) (Step, bool) {
	if len(variants) == 0 || len(windows) == 0 {
		return Step{}, false
	}
	rng := random(p.Seed, fmt.Sprintf("order of callgrind, %s round %d", phase, round))
	var services []string
	for _, v := range variants {
		if !slices.Contains(services, v.Service) {
			services = append(services, v.Service)
		}
	}
	step := Step{Kind: StepCount, Phase: phase, Round: round, Windows: windows}
	rng.Shuffle(len(services), func(i, j int) { services[i], services[j] = services[j], services[i] })
	for _, service := range services {
		sides := slices.DeleteFunc(slices.Clone(variants), func(v Variant) bool { return v.Service != service })
		step.Start = append(step.Start, shuffled(rng, sides)...)
	}
	return step, true
}

// compared are the live variants of services with both sides alive.
func compared(live []Variant) []Variant {
	return slices.DeleteFunc(slices.Clone(live), func(v Variant) bool {
		return !slices.Contains(live, Variant{v.Service, Base}) || !slices.Contains(live, Variant{v.Service, Head})
	})
}

// going are the workloads that were not given up, in the plan's order.
func (p Plan) going(pr Progress) []string {
	var names []string
	for _, w := range p.Workloads {
		if _, stopped := pr.Stopped[w.Name]; !stopped {
			names = append(names, w.Name)
		}
	}
	return names
}
