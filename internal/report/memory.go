package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// maxPoints is how many points a chart shows: GitHub limits the size of a mermaid diagram.
const maxPoints = 60

// Memory is one variant's memory under one workload: medians over its valid trials, and the curve of the
// trial whose peak is the median.
type Memory struct {
	Variant   plan.Variant `json:"variant"`
	Workload  string       `json:"workload"`
	PeakRSS   *float64     `json:"peak_rss"`
	PeakPSS   *float64     `json:"peak_pss"`
	PeakAnon  *float64     `json:"peak_pss_anon"`
	ColdStart *float64     `json:"cold_start_s"`
	// HeapInUse is what the service had allocated and not freed at the end of the allocation pass, in Go as of the last
	// collection; nil: not known. In bytes, exact, of another process than the other figures.
	HeapInUse *float64             `json:"heap_in_use,omitempty"`
	Curve     []result.MemoryPoint `json:"curve,omitempty"` // at most maxPoints
}

// memory gathers the peaks and curves of every variant under every workload, in the order they were measured.
func memory(run result.Run) []Memory {
	type key struct {
		variant  plan.Variant
		workload string
	}
	trials := map[key][]result.Trial{}
	var keys []key
	workloads := map[string]int{}
	for _, t := range run.Trials {
		if t.Invalid != "" {
			continue
		}
		k := key{t.Variant, t.Workload}
		if trials[k] == nil {
			keys = append(keys, k)
		}
		if _, ok := workloads[t.Workload]; !ok {
			workloads[t.Workload] = len(workloads)
		}
		trials[k] = append(trials[k], t)
	}
	slices.SortStableFunc(keys, func(a, b key) int {
		return cmp.Or(cmp.Compare(workloads[a.workload], workloads[b.workload]),
			cmp.Compare(a.variant.Service, b.variant.Service), cmp.Compare(a.variant.Side, b.variant.Side))
	})
	out := make([]Memory, 0, len(keys))
	inUse := map[key]*float64{}
	for _, p := range run.Profiles {
		if p.Kind == result.ProfileHeap && p.Invalid == "" && p.Tool != result.ToolEndpoint { // whose heaps are sampled
			inUse[key{p.Variant, p.Workload}] = known(float64(p.Bytes))
		}
	}
	for _, k := range keys {
		m := newMemory(k.variant, k.workload, trials[k])
		m.HeapInUse = inUse[k]
		out = append(out, m)
	}
	return out
}

func newMemory(v plan.Variant, workload string, trials []result.Trial) Memory {
	figure := func(read func(result.Trial) float64) *float64 {
		var values []float64
		for _, t := range trials {
			if x := known(read(t)); x != nil {
				values = append(values, *x)
			}
		}
		return median(values)
	}
	m := Memory{
		Variant: v, Workload: workload,
		PeakRSS:   figure(func(t result.Trial) float64 { return float64(t.Memory.PeakRSS) }),
		PeakPSS:   figure(func(t result.Trial) float64 { return float64(t.Memory.PeakPSS) }),
		PeakAnon:  figure(func(t result.Trial) float64 { return float64(t.Memory.PeakPSSAnon) }),
		ColdStart: figure(func(t result.Trial) float64 { return t.ColdStart }),
	}
	if m.PeakRSS == nil {
		return m
	}
	nearest := math.Inf(1)
	for _, t := range trials {
		if distance := math.Abs(float64(t.Memory.PeakRSS) - *m.PeakRSS); len(t.Memory.Curve) > 1 && distance < nearest {
			nearest, m.Curve = distance, thin(t.Memory.Curve)
		}
	}
	return m
}

// median of values, nil when there is none.
func median(values []float64) *float64 {
	if len(values) == 0 {
		return nil
	}
	slices.Sort(values)
	mid := values[len(values)/2]
	if len(values)%2 == 0 {
		mid = (mid + values[len(values)/2-1]) / 2
	}
	return &mid
}

// thin keeps at most maxPoints of a curve, evenly spread, first and last included.
func thin(curve []result.MemoryPoint) []result.MemoryPoint {
	if len(curve) <= maxPoints {
		return curve
	}
	out := make([]result.MemoryPoint, maxPoints)
	for i := range out {
		out[i] = curve[i*(len(curve)-1)/(maxPoints-1)]
	}
	return out
}

// chart draws the RSS curves of one workload's variants as a mermaid xychart: figures only, no foreign text.
// xychart has no legend, so that the caller must name the lines in their order. Empty when there is no curve.
func chart(curves [][]result.MemoryPoint) string {
	points, end, top := maxPoints, 0.0, 0.0
	for _, c := range curves {
		points = min(points, len(c))
		end = math.Max(end, finite(c[len(c)-1].At))
		for _, p := range c {
			top = math.Max(top, float64(p.RSS)/1e6)
		}
	}
	if len(curves) == 0 || points < 2 || end <= 0 || top <= 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("```mermaid\nxychart-beta\n")
	fmt.Fprintf(&b, "    x-axis \"seconds\" 0 --> %.4g\n", end)
	fmt.Fprintf(&b, "    y-axis \"RSS, MB\" 0 --> %.4g\n", top*1.1)
	for _, c := range curves {
		b.WriteString("    line [")
		for i := range points {
			if i > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "%.3g", float64(at(c, end*float64(i)/float64(points-1)))/1e6)
		}
		b.WriteString("]\n")
	}
	b.WriteString("```\n")
	return b.String()
}

// at is the RSS of the sample nearest to a moment.
func at(curve []result.MemoryPoint, moment float64) int64 {
	best, distance := int64(0), math.Inf(1)
	for _, p := range curve {
		if d := math.Abs(p.At - moment); d < distance {
			best, distance = p.RSS, d
		}
	}
	return best
}
