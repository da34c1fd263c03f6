package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/pkg/twwidth"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
)

// maxWidth is the widest line, in columns; maxName is how much of an untrusted name a table shows.
const (
	maxWidth = 100
	minWidth = 40
	maxName  = 24
	maxWide  = 48
)

// Terminal is what is known of the terminal. Whoever writes to it decides about colour (a TTY, NO_COLOR).
type Terminal struct {
	Width  int // columns; 0, or more than 100: 100
	Colour bool
}

// screen collects lines for one terminal.
type screen struct {
	Terminal
	b strings.Builder
}

// Render writes the report for a terminal: the same words and tables as the comment, unfolded where they matter.
func (t Terminal) Render(r Report) string {
	if t.Width <= 0 || t.Width > maxWidth {
		t.Width = maxWidth
	}
	t.Width = max(t.Width, minWidth)
	s := &screen{Terminal: t}
	s.sentence(bold(append(say(plain("Duet: ")), r.Headline...)))
	for _, text := range r.Summary {
		s.sentence(text)
	}
	s.failures(r)
	s.differences(r)
	tables := r.movedTables()
	for _, moved := range tables {
		s.table(moved)
	}
	if words := r.rest(tables); words != "" {
		s.sentence(say(plain(words)))
	}
	s.whys(r)
	if len(r.Beside) > 0 {
		s.beside(r)
	} else if !slices.ContainsFunc(tables, func(t table) bool { return t.alone }) { // those tables show the gap themselves
		s.gaps(r)
	}
	if builds := r.buildTable(); len(builds.rows) > 0 {
		s.table(builds)
	}
	s.footer(r)
	return s.b.String()
}

// gaps writes one language against the other, a table a pair.
func (s *screen) gaps(r Report) {
	for _, p := range r.Pairs {
		t, ok := r.gapTable(p)
		if !ok {
			continue
		}
		when := " at head"
		if slices.ContainsFunc(r.Gaps, func(g Gap) bool { return g.Pair == p.Name && g.Base != nil }) {
			when = " at head (at base)"
		}
		t.title = append(append(r.label(p.Rust), plain(" ÷ ")), r.label(p.Go)...)
		t.title = append(t.title, plain(when+": described, never judged"))
		s.table(t)
	}
}

// footer is warnings, provenance and where the files are.
func (s *screen) footer(r Report) {
	if len(r.Warnings) > 0 {
		s.b.WriteString("\nWarnings\n")
		for i, w := range r.Warnings {
			if i == maxListed {
				s.wrap("- ", plural(len(r.Warnings)-i, "more warning"))
				break
			}
			s.wrap("- ", clean(w, 4*maxLogLine))
		}
	}
	s.b.WriteByte('\n')
	if r.State != Running {
		if r.Base != nil {
			s.wrap("", "base "+clean(r.Base.SHA, maxCell)+": "+clean(r.Base.Reason, maxLogLine))
		} else if r.NoBase != "" {
			s.wrap("", "baseline: none ("+clean(r.NoBase, maxLogLine)+")")
		}
		s.wrap("", r.origin().String())
	}
	if len(r.files) > 0 {
		s.wrap("", "files: "+clean(strings.Join(r.files, ", "), 8*maxLogLine))
	}
}

// failures shows the last lines of what broke, head's first.
func (s *screen) failures(r Report) {
	for _, f := range r.broken() {
		s.b.WriteByte('\n')
		s.wrap("", append(r.label(f.Variant.Service), plain(" at "+string(sideWord(f.Variant.Side))+":")).String())
		for _, line := range errorLines(f) {
			s.wrap("  ", clean(line, 4*maxLogLine))
		}
		s.verbatim(f.LogTail)
	}
}

// differences shows the first answers that differ.
func (s *screen) differences(r Report) {
	if r.Parity == nil {
		return
	}
	for i, d := range r.Parity.Examples {
		if i == maxDiffs {
			return
		}
		s.b.WriteByte('\n')
		s.wrap("", fmt.Sprintf("%s against %s, %s, %s: %s differs", clean(d.A.String(), maxCell), clean(d.B.String(), maxCell),
			clean(d.Workload, maxCell), clean(d.Request, maxCell), clean(d.What, maxCell)))
		s.verbatim(d.Diff[:min(len(d.Diff), maxTail)])
	}
}

// verbatim shows untrusted lines, indented and cut to the width.
func (s *screen) verbatim(lines []string) {
	for _, line := range lines {
		s.b.WriteString("  " + truncate(clean(line, maxLogLine), s.Width-2) + "\n")
	}
}

