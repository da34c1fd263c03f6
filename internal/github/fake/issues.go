package fake

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// Issue is an issue, and all that became of it.
type Issue struct {
	Number int
	Author string
	Title  string
	Body   string
	Closed bool
	Reason string // of the state: completed, not_planned, reopened; empty: none
	Labels []string
	Pull   bool // a pull request, which GitHub lists among the issues
	Locked bool
	// History is every state and body in turn: "opened", "edited", "completed", "reopened", "labelled NAME".
	History []string
}

var (
	readIssues  = []string{"issues: read"}
	writeIssues = []string{"issues: write"}
)

// firstIssue is far from the numbers that tests give to pull requests: GitHub counts both in one row.
const firstIssue = 101

// File opens an issue as somebody.
func (h *Hub) File(i Issue) (number int) {
	h.do(func(s *state) { number = s.file(i).Number })
	return number
}

func (s *state) file(i Issue) *Issue {
	if i.Number == 0 {
		i.Number = firstIssue + len(s.issues)
	}
	i.History = append([]string{"opened"}, i.History...)
	s.issues = append(s.issues, &i)
	return &i
}

// Issues are all, the oldest first.
func (h *Hub) Issues() (all []Issue) {
	h.do(func(s *state) {
		for _, i := range s.issues {
			one := *i
			one.Labels, one.History = slices.Clone(i.Labels), slices.Clone(i.History)
			all = append(all, one)
		}
	})
	return all
}

// CloseIssue closes an issue by hand.
func (h *Hub) CloseIssue(number int) {
	h.do(func(s *state) {
		if i := s.issue(strconv.Itoa(number)); i != nil {
			i.Closed, i.Reason = true, "completed"
		}
	})
}

// Erase deletes an issue by hand.
func (h *Hub) Erase(number int) {
	h.do(func(s *state) {
		s.issues = slices.DeleteFunc(s.issues, func(i *Issue) bool { return i.Number == number })
		s.erased = append(s.erased, number)
	})
}

// NoIssues turns the repository's issues off.
func (h *Hub) NoIssues() { h.do(func(s *state) { s.noIssues = true }) }

func (s *state) issue(number string) *Issue {
	for _, i := range s.issues {
		if strconv.Itoa(i.Number) == number {
			return i
		}
	}
	return nil
}

func (h *Hub) issueObject(i *Issue) object {
	state, reason := "open", any(null{})
	if i.Closed {
		state = "closed"
	}
	if i.Reason != "" {
		reason = i.Reason
	}
	labels := make([]any, len(i.Labels))
	for k, name := range i.Labels {
		labels[k] = object{"name": name}
	}
	o := object{
		"number": i.Number, "title": i.Title, "body": i.Body, "state": state, "state_reason": reason, "locked": i.Locked,
		"user": user(i.Author), "labels": labels,
		"html_url": fmt.Sprintf("https://github.example/%s/issues/%d", h.o.Repository, i.Number),
	}
	if i.Pull {
		o["pull_request"] = object{}
	}
	return o
}

// turnedOff is GitHub's answer where a repository has no issues.
func (h *Hub) turnedOff() *reply {
	if !h.state.noIssues {
		return nil
	}
	no := refused(http.StatusGone, "Issues has been disabled in this repository.")
	return &no
}

func listIssues(h *Hub, r *http.Request) reply {
	if no := h.turnedOff(); no != nil {
		return *no
	}
	q := r.URL.Query()
	var all []any
	for _, i := range h.state.issues {
		state, want := "open", q.Get("state")
		if i.Closed {
			state = "closed"
		}
		if want == "" {
			want = "open"
		}
		labelled := func(name string) bool {
			return slices.ContainsFunc(i.Labels, func(l string) bool { return strings.EqualFold(l, name) })
		}
		if want != "all" && want != state || q.Has("creator") && q.Get("creator") != i.Author || q.Has("labels") && !labelled(q.Get("labels")) {
			continue
		}
		all = append(all, h.issueObject(i))
	}
	if q.Get("direction") != "asc" { // the newest first, unless asked otherwise
		slices.Reverse(all)
	}
	some, header := page(h, r, all)
	return reply{status: http.StatusOK, said: some, header: header}
}

