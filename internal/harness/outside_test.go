package harness

import (
	"testing"
	"time"
)

func TestDropCause(t *testing.T) {
	check := func(name string, d disturbance, want string) {
		t.Helper()
		if got := d.cause(); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	const ms = time.Millisecond
	quiet := disturbance{monotonic: 100 * ms, wall: 100 * ms}
	check("nothing", quiet, "")
	check("the clock was set an hour on", disturbance{monotonic: 100 * ms, wall: 100*ms + time.Hour}, "clock gap")
	check("the clock was set an hour back", disturbance{monotonic: 100 * ms, wall: 100*ms - time.Hour}, "clock gap")
	check("a clock that is being slewed", disturbance{monotonic: 100 * ms, wall: 110 * ms}, "")
	check("one tick stolen", disturbance{monotonic: 100 * ms, wall: 100 * ms, steal: tick}, "")
	check("two ticks stolen", disturbance{monotonic: 100 * ms, wall: 100 * ms, steal: 2 * tick}, "stolen time")
	check("two ticks in a long block", disturbance{monotonic: 1000 * ms, wall: 1000 * ms, steal: 2 * tick}, "")
	check("two ticks of others", disturbance{monotonic: 100 * ms, wall: 100 * ms, foreign: 2 * tick}, "")
	check("four ticks of others", disturbance{monotonic: 100 * ms, wall: 100 * ms, foreign: 4 * tick}, "other processes")
	check("ours were counted late", disturbance{monotonic: 100 * ms, wall: 100 * ms, foreign: -5 * tick}, "")
}

func TestReadCores(t *testing.T) {
	stat := []byte("cpu  100 0 50 1000 5 1 2 7 0 0\ncpu0 60 0 30 400 5 1 2 3 0 0\ncpu1 40 0 20 600 0 0 0 4 0 0\nintr 1 2 3\n")
	check := func(watch []int, steal, busy time.Duration) {
		t.Helper()
		got := readCores(stat, watch)
		if got.steal != steal*tick || got.busy != busy*tick {
			t.Errorf("cores %v: got %+v, want steal %v, busy %v", watch, got, steal*tick, busy*tick)
		}
	}
	check(nil, 7, 0)
	check([]int{1}, 4, 60)
	check([]int{0, 1}, 7, 153)
	if got := readCores([]byte("garbage"), []int{0}); got != (coreTimes{}) {
		t.Errorf("garbage: got %+v, want nothing", got)
	}
}

func TestChooseCores(t *testing.T) {
	alone := func(cpu int) []int { return []int{cpu} }
	twins := func(cpu int) []int { return []int{cpu &^ 1, cpu | 1} } // 0 and 1 share a core, 2 and 3 too
	check := func(name string, allowed []int, siblings func(int) []int, service, client string) {
		t.Helper()
		got := chooseCores(allowed, siblings)
		if cpuListText(got.service) != service || cpuListText(got.client) != client {
			t.Errorf("%s: got %+v, want service %q, client %q", name, got, service, client)
		}
	}
	check("two cores", []int{0, 1}, alone, "0", "1")
	check("one core", []int{0}, alone, "", "")
	check("one core with two threads", []int{0, 1}, twins, "", "")
	check("two cores with two threads each", []int{0, 1, 2, 3}, twins, "0", "3")
	check("not allowed on the first", []int{2, 5}, twins, "2", "5")
	if list, err := parseCPUList("0,4-6"); err != nil || cpuListText(list) != "0,4,5,6" {
		t.Errorf("0,4-6: got %v, %v", list, err)
	}
	for _, bad := range []string{"", "x", "3-1", "0-99999999"} {
		if list, err := parseCPUList(bad); err == nil {
			t.Errorf("%q: got %v, want an error", bad, list)
		}
	}
}
