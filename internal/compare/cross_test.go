package compare_test

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// inlined is a run in which the Rust service has so much more instructions, all in one function whose file nobody touched.
func inlined(more float64) *world {
	w := newWorld(1, 0.001, "list")
	w.rustCounts("", plan.Screen, 3, more)
	w.rustCounts("", plan.Confirm, 4, more)
	w.charged()
	w.run.Plan.Changed = []string{"rust/src/main.rs"}
	return w
}

// rustCounts adds callgrind rounds of a build, Rust's head shifted, with a round-to-round standard deviation of 0.02 %.
func (w *world) rustCounts(build string, phase plan.Phase, rounds int, more float64) {
	const served = 600
	for round := range rounds {
		for _, v := range variants {
			if build != "" && v.Service != "rust" {
				continue
			}
			shift := 0.0
			if v.Service == "rust" && v.Side == plan.Head {
				shift = more
			}
			w.run.Costs = append(w.run.Costs, result.Cost{
				Variant: v, Workload: "list", Build: build, Phase: phase, Round: round + 1, Requests: served, Allocations: served * 200,
				Buckets: map[string]int64{result.BucketService: int64(served * 1e6 * (1 + shift) * math.Exp(0.0002*w.rng.NormFloat64()))},
			})
		}
	}
}

// What is gone with one codegen unit is the compiler's inlining; what stays, or was not counted often enough, is not.
func TestCrossCheck(t *testing.T) {
	for _, c := range []struct {
		what    string
		change  func(*world)
		verdict compare.Verdict
		said    string // in the Why, by its beginning
	}{
		{"not cross-checked", func(*world) {}, compare.Regressed, ""},
		{"the change is gone", func(w *world) { w.rustCounts(plan.OneUnit, plan.Cross, 4, 0.0001) }, compare.Inconclusive,
			"The compiler's inlining, not your code: with one codegen unit at both sides instructions change by +0.0"},
		{"the change stays", func(w *world) { w.rustCounts(plan.OneUnit, plan.Cross, 4, 0.02) }, compare.Regressed,
			"Cross-checked: with one codegen unit at both sides instructions change by +2.0"},
		{"half of it stays", func(w *world) { w.rustCounts(plan.OneUnit, plan.Cross, 4, 0.01) }, compare.Regressed, "Cross-checked: "},
		{"as much as the margin", func(w *world) { w.rustCounts(plan.OneUnit, plan.Cross, 4, 0.005) }, compare.Regressed, "Cross-checked: "},
		{"too few rounds", func(w *world) { w.rustCounts(plan.OneUnit, plan.Cross, 2, 0) }, compare.Regressed,
			"Not cross-checked with one codegen unit at both sides: 2 valid rounds, at least 3 are needed"},
		{"rounds that do not count", func(w *world) {
			w.rustCounts(plan.OneUnit, plan.Cross, 4, 0)
			for i := range w.run.Costs {
				if c := &w.run.Costs[i]; c.Build != "" && c.Round > 2 {
					c.Invalid = "died"
				}
			}
		}, compare.Regressed, "Not cross-checked"},
		{"a touched file", func(w *world) {
			w.rustCounts(plan.OneUnit, plan.Cross, 4, 0)
			w.run.Plan.Changed = []string{"core/text.go"}
		}, compare.Regressed, ""},
		{"another setting at head", func(w *world) {
			w.rustCounts(plan.OneUnit, plan.Cross, 4, 0)
			w.build(plan.Variant{Service: "rust", Side: plan.Head}).Settings = map[string]string{"codegen-units": "256"}
		}, compare.Regressed, ""},
	} {
		w := inlined(0.02)
		c.change(w)
		got := w.measure()
		r := row(t, got, "rust", "list", result.CallgrindInstructions)
		if r.Verdict != c.verdict || r.Compiler != (c.verdict == compare.Inconclusive) || math.Abs(r.Ratio-1.02) > 0.001 {
			t.Errorf("%s: %+v, want %s and the measured builds' figures", c.what, r, c.verdict)
		}
		said := ""
		for _, why := range got.Why {
			said += why.Cross
		}
		if !strings.HasPrefix(said, c.said) || c.said == "" && said != "" {
			t.Errorf("%s: said %q, want %q…", c.what, said, c.said)
		}
		if s := got.Services["rust"]; s.Verdict != c.verdict || (c.verdict == compare.Inconclusive) != strings.Contains(s.Why, compare.TheCompiler) {
			t.Errorf("%s: service %+v, want %s", c.what, s, c.verdict)
		}
		if got.Verdict != c.verdict || (got.Worst == nil) != (c.verdict == compare.Inconclusive) {
			t.Errorf("%s: %s, worst %+v", c.what, got.Verdict, got.Worst)
		}
	}
}

