package source

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/duet-bench/duet/internal/plan"
)

// deep is a repository whose main and feature left each other many commits ago.
//
//	m1 … m30 ── … ── m(30+apart)    main
//	       └─── f1 … f(apart)       feature
func deep(t *testing.T, apart int) (c clone, fork, main string) {
	t.Helper()
	c = newClone(t, "main")
	var in strings.Builder
	n := 0
	add := func(branch, from string, count int) {
		for i := range count {
			n++
			fmt.Fprintf(&in, "commit refs/heads/%s\nmark :%d\ncommitter c <c@example.org> %d +0000\ndata <<.\n%s %d\n.\n", branch, n, 1_600_000_000+n, branch, i)
			if i == 0 && from != "" {
				fmt.Fprintf(&in, "from %s\n", from)
			}
			fmt.Fprintf(&in, "M 644 inline %s\ndata <<.\n%d\n.\n", branch, i)
		}
	}
	add("main", "", 30)
	fork = fmt.Sprint(":", n)
	add("feature", fork, apart)
	add("main", fork, apart)
	c.feed(in.String(), "fast-import", "--quiet")
	c.git("reset", "--quiet", "--hard") // on main
	return c, c.git("rev-parse", fmt.Sprintf("main~%d", apart)), c.git("rev-parse", "main")
}

// snapshot is everything below .git, which Resolve must not touch.
func (c clone) snapshot() map[string]string {
	return files(c.t, filepath.Join(c.dir, ".git"))
}

func TestShallowClone(t *testing.T) {
	t.Parallel()
	up, fork, main := deep(t, 120) // more than the first step, 50
	for _, tt := range []struct {
		name string
		args []string
		o    Options
		want string // base; "": the first parent of head
		why  string
	}{
		{"a pull request's head", []string{"--depth=1", "--branch=feature"}, Options{Event: &Event{Name: "pull_request", BaseSHA: main, BaseRef: "main"}}, fork, "pull_request event"},
		{"an explicit branch", []string{"--depth=1", "--branch=feature"}, Options{Base: "main"}, fork, "main (--base)"},
		{"an explicit sha", []string{"--depth=1", "--branch=feature"}, Options{Base: main}, fork, "--base"},
		{"the event's default branch", []string{"--depth=1", "--branch=feature"}, Options{Event: &Event{Name: "push", DefaultBranch: "main"}}, fork, "origin/main"},
		{"both branches", []string{"--depth=1", "--branch=feature", "--no-single-branch"}, Options{}, fork, "origin/main"},
		{"a push to main", []string{"--depth=1", "--branch=main"}, Options{}, "", "first parent"},
		{"a full clone of one branch", []string{"--branch=feature", "--single-branch"}, Options{Event: &Event{Name: "pull_request", BaseSHA: main}}, fork, "pull_request event"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			up := clone{t: t, dir: up.dir, tick: up.tick}
			c := up.from(tt.args...)
			before := c.snapshot()
			r := c.resolve(tt.o)
			want := tt.want
			if want == "" {
				want = up.git("rev-parse", "main~1")
			}
			wantBase(t, r, want, tt.why)
			got, _ := exported(t, r, plan.Base)
			if got["main"] == "" {
				t.Errorf("base has files %q", got)
			}
			wantFiles(t, c.snapshot(), before)
			if tt.want != "" && r.Base.Behind != 120 {
				t.Errorf("behind %d, want 120", r.Base.Behind)
			}
		})
	}
}

// A commit that only exists here, on top of a shallow clone.
func TestShallowCloneWithLocalCommit(t *testing.T) {
	t.Parallel()
	up, fork, _ := deep(t, 3)
	c := up.from("--depth=1", "--branch=feature", "--no-single-branch")
	c.commit("local")
	r := c.resolve(Options{})
	wantBase(t, r, fork, "origin/main")
	wantPaths(t, "changed", r.Changed, "feature", "local")
}

// The visible history has a common ancestor, the hidden one a second merge base: the first alone would be
// wrong to trust.
func TestShallowCloneHidesAMergeBase(t *testing.T) {
	t.Parallel()
	up := newClone(t, "main")
	up.commit("root")
	up.git("checkout", "--quiet", "-b", "side")
	for i := range 6 {
		up.commit(fmt.Sprint("side", i))
	}
	sideOld := up.git("rev-parse", "side~5")
	up.git("checkout", "--quiet", "main")
	up.git("merge", "--quiet", "--no-ff", "-m", "old side to main", sideOld)
	shared := up.commit("shared")
	up.git("checkout", "--quiet", "-b", "feature")
	up.git("merge", "--quiet", "--no-ff", "-m", "side to feature", "side")
	up.git("checkout", "--quiet", "main")
	up.git("merge", "--quiet", "--no-ff", "-m", "newer side to main", "side~3")
	newer := up.git("rev-parse", "side~3")
	full := strings.Fields(up.git("merge-base", "--all", "feature", "main"))
	if len(full) != 2 {
		t.Fatalf("the fixture has merge bases %q, want %s and %s", full, shared, newer)
	}
	want := up.resolve(Options{Head: "feature"})
	c := up.from("--depth=2", "--branch=feature", "--no-single-branch")
	if seen := strings.Fields(c.git("merge-base", "--all", "feature", "origin/main")); len(seen) != 1 {
		t.Fatalf("the shallow fixture has merge bases %q, want one", seen)
	}
	wantBase(t, c.resolve(Options{}), want.Base.SHA, "newest of 2 merge bases")
}

