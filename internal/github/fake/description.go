package fake

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// published is where GitHub's own OpenAPI description comes from.
var published = Package{
	Name: "@octokit/openapi", Version: "23.0.2",
	Integrity: "sha512-pV8M7L9GY23AybNvTmo2nyjmpmnt6+2sRE/tqr0ZLQcPS4lnw7u5eZGNmwRNkBC3D7gZXbFx5AHzLUVRBXGDhg==",
}

// The descriptions in it.
const (
	dotcom     = "generated/api.github.com.json"
	enterprise = "generated/ghes-3.19.json"
)

// description is GitHub's description of the operations that the fake has.
type description struct{ doc *openapi3.T }

// described loads a description once: the whole one takes seconds and 190 MB.
var described = map[string]func() (*description, error){
	dotcom:     sync.OnceValues(func() (*description, error) { return load(dotcom) }),
	enterprise: sync.OnceValues(func() (*description, error) { return load(enterprise) }),
}

func load(file string) (*description, error) {
	text, err := trimmed(file)
	if err != nil {
		return nil, fmt.Errorf("loading GitHub's description: %w", err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return nil, fmt.Errorf("loading GitHub's description: %w", err)
	}
	doc.Servers = nil // the fake listens elsewhere
	for _, field := range [][]string{{"pull-request", "head", "repo"}, {"pull-request-simple", "head", "repo"}, {"workflow-run", "head_repository"}} {
		if err := nullable(doc.Components.Schemas, field...); err != nil {
			return nil, fmt.Errorf("loading GitHub's description: %w", err)
		}
	}
	return &description{doc}, nil
}

// nullable mends a field that GitHub's description calls an object alone, where GitHub answers null as well: a head's
// repository is null once the fork is gone (github/rest-api-description#1811, #5562).
func nullable(in openapi3.Schemas, field ...string) error {
	at := in[field[0]]
	if at == nil {
		return fmt.Errorf("it has no %s", field[0])
	}
	if len(field) > 1 {
		return nullable(at.Value.Properties, field[1:]...)
	}
	mended := *at.Value
	mended.Nullable = true
	in[field[0]] = &openapi3.SchemaRef{Value: &mended}
	return nil
}

// trimmed is the part of a description that the fake needs, from the cache folder or cut out of the package.
func trimmed(file string) ([]byte, error) {
	dir, err := cacheDir()
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, o := range operations {
		paths = append(paths, o.path)
	}
	slices.Sort(paths)
	paths = slices.Compact(paths)
	sum := sha256.Sum256([]byte(cutVersion + file + strings.Join(paths, " ")))
	kept := filepath.Join(dir, published.key()+"-"+hex.EncodeToString(sum[:6])+".json")
	text, err := os.ReadFile(kept)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return text, err
	}
	whole, err := published.File(file)
	if err != nil {
		return nil, err
	}
	if text, err = cut(whole, paths); err != nil {
		return nil, fmt.Errorf("cutting %s: %w", file, err)
	}
	return text, keep(kept, text)
}

// cutVersion changes with what cut leaves.
const cutVersion = "1"

// cut leaves of a description some paths and what they refer to, without examples: GitHub's own do not all fit.
func cut(whole []byte, paths []string) ([]byte, error) {
	var doc struct {
		OpenAPI    string                    `json:"openapi"`
		Info       any                       `json:"info"`
		Paths      map[string]any            `json:"paths"`
		Components map[string]map[string]any `json:"components"`
	}
	if err := json.Unmarshal(whole, &doc); err != nil {
		return nil, err
	}
	c := cutter{all: doc.Components, kept: map[string]map[string]any{}}
	kept := map[string]any{}
	for _, path := range paths {
		item, ok := doc.Paths[path]
		if !ok {
			return nil, fmt.Errorf("it has no path %s", path)
		}
		kept[path] = c.plain(item, false)
	}
	if c.missing != "" {
		return nil, fmt.Errorf("it refers to %s, which it has not", c.missing)
	}
	doc.Paths, doc.Components = kept, c.kept
	return json.Marshal(doc)
}

// cutter collects what is referred to.
type cutter struct {
	all, kept map[string]map[string]any
	missing   string
}

