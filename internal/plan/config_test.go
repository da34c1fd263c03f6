package plan

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/duet-bench/duet/internal/workload"
)

var update = flag.Bool("update", false, "write the published schemas")

const two = "services:\n  - {lang: go, dir: a}\n  - {lang: rust, dir: b}\n"

func config(t *testing.T, text string) *Config {
	t.Helper()
	c, err := ParseConfig("duet.yml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return &c
}

func TestParseConfig(t *testing.T) {
	c := config(t, `
services:
  - name: api
    lang: go
    dir: ../other
    build: [make, api, -j, 2]
    binary: bin/api
    run: [--port, "{port}", --verbose, true]
    env: {DEBUG: 1, LEVEL: info, EMPTY: ""}
    pass_env: [DATABASE_URL]
    ready: {path: /ready, timeout: 1m30s}
    files: [templates, config/app.toml]
    port: 8080
  - {lang: rust, ready: /up}
workloads: [health, ./bench/mine.yaml]
setup:
  - {method: POST, path: /login, body: '{"user": "{{word}}"}', capture: {token: $.token}}
parity: {ignore: ["$.id"], requests: 5}
margins: {p50: 2%, peak_rss: "10.5%"}
budget: 5m
measure: {slice: 10ms, rounds: [8, 20], pin: false, count: 30s}
ignore: ["docs/**"]
policy: {gate: regression, isolation: strict, self-hosted-forks: allow}
nightly: {label: "slow: main", title: main is slower, anchor: 0123456789abcdef0123456789abcdef01234567, bisect: 1h}
`)
	want := []Service{{
		Name: "api", Lang: Go, Dir: "../other", Build: []string{"make", "api", "-j", "2"}, Binary: "bin/api",
		Run: []string{"--port", "{port}", "--verbose", "true"}, Env: map[string]string{"DEBUG": "1", "LEVEL": "info", "EMPTY": ""},
		PassEnv: []string{"DATABASE_URL"}, Ready: Ready{"/ready", 90 * time.Second}, Files: []string{"templates", "config/app.toml"}, Port: 8080,
	}, {Name: "rust", Lang: Rust, Dir: ".", Ready: Ready{"/up", defaultReady}}}
	if !reflect.DeepEqual(c.Services, want) {
		t.Errorf("services:\n got %+v\nwant %+v", c.Services, want)
	}
	if got, want := c.Pairs, []Pair{{"api-rust", "api", "rust"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("pairs: got %v, want %v", got, want)
	}
	if want := (Measure{10 * time.Millisecond, []int{8, 20}, false, 30 * time.Second, 30 * time.Second}); !reflect.DeepEqual(c.Measure, want) {
		t.Errorf("measure: got %+v, want %+v", c.Measure, want)
	}
	if c.Margins["p50"] != 0.02 || c.Margins["peak_rss"] != 0.105 || c.Budget != 5*time.Minute || c.Parity.Requests != 5 {
		t.Errorf("got %+v", c)
	}
	if want := (Policy{GateRegression, IsolationStrict, ForksAllow}); c.Policy != want {
		t.Errorf("policy: got %+v, want %+v", c.Policy, want)
	}
	if want := (Nightly{"slow: main", "main is slower", "0123456789abcdef0123456789abcdef01234567", time.Hour}); c.Nightly != want {
		t.Errorf("nightly: got %+v, want %+v", c.Nightly, want)
	}
}

func TestParseConfigDefaults(t *testing.T) {
	c := config(t, two)
	if got, want := c.Pairs, []Pair{{"go-rust", "go", "rust"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("pairs: got %v, want %v", got, want)
	}
	if c.Budget != DefaultBudget || !reflect.DeepEqual(c.Workloads, []string{"health"}) || !reflect.DeepEqual(c.Ignore, []string{"**/*.md"}) {
		t.Errorf("got %+v", c)
	}
	if want := (Policy{GateNever, IsolationBasic, ForksRefuse}); c.Policy != want {
		t.Errorf("policy: got %+v, want %+v", c.Policy, want)
	}
	if want := (Nightly{Label: "duet-nightly", Title: "Duet: the default branch has become slower", Bisect: 20 * time.Minute}); c.Nightly != want {
		t.Errorf("nightly: got %+v, want %+v", c.Nightly, want)
	}
	if want := (Measure{25 * time.Millisecond, []int{7, 11, 15}, true, 2 * time.Minute, 30 * time.Second}); !reflect.DeepEqual(c.Measure, want) {
		t.Errorf("measure: got %+v, want %+v", c.Measure, want)
	}
	if got := config(t, "services: [{lang: go}]\n").Pairs; got != nil {
		t.Errorf("one service has pairs: %v", got)
	}
	if got := config(t, two+"pairs: []\n").Pairs; got != nil {
		t.Errorf("pairs: [] has pairs: %v", got)
	}
}

func TestMatrix(t *testing.T) {
	c := config(t, "services: [{name: gin, lang: go}, {name: chi, lang: go}, {name: axum, lang: rust}, {name: actix, lang: rust}]\n"+
		"matrix: {go: [gin, chi], rust: [axum, actix]}\n")
	want := []Pair{{"gin-axum", "gin", "axum"}, {"gin-actix", "gin", "actix"}, {"chi-axum", "chi", "axum"}, {"chi-actix", "chi", "actix"}}
	if !reflect.DeepEqual(c.Pairs, want) {
		t.Errorf("pairs: got %v, want %v", c.Pairs, want)
	}
}

// documents are judged by the parser and by the published schema. Unless beyond is set, they must agree: beyond
// are refusals that a JSON Schema cannot express.
func documents() []struct{ text, err, beyond string } {
	service := func(s string) string { return "services: [{lang: go, " + s + "}]\n" }
	const (
		semantic = "needs the whole document"
		bounds   = "bounds of a spelled quantity"
		syntax   = "YAML, before any schema"
	)
	const local = "expected a relative path with forward slashes that stays below its folder"
	const parts = "; no part is .. or .git or starts with -"
	return []struct{ text, err, beyond string }{
		{text: two},
		{text: service("port: 8080")},
		{text: service("name: a_b-1, dir: ./x/y, binary: bin/x")},
		{text: service("dir: .")},
		{text: service("dir: ../other/sub")},
		{text: service("build: [make], binary: x")},
		{text: service("run: [--port, 8080, true, 1.5]")},
		{text: service("env: {A: 1, B: true, C: x, D: ''}")},
		{text: service("ready: {timeout: 100ms}")},
		{text: service("ready: /up?x=1")},
		{text: two + "pairs: [{go: go, rust: rust}]"},
		{text: two + "workloads: [health, bench/x.yaml, ./y.yaml]"},
		{text: two + "setup: [{path: /login, repeat: 3, capture: {token: \"header:x-token\"}}]"},
		{text: two + "budget: 1m30s\nmargins: {p50: 0.5%}\nignore: []\nparity: {}\npolicy: {}"},
		{text: two + "measure: {slice: 5ms, rounds: [9], pin: false, count: 0s}"},
		{text: two + "measure: {slice: 100ms, rounds: [7, 20, 50], pin: true, count: 1h}"},
		{text: two + "measure: {}"},
		{text: two + "resources: {postgres: {schema: db/schema.sql, data: ./db/data.sql, connect: tcp}}"},
		{text: two + "resources: {postgres: {url_env: BENCH_DATABASE_URL}}"},
		{text: two + "resources: {postgres: {}}"},
		{text: two + "resources: {}"},
		{text: two + "nightly: {}"},
		{text: two + "nightly: {label: perf, title: Slower, bisect: 0s, anchor: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}"},
		{text: two + "# a comment\n"},

		{text: two + "nightly: {label: 'a,b'}", err: `4:18: label "a,b": expected 2 to 50 of letters, digits, blanks and . _ : / -, the first and the last a letter or a digit`},
		{text: two + "nightly: {title: ' '}", err: `4:18: title " ": expected 2 to 200 printable ASCII characters`},
		{text: two + "nightly: {anchor: main}", err: `4:19: anchor "main": expected a commit's full sha`},
		{text: two + "nightly: {bisect: 7h}", err: `4:19: bisect 7h: expected 0s to 6h`, beyond: bounds},
		{text: two + "nightly: {when: 3h}", err: `4:11: unexpected key "when": expected one of label, title, anchor, bisect`},

		{text: "services: []", err: "1:11: services has 0 items: expected 1 to 16"},
		{text: "workloads: [health]", err: `1:1: missing key "services"`},
		{text: "services: {lang: go}", err: "1:12: services: expected a list, got a map"},
		{text: "services: [{dir: a}]", err: `1:13: missing key "lang"`},
		{text: "services: [{lang: Go}]", err: `1:19: lang: expected one of go, rust, got "Go"`},
		{text: service("prot: 1"), err: `1:23: unexpected key "prot": expected one of name, lang, dir, build, binary, run, env, pass_env, ready, files, port, pprof`},
		{text: service("name: -x"), err: `1:29: name "-x": expected 1 to 40 of a-z, 0-9, _ and -, not starting with -`},
		{text: service("name: " + strings.Repeat("x", 41)), err: `1:29: name "` + strings.Repeat("x", 41) + `": expected 1 to 40 of a-z, 0-9, _ and -, not starting with -`},
		{text: service("name: 8"), err: "1:29: name: expected text, got the number 8 (put quotes around it)"},
		{text: service("port: 0"), err: "1:29: port 0: expected 1 to 65535"},
		{text: service("port: 65536"), err: "1:29: port 65536: expected 1 to 65535"},
		{text: service("port: '80'"), err: `1:29: port: expected a whole number from 1 to 65535, got "80"`},
		{text: service("port: 1.5"), err: `1:29: port: expected a whole number from 1 to 65535, got the number 1.5`},
		{text: service("port: 010"), err: `1:29: port: expected a whole number from 1 to 65535, got the number 010`, beyond: syntax},
		{text: service("port:"), err: "1:23: port: expected a whole number from 1 to 65535, got nothing"},
		{text: service("dir: /etc"), err: `1:28: dir "/etc": expected a path below the repository, or ../NAME for a second checkout beside it`},
		{text: service("dir: ../.."), err: `1:28: dir "../..": expected a path below the repository, or ../NAME for a second checkout beside it`},
		{text: service("dir: .."), err: `1:28: dir "..": expected a path below the repository, or ../NAME for a second checkout beside it`},
		{text: service("dir: ../"), err: `1:28: dir "../": expected a path below the repository, or ../NAME for a second checkout beside it`},
		{text: service("dir: ../-x"), err: `1:28: dir "../-x": expected a path below the repository, or ../NAME for a second checkout beside it`},
		{text: service("dir: a/../../b"), err: `1:28: dir "a/../../b": expected a path below the repository, or ../NAME for a second checkout beside it`},
		{text: service("dir: -x"), err: `1:28: dir "-x": expected a path below the repository, or ../NAME for a second checkout beside it`},
		{text: service("dir: a/.git/hooks"), err: `1:28: dir "a/.git/hooks": expected a path below the repository, or ../NAME for a second checkout beside it`},
		{text: service(`dir: 'a\b'`), err: `1:28: dir "a\\b": expected a path below the repository, or ../NAME for a second checkout beside it`},
		{text: service("binary: ../x"), err: `1:31: binary "../x": ` + local + parts},
		{text: service("binary: ."), err: `1:31: binary ".": ` + local},
		{text: service("files: [a, b/-c]"), err: `1:34: files[1] "b/-c": ` + local + parts},
		{text: service("build: [make]"), err: `1:13: service "go": build needs binary, the path of what it makes`},
		{text: service("build: [], binary: x"), err: "1:30: build has 0 items: expected 1 to 100"},
		{text: service("build: make x"), err: `1:30: build: expected a list, got "make x"`},
		{text: service("run: [a, [b]]"), err: "1:32: run[1]: expected text, got a list"},
		{text: service("env: {1A: x}"), err: `1:33: env "1A": expected a variable's name: letters, digits and _`},
		{text: service("env: {HOME: x}"), err: `1:35: env "HOME": expected another name: Duet sets ADDR, HOME, PORT and TMPDIR`},
		{text: service("env: {A: [x]}"), err: "1:32: A: expected text, got a list"},
		{text: service("pass_env: [GITHUB_TOKEN]"), err: `1:34: pass_env[0] "GITHUB_TOKEN": expected a variable that is not the runner's: ACTIONS_*, GITHUB_*, INPUT_* and RUNNER_* are never passed on`},
		{text: service("pass_env: [actions_foo]"), err: `1:34: pass_env[0] "actions_foo": expected a variable that is not the runner's: ACTIONS_*, GITHUB_*, INPUT_* and RUNNER_* are never passed on`},
		{text: service("ready: up"), err: `1:30: ready "up": expected a path starting with /, of printable ASCII without spaces or #`},
		{text: service("ready: {timeout: 10}"), err: "1:40: timeout: expected 100ms to 5m, such as 100ms, got the number 10"},
		{text: service("ready: {timeout: 10m}"), err: "1:40: timeout 10m: expected 100ms to 5m", beyond: bounds},
		{text: service("ready: {timeout: -1s}"), err: `1:40: timeout: expected 100ms to 5m, such as 100ms, got "-1s"`},
		{text: "services: [{lang: go}, {lang: go}]", err: `1:25: service "go": another service is called so`, beyond: semantic},
		{text: two + "matrix: {go: [go], rust: [rust]}"},
		{text: two + "matrix: {go: [go]}", err: `4:10: missing key "rust"`},
		{text: two + "matrix: {go: [], rust: [rust]}", err: "4:14: go has 0 items: expected 1 to 16"},
		{text: two + "matrix: {go: [go, go], rust: [rust]}", err: `4:19: go[1] "go": expected each one once`},
		{text: two + "matrix: {go: [rust], rust: [rust]}", err: `4:10: pair "rust-rust": no go service "rust": expected one of ["go"]`, beyond: semantic},
		{text: two + "matrix: {go: [a, b, c, d, e], rust: [f, g, h, i]}", err: "4:10: matrix: 5 × 4 services make 20 pairs: expected at most 16", beyond: semantic},
		{text: two + "pairs: []\nmatrix: {go: [go], rust: [rust]}", err: "5:10: pairs and matrix: expected one of them"},
		{text: two + "matrix: {go: [go], rust: [rust]}\npairs: []", err: "5:8: pairs and matrix: expected one of them"},
		{text: two + "pairs: [{go: go}]", err: `4:10: missing key "rust"`},
		{text: two + "pairs: [{go: rust, rust: go}]", err: `4:10: pair "rust-go": no go service "rust": expected one of ["go"]`, beyond: semantic},
		{text: "services: [{lang: go}]\n" + "pairs: [{go: go, rust: rust}]", err: "2:10: pair \"go-rust\": no rust service \"rust\": no service has `lang: rust`", beyond: semantic},
		{text: two + "workloads: []", err: "4:12: workloads has 0 items: expected 1 to 20"},
		{text: two + "workloads: [health, health]", err: `4:21: workloads[1] "health": expected each one once`},
		{text: two + "workloads: [../x.yaml]", err: `4:13: workloads[0] "../x.yaml": expected a name (1 to 40 of a-z, 0-9 and -) or a path below the repository such as ./bench/mine.yaml`},
		{text: two + "workloads: [Health]", err: `4:13: workloads[0] "Health": expected a name (1 to 40 of a-z, 0-9 and -) or a path below the repository such as ./bench/mine.yaml`},
		{text: two + "budget: 9000h", err: "4:9: budget 9000h: expected 1s to 6h", beyond: bounds},
		{text: two + "budget: 10", err: "4:9: budget: expected 1s to 6h, such as 1s, got the number 10"},
		{text: two + "budget: soon", err: `4:9: budget: expected 1s to 6h, such as 1s, got "soon"`},
		{text: two + "margins: {p50: 2}", err: "4:16: p50: expected a percentage from 0.1% to 100%, got the number 2"},
		{text: two + "margins: {p50: 0%}", err: "4:16: p50 0%: expected a percentage from 0.1% to 100%", beyond: bounds},
		{text: two + "margins: {P50: 2%}", err: `4:16: margin "P50": expected a metric's name`},
		{text: two + "measure: {slice: 4ms}", err: "4:18: slice 4ms: expected 5ms to 100ms", beyond: bounds},
		{text: two + "measure: {slice: 101ms}", err: "4:18: slice 101ms: expected 5ms to 100ms", beyond: bounds},
		{text: two + "measure: {slice: 25}", err: "4:18: slice: expected 5ms to 100ms, such as 5ms, got the number 25"},
		{text: two + "measure:\n  rounds: []", err: "5:11: rounds has 0 items: expected 1 to 3"},
		{text: two + "measure:\n  rounds: [7, 8, 9, 10]", err: "5:11: rounds has 4 items: expected 1 to 3"},
		{text: two + "measure:\n  rounds: [6, 11]", err: "5:12: rounds[0] 6: expected 7 to 50"},
		{text: two + "measure:\n  rounds: [7, 51]", err: "5:15: rounds[1] 51: expected 7 to 50"},
		{text: two + "measure:\n  rounds: [7, 7]", err: "5:15: rounds[1] 7: expected more than the 7 before it"},
		{text: two + "measure:\n  rounds: [11, 7]", err: "5:16: rounds[1] 7: expected more than the 11 before it", beyond: semantic},
		{text: two + "measure: {rounds: 7}", err: "4:19: rounds: expected a list, got the number 7"},
		{text: two + "measure: {pin: no}", err: `4:16: pin "no": expected true or false`},
		{text: two + "measure: {pin: 1}", err: `4:16: pin "1": expected true or false`},
		{text: two + "measure: {count: 61m}", err: "4:18: count 61m: expected 0s to 1h", beyond: bounds},
		{text: two + "measure: {counts: 1m}", err: `4:11: unexpected key "counts": expected one of slice, rounds, pin, count, profile`},
		{text: two + "resources: {redis: {}}", err: `4:13: unexpected key "redis": expected one of postgres`},
		{text: two + "resources: {postgres: true}", err: "4:23: postgres: expected a map, got true"},
		{text: two + "resources: {postgres: {schema: /etc/passwd}}", err: `4:32: schema "/etc/passwd": ` + local},
		{text: two + "resources: {postgres: {data: ../x.sql}}", err: `4:30: data "../x.sql": ` + local + parts},
		{text: two + "resources: {postgres: {url: 'postgres://me:pw@h/d'}}", err: `4:24: unexpected key "url": expected one of schema, data, url_env, connect`},
		{text: two + "resources: {postgres: {url_env: GITHUB_TOKEN}}", err: `4:33: url_env "GITHUB_TOKEN": expected a variable that is not the runner's: ACTIONS_*, GITHUB_*, INPUT_* and RUNNER_* are never passed on`},
		{text: two + "resources: {postgres: {connect: udp}}", err: `4:33: connect: expected one of socket, tcp, got "udp"`},
		{text: two + "resources: {postgres: {url_env: A, connect: tcp}}", err: "4:24: postgres: connect is for the server that Duet starts: the URL in url_env says how to reach another one"},
		{text: "services: [{lang: go, env: {DATABASE_URL: x}}]\nresources: {postgres: {}}", err: "2:23: postgres: it sets DATABASE_URL for every service: expected it neither in env nor in pass_env of go", beyond: semantic},
		{text: "services: [{lang: go, pass_env: [PGUSER]}]\nresources: {postgres: {}}", err: "2:23: postgres: it sets PGUSER for every service: expected it neither in env nor in pass_env of go", beyond: semantic},
		{text: two + "ignore: [/x]", err: `4:10: ignore[0] "/x": expected a pattern such as **/*.md, relative to the repository`},
		{text: two + "ignore: ['[']", err: `4:10: ignore[0] "[": expected a pattern such as **/*.md, relative to the repository`, beyond: semantic},
		{text: two + "parity: {ignore: [id]}", err: `4:19: ignore[0] "id": expected a path such as "$.id"`},
		{text: two + "parity: {requests: 0}", err: "4:20: requests 0: expected 1 to 1000"},
		{text: two + "policy: {gate: always}", err: `4:16: gate: expected one of never, regression, inconclusive, got "always"`},
		{text: two + "policy: {isolation: none}", err: `4:21: isolation: expected one of basic, container, strict, got "none"`},
		{text: two + "policy: {self-hosted-forks: yes}", err: `4:29: self-hosted-forks: expected one of refuse, allow, got "yes"`},
		{text: two + "setup: [{path: /, weight: 2}]", err: `4:19: unexpected key "weight": expected one of name, method, path, headers, body, expect, repeat, capture`},
		{text: two + "setup: [{path: '/{{nope}}'}]", err: `4:16: path: function "nope" not defined`, beyond: semantic},
		{text: two + "budget: 1m\nbudget: 2m", err: `5:1: duplicate key "budget": first given in line 4`, beyond: syntax},
		{text: two + "margins: &a {p50: 2%}", err: "4:10: unexpected anchor: anchors are not supported, repeat the value", beyond: syntax},
		{text: two + "margins: {<<: {p50: 2%}}", err: "4:11: unexpected merge key: merge keys are not supported, repeat the values", beyond: syntax},
		{text: two + "budget: !!str 2m", err: "4:9: unexpected tag: tags are not supported (quote a leading !)", beyond: syntax},
		{text: two + "\tbudget: 2m", err: "4:1: found character '	' that cannot start any token", beyond: syntax},
		{text: two + "---\n" + two, err: "4:1: unexpected second document: expected one", beyond: syntax},
		{text: "# nothing\n", err: "1:1: the file is empty", beyond: syntax},
	}
}

func TestConfigErrors(t *testing.T) {
	for _, d := range documents() {
		_, err := ParseConfig("duet.yml", []byte(d.text))
		if d.err == "" {
			if err != nil {
				t.Errorf("%s\nrefused: %v", d.text, err)
			}
			continue
		}
		if err == nil {
			t.Errorf("%s\naccepted, want %s", d.text, d.err)
			continue
		}
		var usage *UsageError
		if err.Error() != "duet.yml:"+d.err || !errors.As(err, &usage) {
			t.Errorf("%s\n got %v\nwant duet.yml:%s", d.text, err, d.err)
		}
	}
}

func schema(t *testing.T, text []byte) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", document); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConfigSchemaAgreesWithParser(t *testing.T) {
	s := schema(t, ConfigSchema())
	judged := 0
	for _, d := range documents() {
		if d.beyond != "" {
			continue
		}
		judged++
		var document any
		if err := yaml.Unmarshal([]byte(d.text), &document); err != nil {
			t.Errorf("%s\n%v", d.text, err)
			continue
		}
		if err := s.Validate(jsonable(document)); (err == nil) != (d.err == "") {
			t.Errorf("%s\nschema says %v, parser says %q", d.text, err, d.err)
		}
	}
	if judged < 40 {
		t.Errorf("%d documents were judged by both, want at least 40", judged)
	}
}

func TestWorkloadSchemaAgreesWithParser(t *testing.T) {
	s := schema(t, workload.Schema())
	const tail = "\nrequests: [{path: /}]"
	for text, good := range map[string]bool{
		"name: x" + tail: true,
		"name: x\nversion: 3\nabout: words\ncores: all\nconnections: 4096\nrate: 40%\nwarm_up: 0\nmax_errors: 0%" + tail: true,
		"name: x\ncores: 1\nrate: 2000/s" + tail:                                                                               true,
		"name: x\nsetup: [{path: /, repeat: 5, capture: {id: '$.a[0].b'}}]" + tail:                                             true,
		"name: x\nrequests: [{name: r, weight: 5, method: PUT, path: /a, body: b}]":                                            true,
		"name: x\nrequests: [{path: /, headers: {a: b}, expect: {status: 302}}]":                                               true,
		"name: x\nprotocol: http" + tail:                                                                                       true,
		"name: x\nprotocol: websocket\npath: /ws\nrequests: [{body: a}]":                                                       true,
		"name: x\nrequests: [{name: r, weight: 2, type: binary, body: a, expect: {echo: true}}]\npath: /\nprotocol: websocket": true,
		"name: x\nprotocol: websocket\npath: /\nheaders: {authorization: b}\nrequests: [{body: a, expect: {contains: b}}]":     true,
		"name: x\nprotocol: websocket\npath: /\nsetup: [{path: /login}]\nrequests: [{body: a}]":                                true,
		"name: x\nprotocol: grpc" + tail:                                                                                       false,
		"name: x\nprotocol: websocket\nrequests: [{body: a}]":                                                                  false,
		"name: x\nprotocol: websocket\npath: ws\nrequests: [{body: a}]":                                                        false,
		"name: x\nprotocol: websocket\npath: /" + tail:                                                                         false,
		"name: x\nprotocol: websocket\npath: /\nrequests: [{name: r}]":                                                         false,
		"name: x\nprotocol: websocket\npath: /\nrequests: [{body: a, type: ping}]":                                             false,
		"name: x\nprotocol: websocket\npath: /\nrequests: [{body: a, headers: {b: c}}]":                                        false,
		"name: x\nprotocol: websocket\npath: /\nrequests: [{body: a, method: POST}]":                                           false,
		"name: x\nprotocol: websocket\npath: /\nrequests: [{body: a, capture: {b: $.c}}]":                                      false,
		"name: x\nprotocol: websocket\npath: /\nrequests: [{body: a, expect: {status: 200}}]":                                  false,
		"name: x\nprotocol: websocket\npath: /\nrequests: [{body: a, expect: {echo: 'yes'}}]":                                  false,
		"name: x\nprotocol: websocket\npath: /\nheaders: {Sec-WebSocket-Key: b}\nrequests: [{body: a}]":                        false,
		"name: x\npath: /" + tail:                                        false,
		"name: x\nheaders: {a: b}" + tail:                                false,
		"name: x\nrequests: [{path: /, type: text}]":                     false,
		"name: x\nrequests: [{path: /, expect: {echo: true}}]":           false,
		"name: x\nrequests: []":                                          false,
		"name: x":                                                        false,
		"name: X" + tail:                                                 false,
		"name: x\nversion: 0" + tail:                                     false,
		"name: x\nrate: 5" + tail:                                        false,
		"name: x\nrate: fast" + tail:                                     false,
		"name: x\ncores: 2" + tail:                                       false,
		"name: x\nconnections: 0" + tail:                                 false,
		"name: x\nsetup: [{path: /, capture: {id: id}}]" + tail:          false,
		"name: x\nsetup: [{path: /, weight: 1}]" + tail:                  false,
		"name: x\nrequests: [{path: a}]":                                 false,
		"name: x\nrequests: [{path: /, repeat: 2}]":                      false,
		"name: x\nrequests: [{path: /, capture: {a: $.b}}]":              false,
		"name: x\nrequests: [{path: /, method: get}]":                    false,
		"name: x\nrequests: [{path: /, headers: {Content-Length: '1'}}]": false,
		"name: x\nrequests: [{path: /, headers: {'a b': c}}]":            false,
		"name: x\nrequests: [{path: /, expect: {status: 100}}]":          false,
		"name: x\nrequests: [{path: /, expect: {code: 200}}]":            false,
		"name: x\nextra: 1" + tail:                                       false,
	} {
		var document any
		if err := yaml.Unmarshal([]byte(text), &document); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		_, parsed := workload.Parse("w.yaml", []byte(text))
		validated := s.Validate(jsonable(document))
		if (parsed == nil) != good || (validated == nil) != good {
			t.Errorf("%s\nparser says %v, schema says %v, want good %v", text, parsed, validated, good)
		}
	}
}

// jsonable makes a decoded YAML document what a JSON decoder would have made of it.
func jsonable(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			v[key] = jsonable(value)
		}
	case map[any]any:
		m := map[string]any{}
		for key, value := range v {
			m[fmt.Sprint(key)] = jsonable(value)
		}
		return m
	case []any:
		for i := range v {
			v[i] = jsonable(v[i])
		}
	case uint64:
		return float64(v)
	case int64:
		return float64(v)
	}
	return v
}

