// Package sandbox runs other people's code: builds and services, confined and never left behind.
//
// What it runs gets an environment made from an allow-list, a home and a temporary folder of its own, none
// of Duet's descriptors, no_new_privs, no capabilities, and, where Duet is root, a uid of its own. Its output
// goes through a pipe into a bounded file and is never relayed raw. Whatever it starts, daemonised or not,
// belongs to its Box and ends with it: by uid where there is one, and as descendants of Duet, which is their
// subreaper.
//
// Duet starts itself again (see Helper) to confine a child between fork and execve, because Go cannot run
// code there. It is a floor below build and service and knows nothing of either.
package sandbox

import (
	"errors"
	"fmt"
	"time"
)

// ErrUnsupported is what every operation answers where Duet cannot confine processes.
var ErrUnsupported = errors.New("running builds and services needs Linux")

// Options is what a Box is made from.
type Options struct {
	Name string // for errors: "go@head"
	// Dir holds the box's home, tmp and logs folders. It is made if it is missing, and every folder above
	// it must let other users pass (mode o+x) where the box has a uid of its own.
	Dir string
	// Isolate asks for a uid of the box's own. It is granted where Duet is root; see Level.
	Isolate bool
}

// Command is one program to run in a Box.
type Command struct {
	Argv []string          // Argv[0] without a slash is looked up in the command's own PATH
	Dir  string            // working directory; empty: the box's home
	Env  map[string]string // on top of the allow-list, which it may override
	// Log is a file that keeps the first LogLimit bytes of the output and its end; it must be in a folder
	// the box cannot write, like Box.Logs. Empty: only the end is kept, in memory.
	Log      string
	LogLimit int64  // 0: DefaultLogLimit
	Binds    []Bind // mounts in a mount namespace of the command's own; root only
	// Rw names those Binds, by their To, that stay writable. All others are read-only.
	Rw       []string
	NetNS    string // path of a network namespace to join; empty: Duet's own
	CPUs     []int  // cores it is held to; empty: those of Duet
	FileSize uint64 // largest file it may write, in bytes; 0: any
}

// DefaultLogLimit is how much of a command's first output its log keeps: a cargo build of 400 crates prints
// some 40 kB.
const DefaultLogLimit = 1 << 20

// Bind mounts From at To. A missing To is made if it lies in the box's Dir.
type Bind struct{ From, To string }

// Exit is how a process ended.
type Exit struct {
	Code   int           // exit status; -1 where Signal is set
	Signal string        // "SIGSEGV"; empty: it exited by itself
	Wall   time.Duration // from execve
	CPU    time.Duration // user and system, of the process and of the children it waited for
	Tail   []string      // last 50 lines of output, sanitised
}

// OK says whether the process ended well.
func (e Exit) OK() bool { return e.Code == 0 && e.Signal == "" }

func (e Exit) String() string {
	if e.Signal != "" {
		return "killed by " + e.Signal
	}
	return fmt.Sprintf("exit status %d", e.Code)
}

// Abilities is what this machine lets Duet do to confine a child.
type Abilities struct {
	Root       bool // a uid of its own for every box
	Sudo       bool // not root, but `sudo -n` works: running Duet under it would give Root
	Namespaces bool // private network and mount namespaces
}
