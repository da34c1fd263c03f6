//go:build linux && (amd64 || arm64)

package load

import (
	"bytes"
	"context"
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
				if err != nil || got.Requests < want || got.Errors != 0 || got.Elapsed <= 0 || got.BytesRead != got.Requests*int64(len(okAnswer)) {
					t.Errorf("%s, %s: got %+v, %v, want %d good requests", name, loop, got, err, want)
				}
				if rec.Latency.Count() != got.Requests || rec.Service.Count() != got.Requests {
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
	if got, err := c.Open(t.Context(), nil, nil); err != nil || got != (Slice{}) {
		t.Errorf("Open of nothing: got %+v, %v", got, err)
	}
	if got, err := c.Count(t.Context(), 0, nil); err != nil || got != (Slice{}) {
		t.Errorf("Count of 0: got %+v, %v", got, err)
	}
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

func TestBadAnswersByName(t *testing.T) {
	check := func(answer string, failures func(Failures) Failure, text string) {
		t.Helper()
		var spoken atomic.Bool
		s := newServer(t, "tcp", func(conn net.Conn) {
			buffer := make([]byte, 4096)
			for {
				if _, err := readRequest(conn, buffer); err != nil {
					return
				}
				answer := answer
				if !spoken.Swap(true) { // one good answer: from then on, no bad one ends the slice
					answer = okAnswer
				}
				if _, err := conn.Write([]byte(answer)); err != nil || answer != okAnswer && !strings.HasPrefix(answer, "HTTP/1.1 5") {
					return
				}
			}
		})
		c := s.newClient(t, 1, func(o *Options) {
			o.Messages[0].Expect.Contains = "hello"
			o.Messages[0].Name = "greet"
			o.MaxBody = 1000
		})
		got, err := c.Count(t.Context(), 6, nil)
		if err != nil || got.Requests != 6 || got.Errors != 5 {
			t.Errorf("%.80q: got %+v, %v, want 5 errors of 6", answer, got, err)
			return
		}
		kind := failures(got.Failures)
		if kind.Count != 5 || !strings.Contains(kind.First, text) || len(kind.First) > maxExample || kind.First != got.Failures.First() {
			t.Errorf("%.80q: got %+v, want 5 with %q", answer, got.Failures, text)
		}
	}
	status := func(f Failures) Failure { return f.Status }
	broken := func(f Failures) Failure { return f.Broken }
	mismatch := func(f Failures) Failure { return f.Mismatch }
	const head = "HTTP/1.1 200 OK\r\n"
	check("HTTP/1.1 500 Oops\r\nContent-Length: 5\r\n\r\nhello", status, "status 500, expected 200 (GET /, greet)")
	check(head+"Connection: close\r\nContent-Length: 3\r\n\r\nbye", mismatch, `body of 3 bytes without "hello"`)
	check(head+"\r\nbye, until the end", mismatch, "body of 18 bytes")
	check("", broken, "connection closed before an answer")
	check("HTTP/1.1 20", broken, "closed in the head")
	check(head+"Content-Length: 10\r\n\r\nhello", broken, "closed in the body of the answer, after 5 bytes")
	check(head+"Content-Length: 2000\r\n\r\nhello", broken, "body of more than 1000 bytes")
	check(head+"\r\n"+strings.Repeat("hello", 1000), broken, "body of more than 1000 bytes")
	check(head+strings.Repeat("X: y\r\n", 20_000), broken, "head of more than 65536 bytes")
	check(head+"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nxyz\r\n", broken, `chunk size "xyz"`)
	check(okAnswer+okAnswer, broken, "bytes after its end")
	check("garbage\x00\x1b[31m", broken, `not HTTP/1.1: it begins with "garbage`)
	check("\x15\x03\x01\x00\x02\x02\x46", broken, "TLS")
}

func TestRefusals(t *testing.T) {
	check := func(serve func(net.Conn), want error) {
		t.Helper()
		c := newServer(t, "tcp", serve).newClient(t, 2, nil)
		got, err := c.Count(t.Context(), 1000, nil)
		if !errors.Is(err, want) || got.Requests > 10 {
			t.Errorf("got %+v, %v, want %v", got, err, want)
		}
	}
	check(answering("\x15\x03\x01\x00\x02\x02\x46"), ErrTLS)
	check(answering("\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64"), ErrHTTP2)
	check(answering("+OK POP3 ready\r\n"), ErrNotHTTP)
}

func TestHangingService(t *testing.T) {
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	s := newServer(t, "tcp", func(conn net.Conn) { <-hang })
	check := func(loop string, ask func(c *Client, rec *Recorder) (Slice, error), requests int64, want error) {
		t.Helper()
		c := s.newClient(t, 2, func(o *Options) { o.Timeout = 60 * time.Millisecond })
		var rec Recorder
		got, err := ask(c, &rec)
		if !errors.Is(err, want) || got.Requests != requests || got.Errors != requests || got.Failures.Timeout.Count != requests {
			t.Errorf("%s: got %+v, %v, want %d time-outs, %v", loop, got, err, requests, want)
		}
		if p, _ := rec.Latency.At(0); rec.Latency.Count() != requests || p < 0.06 {
			t.Errorf("%s: %d latencies from %v s, want %d from the time-out", loop, rec.Latency.Count(), p, requests)
		}
		if got.Failures.Timeout.First != "no whole answer within 60ms (GET /)" {
			t.Errorf("%s: example %q", loop, got.Failures.Timeout.First)
		}
	}
	check("open", func(c *Client, rec *Recorder) (Slice, error) {
		return c.Open(t.Context(), evenly(20, time.Millisecond), rec)
	}, 20, nil)
	check("closed", func(c *Client, rec *Recorder) (Slice, error) {
		return c.Closed(t.Context(), 30*time.Millisecond, rec)
	}, 2, nil)
	check("count", func(c *Client, rec *Recorder) (Slice, error) {
		return c.Count(t.Context(), 1000, rec)
	}, 2, ErrStalled)
}

// An endless body and a drip of bytes end with the cap and the time-out.
func TestEndlessAnswers(t *testing.T) {
	check := func(head, piece string, pause time.Duration, failure func(Failures) int64) {
		t.Helper()
		s := newServer(t, "tcp", func(conn net.Conn) {
			if _, err := readRequest(conn, make([]byte, 4096)); err != nil {
				return
			}
			for text := head; ; text = piece {
				if _, err := conn.Write([]byte(text)); err != nil {
					return
				}
				time.Sleep(pause)
			}
		})
		c := s.newClient(t, 1, func(o *Options) { o.Timeout = 300 * time.Millisecond })
		if pause == 0 {
			c = s.newClient(t, 1, nil)
		}
		got, err := c.Count(t.Context(), 1, nil)
		if err != nil && !errors.Is(err, ErrStalled) || failure(got.Failures) != 1 {
			t.Errorf("%q: got %+v, %v", head, got, err)
		}
	}
	const ok = "HTTP/1.1 200 OK\r\n"
	large := strings.Repeat("x", 1<<20)
	check(ok+"\r\n", large, 0, func(f Failures) int64 { return f.Broken.Count })
	check(ok+"Transfer-Encoding: chunked\r\n\r\n", "100000\r\n"+large+"\r\n", 0, func(f Failures) int64 { return f.Broken.Count })
	check(ok+"X: ", large, 0, func(f Failures) int64 { return f.Broken.Count })
	check(ok+"\r\n", "x", time.Millisecond, func(f Failures) int64 { return f.Timeout.Count })
	check(ok+"X: ", "x", time.Millisecond, func(f Failures) int64 { return f.Timeout.Count })
}

func TestCancelEndsSlice(t *testing.T) {
	s := newServer(t, "tcp", answering(okAnswer))
	cause := errors.New("the user pressed ^C")
	check := func(loop string, spin bool, ask func(context.Context, *Client) (Slice, error)) {
		t.Helper()
		c := s.newClient(t, 2, func(o *Options) { o.Spin = spin })
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(20*time.Millisecond, func() { cancel(cause) })
		began := time.Now()
		got, err := ask(ctx, c)
		// 50 ms are promised; a busy machine is given a hundred times more before this fails.
		if !errors.Is(err, cause) || time.Since(began) > 5*time.Second || got.Errors != 0 || got.Elapsed <= 0 {
			t.Errorf("%s: got %+v, %v after %v", loop, got, err, time.Since(began))
		}
		if got, err := c.Count(t.Context(), 10, nil); err != nil || got.Requests != 10 || got.Errors != 0 {
			t.Errorf("%s: afterwards got %+v, %v", loop, got, err)
		}
	}
	check("open", false, func(ctx context.Context, c *Client) (Slice, error) {
		return c.Open(ctx, []time.Duration{0, time.Hour}, nil)
	})
	check("open, spinning", true, func(ctx context.Context, c *Client) (Slice, error) {
		return c.Open(ctx, []time.Duration{0, time.Hour}, nil)
	})
	check("closed", false, func(ctx context.Context, c *Client) (Slice, error) { return c.Closed(ctx, time.Hour, nil) })
	check("count", false, func(ctx context.Context, c *Client) (Slice, error) { return c.Count(ctx, 1<<40, nil) })
}

func TestReconnects(t *testing.T) {
	t.Run("announced", func(t *testing.T) {
		s := newServer(t, "tcp", answering("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"))
		c := s.newClient(t, 3, nil)
		for range 2 {
			if got, err := c.Count(t.Context(), 30, nil); err != nil || got.Requests != 30 || got.Errors != 0 {
				t.Errorf("got %+v, %v", got, err)
			}
		}
		if n := s.accepted.Load(); n < 60 || n > 66 { // at the end of each slice up to 3 are redialled in vain
			t.Errorf("60 requests took %d connections", n)
		}
	})
	t.Run("idle", func(t *testing.T) { // the service closes idle connections between slices: no error
		ended := make(chan struct{}, 10)
		s := newServer(t, "unix", func(conn net.Conn) {
			if _, err := readRequest(conn, make([]byte, 4096)); err == nil {
				_, _ = conn.Write([]byte(okAnswer))
			}
			_ = conn.Close()
			ended <- struct{}{}
		})
		c := s.newClient(t, 2, nil)
		for range 4 {
			got, err := c.Open(t.Context(), evenly(2, 0), nil)
			if err != nil || got.Requests != 2 || got.Errors != 0 {
				t.Errorf("got %+v, %v", got, err)
			}
			<-ended
			<-ended
		}
	})
	t.Run("never", func(t *testing.T) {
		s := newServer(t, "tcp", answering("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"))
		c := s.newClient(t, 3, func(o *Options) { o.Redial = nil })
		if got, err := c.Count(t.Context(), 3, nil); err != nil || got.Requests != 3 || got.Errors != 0 {
			t.Errorf("got %+v, %v", got, err)
		}
		if got, err := c.Count(t.Context(), 1, nil); !errors.Is(err, ErrDown) || got.Requests != 0 {
			t.Errorf("without connections: got %+v, %v", got, err)
		}
	})
}

func TestServiceThatDies(t *testing.T) {
	const answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
	refused := errors.New("connection refused, says the test")
	check := func(name string, redial func() (net.Conn, error), text string) {
		t.Helper()
		c := newServer(t, "tcp", answering(answer)).newClient(t, 2, func(o *Options) {
			o.Redial, o.Timeout = redial, 200*time.Millisecond
		})
		got, err := c.Closed(t.Context(), time.Hour, nil)
		if !errors.Is(err, ErrDown) || !strings.Contains(err.Error(), text) || got.Requests != 2 || got.Errors != 0 {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	check("refusing", func() (net.Conn, error) { return nil, refused }, refused.Error())
	check("nothing", func() (net.Conn, error) { return nil, nil }, "no connection")
	check("hanging", func() (net.Conn, error) { <-hang; return nil, refused }, "closed by the service")
	check("no socket", func() (net.Conn, error) { a, b := net.Pipe(); _ = b.Close(); return a, nil }, "expected a TCP or Unix connection")
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
