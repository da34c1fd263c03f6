package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/workload"
)

// ErrRefused means that the service does not open a WebSocket; the error names its status.
var ErrRefused = errors.New("the service refused to open a WebSocket")

// upgrade makes a WebSocket of a connection, by the request m, within a time-out. It reads nothing of what follows the
// service's head. On failure the connection is the caller's to close.
func upgrade(conn net.Conn, m workload.Message, host string, timeout time.Duration) error {
	if err := checkOpening(m, host); err != nil {
		return err
	}
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return fmt.Errorf("opening a WebSocket at %s: %w", m.Path, err)
	}
	head := &headReader{Conn: conn}
	var headers strings.Builder
	for _, h := range m.Headers {
		headers.WriteString(h.Name + ": " + h.Value + "\r\n")
	}
	dialer := ws.Dialer{Header: ws.HandshakeHeaderString(headers.String())}
	_, _, err := dialer.Upgrade(head, &url.URL{Scheme: "ws", Host: host, Opaque: m.Path})
	if err != nil {
		return fmt.Errorf("opening a WebSocket at %s: %w", m.Path, refusal(err, head, timeout))
	}
	return conn.SetDeadline(time.Time{})
}

// refusal says in Duet's words why an upgrade failed.
func refusal(err error, head *headReader, timeout time.Duration) error {
	var status ws.StatusError
	switch {
	case errors.As(err, &status):
		return fmt.Errorf("%w: status %d, expected 101", ErrRefused, int(status))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("no answer within %v", timeout)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		if head.had == 0 {
			return fmt.Errorf("%w before an answer", errClosed)
		}
		if other := foreign(head.first[:head.had], true); other != nil {
			return other
		}
		return fmt.Errorf("%w in the head of the answer", errClosed)
	case head.complete():
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return err
}

// checkOpening refuses what would not be one well-formed request.
func checkOpening(m workload.Message, host string) error {
	if host == "" || !isField(host) || strings.ContainsAny(host, " \t/") {
		return plan.Usagef("", "opening a WebSocket: unexpected host %q", host)
	}
	if m.Type != "" || !isTarget(m.Path) || strings.HasPrefix(m.Path, "//") {
		return plan.Usagef("escape spaces and other special characters (%20)",
			"opening a WebSocket: unexpected path %q: expected one that starts with / and is printable ASCII without spaces", m.Path)
	}
	for _, h := range m.Headers {
		own := strings.HasPrefix(strings.ToLower(h.Name), "sec-websocket-")
		for _, name := range ownHeaders {
			own = own || strings.EqualFold(h.Name, name)
		}
		if own || !isToken(h.Name) || !isField(h.Value) {
			return plan.Usagef("", "opening a WebSocket: unexpected header %q: %q", h.Name, h.Value)
		}
	}
	return nil
}

// headReader hands out a head byte by byte, so that a buffered reader takes nothing beyond it, and bounds it.
type headReader struct {
	net.Conn
	first [16]byte // for naming what is not HTTP
	had   int
	read  int
	last  [4]byte
}

func (h *headReader) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if h.read == maxHead {
		return 0, fmt.Errorf("%w: head of more than %d bytes", errTooLarge, maxHead)
	}
	n, err := h.Conn.Read(b[:1])
	if n == 1 {
		if h.had < len(h.first) {
			h.first[h.had] = b[0]
			h.had++
			if other := foreign(h.first[:h.had], false); other != nil {
				return 0, other // its end may never come
			}
		}
		h.read++
		copy(h.last[:], h.last[1:])
		h.last[3] = b[0]
	}
	return n, err
}

// complete says whether the whole head came.
func (h *headReader) complete() bool { return string(h.last[:]) == string(headEnd) }

// WebSocket is one connection outside any measuring: it asks, waits and keeps the answer.
type WebSocket struct {
	conn    net.Conn
	frames  frames
	timeout time.Duration
	buffer  []byte
	err     error // why it can be asked no more
}

// Reply is the message that answered another.
type Reply struct {
	Type string // workload.TypeText or TypeBinary
	Body []byte
}

// OpenWebSocket makes a WebSocket of a connection, by the request opening; timeout bounds that, and each question later.
// It takes the connection over and closes it when it fails.
func OpenWebSocket(ctx context.Context, conn net.Conn, opening workload.Message, host string, timeout time.Duration) (*WebSocket, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	err := upgrade(conn, opening, host, timeout)
	if !stop() && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return &WebSocket{conn: conn, frames: frames{maxBody: DefaultMaxBody}, timeout: timeout, buffer: make([]byte, 64<<10)}, nil
}

// Close says goodbye and closes the connection.
func (w *WebSocket) Close() error {
	if w.err == nil {
		_ = w.conn.SetDeadline(time.Now().Add(w.timeout))
		_, _ = w.conn.Write(farewell()) // the service may be gone
	}
	return w.conn.Close()
}

// Ask sends a message and returns the one that answers it, good or not as the workload sees it. After an error the
// WebSocket is of no further use.
func (w *WebSocket) Ask(ctx context.Context, m workload.Message) (Reply, error) {
	if w.err != nil {
		return Reply{}, w.err
	}
	r, err := newMessage(m, [4]byte{1, 2, 3, 4})
	if err != nil {
		return Reply{}, err
	}
	stop := context.AfterFunc(ctx, func() { _ = w.conn.SetDeadline(time.Unix(1, 0)) })
	reply, err := w.exchange(&r)
	if !stop() && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("no whole answer within %v", w.timeout)
	}
	w.err = err
	return reply, err
}

func (w *WebSocket) exchange(r *request) (Reply, error) {
	if err := w.conn.SetDeadline(time.Now().Add(w.timeout)); err != nil {
		return Reply{}, err
	}
	var body []byte
	f := &w.frames
	f.keep = &body
	f.expect(r)
	if _, err := w.conn.Write(r.bytes); err != nil {
		return Reply{}, fmt.Errorf("sending: %w", err)
	}
	for {
		n, err := w.conn.Read(w.buffer)
		if errors.Is(err, io.EOF) {
			return Reply{}, f.eof()
		}
		if err != nil {
			return Reply{}, fmt.Errorf("receiving: %w", err)
		}
		done, err := f.feed(w.buffer[:n])
		if err != nil {
			return Reply{}, err
		}
		if len(f.pong) > 0 {
			if _, err := w.conn.Write(f.pong); err != nil {
				return Reply{}, fmt.Errorf("answering a ping: %w", err)
			}
			f.pong = nil
		}
		if !done {
			continue
		}
		if f.ended() {
			w.err = fmt.Errorf("%w by the service %s", errClosed, f.farewell)
		}
		if f.opcode == ws.OpText && !utf8.Valid(body) {
			return Reply{}, fmt.Errorf("%w: a text message that is not UTF-8", errMalformed)
		}
		return Reply{Type: typeOf(f.opcode), Body: body}, nil
	}
}

// farewell is a close frame.
func farewell() []byte {
	b, err := ws.CompileFrame(ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))))
	if err != nil {
		panic(err) // our own bug: it is written to memory
	}
	return b
}
