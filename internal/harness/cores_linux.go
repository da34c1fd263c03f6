package harness

import (
	"time"

	"golang.org/x/sys/unix"
)

// allowedCores are the cores this process may use, ascending.
func allowedCores() []int {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil
	}
	var list []int
	for cpu := range 8 * 128 { // the size of unix.CPUSet
		if set.IsSet(cpu) {
			list = append(list, cpu)
		}
	}
	return list
}

// ownCPU is what this process has had of the CPU, user and kernel.
func ownCPU() time.Duration {
	var at unix.Timespec
	if unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &at) != nil {
		return 0
	}
	return time.Duration(at.Nano())
}
