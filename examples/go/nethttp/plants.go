//go:build plants

package main

import (
	"fmt"
	"math/bits"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// Plants are known regressions for Duet's self-test, compiled into test builds only (go build -tags plants, on Linux).
// $DUET_PLANT says once, at the start, which one acts: KIND:AMOUNT, or nothing for none. What a request pays for the
// question whether something is planted, it pays in every process of such a build.
//
// The Rust service has the same plants; its constants are its own.

// route is a group of routes that one workload asks for.
type route int

const (
	routeHealth route = iota
	routePipeline
	routeLinks // everything else: create, follow, stats and what is missing
	routes
)

// cost is what one request of a route is without any plant, the mean over Duet's workload for it.
type cost struct {
	instructions uint64 // of the service itself: neither allocator, collector nor scheduler
	allocations  uint64 // in hundredths
	bytes        uint64 // allocated
}

// costs were counted by callgrind (instructions, calls of the allocator) and by the runtime (bytes), in the build with
// plants and with none of them acting, by go1.26 on amd64.
func costs(r route) cost {
	return [routes]cost{
		routeHealth:   {instructions: 27_330, allocations: 20_00, bytes: 2_297},
		routePipeline: {instructions: 1_785_300, allocations: 879_30, bytes: 53_840},
		routeLinks:    {instructions: 28_460, allocations: 19_35, bytes: 2_275},
	}[r]
}

const (
	// peakRSS is the largest of the service's peaks under Duet's workloads, one core, in bytes.
	peakRSS = 13_400_000
	// turn is the instructions of one turn of spin's loop.
	turn = 5
	// object is the bytes of a planted allocation.
	object = 32
	// stallEvery is how many requests share one stall.
	stallEvery = 50
)

// act is what each request of one route does beside its work.
type act struct {
	turns       uint64 // of spin
	allocations uint64 // in hundredths of an allocation
	size        int    // of one allocation, in bytes
	wait        time.Duration
	stall       time.Duration // of every stallEvery-th request

	served atomic.Uint64
}

// plant is all that was planted into one process.
type plant struct {
	acts   [routes]act
	memory int           // bytes, resident for life
	burst  time.Duration // of CPU, once a second
}

// planted is the app with what $DUET_PLANT asks for.
func planted(app http.Handler) (http.Handler, error) {
	p, err := parsePlant(os.Getenv("DUET_PLANT"))
	if err != nil {
		return nil, err
	}
	if err := p.start(); err != nil {
		return nil, fmt.Errorf("planting: %w", err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.acts[routeOf(r.URL.Path)].do()
		app.ServeHTTP(w, r)
	}), nil
}

func routeOf(path string) route {
	switch path {
	case "/health":
		return routeHealth
	case "/pipeline":
		return routePipeline
	}
	return routeLinks
}

// parsePlant reads KIND:AMOUNT.
func parsePlant(text string) (*plant, error) {
	p := &plant{}
	if text == "" {
		return p, nil
	}
	kind, digits, _ := strings.Cut(text, ":")
	amount, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || amount == 0 {
		return nil, fmt.Errorf("reading DUET_PLANT: unexpected %q: expected KIND:AMOUNT, such as work:1", text)
	}
	switch kind {
	case "memory":
		p.memory = int(peakRSS * amount / 100)
		return p, nil
	case "burst":
		p.burst = time.Duration(amount) * time.Millisecond
		return p, nil
	}
	for r := range routes {
		if !p.acts[r].set(kind, amount, costs(r)) {
			return nil, fmt.Errorf("reading DUET_PLANT: unexpected kind %q: expected work, alloc, garbage, latency, stall, memory or burst", kind)
		}
	}
	return p, nil
}

// set plants into one route; ok is false for an unknown kind.
func (a *act) set(kind string, amount uint64, c cost) (ok bool) {
	switch kind {
	case "work": // percent
		a.turns = (c.instructions*amount + 100*turn/2) / (100 * turn)
	case "alloc": // percent
		a.allocations, a.size = c.allocations*amount/100, object
	case "garbage": // percent
		a.allocations, a.size = c.allocations*amount/100, int(100*c.bytes/c.allocations)
	case "latency": // microseconds
		a.wait = time.Duration(amount) * time.Microsecond
	case "stall": // milliseconds
		a.stall = time.Duration(amount) * time.Millisecond
	default:
		return false
	}
	return true
}

// start does what does not wait for requests.
func (p *plant) start() error {
	if p.memory > 0 {
		if err := occupy(p.memory); err != nil {
			return err
		}
	}
	if p.burst > 0 {
		go burn(p.burst)
	}
	return nil
}

// do is what a request pays.
func (a *act) do() {
	n := a.served.Add(1)
	_ = spin(a.turns)
	for range due(a.allocations, n) {
		_ = garbage(a.size)
	}
	if a.wait > 0 {
		sleep(a.wait)
	}
	if a.stall > 0 && n%stallEvery == 0 {
		sleep(a.stall)
	}
}

// due is how many allocations the n-th request makes, n from 1, so that the mean is hundredths ÷ 100.
func due(hundredths, n uint64) uint64 {
	return hundredths*n/100 - hundredths*(n-1)/100
}

// spin does arithmetic that nobody needs: turns × turn instructions.
//
//go:noinline
func spin(turns uint64) uint64 {
	x := uint64(1)
	for ; turns > 0; turns-- {
		x = bits.RotateLeft64(x, 5) ^ turns
	}
	return x
}

// garbage makes an object of the given bytes that is garbage at once. Not inlined, so that it is on the heap.
//
//go:noinline
func garbage(size int) []byte { return make([]byte, size) }

// sleep waits without work on the thread it is called on, so that the scheduler has no work with it either. It is late
// by the machine's own wake-up alone (20 to 30 µs on a virtual one): time.Sleep comes up to a millisecond late, and by
// its timer slack the kernel wakes a thread up to 50 µs late.
func sleep(d time.Duration) {
	const setTimerSlack = 29 // PR_SET_TIMERSLACK, prctl(2)
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, setTimerSlack, 1, 0)
	left := syscall.NsecToTimespec(d.Nanoseconds())
	for {
		_, _, errno := syscall.RawSyscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&left)), uintptr(unsafe.Pointer(&left)), 0)
		if errno != syscall.EINTR {
			return
		}
	}
}

// occupy makes bytes resident outside the heap, so that the collector's pace stays what it was.
func occupy(bytes int) error {
	b, err := syscall.Mmap(-1, 0, bytes, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return fmt.Errorf("mapping %d bytes: %w", bytes, err)
	}
	for i := 0; i < len(b); i += os.Getpagesize() {
		b[i] = 1
	}
	return nil
}

// burn uses up the given time of a core once a second, for life.
func burn(d time.Duration) {
	runtime.LockOSThread() // whose clock is read
	for {
		time.Sleep(time.Second)
		for end := threadCPU() + d; threadCPU() < end; {
			_ = spin(10_000)
		}
	}
}

// threadCPU is what the calling thread has spent.
func threadCPU() time.Duration {
	const threadCPUTime = 3 // CLOCK_THREAD_CPUTIME_ID, clock_gettime(2)
	var ts syscall.Timespec
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, threadCPUTime, uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		panic("reading the thread's clock: " + errno.Error())
	}
	return time.Duration(ts.Nano())
}
