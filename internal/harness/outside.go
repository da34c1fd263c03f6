package harness

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits of what a block may suffer from outside before it is dropped, all variants of it. A block is never
// dropped for its figures.
const (
	// stealLimit is the share of one core's time that the hypervisor may have taken.
	stealLimit = 0.05
	// foreignLimit is the share of one core's time that processes which are not ours may have had on our cores.
	// It is coarse because /proc/stat is: a block of 100 ms is ten ticks.
	foreignLimit = 0.2
	// clockGapLimit is how far the wall clock and the monotonic one may part: a suspended machine, a clock set.
	clockGapLimit = 50 * time.Millisecond
	// tick is the unit of /proc/stat on every Linux that Go supports (USER_HZ = 100).
	tick = 10 * time.Millisecond
)

// outside watches one block for causes that are not the services'.
type outside struct {
	began time.Time
	wall  time.Time // without a monotonic reading
	cores coreTimes
	own   time.Duration // CPU of Duet itself
	watch []int         // the cores that are ours while we measure; empty: nobody's
}

func watchOutside(now time.Time, watch []int) outside {
	return outside{began: now, wall: now.Round(0), cores: readCores(procStat(), watch), own: ownCPU(), watch: watch}
}

// cause names why the block must be dropped; empty keeps it. services is the CPU that the block's own
// services had.
func (o outside) cause(now time.Time, services time.Duration) string {
	after := readCores(procStat(), o.watch)
	d := disturbance{monotonic: now.Sub(o.began), wall: now.Round(0).Sub(o.wall), steal: after.steal - o.cores.steal}
	if len(o.watch) > 0 {
		d.foreign = after.busy - o.cores.busy - (ownCPU() - o.own) - services
	}
	return d.cause()
}

// clockGap is the one cause that no stage gets over: what was timed across it is wrong, not noisy.
const clockGap = "clock gap"

// disturbance is what a block saw from outside.
type disturbance struct {
	monotonic, wall time.Duration // how long it took, by either clock
	steal           time.Duration // taken by the hypervisor, of our cores
	foreign         time.Duration // had by other processes on our cores
}

// cause judges a disturbance. What /proc/stat cannot tell, one tick of stolen time and two of anybody's, is let
// pass.
func (d disturbance) cause() string {
	switch {
	case (d.wall - d.monotonic).Abs() > clockGapLimit:
		return clockGap
	case d.steal > tick && d.steal.Seconds() > stealLimit*d.monotonic.Seconds():
		return "stolen time"
	case d.foreign > 2*tick && d.foreign.Seconds() > foreignLimit*d.monotonic.Seconds():
		return "other processes"
	}
	return ""
}

func procStat() []byte {
	text, _ := os.ReadFile("/proc/stat") // unreadable: nothing is known to be stolen
	return text
}

// coreTimes is what /proc/stat says of the watched cores; where none are, of time stolen from all of them.
type coreTimes struct{ steal, busy time.Duration }

func readCores(stat []byte, watch []int) coreTimes {
	var t coreTimes
	for line := range bytes.Lines(stat) {
		name, rest, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
		if name == "cpu" && len(watch) == 0 {
			t.steal = columns(rest, "steal")
		}
		if name == "cpu" {
			continue
		}
		number, ok := strings.CutPrefix(name, "cpu")
		if !ok {
			break // the cores come first
		}
		if cpu, err := strconv.Atoi(number); err == nil && slices.Contains(watch, cpu) {
			t.busy += columns(rest, "user", "nice", "system", "irq", "softirq")
			t.steal += columns(rest, "steal")
		}
	}
	return t
}

// columns sums some columns of a line of /proc/stat.
func columns(line string, names ...string) time.Duration {
	order := []string{"user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"}
	var sum time.Duration
	for i, field := range strings.Fields(line) {
		if i < len(order) && slices.Contains(names, order[i]) {
			ticks, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				return 0
			}
			sum += time.Duration(ticks) * tick
		}
	}
	return sum
}
