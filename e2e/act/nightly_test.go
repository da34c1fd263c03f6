package act

import (
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/duet-bench/duet/internal/github/fake"
	"github.com/duet-bench/duet/internal/history"
	"github.com/duet-bench/duet/internal/history/made"
)

// A night that the schedule starts is measured by one job without a token, against the anchor of the nights before, and pushed
// by another that checks nothing out, to a repository that lets nobody in without the token.
func TestNightly(t *testing.T) {
	t.Parallel() // most of it waits
	w := newWorld(t)
	bare, err := os.ReadFile(filepath.Join("..", "testdata", "nightly", "main.go.txt")) // it builds in a moment
	if err != nil {
		t.Fatal(err)
	}
	w.write(filepath.Join(w.origin, "go", "main.go"), bare)
	first := w.commit("night.txtar", "main", "main")
	w.spent(first)
	second := w.commit("late.txtar", "main", "main")
	e := w.run(job{
		workflow: "nightly.yml", path: ".github/workflows/nightly.yml", last: "record", event: "schedule", run: 401, server: w.serveGit(),
		payload: object{"schedule": "17 2 * * *", "repository": object{"full_name": "o/r", "name": "r", "owner": object{"login": "o"}, "default_branch": "main"}},
	})
	w.checkSteps(e)
	if e.outcome != "success" || !strings.Contains(e.summaries, "- Night of 20") {
		t.Errorf("recording ended as %s; the summaries say %.500s", e.outcome, e.summaries)
	}
	for _, name := range []string{"duet-night-1", "duet-night-runs-1", "duet-nightly-1"} {
		if len(e.artifacts[name]) == 0 {
			t.Errorf("there is no artifact %s", name)
		}
	}
	nights := w.nights()
	if len(nights) != 2 {
		t.Fatalf("the history has %d nights, want the one before and this: %+v", len(nights), nights)
	}
	night := nights[1]
	if night.Commit.SHA != second || night.Anchor.SHA != first || night.SelfCheck == nil {
		t.Errorf("the night is of %s against %s, with the self-check %v; want %s against %s, and one", night.Commit.SHA, night.Anchor.SHA, night.SelfCheck, second, first)
	}
	slower := false
	for _, row := range night.Rows {
		slower = slower || row.Service == "go" && row.Metric == "instructions_callgrind" && row.Commit > 2*row.Anchor && row.Anchor > 0
	}
	if !slower {
		t.Errorf("the night does not show that the Go service does twice the work and more: %+v", night.Rows)
	}
	if all := w.hub.Issues(); len(all) != 0 {
		t.Errorf("one night made the issues %+v: a change has to last", all)
	}
}

// spent makes a history of one night, of a commit that is its anchor as well.
func (w *world) spent(sha string) {
	w.t.Helper()
	night := made.Nights(made.Options{Nights: 1, Services: []string{"go"}, Workloads: []string{"health"}, Metrics: []string{"cycles"}, Start: time.Now().AddDate(0, 0, -1)})[0]
	night.Commit.SHA, night.Anchor.SHA, night.ID = sha, sha, sha+"-400.1"
	store, err := history.OpenBranch(history.BranchOptions{Name: history.DefaultBranch, Remote: w.origin})
	if err != nil {
		w.t.Fatal(err)
	}
	defer store.Close()
	if err := store.Append(w.t.Context(), night); err != nil {
		w.t.Fatal(err)
	}
}

// serveGit serves the repository as GitHub does, to whoever has the token, and returns the server's address.
func (w *world) serveGit() string {
	w.t.Helper()
	git, err := exec.LookPath("git")
	if err != nil {
		w.t.Fatal(err)
	}
	w.git("config", "http.receivepack", "true")
	root := filepath.Join(w.dir, "served")
	if err := os.MkdirAll(filepath.Join(root, "o"), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(w.origin, ".git"), filepath.Join(root, "o", "r")); err != nil {
		w.t.Fatal(err)
	}
	backend := &cgi.Handler{Path: git, Args: []string{"http-backend"}, Env: []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=duet"}}
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if _, password, ok := r.BasicAuth(); !ok || password != fake.Token {
			out.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(out, "who are you?", http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(out, r)
	}))
	w.t.Cleanup(server.Close)
	return server.URL
}

// nights are the entries on the history's branch, in their order.
func (w *world) nights() (nights []history.Entry) {
	w.t.Helper()
	store, err := history.OpenBranch(history.BranchOptions{Name: history.DefaultBranch, Remote: w.origin})
	if err != nil {
		w.t.Fatal(err)
	}
	defer store.Close()
	loaded, err := store.Load(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return loaded.Entries
}
