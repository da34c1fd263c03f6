package main

import (
	"math"
	"testing"
	"time"
)

func TestParseOccupied(t *testing.T) {
	const before = "cpu  100 10 50 800 40 5 5 20 7 3\ncpu0 1 1 1 1 1 1 1 1 1 1\n"
	const after = "cpu  160 10 90 860 40 5 5 60 7 3\ncpu0 1 1 1 1 1 1 1 1 1 1\n"
	o := parseOccupied(before)
	want := occupied{all: 10300 * time.Millisecond, stolen: 200 * time.Millisecond, busy: 1700 * time.Millisecond}
	if o != want {
		t.Errorf("got %+v, want %+v", o, want)
	}
	now := parseOccupied(after)
	now.own = 600 * time.Millisecond
	d := now.since(o)
	// 2 s of cores' time: 0.4 s stolen, 1 s busy, 0.6 s of that Duet's.
	if math.Abs(d.Stolen-0.2) > 1e-9 || math.Abs(d.Others-0.2) > 1e-9 {
		t.Errorf("got %+v, want 0.2 and 0.2", d)
	}
	for _, broken := range []string{"", "cpu", "cpu  x y", "nothing here\n"} {
		if got := parseOccupied(broken); got != (occupied{}) {
			t.Errorf("%q: got %+v, want nothing", broken, got)
		}
	}
	if d := o.since(now); d.Stolen != 0 || d.Others != 0 {
		t.Errorf("time that went back: got %+v", d)
	}
}
