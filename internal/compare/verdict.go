package compare

import (
	"fmt"
	"math"
	"slices"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// workMetric is the row that says how much work a request is; memoryMetrics are the judged memory rows.
const workMetric = "cpu_per_request"

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
		work := row.Metric == workMetric
		measured = measured || work
		switch {
		case unsure != "":
		case row.Verdict == Inconclusive && (work || isMemory(row.Metric)):
			unsure = fmt.Sprintf("%s · %s is inconclusive", row.Workload, label(row.Metric))
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
	broke    bool            // head's two services differ where base's two agreed
	warnings []string
}

// question is one kind of request, as parity names it.
type question struct{ workload, request string }

// parity reads result.ParityResult. It relies on two laws of that list: where two variants differ, at least one of
// their differences is kept when the list is cut; and a service whose inputs are identical may stand in it
// under either side.
func (r record) parity() disagreement {
	d := disagreement{withheld: map[string]bool{}}
	p := r.run.Parity
	for _, pair := range r.run.Plan.Pairs {
		goHead, rustHead := variant(pair.Go, plan.Head), variant(pair.Rust, plan.Head)
		if r.failure(goHead) != "" || r.failure(rustHead) != "" {
			d.withheld[pair.Name] = true // said as that service's verdict
			continue
		}
		if p == nil {
			d.withheld[pair.Name] = true
			d.warnings = append(d.warnings, fmt.Sprintf("%s: answers were not compared, so Rust ÷ Go is withheld", pair.Name))
			continue
		}
		head := r.differences(goHead, rustHead)
		if len(head) == 0 {
			continue
		}
		d.withheld[pair.Name] = true
		d.warnings = append(d.warnings, fmt.Sprintf("%s: %s and %s answer differently (%s · %s), so Rust ÷ Go is withheld",
			pair.Name, goHead, rustHead, head[0].workload, head[0].request))
		goBase, rustBase := variant(pair.Go, plan.Base), variant(pair.Rust, plan.Base)
		if r.uncompared(pair.Go) != "" || r.uncompared(pair.Rust) != "" {
			continue // base has no two services that could have agreed
		}
		base := r.differences(goBase, rustBase)
		switch {
		case len(base) == 0:
			d.broke = true
		case p.Total > len(p.Differences):
			d.warnings = append(d.warnings, fmt.Sprintf("%s: base's services differ too, and the list of differences is cut: new ones at head are not told apart", pair.Name))
		default:
			d.broke = d.broke || slices.ContainsFunc(head, func(q question) bool { return !slices.Contains(base, q) })
		}
	}
	return d
}

// differences are the requests that two variants answer differently.
func (r record) differences(a, b plan.Variant) []question {
	a, b = r.source(a), r.source(b)
	var found []question
	for _, d := range r.run.Parity.Differences {
		x, y := r.source(d.A), r.source(d.B)
		if (x == a && y == b) || (x == b && y == a) {
			found = append(found, question{d.Workload, d.Request})
		}
	}
	return found
}
