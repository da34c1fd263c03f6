package plan

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

// small has timing rounds alone.
func small(t *testing.T, workloads string) Plan {
	t.Helper()
	text := two + "measure: {count: 0s, profile: 0s}\n"
	return load(t, inputs(t, text, text+"workloads: ["+workloads+"]"))
}

// walk drives Next with a harness made of functions, and fails if it does not end.
type walk struct {
	plan   Plan
	pr     Progress
	before func(Step, *Progress) // failures come true before the step is counted
	settle func(Progress) []Row
	steps  []Step
}

func newWalk(p Plan) *walk {
	return &walk{plan: p, pr: Progress{
		Built: map[Variant]bool{}, Failed: map[Variant]bool{}, Identical: map[string]bool{}, Calibrated: map[string]bool{},
		Rounds: map[string]map[Phase]int{}, Stopped: map[string]string{}, Profiled: map[string]bool{},
	}}
}

func (w *walk) run(t *testing.T) *walk {
	t.Helper()
	for range 10_000 {
		step := Next(w.plan, w.pr)
		if again := Next(w.plan, w.pr); !reflect.DeepEqual(step, again) {
			t.Fatalf("Next gave two answers: %+v and %+v", step, again)
		}
		w.steps = append(w.steps, step)
		if w.before != nil {
			w.before(step, &w.pr)
		}
		switch step.Kind {
		case StepDone:
			return w
		case StepBuild:
			w.pr.Built[step.Variant] = true
		case StepParity:
			w.pr.ParityDone = true
		case StepProfile:
			w.pr.Profiled[step.Workload] = true
		case StepCalibrate:
			w.pr.Calibrated[step.Workload] = true
		case StepRound:
			if w.pr.Rounds[step.Workload] == nil {
				w.pr.Rounds[step.Workload] = map[Phase]int{}
			}
			if got, want := step.Round, w.pr.Rounds[step.Workload][step.Phase]+1; got != want {
				t.Fatalf("%s %s: round %d follows %d", step.Workload, step.Phase, got, want-1)
			}
			w.pr.Rounds[step.Workload][step.Phase] = step.Round
			if step.Settle && w.settle != nil {
				w.pr.Rows = w.settle(w.pr)
			}
		}
	}
	t.Fatal("Next did not end")
	return w
}

// said is the walk in words, rounds shortened: "a1" screening, "a1!" with a look, "a1?" confirmation.
func (w *walk) said() []string {
	var words []string
	for _, s := range w.steps {
		switch s.Kind {
		case StepBuild:
			words = append(words, s.Variant.String())
		case StepRound:
			word := fmt.Sprintf("%s%d", s.Workload, s.Round)
			if s.Phase == Confirm {
				word += "?"
			}
			if s.Settle {
				word += "!"
			}
			words = append(words, word)
		default:
			words = append(words, string(s.Kind)+s.Workload)
		}
	}
	return words
}

func row(service, workload string, state RowState) Row {
	return Row{Service: service, Workload: workload, Metric: "p50", State: state}
}

func TestNextOrder(t *testing.T) {
	w := newWalk(small(t, "a, b"))
	w.settle = func(pr Progress) []Row {
		return []Row{row("go", "a", RowSuspect), row("rust", "a", RowDecided), row("go", "b", RowDecided)}
	}
	want := []string{
		"go@base", "rust@base", "go@head", "rust@head", "parity", "calibratea", "calibrateb",
		"a1", "b1", "a2", "b2", "a3", "b3", "a4", "b4", "a5", "b5", "a6", "b6", "a7!", "b7!",
		"a1?", "a2?", "a3?", "a4?", "a5?", "a6?", "a7?", "done",
	}
	if got := w.run(t).said(); !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%v, want\n%v", got, want)
	}
	for _, s := range w.steps {
		if s.Kind == StepRound && s.Phase == Screen && len(s.Start) != 4 {
			t.Errorf("screening round %d starts %v", s.Round, s.Start)
		}
		if s.Phase == Confirm && (len(s.Start) != 2 || s.Start[0].Service != "go" || s.Start[1].Service != "go") {
			t.Errorf("confirmation round %d starts %v: rust has no suspect", s.Round, s.Start)
		}
	}
}

