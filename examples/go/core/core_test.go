package core

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const good = `{"id":7,"name":" Ada\t Lovelace ","email":"Ada@Example.org","amount":1250,"quantity":1.5,"currency":"EUR","tags":["b","A","b"]}`

func batchOf(records ...string) []byte {
	return []byte(`{"records":[` + strings.Join(records, ",") + `]}`)
}

func TestGoodRecord(t *testing.T) {
	batch, err := Process(batchOf(good))
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%+v %v", batch.Lines, batch.Totals)
	want := `[{ID:7 Name:Ada Lovelace Slug:ada-lovelace Email:ada@example.org Domain:example.org Quantity:1.5 Total:1875 Currency:EUR Tags:[a b] Note: Fingerprint:` +
		batch.Lines[0].Fingerprint + `}] map[EUR:1875]`
	if got != want || len(batch.Lines[0].Fingerprint) != 16 {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestFirstBadFieldIsNamed(t *testing.T) {
	for bad, want := range map[string]string{
		`"id":0`:              "id",
		`"id":1.0`:            "id",
		`"id":null`:           "id",
		`"name":5`:            "name",
		`"name":" \u3000"`:    "name",
		`"email":"nobody"`:    "email",
		`"email":"a@b@c.d"`:   "email",
		`"amount":-1`:         "amount",
		`"quantity":1e400`:    "quantity",
		`"quantity":0`:        "quantity",
		`"currency":"eur"`:    "currency",
		`"tags":[null]`:       "tags",
		`"tags":["a b"]`:      "tags",
		`"note":[]`:           "note",
		`"id":0,"name":5`:     "id",
		`"note":5,"tags":[0]`: "tags",
	} {
		record := overlay(t, good, "{"+bad+"}")
		_, err := Process(batchOf(good, record, record))
		if err == nil || err.Status != http.StatusUnprocessableEntity || err.Field != want || err.Record == nil || *err.Record != 1 {
			t.Errorf("%s: got %+v, want field %s of record 1", bad, err, want)
		}
	}
}

// overlay returns the object base with the fields of over in place of its own.
func overlay(t *testing.T, base, over string) string {
	t.Helper()
	var fields map[string]json.RawMessage
	for _, object := range []string{base, over} {
		if err := json.Unmarshal([]byte(object), &fields); err != nil {
			t.Fatal(err)
		}
	}
	record, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return string(record)
}

func TestNotABatch(t *testing.T) {
	many := strings.Repeat(good+",", RecordLimit) + good
	for body, want := range map[string]string{
		"null":                       "invalid_batch",
		"[]":                         "invalid_batch",
		"{}":                         "invalid_batch",
		`{"records":null}`:           "invalid_batch",
		`{"records":5}`:              "invalid_batch",
		`{"records":[]}`:             "invalid_batch",
		`{"records":["x"]}`:          "invalid_record",
		`{"records":[null]}`:         "invalid_record",
		"":                           "bad_json",
		"{":                          "bad_json",
		"{} {}":                      "bad_json",
		"\"\xff\"":                   "bad_json",
		`{"records":[` + many + `]}`: "invalid_batch",
	} {
		if _, err := Process([]byte(body)); err == nil || err.Code != want {
			t.Errorf("%.40s: got %v, want %s", body, err, want)
		}
	}
}

// FuzzProcess holds Process to its word: an answer or a refusal with a status of the contract, never a panic,
// and what it accepts it accepts again.
func FuzzProcess(f *testing.F) {
	f.Add(batchOf(good))
	f.Add([]byte(`{"records":[{"id":"x"},5,null]}`))
	f.Add([]byte(`{"Records":[{"ID":1.5}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		batch, err := Process(body)
		if (batch == nil) == (err == nil) {
			t.Fatalf("got %v and %v", batch, err)
		}
		if err != nil && err.Status != http.StatusBadRequest && err.Status != http.StatusUnprocessableEntity {
			t.Fatalf("got status %d", err.Status)
		}
	})
}

func TestCodes(t *testing.T) {
	// The same vectors stand in examples/rust/core/src/links.rs.
	for n, want := range map[uint64]string{0: "UnCtb0", 1: "V5NDuD", 2: "VNXYDQ", 999_999: "RksWnD"} {
		if got := Code(n); got != want || !isCode(got) {
			t.Errorf("Code(%d): got %q, want %q", n, got, want)
		}
	}
	seen := map[string]bool{}
	for n := range uint64(10_000) {
		seen[Code(n)] = true
	}
	if len(seen) != 10_000 {
		t.Errorf("got %d distinct codes of 10000", len(seen))
	}
}

func TestLinks(t *testing.T) {
	links := NewLinks(2)
	link, err := links.Create([]byte(`{"url":"https://example.org/a?b#c"}`))
	if err != nil || link.Code != Code(0) {
		t.Fatalf("got %+v, %v", link, err)
	}
	if url, err := links.Follow(link.Code); err != nil || url != link.URL {
		t.Errorf("got %q, %v", url, err)
	}
	if stats, err := links.Stats(link.Code); err != nil || stats.Hits != 1 {
		t.Errorf("got %+v, %v", stats, err)
	}
	for _, code := range []string{"000000", "links", "", "../../"} {
		if _, err := links.Follow(code); err == nil || err.Code != "not_found" {
			t.Errorf("%q: got %v, want not_found", code, err)
		}
	}
	for _, want := range []string{"", "store_full"} {
		_, err := links.Create([]byte(`{"url":"http://x"}`))
		if got := code(err); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestBadLinks(t *testing.T) {
	for body, want := range map[string]string{
		`{"url":""}`:                "invalid_url",
		`{"url":"example.org"}`:     "invalid_url",
		`{"url":"ftp://x"}`:         "invalid_url",
		`{"url":"https://"}`:        "invalid_url",
		`{"url":"https:///x"}`:      "invalid_url",
		`{"url":"http://?q"}`:       "invalid_url",
		`{"url":"http://a b"}`:      "invalid_url",
		`{"url":"http://é"}`:        "invalid_url",
		`{"url":5}`:                 "invalid_url",
		`{"url":null}`:              "invalid_url",
		`[]`:                        "invalid_url",
		`null`:                      "invalid_url",
		`{"url":5,`:                 "bad_json",
		`{"url":"http://x"} x`:      "bad_json",
		"{\"url\":\"http://\xff\"}": "bad_json",
		`{"url":"https://` + strings.Repeat("x", 2041) + `"}`: "invalid_url",
		`{"url":"https://` + strings.Repeat("x", 2040) + `"}`: "",
	} {
		_, err := NewLinks(9).Create([]byte(body))
		if got := code(err); got != want {
			t.Errorf("%.40s: got %q, want %q", body, got, want)
		}
	}
}

func code(err *Error) string {
	if err == nil {
		return ""
	}
	return err.Code
}

func TestText(t *testing.T) {
	check := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: got %q, want %q", what, got, want)
		}
	}
	check("squeeze", squeeze("  Ada\t\u00a0\u2003Lovelace\v\u0085"), "Ada Lovelace")
	check("squeeze keeps a zero-width space", squeeze("a\u200bb"), "a\u200bb")
	check("slug", slug("Ada Lovelace, Jr."), "ada-lovelace-jr")
	check("slug keeps ASCII only", slug("Zoë O'Hara"), "zo-o-hara")
	check("lowerASCII leaves the rest alone", lowerASCII("ÀB"), "Àb")
}

func TestAddr(t *testing.T) {
	for _, tt := range []struct{ addr, port, want string }{
		{"", "", "127.0.0.1:8080"},
		{"", "9", "127.0.0.1:9"},
		{"0.0.0.0:7", "9", "0.0.0.0:7"},
	} {
		env := map[string]string{"ADDR": tt.addr, "PORT": tt.port}
		if got := Addr(func(name string) string { return env[name] }); got != tt.want {
			t.Errorf("%+v: got %s", tt, got)
		}
	}
}
