//go:build !linux

package service

import "github.com/duet-bench/duet/internal/sandbox"

// Counters are not available here.
type Counters struct{}

// OpenCounters refuses.
func (*Service) OpenCounters() (*Counters, error) { return nil, sandbox.ErrUnsupported }

func (*Counters) Read() (Counts, error) { return Counts{}, sandbox.ErrUnsupported }
func (*Counters) Close() error          { return nil }

// ProbeCounters says no.
func ProbeCounters() CountersProbe { return CountersProbe{Why: "they are read on Linux alone"} }
