//go:build linux

package sandbox

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMain is the test, the helper, or, by its first argument, a program for a box.
func TestMain(m *testing.M) {
	Helper()
	if len(os.Args) > 2 && os.Args[1] == "role" {
		roles[os.Args[2]](os.Args[3:])
		syscall.Exit(0) // os.Exit takes a second with the race detector
	}
	for name, value := range canaries {
		os.Setenv(name, value)
	}
	if err := Guard(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// canaries must not reach a child. ACTIONS_FOO stands for names nobody knows yet.
var canaries = map[string]string{
	"GITHUB_TOKEN":                   "canary-1",
	"INPUT_X":                        "canary-2",
	"INPUT_GITHUB-TOKEN":             "canary-3",
	"ACTIONS_FOO":                    "canary-4",
	"ACTIONS_RUNTIME_TOKEN":          "canary-5",
	"ACTIONS_ID_TOKEN_REQUEST_TOKEN": "canary-6",
	"AWS_SECRET_ACCESS_KEY":          "canary-7",
	"SSH_AUTH_SOCK":                  "canary-8",
	"LD_PRELOAD_X":                   "canary-9",
}

// seen is what a child found out about itself.
type seen struct {
	Environ    []string
	UID        int
	Groups     []int
	NoNewPrivs string
	CapEff     string
	CapBnd     string
	Parent     string // what reading the parent's environment said
	Memory     string // what opening the parent's memory said
	Sudo       string
	CoreLimit  uint64
	FileLimit  uint64
	CPUs       int
	Session    bool // leads its own
	Dir        string
	Mounted    string // what writing to argument 0 said
}

var roles = map[string]func(args []string){
	"look": func(args []string) {
		if err := json.NewEncoder(os.Stdout).Encode(look(args)); err != nil {
			os.Exit(9)
		}
	},
	"exit":  func([]string) { fmt.Println("going"); syscall.Exit(3) },
	"sleep": func([]string) { stubborn(); select {} },
	// daemon leaves a process behind that is in a session of its own, ignores SIGTERM and holds stdout.
	"daemon": func(args []string) {
		again := exec.Command(os.Args[0], append([]string{"role"}, args...)...)
		again.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		again.Stdout, again.Stderr = os.Stdout, os.Stderr
		again.Env = []string{"PATH=" + os.Getenv("PATH")} // nothing left to tell it by
		must(again.Start())
	},
	"daemon-up": func([]string) { stubborn(); fmt.Println("up"); select {} },
	// runner is never the same process for long.
	"runner": func([]string) {
		stubborn()
		again := exec.Command(os.Args[0], os.Args[1:]...)
		again.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		again.Stdout = os.Stdout
		must(again.Start())
		fmt.Println("ran")
	},
	// litter forks for as long as it lives, up to 150 sleepers.
	"litter": func([]string) {
		stubborn()
		for i := range 150 {
			child := exec.Command("sleep", "1000")
			child.SysProcAttr = &syscall.SysProcAttr{Setsid: i%2 == 0}
			if child.Start() != nil {
				break
			}
			if i == 20 {
				fmt.Println("up")
			}
		}
		select {}
	},
	// host is a Duet that is killed: it starts a child in a box, tells its pid and is gone.
	"host": func(args []string) {
		b, err := New(Options{Name: "host", Dir: args[0], Isolate: true})
		must(err)
		p, err := b.Start(context.Background(), Command{Argv: []string{os.Args[0], "role", "sleep"}})
		must(err)
		fmt.Println(p.Pid())
		must(unix.Kill(os.Getpid(), unix.SIGKILL))
	},
	"flood": func([]string) {
		fmt.Println("first line")
		line := []byte(strings.Repeat("::error::", 111) + "x\n")
		out := bufio.NewWriterSize(os.Stdout, 1<<20)
		for range 32 << 10 {
			out.Write(line)
		}
		out.Flush()
		fmt.Println("last line")
	},
}

func stubborn() { signal.Ignore(syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT) }

func must(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(9)
	}
}

func look(args []string) seen {
	s := seen{Environ: os.Environ(), UID: os.Geteuid(), Session: isLeader()}
	sort.Strings(s.Environ)
	s.Groups, _ = os.Getgroups()
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(line, ":")
		switch value = strings.TrimSpace(value); key {
		case "NoNewPrivs":
			s.NoNewPrivs = value
		case "CapEff":
			s.CapEff = value
		case "CapBnd":
			s.CapBnd = value
		}
	}
	_, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", os.Getppid()))
	s.Parent = kind(err)
	_, err = os.OpenFile(fmt.Sprintf("/proc/%d/mem", os.Getppid()), os.O_RDWR, 0)
	s.Memory = kind(err)
	s.Sudo = fmt.Sprint(exec.Command("sudo", "-n", "true").Run())
	var limit unix.Rlimit
	unix.Getrlimit(unix.RLIMIT_CORE, &limit)
	s.CoreLimit = limit.Max
	unix.Getrlimit(unix.RLIMIT_FSIZE, &limit)
	s.FileLimit = limit.Cur
	var set unix.CPUSet
	unix.SchedGetaffinity(0, &set)
	s.CPUs = set.Count()
	s.Dir, _ = os.Getwd()
	if len(args) > 0 {
		s.Mounted = kind(os.WriteFile(args[0], []byte("x"), 0o600))
	}
	return s
}

func isLeader() bool {
	sid, err := unix.Getsid(0)
	return err == nil && sid == os.Getpid()
}

func kind(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return unix.ErrnoName(errno)
	}
	return fmt.Sprint(err)
}

// program is a copy of the test binary where every uid can run it: go test builds in a folder of mode 0700.
func program(t *testing.T) string {
	t.Helper()
	to := filepath.Join(folder(t), "program")
	in, err := os.Open("/proc/self/exe")
	check(t, err)
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	check(t, err)
	_, err = io.Copy(out, in)
	check(t, errors.Join(err, out.Close()))
	return to
}

// folder is a temporary one that every uid can pass; t.TempDir is not.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "duet-sandbox")
	check(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	check(t, os.Chmod(dir, 0o755))
	return dir
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
