// Package contract holds the vectors that every example service must pass: requests and the answers expected.
//
// The vectors are data (vectors/*.yaml, explained in README.md) and know no language or framework. This package
// reads them and runs them against a base URL. The contract as a whole is openapi.yaml; what its database holds is
// schema.sql and data.sql.
package contract

import (
	"bytes"
	"context"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/theory/jsonpath"

	"github.com/duet-bench/duet/internal/parity"
)

//go:embed vectors/*.yaml
var vectors embed.FS

// Vector is a few requests in a row. It needs nothing of the vectors before it.
type Vector struct {
	File  string `yaml:"-"` // its base name
	Needs Needs  `yaml:"-"`
	Name  string `yaml:"name"`
	Steps []Step `yaml:"steps"`
}

// Needs is what a service has to be started with for the vectors of a file.
type Needs string

const (
	NeedsNothing  Needs = "" // they hold with a database and without
	NeedsPostgres Needs = "postgres"
	NeedsNone     Needs = "no postgres"
)

// With reports whether vectors of this need hold for a service with a database, or without.
func (n Needs) With(database bool) bool {
	return n == NeedsNothing || database == (n == NeedsPostgres)
}

// Step is one request and the answer expected.
type Step struct {
	Request Request           `yaml:"request"`
	Capture map[string]string `yaml:"capture"` // name → JSONPath into the answer, for ${name} from here on
	Expect  Expect            `yaml:"expect"`
}

// Request is what is asked. With Body or Hex its content-type is application/json unless Headers say otherwise;
// an empty value there leaves the header out.
type Request struct {
	Method  string            `yaml:"method"` // default GET
	Path    string            `yaml:"path"`
	Headers map[string]string `yaml:"headers"`
	Body    *string           `yaml:"body"`
	Hex     string            `yaml:"hex"`    // the body's bytes, where they are not UTF-8
	Expand  *Expand           `yaml:"expand"` // for long bodies
	PadTo   int               `yaml:"pad_to"` // spaces are added to the body up to so many bytes
}

// Expand replaces Mark in a body by Text, Times times.
type Expand struct {
	Mark  string `yaml:"mark"`
	Text  string `yaml:"text"`
	Times int    `yaml:"times"`
}

// Expect is the answer. Without JSON and ContentType there is no body and no content-type, unless the status is
// all that is stated (Status alone).
type Expect struct {
	Status      int               `yaml:"status"`
	Location    string            `yaml:"location"`
	Headers     map[string]string `yaml:"headers"`
	ContentType string            `yaml:"content_type"` // for HEAD; JSON implies application/json
	JSON        string            `yaml:"json"`         // the body, compared as JSON
}

// Vectors returns all vectors, in the order of files and lines.
func Vectors() ([]Vector, error) {
	files, err := fs.Glob(vectors, "vectors/*.yaml")
	if err != nil {
		return nil, err
	}
	var all []Vector
	for _, file := range files {
		text, err := vectors.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var doc struct {
			About   string   `yaml:"about"`
			Needs   Needs    `yaml:"needs"`
			Vectors []Vector `yaml:"vectors"`
		}
		if err := yaml.UnmarshalWithOptions(text, &doc, yaml.Strict()); err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
		if doc.Needs != NeedsNothing && doc.Needs != NeedsPostgres && doc.Needs != NeedsNone {
			return nil, fmt.Errorf("reading %s: unexpected needs %q: expected %q, %q or none", file, doc.Needs, NeedsPostgres, NeedsNone)
		}
		for _, v := range doc.Vectors {
			v.File, v.Needs = path.Base(file), doc.Needs
			all = append(all, v)
		}
	}
	return all, nil
}

// Answer is what a service said, and what it was asked.
type Answer struct {
	parity.Answer
	Request *http.Request
	Step    int // of its vector, from 0
}

// Run sends the steps of v to the service at base ("http://127.0.0.1:8080") and returns every answer; the error
// says, step by step, what was not as expected.
func Run(ctx context.Context, client *http.Client, base string, v Vector) ([]Answer, error) {
	// A redirect is an answer to look at, not one to follow.
	direct := *client
	direct.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

	captured := map[string]string{}
	var answers []Answer
	var wrong []error
	for i, step := range v.Steps {
		answer, err := send(ctx, &direct, base, fill(step.Request, captured))
		if err == nil {
			answer.Step = i
			answers = append(answers, answer)
			err = capture(step.Capture, answer.Answer, captured)
		}
		if err == nil {
			err = check(step, answer.Answer, captured)
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("step %d, %s %s: %w", i+1, method(step.Request), step.Request.Path, err))
		}
	}
	return answers, errors.Join(wrong...)
}

