// Package selftest finds out how right Duet is on this machine.
//
// Its one idea is a bank of rounds: the bundled pair's base, the same base a second time and builds with planted
// changes are measured in interleaved rounds, for hours once. A report is then a set of the bank's rounds, relabelled
// as base and head of an ordinary run and judged by the real judge (compare.Run, in the order of plan.Next): so a few
// hours of measuring yield many reports, and the rule under test is never a copy of itself.
//
//	Collect   harness.Run with an order of its own ─▶ bank (one file a session, a line a round)
//	Evaluate  bank ─▶ drawn reports ─▶ compare.Run ─▶ false reports, found plants, noise, aims, peers' rules
//
// Only Collect and the bank's files touch the world; everything from Evaluate on is a pure function of a bank.
package selftest

import (
	"slices"

	"github.com/duet-bench/duet/internal/plan"
)

// Subject is one plant in one language: a build with a change of known size, and the rows that must find it.
type Subject struct {
	Plant    string    `json:"plant"` // "work-1"; Again for the base itself
	About    string    `json:"about"` // in words: "work +1 %"
	Lang     plan.Lang `json:"lang"`
	Workload string    `json:"workload"` // of its timing rounds; callgrind rounds serve all
	Targets  []Target  `json:"targets"`  // empty: nothing may be named
	Timing   bool      `json:"timing"`   // takes part in timing rounds
	Counting bool      `json:"counting"` // takes part in callgrind rounds
}

// Target is a row that a plant must move, for the worse.
type Target struct {
	Workload string  `json:"workload"`
	Metric   string  `json:"metric"`
	Aim      float64 `json:"aim"`   // the share of reports in which it is to be found; 0: no aim, shown
	Least    float64 `json:"least"` // the aim asks for effects from this share of base's figure on
	Quiet    bool    `json:"quiet"` // the aim holds on quiet machines; on busy ones inconclusive is right too
}

// Again is the plant of no change: the base measured against itself.
const Again = "again"

// Work stands for the row that judges work: by hardware counter where there is one, else by callgrind.
const Work = "work"

// BaseOf is the service that a language's subjects are compared with.
func BaseOf(lang plan.Lang) plan.Variant {
	return plan.Variant{Service: string(lang), Side: plan.Head}
}

// Variant is the subject's service in the bank's plan. All of them stand at head: such a plan has no base.
func (s Subject) Variant() plan.Variant {
	return plan.Variant{Service: string(s.Lang) + "-" + s.Plant, Side: plan.Head}
}

// langs are the languages of a set of subjects, Go first.
func langs(subjects []Subject) []plan.Lang {
	var found []plan.Lang
	for _, lang := range []plan.Lang{plan.Go, plan.Rust} {
		if slices.ContainsFunc(subjects, func(s Subject) bool { return s.Lang == lang }) {
			found = append(found, lang)
		}
	}
	return found
}
