package harness

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/duet-bench/duet/internal/load"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/workload"
)

// strikes is how many trials of one workload in a row a variant may spoil by its own doing (it does not start,
// dies, hangs or answers badly) before it is given up. What the machine's noise spoils does not count.
const strikes = 3

// spareRounds is how many rounds of a workload and phase may be repeated because a trial of theirs was spoilt by
// the machine.
const spareRounds = 4

// round starts every variant of a step anew, measures them in turns and stops them. A variant that does not
// start or does not survive spoils its own trial alone.
func (s *session) round(ctx context.Context, step plan.Step) error {
	w := s.workload(step.Workload)
	s.o.Progress.Update("%s · %s round %d of %d", w.Name, step.Phase, step.Round, s.roundsAtMost(step.Phase))
	before := len(s.run.Trials)
	var err error
	if s.together {
		err = s.roundTogether(ctx, step, w)
	} else {
		err = s.roundInTurns(ctx, step, w)
	}
	if err != nil {
		return err
	}
	spoilt := s.noisy > 0 && len(s.run.Trials) > before
	s.noisy = 0
	if !s.countRound(step, spoilt) {
		return nil
	}
	if step.Settle && s.o.Settle != nil {
		s.progress.Rows = s.o.Settle(s.run)
		s.run.Rows = s.progress.Rows
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
		t := s.begin(ctx, step, w, variant)
		turns[variant] = t
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if err := s.stages(ctx, step, w, turns); err != nil {
		return err
	}
	for _, variant := range step.Start {
		turns[variant].stop(s)
		s.finish(turns[variant])
	}
	return nil
}

// roundInTurns has one variant alive at a time: for fixed ports without network namespaces.
func (s *session) roundInTurns(ctx context.Context, step plan.Step, w workload.Workload) error {
	for _, variant := range step.Start {
		t := s.begin(ctx, step, w, variant)
		err := ctx.Err()
		if err == nil {
			err = s.stages(ctx, step, w, map[plan.Variant]*turn{variant: t})
		}
		t.stop(s)
		if err != nil {
			return err
		}
		s.finish(t)
	}
	return nil
}

// stages runs the fixed-rate stage and then the closed loop over the variants that are alive.
func (s *session) stages(ctx context.Context, step plan.Step, w workload.Workload, turns map[plan.Variant]*turn) error {
	unpin, err := s.pinClient()
	if err != nil {
		return err
	}
	defer unpin()
	watched := s.cores.watched(w)
	rate := s.rates[w.Name]
	window := s.run.Plan.Window
	slice := plan.SliceFor(window, rate)
	for _, t := range turns {
		t.resetPeak()
	}
	arrivals := load.Arrivals{Process: load.Constant, PerSecond: rate}
	open := func(t *turn) (load.Slice, error) {
		starts, err := arrivals.Starts(nil, t.openTally.sum.slices, slice)
		if err != nil {
			return load.Slice{}, err
		}
		did, err := t.client.Open(ctx, starts, &t.pending)
		t.span = max(slice, did.Sent)
		return did, err
	}
	err = s.blocks(ctx, step.Open, int(window.Open/slice), turns, watched, func(t *turn) *tally { return &t.openTally }, open)
	if err != nil {
		return err
	}
	for _, t := range turns {
		t.offered = rate
		t.readPeak()
	}
	closed := func(t *turn) (load.Slice, error) { return t.client.Closed(ctx, slice, &t.pending) }
	return s.blocks(ctx, step.Closed, int(window.Closed/slice), turns, watched, func(t *turn) *tally { return &t.closedTally }, closed)
}

// blocks takes turns. A block that suffered from outside is dropped whole, for every variant in it.
func (s *session) blocks(ctx context.Context, order [][]plan.Variant, most int, turns map[plan.Variant]*turn,
	watched []int, tallied func(*turn) *tally, slice func(*turn) (load.Slice, error)) error {
	for i, block := range order {
		if i >= max(most, 1) {
			return nil
		}
		watch := watchOutside(time.Now(), watched)
		for _, variant := range block {
			t := turns[variant]
			if t == nil || t.trial.Invalid != "" {
				continue
			}
			if err := t.measure(slice); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				t.spoil(err)
			}
		}
		var services time.Duration
		for _, variant := range block {
			if t := turns[variant]; t != nil {
				services += t.cpu
			}
		}
		cause := watch.cause(time.Now(), services)
		for _, variant := range block {
			if t := turns[variant]; t != nil {
				t.settle(tallied(t), cause)
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// finish judges whether a trial counts and records it.
func (s *session) finish(t *turn) {
	t.check()
	s.run.Trials = append(s.run.Trials, t.trial)
	key := strikeKey{t.trial.Variant, t.trial.Workload}
	if t.trial.Invalid == "" {
		delete(s.spoilt, key)
		return
	}
	s.o.Progress.Note("%s · %s round %d does not count: %s", t.trial.Variant, t.trial.Workload, t.trial.Round, t.trial.Invalid)
	if !t.unfit {
		s.noisy++
		return
	}
	s.spoilt[key]++
	if s.spoilt[key] == strikes {
		s.fail(t.trial.Variant, t.step, fmt.Errorf("%s: %d trials in a row do not count: %s", t.trial.Workload, strikes, t.trial.Invalid), t.tail)
	}
}

type strikeKey struct {
	variant  plan.Variant
	workload string
}

// countRound counts a round as done, unless the machine's noise spoilt a trial of it and there is a spare round
// left to replace it.
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

func (s *session) roundsAtMost(phase plan.Phase) int {
	rounds := s.run.Plan.Rounds
	if phase == plan.Confirm || len(rounds.Looks) == 0 {
		return rounds.Confirm
	}
	return rounds.Looks[len(rounds.Looks)-1]
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
