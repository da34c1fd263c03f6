package service

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"github.com/duet-bench/duet/internal/goagent"
	"github.com/duet-bench/duet/internal/sandbox"
)

// Bounds of an agent's answers.
const (
	metricsLimit = 1 << 20 // bytes; histograms of 14 metrics are 20 kB
	wordsLimit   = 4 << 10 // bytes of every other answer
)

// agentConn is a conversation with the agent of one process, which is foreign code like the rest of its program.
type agentConn struct {
	net.Conn
	reader *bufio.Reader
}

// ask sends a line and reads the answer, of at most limit bytes.
func (c *agentConn) ask(line string, limit int64) ([]byte, error) {
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		return nil, fmt.Errorf("asking for %s: %w", line, err)
	}
	body, err := readAnswer(c.reader, limit)
	if err != nil {
		return nil, fmt.Errorf("asking for %s: %w", line, err)
	}
	return body, nil
}

// agentError is what an agent says is in the way.
type agentError struct{ text string }

func (e *agentError) Error() string { return e.text }

// readAnswer reads "ok N" or "error N", and N bytes, which take up memory as they come and not before.
func readAnswer(r *bufio.Reader, limit int64) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return nil, fmt.Errorf("reading the head of the answer: %w", err)
	}
	status, size, found := strings.Cut(strings.TrimSuffix(string(line), "\n"), " ")
	n, err := strconv.ParseUint(size, 10, 62)
	if !found || err != nil || (status != "ok" && status != "error") {
		return nil, fmt.Errorf("an answer that begins %s: expected ok or error, and a length", Quote(line))
	}
	if status == "error" {
		limit = wordsLimit
	}
	if int64(n) > limit {
		return nil, fmt.Errorf("an answer of %d bytes: expected at most %d", n, limit)
	}
	var body bytes.Buffer
	if _, err := io.CopyN(&body, r, int64(n)); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("reading %d bytes of answer: %w", n, err)
	}
	if status == "error" {
		return nil, &agentError{sandbox.Sanitize(body.String())}
	}
	return body.Bytes(), nil
}

// greeting is what an agent says of its process.
type greeting struct {
	version     string // of Go
	memProfRate int    // runtime.MemProfileRate
}

func parseGreeting(text []byte) (greeting, error) {
	rest, ours := strings.CutPrefix(string(text), goagent.Mark)
	i := strings.LastIndexByte(rest, ' ')
	if !ours || i < 0 {
		return greeting{}, fmt.Errorf("greeted with %s: expected an agent", Quote(text))
	}
	rate, err := strconv.Atoi(rest[i+1:])
	if err != nil {
		return greeting{}, fmt.Errorf("greeted with %s: expected a rate at the end", Quote(text))
	}
	return greeting{version: sandbox.Sanitize(rest[:i]), memProfRate: rate}, nil
}

// snapshot is runtime/metrics at one moment: name → one number, or a histogram's counts and then its bounds.
type snapshot map[string][]float64

func parseSnapshot(text []byte) (snapshot, error) {
	var s snapshot
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("reading metrics: %w", err)
	}
	return s, nil
}
