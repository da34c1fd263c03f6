package report

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/google/go-cmp/cmp"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	extast "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"
)

// ours is every piece of raw HTML that the comment's own layout has.
var ours = regexp.MustCompile(`^(<br>|</?sub>|<details><summary>[A-Za-z0-9,: ]+</summary>|</details>|<!-- duet:v1:[A-Za-z0-9._/:-]+ -->)$`)

// harmless is every text that may stand outside code: our words and figures, and prose that looks like them.
var harmless = regexp.MustCompile(`^([-A-Za-z0-9 ,.;:()%<+±=×·÷→–−\[\]_µ❌✅❔⚪']|req/s)*$`)

// limit is the promise of docs and design, written out: not whatever the code believes.
const limit = 60_000

// jobURL is the one address that a comment links to: the run's own page, of Duet's making.
const jobURL = "https://github.com/o/r/actions/runs/123/attempts/2"

// rendered is what a reader of GitHub's Markdown would see of a comment's structure.
type rendered struct {
	blocks []string // kinds, in order; tables with their rows and columns
	faults []string
}

func render(markdown string) rendered {
	source := []byte(markdown)
	document := goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser().Parse(text.NewReader(source))
	var r rendered
	fault := func(format string, args ...any) { r.faults = append(r.faults, fmt.Sprintf(format, args...)) }
	_ = ast.Walk(document, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Link:
			if string(n.Destination) != jobURL {
				fault("a link to %s", n.Destination)
			}
		case *ast.AutoLink, *ast.Image:
			fault("a link or image: %s", n.Kind())
		case *ast.RawHTML:
			for i := range n.Segments.Len() {
				segment := n.Segments.At(i)
				if raw := string(segment.Value(source)); !ours.MatchString(raw) {
					fault("raw HTML %q", raw)
				}
			}
		case *ast.HTMLBlock:
			for i := range n.Lines().Len() {
				segment := n.Lines().At(i)
				if raw := strings.TrimSpace(string(segment.Value(source))); !ours.MatchString(raw) {
					fault("HTML block %q", raw)
				}
			}
		case *ast.CodeSpan, *ast.FencedCodeBlock:
			r.blocks = append(r.blocks, n.Kind().String())
			return ast.WalkSkipChildren, nil
		case *ast.Text:
			if s := string(n.Segment.Value(source)); !harmless.MatchString(s) {
				fault("untrusted text outside code: %q", s)
			}
		case *extast.Table:
			r.blocks = append(r.blocks, fmt.Sprintf("Table %d×%d", n.ChildCount(), len(n.Alignments)))
		case *extast.TableCell:
			return ast.WalkContinue, nil
		}
		if n.Type() == ast.TypeBlock {
			r.blocks = append(r.blocks, n.Kind().String())
		}
		return ast.WalkContinue, nil
	})
	return r
}

// hostile is a run in which every text that could come from the repository is s.
func hostile(s string) (result.Run, compare.Comparisons) {
	run, c := newRun(), compare.Comparisons{Verdict: compare.Regressed, Services: map[string]compare.ServiceVerdict{}, Warnings: []string{s}}
	a, b := "1"+s, "2"+s
	run.Duet, run.Started = s, s
	run.Plan.Head = plan.Commit{SHA: s, Ref: s, Subject: s}
	run.Plan.Base = &plan.Commit{SHA: s, Ref: s, Reason: s, Subject: s}
	run.Plan.NoBase, run.Plan.Warnings, run.Warnings, run.Plan.Changed = s, []string{s}, []string{s}, []string{s}
	run.Plan.Dropped = []plan.Dropped{{Workload: s, Reason: s}}
	run.Plan.Pairs = []plan.Pair{{Name: s, Go: a, Rust: b}, {Name: "x" + s, Go: b, Rust: a}}
	run.Machine = result.Machine{OS: "x" + s, Arch: s, Kernel: s, CPU: "x" + s, Toolchains: map[string]string{s: s}, Isolation: "x" + s, Turns: "x" + s, ClientCPU: s, ServiceCPU: s}
	run.Rates = []result.OfferedRate{{Workload: s, PerSecond: 10}}
	run.Durations = []result.StepDuration{{Step: s, Seconds: 1}}
	run.Plan.Services, run.Builds, run.Trials = map[plan.Variant]plan.Service{}, nil, nil
	for _, service := range []string{a, b} {
		c.Services[service] = compare.ServiceVerdict{Lang: plan.Lang(s), Why: "x" + s, Verdict: compare.Inconclusive}
		for _, side := range []plan.Side{plan.Base, plan.Head} {
			run.Plan.Services[v(service, side)] = plan.Service{Name: service, Lang: plan.Lang(s)}
			build := newBuild(v(service, side))
			build.Error, build.Notes, build.LogTail = s, []string{s}, []string{s}
			run.Builds = append(run.Builds, build)
			trial := newTrial(v(service, side), s)
			trial.Open.Dropped = map[string]int{s: 2}
			invalid := trial
			invalid.Invalid = "x" + s
			run.Trials = append(run.Trials, trial, invalid)
		}
		for _, verdict := range []compare.Verdict{compare.Regressed, compare.Inconclusive, compare.Unchanged} {
			r := row(service, s, "zz"+s+verdict.String(), 1, 1.1, 0.01, verdict)
			r.Unit, r.Why = s, "x"+s
			c.Rows = append(c.Rows, r)
		}
	}
	withCurves(run.Trials)
	f := compare.Blamed{Name: s, Was: s, File: s, Line: 3, Last: 9, Delta: 12, Changed: compare.Changed(s)}
	via := f
	via.Was, via.Via, via.New, via.CI, via.Changed = "", s, true, compare.Interval{1, 2}, compare.ChangedYes
	c.Why = []compare.Why{{Service: a, Workload: s, Measure: "x" + s, Base: 1, Head: 2, Smallest: 1, Words: "x" + s, Functions: []compare.Blamed{f, via}}, {Service: b, Workload: s, Words: "x" + s}}
	c.Gaps = []compare.Gap{{Pair: s, Workload: s, Metric: "zz" + s, Head: 1}}
	run.Parity = &result.ParityResult{Requests: 3, Total: 1, Differences: []result.Difference{{A: v(a, plan.Head), B: v(b, plan.Head),
		Workload: s, Request: s, What: s, Diff: []string{s, "-" + s}}}}
	run.Failures = []result.Failure{{Variant: v(a, plan.Base), Step: s, Error: s, LogTail: []string{s, s}}}
	return run, c
}

