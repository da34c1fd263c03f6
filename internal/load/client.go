//go:build linux && (amd64 || arm64)

package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/workload"
)

// Client asks one variant. It is kept over many slices, and so are its connections and its place among the
// messages. Not for use by several goroutines at once.
type Client struct {
	requests []request
	next     int // the next request to send
	redial   func() (net.Conn, error)
	opening  *workload.Message // of WebSockets; nil: HTTP
	host     string
	timeout  time.Duration
	spin     bool

	poller *poller
	mail   *mail
	buffer []byte // one for all connections: an answer is parsed as it is read
	conns  []conn
	ring   []int32 // idle connections, the longest idle first; those that were lost since are passed over
	first  int     // of ring
	queued int     // length of ring
	up     int     // connections that are idle or busy
	busy   int
	dials  int // redials at work

	epoch  time.Time
	spoken bool // the service has answered in HTTP/1.1
	slice  running
}

// conn is one connection and the request it carries.
type conn struct {
	fd         int
	state      state
	generation int32 // raised with every descriptor: an event of the last one is not for this one
	queued     bool  // is in the ring
	request    *request
	out        []byte // what is still to be written of request, or of a pong
	waits      bool   // for room to write it
	answer     answer
	frames     *frames       // of a WebSocket, instead of answer; nil: HTTP
	due        time.Duration // intended start of request
	sent       time.Duration
	free       time.Duration // when the last answer ended
	tries      int           // redials that failed since it was up
	retry      time.Duration // when to redial next
	lost       error         // why the last redial failed
}

// state is what a connection is doing.
type state uint8

const (
	down    state = iota // closed; to be redialled when needed
	dialing              // a redial is at work
	idle
	busy
)

// How often in a row, and how far apart, a redial may fail before the service is given up (checkUp).
const (
	maxTries = 3
	minRetry = 2 * time.Millisecond
	maxRetry = 100 * time.Millisecond
)

// NewClient takes over connections and prepares the requests.
func NewClient(o Options) (*Client, error) {
	c, err := newClient(o)
	if err != nil {
		for _, conn := range o.Conns {
			_ = conn.Close()
		}
		return nil, fmt.Errorf("creating client: %w", err)
	}
	for i, conn := range o.Conns {
		fd, err := -1, error(nil)
		if err = c.upgrade(conn); err == nil {
			fd, err = takeOver(conn)
		}
		if err == nil {
			err = c.raise(i, fd)
		}
		if err != nil {
			for _, rest := range o.Conns[i:] {
				_ = rest.Close()
			}
			return nil, fmt.Errorf("creating client: %w", errors.Join(err, c.Close()))
		}
	}
	return c, nil
}

