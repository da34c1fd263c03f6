package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// maxComment is what a comment may weigh, in bytes. GitHub refuses more than 65,536 characters.
const maxComment = 60_000

// maxSummary is what a job's summary may weigh, in bytes: a little under the runner's 1 MiB.
const maxSummary = 990_000

// The caps of what one section lists; All rows has no cap: it is there whole or not at all.
const (
	maxTables   = 4
	maxTails    = 2 // failures shown with their log
	maxTail     = 20
	maxDiffs    = 3
	maxListed   = 20
	maxCharts   = 2
	maxSettings = 12
)

// section is one part of the comment. Sections with a title fold and are the first to go when there is no room.
type section struct {
	title string
	body  string
	keep  int  // more important sections have a lower number and are kept first; 0: always
	open  bool // with a title: it does not fold
}

// Markdown writes comment.md: the decision, what moved, and the rest folded, within GitHub's limit.
// Whole sections are left out where they do not fit, the least important first, and the comment says which.
func Markdown(r Report) string { return fit(r.sections(), maxComment) }

// Summary is the same with every row unfolded, for a job's summary, which has more room.
func Summary(r Report) string {
	sections := r.sections()
	for i, s := range sections {
		if s.title == r.allRowsTitle() {
			sections[i] = section{title: s.title, body: s.body, keep: s.keep, open: true}
		}
	}
	return fit(sections, maxSummary)
}

func (r Report) sections() []section {
	sections := []section{
		{body: "<!-- duet:v1:" + markerKey(r.key) + " -->\n### Duet: " + inline(r.Headline, false) + "\n"},
		{body: paragraphs(r.Summary)},
		{body: r.tails(), keep: 2},
		{body: r.movedMarkdown(), keep: 1},
		{body: r.whyMarkdown(), keep: 2},
		{title: r.besideTitle(), body: r.besideMarkdown(), keep: 3, open: r.allAlone()},
		{body: r.buildMarkdown(), keep: 3},
	}
	if r.State != Running {
		sections = append(sections,
			section{title: r.allRowsTitle(), body: r.allRowsMarkdown(), keep: 7},
			section{title: r.parityTitle(), body: r.parityMarkdown(), keep: 6},
			section{title: "Memory over time, cold start", body: r.memoryMarkdown(), keep: 8},
			section{title: "This run", body: r.runMarkdown(), keep: 5},
			section{title: "Reproduce", body: r.reproduceMarkdown(), keep: 4},
			section{body: r.provenance()})
	}
	return sections
}

