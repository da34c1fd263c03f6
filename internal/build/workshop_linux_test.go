package build

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/duet-bench/duet/internal/plan"
)

// TestEnvironment: a build sees the names on this list and no others, whatever the caller has set.
func TestEnvironment(t *testing.T) {
	var caller []string
	for _, name := range []string{"GITHUB_TOKEN", "INPUT_TOKEN", "ACTIONS_RUNTIME_TOKEN", "ACTIONS_NEW", "CARGO_REGISTRY_TOKEN",
		"CARGO_REGISTRIES_OWN_TOKEN", "HTTPS_PROXY", "CARGO_HTTP_PROXY", "GOFLAGS", "GOPROXY", "RUSTFLAGS", "RUSTC_WRAPPER", "LD_PRELOAD"} {
		caller = append(caller, name+"=canary")
	}
	s := newShop(t, "-- repo/x --\n", "", caller...)
	dump := []string{"sh", "-c", "env > app; chmod +x app"}
	s.enter(plan.Base, plan.Service{Name: "go", Lang: plan.Go, Build: dump, Binary: "app", Env: map[string]string{"SECRET": "canary"}},
		plan.Service{Name: "rust", Lang: plan.Rust, Build: dump, Binary: "app"})
	for name, want := range map[string]string{
		"go":   "GOCACHE GOENV GOFLAGS GOMODCACHE GOPATH GOPROXY GOSUMDB GOTOOLCHAIN GOWORK HOME LANG PATH PWD TMPDIR TZ",
		"rust": "CARGO_CACHE_AUTO_CLEAN_FREQUENCY CARGO_HOME CARGO_NET_OFFLINE CARGO_TERM_COLOR CARGO_TERM_PROGRESS_WHEN HOME LANG PATH PWD RUSTC RUSTC_WORKSPACE_WRAPPER RUSTC_WRAPPER TMPDIR TZ",
	} {
		text, err := os.ReadFile(s.build(name).Binary)
		check(t, err)
		var names []string
		for line := range strings.Lines(string(text)) {
			variable, value, _ := strings.Cut(line, "=")
			if names = append(names, variable); strings.Contains(value, "canary") {
				t.Errorf("%s: sees %s", name, line)
			}
		}
		slices.Sort(names)
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: builds see\n%s\nwant\n%s", name, got, want)
		}
	}
}

func TestOtherGo(t *testing.T) {
	home := t.TempDir()
	for _, v := range []string{"go1.98.1", "go1.97.3", "go1.2.2"} {
		write(t, filepath.Join(home, "sdk", v), "-- VERSION --\n"+v+"\ntime x\n-- bin/go --\n")
		check(t, os.Chmod(filepath.Join(home, "sdk", v, "bin", "go"), 0o755))
	}
	w := &Workshop{o: Options{Dir: home, Environ: append(os.Environ(), "HOME="+home)}}
	for asked, want := range map[string]string{"go1.97": "go1.97.3", "go1.97.4": "go1.98.1", "go1.98.1": "go1.98.1", "go1.99": ""} {
		root, got := w.otherGo(asked)
		if got != want || (want != "" && root != filepath.Join(home, "sdk", want)) {
			t.Errorf("%s: got %s in %q, want %s", asked, got, root, want)
		}
	}
}

// The caller's own Go settings count, and asking for them leaves nothing in the caller's HOME.
func TestCallersGoSettings(t *testing.T) {
	home := t.TempDir()
	write(t, home, "-- .config/go/env --\nGOPRIVATE=example.com/ours\n")
	w := &Workshop{o: Options{Dir: t.TempDir(), Environ: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home}}}
	h := w.host(t.Context())
	check(t, h.err)
	if got := h.env["GOPRIVATE"]; got != "example.com/ours" {
		t.Errorf("GOPRIVATE: got %q, want the caller's own setting", got)
	}
	left, err := os.ReadDir(filepath.Join(home, ".config", "go"))
	check(t, err)
	if len(left) != 1 {
		t.Errorf("left in the caller's configuration: %v, want its own env file alone", left)
	}
}

