// Package build makes the binaries that are measured, and says what making them cost.
//
// A build is foreign code: it runs in a sandbox.Box, and nothing it leaves behind is trusted. Base and head
// are built one after the other at one and the same path, because paths end up in binaries: the Workshop owns
// that path and moves trees and caches in and out of it. Downloads come before and apart from builds; builds
// are told to stay offline. What is kept, the binary and the files beside it, is copied into a folder that the
// Box cannot write, before any other code runs.
//
// "Clean" means: everything of the service and of its dependencies is compiled. Go's standard library is not:
// like Rust's it is there, compiled once for both sides, before any code of theirs runs. Services do not share
// compiled dependencies with each other, so that the order of building tells nothing; those that differ only in how
// they are started are built once.
//
// "Incremental" means: a newline was appended to the file that holds func main or fn main, and the binary was
// removed, so that compiling that package and linking is what is timed.
package build

import (
	"fmt"
	"time"

	"github.com/duet-bench/duet/internal/result"
)

// DefaultDeadline is how long one clean build may take.
const DefaultDeadline = 15 * time.Minute

const (
	fileSizeLimit = 8 << 30 // bytes a build may write into one file
	binaryLimit   = 2 << 30 // bytes of a binary
	filesLimit    = 1 << 30 // bytes of all copied files of a service
)

// Built is a variant that can be started. Everything it names belongs to Duet and is read-only.
type Built struct {
	Dir    string   // holds the binary and, beside it, the copied files at their paths relative to the service's dir
	Binary string   // absolute path
	Files  []string // copied files, slash-separated, relative to Dir, sorted
	Record result.Build

	kept []kept // Files, as inputs
}

// Failure is a fetch or build that failed by the tree's own doing. It is a fact about the variant.
type Failure struct {
	Step string   // "fetching", "building", "keeping the binary", "copying files"
	Err  error    //
	Tail []string // last lines of output, sanitised
}

func (f *Failure) Error() string { return f.Step + ": " + f.Err.Error() }

func (f *Failure) Unwrap() error { return f.Err }

// DiskError says that there is too little room to build, before or while building.
type DiskError struct {
	Path       string
	Free, Need int64 // bytes; Need is 0 where a build ran into the end
}

func (e *DiskError) Error() string {
	const mib = 1 << 20
	if e.Need == 0 {
		return fmt.Sprintf("no space left on the disk of %s (%d MiB free): free some, or set TMPDIR to a larger disk", e.Path, e.Free/mib)
	}
	return fmt.Sprintf("%s has %d MiB free and the builds need about %d MiB: free some, or set TMPDIR to a larger disk",
		e.Path, e.Free/mib, e.Need/mib)
}
