package report

import (
	"slices"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/plan"
)

// Standing is how one of many services stands to the best of them under a workload, at head: described, never judged.
type Standing struct {
	Service  string      `json:"service"`
	Workload string      `json:"workload"`
	Metric   string      `json:"metric"`
	Best     string      `json:"best"`
	Ratio    *float64    `json:"ratio"` // service ÷ best, paired by round
	CI       *[2]float64 `json:"ci"`    // at 95 %; nil: it is the best
}

// addStandings takes over what compare says of services beside each other, in the configuration's order.
func (r *Report) addStandings(p plan.Plan, standings []compare.Standing) {
	r.asked = p.ServiceNames()
	if r.shared() {
		r.order = r.asked
	}
	for _, s := range standings {
		out := Standing{Service: s.Service, Workload: s.Workload, Metric: s.Metric, Best: s.Best, Ratio: known(s.Ratio)}
		if s.Service != s.Best {
			out.CI = ends(s.CI)
		}
		r.Beside = append(r.Beside, out)
	}
}

// shared says that a service is in two pairs or more: then services are shown one by one, each row once.
func (r Report) shared() bool {
	seen := map[string]bool{}
	for _, p := range r.Pairs {
		if seen[p.Go] || seen[p.Rust] {
			return true
		}
		seen[p.Go], seen[p.Rust] = true, true
	}
	return false
}

// allAlone says that nothing can have moved: head's figures are all that there is.
func (r Report) allAlone() bool {
	return !slices.ContainsFunc(r.groups(), func(g group) bool { return !r.headAlone(g) })
}

const besideWords = "Throughput ÷ best: of the same rounds, with its 95 % interval. Described, never judged."

// besideColumns are the figures beside throughput and its ratio.
func besideColumns() []string { return []string{"p50", "p99", "cpu_per_request", "peak_rss"} }

// besideRow is a service's cells under a workload, from its name on.
func (r Report) besideRow(s Standing) []Text {
	cells := []Text{r.label(s.Service), say(plain(r.headFigure(s.Service, s.Workload, "throughput"))), say(plain(s.words()))}
	for _, metric := range besideColumns() {
		cells = append(cells, say(plain(r.headFigure(s.Service, s.Workload, metric))))
	}
	return cells
}

func besideHeader(first ...Text) []Text {
	header := append(first, say(plain("throughput")), say(plain("÷ best")))
	for _, metric := range besideColumns() {
		header = append(header, say(metricLabel(metric)))
	}
	return header
}

// besideTables have every service at head, a table a workload.
func (r Report) besideTables() []table {
	var out []table
	for i, s := range r.besideLines() {
		if i%len(r.asked) == 0 {
			out = append(out, table{title: say(name(s.Workload), plain(", all services at head")), header: besideHeader(say(plain("service")))})
		}
		t := &out[len(out)-1]
		t.rows = append(t.rows, r.besideRow(s))
	}
	return out
}

// besideLines are all services under all workloads that anything was measured with, those without a ratio among them.
func (r Report) besideLines() []Standing {
	var workloads []string
	for _, s := range r.Beside {
		if !slices.Contains(workloads, s.Workload) {
			workloads = append(workloads, s.Workload)
		}
	}
	var out []Standing
	for _, w := range workloads {
		for _, service := range r.asked {
			line := Standing{Service: service, Workload: w}
			if i := slices.IndexFunc(r.Beside, func(s Standing) bool { return s.Service == service && s.Workload == w }); i >= 0 {
				line = r.Beside[i]
			}
			out = append(out, line)
		}
	}
	return out
}

// words are "best", "0.85 [0.83, 0.87]", or nothing.
func (s Standing) words() string {
	switch {
	case s.Service == s.Best:
		return "best"
	case s.CI == nil:
		return factor(s.Ratio)
	}
	return factor(s.Ratio) + " [" + factor(&s.CI[0]) + ", " + factor(&s.CI[1]) + "]"
}

func (r Report) headFigure(service, workload, metric string) string {
	for _, row := range r.Rows {
		if row.Service == service && row.Workload == workload && row.Metric == metric {
			return quantity(row.Head, row.Unit)
		}
	}
	return none
}

func (r Report) besideTitle() string {
	return "All services at head: " + plural(len(r.asked), "service") + " under all workloads"
}

// besideMarkdown is one table: a workload's name stands in its first row.
func (r Report) besideMarkdown() string {
	if len(r.Beside) == 0 {
		return ""
	}
	t := table{header: besideHeader(say(plain("workload")), say(plain("service")))}
	for i, s := range r.besideLines() {
		first := say(plain(""))
		if i%len(r.asked) == 0 {
			first = say(name(s.Workload))
		}
		t.rows = append(t.rows, append([]Text{first}, r.besideRow(s)...))
	}
	return t.markdown() + "\n" + besideWords + "\n"
}

// beside writes all services at head, a table a workload.
func (s *screen) beside(r Report) {
	for _, t := range r.besideTables() {
		s.table(t)
	}
	s.sentence(say(plain(besideWords)))
}
