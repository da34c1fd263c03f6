package service

import (
	"fmt"
)

// Counts are what a service's processes did in user mode since its counters were opened, by hardware counter.
type Counts struct {
	Instructions, Cycles int64
}

// MultiplexedError is a count that the kernel would have to extrapolate, because an event had its counter for a part of
// its time only. Extrapolated counts are estimates and are not used as counts.
type MultiplexedError struct {
	Event string
	Share float64 // of the event's time in which it was counted
}

func (e *MultiplexedError) Error() string {
	return fmt.Sprintf("%s was counted for %.1f %% of its time only: others use the counters too (another profiler, or the kernel's watchdog: sudo sysctl kernel.nmi_watchdog=0), or the cores have counters of different kinds",
		e.Event, 100*e.Share)
}

// CountersProbe is whether this machine counts instructions:u and cycles:u, found by counting.
type CountersProbe struct {
	Works bool
	Why   string // what is in the way, with the kernel's own words; empty where it works
	Cure  string // the way out; empty where there is none
}
