//go:build linux && (amd64 || arm64)

package load

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

const (
	readable = unix.EPOLLIN | unix.EPOLLRDHUP
	writable = unix.EPOLLOUT
	hungUp   = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
)

// Rhythms of the loop.
const (
	// tick is how often it looks at the context, time-outs and lost connections.
	tick = 5 * time.Millisecond
	// spinLimit is how long a spinning client polls after the last send or answer. It covers the gaps of
	// 50 requests a second; after it the loop sleeps until spinAhead before the next start.
	spinLimit = 20 * time.Millisecond
	// spinAhead is more than a sleeping thread needs to wake.
	spinAhead = 300 * time.Microsecond
	// settleLimit is how long a slice waits beforehand for connections to be redialled.
	settleLimit = time.Second
)

// kind is when requests are due.
type kind uint8

const (
	resting kind = iota // between slices: none are
	open                // by the schedule
	closed              // as soon as a connection is free, until length is over
	counted             // as soon as a connection is free, left times
)

// running is a slice under way. Times are on the client's clock.
type running struct {
	kind   kind
	starts []time.Duration // open: still to come, counted from begin
	length time.Duration   // closed
	left   int             // counted: still to be sent
	begin  time.Duration
	until  time.Duration // closed, counted: no sends from here
	last   time.Duration // the last end of a request
	sent   time.Duration // the last send
	active time.Duration // the last send or end
	heard  time.Duration // the last answer
	tick   time.Duration // the next
	seenUp time.Duration // when a connection was last seen up
	fatal  error
	rec    *Recorder
	result Slice
}

// threadCPU is the CPU time of the calling thread. Two calls a slice cost nothing that could be measured.
func threadCPU() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) // cannot fail: the clock and the memory are there
	return time.Duration(t.Nano())
}

func (c *Client) now() time.Duration { return time.Since(c.epoch) }

// run carries out one slice on the calling goroutine, locked to its thread.
func (c *Client) run(ctx context.Context, s running, rec *Recorder) (Slice, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer sharpenTimers()()
	if rec == nil {
		rec = new(Recorder)
	}
	if err := c.settle(ctx); err != nil {
		return Slice{}, err
	}
	cpu := threadCPU()
	s.begin = c.now()
	s.until = math.MaxInt64
	if s.kind == closed {
		s.until = s.begin + s.length
	}
	s.last, s.sent, s.active, s.heard, s.seenUp = s.begin, s.begin, s.begin, s.begin, s.begin
	s.tick, s.rec = s.begin+tick, rec
	c.slice = s
	err := c.loop(ctx)
	if err != nil {
		c.abandon()
		c.slice.last = c.now()
	}
	result := c.slice.result
	result.Elapsed = c.slice.last - c.slice.begin
	result.Sent = c.slice.sent - c.slice.begin
	result.CPU = threadCPU() - cpu
	c.slice = running{} // lets go of starts and rec
	return result, err
}

// settle gets the connections ready before a slice begins: those that the service closed in the meantime
// are redialled, at nobody's expense.
func (c *Client) settle(ctx context.Context) error {
	now := c.now()
	c.slice = running{tick: now, seenUp: now}
	limit := now + min(c.timeout, settleLimit)
	if err := c.step(0); err != nil {
		return err
	}
	for {
		now = c.now()
		if now >= c.slice.tick {
			if err := c.onTick(ctx, now); err != nil {
				return err
			}
		}
		c.redialAll(now)
		if c.up > 0 && (c.dials == 0 || now >= limit) {
			return nil
		}
		if err := c.step(tick); err != nil {
			return err
		}
	}
}

// loop sends what is due and takes what comes, until all is answered.
func (c *Client) loop(ctx context.Context) error {
	s := &c.slice
	for {
		now := c.now()
		for s.due(now) {
			i := c.dequeue()
			if i < 0 {
				break
			}
			c.send(i, s.take(now), now)
			now = c.now()
		}
		switch {
		case s.fatal != nil:
			return s.fatal
		case c.busy == 0 && s.over(now):
			return nil
		case now >= s.tick:
			if err := c.onTick(ctx, now); err != nil {
				return err
			}
			continue
		}
		if err := c.step(c.rest(now)); err != nil {
			return err
		}
	}
}

