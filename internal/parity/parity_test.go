package parity

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func answer(body string) Answer {
	return Answer{Status: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(body)}
}

func text(body string) Answer {
	return Answer{Status: 200, Header: http.Header{"Content-Type": {"text/plain"}}, Body: []byte(body)}
}

// shown writes findings as "what: line | line".
func shown(found []Finding) string {
	var parts []string
	for _, f := range found {
		parts = append(parts, f.What+": "+strings.Join(f.Diff, " | "))
	}
	return strings.Join(parts, "; ")
}

func TestBodiesAsJSON(t *testing.T) {
	check := func(a, b, want string, ignore ...string) {
		t.Helper()
		if got := shown(Compare(answer(a), answer(b), ignore)); got != want {
			t.Errorf("%s against %s, ignoring %q:\ngot  %s\nwant %s", a, b, ignore, got, want)
		}
	}
	check(`{"a":1,"b":[1,2]}`, `{ "b": [1.0, 2e0], "a": 10e-1 }`, "")
	check(`{"a":-0}`, `{"a":0.00}`, "")
	check(`{"a":1e400}`, `{"a":10e399}`, "")
	check(`{"a":9007199254740993}`, `{"a":9007199254740992}`, "body: - $.a: 9007199254740993 | + $.a: 9007199254740992")
	check(`{"a":1e999999999999999999999}`, `{"a":1e999999999999999999999}`, "")
	check(`{"a":1e999999999999999999999}`, `{"a":1}`, "body: - $.a: 1e999999999999999999999 | + $.a: 1")
	check(`{"a":0.1}`, `{"a":0.10000000000000001}`, "body: - $.a: 0.1 | + $.a: 0.10000000000000001")
	check(`{"a":1}`, `{"a":"1"}`, `body: - $.a: 1 | + $.a: "1"`)
	check(`{"a":null}`, `{}`, "body: - $.a: null")
	check(`{}`, `{"a b":false}`, `body: + $["a b"]: false`)
	check(`{"a":[1,2,3]}`, `{"a":[1,2]}`, "body: - $.a[2]: 3")
	check(`{"a":{"x":1}}`, `{"a":[1]}`, `body: - $.a: {"x":1} | + $.a: [1]`)
	check(`{"a":"<é>"}`, `{"a":"\u003c\u00e9\u003e"}`, "")
	check(`"x"`, `"\u0078"`, "")
	check(`{"a":"\u202e"}`, `{"a":""}`, `body: - $.a: "\u202e" | + $.a: ""`)
	check(`{"a":1`, `{"a":1}`, `body: - {"a":1 | + {"a":1}`)
	check("{\"a\":\"\xff\"}", "{\"a\":\"\xfe\"}", "body: - 9 bytes, from byte 6: ff 22 7d | + 9 bytes, from byte 6: fe 22 7d")

	check(`{"id":1,"x":2}`, `{"id":9,"x":2}`, "", "$.id")
	check(`{"id":1,"x":2}`, `{"x":2}`, "", "$.id")
	check(`{"items":[{"at":1,"n":1},{"at":2}]}`, `{"items":[{"at":5,"n":1},{}]}`, "", "$.items[*].at")
	check(`{"a":{"id":1,"b":[{"id":2}]}}`, `{"a":{"id":3,"b":[{"id":4}]}}`, "", "$..id")
	check(`{"a":[1,2,3]}`, `{"a":[9,2,3]}`, "", "$.a[0]")
	check(`{"a":[1,2,3]}`, `{"a":[7]}`, "", "$.a[*]")
	check(`{"a/b":1,"a":{"b":2}}`, `{"a/b":5,"a":{"b":2}}`, "", "$['a/b']")
	check(`{"a":{"id":1},"b":1}`, `{"a":{"id":2},"b":2}`, "body: - $.b: 1 | + $.b: 2", "$.a.id")
	check(`[1]`, `{"x":1}`, "", "$")
	check(`{"x":1}`, `{"x":2}`, "body: - $.x: 1 | + $.x: 2", "$.y")
	if got := Compare(answer(`{"x":1}`), answer(`{"x":1}`), []string{"x["}); len(got) != 1 || got[0].What != Ignore {
		t.Errorf("a bad path: got %v", got)
	}
}

