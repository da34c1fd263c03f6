package load

import (
	"bytes"
	"fmt"
)

// foreign says what b, the first bytes of an answer, are if they are not HTTP/1. Bytes that may yet become
// "HTTP/1." or an HTTP/2 frame are nothing wrong until last.
func foreign(b []byte, last bool) error {
	const version = "HTTP/1."
	n := min(len(b), len(version))
	if string(b[:n]) == version[:n] {
		return nil
	}
	switch {
	case b[0] == 0x15 || b[0] == 0x16: // TLS alert or handshake record
		return ErrTLS
	case bytes.HasPrefix(b, []byte("HTTP/2")) || bytes.HasPrefix(b, []byte("PRI * HTTP/2")):
		return ErrHTTP2
	case isFrame(b) && len(b) >= 9:
		return ErrHTTP2
	case isFrame(b) && !last:
		return nil
	}
	return fmt.Errorf("%w: it begins with %q", ErrNotHTTP, first(b))
}

// isFrame holds for what may be the beginning of an HTTP/2 SETTINGS or GOAWAY frame on stream 0
// (RFC 9113 sections 3.4, 4.1): the first thing that an HTTP/2 server says.
func isFrame(b []byte) bool {
	for i, c := range b[:min(len(b), 9)] {
		switch {
		case i == 1 || i == 2: // length, of less than 64 KiB
		case i == 3:
			if c != 4 && c != 7 {
				return false
			}
		case c != 0:
			return false
		}
	}
	return true
}

// readStatus reads the rest of a status line: three digits and perhaps a reason.
func readStatus(b []byte) (status int, ok bool) {
	for _, c := range b[:3] {
		if c < '0' || c > '9' {
			return 0, false
		}
		status = status*10 + int(c-'0')
	}
	end := bytes.IndexByte(b, '\n')
	return status, status >= 100 && end >= 4 && b[end-1] == '\r' && (b[3] == ' ' || end == 4)
}

// fields are the header fields that frame an answer.
type fields struct {
	length  int64 // Content-Length; -1: none
	chunked bool
	close   bool
	keep    bool // keep-alive: only HTTP/1.0 needs it
}

// read takes one header line without its end.
func (f *fields) read(line []byte) error {
	colon := 0
	for colon < len(line) && tokenByte[line[colon]] {
		colon++
	}
	if colon == 0 || colon == len(line) || line[colon] != ':' {
		return fmt.Errorf("%w: header line %q", errMalformed, first(line))
	}
	name := line[:colon]
	switch {
	case len(name) == 14 && equalFold(name, "content-length"):
		return f.readLength(trim(line[colon+1:]))
	case len(name) == 17 && equalFold(name, "transfer-encoding"):
		if f.chunked || !equalFold(trim(line[colon+1:]), "chunked") {
			return fmt.Errorf("%w: header line %q: Duet reads chunked only", errMalformed, first(line))
		}
		f.chunked = true
	case len(name) == 10 && equalFold(name, "connection"):
		f.readConnection(line[colon+1:])
	}
	return nil
}

func (f *fields) readLength(value []byte) error {
	var n int64
	for _, c := range value {
		// Below 2^59 a further digit cannot overflow; no cap on a body is that high.
		if c < '0' || c > '9' || n >= 1<<59 {
			return fmt.Errorf("%w: Content-Length %q", errMalformed, first(value))
		}
		n = n*10 + int64(c-'0')
	}
	if len(value) == 0 || f.length >= 0 && f.length != n {
		return fmt.Errorf("%w: Content-Length %q", errMalformed, first(value))
	}
	f.length = n
	return nil
}

func (f *fields) readConnection(value []byte) {
	for len(value) > 0 {
		option := value
		if i := bytes.IndexByte(value, ','); i >= 0 {
			option, value = value[:i], value[i+1:]
		} else {
			value = nil
		}
		option = trim(option)
		f.close = f.close || equalFold(option, "close")
		f.keep = f.keep || equalFold(option, "keep-alive")
	}
}

// trim cuts optional white space (RFC 9110 section 5.6.3) from both ends.
func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// equalFold compares b with a lower-case ASCII word.
func equalFold(b []byte, word string) bool {
	if len(b) != len(word) {
		return false
	}
	for i := range len(word) {
		c := b[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}
