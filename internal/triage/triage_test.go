package triage_test

import (
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"

	"github.com/duet-bench/duet/internal/history"
	"github.com/duet-bench/duet/internal/history/made"
	"github.com/duet-bench/duet/internal/triage"
)

var update = flag.Bool("update", false, "write golden files anew")

var start = time.Date(2026, 10, 1, 3, 0, 0, 0, time.UTC)

// key is what most tests plant in.
var key = history.Key{Service: "go", Workload: "health", Metric: "cpu_per_request"}

// input is sixty nights with steps, each where it was planted.
func input(o made.Options) triage.Input {
	o.Seed, o.Start = 4, start
	if o.Nights == 0 {
		o.Nights = 60
	}
	if o.Workloads == nil {
		o.Workloads = []string{"health", "json-pipeline"}
	}
	if o.Metrics == nil {
		o.Metrics = []string{"instructions", "cpu_per_request", "p50", "p99", "throughput"}
	}
	entries := made.Nights(o)
	in := triage.Input{Entries: entries, Series: history.Join(entries), Now: start.AddDate(0, 0, o.Nights-1).Add(6 * time.Hour),
		Links: triage.Links{Dashboard: "https://example.github.io/shop/", Run: "https://github.com/example/shop/actions/runs/7", Repository: "https://github.com/example/shop"}}
	for _, s := range in.Series {
		var cuts []int
		for _, step := range o.Steps {
			if s.Key != (history.Key{Service: step.Service, Workload: step.Workload, Metric: step.Metric}) {
				continue
			}
			for i, p := range s.Points {
				if !p.At.Before(start.AddDate(0, 0, step.Night)) {
					cuts = append(cuts, i)
					break
				}
			}
		}
		bounds := append(append([]int{0}, cuts...), len(s.Points))
		for i, at := range cuts {
			in.Changes = append(in.Changes, history.Change{Key: s.Key, At: at, From: at - 1, P: 0.001,
				Before: mean(s.Points[bounds[i]:at]), After: mean(s.Points[at:bounds[i+2]])})
		}
	}
	return in
}

func mean(points []history.Point) float64 {
	sum := 0.0
	for _, p := range points {
		sum += math.Log(p.Ratio)
	}
	return math.Exp(sum / float64(len(points)))
}

func step(night int, k history.Key, factor float64, subject string) made.Step {
	return made.Step{Night: night, Service: k.Service, Workload: k.Workload, Metric: k.Metric, Factor: factor, Subject: subject, Author: "A. Lind"}
}

// moved is a week in which things moved, and older regressions that stand.
func moved() triage.Input {
	p50, rust := key, key
	p50.Metric = "p50"
	rust.Service, rust.Workload = "rust", "json-pipeline"
	throughput := history.Key{Service: "rust", Workload: "health", Metric: "throughput"}
	return input(made.Options{
		Steps: []made.Step{
			step(20, rust, 1.04, "json: keep unknown fields"), step(56, key, 1.08, "health: ask the database, too"), step(56, p50, 1.1, "health: ask the database, too"),
			step(57, throughput, 1.2, "health: no lock around the counter"),
		},
		Missing: []int{30, 31}, Failed: []int{40}, Machines: []int{48},
	})
}

func TestMarkdown(t *testing.T) {
	t.Parallel()
	bisected := triage.New(moved())
	for i := range bisected.Regressed {
		bad := bisected.Regressed[i].Commit
		bad.SHA, bad.Subject = strings.Repeat("ab", 20), "health: ask the database, too (#12)"
		bisected.Regressed[i].FirstBad = &bad
	}
	for i := range bisected.Improved {
		bisected.Improved[i].Note = "the budget ended before the commits between were measured"
		for k := range 12 {
			bisected.Improved[i].Suspects = append(bisected.Improved[i].Suspects, history.Commit{SHA: fmt.Sprintf("%040x", 0xabc0+k), Subject: fmt.Sprintf("merge %d", k), Author: "B. Okafor"})
		}
	}
	machine := moved()
	machine.Entries = machine.Entries[:47] // the first night of the other machine is the last one here
	machine.Series = history.Join(machine.Entries)
	machine.Changes, machine.Now = nil, time.Time{}
	for name, r := range map[string]triage.Report{
		"moved": triage.New(moved()), "bisected": bisected, "quiet": triage.New(input(made.Options{})), "first": triage.New(input(made.Options{Nights: 1})),
		"failed": triage.New(input(made.Options{Failed: []int{59}})), "never": triage.New(input(made.Options{Nights: 2, Failed: []int{0, 1}})),
		"noisy": triage.New(input(made.Options{Noise: 0.01, Workloads: []string{"health"}})),
		"none":  triage.New(triage.Input{}), "new-machine": triage.New(machine),
	} {
		got := triage.Markdown(r)
		path := filepath.Join("testdata", name+".md")
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
		}
	}
}

