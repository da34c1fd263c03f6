package profdiff

import (
	"cmp"
	"math"
	"slices"

	"github.com/google/pprof/profile"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

const (
	// prunedShare of a request is the least that a frame of a flame graph is kept for: 1 pixel of 2,000.
	prunedShare = 0.0005
	// maxFrames bounds a graph; the bundled services' have some 1,500.
	maxFrames = 20_000
)

// Stacks is one side of a flame graph: a variant's merged profile of one workload and what it was taken over.
type Stacks struct {
	Profile    *profile.Profile
	Owner      Owner
	Requests   int64
	CPUSeconds float64 // of CPU profiles: what their samples are shares of
}

// GraphOf merges base's and head's profiles into one flame graph; either may be missing (a nil Profile). unit is the
// figure that is drawn: of kinds with two, the second one where it is true (bytes, time lost).
func GraphOf(base, head Stacks, kind result.ProfileKind, lang plan.Lang, second bool) (Graph, error) {
	g := Graph{Kind: kind, Unit: unitOf(kind, second)}
	root := &node{}
	sides := [2]weights{}
	for side, s := range [2]Stacks{base, head} {
		if s.Profile == nil || s.Requests <= 0 {
			continue
		}
		r, err := newReader(s.Profile, kind, lang, s.Owner)
		if err != nil {
			return Graph{}, err
		}
		figure := 0
		if second {
			figure = 1
		}
		r.each(func(v figures, stack []frame) { root.add(side, v[figure], stack) })
		if root.counts[side] == 0 {
			continue
		}
		sides[side] = weightsOf(kind, root.counts[side], s)
		g.Samples[side] = root.counts[side]
		if side == 0 {
			g.HasBase = true
		} else {
			g.HasHead = true
		}
	}
	if !g.HasBase && !g.HasHead {
		return Graph{}, ErrEmptyProfile
	}
	sampled := kind == result.ProfileCPU && g.HasBase && g.HasHead
	d := drawing{sides: sides, sampled: sampled, left: maxFrames}
	d.least = prunedShare * math.Max(float64(root.counts[0])*sides[0].each, float64(root.counts[1])*sides[1].each)
	g.Root = d.frame(root)
	return g, nil
}

// unitOf is what a graph's figures are counted in.
func unitOf(kind result.ProfileKind, second bool) string {
	switch {
	case kind == result.ProfileCPU:
		return "s"
	case kind == result.ProfileAllocs || kind == result.ProfileHeap:
		if second {
			return "B"
		}
		return "objects"
	case second:
		return "ns"
	case kind == result.ProfileGoroutine:
		return "goroutines"
	}
	return "events"
}

// weights turn a side's counts into costs.
type weights struct {
	each     float64 // of one count: of a request, or of the process where a kind is a state and not a flow
	exposure float64 // counts of a unit of cost: what the test of a difference needs
}

// weightsOf: a CPU profile's seconds are never trusted; its shares are taken of the CPU clock.
func weightsOf(kind result.ProfileKind, counts int64, s Stacks) weights {
	each := 1 / float64(s.Requests)
	switch kind {
	case result.ProfileCPU:
		each = s.CPUSeconds / float64(counts) / float64(s.Requests)
	case result.ProfileHeap, result.ProfileGoroutine:
		each = 1 // what is there, however many requests there were
	}
	if each <= 0 {
		return weights{}
	}
	return weights{each: each, exposure: 1 / each}
}

// node is a frame while counts are gathered.
type node struct {
	frame  frame
	counts [2]int64 // of base and head, all below it included
	calls  map[string]*node
}

// add puts one sample's stack, given from the leaf, below a root.
func (n *node) add(side int, count int64, stack []frame) {
	n.counts[side] += count
	at := n
	for _, f := range slices.Backward(stack) {
		next := at.calls[f.name]
		if next == nil {
			if at.calls == nil {
				at.calls = map[string]*node{}
			}
			next = &node{frame: f}
			at.calls[f.name] = next
		}
		if f.own && f.line > 0 && (next.frame.line == 0 || f.line < next.frame.line) {
			next.frame.line, next.frame.file = f.line, f.file
		}
		next.counts[side] += count
		at = next
	}
}

// drawing makes a graph of nodes.
type drawing struct {
	sides   [2]weights
	sampled bool
	least   float64
	left    int // frames that there is still room for
}

func (d *drawing) frame(n *node) Frame {
	f := Frame{
		Name: n.frame.name, File: n.frame.file, Line: n.frame.line, Own: n.frame.own,
		Base: float64(n.counts[0]) * d.sides[0].each, Head: float64(n.counts[1]) * d.sides[1].each,
	}
	if d.sampled {
		f.Z = apart(n.counts[0], n.counts[1], d.sides[0].exposure, d.sides[1].exposure)
	}
	calls := make([]*node, 0, len(n.calls))
	for _, c := range n.calls {
		calls = append(calls, c)
	}
	cost := func(n *node) float64 {
		return math.Max(float64(n.counts[0])*d.sides[0].each, float64(n.counts[1])*d.sides[1].each)
	}
	slices.SortFunc(calls, func(a, b *node) int {
		return cmp.Or(cmp.Compare(cost(b), cost(a)), cmp.Compare(a.frame.name, b.frame.name))
	})
	for _, c := range calls {
		if cost(c) < d.least || d.left == 0 {
			break
		}
		d.left--
		f.Calls = append(f.Calls, d.frame(c))
	}
	return f
}

// apart is how many standard errors apart two counts of rare events are, given how much was looked at: the normal
// approximation of the conditional test of two Poisson rates (Przyborowski and Wilenski 1940). Positive: head's is greater.
func apart(base, head int64, exposureBase, exposureHead float64) float64 {
	n := float64(base + head)
	if n == 0 || exposureBase <= 0 || exposureHead <= 0 {
		return 0
	}
	p := exposureHead / (exposureBase + exposureHead)
	return (float64(head) - n*p) / math.Sqrt(n*p*(1-p))
}
