package sandbox

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// FindBounds looks at what confines this process.
func FindBounds() (Bounds, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return Bounds{}, fmt.Errorf("looking at what confines Duet: %w", err)
	}
	b, err := boundsOf(string(status))
	if err != nil {
		return Bounds{}, fmt.Errorf("looking at what confines Duet: %w", err)
	}
	var root unix.Statfs_t
	if err := unix.Statfs("/", &root); err != nil {
		return Bounds{}, fmt.Errorf("looking at the root file system: %w", err)
	}
	b.ReadOnly = root.Flags&unix.ST_RDONLY != 0
	interfaces, err := net.Interfaces()
	if err != nil {
		return Bounds{}, fmt.Errorf("listing the networks: %w", err)
	}
	b.Offline = true
	for _, i := range interfaces {
		// Tunnels that a kernel puts into every namespace are there and down.
		if i.Flags&net.FlagLoopback == 0 && i.Flags&net.FlagUp != 0 {
			b.Offline = false
		}
	}
	return b, nil
}
