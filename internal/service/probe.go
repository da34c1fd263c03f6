package service

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// answer is what one try to get the ready path came to.
type answer struct {
	at     time.Time // when a good one was there; zero otherwise
	what   string    // in words, where it was not good
	odd    bool      // something answered that may not be HTTP/1.1
	failed error     // a refusal
}

// try asks for path once. It reads only the head of the answer: that is when a service is ready.
func try(ctx context.Context, conn net.Conn, host, path string) answer {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	request := "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: duet\r\nAccept: */*\r\nConnection: close\r\n\r\n"
	if _, err := io.WriteString(conn, request); err != nil {
		return answer{what: err.Error(), odd: true}
	}
	reader := bufio.NewReaderSize(io.LimitReader(conn, headerLimit), 4<<10)
	start, err := reader.Peek(5) // the shortest head of TLS; HTTP/1.1's and HTTP/2's are longer
	if failed := protocol(start); failed != nil {
		return answer{failed: failed}
	}
	if err != nil {
		if ctx.Err() != nil {
			return answer{what: "it accepted the connection and never answered", odd: true}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
			return answer{what: "it closed the connection without an answer", odd: true}
		}
		return answer{what: err.Error(), odd: true}
	}
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		if ctx.Err() != nil {
			return answer{what: "the head of its answer never ended", odd: true}
		}
		return answer{what: "an answer that is not HTTP/1.1: " + err.Error(), odd: true}
	}
	if response.StatusCode >= 200 && response.StatusCode < 300 {
		return answer{at: time.Now()}
	}
	return answer{what: fmt.Sprintf("status %d", response.StatusCode), odd: response.StatusCode == http.StatusBadRequest}
}

// protocol knows a TLS record and an HTTP/2 frame by their first five bytes.
func protocol(start []byte) error {
	if len(start) < 5 {
		return nil
	}
	const (
		tlsAlert, tlsHandshake = 0x15, 0x16
		h2Settings, h2GoAway   = 0x4, 0x7
	)
	switch {
	case (start[0] == tlsAlert || start[0] == tlsHandshake) && start[1] == 3:
		return ErrTLS
	case start[0] == 0 && (start[3] == h2Settings || start[3] == h2GoAway):
		return ErrHTTP2
	}
	return nil
}

// foreign asks whether what did not answer well speaks TLS or HTTP/2, by greeting it in those.
func foreign(ctx context.Context, dial dialFunc) error {
	const patience = 500 * time.Millisecond // on loopback, for one record
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if conn, err := dial(ctx, "tcp", ""); err == nil {
		seen := &recorder{Conn: conn}
		// Whatever certificate it has: it is only asked whether it has any.
		err = tls.Client(seen, &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"}).HandshakeContext(ctx)
		conn.Close()
		if err == nil || errors.Is(protocol(seen.start), ErrTLS) {
			return ErrTLS
		}
	}
	conn, err := dial(ctx, "tcp", "")
	if err != nil {
		return nil
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	const emptySettings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	if _, err := io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+emptySettings); err != nil {
		return nil
	}
	start := make([]byte, 5)
	if _, err := io.ReadFull(conn, start); err != nil {
		return nil
	}
	return protocol(start)
}

// recorder keeps the first bytes that came in.
type recorder struct {
	net.Conn
	start []byte
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	const enough = 16
	if len(r.start) < enough {
		r.start = append(r.start, bytes.Clone(p[:n])...)
	}
	return n, err
}

// telling is the line of a service's last output that most likely says why it ended: a panic's first line, or
// the last one.
func telling(tail []string) string {
	for _, line := range tail {
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") || strings.Contains(line, " panicked at ") {
			return line
		}
	}
	if len(tail) == 0 {
		return ""
	}
	return tail[len(tail)-1]
}
