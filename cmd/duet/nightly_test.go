package main

import (
	"archive/zip"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/github/fake"
	"github.com/duet-bench/duet/internal/history"
	"github.com/duet-bench/duet/internal/history/made"
	"github.com/duet-bench/duet/internal/nightly"
)

// nightJob is a recording job's surroundings.
type nightJob struct {
	t     *testing.T
	h     *fake.Hub
	dir   string // of this job's files; the history is beside it
	store string
	run   int
	ref   string // of the branch that it runs on
}

func newNightJob(t *testing.T) *nightJob {
	t.Helper()
	h := fake.New(t, fake.Options{})
	h.Grant(map[string]string{"actions": "read", "contents": "write", "issues": "write"})
	h.Workflow(4, ".github/workflows/nightly.yml")
	h.File(fake.Issue{Author: "ann", Title: "slow", Body: "<!-- duet:v1:night:.github/workflows/nightly.yml:duet.yml -->\nwhat is this?"})
	h.Holds(otherHead, "duet.yml", fake.File{Content: "services: [{lang: go}]\nnightly: {label: perf, title: main is slower}\n"})
	return &nightJob{t: t, h: h, store: filepath.Join(t.TempDir(), "history"), run: 100, ref: "refs/heads/main"}
}

// nightOutcome is what a recording job leaves.
type nightOutcome struct {
	status                                  exitStatus
	stdout, stderr, summary, output, report string
}

// record runs the job on nights.
func (j *nightJob) record(nights ...history.Entry) nightOutcome {
	j.t.Helper()
	j.dir, j.run = j.t.TempDir(), j.run+1
	folder := filepath.Join(j.dir, "nights")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		j.t.Fatal(err)
	}
	for i, e := range nights {
		text, err := history.Encode(e)
		if err != nil {
			j.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, string(rune('a'+i))+".json"), text, 0o644); err != nil {
			j.t.Fatal(err)
		}
	}
	return j.again()
}

// again runs the job once more on what is there.
func (j *nightJob) again(args ...string) nightOutcome {
	j.t.Helper()
	file := func(name string) string { return filepath.Join(j.dir, name) }
	if err := os.WriteFile(file("event.json"), []byte(`{"repository":{"full_name":"o/r","default_branch":"main"},"schedule":"17 2 * * *"}`), 0o644); err != nil {
		j.t.Fatal(err)
	}
	vars := map[string]string{
		"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "schedule", "GITHUB_EVENT_PATH": file("event.json"), "GITHUB_REPOSITORY": "o/r", "GITHUB_SHA": otherHead,
		"GITHUB_API_URL": j.h.URL, "GITHUB_GRAPHQL_URL": j.h.GraphQL, "GITHUB_SERVER_URL": "https://ghe.local", "GITHUB_TOKEN": fake.Token,
		"GITHUB_RUN_ID": string(rune('0'+j.run/100)) + string(rune('0'+j.run/10%10)) + string(rune('0'+j.run%10)), "GITHUB_RUN_ATTEMPT": "1",
		"GITHUB_WORKFLOW_REF": "o/r/.github/workflows/nightly.yml@refs/heads/main", "GITHUB_OUTPUT": file("output"), "GITHUB_STEP_SUMMARY": file("summary"),
		"DUET_AUTHOR": fake.Bot, "DUET_MODE": modeRecord, "GITHUB_REF": j.ref,
	}
	var stdout, stderr strings.Builder
	r := nightOutcome{status: run(world{
		args:   append([]string{"nightly", "record", "--store", "folder:" + j.store, "--nights", file("nights"), "--out", file("out")}, args...),
		getenv: func(name string) string { return vars[name] }, stdout: &stdout, stderr: &stderr,
	})}
	read := func(name string) string {
		text, err := os.ReadFile(file(name))
		if err != nil {
			return ""
		}
		return string(text)
	}
	r.stdout, r.stderr, r.summary, r.output, r.report = stdout.String(), stderr.String(), read("summary"), read("output"), read(filepath.Join("out", nightReport))
	for what, text := range map[string]string{"log": r.stderr + r.stdout, "summary": r.summary, "output": r.output, "report": r.report} {
		if strings.Contains(text, fake.Token) {
			j.t.Errorf("the %s holds the token", what)
		}
	}
	return r
}

// ours are Duet's issues; ann's is never changed.
func (j *nightJob) ours() (ours []fake.Issue) {
	j.t.Helper()
	for _, i := range j.h.Issues() {
		if i.Author == fake.Bot {
			ours = append(ours, i)
		} else if len(i.History) != 1 || i.Title != "slow" {
			j.t.Errorf("ann's issue was changed: %+v", i)
		}
	}
	return ours
}

func (j *nightJob) entries() int {
	j.t.Helper()
	loaded, err := history.OpenFolder(j.store).Load(j.t.Context())
	if err != nil {
		j.t.Fatal(err)
	}
	return len(loaded.Entries)
}

