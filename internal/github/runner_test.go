package github

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// job is a runner with files of its own.
func job(t *testing.T) (r Runner, log *bytes.Buffer, read func(name string) string) {
	t.Helper()
	dir := t.TempDir()
	log = &bytes.Buffer{}
	r = NewRunner(log, func(name string) string { return filepath.Join(dir, name) })
	return r, log, func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}

// outputsOf reads the runner's file as the runner does: NAME<<DELIMITER, lines, DELIMITER.
func outputsOf(t *testing.T, text string) map[string]string {
	t.Helper()
	found := map[string]string{}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		name, delimiter, ok := strings.Cut(lines[i], "<<")
		if !ok {
			t.Fatalf("line %q starts no output", lines[i])
		}
		var value []string
		for i++; i < len(lines) && lines[i] != delimiter; i++ {
			value = append(value, lines[i])
		}
		found[name] = strings.Join(value, "\n")
	}
	return found
}

// SECURITY.md, C3: no value makes an output of its own.
func TestOutputs(t *testing.T) {
	r, _, read := job(t)
	want := []Output{{"verdict", "regressed"}, {"comment-url", "https://ghe.local/o/r/pull/3#x"}, {"empty", ""}, {"worst", "_GitHubActionsFileCommandDelimeter_"}}
	if err := r.Outputs(want); err != nil {
		t.Fatal(err)
	}
	got := outputsOf(t, read("GITHUB_OUTPUT"))
	if len(got) != len(want) {
		t.Errorf("got %v", got)
	}
	for _, o := range want {
		if got[o.Name] != o.Value {
			t.Errorf("%s: got %q, want %q", o.Name, got[o.Name], o.Value)
		}
	}
	for _, bad := range []Output{{"a", "x\ny<<z"}, {"a", "x\ry"}, {"a=b", "x"}, {"a<<b", "x"}, {"", "x"}, {"a", "\xff"}} {
		if err := r.Outputs([]Output{{"fine", "x"}, bad}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if again := outputsOf(t, read("GITHUB_OUTPUT")); len(again) != len(want) {
		t.Errorf("a refused set left something behind: %v", again)
	}
}

func FuzzOutputs(f *testing.F) {
	f.Add("name", "value")
	f.Add("a<<b", "c\nd")
	f.Fuzz(func(t *testing.T, name, value string) {
		r, _, read := job(t)
		if r.Outputs([]Output{{name, value}}) != nil {
			return
		}
		if got := outputsOf(t, read("GITHUB_OUTPUT")); len(got) != 1 || got[name] != value {
			t.Errorf("%q = %q was read back as %v", name, value, got)
		}
	})
}

// SECURITY.md, C5: a summary is never longer than the runner keeps.
func TestSummary(t *testing.T) {
	r, _, read := job(t)
	section := "\n<details><summary>x</summary>\n\n" + strings.Repeat("é line\n", 1000) + "\n</details>\n"
	if err := r.Summary("### Duet\n" + strings.Repeat(section, 700)); err != nil {
		t.Fatal(err)
	}
	got := read("GITHUB_STEP_SUMMARY")
	if len(got) > maxSummary+1 || len(got) < maxSummary/2 || !utf8.ValidString(got) || !strings.Contains(got, "Cut here") {
		t.Errorf("got %d bytes, ending in %q", len(got), got[len(got)-100:])
	}
	if strings.Count(got, "<details>") != strings.Count(got, "</details>") {
		t.Error("a fold is left open")
	}
}

func TestSummaryWithoutFile(t *testing.T) {
	r := NewRunner(&bytes.Buffer{}, func(string) string { return "" })
	if err := r.Summary("x"); err == nil {
		t.Error("a summary without a file was written")
	}
	if err := r.Outputs([]Output{{"a", "b"}}); err == nil {
		t.Error("an output without a file was written")
	}
}

func TestAnnotations(t *testing.T) {
	r, log, _ := job(t)
	var all []Annotation
	for range 12 {
		all = append(all, Annotation{Level: Error, Title: "Duet", Text: "slower\n::error::injected", File: "a,b:c.go", Line: 3})
	}
	all = append(all, Annotation{Level: Warning, Text: strings.Repeat("é", 5000)}, Annotation{Level: Notice, Title: "only a title"})
	if err := r.Annotate(all); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != maxKind+2 {
		t.Fatalf("%d lines, want ten errors, a warning and a notice:\n%s", len(lines), log)
	}
	if want := "::error file=a%2Cb%3Ac.go,line=3,title=Duet::slower%0A::error::injected"; lines[0] != want {
		t.Errorf("got %q, want %q", lines[0], want)
	}
	if !strings.Contains(lines[maxKind-1], "3 more") {
		t.Errorf("the last error is %q, want it to count the rest", lines[maxKind-1])
	}
	if warning := lines[maxKind]; len(warning) > maxAnnotation+len("::warning::") || !utf8.ValidString(warning) {
		t.Errorf("the warning has %d bytes", len(warning))
	}
}
