// Package fake is GitHub's REST API, as far as Duet calls it, for tests.
//
// It keeps state, refuses what a token may not do, pages, counts the calls of the hour, and cannot drift from the real
// thing: every request and every answer is checked against GitHub's own OpenAPI description, which npm brings at a pinned
// version (@octokit/openapi), and whatever does not fit fails the test. Faults are put before it (see Break) and are what a
// real server would do outside of its description. It knows nothing of Duet.
package fake

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// T is the part of testing.T that the fake needs.
type T interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// Bot comments with a workflow's token.
const Bot = "github-actions[bot]"

// Token is a workflow's token until Grant says otherwise.
const Token = "ghs_fakeTokenOfThisTest"

// Options of a Hub.
type Options struct {
	Enterprise bool             // an Enterprise Server: below /api/v3, by its own description
	Now        func() time.Time // nil: time.Now
	Repository string           // OWNER/NAME; empty: o/r
}

// Hub is a server with one repository.
type Hub struct {
	URL     string // of the API: GITHUB_API_URL
	GraphQL string // GITHUB_GRAPHQL_URL

	t     T
	o     Options
	d     *description
	blobs *httptest.Server // another host, as artifacts have

	mu     sync.Mutex
	state  state
	calls  []Call
	faults []*fault
}

// Call is one request and its answer's status; 0 where the connection broke instead.
type Call struct {
	Method string
	Path   string // with the query
	Status int
	At     time.Time
}

func (c Call) String() string { return fmt.Sprintf("%s %s → %d", c.Method, c.Path, c.Status) }

// New starts a server that ends with the test.
func New(t T, o Options) *Hub {
	t.Helper()
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Repository == "" {
		o.Repository = "o/r"
	}
	h := &Hub{t: t, o: o, state: newState()}
	file, prefix, graphQL := dotcom, "", "/graphql"
	if o.Enterprise {
		file, prefix, graphQL = enterprise, "/api/v3", "/api/graphql"
	}
	var err error
	if h.d, err = described[file](); err != nil {
		t.Fatalf("%v", err)
	}
	routes := make([]route, len(operations))
	for i, op := range operations {
		if routes[i], err = h.route(op); err != nil {
			t.Fatalf("%v", err)
		}
	}
	rest := http.StripPrefix(prefix, router(t, routes))
	api := httptest.NewServer(h.before(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == graphQL {
			h.viewer(w, r)
			return
		}
		rest.ServeHTTP(w, r)
	})))
	t.Cleanup(api.Close)
	h.blobs = httptest.NewServer(http.HandlerFunc(h.blob))
	t.Cleanup(h.blobs.Close)
	h.URL, h.GraphQL = api.URL+prefix, api.URL+graphQL
	return h
}

