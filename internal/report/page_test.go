package report

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io/fs"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/profdiff"
	"github.com/duet-bench/duet/internal/result"
	"github.com/google/go-cmp/cmp"
)

// sides are both sides' trials of one workload, so many rounds of 1 ms to 4 s, head slower by a tenth.
func sidesRun(rounds int) result.Run {
	var run result.Run
	for round := range rounds {
		for _, side := range []plan.Side{plan.Head, plan.Base} {
			t := result.Trial{Variant: v("go", side), Workload: "list", Round: round + 1}
			for i := range 4000 {
				d := time.Duration(i+1) * time.Millisecond
				if side == plan.Head {
					d += d / 10
				}
				t.Open.Latency.Record(d + time.Duration(round)*d/100)
			}
			run.Trials = append(run.Trials, t)
		}
	}
	return run
}

func TestNewPageCurves(t *testing.T) {
	run := sidesRun(5)
	broken := run.Trials[0]
	broken.Invalid, broken.Open.Latency = "achieved too little", result.Histogram{}
	broken.Open.Latency.Record(50 * time.Second)
	run.Trials = append(run.Trials, broken)
	p := NewPage(run, nil)
	if len(p.Latency) != 2 || p.Latency[0].Variant != v("go", plan.Base) || p.Latency[1].Variant != v("go", plan.Head) {
		t.Fatalf("got curves %+v, want base's and head's", p.Latency)
	}
	base := p.Latency[0]
	if base.Requests != 20_000 || base.Rounds != 5 {
		t.Errorf("got %d requests in %d rounds, want 20000 in 5", base.Requests, base.Rounds)
	}
	seen := map[float64]Point{}
	for i, x := range base.Points {
		seen[x.Percentile] = x
		if i > 0 && (x.Seconds < base.Points[i-1].Seconds || x.Percentile <= base.Points[i-1].Percentile) {
			t.Errorf("point %d: got %+v after %+v, want a rising curve", i, x, base.Points[i-1])
		}
	}
	for percentile, want := range map[float64]float64{50: 2.04, 90: 3.67, 99: 4.08} {
		got, ok := seen[percentile]
		if !ok || math.Abs(got.Seconds/want-1) > 0.02 || got.CI == nil || got.CI[0] >= got.Seconds || got.CI[1] <= got.Seconds {
			t.Errorf("p%v: got %+v, want about %v s inside an interval", percentile, got, want)
		}
	}
	if last := base.Points[len(base.Points)-1].Percentile; last < 99.9 || float64(base.Requests)*(100-last)/100 < minBeyond {
		t.Errorf("the curve ends at p%v: want the last one with %d of %d requests beyond", last, minBeyond, base.Requests)
	}
	// One step of 1 % from round to round is a standard deviation of 1.6 % and so a 95 % interval of about ± 2 %.
	if ci := seen[50].CI; ci == nil || math.Abs(math.Log(ci[1]/ci[0])/2-0.0193) > 0.002 {
		t.Errorf("the median's interval: got %v, want ± 1.9 %%", ci)
	}
}

func TestNewPageWithoutIntervals(t *testing.T) {
	for _, x := range NewPage(sidesRun(2), nil).Latency[0].Points {
		if x.CI != nil {
			t.Errorf("p%v of two rounds: got interval %v, want none", x.Percentile, *x.CI)
		}
	}
	profiled := result.Run{Profiles: []result.Profile{{Variant: v("rust", plan.Head), Kind: result.ProfileHeap, Invalid: "it died"},
		{Variant: v("go", plan.Base), Kind: result.ProfileCPU, Notes: []string{"no symbols"}}, {Variant: v("go", plan.Base), Kind: result.ProfileCPU, Workload: "list", Notes: []string{"no symbols"}}}}
	if diff := cmp.Diff([]string{"rust@head, heap: it died", "go@base, cpu: no symbols"}, NewPage(profiled, nil).Notes); diff != "" {
		t.Errorf("notes of profiles (-want +got):\n%s", diff)
	}
	if p := NewPage(result.Run{}, nil); len(p.Latency)+len(p.Runtimes)+len(p.Graphs) > 0 {
		t.Errorf("an empty run: got %+v", p)
	}
}

// countFrames is how many frames a tree has, with its root, and how deep it is.
func countFrames(f profdiff.Frame) (frames, depth int) {
	frames = 1
	for _, c := range f.Calls {
		n, d := countFrames(c)
		frames, depth = frames+n, max(depth, d+1)
	}
	return frames, depth
}