func newClient(o Options) (*Client, error) {
	if n := len(o.Conns); n < 1 || n > MaxConns {
		return nil, plan.Usagef("", "%d connections: expected 1 to %d", n, MaxConns)
	}
	if o.Timeout < 0 || o.MaxBody < 0 {
		return nil, plan.Usagef("", "timeout %v, body cap %d: expected positive ones", o.Timeout, o.MaxBody)
	}
	var requests []request
	var err error
	if o.Opening == nil {
		requests, err = prepare(o.Messages, o.Host)
	} else if err = checkOpening(*o.Opening, o.Host); err == nil {
		requests, err = prepareMessages(o.Messages)
	}
	if err != nil {
		return nil, err
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.MaxBody == 0 {
		o.MaxBody = DefaultMaxBody
	}
	const eventsAtOnce = 256
	poller, err := newPoller(min(len(o.Conns)+2, eventsAtOnce))
	if err != nil {
		return nil, err
	}
	mail, err := newMail()
	if err == nil {
		err = poller.watch(mail.wake, unix.EPOLLIN, wakeTag, 0)
	}
	if err != nil {
		poller.close()
		return nil, fmt.Errorf("creating wake-up: %w", err)
	}
	c := &Client{
		requests: requests, redial: o.Redial, opening: o.Opening, host: o.Host, timeout: o.Timeout, spin: o.Spin,
		poller: poller, mail: mail, buffer: make([]byte, 64<<10),
		conns: make([]conn, len(o.Conns)), ring: make([]int32, len(o.Conns)), epoch: time.Now(),
	}
	known := &knownHead{text: make([]byte, 0, maxKnown)}
	longest := 0
	for _, r := range requests {
		longest = max(longest, len(r.contains))
	}
	for i := range c.conns {
		// Room for a common head or chunk line in two pieces, and for any search across pieces.
		across := search{seam: make([]byte, 0, 2*longest)}
		if o.Opening != nil {
			c.conns[i] = conn{fd: -1, frames: &frames{maxBody: o.MaxBody, search: across, control: make([]byte, 0, ws.MaxControlFramePayloadSize)}}
			continue
		}
		c.conns[i] = conn{fd: -1, answer: answer{maxBody: o.MaxBody, known: known, partial: make([]byte, 0, 1024), search: across}}
	}
	return c, nil
}

// Close closes the connections. Redials that are still at work close what they get.
func (c *Client) Close() error {
	for i := range c.conns {
		if cn := &c.conns[i]; cn.frames != nil && cn.state == idle {
			_, _ = send(cn.fd, farewell()) // the service may be gone
		}
		c.drop(i)
	}
	c.mail.close()
	c.poller.close()
	return nil
}

// Open asks on a schedule: starts are the intended starts in order, counted from the slice's first moment.
// It ends when the last request was answered or timed out. Elapsed ends with the last of them.
//
// An error ends a slice early; the Slice then says what was seen until then. Requests on their way are not
// counted.
func (c *Client) Open(ctx context.Context, starts []time.Duration, rec *Recorder) (Slice, error) {
	if !slices.IsSorted(starts) || len(starts) > 0 && starts[0] < 0 {
		return Slice{}, errors.New("asking on a schedule: starts out of order")
	}
	return c.run(ctx, running{kind: open, starts: starts}, rec)
}

// Closed keeps every connection busy until d is over and then waits for the answers on their way.
// Throughput is Requests−Errors over Elapsed, the wait included: see the package's doc.
func (c *Client) Closed(ctx context.Context, d time.Duration, rec *Recorder) (Slice, error) {
	if d <= 0 {
		return Slice{}, fmt.Errorf("asking in a closed loop: duration %v: expected a positive one", d)
	}
	return c.run(ctx, running{kind: closed, length: d}, rec)
}

// Count sends n requests, in a closed loop, and waits for the answers. Requests that fail count among them.
func (c *Client) Count(ctx context.Context, n int, rec *Recorder) (Slice, error) {
	if n < 0 {
		return Slice{}, fmt.Errorf("asking %d requests: expected a number from 0", n)
	}
	return c.run(ctx, running{kind: counted, left: n}, rec)
}

// upgrade makes a WebSocket of a connection, where the client wants one.
func (c *Client) upgrade(conn net.Conn) error {
	if c.opening == nil {
		return nil
	}
	return upgrade(conn, *c.opening, c.host, c.timeout)
}

// raise puts a new descriptor into service; the client owns it from here.
func (c *Client) raise(i, fd int) error {
	cn := &c.conns[i]
	cn.generation++
	if err := c.poller.watch(fd, readable, int32(i), cn.generation); err != nil {
		_ = unix.Close(fd)
		cn.state = down
		return fmt.Errorf("watching a connection: %w", err)
	}
	cn.fd, cn.state, cn.tries, cn.lost, cn.free = fd, idle, 0, nil, c.now()
	if cn.frames != nil {
		cn.frames.reset()
	}
	c.up++
	c.enqueue(i)
	return nil
}

// drop closes a connection; the next need of it redials.
func (c *Client) drop(i int) {
	cn := &c.conns[i]
	if cn.state != idle && cn.state != busy {
		return
	}
	if cn.state == busy {
		c.busy--
	}
	_ = unix.Close(cn.fd) // takes it out of the epoll too: it is the only copy
	cn.fd, cn.state, cn.out, cn.waits, cn.retry = -1, down, nil, false, 0
	c.up--
}

// dial redials a connection that is down, on another goroutine.
func (c *Client) dial(i int) {
	c.conns[i].state = dialing
	c.dials++
	redial, mail := c.redial, c.mail
	go func() {
		d := dialled{index: i, fd: -1}
		conn, err := redial()
		if err == nil && conn == nil {
			err = errors.New("no connection")
		}
		if err == nil {
			if err = c.upgrade(conn); err != nil {
				_ = conn.Close()
			} else {
				d.fd, err = takeOver(conn)
			}
		}
		d.err = err
		mail.put(d)
	}()
}

// collect takes what the redials have brought.
func (c *Client) collect(now time.Duration) {
	for _, d := range c.mail.take() {
		c.dials--
		cn := &c.conns[d.index]
		err := d.err
		if err == nil {
			err = c.raise(d.index, d.fd)
		}
		if err != nil {
			cn.state, cn.lost = down, err
			cn.retry = now + min(minRetry<<min(cn.tries, 10), maxRetry)
			cn.tries++
		}
	}
}

func (c *Client) enqueue(i int) {
	cn := &c.conns[i]
	if cn.queued {
		return // from before it was lost
	}
	cn.queued = true
	at := c.first + c.queued
	if at >= len(c.ring) {
		at -= len(c.ring)
	}
	c.ring[at] = int32(i)
	c.queued++
}

// dequeue takes the connection that was idle longest; -1: none is.
func (c *Client) dequeue() int {
	for c.queued > 0 {
		i := int(c.ring[c.first])
		if c.first++; c.first == len(c.ring) {
			c.first = 0
		}
		c.queued--
		c.conns[i].queued = false
		if c.conns[i].state == idle {
			return i
		}
	}
	return -1
}

// mail brings descriptors from the goroutines that redial to the one that asks.
type mail struct {
	wake   int // eventfd
	mu     sync.Mutex
	closed bool
	items  []dialled
}

// dialled is the outcome of one redial.
type dialled struct {
	index int
	fd    int
	err   error
}

func newMail() (*mail, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	return &mail{wake: fd}, err
}

func (m *mail) put(d dialled) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		if d.fd >= 0 {
			_ = unix.Close(d.fd)
		}
		return
	}
	m.items = append(m.items, d)
	_, _ = unix.Write(m.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // edge-triggered: each write wakes, none need be read
}

func (m *mail) take() []dialled {
	m.mu.Lock()
	defer m.mu.Unlock()
	items := m.items
	m.items = nil
	return items
}

func (m *mail) close() {
	for _, d := range m.take() {
		if d.fd >= 0 {
			_ = unix.Close(d.fd)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.closed = true
		_ = unix.Close(m.wake)
	}
}
