package compare_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

var (
	goBase, goHead     = variants[0], variants[1]
	rustBase, rustHead = variants[2], variants[3]
)

// Whatever a broken or hostile run.json holds, a row is not judged, says why, and is never "unchanged".
func TestNotJudged(t *testing.T) {
	for _, v := range []struct {
		name    string
		spoil   func(*result.Trial)
		edit    func(*world)
		metric  string
		why     string
		service compare.Verdict // go's verdict over all rows
	}{
		{name: "NaN", metric: "cpu_per_request", why: "no figure at head", service: compare.Inconclusive,
			spoil: head(func(x *result.Trial) { x.Open.CPUSeconds = math.NaN() })},
		{name: "infinite", metric: "cpu_per_request", why: "no figure at head", service: compare.Inconclusive,
			spoil: head(func(x *result.Trial) { x.Open.CPUSeconds = math.Inf(1) })},
		{name: "overflow", metric: "cpu_per_request", why: "no figure at head", service: compare.Inconclusive,
			spoil: head(func(x *result.Trial) { x.Open.CPUSeconds = 1e308 })},
		{name: "negative", metric: "cold_start", why: "no figure at head", service: compare.Unchanged,
			spoil: head(func(x *result.Trial) { x.ColdStart = -1 })},
		{name: "zero at both", metric: "pss_anon", why: "no figure at base or head", service: compare.Unchanged,
			spoil: func(x *result.Trial) { x.Memory.PeakPSSAnon = 0 }},
		// CPU per request takes both stages, so it has no figure either, and the service no work row.
		{name: "zero baseline", metric: "throughput", why: "no figure at base", service: compare.Inconclusive,
			spoil: func(x *result.Trial) {
				if x.Variant == goBase {
					x.Closed.Requests = 0
				}
			}},
		{name: "few pairs", metric: "cpu_per_request", why: "6 valid screening rounds: at least 7 are needed", service: compare.Inconclusive,
			edit: func(w *world) { w.run.Plan.Rounds.Looks = []int{6} }},
		{name: "dead in half", metric: "cpu_per_request", why: "4 of 8 trials of go@head do not count, first: crashed", service: compare.Inconclusive,
			edit: func(w *world) { w.run.Plan.Rounds.Looks = []int{8} },
			spoil: head(func(x *result.Trial) {
				if x.Round%2 == 0 {
					x.Invalid = "crashed"
				}
			})},
		{name: "margin", metric: "cpu_per_request", why: "margin NaN is not a share", service: compare.Inconclusive,
			edit: func(w *world) { w.run.Plan.Margins["cpu_per_request"] = math.NaN() }},
		{name: "negative margin", metric: "cpu_per_request", why: "margin -0.5 is not a share", service: compare.Inconclusive,
			edit: func(w *world) { w.run.Plan.Margins["cpu_per_request"] = -0.5 }},
		{name: "too few requests", metric: "p99", why: "needs 10000", service: compare.Unchanged,
			edit: func(w *world) { w.latency = true }},
	} {
		t.Run(v.name, func(t *testing.T) {
			w := newWorld(5, 0.001, "list")
			w.spoil = v.spoil
			if v.edit != nil {
				v.edit(w)
			}
			c := w.measure()
			r := row(t, c, "go", "list", v.metric)
			if r.Verdict != compare.NotJudged || !strings.Contains(r.Why, v.why) || r.Ratio != 0 || r.CI != (compare.Interval{}) || r.Level != 0 {
				t.Errorf("row = %+v, want not-judged because %q and no ratio", r, v.why)
			}
			if got := c.Services["go"]; got.Verdict != v.service || (v.service != compare.Unchanged && !strings.Contains(got.Why, v.why)) {
				t.Errorf("service = %+v, want %v", got, v.service)
			}
			for _, r := range c.Rows {
				r.Margin = 0 // a NaN margin is plan's to refuse
				if _, err := json.Marshal(r); err != nil {
					t.Errorf("%s: %v", r.Metric, err)
				}
			}
		})
	}
}

func head(spoil func(*result.Trial)) func(*result.Trial) {
	return func(x *result.Trial) {
		if x.Variant == goHead {
			spoil(x)
		}
	}
}

