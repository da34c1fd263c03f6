package result

import "math"

// Better is the direction in which a metric improves.
type Better int

// The two directions.
const (
	Lower Better = iota
	Higher
)

// Metric is a named measured quantity. Exactly one of Read, Count and Fact is set.
type Metric struct {
	Name   string // in run.json, report.json and duet.yml's margins
	Label  string // in reports
	Unit   string // base unit: s, B, req/s
	Better Better
	Judged bool    // has a verdict
	Margin float64 // default, a share: 0.02 is 2 %
	// MinRequests is how many requests of a variant, over all rounds, the figure needs to be judged.
	MinRequests int64
	// Resolution is the finest ratio that the figure is read to: rounds can agree exactly by rounding, and an effect's
	// standard deviation counts as at least this. 0: DefaultResolution.
	Resolution float64
	// Read yields a trial's figure (timing pass), ok false where it has none.
	Read func(Trial) (value float64, ok bool)
	// Count yields the figure of one window of the instructions pass.
	Count func(Cost) (value float64, ok bool)
	// Fact yields a figure with one exact value a variant, compared with the margin directly.
	Fact func(Build) (value float64, ok bool)
}

// DefaultResolution is one step of a three-figure latency histogram.
const DefaultResolution = 1.0 / 1024

// exactly is the resolution of exact counts: far below every margin, and not zero, so that rounds which agree exactly
// still have an interval. Between processes even exact counts differ by a request served from a warmer state.
const exactly = 1e-4

// The rows that say how much work a request is, the judge's first choice first: the first one that was measured counts.
const (
	Instructions          = "instructions"           // by hardware counter
	CallgrindInstructions = "instructions_callgrind" // of the service bucket
	CPUPerRequest         = "cpu_per_request"
)

// Metrics is the one table of what Duet measures. Margins: docs/methodology.md.
func Metrics() []Metric { return metrics }

// MetricByName finds a metric of the table.
func MetricByName(name string) (Metric, bool) {
	for _, m := range metrics {
		if m.Name == name {
			return m, true
		}
	}
	return Metric{}, false
}

var metrics = []Metric{
	{Name: Instructions, Label: "instructions", Unit: "instr", Judged: true, Margin: 0.005, Resolution: exactly, Read: func(t Trial) (float64, bool) {
		return quotient(float64(t.Open.Instructions), float64(t.Open.Requests))
	}},
	{Name: CallgrindInstructions, Label: "instructions (callgrind)", Unit: "instr", Judged: true, Margin: 0.005, Resolution: exactly, Count: func(c Cost) (float64, bool) {
		return quotient(float64(c.Buckets[BucketService]), float64(c.Requests))
	}},
	{Name: "instructions_total", Label: "all instructions (callgrind)", Unit: "instr", Resolution: exactly, Count: func(c Cost) (float64, bool) {
		return quotient(float64(c.Instructions()), float64(c.Requests))
	}},
	{Name: "allocations", Label: "allocations", Unit: "allocs", Judged: true, Margin: 0.005, Resolution: exactly, Count: func(c Cost) (float64, bool) {
		return quotient(float64(c.Allocations), float64(c.Requests))
	}},
	{Name: "cycles", Label: "cycles per request", Unit: "cycles", Judged: true, Margin: 0.01, Resolution: exactly, Read: func(t Trial) (float64, bool) {
		return quotient(float64(t.Open.Cycles), float64(t.Open.Requests))
	}},
	{Name: CPUPerRequest, Label: "CPU per request", Unit: "s", Judged: true, Margin: 0.01, Read: cpuPerRequest},
	{Name: "p50", Label: "p50", Unit: "s", Judged: true, Margin: 0.02, Read: latencyAt(50)},
	{Name: "p90", Label: "p90", Unit: "s", Judged: true, Margin: 0.10, Read: latencyAt(90)},
	{Name: "p95", Label: "p95", Unit: "s", Judged: true, Margin: 0.10, Read: latencyAt(95)},
	{Name: "p99", Label: "p99", Unit: "s", Judged: true, Margin: 0.10, MinRequests: 10_000, Read: latencyAt(99)},
	{Name: "throughput", Label: "throughput", Unit: "req/s", Better: Higher, Judged: true, Margin: 0.02, Read: func(t Trial) (float64, bool) {
		return quotient(float64(t.Closed.Requests-t.Closed.Errors), t.Closed.Seconds)
	}},
	{Name: "peak_rss", Label: "peak RSS", Unit: "B", Judged: true, Margin: 0.02, Read: inBytes(func(t Trial) int64 { return t.Memory.PeakRSS })},
	{Name: "pss", Label: "peak PSS", Unit: "B", Read: inBytes(func(t Trial) int64 { return t.Memory.PeakPSS })},
	{Name: "pss_anon", Label: "peak Pss_Anon", Unit: "B", Judged: true, Margin: 0.02, Read: inBytes(func(t Trial) int64 { return t.Memory.PeakPSSAnon })},
	{Name: "cold_start", Label: "cold start", Unit: "s", Judged: true, Margin: 0.10, Read: func(t Trial) (float64, bool) {
		return t.ColdStart, t.ColdStart > 0
	}},
	{Name: "binary_size", Label: "binary size", Unit: "B", Judged: true, Margin: 0.005, Fact: func(b Build) (float64, bool) {
		return float64(b.BinaryBytes), b.BinaryBytes > 0
	}},
}

// cpuPerRequest is the geometric mean of both stages' CPU per request: on one and the same bank its noise is about half that
// of the open stage alone, whose requests wake a service that slept (docs/methodology.md). Not the quotient of the sums:
// there a service that waits more, and so answers fewer in the closed stage, would seem to cost more.
func cpuPerRequest(t Trial) (float64, bool) {
	open, okOpen := quotient(t.Open.CPUSeconds, float64(t.Open.Requests))
	closed, okClosed := quotient(t.Closed.CPUSeconds, float64(t.Closed.Requests))
	return math.Sqrt(open * closed), okOpen && okClosed
}

func quotient(sum, by float64) (float64, bool) {
	if by <= 0 || sum <= 0 {
		return 0, false
	}
	return sum / by, true
}

func inBytes(read func(Trial) int64) func(Trial) (float64, bool) {
	return func(t Trial) (float64, bool) { n := read(t); return float64(n), n > 0 }
}

func latencyAt(percentile float64) func(Trial) (float64, bool) {
	return func(t Trial) (float64, bool) { return t.Open.Latency.At(percentile) }
}
