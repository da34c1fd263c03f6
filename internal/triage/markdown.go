package triage

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/duet-bench/duet/internal/history"
	"github.com/duet-bench/duet/internal/report"
	"github.com/duet-bench/duet/internal/result"
)

// Limits of the Markdown. GitHub takes 65,536 characters in an issue; whole sections are dropped, the least important first.
const (
	maxMarkdown = 60_000 // bytes
	maxBlocks   = 20     // change points of a section
	maxRows     = 25     // rows of a block or a table
	maxSuspects = 10
)

// section is a part of the page that is kept or dropped as a whole.
type section struct {
	text string
	keep int // higher: dropped later
	name string
}

// Markdown writes the report for an issue, a job's summary or a file.
func Markdown(r Report) string {
	if r.LastGood == nil && r.Night.ID == "" {
		return "**No night has been recorded yet.**\n"
	}
	sections := []section{
		{text: "**" + Summary(r) + "**\n\n" + r.facts(), keep: 9},
		{text: r.blocks("Regressed", r.Regressed), keep: 8, name: "what regressed"},
		{text: r.open(), keep: 7, name: "open regressions"},
		{text: r.blocks("Improved", r.Improved), keep: 5, name: "what improved"},
		{text: r.noisy(), keep: 3, name: "what is noisy"},
		{text: r.selfCheck(), keep: 6, name: "the self-check"},
		{text: r.foot(), keep: 4},
	}
	var dropped []string
	for {
		text := assemble(sections, dropped)
		if len(text) <= maxMarkdown {
			return text
		}
		least := 0
		for i, s := range sections {
			if s.text != "" && (sections[least].text == "" || s.keep < sections[least].keep) {
				least = i
			}
		}
		dropped = append(dropped, sections[least].name)
		sections[least].text = ""
	}
}

func assemble(sections []section, dropped []string) string {
	var parts []string
	for _, s := range sections {
		if s.text != "" {
			parts = append(parts, strings.TrimRight(s.text, "\n"))
		}
	}
	var names []string
	for _, d := range dropped {
		if d != "" {
			names = append(names, d)
		}
	}
	if len(names) > 0 {
		parts = append(parts, "Left out here, since it is too long: "+strings.Join(names, ", ")+".")
	}
	return strings.Join(parts, "\n\n") + "\n"
}

// Summary is the one line that says it all.
func Summary(r Report) string {
	if r.Night.State != history.Measured {
		return "Last night measured nothing. " + openWords(r)
	}
	var b strings.Builder
	moved := len(r.Regressed) + len(r.Improved)
	switch {
	case moved == 0:
		fmt.Fprintf(&b, "Nothing moved in the last %s. ", nights(r.Window))
	default:
		fmt.Fprintf(&b, "%s and %s in the last %s. ", count(len(r.Regressed), "regression"), count(len(r.Improved), "improvement"), nights(r.Window))
	}
	b.WriteString(openWords(r))
	return b.String()
}

func openWords(r Report) string {
	if len(r.Open) == 0 {
		return "No regression is open."
	}
	worst := r.Open[0]
	verb := "are"
	if len(r.Open) == 1 {
		verb = "is"
	}
	return fmt.Sprintf("%s %s open, the worst: %s %s since %s.", count(len(r.Open), "regression"), verb, keyText(worst.Key),
		report.Percent(worst.Ratio), worst.SinceDate)
}

// facts are the lines under the summary: which night, what was missed, what starts anew.
func (r Report) facts() string {
	var lines []string
	if r.Night.State == history.Measured {
		line := "Night of " + date(r.Night) + ": " + r.commit(r.Night.Commit) + " against the anchor " + r.commit(r.Night.Anchor) + "."
		if r.Previous != nil {
			line += " The night before it that measured: " + date(*r.Previous) + ", " + r.commit(r.Previous.Commit) + "."
		}
		lines = append(lines, line)
	} else {
		lines = append(lines, "Night of "+date(r.Night)+": nothing was measured: "+report.Code(r.Night.Error)+".")
		if r.LastGood != nil {
			lines = append(lines, "Last successful night: "+date(*r.LastGood)+", "+r.commit(r.LastGood.Commit)+".")
		} else {
			lines = append(lines, "No night has been successful yet.")
		}
	}
	if n := len(r.Missing); n > 0 {
		total := 0
		for _, m := range r.Missing {
			total += m.Nights
		}
		lines = append(lines, fmt.Sprintf("Missing: %s in all; the last: %s.", nights(total), missingText(r.Missing[n-1])))
	} else {
		lines = append(lines, "No night is missing.")
	}
	for i, b := range r.Began {
		if i == maxRows {
			break
		}
		lines = append(lines, fmt.Sprintf("%s began anew this night: %s.", count(b.Series, "series"), report.Code(b.Why)))
	}
	if r.Small > 0 {
		lines = append(lines, fmt.Sprintf("%s within the metric's margin, not listed.", count(r.Small, "change point")))
	}
	return "- " + strings.Join(lines, "\n- ") + "\n"
}