// A few invalid trials are left out with their round, counted and named; the others carry the verdict.
func TestInvalidTrialsAreLeftOut(t *testing.T) {
	w := newWorld(6, 0.002, "list")
	w.run.Plan.Rounds.Looks = []int{9}
	w.spoil = head(func(x *result.Trial) {
		if x.Round <= 2 {
			x.Invalid = "5 % errors, at most 1 % allowed"
			x.Open.CPUSeconds, x.Closed.CPUSeconds = x.Open.CPUSeconds/10, x.Closed.CPUSeconds/10 // "faster"
		}
	})
	c := w.measure()
	if r := row(t, c, "go", "list", "cpu_per_request"); r.Verdict != compare.Unchanged || r.Rounds != 7 {
		t.Errorf("row = %+v, want unchanged on 7 rounds", r)
	}
	if len(c.Warnings) != 1 || c.Warnings[0] != "list: 2 of 9 trials of go@head left out, first: 5 % errors, at most 1 % allowed" {
		t.Errorf("warnings %q", c.Warnings)
	}
}

// Trials that one side alone loses leave its better part: no good news about it then, and bad news stands.
func TestSurvivorsAreNoGoodNews(t *testing.T) {
	check := func(name string, loses plan.Variant, effect float64, want compare.Verdict) {
		t.Helper()
		w := newWorld(6, 0.002, "list")
		w.run.Plan.Rounds.Looks, w.run.Plan.Rounds.Confirm = []int{11}, 11
		w.shift = plant("go", "cpu_per_request", effect)
		w.spoil = func(x *result.Trial) {
			if x.Variant == loses && x.Round <= 3 {
				x.Invalid = "ended while it was measured: exit status 9"
			}
		}
		if r := row(t, w.measure(), "go", "list", "cpu_per_request"); r.Verdict != want {
			t.Errorf("%s: got %+v, want %v", name, r, want)
		}
	}
	check("head dies, else the same", goHead, 0, compare.Inconclusive)
	check("head dies, else faster", goHead, -0.2, compare.Inconclusive)
	check("head dies and is slower", goHead, 0.2, compare.Regressed)
	check("base dies, else the same", goBase, 0, compare.Inconclusive)
	check("base dies, else faster", goBase, 0.2, compare.Inconclusive)
	check("base dies and is slower", goBase, -0.2, compare.Improved)
	check("the Rust service dies", rustHead, 0, compare.Unchanged)
}

// Rounded figures agree by accident: the verdict stands on the resolution and says so.
func TestConstantFigures(t *testing.T) {
	w := newWorld(7, 0, "list")
	w.latency = true
	c := w.measure()
	for _, metric := range []string{"cpu_per_request", "p50", "throughput", "pss_anon"} {
		r := row(t, c, "go", "list", metric)
		if r.Verdict != compare.Unchanged || r.Noise != 0 || r.Ratio != 1 || !(r.CI[1] > 1.0005 && r.CI[1] < 1.002) || !strings.Contains(r.Why, "resolution") {
			t.Errorf("%s = %+v, want unchanged within the resolution", metric, r)
		}
	}
	w = newWorld(7, 0, "list")
	w.shift = plant("go", "cpu_per_request", 0.02)
	if r := row(t, w.measure(), "go", "list", "cpu_per_request"); r.Verdict != compare.Regressed || r.Noise != 0 || !(r.CI[0] < 1.02 && r.CI[1] > 1.02) {
		t.Errorf("constant +2 %% = %+v, want regressed with an interval", r)
	}
	// As large as the margin cannot be found, by construction.
	w = newWorld(7, 0, "list")
	w.shift = plant("go", "cpu_per_request", 0.01)
	if r := row(t, w.measure(), "go", "list", "cpu_per_request"); r.Verdict != compare.Inconclusive {
		t.Errorf("constant +1 %% = %+v, want inconclusive", r)
	}
}

