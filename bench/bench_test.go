//go:build linux

package main

import (
	"math"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/duet-bench/duet/internal/load"
	"golang.org/x/sys/unix"
)

// The closed formula against a queue that is played through: constant arrivals, one server that stands still for
// the first part of each period.
func TestWaitedAgainstQueue(t *testing.T) {
	const rate, capacity, stall, length, periods = 1000.0, 20_000.0, 0.1, 1.0, 20
	var waits []float64
	free := 0.0 // when the server is done with what came before
	for i := range int(rate * length * periods) {
		at := (float64(i) + 0.5) / rate
		start := max(at, free)
		if phase := math.Mod(start, length); phase < stall {
			start += stall - phase
		}
		free = start + 1/capacity
		waits = append(waits, start-at)
	}
	slices.Sort(waits)
	for _, p := range percentiles() {
		got := waits[int(p/100*float64(len(waits)))]
		want := waited(p/100, rate, capacity, stall, length)
		if math.Abs(got-want) > 0.0012 { // one arrival more or less
			t.Errorf("p%g: the queue waits %.4f s, the formula says %.4f s", p, got, want)
		}
	}
}

func TestComputed(t *testing.T) {
	got := computed(1000, 100_000, 50e-6)
	for i, want := range (quantiles{50e-6, 1.05e-3, 90.15e-3, 99.06e-3}) {
		if math.Abs(got[i]-want) > 1e-9 {
			t.Errorf("quantile %d: got %v, want %v", i, got[i], want)
		}
	}
	check := func(want bool, q quantiles) {
		t.Helper()
		if within(q, got) != want {
			t.Errorf("within(%v, %v): want %v", q, got, want)
		}
	}
	check(true, got)
	check(true, quantiles{0.24e-3, 1.2e-3, 91.9e-3, 101e-3})
	check(false, quantiles{0.26e-3, 1.2e-3, 91.9e-3, 101e-3})
	check(false, quantiles{0.05e-3, 1.05e-3, 4e-3, 99e-3})
}

func TestStartsOfBursts(t *testing.T) {
	got, err := startsOf(asked{Burst: 2, Duration: 3 * stallLength})
	if want := []time.Duration{0, 0, stallLength, stallLength, 2 * stallLength, 2 * stallLength}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if got, err = startsOf(asked{PerSecond: 10, Duration: time.Second}); err != nil || len(got) != 10 {
		t.Errorf("at a rate: got %v, %v, want 10 starts", got, err)
	}
}

func TestReadPeers(t *testing.T) {
	check := func(name string, got told, err error, requests int64, want quantiles) {
		t.Helper()
		if err != nil || got.Requests != requests || got.Latency != want {
			t.Errorf("%s: got %+v, %v, want %d requests with %v", name, got, err, requests, want)
		}
	}
	got, err := readWrk("Running 2s test @ http://127.0.0.1:1/\n  27973 requests in 2.07s, 2.08MB read\nrequests 27973\np50 43\np90 90\np99 4300\np99.9 75530\n")
	check("wrk", got, err, 27973, quantiles{43e-6, 90e-6, 4.3e-3, 75.53e-3})
	got, err = readHey("response-time,DNS+dialup,DNS,Request-write,Response-delay,Response-read,status-code,offset\n0.0010,0,0,0,0,0,200,0\n0.0005,0,0,0,0,0,200,0\n")
	check("hey", got, err, 2, quantiles{0.0005, 0.001, 0.001, 0.001})
	got, err = readBombardier(`{"result":{"req2xx":7,"latency":{"percentiles":{"50":100,"75":1,"90":200,"95":1,"99":300}}}}`)
	check("bombardier", got, err, 7, quantiles{100e-6, 200e-6, 300e-6, -1})

	for _, text := range []string{"", "garbage", "{}"} {
		if _, err := readWrk(text); err == nil {
			t.Errorf("readWrk(%q): no error", text)
		}
		if _, err := readHey(text); err == nil {
			t.Errorf("readHey(%q): no error", text)
		}
		if _, err := readBombardier(text); err == nil {
			t.Errorf("readBombardier(%q): no error", text)
		}
	}
}

func TestCompare(t *testing.T) {
	client := func(name string, cpu ...float64) cost {
		c := cost{Client: name}
		for _, v := range cpu {
			c.runs = append(c.runs, cost{CPUMicros: v})
		}
		c.summarise()
		return c
	}
	got := compare([]cost{
		client(nameFloor, 5, 6, 5), client(nameDuet, 6, 6, 6), client(nameWrk, 8, 8, 8),
		client(nameFast+"1", 10, 10, 10), client(nameFast+"2", 7, 8, 9),
	}, []against{{Other: nameFloor, AtMost: 1.15}, {Other: nameWrk, AtMost: 1}, {Other: nameFast, AtMost: 0.7}})
	want := []against{
		{Other: nameFloor, Ratio: 1.2, AtMost: 1.15}, {Other: nameWrk, Ratio: 0.75, AtMost: 1, Met: true},
		{Other: nameFast + "2", Ratio: 0.75, AtMost: 0.7},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	counted := cost{CPUMicros: 5, UserCycles: 100, KernelCycles: 900}
	if counted.by() != 1000 {
		t.Errorf("a counted client is compared by %v, want its 1000 cycles", counted.by())
	}
}

// A child's counts are this thread's once it has ended: seen with a clock that every kernel has.
func TestCountersOfChildren(t *testing.T) {
	unpin, err := load.Pin(0)
	if err != nil {
		t.Fatal(err)
	}
	defer unpin()
	events := hardware()
	for i := range events {
		events[i].Type, events[i].Config = unix.PERF_TYPE_SOFTWARE, unix.PERF_COUNT_SW_TASK_CLOCK
		events[i].Bits &^= unix.PerfBitExcludeKernel | unix.PerfBitExcludeUser
	}
	c, err := open(events)
	if err != nil {
		if !strings.Contains(err.Error(), "perf_event_open: ") {
			t.Errorf("a refusal does not name the call: %v", err)
		}
		return // containers may forbid it: countersState says so in the table
	}
	defer c.close()
	if got := c.read(); got.ok {
		t.Errorf("before any child: got %+v", got)
	}
	if err := exec.CommandContext(t.Context(), "cat", "/proc/self/status").Run(); err != nil {
		t.Fatal(err)
	}
	if got := c.read(); !got.ok || got.kernelCycles == 0 {
		t.Errorf("after a child: got %+v", got)
	}
}

func TestRunRefuses(t *testing.T) {
	check := func(want string, args ...string) {
		t.Helper()
		if err := run(t.Context(), args, new(strings.Builder), new(strings.Builder)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", args, err, want)
		}
	}
	check("two CPUs", "-server-cpu", "1")
	check("at least 1 run", "-runs", "0")
	check("whole seconds", "-duration", "1500ms")
	check("whole seconds", "-stall-duration", "0s")
	check("not defined", "-run")
}
