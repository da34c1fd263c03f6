package github

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// GitHub's own advice on limits (docs.github.com, "Best practices for using the REST API"): one call at a time, a second
// between writes; after a refusal wait what retry-after says, else until x-ratelimit-reset, else a minute.
const (
	betweenWrites = time.Second
	unsaidWait    = time.Minute
	// patience bounds all waiting of one publishing: a report that comes later than this comes by summary and artifact.
	patience = 3 * time.Minute
	// tries bounds how often one call is made.
	tries = 5
	// firstBackoff is doubled from try to try, with jitter, where the server failed.
	firstBackoff = 2 * time.Second
	// callLimit bounds the calls of one publishing; GITHUB_TOKEN has 1,000 an hour for the whole repository.
	callLimit = 30
)

// Clock is time as far as waiting goes; tests have one that does not wait.
type Clock interface {
	Now() time.Time
	Sleep(ctx context.Context, d time.Duration) error
}

type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }

func (realClock) Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// LimitError says that GitHub asks for more patience than publishing has, or that the calls are used up.
type LimitError struct {
	Wait time.Duration // asked for; 0: the calls are used up
}

func (e *LimitError) Error() string {
	if e.Wait == 0 {
		return fmt.Sprintf("GitHub's API was called %d times: no further call is made for one report", callLimit)
	}
	return fmt.Sprintf("GitHub's API limits calls and asks to wait %s, more than is left of %s: the report is in the job summary and the artifact", e.Wait.Round(time.Second), patience)
}

// UnsureError is a write of which nobody knows whether GitHub carried it out: the connection broke or the server
// failed. It is never repeated blindly: look first.
type UnsureError struct{ Err error }

func (e *UnsureError) Error() string {
	return "GitHub may or may not have carried out the write: " + e.Err.Error()
}

func (e *UnsureError) Unwrap() error { return e.Err }

// pace is a transport that makes one call at a time, keeps to GitHub's limits and repeats what may be repeated.
// go-github knows of 403 only and refuses calls on its own after a limit: limits end here and it never sees one.
type pace struct {
	next  http.RoundTripper
	clock Clock

	mu        sync.Mutex
	calls     int
	waited    time.Duration
	lastWrite time.Time
}

// RoundTrip carries out a call. Its errors are a *LimitError, an *UnsureError, the context's or the network's.
func (p *pace) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	write := r.Method != http.MethodGet && r.Method != http.MethodHead
	for try := 1; ; try++ {
		answer, err := p.once(r, write, try)
		if err != nil && r.Context().Err() != nil {
			return nil, context.Cause(r.Context())
		}
		wait, why := p.verdict(answer, err, r.Method, try)
		if why != nil {
			return nil, why
		}
		if wait == 0 {
			return p.plain(answer), err
		}
		if err := p.wait(r.Context(), wait); err != nil {
			return nil, err
		}
	}
}

// once makes the call, a second after the last write where it writes.
func (p *pace) once(r *http.Request, write bool, try int) (*http.Response, error) {
	if p.calls++; p.calls > callLimit {
		return nil, &LimitError{}
	}
	if write {
		if gap := p.clock.Now().Sub(p.lastWrite); !p.lastWrite.IsZero() && gap < betweenWrites {
			if err := p.clock.Sleep(r.Context(), betweenWrites-gap); err != nil {
				return nil, err
			}
		}
		defer func() { p.lastWrite = p.clock.Now() }()
	}
	again := r.Clone(r.Context())
	if try > 1 && r.GetBody != nil {
		body, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		again.Body = body
	}
	answer, err := p.next.RoundTrip(again)
	if err != nil {
		return nil, err
	}
	return whole(answer)
}

// maxAnswer bounds an answer, in bytes: the largest is a page of 100 comments of 65,536 characters.
const maxAnswer = 64 << 20

// errTooLarge is no failure that another try mends.
var errTooLarge = fmt.Errorf("GitHub's answer has more than %d bytes", maxAnswer)

// whole reads an answer to its end: one that breaks off half-way is a broken call, and is to be repeated or looked after
// like one.
func whole(answer *http.Response) (*http.Response, error) {
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	answer.Body.Close()
	switch {
	case err != nil:
		return nil, fmt.Errorf("GitHub's answer broke off: %w", err)
	case len(text) > maxAnswer:
		return nil, errTooLarge
	}
	answer.Body = io.NopCloser(bytes.NewReader(text))
	return answer, nil
}

// verdict says what becomes of an answer: how long to wait before the next try, or 0 to hand it over; why is set where
// neither will do.
func (p *pace) verdict(answer *http.Response, err error, method string, try int) (wait time.Duration, why error) {
	var limit *LimitError
	if errors.As(err, &limit) {
		return 0, limit
	}
	failed := err != nil || answer.StatusCode >= 500
	switch {
	case failed && method == http.MethodPost:
		if err == nil {
			err = fmt.Errorf("status %s", answer.Status)
		}
		return 0, &UnsureError{err}
	case errors.Is(err, errTooLarge):
		return 0, err
	case failed && try < tries:
		backoff := firstBackoff << (try - 1)
		return backoff/2 + rand.N(backoff), nil
	case err != nil:
		return 0, err
	case !limited(answer):
		return 0, nil
	}
	wait = p.asked(answer)
	if try == tries || p.waited+wait > patience {
		return 0, &LimitError{Wait: wait}
	}
	return wait, nil
}

// limited says whether an answer is a refusal for too many calls: 429, or 403 with one of the limits' headers or words.
// A 403 without is a refusal for want of rights.
func limited(answer *http.Response) bool {
	switch answer.StatusCode {
	case http.StatusTooManyRequests:
		return true
	case http.StatusForbidden:
		return answer.Header.Get("Retry-After") != "" || answer.Header.Get("X-RateLimit-Remaining") == "0" || secondary(answer)
	}
	return false
}

// secondary says whether a 403 speaks of a secondary rate limit, which may come without any header. The body stays
// readable.
func secondary(answer *http.Response) bool {
	text, _ := io.ReadAll(answer.Body) // from memory
	answer.Body = io.NopCloser(bytes.NewReader(text))
	return strings.Contains(strings.ToLower(string(text)), "rate limit")
}

// asked is how long GitHub asks to wait.
func (p *pace) asked(answer *http.Response) time.Duration {
	if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil && seconds >= 0 {
		return max(time.Duration(seconds)*time.Second, time.Second)
	}
	if answer.Header.Get("X-RateLimit-Remaining") == "0" {
		if at, err := strconv.ParseInt(answer.Header.Get("X-RateLimit-Reset"), 10, 64); err == nil {
			return max(time.Unix(at, 0).Sub(p.clock.Now())+time.Second, time.Second)
		}
	}
	return unsaidWait
}

func (p *pace) wait(ctx context.Context, d time.Duration) error {
	if p.waited += d; p.waited > patience {
		return &LimitError{Wait: d}
	}
	return p.clock.Sleep(ctx, d)
}

// plain hides the limits' headers: go-github would refuse the next call on its own where they are used up.
func (p *pace) plain(answer *http.Response) *http.Response {
	if answer != nil {
		answer.Header.Del("X-RateLimit-Remaining")
		answer.Header.Del("X-RateLimit-Reset")
	}
	return answer
}
