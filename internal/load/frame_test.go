package load

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/duet-bench/duet/internal/workload"
)

// framed is a frame as a service writes it; change makes it a bad one.
func framed(opcode ws.OpCode, fin bool, payload string, change ...func(*ws.Frame)) string {
	f := ws.NewFrame(opcode, fin, []byte(payload))
	for _, c := range change {
		c(&f)
	}
	b, err := ws.CompileFrame(f)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func textFrame(payload string) string { return framed(ws.OpText, true, payload) }

// closing is a close frame.
func closing(code ws.StatusCode, reason string) string {
	return framed(ws.OpClose, true, string(ws.NewCloseFrameBody(code, reason)))
}

// asking is a parser that awaits the answer to hello.
func asking(t testing.TB, expect workload.Expect) *frames {
	t.Helper()
	r, err := newMessage(workload.Message{Type: workload.TypeText, Body: []byte("hello"), Expect: expect}, [4]byte{1, 2, 3, 4})
	if err != nil {
		t.Fatal(err)
	}
	f := &frames{maxBody: 1000}
	f.expect(&r)
	return f
}

// became feeds a stream in pieces of so many bytes, then its end, and says what became of it.
func became(f *frames, stream string, piece int) string {
	done := false
	for len(stream) > 0 && !done {
		n := min(piece, len(stream))
		var err error
		if done, err = f.feed([]byte(stream[:n])); err != nil {
			return err.Error()
		}
		stream = stream[n:]
	}
	for len(stream) > 0 { // what comes after the answer
		n := min(piece, len(stream))
		if _, err := f.feed([]byte(stream[:n])); err != nil {
			return err.Error()
		}
		stream = stream[n:]
	}
	if !done {
		return f.eof().Error()
	}
	what := "good"
	if wrong := f.wrong(); wrong != "" {
		what = wrong
	}
	if len(f.pong) > 0 {
		what += ", owes a pong"
	}
	if f.ended() {
		what += ", closed " + f.farewell
	}
	return what
}

func TestFrames(t *testing.T) {
	long := strings.Repeat("x", 300)
	masked := func(f *ws.Frame) { *f = ws.MaskFrameWith(*f, [4]byte{9, 8, 7, 6}) }
	reserved := func(f *ws.Frame) { f.Header.Rsv = 4 }
	check := func(expect workload.Expect, stream, want string) {
		t.Helper()
		for piece := 1; piece <= len(stream)+1; piece++ {
			if got := became(asking(t, expect), stream, piece); got != want {
				t.Errorf("%.60q in pieces of %d:\n got %s\nwant %s", stream, piece, got, want)
				return
			}
		}
	}
	anything, echo := workload.Expect{}, workload.Expect{Echo: true}
	contains := workload.Expect{Contains: "ell"}

	check(anything, textFrame("x"), "good")
	check(anything, textFrame(""), "good")
	check(anything, textFrame(long), "good")
	check(echo, textFrame("hello"), "good")
	check(echo, framed(ws.OpBinary, true, "hello"), "binary message, expected the text message back")
	check(echo, textFrame("hallo"), "message of 5 other bytes, expected the message of 5 bytes back")
	check(echo, textFrame("hell"), "message of 4 other bytes, expected the message of 5 bytes back")
	check(echo, textFrame("hello!"), "message of 6 other bytes, expected the message of 5 bytes back")
	check(echo, textFrame(long), "message of 300 other bytes, expected the message of 5 bytes back")
	check(contains, textFrame("a bell"), "good")
	check(contains, textFrame("a ball"), `message of 6 bytes without "ell"`)

	// An answer in several frames, with control frames between them, is one answer.
	pieces := framed(ws.OpText, false, "he") + framed(ws.OpPing, true, "you?") + framed(ws.OpContinuation, false, "") + framed(ws.OpContinuation, true, "llo")
	check(echo, pieces, "good, owes a pong")
	check(contains, framed(ws.OpText, false, "e")+framed(ws.OpContinuation, false, "l")+framed(ws.OpContinuation, true, "l"), "good")

	check(echo, framed(ws.OpPing, true, "")+textFrame("hello"), "good, owes a pong")
	check(echo, framed(ws.OpPong, true, "unasked")+textFrame("hello"), "good")
	check(echo, textFrame("hello")+framed(ws.OpPing, true, "x"), "good, owes a pong")
	check(echo, textFrame("hello")+closing(ws.StatusGoingAway, "bye"), `good, closed with code 1001 "bye"`)
	check(echo, textFrame("hello")+closing(ws.StatusGoingAway, "bye")+textFrame("more"), `good, closed with code 1001 "bye"`)

	check(echo, closing(ws.StatusMessageTooBig, "too long"), `connection closed by the service with code 1009 "too long" instead of an answer`)
	check(echo, framed(ws.OpClose, true, ""), `connection closed by the service without a code instead of an answer`)
	check(echo, framed(ws.OpText, false, "he")+closing(ws.StatusInternalServerError, ""), `connection closed by the service with code 1011 "" in the middle of a message, after 2 bytes`)
	check(echo, framed(ws.OpClose, true, "x"), "malformed answer: a close frame of one byte")
	check(echo, "", "connection closed without a close frame before an answer")
	check(echo, "\x81", "connection closed without a close frame in the middle of a frame")
	check(echo, "\x81\x05hel", "connection closed without a close frame in the middle of a message, after 3 bytes")
	check(echo, framed(ws.OpText, false, "he"), "connection closed without a close frame in the middle of a message, after 2 bytes")
	check(echo, "\x89\x05hel", "connection closed without a close frame in the middle of a frame")

	check(echo, textFrame("hello")+textFrame("hello"), "malformed answer: a message that nobody asked for")
	check(echo, framed(ws.OpText, true, "hello", masked), "malformed answer: frames from server to client must be not masked")
	check(echo, framed(ws.OpText, true, "hello", reserved), "malformed answer: non-zero rsv bits with no extension negotiated")
	check(echo, framed(0x3, true, "hello"), "malformed answer: use of reserved op code")
	check(echo, framed(ws.OpContinuation, true, "hello"), "malformed answer: unexpected continuation data frame")
	check(echo, framed(ws.OpText, false, "he")+textFrame("llo"), "malformed answer: unexpected non-continuation data frame")
	check(echo, framed(ws.OpPing, false, "x"), "malformed answer: control frame is not final")
	check(echo, framed(ws.OpPing, true, long), "malformed answer: control frame payload limit exceeded")
	check(echo, "\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff", "malformed answer: a frame of more than 2^63 bytes")
	check(echo, "\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", "answer too large: message of more than 1000 bytes")
	check(echo, framed(ws.OpText, false, long)+framed(ws.OpContinuation, false, long)+framed(ws.OpContinuation, false, long)+framed(ws.OpContinuation, false, long),
		"answer too large: message of more than 1000 bytes")
}

// Frames without a byte of body are bounded too.
func TestFramesWithoutEnd(t *testing.T) {
	for _, piece := range []string{framed(ws.OpPing, true, ""), framed(ws.OpContinuation, false, "")} {
		f := asking(t, workload.Expect{})
		stream := framed(ws.OpText, false, "") + strings.Repeat(piece, maxFrames)
		if got, want := became(f, stream, 1000), fmt.Sprintf("answer too large: more than %d frames", maxFrames); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// The pong carries the ping's payload, masked.
func TestPong(t *testing.T) {
	f := asking(t, workload.Expect{})
	if _, err := f.feed([]byte(framed(ws.OpPing, true, "first") + framed(ws.OpPing, true, "last"))); err != nil {
		t.Fatal(err)
	}
	got, err := ws.ReadFrame(bytes.NewReader(f.pong))
	if err != nil || !got.Header.Masked || got.Header.OpCode != ws.OpPong || string(ws.UnmaskFrame(got).Payload) != "last" {
		t.Errorf("got %+v, %v", got, err)
	}
}

// An independent reader agrees about what is sent.
func TestPrepareMessages(t *testing.T) {
	messages := []workload.Message{
		{Name: "a", Type: workload.TypeText, Body: []byte("hello")},
		{Name: "b", Type: workload.TypeBinary, Body: bytes.Repeat([]byte{0, 1}, 50_000), Expect: workload.Expect{Echo: true}},
		{Name: "c", Type: workload.TypeText, Expect: workload.Expect{Echo: true, Contains: "x"}},
	}
	requests, err := prepareMessages(messages)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range requests {
		sent := bytes.Clone(r.bytes)
		frame, err := ws.ReadFrame(bytes.NewReader(sent))
		m := messages[i]
		if err != nil || !frame.Header.Masked || !frame.Header.Fin || !bytes.Equal(ws.UnmaskFrame(frame).Payload, m.Body) || (frame.Header.OpCode == ws.OpText) != (m.Type == workload.TypeText) {
			t.Errorf("%s: got %+v, %v", m.Name, frame.Header, err)
		}
		if (r.echo != nil) != m.Expect.Echo || string(r.contains) != m.Expect.Contains {
			t.Errorf("%s: got %+v", m.Name, r)
		}
	}
	again, err := prepareMessages(messages)
	if err != nil || !bytes.Equal(again[0].bytes, requests[0].bytes) || bytes.Equal(requests[0].bytes[2:6], requests[1].bytes[10:14]) {
		t.Errorf("keys: %x and %x, then %x: want the same again, and one for each message", requests[0].bytes, requests[1].bytes[:14], again[0].bytes)
	}
	for _, bad := range [][]workload.Message{nil, {{Method: "GET", Path: "/"}}, {{Type: "ping"}}} {
		if _, err := prepareMessages(bad); err == nil {
			t.Errorf("%+v: no error", bad)
		}
	}
}

// FuzzFrames: however a stream is cut, it means the same, and headers are what the library says they are.
func FuzzFrames(f *testing.F) {
	for _, seed := range []string{
		textFrame("hello"), framed(ws.OpText, false, "he") + framed(ws.OpPing, true, "x") + framed(ws.OpContinuation, true, "llo"),
		closing(1000, "bye"), "\x81\x7e\x01\x00", "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00", "\x8a\x85abcdhello",
	} {
		f.Add(seed, 3)
	}
	f.Fuzz(func(t *testing.T, stream string, piece int) {
		whole := became(asking(t, workload.Expect{Echo: true}), stream, max(len(stream), 1))
		if got := became(asking(t, workload.Expect{Echo: true}), stream, min(max(piece, 1), len(stream)+1)); got != whole {
			t.Errorf("in pieces of %d: %s, as a whole: %s", piece, got, whole)
		}
		want, err := ws.ReadHeader(strings.NewReader(stream))
		if size := headerSize([]byte(stream)); len(stream) >= size {
			got, ok := readHeader([]byte(stream[:size]))
			if ok != !errors.Is(err, ws.ErrHeaderLengthMSB) || ok && got != want {
				t.Errorf("header: got %+v, %v, want %+v, %v", got, ok, want, err)
			}
		}
	})
}
