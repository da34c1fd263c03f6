package plan

import "slices"

// OneUnit is the setting of a cross-check's builds, as a Cost names it: one codegen unit, by which no inlining decision
// depends on how a crate happened to be cut up.
const OneUnit = "codegen-units=1"

// Doubt is a service whose regressions under some workloads may be the compiler's doing and not the pull request's.
type Doubt struct {
	Service   string
	Workloads []string
}

// cross is the cross-check of a Rust service's regressions, the last thing of all: ask what is in doubt ▸ build both
// sides of those services again with one codegen unit ▸ callgrind rounds of these builds, as many as confirm a suspect.
func (p Plan) cross(pr Progress, live []Variant) (Step, bool) {
	if !p.MayCross() || pr.CountOver[Cross] != "" || !suspectRust(p, pr, live) {
		return Step{}, false
	}
	if !pr.Asked {
		return Step{Kind: StepDoubt}, true
	}
	both := slices.DeleteFunc(compared(live), func(v Variant) bool { return len(doubtful(pr.Doubts, v.Service)) == 0 })
	windows := slices.DeleteFunc(p.going(pr), func(workload string) bool {
		return !slices.ContainsFunc(both, func(v Variant) bool { return slices.Contains(doubtful(pr.Doubts, v.Service), workload) })
	})
	done := pr.Counted[Cross]
	if len(both) == 0 || len(windows) == 0 || done >= p.Rounds.CountConfirm {
		return Step{}, false
	}
	if !pr.BuiltAgain {
		slices.SortStableFunc(both, func(a, b Variant) int { // a side at a time, base first
			if a.Side == b.Side {
				return 0
			} else if a.Side == Base {
				return -1
			}
			return 1
		})
		return Step{Kind: StepCross, Start: both}, true
	}
	return p.countRound(Cross, done+1, both, windows)
}

// MayCross is whether a plan may come to a cross-check: what it takes to build both sides again is then kept.
func (p Plan) MayCross() bool {
	return p.Rounds.CrossCap > 0 && p.Rounds.CountConfirm > 0 && p.rustCompared()
}

// rustCompared is whether a Rust service has both sides.
func (p Plan) rustCompared() bool {
	for v, s := range p.Services {
		if _, ok := p.Services[Variant{v.Service, Base}]; ok && s.Lang == Rust && v.Side == Head {
			return true
		}
	}
	return false
}

// suspectRust is whether screening suspects a row of a Rust service with both sides alive: without one nothing regressed.
func suspectRust(p Plan, pr Progress, live []Variant) bool {
	both := compared(live)
	return slices.ContainsFunc(pr.Rows, func(r Row) bool {
		head := Variant{r.Service, Head}
		return r.State == RowSuspect && slices.Contains(both, head) && p.Services[head].Lang == Rust
	})
}

// doubtful are the workloads in which a service is in doubt.
func doubtful(doubts []Doubt, service string) []string {
	for _, d := range doubts {
		if d.Service == service {
			return d.Workloads
		}
	}
	return nil
}
