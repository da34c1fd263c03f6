// Package goagent is what a Go service that is to be profiled gets compiled in: the source of one file, and the words
// that this file understands. Building adds the file and running speaks with it, so both know it from here.
//
// The conversation: a line asks; the answer is "ok N" or "error N" on a line, and N bytes. "hello" is answered with Mark,
// the version of Go and runtime.MemProfileRate.
package goagent

import (
	"bytes"
	_ "embed"
	"errors"
	"io"
	"strconv"
)

const (
	// Variable is the environment variable that wakes the agent: a path. Its socket has that name, a dot, and the id of the
	// process, so that each process of a service has one of its own.
	Variable = "DUET_AGENT"
	// FileName is what the file is called in the folder of the service's main package. It sorts first: the agent is
	// there before the service's own variables are made.
	FileName = "00_duet_agent.go"
	// Prefix begins the name of every function of the agent's: "main.duetAgentStart", "main.(*duetAgent).duetAgentServe".
	Prefix = "duetAgent"
	// Mark is a text in every binary with an agent, stripped or not, and how the answer to "hello" begins.
	Mark = "duet-agent/1 "
)

// The lines that ask. Mutex and Block are followed by a blank and a rate, Lookup by a name of runtime/pprof.
const (
	Hello    = "hello"
	StartCPU = "cpu-start" // at 100 Hz
	StopCPU  = "cpu-stop"  // answers with the profile
	GC       = "gc"        // collects garbage, as a heap profile is of the last collection
	Lookup   = "lookup"    // answers with the profile
	Mutex    = "mutex"     // answers with the rate before
	Block    = "block"
	Metrics  = "metrics" // answers with JSON: name → numbers; of a histogram counts and then bounds
)

//go:embed agent/00_duet_agent.go
var source []byte

// Source is the file. A build constraint ("linux && prod") holds it back as it does the service's own func main; without
// one, "", it is always compiled.
func Source(constraint string) []byte {
	if constraint == "" {
		return bytes.Clone(source)
	}
	return append([]byte("//go:build "+constraint+"\n\n"), source...)
}

// Imports are the packages of the standard library that the agent needs.
func Imports() []string {
	return []string{"bufio", "bytes", "errors", "io", "math", "net", "os", "path/filepath", "runtime", "runtime/metrics", "runtime/pprof",
		"strconv", "strings", "sync"}
}

// Inside says whether a binary has the agent in it.
func Inside(binary io.Reader) (bool, error) {
	const chunk = 1 << 20
	buffer := make([]byte, chunk+len(Mark))
	kept := 0
	for {
		n, err := binary.Read(buffer[kept:])
		text := buffer[:kept+n]
		if bytes.Contains(text, []byte(Mark)) {
			return true, nil
		}
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		kept = copy(buffer, text[max(0, len(text)-len(Mark)+1):])
	}
}

// Socket is the path of the socket of one process's agent, where Variable has the value path.
func Socket(path string, pid int) string { return path + "." + strconv.Itoa(pid) }
