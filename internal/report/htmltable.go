package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/result"
)

// htmlTable is a table that a reader can sort by any column.
type htmlTable struct {
	ID      string // in the page and in its fragment
	Caption string
	Title   Text
	Columns []htmlColumn
	Rows    []htmlRow
	Sorts   bool
}

// htmlColumn is one column. Key names it in the fragment.
type htmlColumn struct {
	Key    string
	Title  Text
	Number bool // sorted by value, set at the right
}

// htmlRow is one row; Verdict is what a reader filters by.
type htmlRow struct {
	Verdict string
	Cells   []htmlCell
}

// htmlCell is one cell. Value is what it is sorted by where it is a number, "" for none.
type htmlCell struct {
	Text   Text
	Value  string
	Forest *forest
	Number bool
}

// forest is a row's interval drawn against its margin, 150 wide: what lies further out is drawn closer together.
type forest struct {
	Low, High, At string
	Tone          string
}

// band is where a margin lies in every forest.
type band struct{ Low, Width string }

func marginBand() band {
	reach := forestScale * math.Asinh(1)
	return band{Low: forestNumber(forestMiddle - reach), Width: forestNumber(2 * reach)}
}

func forestNumber(x float64) string { return strconv.FormatFloat(x, 'f', 1, 64) }

const (
	forestMiddle = 75.0
	forestScale  = 20.0 // of the inverse hyperbolic sine of an effect in margins: one margin is 17.6 away, ten are 60
	forestReach  = 72.0
)

// newForest is nil where a row has no interval or no margin.
func newForest(row Row) *forest {
	if row.CI == nil || row.Margin <= 0 || row.CI[0] <= 0 || row.CI[1] <= 0 {
		return nil
	}
	place := func(ratio float64) float64 {
		x := forestScale * math.Asinh(math.Log(ratio)/math.Log1p(row.Margin))
		return forestMiddle + math.Max(-forestReach, math.Min(forestReach, x))
	}
	low, high := place(row.CI[0]), place(row.CI[1])
	at := (low + high) / 2
	if row.Ratio != nil && *row.Ratio > 0 {
		at = place(*row.Ratio)
	}
	return &forest{Low: forestNumber(low), High: forestNumber(math.Max(high, low+1)), At: forestNumber(at), Tone: verdictTone(row.Verdict)}
}

func verdictTone(v compare.Verdict) string {
	switch v {
	case compare.Regressed:
		return "bad"
	case compare.Improved:
		return "good"
	case compare.Inconclusive:
		return "doubt"
	}
	return "neutral"
}

// verdictCount is a verdict and how many rows have it.
type verdictCount struct {
	Word  string
	Key   string
	Count int
}

// verdictKey is a row's verdict in a fragment: one word.
func verdictKey(row Row) string {
	switch {
	case row.Identical:
		return "identical"
	case row.Verdict == compare.NotJudged:
		return "not-judged"
	}
	return row.Verdict.String()
}

func (r Report) verdictCounts() []verdictCount {
	out := []verdictCount{
		{Word: "regressed", Key: "regressed"}, {Word: "improved", Key: "improved"}, {Word: "inconclusive", Key: "inconclusive"},
		{Word: "unchanged", Key: "unchanged"}, {Word: "identical", Key: "identical"}, {Word: "not judged", Key: "not-judged"},
	}
	for _, row := range r.Rows {
		for i := range out {
			if out[i].Key == verdictKey(row) {
				out[i].Count++
			}
		}
	}
	kept := out[:0]
	for _, v := range out {
		if v.Count > 0 {
			kept = append(kept, v)
		}
	}
	return kept
}

func textColumn(key, title string) htmlColumn {
	return htmlColumn{Key: key, Title: say(plain(title))}
}

func numberColumn(key, title string) htmlColumn {
	return htmlColumn{Key: key, Title: say(plain(title)), Number: true}
}

func words(t ...Span) htmlCell { return htmlCell{Text: t} }

// number is a cell that is sorted by v.
func number(v *float64, text string) htmlCell {
	c := htmlCell{Text: say(plain(text)), Number: true}
	if v != nil {
		c.Value = strconv.FormatFloat(*v, 'g', -1, 64)
	}
	return c
}