func TestNewPagePrunes(t *testing.T) {
	deep := profdiff.Frame{Name: "leaf", Base: 1}
	for range 3 * maxFrameDepth {
		deep = profdiff.Frame{Name: "again", Base: 1, Calls: []profdiff.Frame{deep}}
	}
	small := profdiff.Frame{Base: 1000, Head: 1000, Calls: []profdiff.Frame{
		{Name: "large", Base: 999}, {Name: "small", Base: 0.4, Head: 0.4}, {Name: "new", Head: 0.6}, {Name: "nothing"}}}
	p := NewPage(result.Run{}, []profdiff.Graph{{Service: "deep", Root: deep}, {Service: "small", Root: small}})
	if _, depth := countFrames(p.Graphs[0].Root); depth != maxFrameDepth {
		t.Errorf("a deep graph: got depth %d, want %d", depth, maxFrameDepth)
	}
	var names []string
	for _, c := range p.Graphs[1].Root.Calls {
		names = append(names, c.Name)
	}
	if diff := cmp.Diff([]string{"large", "new"}, names); diff != "" || p.Pruned != pruneShare {
		t.Errorf("pruned at %v (-want +got):\n%s", p.Pruned, diff)
	}
	if len(small.Calls) != 4 {
		t.Error("pruning changed the graph it was given")
	}
	wide := profdiff.Frame{Base: 1}
	for i := range 1000 {
		wide.Calls = append(wide.Calls, profdiff.Frame{Name: fmt.Sprint(i), Base: 0.001})
	}
	many := NewPage(result.Run{}, copies(wide, 2*maxFrames/1000))
	frames := 0
	for _, g := range many.Graphs {
		n, _ := countFrames(g.Root)
		frames += n
	}
	if frames > maxFrames || many.Pruned <= pruneShare {
		t.Errorf("got %d frames pruned at %v, want at most %d", frames, many.Pruned, maxFrames)
	}
}

// copies are so many graphs of one tree.
func copies(root profdiff.Frame, n int) []profdiff.Graph {
	out := make([]profdiff.Graph, n)
	for i := range out {
		out[i].Root = root
	}
	return out
}

// embedded is the page's data as its scripts read it.
func embedded(t *testing.T, page string) pageDataRead {
	t.Helper()
	_, rest, ok := strings.Cut(page, `<script type="application/json" id="data">`)
	text, _, closed := strings.Cut(rest, "</script>")
	if !ok || !closed {
		t.Fatal("the page has no data")
	}
	if strings.ContainsAny(text, "<>&\u2028\u2029") {
		t.Error("the page's data holds characters that it should escape")
	}
	var d pageDataRead
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatalf("the page's data: %v", err)
	}
	return d
}

// pageDataRead is as much of the page's data as tests look at.
type pageDataRead struct {
	Names  []string
	Frames [][4]int
	Charts []struct {
		Kind  string
		X     []float64
		Lines []struct {
			Name      string
			Y         [][]float64
			Low, High []float64
		}
	}
	Graphs []struct {
		Service, Workload, Kind, Unit string
		Part                          float64
		Frame, Calls, Base, Head      []int
		Z                             []float64
	}
}