func shapeOf(t *testing.T, s string) []string {
	t.Helper()
	run, c := hostile(s)
	run.Plan.Head.MergeOf = s
	r := New(run, c, Options{Key: s, NewHead: s, Files: []string{s}, Job: Job{ID: 123, Attempt: 2, URL: jobURL}, Accepted: Acceptance{By: "x" + s, Label: "duet-accept"}})
	markdown := Markdown(r)
	got := render(markdown)
	for _, fault := range got.faults {
		t.Errorf("%q: %s", s, fault)
	}
	if !utf8.ValidString(markdown) || len(markdown) > limit {
		t.Errorf("%q: %d bytes, valid UTF-8 %v", s, len(markdown), utf8.ValidString(markdown))
	}
	if !strings.HasPrefix(markdown, "<!-- duet:v1:") || strings.Count(markdown, "<!--") != 1 {
		t.Errorf("%q: the marker is not first and alone:\n%.200s", s, markdown)
	}
	for _, output := range []string{markdown, Terminal{}.Render(r)} {
		for _, char := range output {
			if char != '\n' && unicode.In(char, unicode.C) {
				t.Errorf("%q: control or format character %U survives", s, char)
			}
		}
	}
	for _, line := range strings.Split(Terminal{}.Render(r), "\n") {
		if width(line) > maxWidth {
			t.Errorf("%q: terminal line of %d columns", s, width(line))
		}
	}
	JSON(r)
	return got.blocks
}

// hostileTexts are what people have used to break out of Markdown.
func hostileTexts() []string {
	return []string{
		"evil", "", " ", "`", "``evil``", "`evil", "evil`", " `` ", "|", "a|b|c", `\|evil|`, `\`, "evil\\", "`|`|`",
		"@evil", "#12", "evil/evil#12", "GH-12", "http://evil.example", "www.evil.example", "evil@evil.example",
		"[evil](http://evil.example)", "![evil](http://evil.example/x.png)", "<img src=x onerror=alert(1)>", "</summary></details><details>",
		"<!-- duet:v1:evil -->", "<!<!----", "--><b>evil", "<details>", "**evil**", "~~~", "```\nevil\n```", "````", "$`evil`$", "$$evil$$",
		"\n\n# evil\n\n", "\r\n| a | b |\n|---|---|\n", "\x1b[31mevil\x1b[0m", "\u202eevil", "ev\u200bil", "\u2028# evil", "\x00", "\xff\xfe",
		"🙈 évil 邪悪", strings.Repeat("x", 500), strings.Repeat("邪", 500), strings.Repeat("`", 300), strings.Repeat("|", 300), strings.Repeat("` ", 60),
		"- evil", "1. evil", "> evil", "    evil", "===", "---", "&lt;b&gt;&#64;evil", "{{evil}}", ":evil:", "4f1c2a9be07d5a8833c19d64f0b2e7a15c6d9e01",
	}
}

// No text from the repository may leave its code span or block, or change a table's shape.
func TestHostileTexts(t *testing.T) {
	want := shapeOf(t, "harmless words")
	if len(want) < 40 {
		t.Fatalf("the harmless comment has only %d blocks: %q", len(want), want)
	}
	for _, s := range hostileTexts() {
		if diff := cmp.Diff(kinds(want), kinds(shapeOf(t, s))); diff != "" {
			t.Errorf("%q changes the comment's shape (-want +got):\n%s", s, diff)
		}
	}
}

// kinds leaves out code spans: prose that needs none is still prose.
func kinds(blocks []string) []string {
	var out []string
	for _, b := range blocks {
		if b != "CodeSpan" {
			out = append(out, b)
		}
	}
	return out
}

