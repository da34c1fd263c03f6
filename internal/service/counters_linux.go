package service

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// event is one thing that the kernel counts (perf_event_open(2)).
type event struct {
	name   string
	kind   uint32 // PERF_TYPE_*
	config uint64
}

// hardwareEvents are what Counts hold, in their order.
func hardwareEvents() [2]event {
	return [2]event{
		{"instructions:u", unix.PERF_TYPE_HARDWARE, unix.PERF_COUNT_HW_INSTRUCTIONS},
		{"cycles:u", unix.PERF_TYPE_HARDWARE, unix.PERF_COUNT_HW_CPU_CYCLES},
	}
}

// Counters count two events of all threads of a service's tree. An event counts its thread and, through inheritance,
// every thread and process that comes of it later; those that end leave their counts behind. Not for use by several
// goroutines at once.
type Counters struct {
	events [2]event
	open   [2][]int // descriptors, one a thread that lived when the counters were opened
}

// countingTries is how often the tree may grow while its counters are opened. A service that just became ready starts
// its last threads within the first tries; one that never stops starting threads is refused.
const countingTries = 50

// OpenCounters starts to count instructions:u and cycles:u of the service's tree. Call it when the service is ready.
// A refusal of the kernel is an error that names the way out; a service that has ended is an *EndedError.
func (s *Service) OpenCounters() (*Counters, error) { return s.openCounters(hardwareEvents()) }

func (s *Service) openCounters(events [2]event) (*Counters, error) {
	c, err := openCounters(s.threads, events)
	if err == nil {
		return c, nil
	}
	if dead := s.Alive(); dead != nil {
		return nil, dead
	}
	return nil, fmt.Errorf("counting %s of %s: %w", events[0].name, s.spec.Variant, err)
}

// threads are those of all processes of the tree.
func (s *Service) threads() ([]int, error) {
	pids, err := s.tree()
	if err != nil {
		return nil, err
	}
	var all []int
	for _, pid := range pids {
		all = append(all, tasks(pid)...)
	}
	return all, nil
}

// tasks are the threads of a process; none once it has ended.
func tasks(pid int) []int {
	names, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
	if err != nil {
		return nil
	}
	var all []int
	for _, name := range names {
		if tid, err := strconv.Atoi(name.Name()); err == nil {
			all = append(all, tid)
		}
	}
	return all
}

// openCounters opens events for every thread there is. A thread that comes meanwhile is counted already if its creator
// was, and is missed if its creator was not yet: nobody can tell which. So everything is opened anew until no thread
// came between the first look and the last.
func openCounters(threads func() ([]int, error), events [2]event) (*Counters, error) {
	for range countingTries {
		c, complete, err := tryCounters(threads, events)
		if err != nil {
			return nil, err
		}
		if complete {
			return c, nil
		}
		if err := c.Close(); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("it started new threads during each of %d tries to open counters for all of them", countingTries)
}

// tryCounters is one try; complete says that no thread came meanwhile. On error nothing is left open.
func tryCounters(threads func() ([]int, error), events [2]event) (c *Counters, complete bool, err error) {
	c = &Counters{events: events}
	complete, err = c.addAll(threads)
	if err != nil {
		return nil, false, errors.Join(err, c.Close())
	}
	return c, complete, nil
}

// addAll counts the threads that there are, and says whether no other came meanwhile.
func (c *Counters) addAll(threads func() ([]int, error)) (complete bool, err error) {
	before, err := threads()
	if err != nil {
		return false, err
	}
	seen := map[int]bool{}
	for _, tid := range before {
		seen[tid] = true
		if err := c.add(tid); err != nil {
			return false, err
		}
	}
	after, err := threads()
	if err != nil {
		return false, err
	}
	came := slices.ContainsFunc(after, func(tid int) bool { return !seen[tid] })
	return !came && len(c.open[0]) > 0, nil
}

// add counts one thread from now on. One that has ended meanwhile has nothing left to count.
func (c *Counters) add(tid int) error {
	for i, e := range c.events {
		fd, err := e.open(tid)
		if errors.Is(err, unix.ESRCH) {
			continue
		}
		if err != nil {
			why, cure := refusal(err, paranoia())
			return &refusedError{errno: err, why: why, cure: cure}
		}
		c.open[i] = append(c.open[i], fd)
	}
	return nil
}

// refusedError is the kernel's no.
type refusedError struct {
	errno     error
	why, cure string
}

func (e *refusedError) Error() string {
	if e.cure == "" {
		return e.why
	}
	return e.why + ": " + e.cure
}

func (e *refusedError) Unwrap() error { return e.errno }

// open counts an event of one thread in user mode, on whichever core, and of all that comes of the thread.
func (e event) open(tid int) (fd int, err error) {
	attr := unix.PerfEventAttr{
		Type: e.kind, Config: e.config, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{})),
		Read_format: unix.PERF_FORMAT_TOTAL_TIME_ENABLED | unix.PERF_FORMAT_TOTAL_TIME_RUNNING,
		Bits:        unix.PerfBitInherit | unix.PerfBitExcludeKernel | unix.PerfBitExcludeHv,
	}
	return unix.PerfEventOpen(&attr, tid, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
}

// Read is what was counted since OpenCounters. It works after the service has ended, too. A *MultiplexedError comes with
// what the counters saw: part of the count.
func (c *Counters) Read() (Counts, error) {
	var sums [2]int64
	var partial error
	for i, e := range c.events {
		total, err := c.sum(i)
		if err != nil {
			return Counts{}, fmt.Errorf("reading %s: %w", e.name, err)
		}
		sums[i] = int64(total.value)
		if total.running < total.enabled && partial == nil {
			partial = &MultiplexedError{Event: e.name, Share: float64(total.running) / float64(total.enabled)}
		}
	}
	return Counts{Instructions: sums[0], Cycles: sums[1]}, partial
}

// reading is what the kernel says of an event and all it was inherited by: its count, and for how many nanoseconds it
// should have counted and did.
type reading struct{ value, enabled, running uint64 }

func (c *Counters) sum(i int) (total reading, err error) {
	for _, fd := range c.open[i] {
		one, err := readEvent(fd)
		if err != nil {
			return reading{}, err
		}
		total.value += one.value
		total.enabled += one.enabled
		total.running += one.running
	}
	return total, nil
}

func readEvent(fd int) (reading, error) {
	var raw [24]byte
	n, err := unix.Read(fd, raw[:])
	if err != nil {
		return reading{}, err
	}
	if n != len(raw) { // 0: the event could not be kept on its counter
		return reading{}, fmt.Errorf("%d bytes: expected %d", n, len(raw))
	}
	word := func(i int) uint64 { return binary.NativeEndian.Uint64(raw[8*i:]) }
	return reading{value: word(0), enabled: word(1), running: word(2)}, nil
}

// Close stops counting.
func (c *Counters) Close() error {
	var all error
	for i := range c.open {
		for _, fd := range c.open[i] {
			all = errors.Join(all, unix.Close(fd))
		}
		c.open[i] = nil
	}
	return all
}