func amountOf(v *float64, unit string) htmlCell { return number(v, quantity(v, unit)) }

// rowTable is every row with all that its verdict stands on.
func (r Report) rowTable() htmlTable {
	t := htmlTable{ID: "rows", Caption: "All rows", Sorts: true, Columns: []htmlColumn{
		textColumn("service", "service"), textColumn("workload", "workload"), textColumn("metric", "metric"), textColumn("verdict", "verdict"),
		numberColumn("change", "change [interval]"), textColumn("interval", "against the margin"), numberColumn("base", "base"), numberColumn("head", "head"),
		numberColumn("margin", "margin"), numberColumn("detectable", "detectable"), numberColumn("noise", "noise"), numberColumn("rounds", "rounds"), textColumn("why", "why"),
	}}
	for _, row := range r.Rows {
		workload, why := words(plain(none)), words()
		if row.Workload != "" {
			workload = words(name(row.Workload))
		}
		if row.Why != "" {
			why = words(prose(row.Why))
		}
		moved := effect(row)
		if row.Identical {
			moved = none
		}
		rounds := known(float64(row.Rounds))
		roundsText := none
		if rounds != nil {
			roundsText = count(row.Rounds)
		}
		if row.MoreRounds > 0 {
			roundsText += " (" + count(row.MoreRounds) + " more)"
		}
		t.Rows = append(t.Rows, htmlRow{Verdict: verdictKey(row), Cells: []htmlCell{
			{Text: r.label(row.Service)}, workload, words(metricLabel(row.Metric)), {Text: verdictText(row)}, number(row.Ratio, moved),
			{Forest: newForest(row)}, amountOf(row.Base, row.Unit), amountOf(row.Head, row.Unit), number(known(row.Margin), share(known(row.Margin))),
			number(row.Detectable, share(row.Detectable)), number(row.Noise, share(row.Noise)), number(rounds, roundsText), why,
		}})
	}
	return t
}

// gapHTML is Rust ÷ Go of every metric, with intervals.
func (r Report) gapHTML() htmlTable {
	t := htmlTable{ID: "gaps", Caption: "One language against the other", Sorts: true, Columns: []htmlColumn{
		textColumn("pair", "pair"), textColumn("workload", "workload"), textColumn("metric", "metric"),
		numberColumn("base", "at base"), numberColumn("head", "at head [interval]"), numberColumn("change", "change [interval]"),
	}}
	for _, g := range r.Gaps {
		head, moved := factor(g.Head), percentOf(g.Ratio)
		if g.HeadCI != nil {
			head += " [" + factor(&g.HeadCI[0]) + ", " + factor(&g.HeadCI[1]) + "]"
		}
		if g.CI != nil {
			moved += " " + interval(g.CI)
		}
		workload := words(plain(none))
		if g.Workload != "" {
			workload = words(name(g.Workload))
		}
		t.Rows = append(t.Rows, htmlRow{Cells: []htmlCell{words(name(g.Pair)), workload, words(metricLabel(g.Metric)),
			number(g.Base, factor(g.Base)), number(g.Head, head), number(g.Ratio, moved)}})
	}
	return t
}