// What scripts draw is what the page was given: a frame's costs, names once, files and own code.
func TestPageData(t *testing.T) {
	r, p := New(newRun(), newComparisons(), Options{}), NewPage(sidesRun(3), []profdiff.Graph{{Service: "go", Workload: "list", Kind: result.ProfileCPU, Unit: "s", HasBase: true, HasHead: true,
		Root: profdiff.Frame{Base: 1e-4, Head: 2e-4, Calls: []profdiff.Frame{
			{Name: "main.f", File: "main.go", Line: 7, Own: true, Base: 1e-4, Head: 1.5e-4, Z: 3.21, Calls: []profdiff.Frame{{Name: "runtime.mallocgc", Head: 0.5e-4}}},
			{Name: "runtime.mallocgc", Head: 0.5e-4}}}}})
	page, err := HTML(r, p)
	if err != nil {
		t.Fatal(err)
	}
	d := embedded(t, string(page))
	g := d.Graphs[0]
	if diff := cmp.Diff([][]int{{0, 1, 2, 2}, {2, 1, 0, 0}, {500_000, 500_000, 0, 0}, {1_000_000, 750_000, 250_000, 250_000}}, [][]int{g.Frame, g.Calls, g.Base, g.Head}); diff != "" || g.Part != 2e-10 {
		t.Errorf("graph of parts of %v (-want +got):\n%s", g.Part, diff)
	}
	if diff := cmp.Diff([]string{"", "main.f", "main.go", "runtime.mallocgc"}, d.Names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([][4]int{{0, -1, 0, 0}, {1, 2, 7, 1}, {3, -1, 0, 0}}, d.Frames); diff != "" || g.Kind != "CPU time" || g.Z[1] != 3.2 {
		t.Errorf("kind %q, z %v, frames (-want +got):\n%s", g.Kind, g.Z, diff)
	}
	if c := d.Charts[0]; c.Kind != "percentiles" || len(c.Lines) != 2 || c.Lines[1].Name != "go@head" || len(c.X) != len(c.Lines[1].Y[0]) || len(c.X) != len(c.Lines[1].Low) {
		t.Errorf("latency chart: got %+v", c)
	}
}

// The page of the bundled run's size stays well within its bound.
func TestPageSize(t *testing.T) {
	r, p := pageFixture()
	page, err := HTML(r, p)
	if err != nil {
		t.Fatal(err)
	}
	frames := 0
	for _, g := range p.Graphs {
		n, _ := countFrames(g.Root)
		frames += n
	}
	t.Logf("%d bytes, %d graphs of %d frames", len(page), len(p.Graphs), frames)
	if len(page) >= 2_000_000 || frames < 18*1000 {
		t.Errorf("got %d bytes with %d frames, want less than 2 MB with at least 18,000", len(page), frames)
	}
}

// bodyOf is a page without what stands in files of its own.
func bodyOf(page []byte) []byte {
	s := regexp.MustCompile(`(?s)<(style|script)>.*?</(style|script)>\n`).ReplaceAllString(string(page), "")
	s = regexp.MustCompile(`'sha256-[^']*'|&#39;sha256-.*?&#39;`).ReplaceAllString(s, "HASH")
	return []byte(s)
}

func TestHTMLGolden(t *testing.T) {
	for _, f := range fixtures() {
		page, err := HTML(New(f.run, f.c, f.o), NewPage(f.run, nil))
		if err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		again, err := HTML(New(f.run, f.c, f.o), NewPage(f.run, nil))
		if err != nil || string(again) != string(page) {
			t.Errorf("%s: two pages of one run differ: %v", f.name, err)
		}
		if f.name == "regressed" || f.name == "no-base" || f.name == "build-failed-head" || f.name == "many-services" {
			golden(t, f.name+".html", bodyOf(page))
		}
		headline := New(f.run, f.c, f.o).Headline.String()
		if !strings.Contains(html.UnescapeString(string(page)), "<title>Duet: "+headline+"</title>") {
			t.Errorf("%s: the title does not have the comment's first line %q", f.name, headline)
		}
	}
}

// Scripts and style run by their hash, nothing else does, and nothing is asked for.
func TestPagePolicy(t *testing.T) {
	r, p := pageFixture()
	r.Job = &Job{ID: 7, Attempt: 1, URL: jobURL}
	made, err := HTML(r, p)
	if err != nil {
		t.Fatal(err)
	}
	page := string(made)
	found := regexp.MustCompile(`http-equiv="Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(page)
	if found == nil {
		t.Fatal("no policy")
	}
	policy := html.UnescapeString(found[1])
	if !strings.HasPrefix(policy, "default-src 'none'; img-src data:;") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") {
		t.Errorf("policy %q", policy)
	}
	elements := regexp.MustCompile(`(?s)<(style|script)>(.*?)</(?:style|script)>`).FindAllStringSubmatch(page, -1)
	if len(elements) != 6 {
		t.Errorf("%d elements of style and script, want 1 and 5", len(elements))
	}
	for _, e := range elements {
		hash := sha256.Sum256([]byte(e[2]))
		if !strings.Contains(policy, "'sha256-"+base64.StdEncoding.EncodeToString(hash[:])+"'") {
			t.Errorf("a %s of %d bytes is not in the policy", e[1], len(e[2]))
		}
	}
	for _, tag := range tags(page) {
		for _, bad := range []string{` style=`, ` on`, ` src=`, ` srcset=`, ` action=`} {
			if strings.Contains(tag, bad) {
				t.Errorf("%s has%s", tag, bad)
			}
		}
		if at := regexp.MustCompile(` href="([^"]*)"`).FindStringSubmatch(tag); at != nil && !strings.HasPrefix(at[1], "#") && at[1] != "data:," && html.UnescapeString(at[1]) != jobURL {
			t.Errorf("%s leads away", tag)
		}
	}
}

// tags are the tags of a page outside style and scripts.
func tags(page string) []string {
	return regexp.MustCompile(`(?s)<[!/a-zA-Z][^>]*>`).FindAllString(string(bodyOf([]byte(page))), -1)
}

// skeleton is a page's tags by name with the names of their attributes, without those that say name or prose and line breaks.
func skeleton(page string) []string {
	quoted, inline := regexp.MustCompile(`"[^"]*"`), regexp.MustCompile(`^</?(code|span|b|br)\b`)
	var out []string
	for _, tag := range tags(page) {
		if tag = quoted.ReplaceAllString(tag, `""`); !inline.MatchString(tag) {
			out = append(out, tag)
		}
	}
	return out
}

