package fake_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/duet-bench/duet/internal/github/fake"
)

// judge takes the fake's complaints instead of failing.
type judge struct {
	*testing.T
	said []string
}

func (j *judge) Errorf(format string, args ...any) {
	j.said = append(j.said, fmt.Sprintf(format, args...))
}

// ask makes one call as any client would.
func ask(t *testing.T, h *fake.Hub, method, path, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, h.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+fake.Token)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(text)
}

// furnished is a hub that has something of everything.
func furnished(t fake.T, o fake.Options) *fake.Hub {
	h := fake.New(t, o)
	head := strings.Repeat("b", 40)
	h.Open(fake.Pull{Number: 3, Head: head, Repository: "ann/r"})
	h.Open(fake.Pull{Number: 4, Head: head})
	h.Say(3, "ann", "hello")
	h.Workflow(4, ".github/workflows/duet.yml")
	h.Ran(fake.Run{ID: 9, Workflow: 4, Attempt: 2, Event: "pull_request", Head: head, Branch: "topic", From: "ann/r", Conclusion: "success"})
	h.Ran(fake.Run{ID: 10, Workflow: 4, Attempt: 1, Event: "pull_request", Head: head, Branch: "topic"})
	h.Left(fake.Artifact{ID: 5, Run: 9, Name: "duet-run-2", Zip: []byte("PK")})
	h.Left(fake.Artifact{ID: 6, Run: 9, Name: "duet-run-1", Expired: true})
	for name, f := range map[string]fake.File{"a/duet.yml": {Content: "x"}, "link": {Type: "symlink", Content: "/etc"}, "dir": {Type: "dir"}, "module": {Type: "submodule"}} {
		h.Holds(head, name, f)
	}
	h.Labelled(3, fake.Label{Name: "duet-accept", Actor: "eve", At: time.Unix(1_700_000_000, 0)})
	h.Labelled(3, fake.Label{Name: "duet-accept", Actor: "eve", At: time.Unix(1_700_000_100, 0), Removed: true})
	h.Labelled(3, fake.Label{Name: "bug", Actor: "ann", At: time.Unix(1_700_000_200, 0)})
	h.Grant(map[string]string{"contents": "read", "actions": "read", "pull-requests": "write", "issues": "write"})
	h.File(fake.Issue{Author: "ann", Title: "slow", Body: "hello", Labels: []string{"bug"}})
	h.File(fake.Issue{Author: "ann", Title: "a pull request", Pull: true})
	h.Compares("main", "topic", fake.Comparison{MergeBase: strings.Repeat("d", 40), Ahead: 1, Behind: 3})
	return h
}

