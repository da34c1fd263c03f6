package report

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io/fs"
	"slices"
	"strings"

	"github.com/duet-bench/duet/internal/result"
)

// assets are report.html's template, style and scripts; assets/README.md says whose they are.
//
//go:embed assets/page.html assets/page.css assets/page.js assets/charts.js assets/stacks.js assets/flame.js assets/uplot
var assets embed.FS

// maxHTMLName is how many runes of an untrusted name a page shows: it has more room than a comment.
const maxHTMLName = 200

// document is what the template lays out.
type document struct {
	Report
	Policy    string // of the page's content
	Style     template.HTML
	Scripts   []template.HTML
	Data      template.HTML
	Moved     []htmlTable
	Rest      string
	Whys      []htmlWhy
	Rows      htmlTable
	Margin    band
	Verdicts  []verdictCount
	Gaps      htmlTable
	Beside    []htmlTable
	Latency   []htmlChart
	Memories  []htmlChart
	Runtimes  []htmlChart
	Graphs    int
	Pruned    string
	Unseen    []string // what no flame graph shows, and why
	Builds    htmlTable
	ParityIs  string
	Broken    []htmlLog
	Answers   []htmlLog
	Facts     []Text
	Command   string
	JobWords  string
	Origin    Text
	BesideIs  string
	Described string
}

// htmlChart is a chart's place: its number among the page's data, and the same figures as a table.
type htmlChart struct {
	Title Text
	Index int
	Table htmlTable
}

// htmlWhy is what one regression is put down to.
type htmlWhy struct {
	Title Text
	Table htmlTable
	Words Text
}

// htmlLog is untrusted lines under a title.
type htmlLog struct {
	Title Text
	Lines []string
}

// HTML writes report.html: one file that needs no other and asks for nothing, by its own policy. Scripts and style run by
// their hashes alone, so that a name which broke out of its place would still not run.
func HTML(r Report, x Page) ([]byte, error) {
	d := r.document(x)
	style, styleHash, err := element("style", "assets/uplot/uPlot.min.css", "assets/page.css")
	if err != nil {
		return nil, err
	}
	d.Style = style
	d.Policy = "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; style-src " + styleHash + "; script-src"
	for _, files := range [][]string{{"assets/uplot/LICENSE", "assets/uplot/uPlot.iife.min.js"}, {"assets/page.js"}, {"assets/charts.js"}, {"assets/stacks.js"}, {"assets/flame.js"}} {
		script, hash, err := element("script", files...)
		if err != nil {
			return nil, err
		}
		d.Scripts, d.Policy = append(d.Scripts, script), d.Policy+" "+hash
	}
	if d.Data, err = dataScript(r.pageData(x, &d)); err != nil {
		return nil, err
	}
	page, err := template.New("page.html").Funcs(template.FuncMap{"pieces": pieces, "line": logLine}).ParseFS(assets, "assets/page.html")
	if err != nil {
		return nil, fmt.Errorf("reading the page's template: %w", err)
	}
	var out bytes.Buffer
	if err := page.Execute(&out, d); err != nil {
		return nil, fmt.Errorf("writing report.html: %w", err)
	}
	return out.Bytes(), nil
}

// element is files of ours as one inline element, a licence as a comment, and its content's hash as a policy names it.
func element(name string, files ...string) (template.HTML, string, error) {
	var text strings.Builder
	text.WriteByte('\n')
	for _, file := range files {
		content, err := fs.ReadFile(assets, file)
		if err != nil {
			return "", "", fmt.Errorf("reading the page's %s: %w", name, err)
		}
		if content = bytes.TrimSpace(content); strings.HasSuffix(file, "/LICENSE") {
			content = []byte("/*\n" + string(content) + "\n*/")
		}
		text.Write(content)
		text.WriteByte('\n')
	}
	if strings.Contains(strings.ToLower(text.String()), "</"+name) {
		return "", "", fmt.Errorf("reading the page's %s: %v holds %q, which would end it", name, files, "</"+name)
	}
	hash := sha256.Sum256([]byte(text.String()))
	return template.HTML("<" + name + ">" + text.String() + "</" + name + ">"),
		"'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'", nil
}

