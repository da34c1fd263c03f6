package harness

import (
	"context"
	"fmt"
	"time"

	"github.com/duet-bench/duet/internal/load"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/service"
	"github.com/duet-bench/duet/internal/workload"
)

const (
	// streamLength is how many concrete requests a workload's stream has before it starts over: more than
	// fit a cache of answers, few enough to be built anew in every round.
	streamLength = 1024
	// requestTimeout is how long one request may take before it counts as an error.
	requestTimeout = 5 * time.Second
	// memoryEvery is the shortest time between two readings of one variant's memory: each costs some
	// 0.1–0.3 ms, taken between slices.
	memoryEvery = 50 * time.Millisecond
	// curvePoints is the most a trial keeps of its memory over time.
	curvePoints = 120
	// deathNotice is how long after a broken connection a process may take to be seen dead.
	deathNotice = 250 * time.Millisecond
	// achievedLeast is the share of the offered rate a trial must reach.
	achievedLeast = 0.9
)

// turn is one variant in one round while it is alive.
type turn struct {
	trial    result.Trial
	workload workload.Workload
	service  *service.Service
	client   *load.Client
	tail     []string // last lines of the service's output, when it failed
	step     string   // what the variant is at, for a failure's record

	first, lastMemory      time.Time
	pending                load.Recorder // the running block's, until it is known to count
	slice                  load.Slice
	cpu                    time.Duration
	work                   service.Counts // the slice's, by hardware counter
	counted                bool           // work is known
	counter                counter        // nil: none
	counterErr             error          // why it is gone
	measured               bool
	span                   time.Duration // open loop: how long sending took, at least the slice's length
	clock                  time.Duration // the CPU clock when spent last read it
	unfit                  bool          // the trial is invalid by the service's own doing
	offered                float64       // requests a second
	openTally, closedTally tally
}

// begin starts a variant for one trial: process, connections, setup, warm-up. What goes wrong makes the
// trial invalid, and the turn still has to be stopped.
func (s *session) begin(ctx context.Context, step plan.Step, w workload.Workload, v plan.Variant) *turn {
	t := &turn{workload: w, trial: result.Trial{Variant: v, Workload: w.Name, Phase: step.Phase, Round: s.begun[roundsKey{w.Name, step.Phase}] + 1}}
	err := t.open(ctx, s, w, v)
	t.step = t.stepName("measuring")
	if err != nil {
		err = t.crashed(err)
		t.tail = service.TailOf(err)
		t.spoil(err)
	}
	s.openCounter(t)
	return t
}

func (t *turn) open(ctx context.Context, s *session, w workload.Workload, v plan.Variant) (err error) {
	if t.service, err = s.start(ctx, v, w); err != nil {
		return err
	}
	t.trial.ColdStart = t.service.ColdStart().Seconds()
	captures, _, err := setUp(ctx, t.service, s.run.Plan, w)
	if err != nil {
		return err
	}
	asked, err := askedOf(w, s.run.Plan.Seed, captures, streamLength)
	if err != nil {
		return err
	}
	if t.client, err = connect(ctx, t.service, w, asked, s.pinned(w)); err != nil {
		return err
	}
	if w.WarmUp > 0 {
		var discarded load.Recorder
		if _, err := t.client.Count(ctx, w.WarmUp, &discarded); err != nil {
			return fmt.Errorf("warming up: %w", err)
		}
	}
	return nil
}

// stepStarting is a failure's step where the service was never there.
const stepStarting = "starting"

// stepName is how far the variant came: a service that is not there did not start.
func (t *turn) stepName(step string) string {
	if t.service == nil {
		return stepStarting
	}
	return step
}

// measure spends one slice on the variant and reads its CPU clock and its counters on both sides.
func (t *turn) measure(slice func(*turn) (load.Slice, error)) error {
	if t.first.IsZero() {
		t.first = time.Now()
	}
	before, err := t.service.CPU()
	if err != nil {
		return t.crashed(err)
	}
	workBefore, _ := t.readCounter()
	if t.slice, err = slice(t); err != nil {
		return t.crashed(err)
	}
	workAfter, counted := t.readCounter()
	after, err := t.service.CPU()
	if err != nil {
		return t.crashed(err)
	}
	t.cpu, t.measured = after-before, true
	t.work, t.counted = service.Counts{
		Instructions: workAfter.Instructions - workBefore.Instructions, Cycles: workAfter.Cycles - workBefore.Cycles,
	}, counted
	return nil
}

