package source

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Event is what a GitHub event says about the commits to compare. Empty fields are unknown.
type Event struct {
	Number        int    // of the pull request; 0: the event is about none
	Run           int64  // workflow_run: the run that ended
	Name          string // as in GITHUB_EVENT_NAME: pull_request, merge_group, push, …
	Action        string // pull_request: opened, synchronize, closed, …
	Draft         bool   // pull_request
	Ref           string // push: what was pushed, refs/heads/main
	Gone          bool   // push: the branch or tag was deleted
	BaseSHA       string // pull_request: the base branch's tip when the event happened; merge_group: the group's base; push to the default branch: what stood there before
	HeadSHA       string // pull_request, merge_group: full
	HeadRepo      string // OWNER/NAME; empty for a fork that was deleted
	BaseRepo      string // OWNER/NAME
	BaseRef       string // the branch to be merged into, without refs/heads/
	DefaultBranch string // the base repository's
	Fork          bool   // the head comes from another repository: its code is a stranger's
}

// maxEvent is above GitHub's own limit of 25 MB for a payload.
const maxEvent = 32 << 20

// payload is the part of GitHub's event payloads that counts here.
type payload struct {
	Action      string      `json:"action"`
	Repository  *repository `json:"repository"`
	PullRequest *struct {
		Number int     `json:"number"`
		Draft  bool    `json:"draft"`
		Base   *branch `json:"base"`
		Head   *branch `json:"head"`
	} `json:"pull_request"`
	Ref         string `json:"ref"`
	Before      string `json:"before"`
	Deleted     bool   `json:"deleted"`
	WorkflowRun *struct {
		ID int64 `json:"id"`
	} `json:"workflow_run"`
	MergeGroup *struct {
		BaseSHA string `json:"base_sha"`
		BaseRef string `json:"base_ref"`
		HeadSHA string `json:"head_sha"`
	} `json:"merge_group"`
}

type repository struct {
	FullName      string `json:"full_name"`
	DefaultBranch string `json:"default_branch"`
}

type branch struct {
	SHA  string      `json:"sha"`
	Ref  string      `json:"ref"`
	Repo *repository `json:"repo"` // null: the fork was deleted
}

// ParseEvent reads the payload of the GitHub event called name. Events about a pull request and merge groups
// name their commits, a push to the default branch what stood there before; all others tell just the default branch.
func ParseEvent(name string, text []byte) (*Event, error) {
	if len(text) > maxEvent {
		return nil, fmt.Errorf("reading the %s event: its payload has %d bytes, more than %d", name, len(text), maxEvent)
	}
	var p payload
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, fmt.Errorf("reading the %s event: %w", name, err)
	}
	e := &Event{Name: name}
	if p.Repository != nil {
		e.BaseRepo, e.DefaultBranch = p.Repository.FullName, p.Repository.DefaultBranch
	}
	switch {
	case name == "merge_group":
		if p.MergeGroup == nil {
			return nil, fmt.Errorf("reading the %s event: it has no merge_group", name)
		}
		e.BaseSHA, e.HeadSHA = p.MergeGroup.BaseSHA, p.MergeGroup.HeadSHA
		e.BaseRef = strings.TrimPrefix(p.MergeGroup.BaseRef, "refs/heads/")
		e.HeadRepo = e.BaseRepo
	case strings.HasPrefix(name, "pull_request"):
		if p.PullRequest == nil || p.PullRequest.Base == nil || p.PullRequest.Head == nil {
			return nil, fmt.Errorf("reading the %s event: it has no pull_request with a base and a head", name)
		}
		e.Number, e.Action, e.Draft = max(p.PullRequest.Number, 0), p.Action, p.PullRequest.Draft
		e.pullRequest(*p.PullRequest.Base, *p.PullRequest.Head)
	case name == "push":
		e.HeadRepo, e.Ref, e.Gone = e.BaseRepo, p.Ref, p.Deleted
		if isNew := strings.Trim(p.Before, "0") == ""; !isNew && e.DefaultBranch != "" && p.Ref == "refs/heads/"+e.DefaultBranch {
			e.BaseSHA, e.BaseRef = p.Before, e.DefaultBranch
		}
	default:
		e.HeadRepo = e.BaseRepo
		if p.WorkflowRun != nil {
			e.Run = p.WorkflowRun.ID
		}
	}
	if err := e.check(); err != nil {
		return nil, err
	}
	return e, nil
}

// pullRequest takes over a pull request's two ends. A head without a repository is a fork that was deleted:
// still a stranger's code.
func (e *Event) pullRequest(base, head branch) {
	e.BaseSHA, e.BaseRef, e.HeadSHA = base.SHA, base.Ref, head.SHA
	if base.Repo != nil {
		e.BaseRepo = base.Repo.FullName
		if base.Repo.DefaultBranch != "" {
			e.DefaultBranch = base.Repo.DefaultBranch
		}
	}
	if head.Repo != nil {
		e.HeadRepo = head.Repo.FullName
	}
	e.Fork = e.HeadRepo == "" || !strings.EqualFold(e.HeadRepo, e.BaseRepo)
}

// check refuses what could not be a commit or a branch, so that nothing else ever reaches git.
func (e *Event) check() error {
	for field, sha := range map[string]string{"base": e.BaseSHA, "head": e.HeadSHA} {
		if sha != "" && !isHex(sha) {
			return fmt.Errorf("reading the %s event: %s sha %q is not 40 or 64 hex digits", e.Name, field, printable(sha))
		}
	}
	for field, name := range map[string]string{"base branch": e.BaseRef, "default branch": e.DefaultBranch} {
		if name != "" && !branchName(name) {
			return fmt.Errorf("reading the %s event: %s %q is not a branch name", e.Name, field, printable(name))
		}
	}
	return nil
}

// branchName holds the rules of git-check-ref-format(1) for branches.
func branchName(s string) bool {
	if strings.HasPrefix(s, "-") || strings.HasSuffix(s, ".") || len(s) > 1024 || s == "@" ||
		strings.ContainsAny(s, " ~^:?*[\\\x7f") || strings.Contains(s, "..") || strings.Contains(s, "@{") {
		return false
	}
	for part := range strings.SplitSeq(s, "/") {
		if part == "" || part[0] == '.' || strings.HasSuffix(part, ".lock") {
			return false
		}
	}
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' }) < 0
}
