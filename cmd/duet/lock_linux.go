package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// lockName is the file that a measuring Duet holds on a self-hosted runner.
const lockName = "duet-measure.lock"

// lockHost waits until no other Duet measures on this self-hosted host, whose runners share the cores, and says so when
// it waits. Elsewhere a job has its machine for itself. unlock is to be called at the end; the kernel does it as well.
func lockHost(ctx context.Context, w world) (unlock func(), err error) {
	if w.getenv("RUNNER_ENVIRONMENT") != "self-hosted" {
		return func() {}, nil
	}
	path := filepath.Join(os.TempDir(), lockName)
	// Another user's file in a sticky folder may be opened, but not with O_CREATE (fs.protected_regular).
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, os.ErrNotExist) {
		file, err = os.OpenFile(path, os.O_RDONLY|os.O_CREATE|unix.O_NOFOLLOW, 0o644)
	}
	if err != nil {
		return nil, fmt.Errorf("locking this host for measuring: %w", err)
	}
	for waited := false; ; waited = true {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return func() { file.Close() }, nil
		case !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR):
			file.Close()
			return nil, fmt.Errorf("locking this host for measuring: %s: %w", path, err)
		case !waited:
			fmt.Fprintf(w.stderr, "another job measures on this host: waiting until %s is free\n", path)
		}
		select {
		case <-ctx.Done():
			file.Close()
			return nil, context.Cause(ctx)
		case <-time.After(lockPause):
		}
	}
}

// lockPause is how often a waiting Duet looks.
const lockPause = 500 * time.Millisecond
