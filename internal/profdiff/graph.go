package profdiff

import "github.com/duet-bench/duet/internal/result"

// Graph is a flame graph of one service under one workload at both sides, merged: it draws base's, head's and the
// difference. Figures are per request.
type Graph struct {
	Service  string
	Workload string
	Kind     result.ProfileKind
	Unit     string   // "s", "objects", "B", "events": of a request
	Tool     string   //
	HasBase  bool     // else head alone was profiled
	HasHead  bool     //
	Samples  [2]int64 // of base and head
	Root     Frame    // its name is empty
}

// Frame is a function on a stack with all that it called there.
type Frame struct {
	Name string
	File string // in the repository; empty: not the service's own, or unknown
	Line int
	Own  bool
	// Base and Head are the cost of this frame and of all below it.
	Base, Head float64
	// Z is how many standard errors apart the two sides' samples are, with head's sign; 0 where samples are none.
	Z     float64
	Calls []Frame // the dearest first
}
