package report

import (
	"cmp"
	"math"
	"slices"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/profdiff"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/stats"
)

// Page is what report.html shows beyond a Report: distributions, Go's own counters and flame graphs, in base units.
type Page struct {
	Latency  []Curve            // of the fixed-rate stage, in the order of Report.Memory
	Runtimes []result.GoRuntime // in the same order
	Graphs   []profdiff.Graph   // without frames that are too small or too deep to be seen
	Pruned   float64            // a share: a frame below it at both sides is left out
	Notes    []string           // what the profilers could not do, each once
	Undrawn  []string           // profiles that no graph could be made of, and why
}

// Curve is how long one variant's requests took under one workload, over all valid trials.
type Curve struct {
	Variant  plan.Variant
	Workload string
	Requests int64
	Rounds   int
	Points   []Point
}

// Point is one percentile of a Curve, in seconds.
type Point struct {
	Percentile float64
	Seconds    float64     // of the pooled histogram
	CI         *[2]float64 // at 95 %, from the rounds' spread; nil: too few rounds or requests to tell
}

const (
	// pruneShare is the least share of a side's cost that is drawn: 0.05 % is half a pixel of a wide screen.
	pruneShare = 0.0005
	// maxFrames bounds a page: about 25 bytes a frame leave it well under 2 MB.
	maxFrames = 40_000
	// maxFrameDepth bounds a graph's height; what is deeper belongs to its last ancestor that is drawn.
	maxFrameDepth = 200
	// minBeyond is how many requests have to lie beyond a percentile for it to be drawn, and minBeyondRound how many in
	// every round for its interval.
	minBeyond, minBeyondRound = 10, 2
	// curveLevel is the level of a Curve's intervals.
	curveLevel = 0.95
)

// NewPage gathers what report.html shows of a run beyond its Report. Graphs come from the run's profiles.
func NewPage(run result.Run, graphs []profdiff.Graph) Page {
	p := Page{Pruned: pruneShare}
	for _, m := range memory(run) {
		if c := newCurve(run, m.Variant, m.Workload); len(c.Points) > 0 {
			p.Latency = append(p.Latency, c)
		}
	}
	p.Notes = profileNotes(run)
	p.Runtimes = slices.Clone(run.GoRuntimes)
	order := workloadOrder(run)
	slices.SortStableFunc(p.Runtimes, func(a, b result.GoRuntime) int {
		return cmp.Or(cmp.Compare(order[a.Workload], order[b.Workload]), cmp.Compare(a.Variant.Service, b.Variant.Service),
			cmp.Compare(a.Variant.Side, b.Variant.Side))
	})
	for {
		frames := 0
		p.Graphs = make([]profdiff.Graph, 0, len(graphs))
		for _, g := range graphs {
			kept, n := prune(g.Root, p.Pruned*g.Root.Base, p.Pruned*g.Root.Head, 0)
			g.Root = kept
			p.Graphs, frames = append(p.Graphs, g), frames+n
		}
		if frames <= maxFrames || p.Pruned > 1 {
			return p
		}
		p.Pruned *= 2
	}
}

// profileNotes are what the run's profiles say of themselves: "go@head, cpu: …".
func profileNotes(run result.Run) []string {
	var out []string
	for _, p := range run.Profiles {
		for _, note := range append(slices.Clone(p.Notes), p.Invalid) {
			line := p.Variant.String() + ", " + string(p.Kind) + ": " + note
			if note != "" && !slices.Contains(out, line) {
				out = append(out, line)
			}
			if len(out) == maxListed {
				return out
			}
		}
	}
	return out
}

// workloadOrder is each workload's place in the order of measuring.
func workloadOrder(run result.Run) map[string]int {
	order := map[string]int{}
	for _, t := range run.Trials {
		if _, ok := order[t.Workload]; !ok {
			order[t.Workload] = len(order)
		}
	}
	return order
}

func newCurve(run result.Run, v plan.Variant, workload string) Curve {
	c := Curve{Variant: v, Workload: workload}
	var pooled result.Histogram
	var rounds []result.Histogram
	for _, t := range run.Trials {
		if t.Invalid == "" && t.Variant == v && t.Workload == workload && t.Open.Latency.Count() > 0 {
			pooled.Add(t.Open.Latency)
			rounds = append(rounds, t.Open.Latency)
		}
	}
	c.Requests, c.Rounds = pooled.Count(), len(rounds)
	for _, p := range percentiles() {
		if beyond := float64(c.Requests) * (100 - p) / 100; beyond < minBeyond {
			break
		}
		if seconds, ok := pooled.At(p); ok {
			c.Points = append(c.Points, Point{Percentile: p, Seconds: seconds, CI: spread(rounds, p, seconds)})
		}
	}
	return c
}

// percentiles are where curves are drawn: eight steps to every further nine (90, 99, 99.9 among them), the median and
// the 95th.
func percentiles() []float64 {
	const steps, nines = 8, 4
	out := []float64{50, 95}
	for k := 1; k <= steps*nines; k++ {
		p := 100 * (1 - math.Pow(10, -float64(k)/steps))
		out = append(out, math.Round(p*1e5)/1e5)
	}
	slices.Sort(out)
	return out
}

// spread is the interval of a percentile around its pooled value: the t interval of the mean of the rounds' logarithms,
// moved there. A pooled tail is not the mean of the rounds' tails, so that their own interval might miss it.
func spread(rounds []result.Histogram, percentile, seconds float64) *[2]float64 {
	logs := make([]float64, 0, len(rounds))
	for _, h := range rounds {
		at, ok := h.At(percentile)
		if !ok || at <= 0 || float64(h.Count())*(100-percentile)/100 < minBeyondRound {
			return nil
		}
		logs = append(logs, math.Log(at))
	}
	e := stats.Estimated(logs, stats.Mean, result.DefaultResolution)
	if e.Outcome != stats.Sound {
		return nil
	}
	_, high := e.Interval((1 - curveLevel) / 2)
	reach := math.Exp(high - e.Center)
	return &[2]float64{seconds / reach, seconds * reach}
}

// prune leaves out frames that cost less than base and head at both sides, and says how many are left with this one.
func prune(f profdiff.Frame, base, head float64, depth int) (profdiff.Frame, int) {
	calls, frames := f.Calls, 1
	f.Calls = nil
	if depth == maxFrameDepth {
		return f, frames
	}
	for _, c := range calls {
		if !(c.Base >= base && c.Base > 0 || c.Head >= head && c.Head > 0) {
			continue
		}
		kept, n := prune(c, base, head, depth+1)
		f.Calls, frames = append(f.Calls, kept), frames+n
	}
	return f, frames
}
