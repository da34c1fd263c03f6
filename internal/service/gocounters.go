package service

import (
	"math"
	"slices"
	"time"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// GoCounters are Go's own figures (runtime/metrics) of a window: of all processes of a service that have an agent.
// Durations of the histograms are the middles of Go's buckets, which are up to 25 % wide.
type GoCounters struct {
	Seconds  float64
	GCCycles int64
	// GCCPUSeconds of CPUSeconds, idle left out, went into collections, as the runtime accounts for them: at the end of
	// each. Both are 0 in a window without one.
	GCCPUSeconds, CPUSeconds float64
	GCPauses                 result.Histogram // the world stopped for a collection
	SchedLatency             result.Histogram // goroutines that could run waited for a processor
	HeapLive                 int64            // bytes that the last collection left; before Go 1.21 objects in use at the end, dead ones too
	AllocObjects, AllocBytes int64            // tiny ones included
	TinyAllocs               int64            // of AllocObjects, those packed into a block with others: no profile has their sites
	Goroutines               int64            // at the end, of them one or two of the agent's
	Missing                  []string         // figures that this version of Go does not have
}

// countLimit bounds counts that foreign code sends, so that sums cannot overflow.
const countLimit = 1 << 50

// number is a metric's value, 0 where there is none that makes sense.
func (s snapshot) number(name string) float64 {
	v := s[name]
	if len(v) != 1 || !(v[0] >= 0 && v[0] <= countLimit) {
		return 0
	}
	return v[0]
}

// since is what happened from before until s, in a process.
func (s snapshot) since(before snapshot, seconds float64) GoCounters {
	c := GoCounters{Seconds: seconds}
	gained := func(name string) float64 {
		if len(s[name]) == 0 {
			c.Missing = append(c.Missing, name)
		}
		return max(0, s.number(name)-before.number(name))
	}
	c.GCCycles = int64(gained("/gc/cycles/total:gc-cycles"))
	c.GCCPUSeconds = gained("/cpu/classes/gc/total:cpu-seconds")
	c.CPUSeconds = max(0, gained("/cpu/classes/total:cpu-seconds")-gained("/cpu/classes/idle:cpu-seconds"))
	c.AllocBytes = int64(gained("/gc/heap/allocs:bytes"))
	c.TinyAllocs = int64(gained("/gc/heap/tiny/allocs:objects"))
	c.AllocObjects = int64(gained("/gc/heap/allocs:objects")) + c.TinyAllocs
	c.Goroutines = int64(s.number("/sched/goroutines:goroutines"))
	c.HeapLive = int64(s.number("/gc/heap/live:bytes"))
	if c.HeapLive == 0 {
		c.HeapLive = int64(s.number("/memory/classes/heap/objects:bytes"))
	}
	pauses := "/sched/pauses/total/gc:seconds"
	if len(s[pauses]) == 0 { // before Go 1.22
		pauses = "/gc/pauses:seconds"
	}
	for name, into := range map[string]*result.Histogram{pauses: &c.GCPauses, "/sched/latencies:seconds": &c.SchedLatency} {
		if !histogramSince(s[name], before[name], into) {
			c.Missing = append(c.Missing, name)
		}
	}
	slices.Sort(c.Missing)
	return c
}

// histogramSince adds what a cumulative histogram gained; false where it is none.
func histogramSince(now, before []float64, into *result.Histogram) bool {
	if len(now) < 3 || len(now)%2 == 0 || (len(before) > 0 && len(before) != len(now)) {
		return false
	}
	counts, bounds := now[:len(now)/2], now[len(now)/2:]
	if !slices.IsSorted(bounds) {
		return false
	}
	for i, count := range counts {
		if len(before) > 0 {
			count -= before[i]
		}
		if count >= 1 && count <= countLimit {
			into.RecordN(middle(bounds[i], bounds[i+1]), int64(count))
		}
	}
	return true
}

// middle is the duration that stands for a bucket; the first and the last bucket have one bound that means anything.
func middle(from, to float64) time.Duration {
	const longest = 3600.0 // seconds: beyond what a histogram holds
	seconds := (from + to) / 2
	switch {
	case from < 0:
		seconds = to
	case to > longest:
		seconds = from
	}
	return time.Duration(math.Round(min(max(seconds, 0), longest) * float64(time.Second)))
}

// Add adds a later window's: what is counted adds up, and what is in use at the end is the later one's.
func (c *GoCounters) Add(later GoCounters) {
	c.add(later)
	c.HeapLive, c.Goroutines = later.HeapLive, later.Goroutines
	c.Seconds += later.Seconds
}

// add adds another process's of the same window.
func (c *GoCounters) add(o GoCounters) {
	c.GCCycles += o.GCCycles
	c.GCCPUSeconds += o.GCCPUSeconds
	c.CPUSeconds += o.CPUSeconds
	c.GCPauses.Add(o.GCPauses)
	c.SchedLatency.Add(o.SchedLatency)
	c.HeapLive += o.HeapLive
	c.AllocObjects += o.AllocObjects
	c.AllocBytes += o.AllocBytes
	c.TinyAllocs += o.TinyAllocs
	c.Goroutines += o.Goroutines
	c.Missing = append(c.Missing, o.Missing...)
	slices.Sort(c.Missing)
	c.Missing = slices.Compact(c.Missing)
}

// Runtime is them as run.json has them.
func (c GoCounters) Runtime(v plan.Variant, workload string, requests int64) result.GoRuntime {
	g := result.GoRuntime{
		Variant: v, Workload: workload, Requests: requests, Seconds: c.Seconds, GCCycles: c.GCCycles,
		GCPauses: c.GCPauses, SchedLatency: c.SchedLatency, HeapLive: c.HeapLive,
		AllocObjects: c.AllocObjects, AllocBytes: c.AllocBytes, Goroutines: c.Goroutines,
	}
	if c.CPUSeconds > 0 {
		g.GCCPUShare = min(c.GCCPUSeconds/c.CPUSeconds, 1)
	}
	return g
}
