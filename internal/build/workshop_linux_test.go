package build

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/duet-bench/duet/internal/plan"
)

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
