package result

import (
	"fmt"
	"slices"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/workload"
)

// Missing is a shard that left no run.json: its machine was lost, say. No run has this state.
const Missing State = "missing"

// Shard is one machine's part of a merged run: whole workloads with all their variants, and what that machine alone has to
// say. Trials, costs and rates stand in the run, under their workloads.
type Shard struct {
	Index     int               `json:"index"` // from 1
	Count     int               `json:"count"`
	Workloads []string          `json:"workloads"` // in the plan's order
	State     State             `json:"state"`
	Started   string            `json:"started,omitempty"`
	Seconds   float64           `json:"seconds,omitempty"`
	Attempt   int               `json:"attempt,omitempty"`
	Machine   *Machine          `json:"machine,omitempty"`
	Builds    []Build           `json:"builds,omitempty"`
	Parity    *ParityResult     `json:"parity,omitempty"`
	Failures  []Failure         `json:"failures,omitempty"`
	Stopped   map[string]string `json:"stopped,omitempty"`
	Error     string            `json:"error,omitempty"`
}

// Name is the shard as people write it: "2/3".
func (s Shard) Name() string { return plan.Shard{Index: s.Index, Count: s.Count}.Name() }

func (s Shard) words() string { return fmt.Sprintf("shard %d of %d", s.Index, s.Count) }

// Gone says why nothing of a shard is judged, "" where its figures are. What a cancelled machine had until then is no
// verdict.
func (s Shard) Gone() string {
	switch {
	case s.State == Missing:
		return s.words() + " is missing"
	case s.State == Cancelled:
		return s.words() + " was cancelled"
	case s.State == NotMeasured && s.Error != "":
		return fmt.Sprintf("%s could not measure: %s", s.words(), s.Error)
	}
	return ""
}

// Unfinished says what is missing of a shard's part, "" where all of it was measured.
func (s Shard) Unfinished() string {
	if gone := s.Gone(); gone != "" || s.State != NotMeasured {
		return gone
	}
	for _, f := range s.Failures {
		if f.Variant.Side == plan.Head {
			return fmt.Sprintf("%s could not measure %s: %s: %s", s.words(), f.Variant, f.Step, f.Error)
		}
	}
	return s.words() + " could not measure head"
}

// Unfinished says of each shard of a merged run what is missing of its part.
func (r Run) Unfinished() []string {
	var all []string
	for _, s := range r.Shards {
		if why := s.Unfinished(); why != "" {
			all = append(all, why)
		}
	}
	return all
}

// ShardOf is the shard that measured a workload, "" for the builds; nil where one machine measured all.
func (r Run) ShardOf(name string) *Shard {
	if name == "" {
		if i := first(r.Shards); i >= 0 {
			return &r.Shards[i]
		}
		return nil
	}
	for i := range r.Shards {
		if slices.Contains(r.Shards[i].Workloads, name) {
			return &r.Shards[i]
		}
	}
	return nil
}

// MachineOf is the machine that a workload, or "" for the builds, was measured on. Absolute figures never cross machines.
func (r Run) MachineOf(name string) Machine {
	if len(r.Shards) == 0 {
		return r.Machine
	}
	if s := r.ShardOf(name); s != nil && s.Machine != nil {
		return *s.Machine
	}
	return Machine{}
}

// first is the shard whose builds and machine stand for the run: the first that is judged, else the first that left
// anything; -1 where none did.
func first(shards []Shard) int {
	if i := slices.IndexFunc(shards, func(s Shard) bool { return s.Gone() == "" }); i >= 0 {
		return i
	}
	return slices.IndexFunc(shards, func(s Shard) bool { return s.State != Missing })
}

// Parts are a merged run's shards as runs of their own, each with its machine's facts and by the plan of the whole; those
// that are gone have no figures. A run of one machine is its own only part.
func (r Run) Parts() []Run {
	if len(r.Shards) == 0 {
		return []Run{r}
	}
	parts := make([]Run, len(r.Shards))
	of := map[string]*Run{}
	for i, s := range r.Shards {
		p := &parts[i]
		*p = Run{
			Schema: r.Schema, Duet: r.Duet, State: s.State, Started: s.Started, Seconds: s.Seconds, Attempt: s.Attempt, Plan: r.Plan,
			Builds: s.Builds, Parity: s.Parity, Names: r.Names, Failures: s.Failures, Stopped: map[string]string{}, Error: s.Error,
		}
		if s.Machine != nil {
			p.Machine = *s.Machine
		}
		p.Plan.Workloads = nil
		for _, w := range r.Plan.Workloads {
			if !slices.Contains(s.Workloads, w.Name) {
				continue
			}
			p.Plan.Workloads = append(p.Plan.Workloads, w)
			if why := s.Gone(); why != "" {
				p.Stopped[w.Name] = why
				continue
			}
			of[w.Name] = p
			if why := s.Stopped[w.Name]; why != "" {
				p.Stopped[w.Name] = why
			}
		}
	}
	for _, t := range r.Trials {
		if p := of[t.Workload]; p != nil {
			p.Trials = append(p.Trials, t)
		}
	}
	for _, c := range r.Costs {
		if p := of[c.Workload]; p != nil {
			p.Costs = append(p.Costs, c)
		}
	}
	for _, rate := range r.Rates {
		if p := of[rate.Workload]; p != nil {
			p.Rates = append(p.Rates, rate)
		}
	}
	return parts
}

// checkShards refuses a shard whose whole plan cannot be told, and a merged run whose shards are not its plan's.
func (r Run) checkShards() error {
	whole, err := r.Plan.Whole()
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	if r.Plan.Shard != nil {
		for _, w := range whole.Workloads {
			if seen[w.Name] {
				return fmt.Errorf("shard %s: workload %.80q stands twice in the whole plan", r.Plan.Shard.Name(), w.Name)
			}
			seen[w.Name] = true
		}
	}
	if len(r.Shards) == 0 {
		return nil
	}
	if r.Plan.Shard != nil || len(r.Shards) > plan.MaxShards {
		return fmt.Errorf("%d shards: expected at most %d, of a whole plan", len(r.Shards), plan.MaxShards)
	}
	for i, s := range r.Shards {
		if s.Index != i+1 || s.Count != len(r.Shards) || len(s.Workloads) == 0 {
			return fmt.Errorf("shard %s with %d workloads: expected shard %d/%d with some", s.Name(), len(s.Workloads), i+1, len(r.Shards))
		}
		for _, name := range s.Workloads {
			known := slices.ContainsFunc(r.Plan.Workloads, func(w workload.Workload) bool { return w.Name == name })
			if !known || seen[name] {
				return fmt.Errorf("shard %s: workload %.80q is not the plan's, or another shard's too", s.Name(), name)
			}
			seen[name] = true
		}
	}
	if len(seen) != len(r.Plan.Workloads) {
		return fmt.Errorf("%d of %d workloads are in no shard", len(r.Plan.Workloads)-len(seen), len(r.Plan.Workloads))
	}
	return nil
}
