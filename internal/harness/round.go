package harness

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/duet-bench/duet/internal/load"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/workload"
)

// strikes is how many trials of one workload in a row a variant may spoil by its own doing (it does not start,
// dies, hangs or answers badly) before it is given up. What the machine's noise spoils does not count.
const strikes = 3

// spareRounds is how many rounds of a workload and phase may be repeated because a trial of theirs does not count:
// one bad trial should not cost a confirmation its seventh pair.
const spareRounds = 4

// round starts every variant of a step anew, measures them in turns and stops them. A variant that does not
// start or does not survive spoils its own trial alone.
func (s *session) round(ctx context.Context, step plan.Step) error {
	w := s.workload(step.Workload)
	s.o.Progress.Begin("measure")
	s.o.Progress.Update("%s · %s round %d of %d", w.Name, step.Phase, step.Round, s.roundsAtMost(step.Phase, w.Name))
	before := len(s.run.Trials)
	step.Start = s.present(step.Start, w.Name)
	var err error
	if s.together {
		err = s.roundTogether(ctx, step, w)
	} else {
		err = s.roundInTurns(ctx, step, w)
	}
	if err != nil {
		return err
	}
	s.observe(s.run.Trials[before:], nil)
	if !s.countRound(step, s.spoiltOf(s.run.Trials[before:])) {
		return nil
	}
	if step.Settle && s.o.Settle != nil {
		s.settle()
	}
	return nil
}

// roundTogether has all variants alive at once: the order of METHOD, finely interleaved.
func (s *session) roundTogether(ctx context.Context, step plan.Step, w workload.Workload) error {
	turns := map[plan.Variant]*turn{}
	defer func() {
		for _, t := range turns {
			t.stop(s)
		}
	}()
	for _, variant := range step.Start {
		turns[variant] = s.begin(ctx, step, w, variant)
		if err := s.over(ctx); err != nil {
			return err
		}
	}
	if err := s.stages(ctx, step, w, turns); err != nil {
		return err
	}
	if err := s.over(ctx); err != nil { // before a trial is held against its service
		return err
	}
	for _, variant := range step.Start {
		turns[variant].stop(s)
		s.finish(turns[variant])
	}
	return s.over(ctx)
}

// roundInTurns has one variant alive at a time: for fixed ports without network namespaces.
func (s *session) roundInTurns(ctx context.Context, step plan.Step, w workload.Workload) error {
	for _, variant := range step.Start {
		t := s.begin(ctx, step, w, variant)
		err := s.over(ctx)
		if err == nil {
			err = s.stages(ctx, step, w, map[plan.Variant]*turn{variant: t})
		}
		if err == nil {
			err = s.over(ctx)
		}
		t.stop(s)
		if err != nil {
			return err
		}
		s.finish(t)
	}
	return s.over(ctx)
}

// stages runs the fixed-rate stage and then the closed loop over the variants that are alive.
func (s *session) stages(ctx context.Context, step plan.Step, w workload.Workload, turns map[plan.Variant]*turn) error {
	unpin, err := s.pinClient()
	if err != nil {
		return err
	}
	defer unpin()
	rate := s.rates[w.Name]
	window := s.run.Plan.Window
	slice := plan.SliceFor(window, rate)
	for _, t := range turns {
		t.resetPeak()
	}
	arrivals := load.Arrivals{Process: load.Process(w.Arrivals), PerSecond: rate, Seed: s.run.Plan.Seed}
	open := func(t *turn) (load.Slice, error) {
		starts, err := arrivals.Starts(nil, t.openTally.sum.slices, slice)
		if err != nil {
			return load.Slice{}, err
		}
		did, err := t.client.Open(ctx, starts, &t.pending)
		t.span = max(slice, did.Sent)
		return did, err
	}
	err = s.blocks(ctx, turns, stage{
		blocks: atMost(step.Open, int(window.Open/slice)), watched: s.watched(w), memory: true,
		tally: func(t *turn) *tally { return &t.openTally }, slice: open,
	})
	if err != nil {
		return err
	}
	for _, t := range turns {
		t.offered = rate
		t.readPeak()
	}
	closed := func(t *turn) (load.Slice, error) { return t.client.Closed(ctx, slice, &t.pending) }
	return s.blocks(ctx, turns, stage{
		blocks: atMost(step.Closed, int(window.Closed/slice)), watched: s.watched(w),
		tally: func(t *turn) *tally { return &t.closedTally }, slice: closed,
	})
}

