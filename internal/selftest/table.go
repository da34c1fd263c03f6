package selftest

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/report"
)

// Table is a table before any format, with the sentence that says how to read it.
type Table struct {
	Title  string
	Note   string
	Header []string
	Rows   [][]string
}

// Tables are the findings to be shown, in the order of a reader's questions.
func (f Findings) Tables() []Table {
	all := []Table{f.falseTable(), f.foundTable(), f.peerTable(), f.noiseTable()}
	return slices.DeleteFunc(all, func(t Table) bool { return len(t.Rows) == 0 })
}

// Summary says what the tables stand on: the machine, the bank, the size of a report.
func (f Findings) Summary() []string {
	var rounds []string
	for _, name := range slices.Sorted(maps.Keys(f.Rounds.Timing)) {
		rounds = append(rounds, fmt.Sprintf("%d timing rounds of %s", f.Rounds.Timing[name], name))
	}
	rounds = append(rounds, fmt.Sprintf("%d callgrind rounds", f.Rounds.Counting))
	lines := []string{
		fmt.Sprintf("Machine: %s (%s). %d × %s, %s.", f.Kind, f.KindWhy, f.Machine.Cores, f.Machine.CPU, f.Machine.Kernel),
		fmt.Sprintf("Bank: %s; sessions: %d. %d trials, %s of measuring; %d of them and %d callgrind windows do not count.",
			strings.Join(rounds, ", "), f.Sessions, f.Rounds.Trials, time.Duration(f.Rounds.MeasuredSeconds*float64(time.Second)).Round(time.Second), f.Rounds.Invalid, f.Rounds.InvalidCosts),
		fmt.Sprintf("Report: looks after %s rounds and %d to %d to confirm (%.0f s of screening a workload), callgrind after %s and %d; judged as every report is.",
			list(f.Report.Looks), f.Report.Confirm, f.Report.ConfirmMost, f.Report.PerWorkload, list(f.Report.CountLooks), f.Report.CountConfirm),
	}
	for _, w := range f.Warnings {
		lines = append(lines, "Note: "+w+".")
	}
	return lines
}

// Ways are what stands between the plants and their aims.
func (f Findings) Ways() []string {
	var lines []string
	for _, row := range first(f.False.WhichRows) {
		lines = append(lines, "false in the bank: "+row)
	}
	if f.Simulation != nil {
		for _, row := range first(f.Simulation.WhichRows) {
			lines = append(lines, "false in the simulation: "+row)
		}
	}
	for _, x := range f.Named {
		for _, row := range first(x.WhichRows) {
			lines = append(lines, fmt.Sprintf("%s of %s was named: %s", x.Plant, x.Lang, row))
		}
	}
	few := 0
	for _, x := range f.Found {
		if x.Outcome == TooFew {
			few++
		}
		if x.Way != "" {
			lines = append(lines, fmt.Sprintf("%s, %s: %s: %s", x.Plant, rowName(x.Lang, x.Workload, x.Metric), x.Outcome, x.Way))
		}
	}
	if few > 0 {
		lines = append(lines, fmt.Sprintf("%d rows have fewer than the %d disjoint reports that an answer takes: a longer bank has them", few, enough))
	}
	return lines
}

// first are the first of many rows.
func first(rows []string) []string {
	const most = 5
	return rows[:min(most, len(rows))]
}

func list(numbers []int) string {
	if len(numbers) == 0 {
		return "no"
	}
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(numbers), " ", ", "), "[]")
}

// rowName is "go · CPU"; another workload than the heavy one is named.
func rowName(lang plan.Lang, workload, metric string) string {
	if workload == Heavy {
		return string(lang) + " · " + label(metric)
	}
	return string(lang) + " · " + workload + " · " + label(metric)
}

