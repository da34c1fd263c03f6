package act

import (
	"archive/zip"
	"bytes"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/duet-bench/duet/internal/github/fake"
	"github.com/duet-bench/duet/internal/result"
)

// A pull request that is measured on three machines, one of which is lost. The comment says which, the job that reports
// fails, and what the other two left is judged. Whether they had the quiet to find the regression is not asked here.
func TestSharded(t *testing.T) {
	t.Parallel() // most of it waits
	w := newWorld(t)
	w.commits["base.txtar"] = w.commit("three.txtar", "main", "main")
	slow := w.commit("slow.txtar", "main", "topic")
	w.hub.Open(fake.Pull{Number: 3, Head: slow, Base: w.commits["base.txtar"], Branch: branch, Repository: "o/r"})
	w.hub.Say(3, "ann", "please look")

	e := w.run(job{
		workflow: "sharded.yml", calls: ".github/workflows/sharded.yml", last: "report", path: measuring,
		event: "pull_request", payload: w.pull("opened", slow, "o/r"), run: 301, during: func(r *running) { r.kill("DUET_SHARD=2/3") },
	})
	w.checkSteps(e)
	w.says(301, slow, "**Shard 2/3 is missing**", "shard 1/3,", "shard 3/3,")
	if texts := w.comment().History; len(texts) != 2 || !strings.Contains(texts[0], "measuring") {
		t.Errorf("the comment was %d texts, the first: %.300s", len(texts), texts[0])
	}
	if v := e.outputs["verdict"]; v != "regressed" && v != "inconclusive" || e.outcome != "failure" || !strings.Contains(e.summaries, "**Shard 2/3 is missing**") {
		t.Errorf("Duet's step ended as %s with %v; the summary says %.300s", e.outcome, e.outputs, e.summaries)
	}
	var shards []string
	for name := range e.artifacts {
		if rest, ok := strings.CutPrefix(name, "duet-shard-"); ok {
			shards = append(shards, rest)
		}
	}
	slices.Sort(shards)
	if len(shards) != 2 || !strings.HasSuffix(shards[0], "-1") || !strings.HasSuffix(shards[1], "-3") {
		t.Fatalf("shards left %q, want 1 and 3", shards)
	}

	run := w.runIn(e.artifacts["duet-run-1"])
	states := map[string]result.State{}
	for _, s := range run.Shards {
		states[s.Name()] = s.State
	}
	if states["1/3"] != result.Measured || states["2/3"] != result.Missing || states["3/3"] != result.Measured || !strings.HasPrefix(shards[0], run.Plan.Digest()) {
		t.Errorf("the merged run's shards are %v, its plan %s of %q", states, run.Plan.Digest(), shards)
	}
	counted := map[string]int{}
	for _, trial := range run.Trials {
		counted[run.ShardOf(trial.Workload).Name()]++
	}
	if counted["1/3"] < 14 || counted["2/3"] != 0 || counted["3/3"] < 14 {
		t.Errorf("trials by shard: %v, want 7 rounds of two variants in two of them", counted)
	}
	t.Logf("the comment was %d texts; at last:\n%s", len(w.comment().History), w.comment().Body)
}

// runIn is the run.json of an artifact.
func (w *world) runIn(packed []byte) result.Run {
	w.t.Helper()
	files, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
	if err != nil {
		w.t.Fatal(err)
	}
	text, err := fs.ReadFile(files, "run.json")
	if err != nil {
		w.t.Fatal(err)
	}
	run, err := result.Decode(text)
	if err != nil {
		w.t.Fatal(err)
	}
	return run
}

// kill ends the measuring process that has a variable as a machine's loss would, before it leaves anything.
func (r *running) kill(variable string) {
	for {
		select {
		case <-r.ended:
			r.t.Errorf("the run ended and no process with %s was seen", variable)
			return
		case <-time.After(5 * time.Millisecond):
		}
		for _, pid := range descendantsOf(r.act.Process.Pid) {
			words := strings.Split(textOf(pid, "cmdline"), "\x00")
			if filepath.Base(words[0]) != "duet" || len(words) < 2 || words[1] != "measure" || !slices.Contains(strings.Split(textOf(pid, "environ"), "\x00"), variable) {
				continue
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				r.t.Errorf("killing: %v", err)
			}
			return
		}
	}
}

// descendantsOf are the processes below one.
func descendantsOf(parent int) (pids []int) {
	for _, pid := range childrenOf(parent) {
		pids = append(append(pids, pid), descendantsOf(pid)...)
	}
	return pids
}
