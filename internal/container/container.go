// Package container runs Duet's own image as a sandbox, by the docker command: one container that downloads, with a
// network, and one that builds and measures, without.
//
// No folder of this machine is mounted into either: what they need is copied in, they share one volume of their own,
// and what they found comes out as one text on stdout. So an engine on another machine does as well, no file of theirs
// is left with a strange owner, and there is nothing outside that their code could write to. Each argv is a list; no
// shell has a part in it.
//
// A container ends with this process, however that ends: its stdin closes then, and the Duet in it takes that as an
// interrupt.
package container

import (
	"fmt"
	"strconv"
	"strings"
)

// Dir is the volume in a container: the job in, the downloads, and the temporary folder.
const Dir = "/duet"

// JobDir is where Copy puts the job.
const JobDir = Dir + "/job"

// processes bounds what a container may hold at once: cargo and go start some dozens, a service has a few hundred
// threads at most.
const processes = 4096

// Capabilities are those of the Duet in a container; all others are dropped, and builds and services have none.
func Capabilities() []string {
	return []string{
		"CHOWN",        // hand trees and homes to the uids of builds and services
		"DAC_OVERRIDE", // read binaries out of what belongs to those uids, and remove it
		"KILL",         // end what has those uids
		"SETGID",       // start builds and services as a gid of their own
		"SETUID",       // and as a uid of their own
		"SYS_PTRACE",   // read a service's smaps_rollup: its private memory is a judged metric
	}
}

// Spec is one container.
type Spec struct {
	Name    string
	Image   string // an id, so that all containers of a run have the same
	Volume  string
	Network string   // "none", or where downloads come from; empty: the engine's default
	Args    []string // of duet
	Pass    []string // names of variables that it gets from this process
	CPUs    []int    // cores of the engine's machine; empty: any
	Memory  int64    // bytes, swap included
}

// create is the argv that makes a container which is started later. With --rm it is gone when it ends.
func (s Spec) create() []string {
	argv := []string{
		"create", "--name", s.Name, "--label", "duet", "--rm", "--interactive", "--pull", "never", "--log-driver", "none", "--no-healthcheck",
		// Root, so that builds and services get uids that are not Duet's; of root's rights what Capabilities names.
		"--user", "0:0", "--cap-drop", "ALL",
	}
	for _, name := range Capabilities() {
		argv = append(argv, "--cap-add", name)
	}
	memory := strconv.FormatInt(s.Memory, 10)
	argv = append(argv,
		"--security-opt", "no-new-privileges",
		"--pids-limit", strconv.Itoa(processes),
		"--memory", memory, "--memory-swap", memory,
	)
	if len(s.CPUs) > 0 {
		argv = append(argv, "--cpuset-cpus", list(s.CPUs))
	}
	argv = append(argv,
		"--read-only", "--tmpfs", "/tmp:rw,exec,nosuid,nodev,size=256m,mode=1777",
		"--mount", "type=volume,src="+s.Volume+",dst="+Dir,
		"--workdir", "/", "--env", "HOME="+Dir, "--env", "TMPDIR="+Dir,
	)
	for _, name := range s.Pass {
		argv = append(argv, "--env", name) // its value is not for the process table
	}
	if s.Network != "" {
		argv = append(argv, "--network", s.Network)
	}
	return append(append(argv, "--entrypoint", "duet", s.Image), s.Args...)
}

func list(cpus []int) string {
	var words []string
	for _, cpu := range cpus {
		words = append(words, strconv.Itoa(cpu))
	}
	return strings.Join(words, ",")
}

// EngineError says that there is no engine that could confine anything.
type EngineError struct{ Reason string }

func (e *EngineError) Error() string {
	return fmt.Sprintf("no docker engine answers here (%s): `docker info` has to work for this user", e.Reason)
}
