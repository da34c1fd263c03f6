//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// counts are hardware counts of a process with all its threads; ok false: this machine does not count.
type counts struct {
	ok                                                             bool
	userInstructions, kernelInstructions, userCycles, kernelCycles uint64
}

// counters count what the children of this thread do from their exec on, as perf stat does: each count is added
// when a child ends.
type counters struct{ fds []int }

// hardware are the four events, in the order of counts' fields.
func hardware() []unix.PerfEventAttr {
	event := func(config, bits uint64) unix.PerfEventAttr {
		return unix.PerfEventAttr{
			Type: unix.PERF_TYPE_HARDWARE, Config: config, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{})),
			Bits: bits | unix.PerfBitDisabled | unix.PerfBitInherit | unix.PerfBitEnableOnExec | unix.PerfBitExcludeHv,
		}
	}
	return []unix.PerfEventAttr{
		event(unix.PERF_COUNT_HW_INSTRUCTIONS, unix.PerfBitExcludeKernel), event(unix.PERF_COUNT_HW_INSTRUCTIONS, unix.PerfBitExcludeUser),
		event(unix.PERF_COUNT_HW_CPU_CYCLES, unix.PerfBitExcludeKernel), event(unix.PERF_COUNT_HW_CPU_CYCLES, unix.PerfBitExcludeUser),
	}
}

// openCounters opens all four or none.
func openCounters() *counters {
	c, err := open(hardware())
	if err != nil {
		return &counters{}
	}
	return c
}

// countersState says "counted" or why not.
func countersState() string {
	c, err := open(hardware())
	if err != nil {
		return fmt.Sprintf("not counted: %v", err)
	}
	c.close()
	return "counted"
}

func open(events []unix.PerfEventAttr) (*counters, error) {
	c := &counters{}
	for i := range events {
		const thisThread, anyCPU, noGroup = 0, -1, -1
		fd, err := unix.PerfEventOpen(&events[i], thisThread, anyCPU, noGroup, unix.PERF_FLAG_FD_CLOEXEC)
		if err != nil {
			c.close()
			return nil, fmt.Errorf("perf_event_open: %w", err)
		}
		c.fds = append(c.fds, fd)
	}
	return c, nil
}

func (c *counters) read() counts {
	if len(c.fds) != 4 {
		return counts{}
	}
	var values [4]uint64
	for i, fd := range c.fds {
		var b [8]byte
		if n, err := unix.Read(fd, b[:]); err != nil || n != len(b) {
			return counts{}
		}
		values[i] = binary.NativeEndian.Uint64(b[:])
	}
	return counts{
		ok: values[0] > 0, userInstructions: values[0], kernelInstructions: values[1], userCycles: values[2], kernelCycles: values[3],
	}
}

func (c *counters) close() {
	for _, fd := range c.fds {
		_ = unix.Close(fd)
	}
}
