package github

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"

	"github.com/google/go-github/v60/github"
)

// Measured is the run of a workflow that measured: of a workflow_run event, or of the same event's own.
type Measured struct {
	ID         int64
	Attempt    int
	Head       string // full sha
	Branch     string // of the head, as its own repository calls it
	Repository string // of the head, OWNER/NAME; empty: the fork was deleted
	Conclusion string // success, failure, cancelled, …; empty while it runs
}

// NeutralError says that there is nothing to publish, and that this is nobody's fault: the job ends green with its words.
type NeutralError struct{ Why string }

func (e *NeutralError) Error() string { return e.Why }

func neutral(format string, args ...any) error {
	return &NeutralError{fmt.Sprintf(format, args...)}
}

// Run reads a workflow run again from the API, and refuses one that Duet's own workflow did not make: any workflow can
// bear the same name, so the file counts (SECURITY.md, W2). workflow is that file's path in the repository.
func (c *Client) Run(ctx context.Context, id int64, workflow string) (Measured, error) {
	run, _, err := c.api.Actions.GetWorkflowRunByID(ctx, c.owner, c.name, id)
	if err != nil {
		return Measured{}, fmt.Errorf("reading workflow run %d: %w", id, plainly(err))
	}
	m := Measured{
		ID: run.GetID(), Attempt: max(run.GetRunAttempt(), 1), Head: run.GetHeadSHA(), Branch: run.GetHeadBranch(),
		Repository: run.GetHeadRepository().GetFullName(), Conclusion: run.GetConclusion(),
	}
	switch {
	case m.ID != id:
		return Measured{}, neutral("workflow run %d was answered by run %d", id, m.ID)
	case run.GetEvent() != "pull_request":
		return Measured{}, neutral("workflow run %d was started by %.40q, not by a pull_request", id, run.GetEvent())
	case !strings.EqualFold(run.GetRepository().GetFullName(), c.owner+"/"+c.name):
		return Measured{}, neutral("workflow run %d is of another repository", id)
	}
	file, err := c.workflowFile(ctx, run.GetWorkflowID())
	if err != nil {
		return Measured{}, err
	}
	if file != path.Clean(workflow) {
		return Measured{}, neutral("workflow run %d is of %.100q, and this publishes runs of %s", id, file, workflow)
	}
	return m, nil
}

func (c *Client) workflowFile(ctx context.Context, id int64) (string, error) {
	w, _, err := c.api.Actions.GetWorkflowByID(ctx, c.owner, c.name, id)
	if err != nil {
		return "", fmt.Errorf("reading workflow %d: %w", id, plainly(err))
	}
	return path.Clean(w.GetPath()), nil
}

// Ended is the newest run of a workflow about a commit that has ended; ok is false where there is none. The caller reads
// it again by Run, which checks it.
func (c *Client) Ended(ctx context.Context, workflow, head string) (id int64, ok bool, err error) {
	runs, _, err := c.api.Actions.ListWorkflowRunsByFileName(ctx, c.owner, c.name, path.Base(workflow), &github.ListWorkflowRunsOptions{
		Event: "pull_request", Status: "completed", HeadSHA: head, ListOptions: github.ListOptions{PerPage: 100},
	})
	if err != nil {
		return 0, false, fmt.Errorf("looking for the run about %.7s: %w", head, plainly(err))
	}
	for _, r := range runs.WorkflowRuns {
		if r.GetHeadSHA() == head && r.GetID() > id {
			id, ok = r.GetID(), true
		}
	}
	return id, ok, nil
}

// PullRequest is what publishing has to know of one.
type PullRequest struct {
	Number  int
	BaseSHA string // the tip of the branch to be merged into
}

// Pulls are the open pull requests whose head is the measured commit now. What the artifact or the event says
// of pull requests does not count (SECURITY.md, W3).
func (c *Client) Pulls(ctx context.Context, m Measured) ([]PullRequest, error) {
	owner, _, ok := strings.Cut(m.Repository, "/")
	if !ok || m.Branch == "" {
		return nil, neutral("the branch that was measured is gone")
	}
	list, _, err := c.api.PullRequests.List(ctx, c.owner, c.name, &github.PullRequestListOptions{
		State: "open", Head: owner + ":" + m.Branch, ListOptions: github.ListOptions{PerPage: 100},
	})
	if err != nil {
		return nil, fmt.Errorf("looking for the pull request of %.7s: %w", m.Head, plainly(err))
	}
	var found []PullRequest
	for _, p := range list {
		if p.GetHead().GetSHA() == m.Head && strings.EqualFold(p.GetHead().GetRepo().GetFullName(), m.Repository) {
			found = append(found, PullRequest{p.GetNumber(), p.GetBase().GetSHA()})
		}
	}
	return found, nil
}

