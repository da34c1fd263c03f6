package harness

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Supported says whether this system can measure at all.
func Supported() bool { return runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64" }

// holdWork locks a run's folder until letGo, or until this process dies: then the kernel lets go. The descriptor is
// never inherited.
func holdWork(work string) (letGo func() error, err error) {
	fd, err := unix.Open(filepath.Join(work, lockName), unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == nil {
		err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
	}
	if err != nil {
		if fd >= 0 {
			unix.Close(fd)
		}
		return nil, fmt.Errorf("locking the temporary folder: %w", err)
	}
	return func() error { return unix.Close(fd) }, nil
}

// lockHeld says whether some process holds a lock file. One that is not there is free; one that cannot be opened
// counts as held. A pipe or a link in its place is opened without waiting and without being followed.
func lockHeld(path string) bool {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	defer unix.Close(fd)
	return unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB) != nil
}

// ours says whether a file belongs to the user that runs Duet.
func ours(info fs.FileInfo) bool {
	at, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(at.Uid) == os.Geteuid()
}
