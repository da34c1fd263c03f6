package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func newBox(t *testing.T, name string) *Box {
	t.Helper()
	b, err := New(Options{Name: name, Dir: filepath.Join(folder(t), name), Isolate: true})
	check(t, err)
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		for _, path := range []string{b.Home(), b.Tmp()} {
			if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("after Close: %s: got %v, want it gone", path, err)
			}
		}
	})
	if got, want := b.UID() >= 0, os.Geteuid() == 0; got != want {
		t.Fatalf("box has a uid of its own: got %v, want %v", got, want)
	}
	return b
}

// lookAround runs the role that describes itself.
func lookAround(t *testing.T, b *Box, c Command, args ...string) seen {
	t.Helper()
	c.Argv = append([]string{program(t), "role", "look"}, args...)
	c.Log = filepath.Join(b.Logs(), "look")
	exit, err := b.Run(t.Context(), c)
	check(t, err)
	if !exit.OK() {
		t.Fatalf("looking around: %s %q", exit, exit.Tail)
	}
	text, err := os.ReadFile(c.Log)
	check(t, err)
	var s seen
	check(t, json.Unmarshal(text, &s))
	return s
}

func TestChildIsConfined(t *testing.T) {
	inherited, err := os.Open("/etc/passwd") // and one that is not close-on-exec:
	check(t, err)
	defer inherited.Close()
	loose, err := syscall.Dup(int(inherited.Fd()))
	check(t, err)
	defer syscall.Close(loose)

	b := newBox(t, "confined")
	s := lookAround(t, b, Command{Env: map[string]string{"PORT": "1"}, FileSize: 1 << 20, CPUs: []int{0}})
	want := []string{"HOME=" + b.Home(), "LANG=C.UTF-8", "PATH=" + os.Getenv("PATH"), "PORT=1", "TMPDIR=" + b.Tmp(), "TZ=UTC"}
	if !slices.Equal(s.Environ, want) {
		t.Errorf("environment: got %q, want %q", s.Environ, want)
	}
	for name, value := range canaries {
		if all := strings.Join(s.Environ, "\n"); strings.Contains(all, value) || strings.Contains(all, name) {
			t.Errorf("canary %s reached the child", name)
		}
	}
	// A shell lists them: the Go runtime opens some of its own.
	exit, err := b.Run(t.Context(), Command{Argv: []string{"sh", "-c", "for fd in /proc/$$/fd/*; do test -e $fd && echo ${fd##*/}; done"}})
	check(t, err)
	if want := []string{"0", "1", "2"}; !slices.Equal(exit.Tail, want) {
		t.Errorf("descriptors: got %q, want %q", exit.Tail, want)
	}
	wantUID := b.UID()
	if wantUID < 0 {
		wantUID = os.Geteuid()
	} else if len(s.Groups) != 0 {
		t.Errorf("supplementary groups: got %v, want none", s.Groups)
	}
	if s.UID != wantUID || s.UID == 0 {
		t.Errorf("uid: got %d, want %d", s.UID, wantUID)
	}
	if s.NoNewPrivs != "1" || strings.Trim(s.CapEff, "0") != "" {
		t.Errorf("got no_new_privs %s, CapEff %s, want 1 and none", s.NoNewPrivs, s.CapEff)
	}
	if os.Geteuid() == 0 && strings.Trim(s.CapBnd, "0") != "" {
		t.Errorf("got CapBnd %s, want none", s.CapBnd)
	}
	if s.Parent != "EACCES" || s.Memory != "EACCES" {
		t.Errorf("reading Duet's environment and memory: got %s, %s, want EACCES twice", s.Parent, s.Memory)
	}
	if s.Sudo == "<nil>" {
		t.Error("sudo -n works in the box")
	}
	if s.CoreLimit != 0 || s.FileLimit != 1<<20 || s.CPUs != 1 || !s.Session || s.Dir != b.Home() {
		t.Errorf("got core limit %d, file limit %d, %d cores, own session %v, dir %s", s.CoreLimit, s.FileLimit, s.CPUs, s.Session, s.Dir)
	}
}

func TestBoxesHaveDifferentUIDs(t *testing.T) {
	a, b := newBox(t, "a"), newBox(t, "b")
	if a.UID() >= 0 && a.UID() == b.UID() {
		t.Errorf("two boxes have uid %d", a.UID())
	}
}

