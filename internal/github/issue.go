package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-github/v60/github"
)

// Issue is one issue of the repository.
type Issue struct {
	Number int
	Author string // login
	Title  string
	Body   string
	Open   bool
	Labels []string
}

// IssueChange is what an edit makes of an issue. Title "" leaves that as it is.
type IssueChange struct {
	Title, Body string
	Open        bool
	Reason      string // of a state that changes: completed, not_planned, reopened; empty: it does not change
}

// Issues is what keeping an issue needs of GitHub. Each method is one atomic call to it, or a list of such.
type Issues interface {
	// ByAuthor is all issues that somebody opened, open and closed, without pull requests.
	ByAuthor(ctx context.Context, login string) ([]Issue, error)
	// Open makes one; it may fail with an *UnsureError.
	Open(ctx context.Context, title, body, label string) error
	// Change fails with ErrGone where the issue is gone.
	Change(ctx context.Context, number int, to IssueChange) error
	AddLabel(ctx context.Context, number int, label string) error
}

// Standing is what the one issue has to say.
type Standing struct {
	Author string // whose issues are Duet's own: the token's login
	Stamp  Stamp
	Marker string // the first line of the body
	Text   string // what follows
	Title  string
	Label  string
	Open   bool // something stands that people should look at: an issue is opened or reopened; else one that is there is closed
}

// Kept is what became of a standing.
type Kept struct {
	Issue int  // number; 0: there is none, and none is needed
	Open  bool // as it is now
	Newer bool // a newer run had spoken already: its text and state stay
}

// maxIssueText leaves room for the marker and the stamp below GitHub's 65,536 characters.
const maxIssueText = 60_000

// KeepIssue makes the repository's one issue of this marker say the standing.
//
// As with comments, GitHub has no way to write only if nothing changed since it was read, so every recorder looks before
// and after its write, and all of them end with at most one open issue, whatever the order of their calls: of several the
// oldest stays, with the newest of their texts; the others lose the marker, are closed and point to it. A newer run's text
// and state that were seen are never written over. Of two recorders at the very same moment the older one's may stay, until
// the next night: workflows let one run at a time.
func KeepIssue(ctx context.Context, c Issues, s Standing) (Kept, error) {
	body, err := s.body()
	if err != nil {
		return Kept{}, err
	}
	var unsure *UnsureError // of the last create
	for range rounds {
		own, err := s.own(ctx, c)
		if err != nil {
			return Kept{}, err
		}
		unsure = nil
		if len(own) == 0 {
			if !s.Open {
				return Kept{}, nil
			}
			err := c.Open(ctx, s.Title, body, s.Label)
			if err != nil && !errors.As(err, &unsure) { // of one that is unsure the next look finds out
				return Kept{}, fmt.Errorf("opening the issue: %w", err)
			}
			continue
		}
		did, kept, err := s.once(ctx, c, own, body)
		if err != nil {
			return Kept{}, err
		}
		if !did { // looked after the last write, and all was well
			return kept, nil
		}
	}
	if unsure != nil {
		return Kept{}, fmt.Errorf("opening the issue, %d times: %w", rounds, unsure)
	}
	return Kept{}, fmt.Errorf("keeping the issue: others were at work on it %d times in a row", rounds)
}

// once does the next thing that is to be done to the issues that are there.
func (s Standing) once(ctx context.Context, c Issues, own []Issue, body string) (did bool, kept Kept, err error) {
	keep := own[0]
	want, open, newest := body, s.Open, s.Stamp
	for _, i := range own {
		if stamp := aboutOf(i.Body).Stamp; newest.older(stamp) {
			want, open, newest, kept.Newer = i.Body, i.Open, stamp, true
		}
	}
	kept.Issue, kept.Open = keep.Number, open
	change := IssueChange{Title: s.Title, Body: want, Open: open}
	if kept.Newer {
		change.Title = ""
	}
	switch {
	case keep.Open && !open:
		change.Reason = "completed"
	case !keep.Open && open:
		change.Reason = "reopened"
	}
	if change.Reason != "" || !same(keep.Body, want) || change.Title != "" && keep.Title != change.Title {
		return true, kept, wrapped("editing the issue", unlessGone(c.Change(ctx, keep.Number, change)))
	}
	for _, other := range own[1:] {
		did = true
		change := IssueChange{Body: fmt.Sprintf("This is said in #%d.\n", keep.Number)}
		if other.Open {
			change.Reason = "not_planned"
		}
		if err := unlessGone(c.Change(ctx, other.Number, change)); err != nil {
			return true, kept, fmt.Errorf("closing a second issue: %w", err)
		}
	}
	if open && !slices.ContainsFunc(keep.Labels, func(l string) bool { return strings.EqualFold(l, s.Label) }) {
		return true, kept, wrapped("labelling the issue", unlessGone(c.AddLabel(ctx, keep.Number, s.Label)))
	}
	return did, kept, nil
}

// unlessGone forgives that an issue is no more: the next look sees it.
func unlessGone(err error) error {
	if errors.Is(err, ErrGone) {
		return nil
	}
	return err
}

