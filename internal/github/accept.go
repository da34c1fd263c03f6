package github

import (
	"context"
	"fmt"
	"net/http"

	"github.com/google/go-github/v60/github"
)

// AcceptLabel is the label by which a maintainer lets a pull request pass the gate. Whoever may label may say so.
const AcceptLabel = "duet-accept"

// unknownLogin stands for whoever GitHub does not name.
const unknownLogin = "somebody"

// AcceptedBy is the login of whoever put AcceptLabel on the pull request; empty where it does not bear the label now.
func (c *Client) AcceptedBy(ctx context.Context, number int) (login string, err error) {
	labels, _, err := c.api.Issues.ListLabelsByIssue(ctx, c.owner, c.name, number, &github.ListOptions{PerPage: 100})
	if err != nil {
		return "", fmt.Errorf("reading the labels of pull request %d: %w", number, plainly(err))
	}
	for _, l := range labels {
		if l.GetName() == AcceptLabel {
			login = unknownLogin
		}
	}
	if login == "" {
		return "", nil
	}
	o := &github.ListOptions{PerPage: 100}
	for range maxPages {
		events, answer, err := c.api.Issues.ListIssueEvents(ctx, c.owner, c.name, number, o)
		if err != nil {
			return "", fmt.Errorf("reading who labelled pull request %d: %w", number, plainly(err))
		}
		for _, e := range events { // the oldest first: the last one counts
			if e.GetEvent() == "labeled" && e.GetLabel().GetName() == AcceptLabel && e.GetActor().GetLogin() != "" {
				login = e.GetActor().GetLogin()
			}
		}
		if answer.NextPage == 0 {
			break
		}
		o.Page = answer.NextPage
	}
	return login, nil
}

// Login is whom the token writes as. The job's own token writes as Bot; another's is asked for by GraphQL, the one call
// that answers for users and for apps. graphQL is GITHUB_GRAPHQL_URL.
func (c *Client) Login(ctx context.Context, graphQL string) (string, error) {
	request, err := c.api.NewRequest(http.MethodPost, graphQL, map[string]string{"query": "query { viewer { login } }"})
	if err != nil {
		return "", fmt.Errorf("asking whose the token is: %w", err)
	}
	var answer struct {
		Data struct {
			Viewer struct {
				Login string `json:"login"`
			} `json:"viewer"`
		} `json:"data"`
	}
	if _, err := c.api.Do(ctx, request, &answer); err != nil {
		return "", fmt.Errorf("asking whose the token is: %w", plainly(err))
	}
	if answer.Data.Viewer.Login == "" {
		return "", fmt.Errorf("asking whose the token is: GitHub names nobody")
	}
	return answer.Data.Viewer.Login, nil
}
