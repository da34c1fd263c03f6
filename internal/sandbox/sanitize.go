package sandbox

import (
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	tailLines = 50  // lines an Exit keeps
	lineRunes = 300 // runes of a line that are kept
)

// Sanitize makes one line of foreign output fit to be quoted: no control characters, escape sequences or
// invisible runes, at most 300 runes, and nothing a CI runner takes for a command ("::", "##[").
func Sanitize(line string) string { return sanitize(line, lineRunes) }

// Harmless is text, perhaps of several lines, in which each line is sanitised and none is cut.
func Harmless(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = sanitize(line, math.MaxInt)
	}
	return strings.Join(lines, "\n")
}

func sanitize(line string, most int) string {
	var out strings.Builder
	n := 0
	var last [2]rune
	put := func(r rune) {
		out.WriteRune(r)
		last[0], last[1] = last[1], r
		n++
	}
	for rest := line; rest != ""; {
		if skip := escapeLen(rest); skip > 0 {
			rest = rest[skip:]
			continue
		}
		r, size := utf8.DecodeRuneInString(rest)
		rest = rest[size:]
		switch {
		case r == '\t':
			r = ' '
		case invisible(r):
			continue
		}
		if n >= most-2 { // room for a space and the mark
			put('…')
			break
		}
		if r == ':' && last[1] == ':' || r == '[' && last == [2]rune{'#', '#'} {
			put(' ')
		}
		put(r)
	}
	return strings.TrimRight(out.String(), " ")
}

// invisible runes are dropped: controls, and format characters, which can reorder or hide text.
func invisible(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co)
}

// escapeLen is the length of the terminal escape sequence that s starts with, or 0.
// CSI ends at its final byte; OSC and the other strings end at BEL or ESC \, or with the line.
func escapeLen(s string) int {
	if len(s) < 2 || s[0] != 0x1b {
		return 0
	}
	switch s[1] {
	case '[':
		for i := 2; i < len(s); i++ {
			if s[i] >= 0x40 && s[i] <= 0x7e {
				return i + 1
			}
			if s[i] < 0x20 || s[i] > 0x7e {
				return i
			}
		}
		return len(s)
	case ']', 'P', 'X', '^', '_':
		for i := 2; i < len(s); i++ {
			if s[i] == 0x07 {
				return i + 1
			}
			if s[i] == 0x1b && i+1 < len(s) && s[i+1] == '\\' {
				return i + 2
			}
		}
		return len(s)
	}
	return 1
}

// Tail is the last lines of some output, sanitised. Empty lines at the end are left out.
func Tail(output []byte) []string {
	lines := strings.FieldsFunc(string(output), func(r rune) bool { return r == '\n' || r == '\r' })
	if len(lines) > tailLines {
		lines = lines[len(lines)-tailLines:]
	}
	for i, line := range lines {
		lines[i] = Sanitize(line)
	}
	return lines
}
