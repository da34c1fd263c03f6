package selftest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/selftest/pair"
	"github.com/duet-bench/duet/internal/workload"
)

// The two workloads of a bank: a heavy route, where the service's own work is nearly all there is, and a light one,
// which has the requests that a p99 needs.
const (
	Heavy = "json-pipeline"
	Light = "health"
)

// The shares of reports in which a plant is to be found.
const (
	mostly = 0.95
	often  = 0.90
)

// Subjects are base against itself and the plants of a form of the self-test, in both languages. The fast form has
// those that any machine should find in a few minutes: work, allocations, memory.
func Subjects(full bool) []Subject {
	var all []Subject
	for _, lang := range []plan.Lang{plan.Go, plan.Rust} {
		all = append(all, Subject{Plant: Again, About: "the base itself", Lang: lang, Workload: Heavy, Timing: true, Counting: true})
		if full {
			all = append(all, Subject{Plant: Again, About: "the base itself", Lang: lang, Workload: Light, Timing: true, Counting: true})
		}
		for _, p := range pair.Plants() {
			if s := subject(p, lang); full {
				all = append(all, s)
			} else if fast, ok := s.fast(); ok {
				all = append(all, fast)
			}
		}
	}
	return all
}

// Only are base against itself and the plants of these names; an error names one that there is not.
func Only(all []Subject, names []string) ([]Subject, error) {
	var known []string
	for _, s := range all {
		if s.Plant != Again && !slices.Contains(known, s.Plant) {
			known = append(known, s.Plant)
		}
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("unknown plant %q: expected one of %s", name, strings.Join(known, ", "))
		}
	}
	chosen := func(s Subject) bool { return slices.Contains(names, s.Plant) }
	return slices.DeleteFunc(slices.Clone(all), func(s Subject) bool {
		if s.Plant != Again {
			return !chosen(s)
		}
		// The base itself under a workload that no chosen plant has says nothing about one.
		return !slices.ContainsFunc(all, func(o Subject) bool { return chosen(o) && o.Workload == s.Workload })
	}), nil
}

// subject is a plant with the rows and aims that it stands for.
func subject(p pair.Plant, lang plan.Lang) Subject {
	s := Subject{Plant: p.Name, About: p.About, Lang: lang, Workload: Heavy, Timing: true}
	switch p.Row {
	case "":
		s.Counting = true
	case result.Instructions, result.CallgrindInstructions:
		s.Counting = true
		s.Targets = workTargets(p.Name)
	case "allocations":
		s.Counting = true
		s.Targets = []Target{{Workload: Heavy, Metric: p.Row, Aim: map[string]float64{"garbage": often}[p.Name]}}
		if p.Name != "garbage" {
			s.Targets[0].Aim = mostly
		}
	case "p50":
		s.Targets = []Target{{Workload: Heavy, Metric: p.Row, Aim: mostly, Least: 0.05, Quiet: true}}
	case "p99":
		s.Workload = Light
		s.Targets = []Target{{Workload: Light, Metric: p.Row, Aim: often, Least: 0.20, Quiet: true}}
	case result.CPUPerRequest:
		s.Targets = []Target{{Workload: Heavy, Metric: p.Row, Aim: often, Quiet: true}}
	default: // memory
		s.Targets = []Target{{Workload: Heavy, Metric: p.Row, Aim: often}}
	}
	return s
}

// workTargets are the rows of planted work: instructions under both workloads, and CPU time. A heavy route is to show
// +1 %, a light one +2 %; CPU time +3 %, where the machine is quiet.
func workTargets(name string) []Target {
	heavy := Target{Workload: Heavy, Metric: Work, Aim: mostly}
	light := Target{Workload: Light, Metric: Work, Aim: mostly}
	cpu := Target{Workload: Heavy, Metric: result.CPUPerRequest, Aim: mostly, Quiet: true}
	switch name {
	case "work-1":
		light.Aim, cpu.Aim = 0, 0
	case "work-2":
		cpu.Aim = 0
	}
	return []Target{heavy, light, cpu}
}

// fast is a subject's part in the fast form; ok is false where it has none.
func (s Subject) fast() (Subject, bool) {
	switch s.Plant {
	case "work-1", "alloc-1":
		s.Timing = false
		s.Targets = slices.DeleteFunc(slices.Clone(s.Targets), func(t Target) bool { return t.Workload != Heavy || t.Metric == result.CPUPerRequest })
	case "memory-5", "latency-200":
		s.Counting = false
	default:
		return Subject{}, false
	}
	return s, true
}

// Rounds are a report's: as an ordinary run's with the default budget.
func Rounds(full bool) plan.Rounds {
	r := plan.Rounds{Looks: []int{7, 11, 15}, Confirm: 7, ConfirmMost: 15, CountLooks: []int{3, 5}, CountConfirm: 4}
	if !full { // as a short budget cuts them
		r.Looks, r.CountLooks = r.Looks[:2], r.CountLooks[:1]
	}
	return r
}

// Window is a trial's: 15 rounds of four variants are then 60 s of measuring a workload.
func Window() plan.Window {
	return plan.Window{Trial: time.Second, Open: 600 * time.Millisecond, Closed: 400 * time.Millisecond, Slice: 25 * time.Millisecond}
}

// Workloads are the names of the workloads that subjects need, the heavy one first.
func Workloads(subjects []Subject) []string {
	var names []string
	for _, name := range []string{Heavy, Light} {
		if slices.ContainsFunc(subjects, func(s Subject) bool { return s.Workload == name }) {
			names = append(names, name)
		}
	}
	return names
}

// PlanFor is the bank's plan: base and every plant are services of one side, so that all are alive in one round.
func PlanFor(head plan.Commit, subjects []Subject, workloads []workload.Workload, seed uint64, rounds plan.Rounds) plan.Plan {
	p := plan.Plan{
		Schema: plan.Schema, Head: head, NoBase: "the self-test compares services of one commit", Seed: seed,
		Services: map[plan.Variant]plan.Service{}, Workloads: workloads, Rounds: rounds, Window: Window(),
	}
	plants := map[string]pair.Plant{}
	for _, plant := range pair.Plants() {
		plants[plant.Name] = plant
	}
	add := func(v plan.Variant, lang plan.Lang, plant pair.Plant) {
		if _, done := p.Services[v]; done {
			return
		}
		for _, service := range pair.Services(plant.Moved) {
			if service.Lang != lang {
				continue
			}
			service.Name, service.Env = v.Service, maps.Clone(service.Env)
			if service.Env == nil {
				service.Env = map[string]string{}
			}
			if plant.Env != "" {
				service.Env[pair.Variable] = plant.Env
			}
			p.Services[v] = service
			p.Order = append(p.Order, v.Service)
		}
	}
	for _, s := range subjects {
		add(BaseOf(s.Lang), s.Lang, pair.Plant{})
		add(s.Variant(), s.Lang, plants[s.Plant])
	}
	return p
}
