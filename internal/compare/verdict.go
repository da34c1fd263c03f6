package compare

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// isWork says whether a row tells how much a request costs the service.
func isWork(metric string) bool { return slices.Contains(workMetrics(), metric) }

// workMetrics are the rows that say how much work a request is, the first choice first.
func workMetrics() []string {
	return []string{result.Instructions, result.CallgrindInstructions, result.CPUPerRequest}
}

// workRow names the work row of a service under a workload: the first choice that was judged, CPU per request where
// none was.
func workRow(service, workload string, rows []Comparison) string {
	for _, metric := range workMetrics() {
		for _, row := range rows {
			if row.Service == service && row.Workload == workload && row.Metric == metric && row.Verdict != NotJudged {
				return metric
			}
		}
	}
	return result.CPUPerRequest
}

// apart says in words where work and time part: slower without more work is waiting, locks, cache or the kernel.
func apart(rows []Comparison) (notes []string) {
	for _, work := range rows {
		if work.Metric == result.CPUPerRequest || work.Metric != workRow(work.Service, work.Workload, rows) {
			continue
		}
		var slower, same []string
		for _, row := range rows {
			if row.Service != work.Service || row.Workload != work.Workload || !(isLatency(row.Metric) || row.Metric == "throughput" || row.Metric == result.CPUPerRequest) {
				continue
			}
			switch row.Verdict {
			case Regressed:
				slower = append(slower, label(row.Metric))
			case Unchanged:
				same = append(same, label(row.Metric))
			}
		}
		where := work.Service + " · " + work.Workload
		switch {
		case work.Verdict == Unchanged && len(slower) > 0:
			notes = append(notes, fmt.Sprintf("%s: slower (%s) without more work (instructions unchanged): waiting, locks, cache or the kernel", where, strings.Join(slower, ", ")))
		case work.Verdict == Regressed && len(slower) == 0 && len(same) > 0:
			notes = append(notes, fmt.Sprintf("%s: more work (instructions) and no time lost that this run could see (%s unchanged)", where, strings.Join(same, ", ")))
		}
	}
	return notes
}

func isMemory(metric string) bool { return metric == "peak_rss" || metric == "pss_anon" }

// serviceVerdict is one service's verdict over its rows: regressed if any row is; else inconclusive if a work or
// memory row is; else improved if any row is; else unchanged. Missing data is never "no change": a workload
// whose work row could not be judged counts as inconclusive, and a service without any is not judged.
func (r record) serviceVerdict(service string, rows []Comparison) ServiceVerdict {
	v := ServiceVerdict{Lang: r.lang(service)}
	if v.Why = r.uncompared(service); v.Why != "" {
		return v
	}
	if r.identical[service] {
		v.Verdict, v.Identical = Unchanged, true
		return v
	}
	seen := map[Verdict]bool{}
	unsure, measured := "", false
	for _, row := range rows {
		if row.Service != service {
			continue
		}
		seen[row.Verdict] = true
		work := row.Metric == workRow(service, row.Workload, rows)
		measured = measured || work
		switch {
		case unsure != "":
		case row.Verdict == Inconclusive && (work || isMemory(row.Metric)):
			unsure = fmt.Sprintf("%s · %s is inconclusive", row.Workload, label(row.Metric))
			if row.Compiler {
				unsure = fmt.Sprintf("%s · %s: %s", row.Workload, label(row.Metric), row.Why)
			}
		case row.Verdict == NotJudged && work:
			unsure = fmt.Sprintf("%s · %s is not judged: %s", row.Workload, label(row.Metric), row.Why)
		}
	}
	judged := seen[Regressed] || seen[Improved] || seen[Unchanged] || seen[Inconclusive]
	switch {
	case seen[Regressed]:
		v.Verdict = Regressed
	case !judged || !measured:
		v.Why = "nothing was judged"
		if unsure != "" {
			v.Why = unsure
		}
		if !measured {
			v.Why = "no workload was measured"
		}
	case unsure != "":
		v.Verdict, v.Why = Inconclusive, unsure
	case seen[Improved]:
		v.Verdict = Improved
	default:
		v.Verdict = Unchanged
	}
	return v
}

func label(metric string) string {
	m, _ := result.MetricByName(metric)
	return m.Label
}

// overall is the first of these that some service has: regressed, inconclusive, not-judged, improved, unchanged.
// Not-judged stands before improved and unchanged, so that a service which nobody judged is never hidden behind a
// neighbour's good news.
func overall(services map[string]ServiceVerdict) Verdict {
	for _, v := range []Verdict{Regressed, Inconclusive, NotJudged, Improved, Unchanged} {
		for _, s := range services {
			if s.Verdict == v {
				return v
			}
		}
	}
	return NotJudged
}