// fit joins the sections that fit into so many bytes, the most important ones first, in the order given.
func fit(sections []section, limit int) string {
	const reserve = 400 // for the sentence that names what was left out
	room := limit - reserve
	order := make([]int, len(sections))
	rendered := make([]string, len(sections))
	for i, s := range sections {
		order[i] = i
		switch {
		case s.body == "":
		case s.title == "":
			rendered[i] = s.body
		case s.open:
			rendered[i] = "#### " + s.title + "\n\n" + strings.TrimRight(s.body, "\n") + "\n"
		default:
			rendered[i] = "<details><summary>" + s.title + "</summary>\n\n" + strings.TrimRight(s.body, "\n") + "\n\n</details>\n"
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return sections[a].keep - sections[b].keep })
	for _, i := range order {
		if n := len(rendered[i]) + 1; n <= room || sections[i].keep == 0 {
			room -= n
			continue
		}
		rendered[i] = ""
	}
	var parts, left []string
	for i, s := range sections {
		if rendered[i] == "" && s.body != "" {
			title, _, _ := strings.Cut(s.title, ":")
			left = append(left, title)
		}
	}
	for i, text := range rendered {
		if i == len(rendered)-1 && len(left) > 0 {
			parts = append(parts, "Left out, too long for a comment: "+strings.Join(named(left), ", ")+". See report.json.\n")
		}
		if text != "" {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, "\n")
}

// named gives sections without a title a word.
func named(titles []string) []string {
	out := make([]string, len(titles))
	for i, t := range titles {
		out[i] = t
		if t == "" {
			out[i] = "a table"
		}
	}
	return out
}

// markerKey keeps a key to what cannot end a comment: letters, digits, dots, slashes, single dashes.
func markerKey(key string) string {
	var b strings.Builder
	for _, r := range cmp.Or(clean(key, 200), "local") {
		ok := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._/:", r)
		switch {
		case ok:
			b.WriteRune(r)
		case !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	return b.String()
}

// inline writes a line of spans. In a table a pipe is escaped and a line break is <br>.
func inline(t Text, inTable bool) string {
	var b strings.Builder
	isBold := false
	for i, s := range t {
		if s.Bold != isBold {
			b.WriteString("**")
			isBold = s.Bold
		}
		switch {
		case s.Mark:
			b.WriteString(s.Tone.emoji() + " ")
		case s.Name && inTable:
			b.WriteString(Cell(s.Text))
		case s.Name:
			b.WriteString(codeSpan(s.Text))
		default:
			b.WriteString(strings.ReplaceAll(s.Text, "\n", "<br>"))
		}
		if isBold && i == len(t)-1 {
			b.WriteString("**")
		}
	}
	return b.String()
}

func paragraphs(texts []Text) string {
	lines := make([]string, len(texts))
	for i, t := range texts {
		lines[i] = inline(t, false) + "\n"
	}
	return strings.Join(lines, "\n")
}

// markdown writes a table.
func (t table) markdown() string {
	var b strings.Builder
	if len(t.title) > 0 {
		b.WriteString(inline(bold(t.title), false) + "\n\n")
	}
	row := func(cells []Text) {
		for _, c := range cells {
			b.WriteString("| " + inline(c, true) + " ")
		}
		b.WriteString("|\n")
	}
	row(t.header)
	b.WriteString(strings.Repeat("|---", len(t.header)) + "|\n")
	for _, cells := range t.rows {
		row(cells)
	}
	return b.String()
}

func (r Report) movedMarkdown() string {
	tables := r.movedTables()
	var parts []string
	for i, t := range tables {
		if i == maxTables {
			break
		}
		parts = append(parts, t.markdown())
	}
	if words := r.rest(tables); words != "" {
		parts = append(parts, words+": see *All rows*.\n")
	}
	return strings.Join(parts, "\n")
}

// tails shows the last lines of what broke, head's first.
func (r Report) tails() string {
	var b strings.Builder
	for i, f := range r.broken() {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(inline(append(r.label(f.Variant.Service), plain(" at "+string(sideWord(f.Variant.Side))+":")), false) + "\n\n" +
			block("text", append(errorLines(f), f.LogTail...)))
	}
	return b.String()
}

// broken is what failed, head's first, and as much of it as is shown: the first with the end of their logs, the
// others with their error alone.
func (r Report) broken() []result.Failure {
	failures := slices.Clone(r.Failures)
	slices.SortStableFunc(failures, func(a, b result.Failure) int { return sideOrder(a.Variant.Side) - sideOrder(b.Variant.Side) })
	failures = failures[:min(len(failures), maxClaims)]
	for i, f := range failures {
		if i >= maxTails && f.Error != "" {
			failures[i].LogTail = nil
			continue
		}
		failures[i].LogTail = f.LogTail[max(0, len(f.LogTail)-maxTail):]
	}
	return failures
}

func errorLines(f result.Failure) []string {
	if f.Error == "" {
		return nil
	}
	lines := strings.Split(f.Error, "\n")
	return lines[:min(len(lines), maxTail)]
}

func sideOrder(s plan.Side) int {
	if s == plan.Base {
		return 1
	}
	return 0
}

func (r Report) buildMarkdown() string {
	t := r.buildTable()
	var lines []string
	for i, row := range t.rows {
		if i == maxListed {
			break
		}
		lines = append(lines, fmt.Sprintf("%s: clean %s · incremental %s · binary %s · dependencies %s",
			inline(row[0], false), inline(row[1], false), inline(row[2], false), inline(row[3], false), inline(row[4], false)))
	}
	if len(lines) == 0 {
		return ""
	}
	where := ""
	if r.built != "" {
		where = "(measured in shard " + r.built + ") "
	}
	return "**Build** " + where + strings.Join(lines, "<br>") + "\n"
}

func (r Report) allRowsTitle() string {
	return "All rows: " + plural(len(r.Rows), "row") + ", with interval, margin and noise"
}

func (r Report) allRowsMarkdown() string {
	if len(r.Rows) == 0 {
		return ""
	}
	out := r.allRows().markdown()
	if len(r.Gaps) > 0 {
		out += "\nOne language against the other, described and never judged:\n\n" + r.allGaps().markdown()
	}
	return out + "\n*Margin*: smaller changes do not count. *Detectable*: the change this row would have found four times in five. " +
		"*Noise*: the standard deviation of the change from round to round.\n"
}

func (r Report) parityTitle() string {
	if r.Parity == nil {
		return "Parity"
	}
	return "Parity: " + plural(r.Parity.Requests, "request") + " compared, " + plural(r.Parity.Differences, "difference")
}

func (r Report) parityMarkdown() string {
	p := r.Parity
	if p == nil {
		return ""
	}
	if p.Differences == 0 {
		return "Every request was answered alike: status, content-type, location and body.\n"
	}
	var b strings.Builder
	for i, d := range p.Examples {
		if i == maxDiffs {
			break
		}
		fmt.Fprintf(&b, "%s against %s, %s, %s: %s differs\n\n", codeSpan(d.A.String()), codeSpan(d.B.String()),
			codeSpan(d.Workload), codeSpan(d.Request), codeSpan(d.What))
		b.WriteString(block("diff", d.Diff[:min(len(d.Diff), maxTail)]) + "\n")
	}
	if more := p.Differences - min(len(p.Examples), maxDiffs); more > 0 {
		fmt.Fprintf(&b, "%s more.\n", count(more))
	}
	return b.String()
}

func (r Report) memoryMarkdown() string {
	if len(r.Memory) == 0 {
		return ""
	}
	t := table{header: []Text{say(plain("variant · workload")), say(plain("peak RSS")), say(plain("peak PSS")),
		say(plain("peak Pss_Anon")), say(plain("cold start"))}}
	curves := map[string][]Memory{}
	var workloads []string
	for _, m := range r.Memory {
		t.rows = append(t.rows, []Text{say(name(m.Variant.String()), plain(" · "), name(m.Workload)), say(plain(quantity(m.PeakRSS, "B"))),
			say(plain(quantity(m.PeakPSS, "B"))), say(plain(quantity(m.PeakAnon, "B"))), say(plain(quantity(m.ColdStart, "s")))})
		if len(m.Curve) > 1 {
			if curves[m.Workload] == nil {
				workloads = append(workloads, m.Workload)
			}
			curves[m.Workload] = append(curves[m.Workload], m)
		}
	}
	var b strings.Builder
	for i, w := range workloads {
		if i == maxCharts {
			break
		}
		lines := curves[w][:min(len(curves[w]), maxClaims)]
		points := make([][]result.MemoryPoint, len(lines))
		names := make([]string, len(lines))
		for j, m := range lines {
			points[j], names[j] = m.Curve, codeSpan(m.Variant.String())
		}
		if drawn := chart(points); drawn != "" {
			b.WriteString("RSS under " + codeSpan(w) + ". Lines in order: " + strings.Join(names, ", ") + ".\n\n" + drawn + "\n")
		}
	}
	return b.String() + t.markdown()
}

func (r Report) reproduceMarkdown() string {
	return block("sh", []string{r.command()})
}

// command repeats the run. Commits and nothing else go into it: it is made to be pasted into a shell.
func (r Report) command() string {
	c := "duet run"
	if r.Base != nil {
		c += " --base " + commit(r.Base.SHA)
	}
	c += " --head " + commit(cmp.Or(r.Head.MergeOf, r.Head.SHA)) + fmt.Sprintf(" --seed %d", r.Run.Seed)
	if r.Run.Budget > 0 {
		c += " --budget " + budget(r.Run.Budget)
	}
	return c
}

// commit is a sha if it looks like one.
func commit(sha string) string {
	for _, r := range sha {
		if !(r >= '0' && r <= '9' || r >= 'a' && r <= 'f') {
			return "SHA"
		}
	}
	if len(sha) < 7 || len(sha) > 64 {
		return "SHA"
	}
	return sha
}

// provenance is the last line: what was compared with what, and why.
func (r Report) provenance() string {
	return "<sub>" + inline(r.origin(), false) + r.job() + "</sub>\n"
}

// origin says what was compared with what, and why, in one line.
func (r Report) origin() Text {
	t := say(plain("head "), name(short(r.Head.SHA)))
	if r.Head.MergeOf != "" {
		t = say(plain("head "), name(short(r.Head.MergeOf)), plain(" as GitHub merges it ("), name(short(r.Head.SHA)), plain(")"))
	}
	if r.Head.Worktree {
		t = append(t, plain(" with uncommitted changes"))
	}
	if b := r.Base; b != nil {
		t = append(t, plain(" vs base "), name(short(b.SHA)))
		if b.Reason != "" {
			t = append(t, plain(" ("), name(b.Reason), plain(")"))
		}
		if b.Behind > 0 {
			t = append(t, plain(", "+plural(b.Behind, "commit")+" behind"))
		}
	} else {
		t = append(t, plain(", baseline: none"))
	}
	t = append(t, plain(" · seed "+fmt.Sprint(r.Run.Seed)))
	if r.Duet != "" {
		t = append(t, plain(" · duet "), name(r.Duet))
	}
	return t
}

// job names the run of the workflow, where its log and its artifacts are.
func (r Report) job() string {
	switch {
	case r.Job == nil:
		return ""
	case r.Job.URL == "":
		return fmt.Sprintf(" · run %d.%d", r.Job.ID, r.Job.Attempt)
	}
	return fmt.Sprintf(" · [run %d.%d, its log and artifacts](%s)", r.Job.ID, r.Job.Attempt, r.Job.URL)
}
