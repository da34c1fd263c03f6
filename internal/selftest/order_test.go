package selftest

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/workload"
)

// walked carries out a layout's steps on paper until so many rounds were made.
func walked(t *testing.T, l Layout, p plan.Plan, failed map[plan.Variant]bool, over string, rounds int) []plan.Step {
	t.Helper()
	pr := plan.Progress{
		Built: map[plan.Variant]bool{}, Failed: failed, Calibrated: map[string]bool{}, Counted: map[plan.Phase]int{},
		Rounds: map[string]map[plan.Phase]int{}, CountOver: map[plan.Phase]string{},
	}
	if over != "" {
		pr.CountOver[plan.Screen] = over
	}
	var all []plan.Step
	for made := 0; made < rounds; {
		step := l.Next(p, pr)
		all = append(all, step)
		switch step.Kind {
		case plan.StepDone:
			return all
		case plan.StepBuild:
			pr.Built[step.Variant] = true
		case plan.StepCalibrate:
			pr.Calibrated[step.Workload] = true
		case plan.StepCount:
			pr.Counted[plan.Screen] = step.Round
			made++
		case plan.StepRound:
			if pr.Rounds[step.Workload] == nil {
				pr.Rounds[step.Workload] = map[plan.Phase]int{}
			}
			if want := pr.Rounds[step.Workload][plan.Screen] + 1; step.Round != want {
				t.Fatalf("%s round %d, want %d", step.Workload, step.Round, want)
			}
			pr.Rounds[step.Workload][plan.Screen] = step.Round
			made++
		}
		if len(all) > 10_000 {
			t.Fatal("no end")
		}
	}
	return all
}

func fullPlan() (plan.Plan, Layout, []Subject) {
	subjects := Subjects(true)
	workloads := []workload.Workload{{Name: Heavy}, {Name: Light}}
	return PlanFor(plan.Commit{SHA: "abc"}, subjects, workloads, 1, Rounds(true)), LayOut(subjects, Rounds(true)), subjects
}

func TestOrderMeasuresEverySubject(t *testing.T) {
	p, l, subjects := fullPlan()
	steps := walked(t, l, p, nil, "", 4*(len(l.Timing)+len(l.Counting)))
	timed, counted, built := map[string]int{}, map[plan.Variant]int{}, 0
	for _, s := range steps {
		switch s.Kind {
		case plan.StepBuild:
			built++
		case plan.StepRound:
			if len(s.Start) > perGroup+2 || len(s.Open) == 0 || len(s.Closed) == 0 {
				t.Errorf("round of %d variants with %d + %d blocks", len(s.Start), len(s.Open), len(s.Closed))
			}
			for _, v := range s.Start {
				timed[s.Workload+" "+v.Service]++
			}
			if !slices.Contains(s.Start, BaseOf(plan.Go)) && !slices.Contains(s.Start, BaseOf(plan.Rust)) {
				t.Errorf("round without base: %v", s.Start)
			}
		case plan.StepCount:
			for _, v := range s.Start {
				counted[v]++
			}
		}
	}
	if built != len(p.Services) {
		t.Errorf("%d builds of %d services", built, len(p.Services))
	}
	for _, s := range subjects {
		if s.Timing && timed[s.Workload+" "+s.Variant().Service] == 0 {
			t.Errorf("%s is never timed under %s", s.Variant(), s.Workload)
		}
		if s.Counting && counted[s.Variant()] == 0 {
			t.Errorf("%s is never counted", s.Variant())
		}
	}
}

// Neither kind of round waits for the other: at any time both have about as many reports' worth.
func TestOrderProgressesAsReportsDo(t *testing.T) {
	p, l, _ := fullPlan()
	timing, counting := 0, 0
	for _, s := range walked(t, l, p, nil, "", 1000) {
		switch s.Kind {
		case plan.StepRound:
			timing++
		case plan.StepCount:
			counting++
		default:
			continue
		}
		a := float64(timing) / float64(l.TimingRounds*len(l.Timing))
		b := float64(counting) / float64(l.CountRounds*len(l.Counting))
		if a-b > 0.1 || b-a > 0.1 {
			t.Fatalf("after %d timing and %d callgrind rounds: %.2f and %.2f reports of each group", timing, counting, a, b)
		}
	}
}

