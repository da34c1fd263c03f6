package act

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/duet-bench/duet/internal/github/fake"
)

const measuring = ".github/workflows/duet.yml"

// branch is a pull request's, and so is a title like it: SECURITY.md, C4.
const branch = "a$(touch${IFS}$STANDIN_DIR/pwned)`touch${IFS}$STANDIN_DIR/pwned`;\"'"

// pull is GitHub's payload for pull request 3 with a head of a repository.
func (w *world) pull(action, head, repository string) object {
	w.t.Helper()
	p := payload(w.t, "pull_request", action)
	set(w.t, p, 3, "number")
	set(w.t, p, 3, "pull_request", "number")
	set(w.t, p, head, "pull_request", "head", "sha")
	set(w.t, p, branch, "pull_request", "head", "ref")
	set(w.t, p, branch, "pull_request", "title")
	set(w.t, p, repository, "pull_request", "head", "repo", "full_name")
	set(w.t, p, w.commits["base.txtar"], "pull_request", "base", "sha")
	set(w.t, p, "main", "pull_request", "base", "ref")
	set(w.t, p, "main", "pull_request", "base", "repo", "default_branch")
	set(w.t, p, "main", "repository", "default_branch")
	return p
}

// comment is the pull request's one comment of Duet's.
func (w *world) comment() fake.Comment {
	w.t.Helper()
	all := w.hub.Comments(3)
	if len(all) != 2 || all[0].Author != "ann" || len(all[0].History) != 1 || all[1].Author != fake.Bot {
		w.t.Fatalf("the comments are %v, want ann's and one of Duet's", all)
	}
	return all[1]
}

// says wants a comment to be about a run and to hold some words in its first lines.
func (w *world) says(run int64, head string, words ...string) {
	w.t.Helper()
	body := w.comment().Body
	if stamp := fmt.Sprintf("\n<!-- duet:run %d.1 %s -->\n", run, head); !strings.HasPrefix(body, "<!-- duet:v1:"+measuring+":duet.yml -->\n") || !strings.Contains(body, stamp) {
		w.t.Errorf("the comment is not about run %d: %.300s", run, body)
	}
	for _, word := range words {
		if !strings.Contains(body, word) {
			w.t.Errorf("the comment does not say %q: %.1500s", word, body)
		}
	}
}

// checkSteps wants Duet's steps to live without what act gives and GitHub does not, and the token to be where no
// code of the pull request runs.
func (w *world) checkSteps(e ended) {
	w.t.Helper()
	duet, taken := 0, 0
	for _, s := range e.steps {
		if strings.HasPrefix(s.Action, "actions/") || strings.Contains(s.Script, "$WITNESS") {
			continue
		}
		if strings.Contains(s.Script, `/duet"`) {
			duet++
		}
		taken += len(s.Taken)
		speaks := false // to GitHub, and starts nothing
		for _, command := range []string{"publish", "gate", "nightly record"} {
			speaks = speaks || strings.Contains(s.Script, `duet" `+command)
		}
		for name, value := range s.Env {
			if strings.Contains(value, fake.Token) && !speaks {
				w.t.Errorf("%s holds the token in the step %q", name, s.Script)
			}
		}
	}
	if duet == 0 || taken == 0 {
		w.t.Errorf("%d steps of Duet's with %d variables taken away: the check sees nothing", duet, taken)
	}
}