func TestPublishedSchemas(t *testing.T) {
	for file, want := range map[string][]byte{
		"../../duet.schema.json":     ConfigSchema(),
		"../../workload.schema.json": workload.Schema(),
	} {
		if *update {
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what this code generates (%v): go test ./internal/plan -run TestPublishedSchemas -update", file, err)
		}
	}
}

func FuzzConfig(f *testing.F) {
	for _, d := range documents() {
		f.Add(d.text)
	}
	for _, hostile := range []string{
		strings.Repeat("[", 64<<10), strings.Repeat("{a: ", 16<<10), strings.Repeat("- ", 32<<10), strings.Repeat("a: ", 20<<10),
		"a: &a [x]\nb: &b [*a,*a]\n", "\ufeffservices: [{lang: go}]\n", "services: [{lang: go}]\r\nbudget: 2m\r\n", "!!binary aGk=", "? a\n: b",
		"services: [{lang: go, setup: \"{{range n 10000}}{{end}}\"}]", strings.Repeat("a:\n ", 1000), "yes: no", "\"\\x00\": 1",
	} {
		f.Add(hostile)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseConfig("duet.yml", []byte(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "duet.yml:") {
				t.Errorf("no place in %v", err)
			}
			return
		}
		if len(c.Services) == 0 || c.Budget < MinBudget || c.Budget > MaxBudget || len(c.Workloads) == 0 {
			t.Errorf("accepted %+v", c)
		}
		for _, s := range c.Services {
			if strings.HasPrefix(s.Name, "-") || strings.HasPrefix(s.Dir, "/") || strings.HasPrefix(s.Dir, "-") {
				t.Errorf("accepted %+v", s)
			}
		}
	})
}

