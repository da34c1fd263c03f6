package compare_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/stats"
)

// COMMENT.md, "Words for services".
func TestServiceVerdicts(t *testing.T) {
	const noisy = 7 // marks a metric as too noisy to judge
	for _, v := range []struct {
		name string
		go_  map[string]float64 // by metric
		want compare.Verdict
	}{
		{"nothing", nil, compare.Unchanged},
		{"improved", map[string]float64{"peak_rss": -0.2}, compare.Improved},
		{"more throughput", map[string]float64{"throughput": 0.2}, compare.Improved},
		{"less throughput", map[string]float64{"throughput": -0.2}, compare.Regressed},
		{"regressed beats improved", map[string]float64{"peak_rss": -0.2, "pss_anon": 0.2}, compare.Regressed},
		{"regressed beats unsure work", map[string]float64{"cpu_per_request": noisy, "pss_anon": 0.2}, compare.Regressed},
		{"unsure work", map[string]float64{"cpu_per_request": noisy}, compare.Inconclusive},
		{"unsure work beats improved", map[string]float64{"cpu_per_request": noisy, "pss_anon": -0.2}, compare.Inconclusive},
		{"unsure memory", map[string]float64{"peak_rss": noisy}, compare.Inconclusive},
		{"unsure anonymous memory", map[string]float64{"pss_anon": noisy}, compare.Inconclusive},
		{"unsure cold start alone", map[string]float64{"cold_start": noisy}, compare.Unchanged},
		{"unsure throughput, better memory", map[string]float64{"throughput": noisy, "peak_rss": -0.2}, compare.Improved},
	} {
		w := newWorld(20, 0.001, "list")
		w.shift = func(variant plan.Variant, _, m string) float64 {
			switch d := v.go_[m]; {
			case variant != goHead:
				return 0
			case d == noisy:
				return 0.3 * w.rng.NormFloat64()
			default:
				return d
			}
		}
		c := w.measure()
		got := c.Services["go"]
		if got.Verdict != v.want || c.Verdict != v.want || (v.want == compare.Inconclusive) != (got.Why != "") || got.Lang != plan.Go {
			t.Errorf("%s: go is %+v, all %v, want %v", v.name, got, c.Verdict, v.want)
		}
	}
}

// The headline is the row that is the most margins away, at its near end, in whichever direction is worse.
func TestWorst(t *testing.T) {
	w := newWorld(21, 0.001, "list")
	w.shift = func(v plan.Variant, _, m string) float64 {
		if v != goHead {
			return 0
		}
		return map[string]float64{"cpu_per_request": 0.05, "throughput": -0.2, "cold_start": 0.5, "peak_rss": 0.1}[m]
	}
	// Margins: 5 % of 1 % = 5, 18 % of 2 % = 10, 65 % of 10 % = 5, 10 % of 2 % = 5.
	c := w.measure()
	if c.Worst == nil || c.Worst.Metric != "throughput" {
		t.Errorf("worst = %+v, want throughput", c.Worst)
	}
	w.run.Plan.Margins["cpu_per_request"] = 0.001
	if c := compare.Run(w.run); c.Worst == nil || c.Worst.Metric != "cpu_per_request" {
		t.Errorf("worst = %+v, want CPU per request under its tighter margin", c.Worst)
	}
}

