// Package openapi drafts a workload from an OpenAPI document: one request an operation, to be edited by a person.
//
// It is pure: the same document gives the same draft. A document is a stranger's text: it is bounded in bytes, depth and
// what is made of it, no reference leaves it, and whatever it holds, the draft is a workload that the parser takes.
// What a document cannot say (which ids exist, who may log in, how often each operation is called) the draft asks for
// in comments.
package openapi

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/duet-bench/duet/internal/workload"
)

// Bounds of a document.
const (
	MaxBytes = 2 << 20
	maxDepth = 64 // of brackets and of indentation steps
)

// Draft is a workload file in the making.
type Draft struct {
	Name     string // of the workload
	Text     []byte
	Requests int
	LeftOut  []string // operations that are not in it, and why
}

// New drafts a workload from a document, in JSON or YAML; file is used in texts alone.
func New(file string, document []byte) (Draft, error) {
	doc, err := read(document)
	if err != nil {
		return Draft{}, fmt.Errorf("reading %s: %w", file, err)
	}
	d := drafting{file: file, doc: doc, names: map[string]bool{}}
	d.operations()
	if len(d.requests) == 0 {
		return Draft{}, fmt.Errorf("reading %s: no operation that a workload can ask: %s", file, strings.Join(append(d.leftOut, "it names no paths")[:1], "; "))
	}
	return d.write()
}

// read loads a document without following a reference out of it.
func read(document []byte) (doc *openapi3.T, err error) {
	defer func() { // a panic in the library is a document that nobody can read, not a crash
		if r := recover(); r != nil {
			doc, err = nil, fmt.Errorf("not an OpenAPI document: %v", r)
		}
	}()
	if len(document) > MaxBytes {
		return nil, fmt.Errorf("%d bytes: expected at most %d: cut it to the operations that matter", len(document), MaxBytes)
	}
	if err := tooDeep(document); err != nil {
		return nil, err
	}
	loader := openapi3.NewLoader()
	loader.IsExternalRefsAllowed = false
	loader.ReadFromURIFunc = func(_ *openapi3.Loader, at *url.URL) ([]byte, error) {
		return nil, fmt.Errorf("it refers to %s: expected references within the document (#/…): bundle it into one file first", at)
	}
	doc, err = loader.LoadFromData(document)
	if err != nil {
		return nil, errors.New(oneLine(err.Error()))
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.0") && !strings.HasPrefix(doc.OpenAPI, "3.1") {
		return nil, fmt.Errorf("openapi %q: expected version 3.0 or 3.1", oneLine(doc.OpenAPI))
	}
	return doc, nil
}

// tooDeep refuses nesting that no API needs and that readers recurse into.
func tooDeep(document []byte) error {
	depth := 0
	for i, c := range document {
		switch c {
		case '{', '[':
			depth++
		case '}', ']':
			depth = max(depth-1, 0)
		case '\n':
			rest := document[i+1:]
			if len(rest)-len(bytes.TrimLeft(rest, " -?\t")) > 4*maxDepth {
				depth = maxDepth + 1
			}
		}
		if depth > maxDepth {
			return fmt.Errorf("nested deeper than %d", maxDepth)
		}
	}
	return nil
}

// request is one of a draft.
type request struct {
	name, method, path string
	weight             int
	headers            [][2]string
	body               string
	status             int
	notes              []string // comments: what to edit
}

// drafting is a draft under way.
type drafting struct {
	file     string
	doc      *openapi3.T
	prefix   string // of every path, from the first server
	names    map[string]bool
	requests []request
	leftOut  []string
	left     int // bytes that the draft may still grow
}

// methods are those a workload can ask, in the order of the draft, with the weight of a guess: reads are common.
func methods() []struct {
	name   string
	weight int
} {
	return []struct {
		name   string
		weight int
	}{{"GET", 8}, {"HEAD", 1}, {"OPTIONS", 1}, {"POST", 2}, {"PUT", 1}, {"PATCH", 1}, {"DELETE", 1}}
}

// mostRequests is what a workload may have; draftRoom what its file may have, with room for the reader's own edits.
const (
	mostRequests = 50
	draftRoom    = 40 << 10 // bytes
)

