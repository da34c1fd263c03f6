package plan

// Phase is what a round's figures may be used for.
type Phase string

// Screening picks suspects; confirmation judges them on fresh rounds alone; a cross-check asks of regressions whether the
// compiler's inlining explains them.
const (
	Screen  Phase = "screen"
	Confirm Phase = "confirm"
	Cross   Phase = "cross-check"
)

// StepKind is what the harness does next.
type StepKind string

// The steps, in the order they first come.
const (
	StepBuild     StepKind = "build"     // one variant
	StepParity    StepKind = "parity"    // all variants, all workloads
	StepCalibrate StepKind = "calibrate" // one workload: find the offered rate
	StepCount     StepKind = "count"     // a callgrind round: fresh processes that serve all workloads in successive windows
	StepRound     StepKind = "round"     // one workload, all its live variants
	StepProfile   StepKind = "profile"   // one workload, all its live variants: the sampling passes
	StepDoubt     StepKind = "doubt"     // ask which regressions are to be cross-checked
	StepCross     StepKind = "cross"     // build both sides of the services in doubt again, with OneUnit
	StepDone      StepKind = "done"
)

// Step is one thing for the harness to do.
type Step struct {
	Kind     StepKind
	Variant  Variant   // build
	Workload string    // calibrate, round, profile
	Phase    Phase     // count, round
	Round    int       // count, round: from 1 within its phase
	Start    []Variant // count, round, profile: the order in which variants are started; cross: in which they are built
	// Windows are a callgrind round's workloads, in the order in which each process serves them.
	Windows []string
	// Open and Closed are the blocks of the two stages: each is one turn through all variants.
	// Over a stage each variant follows each other one equally often, as far as the number of blocks allows.
	Open, Closed [][]Variant
	// Settle asks the harness to judge all rows after this round and to put them into Progress.Rows. It is asked at
	// looks only: in confirmation the rows stay as screening left them, so that the family of suspects is fixed.
	Settle bool
}

// Progress is what has been settled so far. The harness fills it; Next only reads it.
type Progress struct {
	Built      map[Variant]bool         // builds that were done, well or badly
	Failed     map[Variant]bool         // variants that do not build, start or survive: no further trials
	Identical  map[string]bool          // services whose inputs are the same at both sides: measured at head alone
	ParityDone bool                     //
	Calibrated map[string]bool          // by workload
	Rounds     map[string]map[Phase]int // rounds done, by workload
	Counted    map[Phase]int            // callgrind rounds done
	CountOver  map[Phase]string         // why no more callgrind rounds of a phase are made: the time cap, no valgrind
	Profiled   map[string]bool          // by workload
	Rows       []Row                    // as the last Settle left them
	Stopped    map[string]string        // workloads given up, and why
	Asked      bool                     // what is in doubt was asked for
	Doubts     []Doubt                  // the answer
	BuiltAgain bool                     // both sides of the services in doubt, with OneUnit
}

// Row is one judged row of the report and where it stands.
type Row struct {
	Service  string
	Workload string // empty for build metrics
	Metric   string
	Pass     Pass
	State    RowState
	// Needs is how many fresh rounds a suspect takes to be confirmed, by the effect and the noise that screening showed;
	// 0: as many as the plan has for all.
	Needs int `json:",omitempty"`
}

// Pass is a way of running the same requests: it says which rounds can settle a row.
type Pass string

// The passes. Timing runs the unmodified build at full speed; Instructions runs it under callgrind.
const (
	Timing       Pass = ""
	Instructions Pass = "instructions"
)

// RowState is where a row stands after a look.
type RowState string

// Row states. Open rows go on to the next look; suspects go on to confirmation.
const (
	RowOpen    RowState = "open"
	RowDecided RowState = "decided"
	RowSuspect RowState = "suspect"
)