// Artifact is run.json of a measured run, from the artifact of that name; ok is false where the run left none.
func (c *Client) Artifact(ctx context.Context, m Measured, name string) (text []byte, ok bool, err error) {
	list, _, err := c.api.Actions.ListWorkflowRunArtifacts(ctx, c.owner, c.name, m.ID, &github.ListOptions{PerPage: 100})
	if err != nil {
		return nil, false, fmt.Errorf("listing the artifacts of run %d: %w", m.ID, plainly(err))
	}
	var found []*github.Artifact
	for _, a := range list.Artifacts {
		if a.GetName() == name && !a.GetExpired() {
			found = append(found, a)
		}
	}
	switch {
	case len(found) == 0:
		return nil, false, nil
	case len(found) > 1:
		return nil, false, fmt.Errorf("%w: run %d has %d of the name %s", ErrArtifact, m.ID, len(found), name)
	case found[0].GetWorkflowRun() != nil && found[0].GetWorkflowRun().GetID() != m.ID:
		return nil, false, fmt.Errorf("%w: it is of run %d, not of %d", ErrArtifact, found[0].GetWorkflowRun().GetID(), m.ID)
	case found[0].GetSizeInBytes() > MaxRun:
		return nil, false, fmt.Errorf("%w: it has %d bytes, more than %d", ErrArtifact, found[0].GetSizeInBytes(), MaxRun)
	}
	packed, err := c.download(ctx, found[0].GetID())
	if err != nil {
		return nil, false, fmt.Errorf("fetching artifact %s of run %d: %w", name, m.ID, err)
	}
	text, err = RunIn(packed)
	return text, err == nil, err
}

// download fetches an artifact. GitHub answers with where it lies, which is another host: the token does not go there.
func (c *Client) download(ctx context.Context, id int64) ([]byte, error) {
	const followNone = 0
	at, _, err := c.api.Actions.DownloadArtifact(ctx, c.owner, c.name, id, followNone)
	if err != nil {
		return nil, plainly(err)
	}
	if at.Scheme != "https" && !(at.Scheme == "http" && loopback(at.Hostname())) {
		return nil, fmt.Errorf("it lies at a %q address: expected https", at.Scheme)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, errors.New("its address cannot be asked") // the address holds a signature: it is not repeated
	}
	answer, err := c.plain.Do(request)
	if err != nil {
		return nil, errors.New("its address does not answer")
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("its address answers %s", answer.Status)
	}
	packed, err := io.ReadAll(io.LimitReader(answer.Body, MaxRun+1))
	if err != nil {
		return nil, fmt.Errorf("its answer broke off: %w", err)
	}
	return packed, nil // RunIn refuses what is too large
}

// maxFile bounds a file that is read through the API, in bytes.
const maxFile = 64 << 10

// File reads a regular file of the repository at a commit; ok is false where that commit has none.
func (c *Client) File(ctx context.Context, name, sha string) (text []byte, ok bool, err error) {
	file, _, _, err := c.api.Repositories.GetContents(ctx, c.owner, c.name, name, &github.RepositoryContentGetOptions{Ref: sha})
	switch {
	case status(err) == http.StatusNotFound:
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("reading %s at %.7s: %w", name, sha, plainly(err))
	case file == nil || file.GetType() != "file":
		return nil, false, fmt.Errorf("reading %s at %.7s: it is no regular file", name, sha)
	case file.GetSize() > maxFile:
		return nil, false, fmt.Errorf("reading %s at %.7s: it has %d bytes, more than %d", name, sha, file.GetSize(), maxFile)
	}
	content, err := file.GetContent()
	if err != nil {
		return nil, false, fmt.Errorf("reading %s at %.7s: %w", name, sha, err)
	}
	return []byte(content), true, nil
}