func TestShallowCloneWithoutHelp(t *testing.T) {
	t.Parallel()
	up, _, main := deep(t, 3)
	check := func(name string, c clone, o Options, why ...string) {
		t.Helper()
		before := c.snapshot()
		r := c.resolve(o)
		wantNoBase(t, r, append(why, "fetch-depth: 0")...)
		if len(r.Warnings) != 1 {
			t.Errorf("%s: warnings %q, want one", name, r.Warnings)
		}
		wantFiles(t, c.snapshot(), before)
	}
	event := Options{Event: &Event{Name: "pull_request", BaseSHA: main}}

	c := up.from("--depth=1", "--branch=feature", "--no-single-branch")
	c.git("remote", "set-url", "origin", filepath.Join(c.dir, "gone"))
	check("remote gone", c, Options{}, "merge base of head and origin/main", "gone")
	check("remote gone, event", c, event, main)
	c.refuse(Options{Base: main[:39] + "0"}, "unknown revision", "shallow", "fetch-depth: 0")
	c.git("remote", "remove", "origin")
	check("no remote", c, event, "no remote")

	c = up.from("--depth=1", "--branch=main")
	c.git("remote", "set-url", "origin", filepath.Join(c.dir, "gone"))
	check("first parent", c, Options{}, "first parent")

	// The remote is as shallow as the clone.
	half := up.from("--depth=1", "--branch=feature", "--no-single-branch")
	half.git("branch", "main", "origin/main")
	check("shallow remote", half.from("--depth=1", "--branch=feature", "--no-single-branch"), Options{}, "shallow")

	// Only bounded transports: a remote that is a program is not run.
	c = up.from("--depth=1", "--branch=feature", "--no-single-branch")
	canary := filepath.Join(t.TempDir(), "canary")
	c.git("config", "protocol.ext.allow", "always")
	c.git("remote", "set-url", "origin", "ext::sh -c touch% "+canary)
	check("program", c, Options{}, "'ext' not allowed")
	if _, err := os.Stat(canary); err == nil {
		t.Error("the remote's program ran")
	}
}

// GitHub checks out a merge of the pull request's head into main: main's own commits must not count.
func TestTestMerge(t *testing.T) {
	t.Parallel()
	c, one, two, feature := forked(t, "main")
	c.git("checkout", "--quiet", "--detach", "main")
	c.git("merge", "--quiet", "--no-ff", "-m", "Merge", feature)
	c.git("update-ref", "refs/pull/1/merge", "HEAD")
	e := Options{Event: &Event{Name: "pull_request", BaseSHA: one, HeadSHA: feature, BaseRef: "main"}}
	r := c.resolve(e)
	wantBase(t, r, two, "test merge", "merged "+feature)
	wantPaths(t, "changed", r.Changed, "feature")
	if r.Head.MergeOf != feature || r.Head.Asked() != feature || r.Head.SHA == feature {
		t.Errorf("head is %+v, want a merge of %s", r.Head, feature)
	}

	s := c.from("--depth=1", "--branch=main")
	s.git("fetch", "--quiet", "--depth=1", "origin", "refs/pull/1/merge")
	s.git("checkout", "--quiet", "--detach", "FETCH_HEAD")
	wantBase(t, s.resolve(e), two, "test merge")
	// With head named, the merge base counts.
	e.Head = feature
	named := s.resolve(e)
	wantBase(t, named, one, "pull_request event")
	if named.Head.MergeOf != "" || named.Head.Asked() != feature {
		t.Errorf("head is %+v, want %s itself", named.Head, feature)
	}
}

// A private repository, as actions/checkout leaves it: the token is a header in .git/config. It reaches the
// server, and no argument list.
func TestShallowCloneOverHTTPS(t *testing.T) {
	up, fork, _ := deep(t, 3)
	up.git("config", "http.uploadpack", "true")
	const secret = "Basic eDpzZWNyZXQ="
	backend := &cgi.Handler{
		Path: filepath.Join(up.git("--exec-path"), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + filepath.Dir(up.dir), "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"},
	}
	var seen, leaked atomic.Int64
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != secret {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		seen.Add(1)
		lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, path := range lines {
			if text, err := os.ReadFile(path); err == nil && strings.Contains(string(text), "eDpzZWNyZXQ") {
				leaked.Add(1)
			}
		}
		backend.ServeHTTP(w, r)
	}))
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GIT_SSL_CAINFO", ca)
	c := up.from("--depth=1", "--branch=feature", "--no-single-branch")
	c.git("remote", "set-url", "origin", server.URL+"/repo")
	wantNoBase(t, c.resolve(Options{}), "not in this clone", "fetch-depth: 0")
	if seen.Load() > 0 {
		t.Error("the server let a stranger in")
	}
	c.git("config", "http."+server.URL+"/.extraheader", "Authorization: "+secret)
	wantBase(t, c.resolve(Options{}), fork, "origin/main")
	if seen.Load() == 0 || leaked.Load() > 0 {
		t.Errorf("%d requests with the token, %d argument lists that hold it", seen.Load(), leaked.Load())
	}
}
