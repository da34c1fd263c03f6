package workload

import (
	"bytes"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

const sample = `# a comment
name: links
version: 2
about: reads are skewed, writes are rare
cores: 1
connections: 4
rate: 2000/s
arrivals: poisson
warm_up: 50
max_errors: "0.5%"
setup:
  - name: create
    repeat: 20
    method: POST
    path: /links
    headers: {content-type: application/json}
    body: '{"url": "https://example.com/{{hex 8}}/{{seq}}"}'
    expect: {status: 201}
    capture: {code: $.code, place: header:location}
requests:
  - name: read
    weight: 19
    path: /{{zipf "code"}}
    expect: {status: 302}
  - name: write
    weight: 1
    method: POST
    path: /links?x={{urlquery (words 2)}}
    headers:
      x-seq: "{{seq}}"
      Accept: '{{pick "a/b" "c/d"}}'
    body: |
      [{{range $i := n 3}}{{if $i}}, {{end}}{"id": {{$i}}, "n": {{int 1 9}}, "w": "{{word}}"}{{end}}]
    expect: {status: 201, contains: code}
`

func parsed(t *testing.T, text string) Workload {
	t.Helper()
	w, err := Parse("w.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func captures(n int) Captures {
	c := Captures{}
	for i := range n {
		c["code"] = append(c["code"], fmt.Sprintf("c%03d", i))
	}
	return c
}

func stream(t *testing.T, w Workload, seed uint64, c Captures, n int) []Message {
	t.Helper()
	m, err := Stream(w, seed, c, n)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestParse(t *testing.T) {
	w := parsed(t, sample)
	if w.Name != "links" || w.Version != 2 || w.Cores != CoresOne || w.Connections != 4 || w.WarmUp != 50 || w.MaxErrors != 0.005 {
		t.Errorf("got %+v", w)
	}
	if w.Rate != (Rate{PerSecond: 2000}) || w.Arrivals != ArrivalsPoisson {
		t.Errorf("rate, arrivals: got %+v, %q", w.Rate, w.Arrivals)
	}
	if got := w.Requests[0]; got.Method != "GET" || got.Weight != 19 || got.Expect.Status != 302 || got.Place != "w.yaml:21" {
		t.Errorf("requests[0]: got %+v", got)
	}
	if err := CheckCaptures(w, nil); err != nil {
		t.Error(err)
	}
	small := parsed(t, "name: x\nrequests:\n  - path: /\n")
	if small.Rate.Share != defaultShare || small.Connections != defaultConnections || small.Requests[0].Expect.Status != 200 || small.Cores != CoresOne || small.Arrivals != ArrivalsConstant {
		t.Errorf("defaults: got %+v", small)
	}
}

func TestParseErrors(t *testing.T) {
	const tail = "\nrequests: [{path: /}]\n"
	request := func(s string) string { return "name: x\nrequests:\n  - " + s + "\n" }
	socket := func(s string) string {
		return "name: x\nprotocol: websocket\npath: /ws\nrequests:\n  - " + s + "\n"
	}
	for _, c := range []struct{ text, want string }{
		{"", "w.yaml:1:1: the file is empty"},
		{"- a", "w.yaml:1:1: the file: expected a map, got a list"},
		{"name: X" + tail, `w.yaml:1:7: name "X": expected 1 to 40 of a-z, 0-9 and -, starting with a letter or digit`},
		{"nmae: x" + tail, `w.yaml:1:1: unexpected key "nmae": expected one of name, version, about, protocol, path, headers, cores, needs, connections, rate, arrivals, warm_up, max_errors, setup, requests`},
		{"name: x\nname: y" + tail, `w.yaml:2:1: duplicate key "name": first given in line 1`},
		{"name: x\n", `w.yaml:1:1: missing key "requests"`},
		{"name: x\nrequests: []\n", `w.yaml:2:11: requests has 0 items: expected 1 to 50`},
		{"name: x\nneeds: redis" + tail, `w.yaml:2:8: needs: expected one of postgres, got "redis"`},
		{"name: x\ncores: 2" + tail, `w.yaml:2:8: cores: expected one of 1, all, got the number 2`},
		{"name: x\nrate: fast" + tail, `w.yaml:2:7: rate "fast": expected a share of the capacity such as "40%" or requests a second such as 2000/s`},
		{"name: x\nrate: 0%" + tail, `w.yaml:2:7: rate 0%: expected a percentage from 1% to 100%`},
		{"name: x\nrate: 9999999/s" + tail, `w.yaml:2:7: rate 9999999/s: expected 1/s to 1000000/s`},
		{"name: x\narrivals: bursts" + tail, `w.yaml:2:11: arrivals: expected one of constant, poisson, got "bursts"`},
		{"name: x\narrivals: [poisson]" + tail, `w.yaml:2:11: arrivals: expected one of constant, poisson, got a list`},
		{"name: x\nconnections: 012" + tail, `w.yaml:2:14: connections: expected a whole number from 1 to 4096, got the number 012`},
		{"name: x\nconnections: 5000" + tail, `w.yaml:2:14: connections 5000: expected 1 to 4096`},
		{"name: x\nwarm_up:" + tail, `w.yaml:2:1: warm_up: expected a whole number from 0 to 100000, got nothing`},
		{"name: &a x" + tail, `w.yaml:1:7: unexpected anchor: anchors are not supported, repeat the value`},
		{"name: *a" + tail, `w.yaml:1:7: unexpected alias: aliases are not supported, repeat the value (or quote a leading *)`},
		{"name: !!binary x" + tail, `w.yaml:1:7: unexpected tag: tags are not supported (quote a leading !)`},
		{"name: x\n<<: {a: b}" + tail, `w.yaml:2:1: unexpected merge key: merge keys are not supported, repeat the values`},
		{"name: x\n---\nname: y\n", `w.yaml:2:1: unexpected second document: expected one`},
		{"name: \x00", "w.yaml:1:7: unexpected control character U+0000"},
		{"name: \xff", "w.yaml:1:7: unexpected bytes: expected UTF-8"},
		{request("path: links"), `w.yaml:3:11: path "links": expected a path starting with /`},
		{request("{path: /, method: FETCH}"), `w.yaml:3:23: method: expected one of GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS, got "FETCH"`},
		{request("{path: /, capture: {a: $.b}}"), `w.yaml:3:25: capture: only a setup request captures; the measured stream is fixed before the first answer`},
		{request("{path: /, headers: {Host: a}}"), `w.yaml:3:31: header "Host": the load generator sets it`},
		{request("{path: /, headers: {a: b, A: c}}"), `w.yaml:3:34: header "A": given as "a" too`},
		{request("{path: /, expect: {status: 99}}"), `w.yaml:3:32: status 99: expected 200 to 599`},
		{request("path: /{{nope}}"), `w.yaml:3:11: path: function "nope" not defined`},
		{request("path: /{{printf \"%99999d\" 1}}"), `w.yaml:3:11: path: function "printf": expected one of ["capture" "hex" "int" "n" "pick" "seq" "word" "words" "zipf" "and" "eq" "ge" "gt" "le" "lt" "ne" "not" "or" "print" "urlquery"]`},
		{request("path: /\n    body: |\n      a\n      {{int 5 1}}"), `w.yaml:6:1: body: <int 5 1>: error calling int: int 5 1: expected low, then high, within ±2^53`},
		{request("path: /\n    body: |\n      a\n      {{range 9}}{{end}}"), `w.yaml:6:1: body: range: expected "range n NUMBER" with a number from 1 to 10000`},
		{request("path: /\n    body: '{{range n 1000}}{{range n 1000}}{{end}}{{end}}'"), `w.yaml:4:11: body: range: expected at most 10000 turns and 3 levels in all`},
		{request(`path: /{{define "a"}}{{template "a"}}{{end}}`), `w.yaml:3:11: path: unexpected define: a template is one text`},
		{request(`path: /{{$a := "x"}}{{$a = print $a $a}}`), `w.yaml:3:11: path: unexpected assignment: a variable is declared once, with :=`},
		{request(`path: /{{capture 1}}`), `w.yaml:3:11: path: capture: expected the name of a capture in quotes`},
		{"name: x\nsetup: [{path: /, capture: {a: b}}]" + tail, `w.yaml:2:32: a "b": expected a path such as "$.data[0].id" or "header:location"`},
		{"name: x\nsetup: [{path: /, capture: {a: $.b}}, {path: /, capture: {a: $.b}}]" + tail, `w.yaml:2:40: capture "a": an earlier request captures it already`},
		{"name: x\nprotocol: tcp" + tail, `w.yaml:2:11: protocol: expected one of http, websocket, got "tcp"`},
		{"name: x\npath: /ws" + tail, `w.yaml:2:7: path: only a workload with protocol: websocket has it; an HTTP request has its own`},
		{"name: x\nprotocol: websocket\nrequests: [{body: a}]\n", `w.yaml:1:1: missing key "path": where a WebSocket is opened`},
		{socket("{path: /, body: a}"), `w.yaml:5:12: path: a WebSocket message has none; path and headers of the request that opens the connection stand beside protocol`},
		{socket("{name: a}"), `w.yaml:5:6: missing key "body"`},
		{socket("{body: a, expect: {status: 200}}"), `w.yaml:5:32: status: a WebSocket message has none; opening the connection must be answered by 101`},
		{socket("{body: a, expect: {echo: 1}}"), `w.yaml:5:30: echo: expected true or false, got the number 1`},
		{socket("{body: a, capture: {b: $.c}}"), `w.yaml:5:25: capture: only a setup request captures; the measured stream is fixed before the first answer`},
		{socket("{body: a, type: ping}"), `w.yaml:5:21: type: expected one of text, binary, got "ping"`},
		{socket("{text: a}"), `w.yaml:5:6: unexpected key "text": expected one of name, type, body, expect, weight`},
		{"name: x\nprotocol: websocket\npath: /\nheaders: {Upgrade: b}\nrequests: [{body: a}]\n", `w.yaml:4:20: header "Upgrade": the load generator sets it`},
		{request("{path: /, expect: {echo: true}}"), `w.yaml:3:30: echo: only a workload with protocol: websocket expects its messages back`},
		{request("{path: /, type: text}"), `w.yaml:3:21: type: only a workload with protocol: websocket has messages of a type`},
		{strings.Repeat("[", 40), "w.yaml:1:17: too deep: expected at most 16 levels"},
		{strings.Repeat("- ", 40), "w.yaml:1:33: too deep: expected at most 16 levels"},
		{strings.Repeat("x", 70000), "w.yaml:1:1: the file has 70000 bytes: expected at most 65536"},
	} {
		_, err := Parse("w.yaml", []byte(c.text))
		if err == nil || err.Error() != c.want {
			t.Errorf("%.80q:\n got %v\nwant %v", c.text, err, c.want)
		}
	}
}

func TestCheckCaptures(t *testing.T) {
	w := parsed(t, "name: x\nrequests:\n  - path: /{{capture \"id\"}}\n")
	want := `w.yaml:3: request GET /{{capture "id"}}: capture "id": no setup request before it captures that: expected one of []`
	if err := CheckCaptures(w, nil); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if err := CheckCaptures(w, []Request{{Path: "/", Capture: map[string]string{"id": "$.id"}}}); err != nil {
		t.Errorf("with duet.yml's setup: %v", err)
	}
}

func TestStreamIsDeterministic(t *testing.T) {
	w := parsed(t, sample)
	a, b := stream(t, w, 7, captures(20), 400), stream(t, w, 7, captures(20), 400)
	if !reflect.DeepEqual(a, b) {
		t.Error("the same seed gave two streams")
	}
	if !reflect.DeepEqual(a[:150], stream(t, w, 7, captures(20), 150)) {
		t.Error("a shorter stream is not a prefix of a longer one")
	}
	if reflect.DeepEqual(a, stream(t, w, 8, captures(20), 400)) {
		t.Error("two seeds gave one stream")
	}
	other := w
	other.Name = "other"
	if reflect.DeepEqual(a, stream(t, other, 7, captures(20), 400)) {
		t.Error("two workloads gave one stream")
	}
	// Golden: a change here breaks every series and every cross-machine pairing.
	if got, want := a[0].Path+" "+a[1].Path+" "+a[2].Path, goldenPaths; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

const goldenPaths = "/c000 /c002 /c001"

func TestStreamMix(t *testing.T) {
	w := parsed(t, sample)
	counts := map[string]int{}
	for i, m := range stream(t, w, 1, captures(20), 200) {
		counts[m.Name]++
		if i%20 == 19 && counts["write"] != (i+1)/20 {
			t.Fatalf("after %d messages: %d writes, want %d: a deck holds exactly one", i+1, counts["write"], (i+1)/20)
		}
	}
}

func TestStreamMessages(t *testing.T) {
	for i, m := range stream(t, parsed(t, sample), 3, captures(20), 60) {
		if m.Name != "write" {
			continue
		}
		want := []Header{{"Accept", ""}, {"x-seq", fmt.Sprint(i + 1)}}
		want[0].Value = m.Headers[0].Value
		if !reflect.DeepEqual(m.Headers, want) {
			t.Errorf("headers: got %v, want %v", m.Headers, want)
		}
		if !bytes.HasPrefix(m.Body, []byte(`[{"id": 0, "n": `)) || bytes.Count(m.Body, []byte(`"id"`)) != 3 {
			t.Errorf("body: got %s", m.Body)
		}
		if !strings.HasPrefix(m.Path, "/links?x=") || strings.Contains(m.Path, " ") {
			t.Errorf("path: got %s", m.Path)
		}
	}
}

func TestZipfIsSkewed(t *testing.T) {
	w := parsed(t, "name: x\nrequests:\n  - path: /{{zipf \"code\"}}\n")
	counts := map[string]int{}
	for _, m := range stream(t, w, 1, captures(100), 10_000) {
		counts[m.Path]++
	}
	// Expected: 10,000 ÷ H(100) ÷ k = 1,928 ÷ k; four standard errors to each side.
	for k, want := range map[int]float64{1: 1928, 2: 964, 10: 193} {
		got := float64(counts[fmt.Sprintf("/c%03d", k-1)])
		if se := 4 * sqrt(want); got < want-se || got > want+se {
			t.Errorf("value %d: drawn %v times, want %v ± %v", k, got, want, se)
		}
	}
}

func sqrt(x float64) float64 {
	z := x
	for range 50 {
		z -= (z*z - x) / (2 * z)
	}
	return z
}

func TestStreamRefuses(t *testing.T) {
	for _, c := range []struct {
		request Request
		want    string
	}{
		{Request{Name: "r", Path: `/{{capture "id"}}`, Place: "w.yaml:3"}, `w.yaml:3: request r: path: <capture "id">: error calling capture: capture "id": nothing was captured under that name: expected one of ["code"]`},
		{Request{Name: "r", Path: `/{{words 2}}`}, `request r: path "/`},
		{Request{Name: "r", Path: `/`, Headers: map[string]string{"a": `{{pick "b\r\nhost: c"}}`}}, `request r: header a: "b\r\nhost: c": expected printable ASCII`},
		{Request{Name: "r", Path: `/`, Body: `{{range n 10000}}{{$x := words 30}}{{end}}`}, `more than 200000 draws in one message`},
		{Request{Name: "r", Path: `/`, Body: `{{$a := print 1}}` + strings.Repeat(`{{$a := print $a $a}}`, 40)}, `print: expected at most 65536 bytes`},
		{Request{Name: "r", Path: `/`, Body: strings.Repeat(`{{range n 10000}}xxxxxxxxxxxx{{end}}`, 10)}, `more than 1048576 bytes`},
	} {
		_, err := Stream(Workload{Name: "w", Requests: []Request{c.request}}, 1, captures(2), 10)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

func TestWebSocketStream(t *testing.T) {
	w := parsed(t, `name: chat
path: /ws/{{capture "code"}}?n={{int 1 9}}
headers: {authorization: 'Bearer {{capture "code"}}'}
protocol: websocket
setup: [{path: /login, capture: {code: $.code}}]
requests:
  - {name: line, weight: 3, body: '{{seq}} {{words 3}} ✓', expect: {echo: true}}
  - {type: binary, body: '{{hex 8}}', expect: {contains: a}}
`)
	if err := CheckCaptures(w, nil); err != nil {
		t.Error(err)
	}
	opening, err := Opening(w, 1, captures(3))
	if err != nil || opening.Method != "GET" || !strings.HasPrefix(opening.Path, "/ws/c00") || len(opening.Headers) != 1 || opening.Expect.Status != 101 {
		t.Errorf("got %+v, %v", opening, err)
	}
	if again, err := Opening(w, 1, captures(3)); err != nil || !reflect.DeepEqual(again, opening) {
		t.Errorf("the same seed gave another opening: %+v, %v", again, err)
	}
	messages := stream(t, w, 1, captures(3), 40)
	kinds := map[string]int{}
	for _, m := range messages {
		kinds[m.Type+" "+m.Name]++
		if m.Method != "" || m.Path != "" || m.Headers != nil || m.Expect.Status != 0 {
			t.Errorf("got %+v, want a message alone", m)
		}
	}
	if kinds["text line"] != 30 || kinds["binary message"] != 10 {
		t.Errorf("got %v", kinds)
	}
	without := w
	without.Setup = nil
	want := `w.yaml:2: request opening: capture "code": no setup request before it captures that: expected one of []`
	if err := CheckCaptures(without, nil); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	bad := Captures{"code": {"\xff"}}
	w.Requests = []Request{{Body: `{{capture "code"}}`}}
	if _, err := Stream(w, 1, bad, 1); err == nil || !strings.Contains(err.Error(), "a text message is UTF-8") {
		t.Errorf("got %v", err)
	}
}

func TestCheckReply(t *testing.T) {
	check := func(e Expect, kind, body, want string) {
		t.Helper()
		err := Message{Type: TypeText, Body: []byte("hello"), Expect: e}.CheckReply(kind, []byte(body))
		if want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("%+v, %s %q: got %v, want %q", e, kind, body, err, want)
		}
	}
	check(Expect{}, TypeBinary, "any", "")
	check(Expect{Echo: true}, TypeText, "hello", "")
	check(Expect{Echo: true}, TypeBinary, "hello", "a binary message: expected the text message back")
	check(Expect{Echo: true}, TypeText, "hallo", "5 other bytes: expected the message of 5 bytes back")
	check(Expect{Contains: "ell"}, TypeText, "hello", "")
	check(Expect{Contains: "ello!"}, TypeText, "hello", `body without "ello!"`)
}

func TestSetupMessages(t *testing.T) {
	w := parsed(t, sample)
	m, err := SetupMessages(w.Setup[0], 5, nil)
	if err != nil || len(m) != 20 {
		t.Fatalf("got %d messages, %v", len(m), err)
	}
	if bytes.Equal(m[0].Body, m[1].Body) || !bytes.HasSuffix(m[19].Body, []byte(`/20"}`)) {
		t.Errorf("got %s and %s … %s", m[0].Body, m[1].Body, m[19].Body)
	}
	again, err := SetupMessages(w.Setup[0], 5, nil)
	if err != nil || !reflect.DeepEqual(m, again) {
		t.Errorf("the same seed gave other messages: %v", err)
	}
}

func TestExtract(t *testing.T) {
	body := `{"a": {"b": [10, {"c d": "x"}]}, "t": true, "big": 12345678901234567890, "none": null}`
	header := http.Header{"Location": {"/x/1"}}
	for _, c := range []struct{ source, want, wrong string }{
		{source: "$.a.b[0]", want: "10"},
		{source: "$.a.b[1]['c d']", want: "x"},
		{source: "$['t']", want: "true"},
		{source: "$.big", want: "12345678901234567890"},
		{source: "header:location", want: "/x/1"},
		{source: "header:nope", wrong: "the answer has no such header"},
		{source: "$.a.b[2]", wrong: "the answer has no [2]"},
		{source: "$.a.z", wrong: "the answer has no z"},
		{source: "$.none", wrong: "expected a string, a number or a truth value"},
		{source: "$", wrong: "expected a string, a number or a truth value"},
	} {
		got, err := Extract(Request{Name: "r", Capture: map[string]string{"v": c.source}}, 200, header, []byte(body))
		if c.wrong != "" {
			if want := "request r: capture v: " + c.source + ": " + c.wrong; err == nil || err.Error() != want {
				t.Errorf("%s: got %v, want %s", c.source, err, want)
			}
		} else if err != nil || got["v"] != c.want {
			t.Errorf("%s: got %q, %v, want %q", c.source, got["v"], err, c.want)
		}
	}
	if _, err := Extract(Request{Name: "r"}, 500, nil, nil); err == nil || err.Error() != "request r: status 500: expected 200" {
		t.Errorf("a bad answer: got %v", err)
	}
	if _, err := Extract(Request{Name: "r", Capture: map[string]string{"v": "$.a"}}, 200, nil, []byte("<html>")); err == nil {
		t.Error("an answer that is not JSON gave a capture")
	}
}

// What needs a database is not held to one core, unless it says so.
func TestNeedsFreesTheCores(t *testing.T) {
	check := func(keys, needs, cores string) {
		t.Helper()
		w, err := Parse("w.yaml", []byte("name: x\n"+keys+"requests: [{path: /}]\n"))
		if err != nil || w.Needs != needs || w.Cores != cores {
			t.Errorf("%q: got needs %q, cores %q, %v, want %q, %q", keys, w.Needs, w.Cores, err, needs, cores)
		}
	}
	check("", "", CoresOne)
	check("cores: all\n", "", CoresAll)
	check("needs: postgres\n", NeedsPostgres, CoresAll)
	check("needs: postgres\ncores: 1\n", NeedsPostgres, CoresOne)
	check("cores: 1\nneeds: postgres\n", NeedsPostgres, CoresOne)
}
