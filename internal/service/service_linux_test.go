package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/sandbox"
)

func newBox(t testing.TB) *sandbox.Box {
	t.Helper()
	b, err := sandbox.New(sandbox.Options{Name: "go@head", Dir: filepath.Join(folder(t), "box"), Isolate: true})
	check(t, err)
	t.Cleanup(func() { check(t, b.Close()) })
	return b
}

// spec is a service that plays a role.
func spec(t testing.TB, exe string, role ...string) Spec {
	t.Helper()
	return Spec{
		Variant: plan.Variant{Service: "go", Side: plan.Head}, Box: newBox(t), Binary: exe,
		Service: plan.Service{Run: append([]string{"role"}, role...)},
	}
}

func started(t testing.TB, s Spec) *Service {
	t.Helper()
	service, err := Start(t.Context(), s)
	check(t, err)
	t.Cleanup(func() { check(t, service.Stop(context.Background())) })
	return service
}

func get(t testing.TB, s *Service, path string) int {
	t.Helper()
	response, err := s.HTTP().Get("http://" + s.Host() + path)
	check(t, err)
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<20))
	check(t, err)
	return response.StatusCode
}

func TestWhereItListens(t *testing.T) {
	exe := program(t)
	for _, c := range []struct {
		role []string
		host string
	}{
		{[]string{"serve"}, "127.0.0.1"},
		{[]string{"serve", ":{port}"}, "127.0.0.1"},
		{[]string{"serve", "0.0.0.0:{port}"}, "127.0.0.1"},
		{[]string{"serve", "[::1]:{port}"}, "[::1]"},
	} {
		before := time.Now()
		s := started(t, spec(t, exe, c.role...))
		if host, _, _ := strings.Cut(s.Host(), "]:"); !strings.HasPrefix(host, strings.TrimSuffix(c.host, "]")) {
			t.Errorf("%q: got host %s, want %s", c.role, s.Host(), c.host)
		}
		if cold := s.ColdStart(); cold <= 0 || cold > time.Since(before) {
			t.Errorf("%q: got cold start %v after %v", c.role, cold, time.Since(before))
		}
		conn, err := s.Dial(t.Context())
		check(t, err)
		conn.Close()
		if got := get(t, s, "/health"); got != 200 {
			t.Errorf("%q: got status %d", c.role, got)
		}
		if got := get(t, s, "/away"); got != http.StatusFound {
			t.Errorf("%q: a redirect was followed: got %d", c.role, got)
		}
		check(t, s.Alive())
	}
}

func TestStartErrors(t *testing.T) {
	exe := program(t)
	var all sync.WaitGroup
	defer all.Wait()
	for _, c := range []struct {
		role string
		want string
		is   error
	}{
		{"exit0", "go@head ended before it was ready: exit status 0 after", nil},
		{"exit1", ": panic: no database", nil},
		{"sleep", "go@head was not ready within 1s: GET /health on port", nil},
		{"mute", "it accepted the connection and never answered", nil},
		{"slam", "it closed the connection without an answer", nil},
		{"ssh", "not HTTP/1.1", nil},
		{"endless-head", "was not ready within 1s", nil},
		{"failing", ": status 500", nil},
		{"lost", ": status 404", nil},
		{"tls", "go@head speaks TLS", ErrTLS},
		{"raw-tls", "go@head speaks TLS", ErrTLS},
		{"h2", "go@head speaks HTTP/2 only", ErrHTTP2},
		{"h2-eager", "go@head speaks HTTP/2 only", ErrHTTP2},
	} {
		all.Go(func() {
			t.Run(c.role, func(t *testing.T) { // at once: most of them wait
				sp := spec(t, exe, c.role)
				sp.Service.Ready.Timeout = time.Second
				if c.is != nil || strings.HasPrefix(c.role, "exit") {
					sp.Service.Ready.Timeout = 10 * time.Second // it is told long before
				}
				s, err := Start(t.Context(), sp)
				if err == nil {
					defer s.Stop(t.Context())
					t.Fatalf("started on %s", s.Host())
				}
				if !strings.Contains(err.Error(), c.want) || (c.is != nil && !errors.Is(err, c.is)) {
					t.Errorf("got %q, want %q", err, c.want)
				}
				if left, err := sp.Box.Processes(); err != nil || len(left) > 0 {
					t.Errorf("left %v %v", left, err)
				}
			})
		})
	}
}

func TestTailOfFailedStart(t *testing.T) {
	_, err := Start(t.Context(), spec(t, program(t), "exit1"))
	var ended *EndedError
	if !errors.As(err, &ended) || ended.Exit.Code != 1 {
		t.Fatalf("got %v, want an EndedError with status 1", err)
	}
	if tail := strings.Join(TailOf(fmt.Errorf("starting: %w", err)), "\n"); !strings.HasSuffix(tail, ": :error: :x") {
		t.Errorf("got tail %q, want it sanitised", tail)
	}
}