func TestBinds(t *testing.T) {
	hidden := filepath.Join(folder(t), "hidden")
	check(t, os.MkdirAll(filepath.Join(hidden, "toolchain"), 0o755))
	check(t, os.Chmod(hidden, 0o700))
	b := newBox(t, "binds")
	to := filepath.Join(b.Dir(), "toolchain")
	c := Command{Binds: []Bind{{From: filepath.Join(hidden, "toolchain"), To: to}}}
	if os.Geteuid() != 0 {
		c.Argv = []string{"true"}
		if _, err := b.Start(t.Context(), c); err == nil || !strings.Contains(err.Error(), "mount namespace") {
			t.Errorf("bind without root: got %v, want a refusal that names the mount namespace", err)
		}
		return
	}
	if s := lookAround(t, b, c, filepath.Join(to, "file")); s.Mounted != "EROFS" {
		t.Errorf("writing to a bind: got %s, want EROFS", s.Mounted)
	}
	check(t, os.Chmod(filepath.Join(hidden, "toolchain"), 0o777))
	c.Rw = []string{to}
	if s := lookAround(t, b, c, filepath.Join(to, "file")); s.Mounted != "<nil>" {
		t.Errorf("writing to a writable bind: got %s, want no error", s.Mounted)
	}
	if left, err := os.ReadDir(to); err != nil || len(left) != 0 {
		t.Errorf("the mount reached Duet's own namespace: %v %v", left, err)
	}
}

func TestStartErrors(t *testing.T) {
	b := newBox(t, "errors")
	text := filepath.Join(folder(t), "text")
	check(t, os.WriteFile(text, []byte("no program"), 0o644))
	script := filepath.Join(folder(t), "script")
	check(t, os.WriteFile(script, []byte("#!/no/such/interpreter\n"), 0o755))
	garbage := filepath.Join(folder(t), "garbage")
	check(t, os.WriteFile(garbage, []byte("\x01\x02"), 0o755))
	for _, c := range []struct {
		name    string
		command Command
		want    string
		is      error
	}{
		{"none", Command{}, "no program given", nil},
		{"missing", Command{Argv: []string{"/no/such/program"}}, "starting /no/such/program: no such file", fs.ErrNotExist},
		{"not in PATH", Command{Argv: []string{"no-such-program"}}, "not found in PATH", fs.ErrNotExist},
		{"not executable", Command{Argv: []string{text}}, "permission denied", fs.ErrPermission},
		{"no interpreter", Command{Argv: []string{script}}, "interpreter", fs.ErrNotExist},
		{"garbage", Command{Argv: []string{garbage}}, "not a program for this machine", nil},
		{"no folder", Command{Argv: []string{"true"}, Dir: "/no/such"}, "changing to /no/such", fs.ErrNotExist},
		{"bad namespace", Command{Argv: []string{"true"}, NetNS: text}, "network namespace", nil},
		{"no namespace", Command{Argv: []string{"true"}, NetNS: "/no/ns"}, "network namespace: open /no/ns", fs.ErrNotExist},
		{"bad variable", Command{Argv: []string{"true"}, Env: map[string]string{"A=B": ""}}, `variable "A=B"`, nil},
		{"bad core", Command{Argv: []string{"true"}, CPUs: []int{1000}}, "pinning to cores [1000]", nil},
		{"no mount point", Command{Argv: []string{"true"}, Binds: []Bind{{"/etc", "/no/such/point"}}}, "mount point does not exist", nil},
	} {
		p, err := b.Start(t.Context(), c.command)
		if err == nil {
			p.Kill()
			t.Errorf("%s: started, want an error with %q", c.name, c.want)
			continue
		}
		if !strings.Contains(err.Error(), c.want) || (c.is != nil && !errors.Is(err, c.is)) {
			t.Errorf("%s: got %q, want %q and %v", c.name, err, c.want, c.is)
		}
	}
}

func TestDirThatNobodyCanPass(t *testing.T) {
	if os.Geteuid() != 0 {
		return // then nobody else has to
	}
	_, err := New(Options{Name: "x", Dir: filepath.Join(t.TempDir(), "box"), Isolate: true})
	if err == nil || !strings.Contains(err.Error(), "make it 0711") {
		t.Errorf("got %v, want an error with the way out", err)
	}
}