func TestDeadline(t *testing.T) {
	s := newShop(t, "-- repo/x --\n", "")
	s.o.Deadline = 200 * time.Millisecond
	s.enter(plan.Base, plan.Service{Name: "slow", Lang: plan.Go, Build: []string{"sleep", "600"}, Binary: "x"},
		plan.Service{Name: "none", Lang: plan.Go, Build: []string{"no-such-program"}, Binary: "x"},
		plan.Service{Name: "idle", Lang: plan.Go, Build: []string{"true"}, Binary: "made"},
		plan.Service{Name: "text", Lang: plan.Go, Build: []string{"true"}, Binary: "x"})
	for name, want := range map[string]string{
		"slow": "building: sleep 600 was not done after 200ms",
		"none": "no-such-program",
		"idle": "the build made no made",
		"text": "x is not executable",
	} {
		var failure *Failure
		_, err := s.fails(name)
		if !errors.As(err, &failure) {
			t.Errorf("%s: got %T (%v), want a failure", name, err, err)
		}
		contains(t, name, err.Error(), want)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	interrupted := errors.New("interrupted")
	cancel(interrupted)
	if _, err := s.Build(ctx, "slow", s.out("slow")); !errors.Is(err, interrupted) {
		t.Errorf("after an interrupt: got %v", err)
	}
}

func TestTooLittleSpace(t *testing.T) {
	s := newShop(t, "-- repo/x --\n", "")
	s.o.MinFree = 1 << 60
	err := s.Enter(t.Context(), Site{Side: plan.Base, Box: s.boxs[plan.Base], Repo: "repo"})
	var disk *DiskError
	if !errors.As(err, &disk) || disk.Need != 1<<60 {
		t.Fatalf("got %v, want a DiskError", err)
	}
	contains(t, "error", err.Error(), "MiB free", "TMPDIR")
}

// TestFullDisk fills a small disk in the middle of a build. Mounting one takes root, which CI has; without it
// the words of the compiler are judged alone.
func TestFullDisk(t *testing.T) {
	const line = "write /tmp/x: no space left on device"
	if !outOfSpace(nil, []string{"go build:", line}, 1<<20) || outOfSpace(nil, []string{line}, 1<<40) || outOfSpace(nil, nil, 0) {
		t.Error("only a program that says so on a disk that is full ran out of space")
	}
	if os.Geteuid() != 0 {
		return
	}
	dir := folder(t)
	check(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "size=32m,mode=0711"))
	t.Cleanup(func() { check(t, unix.Unmount(dir, 0)) })
	s := newShopIn(t, dir, "-- repo/x --\n", "")
	s.enter(plan.Base, plan.Service{Name: "big", Lang: plan.Go, Build: []string{"dd", "if=/dev/zero", "of=big", "bs=1M"}, Binary: "x"})
	var disk *DiskError
	if _, err := s.fails("big"); !errors.As(err, &disk) {
		t.Errorf("got %v, want a DiskError", err)
	}
}

// Services that differ only in how they are started are built once, and are still different inputs.
func TestTwins(t *testing.T) {
	s := newShop(t, "-- repo/plain/go.mod --\nmodule plain\n\ngo 1.24\n-- repo/plain/main.go --\npackage main\n\nfunc main() { println(\"hello\") }\n-- repo/plain/file.txt --\nx\n", "")
	one := plan.Service{Name: "one", Lang: plan.Go, Dir: "plain"}
	two, three := one, one
	two.Name, two.Env = "two", map[string]string{"GOGC": "50"}
	three.Name, three.Files = "three", []string{"file.txt"}
	built := map[string]Built{}
	for _, side := range []plan.Side{plan.Base, plan.Head} {
		s.enter(side, one, two, three)
		for _, name := range []string{"one", "two", "three"} {
			built[name+"@"+string(side)] = s.build(name)
		}
		check(t, s.Leave(t.Context()))
	}
	for _, side := range []string{"@base", "@head"} {
		a, b, c := built["one"+side], built["two"+side], built["three"+side]
		one, errA := os.Stat(a.Binary)
		other, errB := os.Stat(b.Binary)
		if errA != nil || errB != nil || os.SameFile(one, other) || one.Mode() != other.Mode() || a.Record.BinarySHA256 != b.Record.BinarySHA256 {
			t.Errorf("%s: binaries %s and %s (%v, %v): want two files with the same content", side, a.Binary, b.Binary, errA, errB)
		}
		if len(c.Record.Notes) > 0 || c.Record.CleanSeconds == a.Record.CleanSeconds {
			t.Errorf("%s: three has files of its own, and was not built: %+v", side, c.Record)
		}
		if a.Record.InputsSHA256 == b.Record.InputsSHA256 || b.Record.Settings["GOGC"] != "50" || a.Record.Settings["GOGC"] != "" {
			t.Errorf("%s: one's and two's inputs or settings are the same, and two has GOGC=50", side)
		}
		if b.Record.CleanSeconds != a.Record.CleanSeconds || b.Record.BinaryBytes != a.Record.BinaryBytes || b.Record.Variant.Service != "two" {
			t.Errorf("%s: two's record %+v, want one's figures", side, b.Record)
		}
		contains(t, "two's notes", strings.Join(b.Record.Notes, "\n"), "built once for it and one")
	}
	if base, head := built["two@base"], built["two@head"]; base.Binary == head.Binary || base.Record.InputsSHA256 != head.Record.InputsSHA256 {
		t.Error("two at head: want a build of its own, with base's inputs")
	}
}
