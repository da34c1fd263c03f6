package claims

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/report"
	"github.com/duet-bench/duet/internal/result"
)

const none = "–"

func quantity(v float64, unit string) string { return report.Quantity(v, unit) }
func factor(v float64) string                { return report.Factor(v) }
func grouped(n int) string                   { return report.Count(n) }

// trimmed writes an end of a band.
func trimmed(v float64) string {
	if v == math.Trunc(v) {
		return grouped(int(v))
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// Markdown writes the page.
func Markdown(p Page) string {
	var b strings.Builder
	for _, part := range []string{p.head(), p.short(), rule, p.each(), p.everything(), p.facts(), p.circumstances()} {
		b.WriteString(part)
	}
	return b.String()
}

// day is the date of a run.
func day(started string) string {
	date, _, _ := strings.Cut(started, "T")
	return date
}

func (p Page) head() string {
	m := p.Run.Machine
	var b strings.Builder
	b.WriteString("# An article's claims, measured here\n\nMade by `duet claims`; whatever is written into it by hand is lost.\n\n")
	fmt.Fprintf(&b, "An article on Go and Rust web frameworks makes %d claims that can be measured. This page holds each against the "+
		"[bundled services](../examples/contract/README.md), which answer one contract with five Go and three Rust frameworks. What the article ran is not "+
		"known, and its figures are another machine's: so ratios are compared, with their intervals, and an outcome is true of these services on this machine on this day.\n\n",
		len(p.Claims))
	fmt.Fprintf(&b, "- %s, %s · %s · %s, %s · %s/%s, kernel %s\n", day(p.Run.Started), span(p.Run.Seconds), text(m.CPU), plural(m.Cores, "core"),
		quantity(float64(m.Memory), "B"), text(m.OS), text(m.Arch), text(m.Kernel))
	fmt.Fprintf(&b, "- duet %s · commit `%s`%s · seed %d\n", text(p.Run.Duet), text(short(p.Run.Plan.Head.SHA)), map[bool]string{true: " with uncommitted changes"}[p.Run.Plan.Head.Worktree], p.Run.Plan.Seed)
	fmt.Fprintf(&b, "- again: `%s`\n\n", strings.Join(append([]string{"duet claims"}, p.Args...), " "))
	if p.Run.State != result.Measured {
		fmt.Fprintf(&b, "**The run is %q**: what it lacks cannot be told.\n\n", p.Run.State)
	}
	return b.String()
}

// short is one line a claim.
func (p Page) short() string {
	count := map[Outcome]int{}
	var rows [][]string
	for _, c := range p.Claims {
		count[c.Outcome]++
		rows = append(rows, []string{c.Says, c.measured(), "**" + c.Outcome.String() + "**"})
	}
	return fmt.Sprintf("## In short\n\n%d hold, %d do not, %d cannot be told.\n\n", count[Holds], count[DoesNotHold], count[CannotBeTold]) +
		table([]string{"the article", "measured here", "outcome"}, rows)
}

// measured is a claim's figures in a few words: the one row's, or how many rows of which outcome and between which ratios.
func (c Claim) measured() string {
	known := slices.DeleteFunc(slices.Clone(c.Rows), func(r Row) bool { return r.Why != "" })
	switch {
	case len(known) == 0 && len(c.Rows) > 0:
		return none + " (" + text(c.Rows[0].Why) + ")"
	case len(known) == 0:
		return none
	case len(c.Rows) == 1:
		return known[0].figure()
	}
	least := slices.MinFunc(known, func(a, b Row) int { return cmp.Compare(a.Figure, b.Figure) })
	most := slices.MaxFunc(known, func(a, b Row) int { return cmp.Compare(a.Figure, b.Figure) })
	var outcomes []string
	for _, o := range []Outcome{Holds, DoesNotHold, CannotBeTold} {
		n := 0
		for _, r := range c.Rows {
			if r.Outcome == o {
				n++
			}
		}
		if n > 0 {
			outcomes = append(outcomes, o.String()+" in "+grouped(n))
		}
	}
	between := least.number()
	if most.number() != between {
		between += " to " + most.number()
	}
	return between + "; of " + plural(len(c.Rows), "row") + " " + strings.Join(outcomes, ", ")
}

func (r Row) number() string {
	if r.Kind == Exact {
		return grouped(int(r.Figure + 0.5))
	}
	return factor(r.Figure)
}

// figure is a ratio with its interval, or an exact figure.
func (r Row) figure() string {
	if r.Kind == Exact {
		return r.number()
	}
	return fmt.Sprintf("%s [%s, %s]", factor(r.Figure), factor(r.CI[0]), factor(r.CI[1]))
}

const rule = `
## The rule

A claim becomes a range of one ratio, such as "Actix ÷ Fiber is more than 1". A row **holds** where the whole interval of
the measured ratio lies inside that range, **does not hold** where the whole interval lies outside, and **cannot be told**
where the interval straddles an end, or where there is none.

- *Rounds*: a ratio is paired, both sides of it in the same round of fresh processes that took turns of some milliseconds; its interval
  is Student's at 95 % over at least 7 rounds. Of languages it is the geometric mean of the Go services ÷ that of the
  Rust ones in each round. p99 needs 10,000 requests of every service and p99.9 needs 20,000, at the offered rate.
- *Builds* are made once each: instead of an interval there is the range over all services, widened by a fifth at both
  ends, because a build's time differs by about as much when it is made again.
- *Counts* (dependencies, lines, bytes) are exact.
- A claim **holds** where all of its rows do, **does not hold** where one row or more contradicts it, and else **cannot be told**.
  Of twenty rows at 95 % one may be wrong by chance: a claim that a single row near the end of its range decides is a close call.
- Nearer to 1 ("the gap narrows") is told by two intervals, of the two gaps' quotient and of their product: both must lie
  on one side of 1.

`

// each is every claim with all its rows.
func (p Page) each() string {
	var b strings.Builder
	b.WriteString("## The claims\n")
	for i, c := range p.Claims {
		fmt.Fprintf(&b, "\n### %d. %s\n\n**%s.** Measured: %s.\n\n", i+1, c.Says, upper(c.Outcome.String()), c.Asked)
		var rows [][]string
		for _, r := range c.Rows {
			figure := r.figure()
			if r.Why != "" {
				figure = none + " (" + text(r.Why) + ")"
			}
			rows = append(rows, []string{text(r.What), cmp.Or(text(r.Where), none), r.Band.String(), figure, r.Outcome.String()})
		}
		b.WriteString(table([]string{"what", "under", "claimed", "measured", "outcome"}, rows))
		if c.Note != "" {
			b.WriteString("\n" + c.Note + "\n")
		}
	}
	return b.String()
}

// everything is each service under each workload.
func (p Page) everything() string {
	columns := []string{throughput, "p50", "p99", p999.Name, "cpu_per_request", "peak_rss", "pss_anon", "cold_start"}
	header := []string{"workload", "service"}
	for _, name := range columns {
		header = append(header, metric(name).Label)
	}
	var rows [][]string
	few := false
	for _, w := range p.workloads() {
		for i, service := range p.Run.Plan.ServiceNames() {
			row := []string{"", text(service)}
			if i == 0 {
				row[0] = text(w)
			}
			for _, name := range columns {
				m := metric(name)
				x, why := p.describe.Median(service, w, m)
				few = few || why != "" && m.MinRequests > 0
				row = append(row, quantity(x, m.Unit))
			}
			rows = append(rows, row)
		}
	}
	out := "\n## Everything measured\n\nMedians over the rounds. Latency is from the intended start, all services of a workload at the same offered rate; throughput is with all connections busy.\n\n" +
		table(header, rows)
	if few {
		out += "\n" + none + " in p99 or p99.9: fewer than 10,000 or 20,000 requests, or not measured.\n"
	}
	return out
}

// facts are each service's build and source.
func (p Page) facts() string {
	var rows [][]string
	for _, service := range p.Run.Plan.ServiceNames() {
		s := p.Run.Plan.Services[plan.Variant{Service: service, Side: plan.Head}]
		row := []string{text(service), text(string(s.Lang))}
		if b := p.build(service); b != nil {
			row = append(row, quantity(b.CleanSeconds, "s")+" ("+quantity(b.CleanCPU, "s")+")", quantity(b.IncrementalSeconds, "s")+" ("+quantity(b.IncrementalCPU, "s")+")",
				quantity(float64(b.BinaryBytes), "B"), grouped(b.Dependencies))
		} else {
			row = append(row, none, none, none, none)
		}
		if l, ok := p.Extras.Lines[service]; ok {
			row = append(row, grouped(l.Own), grouped(l.Shared))
		} else {
			row = append(row, none, none)
		}
		if n, ok := p.Extras.Hello[service]; ok {
			row = append(row, grouped(n))
		} else {
			row = append(row, none)
		}
		rows = append(rows, row)
	}
	out := "\n## Builds and source\n\nTime by the clock, and in brackets the CPU time of all cores; incremental is after a newline in the main file.\n\n" +
		table([]string{"service", "language", "clean", "incremental", "binary", "dependencies", "lines of its own", "lines shared", "hello world"}, rows) +
		"\nLines of code are neither blank nor comments nor tests; shared are those of the language's services together (`core`, `socket`). " +
		"The self-test's plants, which a plain build leaves out, do not count.\n"
	if p.Extras.Why != "" {
		out += "\nLines were not counted: " + text(p.Extras.Why) + ".\n"
	}
	return out
}

// circumstances are what a reader needs to trust the run.
func (p Page) circumstances() string {
	run := p.Run
	var b strings.Builder
	b.WriteString("\n## This run\n\n")
	line := func(format string, args ...any) { fmt.Fprintf(&b, "- "+format+"\n", args...) }
	line("isolation: %s · services ran %s, on cores %s; the load generator on %s", text(run.Machine.Isolation), text(run.Machine.Turns),
		text(cmp.Or(run.Machine.ServiceCPU, "any")), text(cmp.Or(run.Machine.ClientCPU, "any")))
	for _, s := range run.Shards {
		if why := s.Unfinished(); why != "" {
			line("%s", text(why))
		} else if s.Machine != nil {
			line("shard %s on %s, %s: %s", s.Name(), text(s.Machine.CPU), plural(s.Machine.Cores, "core"), text(strings.Join(s.Workloads, ", ")))
		}
	}
	var tools []string
	for _, tool := range slices.Sorted(maps.Keys(run.Machine.Toolchains)) {
		tools = append(tools, text(run.Machine.Toolchains[tool]))
	}
	line("toolchains: %s", cmp.Or(strings.Join(tools, ", "), "not known"))
	line("measured with %s; windows of %s", run.Plan.Choice(), quantity(run.Plan.Window.Trial.Seconds(), "s"))
	var rates []string
	for _, r := range run.Rates {
		rates = append(rates, text(r.Workload)+" "+quantity(r.PerSecond, "req/s"))
	}
	if len(rates) > 0 {
		line("offered rates: %s", strings.Join(rates, ", "))
	}
	if run.Parity != nil {
		line("answers compared: %s, %s", plural(run.Parity.Requests, "request"), plural(run.Parity.Total, "difference"))
	}
	shown := report.New(run, compare.Comparisons{}, report.Options{}).Run
	for _, built := range shown.Built {
		line("%s built with %s", text(strings.Join(built.Variants, ", ")), text(strings.Join(built.Settings, ", ")))
	}
	lost := 0
	for _, t := range shown.Invalid {
		lost += t.Count
	}
	if lost > 0 {
		line("%s of %s left out, such as: %s", grouped(lost), plural(len(run.Trials), "trial"), text(shown.Invalid[0].Reason))
	}
	for _, t := range shown.Slices {
		line("%s dropped with their block: %s", plural(t.Count, "slice"), text(t.Reason))
	}
	for _, d := range run.Plan.Dropped {
		line("%s left out: %s", text(d.Workload), text(d.Reason))
	}
	for _, f := range run.Failures {
		line("%s, %s: %s", text(f.Variant.String()), text(f.Step), text(f.Error))
	}
	return b.String()
}

func table(header []string, rows [][]string) string {
	var b strings.Builder
	row := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	row(header)
	b.WriteString(strings.Repeat("|---", len(header)) + "|\n")
	for _, cells := range rows {
		row(cells)
	}
	return b.String()
}

// text keeps what came from outside to one line that is no markup.
func text(s string) string {
	const most = 200
	s = strings.Map(func(r rune) rune {
		switch {
		case r < ' ' || r == 0x7f:
			return ' '
		case strings.ContainsRune("|<>`*[]\\", r):
			return '\''
		}
		return r
	}, s)
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return s
}

func short(sha string) string { return sha[:min(len(sha), 12)] }

func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return grouped(n) + " " + noun + "s"
}

// span is how long a run took, in minutes.
func span(seconds float64) string { return fmt.Sprintf("%.0f minutes", seconds/60) }
