package service

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// softwareEvents go the way of the hardware ones on machines without counters: nanoseconds of CPU, and page faults.
func softwareEvents() [2]event {
	return [2]event{
		{"task-clock", unix.PERF_TYPE_SOFTWARE, unix.PERF_COUNT_SW_TASK_CLOCK},
		{"page-faults:u", unix.PERF_TYPE_SOFTWARE, unix.PERF_COUNT_SW_PAGE_FAULTS},
	}
}

// pagesEach is what one call of touch faults in.
const pagesEach = 100

// touch makes the calling thread fault in fresh pages, one by one.
func touch() error {
	block, err := unix.Mmap(-1, 0, pagesEach*os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return err
	}
	if err := unix.Madvise(block, unix.MADV_NOHUGEPAGE); err != nil && !errors.Is(err, unix.EINVAL) {
		return err
	}
	for at := 0; at < len(block); at += os.Getpagesize() {
		block[at] = 1
	}
	return unix.Munmap(block)
}

// held are threads that live until they are let go and touch pages when they are told.
type held struct {
	work, done chan struct{}
	failed     chan error
	ended      sync.WaitGroup
}

func hold(n int) *held {
	h := &held{work: make(chan struct{}), done: make(chan struct{}), failed: make(chan error, n)}
	var ready sync.WaitGroup
	ready.Add(n)
	for range n {
		h.ended.Go(func() {
			runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
			ready.Done()
			for range h.work {
				if err := touch(); err != nil {
					h.failed <- err
				}
				h.done <- struct{}{}
			}
		})
	}
	ready.Wait()
	return h
}

// touchAll has n of the threads touch pages, each once: a thread that is done waits until its word is taken.
func (h *held) touchAll(t *testing.T, n int) {
	t.Helper()
	for range n {
		h.work <- struct{}{}
	}
	for range n {
		<-h.done
	}
	select {
	case err := <-h.failed:
		t.Fatal(err)
	default:
	}
}

func (h *held) end() { close(h.work); h.ended.Wait() }

