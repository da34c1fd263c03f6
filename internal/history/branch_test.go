package history_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/duet-bench/duet/internal/history"
	"github.com/duet-bench/duet/internal/history/made"
)

// repository is a bare repository that stands in for GitHub's.
type repository struct {
	t    *testing.T
	path string
}

func newRepository(t *testing.T) repository {
	t.Helper()
	r := repository{t: t, path: filepath.Join(t.TempDir(), "origin.git")}
	run(t, "", "git", "init", "--quiet", "--bare", r.path)
	return r
}

// run runs a command and returns what it printed.
func run(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := command(dir, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func command(dir string, args ...string) *exec.Cmd {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=t", "GIT_AUTHOR_EMAIL=t@example.com",
		"GIT_COMMITTER_NAME=t", "GIT_COMMITTER_EMAIL=t@example.com")
	return cmd
}

func (r repository) git(args ...string) string {
	r.t.Helper()
	return run(r.t, r.path, append([]string{"git"}, args...)...)
}

// tip is the branch's commit; empty: there is none.
func (r repository) tip() string {
	out, _ := command(r.path, "git", "rev-parse", "--verify", "--quiet", "refs/heads/duet-history").Output()
	return strings.TrimSpace(string(out))
}

func (r repository) files() []string {
	r.t.Helper()
	return strings.Fields(r.git("ls-tree", "-r", "--name-only", "duet-history"))
}

// put commits a file to the branch, as somebody with a clone would.
func (r repository) put(name, text string) {
	r.t.Helper()
	dir := r.t.TempDir()
	run(r.t, dir, "git", "init", "--quiet", "-b", "duet-history")
	if r.tip() != "" {
		run(r.t, dir, "git", "pull", "--quiet", r.path, "duet-history")
	}
	if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
	run(r.t, dir, "git", "add", "-A")
	run(r.t, dir, "git", "commit", "--quiet", "-m", "by hand")
	run(r.t, dir, "git", "push", "--quiet", r.path, "HEAD:refs/heads/duet-history")
}

// branch opens a branch store; change adjusts its options.
func (r repository) branch(change func(*history.BranchOptions)) *history.Branch {
	r.t.Helper()
	o := history.BranchOptions{Remote: r.path, Keep: r.t.TempDir(), Pause: time.Millisecond, Within: 20 * time.Minute}
	if change != nil {
		change(&o)
	}
	b, err := history.OpenBranch(o)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { b.Close() })
	return b
}

