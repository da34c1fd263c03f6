package load

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// outcome is what an answer came to.
type outcome struct {
	status int
	body   int64
	close  bool
	found  bool
	err    error
}

// parse feeds a stream in pieces of a size, 0: all at once, and then its end. It does so to an answer that knows no
// head, then to ones that know what the stream itself and another one left: the outcome must be the same.
func parse(r *request, stream string, piece int) outcome {
	cold := parseKnowing(nil, r, stream, piece)
	known := &knownHead{}
	parseKnowing(known, &request{}, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 0)
	for _, left := range []string{"another stream", "the same stream"} {
		if warm := parseKnowing(known, r, stream, piece); !same(warm, cold) {
			return outcome{err: fmt.Errorf("got %+v, and %+v knowing the head of %s", cold, warm, left)}
		}
		parseKnowing(known, &request{head: true}, stream, 0)
	}
	return cold
}

func same(a, b outcome) bool {
	if a.err != nil && b.err != nil {
		return a.err.Error() == b.err.Error()
	}
	return a == b
}

func parseKnowing(known *knownHead, r *request, stream string, piece int) outcome {
	a := answer{maxBody: 1 << 20, known: known}
	a.expect(r)
	done, err := false, error(nil)
	for rest := []byte(stream); len(rest) > 0 && err == nil; {
		n := len(rest)
		if piece > 0 {
			n = min(n, piece)
		}
		if done {
			err = fmt.Errorf("%w: bytes after its end", errMalformed)
			break
		}
		scratch := bytes.Clone(rest[:n]) // feed must not keep what it is given
		done, err = a.feed(scratch)
		clear(scratch)
		rest = rest[n:]
	}
	if err == nil && !done {
		_, err = a.eof()
	}
	if err != nil {
		return outcome{err: err}
	}
	return outcome{status: a.status, body: a.body, close: a.close, found: a.found}
}

// pieces are the cuts that every stream is tried with.
var pieces = []int{0, 1, 2, 3, 7, 64}

