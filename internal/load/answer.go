package load

import (
	"bytes"
	"errors"
	"fmt"
)

// Bounds of one answer. The cap on its body is Options.MaxBody.
const (
	maxHead      = 64 << 10 // all header blocks of one answer together, interim ones and trailers too
	maxChunkLine = 4 << 10  // one chunk's size line with its extensions
)

// Ways of not being an HTTP/1.1 answer. They are wrapped with what was wrong.
var (
	errMalformed = errors.New("malformed answer")
	errTooLarge  = errors.New("answer too large")
	errClosed    = errors.New("connection closed")
)

// answer takes one HTTP/1.1 answer out of a stream of bytes, however it is cut into pieces (RFC 9112).
//
// It is strict: CRLF line ends, one framing, no folded lines, and nothing after the end. It looks at the
// framing only and copies nothing but a head or line that came in pieces.
type answer struct {
	maxBody int64
	phase   phase
	status  int
	close   bool // the service will close the connection, or must
	body    int64
	search

	known    *knownHead // of all connections of a client; nil: none is remembered
	head     bool       // answers HEAD
	outline  outline    // what its head says
	partial  []byte     // a head or line of which the end is yet to come
	headLeft int        // bytes of head that may still come
	left     int64      // bytes of the body, or of the chunk, that are still to come
	framing  int64      // bytes of chunk lines so far
}

// phase is what the next byte of an answer belongs to.
type phase uint8

const (
	inHead phase = iota
	inBody
	inUnbounded // a body that ends with the connection
	inChunkLine
	inChunk
	inChunkEnd
	inTrailer
	ended
)

// expect makes a ready for the answer to r and keeps its memory.
func (a *answer) expect(r *request) {
	a.phase, a.status, a.close, a.body = inHead, 0, false, 0
	a.head, a.partial = r.head, a.partial[:0]
	a.search.begin(r.contains)
	a.headLeft, a.left, a.framing = maxHead, 0, 0
}

// begun says whether anything of the answer was seen.
func (a *answer) begun() bool { return a.phase != inHead || len(a.partial) > 0 || a.headLeft < maxHead }

// feed takes the next bytes of the stream. Once done it takes no more: bytes beyond the end are an error.
// It does not keep b.
func (a *answer) feed(b []byte) (done bool, err error) {
	for err == nil {
		switch a.phase {
		case inHead:
			b, err = a.feedHead(b)
		case inBody, inChunk, inUnbounded:
			b, err = a.feedBody(b)
		case inChunkLine, inChunkEnd, inTrailer:
			b, err = a.feedLine(b)
		}
		switch {
		case err != nil:
		case a.phase == ended && len(b) > 0:
			err = fmt.Errorf("%w: %d bytes after its end", errMalformed, len(b))
		case a.phase == ended:
			return true, nil
		case len(b) == 0:
			return false, nil
		}
	}
	return false, err
}

// eof says what the end of the connection makes of the answer.
func (a *answer) eof() (done bool, err error) {
	switch {
	case a.phase == inUnbounded || a.phase == ended:
		a.phase, a.close = ended, true
		return true, nil
	case !a.begun():
		return false, fmt.Errorf("%w before an answer", errClosed)
	case a.phase == inHead && len(a.partial) > 0:
		if err := foreign(a.partial, true); err != nil {
			return false, err
		}
		fallthrough
	case a.phase == inHead:
		return false, fmt.Errorf("%w in the head of the answer", errClosed)
	}
	return false, fmt.Errorf("%w in the body of the answer, after %d bytes", errClosed, a.body)
}

var headEnd = []byte("\r\n\r\n")

// feedHead takes a header block; b is returned from the byte after it.
func (a *answer) feedHead(b []byte) ([]byte, error) {
	if len(a.partial) == 0 {
		if a.known.begins(b) && len(a.known.text) <= a.headLeft {
			a.headLeft -= len(a.known.text)
			return b[len(a.known.text):], a.begin(a.known.outline)
		}
		if err := foreign(b, false); err != nil {
			return nil, err
		}
		if i := bytes.Index(b, headEnd); i >= 0 && i+4 <= a.headLeft {
			err := a.readHead(b[:i+2])
			if err == nil && a.phase != inHead {
				a.known.remember(b[:i+4], a.outline)
			}
			return b[i+4:], err
		}
	}
	had := len(a.partial)
	a.partial = append(a.partial, b[:min(len(b), a.headLeft-had+1)]...)
	if had > 0 && had < len("HTTP/1.1 ") {
		if err := foreign(a.partial, false); err != nil {
			return nil, err
		}
	}
	from := max(had-3, 0)
	i := bytes.Index(a.partial[from:], headEnd)
	if end := from + i + 4; i >= 0 && end <= a.headLeft {
		err := a.readHead(a.partial[:end-2])
		a.partial = a.partial[:0]
		return b[end-had:], err
	}
	if len(a.partial) > a.headLeft {
		return nil, fmt.Errorf("%w: head of more than %d bytes", errTooLarge, maxHead)
	}
	return nil, nil
}

