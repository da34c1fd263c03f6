package report

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// Settings is how a run was made and what it spent: whatever a reader needs to trust or repeat it.
type Settings struct {
	Started   string                `json:"started"`
	Seconds   float64               `json:"s"`
	Attempt   int                   `json:"attempt"`
	Seed      uint64                `json:"seed"`
	Budget    time.Duration         `json:"budget_ns"`
	Looks     []int                 `json:"looks"`
	Confirm   int                   `json:"confirm"`
	Choice    string                `json:"choice"` // slices, looks and pinning, in words
	Rounds    []Rounds              `json:"rounds"`
	Rates     []Rate                `json:"rates"`
	Dropped   []plan.Dropped        `json:"dropped"`
	Invalid   []Tally               `json:"invalid_trials"`
	Slices    []Tally               `json:"dropped_slices"` // by outside cause
	Callgrind *CallgrindRounds      `json:"callgrind_rounds"`
	Lateness  *float64              `json:"lateness_p99_s"` // of the client, the worst trial's
	ClientCPU *float64              `json:"client_cpu_s"`   // of the load generator, a request with all connections busy
	Durations []result.StepDuration `json:"durations"`
	Gate      plan.Gate             `json:"gate"`
	Notes     map[string][]string   `json:"notes,omitempty"` // of a build, by variant
	Built     []BuiltWith           `json:"built_with,omitempty"`
}

// BuiltWith is what a build's speed and size may depend on, and the variants that were built so.
type BuiltWith struct {
	Variants []string `json:"variants"`
	Settings []string `json:"settings"` // NAME=value, sorted
}

// builtWith groups builds by their settings, in the order of the builds.
func builtWith(of []result.Build) []BuiltWith {
	var out []BuiltWith
	for _, b := range of {
		var list []string
		for _, name := range slices.Sorted(maps.Keys(b.Settings)) {
			list = append(list, name+"="+b.Settings[name])
		}
		if len(list) == 0 {
			continue
		}
		i := slices.IndexFunc(out, func(other BuiltWith) bool { return slices.Equal(other.Settings, list) })
		if i < 0 {
			i = len(out)
			out = append(out, BuiltWith{Settings: list})
		}
		out[i].Variants = append(out[i].Variants, b.Variant.String())
	}
	return out
}

// Rounds is how many rounds of a workload were done.
type Rounds struct {
	Workload string `json:"workload"`
	Screen   int    `json:"screen"`
	Confirm  int    `json:"confirm"`
}

// CallgrindRounds is how many rounds of the instructions pass were done.
type CallgrindRounds struct {
	Screen  int `json:"screen"`
	Confirm int `json:"confirm"`
	Cross   int `json:"cross,omitempty"` // of both sides built with one codegen unit
}

// Rate is the offered rate of a workload's fixed-rate stage.
type Rate struct {
	Workload  string  `json:"workload"`
	PerSecond float64 `json:"per_second"`
}

// Tally is a reason and how often it was given.
type Tally struct {
	Reason string `json:"reason"`
	Count  int    `json:"count"`
}

func settings(run result.Run) Settings {
	s := Settings{
		Started: run.Started, Seconds: finite(run.Seconds), Attempt: run.Attempt,
		Seed: run.Plan.Seed, Budget: run.Plan.Budget,
		Looks: append([]int{}, run.Plan.Rounds.Looks...), Confirm: run.Plan.Rounds.Confirm,
		Choice: run.Plan.Choice(), Rounds: rounds(run.Trials), Rates: []Rate{}, Dropped: append([]plan.Dropped{}, run.Plan.Dropped...),
		Durations: []result.StepDuration{}, Gate: run.Plan.Policy.Gate, Notes: map[string][]string{},
	}
	for _, d := range run.Durations {
		s.Durations = append(s.Durations, result.StepDuration{Step: d.Step, Seconds: finite(d.Seconds)})
	}
	for _, rate := range run.Rates {
		s.Rates = append(s.Rates, Rate{Workload: rate.Workload, PerSecond: finite(rate.PerSecond)})
	}
	for _, b := range run.Builds {
		if len(b.Notes) > 0 {
			s.Notes[b.Variant.String()] = b.Notes
		}
	}
	invalid, dropped := map[string]int{}, map[string]int{}
	late, clientCPU, closed := 0.0, 0.0, int64(0)
	for _, t := range run.Trials {
		if t.Invalid != "" {
			invalid[t.Invalid]++
		}
		for _, stage := range []result.Stage{t.Open, t.Closed} {
			for cause, n := range stage.Dropped {
				dropped[cause] += n
			}
		}
		late = math.Max(late, finite(t.Open.LatenessP99))
		clientCPU, closed = clientCPU+finite(t.Closed.ClientCPUSeconds), closed+t.Closed.Requests
	}
	s.Built = builtWith(run.Builds)
	s.Invalid, s.Slices, s.Lateness = tallies(invalid), tallies(dropped), known(late)
	s.ClientCPU, s.Callgrind = known(clientCPU/float64(max(closed, 1))), callgrindRounds(run.Costs)
	return s
}

func callgrindRounds(costs []result.Cost) *CallgrindRounds {
	if len(costs) == 0 {
		return nil
	}
	var c CallgrindRounds
	for _, cost := range costs {
		switch cost.Phase {
		case plan.Confirm:
			c.Confirm = max(c.Confirm, cost.Round)
		case plan.Cross:
			c.Cross = max(c.Cross, cost.Round)
		default:
			c.Screen = max(c.Screen, cost.Round)
		}
	}
	return &c
}

// rounds counts each workload's rounds, workloads in the order they were measured.
func rounds(trials []result.Trial) []Rounds {
	out := []Rounds{}
	at := map[string]int{}
	for _, t := range trials {
		i, ok := at[t.Workload]
		if !ok {
			i = len(out)
			at[t.Workload] = i
			out = append(out, Rounds{Workload: t.Workload})
		}
		if t.Phase == plan.Confirm {
			out[i].Confirm = max(out[i].Confirm, t.Round)
		} else {
			out[i].Screen = max(out[i].Screen, t.Round)
		}
	}
	return out
}

// tallies lists counted reasons, the most frequent first.
func tallies(counts map[string]int) []Tally {
	out := make([]Tally, 0, len(counts))
	for reason, n := range counts {
		out = append(out, Tally{Reason: reason, Count: n})
	}
	slices.SortFunc(out, func(a, b Tally) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Reason, b.Reason))
	})
	return out
}

// known is a figure that was measured: nil for zero and for what is no number.
func known(v float64) *float64 {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// finite is v, or 0 where it is no number.
func finite(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	return v
}

// ends are an interval that was computed: nil for the zero one.
func ends(ci compare.Interval) *[2]float64 {
	if known(ci[0]) == nil || known(ci[1]) == nil {
		return nil
	}
	out := [2]float64(ci)
	return &out
}