func TestInterruptedStart(t *testing.T) {
	sp := spec(t, program(t), "sleep")
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("interrupted")
	go func() {
		until(t, "the service runs", func() bool { left, _ := sp.Box.Processes(); return len(left) > 0 })
		cancel(cause)
	}()
	if _, err := Start(ctx, sp); !errors.Is(err, cause) {
		t.Errorf("got %v, want %v", err, cause)
	}
	if left, err := sp.Box.Processes(); err != nil || len(left) > 0 {
		t.Errorf("left %v %v", left, err)
	}
}

func TestFixedPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	sp := spec(t, program(t), "serve", "127.0.0.1:{port}")
	sp.Service.Port = l.Addr().(*net.TCPAddr).Port
	_, err = Start(t.Context(), sp)
	var taken *PortError
	if !errors.As(err, &taken) || !strings.Contains(taken.Owner, fmt.Sprintf("(pid %d)", os.Getpid())) || !strings.Contains(err.Error(), "let Duet choose") {
		t.Errorf("got %v, want a PortError that names this process and the way out", err)
	}
}

func TestStrangerOnThePort(t *testing.T) {
	sp := spec(t, program(t), "sleep")
	sp.Service.Port = unusedPort(t)
	go func() { // once the service runs, and does not listen, somebody else answers in its place
		until(t, "the service runs", func() bool {
			text, _ := os.ReadFile(filepath.Join(sp.Box.Logs(), "service.log"))
			return strings.Contains(string(text), "started")
		})
		server := &http.Server{Addr: fmt.Sprintf("127.0.0.1:%d", sp.Service.Port), Handler: handler(200)}
		t.Cleanup(func() { server.Close() })
		server.ListenAndServe()
	}()
	_, err := Start(t.Context(), sp)
	var taken *PortError
	if !errors.As(err, &taken) {
		t.Errorf("got %v, want a PortError", err)
	}
}

func TestCrash(t *testing.T) {
	s := started(t, spec(t, program(t), "serve"))
	if _, err := s.HTTP().Get("http://" + s.Host() + "/crash"); err == nil {
		t.Error("a crashing service answered")
	}
	until(t, "it is dead", func() bool { return s.Alive() != nil })
	want := "go@head ended while it was measured: killed by SIGKILL after "
	if err := s.Alive(); !strings.HasPrefix(err.Error(), want) || !strings.HasSuffix(err.Error(), ": about to crash") {
		t.Errorf("got %q, want %q and the last line", err, want)
	}
	for name, read := range map[string]func() error{
		"CPU":       func() error { _, err := s.CPU(); return err },
		"Sample":    func() error { _, err := s.Sample(); return err },
		"PeakRSS":   func() error { _, err := s.PeakRSS(); return err },
		"ResetPeak": s.ResetPeak,
	} {
		var ended *EndedError
		if err := read(); !errors.As(err, &ended) {
			t.Errorf("%s of a dead service: got %v, want an EndedError", name, err)
		}
	}
}

func TestStopEndsTheWholeFamily(t *testing.T) {
	sp := spec(t, program(t), "family")
	s := started(t, sp)
	before, err := sp.Box.Processes()
	check(t, err)
	if len(before) < 2 {
		t.Fatalf("got processes %v, want the service and its child", before)
	}
	check(t, s.Stop(t.Context()))
	if left, err := sp.Box.Processes(); err != nil || len(left) > 0 {
		t.Errorf("left %v %v", left, err)
	}
	if conn, err := s.Dial(t.Context()); err == nil {
		conn.Close()
		t.Error("its port still answers")
	}
	check(t, s.Stop(t.Context())) // again does no harm
}

func TestMemory(t *testing.T) {
	for _, role := range []string{"serve", "family"} { // alone, and where the server is a child
		s := started(t, spec(t, program(t), role))
		check(t, s.ResetPeak())
		before, err := s.Sample()
		check(t, err)
		if before.RSS <= 0 || before.PSS <= 0 || before.PSSAnon <= 0 || before.PSS > before.RSS || before.PSSAnon > before.PSS {
			t.Errorf("%s: got %+v, want RSS ≥ PSS ≥ Pss_Anon > 0", role, before)
		}
		const block = 32 << 20
		get(t, s, "/allocate")
		after, err := s.Sample()
		check(t, err)
		if grown := after.PSSAnon - before.PSSAnon; grown < block*9/10 || grown > block*4 { // the race detector shadows it
			t.Errorf("%s: Pss_Anon grew by %d, want some %d", role, grown, block)
		}
		peak, err := s.PeakRSS()
		check(t, err)
		if peak < before.RSS+block*9/10 {
			t.Errorf("%s: got peak %d after %d and a block of %d", role, peak, before.RSS, block)
		}
	}
}