func TestExit(t *testing.T) {
	b := newBox(t, "exits")
	exe := program(t)
	for _, c := range []struct {
		argv []string
		want string
		tail []string
	}{
		{[]string{exe, "role", "exit"}, "exit status 3", []string{"going"}},
		{[]string{"sh", "-c", "echo going; kill -SEGV $$"}, "killed by SIGSEGV", []string{"going"}},
	} {
		before := time.Now()
		p, err := b.Start(t.Context(), Command{Argv: c.argv})
		check(t, err)
		exit := p.Exit()
		if exit.String() != c.want || !slices.Equal(exit.Tail, c.tail) {
			t.Errorf("%q: got %s %q, want %s %q", c.argv, exit, exit.Tail, c.want, c.tail)
		}
		if exit.CPU <= 0 || exit.Wall <= 0 || p.Spawned().Before(before) || p.Spawned().After(time.Now()) {
			t.Errorf("%q: got CPU %v, wall %v, spawned %v", c.argv, exit.CPU, exit.Wall, p.Spawned())
		}
	}
}

func TestFloodIsBounded(t *testing.T) {
	b := newBox(t, "flood")
	log := filepath.Join(b.Logs(), "flood")
	exit, err := b.Run(t.Context(), Command{Argv: []string{program(t), "role", "flood"}, Log: log, LogLimit: 10_000})
	check(t, err)
	text, err := os.ReadFile(log)
	check(t, err)
	if len(text) > 10_000+2*tailBytes+100 {
		t.Errorf("the log has %d bytes", len(text))
	}
	if !strings.HasPrefix(string(text), "first line\n") || !strings.HasSuffix(string(text), "last line\n") ||
		!strings.Contains(string(text), " bytes left out]\n") {
		t.Errorf("the log lacks its start, its end or the line about what is missing: %.100q", text)
	}
	if len(exit.Tail) != 50 || exit.Tail[49] != "last line" {
		t.Errorf("tail: got %d lines", len(exit.Tail))
	}
	for _, line := range exit.Tail {
		if strings.Contains(line, "::") || len([]rune(line)) > 300 {
			t.Errorf("line not sanitised: %q", line)
		}
	}
}

func TestRunEndsWithContext(t *testing.T) {
	b := newBox(t, "run")
	ctx, cancel := context.WithCancelCause(t.Context())
	tooLong := errors.New("too long")
	log := filepath.Join(b.Logs(), "run")
	go func() {
		until(t, "it is up", func() bool { text, _ := os.ReadFile(log); return string(text) == "up\n" })
		cancel(tooLong)
	}()
	exit, err := b.Run(ctx, Command{Argv: []string{program(t), "role", "daemon-up"}, Log: log})
	if !errors.Is(err, tooLong) || exit.Code != -1 {
		t.Errorf("got %v, %v, want the context's cause", exit, err)
	}
	if left, err := b.Processes(); err != nil || len(left) > 0 {
		t.Errorf("left %v %v", left, err)
	}
}

func TestKillAll(t *testing.T) {
	exe := program(t)
	for _, c := range []struct {
		role []string
		up   string // the line after which the role is at its worst
	}{
		{[]string{"daemon", "daemon-up"}, "up"},
		{[]string{"daemon", "daemon", "daemon-up"}, "up"},
		{[]string{"daemon", "litter"}, "up"},
		{[]string{"runner"}, "ran"},
	} {
		name := strings.Join(c.role, " ")
		b, other := newBox(t, "killed"), newBox(t, "spared")
		spared, err := other.Start(t.Context(), Command{Argv: []string{exe, "role", "daemon-up"}})
		check(t, err)
		own := exec.Command("sleep", "1000")
		check(t, own.Start())
		t.Cleanup(func() { own.Process.Kill() })
		p, err := b.Start(t.Context(), Command{Argv: append([]string{exe, "role"}, c.role...)})
		check(t, err)
		until(t, name+" is up", func() bool { return slices.Contains(p.Tail(), c.up) })
		begun := time.Now()
		if os.Geteuid() != 0 { // whose orphan is whose cannot be told there while both are open
			check(t, other.Close())
		}
		check(t, b.KillAll(t.Context()))
		t.Logf("%s: gone after %v", name, time.Since(begun))
		if left, err := b.Processes(); err != nil || len(left) != 0 {
			t.Errorf("%s: left %v, %v", name, left, err)
		}
		for _, e := range lookFor(t, exe) {
			if os.Geteuid() != 0 || e.uids[0] == b.UID() {
				t.Errorf("%s: still in the process table: %+v", name, e)
			}
		}
		if os.Geteuid() == 0 {
			select {
			case <-spared.Done():
				t.Errorf("%s: another box's process was killed: %s", name, spared.Exit())
			default:
			}
		}
		check(t, own.Process.Kill())
		if err := own.Wait(); err == nil || err.Error() != "signal: killed" {
			t.Errorf("%s: Duet's own child: got %v, want it to have lived until now, and its exit not stolen", name, err)
		}
		check(t, b.Close())
		check(t, other.Close())
	}
}

