package claims

import (
	"fmt"
	"math"
	"slices"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// p999 is shown and held against claims here alone. Its bar is that of p99 in spirit: some 20 requests lie beyond it.
var p999 = result.Metric{Name: "p99.9", Label: "p99.9", Unit: "s", MinRequests: 20_000, Read: func(t result.Trial) (float64, bool) {
	return t.Open.Latency.At(99.9)
}}

func metric(name string) result.Metric {
	if name == p999.Name {
		return p999
	}
	m, ok := result.MetricByName(name)
	if !ok {
		panic("no metric is called " + name) // our own bug
	}
	return m
}

const (
	throughput = "throughput"
	// repeats is by how much a build that is made once may differ when it is made again: the ends of its range are widened so far.
	repeats = 1.2
)

// all are the article's claims in its order.
func (p Page) all() []Claim {
	return slices.Concat(p.speed(), p.cost(), p.building(), p.frameworks(), p.small())
}

func (p Page) speed() []Claim {
	raw := p.paired("actix ÷ fiber", []string{"actix"}, []string{"fiber"}, throughput, []string{"health"}, more())
	as := func(b Band) []Row {
		rows := slices.Clone(raw)
		for i := range rows {
			rows[i].Band, rows[i].Outcome = b, b.Hold(rows[i].CI)
		}
		return rows
	}
	return []Claim{
		{Says: "Actix Web serves more requests a second than Fiber: 137,000 to 125,000", Asked: "Actix ÷ Fiber, the cheapest request", Rows: raw},
		{Says: "That is 1.5 times as many", Asked: "the same ratio; 1.5 is 1.45 to 1.55", Rows: as(Band{1.45, 1.55}),
			Note: "The article's own figures make it 1.1 times: 137 ÷ 125 = 1.096."},
		{Says: "That is 1.1 times as many, by its figures", Asked: "the same ratio; 1.1 is 1.05 to 1.15", Rows: as(Band{1.05, 1.15})},
		{Says: "The gap narrows with JSON and with database queries", Asked: "Actix ÷ Fiber, nearer to 1 than under health; the gap there → here, and by what factor it narrowed", Rows: p.narrowing()},
	}
}

// cost are the claims on languages: the geometric mean of the Go services ÷ that of the Rust ones, in each round.
func (p Page) cost() []Claim {
	goNames, rustNames := p.of(plan.Go), p.of(plan.Rust)
	what := fmt.Sprintf("Go ÷ Rust (%d and %d services)", len(goNames), len(rustNames))
	rows := func(metric string, where []string, b Band) []Row {
		return p.paired(what, goNames, rustNames, metric, where, b)
	}
	return []Claim{
		{Says: "Rust takes less memory: 50–80 MB against Go's 100–320 MB", Asked: "peak RSS under load; the figures make the ratio 1.25 (100 ÷ 80) to 6.4 (320 ÷ 50)",
			Rows: rows("peak_rss", p.workloads(), Band{1.25, 6.4}), Note: p.memoryNote()},
		{Says: "Rust's p99 is better: no garbage collector pauses", Asked: "p99 at the same offered rate; what makes the difference is not asked", Rows: rows("p99", p.workloads(), more())},
		{Says: "Rust's p99.9 is better: no garbage collector pauses", Asked: "p99.9 at the same offered rate, where there are 20,000 requests", Rows: rows(p999.Name, p.workloads(), more())},
		{Says: "Rust takes less CPU under load", Asked: "CPU per request", Rows: rows("cpu_per_request", p.workloads(), more())},
		{Says: "Rust starts faster", Asked: "cold start: from the spawn to the first good answer, files in the page cache", Rows: rows("cold_start", p.firstWorkload(), more())},
	}
}

func (p Page) building() []Claim {
	clean := func(b result.Build) float64 { return b.CleanCPU }
	changed := func(b result.Build) float64 { return b.IncrementalCPU }
	return []Claim{
		{Says: "Rust compiles in 2–5 minutes, Go in 5–30 seconds", Asked: "CPU time of a clean build, without downloads; the figures make the ratio 4 (120 ÷ 30) to 60 (300 ÷ 5)",
			Rows: []Row{ranged("Rust ÷ Go, every pair", Band{4, 60}, p.quotients(clean, p.of(plan.Rust), clean, p.of(plan.Go), false))}, Note: p.buildNote()},
		{Says: "Rust's incremental builds take 10–30 seconds", Asked: "CPU time after a change in the main file ÷ that of the clean build; the figures make it 0.033 (10 ÷ 300) to 0.25 (30 ÷ 120)",
			Rows: []Row{ranged("incremental ÷ clean, every Rust service", Band{10.0 / 300, 30.0 / 120}, p.quotients(changed, p.of(plan.Rust), clean, p.of(plan.Rust), true))}},
		{Says: "Rust services take 30–60 crates", Asked: "crates in the build, without the service itself", Rows: p.dependencies(plan.Rust, Band{30, 60})},
		{Says: "Go services take 5–15 modules", Asked: "modules linked in, without the service itself", Rows: p.dependencies(plan.Go, Band{5, 15}),
			Note: "The bundled services have a database driver and WebSockets as well."},
	}
}

func (p Page) frameworks() []Claim {
	one := func(over, under, where string, b Band) []Row {
		return p.paired(over+" ÷ "+under, []string{over}, []string{under}, throughput, []string{where}, b)
	}
	var fiber, rocket []Row
	for _, other := range []string{"nethttp", "gin", "echo", "chi"} {
		fiber = append(fiber, one("fiber", other, "health", more())...)
	}
	for _, other := range []string{"actix", "axum"} {
		rocket = append(rocket, one(other, "rocket", "health", more())...)
	}
	return []Claim{
		{Says: "Gin outperforms Actix in a URL shortener, where I/O dominates", Asked: "Gin ÷ Actix", Rows: one("gin", "actix", "url-shortener", more()),
			Note: "The bundled shortener keeps its links in memory: its I/O is the network's, on loopback."},
		{Says: "Actix handles 10–15 % more requests than Axum under heavy load", Asked: "Actix ÷ Axum, all connections busy", Rows: one("actix", "axum", "health", Band{1.10, 1.15})},
		{Says: "Fiber has the highest raw throughput of the Go frameworks", Asked: "Fiber ÷ each of the others, the cheapest request", Rows: fiber},
		{Says: "Rocket has fallen behind Actix and Axum", Asked: "each of them ÷ Rocket, the cheapest request", Rows: rocket},
	}
}

func (p Page) small() []Claim {
	hello := func(service string, b Band) Row {
		lines, ok := p.Extras.Hello[service]
		row := Row{What: service + ", lines", Kind: Exact, Band: b}
		if !ok {
			row.Why = "not counted"
			return row
		}
		return row.exact(float64(lines))
	}
	goroutine := Row{What: "stack of a parked goroutine, bytes", Kind: Exact, Band: Band{1536, 2560}}
	if p.Extras.Goroutine.Count == 0 {
		goroutine.Why = "not measured"
	} else {
		goroutine = goroutine.exact(p.Extras.Goroutine.Stack)
	}
	note := ""
	if g := p.Extras.Goroutine; g.Count > 0 {
		note = fmt.Sprintf("%s goroutines, parked on a channel in Duet itself (%s): the growth of the runtime's memory in use by stacks ÷ their number. "+
			"With what the runtime keeps of each it is %s bytes. A goroutine that serves requests grows its stack as it needs.", grouped(g.Count), g.Go, grouped(int(math.Round(g.Whole))))
	}
	return []Claim{
		{Says: "A hello world takes about 20 lines with Axum and 15 with Gin", Asked: "lines of two such programs, without blank ones and comments; about is within a fifth",
			Rows: []Row{hello("axum", Band{16, 24}), hello("gin", Band{12, 18})},
			Note: "The programs are `examples/rust/hello` and `examples/go/hello`, as rustfmt and gofmt lay them out. How long such a program is, is its author's choice."},
		{Says: "A goroutine takes 2 KB", Asked: "bytes of stack; 2 KB is 1.5 to 2.5", Rows: []Row{goroutine}, Note: note},
	}
}

// paired are rows of one comparison under some workloads.
func (p Page) paired(what string, over, under []string, name string, where []string, b Band) []Row {
	m := metric(name)
	var rows []Row
	for _, w := range where {
		ratio := p.describe.Between(over, under, w, m)
		rows = append(rows, Row{What: what + ", " + m.Label, Where: w, Figure: ratio.Ratio, CI: ratio.CI, Band: b, Why: p.unmeasured(w, ratio.Why)})
	}
	for i := range rows {
		if rows[i].Why == "" {
			rows[i].Outcome = b.Hold(rows[i].CI)
		}
	}
	return rows
}

// unmeasured is why there is no figure; the reason why nobody was measured with a workload goes first.
func (p Page) unmeasured(workload, why string) string {
	if why == "" {
		return ""
	}
	for _, d := range p.Run.Plan.Dropped {
		if d.Workload == workload {
			return "left out: " + d.Reason
		}
	}
	switch stopped := p.Run.Stopped[workload]; {
	case stopped != "":
		return stopped
	case !slices.Contains(p.workloads(), workload):
		return "the run does not have this workload"
	}
	return why
}

// narrowing compares the gap of throughput under two workloads with that under health.
func (p Page) narrowing() []Row {
	m := metric(throughput)
	var rows []Row
	for _, to := range []string{"json-pipeline", "db-query"} {
		over, under := []string{"actix"}, []string{"fiber"}
		before, after := p.describe.Between(over, under, "health", m), p.describe.Between(over, under, to, m)
		quotient, product := p.describe.Narrowing(over, under, "health", to, m)
		row := Row{What: "actix ÷ fiber, throughput", Where: "health → " + to, Band: more(), Why: p.unmeasured(to, quotient.Why)}
		if row.Why == "" {
			row.What += fmt.Sprintf(": %s → %s", factor(before.Ratio), factor(after.Ratio))
			row.Figure, row.CI = quotient.Ratio, quotient.CI
			row.Outcome = narrowed(quotient.CI, product.CI)
		}
		rows = append(rows, row)
	}
	return rows
}

// narrowed tells |ln to| < |ln from| by the intervals of from ÷ to and from × to: it holds where both lie on one side of 1,
// does not where they lie on different sides, and cannot be told where one of them holds 1.
func narrowed(quotient, product compare.Interval) Outcome {
	side := func(ci compare.Interval) int {
		switch {
		case ci[0] > 1:
			return 1
		case ci[1] < 1 && ci[0] > 0:
			return -1
		}
		return 0
	}
	switch side(quotient) * side(product) {
	case 1:
		return Holds
	case -1:
		return DoesNotHold
	}
	return CannotBeTold
}

// ranged is a row of figures that were measured once each: from the least to the greatest, widened by repeats.
func ranged(what string, b Band, of []float64) Row {
	row := Row{What: what, Kind: Range, Band: b}
	if len(of) == 0 {
		row.Why = "not measured"
		return row
	}
	logs := 0.0
	for _, x := range of {
		logs += math.Log(x)
	}
	row.Figure = math.Exp(logs / float64(len(of)))
	row.CI = compare.Interval{slices.Min(of) / repeats, slices.Max(of) * repeats}
	row.Outcome = b.Hold(row.CI)
	return row
}

// exact fills in a figure that has no interval.
func (r Row) exact(figure float64) Row {
	r.Figure, r.CI = figure, compare.Interval{figure, figure}
	r.Outcome = r.Band.Hold(r.CI)
	return r
}

// quotients are figure ÷ figure of the builds of every service of one list with every one of another, or each with itself.
func (p Page) quotients(over func(result.Build) float64, overNames []string, under func(result.Build) float64, underNames []string, itself bool) []float64 {
	var out []float64
	for _, a := range overNames {
		for _, b := range underNames {
			x, y := p.build(a), p.build(b)
			if (a == b) != itself || x == nil || y == nil {
				continue
			}
			if n, d := over(*x), under(*y); n > 0 && d > 0 {
				out = append(out, n/d)
			}
		}
	}
	return out
}

func (p Page) dependencies(lang plan.Lang, b Band) []Row {
	var rows []Row
	for _, service := range p.of(lang) {
		row := Row{What: service, Kind: Exact, Band: b}
		if build := p.build(service); build == nil || build.Dependencies == 0 {
			row.Why = "not counted"
		} else {
			row = row.exact(float64(build.Dependencies))
		}
		rows = append(rows, row)
	}
	return rows
}

// build is a service's build at head; nil where it was not built.
func (p Page) build(service string) *result.Build {
	for i, b := range p.Run.Builds {
		if b.Variant == (plan.Variant{Service: service, Side: plan.Head}) && b.Error == "" {
			return &p.Run.Builds[i]
		}
	}
	return nil
}

// of are the services of a language.
func (p Page) of(lang plan.Lang) []string {
	var names []string
	for _, name := range p.Run.Plan.ServiceNames() {
		if p.Run.Plan.Services[plan.Variant{Service: name, Side: plan.Head}].Lang == lang {
			names = append(names, name)
		}
	}
	return names
}

func (p Page) workloads() []string {
	var names []string
	for _, w := range p.Run.Plan.Workloads {
		names = append(names, w.Name)
	}
	return names
}

// firstWorkload is where cold start is read: it is the same program under each.
func (p Page) firstWorkload() []string {
	all := p.workloads()
	return all[:min(len(all), 1)]
}

// memoryNote says what both languages took here.
func (p Page) memoryNote() string {
	m := metric("peak_rss")
	span := func(lang plan.Lang) string {
		var all []float64
		for _, service := range p.of(lang) {
			for _, w := range p.workloads() {
				if x, why := p.describe.Median(service, w, m); why == "" {
					all = append(all, x)
				}
			}
		}
		if len(all) == 0 {
			return "nothing that was measured"
		}
		return quantity(slices.Min(all), "B") + " to " + quantity(slices.Max(all), "B")
	}
	return "Here Rust took " + span(plan.Rust) + " and Go " + span(plan.Go) + ", over all services and workloads; on a core or two, with 4 or 8 connections."
}

// buildNote says what clean builds took here, by the clock.
func (p Page) buildNote() string {
	span := func(lang plan.Lang) string {
		var all []float64
		for _, service := range p.of(lang) {
			if b := p.build(service); b != nil && b.CleanSeconds > 0 {
				all = append(all, b.CleanSeconds)
			}
		}
		if len(all) == 0 {
			return "nothing that was measured"
		}
		return quantity(slices.Min(all), "s") + " to " + quantity(slices.Max(all), "s")
	}
	return "By the clock Rust took " + span(plan.Rust) + " here and Go " + span(plan.Go) + "; CPU time is what neighbours on the machine disturb least."
}
