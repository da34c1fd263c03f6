package e2e

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/duet-bench/duet/internal/history"
)

//go:embed testdata/nightly/main.go.txt
var bareService string

const (
	quickAnswer = "package main\n\nfunc answer() string { return `{\"status\":\"ok\"}` }\n"
	// slowAnswer executes many times the instructions, in about a microsecond: work doubles, time hardly moves.
	slowAnswer = "package main\n\nvar sum uint64\n\nfunc answer() string {\n\tfor i := range uint64(20000) {\n\t\tsum = sum*31 + i\n\t}\n\treturn `{\"status\":\"ok\"}`\n}\n"
	nightYAML  = "services:\n  - {name: go, lang: go}\nworkloads: [health]\nbudget: 7s\nmeasure: {rounds: [7], count: 20s, profile: 0s}\n"

	planted = 10 // of twelve commits, numbered from 0
	broken  = 5  // does not build; the next one mends it
)

// nightRepo is a repository of twelve merges to main, one of which makes the service slower.
func nightRepo(t *testing.T) (dir string, shas []string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "repo")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	git := func(args ...string) string {
		t.Helper()
		command := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=e2e", "-c", "user.email=e2e@example.com"}, args...)...)
		out, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	git("init", "--quiet", "--initial-branch=main")
	write("go.mod", "module example.com/night\n\ngo 1.25\n")
	write("main.go", bareService)
	write("answer.go", quickAnswer)
	write("duet.yml", nightYAML)
	for i := range 12 {
		message := fmt.Sprintf("docs: page %d", i)
		write("notes.md", message+"\n")
		switch i {
		case broken:
			message = "core: half of a change"
			write("answer.go", strings.Replace(quickAnswer, "return", "retrun", 1))
		case broken + 1:
			write("answer.go", quickAnswer)
		case planted:
			message = "core: count what was answered"
			write("answer.go", slowAnswer)
		}
		git("add", "--all")
		git("commit", "--quiet", "--message", message)
		shas = append(shas, git("rev-parse", "HEAD"))
	}
	return dir, shas
}

func readNight(t *testing.T, out string) history.Entry {
	t.Helper()
	name := filepath.Join(out, "nights", "night.json")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	e, err := history.Decode(name, text)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// past makes a history of a machine, as a real night told it: twelve nights of the first commit and six of the last, whose
// work per request was two and a half times as much.
func past(t *testing.T, store string, like history.Entry, first, last string) {
	t.Helper()
	folder := history.OpenFolder(store)
	for night := range 18 {
		e := like
		e.Commit, e.Anchor = history.Commit{SHA: first}, history.Commit{SHA: first}
		ratio := 1 + 0.001*float64(night%3-1)
		if night >= 12 {
			e.Commit.SHA, ratio = last, 2.5+0.01*float64(night%3-1)
		}
		e.ID = fmt.Sprintf("%s-%d.1", e.Commit.SHA, 100+night)
		e.Recorded = time.Now().UTC().Add(time.Duration(night-18) * 24 * time.Hour).Format(time.RFC3339)
		e.Rows = []history.Row{{Service: "go", Workload: "health", Metric: "instructions_callgrind", Ratio: ratio, Low: ratio * 0.999, High: ratio * 1.001,
			Anchor: 1000, Commit: 1000 * ratio, Rounds: 3, Verdict: "unchanged"}}
		if err := folder.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
}

// A merge that no pull request tripped over is named by the night that sees it, in a real repository: what is between the last
// good night and the first bad one is measured again, and what cannot be built is passed by.
func TestNightNamesTheFirstBadMerge(t *testing.T) {
	repo, shas := nightRepo(t)
	store, out := filepath.Join(t.TempDir(), "history"), filepath.Join(t.TempDir(), "out")
	measure := func(args ...string) outcome {
		return run(t, repo, append([]string{"nightly", "measure", "--repo", repo, "--store", "folder:" + store, "--out", out, "--self-check=false", "--seed", "1"}, args...)...)
	}
	if o := measure("--head", shas[0]); o.status != 0 {
		t.Fatalf("the first night: status %d\n%s", o.status, o.stderr)
	}
	first := readNight(t, out)
	if first.Commit.SHA != shas[0] || first.Anchor.SHA != shas[0] || len(first.Rows) == 0 || len(first.Notes) != 1 {
		t.Fatalf("the first night: got %s against %s with %d rows and %q", first.Commit.SHA, first.Anchor.SHA, len(first.Rows), first.Notes)
	}
	past(t, store, first, shas[0], shas[11])

	o := measure()
	e := readNight(t, out)
	if o.status != 0 || e.Commit.SHA != shas[11] || e.Anchor.SHA != shas[0] || len(e.Notes) != 0 {
		t.Fatalf("status %d, %s against %s, notes %q\n%s", o.status, e.Commit.SHA, e.Anchor.SHA, e.Notes, o.stderr)
	}
	if len(e.Suspects) != 1 {
		t.Fatalf("%d suspects, want one\n%s", len(e.Suspects), o.stderr)
	}
	s := e.Suspects[0]
	for _, step := range s.Steps {
		t.Logf("%.12s %s %.2f [%.2f, %.2f] %s", step.Commit, step.Found, step.Ratio, step.Low, step.High, step.Why)
	}
	if s.FirstBad == nil || s.FirstBad.SHA != shas[planted] || s.FirstBad.Subject != "core: count what was answered" {
		t.Errorf("first bad merge: got %+v (%s), want %s", s.FirstBad, s.Why, shas[planted])
	}
	found := map[string]string{}
	for _, step := range s.Steps {
		found[step.Commit] = step.Found
	}
	if found[shas[broken]] != history.FoundSkipped || found[shas[11]] != history.FoundBad || found[shas[planted-1]] != history.FoundGood {
		t.Errorf("steps: got %v, want the broken one skipped, the last bad and the one before the planted good", found)
	}

	r := run(t, repo, "nightly", "record", "--store", "folder:"+store, "--out", out, "--nights", filepath.Join(out, "nights"))
	report, err := os.ReadFile(filepath.Join(out, "nightly.md"))
	if err != nil || r.status != 0 || !strings.Contains(string(report), "count what was answered") {
		t.Errorf("record: status %d, %v\n%s\n%s", r.status, err, r.stderr, report)
	}
	if again := run(t, repo, "nightly", "record", "--store", "folder:"+store, "--out", out, "--nights", filepath.Join(out, "nights")); again.status != 0 || !strings.Contains(again.stdout, "0 of 1 nights added") {
		t.Errorf("record once more: status %d\n%s", again.status, again.stdout)
	}
	text, _ := json.MarshalIndent(s, "", " ")
	t.Logf("%s", text)
}
