//go:build !linux

package harness

import "time"

// Supported says whether this system can measure at all.
func Supported() bool { return false }

func holdWork(string) error { return ErrUnsupported }

func lockHeld(string) bool { return true }

func allowedCores() []int { return nil }

func ownCPU() time.Duration { return 0 }
