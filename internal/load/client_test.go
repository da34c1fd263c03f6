//go:build linux && (amd64 || arm64)

package load

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/duet-bench/duet/internal/workload"
)

// server is a service in this process. Each connection is handed to serve; serving ends with the test.
type server struct {
	net.Listener
	accepted atomic.Int64
}

func newServer(t testing.TB, network string, serve func(net.Conn)) *server {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Listener: listener}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.accepted.Add(1)
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
	return s
}

func (s *server) dial() (net.Conn, error) { return net.Dial(s.Addr().Network(), s.Addr().String()) }

// newClient makes a client with n connections; adjust changes its options.
func (s *server) newClient(t testing.TB, n int, adjust func(*Options)) *Client {
	t.Helper()
	o := Options{
		Host: "localhost", Timeout: 5 * time.Second, Redial: s.dial,
		Messages: []workload.Message{{Method: "GET", Path: "/", Expect: workload.Expect{Status: 200}}},
	}
	for range n {
		conn, err := s.dial()
		if err != nil {
			t.Fatal(err)
		}
		o.Conns = append(o.Conns, conn)
	}
	if adjust != nil {
		adjust(&o)
	}
	c, err := NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return c
}

// readRequest reads one request without allocating and returns its method and path.
func readRequest(conn net.Conn, buffer []byte) (target []byte, err error) {
	n := 0
	for {
		read, err := conn.Read(buffer[n:])
		if err != nil {
			return nil, err
		}
		n += read
		head := bytes.Index(buffer[:n], headEnd)
		if head < 0 {
			continue
		}
		length := 0
		if _, after, ok := bytes.Cut(buffer[:head], []byte("Content-Length: ")); ok {
			digits, _, _ := bytes.Cut(after, []byte("\r"))
			if length, err = strconv.Atoi(string(digits)); err != nil {
				return nil, err
			}
		}
		if n >= head+4+length {
			target, _, _ := bytes.Cut(buffer[:head], []byte(" HTTP/1.1"))
			return target, nil
		}
	}
}

const okAnswer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"

// answering serves the same answer to every request.
func answering(answer string) func(net.Conn) {
	text := []byte(answer)
	return func(conn net.Conn) {
		buffer := make([]byte, 64<<10)
		for {
			if _, err := readRequest(conn, buffer); err != nil {
				return
			}
			if _, err := conn.Write(text); err != nil {
				return
			}
		}
	}
}

// evenly is n starts, gap apart.
func evenly(n int, gap time.Duration) []time.Duration {
	starts := make([]time.Duration, n)
	for i := range starts {
		starts[i] = time.Duration(i) * gap
	}
	return starts
}

func TestEveryLoopOnEveryNetwork(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		for _, spin := range []bool{false, true} {
			s := newServer(t, network, answering(okAnswer))
			c := s.newClient(t, 4, func(o *Options) {
				o.Spin = spin
				o.Messages[0].Expect.Contains = "hello"
			})
			name := fmt.Sprintf("%s, spin %v", network, spin)
			check := func(loop string, got Slice, err error, rec *Recorder, want int64) {
				t.Helper()
				if err != nil || got.Requests < want || got.Errors != 0 || got.Elapsed <= 0 || got.CPU <= 0 || got.BytesRead != got.Requests*int64(len(okAnswer)) {
					t.Errorf("%s, %s: got %+v, %v, want %d good requests", name, loop, got, err, want)
				}
				service := got.Requests
				if loop != "open" { // there it is the latency
					service = 0
				}
				if rec.Latency.Count() != got.Requests || rec.Service.Count() != service {
					t.Errorf("%s, %s: recorded %d, %d of %d", name, loop, rec.Latency.Count(), rec.Service.Count(), got.Requests)
				}
			}
			var rec Recorder
			got, err := c.Open(t.Context(), evenly(50, time.Millisecond), &rec)
			check("open", got, err, &rec, 50)
			if got.Requests != 50 || rec.Lateness.Count() != 50 {
				t.Errorf("%s: open loop of 50 sent %d, lateness of %d", name, got.Requests, rec.Lateness.Count())
			}
			rec.Reset()
			got, err = c.Closed(t.Context(), 20*time.Millisecond, &rec)
			check("closed", got, err, &rec, 4)
			if got.Elapsed < 20*time.Millisecond {
				t.Errorf("%s: closed loop of 20 ms took %v", name, got.Elapsed)
			}
			rec.Reset()
			got, err = c.Count(t.Context(), 101, &rec)
			check("count", got, err, &rec, 101)
			if got.Requests != 101 {
				t.Errorf("%s: count of 101 sent %d", name, got.Requests)
			}
			if got, err = c.Count(t.Context(), 3, nil); err != nil || got.Requests != 3 {
				t.Errorf("%s: without recorder: got %+v, %v", name, got, err)
			}
			if n := s.accepted.Load(); n != 4 {
				t.Errorf("%s: the service saw %d connections, want 4", name, n)
			}
		}
	}
}