// slowNights are forty nights; from the fifteenth to the twenty-ninth Go executes a tenth more instructions.
func slowNights() []history.Entry {
	return made.Nights(made.Options{Seed: 3, Nights: 40, Services: []string{"go"}, Workloads: []string{"health"}, Metrics: []string{"instructions", "p50"},
		Steps: []made.Step{{Night: 15, Metric: "instructions", Factor: 1.1}, {Night: 30, Metric: "instructions", Factor: 1 / 1.1}}})
}

// The one issue's life: none while all is well, opened with the first confirmed regression, updated, closed when it is gone.
func TestNightsIssue(t *testing.T) {
	j, nights := newNightJob(t), slowNights()
	r := j.record(nights[:14]...)
	for _, name := range []string{"index.html", "badge.svg", "badge.json"} {
		if info, err := os.Stat(filepath.Join(j.dir, "out", siteFolder, name)); err != nil || info.Size() == 0 {
			t.Errorf("the site lacks %s: %v", name, err)
		}
	}
	if r.status != exitOK || len(j.ours()) != 0 || j.h.Writes() != 0 || !strings.Contains(r.stdout, "14 of 14 nights added") || r.report == "" || r.summary == "" {
		t.Fatalf("all is well: status %d, %d issues after %d writes\n%s\n%s", r.status, len(j.ours()), j.h.Writes(), r.stderr, r.report)
	}
	r = j.record(nights[14:24]...)
	ours := j.ours()
	if r.status != exitOK || len(ours) != 1 || ours[0].Closed || ours[0].Title != "main is slower" || len(ours[0].Labels) != 1 || ours[0].Labels[0] != "perf" {
		t.Fatalf("a regression: status %d, issues %+v\n%s\n%s", r.status, ours, r.stderr, r.report)
	}
	if !strings.HasPrefix(ours[0].Body, "<!-- duet:v1:night:.github/workflows/nightly.yml:duet.yml -->\n<!-- duet:run 102.1 "+nights[23].Commit.SHA+" -->\n") || !strings.Contains(ours[0].Body, "instructions") {
		t.Errorf("the issue says %.400q", ours[0].Body)
	}
	if !strings.Contains(r.output, "https://ghe.local/o/r/issues/102") {
		t.Errorf("the outputs are %q", r.output)
	}
	if r = j.record(nights[24]); r.status != exitOK || len(j.ours()) != 1 || j.ours()[0].Closed || !strings.Contains(j.ours()[0].Body, "duet:run 103.1") {
		t.Errorf("the next night: status %d, issues %+v\n%s", r.status, j.ours(), r.stderr)
	}
	if r = j.again(); r.status != exitOK || !strings.Contains(r.stdout, "0 of 1 nights added") || len(j.ours()) != 1 || j.entries() != 25 {
		t.Errorf("the job again: status %d, issues %+v\n%s%s", r.status, j.ours(), r.stdout, r.stderr)
	}
	if r = j.record(nights[25:]...); r.status != exitOK || len(j.ours()) != 1 || !j.ours()[0].Closed || j.ours()[0].Reason != "completed" {
		t.Errorf("it is gone: status %d, issues %+v\n%s\n%s", r.status, j.ours(), r.stderr, r.report)
	}
	if got := strings.Join(j.ours()[0].History, " "); got != "opened edited edited completed" {
		t.Errorf("the issue was %s", got)
	}
}

// What GitHub refuses of the issue is said; the night is recorded and the job is green.
func TestNightWithoutIssue(t *testing.T) {
	for name, v := range map[string]struct {
		set  func(*fake.Hub)
		says string
	}{
		"no right":             {func(h *fake.Hub) { h.Grant(map[string]string{"contents": "write"}) }, "issues: write"},
		"issues turned off":    {func(h *fake.Hub) { h.NoIssues() }, "turned off"},
		"an old token":         {func(h *fake.Hub) { h.Expire() }, "Bad credentials"},
		"a title of too much":  {func(h *fake.Hub) { h.Break("POST", "/issues", 1, fake.Refuse(422, "Validation Failed")) }, "422"},
		"the API is not there": {func(h *fake.Hub) { h.Break("", "", fake.Ever, fake.Refuse(404, "Not Found")) }, "404"},
	} {
		j := newNightJob(t)
		v.set(j.h)
		r := j.record(slowNights()[:24]...)
		if r.status != exitOK || j.entries() != 24 || !strings.Contains(r.stderr, "::warning") || !strings.Contains(r.stderr, v.says) || !strings.Contains(r.stderr, "the night is recorded") || r.report == "" {
			t.Errorf("%s: status %d, %d entries\n%s", name, r.status, j.entries(), r.stderr)
		}
		if len(j.ours()) != 0 {
			t.Errorf("%s: issues %+v", name, j.ours())
		}
	}
	j := newNightJob(t)
	j.h.Holds(otherHead, "duet.yml", fake.File{Content: "servces: x"})
	if r := j.record(slowNights()[:24]...); r.status != exitOK || len(j.ours()) != 1 || j.ours()[0].Labels[0] != "duet-nightly" || !strings.Contains(r.stderr, "default title and label") {
		t.Errorf("a configuration that cannot be read: status %d, issues %+v\n%s", r.status, j.ours(), r.stderr)
	}
}