func TestNoBase(t *testing.T) {
	check := func(name, why string, edit func(*world)) {
		t.Helper()
		w := newWorld(10, 0.002, "list")
		edit(w)
		c := w.measure()
		for _, metric := range []string{"cpu_per_request", "peak_rss"} {
			if r := row(t, c, "go", "list", metric); r.Verdict != compare.NotJudged || r.Why != why || r.Head == 0 || r.Base != 0 || r.Ratio != 0 {
				t.Errorf("%s: %s = %+v, want head alone because %q", name, metric, r, why)
			}
		}
		if r := row(t, c, "go", "", "binary_size"); r.Verdict != compare.NotJudged || r.Why != why || r.Head != 8e6 {
			t.Errorf("%s: binary size = %+v, want head alone", name, r)
		}
		if c.Services["go"].Verdict != compare.NotJudged || c.Services["go"].Why != why || c.Verdict != compare.NotJudged {
			t.Errorf("%s: %v, %+v, want not-judged because %q", name, c.Verdict, c.Services["go"], why)
		}
		if g := gapOf(t, c, "list", "cpu_per_request"); g.Head == 0 || g.Base != 0 || g.Ratio != 0 {
			t.Errorf("%s: gap = %+v, want head alone", name, g)
		}
		for _, gate := range []plan.Gate{plan.GateRegression, plan.GateInconclusive} {
			if compare.Gate(c, gate) {
				t.Errorf("%s fails the gate %s", name, gate)
			}
		}
	}
	noRounds := func(w *world) { // nothing waits for a base: plan runs the first look's rounds
		for round := range 7 {
			w.round("list", plan.Screen, round+1)
		}
		w.run.Plan.Rounds.Looks = nil
	}
	check("baseline none", "baseline: none (unrelated histories)", func(w *world) {
		w.run.Plan.Base, w.run.Plan.NoBase = nil, "unrelated histories"
		delete(w.run.Plan.Services, goBase)
		delete(w.run.Plan.Services, rustBase)
		w.run.Builds[0].BinaryBytes = 0
		noRounds(w)
	})
	check("new service", "no such service at base", func(w *world) {
		delete(w.run.Plan.Services, goBase)
		w.run.Builds[0].BinaryBytes = 0
		noRounds(w)
	})
}

func TestFailures(t *testing.T) {
	for _, v := range []struct {
		step string
		at   plan.Variant
		why  string
	}{
		{"building", goHead, "does not build at head"},
		{"starting", goHead, "does not start at head"},
		{"keeping the binary", goHead, "does not build at head"},
		{"answering list", goHead, "does not survive at head"},
		{"measuring list", goHead, "does not survive at head"},
		{"building", goBase, "does not build at base"},
		{"starting", goBase, "does not start at base"},
	} {
		w := newWorld(11, 0.002, "list")
		w.shift = plant("go", "cpu_per_request", 0.5)
		w.run.Failures = []result.Failure{{Variant: v.at, Step: v.step, Error: "exit status 1"}}
		c := w.measure()
		if got := c.Services["go"]; got.Verdict != compare.NotJudged || got.Why != v.why {
			t.Errorf("%s at %s: go is %+v, want not-judged because %q", v.step, v.at, got, v.why)
		}
		if c.Services["rust"].Verdict != compare.Unchanged || c.Verdict != compare.NotJudged {
			t.Errorf("%s at %s: rust %v, all %v: want unchanged, and not-judged in sight", v.step, v.at, c.Services["rust"].Verdict, c.Verdict)
		}
		for _, r := range c.Rows {
			if r.Service == "go" && (r.Verdict != compare.NotJudged || r.Why != v.why) {
				t.Errorf("%s at %s: %+v", v.step, v.at, r)
			}
		}
		if (v.at == goHead) != (len(c.Gaps) == 0) {
			t.Errorf("%s at %s: %d gaps", v.step, v.at, len(c.Gaps))
		}
	}
	w := newWorld(12, 0.002, "list")
	w.build(goHead).Error = "undefined: x"
	if c := compare.Run(w.run); c.Services["go"].Why != "does not build at head" {
		t.Errorf("build error without a failure: %+v", c.Services["go"])
	}
	for _, r := range compare.Run(w.run).Rows {
		if r.Verdict == compare.Unchanged && r.Workload != "" {
			t.Errorf("nothing was measured, yet %+v", r)
		}
	}
}