func TestEmptySlices(t *testing.T) {
	c := newServer(t, "tcp", answering(okAnswer)).newClient(t, 1, nil)
	check := func(loop string, got Slice, err error) {
		t.Helper()
		got.CPU = 0 // even nothing takes some
		if err != nil || got != (Slice{}) {
			t.Errorf("%s: got %+v, %v", loop, got, err)
		}
	}
	got, err := c.Open(t.Context(), nil, nil)
	check("Open of nothing", got, err)
	got, err = c.Count(t.Context(), 0, nil)
	check("Count of 0", got, err)
	if _, err := c.Count(t.Context(), -1, nil); err == nil {
		t.Error("Count of -1: no error")
	}
	if _, err := c.Closed(t.Context(), 0, nil); err == nil {
		t.Error("Closed for 0: no error")
	}
	if _, err := c.Open(t.Context(), []time.Duration{2, 1}, nil); err == nil {
		t.Error("Open out of order: no error")
	}
	if _, err := c.Open(t.Context(), []time.Duration{-1}, nil); err == nil {
		t.Error("Open before the slice: no error")
	}
}

// The client's own cost is its thread's: it is never nothing, and never more than the time that passed.
func TestCPUOfSlice(t *testing.T) {
	s := newServer(t, "unix", answering(okAnswer))
	var sum Slice
	for _, spin := range []bool{true, false} {
		c := s.newClient(t, 1, func(o *Options) { o.Spin = spin })
		begin := time.Now()
		got, err := c.Open(t.Context(), evenly(40, time.Millisecond), nil)
		passed := time.Since(begin)
		if err != nil || got.Errors != 0 || got.CPU <= 0 || got.CPU > passed {
			t.Errorf("spin %v: got %+v, %v, in %v", spin, got, err, passed)
		}
		before := sum
		sum.Add(got)
		if sum.CPU != before.CPU+got.CPU || sum.Requests != before.Requests+40 {
			t.Errorf("spin %v: %+v and %+v sum to %+v", spin, before, got, sum)
		}
	}
}

// The messages are asked in order, over and over, and a new slice goes on where the last one ended.
func TestMessagesInOrder(t *testing.T) {
	seen := make(chan string, 100)
	s := newServer(t, "tcp", func(conn net.Conn) {
		buffer := make([]byte, 1<<20)
		for {
			target, err := readRequest(conn, buffer)
			if err != nil {
				return
			}
			seen <- string(target)
			if _, err := conn.Write([]byte(okAnswer)); err != nil {
				return
			}
		}
	})
	c := s.newClient(t, 1, func(o *Options) {
		o.Messages = []workload.Message{
			{Method: "GET", Path: "/a"},
			{Method: "POST", Path: "/b", Body: bytes.Repeat([]byte("x"), 900_000)}, // more than a socket takes at once
			{Method: "DELETE", Path: "/c"},
		}
	})
	count, err := c.Count(t.Context(), 2, nil)
	if err != nil || count.Errors != 0 {
		t.Fatalf("Count: %+v, %v", count, err)
	}
	opened, err := c.Open(t.Context(), evenly(2, 0), nil)
	if err != nil || opened.Errors != 0 {
		t.Fatalf("Open: %+v, %v", opened, err)
	}
	for _, want := range []string{"GET /a", "POST /b", "DELETE /c", "GET /a"} {
		if got := <-seen; got != want {
			t.Errorf("the service was asked %s, want %s", got, want)
		}
	}
}

// A request that waits for a connection counts from its intended start. The service holds request 10 of a
// thousand a second for 200 ms: by the plan alone, the 100 requests that become due in the first half of
// the stall take more than 100 ms each, however fast or slow the machine. A client that counted from the
// send would see one such request.
func TestNoCoordinatedOmission(t *testing.T) {
	const held = 200 * time.Millisecond
	var asked atomic.Int64
	s := newServer(t, "tcp", func(conn net.Conn) {
		buffer := make([]byte, 4096)
		for {
			if _, err := readRequest(conn, buffer); err != nil {
				return
			}
			if asked.Add(1) == 10 {
				time.Sleep(held)
			}
			if _, err := conn.Write([]byte(okAnswer)); err != nil {
				return
			}
		}
	})
	var rec Recorder
	got, err := s.newClient(t, 1, nil).Open(t.Context(), evenly(400, time.Millisecond), &rec)
	if err != nil || got.Requests != 400 || got.Errors != 0 {
		t.Fatalf("got %+v, %v", got, err)
	}
	// 100 of 400 above 100 ms: the 76th percentile is among them.
	if p, _ := rec.Latency.At(76); p < 0.1 {
		t.Errorf("latency p76 is %.1f ms: the stall was omitted", p*1e3)
	}
	latency, _ := rec.Latency.At(95)
	service, _ := rec.Service.At(95)
	if latency < 1.5*service {
		t.Errorf("latency p95 %.1f ms, service time p95 %.1f ms: both count the wait", latency*1e3, service*1e3)
	}
	// The wait is the service's doing, not the client's lateness.
	if late, _ := rec.Lateness.At(50); late > 0.05 {
		t.Errorf("median lateness is %.1f ms", late*1e3)
	}
}

