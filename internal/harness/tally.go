package harness

import (
	"maps"
	"time"

	"github.com/duet-bench/duet/internal/load"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/service"
)

// tally sums a stage of one trial, slice by slice. Slices whose block suffered from outside are held apart; all but
// those that a clock gap hit
// come back where most of the stage suffered: then that is what the machine is like, nothing would be left, and
// the noise is told by the figures themselves.
type tally struct {
	sum, held sums
	causes    map[string]int // held slices, by cause
}

// sums is what slices add up to.
type sums struct {
	slices   int
	requests int64
	errors   int64
	elapsed  time.Duration
	sending  time.Duration // open loop: how long sending what was due took, each slice at least its own length
	cpu      time.Duration
	client   time.Duration // CPU of the load generator itself
	work     service.Counts
	unknown  bool   // some slice has no count, and so the sum has none
	example  string // first bad answer
	recorder load.Recorder
}

// sliceDone is one slice of one variant, before it is known whether its block counts.
type sliceDone struct {
	load     load.Slice
	cpu      time.Duration
	span     time.Duration // of sending
	work     service.Counts
	counted  bool // work is known
	recorder *load.Recorder
}

// add takes a slice; cause is why its block does not count, empty if it does.
func (t *tally) add(s sliceDone, cause string) {
	to := &t.sum
	if cause != "" {
		to = &t.held
		if cause == clockGap {
			to = &sums{} // for good
		}
		if t.causes == nil {
			t.causes = map[string]int{}
		}
		t.causes[cause]++
	}
	to.slices++
	to.requests += s.load.Requests
	to.errors += s.load.Errors
	to.elapsed += s.load.Elapsed
	to.sending += s.span
	to.cpu += s.cpu
	to.client += s.load.CPU
	to.count(s.work, !s.counted)
	to.recorder.Add(s.recorder)
	if to.example == "" {
		to.example = s.load.Failures.First()
	}
}

// stage is the trial's stage, at the offered rate (0 in a closed loop), and its first bad answer.
func (t *tally) stage(offered float64) (stage result.Stage, example string) {
	if t.held.slices > t.sum.slices {
		t.sum.merge(&t.held)
		t.held = sums{}
		maps.DeleteFunc(t.causes, func(cause string, _ int) bool { return cause != clockGap })
	}
	s := &t.sum
	stage = result.Stage{
		Requests: s.requests, Errors: s.errors, Seconds: s.elapsed.Seconds(), CPUSeconds: s.cpu.Seconds(),
		Offered: offered, Achieved: perSecond(s.requests, s.elapsed),
		Latency: s.recorder.Latency, Slices: s.slices, Dropped: t.causes, ClientCPUSeconds: s.client.Seconds(),
	}
	if offered > 0 {
		stage.Service = s.recorder.Service
		stage.Achieved = perSecond(s.requests, s.sending)
	}
	if !s.unknown {
		stage.Instructions, stage.Cycles = s.work.Instructions, s.work.Cycles
	}
	stage.LatenessP99, _ = s.recorder.Lateness.At(99)
	return stage, s.example
}

func (s *sums) count(work service.Counts, unknown bool) {
	s.work.Instructions += work.Instructions
	s.work.Cycles += work.Cycles
	s.unknown = s.unknown || unknown
}

func (s *sums) merge(other *sums) {
	s.slices += other.slices
	s.requests += other.requests
	s.errors += other.errors
	s.elapsed += other.elapsed
	s.sending += other.sending
	s.cpu += other.cpu
	s.client += other.client
	s.count(other.work, other.unknown)
	s.recorder.Add(&other.recorder)
	if s.example == "" {
		s.example = other.example
	}
}

func perSecond(n int64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}
