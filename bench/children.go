//go:build linux

package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/duet-bench/duet/internal/load"
)

//go:embed native
var native embed.FS

// bench is what all tables need: where the programs are, and what was asked for.
type bench struct {
	options
	progress io.Writer
	dir      string // of the compiled programs
	self     string
	tools    map[string]string // hey, bombardier: path of the executable
	begin    time.Time
	load     string // load averages at the beginning
}

// newBench compiles the C programs and builds the tools.
func newBench(ctx context.Context, o options, progress io.Writer) (*bench, error) {
	for _, program := range []string{"cc", "wrk", "go"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, fmt.Errorf("looking for %s: %w: install it (on Debian: apt-get install gcc wrk)", program, err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "duet-bench-")
	if err != nil {
		return nil, err
	}
	b := &bench{options: o, progress: progress, dir: dir, self: self, tools: map[string]string{}, begin: time.Now(), load: loadAverages()}
	if err := b.build(ctx); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *bench) close() { _ = os.RemoveAll(b.dir) }

func (b *bench) build(ctx context.Context) error {
	if err := os.CopyFS(b.dir, native); err != nil {
		return fmt.Errorf("copying C programs: %w", err)
	}
	for _, program := range []string{"server", "floor"} {
		source := filepath.Join(b.dir, "native", program+".c")
		text, err := exec.CommandContext(ctx, "cc", "-O2", "-o", filepath.Join(b.dir, program), source).CombinedOutput()
		if err != nil {
			return fmt.Errorf("compiling %s.c: %w: %s", program, err, text)
		}
	}
	if !strings.Contains(b.options.tables, "stall") {
		return nil
	}
	for _, tool := range []string{"hey", "bombardier"} {
		command := exec.CommandContext(ctx, "go", "tool", "-n", tool)
		var said strings.Builder // downloads are told there, and are no part of the path
		command.Stderr = &said
		path, err := command.Output()
		if err != nil {
			return fmt.Errorf("building %s (run this in its own module: go -C bench run .): %w: %s", tool, err, said.String())
		}
		b.tools[tool] = strings.TrimSpace(string(path))
	}
	return nil
}

// server is a running server.
type server struct {
	port    int
	command *exec.Cmd
}

// serve starts the server; stall is what it stops for, once a second.
func (b *bench) serve(ctx context.Context, stall time.Duration) (*server, error) {
	command := exec.CommandContext(ctx, filepath.Join(b.dir, "server"), strconv.Itoa(b.serverCPU), strconv.FormatInt(stall.Milliseconds(), 10))
	return startServer(command)
}

func (s *server) stop() {
	_ = s.command.Process.Kill()
	_ = s.command.Wait()
}

func (s *server) address() string { return "127.0.0.1:" + strconv.Itoa(s.port) }

func (s *server) url() string { return "http://" + s.address() + "/" }

// spent is what a client's whole process took, start and end included.
type spent struct {
	cpu    time.Duration
	counts counts
	out    string
}

// client runs a client to its end on the clients' CPU.
func (b *bench) client(ctx context.Context, env []string, path string, args ...string) (spent, error) {
	unpin, err := load.Pin(b.clientCPU)
	if err != nil {
		return spent{}, err
	}
	defer unpin()
	counters := openCounters()
	defer counters.close()
	command := exec.CommandContext(ctx, path, args...)
	command.Env = append(os.Environ(), env...)
	var out strings.Builder
	command.Stdout, command.Stderr = &out, os.Stderr
	err = command.Run() // on this thread: the child inherits its CPU and its counters
	if err != nil {
		return spent{}, fmt.Errorf("running %s: %w: %s", filepath.Base(path), errors.Join(err, ctx.Err()), out.String())
	}
	state := command.ProcessState
	return spent{cpu: state.UserTime() + state.SystemTime(), counts: counters.read(), out: out.String()}, nil
}

// machine is where and when it was measured.
type machine struct {
	CPU        string    `json:"cpu"`
	Kernel     string    `json:"kernel"`
	ServerCPU  int       `json:"server_cpu"`
	ClientCPU  int       `json:"client_cpu"`
	Counters   string    `json:"counters"` // "counted", or why not
	LoadBefore string    `json:"load_before"`
	LoadAfter  string    `json:"load_after"`
	Begin      time.Time `json:"begin"`
}

func (b *bench) machine() machine {
	return machine{
		CPU: cpuName(), Kernel: strings.TrimSpace(readText("/proc/sys/kernel/osrelease")), ServerCPU: b.serverCPU, ClientCPU: b.clientCPU,
		Counters: countersState(), LoadBefore: b.load, LoadAfter: loadAverages(), Begin: b.begin.UTC().Truncate(time.Second),
	}
}

func loadAverages() string {
	fields := strings.Fields(readText("/proc/loadavg"))
	return strings.Join(fields[:min(len(fields), 3)], " ")
}

func cpuName() string {
	for line := range strings.Lines(readText("/proc/cpuinfo")) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown CPU"
}

func readText(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(text)
}
