package sandbox

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// RemoveTree removes a tree that may have been made by other people's code, also one with folders in it that
// cannot be written: Go's module cache is made of them. Links are removed, never followed.
func RemoveTree(root string) error {
	if os.RemoveAll(root) == nil {
		return nil
	}
	var unlocking error
	_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
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
