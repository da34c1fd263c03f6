package compare

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/stats"
)

// Run is the judge: every opinion that the facts of run carry. It reads nothing else, so that the same
// run.json gives the same report on every machine.
//
// The interval of a row agrees with Holm's decision by construction. With α = 1 % over the report and k suspects in
// the order of their p-values, the i-th is tested at αᵢ = α ÷ (k − i + 1) and shown with its 1 − 2αᵢ interval: it is
// beyond the margin exactly when the test rejects. Holm stops at the first that it does not reject; all from there on
// are shown at the level that stopped, and since their p-values are larger their intervals reach into the margin
// too. So the drawing above Verdict holds for each row at its own Level, and the family-wise error is that of
// Holm's test; the intervals together are not simultaneous.
func Run(run result.Run) Comparisons {
	r := newRecord(&run)
	services := r.services()
	c := Comparisons{Services: map[string]ServiceVerdict{}}
	if run.State == result.NothingChanged {
		for _, service := range services {
			c.Services[service] = ServiceVerdict{Lang: r.lang(service), Why: "nothing changed outside ignore"}
		}
		return c
	}
	c.Rows = r.judged(services)
	c.Why = r.whys(services, c.Rows)
	r.withdraw(c.Rows, c.Why)
	unexplained(c.Rows, c.Why)
	for _, service := range services {
		c.Services[service] = r.serviceVerdict(service, c.Rows)
	}
	c.Verdict = overall(c.Services)
	c.Worst = worst(c.Rows)
	differ := r.agreement()
	c.ParityBroke, c.Withheld = differ.broke, differ.unlike
	c.Gaps, c.Standings = r.gaps(differ), r.standings(services)
	c.Warnings = slices.Concat(apart(c.Rows), r.leftOut(services), differ.warnings, r.onlyAtBase())
	return c
}

func (r record) lang(service string) plan.Lang {
	return r.run.Plan.Services[variant(service, plan.Head)].Lang
}

// onlyAtBase tells of services that head no longer has: nothing of them can be compared.
func (r record) onlyAtBase() (warnings []string) {
	for v := range maps.Keys(r.run.Plan.Services) {
		if _, ok := r.run.Plan.Services[variant(v.Service, plan.Head)]; !ok {
			warnings = append(warnings, v.Service+": no such service at head")
		}
	}
	slices.Sort(warnings)
	return warnings
}

// judged are all rows of the report, with what more than one of them decides; a cross-check may yet withdraw some.
func (r record) judged(services []string) []Comparison {
	rows := r.rows(services)
	contradict(rows)
	r.survivors(rows)
	return rows
}

// rows are all rows of the report, each judged by itself.
func (r record) rows(services []string) []Comparison {
	var all []candidate
	for _, service := range services {
		for _, w := range r.run.Plan.Workloads {
			for _, m := range result.Metrics() {
				if m.Fact == nil && !r.neverStarted(service, w.Name) && !r.at(w.Name).silent(service, w.Name, m) {
					all = append(all, r.at(w.Name).candidate(service, w.Name, m))
				}
			}
		}
		for _, m := range result.Metrics() {
			if b := r.builds[variant(service, plan.Head)]; m.Fact != nil && b != nil && b.Error == "" {
				all = append(all, candidate{row: r.factRow(service, m)})
			}
		}
	}
	r.confirm(all)
	rows := make([]Comparison, len(all))
	for i, c := range all {
		rows[i] = c.row
	}
	return rows
}

// neverStarted is for the services that have no rows: head does not build or start and was never measured.
func (r record) neverStarted(service, workload string) bool {
	head := variant(service, plan.Head)
	return r.failure(head) != "" && len(r.at(workload).trials[cell{head, workload}]) == 0
}

// candidate is a row with all that screening says about it.
func (r record) candidate(service, workload string, m result.Metric) candidate {
	c := candidate{row: Comparison{
		Service: service, Workload: workload, Metric: m.Name, Unit: m.Unit, Better: m.Better, Margin: r.margin(m),
	}}
	head := r.figures(variant(service, plan.Head), workload, m)
	c.row.Head, _ = stats.Median(slices.Collect(maps.Values(head)))
	why := r.uncompared(service)
	if stopped := r.run.Stopped[workload]; why == "" && stopped != "" {
		why = stopped
	}
	if why == "" && r.identical[service] {
		c.row.identical(len(head), m)
		return c
	}
	base := r.figures(variant(service, plan.Base), workload, m)
	c.row.Base, _ = stats.Median(slices.Collect(maps.Values(base)))
	if why != "" {
		c.row.Why = why
		return c
	}
	screened := r.screened(service, workload, m)
	screened.row = c.row
	c = screened
	if c.halt == "" {
		c.halt = r.tooFewRequests(service, workload, m)
	}
	if c.halt == "" {
		c.halt = r.instead(service, workload, m)
	}
	if c.halt != "" {
		c.row.Why, c.state = c.halt, plan.RowOpen
		return c
	}
	c.show(c.screen, c.estimate, screenAlpha)
	switch {
	case !m.Judged:
		c.row.Why, c.state, c.halt = "shown, not judged", plan.RowOpen, "shown"
	case c.state == plan.RowDecided:
		c.row.Verdict = Unchanged
	default:
		c.row.Verdict = Inconclusive
	}
	if c.row.Noise == 0 && c.row.Why == "" {
		c.row.Why = "every round gave the same ratio: the interval is the resolution of the figures"
	}
	return c
}

