package fake

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
)

// operation is one of GitHub's, by the path its description has.
type operation struct {
	method, path string
	needs        []string // permissions, of which one is enough (docs.github.com, "Permissions required for GitHub Apps")
	do           func(h *Hub, r *http.Request) reply
}

var (
	readPulls = []string{"pull-requests: read"}
	readIssue = []string{"pull-requests: read", "issues: read"}
	talk      = []string{"pull-requests: write", "issues: write"}
	readRuns  = []string{"actions: read"}
	readFiles = []string{"contents: read"}
)

// operations are all that the fake has. A path that is added is added to the cached description as well.
var operations = []operation{
	{"GET", "/repos/{owner}/{repo}/pulls", readPulls, listPulls},
	{"GET", "/repos/{owner}/{repo}/pulls/{pull_number}", readPulls, getPull},
	{"GET", "/repos/{owner}/{repo}/issues", readIssues, listIssues},
	{"POST", "/repos/{owner}/{repo}/issues", writeIssues, createIssue},
	{"GET", "/repos/{owner}/{repo}/issues/{issue_number}", readIssues, getIssue},
	{"PATCH", "/repos/{owner}/{repo}/issues/{issue_number}", writeIssues, editIssue},
	{"POST", "/repos/{owner}/{repo}/issues/{issue_number}/labels", writeIssues, addLabels},
	{"GET", "/repos/{owner}/{repo}/issues/{issue_number}/comments", readIssue, listComments},
	{"POST", "/repos/{owner}/{repo}/issues/{issue_number}/comments", talk, createComment},
	{"GET", "/repos/{owner}/{repo}/issues/comments/{comment_id}", readIssue, getComment},
	{"PATCH", "/repos/{owner}/{repo}/issues/comments/{comment_id}", talk, editComment},
	{"DELETE", "/repos/{owner}/{repo}/issues/comments/{comment_id}", talk, deleteComment},
	{"GET", "/repos/{owner}/{repo}/issues/{issue_number}/labels", readIssue, listLabels},
	{"GET", "/repos/{owner}/{repo}/issues/{issue_number}/events", readIssue, listEvents},
	{"GET", "/repos/{owner}/{repo}/issues/{issue_number}/timeline", readIssue, listEvents},
	{"GET", "/repos/{owner}/{repo}/actions/runs", readRuns, listRuns},
	{"GET", "/repos/{owner}/{repo}/actions/runs/{run_id}", readRuns, getRun},
	{"GET", "/repos/{owner}/{repo}/actions/workflows/{workflow_id}", readRuns, getWorkflow},
	{"GET", "/repos/{owner}/{repo}/actions/workflows/{workflow_id}/runs", readRuns, listRuns},
	{"GET", "/repos/{owner}/{repo}/actions/runs/{run_id}/artifacts", readRuns, listArtifacts},
	{"GET", "/repos/{owner}/{repo}/actions/artifacts/{artifact_id}/{archive_format}", readRuns, getArtifact},
	{"GET", "/repos/{owner}/{repo}/contents/{path}", readFiles, getContents},
	{"GET", "/repos/{owner}/{repo}/compare/{basehead}", readFiles, compareCommits},
}

var parameter = regexp.MustCompile(`\{(\w+)\}`)

// pattern is what the operation's paths look like: a path in the repository may have several segments.
func (o operation) pattern() *regexp.Regexp {
	several := strings.Replace(o.path, "{path}", "(?P<path>.+)", 1)
	return regexp.MustCompile("^" + parameter.ReplaceAllString(several, "(?P<$1>[^/]+)") + "$")
}

// values are the path's.
func (o operation) values(r *http.Request) map[string]string {
	values := map[string]string{}
	for _, m := range parameter.FindAllStringSubmatch(o.path, -1) {
		values[m[1]] = r.PathValue(m[1])
	}
	return values
}

// user is a login's.
func user(login string) object {
	kind := "User"
	if strings.HasSuffix(login, "[bot]") {
		kind = "Bot"
	}
	return object{"login": login, "type": kind}
}

