// Package history keeps what the nights found: one file a result, never rewritten, never forced. Its stance: figures of
// different machines, settings or workload versions are never put on one line, and a file that cannot be read stops
// everything, with the store untouched.
package history

// Schema names the version of an entry's JSON.
const Schema = "duet.night/1"

// Entry is one recorded result of the default branch: a commit against the anchor, every service and workload.
type Entry struct {
	Schema   string  `json:"schema"`
	ID       string  `json:"id"`       // unique, and the name of its file: SHA-RUN.ATTEMPT
	Recorded string  `json:"recorded"` // RFC 3339, UTC: when it was measured
	Duet     string  `json:"duet"`     // Duet's own version
	State    State   `json:"state"`
	Error    string  `json:"error,omitempty"` // of a night that measured nothing
	Commit   Commit  `json:"commit"`
	Anchor   Commit  `json:"anchor"`             // what it was measured against
	Previous *Commit `json:"previous,omitempty"` // of an entry that moves the anchor: the anchor before; then Rows are Anchor ÷ Previous
	Machine  Machine `json:"machine"`
	// Toolchains, Config and Workloads say what figures depend on beside the commit: series break where they change.
	// A service that Services does not name breaks where any toolchain changes.
	Toolchains map[string]string `json:"toolchains,omitempty"` // "go" → "go1.26.8"
	Services   map[string]string `json:"services,omitempty"`   // by name: its language, a key of Toolchains
	Config     string            `json:"config,omitempty"`     // hash of what duet.yml says of measuring
	Workloads  map[string]string `json:"workloads,omitempty"`  // by name: a hash of its definition
	Rows       []Row             `json:"rows,omitempty"`
	Gaps       []Gap             `json:"gaps,omitempty"`
	Builds     []Build           `json:"builds,omitempty"`
	SelfCheck  *SelfCheck        `json:"self_check,omitempty"`
	// Suspects are changes for the worse that this night looked into.
	Suspects []Suspect `json:"suspects,omitempty"`
	// Notes are what a reader has to know of the night: a branch that was forced elsewhere, an anchor that is gone.
	Notes []string `json:"notes,omitempty"`
	Job   Job      `json:"job"`
}

// State is how a night ended.
type State string

// The states.
const (
	Measured    State = "measured"
	NotMeasured State = "not-measured"
)

// Commit is a commit of the default branch.
type Commit struct {
	SHA     string `json:"sha"`
	Subject string `json:"subject,omitempty"` // first line of its message
	Author  string `json:"author,omitempty"`
	Date    string `json:"date,omitempty"` // RFC 3339
}

// Machine is what figures depend on. Two entries are comparable where all of it is the same.
type Machine struct {
	CPU       string `json:"cpu"`
	Cores     int    `json:"cores"`
	OS        string `json:"os"`
	Arch      string `json:"arch"`
	Isolation string `json:"isolation"`
	Turns     string `json:"turns,omitempty"`
	// Memory and Kernel are told and break nothing.
	Memory int64  `json:"memory_bytes,omitempty"`
	Kernel string `json:"kernel,omitempty"`
}

// Row is one metric of one service under one workload, the commit against the anchor.
type Row struct {
	Service  string  `json:"service"`
	Workload string  `json:"workload,omitempty"` // empty for build metrics
	Metric   string  `json:"metric"`
	Ratio    float64 `json:"ratio"` // commit ÷ anchor; 0: not compared
	Low      float64 `json:"low,omitempty"`
	High     float64 `json:"high,omitempty"`
	Anchor   float64 `json:"anchor"` // absolute, in the metric's base unit, on this machine this night
	Commit   float64 `json:"commit"`
	Noise    float64 `json:"noise,omitempty"`
	Rounds   int     `json:"rounds,omitempty"`
	Verdict  string  `json:"verdict"` // against the anchor
	// Identical says that both commits start the same thing, so that the ratio is 1 without measuring.
	Identical bool `json:"identical,omitempty"`
}

// Gap is Rust ÷ Go of one metric at the commit.
type Gap struct {
	Pair     string  `json:"pair"`
	Workload string  `json:"workload,omitempty"`
	Metric   string  `json:"metric"`
	Ratio    float64 `json:"ratio"`
	Low      float64 `json:"low,omitempty"`
	High     float64 `json:"high,omitempty"`
}

// Build is what building one service at the commit cost. 0: not measured.
type Build struct {
	Service            string  `json:"service"`
	CleanSeconds       float64 `json:"clean_s"`
	IncrementalSeconds float64 `json:"incremental_s"`
	BinaryBytes        int64   `json:"binary_bytes"`
	Dependencies       int     `json:"dependencies"`
}

// SelfCheck is the night's A/A run: the commit against itself.
type SelfCheck struct {
	Rows  int      `json:"rows"`
	False []string `json:"false,omitempty"` // rows that were called improved or regressed: "go · health · p50"
}

// Job is the run of a workflow that measured it.
type Job struct {
	ID      int64  `json:"id,omitempty"`
	Attempt int    `json:"attempt,omitempty"`
	URL     string `json:"url,omitempty"`
}
