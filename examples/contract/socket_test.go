package contract

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// echoes holds a service's WebSocket to the contract: every message comes back as it was, up to 65,536 bytes.
func (s *service) echoes(t *testing.T) {
	p := start(t, s.binary)
	at := "ws" + strings.TrimPrefix(p.base, "http") + "/ws"
	conn := dial(t, at)
	for _, m := range []struct {
		kind websocket.MessageType
		text []byte
	}{
		{websocket.MessageText, []byte("hello")},
		{websocket.MessageText, nil},
		{websocket.MessageText, []byte("Grüße, 世界 🦀")},
		{websocket.MessageBinary, []byte{0, 0xff, 0x80, '\n'}},
		{websocket.MessageBinary, nil},
		{websocket.MessageText, bytes.Repeat([]byte("t"), 65_536)},
		{websocket.MessageBinary, bytes.Repeat([]byte{0xa5}, 65_536)},
	} {
		if err := conn.Write(t.Context(), m.kind, m.text); err != nil {
			t.Fatal(err)
		}
		kind, got, err := conn.Read(t.Context())
		if err != nil || kind != m.kind || !bytes.Equal(got, m.text) {
			t.Fatalf("sent %v of %d bytes, got %v of %d, %v", m.kind, len(m.text), kind, len(got), err)
		}
	}
	inPieces(t, conn)
	pings(t, conn)
	if err := conn.Close(websocket.StatusNormalClosure, "done"); err != nil {
		t.Errorf("closing: %v", err)
	}
	for _, kind := range []websocket.MessageType{websocket.MessageText, websocket.MessageBinary} {
		conn := dial(t, at)
		// The service may hang up before all of it is sent.
		_ = conn.Write(t.Context(), kind, bytes.Repeat([]byte("x"), 65_537))
		if _, _, err := conn.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusMessageTooBig {
			t.Errorf("%v of 65,537 bytes: got %v, want it closed with 1009", kind, err)
		}
	}
	s.endsSockets(t, p, at)
}

func dial(t *testing.T, at string) *websocket.Conn {
	t.Helper()
	header := http.Header{"Origin": {"http://elsewhere.example"}} // any will do
	conn, resp, err := websocket.Dial(t.Context(), at, &websocket.DialOptions{HTTPHeader: header, CompressionMode: websocket.CompressionContextTakeover})
	if err != nil {
		t.Fatal(err)
	}
	if offered := resp.Header.Get("Sec-Websocket-Extensions"); offered != "" {
		t.Errorf("got extensions %q, want none", offered)
	}
	conn.SetReadLimit(1 << 20)
	t.Cleanup(func() { conn.CloseNow() })
	return conn
}

// inPieces sends one message in several frames.
func inPieces(t *testing.T, conn *websocket.Conn) {
	t.Helper()
	w, err := conn.Writer(t.Context(), websocket.MessageText)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := w.Write(bytes.Repeat([]byte("f"), 5000)); err != nil { // more than the client's buffer
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if kind, got, err := conn.Read(t.Context()); err != nil || kind != websocket.MessageText || len(got) != 15_000 {
		t.Errorf("a message in pieces: got %v of %d bytes, %v", kind, len(got), err)
	}
}

// pings wants a pong, which is seen while reading.
func pings(t *testing.T, conn *websocket.Conn) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	got := make(chan error, 1)
	go func() {
		_, _, err := conn.Read(ctx)
		got <- err
	}()
	if err := conn.Ping(t.Context()); err != nil {
		t.Errorf("pinging: %v", err)
	}
	if err := conn.Write(t.Context(), websocket.MessageText, []byte("after")); err != nil {
		t.Error(err)
	}
	if err := <-got; err != nil {
		t.Error(err)
	}
}

// endsSockets stops a service with a WebSocket open, and wants it closed with 1001 and the service ended with 0.
func (s *service) endsSockets(t *testing.T, p *process, at string) {
	t.Helper()
	conn := dial(t, at)
	if err := conn.Write(t.Context(), websocket.MessageText, []byte("still here")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := conn.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.stop(t)
	if _, _, err := conn.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("at shutdown: got %v, want it closed with 1001", err)
	}
	http.DefaultClient.CloseIdleConnections()
	p.ended(t)
}
