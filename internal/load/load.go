// Package load asks a service the requests of a workload and times the answers.
//
// Its stance: whatever the client burns, the service lacks, and whatever the client does late looks like
// the service's slowness. So one thread drives raw non-blocking sockets with requests that were built
// beforehand, allocates nothing per request and prints its own lateness. When to send is decided apart, by
// a pure schedule of intended starts (Arrivals); open-loop latency counts from there, however busy the
// connections are, so a stalling service cannot hide behind its own stall (coordinated omission).
//
// There are two drivers, over TCP or Unix connections that are handed in, with one request in flight a connection. One
// speaks HTTP/1.1 with keep-alive, no pipelining, no redirects. The other opens each connection as a WebSocket first,
// at nobody's expense, and a request is then one message, answered by one; pings are answered. They believe nothing a
// service says: every answer is bounded in head, body and time, and every way to fail has a name (Failures) or is an
// error.
//
// What counts:
//   - Requests are those that came to an end, well or badly; Errors are the bad ones among them.
//   - Latency runs from the intended start to the last byte of the answer; in a closed loop the intended
//     start is the send. Service runs from the send. A timed-out request counts with the time it was given,
//     a broken one has no time. Lateness is the client's own fault alone: from the moment when a request
//     was due and a connection free, to its send.
//   - A closed loop's Elapsed includes the drain, and its Requests those answered in the drain: all work
//     that the service did for the slice is in the figures, and so is all the time it took.
package load

import (
	"errors"
	"net"
	"time"

	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/workload"
)

// What an answer can be instead of HTTP/1.1. They end a slice when the service has never yet answered in
// HTTP/1.1; afterwards such an answer counts as broken.
var (
	ErrTLS     = errors.New("the service speaks TLS, Duet measures plain HTTP/1.1")
	ErrHTTP2   = errors.New("the service speaks HTTP/2 only, Duet measures HTTP/1.1")
	ErrNotHTTP = errors.New("the answer is not HTTP/1.1")
)

// Errors that end a slice or refuse a client.
var (
	// ErrDown means that no connection is left and none can be made.
	ErrDown = errors.New("no connection to the service")
	// ErrStalled means that a fixed count got no answer at all for a whole Timeout.
	ErrStalled = errors.New("no answer from the service")
	// ErrUnsupported means that this system has no load generator.
	ErrUnsupported = errors.New("the load generator needs Linux on amd64 or arm64")
)

// Defaults and bounds of Options.
const (
	DefaultTimeout = 10 * time.Second
	DefaultMaxBody = 16 << 20 // bytes of one answer's body
	MaxConns       = 4096
)

// Options say whom a Client asks and what.
type Options struct {
	// Conns are TCP or Unix stream connections, perhaps made in another network namespace. NewClient takes
	// them over: it drives copies of their descriptors and closes the originals, also when it fails.
	Conns []net.Conn
	// Redial replaces a connection that the service closed; it is called on other goroutines, and while it
	// is at work the others go on. Nil: a lost connection stays lost.
	Redial func() (net.Conn, error)
	// Opening opens every connection as a WebSocket, over which Messages are then sent; nil: they are HTTP requests.
	Opening  *workload.Message
	Messages []workload.Message // asked in this order, over and over, across slices
	Host     string             // the Host header
	Timeout  time.Duration      // of one request, from its intended start; 0: DefaultTimeout
	MaxBody  int64              // bytes of one answer's body; 0: DefaultMaxBody
	// Spin keeps the open loop polling instead of sleeping while something may happen soon (spinLimit).
	// Only for a client with a core of its own.
	Spin bool
}

// Slice is what became of one variant's share of a block.
type Slice struct {
	Requests  int64         // ended: answered, timed out or broken
	Errors    int64         // bad ones among Requests
	Elapsed   time.Duration // from the first moment to the last end of a request
	Sent      time.Duration // from the first moment to the last send
	CPU       time.Duration // of the thread that asked, spinning included: the client's own cost
	BytesRead int64
	Failures  Failures
}

// Add sums two slices; the first example of each failure stays.
func (s *Slice) Add(other Slice) {
	s.Requests += other.Requests
	s.Errors += other.Errors
	s.Elapsed += other.Elapsed
	s.Sent += other.Sent
	s.CPU += other.CPU
	s.BytesRead += other.BytesRead
	s.Failures.Status.add(other.Failures.Status)
	s.Failures.Timeout.add(other.Failures.Timeout)
	s.Failures.Broken.add(other.Failures.Broken)
	s.Failures.Mismatch.add(other.Failures.Mismatch)
}

// Failures are the bad answers by kind. Their counts sum to Slice.Errors.
type Failures struct {
	Status   Failure // another status than expected
	Timeout  Failure // no whole answer within Timeout
	Broken   Failure // no well-formed answer: closed, reset, malformed, too large
	Mismatch Failure // the right status, but not the expected body; another message than expected
}

// First is the first example of the most frequent kind, empty without failures.
func (f Failures) First() string {
	most := f.Status
	for _, other := range []Failure{f.Timeout, f.Broken, f.Mismatch} {
		if other.Count > most.Count {
			most = other
		}
	}
	return most.First
}

// Failure is one kind of bad answer. First is an example, printable, at most 200 bytes.
type Failure struct {
	Count int64
	First string
}

func (f *Failure) add(other Failure) {
	if f.First == "" {
		f.First = other.First
	}
	f.Count += other.Count
}

// note counts a failure and describes the first one only, so that floods of errors stay cheap.
func (f *Failure) note(describe func() string) {
	f.Count++
	if f.First == "" {
		f.First = printable(describe())
	}
}

// maxExample is the length in bytes of an example of a failure.
const maxExample = 200

// printable is text with everything but printable ASCII replaced, cut to maxExample bytes: it may hold
// whatever a service sent.
func printable(text string) string {
	const more = "..."
	b := make([]byte, 0, min(len(text), maxExample))
	for i := range len(text) {
		if len(b) == maxExample {
			return string(append(b[:maxExample-len(more)], more...))
		}
		if c := text[i]; c < ' ' || c > '~' {
			b = append(b, '?')
		} else {
			b = append(b, c)
		}
	}
	return string(b)
}

// Recorder takes the durations of slices. The zero value is ready to use and allocates on first use only.
type Recorder struct {
	Latency  result.Histogram // from the intended start; in a closed loop from the send
	Service  result.Histogram // from the send; open loop only: in a closed one it is the latency
	Lateness result.Histogram // the client's own delay of sends; open loop only
}

// Reset empties r and keeps its memory.
func (r *Recorder) Reset() {
	r.Latency.Reset()
	r.Service.Reset()
	r.Lateness.Reset()
}

// Add adds another recorder's counts.
func (r *Recorder) Add(other *Recorder) {
	r.Latency.Add(other.Latency)
	r.Service.Add(other.Service)
	r.Lateness.Add(other.Lateness)
}
