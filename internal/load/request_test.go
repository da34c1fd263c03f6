package load

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/workload"
)

func TestPrepare(t *testing.T) {
	check := func(m workload.Message, want string) {
		t.Helper()
		requests, err := prepare([]workload.Message{m}, "127.0.0.1:80")
		if err != nil {
			t.Fatalf("prepare(%+v): %v", m, err)
		}
		if got := string(requests[0].bytes); got != want {
			t.Errorf("prepare(%+v):\ngot  %q\nwant %q", m, got, want)
		}
		// An independent reader agrees that this is one whole request.
		r := bufio.NewReader(bytes.NewReader(requests[0].bytes))
		parsed, err := http.ReadRequest(r)
		if err != nil {
			t.Fatalf("net/http reading %q: %v", want, err)
		}
		body, err := io.ReadAll(parsed.Body)
		if err != nil || !bytes.Equal(body, m.Body) || r.Buffered() > 0 || parsed.Method != m.Method || parsed.RequestURI != m.Path {
			t.Errorf("net/http read %s %s with body %q, %d bytes left, %v", parsed.Method, parsed.RequestURI, body, r.Buffered(), err)
		}
	}
	check(workload.Message{Method: "GET", Path: "/"}, "GET / HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n")
	check(workload.Message{Method: "POST", Path: "/a?b=%20", Body: []byte("{}"), Headers: []workload.Header{{Name: "Content-Type", Value: "application/json"}}},
		"POST /a?b=%20 HTTP/1.1\r\nHost: 127.0.0.1:80\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
	check(workload.Message{Method: "PUT", Path: "/a"}, "PUT /a HTTP/1.1\r\nHost: 127.0.0.1:80\r\nContent-Length: 0\r\n\r\n")
	check(workload.Message{Method: "DELETE", Path: "/a", Body: []byte("x")}, "DELETE /a HTTP/1.1\r\nHost: 127.0.0.1:80\r\nContent-Length: 1\r\n\r\nx")
}

func TestPrepareRefuses(t *testing.T) {
	check := func(m workload.Message, want string) {
		t.Helper()
		if _, err := prepare([]workload.Message{m}, "localhost"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("prepare(%+v): got %v, want an error with %q", m, err, want)
		}
	}
	with := func(name, value string) workload.Message {
		return workload.Message{Method: "GET", Path: "/", Headers: []workload.Header{{Name: name, Value: value}}}
	}
	check(workload.Message{Method: "", Path: "/"}, "method")
	check(workload.Message{Method: "GET /x", Path: "/"}, "method")
	check(workload.Message{Method: "CONNECT", Path: "/"}, "method")
	check(workload.Message{Method: "GET", Path: ""}, "path")
	check(workload.Message{Method: "GET", Path: "http://elsewhere/"}, "path")
	check(workload.Message{Method: "GET", Path: "/a b"}, "path")
	check(workload.Message{Method: "GET", Path: "/a\r\nX: y"}, "path")
	check(workload.Message{Method: "GET", Path: "/ü"}, "path")
	check(with("X Y", "z"), "header")
	check(with("", "z"), "header")
	check(with("X", "a\r\nY: b"), "header")
	check(with("host", "elsewhere"), "leave it out")
	check(with("Content-Length", "5"), "leave it out")
	check(with("TRANSFER-ENCODING", "chunked"), "leave it out")
	check(with("Connection", "close"), "leave it out")
	check(workload.Message{Method: "HEAD", Path: "/", Expect: workload.Expect{Contains: "x"}}, "HEAD has no body")

	if _, err := prepare(nil, "localhost"); err == nil {
		t.Error("prepare without messages: no error")
	}
	for _, host := range []string{"", "a b", "a\r\nb", "http://a"} {
		if _, err := prepare([]workload.Message{{Method: "GET", Path: "/"}}, host); err == nil {
			t.Errorf("prepare with host %q: no error", host)
		}
	}
}
