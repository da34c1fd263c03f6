package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// crossing is a progress in which all rounds are done and Rust has a suspect.
func crossing(p Plan) Progress {
	pr := Progress{
		Built: map[Variant]bool{}, Failed: map[Variant]bool{}, Identical: map[string]bool{}, Calibrated: map[string]bool{},
		ParityDone: true, Rounds: map[string]map[Phase]int{}, Stopped: map[string]string{},
		Counted: map[Phase]int{Screen: 5, Confirm: 4}, CountOver: map[Phase]string{},
		Rows: []Row{{Service: "rust", Workload: "a", Pass: Instructions, State: RowSuspect}},
	}
	for v := range p.Services {
		pr.Built[v] = true
	}
	for _, w := range p.Workloads {
		pr.Calibrated[w.Name], pr.Rounds[w.Name] = true, map[Phase]int{Screen: 15, Confirm: 15}
	}
	return pr
}

// A cross-check is the last thing: asked for once, built once, counted as often as a suspect is confirmed.
func TestNextCrossChecks(t *testing.T) {
	p := load(t, inputs(t, two, two+"measure: {profile: 0s}\nworkloads: [a, b]"))
	doubts := []Doubt{{Service: "rust", Workloads: []string{"a"}}}
	both := "rust@base rust@head"
	for _, c := range []struct {
		what   string
		change func(*Plan, *Progress)
		want   string
	}{
		{"asked first", func(*Plan, *Progress) {}, "doubt"},
		{"nothing in doubt", func(_ *Plan, pr *Progress) { pr.Asked = true }, "done"},
		{"built again", func(_ *Plan, pr *Progress) { pr.Asked, pr.Doubts = true, doubts }, "cross " + both},
		{"counted", func(_ *Plan, pr *Progress) { pr.Asked, pr.Doubts, pr.BuiltAgain = true, doubts, true }, "count cross-check 1 " + both + " in a"},
		{"counted again", func(_ *Plan, pr *Progress) {
			pr.Asked, pr.Doubts, pr.BuiltAgain, pr.Counted[Cross] = true, doubts, true, 3
		}, "count cross-check 4 " + both + " in a"},
		{"counted enough", func(_ *Plan, pr *Progress) {
			pr.Asked, pr.Doubts, pr.BuiltAgain, pr.Counted[Cross] = true, doubts, true, 4
		}, "done"},
		{"given up", func(_ *Plan, pr *Progress) {
			pr.Asked, pr.Doubts, pr.CountOver[Cross] = true, doubts, "no room on the disk"
		}, "done"},
		{"its workload was given up", func(_ *Plan, pr *Progress) {
			pr.Asked, pr.Doubts, pr.Stopped["a"] = true, doubts, "answers nothing"
		}, "done"},
		{"a side that is gone", func(_ *Plan, pr *Progress) { pr.Failed[Variant{"rust", Base}] = true }, "done"},
		{"the same at both sides", func(_ *Plan, pr *Progress) { pr.Identical["rust"] = true }, "done"},
		{"Go alone is suspect", func(_ *Plan, pr *Progress) { pr.Rows[0].Service = "go" }, "done"},
		{"nobody is suspect", func(_ *Plan, pr *Progress) { pr.Rows[0].State = RowDecided }, "done"},
		{"a suspect in time alone", func(_ *Plan, pr *Progress) { pr.Rows[0].Pass = Timing }, "doubt"},
		{"no instructions pass", func(p *Plan, _ *Progress) { p.Rounds.CountLooks, p.Rounds.CountConfirm = nil, 0 }, "done"},
		{"no time for it", func(p *Plan, _ *Progress) { p.Rounds.CrossCap = 0 }, "done"},
	} {
		plan, pr := p, crossing(p)
		c.change(&plan, &pr)
		if got := crossWords(Next(plan, pr)); got != c.want {
			t.Errorf("%s: got %q, want %q", c.what, got, c.want)
		}
	}
}

// crossWords is a step in words, its variants sorted: their order is seeded.
func crossWords(s Step) string {
	words := string(s.Kind)
	if s.Phase != "" {
		words += fmt.Sprintf(" %s %d", s.Phase, s.Round)
	}
	var starts []string
	for _, v := range s.Start {
		starts = append(starts, v.String())
	}
	slices.Sort(starts)
	if len(starts) > 0 {
		words += " " + strings.Join(starts, " ")
	}
	if len(s.Windows) > 0 {
		words += " in " + strings.Join(s.Windows, " ")
	}
	return words
}

// Only a plan that compares a Rust service may come to one; its longest time is said.
func TestMayCross(t *testing.T) {
	p := load(t, inputs(t, two, two+"workloads: [a]"))
	if !p.MayCross() || Estimates(p).Cross <= 2*rustBuild {
		t.Errorf("cap %s, estimated %s: want a cross-check, and more than the two builds", p.Rounds.CrossCap, Estimates(p).Cross)
	}
	delete(p.Services, Variant{"rust", Base})
	if p.MayCross() {
		t.Error("a service without a base may be cross-checked")
	}
	off := small(t, "a")
	if off.Rounds.CrossCap != time.Duration(0) || off.MayCross() {
		t.Error("without callgrind rounds there is a cross-check")
	}
}
