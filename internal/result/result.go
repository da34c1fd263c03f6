// Package result holds what was measured: facts, never opinions.
//
// A Run is everything a report is made from. Base units inside (seconds, bytes, requests); scaling is the
// report's business. Missing data is a missing value, never a zero that looks sound.
package result

import (
	"github.com/duet-bench/duet/internal/plan"
)

// Schema names the version of run.json. A reader refuses any other.
const Schema = "duet.run/1"

// Run is one run of the main job.
type Run struct {
	Schema   string        `json:"schema"`
	Duet     string        `json:"duet"`    // Duet's own version
	State    State         `json:"state"`   // how the run ended
	Started  string        `json:"started"` // RFC 3339, UTC
	Seconds  float64       `json:"seconds"`
	Attempt  int           `json:"attempt"`
	Plan     plan.Plan     `json:"plan"`
	Machine  Machine       `json:"machine"`          // of a merged run, where the builds were measured: see MachineOf
	Shards   []Shard       `json:"shards,omitempty"` // of a merged run: its parts, each on a machine of its own
	Builds   []Build       `json:"builds,omitempty"`
	Parity   *ParityResult `json:"parity,omitempty"`
	Rates    []OfferedRate `json:"rates,omitempty"`
	Trials   []Trial       `json:"trials,omitempty"`
	Costs    []Cost        `json:"costs,omitempty"`    // of the instructions pass
	Profiles []Profile     `json:"profiles,omitempty"` // of the sampling passes
	// GoRuntimes are what Go's own counters say beside the CPU profiles.
	GoRuntimes []GoRuntime `json:"go_runtimes,omitempty"`
	Names      []string    `json:"names,omitempty"` // of functions and files in Costs and Profiles, each once
	Rows       []plan.Row  `json:"rows,omitempty"`  // as the last look left them: which rows were confirmed
	Failures   []Failure   `json:"failures,omitempty"`
	// Stopped are workloads that nobody was measured with, and why: no PostgreSQL, say.
	Stopped   map[string]string `json:"stopped,omitempty"`
	Error     string            `json:"error,omitempty"` // not measured, and no variant is to blame: a full disk, say
	Warnings  []string          `json:"warnings,omitempty"`
	Durations []StepDuration    `json:"durations,omitempty"` // where the time went
}

// State is how a run ended.
type State string

// The states of a run.
const (
	Measured       State = "measured"
	NothingChanged State = "nothing-changed" // nothing outside ignore: not built
	NotMeasured    State = "not-measured"    // head does not build, start or survive; see Failures
	Cancelled      State = "cancelled"
)

// Machine is what the run ran on. Absolute figures never cross machines.
type Machine struct {
	OS         string            `json:"os"`
	Arch       string            `json:"arch"`
	Kernel     string            `json:"kernel"`
	CPU        string            `json:"cpu"`
	Cores      int               `json:"cores"`
	Memory     int64             `json:"memory_bytes"`
	Toolchains map[string]string `json:"toolchains"` // "go" → "go1.26.8"
	Isolation  string            `json:"isolation"`  // the level reached, e.g. "basic: uid, no_new_privs, subreaper"
	Turns      string            `json:"turns"`      // "together" or "one at a time" (fixed ports without network namespaces)
	ClientCPU  string            `json:"client_cpu"` // cores of the load generator, e.g. "1"
	ServiceCPU string            `json:"service_cpu"`
}

// Build is how one variant was built. A variant that did not build has Error set and no binary.
type Build struct {
	Variant            plan.Variant      `json:"variant"`
	FetchSeconds       float64           `json:"fetch_s"`
	CleanSeconds       float64           `json:"clean_s"`
	CleanCPU           float64           `json:"clean_cpu_s"`
	IncrementalSeconds float64           `json:"incremental_s"` // after a newline appended to the main file
	IncrementalCPU     float64           `json:"incremental_cpu_s"`
	BinaryBytes        int64             `json:"binary_bytes"`
	BinarySHA256       string            `json:"binary_sha256"`
	InputsSHA256       string            `json:"inputs_sha256"` // binary, copied files, arguments, environment, the database's scripts
	IdenticalToBase    bool              `json:"identical_to_base"`
	Dependencies       int               `json:"dependencies"` // modules or crates, without the service itself
	Toolchain          string            `json:"toolchain"`
	Settings           map[string]string `json:"settings,omitempty"` // fairness knobs seen: GOGC, lto, …
	Notes              []string          `json:"notes,omitempty"`
	Error              string            `json:"error,omitempty"`
	LogTail            []string          `json:"log_tail,omitempty"` // last lines, sanitised, on error
}

// ParityResult is what the comparison of answers found. A run without it compared nothing.
type ParityResult struct {
	Requests    int          `json:"requests"`    // pairs of answers compared
	Differences []Difference `json:"differences"` // at most MaxDifferences; Total counts all
	Total       int          `json:"total"`
}

// MaxDifferences is how many differences run.json keeps.
const MaxDifferences = 200

// Difference is one request that two variants answered differently.
type Difference struct {
	A        plan.Variant `json:"a"`
	B        plan.Variant `json:"b"`
	Workload string       `json:"workload"`
	Request  string       `json:"request"` // "POST /links"
	What     string       `json:"what"`    // status, content-type, location, body
	Diff     []string     `json:"diff"`    // short: lines starting with -, + or a space
}

