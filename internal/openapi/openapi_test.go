package openapi

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/duet-bench/duet/internal/workload"
)

var update = flag.Bool("update", false, "write the golden drafts")

func TestDrafts(t *testing.T) {
	for _, c := range []struct {
		file              string
		requests, leftOut int
	}{{"library.yaml", 6, 1}, {"shop.json", 4, 1}} {
		document, err := os.ReadFile(filepath.Join("testdata", c.file))
		if err != nil {
			t.Fatal(err)
		}
		got, err := New(c.file, document)
		if err != nil {
			t.Fatal(err)
		}
		if got.Requests != c.requests || len(got.LeftOut) != c.leftOut {
			t.Errorf("%s: %d requests, left out %q, want %d and %d", c.file, got.Requests, got.LeftOut, c.requests, c.leftOut)
		}
		golden := filepath.Join("testdata", c.file+".golden")
		if *update {
			if err := os.WriteFile(golden, got.Text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil || string(got.Text) != string(want) {
			t.Errorf("%s: the draft is not %s (%v): go test ./internal/openapi -update; got\n%s", c.file, golden, err, got.Text)
		}
		again, err := New(c.file, document)
		if err != nil || string(again.Text) != string(got.Text) {
			t.Errorf("%s: a second draft differs: %v", c.file, err)
		}
	}
}

// A draft's requests say what the document says: literal braces stay literal, and what is escaped arrives.
func TestDraftedMessages(t *testing.T) {
	document, err := os.ReadFile("testdata/library.yaml")
	if err != nil {
		t.Fatal(err)
	}
	d, err := New("library.yaml", document)
	if err != nil {
		t.Fatal(err)
	}
	w, err := workload.Parse("draft", d.Text)
	if err != nil {
		t.Fatal(err)
	}
	messages, err := workload.Stream(w, 1, nil, 100)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]workload.Message{}
	for _, m := range messages {
		seen[m.Name] = m
	}
	if got := seen["list-books"].Path; !strings.HasPrefix(got, "/v1/books?limit=") || !strings.HasSuffix(got, "&tag=a%26b+%7B%7Bword%7D%7D") {
		t.Errorf("got %s", got)
	}
	if got := string(seen["add-book"].Body); !strings.Contains(got, `"quote":"it's {{so}} \"good\"\nü"`) || strings.Contains(got, `"id"`) || !strings.Contains(got, `"price":1,`) {
		t.Errorf("got %s", got)
	}
	if got := seen["put-books-book-id-cover"].Path; got != "/v1/books/it%27s%2F7/cover" {
		t.Errorf("got %s", got)
	}
}

func TestSlug(t *testing.T) {
	for text, want := range map[string]string{
		"getUserByID": "get-user-by-id", "GET /users/{id}": "get-users-id", "__x__": "x", "ÜÜ": "", "a.b-c": "a-b-c",
		strings.Repeat("abc-", 20): "abc-abc-abc-abc-abc-abc-abc-abc-abc-abc",
	} {
		if got := slug(text); got != want || got != "" && !workload.NameOK(got) {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

func TestRefusedDocuments(t *testing.T) {
	const info = "info: {title: x, version: '1'}\n"
	for _, c := range []struct{ document, want string }{
		{"", "expected version 3.0 or 3.1"},
		{"swagger: '2.0'\n" + info, "expected version 3.0 or 3.1"},
		{"openapi: 3.0.0\n" + info, "no operation that a workload can ask"},
		{"openapi: 3.0.0\n" + info + "paths: {}\n", "no operation that a workload can ask"},
		{"openapi: 3.0.0\n" + info + "paths: {/a: {trace: {responses: {'200': {description: x}}}}}\n", "TRACE /a: workloads have no such method"},
		{"openapi: 3.0.0\n" + info + "paths: {/a: {$ref: 'https://example.com/a.yaml'}}\n", "expected references within the document"},
		{"openapi: 3.0.0\n" + info + "paths: {/a: {get: {parameters: [{$ref: '/etc/passwd'}], responses: {}}}}\n", "expected references within the document"},
		{"openapi: 3.0.0\n" + info + "paths: {/a: {get: {parameters: [{$ref: 'file:///etc/passwd#/a'}], responses: {}}}}\n", "expected references within the document"},
		{"openapi: 3.0.0\n" + info + "paths: {/a: {get: {parameters: [{$ref: '#/nowhere'}], responses: {}}}}\n", "nowhere"},
		{"{", "reading api"},
		{"\x00\x01", "reading api"},
		{"a: [\n", "reading api"},
		{strings.Repeat("[", 100), "nested deeper than 64"},
		{strings.Repeat("{\"a\":", 100), "nested deeper than 64"},
		{"a:\n" + strings.Repeat(" ", 300) + "b: c\n", "nested deeper than 64"},
		{strings.Repeat("- ", 2000), "reading api"},
		{strings.Repeat("#", MaxBytes+1), "expected at most 2097152"},
	} {
		_, err := New("api", []byte(c.document))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.ContainsAny(err.Error(), "\n\x00\x01") {
			t.Errorf("%.100q: got %v, want %s", c.document, err, c.want)
		}
	}
}

// What a hostile document costs is bounded; the bound is far above what is usual, so that a busy machine passes.
func TestHostileDocumentsAreCheap(t *testing.T) {
	const start = "openapi: 3.1.0\ninfo: {title: x, version: '1'}\n"
	body := func(schema string) string {
		return start + "paths: {/a: {post: {requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/" + schema + "'}}}}, responses: {'200': {description: x}}}}}\ncomponents:\n  schemas:\n"
	}
	var wide, deep, many, laughs strings.Builder
	wide.WriteString(body("S"))
	wide.WriteString("    S: {type: object, properties: {")
	for i := range 1000 {
		fmt.Fprintf(&wide, "p%d: {$ref: '#/components/schemas/S'}, ", i)
	}
	wide.WriteString("}}\n")
	deep.WriteString(body("S0"))
	for i := range 500 {
		fmt.Fprintf(&deep, "    S%d: {allOf: [{$ref: '#/components/schemas/S%d'}, {$ref: '#/components/schemas/S%d'}]}\n", i, i+1, i+1)
	}
	deep.WriteString("    S500: {type: string}\n")
	many.WriteString(start + "paths:\n")
	for i := range 1500 {
		fmt.Fprintf(&many, "  /p%d: {get: {responses: {'200': {description: x}}}}\n", i)
	}
	laughs.WriteString(start + "x-a0: &a0 [x]\n")
	for i := range 40 {
		fmt.Fprintf(&laughs, "x-a%d: &a%d [*a%d,*a%d,*a%d,*a%d]\n", i+1, i+1, i, i, i, i)
	}
	laughs.WriteString("paths: {/a: {get: {responses: {'200': {description: x}}}}}\n")
	for name, document := range map[string]string{
		"itself":         body("S") + "    S: {$ref: '#/components/schemas/S'}\n",
		"a cycle":        body("S") + "    S: {type: object, required: [s], properties: {s: {$ref: '#/components/schemas/T'}}}\n    T: {type: array, minItems: 1000000, items: {$ref: '#/components/schemas/S'}}\n",
		"an allOf cycle": body("S") + "    S: {allOf: [{$ref: '#/components/schemas/S'}, {$ref: '#/components/schemas/S'}]}\n",
		"huge bounds":    body("S") + "    S: {type: string, minLength: 18446744073709551615, maxLength: 18446744073709551615}\n",
		"huge numbers":   body("S") + "    S: {type: object, properties: {a: {type: integer, minimum: -1e300, maximum: 1e300}, b: {type: number, multipleOf: 1e-300}, c: {example: .nan}}}\n",
		"wide":           wide.String(), "deep": deep.String(), "many": many.String(), "laughs": laughs.String(),
	} {
		began := time.Now()
		d, err := New("api", []byte(document))
		took := time.Since(began)
		t.Logf("%s: %d bytes in %v: %d requests, draft of %d bytes, %v", name, len(document), took, d.Requests, len(d.Text), err)
		if took > time.Minute || len(d.Text) > 64<<10 {
			t.Errorf("%s took %v, draft of %d bytes", name, took, len(d.Text))
		}
	}
}

// FuzzNew: whatever a document says, its draft is a workload, or there is an error on one line.
func FuzzNew(f *testing.F) {
	for _, file := range []string{"library.yaml", "shop.json"} {
		document, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(document))
	}
	f.Add("openapi: 3.0.0\ninfo: {title: x, version: '1'}\npaths: {'/{{a}}/{b': {get: {operationId: '{{', parameters: [{name: \"a'\\n#\", in: header, required: true, example: \"x\\ny\"}], responses: {'200': {description: x}}}}}\n")
	f.Fuzz(func(t *testing.T, document string) {
		d, err := New("api", []byte(document))
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r\x1b") {
				t.Errorf("got %q", err)
			}
			return
		}
		if _, err := workload.Parse("draft", d.Text); err != nil {
			t.Errorf("%v in\n%s", err, d.Text)
		}
	})
}
