package harness

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"time"
)

// Limits of what a block may suffer from outside before it is dropped, all variants of it. A block is never
// dropped for its figures.
const (
	// stealLimit is the share of one core's time that the hypervisor may have taken.
	stealLimit = 0.05
	// clockGapLimit is how far the wall clock and the monotonic one may part: a suspended machine, a clock set.
	clockGapLimit = 50 * time.Millisecond
	// tick is the unit of /proc/stat on every Linux that Go supports (USER_HZ = 100).
	tick = 10 * time.Millisecond
)

// outside watches one block for causes that are not the services'.
type outside struct {
	began time.Time
	wall  time.Time // without a monotonic reading
	steal time.Duration
}

func watchOutside(now time.Time) outside {
	return outside{began: now, wall: now.Round(0), steal: stolen(procStat())}
}

// cause names why the block must be dropped; empty keeps it.
func (o outside) cause(now time.Time) string {
	return dropCause(now.Sub(o.began), now.Round(0).Sub(o.wall), stolen(procStat())-o.steal)
}

// dropCause judges a block by the two clocks and the time stolen from the machine.
// One tick of stolen time is the resolution of /proc/stat and is let pass.
func dropCause(monotonic, wall, steal time.Duration) string {
	if gap := wall - monotonic; gap.Abs() > clockGapLimit {
		return "clock gap"
	}
	if steal > tick && steal.Seconds() > stealLimit*monotonic.Seconds() {
		return "stolen time"
	}
	return ""
}

func procStat() []byte {
	text, _ := os.ReadFile("/proc/stat") // unreadable: nothing is known to be stolen
	return text
}

// stolen is the "steal" column of /proc/stat's first line, summed over all cores.
func stolen(stat []byte) time.Duration {
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	fields := strings.Fields(string(line))
	const stealColumn = 8 // cpu user nice system idle iowait irq softirq steal
	if len(fields) <= stealColumn || fields[0] != "cpu" {
		return 0
	}
	ticks, err := strconv.ParseInt(fields[stealColumn], 10, 64)
	if err != nil {
		return 0
	}
	return time.Duration(ticks) * tick
}