// A pull request of the repository's own: opened with a regression, pushed to and broken, cancelled, and mended. One comment
// tells all of it, and is never stale.
func TestSameRepository(t *testing.T) {
	w := newWorld(t)
	push := func(file string) string {
		sha := w.commit(file, "main", "topic")
		w.hub.Open(fake.Pull{Number: 3, Head: sha, Base: w.commits["base.txtar"], Branch: branch, Repository: "o/r"})
		return sha
	}
	slow := push("slow.txtar")
	w.hub.Say(3, "ann", "<!-- duet:v1:"+measuring+":duet.yml -->\nwhat is this?")
	measure := func(run int64, action, head string, during func(*running)) ended {
		e := w.run(job{workflow: "same-repository.yml", path: measuring, event: "pull_request", payload: w.pull(action, head, "o/r"), run: run, during: during})
		w.checkSteps(e)
		return e
	}

	w.hub.Break("POST", "/issues/3/comments", 1, fake.ResetAfter) // the first comment is made, and nobody is told
	e := measure(101, "opened", slow, nil)
	w.says(101, slow, "❌ Go regressed")
	first := w.comment()
	if !strings.Contains(first.History[0], "measuring") || len(first.History) != 2 {
		t.Errorf("the comment was %d texts, the first: %.300s", len(first.History), first.History[0])
	}
	url := fmt.Sprintf("https://github.com/o/r/pull/3#issuecomment-%d", first.ID)
	for name, want := range map[string]string{"verdict": "regressed", "go-verdict": "regressed", "rust-verdict": "unchanged", "comment-url": url} {
		if e.outputs[name] != want {
			t.Errorf("output %s: got %q, want %q", name, e.outputs[name], want)
		}
	}
	if e.outcome != "failure" { // base's policy.gate
		t.Errorf("Duet's step ended as %s, want the gate's failure", e.outcome)
	}
	if !strings.Contains(e.summaries, "❌ Go regressed") {
		t.Errorf("the summary says %.300s", e.summaries)
	}
	if n := len(w.hub.Calls()); n > 20 {
		t.Errorf("%d calls for one run: %v", n, w.hub.Calls())
	}

	broken := push("broken.txtar")
	e = measure(102, "synchronize", broken, nil)
	w.says(102, broken, "does not start")
	if e.outputs["verdict"] == "unchanged" || e.outputs["verdict"] == "improved" {
		t.Errorf("a head that does not start: verdict %q", e.outputs["verdict"])
	}

	again := push("slow.txtar")
	measure(103, "synchronize", again, (*running).cancel)
	w.says(103, again, "cancelled")

	w.hub.Break("PATCH", "", 1, fake.Refuse(403, "You have exceeded a secondary rate limit", "Retry-After", "1"))
	words := push("words.txtar")
	e = measure(104, "synchronize", words, nil)
	w.says(104, words, "nothing to measure")
	if e.outcome != "success" {
		t.Errorf("Duet's step ended as %s, want success", e.outcome)
	}
	if last := w.comment(); last.ID != first.ID {
		t.Errorf("comment %d took the place of %d", last.ID, first.ID)
	}
	t.Logf("the comment was %d texts; at last:\n%s", len(w.comment().History), w.comment().Body)
}

