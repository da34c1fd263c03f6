package harness

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/duet-bench/duet/internal/postgres"
	"github.com/duet-bench/duet/internal/sandbox"
)

// The temporary folder of a run, and the file in it whose lock says that its run is alive.
const (
	workPrefix = "duet-work-"
	lockName   = "alive.lock"
	// databaseFolder is where a throwaway server lives in it: short, because the path of its socket is.
	databaseFolder = "pg"
	// youngest keeps the sweep from a folder that another run has made and not yet locked.
	youngest = time.Minute
)

// makeWork makes a run's temporary folder in dir, open to be walked through by the boxes' uids and listed by nobody,
// and holds its lock until letGo.
func makeWork(dir string) (work string, letGo func() error, err error) {
	sweepWork(dir)
	work, err = os.MkdirTemp(dir, workPrefix)
	if err != nil {
		return "", nil, fmt.Errorf("making the temporary folder: %w", err)
	}
	if err = os.Chmod(work, 0o711); err == nil {
		letGo, err = holdWork(work)
	}
	if err != nil {
		return "", nil, errors.Join(err, removeWork(work))
	}
	return work, letGo, nil
}

// sweepWork removes what runs left behind that were killed: folders of this user whose lock nobody holds.
func sweepWork(dir string) {
	left, _ := filepath.Glob(filepath.Join(dir, workPrefix+"*"))
	for _, work := range left {
		at, err := os.Lstat(work)
		if err != nil || !at.IsDir() || !ours(at) || time.Since(at.ModTime()) < youngest || lockHeld(filepath.Join(work, lockName)) {
			continue
		}
		postgres.Forget(filepath.Join(work, databaseFolder))
		_ = sandbox.RemoveTree(work) // a run that came alive: not ours to insist
	}
}

// removeWork removes the folder of this run.
func removeWork(work string) error {
	if err := sandbox.RemoveTree(work); err != nil {
		return fmt.Errorf("removing the temporary folder %s: %w", work, err)
	}
	return nil
}
