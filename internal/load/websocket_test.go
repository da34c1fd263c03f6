//go:build linux && (amd64 || arm64)

package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/duet-bench/duet/internal/workload"
)

// sockets serves WebSockets: serve gets each connection once it is open.
func sockets(serve func(net.Conn)) func(net.Conn) {
	return func(conn net.Conn) {
		if _, err := ws.Upgrade(conn); err == nil {
			serve(conn)
		}
	}
}

// echoing answers each message, control frames apart, with what reply makes of it; an empty reply ends the connection.
func echoing(reply func(opcode ws.OpCode, payload string) string) func(net.Conn) {
	return sockets(func(conn net.Conn) {
		for {
			frame, err := ws.ReadFrame(conn)
			if err != nil || frame.Header.OpCode == ws.OpClose {
				return
			}
			if frame.Header.OpCode.IsControl() {
				continue
			}
			text := reply(frame.Header.OpCode, string(ws.UnmaskFrame(frame).Payload))
			if text == "" {
				return
			}
			if _, err := conn.Write([]byte(text)); err != nil {
				return
			}
		}
	})
}

func echo(opcode ws.OpCode, payload string) string { return framed(opcode, true, payload) }

func opened(o *Options) {
	o.Opening = &workload.Message{Method: "GET", Path: "/ws?x=1", Headers: []workload.Header{{Name: "X-Who", Value: "duet"}}}
	o.Messages = []workload.Message{
		{Name: "line", Type: workload.TypeText, Body: []byte("hello"), Expect: workload.Expect{Echo: true}},
		{Name: "blob", Type: workload.TypeBinary, Body: bytes.Repeat([]byte("x"), 300), Expect: workload.Expect{Echo: true, Contains: "xxx"}},
	}
}

func TestEveryLoopOverWebSockets(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		for _, spin := range []bool{false, true} {
			s := newServer(t, network, echoing(echo))
			c := s.newClient(t, 4, func(o *Options) { opened(o); o.Spin = spin })
			var rec Recorder
			got, err := c.Open(t.Context(), evenly(50, time.Millisecond), &rec)
			if err != nil || got.Requests != 50 || got.Errors != 0 || rec.Latency.Count() != 50 || rec.Service.Count() != 50 || rec.Lateness.Count() != 50 {
				t.Errorf("%s, open: got %+v, %v, latencies %d", network, got, err, rec.Latency.Count())
			}
			if want := int64(25*(2+5) + 25*(4+300)); got.BytesRead != want {
				t.Errorf("%s: read %d bytes, want %d", network, got.BytesRead, want)
			}
			rec.Reset()
			got, err = c.Closed(t.Context(), 20*time.Millisecond, &rec)
			if err != nil || got.Requests < 4 || got.Errors != 0 || rec.Latency.Count() != got.Requests || rec.Service.Count() != 0 {
				t.Errorf("%s, closed: got %+v, %v", network, got, err)
			}
			if got, err = c.Count(t.Context(), 101, nil); err != nil || got.Requests != 101 || got.Errors != 0 {
				t.Errorf("%s, count: got %+v, %v", network, got, err)
			}
			if n := s.accepted.Load(); n != 4 {
				t.Errorf("%s: the service saw %d connections, want 4", network, n)
			}
		}
	}
}

// What opens a connection is a request that an independent reader takes.
func TestOpening(t *testing.T) {
	seen := make(chan *http.Request, 1)
	web := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r
		conn, _, _, err := ws.UpgradeHTTP(r, w)
		if err == nil {
			defer conn.Close()
			_, _ = io.Copy(io.Discard, conn)
		}
	})}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = web.Serve(listener) }()
	t.Cleanup(func() { _ = web.Close() })
	(&server{Listener: listener}).newClient(t, 1, opened)
	if r := <-seen; r.RequestURI != "/ws?x=1" || r.Host != "localhost" || r.Header.Get("X-Who") != "duet" || r.Header.Get("Sec-Websocket-Extensions") != "" {
		t.Errorf("got %s %s of %s with %v", r.Method, r.RequestURI, r.Host, r.Header)
	}
}