// Every operation answers as GitHub's own description says, on github.com and on an Enterprise Server: a complaint of the
// fake's fails this test.
func TestOperations(t *testing.T) {
	for _, o := range []fake.Options{{}, {Enterprise: true}} {
		h := furnished(t, o)
		if got := strings.HasSuffix(h.URL, "/api/v3"); got != o.Enterprise {
			t.Errorf("the address is %s", h.URL)
		}
		head := strings.Repeat("b", 40)
		for _, v := range []struct {
			method, path, body string
			status             int
			want               string
		}{
			{"GET", "/repos/o/r/pulls?state=open&head=ann:topic&per_page=100", "", 200, `"number":3`},
			{"GET", "/repos/o/r/pulls/3", "", 200, `"full_name":"ann/r"`},
			{"GET", "/repos/o/r/pulls/4", "", 200, `"repo":null`},
			{"GET", "/repos/o/r/pulls/5", "", 404, "Not Found"},
			{"GET", "/repos/o/r/issues/3/comments?per_page=100", "", 200, `"hello"`},
			{"POST", "/repos/o/r/issues/3/comments", `{"body":"mine"}`, 201, `"github-actions[bot]"`},
			{"POST", "/repos/o/r/issues/3/comments", `{"body":" "}`, 422, "can't be blank"},
			{"POST", "/repos/o/r/issues/3/comments", `{"body":"` + strings.Repeat("x", 65537) + `"}`, 422, "maximum is 65536"},
			{"GET", "/repos/o/r/issues/comments/2", "", 200, `"mine"`},
			{"PATCH", "/repos/o/r/issues/comments/2", `{"body":"changed"}`, 200, `"changed"`},
			{"PATCH", "/repos/o/r/issues/comments/7", `{"body":"changed"}`, 404, "Not Found"},
			{"DELETE", "/repos/o/r/issues/comments/2", "", 204, ""},
			{"DELETE", "/repos/o/r/issues/comments/2", "", 404, "Not Found"},
			{"GET", "/repos/o/r/issues?state=all&creator=ann&per_page=100&sort=created&direction=asc", "", 200, `"pull_request":`},
			{"GET", "/repos/o/r/issues?state=closed", "", 200, `[]`},
			{"GET", "/repos/o/r/issues?labels=BUG", "", 200, `"slow"`},
			{"POST", "/repos/o/r/issues", `{"title":"t","body":"b","labels":["new"]}`, 201, `"number":103`},
			{"POST", "/repos/o/r/issues", `{"title":" "}`, 422, "title"},
			{"POST", "/repos/o/r/issues", `{"title":"t","body":"` + strings.Repeat("x", 65537) + `"}`, 422, "maximum is 65536"},
			{"GET", "/repos/o/r/issues/103", "", 200, `"new"`},
			{"PATCH", "/repos/o/r/issues/103", `{"state":"closed","state_reason":"not_planned","body":"c"}`, 200, `"not_planned"`},
			{"PATCH", "/repos/o/r/issues/103", `{"state":"open"}`, 200, `"reopened"`},
			{"PATCH", "/repos/o/r/issues/999", `{"state":"open"}`, 404, "Not Found"},
			{"POST", "/repos/o/r/issues/103/labels", `{"labels":["other"]}`, 200, `"other"`},
			{"GET", "/repos/o/r/issues/3/labels", "", 200, `"bug"`},
			{"GET", "/repos/o/r/issues/3/events", "", 200, `"unlabeled"`},
			{"GET", "/repos/o/r/issues/3/timeline", "", 200, `"labeled"`},
			{"GET", "/repos/o/r/actions/runs?head_sha=" + head + "&event=pull_request", "", 200, `"total_count":2`},
			{"GET", "/repos/o/r/actions/runs/9", "", 200, `"run_attempt":2`},
			{"GET", "/repos/o/r/actions/runs/10", "", 200, `"conclusion":null`},
			{"GET", "/repos/o/r/actions/workflows/4", "", 200, `.github/workflows/duet.yml`},
			{"GET", "/repos/o/r/actions/workflows/duet.yml/runs?status=completed", "", 200, `"total_count":1`},
			{"GET", "/repos/o/r/actions/runs/9/artifacts?per_page=100", "", 200, `"expired":true`},
			{"GET", "/repos/o/r/actions/artifacts/5/zip", "", 302, ""},
			{"GET", "/repos/o/r/actions/artifacts/6/zip", "", 410, "expired"},
			{"GET", "/repos/o/r/contents/a/duet.yml?ref=" + head, "", 200, `"encoding":"base64"`},
			{"GET", "/repos/o/r/contents/link?ref=" + head, "", 200, `"symlink"`},
			{"GET", "/repos/o/r/contents/dir?ref=" + head, "", 200, `[{`},
			{"GET", "/repos/o/r/contents/module?ref=" + head, "", 200, `"submodule"`},
			{"GET", "/repos/o/r/contents/none?ref=" + head, "", 404, "Not Found"},
			{"GET", "/repos/o/r/compare/main...topic", "", 200, `"diverged"`},
		} {
			answer, text := ask(t, h, v.method, v.path, v.body)
			if answer.StatusCode != v.status || !strings.Contains(text, v.want) {
				t.Errorf("%s %s: got %d %.300s, want %d with %s", v.method, v.path, answer.StatusCode, text, v.status, v.want)
			}
		}
		if n := len(h.Comments(3)); n != 1 {
			t.Errorf("%d comments are left, want ann's", n)
		}
	}
}

