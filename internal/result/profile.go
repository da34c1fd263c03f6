package result

import (
	"fmt"
	"math"
	"path"

	"github.com/duet-bench/duet/internal/plan"
)

// ProfileKind is what a profile samples.
type ProfileKind string

// The kinds of profiles.
const (
	ProfileCPU       ProfileKind = "cpu"
	ProfileAllocs    ProfileKind = "allocs"    // objects and bytes allocated in the window
	ProfileHeap      ProfileKind = "heap"      // objects and bytes in use at the window's end
	ProfileMutex     ProfileKind = "mutex"     // contention: how often, and nanoseconds lost
	ProfileBlock     ProfileKind = "block"     // waiting: how often, and nanoseconds
	ProfileGoroutine ProfileKind = "goroutine" // goroutines at the window's end
)

// ProfileKinds are all of them, in the order in which they are shown.
func ProfileKinds() []ProfileKind {
	return []ProfileKind{ProfileCPU, ProfileAllocs, ProfileHeap, ProfileMutex, ProfileBlock, ProfileGoroutine}
}

// MaxProfiles is how many windows of sampling passes a run.json holds at most: 32 variants, 20 workloads, 6 kinds.
const MaxProfiles = 4096

// ProfileFolder is where a run's raw profiles lie, beside run.json.
const ProfileFolder = "profiles"

// Profile is what one window of a sampling pass saw: one variant under one workload, serving a fixed number of requests
// with a profiler inside. It never enters a trial's figures. Invalid is the reason it does not count.
type Profile struct {
	Variant  plan.Variant `json:"variant"`
	Workload string       `json:"workload"`
	Kind     ProfileKind  `json:"kind"`
	Round    int          `json:"round"` // windows of one number were taken in turns
	Tool     string       `json:"tool"`  // what sampled: "runtime/pprof", "gperftools", "perf", ToolEndpoint
	Invalid  string       `json:"invalid,omitempty"`
	Notes    []string     `json:"notes,omitempty"` // what does not work here, how the profiled binary differs from the measured one
	// File is the raw profile in ProfileFolder, all of the variant's windows of this workload and kind merged; empty: not kept.
	File       string  `json:"file,omitempty"`
	Requests   int64   `json:"requests"`
	Seconds    float64 `json:"s"`
	CPUSeconds float64 `json:"cpu_s"`   // of the service's processes, by their CPU clocks: what shares are taken of
	Samples    int64   `json:"samples"` // stacks seen; of exact kinds, objects or events
	Bytes      int64   `json:"bytes,omitempty"`
	// Functions say whose the samples are, the dearest first, at most MaxFunctions.
	Functions []SampledFunction `json:"functions,omitempty"`
}

// SampledFunction is one function's share of a profile. Samples count events: CPU samples, objects, contentions; Bytes
// is the second figure of kinds that have one: bytes, nanoseconds lost.
//
// In JSON it is one string of numbers, in the order of the fields.
type SampledFunction struct {
	Function Name
	File     Name // in the repository; 0: not the service's own, or unknown
	Line     int
	Own      bool // of the service's own code
	// Nearest is what was sampled with this function as the nearest of the service's own to the leaf.
	Nearest, NearestBytes int64
	// Self is what was sampled in this function itself.
	Self, SelfBytes int64
	// Cumulative is what was sampled with this function anywhere on the stack, once a stack.
	Cumulative, CumulativeBytes int64
}

// MarshalText writes the numbers.
func (f SampledFunction) MarshalText() ([]byte, error) {
	own := int64(0)
	if f.Own {
		own = 1
	}
	return numbersText(int64(f.Function), int64(f.File), int64(f.Line), own, f.Nearest, f.NearestBytes, f.Self, f.SelfBytes, f.Cumulative, f.CumulativeBytes), nil
}

// UnmarshalText reads them.
func (f *SampledFunction) UnmarshalText(text []byte) error {
	n, err := numbersOf(string(text), 10)
	if err != nil || n[3] > 1 {
		return fmt.Errorf("unexpected function %.80q: expected 10 numbers, the fourth 0 or 1", text)
	}
	*f = SampledFunction{
		Function: Name(n[0]), File: Name(n[1]), Line: int(n[2]), Own: n[3] == 1,
		Nearest: n[4], NearestBytes: n[5], Self: n[6], SelfBytes: n[7], Cumulative: n[8], CumulativeBytes: n[9],
	}
	return nil
}

// ToolEndpoint is a service that serves profiles of itself.
const ToolEndpoint = "endpoint"

// GoRuntime is what Go's own counters (runtime/metrics) say of one variant under one workload, over all windows of the CPU
// pass. Figures of a collector are of the profiled process, which is built with one file more than the measured one.
type GoRuntime struct {
	Variant      plan.Variant `json:"variant"`
	Workload     string       `json:"workload"`
	Requests     int64        `json:"requests"`
	Seconds      float64      `json:"s"`
	GCCycles     int64        `json:"gc_cycles"`
	GCCPUShare   float64      `json:"gc_cpu_share"` // of the CPU time the runtime accounts for, idle left out
	GCPauses     Histogram    `json:"gc_pauses"`    // stop-the-world time of collections
	SchedLatency Histogram    `json:"sched_latency"`
	HeapLive     int64        `json:"heap_live"` // bytes that the last collection left
	AllocObjects int64        `json:"alloc_objects"`
	AllocBytes   int64        `json:"alloc_bytes"`
	Goroutines   int64        `json:"goroutines"` // at the end
}

// checkProfiles refuses profiles that a run of ours would not have.
func (r Run) checkProfiles() error {
	if len(r.Profiles) > MaxProfiles || len(r.GoRuntimes) > MaxProfiles {
		return fmt.Errorf("%d profiles and %d of Go's counters: expected at most %d", len(r.Profiles), len(r.GoRuntimes), MaxProfiles)
	}
	for _, p := range r.Profiles {
		if p.File != "" && (p.File != path.Base(p.File) || p.File == "." || p.File == ".." || len(p.File) > MaxName) {
			return fmt.Errorf("%s, %s: file %.80q: expected a name without folders", p.Variant, p.Workload, p.File)
		}
		if len(p.Functions) > MaxFunctions {
			return fmt.Errorf("%s, %s: %d functions: expected at most %d", p.Variant, p.Workload, len(p.Functions), MaxFunctions)
		}
		for _, f := range p.Functions {
			if f.Function == 0 || f.Line > math.MaxInt32 || int(f.Function) > len(r.Names) || int(f.File) > len(r.Names) {
				return fmt.Errorf("%s, %s: a function that is not in names, or a line beyond %d", p.Variant, p.Workload, math.MaxInt32)
			}
		}
	}
	return nil
}