// Every way not to open a WebSocket has a name, when the client is made and when a connection is replaced.
func TestRefusedUpgrades(t *testing.T) {
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	const upgraded = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	check := func(serve func(net.Conn), want string) {
		t.Helper()
		timeout := 10 * time.Second
		if strings.HasPrefix(want, "no answer") {
			timeout = 200 * time.Millisecond
		}
		s := newServer(t, "tcp", serve)
		conn, err := s.dial()
		if err != nil {
			t.Fatal(err)
		}
		o := Options{Conns: []net.Conn{conn}, Host: "localhost", Timeout: timeout}
		opened(&o)
		c, err := NewClient(o)
		if err == nil {
			_ = c.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "opening a WebSocket at /ws?x=1: "+want) {
			t.Errorf("got %v, want %s", err, want)
		}
		if _, err := conn.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: the connection was not closed: %v", want, err)
		}

		var first atomic.Bool
		s = newServer(t, "tcp", func(conn net.Conn) {
			if first.Swap(true) {
				serve(conn)
				return
			}
			echoing(func(ws.OpCode, string) string { return closing(ws.StatusGoingAway, "") })(conn)
		})
		c = s.newClient(t, 1, func(o *Options) { opened(o); o.Timeout = timeout })
		got, err := c.Count(t.Context(), 1000, nil)
		// One that hangs is given up before its redial is.
		if hangs := timeout < time.Second; got.Errors != 1 || err == nil || !hangs && !(errors.Is(err, ErrDown) && strings.Contains(err.Error(), want)) {
			t.Errorf("redialled: got %+v, %v, want %s", got, err, want)
		}
	}
	head := func(answer string) func(net.Conn) { return answering(answer) }
	check(head("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"), "the service refused to open a WebSocket: status 404, expected 101")
	check(head("HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nhello"), "the service refused to open a WebSocket: status 426, expected 101")
	check(head(okAnswer), "the service refused to open a WebSocket: status 200, expected 101")
	check(head(upgraded+"\r\n"), "the service refused to open a WebSocket: ")
	check(head(upgraded+"Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n"), "")
	check(head(upgraded+strings.Repeat("X: y\r\n", 20_000)), "answer too large: head of more than 65536 bytes")
	check(head(upgraded+"X: "+strings.Repeat("y", 1<<20)), "answer too large: head of more than 65536 bytes")
	check(head("\x15\x03\x01\x00\x02\x02\x46"), ErrTLS.Error())
	check(head("\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64\r\n"), ErrHTTP2.Error())
	check(head("+OK POP3 ready\r\n"), ErrNotHTTP.Error())
	check(func(net.Conn) {}, "connection closed before an answer")
	check(func(conn net.Conn) { _, _ = readRequest(conn, make([]byte, 4096)); _, _ = conn.Write([]byte(upgraded)) }, "connection closed in the head of the answer")
	check(func(net.Conn) { <-hang }, "no answer within 200ms")
}

