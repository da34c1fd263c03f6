package plan

import (
	"fmt"
	"slices"
	"time"

	"github.com/duet-bench/duet/internal/strictyaml"
)

// How a budget is spent. More rounds are worth more than longer ones (the unit is the round), so windows shrink
// first; below minWindow a trial holds too few slices and requests to be one.
const (
	minWindow = 500 * time.Millisecond
	maxWindow = 3 * time.Second
	openShare = 60 // percent of a trial: memory, CPU per request and latency are judged there

	defaultSlice = 25 * time.Millisecond
	minSlice     = 5 * time.Millisecond
	maxSlice     = 100 * time.Millisecond
	perSlice     = 20 // requests a slice must hold

	confirmRounds = 7
	// confirmMost is as many as screening has at most: the self-test's bank says what it brings (docs/methodology.md).
	confirmMost = 15
	// countConfirm callgrind rounds confirm a count: they repeat within 0.1 to 0.5 % (METHOD.md section 1), so that few
	// rounds hold the family-wise error where time needs seven.
	countConfirm = 4
	// crossCap is enough to build both sides of a service with 200 crates again on two cores.
	crossCap = 10 * time.Minute

	// maxTrials keeps run.json within its 8 MiB: a trial takes 1.3 kB without what is there to be looked at alone.
	maxTrials = 5500
)

// looks are the rounds after which screening may end (METHOD.md section 2).
func looks() []int { return []int{7, 11, 15} }

// countLooks are those of callgrind rounds: three are the fewest that have an interval.
func countLooks() []int { return []int{3, 5} }

// fit sizes rounds and windows to the budget: the last look's rounds (15) where windows of half a second fit, else the
// one's before it (11), else the first one's (7); then workloads are left out, last ones first. One workload and the
// first look's rounds are the least that is worth running.
func (p *Plan) fit(m Measure) {
	all := m.Rounds
	p.Profile = m.Profile
	if p.Profile == defaultProfile { // a run asked to be short is short in all its parts
		p.Profile = min(p.Profile, p.Budget/2)
	}
	if p.Base == nil || !p.anyBase() {
		all = all[:1]
	} else {
		p.Rounds.Confirm, p.Rounds.ConfirmMost = confirmRounds, confirmMost
		limit := m.Count
		if limit == defaultCount { // a run asked to be short is short in all its parts
			limit = min(limit, p.Budget)
		}
		p.count(limit)
	}
	for {
		for n := len(all); n > 0; n-- {
			trial := p.trial(all[n-1])
			if (trial < minWindow || p.trials(all[n-1]) > maxTrials) && (n > 1 || len(p.Workloads) > 1) {
				continue
			}
			if trial < minWindow {
				p.Warnings = append(p.Warnings, fmt.Sprintf("the budget of %s is too short for %d rounds of %s: measuring takes %s",
					strictyaml.Short(p.Budget), all[0], strictyaml.Short(minWindow), strictyaml.Short(p.windows(all[0], minWindow))))
			}
			p.Rounds.Looks = slices.Clone(all[:n])
			p.Window = window(trial)
			p.Window.Slice = m.Slice
			return
		}
		last := len(p.Workloads) - 1
		left := p.Workloads[last].Name
		reason := fmt.Sprintf("the budget of %s has no room for %d rounds of %s", strictyaml.Short(p.Budget), all[0], strictyaml.Short(minWindow))
		if p.trial(all[0]) >= minWindow {
			reason = fmt.Sprintf("a run has room for %d trials, and so many workloads of %d services at both sides need more", maxTrials, len(p.ServiceNames()))
		}
		p.Workloads = p.Workloads[:last]
		p.Dropped = append([]Dropped{{Workload: left, Reason: reason}}, p.Dropped...)
		p.Warnings = append(p.Warnings, fmt.Sprintf("workload %s is left out: %s", left, reason))
	}
}

// count turns the instructions pass on, within a time of its own.
func (p *Plan) count(limit time.Duration) {
	if limit <= 0 {
		return
	}
	p.Rounds.CountLooks, p.Rounds.CountConfirm, p.Rounds.CountCap = countLooks(), countConfirm, limit
	if p.rustCompared() {
		p.Rounds.CrossCap = crossCap
	}
}

func (p *Plan) anyBase() bool {
	for v := range p.Services {
		if v.Side == Base {
			return true
		}
	}
	return false
}

// trials are those of screening and of a confirmation of everything.
func (p *Plan) trials(rounds int) int {
	return len(p.Workloads) * len(p.Services) * (rounds + max(p.Rounds.Confirm, p.Rounds.ConfirmMost))
}

// trial is the measuring time of one variant in one round.
func (p *Plan) trial(rounds int) time.Duration {
	trials := len(p.Workloads) * len(p.Services) * rounds
	return p.Budget / time.Duration(max(trials, 1))
}

// windows is the measuring time of so many rounds of all workloads.
func (p *Plan) windows(rounds int, trial time.Duration) time.Duration {
	return time.Duration(len(p.Workloads)*len(p.Services)*rounds) * trial
}

func window(trial time.Duration) Window {
	trial = min(max(trial, minWindow), maxWindow).Truncate(time.Millisecond)
	open := (trial * openShare / 100).Truncate(time.Millisecond)
	return Window{Trial: trial, Open: open, Closed: trial - open}
}

// SliceFor is the slice of a workload at an offered rate, in requests a second: the window's, lengthened until it
// holds 20 requests, within 5 to 100 ms. A lengthened slice means fewer blocks: the first ones of a Step.
func SliceFor(w Window, rate float64) time.Duration {
	slice := w.Slice
	if rate > 0 {
		if need := perSlice / rate; need >= maxSlice.Seconds() {
			slice = maxSlice
		} else {
			slice = max(slice, time.Duration(need*float64(time.Second)))
		}
	}
	return min(max(slice, minSlice), maxSlice)
}