func (d *drafting) operations() {
	d.prefix, d.left = serverPath(d.doc), draftRoom
	paths := d.doc.Paths.Keys()
	slices.Sort(paths)
	for _, path := range paths {
		item := d.doc.Paths.Value(path)
		if item == nil {
			continue
		}
		operations := item.Operations()
		for _, m := range methods() {
			operation := operations[m.name]
			if operation == nil {
				continue
			}
			delete(operations, m.name)
			if operation.Responses != nil && operation.Responses.Value("101") != nil {
				d.leaveOut(m.name+" "+path, "it switches protocols: a WebSocket has a workload of its own, with protocol: websocket")
				continue
			}
			d.add(d.request(m.name, m.weight, path, item, operation))
		}
		for method := range operations {
			d.leaveOut(method+" "+path, "workloads have no such method")
		}
	}
	slices.Sort(d.leftOut)
}

// add takes a request into the draft if the parser takes it and there is room.
func (d *drafting) add(r request) {
	if len(d.requests) == mostRequests {
		d.leaveOut(r.method+" "+r.path, fmt.Sprintf("a workload has at most %d requests", mostRequests))
		return
	}
	text := r.text()
	alone := "name: alone\nrequests:\n" + text
	w, err := workload.Parse("draft", []byte(alone))
	if err == nil {
		_, err = workload.Stream(w, 1, nil, 3)
	}
	switch {
	case err != nil:
		_, why, _ := strings.Cut(err.Error(), ": ")
		d.leaveOut(r.method+" "+r.path, why)
	case len(text) > d.left:
		d.leaveOut(r.method+" "+r.path, "the file would be too long")
	default:
		d.left -= len(text)
		d.requests = append(d.requests, r)
	}
}

func (d *drafting) leaveOut(what, why string) {
	d.leftOut = append(d.leftOut, oneLine(what)+": "+oneLine(why))
}

func (d *drafting) request(method string, weight int, path string, item *openapi3.PathItem, o *openapi3.Operation) request {
	r := request{method: method, weight: weight, name: d.name(method, path, o)}
	if o.Deprecated {
		r.note("deprecated: leave it out?")
	}
	parameters := parametersOf(item, o)
	r.fillPath(d.prefix, path, parameters)
	r.addQuery(parameters)
	r.addHeaders(parameters)
	r.addBody(o)
	r.setStatus(o)
	r.addSecurity(d.doc, o)
	if method == "DELETE" {
		r.note("deletes: once gone, later requests for the same thing are answered otherwise")
	}
	return r
}

func (r *request) note(format string, args ...any) {
	const most = 6
	if len(r.notes) < most {
		r.notes = append(r.notes, oneLine(fmt.Sprintf(format, args...)))
	}
}

// name makes one of a workload's names, of the operation's id or of method and path.
func (d *drafting) name(method, path string, o *openapi3.Operation) string {
	base := slug(o.OperationID)
	if base == "" {
		base = slug(method + " " + path)
	}
	name := base
	for i := 2; d.names[name]; i++ {
		suffix := "-" + strconv.Itoa(i)
		name = strings.TrimRight(base[:min(len(base), 40-len(suffix))], "-") + suffix
	}
	d.names[name] = true
	return name
}

// slug makes a text one of Duet's names: getUserByID is get-user-by-id.
func slug(text string) string {
	var b strings.Builder
	var before byte
	for _, c := range []byte(text) {
		lower := c
		if c >= 'A' && c <= 'Z' {
			lower = c - 'A' + 'a'
			if before >= 'a' && before <= 'z' || before >= '0' && before <= '9' {
				b.WriteByte('-')
			}
		}
		if lower >= 'a' && lower <= 'z' || lower >= '0' && lower <= '9' {
			b.WriteByte(lower)
		} else if s := b.String(); s != "" && !strings.HasSuffix(s, "-") {
			b.WriteByte('-')
		}
		before = c
		if b.Len() >= 40 {
			break
		}
	}
	s := b.String()
	return strings.Trim(s[:min(len(s), 40)], "-")
}

// serverPath is the path of the first server, which all paths are relative to.
func serverPath(doc *openapi3.T) string {
	if len(doc.Servers) == 0 || doc.Servers[0] == nil {
		return ""
	}
	at := doc.Servers[0].URL
	for name, variable := range doc.Servers[0].Variables {
		if variable != nil {
			at = strings.ReplaceAll(at, "{"+name+"}", variable.Default)
		}
	}
	u, err := url.Parse(at)
	if err != nil || !strings.HasPrefix(u.Path, "/") {
		return ""
	}
	return strings.TrimRight(u.EscapedPath(), "/")
}

