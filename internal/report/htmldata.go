package report

import (
	"encoding/json"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strconv"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/profdiff"
	"github.com/duet-bench/duet/internal/result"
)

// maxFrameName is how many runes of a function's or a file's name a flame graph shows.
const maxFrameName = 300

// frameParts is what a frame's cost is counted in: parts of its graph's larger side, so that a page stays small.
const frameParts = 1_000_000

// pageData is what report.html's scripts draw. Its keys are theirs: assets/charts.js and assets/flame.js.
type pageData struct {
	Charts []chartData `json:"charts"`
	Names  []string    `json:"names"`  // of functions and files, each once
	Frames [][4]int    `json:"frames"` // function, file (-1: none), line, own (0 or 1), each once
	Graphs []graphData `json:"graphs"`
}

// chartData is one chart. Its x are percentiles of all lines, or each line's own moments.
type chartData struct {
	Kind     string     `json:"kind"` // percentiles or time
	Unit     string     `json:"unit"`
	Measures []string   `json:"measures"` // a reader chooses one
	X        []figure   `json:"x,omitempty"`
	Lines    []lineData `json:"lines"`
}

// lineData is one variant's line: per measure its values, and with them the ends of an interval where there is one.
type lineData struct {
	Name   string     `json:"name"`
	Colour int        `json:"colour"` // the service's place
	Head   bool       `json:"head"`
	X      []figure   `json:"x,omitempty"`
	Y      [][]figure `json:"y"`
	Low    []figure   `json:"low,omitempty"`
	High   []figure   `json:"high,omitempty"`
}

// graphData is a flame graph as columns: its frames in the order parent, first call with all below it, second call …
type graphData struct {
	Service  string   `json:"service"`
	Workload string   `json:"workload"`
	Kind     string   `json:"kind"` // in words
	Unit     string   `json:"unit"`
	Tool     string   `json:"tool"`
	Sides    [2]bool  `json:"sides"` // base, head
	Samples  [2]int64 `json:"samples"`
	Part     figure   `json:"part"` // what 1 of base and head is, in the unit
	Frame    []int    `json:"frame"`
	Calls    []int    `json:"calls"` // how many follow
	Base     []int    `json:"base"`
	Head     []int    `json:"head"`
	Z        []figure `json:"z"`
}

// figure is a number of which five digits are shown: NaN stands for none.
type figure float64

// MarshalJSON writes the digits.
func (f figure) MarshalJSON() ([]byte, error) {
	if v := float64(f); math.IsNaN(v) || math.IsInf(v, 0) {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, float64(f), 'g', 5, 64), nil
}

// dataScript is the data as an element that no text can end: encoding/json writes <, >, &, U+2028 and U+2029 as escapes.
func dataScript(d pageData) (template.HTML, error) {
	text, err := json.Marshal(d)
	if err != nil {
		return "", fmt.Errorf("encoding the page's figures: %w", err)
	}
	return template.HTML(`<script type="application/json" id="data">` + string(text) + "</script>"), nil
}

// latencyChart is one workload's curves.
func (r Report) latencyChart(curves []Curve) chartData {
	c := chartData{Kind: "percentiles", Unit: "s", Measures: []string{"latency"}}
	for _, curve := range curves {
		line := r.newLine(curve.Variant)
		line.Y = make([][]figure, 1)
		for i, p := range curve.Points {
			if i == len(c.X) {
				c.X = append(c.X, figure(p.Percentile))
			}
			low, high := math.NaN(), math.NaN()
			if p.CI != nil {
				low, high = p.CI[0], p.CI[1]
			}
			line.Y[0], line.Low, line.High = append(line.Y[0], figure(p.Seconds)), append(line.Low, figure(low)), append(line.High, figure(high))
		}
		c.Lines = append(c.Lines, line)
	}
	return c
}

// memoryChart is one workload's memory over time.
func (r Report) memoryChart(of []Memory) chartData {
	c := chartData{Kind: "time", Unit: "B", Measures: []string{"RSS", "PSS", "Pss_Anon"}}
	for _, m := range of {
		line := r.newLine(m.Variant)
		line.Y = make([][]figure, len(c.Measures))
		for _, p := range m.Curve {
			line.X = append(line.X, figure(p.At))
			for i, bytes := range []int64{p.RSS, p.PSS, p.PSSAnon} {
				line.Y[i] = append(line.Y[i], figure(bytes))
			}
		}
		c.Lines = append(c.Lines, line)
	}
	return c
}

