package contract

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/duet-bench/duet/internal/parity"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/workloads"
)

// service is one example service: how to build it and where its binary ends up.
type service struct {
	name   string
	dir    string
	build  func(out string) []string
	binary string // below dir; empty where build writes to out
}

func services() []service {
	return []service{
		{name: "go/nethttp", dir: "../go", build: func(out string) []string { return []string{"go", "build", "-o", out, "./nethttp"} }},
		{
			name: "rust/axum", dir: "../rust", binary: "target/debug/axum",
			build: func(string) []string { return []string{"cargo", "build", "--quiet", "--locked", "--bin", "axum"} },
		},
	}
}

// TestServicesPassEveryVector builds every example service, runs all vectors against it, and compares the answers
// of all services with each other: the part that makes them a pair.
func TestServicesPassEveryVector(t *testing.T) {
	vectors, err := Vectors()
	if err != nil {
		t.Fatal(err)
	}
	var first []parity.Answer
	for _, s := range services() {
		base, stop := start(t, s)
		var answers []parity.Answer
		for _, v := range vectors {
			got, err := Run(t.Context(), http.DefaultClient, base, v)
			if err != nil {
				t.Errorf("%s, %s, %q:\n%v", s.name, v.File, v.Name, err)
			}
			answers = append(answers, got...)
		}
		stop()
		if first == nil {
			first = answers
			continue
		}
		if len(answers) != len(first) {
			t.Fatalf("%s: got %d answers, %s gave %d", s.name, len(answers), services()[0].name, len(first))
		}
		for i := range answers {
			for _, finding := range parity.Compare(first[i], answers[i], nil) {
				t.Errorf("answer %d: %s of %s (-) and %s (+) differ:\n%s", i+1, finding.What, services()[0].name, s.name, strings.Join(finding.Diff, "\n"))
			}
		}
	}
}

// start builds and starts a service on a port of its own choice. stop ends it with SIGTERM, as a platform would,
// and wants exit status 0.
func start(t *testing.T, s service) (base string, stop func()) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "service")
	argv := s.build(binary)
	build := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	build.Dir = s.dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", s.name, err, out)
	}
	if s.binary != "" {
		binary = filepath.Join(s.dir, s.binary)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	cmd := exec.CommandContext(ctx, binary)
	cmd.Env = append(os.Environ(), "ADDR=127.0.0.1:0")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", s.name, err)
	}
	line, err := bufio.NewReader(stderr).ReadString('\n')
	_, addr, ok := strings.Cut(strings.TrimSpace(line), "listening on ")
	if err != nil || !ok {
		t.Fatalf("starting %s: got %q, %v", s.name, line, err)
	}
	return "http://" + addr, func() {
		defer cancel()
		http.DefaultClient.CloseIdleConnections()
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Errorf("stopping %s: %v", s.name, err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("stopping %s: %v", s.name, err)
		}
	}
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
			if s.Expect.JSON != "" && !json.Valid([]byte(s.Expect.JSON)) {
				t.Errorf("%s, %q: expected JSON is not JSON: %s", v.File, v.Name, s.Expect.JSON)
			}
			if _, err := bodyOf(s.Request); err != nil {
				t.Errorf("%s, %q: %v", v.File, v.Name, err)
			}
		}
	}
	if len(vectors) < 15 {
		t.Errorf("got %d vectors: some files are missing", len(vectors))
	}
}