// What does not fit GitHub's description is complained about, on either side.
func TestComplaints(t *testing.T) {
	for name, v := range map[string]struct{ method, path, body, want string }{
		"a body without what it needs": {"POST", "/repos/o/r/issues/3/comments", `{}`, "body"},
		"a body of another type":       {"POST", "/repos/o/r/issues/3/comments", `{"body":[1]}`, "body"},
		"a field that is unknown":      {"POST", "/repos/o/r/issues/3/comments", `{"body":"x","text":"x"}`, `"text"`},
		"a query that is unknown":      {"GET", "/repos/o/r/pulls?sha=b", "", `"sha"`},
		"a query of another type":      {"GET", "/repos/o/r/pulls?per_page=many", "", "per_page"},
		"a query out of its range":     {"GET", "/repos/o/r/pulls?state=asleep", "", "state"},
		"a path of another type":       {"GET", "/repos/o/r/pulls/three", "", "pull_number"},
		"a body where none is taken":   {"DELETE", "/repos/o/r/issues/comments/1", `{"x":1}`, "takes none"},
		"an operation that is unknown": {"GET", "/repos/o/r/branches", "", "no such operation"},
	} {
		j := &judge{T: t}
		h := furnished(j, fake.Options{})
		ask(t, h, v.method, v.path, v.body)
		if len(j.said) == 0 || !strings.Contains(strings.Join(j.said, "\n"), v.want) {
			t.Errorf("%s: the fake said %q, want %q", name, j.said, v.want)
		}
	}
}

func TestRights(t *testing.T) {
	for name, v := range map[string]struct {
		set    func(*fake.Hub)
		method string
		path   string
		status int
		want   string
	}{
		"may not write":     {func(h *fake.Hub) { h.Grant(map[string]string{"pull-requests": "read"}) }, "POST", "/repos/o/r/issues/3/comments", 403, "not accessible by integration"},
		"may read":          {func(h *fake.Hub) { h.Grant(map[string]string{"pull-requests": "read"}) }, "GET", "/repos/o/r/issues/3/comments", 200, ""},
		"write holds read":  {func(h *fake.Hub) { h.Grant(map[string]string{"issues": "write"}) }, "GET", "/repos/o/r/issues/3/comments", 200, ""},
		"no issues":         {func(h *fake.Hub) { h.NoIssues() }, "GET", "/repos/o/r/issues", 410, "disabled"},
		"a deleted issue":   {func(h *fake.Hub) { h.Erase(101) }, "GET", "/repos/o/r/issues/101", 410, "deleted"},
		"nothing at all":    {func(h *fake.Hub) { h.Grant(nil) }, "GET", "/repos/o/r/actions/runs/9", 403, "not accessible by integration"},
		"an old token":      {func(h *fake.Hub) { h.Expire() }, "GET", "/repos/o/r/pulls/3", 401, "Bad credentials"},
		"no calls are left": {func(h *fake.Hub) { h.Spend(0) }, "GET", "/repos/o/r/pulls/3", 403, "rate limit exceeded"},
		"another's":         {func(*fake.Hub) {}, "GET", "/repos/o/other/pulls/3", 404, "Not Found"},
		"locked":            {func(h *fake.Hub) { h.Open(fake.Pull{Number: 3, Locked: true}) }, "POST", "/repos/o/r/issues/3/comments", 403, "locked"},
	} {
		h := furnished(t, fake.Options{})
		v.set(h)
		body := ""
		if v.method == "POST" {
			body = `{"body":"x"}`
		}
		if answer, text := ask(t, h, v.method, v.path, body); answer.StatusCode != v.status || !strings.Contains(text, v.want) {
			t.Errorf("%s: got %d %.200s, want %d with %q", name, answer.StatusCode, text, v.status, v.want)
		}
	}
}