// Every bad answer has a name, and the slice goes on with another connection.
func TestBadMessagesByName(t *testing.T) {
	check := func(answer string, failures func(Failures) Failure, text string) {
		t.Helper()
		var spoken atomic.Bool
		s := newServer(t, "tcp", echoing(func(opcode ws.OpCode, payload string) string {
			if !spoken.Swap(true) {
				return echo(opcode, payload)
			}
			return answer
		}))
		c := s.newClient(t, 1, func(o *Options) { opened(o); o.Messages, o.MaxBody = o.Messages[:1], 1000 })
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
	broken := func(f Failures) Failure { return f.Broken }
	mismatch := func(f Failures) Failure { return f.Mismatch }
	check(textFrame("hallo"), mismatch, "message of 5 other bytes, expected the message of 5 bytes back (text message, line)")
	check(framed(ws.OpBinary, true, "hello"), mismatch, "binary message, expected the text message back")
	check(framed(ws.OpText, false, "hel")+framed(ws.OpContinuation, true, "la"), mismatch, "5 other bytes")
	check("", broken, "closed without a close frame before an answer (text message, line)")
	check(framed(ws.OpText, false, "he")+closing(1011, "lost"), broken, `closed by the service with code 1011 "lost" in the middle of a message, after 2 bytes`)
	check(closing(1009, "\x1b[31m"), broken, `closed by the service with code 1009 "\x1b[31m" instead of an answer`)
	check(textFrame(strings.Repeat("x", 1001)), broken, "message of more than 1000 bytes")
	check("\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", broken, "message of more than 1000 bytes")
	check(framed(ws.OpText, true, "hello", func(f *ws.Frame) { *f = ws.MaskFrameWith(*f, [4]byte{1, 2, 3, 4}) }), broken, "frames from server to client must be not masked")
	check(framed(ws.OpContinuation, true, "hello"), broken, "unexpected continuation")
	check(framed(ws.OpText, false, "he")+textFrame("llo"), broken, "unexpected non-continuation")
	check(textFrame("hello")+textFrame("hello"), broken, "a message that nobody asked for")
	check(strings.Repeat(framed(ws.OpPing, true, ""), maxFrames+1), broken, "more than 10000 frames")
	check(okAnswer, broken, "malformed answer")
}

// Good answers may come in pieces, among pings, and before the connection ends.
func TestUnusualMessages(t *testing.T) {
	check := func(name string, connections int64, reply func(opcode ws.OpCode, payload string) string) {
		t.Helper()
		s := newServer(t, "tcp", echoing(reply))
		c := s.newClient(t, 1, opened)
		for range 2 {
			got, err := c.Count(t.Context(), 10, nil)
			if err != nil || got.Requests != 10 || got.Errors != 0 {
				t.Errorf("%s: got %+v, %v", name, got, err)
			}
		}
		if n := s.accepted.Load(); n < connections || n > connections+2 { // redials at the end of each slice
			t.Errorf("%s: %d connections, want %d", name, n, connections)
		}
	}
	check("pieces", 1, func(opcode ws.OpCode, payload string) string {
		return framed(opcode, false, payload[:1]) + framed(ws.OpContinuation, false, "") + framed(ws.OpContinuation, true, payload[1:])
	})
	check("pings", 1, func(opcode ws.OpCode, payload string) string {
		return framed(ws.OpPing, true, "a") + echo(opcode, payload) + framed(ws.OpPing, true, "b")
	})
	check("goodbye after each", 20, func(opcode ws.OpCode, payload string) string {
		return echo(opcode, payload) + closing(ws.StatusNormalClosure, "")
	})
}

// A ping is answered while an answer is awaited, while a long message is half sent, and between slices.
func TestPingsAreAnswered(t *testing.T) {
	pongs, pinged := make(chan string, 100), make(chan struct{}, 100)
	s := newServer(t, "tcp", sockets(func(conn net.Conn) {
		ping := func(payload string) bool {
			if _, err := conn.Write([]byte(framed(ws.OpPing, true, payload))); err != nil {
				return false
			}
			if payload == "idle" {
				pinged <- struct{}{}
			}
			frame, err := ws.ReadFrame(conn)
			if err != nil || frame.Header.OpCode != ws.OpPong {
				return false
			}
			pongs <- string(ws.UnmaskFrame(frame).Payload)
			return true
		}
		for {
			h, err := ws.ReadHeader(conn)
			if err != nil || h.OpCode == ws.OpClose {
				return
			}
			if _, err := conn.Write([]byte(framed(ws.OpPing, true, "half"))); err != nil { // its payload is not read yet
				return
			}
			payload := make([]byte, h.Length)
			if _, err := io.ReadFull(conn, payload); err != nil {
				return
			}
			frame, err := ws.ReadFrame(conn)
			if err != nil || frame.Header.OpCode != ws.OpPong {
				return
			}
			pongs <- string(ws.UnmaskFrame(frame).Payload)
			ws.Cipher(payload, h.Mask, 0)
			if !ping("awaited") {
				return
			}
			if _, err := conn.Write([]byte(echo(h.OpCode, string(payload)))); err != nil {
				return
			}
			if !ping("idle") {
				return
			}
		}
	}))
	c := s.newClient(t, 1, func(o *Options) {
		opened(o)
		o.Messages = []workload.Message{{Type: workload.TypeBinary, Body: bytes.Repeat([]byte("0123456789"), 900_000), Expect: workload.Expect{Echo: true}}}
	})
	for range 2 {
		got, err := c.Count(t.Context(), 1, nil)
		if err != nil || got.Errors != 0 {
			t.Fatalf("got %+v, %v", got, err)
		}
		<-pinged // before the next slice begins
	}
	got, err := c.Open(t.Context(), []time.Duration{20 * time.Millisecond}, nil)
	if err != nil || got.Errors != 0 {
		t.Fatalf("got %+v, %v", got, err)
	}
	for range 2 {
		for _, want := range []string{"half", "awaited", "idle"} {
			if got := <-pongs; got != want {
				t.Errorf("got a pong to %q, want %q", got, want)
			}
		}
	}
	if n := s.accepted.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

// What comes over an idle connection and is no control frame costs the connection, and no request.
func TestUnaskedMessages(t *testing.T) {
	for _, unasked := range []string{textFrame("news"), closing(1001, ""), strings.Repeat(framed(ws.OpPong, true, strings.Repeat("x", 120)), 600), strings.Repeat("\xff", 14)} {
		sent := make(chan struct{}, 100)
		s := newServer(t, "unix", sockets(func(conn net.Conn) {
			if frame, err := ws.ReadFrame(conn); err == nil && frame.Header.OpCode == ws.OpText {
				_, _ = conn.Write([]byte(textFrame("hello")))
				time.Sleep(10 * time.Millisecond) // another read
				_, _ = conn.Write([]byte(unasked))
				sent <- struct{}{}
				_, _ = ws.ReadFrame(conn)
			}
		}))
		c := s.newClient(t, 1, func(o *Options) { opened(o); o.Messages = o.Messages[:1] })
		for range 3 {
			got, err := c.Count(t.Context(), 1, nil)
			if err != nil || got.Requests != 1 || got.Errors != 0 {
				t.Errorf("%.20q: got %+v, %v", unasked, got, err)
			}
			<-sent
		}
	}
}

func TestWebSocketsThatHang(t *testing.T) {
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	check := func(name string, serve func(net.Conn)) {
		t.Helper()
		s := newServer(t, "tcp", sockets(serve))
		c := s.newClient(t, 2, func(o *Options) { opened(o); o.Timeout = 100 * time.Millisecond })
		var rec Recorder
		got, err := c.Open(t.Context(), evenly(10, time.Millisecond), &rec)
		if err != nil || got.Requests != 10 || got.Failures.Timeout.Count != 10 || rec.Latency.Count() != 10 {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
		if p, _ := rec.Latency.At(0); p < 0.1*(1-1.0/512) { // the histogram's steps are 1/1024
			t.Errorf("%s: latency from %v s, want the time-out", name, p)
		}
		if got.Failures.Timeout.First != "no whole answer within 100ms (text message, line)" {
			t.Errorf("%s: example %q", name, got.Failures.Timeout.First)
		}
	}
	check("never answers", func(net.Conn) { <-hang })
	check("drips", func(conn net.Conn) {
		_, _ = conn.Write([]byte("\x81\x7e\x03\x00"))
		for {
			if _, err := conn.Write([]byte("x")); err != nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	})
	check("pings only", func(conn net.Conn) {
		for {
			if _, err := conn.Write([]byte(framed(ws.OpPing, true, "x"))); err != nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	})
}

func TestNewClientRefusesOpenings(t *testing.T) {
	s := newServer(t, "tcp", echoing(echo))
	check := func(want string, adjust func(*Options)) {
		t.Helper()
		conn, err := s.dial()
		if err != nil {
			t.Fatal(err)
		}
		o := Options{Conns: []net.Conn{conn}, Host: "h"}
		opened(&o)
		adjust(&o)
		if _, err := NewClient(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
	check("no messages", func(o *Options) { o.Messages = nil })
	check("unexpected host", func(o *Options) { o.Host = "a b" })
	check("unexpected path", func(o *Options) { o.Opening.Path = "ws" })
	check("unexpected path", func(o *Options) { o.Opening.Path = "//elsewhere/ws" })
	check("unexpected header", func(o *Options) { o.Opening.Headers[0].Name = "Sec-WebSocket-Key" })
	check("unexpected header", func(o *Options) { o.Opening.Headers[0].Value = "a\r\nb: c" })
	check("unexpected type", func(o *Options) { o.Messages[0].Type = "" })
	check("no WebSocket is open", func(o *Options) { o.Opening = nil })
}

// WebSocket asks one message after the other, outside any measuring.
func TestAsk(t *testing.T) {
	open := func(serve func(net.Conn)) *WebSocket {
		t.Helper()
		conn, err := newServer(t, "tcp", serve).dial()
		if err != nil {
			t.Fatal(err)
		}
		w, err := OpenWebSocket(t.Context(), conn, workload.Message{Method: "GET", Path: "/ws"}, "localhost", 300*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = w.Close() })
		return w
	}
	hello := workload.Message{Type: workload.TypeText, Body: []byte("hello")}
	w := open(echoing(func(opcode ws.OpCode, payload string) string {
		return framed(ws.OpPing, true, "") + framed(opcode, false, payload) + framed(ws.OpContinuation, true, "!")
	}))
	for range 3 {
		got, err := w.Ask(t.Context(), hello)
		if err != nil || got.Type != workload.TypeText || string(got.Body) != "hello!" {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	check := func(serve func(net.Conn), want string) {
		t.Helper()
		w := open(serve)
		for range 2 { // once broken, it stays so
			if _, err := w.Ask(t.Context(), hello); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %s", err, want)
			}
		}
	}
	check(sockets(func(net.Conn) { time.Sleep(time.Second) }), "no whole answer within 300ms")
	check(sockets(func(conn net.Conn) { _, _ = ws.ReadFrame(conn) }), "closed without a close frame before an answer")
	check(echoing(func(ws.OpCode, string) string { return closing(1009, "too long") }), `closed by the service with code 1009 "too long"`)
	check(echoing(func(ws.OpCode, string) string { return framed(ws.OpText, true, "\xff") }), "not UTF-8")

	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the user pressed ^C")
	cancel(cause)
	if _, err := open(echoing(echo)).Ask(ctx, hello); !errors.Is(err, cause) {
		t.Errorf("cancelled: got %v", err)
	}
}

// echoInPlace answers frames of a fixed length without allocating.
func echoInPlace(length int, answer string) func(net.Conn) {
	text := []byte(answer)
	return sockets(func(conn net.Conn) {
		buffer := make([]byte, length)
		for {
			if _, err := io.ReadFull(conn, buffer); err != nil {
				return
			}
			if _, err := conn.Write(text); err != nil {
				return
			}
		}
	})
}

func inPlace(t testing.TB, connections int, body string) *Client {
	r, err := newMessage(workload.Message{Type: workload.TypeText, Body: []byte(body)}, [4]byte{})
	if err != nil {
		t.Fatal(err)
	}
	return newServer(t, "unix", echoInPlace(len(r.bytes), textFrame(body))).newClient(t, connections, func(o *Options) {
		opened(o)
		o.Messages = []workload.Message{{Type: workload.TypeText, Body: []byte(body), Expect: workload.Expect{Echo: true}}}
	})
}

func TestNoAllocationPerMessage(t *testing.T) {
	c := inPlace(t, 8, strings.Repeat("hello", 20))
	var rec Recorder
	if _, err := c.Count(t.Context(), 100, &rec); err != nil { // first use
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got, err := c.Count(t.Context(), 5000, &rec)
	runtime.ReadMemStats(&after)
	if err != nil || got.Errors != 0 || got.Requests != 5000 {
		t.Fatalf("got %+v, %v", got, err)
	}
	if n := after.Mallocs - before.Mallocs; n > 50 {
		t.Errorf("%d allocations in %d messages", n, got.Requests)
	}
}

// One operation is one message and its answer over a Unix socket, 32 connections, with a server in this process; the
// client's own CPU is a metric apart.
func BenchmarkMessageLoop(b *testing.B) {
	for _, length := range []int{100, 4096} {
		b.Run(fmt.Sprint(length), func(b *testing.B) {
			c := inPlace(b, 32, strings.Repeat("x", length))
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
			b.ReportMetric(float64(got.CPU.Nanoseconds())/float64(b.N), "client-ns/op")
		})
	}
}