// silent is for the rows that would only say of a machine that it has no hardware counters: callgrind's stand instead.
func (r record) silent(service, workload string, m result.Metric) bool {
	if m.Name != result.Instructions && m.Name != "cycles" {
		return false
	}
	return len(r.figures(variant(service, plan.Head), workload, m)) == 0 && len(r.figures(variant(service, plan.Base), workload, m)) == 0
}

// instead is why callgrind's instructions are shown and not judged: the hardware's are.
func (r record) instead(service, workload string, m result.Metric) string {
	if m.Name != result.CallgrindInstructions {
		return ""
	}
	hardware, _ := result.MetricByName(result.Instructions)
	if r.silent(service, workload, hardware) {
		return ""
	}
	return "shown, not judged: the hardware counter's row is"
}

// identical fills a row whose inputs are the same at both sides: nothing was compared because nothing differs.
func (row *Comparison) identical(rounds int, m result.Metric) {
	row.Identical, row.Base, row.Rounds = true, row.Head, rounds
	switch {
	case !m.Judged:
		row.Why = "shown, not judged"
	case row.Head == 0:
		row.Why = "no figure at head"
	default:
		row.Ratio, row.CI, row.Level, row.Verdict = 1, Interval{1, 1}, 1, Unchanged
	}
}

// show puts a sample and its interval at the 1 − 2 alpha level into the row.
func (c *candidate) show(s sample, e stats.Estimate, alpha float64) {
	row := &c.row
	row.Base, _ = stats.Median(s.base)
	row.Head, _ = stats.Median(s.head)
	row.Noise, _ = stats.SD(s.d)
	low, high := e.Interval(alpha)
	row.Ratio, row.CI = math.Exp(e.Center), Interval{math.Exp(low), math.Exp(high)}
	row.Level, row.Rounds = 1-2*alpha, len(s.d)
}

// tooFewRequests says that a percentile stands on too few requests over all rounds, "" when it does not.
func (r record) tooFewRequests(service, workload string, m result.Metric) string {
	for _, side := range []plan.Side{plan.Base, plan.Head} {
		v := variant(service, side)
		if requests, _ := r.requests(v, workload); requests < m.MinRequests {
			return fmt.Sprintf("%s has %d requests: %s needs %d", v, requests, m.Name, m.MinRequests)
		}
	}
	return ""
}

// confirm judges the suspects on confirmation rounds alone, Holm over all of them, and then says of every
// judged row what it could have found.
func (r record) confirm(all []candidate) {
	var suspects []*candidate
	var estimates []stats.Estimate
	var p []float64
	for i := range all {
		c := &all[i]
		if c.halt != "" || c.state != plan.RowSuspect {
			continue
		}
		e := stats.Estimate{} // too few rounds: p = 1, and still one of the family
		if len(c.confirm.d) >= c.bar.confirm {
			e = stats.Estimated(c.confirm.d, c.method, c.floor)
		}
		suspects, estimates = append(suspects, c), append(estimates, e)
		if c.median > 0 { // screening fixed the side, so the test is one-sided
			p = append(p, e.Above(c.log))
		} else {
			p = append(p, e.Below(-c.log))
		}
	}
	for i, step := range stats.Holm(p, familyAlpha) {
		suspects[i].verdict(estimates[i], step)
		r.foresee(suspects[i], step.Alpha)
	}
	for i := range all {
		if c := &all[i]; c.halt == "" && (c.state == plan.RowOpen || c.state == plan.RowDecided) && len(c.screen.d) > 0 {
			r.foresee(c, familyAlpha/float64(len(suspects)+1)) // as if it had been one more suspect
		}
	}
}

// verdict is a suspect's, from its confirmation.
func (c *candidate) verdict(e stats.Estimate, step stats.HolmStep) {
	suspected := fmt.Sprintf("suspected at %s", percent(c.median))
	if e.Outcome != stats.Sound {
		c.row.Why = fmt.Sprintf("%s, not confirmed: %d valid fresh rounds, at least %d are needed", suspected, len(c.confirm.d), c.bar.confirm)
		return
	}
	c.estimate = e
	c.show(c.confirm, e, step.Alpha)
	c.row.Confirmed, c.row.Why = true, ""
	switch {
	case !step.Rejected:
		c.row.Why = suspected + ", not confirmed by fresh rounds"
	case (c.median > 0) == (c.row.Better == result.Lower):
		c.row.Verdict = Regressed
	default:
		c.row.Verdict = Improved
	}
}