// parametersOf are an operation's parameters, in the document's order; its own go before its path's of the same name.
func parametersOf(item *openapi3.PathItem, o *openapi3.Operation) []*openapi3.Parameter {
	var all []*openapi3.Parameter
	for _, refs := range []openapi3.Parameters{o.Parameters, item.Parameters} {
		for _, ref := range refs {
			if ref == nil || ref.Value == nil || slices.ContainsFunc(all, func(p *openapi3.Parameter) bool {
				return p.Name == ref.Value.Name && p.In == ref.Value.In
			}) {
				continue
			}
			all = append(all, ref.Value)
		}
	}
	return all
}

// fillPath puts values in place of {parameters}.
func (r *request) fillPath(prefix, path string, parameters []*openapi3.Parameter) {
	r.path = prefix
	rest := path
	for rest != "" {
		literal, after, found := strings.Cut(rest, "{")
		r.path += (&url.URL{Path: literal}).EscapedPath()
		if !found {
			break
		}
		var name string
		if name, rest, found = strings.Cut(after, "}"); !found {
			break
		}
		i := slices.IndexFunc(parameters, func(p *openapi3.Parameter) bool { return p.In == openapi3.ParameterInPath && p.Name == name })
		if i < 0 {
			r.path += "{{word}}"
			r.note("path parameter %s is not described: edit", name)
			continue
		}
		value, given := parameterValue(parameters[i], url.PathEscape)
		r.path += value
		if !given {
			r.note("path parameter %s is drawn: edit it to values that exist, or capture them in setup", name)
		}
	}
}

func (r *request) addQuery(parameters []*openapi3.Parameter) {
	separator := "?"
	for _, p := range parameters {
		if p.In != openapi3.ParameterInQuery {
			continue
		}
		if !p.Required {
			r.note("query parameter %s may be added", p.Name)
			continue
		}
		value, _ := parameterValue(p, url.QueryEscape)
		r.path += separator + escapeTemplate(url.QueryEscape(p.Name)) + "=" + value
		separator = "&"
	}
}

func (r *request) addHeaders(parameters []*openapi3.Parameter) {
	for _, p := range parameters {
		switch {
		case p.In == openapi3.ParameterInCookie && p.Required:
			r.note("needs the cookie %s: add a header cookie", p.Name)
		case p.In != openapi3.ParameterInHeader || !p.Required:
		case slices.Contains([]string{"accept", "authorization", "content-type"}, strings.ToLower(p.Name)): // said elsewhere (OpenAPI 3.1, 4.8.12.1)
		default:
			value, _ := parameterValue(p, func(s string) string { return s })
			r.headers = append(r.headers, [2]string{p.Name, value})
		}
	}
}

// addBody takes the first body it can write, JSON before others.
func (r *request) addBody(o *openapi3.Operation) {
	if o.RequestBody == nil || o.RequestBody.Value == nil {
		return
	}
	content := o.RequestBody.Value.Content
	types := make([]string, 0, len(content))
	for media := range content {
		types = append(types, media)
	}
	slices.SortFunc(types, func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
	})
	for _, media := range types {
		body, ok := bodyOf(media, content[media])
		if !ok {
			continue
		}
		r.headers, r.body = append(r.headers, [2]string{"content-type", concrete(media)}), body
		return
	}
	if len(types) > 0 {
		r.note("needs a body of %s: write one", types[0])
	}
}

// setStatus expects the first good status that the document names.
func (r *request) setStatus(o *openapi3.Operation) {
	r.status = 200
	if o.Responses == nil {
		return
	}
	codes := o.Responses.Keys()
	slices.Sort(codes)
	for _, class := range []string{"2", "3"} {
		for _, code := range codes {
			if !strings.HasPrefix(code, class) {
				continue
			}
			if status, err := strconv.Atoi(code); err == nil {
				r.status = status
				return
			}
			if strings.EqualFold(code, class+"XX") {
				r.status = 100 * int(class[0]-'0')
				r.note("any %s may be the answer: edit the status", code)
				return
			}
		}
	}
	r.note("the document names no good status: edit it")
}

// addSecurity says which credentials an operation asks for.
func (r *request) addSecurity(doc *openapi3.T, o *openapi3.Operation) {
	needed := doc.Security
	if o.Security != nil {
		needed = *o.Security
	}
	if len(needed) == 0 {
		return
	}
	schemes := make([]string, 0, len(needed[0]))
	for name := range needed[0] {
		schemes = append(schemes, name)
	}
	slices.Sort(schemes)
	for _, name := range schemes {
		r.note("needs %s: add a header, such as authorization: 'Bearer {{capture \"token\"}}', captured by a login in setup", name)
	}
}
