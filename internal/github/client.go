// Package github is Duet's one seam to GitHub.
//
// It holds the token and never runs what it publishes: it finds the pull request, keeps its one comment true, and takes
// a run's facts out of an artifact. It has no opinion about them. Everything that comes from GitHub or from a run is a
// stranger's until it was checked.
package github

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/duet-bench/duet/internal/plan"
)

// Bot is who comments with a workflow's own token.
const Bot = "github-actions[bot]"

// callTimeout bounds one call.
const callTimeout = 30 * time.Second

// maxPages bounds the comments that are looked through: 100 a page.
const maxPages = 20

// Options of a Client.
type Options struct {
	APIURL     string // GITHUB_API_URL: the only place where the API's address comes from
	Token      string
	Repository string            // OWNER/NAME
	Transport  http.RoundTripper // nil: the default one, with the environment's proxy and certificates
	Clock      Clock             // nil: the real one
}

// Client speaks to one repository's API, within GitHub's limits.
type Client struct {
	api         *github.Client
	plain       *http.Client // without the token, for other hosts
	owner, name string
}

// New checks the address and the repository; it calls nobody.
func New(o Options) (*Client, error) {
	base, err := url.Parse(strings.TrimSuffix(o.APIURL, "/") + "/")
	if err != nil || base.Host == "" || base.User != nil { // not repeated: it may hold a password
		return nil, plan.Usagef("GitHub Actions sets it", "GITHUB_API_URL is not the API's address: expected an https URL without a user")
	}
	if base.Scheme != "https" && !(base.Scheme == "http" && loopback(base.Hostname())) {
		return nil, plan.Usagef("the token would travel in the clear", "GITHUB_API_URL %q: expected an https URL", o.APIURL)
	}
	owner, name, ok := strings.Cut(o.Repository, "/")
	if !ok || owner == "" || name == "" || strings.Contains(name, "/") {
		return nil, plan.Usagef("GitHub Actions sets it", "GITHUB_REPOSITORY %q: expected OWNER/NAME", o.Repository)
	}
	p := &pace{next: o.Transport, clock: o.Clock}
	if p.next == nil {
		p.next = http.DefaultTransport
	}
	if p.clock == nil {
		p.clock = realClock{}
	}
	p.next = &timed{p.next, callTimeout}
	api := github.NewClient(&http.Client{Transport: p})
	plain := &http.Client{Transport: p.next, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if o.Token != "" {
		api = api.WithAuthToken(o.Token)
	}
	api.BaseURL = base
	return &Client{api: api, plain: plain, owner: owner, name: name}, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Pull is a pull request's comments.
func (c *Client) Pull(number int) Comments { return pull{c, number} }

type pull struct {
	*Client
	number int
}

func (p pull) Head(ctx context.Context) (string, error) {
	found, _, err := p.api.PullRequests.Get(ctx, p.owner, p.name, p.number)
	if err != nil {
		return "", plainly(err)
	}
	return found.GetHead().GetSHA(), nil
}

func (p pull) List(ctx context.Context) ([]Comment, error) {
	var all []Comment
	o := &github.IssueListCommentsOptions{ListOptions: github.ListOptions{PerPage: 100}}
	for range maxPages {
		page, answer, err := p.api.Issues.ListComments(ctx, p.owner, p.name, p.number, o)
		if err != nil {
			return nil, plainly(err)
		}
		for _, c := range page {
			all = append(all, Comment{ID: c.GetID(), Author: c.GetUser().GetLogin(), Body: c.GetBody()})
		}
		if answer.NextPage == 0 {
			return all, nil
		}
		o.Page = answer.NextPage
	}
	return all, nil
}

func (p pull) Create(ctx context.Context, body string) error {
	_, _, err := p.api.Issues.CreateComment(ctx, p.owner, p.name, p.number, &github.IssueComment{Body: &body})
	return plainly(err)
}

func (p pull) Edit(ctx context.Context, id int64, body string) error {
	_, _, err := p.api.Issues.EditComment(ctx, p.owner, p.name, id, &github.IssueComment{Body: &body})
	return gone(err)
}

func (p pull) Delete(ctx context.Context, id int64) error {
	_, err := p.api.Issues.DeleteComment(ctx, p.owner, p.name, id)
	return gone(err)
}

// gone tells a comment that is no more from other failures.
func gone(err error) error {
	if status(err) == http.StatusNotFound {
		return ErrGone
	}
	return plainly(err)
}

// ErrReadOnly means that the token may not write: a fork's, Dependabot's, or a job without the permission.
var ErrReadOnly = errors.New("the token may not write: in a pull request from a fork or by Dependabot that is so by GitHub's rules, elsewhere the job lacks `pull-requests: write`")

// plainly gives GitHub's refusals a name.
func plainly(err error) error {
	if status(err) == http.StatusForbidden {
		return fmt.Errorf("%w (%v)", ErrReadOnly, err)
	}
	return err
}

// status is that of GitHub's refusal; 0 where there was none.
func status(err error) int {
	var refused *github.ErrorResponse
	if errors.As(err, &refused) && refused.Response != nil {
		return refused.Response.StatusCode
	}
	return 0
}

// timed bounds each call; the transport above it repeats calls.
type timed struct {
	next  http.RoundTripper
	limit time.Duration
}

func (t *timed) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(r.Context(), t.limit)
	answer, err := t.next.RoundTrip(r.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, err
	}
	answer.Body = &ending{answer.Body, cancel}
	return answer, nil
}

// ending gives the call's time back when its answer was read.
type ending struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (e *ending) Close() error {
	defer e.cancel()
	return e.ReadCloser.Close()
}
