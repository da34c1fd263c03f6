package selftest

import (
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/stats"
)

// FindingsSchema names the version of the self-test's JSON.
const FindingsSchema = "duet.selftest/1"

// Findings is everything the self-test found out, before any format.
type Findings struct {
	Schema     string         `json:"schema"`
	Duet       string         `json:"duet"`
	Machine    result.Machine `json:"machine"`
	Kind       Kind           `json:"kind"`
	KindWhy    string         `json:"kind_why"`
	Sessions   int            `json:"sessions"`
	Rounds     BankRounds     `json:"rounds"`
	Report     ReportSize     `json:"report"`
	False      FalseReports   `json:"false_reports"`
	Simulation *Simulation    `json:"simulation,omitempty"`
	Found      []Found        `json:"found"`
	Named      []Named        `json:"nothing_to_name"` // plants without a row
	Noise      []Noise        `json:"noise"`
	Warnings   []string       `json:"warnings,omitempty"`
}

// Kind is how quiet a machine is.
type Kind string

// The kinds of machine: quiet means a round-to-round standard deviation of CPU time under 1 %.
const (
	Quiet   Kind = "quiet"
	Busy    Kind = "busy"
	Unknown Kind = "unknown"
)

// BankRounds is what the bank holds.
type BankRounds struct {
	Timing          map[string]int `json:"timing"` // by workload
	Counting        int            `json:"counting"`
	Trials          int            `json:"trials"`
	Invalid         int            `json:"invalid_trials"`
	InvalidCosts    int            `json:"invalid_costs"`
	MeasuredSeconds float64        `json:"measured_s"` // in slices
}

// ReportSize is how many rounds a report may use, at most.
type ReportSize struct {
	Looks        []int   `json:"looks"`
	Confirm      int     `json:"confirm"`
	ConfirmMost  int     `json:"confirm_most"` // where screening asks for more
	CountLooks   []int   `json:"count_looks"`
	CountConfirm int     `json:"count_confirm"`
	PerWorkload  float64 `json:"screening_s"` // of measuring a workload, both services at both sides
}

// Share is k of n with its 95 % Wilson interval.
type Share struct {
	K    int     `json:"k"`
	N    int     `json:"n"`
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// level is the confidence level of every interval of a share.
const level = 0.95

func share(k, n int) Share {
	low, high, _ := stats.Wilson(k, n, level)
	return Share{K: k, N: n, Low: low, High: high}
}

// FalseReports is base against itself: every row that is called improved or regressed is false.
type FalseReports struct {
	Disjoint  Share `json:"disjoint"`  // reports that hold a false row
	Resampled Share `json:"resampled"` // 0 of 0: not needed
	// Rows of the disjoint reports that were judged, and false ones among them.
	Rows      Share            `json:"rows"`
	WhichRows []string         `json:"which,omitempty"` // false rows, as "go · json-pipeline · p50 regressed +3.1 %"
	Outcome   Outcome          `json:"outcome"`
	JudgedBy  string           `json:"judged_by"`
	Peers     map[string]Share `json:"peers"` // reports in which the rule alarms in any row it looks at
}

// Simulation is base against itself on the bank's residuals: whole rounds, their sides swapped by a coin.
type Simulation struct {
	False     Share    `json:"false"` // reports that hold a false row
	Rows      int      `json:"rows"`  // of one report
	Judge     string   `json:"judge"` // who judged
	WhichRows []string `json:"which,omitempty"`
}

// Found is one plant at one of its rows.
type Found struct {
	Plant    string    `json:"plant"`
	About    string    `json:"about"`
	Lang     plan.Lang `json:"lang"`
	Workload string    `json:"workload"`
	Metric   string    `json:"metric"`
	Aim      float64   `json:"aim"`
	Least    float64   `json:"least"`
	Quiet    bool      `json:"quiet"`
	Margin   float64   `json:"margin"`
	Rounds   int       `json:"rounds"` // of the bank that hold both
	Effect   float64   `json:"effect"` // over all of them, a share of base
	Noise    float64   `json:"noise"`  // standard deviation of the effect between rounds
	// NeedRounds is how many fresh rounds find this effect at this noise as often as aimed at; 0: none does.
	NeedRounds int              `json:"need_rounds"`
	Disjoint   Tally            `json:"disjoint"`
	Resampled  Tally            `json:"resampled"` // 0 of 0: not needed
	Peers      map[string]Share `json:"peers"`
	Outcome    Outcome          `json:"outcome,omitempty"` // of its aim
	Way        string           `json:"way,omitempty"`     // what stands in it
}

// Tally is what became of one row over reports.
type Tally struct {
	Found        Share `json:"found"` // regressed, as planted
	Wrong        int   `json:"wrong"` // improved
	Unchanged    int   `json:"unchanged"`
	Inconclusive int   `json:"inconclusive"`
	NotJudged    int   `json:"not_judged"`
	// OthersImproved counts other rows of the service that were called improved, over all reports.
	OthersImproved int `json:"others_improved"`
}

// Named is a plant that nothing may be named for, as base against itself is.
type Named struct {
	Plant     string    `json:"plant"`
	About     string    `json:"about"`
	Lang      plan.Lang `json:"lang"`
	Disjoint  Share     `json:"disjoint"` // reports in which something was
	Resampled Share     `json:"resampled"`
	WhichRows []string  `json:"which,omitempty"`
	Outcome   Outcome   `json:"outcome"`
}

// Noise is one metric of base against itself.
type Noise struct {
	Lang     plan.Lang `json:"lang"`
	Workload string    `json:"workload"`
	Metric   string    `json:"metric"`
	Rounds   int       `json:"rounds"`
	SD       float64   `json:"sd"`     // of ln(again ÷ base) between rounds
	Center   float64   `json:"center"` // its mean: 0 but for chance
	Margin   float64   `json:"margin"`
	// Smallest is the effect that a report's confirmation finds with 80 % power, alone.
	Smallest float64 `json:"smallest"`
}

// Outcome is whether an aim was reached.
type Outcome string

// The outcomes of an aim. Between an interval's ends only the share itself can speak, and only with enough reports.
const (
	Reached     Outcome = "reached"
	NotReached  Outcome = "not reached"
	TooFew      Outcome = "not enough reports"
	NotAimedFor Outcome = "quiet machines only"
	TooSmall    Outcome = "effect too small to ask"
)

// enough is how many disjoint reports let a share speak when its interval holds the aim: with 20, 95 % is one miss.
const enough = 20

// fewest is how many reports can speak against an aim: one that misses says little.
const fewest = 5

// atLeast judges a share against an aim.
func (s Share) atLeast(aim float64) Outcome {
	const rounding = 1e-9
	switch {
	case s.N == 0:
		return TooFew
	case s.High < aim && s.N >= fewest:
		return NotReached
	case s.Low >= aim:
		return Reached
	case s.N < enough:
		return TooFew
	case float64(s.K) >= aim*float64(s.N)-rounding:
		return Reached
	}
	return NotReached
}

// atMost judges a share that should be small: one of n reports may exceed it by chance alone until n is 1 ÷ aim.
func (s Share) atMost(aim float64) Outcome {
	switch {
	case s.N == 0:
		return TooFew
	case s.Low > aim:
		return NotReached
	case s.High <= aim:
		return Reached
	case float64(s.N) < 1/aim:
		return TooFew
	case float64(s.K) <= aim*float64(s.N):
		return Reached
	}
	return NotReached
}
