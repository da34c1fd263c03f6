package harness

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/workload"
)

// still is a session without processes: services at both sides, all built.
func still(services ...string) *session {
	s := &session{
		o: Options{Progress: silent{}}, run: &result.Run{Plan: plan.Plan{Base: &plan.Commit{}, Services: map[plan.Variant]plan.Service{}}},
		progress: plan.Progress{Built: map[plan.Variant]bool{}, Failed: map[plan.Variant]bool{}, Identical: map[string]bool{}, Rounds: map[string]map[plan.Phase]int{}},
		spoilt:   map[cell]int{}, absent: map[cell]bool{}, begun: map[roundsKey]int{},
	}
	for _, name := range services {
		for _, side := range []plan.Side{plan.Base, plan.Head} {
			v := plan.Variant{Service: name, Side: side}
			s.run.Plan.Services[v], s.progress.Built[v] = plan.Service{Name: name}, true
		}
	}
	return s
}

type silent struct{}

func (silent) Begin(string)          {}
func (silent) Update(string, ...any) {}
func (silent) Note(string, ...any)   {}

func at(name string, side plan.Side) plan.Variant { return plan.Variant{Service: name, Side: side} }

// The rate is a share of the slowest base's capacity, and no more than the slowest of all can carry.
func TestOffer(t *testing.T) {
	const goBase, goHead, rustBase, rustHead = "go@base", "go@head", "rust@base", "rust@head"
	check := func(name string, capacity map[string]float64, change func(*session), want float64, said bool) {
		t.Helper()
		s := still("go", "rust")
		found := map[plan.Variant]float64{}
		for text, c := range capacity {
			var v plan.Variant
			if err := v.UnmarshalText([]byte(text)); err != nil {
				t.Fatal(err)
			}
			found[v] = c
		}
		if change != nil {
			change(s)
		}
		got := s.offer(workload.Workload{Rate: workload.Rate{Share: 0.5}}, found)
		if math.Abs(got-want) > 1e-9 || (len(s.run.Warnings) > 0) != said {
			t.Errorf("%s: got %v, warnings %q, want %v", name, got, s.run.Warnings, want)
		}
	}
	all := map[string]float64{goBase: 1000, goHead: 900, rustBase: 3000, rustHead: 3000}
	check("the slowest base", all, nil, 500, false)
	check("head could not carry it", map[string]float64{goBase: 1000, goHead: 100, rustBase: 3000, rustHead: 3000}, nil, 70, true)
	check("a base whose head has failed is no reference", all, func(s *session) { s.progress.Failed[at("go", plan.Head)] = true }, 1500, false)
	check("one base failed", map[string]float64{goHead: 2500, rustBase: 3000, rustHead: 3000}, func(s *session) { s.progress.Failed[at("go", plan.Base)] = true }, 1500, false)
	check("both bases failed", map[string]float64{goHead: 900, rustHead: 3000}, func(s *session) {
		s.progress.Failed[at("go", plan.Base)], s.progress.Failed[at("rust", plan.Base)] = true, true
	}, 450, false)
	check("identical: head stands for base", map[string]float64{goBase: 4000, goHead: 4000, rustHead: 3000}, func(s *session) { s.progress.Identical["rust"] = true }, 1500, false)
	check("no base", map[string]float64{goHead: 900, rustHead: 3000}, func(s *session) { s.run.Plan.Base = nil }, 450, false)
	check("nobody is left", nil, nil, 0, false)
}

// A round with a trial that does not count is repeated while there are spare rounds; its number goes on, so that
// pairs stay pairs.
func TestCountRound(t *testing.T) {
	s := still("go")
	step := plan.Step{Workload: "w", Phase: plan.Screen, Round: 1}
	for i := range spareRounds {
		if s.countRound(step, true) {
			t.Fatalf("repeat %d: counted, and there was a spare round", i+1)
		}
	}
	if !s.countRound(step, true) || s.progress.Rounds["w"][plan.Screen] != 1 {
		t.Error("out of spare rounds: not counted")
	}
	step.Round = 2
	if s.countRound(step, false); s.progress.Rounds["w"][plan.Screen] != 2 {
		t.Error("a good round is not counted")
	}
	step.Phase, step.Round = plan.Confirm, 1
	if s.countRound(step, true) {
		t.Error("confirmation has no spare rounds of its own")
	}
}