// paint writes a span, in colour if asked.
func (s *screen) paint(span Span) string {
	text := Text{span}.String()
	code := [...]string{Neutral: "", Good: "32", Bad: "31", Doubt: "33"}[span.Tone]
	if span.Bold {
		code = strings.TrimSuffix("1;"+code, ";")
	}
	if !s.Colour || code == "" || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// sentence writes a text, wrapped, after an empty line.
func (s *screen) sentence(t Text) {
	if s.b.Len() > 0 {
		s.b.WriteByte('\n')
	}
	var painted strings.Builder
	for _, span := range t {
		// Word by word, so that a line break never falls inside a colour.
		for i, word := range strings.Split(Text{span}.String(), " ") {
			if i > 0 {
				painted.WriteByte(' ')
			}
			painted.WriteString(s.paint(Span{Text: word, Bold: span.Bold, Tone: span.Tone}))
		}
	}
	s.wrap("", painted.String())
}

// wrap writes text in lines of at most the width; further lines are indented as far as the first one's bullet.
func (s *screen) wrap(bullet, text string) {
	indent := strings.Repeat(" ", len(bullet))
	used := len(bullet)
	s.b.WriteString(bullet)
	for i, word := range strings.Fields(text) {
		n := width(word)
		if n > s.Width-len(bullet) {
			word = truncate(word, s.Width-len(bullet))
			n = width(word)
		}
		switch {
		case i == 0:
		case used+1+n > s.Width:
			s.b.WriteString("\n" + indent)
			used = len(bullet)
		default:
			s.b.WriteByte(' ')
			used++
		}
		s.b.WriteString(word)
		used += n
	}
	s.b.WriteByte('\n')
}

// table writes a table; where the terminal is too narrow, with intervals on lines of their own, else its rows as
// paragraphs.
func (s *screen) table(t table) {
	s.b.WriteByte('\n')
	if len(t.title) > 0 {
		s.wrap("", t.title.String())
	}
	for _, adjust := range []func(Text) Text{func(cell Text) Text { return cell }, intervalBelow} {
		rows := make([][]string, len(t.rows))
		for i, row := range t.rows {
			adjusted := make([]Text, len(row))
			for j, cell := range row {
				adjusted[j] = adjust(cell)
			}
			rows[i] = s.cells(adjusted)
		}
		lines := Grid(s.cells(t.header), rows)
		if slices.ContainsFunc(lines, func(line string) bool { return width(line) > s.Width }) {
			continue
		}
		s.b.WriteString(strings.Join(lines, "\n") + "\n")
		return
	}
	s.stacked(t)
}

// intervalBelow puts an interval of ours, "+7.9 % [+6.8, +9.0]", on the next line.
func intervalBelow(cell Text) Text {
	var out Text
	for _, span := range cell {
		before, after, ok := strings.Cut(span.Text, " [")
		if !ok || span.Name {
			out = append(out, span)
			continue
		}
		first, second := span, span
		first.Text, second.Text = before, "["+after
		out = append(out, first, plain("\n"), second) // apart, so that a colour never crosses lines
	}
	return out
}

// Grid lays out a table in lines without a border, as wide as its cells need.
func Grid(header []string, rows [][]string) []string {
	var b strings.Builder
	w := tablewriter.NewTable(&b,
		tablewriter.WithEastAsian(tw.Off), // widths must not depend on the reader's locale
		tablewriter.WithHeaderAutoFormat(tw.Off),
		tablewriter.WithHeaderAlignment(tw.AlignLeft),
		tablewriter.WithRowAlignment(tw.AlignLeft),
		tablewriter.WithHeaderAutoWrap(tw.WrapNone),
		tablewriter.WithRowAutoWrap(tw.WrapNone),
		tablewriter.WithTrimSpace(tw.Off),
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
			Borders: tw.BorderNone,
			Symbols: tw.NewSymbols(tw.StyleLight),
			Settings: tw.Settings{
				Separators: tw.Separators{BetweenColumns: tw.On, BetweenRows: tw.Off},
				Lines:      tw.Lines{ShowHeaderLine: tw.On},
			},
		})))
	w.Header(header)
	for _, row := range rows {
		if err := w.Append(row); err != nil {
			panic(fmt.Sprintf("laying out table: %v", err)) // strings only: our own bug
		}
	}
	if err := w.Render(); err != nil {
		panic(fmt.Sprintf("laying out table: %v", err))
	}
	lines := strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return lines
}

// cells writes a row's cells, names cut short.
func (s *screen) cells(row []Text) []string {
	out := make([]string, len(row))
	for i, t := range row {
		for _, span := range t {
			if span.Name {
				columns := maxName
				if span.Wide {
					columns = maxWide
				}
				span.Text, span.Name = truncate(clean(span.Text, maxCell), columns), false
			}
			out[i] += s.paint(span)
		}
	}
	return out
}

// stacked writes a table's rows one below the other: "column: value".
func (s *screen) stacked(t table) {
	for _, row := range t.rows {
		for i, c := range row {
			bullet := "  "
			text := strings.ReplaceAll(c.String(), "\n", " ")
			if i == 0 {
				bullet = ""
			} else {
				text = t.header[i].String() + ": " + text
			}
			s.wrap(bullet, text)
		}
	}
}

// width is how many columns text takes, escape sequences left out, the same in every locale.
func width(s string) int { return twwidth.WidthWithOptions(s, twwidth.Options{}) }

// truncate cuts text to a number of columns.
func truncate(s string, columns int) string {
	if width(s) <= columns {
		return s
	}
	runes := []rune(s)
	for n := min(len(runes), columns); n > 0; n-- {
		if cut := string(runes[:n]) + "…"; width(cut) <= columns {
			return cut
		}
	}
	return ""
}
