// Package noise says what a machine is like for measuring: how far two identical services seem to differ on it, and
// which slices, rounds and pinning fit that.
//
// Its stance: two copies of one program cannot differ, so every difference between them is the machine's and the
// method's. The figure that counts is the one that Duet judges with, the standard deviation between rounds of
// ln(figure ÷ figure), because it alone says how many rounds an effect needs. The package is pure: it is handed what was
// measured and hands back an Answer.
package noise

import (
	"errors"
	"math"
	"slices"
	"time"

	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/stats"
)

// Setting is one way of measuring that was tried.
type Setting struct {
	Slice  time.Duration `json:"slice_ns"`
	Pinned bool          `json:"pinned"` // services on one core, the load generator on another
}

// Slices are the lengths worth trying, in ascending order: the bounds of duet.yml's measure.slice and what lies between.
func Slices() []time.Duration {
	const ms = time.Millisecond
	return []time.Duration{5 * ms, 10 * ms, 25 * ms, 50 * ms, 100 * ms}
}

// usual is duet.yml's default, and stays the answer while nothing is clearly better.
func usual() Setting { return Setting{Slice: 25 * time.Millisecond, Pinned: true} }

// Round is what two identical services showed in one round of fresh processes under one setting.
type Round struct {
	Setting
	CPU [2]float64 // CPU per request, seconds
	P50 [2]float64 // seconds
	// Slices is the CPU per request of each slice, in order, seconds.
	Slices [2][]float64
}

// Disturbance is what came from outside while it was measured, as shares of all cores' time.
type Disturbance struct {
	Stolen float64 `json:"stolen"` // by the hypervisor
	Others float64 `json:"others"` // by processes that are neither Duet nor its services
}

// Row is the noise of one setting. What is nil could not be told from so few rounds or slices.
type Row struct {
	Setting
	Rounds   int      `json:"rounds"`
	CPUNoise *float64 `json:"cpu_noise,omitempty"` // SD between rounds of ln(CPU per request ÷ CPU per request)
	P50Noise *float64 `json:"p50_noise,omitempty"`
	// Lag1 is the autocorrelation of ln(CPU per request) between a service's neighbouring slices. Near 0 more slices are
	// more information; near 1 they repeat each other.
	Lag1 *float64 `json:"lag1,omitempty"`
}

// Aim is an effect that should be found, and the rounds that finding it takes at the best setting's noise.
type Aim struct {
	Metric string  `json:"metric"`
	Label  string  `json:"label"`
	Effect float64 `json:"effect"` // a share: 0.03 is +3 %
	Margin float64 `json:"margin"` // a share
	Noise  float64 `json:"noise"`
	Rounds int     `json:"rounds"` // 0: more than MaxRounds
}

// Answer is what a machine is like.
type Answer struct {
	Schema string `json:"schema"`
	Kind   Kind   `json:"kind"`
	Disturbance
	Rows    []Row   `json:"rows"`
	Best    Setting `json:"best"`
	Aims    []Aim   `json:"aims"`
	Looks   []int   `json:"looks"`   // for duet.yml's measure.rounds
	Measure string  `json:"measure"` // the block for duet.yml
}

// Schema names the version of an Answer's JSON.
const Schema = "duet.noise/1"

// Kind is what a machine is for judging time.
type Kind string

// The kinds of machine. On a quiet one CPU time is judged; on a busy one work is, and time as far as it goes.
const (
	Quiet Kind = "quiet machine"
	Busy  Kind = "busy machine"
)

const (
	// QuietBelow is the noise of CPU per request, in log units, up to which a machine is quiet: there seven rounds find
	// CPU time +3 % in about 94 of 100 cases.
	QuietBelow = 0.01
	// MaxRounds bounds the rounds that are recommended: duet.yml takes no more either.
	MaxRounds = 50
	// alpha is the level of a confirmed finding where it is the report's only suspect.
	alpha = 0.01
	// power is how often an effect should be found.
	power = 0.95
	// clearly is how much better a setting must be than the usual one. The smallest of ten SDs from 11 rounds each is far
	// too small by chance alone; at twofold, a machine on which all settings are alike keeps the usual one in 97 of 100
	// (TestUsualStays), and its noise is not the luckiest of ten.
	clearly = 2
	// fewRounds is how many rounds nothing can be chosen by: an SD of fewer is off by a third and more.
	fewRounds = 7
	// lagSlices is how many slices a round needs for its autocorrelation: the estimate is about 1/n too low.
	lagSlices = 16
)

// ErrTooFew means that no setting has enough sound rounds.
var ErrTooFew = errors.New("too few rounds: no setting has three with sound figures")

