package github

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// world is what GitHub says of one workflow run, as JSON by path; a path without an answer is 404.
type world map[string]string

func (w world) serve(t *testing.T, artifact []byte) *Client {
	t.Helper()
	var s *httptest.Server
	s = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case path == "/repos/o/r/actions/artifacts/5/zip":
			http.Redirect(rw, r, s.URL+"/blob?sig=hidden", http.StatusFound)
		case path == "/blob":
			if r.Header.Get("Authorization") != "" {
				t.Error("the token went to the artifact's host")
			}
			rw.Write(artifact)
		case w[path] != "":
			if r.Method != http.MethodGet {
				t.Errorf("%s %s: nothing is to be written", r.Method, path)
			}
			fmt.Fprint(rw, w[path])
		default:
			http.NotFound(rw, r)
		}
	}))
	t.Cleanup(s.Close)
	c, err := New(Options{APIURL: s.URL, Token: "secret", Repository: "o/r", Clock: newFakeClock()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func sound() world {
	return world{
		"/repos/o/r/actions/runs/9": `{"id":9,"run_attempt":2,"event":"pull_request","workflow_id":4,"head_sha":"` + sha("b") +
			`","head_branch":"fix","conclusion":"success","repository":{"full_name":"o/r"},"head_repository":{"full_name":"ann/r"}}`,
		"/repos/o/r/actions/workflows/4":      `{"id":4,"path":".github/workflows/duet.yml"}`,
		"/repos/o/r/pulls":                    `[{"number":3,"base":{"sha":"` + sha("d") + `"},"head":{"sha":"` + sha("b") + `","repo":{"full_name":"ann/r"}}},{"number":4,"head":{"sha":"` + sha("c") + `","repo":{"full_name":"ann/r"}}},{"number":5,"head":{"sha":"` + sha("b") + `","repo":{"full_name":"eve/r"}}}]`,
		"/repos/o/r/actions/runs/9/artifacts": `{"total_count":2,"artifacts":[{"id":5,"name":"duet-run","size_in_bytes":100,"workflow_run":{"id":9}},{"id":6,"name":"duet-profiles"}]}`,
	}
}

const workflow = ".github/workflows/duet.yml"

func TestRunOfAFork(t *testing.T) {
	c := sound().serve(t, zipped(t, entry{RunFile, 0o644, "{}"}))
	m, err := c.Run(t.Context(), 9, workflow)
	want := Measured{ID: 9, Attempt: 2, Head: sha("b"), Branch: "fix", Repository: "ann/r", Conclusion: "success"}
	if err != nil || m != want {
		t.Fatalf("got %+v, %v, want %+v", m, err, want)
	}
	if pulls, err := c.Pulls(t.Context(), m); err != nil || len(pulls) != 1 || pulls[0] != (PullRequest{3, sha("d")}) {
		t.Errorf("got pull requests %v, %v, want 3 alone: the others have another head", pulls, err)
	}
	if text, ok, err := c.Artifact(t.Context(), m, "duet-run"); err != nil || !ok || string(text) != "{}" {
		t.Errorf("got %q, %v, %v", text, ok, err)
	}
	if _, ok, err := c.Artifact(t.Context(), m, "another"); ok || err != nil {
		t.Errorf("an artifact that is not there: got %v, %v", ok, err)
	}
}

// SECURITY.md, W5: base's opinions come from base's commit.
func TestFile(t *testing.T) {
	w := sound()
	w["/repos/o/r/contents/duet.yml"] = `{"type":"file","encoding":"base64","size":5,"content":"aGVsbG8="}`
	w["/repos/o/r/contents/link"] = `{"type":"symlink","size":5,"target":"/etc/passwd"}`
	w["/repos/o/r/contents/large"] = `{"type":"file","encoding":"base64","size":70000,"content":"aGVsbG8="}`
	w["/repos/o/r/contents/folder"] = `[{"type":"file","name":"x"}]`
	c := w.serve(t, nil)
	if text, ok, err := c.File(t.Context(), "duet.yml", sha("d")); err != nil || !ok || string(text) != "hello" {
		t.Errorf("got %q, %v, %v", text, ok, err)
	}
	if _, ok, err := c.File(t.Context(), "missing", sha("d")); ok || err != nil {
		t.Errorf("a file that is not there: got %v, %v", ok, err)
	}
	for _, name := range []string{"link", "large", "folder"} {
		if _, ok, err := c.File(t.Context(), name, sha("d")); ok || err == nil {
			t.Errorf("%s was read", name)
		}
	}
}

// SECURITY.md, W2: nothing is published for what an impostor ran.
func TestImpostors(t *testing.T) {
	for name, change := range map[string][3]string{ // path, old, new
		"another event":      {"/repos/o/r/actions/runs/9", `"pull_request"`, `"push"`},
		"another repository": {"/repos/o/r/actions/runs/9", `"o/r"`, `"eve/r"`},
		"another run":        {"/repos/o/r/actions/runs/9", `"id":9`, `"id":8`},
		"another file":       {"/repos/o/r/actions/workflows/4", "duet.yml", "evil.yml"},
	} {
		w := sound()
		w[change[0]] = strings.Replace(w[change[0]], change[1], change[2], 1)
		_, err := w.serve(t, nil).Run(t.Context(), 9, workflow)
		var why *NeutralError
		if !errors.As(err, &why) {
			t.Errorf("%s: got %v, want a neutral end", name, err)
		}
	}
}

func TestArtifactsOfImpostors(t *testing.T) {
	m := Measured{ID: 9, Head: sha("b")}
	for name, list := range map[string]string{
		"two of one name": `{"artifacts":[{"id":5,"name":"duet-run"},{"id":6,"name":"duet-run"}]}`,
		"of another run":  `{"artifacts":[{"id":5,"name":"duet-run","workflow_run":{"id":8}}]}`,
		"too large":       `{"artifacts":[{"id":5,"name":"duet-run","size_in_bytes":9000000}]}`,
	} {
		w := sound()
		w["/repos/o/r/actions/runs/9/artifacts"] = list
		if _, ok, err := w.serve(t, zipped(t, entry{RunFile, 0o644, "{}"})).Artifact(t.Context(), m, "duet-run"); ok || !errors.Is(err, ErrArtifact) {
			t.Errorf("%s: got %v, %v, want a refusal", name, ok, err)
		}
	}
	if _, ok, err := sound().serve(t, []byte("no zip")).Artifact(t.Context(), m, "duet-run"); ok || !errors.Is(err, ErrArtifact) {
		t.Errorf("no zip: got %v, %v, want a refusal", ok, err)
	}
	w := sound()
	w["/repos/o/r/actions/runs/9/artifacts"] = `{"artifacts":[{"id":7,"name":"duet-run"}]}`
	if _, _, err := w.serve(t, nil).Artifact(t.Context(), m, "duet-run"); err == nil || strings.Contains(err.Error(), "hidden") {
		t.Errorf("an artifact that cannot be fetched: got %v", err)
	}
}

func TestForkWasDeleted(t *testing.T) {
	var why *NeutralError
	if _, err := sound().serve(t, nil).Pulls(t.Context(), Measured{ID: 9, Head: sha("b"), Branch: "fix"}); !errors.As(err, &why) {
		t.Errorf("got %v, want a neutral end", err)
	}
}
