package compare

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/profdiff"
	"github.com/duet-bench/duet/internal/result"
)

// SampledTime is the measure of a Why that stands on samples of CPU time instead of exact counts.
const SampledTime = "CPU time"

// sampledWindows are the sound windows of both sides' CPU profiles, paired by their number.
func (r record) sampledWindows(service, workload string) []profdiff.SampledPair {
	type sides struct{ base, head *result.Profile }
	byRound := map[int]*sides{}
	for i := range r.run.Profiles {
		p := &r.run.Profiles[i]
		if p.Variant.Service != service || p.Workload != workload || p.Kind != result.ProfileCPU || p.Invalid != "" {
			continue
		}
		at := byRound[p.Round]
		if at == nil {
			at = &sides{}
			byRound[p.Round] = at
		}
		if p.Variant.Side == plan.Base {
			at.base = cmp.Or(at.base, p)
		} else {
			at.head = cmp.Or(at.head, p)
		}
	}
	var rounds []int
	for round, at := range byRound {
		if at.base != nil && at.head != nil {
			rounds = append(rounds, round)
		}
	}
	slices.Sort(rounds)
	var pairs []profdiff.SampledPair
	for _, round := range rounds {
		pairs = append(pairs, profdiff.SampledPair{
			Base: profdiff.SampledWindowOf(*r.run, *byRound[round].base), Head: profdiff.SampledWindowOf(*r.run, *byRound[round].head),
		})
	}
	return pairs
}

// sampledWhy names the functions whose CPU time rose by what was sampled, or says what samples could not have seen.
func (r record) sampledWhy(service, workload string) (Why, bool) {
	f, ok := profdiff.BlameSampled(r.sampledWindows(service, workload))
	if !ok {
		return Why{}, false
	}
	w := Why{
		Service: service, Workload: workload, Measure: SampledTime, Unit: "s", Base: f.Base, Head: f.Head, Smallest: f.Smallest, Rounds: f.Windows,
		Functions: []Blamed{},
	}
	for _, moved := range f.Moved {
		if moved.Delta > 0 && len(w.Functions) < maxBlamed {
			w.Functions = append(w.Functions, r.blamed(moved, profdiff.Finding{Base: f.Base, Head: f.Head}))
		}
	}
	if len(w.Functions) == 0 {
		w.Words = fmt.Sprintf("No function is told apart by %d and %d samples", f.Samples[0], f.Samples[1])
	}
	return w, true
}

// disagreement says that samples show a function that instructions blame as cheaper, "" when they do not.
func (r record) disagreement(service, workload string, blamed []Blamed) string {
	f, ok := profdiff.BlameSampled(r.sampledWindows(service, workload))
	if !ok {
		return ""
	}
	for _, b := range blamed {
		for _, m := range f.Moved {
			if profdiff.ShortName(m.Name) == b.Name && m.Delta < 0 {
				return fmt.Sprintf("Samples of CPU time disagree: by them %s got cheaper", b.Name)
			}
		}
	}
	return ""
}