func TestOrderWithoutCallgrind(t *testing.T) {
	p, l, _ := fullPlan()
	for _, s := range walked(t, l, p, nil, "no valgrind", 100) {
		if s.Kind == plan.StepCount {
			t.Fatalf("a callgrind round where there is none: %+v", s)
		}
	}
}

func TestOrderWithoutOneLanguage(t *testing.T) {
	p, l, _ := fullPlan()
	failed := map[plan.Variant]bool{BaseOf(plan.Rust): true, {Service: "go-work-1", Side: plan.Head}: true}
	for _, s := range walked(t, l, p, failed, "", 100) {
		for _, v := range s.Start {
			if p.Services[v].Lang == plan.Rust || failed[v] {
				t.Fatalf("%s is measured in %v, though it or its base failed", v, s.Start)
			}
		}
	}
	failed[BaseOf(plan.Go)] = true
	steps := walked(t, l, p, failed, "", 100)
	if last := steps[len(steps)-1]; last.Kind != plan.StepDone {
		t.Errorf("with no base alive the last step is %s, want done", last.Kind)
	}
}

// Two processes run at a time under callgrind: over many rounds no variant may always run beside the same one.
func TestCallgrindNeighboursChange(t *testing.T) {
	variants := []plan.Variant{{Service: "a"}, {Service: "b"}, {Service: "c"}, {Service: "d"}, {Service: "e"}, {Service: "f"}}
	beside := map[plan.Variant]map[plan.Variant]bool{}
	for i := range 60 {
		order := rotated(variants, i)
		if len(order) != len(variants) {
			t.Fatalf("rotated(%d) has %d variants", i, len(order))
		}
		for k, v := range order {
			if beside[v] == nil {
				beside[v] = map[plan.Variant]bool{}
			}
			beside[v][order[k^1]] = true
		}
	}
	if got := len(beside[variants[0]]); got != 5 {
		t.Errorf("the base had %d neighbours of 5", got)
	}
}

func TestPlanHasOneServiceAPlant(t *testing.T) {
	p, _, subjects := fullPlan()
	again := p.Services[Subject{Plant: Again, Lang: plan.Go}.Variant()]
	base := p.Services[BaseOf(plan.Go)]
	if len(base.Env) != 0 || len(again.Env) != 0 || !slices.Equal(base.Build, again.Build) {
		t.Errorf("base %+v and base again %+v differ in more than the name", base, again)
	}
	work := p.Services[plan.Variant{Service: "go-work-1", Side: plan.Head}]
	if work.Env["DUET_PLANT"] != "work:1" || !slices.Equal(work.Build, base.Build) {
		t.Errorf("work-1: env %v, build %v; want work:1 and base's build %v", work.Env, work.Build, base.Build)
	}
	moved := p.Services[plan.Variant{Service: "rust-moved", Side: plan.Head}]
	if slices.Equal(moved.Build, p.Services[BaseOf(plan.Rust)].Build) {
		t.Errorf("moved is built as base is: %v", moved.Build)
	}
	names := map[string]bool{}
	for _, s := range subjects {
		names[s.Variant().Service] = true
	}
	if len(p.Order) != len(names)+2 {
		t.Errorf("%d services for %d plants in two languages and two bases", len(p.Order), len(names))
	}
}

func TestOnly(t *testing.T) {
	t.Parallel()
	got, err := Only(Subjects(true), []string{"moved", "memory-5"})
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, s := range got {
		count[s.Plant]++
		if s.Workload != Heavy {
			t.Errorf("%s under %s: neither plant has that workload", s.Plant, s.Workload)
		}
	}
	if want := map[string]int{Again: 2, "moved": 2, "memory-5": 2}; !maps.Equal(count, want) {
		t.Errorf("got %v, want %v", count, want)
	}
	if _, err := Only(Subjects(true), []string{"move"}); err == nil || !strings.Contains(err.Error(), "memory-5") {
		t.Errorf("an unknown plant: %v", err)
	}
}
