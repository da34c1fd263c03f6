package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/github"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/report"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/workload"
)

// remark is a regressed row, or a function to blame, that a job's page is to show.
type remark struct {
	workload string
	text     string
	file     string // of a function; else the configuration's
	line     int
}

// annotationsOf names every regressed row, the worst first, and after it the functions to blame that head changed.
func annotationsOf(r report.Report) []remark {
	var all []remark
	add := func(row report.Row) {
		if row.Ratio == nil {
			return
		}
		where := row.Service
		if row.Workload != "" {
			where += " · " + row.Workload
		}
		all = append(all, remark{workload: row.Workload, text: fmt.Sprintf("%s · %s regressed: head ÷ base %.4g", where, row.Metric, *row.Ratio)})
	}
	if r.Worst != nil {
		add(*r.Worst)
	}
	all = append(all, blamed(r)...)
	for _, row := range r.Rows {
		worst := r.Worst != nil && row.Service == r.Worst.Service && row.Workload == r.Worst.Workload && row.Metric == r.Worst.Metric
		if row.Verdict == compare.Regressed && !worst {
			add(row)
		}
	}
	return all
}

// blamed are the changed functions that regressions are put down to, each at its line, and each once.
func blamed(r report.Report) []remark {
	var all []remark
	seen := map[remark]bool{}
	for _, w := range r.Why {
		for _, f := range w.Functions {
			place := remark{file: f.File, line: f.Line}
			if f.Changed != compare.ChangedYes || f.Line <= 0 || !filepath.IsLocal(filepath.FromSlash(f.File)) || seen[place] {
				continue
			}
			seen[place] = true
			text := fmt.Sprintf("%s · %s: %s costs %.4g more %s a request", w.Service, w.Workload, f.Name, f.Delta, w.Measure)
			if f.Share != nil {
				text += fmt.Sprintf(", %.0f %% of what it rose by", 100**f.Share)
			}
			place.workload, place.text = w.Workload, text
			all = append(all, place)
		}
	}
	return all
}

// placed puts remarks on their functions' lines or on those of the configuration that name their workloads, as errors where base's gate refuses
// a regression. A configuration that cannot be read here has no lines.
func (p *publishing) placed(remarks []remark, run result.Run) []github.Annotation {
	level := github.Warning
	if gate := run.Plan.Policy.Gate; gate != "" && gate != plan.GateNever {
		level = github.Error
	}
	lines := p.workloadLines()
	var all []github.Annotation
	for _, r := range remarks {
		a := github.Annotation{Level: level, Title: "Duet", Text: r.text, File: filepath.ToSlash(p.config), Line: lines[r.workload]}
		if r.file != "" {
			a.File, a.Line = r.file, r.line
		}
		all = append(all, a)
	}
	return all
}

// workloadLines are the lines of the checked-out configuration that name workloads, by the workloads' own names.
func (p *publishing) workloadLines() map[string]int {
	text, err := os.ReadFile(p.config)
	if err != nil {
		return nil
	}
	config, err := plan.ParseConfig(p.config, text)
	if err != nil {
		return nil
	}
	lines := map[string]int{}
	for _, name := range config.Workloads {
		called := name
		if plan.IsWorkloadPath(name) {
			if text, err := os.ReadFile(filepath.FromSlash(name)); err == nil {
				parsed, _ := workload.Parse(name, text) // a workload that is no good has no name
				called = parsed.Name
			}
		}
		lines[cmp.Or(called, name)] = config.WorkloadLine(name)
	}
	return lines
}
