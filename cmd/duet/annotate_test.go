package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/github"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/report"
	"github.com/duet-bench/duet/internal/result"
)

// The worst row comes first, then the changed functions at their own lines, each once, then the other rows.
func TestAnnotations(t *testing.T) {
	ratio, part := 1.08, 0.61
	worst := report.Row{Service: "go", Workload: "links", Metric: "cpu_per_request", Ratio: &ratio, Verdict: compare.Regressed}
	other := report.Row{Service: "go", Metric: "binary_size", Ratio: &ratio, Verdict: compare.Regressed}
	lookup := report.Function{Name: "core.Lookup", File: "core/store.go", Line: 88, Last: 96, Delta: 8140, Share: &part, Changed: compare.ChangedYes}
	untouched, outside, nowhere := lookup, lookup, lookup
	untouched.Line, untouched.Changed = 9, compare.ChangedNo
	outside.File = "../elsewhere/store.go"
	nowhere.Line = 0
	r := report.Report{Worst: &worst, Rows: []report.Row{other, worst}, Why: []report.Why{
		{Service: "go", Workload: "links", Measure: "instructions", Functions: []report.Function{lookup, untouched, outside, nowhere}},
		{Service: "go", Workload: "links", Measure: "allocations", Functions: []report.Function{lookup}},
	}}
	p := publishing{config: "no-such-folder/duet.yml"}
	got := p.placed(annotationsOf(r), result.Run{Plan: plan.Plan{Policy: plan.Policy{Gate: plan.GateRegression}}})
	at := func(text, file string, line int) github.Annotation {
		return github.Annotation{Level: github.Error, Title: "Duet", Text: text, File: file, Line: line}
	}
	want := []github.Annotation{
		at("go · links · cpu_per_request regressed: head ÷ base 1.08", "no-such-folder/duet.yml", 0),
		at("go · links: core.Lookup costs 8140 more instructions a request, 61 % of what it rose by", "core/store.go", 88),
		at("go · binary_size regressed: head ÷ base 1.08", "no-such-folder/duet.yml", 0),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