func TestBodiesAsText(t *testing.T) {
	check := func(a, b, want string) {
		t.Helper()
		if got := shown(Compare(text(a), text(b), nil)); got != want {
			t.Errorf("%q against %q:\ngot  %s\nwant %s", a, b, got, want)
		}
	}
	check("1", "1", "")
	check("1", "1.0", "body: - 1 | + 1.0")
	check("one\ntwo\nthree", "one\n2\nthree", "body:   one | - two | + 2")
	check("one\n", "one", "body:   one | - ")
	check("a\tb", "a b", `body: - a\tb | + a b`)
	check("", "x", "body: -  | + x")
	check(`{"a":1}`, `{"a":1.0}`, "") // JSON by its looks
	long := strings.Repeat("x", 200)
	check(long+"a", long+"b", "body: - …"+long[:30]+"a | + …"+long[:30]+"b")
}

func TestHeaders(t *testing.T) {
	with := func(name, value string) Answer {
		return Answer{Status: 200, Header: http.Header{name: {value}}, Host: "127.0.0.1:4001"}
	}
	for _, tt := range []struct{ name, a, b, want string }{
		{"Content-Type", "text/html; charset=UTF-8", "text/HTML;charset=utf-8", ""},
		{"Content-Type", "text/html; charset=utf-8", "text/html", "content-type: - text/html; charset=utf-8 | + text/html"},
		{"Content-Type", "application/json; charset=UTF-8", "application/json", ""},
		{"Content-Type", "application/problem+json", "application/json", "content-type: - application/problem+json | + application/json"},
		{"Content-Type", "", "application/json", "content-type: - (none) | + application/json"},
		{"Content-Type", "text/plain; a=1; b=2", "text/plain; b=2; a=1", ""},
		{"Content-Type", ";;;", ";;;", ""},
		{"Location", "/x", "http://127.0.0.1:4001/x", ""},
		{"Location", "/x?q=1#f", "http://127.0.0.1:4001/x?q=1#f", ""},
		{"Location", "/", "http://127.0.0.1:4001", ""},
		{"Location", "/x", "http://127.0.0.1:4002/x", "location: - /x | + http://127.0.0.1:4002/x"},
		{"Location", "https://a.example/x", "https://a.example/x", ""},
		{"Location", "https://a.example/x", "https://b.example/x", "location: - https://a.example/x | + https://b.example/x"},
		{"Location", "/a%2Fb", "/a/b", "location: - /a%2Fb | + /a/b"},
		{"Location", "http://[::1", "http://[::1", ""},
		{"X-Other", "a", "b", ""},
	} {
		if got := shown(Compare(with(tt.name, tt.a), with(tt.name, tt.b), nil)); got != tt.want {
			t.Errorf("%s %q against %q:\ngot  %s\nwant %s", tt.name, tt.a, tt.b, got, tt.want)
		}
	}
	// Each variant's own host:port is its own.
	a, b := with("Location", "http://127.0.0.1:4001/x"), with("Location", "http://127.0.0.1:4002/x")
	b.Host = "127.0.0.1:4002"
	if got := shown(Compare(a, b, nil)); got != "" {
		t.Errorf("two hosts: got %s", got)
	}
	b.Status = 301
	if got, want := shown(Compare(a, b, nil)), "status: - 200 | + 301"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestManyDifferencesAreCut(t *testing.T) {
	for n, want := range map[int]string{6: "+ $[5]: 6", 7: "  … and 3 more lines", 100: "  … and 189 more lines"} {
		var a, b []string
		for i := range n {
			a, b = append(a, "0"), append(b, fmt.Sprint(i+1))
		}
		found := Compare(answer("["+strings.Join(a, ",")+"]"), answer("["+strings.Join(b, ",")+"]"), nil)
		if len(found) != 1 || len(found[0].Diff) != 12 || found[0].Diff[11] != want {
			t.Errorf("%d: got %v, want 12 lines, the last %q", n, found, want)
		}
		lines := Compare(text(strings.Join(a, "\n")), text(strings.Join(b, "\n")), nil)[0].Diff
		if len(lines) > maxLines || !strings.HasPrefix(strings.Join(lines, "\n"), "- 0\n- 0\n- 0\n- 0\n- 0\n") {
			t.Errorf("%d: got %q", n, lines)
		}
	}
}

func TestCheck(t *testing.T) {
	if err := Check([]string{"$.id", "$.items[*].at", "$..id", "$['a b'][0]"}); err != nil {
		t.Error(err)
	}
	err := Check([]string{"$.id", "id", "$["})
	if err == nil || !strings.Contains(err.Error(), `"id"`) || !strings.Contains(err.Error(), `"$["`) {
		t.Errorf("got %v, want both bad paths named", err)
	}
}

// FuzzCompare holds Compare to its laws: an answer is like itself, both directions find the same, and what is
// shown is short and printable.
func FuzzCompare(f *testing.F) {
	f.Add(`{"a":[1,{"b":null}]}`, `{"a":[1.0,{"b":"\u202e"}]}`, "application/json", "text/plain", "/x", "$..b")
	f.Add("one\ntwo", "one\n\x00", "text/plain; charset=UTF-8", "", "http://h:1/x", "$[?@.a==1]")
	f.Add("\xff", "[1e99999999999]", "a/b;c", ";", "//", "$['é'][0]")
	f.Fuzz(func(t *testing.T, bodyA, bodyB, typeA, typeB, at, path string) {
		a := Answer{Status: 200, Header: http.Header{"Content-Type": {typeA}, "Location": {at}}, Body: []byte(bodyA), Host: "h:1"}
		b := Answer{Status: 302, Header: http.Header{"Content-Type": {typeB}, "Location": {at + "?"}}, Body: []byte(bodyB)}
		ignore := []string{path}
		if Check(ignore) != nil {
			ignore = nil
		}
		if got := Compare(a, a, ignore); len(got) != 0 {
			t.Fatalf("an answer against itself: %v", got)
		}
		forth, back := Compare(a, b, ignore), Compare(b, a, ignore)
		if diff := cmp.Diff(whats(forth), whats(back)); diff != "" {
			t.Fatalf("the two directions differ: %s", diff)
		}
		for _, found := range append(forth, back...) {
			if len(found.Diff) == 0 || len(found.Diff) > 12 {
				t.Fatalf("%s: %d lines", found.What, len(found.Diff))
			}
			for _, l := range found.Diff {
				if utf8.RuneCountInString(l) > 160 || !strings.ContainsRune("-+ ", rune(l[0])) || strings.ContainsFunc(l, func(r rune) bool { return !unicode.IsPrint(r) }) {
					t.Fatalf("%s: bad line %q", found.What, l)
				}
			}
		}
	})
}

func whats(found []Finding) []string {
	var names []string
	for _, f := range found {
		names = append(names, f.What)
	}
	return names
}

func ExampleCompare() {
	goAnswer := Answer{Status: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(`{"id":1,"total":1250}`)}
	rustAnswer := Answer{Status: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(`{"total":1250.5,"id":2}`)}
	for _, found := range Compare(goAnswer, rustAnswer, []string{"$.id"}) {
		fmt.Println(found.What)
		for _, l := range found.Diff {
			fmt.Println(l)
		}
	}
	// Output:
	// body
	// - $.total: 1250
	// + $.total: 1250.5
}

// Messages of a WebSocket have a type and a body, and no status.
func TestMessages(t *testing.T) {
	check := func(a, b Answer, want string) {
		t.Helper()
		if got := shown(Compare(a, b, []string{"$.at"})); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	of := func(kind, body string) Answer { return Answer{Type: kind, Body: []byte(body)} }
	check(of("text", `{"a":1,"at":5}`), of("text", `{"at":6, "a":1.0}`), "")
	check(of("text", "a"), of("binary", "a"), "type: - text | + binary")
	check(of("text", "a"), of("text", "b"), "body: - a | + b")
	check(of("text", "a"), Answer{Status: 200, Body: []byte("a")}, "type: - text | + (none); status: - 0 | + 200")
}