// due says whether a request should be sent now.
func (s *running) due(now time.Duration) bool {
	switch s.kind {
	case open:
		return len(s.starts) > 0 && s.begin+s.starts[0] <= now
	case closed:
		return now < s.until
	case counted:
		return s.left > 0
	}
	return false
}

// take takes a request that is due off the plan and returns its intended start.
func (s *running) take(now time.Duration) time.Duration {
	switch s.kind {
	case open:
		now = s.begin + s.starts[0]
		s.starts = s.starts[1:]
	case counted:
		s.left--
	}
	return now
}

// over says whether no further request will be sent.
func (s *running) over(now time.Duration) bool {
	switch s.kind {
	case open:
		return len(s.starts) == 0
	case counted:
		return s.left == 0
	}
	return now >= s.until
}

// rest is how long to wait for events: 0 is to poll.
func (c *Client) rest(now time.Duration) time.Duration {
	s := &c.slice
	until := s.tick
	if s.kind != open {
		return min(until, max(s.until, now+1)) - now
	}
	wait := len(s.starts) > 0 && c.queued > 0
	if wait {
		until = min(until, s.begin+s.starts[0])
	}
	if !c.spin {
		return max(until-now, 1)
	}
	if now-s.active < spinLimit {
		return 0
	}
	if wait {
		until -= spinAhead
	}
	return max(until-now, 0)
}

// step waits for events and deals with them.
func (c *Client) step(timeout time.Duration) error {
	events, err := c.poller.wait(timeout)
	if err != nil {
		return err
	}
	for i := range events {
		tag, flags := events[i].Fd, events[i].Events
		if tag == wakeTag {
			c.collect(c.now())
		}
		if tag < 0 {
			continue
		}
		cn := &c.conns[tag]
		switch {
		case cn.generation != events[i].Pad:
		case cn.state == idle:
			c.unasked(int(tag))
		case cn.state == busy:
			if flags&writable != 0 && len(cn.out) > 0 {
				c.write(int(tag))
			}
			if flags&(readable|hungUp) != 0 && cn.state == busy {
				c.read(int(tag), flags&hungUp != 0)
			}
		}
	}
	return nil
}

// unasked deals with what an idle connection says: its end, or bytes that nobody asked for (a 408 before
// the end, say). Neither belongs to a request; the connection is replaced.
func (c *Client) unasked(i int) {
	cn := &c.conns[i]
	n, errno := receive(cn.fd, c.buffer)
	if errno == unix.EAGAIN || errno == unix.EINTR {
		return
	}
	if cn.frames == nil || errno != 0 || n == 0 || n == len(c.buffer) || !c.control(cn, c.buffer[:n]) {
		c.drop(i)
	}
}

// control takes what a service says over an idle WebSocket: control frames, of which pings are answered.
func (c *Client) control(cn *conn, b []byte) (well bool) {
	f := cn.frames
	if _, err := f.feed(b); err != nil || f.ended() {
		return false
	}
	if len(f.pong) == 0 {
		return true
	}
	n, errno := send(cn.fd, f.pong)
	well = errno == 0 && n == len(f.pong)
	f.pong = nil
	return well
}

// send sends the next request on an idle connection.
func (c *Client) send(i int, due, now time.Duration) {
	cn, s := &c.conns[i], &c.slice
	cn.request = &c.requests[c.next]
	if c.next++; c.next == len(c.requests) {
		c.next = 0
	}
	if cn.frames == nil {
		cn.answer.expect(cn.request)
	} else {
		cn.frames.expect(cn.request)
	}
	cn.state, cn.out, cn.due, cn.sent = busy, cn.request.bytes, due, now
	c.busy++
	s.active, s.sent = now, now
	if s.kind == open {
		s.rec.Lateness.Record(now - max(due, cn.free))
	}
	c.write(i)
}