// foresee fills in what confirmation at alpha would have found with 80 % power, given the row's noise, and how
// many more rounds an inconclusive row needs for as much.
func (r record) foresee(c *candidate, alpha float64) {
	noise := c.estimate.SE * math.Sqrt(float64(c.estimate.N)) // the spread that the test really feels
	if effect, ok := stats.Detectable(r.confirmRounds(c.bar), noise, c.log, alpha, power); ok {
		c.row.Detectable = math.Expm1(effect)
	}
	if c.row.Verdict != Inconclusive {
		return
	}
	n, ok := stats.RoundsToFind(c.estimate.Center, noise, c.log, alpha, power, maxMoreRounds)
	have := len(c.confirm.d) // fresh rounds: a confirmation stands on those alone
	if !c.row.Confirmed {
		have = 0
	}
	if !ok {
		n, ok = stats.RoundsToBound(c.estimate.Center, noise, c.log, screenAlpha, power, maxMoreRounds)
		have = len(c.screen.d)
	}
	if ok {
		c.row.MoreRounds = max(1, n-have)
	}
}

// factRow compares two exact values with the margin directly: nothing to confirm, the interval is the ratio.
func (r record) factRow(service string, m result.Metric) Comparison {
	row := Comparison{Service: service, Metric: m.Name, Unit: m.Unit, Better: m.Better, Margin: r.margin(m)}
	head, headOK := r.fact(variant(service, plan.Head), m)
	base, baseOK := r.fact(variant(service, plan.Base), m)
	row.Head = head
	if row.Why = r.uncompared(service); row.Why == "" && r.identical[service] {
		row.identical(1, m)
		return row
	}
	row.Base = base
	d, ok := stats.LogRatio(base, head)
	switch {
	case row.Why != "":
		return row
	case !headOK || !baseOK || !ok:
		row.Why = "no figure at base or head"
		return row
	case !(row.Margin >= 0):
		row.Why = fmt.Sprintf("margin %g is not a share", row.Margin)
		return row
	}
	row.Ratio, row.Level, row.Rounds, row.Detectable = math.Exp(d), 1, 1, row.Margin
	row.CI = Interval{row.Ratio, row.Ratio}
	const rounding = 1e-12 // of the logarithms: an effect as large as the margin is not beyond it
	switch beyond := math.Log1p(row.Margin) + rounding; {
	case !m.Judged:
		row.Why = "shown, not judged"
	case math.Abs(d) <= beyond:
		row.Verdict = Unchanged
	case (d > 0) == (m.Better == result.Lower):
		row.Verdict = Regressed
	default:
		row.Verdict = Improved
	}
	return row
}

// contradict withdraws a latency's Improved where work or CPU per request regressed under the same workload: at a fixed
// low rate more work can keep a core awake and so make requests faster (METHOD.md: +50 % work, p50 −8 %).
func contradict(rows []Comparison) {
	for i := range rows {
		if row := &rows[i]; row.Verdict == Improved && isLatency(row.Metric) {
			for _, work := range rows {
				if work.Service == row.Service && work.Workload == row.Workload && isWork(work.Metric) && work.Verdict == Regressed {
					row.Verdict = Inconclusive
					row.Why = "improved while " + label(work.Metric) + " regressed: at a fixed rate more work can keep a core awake"
				}
			}
		}
	}
}

// survivors withdraws good news about a side that lost maxLostMore trials more than the other one: what is left of
// them is the better part. So head may not be unchanged or improved then, nor base unchanged or better than head.
func (r record) survivors(rows []Comparison) {
	for i := range rows {
		row := &rows[i]
		if row.Workload == "" || row.Identical {
			continue
		}
		head, base := variant(row.Service, plan.Head), variant(row.Service, plan.Base)
		m, _ := result.MetricByName(row.Metric)
		at := r.at(row.Workload)
		lostAtHead, ofHead, _ := at.lost(head, row.Workload, m)
		lostAtBase, ofBase, _ := at.lost(base, row.Workload, m)
		var v plan.Variant
		lost, of := 0, 0
		switch more := lostAtHead - lostAtBase; {
		case more >= maxLostMore && (row.Verdict == Unchanged || row.Verdict == Improved):
			v, lost, of = head, lostAtHead, ofHead
		case -more >= maxLostMore && (row.Verdict == Unchanged || row.Verdict == Regressed):
			v, lost, of = base, lostAtBase, ofBase
		default:
			continue
		}
		row.Verdict = Inconclusive
		row.Why = fmt.Sprintf("%d of %d trials of %s do not count: what is left may be its better part", lost, of, v)
	}
}

func isLatency(metric string) bool {
	return len(metric) > 1 && metric[0] == 'p' && strings.Trim(metric[1:], "0123456789") == ""
}

// percent writes an effect as a change: "+3.1 %".
func percent(d float64) string { return fmt.Sprintf("%+.1f %%", 100*math.Expm1(d)) }
