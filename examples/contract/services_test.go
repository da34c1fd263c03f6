package contract

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// service is one example service: how to build it and where its binary ends up.
type service struct {
	name   string
	dir    string
	build  func(out string) []string
	made   string // the binary, below dir; empty where build writes to out
	binary string // once it is built
}

func services() []*service {
	golang := func(name string) *service {
		return &service{
			name: "go/" + name, dir: "../go",
			build: func(out string) []string { return []string{"go", "build", "-o", out, "./" + name} },
		}
	}
	rust := func(name string) *service {
		return &service{
			name: "rust/" + name, dir: "../rust", made: "target/debug/" + name,
			build: func(string) []string { return []string{"cargo", "build", "--quiet", "--locked", "--bin", name} },
		}
	}
	return []*service{
		golang("nethttp"), golang("gin"), golang("fiber"), golang("echo"), golang("chi"),
		rust("axum"), rust("actix"), rust("rocket"),
	}
}

// built builds a service, once, into dir where it can.
func (s *service) built(t *testing.T, dir string) {
	t.Helper()
	if s.binary != "" {
		return
	}
	out := filepath.Join(dir, filepath.Base(s.name))
	argv := s.build(out)
	build := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	build.Dir = s.dir
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", s.name, err, text)
	}
	if s.made != "" {
		out = filepath.Join(s.dir, s.made)
	}
	s.binary = out
}

// process is a service that runs.
type process struct {
	base  string // http://127.0.0.1:PORT
	ready time.Duration
	cmd   *exec.Cmd
	said  chan []byte // on standard error, after its first line
	end   context.CancelFunc
}

// start starts a binary on a port of its own choice, with settings beside the environment's own.
func start(t *testing.T, binary string, settings ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	cmd := exec.CommandContext(ctx, binary)
	cmd.Env = append(os.Environ(), "ADDR=127.0.0.1:0")
	cmd.Env = append(cmd.Env, settings...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cancel)
	out := bufio.NewReader(stderr)
	line, err := out.ReadString('\n')
	_, addr, ok := strings.Cut(strings.TrimSpace(line), "listening on ")
	if err != nil || !ok {
		t.Fatalf("starting with %q: got %q, %v", settings, line, err)
	}
	p := &process{base: "http://" + addr, ready: time.Since(began), cmd: cmd, said: make(chan []byte, 1), end: cancel}
	go func() {
		text, _ := io.ReadAll(out) // what it said before it was killed will do
		p.said <- text
	}()
	return p
}

// stop asks the service to end, as a platform would, and returns at once.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("stopping: %v", err)
	}
}

// ended waits for the service, and wants exit status 0.
func (p *process) ended(t *testing.T) {
	t.Helper()
	defer p.end()
	text := <-p.said
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("stopping: %v\n%s", err, text)
	}
}
