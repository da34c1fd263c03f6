package report

import (
	"cmp"
	"slices"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// maxMoved is how many rows stand above the fold: a screen of a phone, not a scroll.
const maxMoved = 12

// maxInconclusive is how many of those may be inconclusive: on a noisy machine most rows are, and a reader who
// is told so needs no list of them.
const maxInconclusive = 4

// table is a table before any format. Every row has as many cells as the header.
type table struct {
	title  Text
	header []Text
	rows   [][]Text
	more   int  // rows that would belong here and are only in All rows
	alone  bool // head's figures alone
}

// group is services shown side by side: a pair, or one service alone.
type group struct {
	pair     *Pair
	services []string
}

// groups are the pairs with both services known, then every service of no pair; where pairs share services, every service.
func (r Report) groups() []group {
	var out []group
	shown := map[string]bool{}
	for i, p := range r.Pairs {
		_, hasGo := r.Services[p.Go]
		_, hasRust := r.Services[p.Rust]
		if hasGo && hasRust && !r.shared() {
			out = append(out, group{pair: &r.Pairs[i], services: []string{p.Go, p.Rust}})
			shown[p.Go], shown[p.Rust] = true, true
		}
	}
	for _, service := range r.order {
		if !shown[service] {
			out = append(out, group{services: []string{service}})
		}
	}
	return out
}

// line is one workload and metric and the rows of a group's services for it.
type line struct {
	workload, metric string
	rows             []*Row // as the group's services; nil where there is none
}

func (r Report) lines(g group) []line {
	type key struct{ workload, metric string }
	var out []line
	at := map[key]int{}
	for i := range r.Rows {
		row := &r.Rows[i]
		column := slices.Index(g.services, row.Service)
		if column < 0 {
			continue
		}
		k := key{row.Workload, row.Metric}
		if _, ok := at[k]; !ok {
			at[k] = len(out)
			out = append(out, line{workload: row.Workload, metric: row.Metric, rows: make([]*Row, len(g.services))})
		}
		out[at[k]].rows[column] = row
	}
	return out
}

// rank orders lines above the fold: regressed, improved, inconclusive, and then those that stay below it.
func (l line) rank() int {
	best := 3
	for _, row := range l.rows {
		if row == nil {
			continue
		}
		switch row.Verdict {
		case compare.Regressed:
			return 0
		case compare.Improved:
			best = min(best, 1)
		case compare.Inconclusive:
			best = min(best, 2)
		}
	}
	return best
}

// inconclusiveRank is the rank of a line that is inconclusive and nothing worse.
const inconclusiveRank = 2

// importance orders inconclusive lines: the main metrics first, work before time.
func (l line) importance() int {
	if i := slices.Index(mainMetrics(), l.metric); i >= 0 {
		return i
	}
	return len(mainMetrics())
}

// aboveFold is how many of the ordered lines stand above the fold.
func aboveFold(lines []line) int {
	moved := 0
	for moved < len(lines) && lines[moved].rank() != inconclusiveRank {
		moved++
	}
	return min(len(lines), maxMoved, moved+maxInconclusive)
}

// headAlone says that no row can have moved: there is no base, or head is the same program.
func (r Report) headAlone(g group) bool {
	return r.Base == nil || !slices.ContainsFunc(g.services, func(service string) bool {
		s := r.Services[service]
		return !s.Identical && !s.HeadOnly
	})
}

// movedTables are the tables above the fold, one a group: only rows that moved or are inconclusive; where
// nothing can have moved, head's main figures.
func (r Report) movedTables() []table {
	var out []table
	groups := r.groups()
	for _, g := range groups {
		if len(r.Beside) > 0 && r.headAlone(g) {
			continue // beside each other with all the others
		}
		lines := r.lines(g)
		keep := func(l line) bool { return l.rank() < 3 }
		if r.headAlone(g) {
			keep = func(l line) bool { return slices.Contains(mainMetrics(), l.metric) && l.workload != "" }
		}
		lines = slices.DeleteFunc(lines, func(l line) bool { return !keep(l) })
		slices.SortStableFunc(lines, func(a, b line) int {
			if a.rank() != b.rank() || a.rank() != inconclusiveRank {
				return a.rank() - b.rank()
			}
			return a.importance() - b.importance()
		})
		t := table{alone: r.headAlone(g)}
		if shown := aboveFold(lines); shown < len(lines) {
			t.more, lines = len(lines)-shown, lines[:shown]
		}
		if len(lines) == 0 {
			continue
		}
		if len(groups) > 1 && g.pair != nil {
			t.title = say(plain("Pair "), name(g.pair.Name))
		}
		r.fill(&t, g, lines)
		out = append(out, t)
	}
	return out
}

// fill writes a group's lines: a column a service, and the gap.
func (r Report) fill(t *table, g group, lines []line) {
	alone := t.alone
	gap := g.pair != nil && slices.ContainsFunc(r.Gaps, func(x Gap) bool { return x.Pair == g.pair.Name })
	t.header = []Text{say(plain("workload · metric"))}
	for _, service := range g.services {
		title := r.label(service)
		if alone {
			title = append(title, plain(" at head"))
		} else {
			title = append(title, plain(" base → head"))
		}
		t.header = append(t.header, title)
	}
	if gap {
		title := append(r.label(g.pair.Rust), plain(" ÷ "))
		title = append(title, r.label(g.pair.Go)...)
		if !alone {
			title = append(title, plain(" (was)"))
		}
		t.header = append(t.header, title)
	}
	for _, l := range lines {
		cells := []Text{r.lineName(l, alone)}
		for _, row := range l.rows {
			cells = append(cells, cell(row, alone))
		}
		if gap {
			cells = append(cells, say(plain(gapWords(r.gap(g.pair.Name, l)))))
		}
		t.rows = append(t.rows, cells)
	}
}

// lineName is a line's workload and metric, below each other where the figures take two lines as well; of a merged run
// the shard, too.
func (r Report) lineName(l line, oneLine bool) Text {
	between, out := "\n", say(metricLabel(l.metric))
	if oneLine {
		between = " · "
	}
	if l.workload != "" {
		out = say(name(l.workload), plain(between), metricLabel(l.metric))
	}
	shard := r.built
	if l.workload != "" {
		shard = r.shardOf(l.workload)
	}
	if shard != "" {
		out = append(out, plain(" · shard "+shard))
	}
	return out
}

func (r Report) gap(pair string, l line) *Gap {
	for i, g := range r.Gaps {
		if g.Pair == pair && g.Workload == l.workload && g.Metric == l.metric {
			return &r.Gaps[i]
		}
	}
	return nil
}

// gapWords is "0.45 (0.48)": Rust ÷ Go at head, and what it was at base.
func gapWords(g *Gap) string {
	switch {
	case g == nil:
		return none
	case g.Base == nil:
		return factor(g.Head)
	}
	return factor(g.Head) + " (" + factor(g.Base) + ")"
}

// cell is one service's figures and verdict, or head's figure alone.
func cell(row *Row, alone bool) Text {
	switch {
	case row == nil:
		return say(plain(none))
	case alone:
		return say(plain(quantity(row.Head, row.Unit)))
	case row.Identical:
		return say(plain(quantity(row.Head, row.Unit) + "\nidentical"))
	}
	figures := change(row.Base, row.Head, row.Unit)
	if row.Base == nil && row.Verdict == compare.NotJudged {
		return say(plain(figures))
	}
	return append(say(plain(figures+"\n")), outcome(*row)...)
}

// outcome is a row's verdict with what it stands on: effect and interval, or the bound of no change.
func outcome(row Row) Text {
	words, tone := "not judged", Neutral
	switch {
	case row.Verdict == compare.Regressed:
		words, tone = "regressed "+effect(row), Bad
	case row.Verdict == compare.Improved:
		words, tone = "improved "+effect(row), Good
	case row.Verdict == compare.Inconclusive:
		words, tone = "inconclusive "+effect(row), Doubt
	case row.Verdict == compare.Unchanged:
		if b := bound(row.CI); b != "" {
			return say(plain("unchanged " + b))
		}
		return say(plain("unchanged " + percentOf(row.Ratio)))
	}
	return say(mark(tone), Span{Text: words, Tone: tone})
}

func effect(row Row) string {
	if row.CI == nil {
		return percentOf(row.Ratio)
	}
	return percentOf(row.Ratio) + " " + interval(row.CI)
}

// mainMetrics are the ones that stand for a workload where there is room for few.
func mainMetrics() []string {
	return []string{"cpu_per_request", "p50", "p99", "throughput", "peak_rss"}
}

// gapTable is Rust ÷ Go of the main metrics, a row a workload: described, never judged.
func (r Report) gapTable(p Pair) (t table, ok bool) {
	t.header = []Text{say(plain("workload"))}
	for _, m := range mainMetrics() {
		t.header = append(t.header, say(metricLabel(m)))
	}
	at := map[string]int{}
	for i, g := range r.Gaps {
		column := slices.Index(mainMetrics(), g.Metric)
		if g.Pair != p.Name || column < 0 || g.Workload == "" {
			continue
		}
		if _, seen := at[g.Workload]; !seen {
			at[g.Workload] = len(t.rows)
			cells := []Text{say(name(g.Workload))}
			for range mainMetrics() {
				cells = append(cells, say(plain(none)))
			}
			t.rows = append(t.rows, cells)
		}
		t.rows[at[g.Workload]][column+1] = say(plain(gapWords(&r.Gaps[i])))
	}
	return t, len(t.rows) > 0
}

// allRows is every row with all that its verdict stands on.
func (r Report) allRows() table {
	t := table{header: []Text{
		say(plain("service · workload · metric")), say(plain("base → head")), say(plain("change [interval]")),
		say(plain("margin")), say(plain("detectable")), say(plain("noise")), say(plain("rounds")), say(plain("verdict")), say(plain("why")),
	}}
	if len(r.Shards) > 0 {
		t.header = append(t.header, say(plain("shard")))
	}
	for _, row := range r.Rows {
		title := append(r.label(row.Service), plain(" · "))
		if row.Workload != "" {
			title = append(title, name(row.Workload), plain(" · "))
		}
		title = append(title, metricLabel(row.Metric))
		figures, moved := change(row.Base, row.Head, row.Unit), effect(row)
		if row.Identical {
			figures, moved = quantity(row.Head, row.Unit), none
		}
		why := say()
		if row.Why != "" {
			why = say(prose(row.Why))
		}
		rounds := none
		if row.Rounds > 0 {
			rounds = count(row.Rounds)
		}
		if row.MoreRounds > 0 {
			rounds += " (" + count(row.MoreRounds) + " more would settle it)"
		}
		t.rows = append(t.rows, []Text{
			title, say(plain(figures)), say(plain(moved)), say(plain(share(known(row.Margin)))),
			say(plain(share(row.Detectable))), say(plain(share(row.Noise))), say(plain(rounds)), verdictText(row), why,
		})
		if len(r.Shards) > 0 {
			last := &t.rows[len(t.rows)-1]
			*last = append(*last, say(plain(cmp.Or(row.Shard, none))))
		}
	}
	return t
}

func verdictText(row Row) Text {
	tone := [...]Tone{compare.NotJudged: Neutral, compare.Inconclusive: Doubt, compare.Unchanged: Neutral,
		compare.Improved: Good, compare.Regressed: Bad}[row.Verdict]
	words := map[bool]string{true: "identical", false: row.Verdict.String()}[row.Identical]
	if row.Verdict == compare.NotJudged && !row.Identical {
		words = "not judged"
	}
	if tone == Neutral {
		return say(plain(words))
	}
	return say(mark(tone), Span{Text: words, Tone: tone})
}

// allGaps is every gap with its intervals.
func (r Report) allGaps() table {
	t := table{header: []Text{say(plain("pair · workload · metric")), say(plain("at base")), say(plain("at head [interval]")), say(plain("change [interval]"))}}
	for _, g := range r.Gaps {
		title := say(name(g.Pair), plain(" · "))
		if g.Workload != "" {
			title = append(title, name(g.Workload), plain(" · "))
		}
		head := factor(g.Head)
		if g.HeadCI != nil {
			head += " [" + factor(&g.HeadCI[0]) + ", " + factor(&g.HeadCI[1]) + "]"
		}
		moved := percentOf(g.Ratio)
		if g.CI != nil {
			moved += " " + interval(g.CI)
		}
		title = append(title, metricLabel(g.Metric))
		if g.Shard != "" {
			title = append(title, plain(" · shard "+g.Shard))
		}
		t.rows = append(t.rows, []Text{title, say(plain(factor(g.Base))), say(plain(head)), say(plain(moved))})
	}
	return t
}

// buildTable is what building cost, a row a service.
func (r Report) buildTable() table {
	title := "build"
	if r.built != "" {
		title = "build (shard " + r.built + ")"
	}
	t := table{header: []Text{say(plain(title)), say(plain("clean")), say(plain("incremental")), say(plain("binary")), say(plain("dependencies"))}}
	for _, service := range r.order {
		base, head := r.build(service, plan.Base), r.build(service, plan.Head)
		if base == nil && head == nil {
			continue
		}
		figure := func(read func(Build) *float64, unit string) Text {
			return say(plain(change(of(base, read), of(head, read), unit)))
		}
		dependencies := func(b Build) *float64 { return known(float64(b.Dependencies)) }
		t.rows = append(t.rows, []Text{
			r.label(service),
			figure(func(b Build) *float64 { return b.Clean }, "s"),
			figure(func(b Build) *float64 { return b.Incremental }, "s"),
			figure(func(b Build) *float64 { return b.BinaryBytes }, "B"),
			say(plain(dependencyWords(of(base, dependencies), of(head, dependencies)))),
		})
	}
	return t
}

// dependencyWords is one number when nothing changed, else both.
func dependencyWords(base, head *float64) string {
	switch {
	case base != nil && head != nil && *base != *head:
		return count(int64(*base)) + " → " + count(int64(*head))
	case head != nil:
		return count(int64(*head))
	case base != nil:
		return count(int64(*base)) + " at base"
	}
	return "0"
}

func of(b *Build, read func(Build) *float64) *float64 {
	if b == nil {
		return nil
	}
	return read(*b)
}

func (r Report) build(service string, side plan.Side) *Build {
	for i, b := range r.Builds {
		if b.Variant == (plan.Variant{Service: service, Side: side}) {
			return &r.Builds[i]
		}
	}
	return nil
}

// rest counts what stands below the fold, in words: "18 more unchanged, 2 not judged".
func (r Report) rest(tables []table) string {
	if !slices.ContainsFunc(r.groups(), func(g group) bool { return !r.headAlone(g) }) {
		return ""
	}
	shown, more := 0, "more "
	if len(tables) == 0 {
		more = ""
	}
	for _, t := range tables {
		shown += t.more
	}
	counts := map[compare.Verdict]int{}
	for _, g := range r.groups() {
		for _, l := range r.lines(g) {
			if l.rank() < 3 {
				continue
			}
			for _, row := range l.rows {
				if row != nil && (row.Verdict != compare.NotJudged || judged(row.Metric)) {
					counts[row.Verdict]++
				}
			}
		}
	}
	var words string
	for _, w := range []struct {
		n    int
		text string
	}{{shown, "more that moved or are inconclusive"}, {counts[compare.Unchanged], more + "unchanged"}, {counts[compare.NotJudged], "not judged"}} {
		if w.n == 0 {
			continue
		}
		if words != "" {
			words += ", "
		}
		words += count(w.n) + " " + w.text
	}
	return words
}

func judged(metric string) bool {
	m, ok := result.MetricByName(metric)
	return ok && m.Judged
}