// Requests go out while others wait for a slow answer.
func TestConnectionsWorkApart(t *testing.T) {
	release := make(chan struct{})
	var asked atomic.Int64
	s := newServer(t, "tcp", func(conn net.Conn) {
		buffer := make([]byte, 4096)
		for {
			if _, err := readRequest(conn, buffer); err != nil {
				return
			}
			if n := asked.Add(1); n == 1 {
				<-release // until another connection has carried the rest
			} else if n == 20 {
				close(release)
			}
			if _, err := conn.Write([]byte(okAnswer)); err != nil {
				return
			}
		}
	})
	got, err := s.newClient(t, 2, nil).Open(t.Context(), evenly(20, 0), nil)
	if err != nil || got.Requests != 20 || got.Errors != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestNewClientRefuses(t *testing.T) {
	s := newServer(t, "tcp", answering(okAnswer))
	check := func(want string, adjust func(*Options)) {
		t.Helper()
		conn, err := s.dial()
		if err != nil {
			t.Fatal(err)
		}
		o := Options{Conns: []net.Conn{conn}, Host: "h", Messages: []workload.Message{{Method: "GET", Path: "/"}}}
		adjust(&o)
		c, err := NewClient(o)
		if err == nil {
			t.Errorf("want an error with %q", want)
			_ = c.Close()
			return
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
		if _, err := conn.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: the connection was not closed: %v", want, err)
		}
	}
	pipe, _ := net.Pipe()
	check("expected a TCP or Unix connection", func(o *Options) { o.Conns = append(o.Conns, pipe) })
	check("no messages", func(o *Options) { o.Messages = nil })
	check("host", func(o *Options) { o.Host = "" })
	check("timeout", func(o *Options) { o.Timeout = -1 })
	check("body cap", func(o *Options) { o.MaxBody = -1 })
	if _, err := NewClient(Options{}); err == nil || !strings.Contains(err.Error(), "0 connections") {
		t.Errorf("without connections: %v", err)
	}
}

// The timer that replaces epoll_pwait2 on old kernels wakes the loop as well.
func TestTimerOfOldKernels(t *testing.T) {
	c := newServer(t, "tcp", answering(okAnswer)).newClient(t, 1, nil)
	if err := c.poller.useTimer(); err != nil {
		t.Fatal(err)
	}
	got, err := c.Open(t.Context(), evenly(20, 2*time.Millisecond), nil)
	if err != nil || got.Requests != 20 || got.Elapsed < 38*time.Millisecond {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestPin(t *testing.T) {
	unpin, err := Pin(0)
	if err != nil {
		t.Fatal(err)
	}
	unpin()
	for _, cpu := range []int{-1, 1023, 1 << 20} {
		if _, err := Pin(cpu); err == nil || !strings.Contains(err.Error(), strconv.Itoa(cpu)) {
			t.Errorf("Pin(%d): got %v, want an error that names it", cpu, err)
		}
	}
}

// The steady state allocates nothing per request: what a whole slice allocates, and what this process does
// beside it, is less than one allocation in a hundred requests.
func TestNoAllocationPerRequest(t *testing.T) {
	c := newServer(t, "unix", answering(okAnswer)).newClient(t, 8, func(o *Options) { o.Messages[0].Expect.Contains = "hello" })
	var rec Recorder
	check := func(loop string, ask func() (Slice, error)) {
		t.Helper()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got, err := ask()
		runtime.ReadMemStats(&after)
		if err != nil || got.Errors != 0 || got.Requests != 5000 {
			t.Fatalf("%s: got %+v, %v", loop, got, err)
		}
		if n := after.Mallocs - before.Mallocs; n > 50 {
			t.Errorf("%s: %d allocations in %d requests", loop, n, got.Requests)
		}
	}
	starts := evenly(5000, 10*time.Microsecond)
	if _, err := c.Open(t.Context(), starts, &rec); err != nil { // first use
		t.Fatal(err)
	}
	check("count", func() (Slice, error) { return c.Count(t.Context(), 5000, &rec) })
	check("open", func() (Slice, error) { return c.Open(t.Context(), starts, &rec) })
}

// One operation is one request over a Unix socket, 32 connections, with a server in this process: the
// time is that of both, the allocations are the client's (the server makes none).
func BenchmarkRequestLoop(b *testing.B) {
	c := newServer(b, "unix", answering(okAnswer)).newClient(b, 32, nil)
	var rec Recorder
	if _, err := c.Count(b.Context(), 1000, &rec); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	got, err := c.Count(b.Context(), b.N, &rec)
	if err != nil || got.Errors != 0 {
		b.Fatalf("got %+v, %v", got, err)
	}
}