// Profiles come last, of every workload that was not given up and of whoever is alive then.
func TestNextProfiles(t *testing.T) {
	text := two + "measure: {count: 0s, profile: 20s}\n"
	w := newWalk(load(t, inputs(t, text, text+"workloads: [a, b]")))
	w.pr.Identical["rust"] = true
	w.before = func(s Step, pr *Progress) {
		if s.Kind == StepRound && s.Workload == "b" && s.Round == 2 {
			pr.Stopped["b"] = "answers nothing"
		}
	}
	w.run(t)
	last := w.steps[len(w.steps)-2]
	if last.Kind != StepProfile || last.Workload != "a" || len(last.Start) != 3 || w.steps[len(w.steps)-3].Kind != StepRound {
		t.Errorf("before the end comes %+v; want the profiles of a, of three variants", last)
	}
	if want := 20*time.Second/2 + 4*profiling; Estimates(w.plan).Profile != 2*want {
		t.Errorf("estimated %s; want twice %s", Estimates(w.plan).Profile, want)
	}
}

func TestNextLooksOnlyWhileOpen(t *testing.T) {
	w := newWalk(small(t, "a, b"))
	w.settle = func(pr Progress) []Row {
		state := RowOpen
		if pr.Rounds["a"][Screen] >= 11 {
			state = RowDecided
		}
		return []Row{row("go", "a", state), row("go", "b", RowDecided), {Service: "go", Metric: "binary_size", State: RowOpen}}
	}
	w.run(t)
	if a, b := w.pr.Rounds["a"][Screen], w.pr.Rounds["b"][Screen]; a != 11 || b != 7 {
		t.Errorf("a had %d rounds and b %d, want 11 and 7", a, b)
	}
	w = newWalk(small(t, "a, b"))
	w.settle = func(pr Progress) []Row { return []Row{row("rust", "b", RowOpen)} }
	if w.run(t); w.pr.Rounds["b"][Screen] != 15 || w.pr.Rounds["a"][Screen] != 7 || w.pr.Rounds["b"][Confirm] != 0 {
		t.Errorf("got %v: an open row ends at the last look", w.pr.Rounds)
	}
}

func TestNextLeavesOut(t *testing.T) {
	suspect := func(Progress) []Row { return []Row{row("go", "a", RowSuspect), row("rust", "a", RowSuspect)} }
	gb, gh, rb, rh := Variant{"go", Base}, Variant{"go", Head}, Variant{"rust", Base}, Variant{"rust", Head}
	for _, c := range []struct {
		what           string
		failed         []Variant
		identical      []string
		screen         []Variant // what screening rounds hold; nil: there are none
		rounds, sought int       // screening and confirmation rounds
	}{
		{"nothing wrong", nil, nil, []Variant{gb, gh, rb, rh}, 7, 7},
		{"rust identical", nil, []string{"rust"}, []Variant{gb, gh, rh}, 7, 7},
		{"all identical", nil, []string{"go", "rust"}, []Variant{gh, rh}, 7, 0},
		{"go@base does not build", []Variant{gb}, nil, []Variant{gh, rb, rh}, 7, 7},
		{"go@head does not build", []Variant{gh}, nil, []Variant{rb, rh}, 7, 7},
		{"no base builds", []Variant{gb, rb}, nil, []Variant{gh, rh}, 7, 0},
		{"no head builds", []Variant{gh, rh}, nil, nil, 0, 0},
	} {
		w := newWalk(small(t, "a"))
		w.settle = suspect
		w.before = func(s Step, pr *Progress) {
			if s.Kind != StepBuild {
				return
			}
			for _, v := range c.failed {
				pr.Failed[v] = pr.Failed[v] || v == s.Variant
			}
			for _, name := range c.identical {
				pr.Identical[name] = true
			}
		}
		w.run(t)
		for _, s := range w.steps {
			if s.Kind != StepRound || s.Phase != Screen {
				continue
			}
			got := slices.Clone(s.Start)
			slices.SortFunc(got, func(a, b Variant) int { return slices.Index(c.screen, a) - slices.Index(c.screen, b) })
			if !reflect.DeepEqual(got, c.screen) {
				t.Errorf("%s: round %d holds %v, want %v", c.what, s.Round, got, c.screen)
			}
		}
		if a := w.pr.Rounds["a"]; a[Screen] != c.rounds || a[Confirm] != c.sought {
			t.Errorf("%s: got %v, want %d and %d", c.what, a, c.rounds, c.sought)
		}
	}
}