// Three bad trials in a row give a variant up: head for the run, base for that workload. Noise gives nobody up.
func TestStrikes(t *testing.T) {
	trial := func(v plan.Variant, unfit bool) *turn {
		t := &turn{step: "measuring", workload: workload.Workload{Name: "w"}, trial: result.Trial{Variant: v, Workload: "w"}}
		t.invalid("reached 10 of 100")
		t.unfit = unfit
		return t
	}
	s := still("go")
	for range 2 * strikes {
		s.finish(trial(at("go", plan.Head), false))
	}
	if s.headFailed() {
		t.Error("the machine's noise gave head up")
	}
	for i := range strikes {
		if s.headFailed() {
			t.Errorf("given up after %d", i)
		}
		s.finish(trial(at("go", plan.Head), true))
		s.finish(trial(at("go", plan.Base), true))
	}
	if !s.headFailed() || s.progress.Failed[at("go", plan.Base)] || !s.absent[cell{at("go", plan.Base), "w"}] {
		t.Errorf("failed %v, left out %v", s.progress.Failed, s.absent)
	}
	if s.spoiltOf(s.run.Trials) {
		t.Error("a round would be repeated for variants that were given up")
	}
}

// Whose failure it is: a start that fails is the variant's; a base that breaks down under one workload is left out there.
func TestGiveUp(t *testing.T) {
	check := func(v plan.Variant, step string, failed bool) {
		t.Helper()
		s := still("go")
		s.giveUp(v, "w", breakdown{step: step, cause: errors.New("x"), tail: slices.Repeat([]string{"line"}, 50)})
		if got := len(s.run.Failures) == 1; got != failed || s.progress.Failed[v] != failed || s.absent[cell{v, "w"}] == failed {
			t.Errorf("%s %s: failures %+v, left out %v, want failed %v", v, step, s.run.Failures, s.absent, failed)
		}
		if failed && len(s.run.Failures[0].LogTail) != 20 {
			t.Errorf("%s %s: %d lines, want 20", v, step, len(s.run.Failures[0].LogTail))
		}
		if said := strings.Contains(fmt.Sprint(s.run.Warnings), "left out of w"); said == failed {
			t.Errorf("%s %s: warnings %q", v, step, s.run.Warnings)
		}
	}
	check(at("go", plan.Head), stepStarting, true)
	check(at("go", plan.Head), "parity", true)
	check(at("go", plan.Base), stepStarting, true)
	check(at("go", plan.Base), "parity", false)
	check(at("go", plan.Base), "measuring", false)
}

// Bad answers, a rate not reached and no answers at all make a trial invalid, never faster.
func TestCheck(t *testing.T) {
	check := func(name string, requests, bad int64, offered float64, want string, unfit bool) {
		t.Helper()
		tr := &turn{workload: workload.Workload{MaxErrors: 0.01}, offered: offered}
		for _, to := range []*tally{&tr.openTally, &tr.closedTally} {
			s := tenRequests(1)
			s.load.Requests, s.load.Errors = requests, bad
			to.add(s, "")
		}
		tr.check()
		if (want == "") != (tr.trial.Invalid == "") || !strings.Contains(tr.trial.Invalid, want) || tr.unfit != unfit {
			t.Errorf("%s: got %q, unfit %v, want %q, %v", name, tr.trial.Invalid, tr.unfit, want, unfit)
		}
	}
	check("sound", 1000, 0, 10000, "", false)
	check("as many errors as may be", 1000, 10, 10000, "", false)
	check("one error more", 1000, 11, 10000, "11 of 1000 answers were bad", true)
	check("too slow", 1000, 0, 20000, "reached 10000 of 20000", false)
	check("nothing", 0, 0, 10000, "no request was answered", true)
}
