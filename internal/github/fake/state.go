package fake

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Pull is a pull request.
type Pull struct {
	Number             int
	Head, Base         string // full shas: of the head, and of the tip of the branch to be merged into
	Branch, BaseBranch string
	Repository         string // of the head, OWNER/NAME; empty: the fork was deleted
	Closed             bool
	Locked             bool // nobody may comment
}

// Comment is one comment of a pull request, and all that it ever said.
type Comment struct {
	ID      int64
	Number  int // of the pull request
	Author  string
	Body    string
	History []string // every body, the first one first
}

// Run is one run of a workflow.
type Run struct {
	ID, Workflow int64
	Attempt      int
	Event        string
	Head, Branch string
	Repository   string // that it is of; empty: the hub's
	From         string // the head's repository; empty: the fork was deleted
	Conclusion   string // empty: it runs
}

// Artifact is what a run has left.
type Artifact struct {
	ID, Run int64
	Name    string
	Zip     []byte
	Size    int   // as GitHub says it; 0: of the zip
	Of      int64 // the run that GitHub says it is of; 0: Run
	Expired bool
}

// File is a file of the repository at one commit.
type File struct {
	Type    string // file, symlink, dir or submodule; empty: file
	Content string // of a symlink: its target
	Size    int    // as GitHub says it; 0: of the content
}

// Label is a label that somebody gave to a pull request, or took away.
type Label struct {
	Name, Actor string
	Removed     bool
	At          time.Time
}

// Comparison is what GitHub finds between two commits.
type Comparison struct {
	MergeBase     string
	Ahead, Behind int
}

// state is all that the server knows.
type state struct {
	token       string
	login       string // of the token
	permissions map[string]string
	used        int
	reset       time.Time
	nextID      int64

	pulls     map[int]*Pull
	comments  []*Comment
	issues    []*Issue
	erased    []int // numbers of issues that were deleted
	noIssues  bool
	runs      []*Run
	workflows map[int64]string
	artifacts []*Artifact
	files     map[string]map[string]File // by sha and path
	labels    map[int][]Label
	compared  map[string]Comparison // by BASE...HEAD
}

func newState() state {
	return state{
		token: Token, login: Bot, permissions: map[string]string{"contents": "read", "actions": "read", "pull-requests": "write"},
		pulls: map[int]*Pull{}, workflows: map[int64]string{}, files: map[string]map[string]File{}, labels: map[int][]Label{}, compared: map[string]Comparison{},
	}
}

// allows says whether one of the needed permissions is there: "pull-requests: read" or one that holds more.
func (s *state) allows(needs []string) bool {
	return slices.ContainsFunc(needs, func(need string) bool {
		scope, level, _ := strings.Cut(need, ": ")
		got := s.permissions[scope]
		return got == level || got == "write"
	})
}

func (s *state) id() int64 {
	s.nextID++
	return s.nextID
}

func (s *state) comment(id string) (int, *Comment) {
	for i, c := range s.comments {
		if strconv.FormatInt(c.ID, 10) == id {
			return i, c
		}
	}
	return 0, nil
}

func (s *state) artifact(id string) *Artifact {
	for _, a := range s.artifacts {
		if strconv.FormatInt(a.ID, 10) == id {
			return a
		}
	}
	return nil
}

// do changes or reads the state.
func (h *Hub) do(f func(*state)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f(&h.state)
}

// Grant says what the token may do, as a workflow's `permissions:` names it. Everything else is refused.
func (h *Hub) Grant(permissions map[string]string) {
	h.do(func(s *state) { s.permissions = maps.Clone(permissions) })
}

// As makes the token somebody else's.
func (h *Hub) As(login string) { h.do(func(s *state) { s.login = login }) }

// Expire makes the token one that GitHub does not know.
func (h *Hub) Expire() { h.do(func(s *state) { s.token = "expired" }) }

// Spend uses up all calls of the hour but so many.
func (h *Hub) Spend(left int) {
	h.do(func(s *state) { s.reset, s.used = h.o.Now().Add(time.Hour), hourly-left })
}

// Open opens a pull request, or changes one. What is empty is the plainest: of the repository's own branch, onto main.
func (h *Hub) Open(p Pull) {
	if p.Branch == "" {
		p.Branch = "topic"
	}
	if p.BaseBranch == "" {
		p.BaseBranch = "main"
	}
	if p.Base == "" {
		p.Base = strings.Repeat("0", 40)
	}
	h.do(func(s *state) { s.pulls[p.Number] = &p })
}

// Push moves a pull request's head on.
func (h *Hub) Push(number int, head string) {
	h.do(func(s *state) { s.pulls[number].Head = head })
}

// Say comments on a pull request as somebody.
func (h *Hub) Say(number int, author, body string) (id int64) {
	h.do(func(s *state) { id = s.say(number, author, body).ID })
	return id
}

func (s *state) say(number int, author, body string) *Comment {
	c := &Comment{ID: s.id(), Number: number, Author: author, Body: body, History: []string{body}}
	s.comments = append(s.comments, c)
	return c
}

// Remove deletes a comment by hand.
func (h *Hub) Remove(id int64) {
	h.do(func(s *state) {
		s.comments = slices.DeleteFunc(s.comments, func(c *Comment) bool { return c.ID == id })
	})
}

// Comments are a pull request's, the oldest first.
func (h *Hub) Comments(number int) (all []Comment) {
	h.do(func(s *state) {
		for _, c := range s.comments {
			if c.Number == number {
				one := *c
				one.History = slices.Clone(c.History)
				all = append(all, one)
			}
		}
	})
	return all
}

// Ran notes a run, or changes one.
func (h *Hub) Ran(r Run) {
	h.do(func(s *state) {
		s.runs = slices.DeleteFunc(s.runs, func(old *Run) bool { return old.ID == r.ID })
		s.runs = append(s.runs, &r)
	})
}

// Workflow notes a workflow's file.
func (h *Hub) Workflow(id int64, path string) { h.do(func(s *state) { s.workflows[id] = path }) }

// Left notes an artifact, or changes one.
func (h *Hub) Left(a Artifact) {
	h.do(func(s *state) {
		s.artifacts = slices.DeleteFunc(s.artifacts, func(old *Artifact) bool { return old.ID == a.ID })
		s.artifacts = append(s.artifacts, &a)
	})
}

// Lose takes an artifact's bytes away from where the API says they lie.
func (h *Hub) Lose(id int64) {
	h.do(func(s *state) { s.artifact(strconv.FormatInt(id, 10)).Zip = nil })
}

// Holds notes a file of a commit.
func (h *Hub) Holds(sha, path string, f File) {
	h.do(func(s *state) {
		if s.files[sha] == nil {
			s.files[sha] = map[string]File{}
		}
		s.files[sha][path] = f
	})
}

// Labelled notes a label.
func (h *Hub) Labelled(number int, l Label) {
	h.do(func(s *state) { s.labels[number] = append(s.labels[number], l) })
}

// Compares notes what lies between two commits.
func (h *Hub) Compares(base, head string, c Comparison) {
	h.do(func(s *state) { s.compared[base+"..."+head] = c })
}
