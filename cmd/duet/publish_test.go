package main

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/github/fake"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

const (
	publishedHead = "4f1c2a9be07d5a8833c19d64f0b2e7a15c6d9e01"
	otherHead     = "0000000000000000000000000000000000000001"
)

const measuring = ".github/workflows/duet.yml"

// forge is GitHub with pull request 3, whose head is a commit, and ann's word in it.
func forge(t *testing.T, head string) *fake.Hub {
	t.Helper()
	h := fake.New(t, fake.Options{})
	h.Open(fake.Pull{Number: 3, Head: head, Base: otherHead, Branch: "x", Repository: "o/r"})
	h.Say(3, "ann", "<!-- duet:v1:"+measuring+":duet.yml -->\nwhat is this?")
	return h
}

// forkedForge is GitHub with a fork's pull request 3, and run 9.2 that measured its head; artifact and config are nil where the
// run left none, and where base has none.
func forkedForge(t *testing.T, conclusion string, artifact, config []byte) *fake.Hub {
	t.Helper()
	h := forge(t, publishedHead)
	h.Open(fake.Pull{Number: 3, Head: publishedHead, Base: otherHead, Branch: "x", Repository: "ann/r"})
	h.Workflow(4, measuring)
	h.Ran(fake.Run{ID: 9, Workflow: 4, Attempt: 2, Event: "pull_request", Head: publishedHead, Branch: "x", From: "ann/r", Conclusion: conclusion})
	h.Left(fake.Artifact{ID: 6, Run: 9, Name: "duet-run-1", Zip: []byte("of the first attempt")})
	h.Left(fake.Artifact{ID: 7, Run: 9, Name: "duet-profiles-2", Zip: []byte("never opened")})
	if artifact != nil {
		h.Left(fake.Artifact{ID: 5, Run: 9, Name: "duet-run-2", Zip: artifact})
	}
	if config != nil {
		h.Holds(otherHead, "duet.yml", fake.File{Content: string(config)})
	}
	return h
}

// commented are the texts of Duet's comments; nobody else's is ever changed.
func commented(t *testing.T, h *fake.Hub) (texts []string) {
	t.Helper()
	for _, c := range h.Comments(3) {
		switch {
		case strings.HasSuffix(c.Author, "[bot]"):
			texts = append(texts, c.Body)
		case len(c.History) != 1:
			t.Errorf("%s's comment was changed to %q", c.Author, c.Body)
		}
	}
	return texts
}

// regressed gives a recorded run rounds in which Go's head takes twice base's CPU.
func regressed(t *testing.T, text []byte) []byte {
	t.Helper()
	run, err := result.Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	like := run.Trials
	run.Trials = nil
	for _, phase := range []plan.Phase{plan.Screen, plan.Confirm} {
		for round := range 7 {
			for _, one := range like {
				one.Phase, one.Round = phase, round+1
				jitter := 1 + 0.001*float64(round%3)
				if one.Variant == (plan.Variant{Service: "go", Side: plan.Head}) {
					jitter *= 2
				}
				one.Open.CPUSeconds, one.Closed.CPUSeconds = one.Open.CPUSeconds*jitter, one.Closed.CPUSeconds*jitter
				run.Trials = append(run.Trials, one)
			}
		}
	}
	if text, err = result.Encode(run); err != nil {
		t.Fatal(err)
	}
	return text
}

// published is what a job has after `duet publish`.
type published struct {
	status                  exitStatus
	stderr, summary, output string
	comments                []string // Duet's
}