// write writes what the socket takes of the request.
func (c *Client) write(i int) {
	cn := &c.conns[i]
	n, errno := send(cn.fd, cn.out)
	switch {
	case errno == 0 && n == len(cn.out):
		cn.out = nil
		if cn.waits {
			cn.waits = false
			c.rewatch(i, readable)
		}
		if cn.frames != nil && cn.state == busy {
			c.reply(i)
		}
	case errno == 0:
		cn.out, cn.waits = cn.out[n:], true
		c.rewatch(i, readable|writable)
	case errno == unix.EAGAIN || errno == unix.EINTR:
		cn.waits = true
		c.rewatch(i, readable|writable)
	default:
		c.broken(i, fmt.Errorf("sending: %w", errno))
	}
}

// reply answers a ping, once no message is half sent.
func (c *Client) reply(i int) {
	cn := &c.conns[i]
	if len(cn.out) == 0 && len(cn.frames.pong) > 0 {
		cn.out, cn.frames.pong = cn.frames.pong, nil
		c.write(i)
	}
}

func (c *Client) rewatch(i int, events uint32) {
	cn := &c.conns[i]
	if err := c.poller.rewatch(cn.fd, events, int32(i), cn.generation); err != nil {
		c.broken(i, fmt.Errorf("watching: %w", err))
	}
}

// read takes what came of the answer. A read that does not fill the buffer has emptied the socket, and what
// comes later is another event; hung says that the end of the stream may have come with this one.
func (c *Client) read(i int, hung bool) {
	cn := &c.conns[i]
	for {
		n, errno := receive(cn.fd, c.buffer)
		switch errno {
		case 0:
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return
		default:
			c.broken(i, fmt.Errorf("receiving: %w", errno))
			return
		}
		c.slice.result.BytesRead += int64(n)
		done, err := cn.take(c.buffer[:n])
		if cn.frames != nil && err == nil {
			if c.reply(i); cn.state != busy {
				return // it broke
			}
		}
		switch {
		case err != nil:
			c.broken(i, err)
			return
		case done:
			c.answered(i, hung)
			return
		case n < len(c.buffer) && !hung:
			return
		}
	}
}

// take takes bytes of the answer, none at the end of the stream.
func (cn *conn) take(b []byte) (done bool, err error) {
	switch {
	case cn.frames != nil && len(b) == 0:
		return false, cn.frames.eof()
	case cn.frames != nil:
		return cn.frames.feed(b)
	case len(b) == 0:
		return cn.answer.eof()
	}
	return cn.answer.feed(b)
}

// answered closes the books on a request and gives the connection the next one that is due.
func (c *Client) answered(i int, hung bool) {
	cn, s := &c.conns[i], &c.slice
	now := c.now()
	c.spoken = true
	s.rec.Latency.Record(now - cn.due)
	if s.kind == open { // else it is the latency
		s.rec.Service.Record(now - cn.sent)
	}
	s.result.Requests++
	s.last, s.active, s.heard = now, now, now
	r := cn.request
	switch {
	case r.status != 0 && r.status != cn.answer.status:
		s.result.Errors++
		s.result.Failures.Status.note(func() string {
			return r.describe(fmt.Sprintf("status %d, expected %d", cn.answer.status, r.status))
		})
	case cn.frames != nil:
		if wrong := cn.frames.wrong(); wrong != "" {
			s.result.Errors++
			s.result.Failures.Mismatch.note(func() string { return r.describe(wrong) })
		}
	case !cn.answer.found:
		s.result.Errors++
		s.result.Failures.Mismatch.note(func() string {
			return r.describe(fmt.Sprintf("body of %d bytes without %q", cn.answer.body, r.contains))
		})
	}
	if cn.answer.close || hung || cn.frames != nil && cn.frames.ended() || len(cn.out) > 0 {
		c.drop(i)
		if !s.over(now) {
			c.redialOne(i, now)
		}
		return
	}
	c.busy--
	cn.state, cn.free = idle, now
	// Requests that wait are served in order, but only when no other connection is idle do any wait.
	if s.due(now) && c.queued == 0 {
		c.send(i, s.take(now), now)
		return
	}
	c.enqueue(i)
}