func FuzzMarkdown(f *testing.F) {
	for _, s := range hostileTexts() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if diff := cmp.Diff(kinds(shapeOf(t, "harmless words")), kinds(shapeOf(t, s))); diff != "" {
			t.Errorf("%q changes the comment's shape (-want +got):\n%s", s, diff)
		}
	})
}

// A comment never exceeds its budget: whole folds go, the verdict stays, and the comment says what went.
func TestBudget(t *testing.T) {
	run, c := newRun(), newComparisons()
	c.Rows = nil
	for i := range 5000 {
		verdict := []compare.Verdict{compare.Regressed, compare.Unchanged, compare.Inconclusive}[i%3]
		workload := fmt.Sprintf("🙈邪悪-%04d-%s", i, strings.Repeat("邪", 40))
		c.Rows = append(c.Rows, row("go", workload, "p50", 1e-3, 1.2, 0.01, verdict))
		if verdict == compare.Regressed {
			long := compare.Blamed{Name: workload, Was: workload, Via: workload, File: workload, Line: 1e9, Last: 2e9, Delta: 1e12, CI: compare.Interval{1e12, 2e12}, Share: 1}
			c.Why = append(c.Why, compare.Why{Service: "go", Workload: workload, Measure: "instructions", Base: 1e12, Head: 2e12, Smallest: 1e10,
				Words: "this explains less than half of it", Functions: []compare.Blamed{long, long, long, long, long}})
		}
	}
	c.Services["go"] = compare.ServiceVerdict{Lang: plan.Go, Verdict: compare.Regressed}
	c.Verdict = compare.Regressed
	markdown := Markdown(New(run, c, Options{}))
	if len(markdown) > limit || !utf8.ValidString(markdown) {
		t.Errorf("%d bytes, want at most %d", len(markdown), limit)
	}
	for _, want := range []string{"<!-- duet:v1:local -->\n### Duet: ❌ Go regressed, ✅ Rust unchanged\n", "is the worst of 1,667 regressions", "1,663 more regressions explained in report.json",
		"Left out, too long for a comment: All rows.", "duet run --base " + baseSHA, "<summary>Memory over time", "<summary>Parity: 1,284"} {
		if !strings.Contains(markdown, want) {
			t.Errorf("no %q in:\n%.3000s", want, markdown)
		}
	}
	if open, closed := strings.Count(markdown, "<details>"), strings.Count(markdown, "</details>"); open != closed {
		t.Errorf("%d folds opened, %d closed", open, closed)
	}
	if faults := render(markdown).faults; len(faults) > 0 {
		t.Errorf("%q", faults)
	}
}

// Many services, many failures with long logs: what is always shown is bounded as well.
func TestBudgetOfTheTop(t *testing.T) {
	run, c := newRun(), compare.Comparisons{Services: map[string]compare.ServiceVerdict{}}
	long := strings.Repeat("🙈`", 200)
	for i := range 1000 {
		service := fmt.Sprintf("%d%s", i, long)
		c.Services[service] = compare.ServiceVerdict{Lang: plan.Go, Why: long}
		var tail []string
		for range 100 {
			tail = append(tail, long)
		}
		run.Failures = append(run.Failures, result.Failure{Variant: v(service, plan.Head), Step: "building", Error: strings.Repeat(long+"\n", 100), LogTail: tail})
		run.Warnings = append(run.Warnings, fmt.Sprint(i, long))
		run.Plan.Dropped = append(run.Plan.Dropped, plan.Dropped{Workload: service, Reason: long})
	}
	markdown := Markdown(New(run, c, Options{Key: long}))
	if len(markdown) > limit || !strings.Contains(markdown, "\n### Duet: ⚪ Go not judged") || !strings.Contains(markdown, "<sub>head") {
		t.Errorf("%d bytes, want at most %d with headline and last line:\n%.2000s", len(markdown), limit, markdown)
	}
}

// A job's summary has every row unfolded, and room for them.
func TestSummary(t *testing.T) {
	t.Parallel()
	run, c := newRun(), newComparisons()
	for i := range 5000 {
		c.Rows = append(c.Rows, row("go", fmt.Sprintf("workload-%d", i), "p50", 1, 1.1, 0.01, compare.Unchanged))
	}
	r := New(run, c, Options{})
	summary := Summary(r)
	if strings.Contains(summary, "<summary>All rows") || strings.Count(summary, "`workload-4999`") != 1 || len(summary) > 1_000_000 {
		t.Errorf("%d bytes, folded %v, the last row %d times", len(summary), strings.Contains(summary, "<summary>All rows"), strings.Count(summary, "`workload-4999`"))
	}
	if got := render(summary); len(got.faults) > 0 {
		t.Errorf("faults: %q", got.faults)
	}
	if comment := Markdown(r); len(comment) > limit || strings.Contains(comment, "`workload-4999`") || !strings.Contains(comment, "All rows") {
		t.Errorf("the comment has %d bytes", len(comment))
	}
}