// publish runs the command in a job about a pull request; runJSON names a recorded run, "" leaves none.
func publish(t *testing.T, h *fake.Hub, runJSON string, env map[string]string, args ...string) published {
	t.Helper()
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	event := fmt.Sprintf(`{"repository":{"full_name":"o/r","default_branch":"main"},"pull_request":{"number":3,`+
		`"base":{"sha":"9a0be51d3c7f42e6b8d1045f6a2c3b4d5e6f7081","ref":"main","repo":{"full_name":"o/r"}},"head":{"sha":%q,"ref":"x","repo":{"full_name":"o/r"}}}}`, publishedHead)
	if env["GITHUB_EVENT_NAME"] == "workflow_run" {
		event = `{"repository":{"full_name":"o/r","default_branch":"main"},"workflow_run":{"id":9,"pull_requests":[{"number":99}]}}`
	}
	if err := os.WriteFile(file("event.json"), []byte(event), 0o644); err != nil {
		t.Fatal(err)
	}
	if runJSON != "" {
		text, err := os.ReadFile(filepath.Join("..", "..", "internal", "report", "testdata", runJSON+".run.json"))
		if err == nil && runJSON == "regressed" {
			text = regressed(t, text)
		}
		if err == nil {
			err = os.WriteFile(file(runFile), text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	vars := map[string]string{
		"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "pull_request", "GITHUB_EVENT_PATH": file("event.json"), "GITHUB_REPOSITORY": "o/r",
		"GITHUB_API_URL": h.URL, "GITHUB_GRAPHQL_URL": h.GraphQL, "GITHUB_SERVER_URL": "https://ghe.local", "GITHUB_TOKEN": fake.Token, "GITHUB_RUN_ID": "7", "GITHUB_RUN_ATTEMPT": "1",
		"GITHUB_WORKFLOW_REF": "o/r/.github/workflows/duet.yml@refs/pull/3/merge", "GITHUB_OUTPUT": file("output"), "GITHUB_STEP_SUMMARY": file("summary"), "DUET_AUTHOR": fake.Bot,
	}
	for name, value := range env {
		vars[name] = value
	}
	var stdout, stderr strings.Builder
	p := published{status: run(world{
		args: append([]string{"publish", "--out", dir}, args...), getenv: func(name string) string { return vars[name] }, stdout: &stdout, stderr: &stderr,
	})}
	p.stderr = stderr.String()
	read := func(name string) string {
		text, err := os.ReadFile(file(name))
		if err != nil {
			return ""
		}
		return string(text)
	}
	p.summary, p.output, p.comments = read("summary"), read("output"), commented(t, h)
	for what, text := range map[string]string{"log": p.stderr + stdout.String(), "summary": p.summary, "output": p.output, "comments": strings.Join(p.comments, "")} {
		if strings.Contains(text, fake.Token) {
			t.Errorf("the %s holds the token", what)
		}
	}
	return p
}

func TestPublish(t *testing.T) {
	f := forge(t, publishedHead)
	if p := publish(t, f, "", nil, "--running"); p.status != exitOK || len(p.comments) != 1 || !strings.Contains(p.comments[0], "measuring") || p.summary != "" {
		t.Fatalf("running: status %d, comments %q, summary %q\n%s", p.status, p.comments, p.summary, p.stderr)
	}
	p := publish(t, f, "regressed", nil)
	if p.status != exitOK || len(p.comments) != 1 || f.Writes() != 2 {
		t.Fatalf("measured: status %d, %d comments after %d writes\n%s", p.status, len(p.comments), f.Writes(), p.stderr)
	}
	if got := p.comments[0]; !strings.HasPrefix(got, "<!-- duet:v1:.github/workflows/duet.yml:duet.yml -->\n<!-- duet:run 7.1 "+publishedHead+" -->\n<!-- duet:said Go regressed, Rust unchanged -->\n### Duet: ") || !strings.Contains(got, "regressed") {
		t.Errorf("the comment says %.300q", got)
	}
	if !strings.Contains(p.summary, "regressed") {
		t.Errorf("the summary says %.200q", p.summary)
	}
	for _, want := range []string{"\nregressed\n", "\nhttps://ghe.local/o/r/pull/3#issuecomment-2\n", "comment-url<<", "go-verdict<<", "rust-verdict<<", "report-path<<", "worst<<"} {
		if !strings.Contains(p.output, want) {
			t.Errorf("the outputs lack %q:\n%s", want, p.output)
		}
	}
	if !strings.Contains(p.stderr, "::warning file=duet.yml,title=Duet::") {
		t.Errorf("no annotation of the regression in\n%s", p.stderr)
	}
}

// headlineOf is a comment's first line that people see.
func headlineOf(comment string) string {
	_, rest, _ := strings.Cut(comment, "\n### ")
	line, _, _ := strings.Cut(rest, "\n")
	return line
}

// Every way in which a run may end has a true comment.
func TestPublishedStates(t *testing.T) {
	for name, want := range map[string]string{
		"": "not judged", "cancelled": "cancelled", "crashed": "did not survive", "build-failed-head": "does not build", "no-base": "baseline: none",
		"nothing-changed": "nothing to measure", "inconclusive": "inconclusive",
	} {
		f := forge(t, publishedHead)
		p := publish(t, f, name, nil)
		if p.status != exitOK || len(p.comments) != 1 || !strings.Contains(headlineOf(p.comments[0]), want) {
			t.Errorf("%s: status %d, comments %.300q, want %q\n%s", name, p.status, p.comments, want, p.stderr)
		}
	}
}

// SECURITY.md, M3 and R12: a head that moved on and a token that may not write end green and say so.
func TestPublishingNeverFailsTheJob(t *testing.T) {
	moved := forge(t, otherHead)
	if p := publish(t, moved, "regressed", nil); p.status != exitOK || moved.Writes() != 0 || !strings.Contains(p.stderr, "newer head") || p.summary == "" {
		t.Errorf("head moved on: status %d after %d writes\n%s", p.status, moved.Writes(), p.stderr)
	}
	readOnly := forge(t, publishedHead)
	readOnly.Grant(map[string]string{"contents": "read", "pull-requests": "read"})
	if p := publish(t, readOnly, "regressed", nil); p.status != exitOK || strings.Count(p.stderr, "::notice") != 1 || p.summary == "" {
		t.Errorf("read-only token: status %d\n%s", p.status, p.stderr)
	}
	for name, change := range map[string]map[string]string{
		"no token":      {"GITHUB_TOKEN": ""},
		"another event": {"GITHUB_EVENT_NAME": "push"},
		"no files":      {"GITHUB_STEP_SUMMARY": "", "GITHUB_OUTPUT": ""},
	} {
		f := forge(t, publishedHead)
		if p := publish(t, f, "regressed", change); p.status != exitOK || name != "no files" && (f.Writes() != 0 || p.summary == "") {
			t.Errorf("%s: status %d after %d writes\n%s", name, p.status, f.Writes(), p.stderr)
		}
	}
}

func TestPublishModes(t *testing.T) {
	f := forge(t, publishedHead)
	if p := publish(t, f, "regressed", nil, "--comment", "summary-only"); p.status != exitOK || f.Writes() != 0 || p.summary == "" || p.output == "" {
		t.Errorf("summary-only: status %d after %d writes, summary %.80q", p.status, f.Writes(), p.summary)
	}
	if p := publish(t, f, "regressed", nil, "--comment", "off"); p.status != exitOK || f.Writes() != 0 || p.summary != "" || p.output == "" {
		t.Errorf("off: status %d after %d writes, summary %.80q", p.status, f.Writes(), p.summary)
	}
	// A job that measures a fork's code has a token that may not write; its own summary has the report all the same.
	if p := publish(t, f, "regressed", nil, "--mode", "measure"); p.status != exitOK || f.Writes() != 0 || !strings.Contains(p.summary, "regressed") || !strings.Contains(p.output, "\nregressed\n") {
		t.Errorf("measure: status %d after %d writes, summary %.80q, outputs %s", p.status, f.Writes(), p.summary, p.output)
	}
	for name, change := range map[string]map[string]string{
		"outside of Actions": {"GITHUB_ACTIONS": ""}, "no run": {"GITHUB_RUN_ID": ""}, "a strange attempt": {"GITHUB_RUN_ATTEMPT": "x"},
		"no repository": {"GITHUB_REPOSITORY": ""}, "plain http": {"GITHUB_API_URL": "http://ghe.local"},
	} {
		if p := publish(t, f, "regressed", change); p.status != exitUsage || f.Writes() != 0 {
			t.Errorf("%s: status %d, want %d\n%s", name, p.status, exitUsage, p.stderr)
		}
	}
	if p := publish(t, f, "regressed", nil, "--comment", "always"); p.status != exitUsage {
		t.Errorf("a strange mode: status %d", p.status)
	}
}

// packed is an artifact with a run.json in it.
func packed(t *testing.T, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create(runFile)
	if err == nil {
		_, err = f.Write(text)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func recorded(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "internal", "report", "testdata", "regressed.run.json"))
	if err != nil {
		t.Fatal(err)
	}
	return regressed(t, text)
}

// The fork mode: what another run measured is published by a job that has the token, by base's opinions.
func TestPublishFromRun(t *testing.T) {
	const baseConfig = "services:\n  - {name: go, lang: go, dir: go}\n  - {name: rust, lang: rust, dir: rust}\nworkloads: [health]\n"
	from := func(f *fake.Hub) published {
		return publish(t, f, "", map[string]string{"GITHUB_EVENT_NAME": "workflow_run"}, "--from-run")
	}
	sound := func() *fake.Hub { return forkedForge(t, "success", packed(t, recorded(t)), []byte(baseConfig)) }
	p := from(sound())
	if p.status != exitOK || len(p.comments) != 1 || !strings.Contains(p.comments[0], "<!-- duet:run 9.2 "+publishedHead) || !strings.Contains(p.comments[0], "❌") ||
		!strings.Contains(p.comments[0], "as honest as the code") || !strings.Contains(p.output, "\nregressed\n") {
		t.Fatalf("status %d, comments %.600q\n%s", p.status, p.comments, p.stderr)
	}
	// A margin of base's that the doubled CPU is not beyond: the artifact's own margins do not count.
	wide := forkedForge(t, "success", packed(t, recorded(t)), []byte(baseConfig+"margins: {cpu_per_request: 100%}\n"))
	if p := from(wide); p.status != exitOK || len(p.comments) != 1 || strings.Contains(p.comments[0], "❌ Go regressed") {
		t.Errorf("base's margin: status %d, comments %.300q\n%s", p.status, p.comments, p.stderr)
	}
	for name, v := range map[string]struct {
		conclusion string
		artifact   []byte
		config     []byte
		change     func(*fake.Hub)
		want       string // in the comment; "": nothing is written
	}{
		"no artifact, cancelled": {"cancelled", nil, []byte(baseConfig), nil, "cancelled"},
		"no artifact, failed":    {"failure", nil, []byte(baseConfig), nil, "left no result"},
		"no zip":                 {"success", []byte("hello"), []byte(baseConfig), nil, "not a run"},
		"no run.json":            {"success", packed(t, []byte("{}")), []byte(baseConfig), nil, "cannot be read"},
		"another commit's": {"success", packed(t, bytes.ReplaceAll(recorded(t), []byte(publishedHead), []byte(otherHead))), []byte(baseConfig),
			nil, "another commit"},
		"a config that is no use": {"success", packed(t, recorded(t)), []byte("services: 3\n"), nil, "cannot be used"},
		"no config at base":       {"success", packed(t, recorded(t)), nil, nil, "no duet.yml"},
		"head moved on":           {"success", packed(t, recorded(t)), []byte(baseConfig), func(f *fake.Hub) { f.Push(3, otherHead) }, ""},
		"an impostor's workflow":  {"success", packed(t, recorded(t)), []byte(baseConfig), func(f *fake.Hub) { f.Workflow(4, ".github/workflows/evil.yml") }, ""},
		"the fork was deleted": {"success", packed(t, recorded(t)), []byte(baseConfig), func(f *fake.Hub) {
			f.Ran(fake.Run{ID: 9, Workflow: 4, Attempt: 2, Event: "pull_request", Head: publishedHead, Branch: "x", Conclusion: "success"})
		}, ""},
	} {
		f := forkedForge(t, v.conclusion, v.artifact, v.config)
		if v.change != nil {
			v.change(f)
		}
		p := from(f)
		switch {
		case p.status != exitOK:
			t.Errorf("%s: status %d\n%s", name, p.status, p.stderr)
		case v.want == "" && f.Writes() != 0:
			t.Errorf("%s: %d writes", name, f.Writes())
		case v.want != "" && (len(p.comments) != 1 || !strings.Contains(p.comments[0], v.want)):
			t.Errorf("%s: comments %.600q, want %q\n%s", name, p.comments, v.want, p.stderr)
		}
	}
	if p := publish(t, sound(), "", nil, "--from-run"); p.status != exitUsage {
		t.Errorf("--from-run on a pull request: status %d", p.status)
	}
}

// A later workflow's run of the newest head was published first, and an older one wrote over it: it puts it back, from the
// artifact of that head's run.
func TestPublishPutsTheNewestBack(t *testing.T) {
	f := forkedForge(t, "success", packed(t, recorded(t)), nil)
	f.Ran(fake.Run{ID: 12, Workflow: 4, Attempt: 1, Event: "pull_request", Head: otherHead, Branch: "x", From: "ann/r", Conclusion: "success"})
	f.Left(fake.Artifact{ID: 8, Run: 12, Name: "duet-run-1", Zip: packed(t, bytes.ReplaceAll(recorded(t), []byte(publishedHead), []byte(otherHead)))})
	f.Break("POST", "/comments", 1, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(w, r)
		f.Push(3, otherHead)
	})
	p := publish(t, f, "", map[string]string{"GITHUB_EVENT_NAME": "workflow_run"}, "--from-run")
	if p.status != exitOK || len(p.comments) != 1 || !strings.Contains(p.comments[0], "<!-- duet:run 12.1 "+otherHead) {
		t.Errorf("status %d, comments %.300q\n%s", p.status, p.comments, p.stderr)
	}
}

// Another token's comments are its own login's, whom GitHub is asked for.
func TestPublishWithAnotherToken(t *testing.T) {
	f := forge(t, publishedHead)
	f.As("a-team[bot]")
	if p := publish(t, f, "regressed", map[string]string{"DUET_AUTHOR": ""}); p.status != exitOK {
		t.Errorf("status %d\n%s", p.status, p.stderr)
	}
	if p := publish(t, f, "cancelled", map[string]string{"DUET_AUTHOR": ""}); p.status != exitOK {
		t.Errorf("status %d\n%s", p.status, p.stderr)
	}
	all := f.Comments(3)
	if len(all) != 2 || all[1].Author != "a-team[bot]" || len(all[1].History) != 2 {
		t.Errorf("the comments are %v, want one of the team's, edited", all)
	}
}
