package compare

import (
	"fmt"
	"maps"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/stats"
)

// TheCompiler is what a regression is put down to that is gone when each crate is compiled as one unit.
const TheCompiler = "the compiler's inlining, not your code"

// Doubt says what a cross-check may explain: Rust services with more instructions, in functions that the pull request did not
// touch. An edit can move an inlining decision elsewhere in its crate (docs/methodology.md). It is asked when everything
// else was measured, and what it asks for comes back as the Costs of another build.
func Doubt(run *result.Run) []plan.Doubt {
	r := newRecord(run)
	services := r.services()
	rows := r.judged(services)
	all := r.whys(services, rows)
	var doubts []plan.Doubt
	for _, service := range services {
		var workloads []string
		for _, w := range run.Plan.Workloads {
			if r.doubtful(service, w.Name, rows, all) {
				workloads = append(workloads, w.Name)
			}
		}
		if len(workloads) > 0 {
			doubts = append(doubts, plan.Doubt{Service: service, Workloads: workloads})
		}
	}
	return doubts
}

// doubtful is whether a service's regression under a workload may be the compiler's doing.
func (r record) doubtful(service, workload string, rows []Comparison, whys []Why) bool {
	if r.lang(service) != plan.Rust || !r.builtAlike(service) {
		return false
	}
	if _, ok := regressedWork(service, workload, rows); !ok {
		return false
	}
	for _, w := range whys {
		if w.Service != service || w.Workload != workload || w.Measure != "instructions" {
			continue
		}
		return w.Rounds > 0 && !slices.ContainsFunc(w.Functions, func(f Blamed) bool { return f.Changed == ChangedYes })
	}
	return false
}

// builtAlike is whether both sides were built by the same rules, in more than one codegen unit. What a pull request
// changes about the build is its own doing, whatever another setting would have made of it.
func (r record) builtAlike(service string) bool {
	base, head := r.builds[variant(service, plan.Base)], r.builds[variant(service, plan.Head)]
	if base == nil || head == nil || base.Toolchain != head.Toolchain || !maps.Equal(base.Settings, head.Settings) {
		return false
	}
	return head.Settings["codegen-units"] != "1" && len(r.run.Plan.Changed) < listed && !slices.ContainsFunc(r.run.Plan.Changed, decidesTheBuild)
}

// decidesTheBuild is for the files that say how Rust is compiled, and with which dependencies.
func decidesTheBuild(file string) bool {
	switch path.Base(file) {
	case "Cargo.toml", "Cargo.lock", "rust-toolchain", "rust-toolchain.toml", "build.rs", "duet.yml":
		return true
	}
	return strings.HasPrefix(file, ".cargo/") || strings.Contains(file, "/.cargo/")
}

// regressedWork is the row of instructions that regressed, the hardware's first.
func regressedWork(service, workload string, rows []Comparison) (Comparison, bool) {
	for _, metric := range []string{result.Instructions, result.CallgrindInstructions} {
		for _, row := range rows {
			if row.Service == service && row.Workload == workload && row.Metric == metric && row.Verdict == Regressed {
				return row, true
			}
		}
	}
	return Comparison{}, false
}

// crossed is what both sides, built with one codegen unit, say of a change.
type crossed struct {
	ratio  float64
	ci     Interval
	rounds int
	gone   bool // inside the margin by its interval
}

// crossCheck reads the cross-check's rounds of a service under a workload; ok is false with fewer than the pass's least.
func (r record) crossCheck(service, workload string) (c crossed, ok bool) {
	m, _ := result.MetricByName(result.CallgrindInstructions)
	s := pair(r.again(variant(service, plan.Base), workload, m), r.again(variant(service, plan.Head), workload, m), "")
	if len(s.d) < barOf(m).screen {
		return crossed{rounds: len(s.d)}, false
	}
	e := stats.Estimated(s.d, stats.MethodFor(s.d, resolution(m)), resolution(m))
	low, high := e.Interval(screenAlpha)
	if e.Outcome != stats.Sound || math.IsNaN(low) || math.IsNaN(high) {
		return crossed{rounds: len(s.d)}, false
	}
	return crossed{
		ratio: math.Exp(e.Center), ci: Interval{math.Exp(low), math.Exp(high)}, rounds: len(s.d),
		gone: e.Within(math.Log1p(r.margin(m)), screenAlpha),
	}, true
}

// again are a metric's figures in the valid windows of a variant's cross-check build.
func (r record) again(v plan.Variant, workload string, m result.Metric) map[mark]float64 {
	found := map[mark]float64{}
	for at, c := range r.crossed[cell{v, workload}] {
		if x, ok := m.Count(*c); ok && c.Invalid == "" && stats.Plausible(x) {
			found[at] = x
		}
	}
	return found
}

// withdraw judges inconclusive what a cross-check explains: the regressed rows of instructions, and those of time that
// lost no more than the instructions account for. What it found is told in the Why of that workload in either case.
func (r record) withdraw(rows []Comparison, whys []Why) {
	type place struct{ service, workload string }
	var gone []place
	work := map[place]Comparison{}
	for i := range whys {
		w := &whys[i]
		if w.Measure != "instructions" || !r.doubtful(w.Service, w.Workload, rows, whys) {
			continue
		}
		at := place{w.Service, w.Workload}
		c, ok := r.crossCheck(w.Service, w.Workload)
		if !ok {
			if c.rounds > 0 {
				w.Cross = fmt.Sprintf("Not cross-checked with one codegen unit at both sides: %d valid rounds, at least 3 are needed", c.rounds)
			}
			continue
		}
		with := fmt.Sprintf("with one codegen unit at both sides instructions change by %s %% [%s, %s]",
			hundredths(c.ratio), hundredths(c.ci[0]), hundredths(c.ci[1]))
		if !c.gone {
			w.Cross = "Cross-checked: " + with + ", so it is not the compiler's inlining alone"
			continue
		}
		w.Cross, w.Compiler = strings.ToUpper(TheCompiler[:1])+TheCompiler[1:]+": "+with, true
		gone = append(gone, at)
		work[at], _ = regressedWork(w.Service, w.Workload, rows)
	}
	for i := range rows {
		row := &rows[i]
		at := place{row.Service, row.Workload}
		if row.Verdict != Regressed || !slices.Contains(gone, at) || !explained(*row, work[at]) {
			continue
		}
		row.Verdict, row.Compiler, row.MoreRounds, row.Why = Inconclusive, true, 0, TheCompiler
	}
}

// explained is whether a regressed row is one of instructions, or one of time that may have lost no more than they account for.
func explained(row, work Comparison) bool {
	switch {
	case row.Metric == result.Instructions || row.Metric == result.CallgrindInstructions:
		return true
	case row.Metric != result.CPUPerRequest && !isTime(row.Metric):
		return false
	case row.Better == result.Higher:
		return 1/row.CI[1] <= work.CI[1]
	}
	return row.CI[0] <= work.CI[1]
}

// hundredths writes a ratio as a change in percent, to the hundredth: "+0.01".
func hundredths(ratio float64) string {
	return strings.Replace(fmt.Sprintf("%+.2f", 100*(ratio-1)), "-", "−", 1)
}
