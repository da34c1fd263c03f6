package container

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden argv")

// TestMain is the tests, or the docker command that they put on PATH.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "docker" {
		fakeDocker(os.Args[1:])
	}
	os.Exit(m.Run())
}

// fakeDocker notes its argv and answers as FAKE_ variables say.
func fakeDocker(args []string) {
	log := os.Getenv("FAKE_LOG")
	f, err := os.OpenFile(log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(f, strings.Join(args, " "))
	f.Close()
	switch key := args[0]; key {
	case "info":
		fmt.Println(os.Getenv("FAKE_INFO"))
		if os.Getenv("FAKE_INFO") == "" {
			fmt.Fprintln(os.Stderr, "Cannot connect to the Docker daemon. Is the docker daemon running?")
			syscall.Exit(1)
		}
	case "image":
		if _, err := os.Stat(log + ".pulled"); err != nil && os.Getenv("FAKE_IMAGE") == "" {
			fmt.Fprintln(os.Stderr, "Error: No such image")
			syscall.Exit(1)
		}
		fmt.Println("sha256:abc")
	case "pull":
		if os.Getenv("FAKE_PULL") == "" {
			fmt.Fprintln(os.Stderr, "pull access denied")
			syscall.Exit(1)
		}
		_ = os.WriteFile(log+".pulled", nil, 0o600)
	case "rm":
		fmt.Fprintln(os.Stderr, "Error: No such container: x")
		_ = os.WriteFile(log+".killed", []byte("9"), 0o600)
		syscall.Exit(1)
	case "volume":
		if n, _ := os.ReadFile(log + ".tries"); args[1] == "rm" && len(n) < 2 {
			_ = os.WriteFile(log+".tries", append(n, 'x'), 0o600)
			fmt.Fprintln(os.Stderr, "Error response from daemon: remove duet-1: volume is in use - [abc]")
			syscall.Exit(1)
		}
	case "kill":
		_ = os.WriteFile(log+".killed", []byte("15"), 0o600)
	case "start":
		fakeContainer(log)
	}
	syscall.Exit(0)
}

// fakeContainer runs until it is killed, by docker kill where FAKE_POLITE is set and else by docker rm alone.
func fakeContainer(log string) {
	signal.Ignore(os.Interrupt) // a terminal's, had it reached us, would show as an early end below
	fmt.Fprintln(os.Stderr, "for you")
	fmt.Fprintln(os.Stderr, "odd \x1b[31m::error::words")
	if os.Getenv("FAKE_STAYS") == "" {
		fmt.Print(os.Getenv("FAKE_OUT"))
		syscall.Exit(3)
	}
	want := "9"
	if os.Getenv("FAKE_POLITE") != "" {
		want = "15"
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if how, err := os.ReadFile(log + ".killed"); err == nil && string(how) == want {
			fmt.Print("cancelled")
			syscall.Exit(130)
		}
	}
	syscall.Exit(99)
}

// docker puts the fake on PATH and returns a reader of its log.
func docker(t *testing.T, variables ...string) (log func() string) {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "docker")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	file := filepath.Join(dir, "log")
	t.Setenv("FAKE_LOG", file)
	for _, variable := range variables {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	return func() string {
		text, _ := os.ReadFile(file)
		return string(text)
	}
}

const sound = "FAKE_INFO=linux 4 16000000000"

func engine(t *testing.T) Engine {
	t.Helper()
	e, err := Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// The argv that confines is a golden file: whatever loosens it is seen in a review.
func TestCreate(t *testing.T) {
	for name, s := range map[string]Spec{
		"fetch": {Name: "duet-1-fetch", Image: "sha256:abc", Volume: "duet-1", Args: []string{"inside", "fetch"},
			Pass: []string{"GOPROXY", "HTTPS_PROXY"}, CPUs: []int{0, 2, 3}, Memory: 12 << 30},
		"measure": {Name: "duet-1-measure", Image: "sha256:abc", Volume: "duet-1", Args: []string{"inside", "measure"}, Network: "none", Memory: 12 << 30},
	} {
		got := onLines(s.create())
		file := filepath.Join("testdata", name+".argv")
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil || got != string(want) {
			t.Errorf("%s (%v): got\n%s\nwant\n%s\n(-update writes it)", file, err, got, want)
		}
	}
}

// onLines writes an argv with a flag and its value on one line.
func onLines(argv []string) string {
	var text strings.Builder
	for i, arg := range argv {
		if i > 0 && (strings.HasPrefix(arg, "--") || !strings.HasPrefix(argv[i-1], "--")) {
			text.WriteString("\n")
		} else if i > 0 {
			text.WriteString(" ")
		}
		text.WriteString(arg)
	}
	return text.String() + "\n"
}

// Without an engine for Linux nothing can be confined, and the error says what to see to.
func TestFind(t *testing.T) {
	for answer, want := range map[string]string{
		"":                      "Cannot connect to the Docker daemon",
		"windows 4 16000000000": "its containers are for windows",
		"linux 4":               "its description",
		"linux 4 0":             "its description",
	} {
		docker(t, "FAKE_INFO="+answer)
		_, err := Find(t.Context())
		var none *EngineError
		if !errors.As(err, &none) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "`docker info`") {
			t.Errorf("%q: got %v, want %q", answer, err, want)
		}
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := Find(t.Context()); err == nil || !strings.Contains(err.Error(), "not on PATH") {
		t.Errorf("without docker: got %v", err)
	}
	docker(t, sound)
	if e := engine(t); e.CPUs != 4 || e.Memory != 16e9 {
		t.Errorf("got %+v", e)
	}
}

func TestImage(t *testing.T) {
	log := docker(t, sound)
	if _, err := engine(t).Image(t.Context(), "duet"); err == nil || !strings.Contains(err.Error(), "image duet is not here, and pulling it: docker pull: pull access denied") {
		t.Errorf("got %v", err)
	}
	if _, err := engine(t).Image(t.Context(), "--privileged"); err == nil || strings.Contains(log(), "privileged") {
		t.Errorf("a flag was taken for an image: %v", err)
	}
	t.Setenv("FAKE_PULL", "1")
	if id, err := engine(t).Image(t.Context(), "duet"); err != nil || id != "sha256:abc" {
		t.Errorf("got %q, %v", id, err)
	}
	log = docker(t, sound, "FAKE_IMAGE=1")
	if _, err := engine(t).Image(t.Context(), "duet"); err != nil || strings.Contains(log(), "pull") {
		t.Errorf("an image that is here was pulled (%v): %s", err, log())
	}
}

// A volume whose container is just about to go is removed all the same.
func TestRemove(t *testing.T) {
	log := docker(t, sound)
	if err := engine(t).RemoveVolume(t.Context(), "duet-1"); err != nil || strings.Count(log(), "volume rm duet-1") != 3 {
		t.Errorf("got %v after\n%s", err, log())
	}
	if err := engine(t).Remove(t.Context(), "x"); err != nil {
		t.Errorf("a container that is gone: %v", err)
	}
}

func TestRun(t *testing.T) {
	docker(t, sound, "FAKE_OUT=facts")
	var out bytes.Buffer
	exit, err := engine(t).Run(t.Context(), "x", &out, 100, func(line string) bool { return line == "for you" })
	if err != nil || exit.Status != 3 || out.String() != "facts" {
		t.Errorf("got %+v, %q, %v", exit, &out, err)
	}
	if got := strings.Join(exit.Tail, "|"); got != "odd : :error: :words" && got != "odd : :error::words" {
		t.Errorf("the rest of stderr is %q, want it sanitised and without what was taken", got)
	}
	if _, err := engine(t).Run(t.Context(), "x", &out, 4, func(string) bool { return true }); err == nil || !strings.Contains(err.Error(), "more than 4 bytes") {
		t.Errorf("too much output: got %v", err)
	}
}

// An interrupt is a SIGTERM to the container, by name, and what it says about that counts; one that does not heed it is
// removed.
func TestRunInterrupted(t *testing.T) {
	for _, c := range []struct {
		polite string
		want   []string
	}{
		{"FAKE_POLITE=1", []string{"start --attach --interactive duet-1-measure", "kill --signal TERM duet-1-measure"}},
		{"FAKE_POLITE=", []string{"start --attach --interactive duet-1-measure", "kill --signal TERM duet-1-measure", "rm --force duet-1-measure"}},
	} {
		log := docker(t, sound, "FAKE_STAYS=1", c.polite)
		e := engine(t)
		e.patience = 100 * time.Millisecond
		if c.polite != "FAKE_POLITE=" {
			e.patience = time.Minute
		}
		ctx, cancel := context.WithCancel(t.Context())
		var out bytes.Buffer
		exit, err := e.Run(ctx, "duet-1-measure", &out, 100, func(string) bool { cancel(); return true })
		if err != nil || exit.Status != 130 || out.String() != "cancelled" {
			t.Errorf("%s: got %+v, %q, %v", c.polite, exit, &out, err)
		}
		if got := strings.TrimSpace(strings.TrimPrefix(log(), "info --format {{.OSType}} {{.NCPU}} {{.MemTotal}}\n")); got != strings.Join(c.want, "\n") {
			t.Errorf("%s: docker was called with\n%s\nwant\n%s", c.polite, got, strings.Join(c.want, "\n"))
		}
	}
}

func TestLines(t *testing.T) {
	var taken []string
	l := &lines{take: func(line string) bool { taken = append(taken, line); return strings.HasPrefix(line, "t") }}
	for _, part := range []string{"t1\nre", "st\n", "t2", "\n\n", strings.Repeat("x", 3*lineLimit), "\nlast"} {
		if n, err := l.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatal(n, err)
		}
	}
	l.flush()
	if len(taken) != 8 || taken[0] != "t1" || taken[1] != "rest" || taken[7] != "last" {
		t.Errorf("got %d lines: %.60q", len(taken), taken)
	}
	for range 2 * lineCount {
		l.line("many")
	}
	if len(l.kept) != lineCount {
		t.Errorf("%d lines were kept, want %d", len(l.kept), lineCount)
	}
}
