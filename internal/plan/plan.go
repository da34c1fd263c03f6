// Package plan decides, before anything runs, all that will run.
//
// A Plan is the maximal order of what will run and the rules by which it ends early. It is made from
// two configurations and a source resolution (Load) and walked with Next, a pure function: the same plan,
// seed and progress give the same next step on every machine. Nothing here reads a file, a clock or the
// environment.
package plan

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/duet-bench/duet/internal/strictyaml"
	"github.com/duet-bench/duet/internal/workload"
)

// Schema names the version of the Plan inside run.json.
const Schema = "duet.plan/1"

// Side is one of the two commits compared.
type Side string

// The two sides. Base is the merge base; head is the commit under test.
const (
	Base Side = "base"
	Head Side = "head"
)

// Variant is a service at a side, written "go@head".
type Variant struct {
	Service string
	Side    Side
}

func (v Variant) String() string { return v.Service + "@" + string(v.Side) }

// MarshalText writes "go@head", so that a Variant can be a JSON string or map key.
func (v Variant) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads "go@head".
func (v *Variant) UnmarshalText(text []byte) error {
	name, side, ok := strings.Cut(string(text), "@")
	if !ok || name == "" || (Side(side) != Base && Side(side) != Head) {
		return fmt.Errorf("unexpected variant %q: expected SERVICE@base or SERVICE@head", text)
	}
	*v = Variant{Service: name, Side: Side(side)}
	return nil
}

// Lang is the language a service is written in: it decides how the service is built.
type Lang string

// The languages Duet builds.
const (
	Go   Lang = "go"
	Rust Lang = "rust"
)

// Plan is everything that was decided before measuring. It travels inside run.json.
type Plan struct {
	Schema    string              `json:"schema"`
	Head      Commit              `json:"head"`
	Base      *Commit             `json:"base,omitempty"` // nil: "baseline: none"
	NoBase    string              `json:"no_base,omitempty"`
	Changed   []string            `json:"changed"` // files changed outside Ignore, at most 300, sorted
	Fork      bool                `json:"fork,omitempty"`
	Services  map[Variant]Service `json:"services"` // one for each variant that will be built
	Order     []string            `json:"order"`    // the services' names as head's configuration lists them
	Resources map[Side]Resources  `json:"resources,omitempty"`
	Pairs     []Pair              `json:"pairs"`
	Workloads []workload.Workload `json:"workloads"` // those that fit the budget, in order
	Dropped   []Dropped           `json:"dropped,omitempty"`
	Setup     []workload.Request  `json:"setup,omitempty"` // sent to every variant before each workload's own setup
	Parity    Parity              `json:"parity"`
	Margins   map[string]float64  `json:"margins"` // metric → margin as a share (0.02 is 2 %); only the configured ones
	Policy    Policy              `json:"policy"`
	Ignore    []string            `json:"ignore"`
	Budget    time.Duration       `json:"budget_ns"` // measuring time over all workloads, without builds and confirmation
	Seed      uint64              `json:"seed"`
	Rounds    Rounds              `json:"rounds"`
	Window    Window              `json:"window"`
	// Profile is the time under load of all CPU profiles together, outside the budget; 0: no sampling passes.
	Profile  time.Duration `json:"profile_ns,omitempty"`
	Unpinned bool          `json:"unpinned,omitempty"` // no service is held to a core of its own
	Shard    *Shard        `json:"shard,omitempty"`    // this is a part of a whole plan; nil: it is whole
	Same     Same          `json:"same,omitempty"`     // what becomes of what is the same at both sides
	Warnings []string      `json:"warnings,omitempty"`
}

// Commit is one side's source.
type Commit struct {
	SHA      string `json:"sha"`
	Ref      string `json:"ref,omitempty"`      // what the user called it: a branch, a tag, "HEAD"
	Reason   string `json:"reason,omitempty"`   // base only: why this commit is the base
	Behind   int    `json:"behind,omitempty"`   // base only: commits on the base branch since
	Worktree bool   `json:"worktree,omitempty"` // head only: with uncommitted changes
	MergeOf  string `json:"merge_of,omitempty"` // head only: the pull request's head that GitHub's test merge, SHA, was made of
	Subject  string `json:"subject,omitempty"`  // first line of the commit message
}

// Asked is the commit that somebody wants judged: a pull request's head where a test merge of it was measured.
func (c Commit) Asked() string { return cmp.Or(c.MergeOf, c.SHA) }

