package sandbox

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestSanitize(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"plain", "plain"},
		{"\x1b[1;31mred\x1b[0m", "red"},
		{"\x1b]0;title\x07after", "after"},
		{"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"},
		{"a\x1b", "a"},
		{"::error file=x::y", ": :error file=x: :y"},
		{":\x00:set-env", ": :set-env"},
		{":\u200b:x", ": :x"},
		{":::::", ": : : : :"},
		{"foo ##[error]x", "foo ## [error]x"},
		{"#\x1b[m#[add-mask]", "## [add-mask]"},
		{"tab\tbed\x7f\u202ebidi\u009b", "tab bedbidi"},
		{"\xff", "\ufffd"},
		{strings.Repeat("é", 400), strings.Repeat("é", 298) + "…"},
	} {
		if got := Sanitize(c.line); got != c.want {
			t.Errorf("Sanitize(%q): got %q, want %q", c.line, got, c.want)
		}
	}
}

func TestTail(t *testing.T) {
	if got := strings.Join(Tail([]byte("a\r\rb\n\nc\n")), "|"); got != "a|b|c" {
		t.Errorf("got %q", got)
	}
	if got := Tail([]byte(strings.Repeat("x\n", 51))); len(got) != 50 {
		t.Errorf("got %d lines, want 50", len(got))
	}
}

func FuzzSanitize(f *testing.F) {
	for _, seed := range []string{"::x", "##[x]", "\x1b[31m", ":\u200d:", strings.Repeat(":", 600), "\x1b]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		got := Sanitize(line)
		if !utf8.ValidString(got) || utf8.RuneCountInString(got) > lineRunes {
			t.Errorf("%q: got %q", line, got)
		}
		if strings.Contains(got, "::") || strings.Contains(got, "##[") || strings.ContainsFunc(got, unicode.IsControl) {
			t.Errorf("%q: got %q, which a runner may read as a command", line, got)
		}
	})
}
