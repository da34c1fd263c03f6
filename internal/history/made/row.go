package made

import (
	"hash/fnv"
	"math"

	"github.com/duet-bench/duet/internal/history"
	"github.com/duet-bench/duet/internal/result"
)

// noise is the SD of a night's ln(ratio) of a metric.
func (m *maker) noise(metric string) float64 {
	switch metric {
	case "instructions", "allocations":
		return m.Noise / 100
	case "binary_size":
		return 0
	case "p95", "p99", "cold_start":
		return m.Noise * 4
	}
	return m.Noise
}

// row is a figure of commit against anchor as night k measured it.
func (m *maker) row(k, commit, anchor int, key history.Key) history.Row {
	noise := m.noise(key.Metric)
	shared := math.Exp(noise * 5 * m.dice.NormFloat64()) // what the machine did to both that night; ratios do not see it
	absolute := base(key) * shared
	ratio := m.level(commit, key) / m.level(anchor, key) * m.outlier(k, key) * math.Exp(noise*m.dice.NormFloat64())
	r := history.Row{Service: key.Service, Workload: key.Workload, Metric: key.Metric, Ratio: ratio,
		Anchor: absolute * m.level(anchor, key), Noise: 2.5 * noise, Rounds: 7}
	r.Commit = r.Anchor * ratio
	width := 2 * noise * (0.8 + 0.4*m.dice.Float64())
	r.Low, r.High = ratio*math.Exp(-width), ratio*math.Exp(width)
	r.Verdict = verdict(r)
	return r
}

// verdict is how a night alone judges its row.
func verdict(r history.Row) string {
	metric, ok := result.MetricByName(r.Metric)
	if !ok || !metric.Judged {
		return "not-judged"
	}
	low, high := r.Low, r.High
	if metric.Better == result.Higher {
		low, high = 1/high, 1/low
	}
	limit := 1 + metric.Margin
	switch {
	case low > limit:
		return "regressed"
	case high < 1/limit:
		return "improved"
	case low >= 1/limit && high <= limit:
		return "unchanged"
	}
	return "inconclusive"
}

// base is a plausible figure of a key in its base unit, before anything was changed.
func base(k history.Key) float64 {
	h := fnv.New32a()
	h.Write([]byte(k.Workload))
	weight := 0.5 + float64(h.Sum32()%1000)/400 // of the workload
	cost := 1.0
	if lang(k.Service) == "rust" {
		cost = 0.45
	}
	switch k.Metric {
	case "instructions", "instructions_callgrind":
		return 150_000 * weight * cost
	case "allocations":
		return math.Round(40 * weight * cost)
	case "cycles":
		return 90_000 * weight * cost
	case "throughput":
		return 20_000 / weight / cost
	case "peak_rss", "pss_anon":
		return 30e6 * (0.8 + 0.2*weight) * cost
	case "cold_start":
		return 0.02 * cost
	case "binary_size":
		return 9.1e6 * cost
	case "p90":
		return 300e-6 * weight * cost
	case "p95":
		return 450e-6 * weight * cost
	case "p99":
		return 900e-6 * weight * cost
	}
	return 200e-6 * weight * cost // p50, CPU per request
}
