package load

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/gobwas/ws"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/workload"
)

// maxFrames bounds the frames between a message and the end of its answer: pings and empty pieces cost no bytes of a body.
const maxFrames = 10_000

// frames takes WebSocket messages out of a stream of bytes, however it is cut into pieces (RFC 6455).
//
// It is strict as a client must be: no masked frame, no reserved bit or code, no control frame that is long or in
// pieces, no data frame out of turn, and no message that nobody asked for. An answer in several frames is one answer.
// It keeps control frames and copies nothing else but a header that came in pieces. Whether a text is UTF-8 is left to
// those who keep it (WebSocket.Ask).
type frames struct {
	maxBody int64
	keep    *[]byte // where the answer's bytes go, if anybody wants them
	asked   bool    // an answer is awaited
	opcode  ws.OpCode
	body    int64
	count   int // frames since the message was sent
	search
	echo    []byte    // what must come back; nil: anything may
	kind    ws.OpCode // of echo
	differs bool      // what came is not echo

	header    [ws.MaxHeaderSize]byte // of a frame, as far as it came
	had       int                    // bytes of header
	frame     ws.Header
	left      int64 // bytes of frame's payload that are still to come
	inside    bool  // the next byte belongs to frame's payload
	fragments bool  // a message has begun, and its last frame is still to come
	control   []byte
	pong      []byte // the frame that answers the last ping, until it is sent
	farewell  string // the close frame in words, once it came
}

// reset makes f ready for another connection and keeps its memory.
func (f *frames) reset() {
	f.asked, f.had, f.left, f.inside, f.fragments, f.pong, f.farewell = false, 0, 0, false, false, nil, ""
}

// expect makes f ready for the answer to r. A control frame that is half here goes on.
func (f *frames) expect(r *request) {
	f.asked, f.body, f.count = true, 0, 0
	f.search.begin(r.contains)
	f.echo, f.kind, f.differs = r.echo, r.opcode, false
}

// ended says that the service closed the connection, or that it must be.
func (f *frames) ended() bool { return f.farewell != "" }

// feed takes the next bytes of the stream; done says that the answer is among them. It does not keep b.
func (f *frames) feed(b []byte) (done bool, err error) {
	for {
		if !f.inside {
			if len(b) == 0 || f.ended() { // nothing counts after a close frame
				return done, nil
			}
			if b, err = f.feedHeader(b); err != nil || !f.inside {
				return done, err
			}
		}
		n := int(min(int64(len(b)), f.left))
		f.left -= int64(n)
		if f.frame.OpCode.IsControl() {
			f.control = append(f.control, b[:n]...)
		} else {
			f.take(b[:n])
		}
		b = b[n:]
		if f.left > 0 {
			return done, nil
		}
		f.inside = false
		over, err := f.finish()
		if err != nil {
			return done, err
		}
		done = done || over
	}
}

// feedHeader takes a frame's header; b is returned from the byte after it.
func (f *frames) feedHeader(b []byte) ([]byte, error) {
	header := b
	if size := headerSize(b); f.had > 0 || len(b) < size {
		n := 0
		for f.had < headerSize(f.header[:f.had]) && n < len(b) {
			f.header[f.had] = b[n]
			f.had, n = f.had+1, n+1
		}
		header, b = f.header[:f.had], b[n:]
		if f.had < headerSize(header) {
			return nil, nil
		}
		f.had = 0
	} else {
		b = b[size:]
	}
	return b, f.start(header)
}