// Service is one program under test, as one side's duet.yml describes it.
type Service struct {
	Name    string            `json:"name"`
	Lang    Lang              `json:"lang"`
	Dir     string            `json:"dir"`              // relative to the repository; "../other" is a second checkout
	Build   []string          `json:"build,omitempty"`  // argument list; empty: inferred from Lang
	Binary  string            `json:"binary,omitempty"` // what Build makes, relative to Dir
	Run     []string          `json:"run,omitempty"`    // arguments after the binary; {port} is replaced
	Env     map[string]string `json:"env,omitempty"`
	PassEnv []string          `json:"pass_env,omitempty"` // names passed through from the caller; base's list counts, never for forks
	Ready   Ready             `json:"ready"`
	Files   []string          `json:"files,omitempty"` // copied beside the binary, relative to Dir
	Port    int               `json:"port,omitempty"`  // fixed; 0: Duet chooses and hands it over
	Pprof   string            `json:"pprof,omitempty"` // path at which it serves profiles itself: /debug/pprof
}

// Ready is how Duet learns that a service answers.
type Ready struct {
	Path    string        `json:"path"`       // default /health
	Timeout time.Duration `json:"timeout_ns"` // default 10 s
}

// Choice says how a plan measures, in words: what `measure` in duet.yml fixes and else the defaults decide.
func (p Plan) Choice() string {
	if len(p.Rounds.Looks) == 0 {
		return ""
	}
	looks := make([]string, len(p.Rounds.Looks))
	for i, n := range p.Rounds.Looks {
		looks[i] = strconv.Itoa(n)
	}
	where := "services held to one core"
	if p.Unpinned {
		where = "services not pinned"
	}
	confirm := strconv.Itoa(p.Rounds.Confirm)
	if p.Rounds.ConfirmMost > p.Rounds.Confirm {
		confirm += " to " + strconv.Itoa(p.Rounds.ConfirmMost)
	}
	return fmt.Sprintf("slices of %s or more, looks after %s rounds, %s to confirm, %s",
		strictyaml.Short(p.Window.Slice), strings.Join(looks, ", "), confirm, where)
}

// Pair is two services that answer one contract.
type Pair struct {
	Name string `json:"name"`
	Go   string `json:"go"`   // a service's name
	Rust string `json:"rust"` // a service's name
}

// Dropped is a workload that was left out, by name, and why.
type Dropped struct {
	Workload string `json:"workload"`
	Reason   string `json:"reason"`
}

// Parity is how answers are compared before load.
type Parity struct {
	Ignore   []string `json:"ignore,omitempty"` // JSONPaths whose values may differ, base's list
	Requests int      `json:"requests"`         // compared a workload, head's
}

// Gate is what makes the exit status 1.
type Gate string

// Gates, from the loosest to the tightest. A flag may only tighten base's.
const (
	GateNever        Gate = "never"
	GateRegression   Gate = "regression"
	GateInconclusive Gate = "inconclusive" // a regression or an inconclusive verdict
)

// Policy is what only base's duet.yml may say.
type Policy struct {
	Gate            Gate   `json:"gate"`
	Isolation       string `json:"isolation"`         // basic (default), container or strict
	SelfHostedForks string `json:"self_hosted_forks"` // refuse (default) or allow
}

// Rounds is when screening looks and how confirmation is sized (docs/methodology.md).
type Rounds struct {
	Looks   []int `json:"looks"`   // rounds after which Settle is asked: 7, 11, 15, cut to what the budget allows
	Confirm int   `json:"confirm"` // fresh rounds for suspects, at least
	// ConfirmMost is the most fresh rounds that a suspect may ask for by what screening showed of it; 0: Confirm.
	ConfirmMost int `json:"confirm_most,omitempty"`
	// CountLooks, CountConfirm and CountCap are the same for callgrind rounds, which have a time of their own outside
	// the budget: CountCap for screening and as much again for confirmation. 0: the instructions pass is off.
	CountLooks   []int         `json:"count_looks,omitempty"`
	CountConfirm int           `json:"count_confirm,omitempty"`
	CountCap     time.Duration `json:"count_cap_ns,omitempty"`
	// CrossCap is how long building both sides again may take for a cross-check, whose callgrind rounds have another
	// CountCap. 0: there is none.
	CrossCap time.Duration `json:"cross_cap_ns,omitempty"`
}

// Window is how one trial's measuring time is spent.
type Window struct {
	Trial  time.Duration `json:"trial_ns"`  // Open + Closed
	Open   time.Duration `json:"open_ns"`   // the fixed-rate stage
	Closed time.Duration `json:"closed_ns"` // the closed-loop stage
	Slice  time.Duration `json:"slice_ns"`  // one variant's share of a block
}

// UsageError is a wrong command line or configuration: exit status 2. Hint, if any, is the way out.
type UsageError struct {
	Err  error
	Hint string
}

func (e *UsageError) Error() string {
	if e.Hint == "" {
		return e.Err.Error()
	}
	return e.Err.Error() + "\nhint: " + e.Hint
}

func (e *UsageError) Unwrap() error { return e.Err }

// Usagef makes a UsageError.
func Usagef(hint, format string, args ...any) error {
	return &UsageError{Err: fmt.Errorf(format, args...), Hint: hint}
}