// spent is the CPU that the variant had since it was last asked, in its own slices and in others': a collector may
// still be at work when its slice is over.
func (t *turn) spent() time.Duration {
	if t.service == nil {
		return 0
	}
	now, err := t.service.CPU()
	if err != nil {
		return 0 // the next slice finds out why
	}
	had := now - t.clock
	t.clock = now
	return max(had, 0) // a child that nobody waited for takes its time with it
}

// settle gives the pending slice to a stage's tally; cause is why its block does not count, if so.
func (t *turn) settle(to *tally, cause string) {
	if !t.measured {
		return
	}
	to.add(sliceDone{load: t.slice, cpu: t.cpu, span: t.span, work: t.work, counted: t.counted, recorder: &t.pending}, cause)
	t.pending.Reset()
	t.measured, t.span, t.cpu = false, 0, 0
}

// check closes the tallies and decides whether the trial counts. Bad answers, a rate that was not reached and a
// dead service make it invalid, never faster.
func (t *turn) check() {
	var examples [2]string
	t.trial.Open, examples[0] = t.openTally.stage(t.offered)
	t.trial.Closed, examples[1] = t.closedTally.stage(0)
	for i, stage := range []result.Stage{t.trial.Open, t.trial.Closed} {
		if t.trial.Invalid != "" {
			return
		}
		switch {
		case stage.Requests == 0:
			t.spoil(errNoRequests)
		case float64(stage.Errors) > t.workload.MaxErrors*float64(stage.Requests):
			t.spoil(fmt.Errorf("%d of %d answers were bad (%s); at most %.3g %% may be", stage.Errors, stage.Requests, examples[i], 100*t.workload.MaxErrors))
		case stage.Offered > 0 && stage.Achieved < achievedLeast*stage.Offered:
			t.invalid("reached %.0f of %.0f requests offered a second", stage.Achieved, stage.Offered)
		}
	}
}

// spoil makes the trial invalid by the service's own doing: after some of these in a row it is given up.
func (t *turn) spoil(err error) {
	t.unfit = true
	t.invalid("%s", err)
}

func (t *turn) invalid(format string, args ...any) {
	if t.trial.Invalid == "" {
		t.trial.Invalid = fmt.Sprintf(format, args...)
	}
}

// crashed prefers what became of the process to what the connection said about it.
func (t *turn) crashed(err error) error {
	if t.service == nil {
		return err
	}
	for began := time.Now(); time.Since(began) < deathNotice; time.Sleep(deathNotice / 50) {
		if dead := t.service.Alive(); dead != nil {
			return dead
		}
	}
	return err
}

func (t *turn) resetPeak() {
	if t.trial.Invalid == "" {
		if err := t.service.ResetPeak(); err != nil {
			t.spoil(fmt.Errorf("resetting peak memory: %w", t.crashed(err)))
		}
	}
}

func (t *turn) readPeak() {
	if t.trial.Invalid != "" {
		return
	}
	t.lastMemory = time.Time{} // the last reading is due whenever the one before was
	t.readMemory()
	peak, err := t.service.PeakRSS()
	if err != nil {
		t.spoil(fmt.Errorf("reading peak memory: %w", t.crashed(err)))
		return
	}
	t.trial.Memory.PeakRSS = peak
}

func (t *turn) readMemory() {
	if time.Since(t.lastMemory) < memoryEvery {
		return
	}
	t.lastMemory = time.Now()
	point, err := t.service.Sample()
	if err != nil {
		return // the next slice finds out why
	}
	point.At = time.Since(t.first).Seconds()
	m := &t.trial.Memory
	m.PeakPSS = max(m.PeakPSS, point.PSS)
	m.PeakPSSAnon = max(m.PeakPSSAnon, point.PSSAnon)
	if len(m.Curve) < curvePoints {
		m.Curve = append(m.Curve, point)
	}
}

// stop ends the variant's processes, daemonised or not, before anything else is measured.
func (t *turn) stop(s *session) {
	t.closeCounter()
	if t.counterErr != nil {
		s.warnf("some trials have no instructions by hardware counter: %v", t.counterErr)
	}
	if t.client != nil {
		t.client.Close()
		t.client = nil
	}
	if t.service != nil {
		if t.trial.Invalid != "" && len(t.tail) == 0 {
			t.tail = t.service.Tail()
		}
		s.stopService(t.trial.Variant, t.service)
		t.service = nil
	}
}
