package main

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// forkedRepo has two commits on main and one on a branch from the first; it returns them, and the merge of the two tips
// as GitHub makes it. Everything in it is fixed, so that its commits have the same names everywhere.
func forkedRepo(t *testing.T) (dir string, commits *strings.Replacer, merge, main string) {
	t.Helper()
	dir = t.TempDir()
	git := func(args ...string) string {
		t.Helper()
		c := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=Ann", "-c", "user.email=ann@example.com", "-c", "commit.gpgsign=false"}, args...)...)
		c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
			"GIT_AUTHOR_DATE=2026-01-02T03:04:05Z", "GIT_COMMITTER_DATE=2026-01-02T03:04:05Z")
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
	commit := func(file, text string) string {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		git("add", "--all")
		git("commit", "--quiet", "--message", file)
		return git("rev-parse", "HEAD")
	}
	git("init", "--quiet", "--initial-branch=main")
	first := commit("duet.yml", "services:\n  - {name: go, lang: go, dir: go}\n  - {name: rust, lang: rust, dir: rust}\nworkloads: [health]\n")
	base := commit("main.txt", "main went on\n")
	git("checkout", "--quiet", "-b", "changes", first)
	head := commit("go.txt", "the branch's own\n")
	git("checkout", "--quiet", "--detach", "main")
	git("merge", "--quiet", "--no-ff", "--message", "Merge "+head+" into "+base, head)
	merge = git("rev-parse", "HEAD")
	return dir, strings.NewReplacer("@FIRST@", first, "@BASE@", base, "@HEAD@", head, "@MERGE@", merge), merge, base
}

// Every event that a workflow may be started by has one plan, or ends well and says why: payloads as GitHub sent them,
// shortened, with commits of our own in them.
func TestPlanOfEveryEvent(t *testing.T) {
	t.Parallel()
	dir, commits, merge, main := forkedRepo(t)
	checkout := func(commit string) {
		if out, err := exec.Command("git", "-C", dir, "checkout", "--quiet", "--detach", commit).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	for _, v := range []struct {
		name, event string // golden file, payload
		checkedOut  string
		edit        [2]string
		idle        string // why nothing is planned
	}{
		{name: "opened", event: "pull_request", checkedOut: merge},
		{name: "synchronize", event: "pull_request", checkedOut: merge, edit: [2]string{`"action": "opened"`, `"action": "synchronize"`}},
		{name: "reopened", event: "pull_request", checkedOut: merge, edit: [2]string{`"action": "opened"`, `"action": "reopened"`}},
		{name: "ready_for_review", event: "pull_request", checkedOut: merge, edit: [2]string{`"action": "opened"`, `"action": "ready_for_review"`}},
		{name: "head-checked-out", event: "pull_request", checkedOut: "changes"},
		{name: "closed", event: "pull_request", checkedOut: merge, edit: [2]string{`"action": "opened"`, `"action": "closed"`}, idle: "closed"},
		{name: "draft", event: "pull_request", checkedOut: merge, edit: [2]string{`"draft": false`, `"draft": true`}, idle: "draft"},
		{name: "fork", event: "pull_request", checkedOut: merge, edit: [2]string{`"full_name": "Codertocat/Hello-World"`, `"full_name": "stranger/Hello-World"`}},
		{name: "merge_group", event: "merge_group", checkedOut: merge},
		{name: "push", event: "push", checkedOut: main},
		{name: "schedule", event: "schedule", checkedOut: main},
		{name: "workflow_dispatch", event: "workflow_dispatch", checkedOut: main},
		{name: "repository_dispatch", event: "repository_dispatch", checkedOut: main},
		{name: "workflow_run", event: "workflow_run", checkedOut: main, idle: "measures nothing"},
	} {
		payload, err := os.ReadFile(filepath.Join("testdata", "events", v.event+".json"))
		if err != nil {
			t.Fatal(err)
		}
		text := commits.Replace(string(payload))
		if v.edit[0] != "" {
			if !strings.Contains(text, v.edit[0]) {
				t.Fatalf("%s: the payload has no %s", v.name, v.edit[0])
			}
			text = strings.Replace(text, v.edit[0], v.edit[1], 1) // a head's repository stands before its base's
		}
		file := filepath.Join(t.TempDir(), "event.json")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		checkout(v.checkedOut)
		vars := map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": v.event, "GITHUB_EVENT_PATH": file, "DUET_MODE": modeAuto, "DUET_DRAFTS": draftsSkip}
		var stdout, stderr strings.Builder
		status := run(world{args: []string{"plan", "--json", "--repo", dir}, getenv: func(name string) string { return vars[name] }, stdout: &stdout, stderr: &stderr})
		if status != exitOK || v.idle != "" && (stdout.Len() > 0 || !strings.Contains(stderr.String(), "nothing to do: ") || !strings.Contains(stderr.String(), v.idle)) {
			t.Errorf("%s: status %d\n%s%s", v.name, status, &stdout, &stderr)
			continue
		}
		if v.idle != "" {
			continue
		}
		golden := filepath.Join("testdata", "events", v.name+".plan.json")
		if *update {
			if err := os.WriteFile(golden, []byte(stdout.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), stdout.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", v.name, diff)
		}
	}
}
