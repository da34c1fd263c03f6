//go:build linux && (amd64 || arm64)

package load

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// Pin ties the calling goroutine to its thread and the thread to one CPU, until unpin. Call unpin on the
// same goroutine.
func Pin(cpu int) (unpin func(), err error) {
	var before, set unix.CPUSet
	if cpu < 0 || cpu >= len(set)*64 {
		return nil, fmt.Errorf("pinning to CPU %d: no such CPU", cpu)
	}
	runtime.LockOSThread()
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("pinning to CPU %d: reading affinity: %w", cpu, err)
	}
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("pinning to CPU %d: %w", cpu, err)
	}
	return func() {
		if unix.SchedSetaffinity(0, &before) != nil {
			return // stays locked: the thread ends with its goroutine instead of running others on one CPU
		}
		runtime.UnlockOSThread()
	}, nil
}
