package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/google/pprof/profile"
)

// What a profiler asks the kernel about a service's process.

// within polls until done, at most for a time. It fails when the service ends.
func (s *Service) within(ctx context.Context, most time.Duration, done func() (bool, error)) (bool, error) {
	deadline := time.NewTimer(most)
	defer deadline.Stop()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		ok, err := done()
		if dead := s.Alive(); dead != nil && !ok {
			return false, dead
		}
		if ok || err != nil {
			return ok, err
		}
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case <-deadline.C:
			return done()
		case <-poll.C:
		}
	}
}

// kernelFile reads a file of /proc/PID, up to 16 MiB.
func kernelFile(pid int, name string) (string, error) {
	f, err := os.Open("/proc/" + strconv.Itoa(pid) + "/" + name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 16<<20))
	return string(text), err
}

// mapped says whether a process has a library in its memory.
func mapped(pid int, library string) (bool, error) {
	text, err := kernelFile(pid, "maps")
	if err != nil {
		return false, fmt.Errorf("looking for the profiler in its process: %w", err)
	}
	return strings.Contains(text, " "+library+"\n"), nil
}

// catches says whether a process has a handler for a signal.
func catches(pid int, signal syscall.Signal) (bool, error) {
	bits, err := signalMask(pid, "status", "SigCgt")
	if err != nil {
		return false, fmt.Errorf("looking for its signal handlers: %w", err)
	}
	return bits&(1<<(uint(signal)-1)) != 0, nil
}

// signalMask reads one of the sets of signals in a status file.
func signalMask(pid int, file, field string) (uint64, error) {
	text, err := kernelFile(pid, file)
	if err != nil {
		return 0, err
	}
	_, mask, _ := strings.Cut(text, "\n"+field+":")
	mask, _, _ = strings.Cut(mask, "\n")
	return strconv.ParseUint(strings.TrimSpace(mask), 16, 64)
}

// handled says whether no thread of a process is in its handler of a signal, which keeps further ones away meanwhile.
func handled(pid int, signal syscall.Signal) bool {
	return !slices.ContainsFunc(tasks(pid), func(tid int) bool {
		bits, err := signalMask(pid, "task/"+strconv.Itoa(tid)+"/status", "SigBlk")
		return err == nil && bits&(1<<(uint(signal)-1)) != 0
	})
}

// closed says whether a process no longer has a file open that it wrote in its temporary folder.
func closed(pid int, name string) (bool, error) {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd"
	all, err := os.ReadDir(dir)
	if err != nil {
		return false, fmt.Errorf("looking for its open files: %w", err)
	}
	for _, fd := range all {
		to, err := os.Readlink(filepath.Join(dir, fd.Name()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, fmt.Errorf("looking for its open files: %w", err)
		}
		if filepath.Base(to) == name {
			return false, nil
		}
	}
	return true, nil
}

// emptyCPU says why a CPU profile has no samples, if it has none.
func emptyCPU(p *profile.Profile, spent time.Duration) error {
	const enough = 100 * time.Millisecond // of CPU time: 25 samples at 250 Hz
	if len(p.Sample) > 0 {
		return nil
	}
	if spent < enough {
		return fmt.Errorf("%w: the window had %s of CPU time only", errNothingSampled, spent.Round(time.Millisecond))
	}
	return fmt.Errorf("%w after %s of CPU time: the service handles SIGPROF itself, which the profiler needs; perf can profile it", errNothingSampled, spent.Round(time.Millisecond))
}

// cpuMissed notes a CPU profile that saw much less or more than the CPU's own clock.
func cpuMissed(p *profile.Profile, spent time.Duration) []string {
	const enough = time.Second
	var seen time.Duration
	for _, s := range p.Sample {
		seen += time.Duration(s.Value[1])
	}
	share := seen.Seconds() / spent.Seconds()
	if spent < enough || share > 0.85 && share < 1.15 {
		return nil
	}
	return []string{fmt.Sprintf("its samples stand for %s of %s of CPU time", seen.Round(10*time.Millisecond), spent.Round(10*time.Millisecond))}
}
