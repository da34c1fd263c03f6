package nightly

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/history"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/stats"
)

// Meta is what an entry says beside its run.
type Meta struct {
	Commit, Anchor history.Commit
	Previous       *history.Commit // of an entry that moves the anchor
	Job            history.Job
}

// EntryOf is a night's entry: a pure function of its run and of what the judge says of it.
func EntryOf(run result.Run, c compare.Comparisons, m Meta) history.Entry {
	e := history.Entry{
		Schema: history.Schema, ID: id(run, m), Recorded: run.Started, Duet: run.Duet, State: history.Measured,
		Commit: m.Commit, Anchor: m.Anchor, Previous: m.Previous, Job: m.Job,
		Machine: history.Machine{
			CPU: run.Machine.CPU, Cores: run.Machine.Cores, OS: run.Machine.OS, Arch: run.Machine.Arch,
			Isolation: run.Machine.Isolation, Turns: run.Machine.Turns, Memory: run.Machine.Memory, Kernel: run.Machine.Kernel,
		},
		Toolchains: run.Machine.Toolchains, Config: configHash(run.Plan), Workloads: workloadHashes(run.Plan), Services: languages(run.Plan),
		Rows: rowsOf(c.Rows), Gaps: gapsOf(c.Gaps), Builds: buildsOf(run.Builds), Notes: failed(run),
	}
	if len(e.Rows) == 0 || run.State == result.Cancelled {
		e.State, e.Error = history.NotMeasured, failureOf(run)
		e.Rows, e.Gaps, e.Builds, e.Notes = nil, nil, nil, nil
	}
	return e
}

// id is the entry's: SHA-RUN.ATTEMPT. Outside of a workflow the second in which it began stands for the run.
func id(run result.Run, m Meta) string {
	number, attempt := m.Job.ID, max(m.Job.Attempt, 1)
	if number == 0 {
		if at, err := time.Parse(time.RFC3339, run.Started); err == nil {
			number = at.Unix()
		}
	}
	text := fmt.Sprintf("%s-%d.%d", m.Commit.SHA, number, attempt)
	if m.Previous != nil {
		text += "-anchor" // the night of the same run may be about the same commit
	}
	return text
}

// rowsOf are the rows that have a figure at the commit.
func rowsOf(all []compare.Comparison) (rows []history.Row) {
	for _, c := range all {
		if !stats.Plausible(c.Head) {
			continue
		}
		row := history.Row{
			Service: c.Service, Workload: c.Workload, Metric: c.Metric, Commit: c.Head,
			Noise: known(c.Noise), Rounds: c.Rounds, Verdict: c.Verdict.String(), Identical: c.Identical,
		}
		if stats.Plausible(c.Base) {
			row.Anchor = c.Base
		}
		switch {
		case c.Identical:
			row.Ratio, row.Low, row.High = 1, 1, 1
		case stats.Plausible(c.Ratio):
			row.Ratio, row.Low, row.High = c.Ratio, known(c.CI[0]), known(c.CI[1])
		}
		rows = append(rows, row)
	}
	return rows
}

func gapsOf(all []compare.Gap) (gaps []history.Gap) {
	for _, g := range all {
		if stats.Plausible(g.Head) {
			gaps = append(gaps, history.Gap{Pair: g.Pair, Workload: g.Workload, Metric: g.Metric, Ratio: g.Head, Low: known(g.HeadCI[0]), High: known(g.HeadCI[1])})
		}
	}
	return gaps
}

// known is a figure, or 0 where it is none.
func known(x float64) float64 {
	if !stats.Plausible(x) {
		return 0
	}
	return x
}

func buildsOf(all []result.Build) (builds []history.Build) {
	for _, b := range all {
		if b.Variant.Side == plan.Head && b.Error == "" {
			builds = append(builds, history.Build{
				Service: b.Variant.Service, CleanSeconds: b.CleanSeconds, IncrementalSeconds: b.IncrementalSeconds,
				BinaryBytes: b.BinaryBytes, Dependencies: b.Dependencies,
			})
		}
	}
	return builds
}

// failed says of every variant that failed that it did: the others' rows stand without it.
func failed(run result.Run) (notes []string) {
	for _, f := range run.Failures {
		what := "the head"
		if f.Variant.Side == plan.Base {
			what = "the anchor"
		}
		why := f.Error
		if n := len(f.LogTail); n > 0 { // what it said itself tells more than its exit status
			why = f.LogTail[n-1]
		}
		notes = append(notes, clipped(fmt.Sprintf("%s of %s failed while %s: %s", f.Variant.Service, what, f.Step, why)))
	}
	return notes
}

// failureOf is why a run has no figures.
func failureOf(run result.Run) string {
	if run.Error != "" {
		return clipped(run.Error)
	}
	if all := failed(run); len(all) > 0 {
		return strings.Join(all[:min(3, len(all))], "; ")
	}
	return cmp.Or(map[result.State]string{result.Cancelled: "cancelled"}[run.State], "no service has a figure")
}

// clipped is one line of at most 200 runes.
func clipped(text string) string {
	line := []rune(strings.Join(strings.Fields(strings.ToValidUTF8(text, "\uFFFD")), " "))
	if len(line) > 200 {
		line = append(line[:199], '…')
	}
	return string(line)
}

// SelfCheckOf counts what the judge called changed where nothing was. Exact figures, which cannot differ, do not count.
func SelfCheckOf(c compare.Comparisons) history.SelfCheck {
	var check history.SelfCheck
	for _, row := range c.Rows {
		if row.Workload == "" || row.Verdict == compare.NotJudged {
			continue
		}
		check.Rows++
		if row.Verdict == compare.Improved || row.Verdict == compare.Regressed {
			check.False = append(check.False, strings.Join([]string{row.Service, row.Workload, row.Metric}, " · "))
		}
	}
	return check
}

func languages(p plan.Plan) map[string]string {
	langs := map[string]string{}
	for v, s := range p.Services {
		if v.Side == plan.Head {
			langs[v.Service] = string(s.Lang)
		}
	}
	return langs
}

// configHash covers what duet.yml says of measuring, for all workloads alike. What follows from it and from the number of
// services, such as windows, is left out: a new service is no reason to begin the others anew.
func configHash(p plan.Plan) string {
	return hash(struct {
		Setup    any
		Budget   time.Duration
		Slice    time.Duration
		Unpinned bool
		Counted  bool
	}{p.Setup, p.Budget, p.Window.Slice, p.Unpinned, len(p.Rounds.CountLooks) > 0})
}

// workloadHashes are of the workloads' definitions, without the sentence that explains them.
func workloadHashes(p plan.Plan) map[string]string {
	hashes := map[string]string{}
	for _, w := range p.Workloads {
		w.About = ""
		hashes[w.Name] = fmt.Sprintf("%d-%s", w.Version, hash(w))
	}
	return hashes
}

// hash is of a value's JSON, whose maps are sorted.
func hash(v any) string {
	text, err := json.Marshal(v)
	if err != nil { // plans have travelled as JSON
		panic(fmt.Sprintf("nightly: hashing: %v", err))
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:6])
}

// rowOf is a row of comparisons.
func rowOf(c compare.Comparisons, k history.Key) (compare.Comparison, bool) {
	i := slices.IndexFunc(c.Rows, func(r compare.Comparison) bool {
		return r.Service == k.Service && r.Workload == k.Workload && r.Metric == k.Metric
	})
	if i < 0 {
		return compare.Comparison{}, false
	}
	return c.Rows[i], true
}
