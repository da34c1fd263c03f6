package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"testing"
)

// talk asks an agent and reads its answer.
func talk(t *testing.T, conn net.Conn, reader *bufio.Reader, line string) (status string, body []byte) {
	t.Helper()
	if _, err := io.WriteString(conn, line+"\n"); err != nil {
		t.Fatal(err)
	}
	head, err := reader.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	status, size, _ := strings.Cut(strings.TrimSpace(head), " ")
	n, err := strconv.Atoi(size)
	if err != nil {
		t.Fatalf("%s: head %q", line, head)
	}
	body = make([]byte, n)
	if _, err := io.ReadFull(reader, body); err != nil {
		t.Fatal(err)
	}
	return status, body
}

// listening is an agent on a socket of its own.
func listening(t *testing.T, path string) (net.Conn, *bufio.Reader) {
	t.Helper()
	listener := duetAgentListen(path)
	if listener == nil {
		t.Fatalf("no agent listens on %s", path)
	}
	t.Cleanup(func() { listener.Close() })
	agent := &duetAgent{}
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			agent.duetAgentServe(conn)
		}
	}()
	address := filepath.Base(path)
	t.Chdir(filepath.Dir(path)) // an address holds 107 bytes
	conn, err := net.Dial("unix", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn, bufio.NewReader(conn)
}

func TestConversation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.1")
	conn, reader := listening(t, path)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v, want mode 0600", info.Mode(), err)
	}
	gzipped := []byte{0x1f, 0x8b}
	for _, c := range []struct {
		line, status string
		begins       []byte
	}{
		{"hello", "ok", []byte("duet-agent/1 " + runtime.Version() + " ")},
		{"mutex -1", "ok", []byte("0")},
		{"mutex 7", "ok", []byte("0")},
		{"mutex 0", "ok", []byte("7")},
		{"mutex", "error", []byte("strconv.Atoi")},
		{"block 1000", "ok", nil},
		{"block 0", "ok", nil},
		{"block x", "error", []byte("strconv.Atoi")},
		{"gc", "ok", nil},
		{"lookup allocs", "ok", gzipped},
		{"lookup goroutine", "ok", gzipped},
		{"lookup nothing", "error", []byte("no profile is called nothing")},
		{"cpu-stop", "error", []byte("no CPU profile is being taken")},
		{"cpu-start", "ok", nil},
		{"cpu-start", "error", []byte("a CPU profile is being taken already")},
		{"cpu-stop", "ok", gzipped},
		{"", "error", []byte("an empty line")},
		{"shutdown", "error", []byte("a command that this agent does not know")},
	} {
		status, body := talk(t, conn, reader, c.line)
		if status != c.status || !bytes.HasPrefix(body, c.begins) {
			t.Errorf("%q: got %s %.60q, want %s %q", c.line, status, body, c.status, c.begins)
		}
	}
}

func TestMetrics(t *testing.T) {
	var got map[string][]float64
	if err := json.Unmarshal(duetAgentMetrics(), &got); err != nil {
		t.Fatal(err)
	}
	for name, least := range map[string]int{"/gc/heap/allocs:objects": 1, "/gc/heap/live:bytes": 1, "/cpu/classes/total:cpu-seconds": 1, "/sched/latencies:seconds": 100, "/sched/pauses/total/gc:seconds": 100} {
		if len(got[name]) < least {
			t.Errorf("%s: %d numbers, want at least %d", name, len(got[name]), least)
		}
	}
}

// A service that takes a CPU profile of itself is told from one whose profile the agent takes.
func TestOwnCPUProfile(t *testing.T) {
	if err := pprof.StartCPUProfile(io.Discard); err != nil {
		t.Fatal(err)
	}
	defer pprof.StopCPUProfile()
	agent := &duetAgent{}
	_, err := agent.duetAgentAnswer([]string{"cpu-start"})
	if err == nil || !strings.Contains(err.Error(), "the service takes a CPU profile of itself") {
		t.Errorf("got %v", err)
	}
	if agent.cpu != nil {
		t.Error("the agent believes that it takes one")
	}
}

// What lies where the socket should be is left alone, unless it is a socket that nobody listens on.
func TestListen(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if duetAgentListen(file) != nil {
		t.Error("a file was replaced")
	}
	path := filepath.Join(dir, "s")
	first := duetAgentListen(path)
	if first == nil {
		t.Fatal("no socket was made")
	}
	if duetAgentListen(path) != nil {
		t.Error("a socket that somebody listens on was replaced")
	}
	first.(*net.UnixListener).SetUnlinkOnClose(false)
	first.Close()
	second := duetAgentListen(path)
	if second == nil {
		t.Fatal("a socket that nobody listens on was in the way")
	}
	second.Close()
	long := filepath.Join(dir, strings.Repeat("long", 30))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	conn, reader := listening(t, filepath.Join(long, "agent.1"))
	if status, _ := talk(t, conn, reader, "hello"); status != "ok" {
		t.Errorf("got %s by a long path", status)
	}
	if duetAgentListen(filepath.Join(dir, "none", "s")) != nil {
		t.Error("a socket in a folder that is not there")
	}
}

// Without its variable the agent does nothing.
func TestInert(t *testing.T) {
	if duetAgentStart() {
		t.Error("the agent started")
	}
}
