package github

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/github/fake"
)

const workflow = ".github/workflows/duet.yml"

// ran is the run of the fork's that measured, as GitHub has it.
var ran = fake.Run{ID: 9, Workflow: 4, Attempt: 2, Event: "pull_request", Head: sha("b"), Branch: "fix", From: "ann/r", Conclusion: "success"}

// left is its artifact.
func left(t *testing.T) fake.Artifact {
	return fake.Artifact{ID: 5, Run: 9, Name: "duet-run", Zip: zipped(t, entry{RunFile, 0o644, "{}"})}
}

// forked is GitHub with a fork's pull request 3 that was measured. 4 has another head; 5 is of the same owner's and has the
// same branch and head, in another repository.
func forked(t *testing.T) *fake.Hub {
	t.Helper()
	h := fake.New(t, fake.Options{})
	h.Open(fake.Pull{Number: 3, Head: sha("b"), Base: sha("d"), Branch: "fix", Repository: "ann/r"})
	h.Open(fake.Pull{Number: 4, Head: sha("c"), Base: sha("d"), Branch: "fix", Repository: "ann/r"})
	h.Open(fake.Pull{Number: 5, Head: sha("b"), Base: sha("d"), Branch: "fix", Repository: "ann/other"})
	h.Open(fake.Pull{Number: 6, Head: sha("b"), Base: sha("d"), Branch: "fix", Repository: "ann/r", Closed: true})
	h.Open(fake.Pull{Number: 7, Head: sha("b"), Base: sha("d"), Branch: "fix"})
	h.Workflow(4, workflow)
	h.Ran(ran)
	h.Left(left(t))
	h.Left(fake.Artifact{ID: 6, Run: 9, Name: "duet-profiles", Zip: []byte("PK")})
	return h
}

func TestRunOfAFork(t *testing.T) {
	h := forked(t)
	h.Grant(map[string]string{"actions": "read", "pull-requests": "read"})
	c := client(t, h)
	m, err := c.Run(t.Context(), 9, workflow)
	want := Measured{ID: 9, Attempt: 2, Head: sha("b"), Branch: "fix", Repository: "ann/r", Conclusion: "success"}
	if err != nil || m != want {
		t.Fatalf("got %+v, %v, want %+v", m, err, want)
	}
	if pulls, err := c.Pulls(t.Context(), m); err != nil || len(pulls) != 1 || pulls[0] != (PullRequest{3, sha("d")}) {
		t.Errorf("got pull requests %v, %v, want 3 alone: the others have another head, or are of another repository or closed", pulls, err)
	}
	if text, ok, err := c.Artifact(t.Context(), m, "duet-run"); err != nil || !ok || string(text) != "{}" {
		t.Errorf("got %q, %v, %v", text, ok, err)
	}
	if _, ok, err := c.Artifact(t.Context(), m, "another"); ok || err != nil {
		t.Errorf("an artifact that is not there: got %v, %v", ok, err)
	}
	if h.Writes() != 0 {
		t.Errorf("something was written: %v", h.Calls())
	}
}

// SECURITY.md, W5: base's opinions come from base's commit.
func TestFile(t *testing.T) {
	h := forked(t)
	long := strings.Repeat("hello ", 100) // GitHub breaks base64 into lines
	h.Holds(sha("d"), "a/duet.yml", fake.File{Content: long})
	h.Holds(sha("d"), "link", fake.File{Type: "symlink", Content: "/etc/passwd"})
	h.Holds(sha("d"), "large", fake.File{Content: "hello", Size: 70000})
	h.Holds(sha("d"), "folder", fake.File{Type: "dir"})
	h.Holds(sha("d"), "module", fake.File{Type: "submodule"})
	c := client(t, h)
	if text, ok, err := c.File(t.Context(), "a/duet.yml", sha("d")); err != nil || !ok || string(text) != long {
		t.Errorf("got %q, %v, %v", text, ok, err)
	}
	for name, at := range map[string]string{"missing": sha("d"), "a/duet.yml": sha("e")} {
		if _, ok, err := c.File(t.Context(), name, at); ok || err != nil {
			t.Errorf("%s at %.7s, which is not there: got %v, %v", name, at, ok, err)
		}
	}
	for _, name := range []string{"link", "large", "folder", "module"} {
		if _, ok, err := c.File(t.Context(), name, sha("d")); ok || err == nil {
			t.Errorf("%s was read", name)
		}
	}
}

// SECURITY.md, W2: nothing is published for what an impostor ran.
func TestImpostors(t *testing.T) {
	for name, change := range map[string]func(*fake.Hub){
		"another event":             func(h *fake.Hub) { r := ran; r.Event = "push"; h.Ran(r) },
		"a workflow_run of its own": func(h *fake.Hub) { r := ran; r.Event = "workflow_run"; h.Ran(r) },
		"another repository":        func(h *fake.Hub) { r := ran; r.Repository = "eve/r"; h.Ran(r) },
		"another file":              func(h *fake.Hub) { h.Workflow(4, ".github/workflows/evil.yml") },
		"another run": func(h *fake.Hub) {
			r := ran
			r.ID = 8
			h.Ran(r)
			h.Break("GET", "/runs/9", 1, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				r.URL.Path = strings.Replace(r.URL.Path, "/9", "/8", 1)
				next.ServeHTTP(w, r)
			})
		},
	} {
		h := forked(t)
		change(h)
		_, err := client(t, h).Run(t.Context(), 9, workflow)
		var why *NeutralError
		if !errors.As(err, &why) {
			t.Errorf("%s: got %v, want a neutral end", name, err)
		}
	}
}

func TestArtifactsOfImpostors(t *testing.T) {
	m := Measured{ID: 9, Head: sha("b")}
	for name, change := range map[string]func(*fake.Artifact){
		"two of one name": func(a *fake.Artifact) { a.ID = 7 },
		"of another run":  func(a *fake.Artifact) { a.Of = 8 },
		"too large":       func(a *fake.Artifact) { a.Size = 9_000_000 },
		"no zip":          func(a *fake.Artifact) { a.Zip = []byte("no zip") },
	} {
		h := forked(t)
		a := left(t)
		change(&a)
		h.Left(a)
		if _, ok, err := client(t, h).Artifact(t.Context(), m, "duet-run"); ok || !errors.Is(err, ErrArtifact) {
			t.Errorf("%s: got %v, %v, want a refusal", name, ok, err)
		}
	}
	h := forked(t)
	a := left(t)
	a.Expired = true
	h.Left(a)
	if _, ok, err := client(t, h).Artifact(t.Context(), m, "duet-run"); ok || err != nil {
		t.Errorf("expired: got %v, %v, want none", ok, err)
	}
	h = forked(t)
	h.Lose(5)
	if _, _, err := client(t, h).Artifact(t.Context(), m, "duet-run"); err == nil || strings.Contains(err.Error(), "sig=") {
		t.Errorf("an artifact that cannot be fetched: got %v", err)
	}
}

func TestForkWasDeleted(t *testing.T) {
	h := forked(t)
	r := ran
	r.From = ""
	h.Ran(r)
	c := client(t, h)
	m, err := c.Run(t.Context(), 9, workflow)
	if err != nil || m.Repository != "" {
		t.Fatalf("got %+v, %v", m, err)
	}
	var why *NeutralError
	if _, err := c.Pulls(t.Context(), m); !errors.As(err, &why) {
		t.Errorf("got %v, want a neutral end", err)
	}
}
