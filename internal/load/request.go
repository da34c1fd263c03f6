package load

import (
	"strconv"
	"strings"

	"github.com/gobwas/ws"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/workload"
)

// request is a workload.Message as it goes over the wire, and what a good answer to it looks like.
type request struct {
	bytes    []byte // head and body, or a frame
	name     string // of the workload's request
	title    string // "GET /path", "text message"
	head     bool   // HEAD: the answer has no body whatever its head says
	status   int    // 0: any
	contains []byte
	opcode   ws.OpCode // of a WebSocket message
	echo     []byte    // what must come back over a WebSocket; nil: anything may
}

// ownHeaders are the driver's business: a message that brought its own could break the framing.
var ownHeaders = [...]string{"connection", "content-length", "expect", "host", "keep-alive", "transfer-encoding", "upgrade"}

// prepare builds the bytes of every message. It refuses what would not be one well-formed request.
func prepare(messages []workload.Message, host string) ([]request, error) {
	if len(messages) == 0 {
		return nil, plan.Usagef("", "preparing requests: no messages")
	}
	if host == "" || !isField(host) || strings.ContainsAny(host, " \t/") {
		return nil, plan.Usagef("", "preparing requests: unexpected host %q", host)
	}
	requests := make([]request, len(messages))
	for i, m := range messages {
		r, err := newRequest(m, host)
		if err != nil {
			return nil, err
		}
		requests[i] = r
	}
	return requests, nil
}

func newRequest(m workload.Message, host string) (request, error) {
	switch {
	case m.Type != "":
		return request{}, plan.Usagef("", "preparing request %q: unexpected %s: no WebSocket is open (Options.Opening)", m.Name, m)
	case !isToken(m.Method) || m.Method == "CONNECT":
		return request{}, plan.Usagef("", "preparing request %q: unexpected method %q", m.Name, m.Method)
	case !isTarget(m.Path):
		return request{}, plan.Usagef("escape spaces and other special characters (%20)",
			"preparing request %q: unexpected path %q: expected one that starts with / and is printable ASCII without spaces", m.Name, m.Path)
	}
	b := make([]byte, 0, len(m.Method)+len(m.Path)+len(host)+len(m.Body)+256)
	b = append(b, m.Method+" "+m.Path+" HTTP/1.1\r\nHost: "+host+"\r\n"...)
	for _, h := range m.Headers {
		if !isToken(h.Name) || !isField(h.Value) {
			return request{}, plan.Usagef("", "preparing request %q: unexpected header %q: %q", m.Name, h.Name, h.Value)
		}
		for _, own := range ownHeaders {
			if strings.EqualFold(h.Name, own) {
				return request{}, plan.Usagef("leave it out: Duet writes it", "preparing request %q: unexpected header %q", m.Name, h.Name)
			}
		}
		b = append(b, h.Name+": "+h.Value+"\r\n"...)
	}
	if len(m.Body) > 0 || m.Method == "POST" || m.Method == "PUT" || m.Method == "PATCH" {
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, int64(len(m.Body)), 10)
		b = append(b, "\r\n"...)
	}
	b = append(b, "\r\n"...)
	b = append(b, m.Body...)
	r := request{
		bytes: b, name: m.Name, title: m.String(), head: m.Method == "HEAD", status: m.Expect.Status,
	}
	if m.Expect.Contains != "" {
		if r.head {
			return request{}, plan.Usagef("", "preparing request %q: unexpected expect.contains %q: an answer to HEAD has no body", m.Name, m.Expect.Contains)
		}
		r.contains = []byte(m.Expect.Contains)
	}
	return r, nil
}

// isToken holds for what RFC 9110 section 5.6.2 lets a method or a header name be.
func isToken(s string) bool {
	for i := range len(s) {
		if !tokenByte[s[i]] {
			return false
		}
	}
	return s != ""
}

// isField holds for header values: no line breaks or other control characters.
func isField(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

func isTarget(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || s[i] == '#' {
			return false
		}
	}
	return strings.HasPrefix(s, "/")
}

// tokenByte says which bytes a token may hold (RFC 9110, tchar).
var tokenByte = tokenBytes()

func tokenBytes() (table [256]bool) {
	for c := '0'; c <= '9'; c++ {
		table[c] = true
	}
	for c := 'a'; c <= 'z'; c++ {
		table[c], table[c-'a'+'A'] = true, true
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		table[c] = true
	}
	return table
}
