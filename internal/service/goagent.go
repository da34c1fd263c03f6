package service

import (
	"strconv"
	"time"

	"github.com/google/pprof/profile"

	"github.com/duet-bench/duet/internal/goagent"
	"github.com/duet-bench/duet/internal/result"
)

// GoWants is what an agent is asked for in a window. One at a time: exact allocation sites make everything else slow.
type GoWants int

const (
	// GoCPU: a CPU profile at 100 Hz, contention at low rates, goroutines at the end; GoAgent.Metrics says the rest.
	GoCPU GoWants = iota
	// GoAllocations: every allocation of the window by its site, and what is in use at its end. It takes a short window.
	GoAllocations
)

// Rates of contention profiles. They are low, since they are taken beside the CPU profile: one of a hundred waits for a
// mutex, and of waits on channels and the like those that reach 0.1 ms, shorter ones in proportion.
const (
	mutexFraction = 100
	blockRate     = int(100 * time.Microsecond / time.Nanosecond)
)

// ToolGo is what Go's own profiler calls itself.
const ToolGo = "runtime/pprof"

// agentProcess is one process of a service with an agent in it, and what it said at both ends of a window.
type agentProcess struct {
	pid           int
	hello         greeting
	mutex         string                                  // the service's own mutex fraction
	base          map[result.ProfileKind]*profile.Profile // at the begin, of those that only grow
	kinds         map[result.ProfileKind]*profile.Profile // of the window
	before, after snapshot
	begun, ended  time.Time // when the snapshots were taken
}

// grows are the profiles that a CPU window takes at both ends.
func grows() []result.ProfileKind {
	return []result.ProfileKind{result.ProfileMutex, result.ProfileBlock}
}

// lookup asks for one of runtime/pprof's profiles.
func (c *agentConn) lookup(name string) (*profile.Profile, error) {
	raw, err := c.ask(goagent.Lookup+" "+name, profileLimit)
	if err != nil {
		return nil, err
	}
	p, err := parseProfile(raw)
	if err != nil {
		return nil, err
	}
	withoutAgent(p)
	return p, nil
}

func (c *agentConn) metrics() (snapshot, error) {
	text, err := c.ask(goagent.Metrics, metricsLimit)
	if err != nil {
		return nil, err
	}
	return parseSnapshot(text)
}

// begin opens a window. What it allocates itself comes before the snapshot.
func (a *agentProcess) begin(c *agentConn, wants GoWants) (err error) {
	a.base = map[result.ProfileKind]*profile.Profile{}
	if wants == GoAllocations {
		if _, err := c.ask(goagent.GC, wordsLimit); err != nil { // a heap profile is as of the last collection
			return err
		}
		if a.base[result.ProfileAllocs], err = c.lookup("allocs"); err != nil {
			return err
		}
	} else if err := a.beginCPU(c); err != nil {
		return err
	}
	a.before, err = c.metrics()
	a.begun = time.Now()
	return err
}

func (a *agentProcess) beginCPU(c *agentConn) error {
	own, err := c.ask(goagent.Mutex+" -1", wordsLimit) // -1 asks alone
	if err != nil {
		return err
	}
	if a.mutex = string(own); a.mutex == "0" {
		if _, err := c.ask(goagent.Mutex+" "+strconv.Itoa(mutexFraction), wordsLimit); err != nil {
			return err
		}
	}
	if _, err := c.ask(goagent.Block+" "+strconv.Itoa(blockRate), wordsLimit); err != nil {
		return err
	}
	for _, kind := range grows() {
		if a.base[kind], err = c.lookup(string(kind)); err != nil {
			return err
		}
	}
	if _, err := c.ask(goagent.GC, wordsLimit); err != nil { // what the profiles until here have left is not the window's to collect
		return err
	}
	_, err = c.ask(goagent.StartCPU, wordsLimit)
	return err
}

// end closes it. The snapshot comes before anything that allocates.
func (a *agentProcess) end(c *agentConn, wants GoWants) (err error) {
	a.kinds = map[result.ProfileKind]*profile.Profile{}
	if a.after, err = c.metrics(); err != nil {
		return err
	}
	a.ended = time.Now()
	if wants == GoAllocations {
		return a.endAllocations(c)
	}
	raw, err := c.ask(goagent.StopCPU, profileLimit)
	if err != nil {
		return err
	}
	if a.kinds[result.ProfileCPU], err = parseProfile(raw); err != nil {
		return err
	}
	for _, kind := range grows() {
		p, err := c.lookup(string(kind))
		if err == nil {
			a.kinds[kind], err = subtract(p, a.base[kind])
		}
		if err != nil {
			return err
		}
	}
	if a.kinds[result.ProfileGoroutine], err = c.lookup("goroutine"); err != nil {
		return err
	}
	if a.mutex == "0" {
		if _, err := c.ask(goagent.Mutex+" 0", wordsLimit); err != nil {
			return err
		}
	}
	_, err = c.ask(goagent.Block+" 0", wordsLimit)
	return err
}

// endAllocations takes both profiles from one answer, which has all four figures of every site.
func (a *agentProcess) endAllocations(c *agentConn) error {
	if _, err := c.ask(goagent.GC, wordsLimit); err != nil {
		return err
	}
	p, err := c.lookup("allocs")
	if err != nil {
		return err
	}
	heap := p.Copy()
	if err := keepTypes(heap, "inuse_objects", "inuse_space"); err != nil {
		return err
	}
	gained, err := subtract(p, a.base[result.ProfileAllocs])
	if err == nil {
		err = keepTypes(gained, "alloc_objects", "alloc_space")
	}
	a.kinds[result.ProfileHeap], a.kinds[result.ProfileAllocs] = heap, gained
	return err
}

// counters are the window's, as far as it has come.
func (a *agentProcess) counters(now snapshot, at time.Time) GoCounters {
	return now.since(a.before, at.Sub(a.begun).Seconds())
}