// readHead reads a header block (each line with its CRLF, without the empty one) and moves on to what follows.
func (a *answer) readHead(block []byte) error {
	a.headLeft -= len(block) + 2
	// "HTTP/1.x NNN" was checked as far as "HTTP/1." by foreign.
	if len(block) < 14 || block[7] != '0' && block[7] != '1' || block[8] != ' ' {
		return fmt.Errorf("%w: status line %q", ErrNotHTTP, first(block))
	}
	status, ok := readStatus(block[9:])
	if !ok {
		return fmt.Errorf("%w: status line %q", ErrNotHTTP, first(block))
	}
	f := fields{length: -1}
	lines := block[bytes.IndexByte(block, '\n')+1:]
	for len(lines) > 0 {
		n := bytes.IndexByte(lines, '\n')
		if n < 1 || lines[n-1] != '\r' {
			return fmt.Errorf("%w: header line %q", errMalformed, first(lines))
		}
		if err := f.read(lines[:n-1]); err != nil {
			return err
		}
		lines = lines[n+1:]
	}
	if block[7] == '0' {
		f.close = f.close || !f.keep
		if f.chunked {
			return fmt.Errorf("%w: Transfer-Encoding in HTTP/1.0", errMalformed)
		}
	}
	a.outline = outline{status: status, fields: f}
	return a.begin(a.outline)
}

// outline is what a head says, whatever it answers.
type outline struct {
	status int
	fields fields
}

// maxKnown bounds a remembered head; room for what services send, none for floods.
const maxKnown = 1024 // bytes

// knownHead is the last final head that was read, and what it says. Most answers of a service begin with the bytes of
// the one before (the date changes once a second), and the same bytes say the same: comparing them is a tenth of the
// work of reading them.
type knownHead struct {
	text    []byte // up to and including the empty line, which stands nowhere else in it
	outline outline
}

// begins says whether the stream b begins with the known head.
func (k *knownHead) begins(b []byte) bool {
	return k != nil && len(k.text) > 0 && bytes.HasPrefix(b, k.text)
}

func (k *knownHead) remember(text []byte, o outline) {
	if k == nil || len(text) > maxKnown {
		return
	}
	k.text, k.outline = append(k.text[:0], text...), o
}

// begin decides how the body is framed (RFC 9112 section 6.3).
func (a *answer) begin(o outline) error {
	status, f := o.status, o.fields
	switch {
	case status == 101:
		return fmt.Errorf("%w: status 101 without being asked to switch protocols", errMalformed)
	case status < 200:
		return nil // interim: the answer is yet to come
	case f.chunked && f.length >= 0:
		return fmt.Errorf("%w: both Content-Length and Transfer-Encoding", errMalformed)
	}
	a.status, a.close = status, f.close
	switch {
	case a.head || status == 204 || status == 304:
		a.phase = ended
	case f.chunked:
		a.phase = inChunkLine
	case f.length > a.maxBody:
		return a.overBody()
	case f.length == 0:
		a.phase = ended
	case f.length > 0:
		a.phase, a.left = inBody, f.length
	default:
		a.phase, a.close = inUnbounded, true
	}
	return nil
}

func (a *answer) overBody() error {
	return fmt.Errorf("%w: body of more than %d bytes", errTooLarge, a.maxBody)
}

// feedBody takes bytes of the body or of one chunk.
func (a *answer) feedBody(b []byte) ([]byte, error) {
	n := len(b)
	if a.phase == inUnbounded {
		if int64(n) > a.maxBody-a.body {
			return nil, a.overBody()
		}
	} else {
		n = int(min(int64(n), a.left))
		a.left -= int64(n)
		if a.left == 0 && a.phase == inBody {
			a.phase = ended
		} else if a.left == 0 {
			a.phase = inChunkEnd
		}
	}
	a.body += int64(n)
	if !a.found {
		a.look(b[:n])
	}
	return b[n:], nil
}

