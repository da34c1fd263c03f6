package main

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

const (
	publishedHead = "4f1c2a9be07d5a8833c19d64f0b2e7a15c6d9e01"
	otherHead     = "0000000000000000000000000000000000000001"
)

// forge is a pull request on a server: its head and its comments by Duet.
type forge struct {
	head     string
	comments []string
	refuse   bool
	writes   int
	// Of the run that measured: its artifact's zip, how it ended, its workflow's file, and base's duet.yml.
	artifact             []byte
	conclusion, workflow string
	config               string
}

func (f *forge) serve(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	say := func(w http.ResponseWriter, status int, v any) {
		w.WriteHeader(status)
		if err := json.NewEncoder(w).Encode(v); err != nil {
			t.Error(err)
		}
	}
	comment := func(i int) map[string]any {
		return map[string]any{"id": i + 1, "body": f.comments[i], "user": map[string]any{"login": "github-actions[bot]"}}
	}
	write := func(w http.ResponseWriter, r *http.Request, status int, take func(body string) int) {
		if f.refuse {
			say(w, 403, map[string]any{"message": "Resource not accessible by integration"})
			return
		}
		var v struct{ Body string }
		if err := json.NewDecoder(r.Body).Decode(&v); err != nil {
			t.Error(err)
		}
		f.writes++
		say(w, status, comment(take(v.Body)))
	}
	mux.HandleFunc("GET /repos/o/r/pulls/3", func(w http.ResponseWriter, _ *http.Request) {
		say(w, 200, map[string]any{"head": map[string]any{"sha": f.head}})
	})
	mux.HandleFunc("GET /repos/o/r/issues/3/comments", func(w http.ResponseWriter, _ *http.Request) {
		all := []any{}
		for i := range f.comments {
			all = append(all, comment(i))
		}
		say(w, 200, all)
	})
	mux.HandleFunc("POST /repos/o/r/issues/3/comments", func(w http.ResponseWriter, r *http.Request) {
		write(w, r, 201, func(body string) int {
			f.comments = append(f.comments, body)
			return len(f.comments) - 1
		})
	})
	mux.HandleFunc("PATCH /repos/o/r/issues/comments/1", func(w http.ResponseWriter, r *http.Request) {
		write(w, r, 200, func(body string) int {
			f.comments[0] = body
			return 0
		})
	})
	f.measured(mux, say)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

// measured serves what the API says of the run that measured, 9, of a fork.
func (f *forge) measured(mux *http.ServeMux, say func(http.ResponseWriter, int, any)) {
	type object = map[string]any
	repo := func(name string) object { return object{"full_name": name} }
	mux.HandleFunc("GET /repos/o/r/actions/runs/9", func(w http.ResponseWriter, _ *http.Request) {
		say(w, 200, object{"id": 9, "run_attempt": 2, "event": "pull_request", "workflow_id": 4, "head_sha": publishedHead, "head_branch": "x",
			"conclusion": f.conclusion, "repository": repo("o/r"), "head_repository": repo("ann/r")})
	})
	mux.HandleFunc("GET /repos/o/r/actions/workflows/4", func(w http.ResponseWriter, _ *http.Request) {
		say(w, 200, object{"id": 4, "path": f.workflow})
	})
	mux.HandleFunc("GET /repos/o/r/pulls", func(w http.ResponseWriter, _ *http.Request) {
		say(w, 200, []any{object{"number": 3, "base": object{"sha": otherHead}, "head": object{"sha": f.head, "repo": repo("ann/r")}}})
	})
	mux.HandleFunc("GET /repos/o/r/actions/runs/9/artifacts", func(w http.ResponseWriter, _ *http.Request) {
		list := []any{object{"id": 6, "name": "duet-run-1"}, object{"id": 7, "name": "duet-profiles-2"}}
		if f.artifact != nil {
			list = append(list, object{"id": 5, "name": "duet-run-2", "size_in_bytes": len(f.artifact), "workflow_run": object{"id": 9}})
		}
		say(w, 200, object{"artifacts": list})
	})
	mux.HandleFunc("GET /repos/o/r/actions/artifacts/5/zip", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://"+r.Host+"/blob", http.StatusFound)
	})
	mux.HandleFunc("GET /blob", func(w http.ResponseWriter, _ *http.Request) { w.Write(f.artifact) })
	mux.HandleFunc("GET /repos/o/r/contents/duet.yml", func(w http.ResponseWriter, r *http.Request) {
		if f.config == "" || r.URL.Query().Get("ref") != otherHead {
			say(w, 404, object{"message": "Not Found"})
			return
		}
		say(w, 200, object{"type": "file", "encoding": "base64", "size": len(f.config), "content": base64.StdEncoding.EncodeToString([]byte(f.config))})
	})
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
}

