package selftest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/duet-bench/duet/internal/harness"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// Session is what one session of collecting needs.
type Session struct {
	Dir     string // of the bank
	Header  Header
	Plan    plan.Plan
	Layout  Layout
	Options harness.Options // Next and Observe are the self-test's
	Until   time.Time       // no round begins after it
}

// Collect measures rounds into a bank until the time is over, or the context is. Every round is on disk as soon as it
// was measured, so nothing of a session that was interrupted is lost.
func Collect(ctx context.Context, s Session) (run result.Run, err error) {
	w, err := NewSession(s.Dir, s.Header)
	if err != nil {
		return result.Run{}, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	var broken error
	o := s.Options
	o.Observe = func(trials []result.Trial, costs []result.Cost) {
		if broken != nil {
			return
		}
		broken = w.Round(trials, costs)
		for i := range trials { // the bank has them, and hours of histograms do not fit into memory
			trials[i].Open.Latency, trials[i].Open.Service, trials[i].Closed.Latency = result.Histogram{}, result.Histogram{}, result.Histogram{}
			trials[i].Memory.Curve = nil
		}
	}
	o.Next = func(p plan.Plan, pr plan.Progress) plan.Step {
		step := s.Layout.Next(p, pr)
		if measures(step) && (broken != nil || !time.Now().Before(s.Until)) {
			return plan.Step{Kind: plan.StepDone}
		}
		return step
	}
	run, err = harness.Run(ctx, s.Plan, o)
	if err == nil {
		err = broken
	}
	if err != nil {
		err = fmt.Errorf("measuring rounds for the bank: %w", err)
	}
	return run, err
}

// measures says whether a step is one that a session can end before.
func measures(s plan.Step) bool { return s.Kind == plan.StepRound || s.Kind == plan.StepCount }
