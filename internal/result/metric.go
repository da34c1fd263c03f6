package result

// Better is the direction in which a metric improves.
type Better int

// The two directions.
const (
	Lower Better = iota
	Higher
)

// Metric is a named measured quantity. Read yields a trial's figure, ok false where it has none.
type Metric struct {
	Name   string // in run.json, report.json and duet.yml's margins
	Label  string // in reports
	Unit   string // base unit: s, B, req/s
	Better Better
	Judged bool    // has a verdict
	Margin float64 // default, a share: 0.02 is 2 %
	// MinRequests is how many requests of a variant, over all rounds, the figure needs to be judged.
	MinRequests int64
	Read        func(Trial) (value float64, ok bool)
	// Fact is set instead of Read for figures with one exact value a variant, compared with the margin directly.
	Fact func(Build) (value float64, ok bool)
}

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
	{Name: "cpu_per_request", Label: "CPU per request", Unit: "s", Judged: true, Margin: 0.01, Read: func(t Trial) (float64, bool) {
		return quotient(t.Open.CPUSeconds, float64(t.Open.Requests))
	}},
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