func TestNextGoesOnWithoutTheService(t *testing.T) {
	w := newWalk(small(t, "a, b"))
	w.settle = func(Progress) []Row { return []Row{row("go", "a", RowSuspect), row("rust", "b", RowSuspect)} }
	w.before = func(s Step, pr *Progress) {
		if s.Kind == StepRound && s.Phase == Confirm && s.Round == 3 {
			pr.Failed[Variant{"go", Head}] = true
		}
		if s.Kind == StepRound && s.Workload == "a" && s.Round == 4 {
			pr.Stopped["a"] = "answers nothing"
		}
	}
	w.run(t)
	if got := w.pr.Rounds; got["a"][Screen] != 4 || got["b"][Screen] != 7 || got["b"][Confirm] != 7 || got["a"][Confirm] != 0 {
		t.Errorf("got %v", got)
	}
}

// TestNextEnds walks many random harnesses: failures, stops and verdicts come as they like.
func TestNextEnds(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	p := small(t, "a, b")
	p.Window.Slice = p.Window.Trial // one block a stage: orders are not the point here
	for range 100 {
		w := newWalk(p)
		w.settle = func(Progress) (rows []Row) {
			for _, workload := range []string{"a", "b"} {
				for _, service := range []string{"go", "rust"} {
					rows = append(rows, row(service, workload, []RowState{RowOpen, RowDecided, RowSuspect}[rng.IntN(3)]))
				}
			}
			return rows
		}
		w.before = func(s Step, pr *Progress) {
			for v := range p.Services {
				pr.Failed[v] = pr.Failed[v] || rng.IntN(100) == 0
			}
			if rng.IntN(100) == 0 {
				pr.Stopped["a"] = "stopped"
			}
		}
		for _, s := range w.run(t).steps {
			if s.Phase == Screen && s.Round > 15 || s.Phase == Confirm && s.Round > confirmMost {
				t.Fatalf("%s %s round %d", s.Workload, s.Phase, s.Round)
			}
		}
	}
}