func record(t *testing.T, s history.Store, entries ...history.Entry) {
	t.Helper()
	for _, e := range entries {
		if err := s.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
}

func load(t *testing.T, s history.Store) history.Loaded {
	t.Helper()
	l, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// same compares entries as a store keeps them.
func same(t *testing.T, what string, want, got []history.Entry) {
	t.Helper()
	texts := func(entries []history.Entry) (all []string) {
		for _, e := range entries {
			all = append(all, string(encoded(t, e)))
		}
		return all
	}
	if diff := cmp.Diff(texts(want), texts(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// stores are both kinds, empty.
func stores(t *testing.T) map[string]history.Keeper {
	return map[string]history.Keeper{
		"branch": newRepository(t).branch(nil),
		"folder": history.OpenFolder(filepath.Join(t.TempDir(), "history")),
	}
}

func TestStores(t *testing.T) {
	t.Parallel()
	entries := made.Nights(made.Options{Seed: 1, Nights: 8, Workloads: []string{"health"}, Failed: []int{2}, Moves: []int{4}, Start: time.Date(2023, 12, 28, 3, 0, 0, 0, time.UTC)})
	for name, s := range stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if l := load(t, s); len(l.Entries) != 0 || l.Tip != "" {
				t.Fatalf("an empty store: got %+v", l)
			}
			record(t, s, entries[0], entries[2], entries[1], entries[0])
			same(t, "recorded in another order, one twice", entries[:3], load(t, s).Entries)
			other := entries[1]
			other.Duet = "9.9"
			if err := s.Append(t.Context(), other); err == nil || !strings.Contains(err.Error(), "never rewritten") {
				t.Errorf("another entry under the same id: got %v", err)
			}
			other.Recorded = "2024-03-01T00:00:00Z"
			if err := s.Append(t.Context(), other); err == nil || !strings.Contains(err.Error(), "of another time") {
				t.Errorf("another entry under the same id, another month: got %v", err)
			}
			same(t, "after what was refused", entries[:3], load(t, s).Entries)
			spoilt := slices.Clone(entries)
			spoilt[6].Rows = append(slices.Clone(spoilt[6].Rows), spoilt[6].Rows[0])
			if err := s.Import(t.Context(), spoilt); err == nil {
				t.Error("an import with a bad entry was taken")
			}
			same(t, "after an import that was refused: all or nothing", entries[:3], load(t, s).Entries)
			if err := s.Import(t.Context(), entries); err != nil {
				t.Fatal(err)
			}
			same(t, "imported", entries, load(t, s).Entries)
			if err := s.Remove(t.Context(), []string{entries[0].ID, "nobody"}); err == nil {
				t.Error("an entry that is not there was removed")
			}
			if err := s.Remove(t.Context(), []string{entries[0].ID, entries[3].ID}); err != nil {
				t.Fatal(err)
			}
			same(t, "two removed", slices.Delete(slices.Clone(slices.Delete(slices.Clone(entries), 3, 4)), 0, 1), load(t, s).Entries)
		})
	}
}

// The first entry makes the branch, without a parent and with nothing else on it; later ones add one commit and one file each.
func TestBranchShape(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	run(t, "", "git", "-C", r.path, "config", "receive.denyNonFastForwards", "true")
	entries := few(1, 3)
	b := r.branch(nil)
	record(t, b, entries...)
	if n := r.git("rev-list", "--count", "duet-history"); n != "3" {
		t.Errorf("got %s commits, want 3", n)
	}
	want := []string{}
	for _, e := range entries {
		want = append(want, "data/2024/01/"+e.ID+".json")
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, r.files()); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if parents := r.git("rev-list", "--max-parents=0", "--count", "duet-history"); parents != "1" {
		t.Errorf("got %s commits without a parent, want 1", parents)
	}
	if who := r.git("log", "-1", "--format=%an <%ae> %s", "duet-history"); who != "Duet <duet@localhost> night "+entries[2].ID {
		t.Errorf("got commit %q", who)
	}
	if l := load(t, b); l.Tip != r.tip() {
		t.Errorf("got tip %s, want %s", l.Tip, r.tip())
	}
}

// What cannot be read stops everything with the branch untouched (SECURITY.md R9), and the entry is kept as a file.
func TestCorruptBranchIsLeftAlone(t *testing.T) {
	t.Parallel()
	entries := few(1, 3)
	good := string(encoded(t, entries[0]))
	name := "data/2024/01/" + entries[0].ID + ".json"
	for _, tt := range []struct{ what, name, text, want string }{
		{"truncated", name, good[:100], name + ": truncated"},
		{"empty", name, "", name + ": empty"},
		{"garbage", name, "\x00\x01", name + ": not JSON"},
		{"newer", name, strings.Replace(good, "night/1", "night/2", 1), name + `: schema "duet.night/2"`},
		{"foreign content", name, `{"entries":[]}`, "not an entry of Duet's history"},
		{"foreign name", "data/2024/01/notes.txt", "x", "data/2024/01/notes.txt: not an entry's name"},
		{"foreign branch", "dev/bench/data.js", "window.BENCHMARK_DATA = {}", "dev/bench/data.js: not a file of Duet's history"},
		{"in another's place", "data/2024/02/" + entries[0].ID + ".json", good, "whose file is " + name},
		{"large", name, good + strings.Repeat(" ", history.MaxBytes), "more than the"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			r := newRepository(t)
			record(t, r.branch(nil), entries[1])
			r.put(tt.name, tt.text)
			before := r.tip()
			keep := filepath.Join(t.TempDir(), "kept")
			b := r.branch(func(o *history.BranchOptions) { o.Keep = keep })
			if l, err := b.Load(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) || len(l.Entries) != 0 {
				t.Errorf("loading: got %d entries, error %v, want %q", len(l.Entries), err, tt.want)
			}
			err := b.Append(t.Context(), entries[2])
			var kept *history.KeptError
			if !errors.As(err, &kept) || !strings.Contains(err.Error(), tt.want) || len(kept.Paths) != 1 {
				t.Fatalf("appending: got %v, want %q and the entry kept", err, tt.want)
			}
			if text, _ := os.ReadFile(kept.Paths[0]); string(text) != string(encoded(t, entries[2])) {
				t.Errorf("%s holds %.100s", kept.Paths[0], text)
			}
			if after := r.tip(); after != before {
				t.Errorf("the branch was at %s, and is at %s", before, after)
			}
		})
	}
}

// A README beside the data is no reason to stop; a link is.
func TestBranchBeside(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	r.put("README.md", "# History\n")
	record(t, r.branch(nil), few(1, 1)...)
	if got := r.files(); !slices.Contains(got, "README.md") || len(got) != 2 {
		t.Errorf("got files %v", got)
	}
}

// The token reaches the server in a header, and is never in argv, in an address or in a file (SECURITY.md T6).
func TestTokenIsInAHeaderAlone(t *testing.T) {
	t.Parallel()
	const canary = "ghs_c4n4ryc4n4ry"
	var mutex sync.Mutex
	var headers []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		mutex.Lock()
		headers = append(headers, q.Header.Get("Authorization"))
		mutex.Unlock()
		http.Error(w, "no", http.StatusForbidden)
	}))
	defer server.Close()
	seen := t.TempDir()
	real, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	for _, remote := range []string{server.URL + "/o/r", strings.Replace(server.URL, "http://", "http://x-access-token:"+canary+"@", 1) + "/o/r"} {
		o := history.BranchOptions{Remote: remote, Git: filepath.Join(t.TempDir(), "git"), Keep: t.TempDir(), Pause: time.Millisecond}
		if !strings.Contains(remote, canary) {
			o.Token = canary
		}
		script := fmt.Sprintf("#!/bin/sh\necho \"$@\" >> '%s/argv'\n'%s' \"$@\"; rc=$?\ncp -r \"$GIT_DIR/.\" '%s/dir' 2>/dev/null\nexit $rc\n", seen, real, seen)
		if err := os.WriteFile(o.Git, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		b, err := history.OpenBranch(o)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		_, err = b.Load(t.Context())
		if err == nil || strings.Contains(err.Error(), canary) || !strings.Contains(err.Error(), "403") || !strings.Contains(err.Error(), "contents: read") {
			t.Errorf("got %v", err)
		}
		if strings.Contains(b.String(), canary) {
			t.Errorf("its name has the token: %s", b)
		}
	}
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte("x-access-token:"+canary))
	if len(headers) == 0 || slices.ContainsFunc(headers, func(h string) bool { return h != want }) {
		t.Errorf("got headers %q", headers)
	}
	err = filepath.WalkDir(seen, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		if strings.Contains(string(text), canary) || strings.Contains(string(text), want) {
			t.Errorf("%s has the token", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestOpenBranchRefuses(t *testing.T) {
	t.Parallel()
	for _, o := range []history.BranchOptions{
		{}, {Remote: "--upload-pack=x"}, {Remote: "ext::sh -c x"}, {Remote: "http://example.com/o/r", Token: "x"},
		{Remote: "/x", Name: "-x"}, {Remote: "/x", Name: "a..b"}, {Remote: "/x", Name: "a b"}, {Remote: "/x", Name: "a/"}, {Remote: "/x", Name: "x.lock"},
	} {
		if b, err := history.OpenBranch(o); err == nil {
			b.Close()
			t.Errorf("%+v was opened", o)
		}
	}
}

// A repository with SHA-256 object names is as good.
func TestBranchWithSHA256(t *testing.T) {
	t.Parallel()
	r := repository{t: t, path: filepath.Join(t.TempDir(), "origin.git")}
	run(t, "", "git", "init", "--quiet", "--bare", "--object-format=sha256", r.path)
	dir := t.TempDir()
	run(t, dir, "git", "init", "--quiet", "--object-format=sha256", "-b", "main")
	run(t, dir, "git", "commit", "--quiet", "--allow-empty", "-m", "x")
	run(t, dir, "git", "push", "--quiet", r.path, "main")
	r.git("symbolic-ref", "HEAD", "refs/heads/main")
	entries := few(1, 2)
	record(t, r.branch(nil), entries...)
	same(t, "sha256", entries, load(t, r.branch(nil)).Entries)
}