// headerSize is how long the header is that begins with b, as far as b tells.
func headerSize(b []byte) int {
	if len(b) < 2 {
		return 2
	}
	size := 2
	switch b[1] & 0x7f {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	if b[1]&0x80 != 0 {
		size += 4
	}
	return size
}

// readHeader reads a whole header. The library's own reader allocates.
func readHeader(b []byte) (h ws.Header, ok bool) {
	h.Fin, h.Rsv, h.OpCode = b[0]&0x80 != 0, b[0]&0x70>>4, ws.OpCode(b[0]&0x0f)
	h.Masked, h.Length = b[1]&0x80 != 0, int64(b[1]&0x7f)
	b = b[2:]
	switch h.Length {
	case 126:
		h.Length, b = int64(binary.BigEndian.Uint16(b)), b[2:]
	case 127:
		long := binary.BigEndian.Uint64(b)
		if long>>63 != 0 {
			return h, false
		}
		h.Length, b = int64(long), b[8:]
	}
	if h.Masked {
		copy(h.Mask[:], b)
	}
	return h, true
}

// start judges a frame by its header.
func (f *frames) start(header []byte) error {
	h, ok := readHeader(header)
	if !ok {
		return fmt.Errorf("%w: a frame of more than 2^63 bytes", errMalformed)
	}
	state := ws.StateClientSide
	if f.fragments {
		state = state.Set(ws.StateFragmented)
	}
	if err := ws.CheckHeader(h, state); err != nil {
		return fmt.Errorf("%w: %w", errMalformed, err)
	}
	if f.count++; f.count > maxFrames {
		return fmt.Errorf("%w: more than %d frames", errTooLarge, maxFrames)
	}
	if h.OpCode.IsControl() {
		f.control = f.control[:0]
	} else {
		switch {
		case !f.asked:
			return fmt.Errorf("%w: a message that nobody asked for", errMalformed)
		case h.Length > f.maxBody-f.body:
			return fmt.Errorf("%w: message of more than %d bytes", errTooLarge, f.maxBody)
		case h.OpCode != ws.OpContinuation:
			f.opcode = h.OpCode
		}
	}
	f.frame, f.left, f.inside = h, h.Length, true
	return nil
}

// take takes bytes of the answer.
func (f *frames) take(b []byte) {
	if f.echo != nil && !f.differs {
		rest := f.echo[min(f.body, int64(len(f.echo))):]
		f.differs = !bytes.HasPrefix(rest, b)
	}
	if !f.found {
		f.look(b)
	}
	if f.keep != nil {
		*f.keep = append(*f.keep, b...)
	}
	f.body += int64(len(b))
}

// finish deals with a whole frame; over says that it ended the answer.
func (f *frames) finish() (over bool, err error) {
	switch f.frame.OpCode {
	case ws.OpPing: // only the last one need be answered (section 5.5.3)
		f.pong, err = ws.CompileFrame(ws.MaskFrame(ws.NewPongFrame(f.control)))
		return false, err
	case ws.OpPong: // unasked, and allowed
		return false, nil
	case ws.OpClose:
		return false, f.close()
	}
	if f.fragments = !f.frame.Fin; f.fragments {
		return false, nil
	}
	f.asked = false
	if f.echo != nil && (f.body != int64(len(f.echo)) || f.opcode != f.kind) {
		f.differs = true
	}
	return true, nil
}

// close takes a close frame. It is no error where no answer is owed: the connection is replaced.
func (f *frames) close() error {
	if len(f.control) == 1 {
		return fmt.Errorf("%w: a close frame of one byte", errMalformed)
	}
	code, reason := ws.ParseCloseFrameData(f.control)
	f.farewell = "without a code"
	if !code.Empty() {
		f.farewell = fmt.Sprintf("with code %d %q", code, reason)
	}
	if !f.asked {
		return nil
	}
	if f.fragments {
		return fmt.Errorf("%w by the service %s in the middle of a message, after %d bytes", errClosed, f.farewell, f.body)
	}
	return fmt.Errorf("%w by the service %s instead of an answer", errClosed, f.farewell)
}

// eof says what the end of the connection makes of the answer.
func (f *frames) eof() error {
	switch {
	case f.fragments || f.inside && !f.frame.OpCode.IsControl():
		return fmt.Errorf("%w without a close frame in the middle of a message, after %d bytes", errClosed, f.body)
	case f.inside || f.had > 0:
		return fmt.Errorf("%w without a close frame in the middle of a frame", errClosed)
	}
	return fmt.Errorf("%w without a close frame before an answer", errClosed)
}

// wrong says what is wrong with the answer, "" when it is good.
func (f *frames) wrong() string {
	switch {
	case f.differs && f.opcode != f.kind:
		return fmt.Sprintf("%s message, expected the %s message back", typeOf(f.opcode), typeOf(f.kind))
	case f.differs:
		return fmt.Sprintf("message of %d other bytes, expected the message of %d bytes back", f.body, len(f.echo))
	case !f.found:
		return fmt.Sprintf("message of %d bytes without %q", f.body, f.contains)
	}
	return ""
}

func typeOf(o ws.OpCode) string {
	if o == ws.OpBinary {
		return workload.TypeBinary
	}
	return workload.TypeText
}

// prepareMessages builds the frame of every message. The masking keys are drawn, but always alike: they keep proxies
// from being fooled, of which there is none here, and every variant shall be sent the same bytes.
func prepareMessages(messages []workload.Message) ([]request, error) {
	if len(messages) == 0 {
		return nil, plan.Usagef("", "preparing messages: no messages")
	}
	keys := rand.New(rand.NewPCG(6455, 0))
	requests := make([]request, len(messages))
	for i, m := range messages {
		var key [4]byte
		binary.BigEndian.PutUint32(key[:], keys.Uint32())
		r, err := newMessage(m, key)
		if err != nil {
			return nil, err
		}
		requests[i] = r
	}
	return requests, nil
}

func newMessage(m workload.Message, key [4]byte) (request, error) {
	opcode := ws.OpText
	switch m.Type {
	case workload.TypeText:
	case workload.TypeBinary:
		opcode = ws.OpBinary
	default:
		return request{}, plan.Usagef("", "preparing message %q: unexpected type %q: expected text or binary, an HTTP request cannot go over a WebSocket", m.Name, m.Type)
	}
	b, err := ws.CompileFrame(ws.MaskFrameWith(ws.NewFrame(opcode, true, m.Body), key))
	if err != nil {
		return request{}, fmt.Errorf("preparing message %q: %w", m.Name, err)
	}
	r := request{bytes: b, name: m.Name, title: m.String(), opcode: opcode}
	if m.Expect.Contains != "" {
		r.contains = []byte(m.Expect.Contains)
	}
	if m.Expect.Echo {
		r.echo = append([]byte{}, m.Body...) // not nil, also where it is empty
	}
	return r, nil
}
