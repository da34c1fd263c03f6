package history_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/duet-bench/duet/internal/history"
)

// withFaults is the options of a recorder whose git fails; dir is where it counts.
func withFaults(t *testing.T, o *history.BranchOptions, env map[string]string) (dir string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	real, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, "git")); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\nexport REAL_GIT='" + real + "' FAULT_DIR='" + dir + "'\n"
	for k, v := range env {
		script += fmt.Sprintf("export %s='%s'\n", k, v)
	}
	o.Git = filepath.Join(dir, "faulty")
	if err := os.WriteFile(o.Git, []byte(script+"exec '"+dir+"/git' \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Twelve recorders at once, over a network that fails: nothing is lost, nothing forced (SECURITY.md R8).
func TestTwelveRecordersAtOnce(t *testing.T) {
	const recorders = 12
	r := newRepository(t)
	r.git("config", "receive.denyNonFastForwards", "true")
	entries := few(1, recorders)
	begin := time.Now()
	calls, failed := map[string]int{}, map[string]int{}
	var dirs []string
	var wait sync.WaitGroup
	errs := make([]error, recorders)
	for i, e := range entries {
		b := r.branch(func(o *history.BranchOptions) {
			o.Pause = 200 * time.Millisecond
			dirs = append(dirs, withFaults(t, o, map[string]string{"FAULTS": "0.15", "FAULT_SEED": fmt.Sprint(i)}))
		})
		wait.Go(func() { errs[i] = b.Append(t.Context(), e) })
	}
	wait.Wait()
	for i, err := range errs {
		if err != nil {
			t.Errorf("recorder %d: %v", i, err)
		}
	}
	for _, dir := range dirs {
		for k, n := range lines(t, dir, "calls") {
			calls[k] += n
		}
		for k, n := range lines(t, dir, "faults") {
			failed[k] += n
		}
	}
	commits, merges := r.git("rev-list", "--count", "duet-history"), r.git("rev-list", "--count", "--merges", "duet-history")
	t.Logf("%d recorders in %s: %d files, %s commits, %s merges, %d pushes and %d other calls of git to the network, of which %d and %d failed by plan",
		recorders, time.Since(begin).Round(time.Millisecond), len(r.files()), commits, merges, calls["push"], calls["fetch"]+calls["ls-remote"], failed["push"], failed["fetch"]+failed["ls-remote"])
	if len(r.files()) != recorders || commits != fmt.Sprint(recorders) || merges != "0" {
		t.Errorf("got %d files, %s commits, %s merges, want %d, %d and 0", len(r.files()), commits, merges, recorders, recorders)
	}
	same(t, "what twelve recorded", entries, load(t, r.branch(nil)).Entries)
	if failed["push"] == 0 {
		t.Error("no push failed: the test tests nothing")
	}
	for _, dir := range dirs {
		for args := range lines(t, dir, "argv") {
			if strings.Contains(args, "--force") || strings.Contains(args, " +refs/heads/duet-history:refs/heads") || strings.Contains(args, "push -f") {
				t.Errorf("a forced push: git %s", args)
			}
		}
	}
}

// An outage longer than the tries leaves the entry as a file, which can be imported later.
func TestUnreachableKeepsTheEntry(t *testing.T) {
	t.Parallel()
	r, e := newRepository(t), few(1, 1)[0]
	var dir string
	b := r.branch(func(o *history.BranchOptions) { dir = withFaults(t, o, map[string]string{"FAULTS": "1"}) })
	err := b.Append(t.Context(), e)
	var kept *history.KeptError
	if !errors.As(err, &kept) || !strings.Contains(err.Error(), "after 10 tries") || !strings.Contains(err.Error(), "duet history import "+kept.Paths[0]) {
		t.Fatalf("got %v", err)
	}
	if n := lines(t, dir, "calls"); n["ls-remote"] != 10 {
		t.Errorf("got calls %v, want 10 tries", n)
	}
	f, err := os.Open(kept.Paths[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	entries, err := history.ReadNDJSON("kept", f)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "kept", []history.Entry{e}, entries)
	if err := r.branch(nil).Import(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
	same(t, "imported", []history.Entry{e}, load(t, r.branch(nil)).Entries)
	within := r.branch(func(o *history.BranchOptions) {
		o.Within, o.Pause = 200*time.Millisecond, time.Hour
		withFaults(t, o, map[string]string{"FAULTS": "1"})
	})
	if _, err := within.Load(t.Context()); err == nil || !strings.Contains(err.Error(), "not within 200ms") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := within.Load(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

// A branch that somebody rewound or deleted while it was in use is gone on with as it is, and that is said.
func TestRewoundBranch(t *testing.T) {
	t.Parallel()
	entries := few(1, 4)
	for _, tt := range []struct {
		name, race, want string
		left             []history.Entry
	}{
		{"rewound", "update-ref refs/heads/duet-history duet-history~1", "was rewritten while it was in use", []history.Entry{entries[0], entries[3]}},
		{"deleted", "update-ref -d refs/heads/duet-history", "was deleted while it was in use", []history.Entry{entries[3]}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRepository(t)
			record(t, r.branch(nil), entries[0], entries[1])
			b := r.branch(nil)
			load(t, b)
			r.git(strings.Fields(tt.race)...)
			record(t, b, entries[3])
			if said := strings.Join(b.Warnings(), "\n"); !strings.Contains(said, tt.want) {
				t.Errorf("got warnings %q, want %q", said, tt.want)
			}
			same(t, "what is left", tt.left, load(t, r.branch(nil)).Entries)
		})
	}
}

// Another recorder that was first between fetch and push costs one more try, also for the very first entry.
func TestAnotherWasFirst(t *testing.T) {
	t.Parallel()
	entries := few(1, 3)
	for _, before := range []int{0, 1} {
		r, other := newRepository(t), newRepository(t)
		record(t, r.branch(nil), entries[:before]...)
		if before > 0 {
			run(t, "", "git", "--git-dir", other.path, "fetch", "--quiet", r.path, "duet-history:duet-history")
		}
		record(t, other.branch(nil), entries[1])
		var dir string
		b := r.branch(func(o *history.BranchOptions) {
			dir = withFaults(t, o, map[string]string{"RACE": "git --git-dir " + other.path + " push --quiet " + r.path + " duet-history"})
		})
		record(t, b, entries[2])
		if n := lines(t, dir, "calls"); n["push"] != 2 {
			t.Errorf("got calls %v, want two pushes", n)
		}
		same(t, "both", append(slices.Clone(entries[:before]), entries[1:]...), load(t, b).Entries)
	}
}

// What GitHub says when it refuses is not tried again, and comes with the way out (SECURITY.md R10); what it says in passing is.
func TestRefusals(t *testing.T) {
	t.Parallel()
	e := few(1, 1)[0]
	for _, tt := range []struct {
		name, said string
		pushes     int
		want       string
	}{
		{"rule", "remote: error: GH013: Repository rule violations found for refs/heads/duet-history.\nremote: - Cannot create ref due to creations being restricted.\nTo https://github.com/o/r\n ! [remote rejected] duet-history -> duet-history (push declined due to repository rule violations)\nerror: failed to push some refs",
			1, "GH013: Repository rule violations found for refs/heads/duet-history.\nlet the repository's rules (Settings, Rules) allow pushes to duet-history"},
		{"protected", "remote: error: GH006: Protected branch update failed for refs/heads/duet-history.\n ! [remote rejected] x -> x (protected branch hook declined)", 1, "let the repository's rules"},
		{"403", "remote: Permission to o/r.git denied to github-actions[bot].\nfatal: unable to access 'https://github.com/o/r/': The requested URL returned error: 403", 1, "give the job `permissions: contents: write`"},
		{"401", "remote: Invalid username or token.\nfatal: Authentication failed for 'https://github.com/o/r/'", 1, "give the job `permissions: contents: write`"},
		{"integration", "remote: Write access to repository not granted.\nfatal: unable to access 'https://github.com/o/r/': The requested URL returned error: 403", 1, "contents: write"},
		{"rate limit", "remote: You have exceeded a secondary rate limit.\nfatal: unable to access 'https://github.com/o/r/': The requested URL returned error: 403", 10, "after 10 tries"},
		{"502", "error: RPC failed; HTTP 502 curl 22 The requested URL returned error: 502", 10, "after 10 tries"},
		{"lock", " ! [remote rejected] x -> duet-history (cannot lock ref 'refs/heads/duet-history': is at 1 but expected 2)", 10, "after 10 tries"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRepository(t)
			said := filepath.Join(t.TempDir(), "said")
			if err := os.WriteFile(said, []byte(tt.said+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			count := filepath.Join(t.TempDir(), "count")
			b := r.branch(func(o *history.BranchOptions) {
				o.Git = filepath.Join(t.TempDir(), "git")
				script := fmt.Sprintf("#!/bin/sh\nfor a in \"$@\"; do if [ \"$a\" = push ]; then echo x >> '%s'; cat '%s' >&2; exit 1; fi; done\nexec git \"$@\"\n", count, said)
				if err := os.WriteFile(o.Git, []byte(script), 0o755); err != nil {
					t.Fatal(err)
				}
			})
			err := b.Append(t.Context(), e)
			var kept *history.KeptError
			if !errors.As(err, &kept) || len(kept.Paths) != 1 || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "the entry is kept") {
				t.Errorf("got %v\nwant %s", err, tt.want)
			}
			text, _ := os.ReadFile(count)
			if n := strings.Count(string(text), "x"); n != tt.pushes {
				t.Errorf("got %d pushes, want %d", n, tt.pushes)
			}
			if r.tip() != "" {
				t.Error("the branch is there")
			}
		})
	}
}