// The time a hostile document takes is bounded; the bound is far above what is usual, so that a busy machine passes.
func TestHostileDocumentsAreCheap(t *testing.T) {
	const usual = 5 * time.Second
	for _, text := range []string{
		strings.Repeat("[", 64<<10), strings.Repeat("{a: ", 16<<10), strings.Repeat("- ", 32<<10), strings.Repeat("a: ", 20<<10),
		strings.Repeat("a: [", 16<<10), strings.Repeat("- - - -\n", 8<<10), strings.Repeat("\"", 64<<10), strings.Repeat("a: |\n", 12<<10),
		"services: [" + strings.Repeat("{lang: go},", 5900) + "]", strings.Repeat("a:\n", 20<<10), strings.Repeat("\n", 64<<10),
		strings.Repeat("#\n", 32<<10), "a: " + strings.Repeat("x ", 32<<9), strings.Repeat("k: v\n", 2400), strings.Repeat("k:\n- v\n", 1600), "services: [" + strings.Repeat("{lang: go},", 1100) + "]",
	} {
		start := time.Now()
		if _, err := ParseConfig("duet.yml", []byte(text)); err == nil {
			t.Errorf("%.20q… was accepted", text)
		}
		took := time.Since(start)
		t.Logf("%.20q… took %s", text, took)
		if took > usual {
			t.Errorf("%.20q… took %s", text, took)
		}
	}
}