// publish runs the command in a job about a pull request; runJSON names a recorded run, "" leaves none.
func publish(t *testing.T, f *forge, runJSON string, env map[string]string, args ...string) published {
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
		"GITHUB_API_URL": f.serve(t), "GITHUB_SERVER_URL": "https://ghe.local", "GITHUB_TOKEN": "secret-token", "GITHUB_RUN_ID": "7", "GITHUB_RUN_ATTEMPT": "1",
		"GITHUB_WORKFLOW_REF": "o/r/.github/workflows/duet.yml@refs/pull/3/merge", "GITHUB_OUTPUT": file("output"), "GITHUB_STEP_SUMMARY": file("summary"),
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
	p.summary, p.output = read("summary"), read("output")
	for what, text := range map[string]string{"log": p.stderr + stdout.String(), "summary": p.summary, "output": p.output, "comments": strings.Join(f.comments, "")} {
		if strings.Contains(text, "secret-token") {
			t.Errorf("the %s holds the token", what)
		}
	}
	return p
}

func TestPublish(t *testing.T) {
	f := &forge{head: publishedHead}
	if p := publish(t, f, "", nil, "--running"); p.status != exitOK || len(f.comments) != 1 || !strings.Contains(f.comments[0], "measuring") || p.summary != "" {
		t.Fatalf("running: status %d, comments %q, summary %q\n%s", p.status, f.comments, p.summary, p.stderr)
	}
	p := publish(t, f, "regressed", nil)
	if p.status != exitOK || len(f.comments) != 1 || f.writes != 2 {
		t.Fatalf("measured: status %d, %d comments after %d writes\n%s", p.status, len(f.comments), f.writes, p.stderr)
	}
	if got := f.comments[0]; !strings.HasPrefix(got, "<!-- duet:v1:.github/workflows/duet.yml:duet.yml -->\n<!-- duet:run 7.1 "+publishedHead+" -->\n<!-- duet:said Go regressed, Rust unchanged -->\n### Duet: ") || !strings.Contains(got, "regressed") {
		t.Errorf("the comment says %.300q", got)
	}
	if !strings.Contains(p.summary, "regressed") {
		t.Errorf("the summary says %.200q", p.summary)
	}
	for _, want := range []string{"\nregressed\n", "\nhttps://ghe.local/o/r/pull/3#issuecomment-1\n", "comment-url<<", "go-verdict<<", "rust-verdict<<", "report-path<<", "worst<<"} {
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
		f := &forge{head: publishedHead}
		p := publish(t, f, name, nil)
		if p.status != exitOK || len(f.comments) != 1 || !strings.Contains(headlineOf(f.comments[0]), want) {
			t.Errorf("%s: status %d, comments %.300q, want %q\n%s", name, p.status, f.comments, want, p.stderr)
		}
	}
}

// SECURITY.md, M3 and R12: a head that moved on and a token that may not write end green and say so.
func TestPublishingNeverFailsTheJob(t *testing.T) {
	moved := &forge{head: otherHead}
	if p := publish(t, moved, "regressed", nil); p.status != exitOK || moved.writes != 0 || !strings.Contains(p.stderr, "newer head") || p.summary == "" {
		t.Errorf("head moved on: status %d after %d writes\n%s", p.status, moved.writes, p.stderr)
	}
	readOnly := &forge{head: publishedHead, refuse: true}
	if p := publish(t, readOnly, "regressed", nil); p.status != exitOK || strings.Count(p.stderr, "::notice") != 1 || p.summary == "" {
		t.Errorf("read-only token: status %d\n%s", p.status, p.stderr)
	}
	for name, change := range map[string]map[string]string{
		"no token":      {"GITHUB_TOKEN": ""},
		"another event": {"GITHUB_EVENT_NAME": "push"},
		"no files":      {"GITHUB_STEP_SUMMARY": "", "GITHUB_OUTPUT": ""},
	} {
		f := &forge{head: publishedHead}
		if p := publish(t, f, "regressed", change); p.status != exitOK || name != "no files" && (f.writes != 0 || p.summary == "") {
			t.Errorf("%s: status %d after %d writes\n%s", name, p.status, f.writes, p.stderr)
		}
	}
}