func method(r Request) string {
	if r.Method == "" {
		return http.MethodGet
	}
	return r.Method
}

func send(ctx context.Context, client *http.Client, base string, r Request) (Answer, error) {
	body, err := bodyOf(r)
	if err != nil {
		return Answer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, method(r), base+r.Path, bytes.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	if r.Body != nil || r.Hex != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range r.Headers {
		req.Header.Del(name)
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	resp, err := client.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return Answer{}, fmt.Errorf("reading answer: %w", err)
	}
	said := parity.Answer{Status: resp.StatusCode, Header: resp.Header, Body: got, Host: req.URL.Host}
	return Answer{Answer: said, Request: req}, nil
}

func bodyOf(r Request) ([]byte, error) {
	var body []byte
	if r.Body != nil {
		body = []byte(*r.Body)
	}
	if r.Hex != "" {
		var err error
		if body, err = hex.DecodeString(r.Hex); err != nil {
			return nil, err
		}
	}
	if e := r.Expand; e != nil {
		if bytes.Count(body, []byte(e.Mark)) != 1 {
			return nil, fmt.Errorf("expanding %q: expected it once in the body", e.Mark)
		}
		body = bytes.Replace(body, []byte(e.Mark), bytes.Repeat([]byte(e.Text), e.Times), 1)
	}
	if pad := r.PadTo - len(body); pad > 0 {
		body = append(body, bytes.Repeat([]byte(" "), pad)...)
	}
	return body, nil
}

func fill(r Request, captured map[string]string) Request {
	r.Path = expand(r.Path, captured)
	if r.Body != nil {
		body := expand(*r.Body, captured)
		r.Body = &body
	}
	return r
}

func expand(s string, captured map[string]string) string {
	return os.Expand(s, func(name string) string {
		if value, ok := captured[name]; ok {
			return value
		}
		return "${" + name + "}"
	})
}

func capture(paths map[string]string, a parity.Answer, into map[string]string) error {
	for name, text := range paths {
		where, err := jsonpath.Parse(text)
		if err != nil {
			return fmt.Errorf("capturing %s: %w", name, err)
		}
		var doc any
		if err := json.Unmarshal(a.Body, &doc); err != nil {
			return fmt.Errorf("capturing %s: %w", name, err)
		}
		found := where.Select(doc)
		if len(found) != 1 {
			return fmt.Errorf("capturing %s: got %d values at %s, want one", name, len(found), text)
		}
		into[name] = fmt.Sprint(found[0])
	}
	return nil
}

// check compares an answer with what a step expects, as parity would compare two services.
func check(step Step, got parity.Answer, captured map[string]string) error {
	e := step.Expect
	want := parity.Answer{Status: e.Status, Header: http.Header{}, Host: got.Host}
	if e.Location != "" {
		want.Header.Set("Location", expand(e.Location, captured))
	}
	switch {
	case e.JSON != "":
		want.Header.Set("Content-Type", "application/json")
		want.Body = []byte(expand(e.JSON, captured))
		if !json.Valid(want.Body) {
			return fmt.Errorf("expected JSON is not JSON: %s", want.Body)
		}
	case e.ContentType != "":
		want.Header.Set("Content-Type", e.ContentType)
	case e.Location == "": // the status alone is stated
		want.Header, want.Body = got.Header, got.Body
	}
	var wrong []string
	for _, finding := range parity.Compare(want, got, nil) {
		wrong = append(wrong, fmt.Sprintf("%s (- expected, + got):\n\t%s", finding.What, strings.Join(finding.Diff, "\n\t")))
	}
	for name, value := range e.Headers {
		if have := got.Header.Get(name); have != value {
			wrong = append(wrong, fmt.Sprintf("%s: got %q, want %q", name, have, value))
		}
	}
	if wrong != nil {
		return errors.New(strings.Join(wrong, "\n"))
	}
	return nil
}
