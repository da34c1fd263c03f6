package harness

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// counting is a session in which the instructions pass is on, sized by a capacity that was never measured.
func counting(t *testing.T, roles map[plan.Variant]string) *session {
	t.Helper()
	s := built(t, roles)
	s.run.Plan.Rounds.CountLooks, s.run.Plan.Rounds.CountConfirm, s.run.Plan.Rounds.CountCap = []int{3, 5}, 4, time.Minute
	for _, w := range s.run.Plan.Workloads {
		s.sizeWindow(w, map[plan.Variant]float64{base: 5000, head: 5000})
	}
	return s
}

func countStep(round int) plan.Step {
	return plan.Step{Kind: plan.StepCount, Phase: plan.Screen, Round: round, Start: []plan.Variant{head, base}, Windows: []string{"hello", "up"}}
}

// One process serves all windows, and the same code asked the same costs the same work. The binary of a test has no
// symbols, so all of it counts as the service's, and its allocations are not known.
func TestCallgrindRound(t *testing.T) {
	s := counting(t, map[plan.Variant]string{base: "sound", head: "sound"})
	if err := s.count(t.Context(), countStep(1)); err != nil {
		t.Fatal(err)
	}
	if n := len(s.run.Costs); n != 4 {
		t.Fatalf("got %d costs, want 2 variants × 2 windows: %+v", n, s.run.Costs)
	}
	perRequest := map[string]map[plan.Variant]float64{"hello": {}, "up": {}}
	for _, c := range s.run.Costs {
		if c.Invalid != "" || c.Requests < leastCounted || c.Buckets[result.BucketService] == 0 {
			t.Errorf("%+v, want a whole window", c)
			continue
		}
		perRequest[c.Workload][c.Variant] = float64(c.Buckets[result.BucketService]) / float64(c.Requests)
	}
	for workload, figure := range perRequest {
		if ratio := figure[head] / figure[base]; ratio < 0.95 || ratio > 1.05 {
			t.Errorf("%s: head ÷ base is %.3f for one binary (%v)", workload, ratio, figure)
		}
	}
	if s.progress.Counted[plan.Screen] != 1 {
		t.Errorf("counted %v, want one round", s.progress.Counted)
	}
}

// A variant that cannot be counted spoils its own windows alone, and is left out after two rounds.
func TestUncountable(t *testing.T) {
	s := counting(t, map[plan.Variant]string{base: "sound", head: "dies"})
	for s.pass.uncountable[head] < uncountableAfter {
		if err := s.count(t.Context(), countStep(1)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range s.run.Costs {
		if bad := c.Invalid != ""; bad != (c.Variant == head) {
			t.Errorf("%s %s round %d: %q", c.Variant, c.Workload, c.Round, c.Invalid)
		}
	}
	before := len(s.run.Costs)
	if err := s.count(t.Context(), countStep(2)); err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(s.run.Costs[before:], func(c result.Cost) bool { return c.Variant == head }) {
		t.Error("a variant that cannot be counted was started a third time")
	}
}

// The cap ends the pass, said.
func TestCountCap(t *testing.T) {
	s := counting(t, map[plan.Variant]string{base: "sound", head: "sound"})
	s.run.Plan.Rounds.CountCap = time.Nanosecond
	if err := s.count(t.Context(), countStep(1)); err != nil {
		t.Fatal(err)
	}
	if s.progress.CountOver[plan.Screen] == "" {
		t.Error("the time cap did not end the pass")
	}
	if len(s.run.Warnings) != 1 || !strings.Contains(s.run.Warnings[0], "1 of 5 callgrind rounds") {
		t.Errorf("warnings %q, want one that says how far the pass came", s.run.Warnings)
	}
}

// A base that cannot serve one workload is counted under the others.
func TestCountWithoutAbsent(t *testing.T) {
	s := counting(t, map[plan.Variant]string{base: "sound", head: "sound"})
	s.absent[cell{base, "hello"}] = true
	if err := s.count(t.Context(), countStep(1)); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range s.run.Costs {
		got = append(got, c.Variant.String()+" "+c.Workload+c.Invalid)
	}
	slices.Sort(got)
	if want := []string{"go@base up", "go@head hello", "go@head up"}; !slices.Equal(got, want) {
		t.Errorf("counted %q, want %q", got, want)
	}
}
