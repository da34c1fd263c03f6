package harness

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// The temporary folder of a run, and the file in it whose lock says that its run is alive.
const (
	workPrefix = "duet-work-"
	lockName   = "alive.lock"
	// youngest keeps the sweep from a folder that another run has made and not yet locked.
	youngest = time.Minute
)

// sweepWork removes what runs left behind that were killed: folders of ours whose lock nobody holds.
func sweepWork(dir string) {
	left, _ := filepath.Glob(filepath.Join(dir, workPrefix+"*"))
	for _, work := range left {
		at, err := os.Lstat(work)
		if err != nil || !at.IsDir() || time.Since(at.ModTime()) < youngest || lockHeld(filepath.Join(work, lockName)) {
			continue
		}
		_ = removeTree(work) // another user's, or a run that came alive: not ours to insist
	}
}

// removeWork removes the folder of this run.
func removeWork(work string) error {
	if err := removeTree(work); err != nil {
		return fmt.Errorf("removing the temporary folder %s: %w", work, err)
	}
	return nil
}

// removeTree removes a tree, also one with read-only folders in it: Go's module cache is made of them.
func removeTree(root string) error {
	if os.RemoveAll(root) == nil {
		return nil
	}
	var unlocking error
	_ = filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if entry != nil && entry.IsDir() {
			unlocking = errors.Join(unlocking, os.Chmod(path, 0o700))
		}
		return nil
	})
	if err := os.RemoveAll(root); err != nil {
		return errors.Join(err, unlocking)
	}
	return nil
}