// hostilePage is a page in which every text that could come from the repository is s.
func hostilePage(t testing.TB, s string) string {
	t.Helper()
	run, c := hostile(s)
	for i := range run.Trials {
		for range 100 {
			run.Trials[i].Open.Latency.Record(time.Millisecond)
		}
	}
	run.GoRuntimes = []result.GoRuntime{{Variant: v("1"+s, plan.Head), Workload: s, Requests: 3}}
	run.Profiles = []result.Profile{{Variant: v("1"+s, plan.Head), Kind: result.ProfileKind(s), Notes: []string{"x" + s}, Invalid: "y" + s}}
	frame := profdiff.Frame{Name: s, File: "x" + s, Own: true, Base: 1, Head: 2, Calls: []profdiff.Frame{{Name: "y" + s, File: s, Base: 1, Head: 1}}}
	graph := profdiff.Graph{Service: s, Workload: s, Kind: result.ProfileKind("k" + s), Unit: s, Tool: s, HasBase: true, HasHead: true, Root: profdiff.Frame{Base: 1, Head: 2, Calls: []profdiff.Frame{frame}}}
	r := New(run, c, Options{Key: s, NewHead: s, Files: []string{s}, Job: Job{ID: 123, Attempt: 2, URL: jobURL}, Accepted: Acceptance{By: "x" + s, Label: s}})
	beyond := NewPage(run, []profdiff.Graph{graph})
	beyond.Undrawn = []string{"x" + s}
	page, err := HTML(r, beyond)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return string(page)
}

// hostileMarkup is what people have used to break out of HTML, beside hostileTexts.
func hostileMarkup() []string {
	return append(hostileTexts(), "</script><script>alert(1)</script>", "</SCRIPT ><script>", "<!--<script>", "]]>", `"><img src=x onerror=alert(1)>`, "'onmouseover='alert(1)",
		"` onclick=`alert(1)", "javascript:alert(1)", "</style><style>*{display:none}", "</title><h1>", "</pre><h1>", "\u2029alert(1)", "{{.Data}}", "${alert(1)}", `\u003cscript\u003e`, `\"},"x":[`, "&#60;script&#62;")
}

func checkHostilePage(t *testing.T, want []string, s string) {
	t.Helper()
	page := hostilePage(t, s)
	if diff := cmp.Diff(want, skeleton(page)); diff != "" {
		t.Errorf("%q changes the page's tags (-want +got):\n%s", s, diff)
	}
	embedded(t, page)
	if !utf8.ValidString(page) {
		t.Errorf("%q: the page is not UTF-8", s)
	}
	for _, char := range string(bodyOf([]byte(page))) {
		if char != '\n' && unicode.In(char, unicode.C, unicode.Zl, unicode.Zp) {
			t.Errorf("%q: control or format character %U survives", s, char)
		}
	}
}

// No text from the repository may leave its place in the page, or change its tags.
func FuzzHTML(f *testing.F) {
	want := skeleton(hostilePage(f, "harmless words"))
	if len(want) < 300 {
		f.Fatalf("the harmless page has only %d tags", len(want))
	}
	for _, s := range hostileMarkup() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { checkHostilePage(t, want, s) })
}

// uPlot is the file that its home says: assets/uplot/README.md.
func TestAssetsAreTheirs(t *testing.T) {
	readme, err := fs.ReadFile(assets, "assets/uplot/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"uPlot.iife.min.js", "uPlot.min.css", "LICENSE"} {
		text, err := fs.ReadFile(assets, "assets/uplot/"+file)
		if err != nil {
			t.Fatal(err)
		}
		if line := fmt.Sprintf("| `%s` | `%x` |", file, sha256.Sum256(text)); !strings.Contains(string(readme), line) {
			t.Errorf("assets/uplot/README.md does not say: %s", line)
		}
	}
}

func TestForest(t *testing.T) {
	row := newRow(row("go", "list", "p50", 1, 1.02, 0.01, compare.Regressed))
	got := newForest(row)
	if got == nil || got.At != "92.6" || marginBand() != (band{"57.4", "35.3"}) || got.Tone != "bad" {
		t.Errorf("an effect of the margin: got %+v, want its middle at the margin's end", got)
	}
	row.CI[1] = 99
	if got = newForest(row); got.High != "147.0" {
		t.Errorf("an interval beyond the drawing: got %+v, want its end inside", got)
	}
	row.CI = nil
	if got = newForest(row); got != nil {
		t.Errorf("no interval: got %+v", got)
	}
}
