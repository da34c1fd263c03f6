// Package harness walks a plan: build, parity, calibrate, measure, stop. It is the only room with clocks,
// processes and sockets, and it holds no opinions: what it saw becomes a result.Run, and whether a row is
// decided is asked of a function it is handed.
//
// A variant that fails is a recorded fact, never a dead run: the others go on without it.
package harness

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/source"
)

// Options is what a run needs beside its plan.
type Options struct {
	Source  source.Resolution
	Version string
	Attempt int
	PassEnv func(name string) (string, bool) // looks a pass_env name up; nil passes nothing
	Settle  func(*result.Run) []plan.Row     // compare.Settle: the harness itself has no opinions
	Doubt   func(*result.Run) []plan.Doubt   // compare.Doubt: what a cross-check may explain; nil: nothing is cross-checked
	// Next decides the next step; nil: plan.Next. The self-test has an order of its own.
	Next func(plan.Plan, plan.Progress) plan.Step
	// Observe hears of every round right after it was recorded, with the trials and costs it brought; nil: nobody does.
	Observe  func(trials []result.Trial, costs []result.Cost)
	Progress Progress
	// Keep takes the raw profiles: gzipped protocol buffers of pprof, by file name. nil: they are not kept.
	Keep func(name string, pprof []byte) error
	// Seed is a folder of earlier downloads to begin with (build.Options.Seed); empty: none.
	Seed string
	// Fetched is a folder of Fetch's: trees and downloads are taken from it, and Source is not used.
	Fetched string
	// Around says what confines Duet itself, for the report: a container. Empty: nothing does.
	Around string
}

// Progress hears what a run is doing. Its methods are called from one goroutine.
type Progress interface {
	Begin(step string)                 // a new kind of step: a log group in CI
	Update(format string, args ...any) // what is being done right now
	Note(format string, args ...any)   // something worth a line of its own
}

// ErrUnsupported is the refusal of a machine that cannot measure at all.
var ErrUnsupported = errors.New("measuring needs Linux on amd64 or arm64")

// Run carries out a plan. The error is for what no variant is to blame for (no disk, no rights, a
// cancelled context); the Run is always usable and says in State how far it came.
func Run(ctx context.Context, p plan.Plan, o Options) (run result.Run, err error) {
	started := time.Now()
	run = NewRun(p, o, started)
	defer func() { run.Seconds = time.Since(started).Seconds() }()
	s, err := newSession(ctx, &run, o)
	if err == nil {
		err = s.walk(ctx)
		run.State = result.Measured
		if s.headFailed() {
			run.State = result.NotMeasured
		}
		run.Durations = s.clock.durations()
	}
	switch {
	case err == nil:
	case ctx.Err() != nil:
		run.State, err = result.Cancelled, context.Cause(ctx)
	default:
		run.State, run.Error = result.NotMeasured, err.Error()
	}
	if s != nil {
		err = errors.Join(err, s.close())
		s.redact()
	}
	return run, err
}

// NewRun is a Run that has measured nothing yet.
func NewRun(p plan.Plan, o Options, started time.Time) result.Run {
	return result.Run{
		Schema:  result.Schema,
		Duet:    o.Version,
		Started: started.UTC().Format(time.RFC3339),
		Attempt: o.Attempt,
		Plan:    p,
		Machine: Machine(),
	}
}

// walk does one step after the other until the plan says done.
func (s *session) walk(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		step := s.o.Next(s.run.Plan, s.progress)
		if step.Kind != plan.StepBuild && step.Kind != plan.StepDone {
			if did, err := s.openDatabase(ctx); err != nil {
				return err
			} else if did {
				continue
			}
		}
		s.clock.begin(string(step.Kind))
		var err error
		switch step.Kind {
		case plan.StepDone:
			s.clock.end()
			return s.fatal
		case plan.StepBuild:
			err = s.build(ctx, step.Variant)
		case plan.StepParity:
			err = s.parity(ctx)
		case plan.StepCalibrate:
			err = s.calibrate(ctx, step.Workload)
		case plan.StepCount:
			err = s.count(ctx, step)
		case plan.StepRound:
			err = s.round(ctx, step)
		case plan.StepProfile:
			err = s.profile(ctx, step)
		case plan.StepDoubt:
			s.doubt()
		case plan.StepCross:
			err = s.cross(ctx, step)
		default:
			err = fmt.Errorf("plan asked for an unknown step %q", step.Kind)
		}
		s.clock.end()
		if err != nil {
			return fmt.Errorf("%s: %w", stepName(step), err)
		}
	}
}

