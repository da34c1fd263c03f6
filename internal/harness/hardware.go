package harness

import (
	"errors"

	"github.com/duet-bench/duet/internal/service"
)

// counter counts what a service's processes do in user mode; *service.Counters is one.
type counter interface {
	Read() (service.Counts, error)
	Close() error
}

// hardware opens a counter for a service. It is nil where the machine has none, and `duet doctor` says why.
type hardware func(*service.Service) (counter, error)

// findHardware tries the counters of this machine: what is there can only be found by counting.
func findHardware() hardware {
	if !service.ProbeCounters().Works {
		return nil
	}
	return func(s *service.Service) (counter, error) { return s.OpenCounters() }
}

// openCounter begins to count a trial's work. A trial without a counter has no instructions, and is none the worse: a
// refusal ends the counting for the whole run, because half a row would be judged on whatever half it is.
func (s *session) openCounter(t *turn) {
	if s.hardware == nil || t.service == nil || t.trial.Invalid != "" {
		return
	}
	opened, err := s.hardware(t.service)
	var ended *service.EndedError
	switch {
	case err == nil:
		t.counter = opened
	case errors.As(err, &ended): // the first slice finds out, and says it better
	default:
		s.hardware = nil
		s.warnf("from here on no instructions are read from hardware counters: %v", err)
	}
}

// readCounter is the count so far; ok is false where there is none, for the rest of the trial.
func (t *turn) readCounter() (c service.Counts, ok bool) {
	if t.counter == nil {
		return service.Counts{}, false
	}
	c, err := t.counter.Read()
	if err != nil {
		t.closeCounter()
		t.counterErr = err
		return service.Counts{}, false
	}
	return c, true
}

func (t *turn) closeCounter() {
	if t.counter != nil {
		_ = t.counter.Close() // descriptors of ours that nobody reads any more
		t.counter = nil
	}
}