// search looks for some bytes in a body that comes in pieces.
type search struct {
	contains []byte // what to look for
	found    bool   // the body holds contains, if that is set
	seam     []byte // the last bytes of the body so far, in which contains may have begun
}

// begin makes s ready for another body and keeps its memory.
func (s *search) begin(contains []byte) {
	s.contains, s.found, s.seam = contains, contains == nil, s.seam[:0]
}

// look searches the body for contains, also across pieces: seam carries the end of what came before.
func (s *search) look(b []byte) {
	keep := len(s.contains) - 1
	if len(s.seam) > 0 {
		s.seam = append(s.seam, b[:min(len(b), keep)]...)
		if bytes.Contains(s.seam, s.contains) {
			s.found = true
			return
		}
	}
	if bytes.Contains(b, s.contains) {
		s.found = true
		return
	}
	if len(b) >= keep {
		s.seam = append(s.seam[:0], b[len(b)-keep:]...)
		return
	}
	if len(s.seam) == 0 { // otherwise b is in it already
		s.seam = append(s.seam, b...)
	}
	if extra := len(s.seam) - keep; extra > 0 {
		s.seam = s.seam[:copy(s.seam, s.seam[extra:])]
	}
}

// feedLine takes one line of the chunked framing: a size, the end of a chunk's data, or a trailer.
func (a *answer) feedLine(b []byte) ([]byte, error) {
	limit := maxChunkLine
	if a.phase == inTrailer {
		limit = a.headLeft
	}
	n := bytes.IndexByte(b, '\n')
	taken := b
	if n >= 0 {
		taken = b[:n+1]
	}
	if len(taken) > limit-len(a.partial) {
		return nil, fmt.Errorf("%w: line of more than %d bytes in its framing", errTooLarge, limit)
	}
	if n < 0 {
		a.partial = append(a.partial, taken...)
		return nil, nil
	}
	line := taken
	if len(a.partial) > 0 {
		a.partial = append(a.partial, taken...)
		line = a.partial
	}
	if len(line) < 2 || line[len(line)-2] != '\r' {
		return nil, fmt.Errorf("%w: line %q in its framing", errMalformed, first(line))
	}
	err := a.readLine(line[:len(line)-2])
	a.partial = a.partial[:0]
	return b[n+1:], err
}

func (a *answer) readLine(line []byte) error {
	switch a.phase {
	case inChunkLine:
		return a.readChunkLine(line)
	case inChunkEnd:
		if len(line) > 0 {
			return fmt.Errorf("%w: %q after a chunk", errMalformed, first(line))
		}
		a.phase = inChunkLine
		return nil
	}
	if len(line) == 0 {
		a.phase = ended
		return nil
	}
	a.headLeft -= len(line) + 2
	if bytes.IndexByte(line, ':') < 1 {
		return fmt.Errorf("%w: trailer line %q", errMalformed, first(line))
	}
	return nil
}

// readChunkLine reads a chunk's size, in hexadecimal, and passes over its extensions.
func (a *answer) readChunkLine(line []byte) error {
	// Chunks of one byte have six bytes of framing each: a body in its bounds does not need more.
	if a.framing += int64(len(line)) + 4; a.framing > 6*a.maxBody+maxHead {
		return fmt.Errorf("%w: more than %d bytes of framing", errTooLarge, 6*a.maxBody+maxHead)
	}
	var size int64
	digits := 0
	for ; digits < len(line); digits++ {
		d, ok := hexDigit(line[digits])
		if !ok {
			break
		}
		if size = size<<4 | int64(d); size > a.maxBody-a.body {
			return a.overBody()
		}
	}
	rest := bytes.TrimLeft(line[digits:], " \t")
	if digits == 0 || len(rest) > 0 && rest[0] != ';' {
		return fmt.Errorf("%w: chunk size %q", errMalformed, first(line))
	}
	a.phase, a.left = inChunk, size
	if size == 0 {
		a.phase = inTrailer
	}
	return nil
}

func hexDigit(c byte) (value byte, ok bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// first is the beginning of b, for an error.
func first(b []byte) []byte { return b[:min(len(b), 60)] }
