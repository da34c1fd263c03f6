package parity

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// line makes one line of a Finding: printable, one line, at most maxChars characters.
func line(sign rune, text string) string {
	var b strings.Builder
	b.WriteRune(sign)
	b.WriteByte(' ')
	chars := 2
	for _, r := range text {
		shown := string(r)
		if !unicode.IsPrint(r) {
			shown = strings.Trim(strconv.QuoteRuneToASCII(r), "'")
		}
		if chars += len([]rune(shown)); chars > maxChars-1 {
			b.WriteRune('…')
			break
		}
		b.WriteString(shown)
	}
	return b.String()
}

// atMost cuts a diff to maxLines and says how many lines are missing.
func atMost(lines []string, skipped int) []string {
	if len(lines)+skipped <= maxLines {
		return lines
	}
	skipped += len(lines) - (maxLines - 1)
	return append(lines[:maxLines-1:maxLines-1], line(' ', fmt.Sprintf("… and %d more lines", skipped)))
}

// textDiff shows the first stretch in which two texts differ, after one line that is the same.
func textDiff(a, b string) []string {
	left, right := strings.Split(a, "\n"), strings.Split(b, "\n")
	same := 0
	for same < len(left) && same < len(right) && left[same] == right[same] {
		same++
	}
	endA, endB := len(left), len(right)
	for endA > same && endB > same && left[endA-1] == right[endB-1] {
		endA, endB = endA-1, endB-1
	}
	var lines []string
	if same > 0 {
		lines = append(lines, line(' ', left[same-1]))
	}
	if same < endA && same < endB {
		left[same], right[same] = window(left[same], right[same])
	}
	skipped := 0
	show := func(sign rune, texts []string) {
		const half = (maxLines - 2) / 2 // so that both sides are seen
		skipped += max(0, len(texts)-half)
		for _, text := range texts[:min(len(texts), half)] {
			lines = append(lines, line(sign, text))
		}
	}
	show('-', left[same:endA])
	show('+', right[same:endB])
	if skipped > 0 {
		lines = append(lines, line(' ', fmt.Sprintf("… and %d more lines", skipped)))
	}
	return lines
}

// window cuts most of a long common beginning off two texts, so that what differs is within a line.
func window(a, b string) (string, string) {
	const context, long = 30, 70
	same := 0
	for same < len(a) && same < len(b) && a[same] == b[same] {
		same++
	}
	if same < long {
		return a, b
	}
	cut := same - context
	for cut > 0 && !utf8.RuneStart(a[cut]) {
		cut--
	}
	return "…" + a[cut:], "…" + b[cut:]
}

// bytesDiff says where two bodies that are not text part.
func bytesDiff(a, b []byte) []string {
	at := 0
	for at < len(a) && at < len(b) && a[at] == b[at] {
		at++
	}
	show := func(sign rune, body []byte) string {
		return line(sign, fmt.Sprintf("%d bytes, from byte %d: % x", len(body), at, body[at:min(at+24, len(body))]))
	}
	return []string{show('-', a), show('+', b)}
}