func TestSameSeedSameOrder(t *testing.T) {
	p := small(t, "a, b")
	if !reflect.DeepEqual(Steps(p), Steps(p)) {
		t.Error("two orders of one plan")
	}
	q := p
	q.Seed++
	starts := func(p Plan) (all [][]Variant) {
		for _, s := range Steps(p) {
			all = append(all, s.Start)
		}
		return all
	}
	if reflect.DeepEqual(starts(p), starts(q)) {
		t.Error("two seeds gave one order")
	}
	// Golden: a change here makes every recorded seed give another order.
	step := Steps(p)[7]
	if got, want := fmt.Sprint(step.Start, step.Open[0], step.Closed[0]), goldenOrder; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

const goldenOrder = "[go@base go@head rust@base rust@head] [go@head rust@head rust@base go@base] [go@base rust@head go@head rust@base]"

func variantsOf(n int) []Variant {
	var all []Variant
	for i := range n {
		all = append(all, Variant{fmt.Sprintf("s%d", i/2), []Side{Base, Head}[i%2]})
	}
	return all
}

// TestBlocksAreBalanced counts how often each variant follows each other one, within and across blocks.
func TestBlocksAreBalanced(t *testing.T) {
	for n := 1; n <= 8; n++ {
		variants := variantsOf(n)
		for _, blocks := range []int{1, 3, 10, 16, 48, 120} {
			for seed := range uint64(5) {
				checkBalance(t, variants, blocks, balanced(random(seed, "test"), variants, blocks))
			}
		}
	}
}

func checkBalance(t *testing.T, variants []Variant, want int, blocks [][]Variant) {
	t.Helper()
	n := len(variants)
	if len(blocks) != want {
		t.Fatalf("%d variants: got %d blocks, want %d", n, len(blocks), want)
	}
	inside, all, first := map[[2]Variant]int{}, map[[2]Variant]int{}, map[Variant]int{}
	var last *Variant
	for _, block := range blocks {
		seen := map[Variant]bool{}
		for i, v := range block {
			seen[v] = true
			if last != nil {
				all[[2]Variant{*last, v}]++
				if i > 0 {
					inside[[2]Variant{*last, v}]++
				}
			}
			last = &block[i]
		}
		first[block[0]]++
		if len(seen) != n || len(block) != n {
			t.Fatalf("block %v does not hold each variant once", block)
		}
	}
	if n == 1 {
		return
	}
	least, most, leastAll, mostAll, self := 1<<30, 0, 1<<30, 0, 0
	for _, a := range variants {
		for _, b := range variants {
			pair := [2]Variant{a, b}
			if a == b {
				self += all[pair]
				continue
			}
			least, most = min(least, inside[pair]), max(most, inside[pair])
			leastAll, mostAll = min(leastAll, all[pair]), max(mostAll, all[pair])
		}
	}
	group := n
	perGroup := 1
	if n%2 == 1 {
		group, perGroup = 2*n, 2
	}
	allowed := 0
	if want%group != 0 {
		allowed = perGroup
	}
	if most-least > allowed {
		t.Errorf("%d variants, %d blocks: inside blocks a pair follows %d to %d times", n, want, least, most)
	}
	if limit := allowed + 2 + want/40; mostAll-leastAll > limit {
		t.Errorf("%d variants, %d blocks: with borders a pair follows %d to %d times, want a difference of at most %d", n, want, leastAll, mostAll, limit)
	}
	if n > 2 && self > 0 {
		t.Errorf("%d variants, %d blocks: a variant follows itself %d times", n, want, self)
	}
}

func TestEstimates(t *testing.T) {
	p := small(t, "a, b")
	e := Estimates(p)
	if e.Build != 2*goBuild+2*rustBuild {
		t.Errorf("build: got %s", e.Build)
	}
	// 15 rounds × 2 workloads × 4 trials of 1 s and what is around them.
	if want := 120*(p.Window.Trial+trialAround) + 8*parityTime + 8*calibration; e.Measure != want {
		t.Errorf("measure: got %s, want %s", e.Measure, want)
	}
	if want := confirmMost * 2 * 4 * (p.Window.Trial + trialAround); e.Confirm != want {
		t.Errorf("confirm: got %s, want %s", e.Confirm, want)
	}
	if e.Total() != e.Build+e.Measure+e.Confirm {
		t.Errorf("total: got %s", e.Total())
	}
}

// Suspects get the fresh rounds that the neediest of them asks for, within the plan's bounds; nobody else's needs count.
func TestConfirmRounds(t *testing.T) {
	p := small(t, "a, b")
	row := func(workload string, state RowState, needs int) Row {
		return Row{Service: "go", Workload: workload, Metric: "p50", State: state, Needs: needs}
	}
	for _, c := range []struct {
		rows []Row
		want int
	}{
		{nil, confirmRounds},
		{[]Row{row("a", RowSuspect, 0)}, confirmRounds},
		{[]Row{row("a", RowSuspect, 3)}, confirmRounds},
		{[]Row{row("a", RowSuspect, 9), row("a", RowSuspect, 12)}, 12},
		{[]Row{row("a", RowSuspect, 40)}, confirmMost},
		{[]Row{row("a", RowOpen, 12), row("b", RowSuspect, 12), row("a", RowDecided, 12)}, confirmRounds},
		{[]Row{{Service: "go", Workload: "a", Pass: Instructions, State: RowSuspect, Needs: 12}}, confirmRounds},
	} {
		if got := p.ConfirmRounds(c.rows, "a"); got != c.want {
			t.Errorf("%+v: got %d, want %d", c.rows, got, c.want)
		}
	}
}
