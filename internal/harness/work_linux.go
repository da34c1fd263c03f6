package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// Supported says whether this system can measure at all.
func Supported() bool { return runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64" }

// holdWork locks the run's folder for as long as this process lives; the kernel lets go when it dies. The
// descriptor stays open on purpose and is never inherited.
func holdWork(work string) error {
	fd, err := unix.Open(filepath.Join(work, lockName), unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == nil {
		err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
	}
	if err != nil {
		return fmt.Errorf("locking the temporary folder: %w", err)
	}
	return nil
}

// lockHeld says whether some process holds a lock file. One that is not there, or not ours to open, counts as
// free only if its folder is ours.
func lockHeld(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return !os.IsNotExist(err)
	}
	defer f.Close()
	return unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) != nil
}
