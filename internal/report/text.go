package report

import (
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxCell is how many runes of an untrusted text are shown; maxLogLine the same for a line of a log.
const (
	maxCell    = 80
	maxLogLine = 160
)

// Tone is what a piece of text claims: it picks the emoji in Markdown and the colour in a terminal.
type Tone int

// The tones.
const (
	Neutral Tone = iota // nothing was judged
	Good
	Bad
	Doubt
)

func (t Tone) emoji() string {
	return [...]string{Neutral: "⚪", Good: "✅", Bad: "❌", Doubt: "❔"}[t]
}

// Span is a piece of text before any format.
type Span struct {
	Text string
	Name bool // untrusted: shown in a code span in Markdown, sanitised everywhere
	Wide bool // a name that means little when cut short: a terminal's table shows more of it
	Bold bool
	Mark bool // an emoji in Markdown, nothing elsewhere; the words that follow say the same
	Tone Tone
}

// Text is a line of spans. "\n" in a span of ours is a line break inside a table cell.
type Text []Span

func plain(s string) Span    { return Span{Text: s} }
func name(s string) Span     { return Span{Text: s, Name: true} }
func wide(s string) Span     { return Span{Text: s, Name: true, Wide: true} }
func mark(tone Tone) Span    { return Span{Mark: true, Tone: tone} }
func say(spans ...Span) Text { return spans }

// bold makes every span of t bold.
func bold(t Text) Text {
	out := make(Text, len(t))
	for i, s := range t {
		s.Bold = true
		out[i] = s
	}
	return out
}

// join puts sep between texts.
func join(texts []Text, sep string) Text {
	var out Text
	for i, t := range texts {
		if i > 0 {
			out = append(out, plain(sep))
		}
		out = append(out, t...)
	}
	return out
}

// String is the text without any format, for JSON and terminals.
func (t Text) String() string {
	var b strings.Builder
	for _, s := range t {
		switch {
		case s.Mark:
		case s.Name:
			b.WriteString(clean(s.Text, maxCell))
		default:
			b.WriteString(s.Text)
		}
	}
	return b.String()
}

// MarshalJSON writes the text without any format.
func (t Text) MarshalJSON() ([]byte, error) { return json.Marshal(t.String()) }

// prose shows a sentence of Duet's own. Sentences may carry names from the repository, so that anything
// beyond letters, digits and harmless punctuation makes the whole sentence a name.
func prose(s string) Span {
	for i, r := range s {
		letter := r < utf8.RuneSelf && unicode.IsLetter(r)
		digit := r >= '0' && r <= '9'
		if !letter && (i == 0 || !digit && !strings.ContainsRune(" ,:;()%.'·÷→–−-±", r)) {
			return name(s)
		}
	}
	lower := strings.ToLower(s)
	if s == "" || strings.Count(s, ":") != strings.Count(s, ": ") || strings.Contains(lower, "www.") || strings.Contains(lower, "gh-") || hasLongHex(lower) {
		return name(s)
	}
	return plain(s)
}

// hasLongHex says whether a forge may read a word of s as a commit and link it.
func hasLongHex(s string) bool {
	run := 0
	for _, r := range s {
		if (r >= '0' && r <= '9') || (r >= 'a' && r <= 'f') {
			if run++; run >= 7 {
				return true
			}
			continue
		}
		run = 0
	}
	return false
}

// clean makes untrusted text one harmless line of at most limit runes: no control, format (bidi, zero-width),
// filler or separator characters, no opening of an HTML comment, and nothing that a CI runner takes for a command:
// "##[" anywhere, "::" where a wrapped line may start.
func clean(s string, limit int) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		switch {
		case r == '\t' || r == '\n' || r == '\r' || unicode.Is(unicode.Zs, r):
			r = ' '
		case unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) || strings.ContainsRune("\u115f\u1160\u3164\uffa0\u2800", r):
			continue
		}
		if n == limit {
			b.WriteString("…")
			break
		}
		b.WriteRune(r)
		n++
	}
	text := strings.NewReplacer("<!--", "<! --", "##[", "## [").Replace(b.String())
	for strings.HasPrefix(text, "::") || strings.Contains(text, " ::") {
		text = strings.TrimPrefix(strings.ReplaceAll(" "+text, " ::", " : :"), " ")
	}
	return text
}

// Cell shows untrusted text inside a Markdown table: sanitised, capped, in a code span that it cannot leave.
func Cell(s string) string { return strings.ReplaceAll(codeSpan(s), "|", `\|`) }

// codeSpan is Cell for use outside tables, where a pipe needs no escape.
func codeSpan(s string) string {
	s = clean(s, maxCell)
	if strings.TrimSpace(s) == "" {
		s = "(empty)"
	}
	fence := strings.Repeat("`", longestRun(s, '`')+1)
	if s[0] == '`' || s[len(s)-1] == '`' || s[0] == ' ' && s[len(s)-1] == ' ' {
		s = " " + s + " " // stripped again by every reader of Markdown
	}
	return fence + s + fence
}

// block shows untrusted lines as a fenced code block that they cannot leave.
func block(language string, lines []string) string {
	cleaned := make([]string, len(lines))
	for i, line := range lines {
		cleaned[i] = clean(line, maxLogLine)
	}
	body := strings.Join(cleaned, "\n")
	fence := strings.Repeat("`", max(3, longestRun(body, '`')+1))
	return fence + language + "\n" + body + "\n" + fence + "\n"
}

func longestRun(s string, of rune) int {
	longest, run := 0, 0
	for _, r := range s {
		if r != of {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}
