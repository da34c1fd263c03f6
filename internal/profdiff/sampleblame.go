package profdiff

import (
	"cmp"
	"math"
	"slices"

	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/stats"
)

// SampledWindow is one window of a sampling pass.
type SampledWindow struct {
	Requests   int64
	CPUSeconds float64
	Samples    int64
	Functions  []Sampled
}

// SampledWindowOf is a window as a run keeps it.
func SampledWindowOf(run result.Run, p result.Profile) SampledWindow {
	w := SampledWindow{Requests: p.Requests, CPUSeconds: p.CPUSeconds, Samples: p.Samples}
	for _, f := range p.Functions {
		w.Functions = append(w.Functions, Sampled{
			Name: run.Name(f.Function), File: run.Name(f.File), Line: f.Line, Own: f.Own,
			Nearest: figures{f.Nearest, f.NearestBytes}, Self: figures{f.Self, f.SelfBytes}, Cumulative: figures{f.Cumulative, f.CumulativeBytes},
		})
	}
	return w
}

// SampledPair is base's and head's window of one number.
type SampledPair struct{ Base, Head SampledWindow }

// A function is named from samples only beyond these (docs/methodology.md).
const (
	leastSamples = 30   // in the function, both sides together
	sampledAlpha = 0.05 // family-wise, over the functions with so many samples, on rate and on share
	sameSign     = 0.8  // of the pairs of windows agree which way it went
	// power80 standard errors are what a change of one function has to be to be found four times in five.
	power80 = 0.84
)

// SampledFinding is what a sampling profiler saw move. Figures are seconds of CPU time a request.
type SampledFinding struct {
	Base, Head float64
	Moved      []Moved  // own functions alone, the greatest change first
	Samples    [2]int64 // of base and head
	// Smallest is the change of a function with a tenth of the samples that would have been named four times in five.
	Smallest float64
	Windows  int
}

// BlameSampled says which functions' CPU time moved, by samples attributed to the nearest own function. It takes many:
// some 3,400 in a function for 10 % of it (METHOD.md section 4), so mostly it says what it could not have seen. ok is false
// where a side has no samples.
func BlameSampled(pairs []SampledPair) (f SampledFinding, ok bool) {
	base, head := sampledSide{}, sampledSide{}
	pairs = pairs[:min(len(pairs), mostPairs)]
	for i, p := range pairs {
		base.take(i, p.Base)
		head.take(i, p.Head)
	}
	if base.samples == 0 || head.samples == 0 || base.requests == 0 || head.requests == 0 || base.cpu <= 0 || head.cpu <= 0 {
		return SampledFinding{}, false
	}
	f = SampledFinding{Base: base.cpu / float64(base.requests), Head: head.cpu / float64(head.requests), Samples: [2]int64{base.samples, head.samples}, Windows: len(pairs)}
	names := candidates(base, head)
	threshold := stats.NormalQuantile(1 - sampledAlpha/2/float64(max(len(names), 1)))
	tenth := func(s sampledSide) float64 { return math.Sqrt(0.1/float64(s.samples)) * s.cpu / float64(s.requests) }
	f.Smallest = (threshold + power80) * math.Hypot(tenth(base), tenth(head))
	for _, name := range names {
		if m, named := moved(name, base, head, pairs, threshold); named {
			f.Moved = append(f.Moved, m)
		}
	}
	slices.SortFunc(f.Moved, func(a, b Moved) int {
		return cmp.Or(cmp.Compare(math.Abs(b.Delta), math.Abs(a.Delta)), cmp.Compare(a.Name, b.Name))
	})
	return f, true
}

// sampledSide sums one side's windows up.
type sampledSide struct {
	requests, samples int64
	cpu               float64
	functions         map[string]Sampled
	windows           map[string][]int64 // samples by window
}

func (s *sampledSide) take(window int, w SampledWindow) {
	s.requests, s.samples, s.cpu = s.requests+w.Requests, s.samples+w.Samples, s.cpu+w.CPUSeconds
	if s.functions == nil {
		s.functions, s.windows = map[string]Sampled{}, map[string][]int64{}
	}
	for _, f := range w.Functions {
		sum := s.functions[f.Name]
		f.Nearest.add(sum.Nearest)
		s.functions[f.Name] = f
		counts := s.windows[f.Name]
		for len(counts) <= window {
			counts = append(counts, 0)
		}
		counts[window] += f.Nearest[0] - sum.Nearest[0]
		s.windows[f.Name] = counts
	}
}

// each is what one sample stands for, in seconds a request.
func (s sampledSide) each() float64 { return s.cpu / float64(s.samples) / float64(s.requests) }

// candidates are own functions with enough samples, by name.
func candidates(base, head sampledSide) []string {
	var names []string
	for name, f := range head.functions {
		if f.Own && f.Nearest[0]+base.functions[name].Nearest[0] >= leastSamples {
			names = append(names, name)
		}
	}
	for name, f := range base.functions {
		if _, both := head.functions[name]; !both && f.Own && f.Nearest[0] >= leastSamples {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// moved tests one function: by its rate, by its share, and by how many pairs of windows agree.
func moved(name string, base, head sampledSide, pairs []SampledPair, threshold float64) (Moved, bool) {
	b, h := base.functions[name], head.functions[name]
	nb, nh := b.Nearest[0], h.Nearest[0]
	rate := apart(nb, nh, 1/base.each(), 1/head.each())
	share := apart(nb, nh, float64(base.samples), float64(head.samples))
	if math.Abs(rate) < threshold || math.Abs(share) < threshold || rate*share <= 0 {
		return Moved{}, false
	}
	agree, asked := 0, 0
	for i, p := range pairs {
		x, y := at(base.windows[name], i), at(head.windows[name], i)
		if x+y == 0 || p.Base.Requests == 0 || p.Head.Requests == 0 {
			continue
		}
		asked++
		if (float64(y)/float64(p.Head.Requests)-float64(x)/float64(p.Base.Requests))*rate > 0 {
			agree++
		}
	}
	if float64(agree) < sameSign*float64(asked) {
		return Moved{}, false
	}
	place := h
	if h.Name == "" {
		place = b
	}
	m := Moved{Name: name, Own: true, File: place.File, Line: place.Line, Base: float64(nb) * base.each(), Head: float64(nh) * head.each(), New: nb == 0}
	m.Delta = m.Head - m.Base
	spread := stats.NormalQuantile(1-alpha) * math.Hypot(math.Sqrt(float64(nb))*base.each(), math.Sqrt(float64(nh))*head.each())
	m.Low, m.High = m.Delta-spread, m.Delta+spread
	return m, true
}

func at(counts []int64, i int) int64 {
	if i < len(counts) {
		return counts[i]
	}
	return 0
}
