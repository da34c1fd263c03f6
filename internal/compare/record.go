package compare

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/stats"
)

// mark is a round within its phase: figures are paired by it.
type mark struct {
	phase plan.Phase
	round int
}

// cell is one variant under one workload.
type cell struct {
	variant  plan.Variant
	workload string
}

// record is a run, looked up instead of searched.
type record struct {
	run       *result.Run
	trials    map[cell]map[mark]*result.Trial
	costs     map[cell]map[mark]*result.Cost
	crossed   map[cell]map[mark]*result.Cost // of the cross-check's builds
	builds    map[plan.Variant]*result.Build
	identical map[string]bool // by service: inputs are the same at both sides
	// each are the machines of a merged run that have something to say, and parts all of them by their workloads: a row is
	// judged by the facts of the one machine that measured it. Empty where one machine measured all.
	each  []record
	parts map[string]record
}

func newRecord(run *result.Run) record {
	if len(run.Shards) > 0 {
		return mergedRecord(run)
	}
	r := record{
		run:       run,
		trials:    map[cell]map[mark]*result.Trial{},
		costs:     map[cell]map[mark]*result.Cost{},
		crossed:   map[cell]map[mark]*result.Cost{},
		builds:    map[plan.Variant]*result.Build{},
		identical: map[string]bool{},
	}
	for i := range run.Builds {
		b := &run.Builds[i]
		r.builds[b.Variant] = b
		if b.Variant.Side == plan.Head && b.IdenticalToBase && run.Plan.Same != plan.SameAgain {
			r.identical[b.Variant.Service] = true
		}
	}
	for i := range run.Trials {
		t := &run.Trials[i]
		c := cell{t.Variant, t.Workload}
		if r.trials[c] == nil {
			r.trials[c] = map[mark]*result.Trial{}
		}
		if at := (mark{t.Phase, t.Round}); r.trials[c][at] == nil { // a second trial of a round cannot replace the first
			r.trials[c][at] = t
		}
	}
	for i := range run.Costs {
		cost := &run.Costs[i]
		c, of := cell{cost.Variant, cost.Workload}, r.costs
		if cost.Build != "" || cost.Phase == plan.Cross {
			of = r.crossed
		}
		if of[c] == nil {
			of[c] = map[mark]*result.Cost{}
		}
		if at := (mark{cost.Phase, cost.Round}); of[c][at] == nil {
			of[c][at] = cost
		}
	}
	return r
}

// mergedRecord is a merged run, looked up by machine. What it says of the whole is what all machines say.
func mergedRecord(run *result.Run) record {
	r := record{run: run, builds: map[plan.Variant]*result.Build{}, identical: map[string]bool{}, parts: map[string]record{}}
	for i := range run.Builds {
		r.builds[run.Builds[i].Variant] = &run.Builds[i]
	}
	for i, p := range run.Parts() {
		part := newRecord(&p)
		for _, w := range p.Plan.Workloads {
			r.parts[w.Name] = part
		}
		if run.Shards[i].Gone() == "" {
			r.each = append(r.each, part)
		}
	}
	for _, service := range r.services() {
		r.identical[service] = len(r.each) > 0 && !slices.ContainsFunc(r.each, func(part record) bool { return !part.identical[service] })
	}
	return r
}

// at is what the machine that measured a workload has to say.
func (r record) at(workload string) record {
	if part, ok := r.parts[workload]; ok {
		return part
	}
	return r
}

