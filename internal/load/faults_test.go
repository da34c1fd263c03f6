//go:build linux && (amd64 || arm64)

package load

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

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