// repository is one by its full name; null where it is gone.
func repository(name string) any {
	owner, short, ok := strings.Cut(name, "/")
	if !ok {
		return null{}
	}
	return object{"name": short, "full_name": name, "owner": user(owner)}
}

func (h *Hub) pull(r *http.Request, name string) *Pull {
	number, _ := strconv.Atoi(r.PathValue(name)) // the description wants a number
	return h.state.pulls[number]
}

func (h *Hub) pullObject(p *Pull) object {
	state := "open"
	if p.Closed {
		state = "closed"
	}
	from := p.Repository
	owner, _, _ := strings.Cut(from, "/")
	if owner == "" {
		owner = "ghost"
	}
	into, _, _ := strings.Cut(h.o.Repository, "/")
	return object{
		"number": p.Number, "state": state, "locked": p.Locked, "user": user(owner),
		"head": object{"sha": p.Head, "ref": p.Branch, "label": owner + ":" + p.Branch, "repo": repository(from), "user": user(owner)},
		"base": object{"sha": p.Base, "ref": p.BaseBranch, "label": into + ":" + p.BaseBranch, "repo": repository(h.o.Repository), "user": user(into)},
	}
}

func getPull(h *Hub, r *http.Request) reply {
	p := h.pull(r, "pull_number")
	if p == nil {
		return notFound
	}
	return reply{status: http.StatusOK, said: h.pullObject(p)}
}

func listPulls(h *Hub, r *http.Request) reply {
	q := r.URL.Query()
	var all []any
	for _, number := range slices.Backward(sortedKeys(h.state.pulls)) { // the newest first
		p := h.state.pulls[number]
		owner, _, _ := strings.Cut(p.Repository, "/")
		state, want := "open", q.Get("state")
		if p.Closed {
			state = "closed"
		}
		if want == "" {
			want = "open"
		}
		if want != "all" && want != state || q.Has("head") && q.Get("head") != owner+":"+p.Branch || q.Has("base") && q.Get("base") != p.BaseBranch {
			continue
		}
		all = append(all, h.pullObject(p))
	}
	some, header := page(h, r, all)
	return reply{status: http.StatusOK, said: some, header: header}
}

