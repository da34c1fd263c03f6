package dashboard_test

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/duet-bench/duet/internal/dashboard"
	"github.com/duet-bench/duet/internal/history"
	"github.com/duet-bench/duet/internal/history/made"
)

// hostile is a text that would do harm if any part of the site took it for more than a text.
const hostile = "</script><img src=x onerror=alert(1)> \u202e`@team` #1 \"'&"

// year is a year of nights of two services with everything that can happen to a history.
func year() dashboard.Input {
	in := madeInput(made.Options{
		Seed: 3, Start: time.Date(2025, 11, 26, 3, 0, 0, 0, time.UTC), Nights: 365,
		Metrics: append(made.Metrics(), "binary_size"),
		Steps: []made.Step{
			{Night: 120, Service: "go", Workload: "order-pipeline", Metric: "cpu_per_request", Factor: 1.08, Subject: "orders: round every line on its own", Author: "A. Lind"},
			{Night: 120, Service: "go", Workload: "order-pipeline", Metric: "p50", Factor: 1.11},
			{Night: 120, Service: "go", Workload: "order-pipeline", Metric: "instructions", Factor: 1.12},
			{Night: 260, Service: "go", Workload: "order-pipeline", Metric: "cpu_per_request", Factor: 1 / 1.08, Subject: "orders: round once, as before", Author: "B. Okafor"},
			{Night: 260, Service: "go", Workload: "order-pipeline", Metric: "p50", Factor: 1 / 1.11},
			{Night: 260, Service: "go", Workload: "order-pipeline", Metric: "instructions", Factor: 1 / 1.12},
			{Night: 330, Service: "rust", Workload: "json-pipeline", Metric: "instructions", Factor: 1.06, Subject: "json: keep unknown fields " + hostile, Author: "Mallory " + hostile},
			{Night: 330, Service: "rust", Workload: "json-pipeline", Metric: "cpu_per_request", Factor: 1.05},
			{Night: 345, Service: "go", Workload: "db-query", Metric: "p50", Factor: 0.93, Subject: "store: one query instead of two", Author: "C. Moreau"},
			{Night: 345, Service: "go", Workload: "db-query", Metric: "cpu_per_request", Factor: 0.9},
			{Night: 200, Service: "go", Metric: "binary_size", Factor: 1.04, Subject: "Update dependencies", Author: "A. Lind"},
		},
		Outliers: []made.Step{{Night: 90, Metric: "p99", Factor: 1.5}},
		Missing:  []int{40, 41, 42, 300}, Failed: []int{150, 151}, Machines: []int{230}, Moves: []int{180},
	})
	k := history.Key{Service: "rust", Workload: "json-pipeline", Metric: "instructions"}
	for _, c := range in.Changes {
		if c.Key == k {
			at := in.Series[slices.IndexFunc(in.Series, func(s history.Series) bool { return s.Key == k })].Points[c.At].Entry
			bisect(&in, at+2, k, in.Entries[at].Commit.SHA, history.Commit{SHA: strings.Repeat("5eed", 10), Subject: "Merge #77: keep unknown fields", Author: "D. Rossi"})
		}
	}
	return in
}

// madeInput is a made history with the change points that were planted in it: what finds them is not at stake here.
func madeInput(o made.Options) dashboard.Input {
	entries := made.Nights(o)
	in := dashboard.Input{Entries: entries, Series: history.Join(entries)}
	last, _ := time.Parse(time.RFC3339, entries[len(entries)-1].Recorded)
	in.Now = last.Add(5 * time.Hour)
	for _, s := range in.Series {
		in.Changes = append(in.Changes, planted(o, s)...)
	}
	return in
}

// planted finds where steps of a series were planted.
func planted(o made.Options, s history.Series) []history.Change {
	var cuts []int
	for _, step := range o.Steps {
		if step.Metric != s.Key.Metric || step.Service != s.Key.Service || step.Workload != s.Key.Workload {
			continue
		}
		at := o.Start.AddDate(0, 0, step.Night)
		for i, p := range s.Points {
			if i > 0 && !p.At.Before(at) {
				cuts = append(cuts, i)
				break
			}
		}
	}
	bounds := append(append([]int{0}, cuts...), len(s.Points))
	var all []history.Change
	for i, at := range cuts {
		all = append(all, history.Change{Key: s.Key, At: at, From: at - 1, P: 0.001,
			Before: mean(s.Points[bounds[i]:at]), After: mean(s.Points[at:bounds[i+2]])})
	}
	return all
}

// bisect says that a night found the first bad merge of a change.
func bisect(in *dashboard.Input, night int, k history.Key, to string, bad history.Commit) {
	in.Entries[night].Suspects = append(in.Entries[night].Suspects, history.Suspect{Service: k.Service, Workload: k.Workload, Metric: k.Metric, To: history.Commit{SHA: to}, FirstBad: &bad})
}

func mean(points []history.Point) float64 {
	sum := 0.0
	for _, p := range points {
		sum += math.Log(p.Ratio)
	}
	return math.Exp(sum / float64(len(points)))
}