// services are head's services: pairs first, Go before Rust, then the others by name.
func (r record) services() []string {
	var names []string
	add := func(name string) {
		if _, ok := r.run.Plan.Services[variant(name, plan.Head)]; ok && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, p := range r.run.Plan.Pairs {
		add(p.Go)
		add(p.Rust)
	}
	var rest []string
	for v := range r.run.Plan.Services {
		rest = append(rest, v.Service)
	}
	slices.Sort(rest)
	for _, name := range rest {
		add(name)
	}
	return names
}

func variant(service string, side plan.Side) plan.Variant {
	return plan.Variant{Service: service, Side: side}
}

// source is the variant whose trials stand for v: base's inputs identical to head's are measured at head alone.
func (r record) source(v plan.Variant) plan.Variant {
	if r.identical[v.Service] {
		v.Side = plan.Head
	}
	return v
}

// failure says in words what v does not do, "" when it does everything.
func (r record) failure(v plan.Variant) string {
	if len(r.parts) > 0 {
		return r.failedEverywhere(v)
	}
	if b := r.builds[v]; b != nil && b.Error != "" {
		return "does not build at " + string(v.Side)
	}
	for _, f := range r.run.Failures {
		if f.Variant != v {
			continue
		}
		switch step, _, _ := strings.Cut(f.Step, " "); step { // "measuring list" names its workload
		case "starting":
			return "does not start at " + string(v.Side)
		case "parity", "answering", "measuring":
			return "does not survive at " + string(v.Side)
		}
		return "does not build at " + string(v.Side) // each of build's steps
	}
	return ""
}

// failedEverywhere is failure where each machine of a merged run has one; what one of them saw is said in its rows.
func (r record) failedEverywhere(v plan.Variant) string {
	words := ""
	for _, part := range r.each {
		why := part.failure(v)
		if why == "" {
			return ""
		}
		words = cmp.Or(words, why)
	}
	return words
}

// uncompared says why service has no head and base to compare, "" when it has both.
func (r record) uncompared(service string) string {
	head, base := variant(service, plan.Head), variant(service, plan.Base)
	if why := r.failure(head); why != "" {
		return why
	}
	switch _, ok := r.run.Plan.Services[base]; {
	case r.run.Plan.Base == nil && r.run.Plan.NoBase != "":
		return "baseline: none (" + r.run.Plan.NoBase + ")"
	case r.run.Plan.Base == nil:
		return "baseline: none"
	case !ok:
		return "no such service at base"
	}
	return r.failure(base)
}

// figures are a metric's values in the valid trials of a variant. What cannot be a measured value is left out.
func (r record) figures(v plan.Variant, workload string, m result.Metric) map[mark]float64 {
	found := map[mark]float64{}
	for at, c := range r.costs[cell{r.source(v), workload}] {
		if c.Invalid != "" || m.Count == nil {
			continue
		}
		if x, ok := m.Count(*c); ok && stats.Plausible(x) {
			found[at] = x
		}
	}
	for at, t := range r.trials[cell{r.source(v), workload}] {
		if t.Invalid != "" || m.Read == nil {
			continue
		}
		if x, ok := m.Read(*t); ok && stats.Plausible(x) {
			found[at] = x
		}
	}
	return found
}

// fact is a metric's one value of a variant.
func (r record) fact(v plan.Variant, m result.Metric) (value float64, ok bool) {
	b := r.builds[r.source(v)]
	if b == nil || b.Error != "" || m.Fact == nil {
		return 0, false
	}
	x, ok := m.Fact(*b)
	return x, ok && stats.Plausible(x)
}

// dead counts a variant's trials under a workload that do not count, and gives the reason of the first of them.
func (r record) dead(v plan.Variant, workload string) (invalid, trials int, reason string) {
	all := r.trials[cell{r.source(v), workload}]
	for _, at := range sortedMarks(all) {
		trials++
		if why := all[at].Invalid; why != "" {
			if invalid++; reason == "" {
				reason = why
			}
		}
	}
	return invalid, trials, reason
}

// lost is dead in the pass that a metric comes from.
func (r record) lost(v plan.Variant, workload string, m result.Metric) (invalid, rounds int, reason string) {
	if m.Count == nil {
		return r.dead(v, workload)
	}
	all := r.costs[cell{r.source(v), workload}]
	for _, at := range sortedMarks(all) {
		rounds++
		if why := all[at].Invalid; why != "" {
			if invalid++; reason == "" {
				reason = why
			}
		}
	}
	return invalid, rounds, reason
}

// requests is how many a variant answered in the open-loop stages of its valid trials, and in how many trials.
func (r record) requests(v plan.Variant, workload string) (requests int64, trials int) {
	for _, t := range r.trials[cell{r.source(v), workload}] {
		if t.Invalid == "" {
			requests += t.Open.Requests
			trials++
		}
	}
	return requests, trials
}

// margin is the metric's margin as a share: the plan's where it sets one.
func (r record) margin(m result.Metric) float64 {
	if share, ok := r.run.Plan.Margins[m.Name]; ok {
		return share
	}
	return m.Margin
}

// confirmRounds is how many fresh rounds the plan gives to a confirmation; the pass's least number of them must be
// valid, so a plan with more can lose some to invalid trials.
func (r record) confirmRounds(b bar) int {
	if b.pass == plan.Instructions {
		return max(b.confirm, r.run.Plan.Rounds.CountConfirm)
	}
	return max(b.confirm, r.run.Plan.Rounds.Confirm)
}

// leftOut tells of every variant and workload with trials that do not count.
func (r record) leftOut(services []string) (warnings []string) {
	for _, service := range services {
		for _, w := range r.run.Plan.Workloads {
			for _, side := range []plan.Side{plan.Base, plan.Head} {
				r, v := r.at(w.Name), variant(service, side)
				if r.source(v) != v {
					continue
				}
				if invalid, trials, reason := r.dead(v, w.Name); invalid > 0 {
					warnings = append(warnings, fmt.Sprintf("%s: %d of %d trials of %s left out, first: %s", w.Name, invalid, trials, v, reason))
				}
			}
		}
	}
	return warnings
}

func sortedMarks[V any](m map[mark]V) []mark {
	marks := make([]mark, 0, len(m))
	for at := range m {
		marks = append(marks, at)
	}
	slices.SortFunc(marks, func(a, b mark) int {
		return cmp.Or(-cmp.Compare(a.phase, b.phase), cmp.Compare(a.round, b.round)) // "screen" before "confirm"
	})
	return marks
}