// Judge makes the answer. The order of the rounds does not matter.
func Judge(rounds []Round, d Disturbance) (Answer, error) {
	a := Answer{Schema: Schema, Disturbance: d}
	bySetting := map[Setting][]Round{}
	for _, r := range rounds {
		bySetting[r.Setting] = append(bySetting[r.Setting], r)
	}
	for _, pinned := range []bool{true, false} {
		for _, slice := range Slices() {
			s := Setting{Slice: slice, Pinned: pinned}
			if some := bySetting[s]; len(some) > 0 {
				a.Rows = append(a.Rows, rowOf(s, some))
			}
		}
	}
	best, ok := choose(a.Rows)
	if !ok {
		return Answer{}, ErrTooFew
	}
	a.Best, a.Kind = best.Setting, Busy
	if *best.CPUNoise < QuietBelow {
		a.Kind = Quiet
	}
	for _, aim := range aims() {
		a.Aims = append(a.Aims, aim.at(best))
	}
	a.Looks = looks(a.Aims)
	a.Measure = a.yaml()
	return a, nil
}

func rowOf(s Setting, rounds []Round) Row {
	var cpu, p50 []float64
	for _, r := range rounds {
		if d, ok := stats.LogRatio(r.CPU[0], r.CPU[1]); ok {
			cpu = append(cpu, d)
		}
		if d, ok := stats.LogRatio(r.P50[0], r.P50[1]); ok {
			p50 = append(p50, d)
		}
	}
	return Row{Setting: s, Rounds: len(rounds), CPUNoise: sd(cpu), P50Noise: sd(p50), Lag1: lag1(rounds)}
}

func sd(d []float64) *float64 {
	if len(d) < stats.MinSamples {
		return nil
	}
	if sd, ok := stats.SD(d); ok {
		return &sd
	}
	return nil
}

// lag1 pools the autocorrelation over rounds and services, each around its own mean.
func lag1(rounds []Round) *float64 {
	var products, squares float64
	for _, r := range rounds {
		for _, figures := range r.Slices {
			p, s := neighbours(figures)
			products, squares = products+p, squares+s
		}
	}
	if squares == 0 {
		return nil
	}
	rho := products / squares
	return &rho
}

// neighbours sums the products of neighbouring deviations from the mean of ln(figure), and their squares; both are 0
// where too few figures are sound.
func neighbours(figures []float64) (products, squares float64) {
	var x []float64
	for _, f := range figures {
		if stats.Plausible(f) {
			x = append(x, math.Log(f))
		}
	}
	if len(x) < lagSlices {
		return 0, 0
	}
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	mean := sum / float64(len(x))
	for i, v := range x {
		squares += (v - mean) * (v - mean)
		if i > 0 {
			products += (x[i-1] - mean) * (v - mean)
		}
	}
	return products, squares
}

// aims are the effects that Duet wants to find in time on a quiet machine.
func aims() []Aim {
	cpu, _ := result.MetricByName(result.CPUPerRequest)
	p50, _ := result.MetricByName("p50")
	return []Aim{
		{Metric: cpu.Name, Label: cpu.Label, Effect: 0.03, Margin: cpu.Margin},
		{Metric: p50.Name, Label: p50.Label, Effect: 0.05, Margin: p50.Margin},
	}
}

func (a Aim) of(r Row) *float64 {
	if a.Metric == result.CPUPerRequest {
		return r.CPUNoise
	}
	return r.P50Noise
}

func (a Aim) at(r Row) Aim {
	a.Noise = *a.of(r)
	effect, margin := math.Log1p(a.Effect), math.Log1p(a.Margin)
	if n, ok := stats.RoundsToFind(effect, a.Noise, margin, alpha, power, MaxRounds); ok {
		a.Rounds = n
	}
	return a
}

// cost is the noise of the aim that suffers most, in units of the room between its effect and its margin: rounds grow
// with its square. ok is false where a noise is not known.
func cost(r Row) (cost float64, ok bool) {
	for _, a := range aims() {
		noise := a.of(r)
		if noise == nil {
			return 0, false
		}
		cost = max(cost, *noise/(math.Log1p(a.Effect)-math.Log1p(a.Margin)))
	}
	return cost, true
}

// choose takes the cheapest setting, and the usual one unless another is clearly cheaper over enough rounds.
func choose(rows []Row) (best Row, ok bool) {
	rows = slices.DeleteFunc(slices.Clone(rows), func(r Row) bool { _, ok := cost(r); return !ok })
	if len(rows) == 0 {
		return Row{}, false
	}
	price := func(r Row) float64 { c, _ := cost(r); return c }
	best = slices.MinFunc(rows, func(a, b Row) int {
		if price(a) < price(b) {
			return -1
		}
		return 1
	})
	for _, r := range rows {
		if r.Setting == usual() && (r.Rounds < fewRounds || price(r) < clearly*price(best)) {
			return r, true
		}
	}
	return best, true
}

// looks start where little noise is enough and end where the aims are reached, as far as any rounds reach them. An aim
// that is out of reach asks for nothing: more rounds would cost time and settle nothing.
func looks(aims []Aim) []int {
	const first, middle, last = 7, 11, 15
	need := 0
	for _, a := range aims {
		need = max(need, a.Rounds)
	}
	if need <= last {
		return []int{first, middle, last}
	}
	return []int{first, (first + need) / 2, need}
}