func TestPublishModes(t *testing.T) {
	f := &forge{head: publishedHead}
	if p := publish(t, f, "regressed", nil, "--comment", "summary-only"); p.status != exitOK || f.writes != 0 || p.summary == "" || p.output == "" {
		t.Errorf("summary-only: status %d after %d writes, summary %.80q", p.status, f.writes, p.summary)
	}
	if p := publish(t, f, "regressed", nil, "--comment", "off"); p.status != exitOK || f.writes != 0 || p.summary != "" || p.output == "" {
		t.Errorf("off: status %d after %d writes, summary %.80q", p.status, f.writes, p.summary)
	}
	for name, change := range map[string]map[string]string{
		"outside of Actions": {"GITHUB_ACTIONS": ""}, "no run": {"GITHUB_RUN_ID": ""}, "a strange attempt": {"GITHUB_RUN_ATTEMPT": "x"},
		"no repository": {"GITHUB_REPOSITORY": ""}, "plain http": {"GITHUB_API_URL": "http://ghe.local"},
	} {
		if p := publish(t, f, "regressed", change); p.status != exitUsage || f.writes != 0 {
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
	sound := func() *forge {
		return &forge{head: publishedHead, artifact: packed(t, recorded(t)), conclusion: "success", workflow: ".github/workflows/duet.yml", config: baseConfig}
	}
	from := func(f *forge) published {
		return publish(t, f, "", map[string]string{"GITHUB_EVENT_NAME": "workflow_run"}, "--from-run")
	}
	f := sound()
	p := from(f)
	if p.status != exitOK || len(f.comments) != 1 || !strings.Contains(f.comments[0], "<!-- duet:run 9.2 "+publishedHead) || !strings.Contains(f.comments[0], "❌") ||
		!strings.Contains(f.comments[0], "as honest as the code") || !strings.Contains(p.output, "\nregressed\n") {
		t.Fatalf("status %d, comments %.600q\n%s", p.status, f.comments, p.stderr)
	}
	// A margin of base's that the doubled CPU is not beyond: the artifact's own margins do not count.
	f = sound()
	f.config = baseConfig + "margins: {cpu_per_request: 100%}\n"
	if p := from(f); p.status != exitOK || len(f.comments) != 1 || strings.Contains(f.comments[0], "❌ Go regressed") {
		t.Errorf("base's margin: status %d, comments %.300q\n%s", p.status, f.comments, p.stderr)
	}
	for name, v := range map[string]struct {
		change func(*forge)
		want   string // in the comment; "": nothing is written
	}{
		"no artifact, cancelled": {func(f *forge) { f.artifact, f.conclusion = nil, "cancelled" }, "cancelled"},
		"no artifact, failed":    {func(f *forge) { f.artifact, f.conclusion = nil, "failure" }, "left no result"},
		"no zip":                 {func(f *forge) { f.artifact = []byte("hello") }, "not a run"},
		"no run.json":            {func(f *forge) { f.artifact = packed(t, []byte("{}")) }, "cannot be read"},
		"another commit's": {func(f *forge) {
			f.artifact = packed(t, bytes.ReplaceAll(recorded(t), []byte(publishedHead), []byte(otherHead)))
		}, "another commit"},
		"head moved on":           {func(f *forge) { f.head = otherHead }, ""},
		"an impostor's workflow":  {func(f *forge) { f.workflow = ".github/workflows/evil.yml" }, ""},
		"a config that is no use": {func(f *forge) { f.config = "services: 3\n" }, "cannot be used"},
		"no config at base":       {func(f *forge) { f.config = "" }, "no duet.yml"},
	} {
		f := sound()
		v.change(f)
		p := from(f)
		switch {
		case p.status != exitOK:
			t.Errorf("%s: status %d\n%s", name, p.status, p.stderr)
		case v.want == "" && f.writes != 0:
			t.Errorf("%s: %d writes", name, f.writes)
		case v.want != "" && (len(f.comments) != 1 || !strings.Contains(f.comments[0], v.want)):
			t.Errorf("%s: comments %.600q, want %q\n%s", name, f.comments, v.want, p.stderr)
		}
	}
	if p := publish(t, sound(), "", nil, "--from-run"); p.status != exitUsage {
		t.Errorf("--from-run on a pull request: status %d", p.status)
	}
}