// document gathers the page's parts, without what scripts draw.
func (r Report) document(x Page) document {
	d := document{
		Report: r, Rows: r.rowTable(), Margin: marginBand(), Gaps: r.gapHTML(), Builds: plainTable("builds", "What building cost", r.buildTable()),
		Verdicts: r.verdictCounts(), Facts: r.circumstances(), Command: r.command(), Origin: r.origin(), Described: besideWords,
		Pruned: share(known(x.Pruned)), Unseen: slices.Concat(x.Undrawn[:min(len(x.Undrawn), maxListed)], x.Notes),
	}
	tables := r.movedTables()
	for i, t := range tables {
		d.Moved = append(d.Moved, plainTable(fmt.Sprintf("moved-%d", i), "What moved", t))
	}
	d.Rest = r.rest(tables)
	for i, w := range r.Why {
		d.Whys = append(d.Whys, htmlWhy{Title: w.title(r), Table: plainTable(fmt.Sprintf("why-%d", i), "Functions to blame", w.table()), Words: w.words()})
	}
	if len(r.Beside) > 0 {
		d.BesideIs = r.besideTitle()
		for i, t := range r.besideTables() {
			d.Beside = append(d.Beside, plainTable(fmt.Sprintf("beside-%d", i), "All services at head", t))
		}
	}
	for _, f := range r.broken() {
		d.Broken = append(d.Broken, htmlLog{
			Title: append(r.label(f.Variant.Service), plain(" at "+string(sideWord(f.Variant.Side))+":")), Lines: append(errorLines(f), f.LogTail...),
		})
	}
	if r.Parity != nil {
		d.ParityIs = r.parityTitle()
		for _, e := range r.Parity.Examples[:min(len(r.Parity.Examples), maxListed)] {
			d.Answers = append(d.Answers, htmlLog{
				Title: say(name(e.A.String()), plain(" against "), name(e.B.String()), plain(", "), name(e.Workload), plain(", "), name(e.Request), plain(": "), name(e.What), plain(" differs")),
				Lines: e.Diff[:min(len(e.Diff), maxTail)],
			})
		}
	}
	if r.Job != nil {
		d.JobWords = fmt.Sprintf("run %d.%d", r.Job.ID, r.Job.Attempt)
	}
	return d
}

// pageData gathers what scripts draw, and gives each chart its place in the document.
func (r Report) pageData(x Page, d *document) pageData {
	data := pageData{Charts: []chartData{}, Names: []string{}, Frames: [][4]int{}, Graphs: []graphData{}}
	place := func(title Text, c chartData, t htmlTable) htmlChart {
		data.Charts = append(data.Charts, c)
		return htmlChart{Title: title, Index: len(data.Charts) - 1, Table: t}
	}
	for i, of := range byWorkload(x.Latency, func(c Curve) string { return c.Workload }) {
		d.Latency = append(d.Latency, place(say(name(of[0].Workload)), r.latencyChart(of), latencyTable(i, of)))
	}
	for i, of := range byWorkload(r.Memory, func(m Memory) string { return m.Workload }) {
		d.Memories = append(d.Memories, place(say(name(of[0].Workload)), r.memoryChart(of), memoryTable(i, of)))
	}
	for i, of := range byWorkload(x.Runtimes, func(g result.GoRuntime) string { return g.Workload }) {
		d.Runtimes = append(d.Runtimes, place(say(name(of[0].Workload)), r.runtimeChart(of), runtimeTable(i, of)))
	}
	drawing := drawing{data: &data, names: map[string]int{}, frames: map[[4]int]int{}}
	for _, g := range x.Graphs {
		drawing.add(g)
	}
	d.Graphs = len(data.Graphs)
	return data
}

// byWorkload groups items, workloads and items in the order given.
func byWorkload[T any](items []T, workload func(T) string) [][]T {
	var out [][]T
	at := map[string]int{}
	for _, item := range items {
		i, ok := at[workload(item)]
		if !ok {
			i = len(out)
			at[workload(item)] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], item)
	}
	return out
}

// logLine is an untrusted line of a log or a difference.
func logLine(s string) string { return clean(s, maxLogLine) }

// piece is a span as the template writes it.
type piece struct {
	Lines []string // more than one: with line breaks between
	Name  bool
	Bold  bool
	Mark  bool
	Tone  string // good, bad, doubt or nothing
}

func pieces(t Text) []piece {
	out := make([]piece, 0, len(t))
	for _, s := range t {
		p := piece{Name: s.Name, Bold: s.Bold, Mark: s.Mark, Tone: [...]string{Neutral: "", Good: "good", Bad: "bad", Doubt: "doubt"}[s.Tone]}
		switch {
		case s.Mark:
		case s.Name:
			text := clean(s.Text, maxHTMLName)
			if strings.TrimSpace(text) == "" {
				text = "(empty)"
			}
			p.Lines = []string{text}
		default:
			p.Lines = strings.Split(s.Text, "\n")
		}
		out = append(out, p)
	}
	return out
}