func TestAnswer(t *testing.T) {
	check := func(stream, contains string, want outcome) {
		t.Helper()
		r := &request{}
		if contains != "" {
			r.contains = []byte(contains)
		}
		for _, piece := range pieces {
			if got := parse(r, stream, piece); got != want {
				t.Errorf("%q in pieces of %d, looking for %q:\ngot  %+v\nwant %+v", stream, piece, contains, got, want)
			}
		}
	}
	const ok = "HTTP/1.1 200 OK\r\n"
	check(ok+"Content-Length: 0\r\n\r\n", "", outcome{status: 200, found: true})
	check(ok+"content-length:\t5 \r\n\r\nhello", "", outcome{status: 200, body: 5, found: true})
	check(ok+"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "", outcome{status: 200, body: 5, found: true})
	check("HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n", "", outcome{status: 404, found: true})
	check("HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n", "", outcome{status: 404, found: true})
	check("HTTP/1.1 204 No Content\r\nX: \r\n\r\n", "", outcome{status: 204, found: true})
	check("HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", "", outcome{status: 304, found: true})
	check("HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n", "", outcome{status: 302, found: true})

	// Chunked.
	const chunked = ok + "Transfer-Encoding: Chunked\r\n\r\n"
	check(chunked+"0\r\n\r\n", "", outcome{status: 200, found: true})
	check(chunked+"5\r\nhello\r\n6;name=\"v\"\r\n world\r\n0\r\n\r\n", "", outcome{status: 200, body: 11, found: true})
	check(chunked+"0A \r\n0123456789\r\n000\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n", "", outcome{status: 200, body: 10, found: true})

	// Interim answers.
	check("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"+ok+"Content-Length: 2\r\n\r\nhi", "", outcome{status: 200, body: 2, found: true})

	// Connections that will not go on.
	check(ok+"Connection: close\r\nContent-Length: 2\r\n\r\nhi", "", outcome{status: 200, body: 2, close: true, found: true})
	check(ok+"Connection: x-other, CLOSE\r\nContent-Length: 2\r\n\r\nhi", "", outcome{status: 200, body: 2, close: true, found: true})
	check(ok+"\r\nhi, until the end", "", outcome{status: 200, body: 17, close: true, found: true})
	check("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", "", outcome{status: 200, body: 2, close: true, found: true})
	check("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi", "", outcome{status: 200, body: 2, found: true})

	// Looking for something in the body.
	check(ok+"Content-Length: 11\r\n\r\nhello world", "hello", outcome{status: 200, body: 11, found: true})
	check(ok+"Content-Length: 11\r\n\r\nhello world", "o w", outcome{status: 200, body: 11, found: true})
	check(ok+"Content-Length: 11\r\n\r\nhello world", "d", outcome{status: 200, body: 11, found: true})
	check(ok+"Content-Length: 11\r\n\r\nhello world", "worlds", outcome{status: 200, body: 11})
	check(ok+"Content-Length: 11\r\n\r\naaaaaaaaaab", "aaab", outcome{status: 200, body: 11, found: true})
	check(ok+"X: hello\r\nContent-Length: 0\r\n\r\n", "hello", outcome{status: 200})
	check(chunked+"3\r\nhel\r\n2\r\nlo\r\n0\r\nX: y\r\n\r\n", "hello", outcome{status: 200, body: 5, found: true})
	check(chunked+"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n1\r\nd\r\n0\r\n\r\n", "bcd", outcome{status: 200, body: 4, found: true})
	check(chunked+"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n1\r\nd\r\n0\r\n\r\n", "\r\n", outcome{status: 200, body: 4})
}

// A head is remembered whole and final, within its bound, and nothing else begins with it.
func TestKnownHead(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
	check := func(stream, want string) {
		t.Helper()
		known := &knownHead{}
		parseKnowing(known, &request{}, stream, 0)
		if string(known.text) != want {
			t.Errorf("%.100q: remembered %.100q, want %q", stream, known.text, want)
		}
		if want != "" && (!known.begins([]byte(stream[strings.Index(stream, want):])) || known.begins([]byte(want[1:]))) {
			t.Errorf("%.100q: begins is wrong", stream)
		}
	}
	check(ok+"hi", ok)
	check("HTTP/1.1 100 Continue\r\n\r\n", "")
	check("HTTP/1.1 100 Continue\r\n\r\n"+ok+"hi", ok)
	check("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "")
	check("HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", maxKnown)+"\r\nContent-Length: 0\r\n\r\n", "")
	if (*knownHead)(nil).begins([]byte(ok)) || (&knownHead{}).begins([]byte(ok)) {
		t.Error("an empty memory begins a stream")
	}
}

func TestAnswerToHead(t *testing.T) {
	for _, piece := range pieces {
		got := parse(&request{head: true}, "HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n", piece)
		if want := (outcome{status: 200, found: true}); got != want {
			t.Errorf("in pieces of %d: got %+v, want %+v", piece, got, want)
		}
	}
}

func TestAnswerRefuses(t *testing.T) {
	check := func(stream string, want error) {
		t.Helper()
		for _, piece := range pieces {
			if got := parse(&request{}, stream, piece); !errors.Is(got.err, want) {
				t.Errorf("%.200q in pieces of %d: got %+v, want %v", stream, piece, got, want)
			}
		}
	}
	const ok = "HTTP/1.1 200 OK\r\n"
	check("\x15\x03\x01\x00\x02\x02\x46", ErrTLS)
	check("\x16\x03\x03\x00\x7a", ErrTLS)
	check("\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64", ErrHTTP2)
	check("\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00", ErrHTTP2)
	check("SSH-2.0-OpenSSH_9.6\r\n", ErrNotHTTP)
	check("HTTP/3 200\r\n\r\n", ErrNotHTTP)
	check("http/1.1 200 OK\r\n\r\n", ErrNotHTTP)
	check("HTTP/1.2 200 OK\r\n\r\n", ErrNotHTTP)
	check("HTTP/1.1 20 OK\r\n\r\n", ErrNotHTTP)
	check("HTTP/1.1 099 OK\r\n\r\n", ErrNotHTTP)
	check("HTTP/1.1 200OK\r\n\r\n", ErrNotHTTP)
	check("HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", ErrNotHTTP)
	check("\x00\x00\x12", ErrNotHTTP)
	check("\r\n\r\n", ErrNotHTTP)

	check(ok+"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", errMalformed)
	check(ok+"Content-Length: 5, 5\r\n\r\nhello", errMalformed)
	check(ok+"Content-Length: -5\r\n\r\nhello", errMalformed)
	check(ok+"Content-Length: +5\r\n\r\nhello", errMalformed)
	check(ok+"Content-Length:\r\n\r\n", errMalformed)
	check(ok+"Content-Length: 99999999999999999999\r\n\r\n", errMalformed)
	check(ok+"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", errMalformed)
	check(ok+"Transfer-Encoding: gzip, chunked\r\n\r\n", errMalformed)
	check(ok+"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", errMalformed)
	check("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", errMalformed)
	check(ok+"Content-Length : 5\r\n\r\nhello", errMalformed)
	check(ok+"X: a\r\n folded\r\n\r\n", errMalformed)
	check(ok+": a\r\n\r\n", errMalformed)
	check(ok+"no colon\r\n\r\n", errMalformed)
	check(ok+"X: a\nY: b\r\n\r\n", errMalformed)
	check("HTTP/1.1 101 Switching Protocols\r\n\r\n", errMalformed)
	check(ok+"Content-Length: 2\r\n\r\nhi!", errMalformed)
	check("HTTP/1.1 204 No Content\r\n\r\nhi", errMalformed)

	const chunked = ok + "Transfer-Encoding: chunked\r\n\r\n"
	check(chunked+"\r\n", errMalformed)
	check(chunked+"x\r\n", errMalformed)
	check(chunked+"0x5\r\nhello\r\n0\r\n\r\n", errMalformed)
	check(chunked+"5\nhello\r\n0\r\n\r\n", errMalformed)
	check(chunked+"5\r\nhello!\r\n0\r\n\r\n", errMalformed)
	check(chunked+"0\r\nno colon\r\n\r\n", errMalformed)
	check(chunked+"0\r\n\r\nmore", errMalformed)

	check("", errClosed)
	check("HTTP/1.1 200", errClosed)
	check("HTTP/1.1 100 Continue\r\n\r\n", errClosed)
	check(ok+"Content-Length: 5\r\n\r\nhell", errClosed)
	check(chunked+"5\r\nhell", errClosed)
	check(chunked+"5\r\nhello\r\n", errClosed)
	check(chunked+"0\r\n", errClosed)
}

func TestAnswerIsBounded(t *testing.T) {
	check := func(name, stream string, want error) {
		t.Helper()
		for _, piece := range []int{0, 1000, 4096} {
			if got := parse(&request{}, stream, piece); !errors.Is(got.err, want) {
				t.Errorf("%s in pieces of %d: got %+v, want %v", name, piece, got, want)
			}
		}
	}
	const ok, chunked = "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	const limit = 1 << 20 // parse's
	header := "X: " + strings.Repeat("x", 1000) + "\r\n"
	check("a long header line", ok+"X: "+strings.Repeat("x", 100_000), errTooLarge)
	check("a long head", ok+strings.Repeat(header, 70)+"\r\n", errTooLarge)
	check("a head just within", ok+strings.Repeat(header, 64)+"Content-Length: 0\r\n\r\n", nil)
	check("endless interim answers", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 4000), errTooLarge)
	check("an announced body", fmt.Sprintf("%sContent-Length: %d\r\n\r\n", ok, limit+1), errTooLarge)
	check("a body at the limit", fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", ok, limit, strings.Repeat("x", limit)), nil)
	check("an unbounded body", ok+"\r\n"+strings.Repeat("x", limit+1), errTooLarge)
	check("a large chunk", chunked+"100001\r\n", errTooLarge)
	check("an overflowing chunk", chunked+"ffffffffffffffffffff\r\n", errTooLarge)
	check("many chunks", chunked+strings.Repeat("10000\r\n"+strings.Repeat("x", 0x10000)+"\r\n", 17), errTooLarge)
	check("a long chunk extension", chunked+"5;"+strings.Repeat("x", 10_000), errTooLarge)
	check("many long chunk extensions", chunked+strings.Repeat("1;"+strings.Repeat("x", 4000)+"\r\nx\r\n", 2000), errTooLarge)
	check("a long trailer", chunked+"0\r\nX: "+strings.Repeat("x", 100_000), errTooLarge)
	check("many trailers", chunked+"0\r\n"+strings.Repeat(header, 70), errTooLarge)
}

// Whatever a service sends: no panic, bounded memory, the same outcome however it is cut, and nothing that
// net/http would call another answer.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.0 200 OK\r\nConnection: keep-alive, close\r\n\r\nuntil the end",
		"HTTP/1.1 301 Moved\r\nLocation: /\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
		"\x16\x03\x01\x00\x02\x02", "\x00\x00\x12\x04\x00\x00\x00\x00\x00", "HTTP/1.1 200 OK\nX: y\n\n", "HTTP/1.",
	} {
		f.Add(seed, "hello", uint8(3), false)
	}
	f.Fuzz(func(t *testing.T, stream, contains string, piece uint8, head bool) {
		r := &request{head: head}
		if contains != "" {
			r.contains = []byte(contains)
		}
		whole := parse(r, stream, 0)
		cut := parse(r, stream, int(piece)%16+1)
		if (whole.err == nil) != (cut.err == nil) || whole.err == nil && whole != cut {
			t.Fatalf("%q: whole %+v, in pieces of %d %+v", stream, whole, int(piece)%16+1, cut)
		}
		if whole.err == nil {
			agree(t, stream, head, contains, whole)
		}
	})
}

// agree holds an accepted answer against net/http's reading of it.
func agree(t *testing.T, stream string, head bool, contains string, got outcome) {
	t.Helper()
	method := "GET"
	if head {
		method = "HEAD"
	}
	reader := bufio.NewReader(strings.NewReader(stream))
	for {
		response, err := http.ReadResponse(reader, &http.Request{Method: method})
		if err != nil {
			return // stricter in places: reasons, values with control characters
		}
		if response.StatusCode < 200 {
			continue
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			return
		}
		if response.StatusCode != got.status || int64(len(body)) != got.body || got.found != bytes.Contains(body, []byte(contains)) {
			t.Fatalf("%q: got %+v, net/http status %d, body %q", stream, got, response.StatusCode, body)
		}
		return
	}
}