// What is planted is what is said, and nothing else.
func TestNew(t *testing.T) {
	t.Parallel()
	r := triage.New(moved())
	if len(r.Regressed) != 2 || len(r.Improved) != 1 || len(r.Open) != 3 {
		t.Fatalf("%d regressed, %d improved, %d open; want 2, 1, 3", len(r.Regressed), len(r.Improved), len(r.Open))
	}
	if got := r.Regressed[0]; got.Key != key || got.Commit.Subject != "health: ask the database, too" || math.Abs(got.After/got.Before-1.08) > 0.01 {
		t.Errorf("the worst is %+v", got)
	}
	if got := r.Open[2]; got.Key.Service != "rust" || got.SinceDate != "2026-10-21" || got.AgeNights != 39 || !strings.Contains(got.Held, "another CPU") {
		t.Errorf("the oldest is %+v", got)
	}
	if n := len(r.Missing); n != 2 || r.Missing[0].Nights != 2 || r.Missing[1].Why == "" {
		t.Errorf("missing: %+v", r.Missing)
	}
}

// A regression is open until its level is back, whatever came between.
func TestOpen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		steps []made.Step
		want  int
	}{
		"none":                  {nil, 0},
		"stands":                {[]made.Step{step(20, key, 1.08, "")}, 1},
		"below the margin":      {[]made.Step{step(20, key, 1.005, "")}, 0},
		"taken back":            {[]made.Step{step(20, key, 1.08, ""), step(40, key, 1/1.08, "")}, 0},
		"taken back, for a bit": {[]made.Step{step(20, key, 1.08, ""), step(30, key, 1/1.08, ""), step(40, key, 1.08, "")}, 1},
		"half taken back":       {[]made.Step{step(20, key, 1.08, ""), step(40, key, 1/1.04, "")}, 1},
		"twice":                 {[]made.Step{step(20, key, 1.08, ""), step(40, key, 1.05, "")}, 2},
		"improved":              {[]made.Step{step(20, key, 0.9, "")}, 0},
		"less throughput":       {[]made.Step{step(20, history.Key{Service: "go", Workload: "health", Metric: "throughput"}, 0.9, "")}, 1},
		"more throughput":       {[]made.Step{step(20, history.Key{Service: "go", Workload: "health", Metric: "throughput"}, 1.1, "")}, 0},
	} {
		in := input(made.Options{Steps: c.steps})
		if got := triage.Open(in.Entries, in.Series, in.Changes); len(got) != c.want {
			t.Errorf("%s: %d open, want %d: %+v", name, len(got), c.want, got)
		}
	}
	// A machine that changed closes nothing by itself, and the level on it does.
	for _, c := range []struct {
		steps []made.Step
		want  int
	}{
		{[]made.Step{step(20, key, 1.08, "")}, 1},
		{[]made.Step{step(20, key, 1.08, ""), step(30, key, 1/1.08, "")}, 0},
	} {
		in := input(made.Options{Steps: c.steps, Machines: []int{30}})
		in.Changes = in.Changes[:1] // no change point is found across a break
		in.Changes[0].After = mean(in.Series[index(in.Series)].Points[20:30])
		if got := triage.Open(in.Entries, in.Series, in.Changes); len(got) != c.want {
			t.Errorf("with another machine: %d open, want %d: %+v", len(got), c.want, got)
		}
	}
}

// Moving the anchor to a commit with a regression accepts it; moving it elsewhere, or before, does not.
func TestAccepted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		moves []int
		want  int
	}{{nil, 1}, {[]int{10}, 1}, {[]int{30}, 0}, {[]int{10, 30}, 0}, {[]int{30, 40}, 0}} {
		in := input(made.Options{Steps: []made.Step{step(20, key, 1.08, "")}, Moves: c.moves})
		if got := triage.Open(in.Entries, in.Series, in.Changes); len(got) != c.want {
			t.Errorf("the anchor moved at %v: %d open, want %d", c.moves, len(got), c.want)
		}
	}
	again := input(made.Options{Steps: []made.Step{step(20, key, 1.08, ""), step(40, key, 1.05, "")}, Moves: []int{30}})
	if got := triage.Open(again.Entries, again.Series, again.Changes); len(got) != 1 || math.Abs(got[0].Ratio-1.05) > 0.01 {
		t.Errorf("a regression after the move: %+v", got)
	}
}

func index(series []history.Series) int {
	for i, s := range series {
		if s.Key == key {
			return i
		}
	}
	return -1
}