func missingText(m history.Missing) string {
	text := m.First.Format(time.DateOnly)
	if m.Nights > 1 {
		text += " to " + m.Last.Format(time.DateOnly)
	}
	if m.Why != "" {
		text += ", " + report.Code(m.Why)
	}
	return text
}

// blocks writes one block for each change point: rows that moved between the same two commits.
func (r Report) blocks(title string, moved []Moved) string {
	if len(moved) == 0 {
		return ""
	}
	type place struct{ from, to, bad string }
	var order []place
	groups := map[place][]Moved{}
	for _, m := range moved {
		p := place{from: m.From.SHA, to: m.Commit.SHA}
		if m.FirstBad != nil {
			p = place{bad: m.FirstBad.SHA}
		}
		if groups[p] == nil {
			order = append(order, p)
		}
		groups[p] = append(groups[p], m)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n", title)
	for i, p := range order {
		if i == maxBlocks {
			fmt.Fprintf(&b, "\nAnd %s more.\n", count(len(order)-i, "change point"))
			break
		}
		r.block(&b, groups[p])
	}
	return b.String()
}

func (r Report) block(b *strings.Builder, group []Moved) {
	m := group[0]
	if m.FirstBad != nil {
		fmt.Fprintf(b, "\n**%s** %s", r.commit(*m.FirstBad), message(*m.FirstBad))
		b.WriteString("\nThe first bad merge, found by measuring the commits between again.\n")
	} else {
		fmt.Fprintf(b, "\n**%s** %s", r.commit(m.Commit), message(m.Commit))
		fmt.Fprintf(b, "\nFirst measured at this commit; %s, the last one before, was not so yet.", r.commit(m.From))
		if m.Note != "" {
			b.WriteString(" " + report.Code(m.Note))
		}
		b.WriteString("\n")
		r.suspects(b, m.Suspects)
	}
	b.WriteString("\n| service · workload · metric | ratio to the anchor, from → to | change |\n|---|---|---|\n")
	for i, m := range group {
		if i == maxRows {
			fmt.Fprintf(b, "| %d more | | |\n", len(group)-i)
			break
		}
		fmt.Fprintf(b, "| %s | %.3f → %.3f | %s |\n", keyCell(m.Key), m.Before, m.After, report.Percent(m.After/m.Before))
	}
}

func (r Report) suspects(b *strings.Builder, suspects []history.Commit) {
	for i, c := range suspects {
		if i == 0 {
			fmt.Fprintf(b, "\nCommits between (%d):\n", len(suspects))
		}
		if i == maxSuspects {
			fmt.Fprintf(b, "- and %d more\n", len(suspects)-i)
			break
		}
		fmt.Fprintf(b, "- %s %s\n", r.commit(c), message(c))
	}
}

// message is a commit's subject and author as a line.
func message(c history.Commit) string {
	text := report.Code(c.Subject)
	if c.Author != "" {
		text += " by " + report.Code(c.Author)
	}
	return text
}

func (r Report) open() string {
	if len(r.Open) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("### Open regressions\n\n| service · workload · metric | now | since | age |\n|---|---|---|---|\n")
	for i, o := range r.Open {
		if i == maxRows {
			fmt.Fprintf(&b, "| %d more | | | |\n", len(r.Open)-i)
			break
		}
		since := o.SinceDate + ", " + r.commit(o.Since) + " " + report.Cell(o.Since.Subject)
		if o.Held != "" {
			since += "; since then: " + report.Cell(o.Held)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", keyCell(o.Key), report.Percent(o.Ratio), since, count(o.AgeNights, "day"))
	}
	return b.String()
}

func (r Report) noisy() string {
	if len(r.Noisy) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "<details><summary>Noisy this night: %s wider than the margin</summary>\n\n", count(len(r.Noisy), "row"))
	b.WriteString("| service · workload · metric | interval | margin | noise |\n|---|---|---|---|\n")
	for i, n := range r.Noisy {
		if i == maxRows {
			fmt.Fprintf(&b, "| %d more | | | |\n", len(r.Noisy)-i)
			break
		}
		fmt.Fprintf(&b, "| %s | ±%.1f %% | %.1f %% | %.1f %% |\n", keyCell(n.Key), 100*n.Within, 100*n.Margin, 100*n.Noise)
	}
	b.WriteString("\n</details>\n")
	return b.String()
}

func (r Report) selfCheck() string {
	c := r.SelfCheck
	if c.Nights == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("### Self-check\n\n")
	switch {
	case c.Night == nil:
		b.WriteString("This night had none.")
	case len(c.Night.False) == 0:
		fmt.Fprintf(&b, "The commit against itself: none of %s was called moved.", count(c.Night.Rows, "row"))
	default:
		fmt.Fprintf(&b, "The commit against itself: %d of %s called moved where nothing had:", len(c.Night.False), count(c.Night.Rows, "row"))
		for i, f := range c.Night.False {
			if i == maxSuspects {
				fmt.Fprintf(&b, " and %d more", len(c.Night.False)-i)
				break
			}
			b.WriteString(" " + report.Code(f))
		}
		b.WriteString(".")
	}
	fmt.Fprintf(&b, " All %s with one: %d of %s", nights(c.Nights), c.False, count(c.Rows, "row"))
	if c.Rows > 0 {
		fmt.Fprintf(&b, ", %.2f %% [%.2f, %.2f]", 100*float64(c.False)/float64(c.Rows), 100*c.Low, 100*c.High)
	}
	b.WriteString(".\n")
	return b.String()
}

func (r Report) foot() string {
	var links []string
	for _, l := range []struct{ label, to string }{{"dashboard", r.Links.Dashboard}, {"this night's run", r.Links.Run}} {
		if safe, ok := SafeURL(l.to); ok {
			links = append(links, "["+l.label+"]("+safe+")")
		}
	}
	return strings.Join(links, " · ")
}

// commit is a short sha, as a link where the repository is known. It may stand in a table: no sha has a pipe.
func (r Report) commit(c history.Commit) string {
	short := strings.ReplaceAll(c.SHA[:min(len(c.SHA), 10)], "|", "")
	base, ok := SafeURL(r.Links.Repository)
	if !ok || !isHex(c.SHA) {
		return report.Code(short)
	}
	return "[" + report.Code(short) + "](" + strings.TrimSuffix(base, "/") + "/commit/" + c.SHA + ")"
}

func isHex(s string) bool {
	return len(s) >= 7 && strings.Trim(s, "0123456789abcdef") == ""
}

// SafeURL is s where it is an http or https address that no Markdown or HTML attribute is left by; ok false otherwise.
func SafeURL(s string) (string, bool) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || len(s) > 2000 {
		return "", false
	}
	for _, r := range s {
		if r <= ' ' || r > '~' || strings.ContainsRune("()<>[]\"'`\\|*", r) {
			return "", false
		}
	}
	return s, true
}

// keyText names a series in running text; keyCell in a table.
func keyText(k history.Key) string { return keyWith(k, report.Code) }
func keyCell(k history.Key) string { return keyWith(k, report.Cell) }

func keyWith(k history.Key, show func(string) string) string {
	parts := []string{show(k.Service)}
	if k.Workload != "" {
		parts = append(parts, show(k.Workload))
	}
	if m, ok := result.MetricByName(k.Metric); ok {
		parts = append(parts, m.Label)
	} else {
		parts = append(parts, show(k.Metric))
	}
	return strings.Join(parts, " · ")
}

func date(e history.Entry) string {
	if night := Night(e); !night.IsZero() {
		return night.Format(time.DateOnly)
	}
	return "an unknown date"
}

func nights(n int) string { return count(n, "night") }

func count(n int, of string) string {
	if n == 1 || of == "series" {
		return fmt.Sprintf("%d %s", n, of)
	}
	return fmt.Sprintf("%d %ss", n, of)
}