// worst is the regression with the largest ln(near end) ÷ ln(1 + margin): how many margins it is at least. Facts need no
// confirmation and count as well. Of equals the first row is it.
func worst(rows []Comparison) *Comparison {
	var found *Comparison
	margins := 0.0
	for _, row := range rows {
		if row.Verdict != Regressed {
			continue
		}
		near := math.Log(row.CI[0])
		if row.Better == result.Higher {
			near = -math.Log(row.CI[1])
		}
		if size := near / math.Log1p(row.Margin); found == nil || size > margins {
			found, margins = &row, size
		}
	}
	return found
}

// disagreement is what the comparison of answers means for the report.
type disagreement struct {
	withheld map[string]bool // pairs by name: no row may set their languages side by side
	unlike   []string        // those of them whose services do not answer alike, or may not
	broke    bool            // head's two services differ where base's two agreed
	warnings []string
}

// question is one kind of request and what differs in its answer. Paths hold captured values, which no two
// variants share, so a path counts by its number of segments.
type question struct {
	workload, method, what string
	segments               int
}

func asked(d result.Difference) question {
	method, path, _ := strings.Cut(d.Request, " ")
	path, _, _ = strings.Cut(path, "?")
	return question{workload: d.Workload, method: method, what: d.What, segments: strings.Count(path, "/")}
}

// parity reads result.ParityResult. A service whose inputs are identical may stand in it under either side, and
// base's half of such a pair may be missing: so where the list is whole, an answer stopped agreeing only if one
// of the two services changed it. A cut list hides differences: then nothing is set side by side.
func (r record) parity() disagreement {
	d := disagreement{withheld: map[string]bool{}}
	p := r.run.Parity
	for _, pair := range r.run.Plan.Pairs {
		goHead, rustHead := variant(pair.Go, plan.Head), variant(pair.Rust, plan.Head)
		if r.failure(goHead) != "" || r.failure(rustHead) != "" {
			d.withheld[pair.Name] = true // said as that service's verdict
			continue
		}
		withhold := func(format string, args ...any) {
			d.withheld[pair.Name], d.unlike = true, append(d.unlike, pair.Name)
			d.warnings = append(d.warnings, fmt.Sprintf("%s: %s, so Rust ÷ Go is withheld", pair.Name, fmt.Sprintf(format, args...)))
		}
		if p == nil {
			withhold("answers were not compared")
			continue
		}
		differ := r.differences(goHead, rustHead)
		switch {
		case len(differ) > 0:
			withhold("%s and %s answer differently (%s · %s)", goHead, rustHead, differ[0].Workload, differ[0].Request)
		case p.Total > len(p.Differences):
			withhold("of %d differences only %d are known, and %s and %s may have some", p.Total, len(p.Differences), goHead, rustHead)
		}
		if r.uncompared(pair.Go) == "" && r.uncompared(pair.Rust) == "" { // else base has no two that could have agreed
			d.broke = d.broke || r.stoppedAgreeing(pair, differ)
		}
	}
	return d
}

// agreement is parity over all machines: a pair whose answers differ on one of them is set side by side nowhere.
func (r record) agreement() disagreement {
	if len(r.each) == 0 {
		return r.parity()
	}
	whole := disagreement{withheld: map[string]bool{}}
	for _, part := range r.each {
		d := part.parity()
		whole.broke = whole.broke || d.broke
		for _, name := range d.unlike {
			if !whole.withheld[name] {
				whole.withheld[name], whole.unlike = true, append(whole.unlike, name)
			}
		}
		for _, warning := range d.warnings {
			if !slices.Contains(whole.warnings, warning) {
				whole.warnings = append(whole.warnings, warning)
			}
		}
	}
	for _, p := range r.run.Plan.Pairs {
		if r.failure(variant(p.Go, plan.Head)) != "" || r.failure(variant(p.Rust, plan.Head)) != "" {
			whole.withheld[p.Name] = true // said as that service's verdict
		}
	}
	return whole
}

// stoppedAgreeing reports whether head's services differ in a question in which base's agreed.
func (r record) stoppedAgreeing(pair plan.Pair, differ []result.Difference) bool {
	before := questions(r.differences(variant(pair.Go, plan.Base), variant(pair.Rust, plan.Base)))
	changed := questions(slices.Concat(
		r.differences(variant(pair.Go, plan.Base), variant(pair.Go, plan.Head)),
		r.differences(variant(pair.Rust, plan.Base), variant(pair.Rust, plan.Head))))
	cut := r.run.Parity.Total > len(r.run.Parity.Differences)
	for q := range questions(differ) {
		if !before[q] && (changed[q] || cut) {
			return true
		}
	}
	return false
}

// differences are those between two variants, in either order.
func (r record) differences(a, b plan.Variant) []result.Difference {
	a, b = r.source(a), r.source(b)
	var found []result.Difference
	for _, d := range r.run.Parity.Differences {
		x, y := r.source(d.A), r.source(d.B)
		if (x == a && y == b) || (x == b && y == a) {
			found = append(found, d)
		}
	}
	return found
}

func questions(differences []result.Difference) map[question]bool {
	found := map[question]bool{}
	for _, d := range differences {
		found[asked(d)] = true
	}
	return found
}
