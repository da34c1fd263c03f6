package dashboard

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/duet-bench/duet/internal/history"
	"github.com/duet-bench/duet/internal/report"
)

// monthFile has the nights of a month, each in full: what a click on a point shows.
type monthFile struct {
	// Keys are the rows there are, three numbers each: service, workload, metric. A night's rows are in their order.
	Keys   []int                `json:"keys"`
	Pairs  []int                `json:"pairs"` // the gaps there are: pair, workload, metric
	Nights map[string]nightFile `json:"nights"`
}

type nightFile struct {
	Facts   [][2]string       `json:"facts"` // what a person wants to know of the machine and the toolchains: label, text
	Ratio   json.RawMessage   `json:"r"`     // ten-thousandths over 1; null: no such row, or not compared
	Low     json.RawMessage   `json:"l"`     // ten-thousandths below the ratio
	High    json.RawMessage   `json:"h"`
	Value   []json.RawMessage `json:"v"` // of the commit
	Noise   json.RawMessage   `json:"e"` // ten-thousandths
	Rounds  json.RawMessage   `json:"o,omitempty"`
	Verdict string            `json:"verdict"` // a letter a row
	Gap     json.RawMessage   `json:"g"`
	GapLow  json.RawMessage   `json:"gl"`
	GapHigh json.RawMessage   `json:"gh"`
}

// verdictLetters are a row's verdict in the file. "=": identical, "-": no such row that night.
var verdictLetters = map[string]string{"improved": "i", "regressed": "r", "unchanged": "u", "inconclusive": "c"}

type rowKey struct{ service, workload, metric int }

// month writes the nights in full.
func (s *site) month(nights []int) monthFile {
	rows, gaps := map[rowKey]bool{}, map[rowKey]bool{}
	for _, n := range nights {
		for _, r := range s.in.Entries[n].Rows {
			rows[s.rowKey(r)] = true
		}
		for _, g := range s.in.Entries[n].Gaps {
			gaps[s.gapKey(g)] = true
		}
	}
	rowKeys, gapKeys := sorted(rows), sorted(gaps)
	f := monthFile{Keys: flat(rowKeys), Pairs: flat(gapKeys), Nights: map[string]nightFile{}}
	for _, n := range nights {
		f.Nights[fmt.Sprint(n)] = s.night(s.in.Entries[n], rowKeys, gapKeys)
	}
	return f
}

func (s *site) rowKey(r history.Row) rowKey {
	return rowKey{s.serviceNo[r.Service], s.workloadNo[r.Workload], s.metricNo[r.Metric]}
}

func (s *site) gapKey(g history.Gap) rowKey {
	return rowKey{s.pairNo[g.Pair], s.workloadNo[g.Workload], s.metricNo[g.Metric]}
}

func sorted(set map[rowKey]bool) []rowKey {
	return slices.SortedFunc(maps.Keys(set), func(a, b rowKey) int {
		return slices.Compare([]int{a.workload, a.metric, a.service}, []int{b.workload, b.metric, b.service})
	})
}

func flat(keys []rowKey) []int {
	out := []int{}
	for _, k := range keys {
		out = append(out, k.service, k.workload, k.metric)
	}
	return out
}

// night writes an entry's rows and gaps in the order of the keys.
func (s *site) night(e history.Entry, rowKeys, gapKeys []rowKey) nightFile {
	rows := map[rowKey]history.Row{}
	for _, r := range e.Rows {
		rows[s.rowKey(r)] = r
	}
	n := len(rowKeys)
	ratio, low, high := make([]float64, n), make([]float64, n), make([]float64, n)
	value, noise, rounds := make([]json.RawMessage, n), make([]float64, n), make([]float64, n)
	var verdict strings.Builder
	for i, k := range rowKeys {
		r, ok := rows[k]
		ratio[i], low[i], high[i] = orMissing(r.Ratio)-1, orMissing(r.Ratio)-orMissing(r.Low), orMissing(r.High)-orMissing(r.Ratio)
		value[i], noise[i], rounds[i] = short(r.Commit), orMissing(r.Noise), float64(r.Rounds)
		letter, known := verdictLetters[r.Verdict]
		switch {
		case !ok:
			letter = "-"
		case r.Identical:
			letter = "="
		case !known:
			letter = "n"
		}
		verdict.WriteString(letter)
	}
	f := nightFile{
		Facts: facts(e), Ratio: steps(ratio, 1e4), Low: steps(low, 1e4), High: steps(high, 1e4), Value: value,
		Noise: steps(noise, 1e4), Rounds: deltas(rounds, 1), Verdict: verdict.String(),
	}
	f.Gap, f.GapLow, f.GapHigh = s.gapColumns(e, gapKeys)
	return f
}

func (s *site) gapColumns(e history.Entry, keys []rowKey) (gap, low, high json.RawMessage) {
	gaps := map[rowKey]history.Gap{}
	for _, g := range e.Gaps {
		gaps[s.gapKey(g)] = g
	}
	n := len(keys)
	r, l, h := make([]float64, n), make([]float64, n), make([]float64, n)
	for i, k := range keys {
		g := gaps[k]
		r[i] = orMissing(g.Ratio)
		l[i], h[i] = r[i]-orMissing(g.Low), orMissing(g.High)-r[i]
	}
	return steps(r, 1e4), steps(l, 1e4), steps(h, 1e4)
}

// facts are what a night's figures depend on, for people.
func facts(e history.Entry) [][2]string {
	out := [][2]string{}
	add := func(label, text string) {
		if text != "" {
			out = append(out, [2]string{label, report.Clean(text, maxReason)})
		}
	}
	m := e.Machine
	add("CPU", m.CPU)
	if m.Cores > 0 {
		add("Cores", fmt.Sprint(m.Cores))
	}
	if m.Memory > 0 {
		add("Memory", report.Quantity(float64(m.Memory), "B"))
	}
	add("System", strings.TrimSpace(m.OS+" "+m.Arch+" "+m.Kernel))
	add("Isolation", m.Isolation)
	add("Turns", m.Turns)
	for _, tool := range slices.Sorted(maps.Keys(e.Toolchains)) {
		add(name(tool), e.Toolchains[tool])
	}
	add("Duet", e.Duet)
	add("Configuration", e.Config)
	if e.SelfCheck != nil {
		add("Self-check", fmt.Sprintf("%d of %d rows called moved where nothing had", len(e.SelfCheck.False), e.SelfCheck.Rows))
	}
	if e.Previous != nil {
		add("Moves the anchor from", e.Previous.SHA)
	}
	return out
}

// short is a value with four significant digits, and none where it is no figure.
func short(v float64) json.RawMessage {
	if math.IsNaN(orMissing(v)) {
		return json.RawMessage("null")
	}
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'e', 3, 64), 64)
	text, err := json.Marshal(rounded)
	if err != nil {
		return json.RawMessage("null")
	}
	return text
}