func TestMissingNights(t *testing.T) {
	t.Parallel()
	in := input(made.Options{Nights: 10})
	for _, c := range []struct {
		after time.Duration // of the last night
		want  int
	}{{0, 0}, {30 * time.Hour, 0}, {35 * time.Hour, 0}, {37 * time.Hour, 1}, {50 * time.Hour, 1}, {61 * time.Hour, 2}, {240 * time.Hour, 9}} {
		now := start.AddDate(0, 0, 9).Add(c.after)
		got := 0
		for _, m := range triage.MissingNights(in.Entries, now) {
			got += m.Nights
		}
		if got != c.want {
			t.Errorf("%v after the last night: %d missing, want %d", c.after, got, c.want)
		}
	}
	if got := triage.MissingNights(nil, time.Now()); len(got) != 0 {
		t.Errorf("of no history: %v", got)
	}
}

// hostile is a report of which every text means harm; whoever it is of, it stays in a code span.
func hostile(s string) triage.Report {
	k := history.Key{Service: s, Workload: s, Metric: s}
	c := history.Commit{SHA: s, Subject: s, Author: s, Date: s}
	e := history.Entry{ID: s, Recorded: s, State: history.Measured, Commit: c, Anchor: c, Error: s}
	m := triage.Moved{Key: k, Before: 1, After: 1.1, Commit: c, From: c, Suspects: []history.Commit{c, c}, Note: s}
	bad := m
	bad.FirstBad = &c
	return triage.Report{
		Night: e, Previous: &e, LastGood: &e, Window: 7, Regressed: []triage.Moved{m, bad}, Improved: []triage.Moved{m},
		Noisy: []triage.Noisy{{Key: k}}, Open: []triage.OpenRegression{{Key: k, Since: c, SinceDate: "2026-11-26", Held: s, Ratio: 1.1}},
		Began: []triage.Began{{Why: s, Series: 2}}, SelfCheck: triage.SelfCheck{Night: &history.SelfCheck{Rows: 3, False: []string{s}}, Nights: 1, Rows: 3},
		Missing: []history.Missing{{Why: s, Nights: 2}}, Links: triage.Links{Dashboard: s, Run: s, Repository: s},
	}
}

func FuzzMarkdown(f *testing.F) {
	for _, s := range []string{"a", "`", "``` `", "|", "<img src=x onerror=alert(1)>", "@team #1 GH-1", "[x](javascript:alert(1))", "https://example.com/a)b", "\u202e\u200b", "a\nb\n# c", "<!-- -->",
		"</details>", "::error::x", "##[group]", strings.Repeat("ab", 20), "*_~", "\\", " ", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range []triage.Report{hostile(s), func() triage.Report { r := hostile(s); r.Night.State = history.NotMeasured; return r }()} {
			checkMarkdown(t, triage.Markdown(r))
		}
	})
}

// checkMarkdown holds a report's structure as GitHub sees it: no markup, link or mention comes from a text.
func checkMarkdown(t *testing.T, markdown string) {
	t.Helper()
	source := []byte(markdown)
	if len(source) > 60_000 {
		t.Errorf("%d bytes, want at most 60,000", len(source))
	}
	document := goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser().Parse(text.NewReader(source))
	_ = ast.Walk(document, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.CodeSpan:
			return ast.WalkSkipChildren, nil
		case *ast.Link:
			if to := string(n.Destination); !strings.HasPrefix(to, "https://") && !strings.HasPrefix(to, "http://") {
				t.Errorf("a link to %q", to)
			}
		case *ast.AutoLink, *ast.Image, *ast.FencedCodeBlock, *ast.CodeBlock:
			t.Errorf("%s in %s", n.Kind(), markdown)
		case *ast.RawHTML, *ast.HTMLBlock:
			var raw strings.Builder
			for i := range n.Lines().Len() {
				segment := n.Lines().At(i)
				raw.Write(segment.Value(source))
			}
			if got := strings.TrimSpace(raw.String()); got != "</details>" && !strings.HasPrefix(got, "<details><summary>Noisy this night: ") {
				t.Errorf("HTML %q", got)
			}
		case *ast.Text:
			if s := string(n.Segment.Value(source)); strings.ContainsAny(s, "@#<>`") {
				t.Errorf("outside code: %q in %s", s, markdown)
			}
		}
		return ast.WalkContinue, nil
	})
}

// However much there is to say, it fits into an issue, and what was left out is named.
func TestLongMarkdown(t *testing.T) {
	t.Parallel()
	r := hostile(strings.Repeat("`x|", 60))
	for i := range 300 {
		m := r.Regressed[0]
		m.Key.Service = fmt.Sprint(m.Key.Service, i)
		m.Commit.SHA = fmt.Sprint(i, m.Commit.SHA)
		for range 30 {
			m.Suspects = append(m.Suspects, m.Commit)
		}
		r.Regressed, r.Improved, r.Open, r.Noisy = append(r.Regressed, m), append(r.Improved, m), append(r.Open, r.Open[0]), append(r.Noisy, r.Noisy[0])
	}
	got := triage.Markdown(r)
	checkMarkdown(t, got)
	if !strings.Contains(got, "Left out here, since it is too long: ") || !strings.Contains(got, "### Regressed") {
		t.Errorf("it does not say what was left out: %.2000s", got)
	}
}
