package service

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ProbeCounters counts a loop of its own on the calling thread, twice, and believes the counters only where the counts
// fit the loop.
func ProbeCounters() CountersProbe {
	short, err := countLoop(hardwareEvents(), probeTurns)
	var long Counts
	if err == nil {
		long, err = countLoop(hardwareEvents(), 2*probeTurns)
	}
	var refused *refusedError
	switch {
	case errors.As(err, &refused):
		return CountersProbe{Why: refused.why, Cure: refused.cure}
	case err != nil:
		return CountersProbe{Why: err.Error()}
	}
	if why := implausible(short, long, probeTurns); why != "" {
		return CountersProbe{Why: why, Cure: noPMU}
	}
	return CountersProbe{Works: true}
}

// probeTurns of a loop take some milliseconds: long enough for the noise of starting and stopping to vanish, too short
// to be noticed.
const probeTurns = 5_000_000

// countLoop is what a loop of so many turns costs.
func countLoop(events [2]event, turns int) (Counts, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c := &Counters{events: events}
	defer c.Close()
	const thisThread = 0
	if err := c.add(thisThread); err != nil {
		return Counts{}, err
	}
	before, err := c.Read()
	if err != nil {
		return Counts{}, err
	}
	runtime.KeepAlive(spin(turns))
	after, err := c.Read()
	if err != nil {
		return Counts{}, err
	}
	return Counts{after.Instructions - before.Instructions, after.Cycles - before.Cycles}, nil
}

// spin is a loop in which each turn needs the one before it.
//
//go:noinline
func spin(turns int) uint64 {
	x := uint64(1)
	for range turns {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	return x
}

// implausible says what is wrong with the counts of a loop and of one twice as long; empty: they can be true. A turn of
// spin is 6 to 12 instructions on amd64 and arm64, and no core does more than 12 of them in a cycle or spends more than
// a few cycles on each.
func implausible(short, long Counts, turns int) string {
	n := int64(turns)
	for _, c := range []struct {
		name         string
		short, long  int64
		least, most  int64   // of the short loop
		growth, slip float64 // long ÷ short, and how far it may be off
	}{
		{"instructions:u", short.Instructions, long.Instructions, 3 * n, 40 * n, 2, 0.1},
		// The core's clock may change between the loops, its cycles hardly; other processes cost some by its caches.
		{"cycles:u", short.Cycles, long.Cycles, n / 4, 400 * n, 2, 1},
	} {
		if c.short == 0 && c.long == 0 {
			return fmt.Sprintf("%s can be opened and always counts 0: the hypervisor's counters are broken", c.name)
		}
		growth := float64(c.long) / float64(max(c.short, 1))
		if c.short < c.least || c.short > c.most || growth < c.growth-c.slip || growth > c.growth+c.slip {
			return fmt.Sprintf("%s cannot be true: %d for %d turns of a loop and %d for %d", c.name, c.short, turns, c.long, 2*turns)
		}
	}
	return ""
}

// noPMU is what to do where no setting helps.
const noPMU = "bare metal has them; elsewhere valgrind counts instructions"

// unknownParanoia is a level that could not be read.
const unknownParanoia = -100

// paranoia is kernel.perf_event_paranoid.
func paranoia() int {
	text, err := os.ReadFile("/proc/sys/kernel/perf_event_paranoid")
	if err != nil {
		return unknownParanoia
	}
	level, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return unknownParanoia
	}
	return level
}

// refusal puts an error of perf_event_open into words, and says the way out.
func refusal(err error, paranoid int) (why, cure string) {
	const enough = 2 // the highest level at which a user may count own processes in user mode
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return fmt.Sprintf("this machine shows no hardware counters; a hypervisor hides them (%v)", err), noPMU
	case (errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM)) && paranoid > enough:
		return fmt.Sprintf("kernel.perf_event_paranoid is %d, and counting needs %d or less (%v)", paranoid, enough, err),
			fmt.Sprintf("sudo sysctl kernel.perf_event_paranoid=%d", enough)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fmt.Sprintf("a container's rules forbid perf_event_open (%v)", err),
			"start the container with --cap-add PERFMON --cap-add SYS_PTRACE, or with a seccomp profile that allows perf_event_open"
	case errors.Is(err, unix.ENOSYS):
		return fmt.Sprintf("the kernel has no perf_event_open, or a seccomp profile hides it (%v)", err),
			"use a kernel with CONFIG_PERF_EVENTS, or a seccomp profile that allows perf_event_open"
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		return fmt.Sprintf("no descriptor is left for another counter (%v)", err), "raise ulimit -n"
	case errors.Is(err, unix.EBUSY), errors.Is(err, unix.ENOSPC):
		return fmt.Sprintf("another profiler holds the counters (%v)", err), "stop it"
	}
	return fmt.Sprintf("the kernel refuses perf_event_open (%v)", err), ""
}
