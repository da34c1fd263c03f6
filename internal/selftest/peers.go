package selftest

import (
	"encoding/json"
	"math"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/perf/benchmath"

	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/stats"
)

// Peers' rules, on the samples that Duet judges. None of them is paired, and none confirms.
const (
	// Sequential is PostgREST's load test: base is measured for 60 s, then head, and P50 may differ by 5 %.
	Sequential = "sequential p50 ±5 %"
	// Threshold is github-action-benchmark's default: an alert where the figure is worse than 200 % of the base's.
	Threshold = "200 %"
	// Welch is Welch's t-test at 5 % on all requests' latencies pooled, as if they were independent.
	Welch = "Welch t"
	// UTest is benchstat's Mann–Whitney U-test at 5 % on the rounds' figures.
	UTest = "U-test"
)

// Rules are the peers' rules in the order of the tables.
func Rules() []string { return []string{Sequential, Threshold, Welch, UTest} }

const (
	sequentialBand = 0.05
	thresholdRatio = 2.0
	peerAlpha      = 0.05
	// sequentialTrials is 60 s of measuring in trials of one second.
	sequentialTrials = 60
)

// alarm is what a rule says of a row: that it is worse, better, or nothing.
type alarm int

const (
	nothing alarm = iota
	worse
	better
)

// toward names a direction; higher is the ratio's, whatever is better.
func toward(higher bool, m result.Better) alarm {
	if higher == (m == result.Lower) {
		return worse
	}
	return better
}

// threshold alarms where the mean is worse than twice the base's. It never speaks of an improvement.
func threshold(s series, m result.Better) alarm {
	base, head := mean(s.base), mean(s.head)
	if m == result.Higher {
		base, head = head, base
	}
	if base > 0 && head >= thresholdRatio*base {
		return worse
	}
	return nothing
}

// uTest alarms where benchstat would print a change.
func uTest(s series, m result.Better) alarm {
	if len(s.d) == 0 {
		return nothing
	}
	a, b := benchmath.NewSample(s.base, &benchmath.DefaultThresholds), benchmath.NewSample(s.head, &benchmath.DefaultThresholds)
	if c := benchmath.AssumeNothing.Compare(a, b); c.P > peerAlpha {
		return nothing
	}
	x, _ := stats.Median(s.base)
	y, _ := stats.Median(s.head)
	return toward(y > x, m)
}

// moments of latencies, in seconds.
type moments struct {
	n              int64
	mean, variance float64
}

// pooled adds up the latencies of trials.
func pooled(rounds []both[*banked], side int) moments {
	var sum *hdrhistogram.Histogram
	for _, r := range rounds {
		h := histogramOf(r[side])
		switch {
		case h == nil:
		case sum == nil:
			sum = h
		default:
			sum.Merge(h)
		}
	}
	if sum == nil {
		return moments{}
	}
	sd := sum.StdDev()
	return moments{n: sum.TotalCount(), mean: sum.Mean(), variance: sd * sd}
}

// histogramOf decodes a trial's latencies; nil where it has none. Its unit does not matter: only ratios are used.
func histogramOf(b *banked) *hdrhistogram.Histogram {
	var text string
	if json.Unmarshal(b.latency, &text) != nil || text == "" {
		return nil
	}
	h, err := hdrhistogram.Decode([]byte(text))
	if err != nil {
		return nil
	}
	return h
}

// welch alarms where the means of all latencies differ.
func welch(rounds []both[*banked]) alarm {
	a, b := pooled(rounds, 0), pooled(rounds, 1)
	p, ok := welchT(a, b)
	if !ok || p > peerAlpha {
		return nothing
	}
	return toward(b.mean > a.mean, result.Lower)
}

// sequential alarms, stretch by stretch, where head's pooled p50 of one stretch is more than 5 % off base's of the
// stretch before.
func sequential(rounds []both[*banked]) (alarms []alarm) {
	length := sequentialTrials
	if len(rounds) < 2*length {
		length = len(rounds) / 2
	}
	if length == 0 {
		return nil
	}
	for at := 0; at+2*length <= len(rounds); at += length {
		base, okBase := p50(rounds[at:at+length], 0)
		head, okHead := p50(rounds[at+length:at+2*length], 1)
		switch ratio := head / base; {
		case !okBase || !okHead:
		case math.Abs(ratio-1) <= sequentialBand:
			alarms = append(alarms, nothing)
		default:
			alarms = append(alarms, toward(ratio > 1, result.Lower))
		}
	}
	return alarms
}

func p50(rounds []both[*banked], side int) (seconds float64, ok bool) {
	var sum result.Histogram
	for _, r := range rounds {
		t := r[side].unfold()
		sum.Add(t.Open.Latency)
	}
	return sum.At(50)
}

// peerTallies counts a rule's alarms.
type peerTallies map[string]*[2]int // by rule: alarms, reports

func newPeerTallies() peerTallies {
	p := peerTallies{}
	for _, rule := range Rules() {
		p[rule] = &[2]int{}
	}
	return p
}

func (p peerTallies) add(rule string, hit bool) {
	p[rule][1]++
	if hit {
		p[rule][0]++
	}
}

// hits are the rules that alarm in a report; a rule that has nothing to look at is not among them.
type hits map[string]bool

func (p peerTallies) take(h hits) {
	for rule, hit := range h {
		p.add(rule, hit)
	}
}

// atRow says, for one plant's row, which rules find it: the right sign alone counts. Welch looks at the latency of
// the workload, whatever the row.
func atRow(report dealt, at slot, m result.Metric) hits {
	s := report.series(at, m)
	h := hits{Threshold: threshold(s, m.Better) == worse, UTest: uTest(s, m.Better) == worse}
	if rounds := report.timing[at]; len(rounds) > 0 {
		h[Welch] = welch(rounds) == worse
	}
	return h
}

// anywhere says, for a report of base against itself, which rules alarm in any row they look at.
func anywhere(report dealt) hits {
	h := hits{Threshold: false, UTest: false}
	for at := range report.slots() {
		for _, m := range result.Metrics() {
			if s := report.series(at, m); m.Judged && len(s.d) > 0 {
				h[Threshold] = h[Threshold] || threshold(s, m.Better) != nothing
				h[UTest] = h[UTest] || uTest(s, m.Better) != nothing
			}
		}
		if rounds := report.timing[at]; len(rounds) > 0 {
			h[Welch] = h[Welch] || welch(rounds) != nothing
		}
	}
	return h
}

// slots are all that a report has rounds of.
func (d dealt) slots() map[slot]bool {
	found := map[slot]bool{}
	for at := range d.timing {
		found[at] = true
	}
	for lang, rounds := range d.counting {
		for _, r := range rounds {
			for name := range r[0] {
				found[slot{lang, name}] = true
			}
		}
	}
	return found
}

// stretches counts false alarms of the sequential rule.
func (p peerTallies) stretches(rounds []both[*banked]) {
	for _, a := range sequential(rounds) {
		p.add(Sequential, a != nothing)
	}
}

// stretchesRow counts how often it finds a plant.
func (p peerTallies) stretchesRow(rounds []both[*banked]) {
	for _, a := range sequential(rounds) {
		p.add(Sequential, a == worse)
	}
}

func (p peerTallies) shares() map[string]Share {
	all := map[string]Share{}
	for rule, n := range p {
		all[rule] = share(n[0], n[1])
	}
	return all
}