// What cannot be read stops the job, with the history as it was.
func TestNightsThatCannotBeRead(t *testing.T) {
	nights := slowNights()
	spoil := func(t *testing.T, pattern, text string) {
		t.Helper()
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v, %v", pattern, files, err)
		}
		if err := os.WriteFile(files[0], []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"empty": "", "truncated": `{"schema":"duet.night/1","id`, "foreign": `{"benchmarks":[]}`, "future": `{"schema":"duet.night/2","colour":"red"}`} {
		j := newNightJob(t)
		if r := j.record(nights[:2]...); r.status != exitOK {
			t.Fatalf("status %d\n%s", r.status, r.stderr)
		}
		spoil(t, filepath.Join(j.store, "data", "*", "*", "*.json"), text)
		before := treeOf(t, j.store)
		r := j.record(nights[2])
		if r.status != exitNotMeasured || treeOf(t, j.store) != before || !strings.Contains(r.stderr, "the history was left as it is") || r.report != "" || j.h.Writes() != 0 {
			t.Errorf("%s history: status %d after %d writes\n%s", name, r.status, j.h.Writes(), r.stderr)
		}
		j = newNightJob(t)
		if r := j.record(nights[:2]...); r.status != exitOK {
			t.Fatalf("status %d\n%s", r.status, r.stderr)
		}
		before = treeOf(t, j.store)
		spoil(t, filepath.Join(j.dir, "nights", "a.json"), text)
		r = j.again()
		if r.status != exitUsage || treeOf(t, j.store) != before || !strings.Contains(r.stderr, "nothing was recorded") {
			t.Errorf("%s night: status %d\n%s", name, r.status, r.stderr)
		}
	}
	j := newNightJob(t)
	j.ref = "refs/heads/topic"
	if r := j.record(nights[0]); r.status != exitUsage || j.entries() != 0 || !strings.Contains(r.stderr, "refs/heads/topic") {
		t.Errorf("another branch: status %d, %d entries\n%s", r.status, j.entries(), r.stderr)
	}
	j = newNightJob(t)
	if r := j.record(); r.status != exitNotMeasured || !strings.Contains(r.stderr, "there is no night in") {
		t.Errorf("no night at all: status %d\n%s", r.status, r.stderr)
	}
}

func treeOf(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		b.WriteString(name + "\n" + string(text) + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A history that cannot be reached: the nights stay in their files, and that is said where people look.
func TestNightThatIsRecordedLater(t *testing.T) {
	dir := t.TempDir()
	vars := map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": filepath.Join(dir, "summary")}
	var stderr strings.Builder
	failure := (&recording{}).unrecorded(t.Context(), world{getenv: func(name string) string { return vars[name] }, stderr: &stderr},
		&nightly.UnrecordedError{Nights: slowNights()[:2], Err: errors.New("could not resolve host")})
	summary, _ := os.ReadFile(filepath.Join(dir, "summary"))
	if statusOf(failure) != exitNotMeasured || !strings.Contains(failure.Error(), "2 nights are not in the history yet: could not resolve host") || !strings.Contains(failure.Error(), "the next night's job finds them") ||
		!strings.Contains(string(summary), "nothing is lost") || !strings.Contains(stderr.String(), "::error") {
		t.Errorf("status %d: %v\nsummary %q\nlog %q", statusOf(failure), failure, summary, stderr.String())
	}
	// The next night's job finds it in the artifact of the run that could not record it, and records both.
	j, nights := newNightJob(t), slowNights()
	text, err := history.Encode(nights[0])
	if err != nil {
		t.Fatal(err)
	}
	j.h.Ran(fake.Run{ID: 50, Workflow: 4, Attempt: 1, Event: "schedule", Head: otherHead, Branch: "main", From: "o/r", Conclusion: "failure"})
	j.h.Left(fake.Artifact{ID: 5, Run: 50, Name: "duet-night-1", Zip: zipOf(t, "night.json", string(text))})
	j.h.Ran(fake.Run{ID: 51, Workflow: 4, Attempt: 1, Event: "schedule", Head: otherHead, Branch: "main", From: "o/r", Conclusion: "failure"})
	j.h.Left(fake.Artifact{ID: 6, Run: 51, Name: "duet-night-1", Zip: zipOf(t, "night.json", "{")})
	r := j.record(nights[1])
	if r.status != exitOK || !strings.Contains(r.stdout, "1 nights of earlier runs added") || !strings.Contains(r.stderr, "run 51: truncated") || j.entries() != 2 {
		t.Errorf("the next night: status %d, %d entries\n%s%s", r.status, j.entries(), r.stdout, r.stderr)
	}
	if r := j.record(nights[3], nights[2]); r.status != exitOK || !strings.Contains(r.stdout, "2 of 2 nights added") || j.entries() != 4 {
		t.Errorf("two at once: status %d\n%s%s", r.status, r.stdout, r.stderr)
	}
}

// zipOf is an artifact of one file.
func zipOf(t *testing.T, name, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	f, err := z.Create(name)
	if err == nil {
		_, err = f.Write([]byte(text))
	}
	if err = errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
