package compare_test

import (
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// lies fails unless a row's verdict is where its interval lies, as drawn above compare.Verdict.
func lies(t *testing.T, r compare.Comparison) {
	t.Helper()
	low, high := 1/(1+r.Margin), 1+r.Margin
	switch up, down := r.CI[0] > high, r.CI[1] < low; {
	case r.Verdict == compare.NotJudged:
	case r.Verdict == compare.Regressed && !(up && r.Better == result.Lower || down && r.Better == result.Higher),
		r.Verdict == compare.Improved && !(down && r.Better == result.Lower || up && r.Better == result.Higher),
		r.Verdict == compare.Unchanged && !(r.CI[0] > low && r.CI[1] < high),
		r.Verdict == compare.Inconclusive && r.Why == "" && (r.CI[0] > low && r.CI[1] < high):
		t.Errorf("%s · %s · %s: %v, but the interval %v lies elsewhere (margin %g, why %q)", r.Service, r.Workload, r.Metric, r.Verdict, r.CI, r.Margin, r.Why)
	}
	if r.Verdict != compare.NotJudged && !(r.CI[0] <= r.Ratio && r.Ratio <= r.CI[1]) {
		t.Errorf("%s · %s · %s: ratio %g outside its interval %v", r.Service, r.Workload, r.Metric, r.Ratio, r.CI)
	}
}

func TestPlantedRegression(t *testing.T) {
	w := newWorld(1, 0.005, "list", "links")
	w.identical("rust")
	w.shift = func(v plan.Variant, name, m string) float64 {
		if name != "links" {
			return 0
		}
		return plant("go", "cpu_per_request", 0.05)(v, name, m)
	}
	c := w.measure()
	r := row(t, c, "go", "links", "cpu_per_request")
	if r.Verdict != compare.Regressed || !r.Confirmed || r.Rounds != 7 || r.Level <= 0.98-1e-12 {
		t.Errorf("planted row = %+v, want a confirmed regression on 7 rounds", r)
	}
	if math.Abs(r.Ratio-1.05) > 0.01 || math.Abs(r.Head/r.Base-1.05) > 0.02 {
		t.Errorf("ratio %g, medians %g → %g, want about 1.05", r.Ratio, r.Base, r.Head)
	}
	if c.Verdict != compare.Regressed || c.Services["go"].Verdict != compare.Regressed || c.Services["rust"].Verdict != compare.Unchanged || !c.Services["rust"].Identical {
		t.Errorf("verdict %v, services %+v", c.Verdict, c.Services)
	}
	if c.Worst == nil || c.Worst.Metric != "cpu_per_request" || c.Worst.Workload != "links" {
		t.Errorf("worst = %+v", c.Worst)
	}
	for _, r := range c.Rows {
		lies(t, r)
		switch {
		case r.Service == "rust" && r.Verdict == compare.Unchanged:
			if !r.Identical || r.Ratio != 1 || r.CI != (compare.Interval{1, 1}) || r.Head != r.Base || r.Head == 0 {
				t.Errorf("identical row = %+v", r)
			}
		case r.Metric == "pss":
			if r.Verdict != compare.NotJudged || r.Why != "shown, not judged" || r.Head == 0 {
				t.Errorf("row that is only shown = %+v", r)
			}
		case r.Metric == "p50" || r.Metric == "p90" || r.Metric == "p95" || r.Metric == "p99":
			if r.Verdict != compare.NotJudged || r.Why == "" || r.Ratio != 0 {
				t.Errorf("row without a figure = %+v", r)
			}
		case r.Verdict != compare.NotJudged && r.Workload != "" && !(r.Noise > 0.003 && r.Noise < 0.015 && r.Detectable > r.Margin):
			t.Errorf("%s · %s: noise %g, detectable %g", r.Workload, r.Metric, r.Noise, r.Detectable)
		}
	}
	if gap := gapOf(t, c, "links", "cpu_per_request"); math.Abs(gap.Ratio-1/1.05) > 0.01 || math.Abs(gap.Head-1/1.05) > 0.01 || math.Abs(gap.Base-1) > 0.01 ||
		math.Abs(gap.Ratio-gap.Head/gap.Base) > 1e-12 || !(gap.CI[0] < gap.Ratio && gap.Ratio < gap.CI[1]) {
		t.Errorf("gap = %+v", gap)
	}
	want := []string{"instructions_callgrind", "instructions_total", "allocations", "cpu_per_request", "p50", "p90", "p95", "p99", "throughput", "peak_rss", "pss", "pss_anon", "cold_start"}
	var got []string
	for _, r := range c.Rows[:len(want)] {
		got = append(got, r.Metric)
	}
	if !slices.Equal(got, want) || c.Rows[0].Service != "go" || c.Rows[0].Workload != "list" || c.Rows[26].Metric != "binary_size" || c.Rows[27].Service != "rust" {
		t.Errorf("rows start with %v, want services, workloads and metrics in order", got)
	}
}

func gapOf(t *testing.T, c compare.Comparisons, workload, metric string) compare.Gap {
	t.Helper()
	for _, g := range c.Gaps {
		if g.Workload == workload && g.Metric == metric {
			return g
		}
	}
	t.Fatalf("no gap %s · %s among %d", workload, metric, len(c.Gaps))
	return compare.Gap{}
}

// Swapping head and base swaps every verdict and inverts every ratio, whichever direction is better.
func TestSwap(t *testing.T) {
	swapped := map[compare.Verdict]compare.Verdict{
		compare.NotJudged: compare.NotJudged, compare.Inconclusive: compare.Inconclusive, compare.Unchanged: compare.Unchanged,
		compare.Improved: compare.Regressed, compare.Regressed: compare.Improved,
	}
	seen := map[compare.Verdict]int{}
	for seed := range uint64(30) {
		w := newWorld(seed, 0.004+0.0005*float64(seed), "list", "links")
		w.shift = func(v plan.Variant, name, m string) float64 {
			if v.Side == plan.Head && name == "list" {
				return map[string]float64{"cpu_per_request": 0.04, "throughput": -0.06, "peak_rss": -0.05, "pss_anon": 0.03}[m]
			}
			if v.Side == plan.Head && m == "throughput" {
				return 0.06
			}
			return 0
		}
		w.build(variants[1]).BinaryBytes = 8_100_000
		before := w.measure()
		for i := range w.run.Trials {
			w.run.Trials[i].Variant.Side = other(w.run.Trials[i].Variant.Side)
		}
		for i := range w.run.Builds {
			w.run.Builds[i].Variant.Side = other(w.run.Builds[i].Variant.Side)
		}
		after := compare.Run(w.run)
		for i, a := range before.Rows {
			b := after.Rows[i]
			lies(t, a)
			lies(t, b)
			seen[a.Verdict]++
			if b.Verdict != swapped[a.Verdict] || b.Level != a.Level || b.Rounds != a.Rounds || b.Noise != a.Noise || b.MoreRounds != a.MoreRounds {
				t.Fatalf("seed %d: %+v\nswapped %+v", seed, a, b)
			}
			if a.Ratio != 0 && (math.Abs(a.Ratio*b.Ratio-1) > 1e-12 || math.Abs(a.CI[0]*b.CI[1]-1) > 1e-12 || math.Abs(a.CI[1]*b.CI[0]-1) > 1e-12) {
				t.Fatalf("seed %d: ratio %g %v, swapped %g %v", seed, a.Ratio, a.CI, b.Ratio, b.CI)
			}
		}
	}
	for v := range swapped {
		if seen[v] == 0 {
			t.Errorf("no row was %v: the test has no bite there", v)
		}
	}
}

func other(s plan.Side) plan.Side {
	if s == plan.Base {
		return plan.Head
	}
	return plan.Base
}

// Neither the unit nor the order of trials matters; run.json carries all that is needed.
func TestScaleShuffleAndCodec(t *testing.T) {
	w := newWorld(4, 0.01, "list")
	w.shift = plant("go", "cpu_per_request", 0.05)
	before := w.measure()
	text, err := result.Encode(w.run)
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := result.Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	if again := compare.Run(decoded); !reflect.DeepEqual(again, before) {
		t.Error("the decoded run.json gives another report")
	}
	w.rng.Shuffle(len(w.run.Trials), func(i, j int) { w.run.Trials[i], w.run.Trials[j] = w.run.Trials[j], w.run.Trials[i] })
	if again := compare.Run(w.run); !reflect.DeepEqual(again, before) {
		t.Error("the order of trials changed the report")
	}
	for i := range w.run.Trials {
		w.run.Trials[i].Open.CPUSeconds *= 4
		w.run.Trials[i].Closed.CPUSeconds *= 4
	}
	a, b := row(t, before, "go", "list", "cpu_per_request"), row(t, compare.Run(w.run), "go", "list", "cpu_per_request")
	if a.Verdict != b.Verdict || math.Abs(a.Ratio-b.Ratio) > 1e-12 || math.Abs(b.Head-4*a.Head) > 1e-12 {
		t.Errorf("four times slower machine: %+v, was %+v", b, a)
	}
	if _, err := json.Marshal(before.Rows); err != nil {
		t.Errorf("rows as JSON: %v", err)
	}
}

// The interval of a suspect agrees with Holm for any number of suspects.
func TestHolmIntervals(t *testing.T) {
	counts := map[compare.Verdict]int{}
	for seed := range uint64(40) {
		w := newWorld(100+seed, 0.012, "a", "b")
		w.shift = func(v plan.Variant, name, m string) float64 {
			if v.Side == plan.Head && v.Service == "go" {
				return 0.035
			}
			return 0
		}
		c := w.measure()
		levels := map[float64]bool{}
		for _, r := range c.Rows {
			lies(t, r)
			if r.Confirmed {
				counts[r.Verdict]++
				levels[r.Level] = true
				if r.Level < 0.98-1e-12 || r.Rounds != 7 {
					t.Errorf("seed %d: confirmed at level %g on %d rounds", seed, r.Level, r.Rounds)
				}
				if inside := r.CI[0] <= 1+r.Margin && r.CI[1] >= 1/(1+r.Margin); (r.Verdict == compare.Inconclusive) != inside {
					t.Errorf("seed %d: %s is %v with %v", seed, r.Metric, r.Verdict, r.CI)
				}
				if r.Verdict == compare.Inconclusive && (r.Why == "" || r.MoreRounds < 0) {
					t.Errorf("seed %d: inconclusive without words: %+v", seed, r)
				}
			}
		}
	}
	if counts[compare.Regressed] == 0 || counts[compare.Inconclusive] == 0 {
		t.Errorf("confirmed rows were %v: want both outcomes", counts)
	}
}

// METHOD.md section 2, through Settle and Run: 40 rows a report.
func TestFalseReports(t *testing.T) {
	const reports = 100
	wrong, unsure, judged := 0, 0, 0
	for seed := range uint64(reports) {
		w := newWorld(1000+seed, 0.01/math.Sqrt2, "a", "b", "c", "d")
		c := w.measure()
		for _, r := range c.Rows {
			switch r.Verdict {
			case compare.Improved, compare.Regressed:
				wrong++
				t.Errorf("seed %d: %s · %s · %s is %v at %g %v", seed, r.Service, r.Workload, r.Metric, r.Verdict, r.Ratio, r.CI)
			case compare.Inconclusive:
				unsure++
			}
			if r.Verdict != compare.NotJudged && r.Workload != "" {
				judged++
			}
		}
	}
	if judged != 40*reports {
		t.Errorf("%d judged rows in %d reports, want 40 in each", judged, reports)
	}
	t.Logf("A/A at a round-to-round SD of 1 %%: %d false and %d inconclusive of %d rows", wrong, unsure, judged)
}

func TestPower(t *testing.T) {
	const reports = 60
	found, wrong := 0, 0
	for seed := range uint64(reports) {
		w := newWorld(3000+seed, 0.01/math.Sqrt2, "a", "b")
		w.shift = func(v plan.Variant, name, m string) float64 {
			if name == "a" {
				return plant("rust", "cpu_per_request", 0.03)(v, name, m)
			}
			return 0
		}
		for _, r := range w.measure().Rows {
			planted := r.Service == "rust" && r.Workload == "a" && r.Metric == "cpu_per_request"
			switch {
			case planted && r.Verdict == compare.Regressed:
				found++
			case r.Verdict == compare.Regressed || r.Verdict == compare.Improved:
				wrong++
			case planted && r.Verdict == compare.Unchanged:
				t.Errorf("seed %d: the plant was called unchanged", seed)
			}
		}
	}
	t.Logf("+3 %% at a round-to-round SD of 1 %%: found in %d of %d, %d other rows", found, reports, wrong)
	if found < reports*85/100 || wrong > 0 {
		t.Errorf("found %d of %d, want at least 85 %%; %d other rows, want none", found, reports, wrong)
	}
}

func TestSettle(t *testing.T) {
	w := newWorld(2, 0.002, "list")
	w.shift = plant("go", "throughput", -0.10)
	for round := range 6 {
		w.round("list", plan.Screen, round+1)
	}
	for _, r := range compare.Settle(&w.run) {
		if r.State != plan.RowOpen {
			t.Errorf("after 6 rounds %+v, want open", r)
		}
	}
	w.round("list", plan.Screen, 7)
	rows := compare.Settle(&w.run)
	if len(rows) != 2*13 {
		t.Errorf("%d rows, want the 13 judged ones of each service", len(rows))
	}
	for _, r := range rows {
		want := plan.RowDecided // unchanged, or no latency figure to wait for
		if r.Service == "go" && r.Metric == "throughput" {
			want = plan.RowSuspect
		}
		if r.Pass == plan.Instructions {
			want = plan.RowOpen // callgrind's own rounds settle it
		}
		if r.State != want {
			t.Errorf("%+v, want %s", r, want)
		}
	}
	w.identical("rust")
	delete(w.run.Plan.Services, variants[0])
	if rows := compare.Settle(&w.run); len(rows) != 0 {
		t.Errorf("%d rows of an identical service and one without base, want none: %v", len(rows), rows)
	}
}

// A workload that was stopped has rows that are not judged and say why, of identical services too; nothing waits for them.
func TestStoppedWorkload(t *testing.T) {
	const why = "PostgreSQL was not found: apt-get install postgresql"
	w := newWorld(2, 0.002, "list", "db")
	for round := range 7 {
		w.round("list", plan.Screen, round+1)
	}
	w.identical("rust")
	w.run.Stopped = map[string]string{"db": why}
	for _, r := range compare.Settle(&w.run) {
		if r.Workload == "db" {
			t.Errorf("%+v waits for a workload that was stopped", r)
		}
	}
	services := map[string]int{}
	c := compare.Run(w.run)
	for _, row := range c.Rows {
		if row.Workload != "db" {
			continue
		}
		services[row.Service]++
		if row.Verdict != compare.NotJudged || row.Why != why {
			t.Errorf("%s %s: %s, %q, want not judged because of %q", row.Service, row.Metric, row.Verdict, row.Why, why)
		}
	}
	if services["go"] == 0 || services["rust"] == 0 {
		t.Errorf("rows of the stopped workload: %v, want some of each service", services)
	}
	if len(c.Rows) == services["go"]+services["rust"] {
		t.Error("the other workload has no rows")
	}
}

// A suspect that was never confirmed is inconclusive and says so; nothing is regressed from screening alone.
func TestSuspectsNeedFreshRounds(t *testing.T) {
	w := newWorld(8, 0.002, "list")
	w.shift = plant("go", "cpu_per_request", 0.5)
	w.run.Plan.Rounds.Confirm = 6
	c := w.measure()
	r := row(t, c, "go", "list", "cpu_per_request")
	if r.Verdict != compare.Inconclusive || r.Confirmed || !strings.Contains(r.Why, "6 valid fresh rounds") || r.MoreRounds < 1 {
		t.Errorf("suspect with 6 fresh rounds = %+v, want inconclusive with the reason", r)
	}
	if c.Verdict != compare.Inconclusive || c.Services["go"].Verdict != compare.Inconclusive || c.Worst != nil {
		t.Errorf("verdict %v, %+v, worst %v", c.Verdict, c.Services, c.Worst)
	}
}

// Confirmation speaks alone: an effect of the screening rounds only does not survive it.
func TestConfirmationAlone(t *testing.T) {
	w := newWorld(9, 0.002, "list")
	w.spoil = func(trial *result.Trial) {
		if trial.Phase == plan.Screen && trial.Variant == variants[1] {
			trial.Open.CPUSeconds *= 1.3
			trial.Closed.CPUSeconds *= 1.3
		}
	}
	r := row(t, w.measure(), "go", "list", "cpu_per_request")
	if r.Verdict != compare.Inconclusive || !r.Confirmed || math.Abs(r.Ratio-1) > 0.01 || !strings.Contains(r.Why, "suspected at +30") {
		t.Errorf("row = %+v, want inconclusive with confirmation's ratio", r)
	}
}

// A noisy suspect asks for more fresh rounds than a clear one, and one that no number would settle for none.
func TestSuspectsAskForRounds(t *testing.T) {
	needs := func(noise, effect float64) (state plan.RowState, rounds int) {
		w := newWorld(11, noise/math.Sqrt2, "list")
		w.run.Plan.Rounds.ConfirmMost = 15
		w.shift = plant("go", "cpu_per_request", effect)
		for round := range 15 {
			w.round("list", plan.Screen, round+1)
		}
		for _, r := range compare.Settle(&w.run) {
			if r.Service == "go" && r.Metric == "cpu_per_request" {
				return r.State, r.Needs
			}
		}
		t.Fatal("no such row")
		return "", 0
	}
	for _, v := range []struct {
		noise, effect float64
		least, most   int
	}{{0.005, 0.05, 3, 7}, {0.02, 0.05, 8, 15}, {0.20, 0.12, 0, 0}, {0.005, 0, 0, 0}} {
		if state, got := needs(v.noise, v.effect); got < v.least || got > v.most {
			t.Errorf("+%g %% at a noise of %g %%: %s asks for %d rounds, want %d to %d", 100*v.effect, 100*v.noise, state, got, v.least, v.most)
		}
	}
}
