package contract

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// spec is openapi.yaml, to hold answers to.
type spec struct {
	doc *openapi3.T
}

func readSpec(t *testing.T) *spec {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return &spec{doc: doc}
}

// find returns the path that a request belongs to, nil if there is none, and its operation, nil if the path has other
// methods. A path that is written out comes before one with a parameter, as in every framework.
func (s *spec) find(req *http.Request) (route *routers.Route, params map[string]string) {
	for path, item := range s.doc.Paths.Map() {
		values, ok := match(path, req.URL.Path)
		if ok && (route == nil || len(values) < len(params)) {
			route = &routers.Route{Spec: s.doc, Path: path, PathItem: item, Method: req.Method, Operation: item.GetOperation(req.Method)}
			params = values
		}
	}
	return route, params
}

// match compares a path with one of openapi.yaml, and returns its parameters.
func match(of, path string) (params map[string]string, ok bool) {
	want, got := strings.Split(of, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return nil, false
	}
	params = map[string]string{}
	for i := range want {
		name, isParam := strings.CutPrefix(want[i], "{")
		switch {
		case isParam && got[i] != "":
			params[strings.TrimSuffix(name, "}")] = got[i]
		case want[i] != got[i]:
			return nil, false
		}
	}
	return params, true
}

func TestSpecIsValid(t *testing.T) {
	doc := readSpec(t).doc
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1.") {
		t.Errorf("got OpenAPI %s", doc.OpenAPI)
	}
}

// TestSpecNamesEveryVector holds the paths and methods of all vectors to openapi.yaml: what is found is in it, what is
// not found is not, and a 405 names the methods that are.
func TestSpecNamesEveryVector(t *testing.T) {
	vectors, err := Vectors()
	if err != nil {
		t.Fatal(err)
	}
	s := readSpec(t)
	asked := map[string]bool{}
	for _, v := range vectors {
		for i, step := range v.Steps {
			req, err := http.NewRequest(method(step.Request), "http://x"+strings.ReplaceAll(step.Request.Path, "${", "{"), nil)
			if err != nil {
				t.Fatal(err)
			}
			if path := s.compare(t, v, i, req); path != "" {
				asked[req.Method+" "+path] = true
			}
		}
	}
	for path, item := range s.doc.Paths.Map() {
		for method := range item.Operations() {
			if !asked[method+" "+path] {
				t.Errorf("%s %s: no vector asks for it", method, path)
			}
		}
	}
}

// compare returns the path of openapi.yaml that a step's request belongs to, if its method is there, too.
func (s *spec) compare(t *testing.T, v Vector, i int, req *http.Request) string {
	t.Helper()
	expect := v.Steps[i].Expect
	route, _ := s.find(req)
	wrong := func(what string) {
		t.Helper()
		t.Errorf("%s, %q, step %d: %s %s: expected a %d, and openapi.yaml %s", v.File, v.Name, i+1, req.Method, req.URL.Path, expect.Status, what)
	}
	switch {
	case route == nil:
		if expect.Status != http.StatusNotFound {
			wrong("has no such path")
		}
		return ""
	case route.Operation == nil:
		want := strings.Join(slices.Sorted(maps.Keys(route.PathItem.Operations())), ",")
		if expect.Status != http.StatusMethodNotAllowed || expect.Headers["allow"] != want {
			wrong("has only " + want + " there")
		}
		return ""
	case expect.Status == http.StatusMethodNotAllowed:
		wrong("has the method")
	}
	return route.Path
}

// check holds one answer, status, headers and body, to what openapi.yaml says of it; and a request that was accepted,
// too.
func (s *spec) check(t *testing.T, at string, a Answer) {
	t.Helper()
	route, params := s.find(a.Request)
	if route == nil || route.Operation == nil {
		return // a 404 or a 405: TestSpecNamesEveryVector has held it to the paths
	}
	options := &openapi3filter.Options{IncludeResponseStatus: true}
	request := &openapi3filter.RequestValidationInput{Request: a.Request, PathParams: params, Route: route, Options: options}
	if a.Status < 300 && a.Request.GetBody != nil {
		body, err := a.Request.GetBody()
		if err != nil {
			t.Fatal(err)
		}
		a.Request.Body = body
		if err := openapi3filter.ValidateRequest(t.Context(), request); err != nil {
			t.Errorf("%s: accepted, and against openapi.yaml: %v", at, err)
		}
	}
	if a.Request.Method == http.MethodHead {
		return // it has no body to look at
	}
	if err := openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: request, Status: a.Status, Header: a.Header, Body: io.NopCloser(bytes.NewReader(a.Body)), Options: options,
	}); err != nil {
		t.Errorf("%s: an answer against openapi.yaml: %v", at, err)
	}
}