// plain copies a value without examples and extensions and follows its references; names says that the keys of v are
// names of the API's and not OpenAPI's words.
func (c *cutter) plain(v any, names bool) any {
	switch v := v.(type) {
	case []any:
		all := make([]any, len(v))
		for i := range v {
			all[i] = c.plain(v[i], false)
		}
		return all
	case map[string]any:
		some := map[string]any{}
		for key, value := range v {
			if !names && (key == "example" || key == "examples" || strings.HasPrefix(key, "x-")) {
				continue
			}
			if at, ok := value.(string); ok && key == "$ref" && !names {
				c.follow(at)
			}
			some[key] = c.plain(value, !names && (key == "properties" || key == "responses" || key == "content" || key == "headers"))
		}
		return some
	}
	return v
}

func (c *cutter) follow(ref string) {
	parts := strings.Split(strings.TrimPrefix(ref, "#/components/"), "/")
	if len(parts) != 2 || c.all[parts[0]][parts[1]] == nil {
		c.missing = ref
		return
	}
	kind, name := parts[0], parts[1]
	if c.kept[kind] == nil {
		c.kept[kind] = map[string]any{}
	}
	if c.kept[kind][name] == nil {
		c.kept[kind][name] = true // so that a circle ends
		c.kept[kind][name] = c.plain(c.all[kind][name], false)
	}
}

// route is an operation as the validator wants it.
func (d *description) route(o operation) (*routers.Route, error) {
	item := d.doc.Paths.Value(o.path)
	if item == nil || item.GetOperation(o.method) == nil {
		return nil, fmt.Errorf("GitHub's description has no %s %s", o.method, o.path)
	}
	return &routers.Route{Spec: d.doc, Path: o.path, PathItem: item, Method: o.method, Operation: item.GetOperation(o.method)}, nil
}

var filter = &openapi3filter.Options{
	AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true, SkipSettingDefaults: true,
}

// request checks what came in: by the description, and that it holds nothing the description does not know.
func (d *description) request(r *http.Request, in *openapi3filter.RequestValidationInput) error {
	if err := openapi3filter.ValidateRequest(r.Context(), in); err != nil {
		return brief(err)
	}
	known := map[string]bool{}
	for _, all := range []openapi3.Parameters{in.Route.PathItem.Parameters, in.Route.Operation.Parameters} {
		for _, p := range all {
			known[p.Value.In+" "+p.Value.Name] = true
		}
	}
	for name := range r.URL.Query() {
		if !known["query "+name] {
			return fmt.Errorf("the query has %q, which GitHub does not know", name)
		}
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	takes := in.Route.Operation.RequestBody
	switch {
	case len(body) == 0:
		return nil
	case takes == nil:
		return errors.New("it has a body, and GitHub takes none")
	}
	var fields map[string]any
	if err := json.Unmarshal(body, &fields); err != nil {
		return err
	}
	for name := range fields {
		if !hasField(takes.Value.Content.Get("application/json").Schema.Value, name) {
			return fmt.Errorf("the body has %q, which GitHub does not know", name)
		}
	}
	return nil
}

// hasField says whether a body may have a field, in one of its shapes where it has several.
func hasField(s *openapi3.Schema, name string) bool {
	return s.Properties[name] != nil || slices.ContainsFunc(s.OneOf, func(branch *openapi3.SchemaRef) bool { return hasField(branch.Value, name) })
}

// response checks what goes out. A refusal that the operation does not list has the shape of all of GitHub's refusals.
func (d *description) response(ctx context.Context, in *openapi3filter.RequestValidationInput, status int, header http.Header, body []byte) error {
	if status >= 400 && in.Route.Operation.Responses.Status(status) == nil {
		var v any
		if err := json.Unmarshal(body, &v); err != nil {
			return err
		}
		return brief(d.doc.Components.Schemas["basic-error"].Value.VisitJSON(v))
	}
	return brief(openapi3filter.ValidateResponse(ctx, &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: status, Header: header, Body: io.NopCloser(bytes.NewReader(body)), Options: filter,
	}))
}

// brief leaves the schema out of a complaint: it may have a thousand lines.
func brief(err error) error {
	if err == nil {
		return nil
	}
	first, _, _ := strings.Cut(err.Error(), "\nSchema:")
	return errors.New(first)
}

// shape is the schema of an answer; nil: it has no body.
func (d *description) shape(o *openapi3.Operation, status int) *openapi3.Schema {
	answer := o.Responses.Status(status)
	if answer == nil {
		if status < 400 {
			return nil
		}
		return d.doc.Components.Schemas["basic-error"].Value
	}
	media := answer.Value.Content.Get("application/json")
	if media == nil || media.Schema == nil {
		return nil
	}
	return media.Schema.Value
}