// falseTable is what must not be named.
func (f Findings) falseTable() Table {
	t := Table{
		Title:  "False alarms",
		Header: []string{"reports that name something", "disjoint", "resampled", "simulated", "aim", "outcome"},
		Note: "k of n reports with the 95 % Wilson interval. Disjoint reports share no round. Resampled ones do, so they have no interval. " +
			"Simulated ones are resampled ones whose rounds have their two sides, which are the same program, swapped by a coin.",
	}
	simulated := none
	if f.Simulation != nil {
		simulated = f.Simulation.False.words()
	}
	t.Rows = append(t.Rows, []string{"base against itself, both languages", f.False.Disjoint.words(), brief(f.False.Resampled), simulated, aimWords(falseAim, "≤"), f.False.outcomeWords()})
	if f.False.Rows.N > 0 {
		t.Rows = append(t.Rows, []string{"  the same by rows", f.False.Rows.words(), none, none, none, none})
	}
	for _, x := range f.Named {
		t.Rows = append(t.Rows, []string{string(x.Lang) + ": " + x.About, x.Disjoint.words(), brief(x.Resampled), none, aimWords(falseAim, "≤"), string(x.Outcome)})
	}
	return t
}

func (f FalseReports) outcomeWords() string {
	if f.Outcome == TooFew {
		return string(f.Outcome)
	}
	return fmt.Sprintf("%s (%s)", f.Outcome, f.JudgedBy)
}

func aimWords(aim float64, relation string) string {
	if aim == 0 {
		return none
	}
	return fmt.Sprintf("%s %.0f %%", relation, 100*aim)
}

// foundTable is what must be named.
func (f Findings) foundTable() Table {
	t := Table{
		Title:  "Plants",
		Header: []string{"plant", "row", "reads ± noise", "needs", "found, disjoint", "resampled", "otherwise", "aim", "outcome"},
		Note: "Found: the row is called regressed. Reads: the effect over the whole bank and its SD between rounds. Needs: fresh rounds to be found as often as aimed at. " +
			"Rows are of json-pipeline unless they name another workload. " +
			"Otherwise: what the row is called where it is not found, in resampled reports where there are any.",
	}
	for _, x := range f.Found {
		tally := x.Disjoint
		if x.Resampled.Found.N > 0 {
			tally = x.Resampled
		}
		t.Rows = append(t.Rows, []string{
			x.Plant, rowName(x.Lang, x.Workload, x.Metric), x.reads(), x.needed(), x.Disjoint.Found.words(), brief(x.Resampled.Found),
			orNone(strings.Join(tally.otherwise(), ", ")), aimWords(x.Aim, "≥"), orNone(string(x.Outcome)),
		})
	}
	return t
}

func (f Found) reads() string {
	if f.Rounds == 0 {
		return none
	}
	return percent(f.Effect) + " ± " + share2(f.Noise)
}

func (f Found) needed() string {
	switch {
	case f.Rounds == 0 || f.Aim == 0:
		return none
	case f.NeedRounds == 0:
		return "never"
	}
	return fmt.Sprint(f.NeedRounds)
}

// peerTable sets Duet beside peers' rules on the same samples.
func (f Findings) peerTable() Table {
	t := Table{
		Title:  "Beside peers' rules, on the same rounds",
		Header: slices.Concat([]string{"plant", "row", "Duet"}, Rules()),
		Note: "First line: reports of base against itself in which a rule alarms in any row it looks at; for the sequential rule, pairs of stretches of one row. " +
			"The others: plants found with the right sign. The sequential rule looks at p50 and Welch's test at all latencies of the workload, whatever the row.",
	}
	ours := f.False.Disjoint
	if f.False.Resampled.N > 0 {
		ours = f.False.Resampled
	}
	t.Rows = append(t.Rows, slices.Concat([]string{Again, "false alarms", brief(ours)}, peerCells(f.False.Peers)))
	for _, x := range f.Found {
		duet := Share{K: x.Disjoint.Found.K + x.Resampled.Found.K, N: x.Disjoint.Found.N + x.Resampled.Found.N}
		t.Rows = append(t.Rows, slices.Concat([]string{x.Plant, rowName(x.Lang, x.Workload, x.Metric), brief(duet)}, peerCells(x.Peers)))
	}
	return t
}

func peerCells(peers map[string]Share) []string {
	var cells []string
	for _, rule := range Rules() {
		cells = append(cells, brief(peers[rule]))
	}
	return cells
}

func brief(s Share) string {
	if s.N == 0 {
		return none
	}
	return fmt.Sprintf("%d of %d", s.K, s.N)
}