// OfferedRate is the rate of a workload's open-loop stage, the same for all variants.
type OfferedRate struct {
	Workload  string                   `json:"workload"`
	Capacity  map[plan.Variant]float64 `json:"capacity"` // requests a second, closed loop
	PerSecond float64                  `json:"per_second"`
}

// Trial is one variant in one round of one workload. Invalid is the reason it does not count; then the
// figures say what was seen until then and are never compared.
type Trial struct {
	Variant   plan.Variant `json:"variant"`
	Workload  string       `json:"workload"`
	Phase     plan.Phase   `json:"phase"`
	Round     int          `json:"round"`
	Invalid   string       `json:"invalid,omitempty"`
	ColdStart float64      `json:"cold_start_s"` // spawn to first good answer
	Open      Stage        `json:"open"`
	Closed    Stage        `json:"closed"`
	Memory    Memory       `json:"memory"`
}

// Stage is a trial's figures for one kind of load, summed over its slices.
type Stage struct {
	Requests    int64     `json:"requests"`       // answered, good or bad
	Errors      int64     `json:"errors"`         // bad answers, broken connections, time-outs
	Seconds     float64   `json:"s"`              // time in slices
	CPUSeconds  float64   `json:"cpu_s"`          // of the service's processes, user and kernel
	Offered     float64   `json:"offered"`        // requests due a second; 0 in a closed loop
	Achieved    float64   `json:"achieved"`       // requests answered a second
	Latency     Histogram `json:"latency"`        // from the intended start (open) or from the send (closed)
	Service     Histogram `json:"service"`        // from the actual send; empty in a closed loop, where it is Latency
	LatenessP99 float64   `json:"lateness_p99_s"` // how late sends left the client
	// ClientCPUSeconds is what the load generator itself spent, user and kernel, on these slices.
	ClientCPUSeconds float64 `json:"client_cpu_s,omitempty"`
	// Instructions and Cycles are those of the service's processes in user mode, by hardware counter; 0: not counted.
	Instructions int64          `json:"instructions,omitempty"`
	Cycles       int64          `json:"cycles,omitempty"`
	Slices       int            `json:"slices"`
	Dropped      map[string]int `json:"dropped,omitempty"` // slices dropped with their block, by outside cause
}

// Cost is what one window of the instructions pass counted: one variant under one workload, serving a fixed number of
// requests under callgrind in one callgrind round. It is work, never time. Invalid is the reason it does not count.
type Cost struct {
	Variant  plan.Variant `json:"variant"`
	Workload string       `json:"workload"`
	// Build is the setting of a cross-check's build, plan.OneUnit; empty: the build that is measured. Costs of different
	// builds are never compared with each other.
	Build    string     `json:"build,omitempty"`
	Phase    plan.Phase `json:"phase"`
	Round    int        `json:"round"`
	Invalid  string     `json:"invalid,omitempty"`
	Requests int64      `json:"requests"`
	// Buckets split the window's instructions by who spent them (the Bucket constants); they sum to all of the process's.
	Buckets map[string]int64 `json:"buckets,omitempty"`
	// Allocations are calls of the runtime's allocation functions, exact; 0: not known.
	Allocations int64 `json:"allocations,omitempty"`
	// Functions and Lines say who of the service's own code spent BucketService and made the allocations, the dearest
	// first, at most MaxFunctions each; empty where the binary has no symbols, no line tables.
	Functions []FunctionCost `json:"functions,omitempty"`
	Lines     []LineCost     `json:"lines,omitempty"`
}

// The buckets that a Cost's instructions are split into. BucketService is the stable figure: what the service itself
// does. The others move with the machine: profdiff has the table of symbols.
const (
	BucketService   = "service"
	BucketAllocator = "allocator"
	BucketCollector = "collector"
	BucketScheduler = "scheduler" // idling included
)

// Instructions are all of the window's, over all buckets.
func (c Cost) Instructions() int64 {
	var sum int64
	for _, n := range c.Buckets {
		sum += n
	}
	return sum
}

// Memory is a trial's memory during the open-loop stage. Zero peaks mean "not read".
type Memory struct {
	PeakRSS     int64         `json:"peak_rss"` // VmHWM, the kernel's own peak
	PeakPSS     int64         `json:"peak_pss"`
	PeakPSSAnon int64         `json:"peak_pss_anon"`
	Curve       []MemoryPoint `json:"curve,omitempty"` // at most 120 points
}

// MemoryPoint is one sample of memory.
type MemoryPoint struct {
	At      float64 `json:"t"` // seconds since the trial's first slice
	RSS     int64   `json:"rss"`
	PSS     int64   `json:"pss"`
	PSSAnon int64   `json:"pss_anon"`
}

// Failure is a variant that could not be built, started or kept alive.
type Failure struct {
	Variant plan.Variant `json:"variant"`
	Step    string       `json:"step"` // building, starting, parity, measuring
	Error   string       `json:"error"`
	LogTail []string     `json:"log_tail,omitempty"` // at most 20 lines, sanitised
}

// StepDuration is how long one kind of step took in all.
type StepDuration struct {
	Step    string  `json:"step"`
	Seconds float64 `json:"s"`
}