// broken closes the books on a request that will not be answered, and its connection.
func (c *Client) broken(i int, err error) {
	cn, s := &c.conns[i], &c.slice
	now := c.now()
	if !c.spoken && (errors.Is(err, ErrTLS) || errors.Is(err, ErrHTTP2) || errors.Is(err, ErrNotHTTP)) {
		s.fatal = fmt.Errorf("asking %s: %w", cn.request.title, err)
	}
	s.result.Requests++
	s.result.Errors++
	s.result.Failures.Broken.note(func() string { return cn.request.describe(err.Error()) })
	s.last, s.active = now, now
	c.drop(i)
	if !s.over(now) {
		c.redialOne(i, now)
	}
}

// describe says what went wrong with a request, the outcome first: the path may be long.
func (r *request) describe(what string) string {
	text := what + " (" + r.title
	if r.name != "" {
		text += ", " + r.name
	}
	return text + ")"
}

// onTick looks at what takes its time: the context, time-outs, lost connections.
func (c *Client) onTick(ctx context.Context, now time.Duration) error {
	s := &c.slice
	s.tick = now + tick
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	c.expire(now)
	if s.kind == counted && now-s.heard > c.timeout {
		return fmt.Errorf("asking: %w for %v", ErrStalled, c.timeout)
	}
	if s.kind != resting && s.over(now) {
		return nil
	}
	c.redialAll(now)
	return c.checkUp(now)
}

// expire gives up requests that took longer than Timeout since their intended start, sent or not: so a
// slice ends at most a Timeout after its last start.
func (c *Client) expire(now time.Duration) {
	s := &c.slice
	for i := range c.conns {
		cn := &c.conns[i]
		if cn.state != busy || now-cn.due <= c.timeout {
			continue
		}
		if s.kind == open {
			s.rec.Service.Record(now - cn.sent)
		}
		c.timedOut(cn.due, now, func() string {
			return cn.request.describe(fmt.Sprintf("no whole answer within %v", c.timeout))
		})
		c.drop(i)
	}
	for s.kind == open && len(s.starts) > 0 && now-s.begin-s.starts[0] > c.timeout {
		c.timedOut(s.take(now), now, func() string {
			return fmt.Sprintf("not sent within %v: no connection was free", c.timeout)
		})
	}
}

func (c *Client) timedOut(due, now time.Duration, describe func() string) {
	s := &c.slice
	s.rec.Latency.Record(now - due)
	s.result.Requests++
	s.result.Errors++
	s.result.Failures.Timeout.note(describe)
	s.last, s.active = now, now
}

// redialAll redials every connection that is down and not waiting for its next attempt.
func (c *Client) redialAll(now time.Duration) {
	if c.up+c.dials == len(c.conns) {
		return
	}
	for i := range c.conns {
		c.redialOne(i, now)
	}
}

func (c *Client) redialOne(i int, now time.Duration) {
	if cn := &c.conns[i]; c.redial != nil && cn.state == down && now >= cn.retry {
		c.dial(i)
	}
}

// checkUp ends the slice when there is nobody left to ask: each redial has failed maxTries times in a row,
// or none has worked for a Timeout.
func (c *Client) checkUp(now time.Duration) error {
	if c.up > 0 {
		c.slice.seenUp = now
		return nil
	}
	lost := 0
	why := errors.New("closed by the service")
	for i := range c.conns {
		cn := &c.conns[i]
		if cn.lost != nil {
			why = cn.lost
		}
		if cn.state == down && (c.redial == nil || cn.tries >= maxTries) {
			lost++
		}
	}
	if lost < len(c.conns) && now-c.slice.seenUp <= c.timeout {
		return nil
	}
	return fmt.Errorf("asking: %w: %w", ErrDown, why)
}

// abandon closes the connections that still owe an answer: it must not meet the next request.
func (c *Client) abandon() {
	for i := range c.conns {
		if c.conns[i].state == busy {
			c.drop(i)
		}
	}
}