func TestParity(t *testing.T) {
	differ := func(a, b plan.Variant, request string) result.Difference {
		return result.Difference{A: a, B: b, Workload: "list", Request: request, What: "body"}
	}
	for _, v := range []struct {
		name        string
		differences []result.Difference
		cut         bool
		identical   []string
		edit        func(*world)
		broke, gaps bool
	}{
		{name: "agree", gaps: true},
		{name: "head changed its answers, both alike", gaps: true,
			differences: []result.Difference{differ(goBase, goHead, "GET /"), differ(rustBase, rustHead, "GET /")}},
		{name: "broke", broke: true, differences: []result.Difference{differ(goHead, rustHead, "GET /"), differ(goBase, goHead, "GET /")}},
		{name: "broke, named the other way round", broke: true, differences: []result.Difference{
			differ(rustHead, goHead, "GET /"), differ(rustHead, rustBase, "GET /")}},
		{name: "never agreed", differences: []result.Difference{
			differ(goBase, rustBase, "GET /"), differ(goHead, rustHead, "GET /"), differ(goBase, goHead, "GET /")}},
		{name: "never agreed, paths hold captured values", differences: []result.Difference{
			differ(goBase, rustBase, "GET /l/x1?n=1"), differ(goHead, rustHead, "GET /l/y2"), differ(goBase, goHead, "GET /l/x1")}},
		{name: "a new request", broke: true, differences: []result.Difference{
			differ(goBase, rustBase, "GET /"), differ(goHead, rustHead, "GET /"), differ(goHead, rustHead, "POST /"), differ(goBase, goHead, "POST /")}},
		{name: "a new request, list cut", cut: true, broke: true, differences: []result.Difference{
			differ(goBase, rustBase, "GET /"), differ(goHead, rustHead, "GET /"), differ(goHead, rustHead, "POST /")}},
		{name: "list cut before head", cut: true, differences: []result.Difference{differ(goBase, rustBase, "GET /")}},
		{name: "mended", gaps: true, differences: []result.Difference{differ(goBase, rustBase, "GET /"), differ(goBase, goHead, "GET /")}},
		{name: "both identical never agreed", identical: []string{"go", "rust"}, differences: []result.Difference{differ(goHead, rustHead, "GET /")}},
		{name: "rust identical, never agreed", identical: []string{"rust"}, differences: []result.Difference{
			differ(goHead, rustHead, "GET /"), differ(goBase, rustHead, "GET /"), differ(goBase, goHead, "GET /")}},
		{name: "rust identical, base not asked, go unchanged", identical: []string{"rust"}, differences: []result.Difference{
			differ(goHead, rustHead, "GET /")}},
		{name: "rust identical, go broke", identical: []string{"rust"}, broke: true, differences: []result.Difference{
			differ(goHead, rustHead, "GET /"), differ(goBase, goHead, "GET /")}},
		{name: "no base to have agreed", edit: func(w *world) { delete(w.run.Plan.Services, goBase) },
			differences: []result.Difference{differ(goHead, rustHead, "GET /")}},
		{name: "not compared", edit: func(w *world) { w.run.Parity = nil }},
	} {
		w := newWorld(22, 0.002, "list")
		w.run.Parity.Differences, w.run.Parity.Total = v.differences, len(v.differences)
		if v.cut {
			w.run.Parity.Total = 500
		}
		for _, service := range v.identical {
			w.identical(service)
		}
		if v.edit != nil {
			v.edit(w)
		}
		c := w.measure()
		if c.ParityBroke != v.broke || (len(c.Gaps) > 0) != v.gaps {
			t.Errorf("%s: broke %v, %d gaps, want %v and gaps %v", v.name, c.ParityBroke, len(c.Gaps), v.broke, v.gaps)
		}
		if (len(c.Withheld) > 0) == v.gaps {
			t.Errorf("%s: withheld %q, gaps %v", v.name, c.Withheld, v.gaps)
		}
		if said := strings.Contains(strings.Join(c.Warnings, "\n"), "withheld"); said == v.gaps {
			t.Errorf("%s: warnings %q, gaps %v", v.name, c.Warnings, v.gaps)
		}
		if compare.Gate(c, plan.GateRegression) != v.broke || compare.Gate(c, plan.GateNever) {
			t.Errorf("%s: the gate does not follow", v.name)
		}
	}
}

func TestGaps(t *testing.T) {
	w := newWorld(23, 0.003, "list")
	w.shift = func(v plan.Variant, _, m string) float64 {
		d := 0.0
		if v.Service == "rust" {
			d = math.Log(0.5)
		}
		if v == rustHead && m == "cpu_per_request" {
			d += math.Log(1.1)
		}
		return d
	}
	w.build(rustHead).BinaryBytes = 4_000_000
	c := w.measure()
	g := gapOf(t, c, "list", "cpu_per_request")
	if math.Abs(g.Base-0.5) > 0.01 || math.Abs(g.Head-0.55) > 0.01 || math.Abs(g.Ratio-1.1) > 0.01 || !(g.HeadCI[0] < g.Head && g.Head < g.HeadCI[1]) || g.Pair != "default" {
		t.Errorf("gap = %+v, want 0.5 → 0.55", g)
	}
	if g := gapOf(t, c, "", "binary_size"); g.Base != 1 || g.Head != 0.5 || g.Ratio != 0.5 || g.CI != (compare.Interval{0.5, 0.5}) {
		t.Errorf("binary size = %+v", g)
	}
	// Screening and confirmation rounds together: the interval is tighter than seven rounds'.
	if screen := gapOf(t, c, "list", "throughput"); len(w.run.Trials) < 4*14 || screen.Head == 0 {
		t.Errorf("%d trials: the workload was not confirmed", len(w.run.Trials))
	}

	w = newWorld(24, 0.003, "list")
	w.identical("go")
	w.identical("rust")
	if g := gapOf(t, w.measure(), "list", "cpu_per_request"); g.Head != g.Base || g.Ratio != 1 || g.CI != (compare.Interval{1, 1}) || g.HeadCI[0] == g.HeadCI[1] {
		t.Errorf("both identical: %+v", g)
	}
	w = newWorld(25, 0.003, "list")
	w.identical("rust")
	w.shift = plant("go", "cpu_per_request", 0.25)
	if g := gapOf(t, w.measure(), "list", "cpu_per_request"); math.Abs(g.Head-0.8) > 0.01 || math.Abs(g.Base-1) > 0.01 || math.Abs(g.Ratio-0.8) > 0.01 {
		t.Errorf("rust identical: %+v, want the gap to follow go", g)
	}
}