func sortedKeys[V any](m map[int]V) []int {
	var keys []int
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (h *Hub) commentObject(c *Comment) object {
	return object{
		"id": c.ID, "body": c.Body, "user": user(c.Author),
		"html_url": fmt.Sprintf("https://github.example/%s/pull/%d#issuecomment-%d", h.o.Repository, c.Number, c.ID),
	}
}

func listComments(h *Hub, r *http.Request) reply {
	p := h.pull(r, "issue_number")
	if p == nil {
		return notFound
	}
	var all []any
	for _, c := range h.state.comments {
		if c.Number == p.Number {
			all = append(all, h.commentObject(c))
		}
	}
	some, header := page(h, r, all)
	return reply{status: http.StatusOK, said: some, header: header}
}

// maxBody is how many characters a comment has at most, in UTF-16 as the browser counts them.
const maxBody = 65536

// body is the text of a comment that is to be written, or the refusal of it.
func body(r *http.Request) (string, *reply) {
	var v struct{ Body string }
	if err := json.NewDecoder(r.Body).Decode(&v); err != nil {
		no := refused(http.StatusBadRequest, "Problems parsing JSON")
		return "", &no
	}
	problem := ""
	switch {
	case strings.TrimSpace(v.Body) == "":
		problem = "body can't be blank"
	case len(utf16.Encode([]rune(v.Body))) > maxBody:
		problem = "body is too long (maximum is 65536 characters)"
	default:
		return v.Body, nil
	}
	no := reply{status: http.StatusUnprocessableEntity, said: object{
		"message": "Validation Failed", "documentation_url": "https://docs.github.com/rest/issues/comments",
		"errors": []any{object{"resource": "IssueComment", "field": "body", "code": "custom", "message": problem}},
	}}
	return "", &no
}

func createComment(h *Hub, r *http.Request) reply {
	p := h.pull(r, "issue_number")
	switch {
	case p == nil:
		return notFound
	case p.Locked:
		return refused(http.StatusForbidden, "Unable to create comment because issue is locked.")
	}
	text, no := body(r)
	if no != nil {
		return *no
	}
	c := h.state.say(p.Number, h.state.login, text)
	return reply{status: http.StatusCreated, said: h.commentObject(c), header: http.Header{"Location": {fmt.Sprintf("%s/repos/%s/issues/comments/%d", h.URL, h.o.Repository, c.ID)}}}
}

func getComment(h *Hub, r *http.Request) reply {
	_, c := h.state.comment(r.PathValue("comment_id"))
	if c == nil {
		return notFound
	}
	return reply{status: http.StatusOK, said: h.commentObject(c)}
}

func editComment(h *Hub, r *http.Request) reply {
	_, c := h.state.comment(r.PathValue("comment_id"))
	if c == nil {
		return notFound
	}
	text, no := body(r)
	if no != nil {
		return *no
	}
	c.Body, c.History = text, append(c.History, text)
	return reply{status: http.StatusOK, said: h.commentObject(c)}
}

func deleteComment(h *Hub, r *http.Request) reply {
	i, c := h.state.comment(r.PathValue("comment_id"))
	if c == nil {
		return notFound
	}
	h.state.comments = slices.Delete(h.state.comments, i, i+1)
	return reply{status: http.StatusNoContent}
}

func listLabels(h *Hub, r *http.Request) reply {
	p := h.pull(r, "issue_number")
	if p == nil {
		return notFound
	}
	var there []string
	for _, l := range h.state.labels[p.Number] {
		there = slices.DeleteFunc(there, func(name string) bool { return name == l.Name })
		if !l.Removed {
			there = append(there, l.Name)
		}
	}
	all := make([]any, len(there))
	for i, name := range there {
		all[i] = object{"name": name}
	}
	some, header := page(h, r, all)
	return reply{status: http.StatusOK, said: some, header: header}
}

// listEvents is the labels' history, of events and of the timeline.
func listEvents(h *Hub, r *http.Request) reply {
	p := h.pull(r, "issue_number")
	if p == nil {
		return notFound
	}
	var all []any
	for i, l := range h.state.labels[p.Number] {
		event := "labeled"
		if l.Removed {
			event = "unlabeled"
		}
		all = append(all, object{
			"id": i + 1, "event": event, "actor": user(l.Actor), "created_at": l.At.UTC().Format(time.RFC3339), "label": object{"name": l.Name, "color": "ededed"},
		})
	}
	some, header := page(h, r, all)
	return reply{status: http.StatusOK, said: some, header: header}
}

func (h *Hub) runObject(run *Run) object {
	of := run.Repository
	if of == "" {
		of = h.o.Repository
	}
	status, conclusion := "completed", any(run.Conclusion)
	if run.Conclusion == "" {
		status, conclusion = "in_progress", null{}
	}
	return object{
		"id": run.ID, "run_attempt": run.Attempt, "event": run.Event, "workflow_id": run.Workflow, "path": h.state.workflows[run.Workflow],
		"head_sha": run.Head, "head_branch": run.Branch, "status": status, "conclusion": conclusion,
		"repository": repository(of), "head_repository": repository(run.From), "pull_requests": []any{}, // empty for forks, and never to be trusted
	}
}

func getRun(h *Hub, r *http.Request) reply {
	for _, run := range h.state.runs {
		if strconv.FormatInt(run.ID, 10) == r.PathValue("run_id") {
			return reply{status: http.StatusOK, said: h.runObject(run)}
		}
	}
	return notFound
}

func listRuns(h *Hub, r *http.Request) reply {
	q := r.URL.Query()
	var all []any
	for _, run := range slices.Backward(h.state.runs) {
		file := h.state.workflows[run.Workflow]
		if id := r.PathValue("workflow_id"); id != "" && id != strconv.FormatInt(run.Workflow, 10) && id != path.Base(file) {
			continue
		}
		status := q.Get("status")
		if q.Has("head_sha") && q.Get("head_sha") != run.Head || q.Has("event") && q.Get("event") != run.Event || q.Has("branch") && q.Get("branch") != run.Branch ||
			status == "completed" && run.Conclusion == "" || status == "in_progress" && run.Conclusion != "" {
			continue
		}
		all = append(all, h.runObject(run))
	}
	some, header := page(h, r, all)
	return reply{status: http.StatusOK, said: object{"total_count": len(all), "workflow_runs": some}, header: header}
}

func getWorkflow(h *Hub, r *http.Request) reply {
	for id, file := range h.state.workflows {
		if got := r.PathValue("workflow_id"); got == strconv.FormatInt(id, 10) || got == path.Base(file) {
			return reply{status: http.StatusOK, said: object{"id": id, "path": file, "name": "duet"}}
		}
	}
	return notFound
}

func listArtifacts(h *Hub, r *http.Request) reply {
	name := r.URL.Query().Get("name")
	var all []any
	for _, a := range h.state.artifacts {
		if strconv.FormatInt(a.Run, 10) != r.PathValue("run_id") || name != "" && name != a.Name {
			continue
		}
		of, size := a.Of, a.Size
		if of == 0 {
			of = a.Run
		}
		if size == 0 {
			size = len(a.Zip)
		}
		all = append(all, object{"id": a.ID, "name": a.Name, "size_in_bytes": size, "expired": a.Expired, "workflow_run": object{"id": of}})
	}
	some, header := page(h, r, all)
	return reply{status: http.StatusOK, said: object{"total_count": len(all), "artifacts": some}, header: header}
}

func getArtifact(h *Hub, r *http.Request) reply {
	a := h.state.artifact(r.PathValue("artifact_id"))
	switch {
	case a == nil || r.PathValue("archive_format") != "zip":
		return notFound
	case a.Expired:
		return refused(http.StatusGone, "Artifact has expired")
	}
	return reply{status: http.StatusFound, header: http.Header{"Location": {fmt.Sprintf("%s/%d?sig=%s", h.blobs.URL, a.ID, signature)}}}
}

func getContents(h *Hub, r *http.Request) reply {
	name := r.PathValue("path")
	f, ok := h.state.files[r.URL.Query().Get("ref")][name]
	if !ok {
		return notFound
	}
	size := f.Size
	if size == 0 {
		size = len(f.Content)
	}
	one := object{"name": path.Base(name), "path": name, "size": size, "sha": strings.Repeat("f", 40)}
	switch f.Type {
	case "dir":
		one["type"], one["name"], one["path"] = "file", "x", name+"/x"
		return reply{status: http.StatusOK, said: []any{one}}
	case "symlink":
		one["type"], one["target"] = "symlink", f.Content
	case "submodule":
		one["type"] = "submodule"
	default:
		one["type"], one["encoding"], one["content"] = "file", "base64", lines(base64.StdEncoding.EncodeToString([]byte(f.Content)))
	}
	return reply{status: http.StatusOK, said: one}
}

// lines breaks base64 as GitHub does.
func lines(text string) string {
	var b strings.Builder
	for part := range slices.Chunk([]byte(text), 60) {
		b.Write(part)
		b.WriteByte('\n')
	}
	return b.String()
}

func compareCommits(h *Hub, r *http.Request) reply {
	c, ok := h.state.compared[r.PathValue("basehead")]
	if !ok {
		return notFound
	}
	base, _, _ := strings.Cut(r.PathValue("basehead"), "...")
	status := "identical"
	switch {
	case c.Ahead > 0 && c.Behind > 0:
		status = "diverged"
	case c.Ahead > 0:
		status = "ahead"
	case c.Behind > 0:
		status = "behind"
	}
	return reply{status: http.StatusOK, said: object{
		"base_commit": object{"sha": base}, "merge_base_commit": object{"sha": c.MergeBase},
		"status": status, "ahead_by": c.Ahead, "behind_by": c.Behind, "total_commits": c.Ahead,
	}}
}