func minorFaults(t *testing.T) int64 {
	t.Helper()
	var u unix.Rusage
	check(t, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return u.Minflt + u.Majflt
}

// TestCountersSeeEveryThread holds what is counted between bounds: all that the threads are known to have done, and no
// more than the whole process did. A thread that was counted twice would break the second.
func TestCountersSeeEveryThread(t *testing.T) {
	const early, late = 40, 40
	before := hold(early)
	process := minorFaults(t)
	own := func() ([]int, error) { return tasks(os.Getpid()), nil }
	c, err := openCounters(own, softwareEvents())
	check(t, err)
	defer c.Close()
	if len(c.open[0]) < early || len(c.open[0]) != len(c.open[1]) {
		t.Fatalf("opened %d and %d events, want at least %d", len(c.open[0]), len(c.open[1]), early)
	}

	var reads []Counts
	read := func() int64 {
		got, err := c.Read()
		check(t, err)
		reads = append(reads, got)
		return got.Cycles
	}
	read()
	before.touchAll(t, early)
	if got, want := read(), int64(early*pagesEach); got < want {
		t.Errorf("threads from before: counted %d faults, want at least %d", got, want)
	}
	after := hold(late)
	after.touchAll(t, late)
	if got, want := read(), int64((early+late)*pagesEach); got < want {
		t.Errorf("threads from after: counted %d faults, want at least %d", got, want)
	}
	before.end()
	after.end()
	if got, most := read(), minorFaults(t)-process; got > most {
		t.Errorf("counted %d faults, but the process had %d: some thread was counted twice", got, most)
	}
	for i := 1; i < len(reads); i++ {
		if reads[i].Instructions <= reads[i-1].Instructions || reads[i].Cycles < reads[i-1].Cycles {
			t.Errorf("counts fell: %+v", reads)
		}
	}
}

func TestCountersSeeChildren(t *testing.T) {
	own := func() ([]int, error) { return tasks(os.Getpid()), nil }
	c, err := openCounters(own, softwareEvents())
	check(t, err)
	defer c.Close()
	before, err := c.Read()
	check(t, err)
	child := exec.Command("sh", "-c", "sh -c 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done'; true")
	check(t, child.Run())
	after, err := c.Read()
	check(t, err)
	spent := child.ProcessState.UserTime() + child.ProcessState.SystemTime() // grandchild included
	// The kernel splits what it counts in ticks from what the scheduler timed; a tenth is far above that.
	if got := time.Duration(after.Instructions - before.Instructions); got < spent*9/10 {
		t.Errorf("counted %s, but the child alone spent %s", got, spent)
	}
}

// TestServiceCounters goes the whole way, through another uid's processes where the sandbox gives one.
func TestServiceCounters(t *testing.T) {
	s := started(t, spec(t, program(t), "serve"))
	begun, err := s.CPU()
	check(t, err)
	c, err := s.openCounters(softwareEvents())
	check(t, err)
	defer c.Close()
	const requests = 4
	for range requests {
		get(t, s, "/spend") // 50 ms of CPU, on whichever thread
	}
	own, err := c.Read()
	check(t, err)
	ended, err := s.CPU()
	check(t, err)
	// The task clock runs while the hypervisor or an interrupt has the core, the CPU clock does not; threads that were
	// counted twice would double it.
	if got, least, most := time.Duration(own.Instructions), requests*50*time.Millisecond, 3*(ended-begun)/2; got < least*9/10 || got > most {
		t.Errorf("counted %s, want %s to %s", got, least, most)
	}
	get(t, s, "/spend-in-child")
	children, err := c.Read()
	check(t, err)
	if now, err := s.CPU(); err != nil || children.Instructions-own.Instructions < int64(now-ended)/2 {
		t.Errorf("a child that has ended left %d ns of about %d (%v)", children.Instructions-own.Instructions, now-ended, err)
	}
	check(t, s.Stop(t.Context()))
	last, err := c.Read()
	check(t, err)
	if last.Instructions < children.Instructions {
		t.Errorf("the end took counts away: %+v after %+v", last, children)
	}
	var over *EndedError
	if _, err := s.openCounters(softwareEvents()); !errors.As(err, &over) {
		t.Errorf("counters of a service that has ended: got %v, want an EndedError", err)
	}
}

// TestGrowingTree never looks the same twice: the counters give up by name and leave nothing open.
func TestGrowingTree(t *testing.T) {
	self, looks := os.Getpid(), 0
	growing := func() ([]int, error) {
		looks++
		return []int{self, 1<<30 + looks}, nil // no process has such ids
	}
	before := descriptors(t)
	_, err := openCounters(growing, softwareEvents())
	if err == nil || !strings.Contains(err.Error(), "new threads during each of 50 tries") {
		t.Errorf("got %v", err)
	}
	broken := errors.New("unreadable")
	calls := 0
	_, err = openCounters(func() ([]int, error) {
		if calls++; calls > 1 {
			return nil, broken
		}
		return []int{self}, nil
	}, softwareEvents())
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

// descriptors are the perf events that this process has open.
func descriptors(t *testing.T) (n int) {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	check(t, err)
	for _, f := range files {
		if to, _ := os.Readlink("/proc/self/fd/" + f.Name()); strings.Contains(to, "perf_event") {
			n++
		}
	}
	return n
}

// TestPartialCounts: a part of a count is told from the whole.
func TestPartialCounts(t *testing.T) {
	err := error(&MultiplexedError{Event: "cycles:u", Share: 0.5})
	if want := "cycles:u was counted for 50.0 % of its time only: "; !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %q, want %q…", err, want)
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		err       error
		paranoid  int
		why, cure string
	}{
		{unix.ENOENT, 2, "a hypervisor hides them (no such file", "valgrind"},
		{unix.EOPNOTSUPP, 2, "a hypervisor hides them (operation not supported)", "bare metal"},
		{unix.ENODEV, 2, "a hypervisor hides them (no such device)", "valgrind"},
		{unix.EACCES, 4, "kernel.perf_event_paranoid is 4, and counting needs 2 or less (permission denied)", "sudo sysctl kernel.perf_event_paranoid=2"},
		{unix.EPERM, 3, "kernel.perf_event_paranoid is 3, and counting needs 2 or less (operation not permitted)", "sudo sysctl kernel.perf_event_paranoid=2"},
		{unix.EPERM, 2, "a container's rules forbid perf_event_open (operation not permitted)", "--cap-add PERFMON"},
		{unix.EACCES, -1, "a container's rules forbid perf_event_open", "seccomp profile"},
		{unix.EPERM, unknownParanoia, "a container's rules forbid perf_event_open", "seccomp profile"},
		{unix.ENOSYS, 2, "seccomp profile hides it (function not implemented)", "CONFIG_PERF_EVENTS"},
		{unix.EMFILE, 2, "no descriptor is left", "ulimit -n"},
		{unix.EBUSY, 2, "another profiler holds the counters", "stop it"},
		{unix.EINVAL, 2, "the kernel refuses perf_event_open (invalid argument)", ""},
	} {
		why, cure := refusal(c.err, c.paranoid)
		if !strings.Contains(why, c.why) || !strings.Contains(cure, c.cure) || (c.cure == "") != (cure == "") {
			t.Errorf("%v at level %d: got %q and %q, want %q and %q", c.err, c.paranoid, why, cure, c.why, c.cure)
		}
	}
}

// TestRefusedCounter asks for an event that no machine has.
func TestRefusedCounter(t *testing.T) {
	nothing := [2]event{{"nothing", unix.PERF_TYPE_SOFTWARE, 1 << 30}, softwareEvents()[1]}
	_, err := openCounters(func() ([]int, error) { return []int{os.Getpid()}, nil }, nothing)
	var refused *refusedError
	if !errors.As(err, &refused) || !errors.Is(err, syscall.ENOENT) {
		t.Errorf("got %v, want ENOENT in words", err)
	}
}

func TestImplausible(t *testing.T) {
	const turns = 1000
	for _, c := range []struct {
		what        string
		short, long Counts
		want        string // empty: believed
	}{
		{"amd64", Counts{9000, 7000}, Counts{18000, 14100}, ""},
		{"arm64", Counts{5000, 6000}, Counts{10010, 11000}, ""},
		{"the clock changed", Counts{9000, 7000}, Counts{18000, 11000}, ""},
		{"zero", Counts{}, Counts{}, "instructions:u can be opened and always counts 0: the hypervisor's counters are broken"},
		{"no cycles", Counts{9000, 0}, Counts{18000, 0}, "cycles:u can be opened and always counts 0"},
		{"too few", Counts{10, 7000}, Counts{20, 14000}, "instructions:u cannot be true: 10 for 1000 turns of a loop and 20 for 2000"},
		{"too many", Counts{1e9, 7000}, Counts{2e9, 14000}, "instructions:u cannot be true"},
		{"standing still", Counts{9000, 7000}, Counts{9000, 7000}, "instructions:u cannot be true"},
		{"negative", Counts{-9000, 7000}, Counts{-18000, 14000}, "instructions:u cannot be true"},
		{"every second one", Counts{0, 7000}, Counts{18000, 14000}, "instructions:u cannot be true"},
		{"wild cycles", Counts{9000, 7000}, Counts{18000, 70000}, "cycles:u cannot be true"},
	} {
		got := implausible(c.short, c.long, turns)
		if !strings.HasPrefix(got, c.want) || (c.want == "") != (got == "") {
			t.Errorf("%s: got %q, want %q", c.what, got, c.want)
		}
	}
}

// TestProbe holds the probe to its own promise on whatever machine this is: it works, or it says why not.
func TestProbe(t *testing.T) {
	p := ProbeCounters()
	if p.Works != (p.Why == "") {
		t.Errorf("got %+v", p)
	}
	if again := ProbeCounters(); again.Works != p.Works {
		t.Errorf("got %+v, then %+v", p, again)
	}
	got, err := countLoop(softwareEvents(), probeTurns)
	if check(t, err); got.Instructions <= 0 {
		t.Errorf("the loop took no CPU: %+v", got)
	}
}
