//go:build !linux

package harness

import (
	"io/fs"
	"time"
)

// Supported says whether this system can measure at all.
func Supported() bool { return false }

func holdWork(string) (func() error, error) { return nil, ErrUnsupported }

func lockHeld(string) bool { return true }

func ours(fs.FileInfo) bool { return false }

func allowedCores() []int { return nil }

func ownCPU() time.Duration { return 0 }