// Whose the token is, GraphQL alone says for users and for apps.
func TestViewer(t *testing.T) {
	for _, o := range []fake.Options{{}, {Enterprise: true}} {
		h := furnished(t, o)
		h.As("a-team[bot]")
		path := strings.TrimPrefix(h.GraphQL, strings.TrimSuffix(h.URL, "/api/v3"))
		h.URL = strings.TrimSuffix(h.URL, "/api/v3")
		if _, text := ask(t, h, "POST", path, `{"query":"query { viewer { login } }"}`); text != `{"data":{"viewer":{"login":"a-team[bot]"}}}` || h.Writes() != 0 {
			t.Errorf("got %s after %d writes", text, h.Writes())
		}
	}
}

func TestPages(t *testing.T) {
	h := furnished(t, fake.Options{})
	for range 249 {
		h.Say(3, "ann", "x")
	}
	for _, v := range []struct {
		query string
		n     int
		links string
	}{
		{"", 30, "next last"},
		{"per_page=100", 100, "next last"},
		{"per_page=200&page=2", 100, "prev next last first"},
		{"per_page=100&page=3", 50, "prev first"},
		{"per_page=100&page=4", 0, "prev first"},
	} {
		answer, text := ask(t, h, "GET", "/repos/o/r/issues/3/comments?"+v.query, "")
		var some []any
		if err := json.Unmarshal([]byte(text), &some); err != nil {
			t.Fatal(err)
		}
		var links []string
		for _, part := range strings.Split(answer.Header.Get("Link"), `rel="`)[1:] {
			rel, _, _ := strings.Cut(part, `"`)
			links = append(links, rel)
		}
		if got := strings.Join(links, " "); len(some) != v.n || got != v.links {
			t.Errorf("%q: %d comments and links %q, want %d and %q", v.query, len(some), got, v.n, v.links)
		}
	}
}

// An artifact lies on another host, to which the token must not go.
func TestBlobs(t *testing.T) {
	j := &judge{T: t}
	h := furnished(j, fake.Options{})
	answer, _ := ask(t, h, "GET", "/repos/o/r/actions/artifacts/5/zip", "")
	at := answer.Header.Get("Location")
	for _, headers := range [][]string{nil, {"Authorization", "Bearer " + fake.Token}} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", at, nil)
		if err != nil {
			t.Fatal(err)
		}
		if headers != nil {
			r.Header.Set(headers[0], headers[1])
		}
		got, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(got.Body)
		got.Body.Close()
		if err != nil || string(text) != "PK" || (len(j.said) > 0) != (headers != nil) {
			t.Errorf("with %v: got %q, %v; the fake said %q", headers, text, err, j.said)
		}
	}
}

// What npm hands out counts only with the digest that stands here.
func TestPackageIsChecked(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	path := t.TempDir()
	t.Setenv("PATH", path)
	p := fake.Package{Name: "@octokit/webhooks-examples", Version: "7.6.1", Integrity: "sha512-another"}
	if _, err := p.File("package.json"); err == nil || !strings.Contains(err.Error(), "install Node.js") {
		t.Errorf("without npm: got %v, want the way out", err)
	}
	const npm = "#!/bin/sh\nwhile [ $# -gt 0 ]; do [ \"$1\" = --pack-destination ] && echo hello >\"$2/x.tgz\"; shift; done\n"
	if err := os.WriteFile(filepath.Join(path, "npm"), []byte(npm), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := p.File("package.json"); err == nil || !strings.Contains(err.Error(), "its digest is sha512-") {
		t.Errorf("another package: got %v, want a refusal", err)
	}
}
