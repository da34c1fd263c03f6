// Package report turns facts and opinions into what people and machines read.
//
// New gathers everything to be shown, before any format; the renderers (JSON, Markdown, Terminal) only lay it
// out. Nothing here judges, reads a clock or looks at the environment: the same run.json gives the same bytes
// on every machine. Base units become µs, MB and percent here and nowhere else. Whatever comes from the
// repository under test (names, log lines, differences, reasons) is hostile until it went through clean:
// in Markdown it is only ever shown inside code.
package report

import (
	"slices"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// Schema names the version of report.json.
const Schema = "duet.report/1"

// States that no run.json can have: only who publishes knows them.
const (
	Running    result.State = "running"
	Superseded result.State = "superseded" // head moved on
)

// Options is what a report needs beside the run.
type Options struct {
	Key      string       // of the comment's marker: workflow path and configuration; default "local"
	State    result.State // Running or Superseded; empty: the run's own
	NewHead  string       // Superseded: where head moved to
	Files    []string     // where the run's files are, for the terminal
	Job      Job          // where it was measured, of a run in GitHub Actions
	Accepted Acceptance   // by whom what the gate would refuse was let through
}

// Job is a run of a workflow.
type Job struct {
	ID      int64  `json:"id"`
	Attempt int    `json:"attempt"`
	URL     string `json:"url,omitempty"` // of the page with its log and artifacts; Duet's own making, never a stranger's
}

// Acceptance is a maintainer's word on a regression. The gate lets it pass; the report still says what regressed.
type Acceptance struct {
	By    string `json:"by,omitempty"`    // login; empty: nobody said so
	Label string `json:"label,omitempty"` // the pull request's label that says so
}

// Report is everything to be shown, before any format. A missing figure is nil, never zero.
type Report struct {
	Schema   string             `json:"schema"`
	Duet     string             `json:"duet"`
	State    result.State       `json:"state"`
	Verdict  compare.Verdict    `json:"verdict"`
	Headline Text               `json:"headline"`
	Summary  []Text             `json:"summary"` // sentences, the most important first
	Base     *Base              `json:"base"`
	NoBase   string             `json:"no_base,omitempty"` // why there is no base
	Head     Head               `json:"head"`
	Services map[string]Service `json:"services"`
	Pairs    []Pair             `json:"pairs"`
	Worst    *Row               `json:"worst"`
	Rows     []Row              `json:"rows"`
	Why      []Why              `json:"why"` // of regressions
	Gaps     []Gap              `json:"gaps"`
	Beside   []Standing         `json:"beside,omitempty"` // three services or more, at head
	Parity   *Parity            `json:"parity"`
	Builds   []Build            `json:"builds"`
	Memory   []Memory           `json:"memory"`
	Machine  result.Machine     `json:"machine"`          // of a merged run, where the builds were measured
	Shards   []Shard            `json:"shards,omitempty"` // of a merged run: its machines
	Run      Settings           `json:"run"`
	Failures []result.Failure   `json:"failures"`
	Warnings []string           `json:"warnings"`
	Job      *Job               `json:"job,omitempty"`
	Accepted *Acceptance        `json:"accepted,omitempty"`

	order []string // services: of pairs first, then by name
	asked []string // services as the configuration lists them
	key   string
	files []string
	built string // the shard whose builds are shown; empty: one machine measured all
	broke bool   // answers stopped agreeing at head
	why   string // nothing was measured, and no variant is to blame
}

// Base is the commit compared against.
type Base struct {
	SHA    string `json:"sha"`
	Reason string `json:"reason"`
	Ref    string `json:"ref,omitempty"`
	Behind int    `json:"behind,omitempty"` // commits on the base branch since
}

// Head is the commit under test.
type Head struct {
	SHA      string `json:"sha"`
	Ref      string `json:"ref,omitempty"`
	Worktree bool   `json:"worktree,omitempty"`
	MergeOf  string `json:"merge_of,omitempty"` // the pull request's head, where GitHub's test merge of it was measured
}

// Service is one service's verdict over all its rows.
type Service struct {
	Lang      plan.Lang       `json:"lang"`
	Verdict   compare.Verdict `json:"verdict"`
	Identical bool            `json:"identical,omitempty"`
	Why       string          `json:"why,omitempty"`
	HeadOnly  bool            `json:"head_only,omitempty"` // base has no such service
}

// Pair is two services that answer one contract.
type Pair struct {
	Name     string `json:"name"`
	Go       string `json:"go"`
	Rust     string `json:"rust"`
	Withheld bool   `json:"withheld,omitempty"` // no gap: the two answered differently, or may have
}

// Row is one metric of one service under one workload, head against base.
type Row struct {
	Service    string          `json:"service"`
	Workload   string          `json:"workload"` // empty for build metrics
	Metric     string          `json:"metric"`
	Unit       string          `json:"unit"`
	Better     string          `json:"better"` // lower or higher
	Base       *float64        `json:"base"`
	Head       *float64        `json:"head"`
	Ratio      *float64        `json:"ratio"` // head ÷ base
	CI         *[2]float64     `json:"ci"`
	Level      *float64        `json:"level"`
	Margin     float64         `json:"margin"`     // a share
	Detectable *float64        `json:"detectable"` // a share
	Noise      *float64        `json:"noise"`      // of ln(head ÷ base), round to round
	Verdict    compare.Verdict `json:"verdict"`
	Rounds     int             `json:"rounds"`
	Confirmed  bool            `json:"confirmed,omitempty"`
	Identical  bool            `json:"identical,omitempty"`
	MoreRounds int             `json:"more_rounds,omitempty"`
	Compiler   bool            `json:"compiler,omitempty"` // a regression that a cross-check put down to the compiler
	Why        string          `json:"why,omitempty"`
	Shard      string          `json:"shard,omitempty"` // of a merged run: whose machine measured it
}

// Gap is Rust ÷ Go of one metric.
type Gap struct {
	Pair     string      `json:"pair"`
	Workload string      `json:"workload"`
	Metric   string      `json:"metric"`
	Base     *float64    `json:"base"`
	Head     *float64    `json:"head"`
	HeadCI   *[2]float64 `json:"head_ci"`
	Ratio    *float64    `json:"ratio"` // head ÷ base
	CI       *[2]float64 `json:"ci"`
	Shard    string      `json:"shard,omitempty"`
}

// Parity is what the comparison of answers found.
type Parity struct {
	Requests    int                 `json:"requests"`
	Differences int                 `json:"differences"` // all of them; Examples holds the first
	Examples    []result.Difference `json:"examples"`
}

// Build is how one variant was built. A nil figure was not measured.
type Build struct {
	Variant         plan.Variant `json:"variant"`
	Clean           *float64     `json:"clean_s"`
	CleanCPU        *float64     `json:"clean_cpu_s"`
	Incremental     *float64     `json:"incremental_s"`
	BinaryBytes     *float64     `json:"binary_bytes"`
	Dependencies    int          `json:"dependencies"`
	IdenticalToBase bool         `json:"identical_to_base"`
	Error           string       `json:"error,omitempty"`
}

// New gathers what a report shows. It neither judges nor formats.
func New(run result.Run, c compare.Comparisons, o Options) Report {
	r := Report{
		Schema:   Schema,
		Duet:     run.Duet,
		State:    run.State,
		Verdict:  c.Verdict,
		NoBase:   run.Plan.NoBase,
		Head:     Head{SHA: run.Plan.Head.SHA, Ref: run.Plan.Head.Ref, Worktree: run.Plan.Head.Worktree, MergeOf: run.Plan.Head.MergeOf},
		Services: map[string]Service{},
		Pairs:    []Pair{},
		Rows:     make([]Row, 0, len(c.Rows)),
		Why:      newWhys(c.Why),
		Gaps:     make([]Gap, 0, len(c.Gaps)),
		Builds:   builds(run.Builds),
		Memory:   memory(run),
		Machine:  run.Machine,
		Run:      settings(run),
		Failures: append([]result.Failure{}, run.Failures...),
		Warnings: warnings(run, c),
		key:      o.Key,
		files:    o.Files,
		broke:    c.ParityBroke,
		why:      run.Error,
	}
	if o.State != "" {
		r.State = o.State
	}
	if o.Job.ID != 0 {
		r.Job = &o.Job
	}
	if o.Accepted.By != "" {
		r.Accepted = &o.Accepted
	}
	if b := run.Plan.Base; b != nil {
		r.Base = &Base{SHA: b.SHA, Reason: b.Reason, Ref: b.Ref, Behind: b.Behind}
	} else if r.NoBase == "" && run.Plan.Head.SHA != "" {
		r.NoBase = "no base was found"
	}
	for _, row := range c.Rows {
		r.Rows = append(r.Rows, newRow(row))
	}
	for _, g := range c.Gaps {
		r.Gaps = append(r.Gaps, newGap(g))
	}
	if c.Worst != nil {
		worst := newRow(*c.Worst)
		r.Worst = &worst
	}
	if p := run.Parity; p != nil {
		r.Parity = &Parity{Requests: p.Requests, Differences: p.Total, Examples: append([]result.Difference{}, p.Differences...)}
	}
	r.addShards(run)
	r.addServices(run.Plan, c)
	r.addPairs(run.Plan, c.Withheld)
	r.addStandings(run.Plan, c.Standings)
	r.Headline = r.headline(o)
	r.Summary = r.summary(o)
	return r
}

func newRow(c compare.Comparison) Row {
	row := Row{
		Service: c.Service, Workload: c.Workload, Metric: c.Metric, Unit: c.Unit, Better: "lower",
		Base: known(c.Base), Head: known(c.Head), Ratio: known(c.Ratio), CI: ends(c.CI), Level: known(c.Level),
		Margin: finite(c.Margin), Detectable: known(c.Detectable), Verdict: c.Verdict, Rounds: c.Rounds,
		Confirmed: c.Confirmed, Identical: c.Identical, MoreRounds: c.MoreRounds, Compiler: c.Compiler, Why: c.Why,
	}
	if c.Better == result.Higher {
		row.Better = "higher"
	}
	if c.Rounds > 1 && !c.Identical && c.Noise == finite(c.Noise) {
		row.Noise = &c.Noise
	}
	return row
}

func newGap(g compare.Gap) Gap {
	return Gap{
		Pair: g.Pair, Workload: g.Workload, Metric: g.Metric,
		Base: known(g.Base), Head: known(g.Head), HeadCI: ends(g.HeadCI), Ratio: known(g.Ratio), CI: ends(g.CI),
	}
}

// builds are the variants' builds, base before head within a service as the run has them.
func builds(of []result.Build) []Build {
	out := make([]Build, 0, len(of))
	for _, b := range of {
		out = append(out, Build{
			Variant: b.Variant, Clean: known(b.CleanSeconds), CleanCPU: known(b.CleanCPU),
			Incremental: known(b.IncrementalSeconds), BinaryBytes: known(float64(b.BinaryBytes)),
			Dependencies: b.Dependencies, IdenticalToBase: b.IdenticalToBase, Error: b.Error,
		})
	}
	return out
}

// addServices lists every service that the plan or the verdicts name.
func (r *Report) addServices(p plan.Plan, c compare.Comparisons) {
	langs := map[string]plan.Lang{}
	for v, s := range p.Services {
		langs[v.Service] = s.Lang
	}
	for n, s := range c.Services {
		if s.Lang != "" || langs[n] == "" {
			langs[n] = s.Lang
		}
	}
	for n, lang := range langs {
		s := c.Services[n]
		_, atBase := p.Services[plan.Variant{Service: n, Side: plan.Base}]
		_, atHead := p.Services[plan.Variant{Service: n, Side: plan.Head}]
		r.Services[n] = Service{
			Lang: lang, Verdict: s.Verdict, Identical: s.Identical, Why: s.Why,
			HeadOnly: p.Base != nil && atHead && !atBase,
		}
	}
	for _, pair := range p.Pairs {
		for _, n := range []string{pair.Go, pair.Rust} {
			if _, ok := r.Services[n]; ok && !slices.Contains(r.order, n) {
				r.order = append(r.order, n)
			}
		}
	}
	var rest []string
	for n := range r.Services {
		if !slices.Contains(r.order, n) {
			rest = append(rest, n)
		}
	}
	slices.Sort(rest)
	r.order = append(r.order, rest...)
}

// addPairs lists the pairs and says whose gaps compare withheld.
func (r *Report) addPairs(p plan.Plan, withheld []string) {
	for _, pair := range p.Pairs {
		r.Pairs = append(r.Pairs, Pair{Name: pair.Name, Go: pair.Go, Rust: pair.Rust, Withheld: slices.Contains(withheld, pair.Name)})
	}
}

// warnings are the oddities of plan, run and comparison, each once.
func warnings(run result.Run, c compare.Comparisons) []string {
	out := []string{}
	seen := map[string]bool{}
	for _, list := range [][]string{run.Plan.Warnings, run.Warnings, c.Warnings} {
		for _, w := range list {
			if !seen[w] {
				out = append(out, w)
				seen[w] = true
			}
		}
	}
	return out
}
