package harness

import (
	"testing"
	"time"

	"github.com/duet-bench/duet/internal/load"
)

// a slice of 10 requests in 100 ms that took 1 ms of CPU each.
func tenRequests(latency time.Duration) sliceDone {
	recorder := &load.Recorder{}
	for range 10 {
		recorder.Latency.Record(latency)
	}
	return sliceDone{load: load.Slice{Requests: 10, Elapsed: 100 * time.Millisecond}, cpu: 10 * time.Millisecond, span: 100 * time.Millisecond, recorder: recorder}
}

func TestTally(t *testing.T) {
	var some, most tally
	for i := range 10 {
		cause := ""
		if i < 3 {
			cause = "stolen time"
		}
		some.add(tenRequests(time.Millisecond), cause)
		if i < 6 {
			cause = "other processes"
		}
		most.add(tenRequests(time.Millisecond), cause)
	}
	stage, _ := some.stage(100)
	if stage.Slices != 7 || stage.Requests != 70 || stage.Dropped["stolen time"] != 3 || stage.Latency.Count() != 70 {
		t.Errorf("3 of 10 blocks hit from outside: got %+v, want 7 slices and 3 dropped", stage)
	}
	if stage.Achieved < 99 || stage.Achieved > 101 || stage.CPUSeconds < 0.069 || stage.CPUSeconds > 0.071 {
		t.Errorf("7 slices: got %.1f requests a second and %.3f s of CPU, want 100 and 0.07", stage.Achieved, stage.CPUSeconds)
	}
	stage, _ = most.stage(100)
	if stage.Slices != 10 || stage.Requests != 100 || len(stage.Dropped) != 0 || stage.Latency.Count() != 100 {
		t.Errorf("6 of 10 blocks hit from outside: got %+v, want all 10 slices kept", stage)
	}
}

func TestClockGapsStayDropped(t *testing.T) {
	var gaps tally
	gaps.add(tenRequests(time.Millisecond), "")
	for range 3 {
		gaps.add(tenRequests(time.Millisecond), clockGap)
		gaps.add(tenRequests(time.Millisecond), "stolen time")
	}
	stage, _ := gaps.stage(100)
	if stage.Slices != 4 || stage.Dropped[clockGap] != 3 || len(stage.Dropped) != 1 {
		t.Errorf("got %d slices and %v dropped, want the 3 of stolen time back and the 3 of clock gaps not", stage.Slices, stage.Dropped)
	}
}

func TestTallyTellsWhenTheRateWasNotReached(t *testing.T) {
	var late tally
	s := tenRequests(time.Millisecond)
	s.span = 200 * time.Millisecond // sending what was due took twice as long
	s.load.Failures.Timeout = load.Failure{Count: 1, First: "no whole answer"}
	late.add(s, "")
	stage, example := late.stage(100)
	if stage.Achieved > 51 {
		t.Errorf("got %.1f requests a second reached, want 50", stage.Achieved)
	}
	if example != "no whole answer" {
		t.Errorf("got example %q, want the first bad answer", example)
	}
}