// plainTable is a table of a comment, as it stands there.
func plainTable(id, caption string, of table) htmlTable {
	t := htmlTable{ID: id, Caption: caption, Title: of.title}
	for _, title := range of.header {
		t.Columns = append(t.Columns, htmlColumn{Title: title})
	}
	for _, cells := range of.rows {
		var row htmlRow
		for _, c := range cells {
			row.Cells = append(row.Cells, htmlCell{Text: c})
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// latencyTable is a chart's curves where most readers look, in figures.
func latencyTable(i int, of []Curve) htmlTable {
	shown := []float64{50, 90, 95, 99, 99.9, 99.99}
	t := htmlTable{ID: fmt.Sprintf("latency-%d", i), Caption: "Latency in figures", Sorts: true, Columns: []htmlColumn{textColumn("variant", "variant")}}
	for _, p := range shown {
		label := "p" + strconv.FormatFloat(p, 'f', -1, 64)
		t.Columns = append(t.Columns, numberColumn(label, label))
	}
	t.Columns = append(t.Columns, numberColumn("requests", "requests"), numberColumn("rounds", "rounds"))
	for _, c := range of {
		cells := []htmlCell{words(name(c.Variant.String()))}
		for _, p := range shown {
			cells = append(cells, c.cell(p))
		}
		requests, rounds := float64(c.Requests), float64(c.Rounds)
		t.Rows = append(t.Rows, htmlRow{Cells: append(cells, number(&requests, count(c.Requests)), number(&rounds, count(c.Rounds)))})
	}
	return t
}

// cell is one percentile with its interval, in one unit: "441 µs [436, 447]".
func (c Curve) cell(percentile float64) htmlCell {
	for _, p := range c.Points {
		if p.Percentile != percentile {
			continue
		}
		text := quantity(&p.Seconds, "s")
		if p.CI != nil {
			by := scaleFor("s", p.Seconds).by
			text += " [" + figures(p.CI[0]/by) + ", " + figures(p.CI[1]/by) + "]"
		}
		return number(&p.Seconds, text)
	}
	return number(nil, none)
}

func memoryTable(i int, of []Memory) htmlTable {
	t := htmlTable{ID: fmt.Sprintf("memory-%d", i), Caption: "Memory and cold start in figures", Sorts: true, Columns: []htmlColumn{
		textColumn("variant", "variant"), numberColumn("rss", "peak RSS"), numberColumn("pss", "peak PSS"), numberColumn("anon", "peak Pss_Anon"), numberColumn("cold", "cold start"),
	}}
	heap := slices.ContainsFunc(of, func(m Memory) bool { return m.HeapInUse != nil })
	if heap {
		t.Columns = append(t.Columns, numberColumn("heap", "heap in use"))
	}
	for _, m := range of {
		row := htmlRow{Cells: []htmlCell{words(name(m.Variant.String())), amountOf(m.PeakRSS, "B"), amountOf(m.PeakPSS, "B"),
			amountOf(m.PeakAnon, "B"), amountOf(m.ColdStart, "s")}}
		if heap {
			row.Cells = append(row.Cells, amountOf(m.HeapInUse, "B"))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// runtimeTable is what Go's own counters say. Cycles, objects and bytes are by request, so that windows can differ.
func runtimeTable(i int, of []result.GoRuntime) htmlTable {
	t := htmlTable{ID: fmt.Sprintf("runtime-%d", i), Caption: "Go's own counters", Sorts: true, Columns: []htmlColumn{
		textColumn("variant", "variant"), numberColumn("cycles", "GCs per 1,000 requests"), numberColumn("share", "GC share of CPU"), numberColumn("pause50", "pause p50"),
		numberColumn("pause99", "pause p99"), numberColumn("sched99", "scheduling p99"), numberColumn("live", "live heap"),
		numberColumn("objects", "objects per request"), numberColumn("bytes", "bytes per request"), numberColumn("goroutines", "goroutines"),
	}}
	for _, g := range of {
		each := func(n int64, times float64) *float64 {
			if g.Requests <= 0 {
				return nil
			}
			v := float64(n) * times / float64(g.Requests)
			return &v
		}
		at := func(h result.Histogram, p float64) htmlCell {
			v, _ := h.At(p)
			return amountOf(known(v), "s")
		}
		cycles, goroutines := each(g.GCCycles, 1000), float64(g.Goroutines)
		t.Rows = append(t.Rows, htmlRow{Cells: []htmlCell{
			words(name(g.Variant.String())), amountOf(cycles, ""), number(&g.GCCPUShare, share(&g.GCCPUShare)), at(g.GCPauses, 50), at(g.GCPauses, 99), at(g.SchedLatency, 99),
			amountOf(known(float64(g.HeapLive)), "B"), amountOf(each(g.AllocObjects, 1), ""), amountOf(each(g.AllocBytes, 1), "B"), number(&goroutines, count(g.Goroutines)),
		}})
	}
	return t
}