// stage is a part of a round with one kind of load.
type stage struct {
	blocks  [][]plan.Variant
	watched []int // cores on which nobody else should be
	// memory is read between the slices of the fixed-rate stage alone: in a closed loop the faster variant gets more
	// requests, and so more state.
	memory bool
	tally  func(*turn) *tally
	slice  func(*turn) (load.Slice, error)
}

// atMost are the first blocks, one at least.
func atMost(blocks [][]plan.Variant, most int) [][]plan.Variant {
	return blocks[:min(max(most, 1), len(blocks))]
}

// blocks takes turns. A block that suffered from outside is dropped whole, for every variant in it.
func (s *session) blocks(ctx context.Context, turns map[plan.Variant]*turn, st stage) error {
	spent(turns)
	s.databaseSpent()
	for _, block := range st.blocks {
		watch := watchOutside(time.Now(), st.watched)
		for _, variant := range block {
			t := turns[variant]
			if t == nil || t.trial.Invalid != "" {
				continue
			}
			if err := t.measure(st.slice); err != nil {
				t.spoil(err)
			} else if st.memory {
				t.readMemory()
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		cause := watch.cause(time.Now(), spent(turns)+s.databaseSpent())
		for _, t := range turns {
			t.settle(st.tally(t), cause)
		}
	}
	return nil
}

// spent is the CPU that all variants of a round had since it was last asked.
func spent(turns map[plan.Variant]*turn) (sum time.Duration) {
	for _, t := range turns {
		sum += t.spent()
	}
	return sum
}

// finish judges whether a trial counts and records it.
func (s *session) finish(t *turn) {
	t.check()
	s.run.Trials = append(s.run.Trials, t.trial)
	key := cell{t.trial.Variant, t.trial.Workload}
	if t.trial.Invalid == "" {
		delete(s.spoilt, key)
		return
	}
	s.o.Progress.Note("%s · %s round %d does not count: %s", t.trial.Variant, t.trial.Workload, t.trial.Round, t.trial.Invalid)
	if !t.unfit {
		return
	}
	s.spoilt[key]++
	if s.spoilt[key] == strikes {
		cause := fmt.Errorf("%d trials in a row do not count: %s", strikes, t.trial.Invalid)
		s.giveUp(t.trial.Variant, t.trial.Workload, breakdown{step: t.step, cause: cause, tail: t.tail})
	}
}

// cell is one variant under one workload.
type cell struct {
	variant  plan.Variant
	workload string
}

// spoiltOf says whether a round has a trial that does not count, of a variant that goes on.
func (s *session) spoiltOf(trials []result.Trial) bool {
	return slices.ContainsFunc(trials, func(t result.Trial) bool {
		return t.Invalid != "" && !s.progress.Failed[t.Variant] && !s.absent[cell{t.Variant, t.Workload}]
	})
}

// countRound counts a round as done, unless a trial of it was spoilt and there is a spare round left to replace it.
func (s *session) countRound(step plan.Step, spoilt bool) bool {
	key := roundsKey{step.Workload, step.Phase}
	s.begun[key]++
	if spoilt && s.begun[key]-step.Round < spareRounds {
		return false
	}
	if s.progress.Rounds[step.Workload] == nil {
		s.progress.Rounds[step.Workload] = map[plan.Phase]int{}
	}
	s.progress.Rounds[step.Workload][step.Phase] = step.Round
	return true
}

// roundsKey names the rounds of one workload and phase.
type roundsKey struct {
	workload string
	phase    plan.Phase
}

func (s *session) roundsAtMost(phase plan.Phase, workload string) int {
	looks := s.run.Plan.Rounds.Looks
	if phase == plan.Confirm || len(looks) == 0 {
		return s.run.Plan.ConfirmRounds(s.progress.Rows, workload)
	}
	return looks[len(looks)-1]
}

func (s *session) workload(name string) workload.Workload {
	for _, w := range s.run.Plan.Workloads {
		if w.Name == name {
			return w
		}
	}
	panic("plan names a workload that it does not hold: " + name) // our own bug
}

var errNoRequests = errors.New("no request was answered")