// runtimeChart is one workload's pauses, as Go's own counters have them.
func (r Report) runtimeChart(of []result.GoRuntime) chartData {
	c := chartData{Kind: "percentiles", Unit: "s", Measures: []string{"GC pauses", "scheduling latency"}}
	for _, p := range percentiles() {
		c.X = append(c.X, figure(p))
	}
	for _, g := range of {
		line := r.newLine(g.Variant)
		for _, h := range []result.Histogram{g.GCPauses, g.SchedLatency} {
			var y []figure
			for _, p := range percentiles() {
				if at, ok := h.At(p); ok && float64(h.Count())*(100-p)/100 >= 1 {
					y = append(y, figure(at))
				}
			}
			line.Y = append(line.Y, y)
		}
		c.Lines = append(c.Lines, line)
	}
	return c
}

func (r Report) newLine(v plan.Variant) lineData {
	return lineData{Name: clean(v.String(), maxCell), Colour: max(0, slices.Index(r.order, v.Service)), Head: v.Side != plan.Base}
}

// drawing collects graphs and gives names and frames their numbers.
type drawing struct {
	data   *pageData
	names  map[string]int
	frames map[[4]int]int
}

func (d *drawing) name(s string) int {
	n, ok := d.names[s]
	if !ok {
		n = len(d.data.Names)
		d.names[s] = n
		d.data.Names = append(d.data.Names, clean(s, maxFrameName))
	}
	return n
}

func (d *drawing) frame(f profdiff.Frame) int {
	key := [4]int{d.name(f.Name), -1, max(0, f.Line), 0}
	if f.File != "" {
		key[1] = d.name(f.File)
	}
	if f.Own {
		key[3] = 1
	}
	n, ok := d.frames[key]
	if !ok {
		n = len(d.data.Frames)
		d.frames[key] = n
		d.data.Frames = append(d.data.Frames, key)
	}
	return n
}

func (d *drawing) add(g profdiff.Graph) {
	out := graphData{
		Service: clean(g.Service, maxCell), Workload: clean(g.Workload, maxCell), Kind: kindWords(g), Unit: clean(g.Unit, maxCell), Tool: clean(g.Tool, maxCell),
		Sides: [2]bool{g.HasBase, g.HasHead}, Samples: g.Samples,
	}
	part := math.Max(finite(g.Root.Base), finite(g.Root.Head)) / frameParts
	if part <= 0 {
		return // nothing was sampled
	}
	out.Part = figure(part)
	parts := func(v float64) int { return int(math.Round(math.Min(math.Max(finite(v)/part, 0), 2*frameParts))) }
	var walk func(f profdiff.Frame)
	walk = func(f profdiff.Frame) {
		out.Frame, out.Calls = append(out.Frame, d.frame(f)), append(out.Calls, len(f.Calls))
		out.Base, out.Head = append(out.Base, parts(f.Base)), append(out.Head, parts(f.Head))
		out.Z = append(out.Z, figure(math.Round(10*finite(f.Z))/10))
		for _, c := range f.Calls {
			walk(c)
		}
	}
	walk(g.Root)
	d.data.Graphs = append(d.data.Graphs, out)
}

// kindWords is what a graph's frames cost, as people say it.
func kindWords(g profdiff.Graph) string {
	bytes := g.Unit == "B"
	switch {
	case g.Kind == result.ProfileCPU:
		return "CPU time"
	case g.Kind == result.ProfileAllocs && bytes:
		return "bytes allocated"
	case g.Kind == result.ProfileAllocs:
		return "objects allocated"
	case g.Kind == result.ProfileHeap && bytes:
		return "heap in use"
	case g.Kind == result.ProfileHeap:
		return "objects in use"
	case g.Kind == result.ProfileMutex && g.Unit == "s":
		return "time lost to locks"
	case g.Kind == result.ProfileMutex:
		return "lock contention"
	case g.Kind == result.ProfileBlock && g.Unit == "s":
		return "time waiting"
	case g.Kind == result.ProfileBlock:
		return "waits"
	case g.Kind == result.ProfileGoroutine:
		return "goroutines"
	}
	return clean(string(g.Kind), maxCell)
}