// body is the marker, whose text it is, and the text, cut where GitHub has no room for it.
func (s Standing) body() (string, error) {
	plain := strings.ReplaceAll(s.Text, "<!--", "&lt;!--") // a text that quotes the marker would hide the issue from Duet
	return headed(s.Marker+"\n"+cutTo(plain, maxIssueText, "\n\nCut here: an issue has room for 65,536 characters. The whole is in the job's summary and its artifact.\n"), about{Stamp: s.Stamp})
}

// own are Duet's issues under this marker, the oldest first. Others may quote the marker; only an issue that Duet's own
// author opened, whose body starts with it and has it once, is Duet's.
func (s Standing) own(ctx context.Context, c Issues) ([]Issue, error) {
	all, err := c.ByAuthor(ctx, s.Author)
	if err != nil {
		return nil, fmt.Errorf("listing the issues: %w", err)
	}
	own := slices.DeleteFunc(all, func(i Issue) bool {
		return i.Author != s.Author || !strings.HasPrefix(i.Body, s.Marker+"\n") && !strings.HasPrefix(i.Body, s.Marker+"\r\n") ||
			strings.Count(i.Body, markerStart) != 1
	})
	slices.SortFunc(own, func(a, b Issue) int { return a.Number - b.Number })
	return own, nil
}

// IssueMarker is the marker of a workflow's and a configuration's issue.
func IssueMarker(key string) string {
	safe := strings.Map(func(r rune) rune {
		if r <= ' ' || r == '<' || r == '>' || r > '~' {
			return '_'
		}
		return r
	}, key)
	return markerStart + "night:" + strings.ReplaceAll(safe, "--", "_") + " -->"
}

// maxIssuePages bounds the issues of one author that are looked through, 100 a page: beyond it nobody knows whether there
// is one already, so none is opened.
const maxIssuePages = 10

// Issues are the repository's.
func (c *Client) Issues() Issues { return issues{c} }

type issues struct{ *Client }

func (c issues) ByAuthor(ctx context.Context, login string) ([]Issue, error) {
	var all []Issue
	o := &github.IssueListByRepoOptions{State: "all", Creator: login, Sort: "created", Direction: "asc", ListOptions: github.ListOptions{PerPage: 100}}
	for range maxIssuePages {
		page, answer, err := c.api.Issues.ListByRepo(ctx, c.owner, c.name, o)
		if err != nil {
			return nil, issueError(err)
		}
		for _, i := range page {
			if i.IsPullRequest() {
				continue
			}
			found := Issue{Number: i.GetNumber(), Author: i.GetUser().GetLogin(), Title: i.GetTitle(), Body: i.GetBody(), Open: i.GetState() == "open"}
			for _, l := range i.Labels {
				found.Labels = append(found.Labels, l.GetName())
			}
			all = append(all, found)
		}
		if answer.NextPage == 0 {
			return all, nil
		}
		o.Page = answer.NextPage
	}
	return nil, fmt.Errorf("%s has opened more than %d issues: which one is Duet's could not be found", login, 100*maxIssuePages)
}

func (c issues) Open(ctx context.Context, title, body, label string) error {
	_, _, err := c.api.Issues.Create(ctx, c.owner, c.name, &github.IssueRequest{Title: &title, Body: &body, Labels: &[]string{label}})
	return issueError(err)
}

func (c issues) Change(ctx context.Context, number int, to IssueChange) error {
	r := &github.IssueRequest{Body: &to.Body}
	if to.Title != "" {
		r.Title = &to.Title
	}
	if to.Reason != "" {
		state := map[bool]string{true: "open", false: "closed"}[to.Open]
		r.State, r.StateReason = &state, &to.Reason
	}
	_, _, err := c.api.Issues.Edit(ctx, c.owner, c.name, number, r)
	return goneIssue(err)
}

func (c issues) AddLabel(ctx context.Context, number int, label string) error {
	// go-github sends a bare list, which GitHub takes and does not recommend.
	r, err := c.api.NewRequest(http.MethodPost, fmt.Sprintf("repos/%s/%s/issues/%d/labels", c.owner, c.name, number), map[string][]string{"labels": {label}})
	if err == nil {
		_, err = c.api.Do(ctx, r, nil)
	}
	return goneIssue(err)
}

// ErrNoIssues means that the token may not write issues, or that the repository has none.
var ErrNoIssues = errors.New("no issue can be kept: the job lacks `issues: write`, or issues are turned off in the repository")

// issueError gives GitHub's refusals a name. A repository without issues answers 410 to all that is about them.
func issueError(err error) error {
	switch status(err) {
	case http.StatusForbidden, http.StatusGone:
		return fmt.Errorf("%w (%v)", ErrNoIssues, err)
	}
	return err
}

// goneIssue tells an issue that is no more from other failures: it was deleted (410) or moved elsewhere (404, 301).
func goneIssue(err error) error {
	switch status(err) {
	case http.StatusNotFound, http.StatusGone, http.StatusMovedPermanently:
		return ErrGone
	}
	return issueError(err)
}