func TestChildDiesWithDuet(t *testing.T) {
	out, err := exec.Command(program(t), "role", "host", filepath.Join(folder(t), "box")).Output()
	if err == nil || err.Error() != "signal: killed" {
		t.Fatalf("the host: got %v %q, want it killed", err, out)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	check(t, err)
	until(t, "its child is dead", func() bool {
		e, ok := readEntry(pid)
		return !ok || e.zombie
	})
	var status syscall.WaitStatus
	// The signal comes when the host's thread dies: then another thread of the dying host, still waiting in the
	// kernel, may collect the child. Where it came here instead, its status tells what ended it.
	got, err := syscall.Wait4(pid, &status, 0, nil)
	if err != nil && err != syscall.ECHILD || err == nil && (got != pid || status.Signal() != syscall.SIGKILL) {
		t.Errorf("the orphan: got %d %v %v, want it killed", got, err, status)
	}
}

func TestKillUID(t *testing.T) {
	b := newBox(t, "uid")
	if b.UID() < 0 {
		return // there is none to kill by
	}
	other := newBox(t, "other")
	exe := program(t)
	spared, err := other.Start(t.Context(), Command{Argv: []string{exe, "role", "sleep"}})
	check(t, err)
	p, err := b.Start(t.Context(), Command{Argv: []string{exe, "role", "sleep"}})
	check(t, err)
	check(t, b.killUID(t.Context()))
	if exit := p.Exit(); exit.Signal != "SIGKILL" {
		t.Errorf("got %s, want it killed", exit)
	}
	select {
	case <-spared.Done():
		t.Errorf("another uid's process was killed: %s", spared.Exit())
	default:
	}
}

// lookFor is every process, zombies too, that runs exe or is a child of this one.
func lookFor(t *testing.T, exe string) []entry {
	t.Helper()
	table, err := processTable()
	check(t, err)
	self, ours := os.Getpid(), ownSession()
	return slices.DeleteFunc(table, func(e entry) bool {
		target, _ := os.Readlink("/proc/" + strconv.Itoa(e.pid) + "/exe")
		return target != exe && (e.parent != self || e.session == ours)
	})
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("waited 10 s until %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestOwnFollowsNoLink(t *testing.T) {
	b := newBox(t, "own")
	dir := folder(t)
	outside := filepath.Join(dir, "outside")
	check(t, os.WriteFile(outside, nil, 0o600))
	tree := filepath.Join(dir, "tree")
	check(t, os.MkdirAll(filepath.Join(tree, "sub"), 0o755))
	check(t, os.Symlink(outside, filepath.Join(tree, "sub", "link")))
	check(t, os.Symlink("..", filepath.Join(tree, "sub", "up")))
	check(t, b.Own(tree))
	owner := func(path string) int {
		info, err := os.Lstat(path)
		check(t, err)
		return int(info.Sys().(*syscall.Stat_t).Uid)
	}
	if got, want := owner(outside), os.Geteuid(); got != want {
		t.Errorf("the file behind the link has uid %d, want %d", got, want)
	}
	if b.UID() < 0 {
		return
	}
	for _, path := range []string{"", "sub", "sub/link", "sub/up"} {
		if got := owner(filepath.Join(tree, path)); got != b.UID() {
			t.Errorf("%q has uid %d, want %d", path, got, b.UID())
		}
	}
	if got := owner(dir); got != os.Geteuid() {
		t.Errorf("the folder above has uid %d", got)
	}
}

// TestWithoutRoot runs the tests of this package again as a uid that is nothing special.
func TestWithoutRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		return // they already do
	}
	const uid = 61100 // the first that boxes leave alone
	cmd := exec.Command(program(t), "-test.count=1")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("as uid %d: %v\n%s", uid, err, out)
	}
}

func TestKillHelperRefusesOtherUIDs(t *testing.T) {
	for _, uid := range []int{-1, 0, 1, firstUID - 1, lastUID + 1} {
		if err := killUID(uid); err == nil || !strings.Contains(err.Error(), "not a box's") {
			t.Errorf("uid %d: got %v, want a refusal", uid, err)
		}
	}
}

func TestProbe(t *testing.T) {
	if a := Probe(); a.Root != (os.Geteuid() == 0) {
		t.Errorf("got %+v as uid %d", a, os.Geteuid())
	}
}