// Time that was lost is the compiler's as far as instructions account for it.
func TestCrossCheckOfTime(t *testing.T) {
	for _, c := range []struct {
		more    float64
		metric  string
		verdict compare.Verdict
	}{
		{0.04, "cpu_per_request", compare.Inconclusive},
		{0.10, "cpu_per_request", compare.Regressed},
		{-0.03, "throughput", compare.Inconclusive},
		{-0.10, "throughput", compare.Regressed},
		{0.30, "peak_rss", compare.Regressed},
	} {
		w := inlined(0.04)
		w.shift = plant("rust", c.metric, c.more)
		w.rustCounts(plan.OneUnit, plan.Cross, 4, 0)
		if r := row(t, w.measure(), "rust", "list", c.metric); r.Verdict != c.verdict {
			t.Errorf("%s %+.2f: %s (%s), want %s", c.metric, c.more, r.Verdict, r.Why, c.verdict)
		}
	}
}

// A cross-check's counts enter nothing but its own question.
func TestCrossCheckStaysApart(t *testing.T) {
	w := inlined(0.02)
	a := w.measure()
	w.rustCounts(plan.OneUnit, plan.Cross, 4, 0.3)
	b := compare.Run(w.run)
	for i := range b.Why {
		b.Why[i].Cross = ""
	}
	if diff := cmp.Diff(a.Rows, b.Rows); diff != "" {
		t.Errorf("rows differ: %s", diff)
	}
	if diff := cmp.Diff(a.Why, b.Why); diff != "" {
		t.Errorf("whys differ: %s", diff)
	}
}

// Doubt asks for Rust's regressions in functions of files that nobody touched, where both builds are alike.
func TestDoubt(t *testing.T) {
	for _, c := range []struct {
		what   string
		change func(*world)
		want   bool
	}{
		{"an untouched file", func(*world) {}, true},
		{"no file is known", func(w *world) {
			for i := range w.run.Costs {
				for j := range w.run.Costs[i].Functions {
					w.run.Costs[i].Functions[j].File = 0
				}
				w.run.Costs[i].Lines = nil
			}
		}, true},
		{"a touched file", func(w *world) { w.run.Plan.Changed = append(w.run.Plan.Changed, "core/text.go") }, false},
		{"a list of files that is cut", func(w *world) { w.run.Plan.Changed = make([]string, 300) }, false},
		{"no symbols", func(w *world) {
			for i := range w.run.Costs {
				w.run.Costs[i].Functions = nil
			}
		}, false},
		{"one codegen unit", func(w *world) { w.settings("codegen-units", "1") }, false},
		{"sixteen", func(w *world) { w.settings("codegen-units", "16") }, true},
		{"another toolchain", func(w *world) { w.build(plan.Variant{Service: "rust", Side: plan.Head}).Toolchain = "rustc 1.96.0" }, false},
		{"another crate", func(w *world) { w.run.Plan.Changed = append(w.run.Plan.Changed, "rust/Cargo.lock") }, false},
		{"cargo's settings", func(w *world) { w.run.Plan.Changed = append(w.run.Plan.Changed, "rust/.cargo/config.toml") }, false},
		{"no rise", func(w *world) {
			w.run.Costs = nil
			w.rustCounts("", plan.Screen, 3, 0)
		}, false},
		{"Go", func(w *world) {
			for v, s := range w.run.Plan.Services {
				s.Lang = plan.Go
				w.run.Plan.Services[v] = s
			}
		}, false},
	} {
		w := inlined(0.02)
		c.change(w)
		w.measure()
		got := compare.Doubt(&w.run)
		want := []plan.Doubt{{Service: "rust", Workloads: []string{"list"}}}
		if !c.want {
			want = nil
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", c.what, diff)
		}
	}
}

func (w *world) settings(knob, value string) {
	for i := range w.run.Builds {
		w.run.Builds[i].Settings = map[string]string{knob: value}
	}
}

// A flagged row whose instructions show no changed function says so.
func TestUnexplained(t *testing.T) {
	w := newWorld(1, 0.001, "list")
	w.rustCounts("", plan.Screen, 3, 0)
	w.charged()
	w.shift = plant("rust", "cpu_per_request", 0.10)
	if r := row(t, w.measure(), "rust", "list", "cpu_per_request"); r.Verdict != compare.Regressed || !strings.Contains(r.Why, "no function's instructions changed") {
		t.Errorf("%s: %q, want regressed and words", r.Verdict, r.Why)
	}
}