// A fork's pull request: one workflow measures and may nothing, another publishes what it left.
func TestFork(t *testing.T) {
	w := newWorld(t)
	slow := w.commit("slow.txtar", "main", "topic")
	config, err := os.ReadFile(filepath.Join(w.dir, "origin", "duet.yml"))
	if err != nil {
		t.Fatal(err)
	}
	w.hub.Open(fake.Pull{Number: 3, Head: slow, Base: w.commits["base.txtar"], Branch: branch, Repository: "ann/r"})
	w.hub.Say(3, "ann", "please look")
	w.hub.Holds(w.commits["base.txtar"], "duet.yml", fake.File{Content: string(config)})
	w.hub.Workflow(7, measuring)
	publish := func(run fake.Run) ended {
		w.hub.Ran(run)
		p := payload(t, "workflow_run", "completed")
		set(t, p, run.ID, "workflow_run", "id")
		set(t, p, "pull_request", "workflow_run", "event")
		set(t, p, run.Conclusion, "workflow_run", "conclusion")
		set(t, p, run.Head, "workflow_run", "head_sha")
		set(t, p, run.Branch, "workflow_run", "head_branch")
		set(t, p, "ann/r", "workflow_run", "head_repository", "full_name")
		e := w.run(job{workflow: "fork-publish.yml", path: ".github/workflows/duet-publish.yml", event: "workflow_run", payload: p, run: run.ID + 1000})
		w.checkSteps(e)
		return e
	}

	e := w.run(job{workflow: "fork-measure.yml", path: measuring, event: "pull_request", payload: w.pull("opened", slow, "ann/r"), run: 201})
	w.checkSteps(e)
	for _, c := range w.hub.Calls() { // the gate may ask for the label, and is told or not
		if c.Method != "GET" || !strings.Contains(c.Path, "/issues/3/labels") {
			t.Errorf("the run that measures called the API: %v", c)
		}
	}
	packed := e.artifacts["duet-run-1"]
	if packed == nil {
		t.Fatalf("no artifact duet-run-1 among %d", len(e.artifacts))
	}
	w.hub.Left(fake.Artifact{ID: 5, Run: 201, Name: "duet-run-1", Zip: packed})
	run := fake.Run{ID: 201, Workflow: 7, Attempt: 1, Event: "pull_request", Head: slow, Branch: branch, From: "ann/r", Conclusion: "success"}
	e = publish(run)
	w.says(201, slow, "❌ Go regressed", "as honest as the code")
	if e.outputs["verdict"] != "regressed" || !strings.Contains(e.summaries, "❌ Go regressed") {
		t.Errorf("outputs %v, summary %.300s", e.outputs, e.summaries)
	}
	writes := w.hub.Writes()

	// Another workflow of the same name, a run of another commit: nothing is said.
	w.hub.Workflow(8, ".github/workflows/evil.yml")
	evil := run
	evil.ID, evil.Workflow = 203, 8
	w.hub.Left(fake.Artifact{ID: 6, Run: 203, Name: "duet-run-1", Zip: packed})
	publish(evil)
	if n := w.hub.Writes(); n != writes {
		t.Errorf("an impostor's run was published: %d writes", n-writes)
	}

	// A newer run that was cancelled before it left anything.
	cancelled := run
	cancelled.ID, cancelled.Conclusion = 205, "cancelled"
	publish(cancelled)
	w.says(205, slow, "cancelled")
}

// cancel does what the runner does when a run is cancelled: it interrupts the one process of the step, once that is past
// git and has begun to build. That this process is Duet itself is what `exec` in action.yml is for.
func (r *running) cancel() {
	for {
		select {
		case <-r.ended:
			r.t.Error("the run ended before it measured: it was not cancelled")
			return
		case <-time.After(20 * time.Millisecond):
		}
		for _, pid := range childrenOf(r.act.Process.Pid) {
			words := strings.Split(textOf(pid, "cmdline"), "\x00")
			if filepath.Base(words[0]) != "duet" || len(words) < 2 || words[1] != "measure" || !builds(pid, words) {
				continue
			}
			if err := syscall.Kill(pid, syscall.SIGINT); err != nil {
				r.t.Errorf("interrupting: %v", err)
			}
			return
		}
	}
}

// builds says whether a process has started something else than git. A child that has yet to become its program still bears
// its parent's words.
func builds(pid int, words []string) bool {
	for _, child := range childrenOf(pid) {
		program := strings.Split(textOf(child, "cmdline"), "\x00")
		if program[0] != "" && filepath.Base(program[0]) != "git" && !slices.Equal(program, words) {
			return true
		}
	}
	return false
}

// overhear looks at the command lines of all processes while a job runs: the token is in none. SECURITY.md, T6.
func (r *running) overhear() {
	for {
		select {
		case <-r.ended:
			return
		case <-time.After(50 * time.Millisecond):
		}
		lines, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is sound
		for _, path := range lines {
			if text, err := os.ReadFile(path); err == nil && strings.Contains(string(text), fake.Token) {
				r.t.Errorf("a command line holds the token: %q", strings.ReplaceAll(string(text), "\x00", " "))
				return
			}
		}
	}
}

// childrenOf are the processes that a process has started.
func childrenOf(parent int) (pids []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is sound
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) || err != nil { // it has ended
			continue
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		if fields := strings.Fields(rest); len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

func textOf(pid int, name string) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	if err != nil { // it has ended
		return ""
	}
	return string(text)
}