func stepName(s plan.Step) string {
	switch s.Kind {
	case plan.StepBuild:
		return "building " + s.Variant.String()
	case plan.StepCalibrate:
		return "finding the rate of " + s.Workload
	case plan.StepCount:
		return fmt.Sprintf("counting instructions, %s round %d", s.Phase, s.Round)
	case plan.StepProfile:
		return "profiling " + s.Workload
	case plan.StepCross:
		return "cross-checking"
	case plan.StepRound:
		return fmt.Sprintf("measuring %s, %s round %d", s.Workload, s.Phase, s.Round)
	default:
		return string(s.Kind)
	}
}

// headFailed says whether a head variant could not be measured to the end.
func (s *session) headFailed() bool {
	for variant := range s.progress.Failed {
		if variant.Side == plan.Head {
			return true
		}
	}
	return false
}

// fail records that a variant cannot be measured any further.
func (s *session) fail(v plan.Variant, step string, err error, tail []string) {
	s.progress.Failed[v] = true
	const keep = 20 // lines: what a report shows
	if len(tail) > keep {
		tail = tail[len(tail)-keep:]
	}
	s.run.Failures = append(s.run.Failures, result.Failure{Variant: v, Step: step, Error: err.Error(), LogTail: tail})
	s.o.Progress.Note("%s failed while %s: %s", v, step, err)
}

// breakdown is why a variant cannot be measured under a workload, with the last lines it printed.
type breakdown struct {
	step  string // what it was at
	cause error
	tail  []string
}

// giveUp ends the measuring of a variant that broke down under a workload. A base that starts and yet cannot serve
// one workload lacks what head has, perhaps: it is left out there alone, and the other workloads are judged.
func (s *session) giveUp(v plan.Variant, workload string, b breakdown) {
	if v.Side == plan.Head || b.step == stepStarting {
		s.fail(v, b.step, fmt.Errorf("%s: %w", workload, b.cause), b.tail)
		return
	}
	s.absent[cell{v, workload}] = true
	s.warnf("%s is left out of %s, where head alone is shown: %s: %v", v, workload, b.step, b.cause)
	s.o.Progress.Note("%s is left out of %s: %s: %v", v, workload, b.step, b.cause)
}

// present are the variants that a workload is measured with.
func (s *session) present(variants []plan.Variant, workload string) []plan.Variant {
	return slices.DeleteFunc(slices.Clone(variants), func(v plan.Variant) bool { return s.absent[cell{v, workload}] })
}

func (s *session) warnf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	for _, w := range s.run.Warnings {
		if w == text {
			return
		}
	}
	s.run.Warnings = append(s.run.Warnings, text)
}

func (s *session) warn(texts []string) {
	for _, text := range texts {
		s.warnf("%s", text)
	}
}

// stopwatch adds up where the time goes, by kind of step.
type stopwatch struct {
	current string
	since   time.Time
	order   []string
	total   map[string]time.Duration
}

func (w *stopwatch) begin(step string) {
	w.current, w.since = step, time.Now()
}

func (w *stopwatch) end() {
	if w.total == nil {
		w.total = map[string]time.Duration{}
	}
	if _, seen := w.total[w.current]; !seen {
		w.order = append(w.order, w.current)
	}
	w.total[w.current] += time.Since(w.since)
}

func (w *stopwatch) durations() []result.StepDuration {
	var all []result.StepDuration
	for _, step := range w.order {
		if w.total[step] >= time.Millisecond {
			all = append(all, result.StepDuration{Step: step, Seconds: w.total[step].Seconds()})
		}
	}
	return all
}
