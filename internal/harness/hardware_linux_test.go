package harness

import (
	"errors"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/service"
)

// ticking counts 1000 instructions and 2000 cycles between any two readings, and fails from some reading on.
type ticking struct {
	reads, failAt int
	closed        *int
}

func (c *ticking) Read() (service.Counts, error) {
	c.reads++
	if c.failAt > 0 && c.reads >= c.failAt {
		return service.Counts{}, &service.MultiplexedError{Event: "instructions:u", Share: 0.5}
	}
	return service.Counts{Instructions: int64(1000 * c.reads), Cycles: int64(2000 * c.reads)}, nil
}

func (c *ticking) Close() error {
	*c.closed++
	return nil
}

// Machines differ in what they count: what becomes of the counts is tried with counters of our own.
func TestInstructionsOfEverySlice(t *testing.T) {
	s := built(t, map[plan.Variant]string{base: "sound", head: "sound"})
	opened, closed := 0, 0
	s.hardware = func(*service.Service) (counter, error) {
		opened++
		return &ticking{closed: &closed}, nil
	}
	if err := walkOn(t, s, rounds(s, 1)); err != nil {
		t.Fatal(err)
	}
	for _, tr := range s.run.Trials {
		if got, want := tr.Open.Instructions, int64(1000*tr.Open.Slices); got != want || tr.Open.Cycles != 2*want {
			t.Errorf("%s %s: got %d instructions and %d cycles in %d slices, want %d and twice as many", tr.Variant, tr.Workload, got, tr.Open.Cycles, tr.Open.Slices, want)
		}
	}
	if opened < len(s.run.Trials) || closed != opened {
		t.Errorf("%d counters were opened and %d closed in %d trials", opened, closed, len(s.run.Trials))
	}
}

// Half a count would look like an improvement: a trial with one has none.
func TestPartialCountsAreNone(t *testing.T) {
	s := built(t, map[plan.Variant]string{base: "sound", head: "sound"})
	closed := 0
	s.hardware = func(*service.Service) (counter, error) { return &ticking{closed: &closed, failAt: 4}, nil }
	if err := walkOn(t, s, rounds(s, 1)); err != nil {
		t.Fatal(err)
	}
	for _, tr := range s.run.Trials {
		if tr.Open.Instructions != 0 || tr.Open.Cycles != 0 || tr.Invalid != "" {
			t.Errorf("%s %s: got %d instructions (invalid: %q), want a valid trial without", tr.Variant, tr.Workload, tr.Open.Instructions, tr.Invalid)
		}
	}
	if !strings.Contains(strings.Join(s.run.Warnings, "\n"), "instructions:u was counted for 50.0 %") {
		t.Errorf("warnings: %q: want one about the multiplexed counter", s.run.Warnings)
	}
}

func TestRefusedCountersEndTheCounting(t *testing.T) {
	s := built(t, map[plan.Variant]string{base: "sound", head: "sound"})
	tries := 0
	s.hardware = func(*service.Service) (counter, error) {
		tries++
		return nil, errors.New("perf_event_open: too many open files")
	}
	if err := walkOn(t, s, rounds(s, 1)); err != nil {
		t.Fatal(err)
	}
	if tries != 1 || !strings.Contains(strings.Join(s.run.Warnings, "\n"), "too many open files") {
		t.Errorf("%d tries, warnings %q: want one try and its reason", tries, s.run.Warnings)
	}
	for _, tr := range s.run.Trials {
		if tr.Invalid != "" || tr.Open.Requests == 0 {
			t.Errorf("%s %s: %+v: want it measured all the same", tr.Variant, tr.Workload, tr.Invalid)
		}
	}
}
