package sandbox

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// CPUClock reads any process's CPU clock, user and kernel, in nanoseconds: clock_getcpuclockid(3) makes its id as (^pid << 3) | 2.
func CPUClock(pid int) (time.Duration, error) {
	const scheduled = 2 // CPUCLOCK_SCHED: user and kernel
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduled), &t); err != nil {
		return 0, err
	}
	return time.Duration(t.Nano()), nil
}

// WaitedFor is what a process's children had spent that have ended and were waited for: cutime and cstime of
// /proc/PID/stat.
func WaitedFor(pid int) time.Duration {
	const tick = 10 * time.Millisecond // USER_HZ is 100 wherever Go runs on Linux
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	// The name, in brackets, may hold anything; cutime is the 14th field after it.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	const cutime, cstime = 13, 14
	if len(fields) <= cstime {
		return 0
	}
	user, _ := strconv.ParseInt(fields[cutime], 10, 64)
	kernel, _ := strconv.ParseInt(fields[cstime], 10, 64)
	return time.Duration(user+kernel) * tick
}