func TestNothingChangedAndNothingMeasured(t *testing.T) {
	w := newWorld(1, 0, "list")
	if c := compare.Run(w.run); c.Verdict != compare.Inconclusive || c.Services["go"].Why != "list · CPU per request is not judged: not measured" {
		t.Errorf("no trials: %v, %+v", c.Verdict, c.Services)
	}
	w.run.State = result.NothingChanged
	if c := compare.Run(w.run); c.Verdict != compare.NotJudged || len(c.Rows) != 0 || c.Services["go"].Why != "nothing changed outside ignore" {
		t.Errorf("nothing changed: %v, %+v", c.Verdict, c.Services)
	}
	if c := compare.Run(result.Run{}); c.Verdict != compare.NotJudged || c.ParityBroke || len(c.Rows) != 0 || c.Worst != nil {
		t.Errorf("the empty run: %+v", c)
	}
	if rows := compare.Settle(&result.Run{}); len(rows) != 0 {
		t.Errorf("the empty run settles %v", rows)
	}
	w = newWorld(1, 0) // a plan whose workloads were all dropped
	if c := compare.Run(w.run); c.Verdict != compare.NotJudged || c.Services["go"].Why != "no workload was measured" {
		t.Errorf("no workload: %v, %+v", c.Verdict, c.Services)
	}
}

func TestFacts(t *testing.T) {
	for _, v := range []struct {
		base, head int64
		want       compare.Verdict
	}{
		{1_000_000, 1_000_000, compare.Unchanged},
		{1_000_000, 1_005_000, compare.Unchanged}, // exactly the margin is not beyond it
		{1_005_000, 1_000_000, compare.Unchanged},
		{1_000_000, 1_005_001, compare.Regressed},
		{1_005_001, 1_000_000, compare.Improved},
		{0, 1_000_000, compare.NotJudged},
		{1_000_000, 0, compare.NotJudged},
		{-5, 1_000_000, compare.NotJudged},
		{math.MaxInt64, math.MaxInt64, compare.NotJudged},
	} {
		w := newWorld(3, 0.002, "list")
		w.build(goBase).BinaryBytes, w.build(goHead).BinaryBytes = v.base, v.head
		c := w.measure()
		r := row(t, c, "go", "", "binary_size")
		if r.Verdict != v.want || r.Confirmed || (v.want != compare.NotJudged && (r.CI != compare.Interval{r.Ratio, r.Ratio} || r.Level != 1)) {
			t.Errorf("%d → %d: %+v, want %v", v.base, v.head, r, v.want)
		}
		if (v.want == compare.Regressed) != (c.Worst != nil && c.Worst.Metric == "binary_size") {
			t.Errorf("%d → %d: worst = %+v", v.base, v.head, c.Worst)
		}
	}
}

func TestMarginsOfThePlan(t *testing.T) {
	w := newWorld(13, 0.002, "list")
	w.shift = plant("go", "cpu_per_request", 0.05)
	w.run.Plan.Margins["cpu_per_request"] = 0.2
	if r := row(t, w.measure(), "go", "list", "cpu_per_request"); r.Verdict != compare.Unchanged || r.Margin != 0.2 {
		t.Errorf("+5 %% under a margin of 20 %% = %+v", r)
	}
}

// A latency that improves while CPU per request regresses is not good news.
func TestContradiction(t *testing.T) {
	w := newWorld(14, 0.003, "list", "links")
	w.latency = true
	w.shift = func(v plan.Variant, name, m string) float64 {
		if v != goHead {
			return 0
		}
		return map[string]float64{"list cpu_per_request": 0.5, "list p50": -0.2, "links p50": -0.2}[name+" "+m]
	}
	c := w.measure()
	if r := row(t, c, "go", "list", "p50"); r.Verdict != compare.Inconclusive || !strings.Contains(r.Why, "CPU per request regressed") {
		t.Errorf("list · p50 = %+v, want inconclusive with the reason", r)
	}
	if r := row(t, c, "go", "links", "p50"); r.Verdict != compare.Improved {
		t.Errorf("links · p50 = %+v, want improved", r)
	}
}

// p99 counts its requests over all rounds.
func TestEnoughRequests(t *testing.T) {
	w := newWorld(15, 0.002, "list")
	w.latency = true
	w.run.Plan.Rounds.Looks = []int{10}
	if r := row(t, w.measure(), "go", "list", "p99"); r.Verdict != compare.Unchanged {
		t.Errorf("p99 of 10,000 requests = %+v, want judged", r)
	}
}