func TestGate(t *testing.T) {
	for _, v := range []struct {
		verdict                         compare.Verdict
		broke                           bool
		never, regression, inconclusive bool
	}{
		{compare.NotJudged, false, false, false, false},
		{compare.Unchanged, false, false, false, false},
		{compare.Improved, false, false, false, false},
		{compare.Inconclusive, false, false, false, true},
		{compare.Regressed, false, false, true, true},
		{compare.Unchanged, true, false, true, true},
	} {
		c := compare.Comparisons{Verdict: v.verdict, ParityBroke: v.broke}
		for gate, want := range map[plan.Gate]bool{
			"": false, plan.GateNever: v.never, plan.GateRegression: v.regression, plan.GateInconclusive: v.inconclusive, "odd": v.inconclusive,
		} {
			if got := compare.Gate(c, gate); got != want {
				t.Errorf("Gate(%v, broke %v, %q) = %v, want %v", v.verdict, v.broke, gate, got, want)
			}
		}
	}
}

func TestTighten(t *testing.T) {
	for _, v := range []struct {
		base, flag, want plan.Gate
		err              string
	}{
		{"", "", "never", ""},
		{"regression", "", "regression", ""},
		{"", "regression", "regression", ""},
		{"never", "inconclusive", "inconclusive", ""},
		{"regression", "regression", "regression", ""},
		{"regression", "never", "", `gate "never" is looser than base's "regression"`},
		{"inconclusive", "regression", "", "looser"},
		{"never", "always", "", `unexpected gate "always": expected one of ["never" "regression" "inconclusive"]`},
		{"odd", "never", "", `unexpected gate "odd" in policy`},
	} {
		got, err := compare.Tighten(v.base, v.flag)
		var usage *plan.UsageError
		if got != v.want || (err != nil) != (v.err != "") || (err != nil && (!errors.As(err, &usage) || !strings.Contains(err.Error(), v.err))) {
			t.Errorf("Tighten(%q, %q) = %q, %v, want %q, %q", v.base, v.flag, got, err, v.want, v.err)
		}
	}
}

func TestVerdictText(t *testing.T) {
	for v, word := range map[compare.Verdict]string{
		compare.NotJudged: "not-judged", compare.Inconclusive: "inconclusive", compare.Unchanged: "unchanged",
		compare.Improved: "improved", compare.Regressed: "regressed",
	} {
		text, _ := v.MarshalText()
		var back compare.Verdict
		if err := back.UnmarshalText(text); err != nil || string(text) != word || back != v {
			t.Errorf("%d is written %q and read %v, %v, want %q", v, text, back, err, word)
		}
	}
	var v compare.Verdict
	if err := v.UnmarshalText([]byte("fine")); err == nil || v != compare.NotJudged {
		t.Errorf("\"fine\" read as %v, %v", v, err)
	}
}

// A row says what confirmation would have found in it as one more suspect, and how many rounds it lacks.
func TestForesight(t *testing.T) {
	w := newWorld(26, 0.001, "list")
	w.shift = func(v plan.Variant, _, m string) float64 {
		switch {
		case v == goHead && m == "cold_start":
			return 1 // a sure suspect
		case v == goHead && m == "peak_rss":
			return 0.05 * w.rng.NormFloat64()
		}
		return 0
	}
	c := w.measure()
	suspects := 0
	for _, r := range c.Rows {
		if r.Confirmed {
			suspects++
		}
	}
	r := row(t, c, "rust", "list", "cpu_per_request")
	effect, _ := stats.Detectable(7, r.Noise, math.Log1p(r.Margin), 0.01/float64(suspects+1), 0.8)
	if suspects == 0 || r.Verdict != compare.Unchanged || math.Abs(r.Detectable-math.Expm1(effect)) > 1e-12 || r.MoreRounds != 0 {
		t.Errorf("%d suspects; %+v, want detectable %g", suspects, r, math.Expm1(effect))
	}
	noisy := row(t, c, "go", "list", "peak_rss")
	if noisy.Verdict != compare.Inconclusive || noisy.Detectable < 0.05 || (noisy.MoreRounds > 0 && noisy.MoreRounds < 10) {
		t.Errorf("noisy row = %+v, want inconclusive, a poor detectable change and many more rounds", noisy)
	}
	// With that many rounds more, such a row is settled.
	w = newWorld(27, 0.02, "list")
	w.run.Plan.Rounds.Looks = []int{7}
	calm := row(t, w.measure(), "go", "list", "peak_rss")
	if calm.Verdict != compare.Inconclusive || calm.MoreRounds < 10 {
		t.Fatalf("calm row = %+v, want inconclusive with many more rounds", calm)
	}
	w = newWorld(28, 0.02, "list")
	w.run.Plan.Rounds.Looks = []int{7 + calm.MoreRounds}
	if r := row(t, w.measure(), "go", "list", "peak_rss"); r.Verdict != compare.Unchanged {
		t.Errorf("after %d more rounds %+v, want unchanged", calm.MoreRounds, r)
	}
}
