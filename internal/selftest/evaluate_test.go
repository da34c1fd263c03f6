package selftest

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

func evaluated(t *testing.T, b *Bank, o Options) Findings {
	t.Helper()
	f, err := Evaluate(t.Context(), b, o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func foundAt(t *testing.T, f Findings, lang plan.Lang, plant, metric string) Found {
	t.Helper()
	for _, x := range f.Found {
		if x.Lang == lang && x.Plant == plant && x.Metric == metric {
			return x
		}
	}
	t.Fatalf("no finding of %s at %s · %s in %+v", plant, lang, metric, f.Found)
	return Found{}
}

func TestEvaluateQuietMachine(t *testing.T) {
	f := evaluated(t, quietWorld(1).bank(t, 90, 27), Options{Rounds: Rounds(true), Seed: 1, Resamples: 10, Simulated: 100})
	if f.Kind != Quiet {
		t.Errorf("the machine is %s (%s), want quiet", f.Kind, f.KindWhy)
	}
	if f.False.Disjoint.N != 3 || f.False.Disjoint.K != 0 || f.False.Resampled.N != 10 {
		t.Errorf("false reports %+v and %+v, want 0 of 3 and of 10", f.False.Disjoint, f.False.Resampled)
	}
	for _, lang := range []plan.Lang{plan.Go, plan.Rust} {
		for plant, metric := range map[string]string{"work-3": result.CallgrindInstructions, "memory-5": "peak_rss"} {
			x := foundAt(t, f, lang, plant, metric)
			if x.Disjoint.Found.K != 3 || x.Disjoint.Found.N != 3 || x.Outcome != TooFew {
				t.Errorf("%s · %s · %s: found %+v, %s; want 3 of 3, which is not enough", lang, plant, metric, x.Disjoint.Found, x.Outcome)
			}
			if want := map[string]float64{"work-3": 0.03, "memory-5": 0.05}[plant]; x.Effect < 0.9*want || x.Effect > 1.1*want {
				t.Errorf("%s reads %.4f, planted %.4f", plant, x.Effect, want)
			}
		}
	}
	if f.Simulation == nil || f.Simulation.False.N != 100 || f.Simulation.False.K > 3 { // P(K > 3) at 1 % is 2 %; the seed is fixed
		t.Errorf("simulation %+v, want about 1 of 100", f.Simulation)
	}
	if f.Simulation != nil && f.Simulation.Rows < 20 {
		t.Errorf("a simulated report has %d judged rows, want two languages of eleven", f.Simulation.Rows)
	}
}

// On a busy machine a time is inconclusive, not wrong, and the aim is not asked for; work is found all the same.
func TestEvaluateBusyMachine(t *testing.T) {
	busy := quietWorld(2)
	busy.noise = 0.08
	f := evaluated(t, busy.bank(t, 90, 27), Options{Rounds: Rounds(true), Seed: 1})
	if f.Kind != Busy {
		t.Errorf("the machine is %s (%s), want busy", f.Kind, f.KindWhy)
	}
	if x := foundAt(t, f, plan.Go, "work-3", result.CPUPerRequest); x.Outcome != NotAimedFor || !strings.Contains(x.Way, "inconclusive") {
		t.Errorf("CPU +3 %%: %s (%s), want quiet machines only, inconclusive", x.Outcome, x.Way)
	}
	if x := foundAt(t, f, plan.Go, "work-3", result.CallgrindInstructions); x.Disjoint.Found.K != 3 {
		t.Errorf("instructions +3 %%: found %+v, want all", x.Disjoint.Found)
	}
}

// The same bank and seed give the same findings, on any number of cores.
func TestEvaluateIsAFunction(t *testing.T) {
	b := quietWorld(4).bank(t, 24, 10)
	o := Options{Rounds: Rounds(true), Seed: 7, Resamples: 6, Simulated: 6}
	one, err := json.Marshal(evaluated(t, b, o))
	if err != nil {
		t.Fatal(err)
	}
	two, err := json.Marshal(evaluated(t, b, o))
	if err != nil {
		t.Fatal(err)
	}
	if string(one) != string(two) {
		at := 0
		for at < min(len(one), len(two)) && one[at] == two[at] {
			at++
		}
		t.Errorf("two evaluations differ from %q on", one[max(0, at-80):min(len(one), at+40)])
	}
}

func TestEvaluateSmallBank(t *testing.T) {
	if _, err := Evaluate(t.Context(), &Bank{}, Options{Rounds: Rounds(true)}); err == nil {
		t.Error("an empty bank has findings")
	}
	f := evaluated(t, quietWorld(1).bank(t, 5, 2), Options{Rounds: Rounds(true), Resamples: 5, Simulated: 5})
	if f.False.Disjoint.N != 0 || f.False.Outcome != TooFew || len(f.Warnings) == 0 {
		t.Errorf("5 rounds: %+v, %q; want no report, said", f.False, f.Warnings)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	cancel(stopped)
	if _, err := Evaluate(ctx, quietWorld(1).bank(t, 30, 9), Options{Rounds: Rounds(true)}); !errors.Is(err, stopped) {
		t.Errorf("cancelled: %v, want %v", err, stopped)
	}
}

// Simulated reports hold no change, also where the second base is always 2 % slower: each side is head as often.
func TestSimulationIsSymmetric(t *testing.T) {
	biased := quietWorld(5)
	biased.plants[Again] = map[string]float64{result.CPUPerRequest: 0.02}
	b := biased.bank(t, 30, 9)
	d := b.deckOf(plan.Go, Again)
	rng := rand.New(rand.NewPCG(1, 2))
	cpu, _ := result.MetricByName(result.CPUPerRequest)
	work, _ := result.MetricByName(result.CallgrindInstructions)
	swapped := d.resampled(sizeOf(Rounds(true)), rng).swapped(rng)
	for name, effects := range map[string][]float64{
		"CPU": swapped.series(slot{plan.Go, Heavy}, cpu).d, "instructions": swapped.series(slot{plan.Go, Heavy}, work).d,
	} {
		up := 0
		for _, x := range effects {
			if x > 0 {
				up++
			}
		}
		if up == 0 || up == len(effects) {
			t.Errorf("%s: %d of %d rounds go up, want some", name, up, len(effects))
		}
	}
	f := evaluated(t, b, Options{Rounds: Rounds(true), Seed: 1, Simulated: 50})
	if f.False.Disjoint.K != 1 {
		t.Errorf("a base that is 2 %% slower than itself: %+v, want the one report to say so", f.False.Disjoint)
	}
	if f.Simulation.False.K != 0 {
		t.Errorf("%d of 50 simulated reports name something: %q", f.Simulation.False.K, f.Simulation.WhichRows)
	}
}

func TestOutcomes(t *testing.T) {
	for _, test := range []struct {
		k, n int
		aim  float64
		want Outcome
	}{
		{0, 0, 0.95, TooFew},
		{3, 3, 0.95, TooFew},
		{19, 20, 0.95, Reached},
		{18, 20, 0.95, NotReached},
		{0, 1, 0.95, TooFew},
		{0, 5, 0.95, NotReached}, // even the upper end is below
		{100, 100, 0.95, Reached},
		{18, 20, 0.90, Reached},
	} {
		if got := share(test.k, test.n).atLeast(test.aim); got != test.want {
			t.Errorf("%d of %d against at least %g: %s, want %s", test.k, test.n, test.aim, got, test.want)
		}
	}
	for _, test := range []struct {
		k, n int
		want Outcome
	}{
		{0, 0, TooFew},
		{0, 50, TooFew},
		{0, 100, Reached},
		{1, 100, Reached},
		{2, 100, NotReached},
		{3, 3, NotReached},
		{5, 1000, Reached},
		{20, 1000, NotReached},
	} {
		if got := share(test.k, test.n).atMost(0.01); got != test.want {
			t.Errorf("%d of %d against at most 1 %%: %s, want %s", test.k, test.n, got, test.want)
		}
	}
}

func TestKindOf(t *testing.T) {
	for _, test := range []struct {
		cpu  map[string]float64
		want Kind
	}{
		{nil, Unknown},
		{map[string]float64{"go": 0.009, "rust": 0.005}, Quiet},
		{map[string]float64{"go": 0.009, "rust": 0.011}, Busy},
	} {
		if got, why := kindOf(test.cpu); got != test.want {
			t.Errorf("kindOf(%v) = %s (%s), want %s", test.cpu, got, why, test.want)
		}
	}
}

func TestInOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	delays := rng.Perm(37)
	var got []int
	err := inOrder(t.Context(), len(delays), func(i int) int { return delays[i] }, func(_ int, made int) { got = append(got, made) })
	if err != nil || len(got) != len(delays) {
		t.Fatalf("%d of %d values, %v", len(got), len(delays), err)
	}
	for i := range got {
		if got[i] != delays[i] {
			t.Fatalf("value %d is %d, want %d", i, got[i], delays[i])
		}
	}
}

// Both formats show every plant, and no line of text is wider than a reader's window but for tables.
func TestFormats(t *testing.T) {
	f := evaluated(t, quietWorld(1).bank(t, 30, 9), Options{Rounds: Rounds(true), Seed: 1, Simulated: 4})
	for name, text := range map[string]string{"text": f.Text(), "Markdown": f.Markdown()} {
		for _, want := range []string{"work-3", "memory-5", "go · peak RSS", "False alarms", "U-test", "Noise", "0 of 1"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %q:\n%s", name, want, text)
			}
		}
	}
	lines := strings.Split(strings.TrimSpace(f.Markdown()), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "|---") && strings.Count(line, "|") != strings.Count(lines[i-1], "|") {
			t.Errorf("a table's rule has %d bars and its header %d:\n%s\n%s", strings.Count(line, "|"), strings.Count(lines[i-1], "|"), lines[i-1], line)
		}
	}
}
