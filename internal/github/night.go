package github

import (
	"archive/zip"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-github/v60/github"
)

// Bounds of what is looked for.
const (
	maxLeft   = 7 // runs: a week of nights
	maxNights = 2 // files of one night: the anchor's move and the night itself
)

// Left is what an earlier run of a workflow left of its night.
type Left struct {
	Run    int64
	Nights [][]byte // the files' texts, in the order of their names
}

// Earlier says which runs are asked for: those before one, of a workflow's file and a branch.
type Earlier struct {
	Before   int64  // the run that asks
	Workflow string // path of the workflow's file in the repository
	Branch   string
	Artifact string // whose attempt is added as -N: the highest counts
	// Known says that a run's night is recorded.
	Known func(run int64) bool
}

// LeftOver are the nights of earlier runs that are not recorded, oldest first: GitHub was away when they should have been.
// Only scheduled runs and those started by hand, on the branch itself, count.
func (c *Client) LeftOver(ctx context.Context, e Earlier) ([]Left, error) {
	runs, _, err := c.api.Actions.ListWorkflowRunsByFileName(ctx, c.owner, c.name, path.Base(e.Workflow), &github.ListWorkflowRunsOptions{
		Branch: e.Branch, Status: "completed", ListOptions: github.ListOptions{PerPage: 30},
	})
	if err != nil {
		return nil, fmt.Errorf("looking for earlier nights: %w", plainly(err))
	}
	var all []Left
	for _, r := range runs.WorkflowRuns {
		ours := strings.EqualFold(r.GetHeadRepository().GetFullName(), c.owner+"/"+c.name) && r.GetHeadBranch() == e.Branch &&
			(r.GetEvent() == "schedule" || r.GetEvent() == "workflow_dispatch")
		if !ours || r.GetID() >= e.Before || e.Known(r.GetID()) {
			continue
		}
		if len(all) == maxLeft {
			break
		}
		left, err := c.left(ctx, r.GetID(), e.Artifact)
		if err != nil {
			return nil, fmt.Errorf("the night of run %d: %w", r.GetID(), err)
		}
		all = append(all, left)
	}
	all = slices.DeleteFunc(all, func(l Left) bool { return len(l.Nights) == 0 })
	slices.SortFunc(all, func(a, b Left) int { return cmp.Compare(a.Run, b.Run) })
	return all, nil
}

// left is what a run left; nothing where it left no artifact, or one that has expired.
func (c *Client) left(ctx context.Context, run int64, name string) (Left, error) {
	list, _, err := c.api.Actions.ListWorkflowRunArtifacts(ctx, c.owner, c.name, run, &github.ListOptions{PerPage: 100})
	if err != nil {
		return Left{}, fmt.Errorf("listing its artifacts: %w", plainly(err))
	}
	var newest *github.Artifact
	highest := 0
	for _, a := range list.Artifacts {
		attempt, ok := strings.CutPrefix(a.GetName(), name+"-")
		n, err := strconv.Atoi(attempt)
		if !ok || err != nil || a.GetExpired() || a.GetSizeInBytes() > MaxRun || n <= highest || a.GetWorkflowRun() != nil && a.GetWorkflowRun().GetID() != run {
			continue
		}
		newest, highest = a, n
	}
	if newest == nil {
		return Left{Run: run}, nil
	}
	packed, err := c.download(ctx, newest.GetID())
	if err != nil {
		return Left{}, fmt.Errorf("fetching artifact %s: %w", newest.GetName(), err)
	}
	nights, err := NightsIn(packed)
	return Left{Run: run, Nights: nights}, err
}

var nightName = regexp.MustCompile(`^[a-z]{1,20}\.json$`)

// NightsIn takes the nights out of an artifact, in memory, in the order of their names.
func NightsIn(artifact []byte) (nights [][]byte, err error) {
	if len(artifact) > MaxRun {
		return nil, fmt.Errorf("%w: it has %d bytes, more than %d", ErrArtifact, len(artifact), MaxRun)
	}
	archive, err := zip.NewReader(bytes.NewReader(artifact), int64(len(artifact)))
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return nil, fmt.Errorf("%w: reading it as a zip: %v", ErrArtifact, err)
	}
	if n := len(archive.File); n < 1 || n > maxNights {
		return nil, fmt.Errorf("%w: it holds %d files, expected 1 to %d", ErrArtifact, n, maxNights)
	}
	slices.SortFunc(archive.File, func(a, b *zip.File) int { return strings.Compare(a.Name, b.Name) })
	for i, file := range archive.File {
		if !nightName.MatchString(file.Name) || i > 0 && file.Name == archive.File[i-1].Name {
			return nil, fmt.Errorf("%w: it holds %.80q, expected NAME.json once", ErrArtifact, file.Name)
		}
		text, err := unpacked(file)
		if err != nil {
			return nil, err
		}
		nights = append(nights, text)
	}
	return nights, nil
}