// noiseTable has a row a metric and a column a language and workload.
func (f Findings) noiseTable() Table {
	t := Table{
		Title:  "Noise: base against itself",
		Header: []string{"row", "margin"},
		Note: "SD of the effect between rounds, and in brackets the effect that a report's confirmation finds with 80 % power, were it the only suspect. " +
			"The mean effect is marked with ! where it is off zero by more than 4 standard errors.",
	}
	var columns, metrics []string
	cells := map[[2]string]string{}
	margins := map[string]string{}
	for _, n := range f.Noise {
		column := fmt.Sprintf("%s · %s", n.Lang, n.Workload)
		if !slices.Contains(columns, column) {
			columns = append(columns, column)
		}
		if !slices.Contains(metrics, n.Metric) {
			metrics = append(metrics, n.Metric)
		}
		margins[n.Metric] = fmt.Sprintf("%g %%", 100*n.Margin)
		cells[[2]string{n.Metric, column}] = n.words()
	}
	t.Header = append(t.Header, columns...)
	for _, m := range metrics {
		row := []string{label(m), margins[m]}
		for _, c := range columns {
			row = append(row, orNone(cells[[2]string{m, c}]))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

func (n Noise) words() string {
	text := share2(n.SD)
	if n.Smallest > 0 {
		text += " (+" + share2(n.Smallest) + ")"
	}
	const far = 4
	if se := n.SD / math.Sqrt(float64(n.Rounds)); se > 0 && math.Abs(n.Center) > far*se {
		text += " ! " + percent(n.Center)
	}
	return text
}

const none = "–"

func orNone(text string) string {
	if text == "" {
		return none
	}
	return text
}

func percent(x float64) string { return fmt.Sprintf("%+.2f %%", 100*x) }

// share2 writes a share with two figures that count.
func share2(x float64) string {
	switch v := math.Abs(100 * x); {
	case v >= 10:
		return fmt.Sprintf("%.0f %%", 100*x)
	case v >= 1:
		return fmt.Sprintf("%.1f %%", 100*x)
	}
	return fmt.Sprintf("%.2f %%", 100*x)
}

// textWidth is the widest line of running text, in runes.
const textWidth = 110

// Text writes the findings for a terminal.
func (f Findings) Text() string {
	var b strings.Builder
	for _, line := range f.Summary() {
		b.WriteString(wrapped("", line))
	}
	for _, t := range f.Tables() {
		fmt.Fprintf(&b, "\n%s\n%s\n", t.Title, wrapped("", t.Note))
		b.WriteString(strings.Join(report.Grid(t.Header, t.Rows), "\n") + "\n")
	}
	if ways := f.Ways(); len(ways) > 0 {
		b.WriteString("\nWhat stands in the way\n")
		for _, way := range ways {
			b.WriteString(wrapped("- ", way))
		}
	}
	return b.String()
}

// wrapped breaks a text into lines, further ones indented as far as its bullet.
func wrapped(bullet, text string) string {
	var b strings.Builder
	b.WriteString(bullet)
	used := len(bullet)
	for i, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case used+1+n > textWidth:
			b.WriteString("\n" + strings.Repeat(" ", len(bullet)))
			used = len(bullet)
		default:
			b.WriteByte(' ')
			used++
		}
		b.WriteString(word)
		used += n
	}
	return b.String() + "\n"
}

// Markdown writes the findings for docs/methodology.md.
func (f Findings) Markdown() string {
	var b strings.Builder
	for _, line := range f.Summary() {
		b.WriteString("- " + line + "\n")
	}
	for _, t := range f.Tables() {
		fmt.Fprintf(&b, "\n**%s.** %s\n\n", t.Title, t.Note)
		b.WriteString(markdownRow(t.Header) + strings.Repeat("|---", len(t.Header)) + "|\n")
		for _, row := range t.Rows {
			b.WriteString(markdownRow(row))
		}
	}
	if ways := f.Ways(); len(ways) > 0 {
		b.WriteString("\n**What stands in the way**\n\n")
		for _, way := range ways {
			b.WriteString("- " + way + "\n")
		}
	}
	return b.String()
}

func markdownRow(cells []string) string {
	escaped := make([]string, len(cells))
	for i, c := range cells {
		escaped[i] = strings.ReplaceAll(c, "|", `\|`)
	}
	return "| " + strings.Join(escaped, " | ") + " |\n"
}
