// Package compare is the one judge: head against base, and Rust described against Go.
//
// It turns facts (result.Run) into opinions. Commits are judged; languages are described and never judged.
// A row's verdict is where the confidence interval of the paired ratio head ÷ base lies against its margin;
// Improved and Regressed come from confirmation on fresh rounds only. Missing data is NotJudged, never Unchanged.
package compare

import (
	"fmt"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// Verdict is what is known about one comparison. Its zero value claims nothing.
//
// For "lower is better" (swapping the sides swaps the verdict exactly):
//
//	         1/(1+m)     1       1+m
//	├──CI──┤    ┊         ┊        ┊            Improved      only after confirmation
//	            ┊      ├──CI──┤    ┊            Unchanged     we know that it is small
//	            ┊         ┊        ┊  ├──CI──┤  Regressed     only after confirmation
//	       ├────┊───CI────┊───┤    ┊            Inconclusive
type Verdict int

// The verdicts.
const (
	NotJudged Verdict = iota
	Inconclusive
	Unchanged
	Improved
	Regressed
)

var verdictWords = [...]string{"not-judged", "inconclusive", "unchanged", "improved", "regressed"}

func (v Verdict) String() string { return verdictWords[v] }

// MarshalText writes the verdict's word.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads the verdict's word.
func (v *Verdict) UnmarshalText(text []byte) error {
	for i, word := range verdictWords {
		if word == string(text) {
			*v = Verdict(i)
			return nil
		}
	}
	return fmt.Errorf("unexpected verdict %q: expected one of %q", text, verdictWords)
}

// Interval is a confidence interval of a ratio, low end first.
type Interval [2]float64

// Comparison is one row: one metric of one service under one workload, head against base.
type Comparison struct {
	Service    string        `json:"service"`
	Workload   string        `json:"workload"` // empty for build metrics
	Metric     string        `json:"metric"`
	Unit       string        `json:"unit"`
	Better     result.Better `json:"better"`
	Base       float64       `json:"base"` // median over the judged rounds; 0 when there is none
	Head       float64       `json:"head"`
	Ratio      float64       `json:"ratio"` // head ÷ base, paired by round; 0 when not compared
	CI         Interval      `json:"ci"`
	Level      float64       `json:"level"`      // the confidence level of CI
	Margin     float64       `json:"margin"`     // a share
	Detectable float64       `json:"detectable"` // the effect (a share) this row would have found with 80 % power
	Noise      float64       `json:"noise"`      // round-to-round standard deviation of ln(head ÷ base)
	Rounds     int           `json:"rounds"`     // that CI stands on
	Confirmed  bool          `json:"confirmed"`  // CI stands on confirmation rounds
	Identical  bool          `json:"identical,omitempty"`
	MoreRounds int           `json:"more_rounds,omitempty"` // inconclusive: how many more would settle it; 0: unknown
	Verdict    Verdict       `json:"verdict"`
	Compiler   bool          `json:"compiler,omitempty"` // a regression that a cross-check put down to the compiler
	Why        string        `json:"why,omitempty"`      // of a verdict that needs words
}

// Gap is Rust ÷ Go of one metric and its change from base to head. Described, never judged.
type Gap struct {
	Pair     string   `json:"pair"`
	Workload string   `json:"workload"`
	Metric   string   `json:"metric"`
	Base     float64  `json:"base"` // Rust ÷ Go at base; 0 when not measured
	Head     float64  `json:"head"` // Rust ÷ Go at head
	HeadCI   Interval `json:"head_ci"`
	Ratio    float64  `json:"ratio"` // Head ÷ Base; 0 when there is no base
	CI       Interval `json:"ci"`    // of Ratio
}

// ServiceVerdict is one service's verdict over all its rows.
type ServiceVerdict struct {
	Lang      plan.Lang `json:"lang"`
	Verdict   Verdict   `json:"verdict"`
	Identical bool      `json:"identical,omitempty"`
	Why       string    `json:"why,omitempty"` // "does not build at head", …
}

// Comparisons is every opinion of one run.
type Comparisons struct {
	Verdict  Verdict
	Services map[string]ServiceVerdict
	Rows     []Comparison // ordered: services as in the plan, workloads as in the plan, metrics as in the table
	Gaps     []Gap
	// Standings are the services at head beside each other, where there are three or more.
	Standings []Standing
	Worst     *Comparison // the confirmed regression with the largest ln(near end) ÷ ln(1+margin); nil when there is none
	Why       []Why       // of regressions, in the order of the rows
	// ParityBroke says that head's answers differ where base's agreed: the gate treats it as a regression.
	ParityBroke bool
	// Withheld are the pairs by name whose services do not answer alike, or may not: they have no gaps.
	Withheld []string
	Warnings []string
}