// asked is what a request says of an issue; fields that it does not have are nil.
type asked struct {
	Title, Body, State *string
	StateReason        *string `json:"state_reason"`
	Labels             *[]string
}

// read is that, or the refusal of it.
func (h *Hub) read(r *http.Request) (asked, *reply) {
	var a asked
	if no := h.turnedOff(); no != nil {
		return a, no
	}
	if err := json.NewDecoder(r.Body).Decode(&a); err != nil {
		no := refused(http.StatusBadRequest, "Problems parsing JSON")
		return a, &no
	}
	field, problem := "", ""
	switch {
	case a.Title != nil && (strings.TrimSpace(*a.Title) == "" || len(*a.Title) > 256):
		field, problem = "title", "title is too long (maximum is 256 characters) or blank"
	case a.Body != nil && len(utf16.Encode([]rune(*a.Body))) > maxBody:
		field, problem = "body", "body is too long (maximum is 65536 characters)"
	default:
		return a, nil
	}
	no := reply{status: http.StatusUnprocessableEntity, said: object{
		"message": "Validation Failed", "documentation_url": "https://docs.github.com/rest/issues/issues",
		"errors": []any{object{"resource": "Issue", "field": field, "code": "custom", "message": problem}},
	}}
	return a, &no
}

func createIssue(h *Hub, r *http.Request) reply {
	a, no := h.read(r)
	if no != nil {
		return *no
	}
	i := Issue{Author: h.state.login}
	if a.Title != nil {
		i.Title = *a.Title
	}
	if a.Body != nil {
		i.Body = *a.Body
	}
	if a.Labels != nil { // one that the repository does not have yet is made
		i.Labels = *a.Labels
	}
	made := h.state.file(i)
	return reply{status: http.StatusCreated, said: h.issueObject(made), header: http.Header{"Location": {fmt.Sprintf("%s/repos/%s/issues/%d", h.URL, h.o.Repository, made.Number)}}}
}

// found is the issue of a path, or the refusal.
func (h *Hub) found(r *http.Request) (*Issue, *reply) {
	if no := h.turnedOff(); no != nil {
		return nil, no
	}
	number := r.PathValue("issue_number")
	i := h.state.issue(number)
	if i != nil {
		return i, nil
	}
	no := notFound
	if slices.ContainsFunc(h.state.erased, func(n int) bool { return strconv.Itoa(n) == number }) {
		no = refused(http.StatusGone, "This issue was deleted")
	}
	return nil, &no
}

func getIssue(h *Hub, r *http.Request) reply {
	i, no := h.found(r)
	if no != nil {
		return *no
	}
	return reply{status: http.StatusOK, said: h.issueObject(i)}
}

func editIssue(h *Hub, r *http.Request) reply {
	i, no := h.found(r)
	if no != nil {
		return *no
	}
	a, no := h.read(r)
	if no != nil {
		return *no
	}
	if a.Title != nil {
		i.Title = *a.Title
	}
	if a.Body != nil && *a.Body != i.Body {
		i.Body, i.History = *a.Body, append(i.History, "edited")
	}
	if a.Labels != nil {
		i.Labels = *a.Labels
	}
	if a.State != nil && (*a.State == "closed") != i.Closed {
		i.Closed, i.Reason = *a.State == "closed", map[bool]string{true: "completed", false: "reopened"}[*a.State == "closed"]
		if a.StateReason != nil {
			i.Reason = *a.StateReason
		}
		i.History = append(i.History, i.Reason)
	}
	return reply{status: http.StatusOK, said: h.issueObject(i)}
}

func addLabels(h *Hub, r *http.Request) reply {
	i, no := h.found(r)
	if no != nil {
		return *no
	}
	a, no := h.read(r)
	switch {
	case no != nil:
		return *no
	case a.Labels == nil:
		return refused(http.StatusBadRequest, "Problems parsing JSON")
	}
	for _, name := range *a.Labels {
		if !slices.ContainsFunc(i.Labels, func(l string) bool { return strings.EqualFold(l, name) }) {
			i.Labels, i.History = append(i.Labels, name), append(i.History, "labelled "+name)
		}
	}
	all := make([]any, len(i.Labels))
	for k, name := range i.Labels {
		all[k] = object{"name": name}
	}
	return reply{status: http.StatusOK, said: all}
}
