package contract

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/duet-bench/duet/internal/parity"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/workloads"
)

// TestServices holds every example service to the contract. All answers, without a database, with one, and with links
// in it, are compared with the first one to the same request: services, languages and stores answer alike, which makes
// any two of them a pair.
func TestServices(t *testing.T) {
	vectors, err := Vectors()
	if err != nil {
		t.Fatal(err)
	}
	spec, database, bin := readSpec(t), startPostgres(t), t.TempDir()
	first := map[string]said{}
	all := services()
	for _, s := range all {
		t.Run(s.name, func(t *testing.T) {
			s.built(t, bin)
			s.passes(t, "no database", vectors, spec, first)
			s.passes(t, "postgres", vectors, spec, first, database.setting(t))
			s.passes(t, "links in postgres", vectors, spec, first, database.setting(t), "LINKS=postgres")
			t.Run("sockets", s.echoes)
			t.Run("orders", func(t *testing.T) { s.queues(t, database) })
			t.Run("failures", func(t *testing.T) { s.failsWith(t, database) })
		})
	}
	t.Run("settings", func(t *testing.T) {
		for _, s := range all {
			s.built(t, bin)
			s.refusesSettings(t)
		}
	})
}

// passes runs the vectors that hold with these settings.
func (s *service) passes(t *testing.T, name string, vectors []Vector, spec *spec, first map[string]said, settings ...string) {
	t.Run(name, func(t *testing.T) {
		p := start(t, s.binary, settings...)
		ran, answers := 0, 0
		for _, v := range vectors {
			if !v.Needs.With(len(settings) > 0) {
				continue
			}
			ran++
			answers += s.pass(t, p.base, v, spec, first)
		}
		http.DefaultClient.CloseIdleConnections()
		p.stop(t)
		p.ended(t)
		t.Logf("%d vectors, %d answers, ready after %v", ran, answers, p.ready.Round(time.Millisecond))
	})
}

// said is a service's answer.
type said struct {
	by     string
	answer parity.Answer
}

// pass runs one vector and returns how many answers it got.
func (s *service) pass(t *testing.T, base string, v Vector, spec *spec, first map[string]said) int {
	t.Helper()
	answers, err := Run(t.Context(), http.DefaultClient, base, v)
	if err != nil {
		t.Errorf("%s, %q:\n%v", v.File, v.Name, err)
	}
	for _, a := range answers {
		at := fmt.Sprintf("%s, %q, step %d", v.File, v.Name, a.Step+1)
		before, ok := first[at]
		if !ok {
			first[at] = said{by: s.name, answer: a.Answer}
			spec.check(t, at, a)
			continue
		}
		for _, finding := range parity.Compare(before.answer, a.Answer, nil) {
			t.Errorf("%s: %s of %s (-) and of this one (+) differ:\n%s", at, finding.What, before.by, strings.Join(finding.Diff, "\n"))
		}
	}
	return len(answers)
}

// TestRepositoryConfig holds the repository's own duet.yml to what is here.
func TestRepositoryConfig(t *testing.T) {
	text, err := os.ReadFile("../../duet.yml")
	if err != nil {
		t.Fatal(err)
	}
	config, err := plan.ParseConfig("duet.yml", text)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range config.Services {
		if _, err := os.Stat(filepath.Join("../..", s.Dir)); err != nil {
			t.Errorf("service %s: %v", s.Name, err)
		}
	}
	for _, name := range config.Workloads {
		if _, err := workloads.Files.Open(name + ".yaml"); err != nil {
			t.Errorf("workload %s: %v", name, err)
		}
	}
}

// TestRunFindsWhatIsWrong holds the runner itself to account: each broken service must be caught.
func TestRunFindsWhatIsWrong(t *testing.T) {
	body := "{}"
	made := Vector{Steps: []Step{
		{
			Request: Request{Method: "POST", Path: "/links", Body: &body},
			Capture: map[string]string{"code": "$.code"},
			Expect:  Expect{Status: 201, Location: "/${code}", JSON: `{"code": "${code}", "hits": 0}`, Headers: map[string]string{"x": "y"}},
		},
		{Request: Request{Path: "/${code}"}, Expect: Expect{Status: 302, Location: "http://x"}},
	}}
	type answer struct {
		status                  int
		kind, location, x, body string
	}
	good := answer{201, "application/json", "/abc", "y", `{"hits": 0.0, "code": "abc"}`}
	for _, tt := range []struct {
		name   string
		change func(*answer)
		want   string
	}{
		{"good", func(*answer) {}, ""},
		{"status", func(a *answer) { a.status = 200 }, "status"},
		{"type", func(a *answer) { a.kind = "text/plain" }, "content-type"},
		{"location", func(a *answer) { a.location = "/abd" }, "location"},
		{"header", func(a *answer) { a.x = "" }, `x: got "", want "y"`},
		{"body", func(a *answer) { a.body = `{"hits": 1, "code": "abc"}` }, "$.hits"},
		{"capture", func(a *answer) { a.body = `{"hits": 0}` }, "capturing code: got 0 values"},
	} {
		a := good
		tt.change(&a)
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/abc" {
				w.Header().Set("Location", "http://x")
				w.WriteHeader(302)
				return
			}
			if r.URL.Path != "/links" { // the code was not captured
				w.WriteHeader(404)
				return
			}
			w.Header().Set("Content-Type", a.kind)
			w.Header().Set("Location", a.location)
			w.Header().Set("X", a.x)
			w.WriteHeader(a.status)
			if got, err := io.ReadAll(r.Body); err != nil || string(got) != body || r.Header.Get("Content-Type") != "application/json" {
				t.Errorf("got request %q %v, %v", got, r.Header, err)
			}
			fmt.Fprint(w, a.body)
		}))
		answers, err := Run(t.Context(), srv.Client(), srv.URL, made)
		srv.Close()
		if len(answers) != 2 || (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %d answers, %v; want %q", tt.name, len(answers), err, tt.want)
		}
	}
}

func TestVectorsAreWellFormed(t *testing.T) {
	vectors, err := Vectors()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, v := range vectors {
		if v.Name == "" || seen[v.Name] || len(v.Steps) == 0 {
			t.Errorf("%s: vector %q is empty or twice", v.File, v.Name)
		}
		seen[v.Name] = true
		for _, s := range v.Steps {
			if s.Expect.Status == 0 || !strings.HasPrefix(s.Request.Path, "/") {
				t.Errorf("%s, %q: a step without path or status", v.File, v.Name)
			}
			// A captured value may stand for a number or in a string.
			if text := os.Expand(s.Expect.JSON, func(string) string { return "1" }); text != "" && !json.Valid([]byte(text)) {
				t.Errorf("%s, %q: expected JSON is not JSON: %s", v.File, v.Name, s.Expect.JSON)
			}
			if _, err := bodyOf(s.Request); err != nil {
				t.Errorf("%s, %q: %v", v.File, v.Name, err)
			}
		}
	}
	if len(vectors) < 45 {
		t.Errorf("got %d vectors: some files are missing", len(vectors))
	}
}