// viewer answers the one GraphQL query that the fake knows, which no REST description describes.
func (h *Hub) viewer(w http.ResponseWriter, r *http.Request) {
	var asked struct{ Query string }
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || strings.Join(strings.Fields(asked.Query), " ") != "query { viewer { login } }" || r.Method != http.MethodPost {
		h.t.Errorf("%s %s: the fake knows no query %q (%v)", r.Method, r.URL.Path, asked.Query, err)
	}
	h.mu.Lock()
	token, login := h.state.token, h.state.login
	h.mu.Unlock()
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if r.Header.Get("Authorization") != "Bearer "+token {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"message":"Bad credentials","documentation_url":"https://docs.github.com/graphql","status":"401"}`)
		return
	}
	fmt.Fprintf(w, `{"data":{"viewer":{"login":%q}}}`, login)
}

// Calls are the requests so far.
func (h *Hub) Calls() []Call {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Call(nil), h.calls...)
}

// Writes counts the requests so far that were to change something, whatever became of them.
func (h *Hub) Writes() (n int) {
	for _, c := range h.Calls() {
		if c.Method != http.MethodGet && !strings.HasSuffix(c.Path, "/graphql") {
			n++
		}
	}
	return n
}

// seen notes what an answer's status was.
type seen struct {
	http.ResponseWriter
	status int
}

func (s *seen) WriteHeader(status int) {
	if s.status == 0 {
		s.status = status
	}
	s.ResponseWriter.WriteHeader(status)
}

func (s *seen) Write(text []byte) (int, error) {
	if s.status == 0 {
		s.status = http.StatusOK
	}
	return s.ResponseWriter.Write(text)
}

func (s *seen) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// before notes a call and lets a fault that is due have it.
func (h *Hub) before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		at := len(h.calls)
		h.calls = append(h.calls, Call{Method: r.Method, Path: r.URL.RequestURI(), At: h.o.Now()})
		due := h.due(r)
		h.mu.Unlock()
		s := &seen{ResponseWriter: w}
		defer func() { // a fault may end the call with a panic
			h.mu.Lock()
			h.calls[at].Status = s.status
			h.mu.Unlock()
		}()
		if due == nil {
			next.ServeHTTP(s, r)
		} else {
			due(s, r, next)
		}
	})
}

// reply is what an operation answers.
type reply struct {
	status int
	header http.Header
	said   any // what of the body the fake has an opinion about; nil: all plain, or no body
}

func refused(status int, message string) reply {
	return reply{status: status, said: object{"message": message, "documentation_url": "https://docs.github.com/rest"}}
}

var notFound = refused(http.StatusNotFound, "Not Found")

// hourly is how many calls an hour GITHUB_TOKEN has.
const hourly = 1000

// route is an operation that is served. net/http's patterns cannot tell GitHub's apart.
type route struct {
	operation
	pattern *regexp.Regexp
	serve   http.Handler
}

// router finds the operation that a call is for.
func router(t T, routes []route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, one := range routes {
			m := one.pattern.FindStringSubmatch(r.URL.Path)
			if m == nil || one.method != r.Method {
				continue
			}
			for i, name := range one.pattern.SubexpNames()[1:] {
				r.SetPathValue(name, m[i+1])
			}
			one.serve.ServeHTTP(w, r)
			return
		}
		t.Errorf("%s %s: the fake has no such operation", r.Method, r.URL.Path)
		http.NotFound(w, r)
	})
}

// route serves an operation, and holds both sides to the description.
func (h *Hub) route(op operation) (route, error) {
	described, err := h.d.route(op)
	if err != nil {
		return route{}, err
	}
	return route{op, op.pattern(), h.serve(op, described)}, nil
}

func (h *Hub) serve(op operation, described *routers.Route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in := &openapi3filter.RequestValidationInput{Request: r, PathParams: op.values(r), Route: described, Options: filter}
		if err := h.d.request(r, in); err != nil {
			h.t.Errorf("request %s %s: %v", r.Method, r.URL, err)
		}
		h.mu.Lock()
		answer, header := h.answer(op, r)
		h.mu.Unlock()
		var body []byte
		if shape := h.d.shape(described.Operation, answer.status); shape != nil {
			filled, err := fill(shape, answer.said, 0)
			if err == nil {
				body, err = json.Marshal(filled)
			}
			if err != nil {
				h.t.Errorf("answer to %s %s: %v", r.Method, r.URL, err)
			}
			header.Set("Content-Type", "application/json; charset=utf-8")
		}
		if err := h.d.response(r.Context(), in, answer.status, header, body); err != nil {
			h.t.Errorf("answer to %s %s: %v", r.Method, r.URL, err)
		}
		for name, values := range header {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.status)
		_, _ = w.Write(body) // who went away wants no answer
	})
}

// answer is an operation's, or the refusal of a call that may not have it.
func (h *Hub) answer(op operation, r *http.Request) (reply, http.Header) {
	s := &h.state
	header := http.Header{}
	if now := h.o.Now(); !now.Before(s.reset) {
		s.reset, s.used = now.Add(time.Hour), 0
	}
	header.Set("X-GitHub-Media-Type", "github.v3; format=json")
	header.Set("X-GitHub-Request-Id", fmt.Sprintf("FA4E:%d", len(h.calls)))
	header.Set("X-RateLimit-Limit", strconv.Itoa(hourly))
	header.Set("X-RateLimit-Reset", strconv.FormatInt(s.reset.Unix(), 10))
	header.Set("X-RateLimit-Resource", "core")
	var answer reply
	switch {
	case r.Header.Get("User-Agent") == "":
		answer = refused(http.StatusForbidden, "Request forbidden by administrative rules. Please make sure your request has a User-Agent header")
	case r.Header.Get("Authorization") != "Bearer "+s.token:
		answer = refused(http.StatusUnauthorized, "Bad credentials")
	case s.used >= hourly:
		answer = refused(http.StatusForbidden, "API rate limit exceeded for installation.")
	case r.PathValue("owner")+"/"+r.PathValue("repo") != h.o.Repository:
		answer = notFound
	case !s.allows(op.needs):
		answer = refused(http.StatusForbidden, "Resource not accessible by integration")
	default:
		answer = op.do(h, r)
	}
	s.used = min(s.used+1, hourly)
	header.Set("X-RateLimit-Used", strconv.Itoa(s.used))
	header.Set("X-RateLimit-Remaining", strconv.Itoa(hourly-s.used))
	for name, values := range answer.header {
		header[name] = values
	}
	return answer, header
}

// blob is where artifacts lie: elsewhere, behind a signature, and no place for the API's token.
func (h *Hub) blob(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "" {
		h.t.Errorf("the token went to the host that artifacts lie on")
	}
	h.mu.Lock()
	a := h.state.artifact(r.URL.Path[1:])
	h.mu.Unlock()
	if a == nil || a.Zip == nil || r.URL.Query().Get("sig") != signature {
		http.Error(w, "no such blob", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/zip")
	_, _ = io.Copy(w, bytes.NewReader(a.Zip))
}

const signature = "c2lnbmVk"

// page is the part of a list that a request asks for, and the Link header that leads on. GitHub gives at most 100 a page.
func page[E any](h *Hub, r *http.Request, all []E) ([]E, http.Header) {
	number := func(name string, otherwise int) int {
		n, err := strconv.Atoi(r.URL.Query().Get(name))
		if err != nil || n < 1 {
			return otherwise
		}
		return n
	}
	size, at := min(number("per_page", 30), 100), number("page", 1)
	last := max((len(all)+size-1)/size, 1)
	var links []string
	link := func(to int, rel string) {
		q := url.Values{}
		for name, values := range r.URL.Query() {
			q[name] = values
		}
		q.Set("page", strconv.Itoa(to))
		links = append(links, fmt.Sprintf(`<%s%s?%s>; rel="%s"`, h.URL, r.URL.Path, q.Encode(), rel))
	}
	if at > 1 {
		link(at-1, "prev")
	}
	if at < last {
		link(at+1, "next")
		link(last, "last")
	}
	if at > 1 {
		link(1, "first")
	}
	header := http.Header{}
	if len(links) > 0 {
		header.Set("Link", strings.Join(links, ", "))
	}
	from := min((at-1)*size, len(all))
	return all[from:min(from+size, len(all))], header
}
