package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// hardwareCounters asks the kernel for instructions:u of this very thread: the only test that does not guess.
func hardwareCounters() finding {
	f := finding{subject: "hardware counters"}
	attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_HARDWARE, Config: unix.PERF_COUNT_HW_INSTRUCTIONS, Bits: unix.PerfBitExcludeKernel | unix.PerfBitExcludeHv}
	fd, err := unix.PerfEventOpen(&attr, 0, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
	switch err {
	case nil:
		unix.Close(fd)
		f.ok, f.found = true, "instructions:u"
	case unix.ENOENT, unix.EOPNOTSUPP, unix.ENODEV:
		f.cure = fmt.Sprintf("this machine or its hypervisor has none (%v)", err)
	case unix.EACCES, unix.EPERM:
		f.cure = fmt.Sprintf("the kernel refuses (%v): sysctl kernel.perf_event_paranoid=1", err)
	default:
		f.cure = fmt.Sprintf("the kernel refuses (%v)", err)
	}
	return f
}