func TestCPU(t *testing.T) {
	for _, role := range []string{"serve", "family"} {
		s := started(t, spec(t, program(t), role))
		spent := func(path string) time.Duration {
			before, err := s.CPU()
			check(t, err)
			get(t, s, path)
			after, err := s.CPU()
			check(t, err)
			return after - before
		}
		if got := spent("/spend"); got < 50*time.Millisecond || got > 500*time.Millisecond {
			t.Errorf("%s: spending 50 ms: got %v", role, got)
		}
		if got := spent("/health"); got <= 0 {
			t.Errorf("%s: answering one request: got %v", role, got)
		}
		if got := spent("/spend-in-child"); got < 20*time.Millisecond {
			t.Errorf("%s: a child that has ended: got %v, want what it spent", role, got)
		}
	}
}

func TestSamePortInTwoNamespaces(t *testing.T) {
	exe := program(t)
	const port = 8080
	var services []*Service
	for range 2 {
		n, err := NewNamespace()
		if os.Geteuid() != 0 {
			if err == nil {
				t.Error("made a namespace without root")
			}
			return
		}
		check(t, err)
		t.Cleanup(func() { check(t, n.Close()) })
		sp := spec(t, exe, "serve", ":{port}")
		sp.NetNS, sp.Service.Port = n, port
		services = append(services, started(t, sp))
	}
	for _, s := range services {
		if s.Host() != "127.0.0.1:8080" || get(t, s, "/health") != 200 {
			t.Errorf("got host %s", s.Host())
		}
	}
	get(t, services[0], "/allocate") // of one and not of the other
	a, err := services[0].Sample()
	check(t, err)
	b, err := services[1].Sample()
	check(t, err)
	if a.PSSAnon < b.PSSAnon+16<<20 {
		t.Errorf("requests do not reach the service they are meant for: %+v %+v", a, b)
	}
	all, err := listeners("/proc/self/net")
	check(t, err)
	if l, found := find(all, port); found {
		t.Errorf("something listens on %d in Duet's own network: %+v", port, l)
	}
	taken := services[0].spec
	taken.Box = newBox(t)
	var e *PortError
	if _, err := Start(t.Context(), taken); !errors.As(err, &e) {
		t.Errorf("the port again in the same namespace: got %v, want a PortError", err)
	}
}

func TestEnvironment(t *testing.T) {
	sp := Spec{Binary: "b", Box: newBox(t), Env: map[string]string{"A": "passed", "B": "passed"},
		Service: plan.Service{Run: []string{"-p={port}", "x"}, Env: map[string]string{"B": "own"}}}
	c := (&Service{spec: sp, port: 7}).command()
	if got, want := fmt.Sprint(c.Argv, c.Env), "[b -p=7 x] map[A:passed ADDR:127.0.0.1:7 B:own PORT:7]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	sp.Service.Port = 7
	if got, want := fmt.Sprint((&Service{spec: sp, port: 7}).command().Env), "map[A:passed B:own]"; got != want {
		t.Errorf("with a fixed port: got %s, want %s", got, want)
	}
}

func TestParseListener(t *testing.T) {
	const rest = " 00000000:0000 %s 00000000:00000000 00:00000000 00000000 60600        0 4242 1 0 100 0 0 10 0"
	for _, c := range []struct {
		address, state string
		want           bool
	}{
		{"0100007F:1F90", "0A", true},
		{"0500007F:1F90", "0A", true},
		{"00000000:1F90", "0A", true},
		{"00000000000000000000000000000000:1F90", "0A", true},
		{"00000000000000000000000001000000:1F90", "0A", true},
		{"0000000000000000FFFF00000100007F:1F90", "0A", true},
		{"0100007F:1F90", "01", false},
		{"0501A8C0:1F90", "0A", false},
		{"000080FE00000000000000000100007F:1F90", "0A", false},
	} {
		l, ok := parseListener("  1: " + c.address + fmt.Sprintf(rest, c.state))
		if want := (listener{8080, 60600, "4242"}); ok != c.want || ok && l != want {
			t.Errorf("%s %s: got %+v %v, want %v", c.address, c.state, l, ok, c.want)
		}
	}
}

func TestQuote(t *testing.T) {
	if got, want := Quote([]byte("::a\x1b[1m")), `": :a"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := Quote(make([]byte, 300)); got != `"" and 100 bytes more` {
		t.Errorf("got %s", got)
	}
}

// TestWithoutRoot runs the tests of this package again as a uid that is nothing special.
func TestWithoutRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		return // they already do
	}
	const uid = 61100 // the first that boxes leave alone
	// What does not touch rights is not worth its time twice, and what cargo builds takes a user with a home.
	cmd := exec.Command(program(t), "-test.count=1", "-test.run=Listens|Stranger|Taken|Crash|Family|Memory|CPU|Namespaces", "-test.skip=Gperftools")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), profiledVariable + "=" + profiledService(t)}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("as uid %d: %v\n%s", uid, err, out)
	}
}
