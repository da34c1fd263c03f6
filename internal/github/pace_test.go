package github

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeClock jumps instead of waiting.
type fakeClock struct {
	mu    sync.Mutex
	now   time.Time
	slept []time.Duration
}

func newFakeClock() *fakeClock { return &fakeClock{now: time.Unix(1_700_000_000, 0)} }

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	c.now = c.now.Add(d)
	c.slept = append(c.slept, d)
	return nil
}

// reply is one answer of a scripted server.
type reply struct {
	status  int
	headers map[string]string
	body    string
	reset   bool // the connection breaks instead
}

// scripted answers call after call; what comes after the script is 200.
func scripted(t *testing.T, script ...reply) (url string, calls func() []string) {
	t.Helper()
	var mu sync.Mutex
	var seen []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		i := len(seen)
		seen = append(seen, r.Method+" "+string(body))
		mu.Unlock()
		if i >= len(script) {
			fmt.Fprint(w, "good")
			return
		}
		if script[i].reset {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				conn.Close()
			}
			return
		}
		for k, v := range script[i].headers {
			w.Header().Set(k, v)
		}
		w.WriteHeader(script[i].status)
		fmt.Fprint(w, script[i].body)
	}))
	t.Cleanup(s.Close)
	return s.URL, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return seen
	}
}

func paced(clock Clock) *http.Client {
	return &http.Client{Transport: &pace{next: &http.Transport{DisableKeepAlives: true}, clock: clock}}
}

// SECURITY.md, R11: exact numbers of calls, waits and outcomes.
func TestPatience(t *testing.T) {
	at := func(seconds int) map[string]string {
		return map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": fmt.Sprint(1_700_000_000 + seconds)}
	}
	after := func(seconds int) map[string]string { return map[string]string{"Retry-After": fmt.Sprint(seconds)} }
	bad := reply{status: 502}
	for _, v := range []struct {
		name   string
		method string
		script []reply
		status int // of the answer handed over; 0: an error
		calls  int
		waits  time.Duration // exact; -1: jitter
		limit  bool
		unsure bool
	}{
		{name: "good", method: "GET", status: 200, calls: 1},
		{name: "403 with retry-after", method: "PATCH", script: []reply{{status: 403, headers: after(7)}}, status: 200, calls: 2, waits: 7 * time.Second},
		{name: "429 with retry-after", method: "POST", script: []reply{{status: 429, headers: after(7)}}, status: 200, calls: 2, waits: 7 * time.Second},
		{name: "429 without a header", method: "GET", script: []reply{{status: 429}}, status: 200, calls: 2, waits: time.Minute},
		{name: "403 without a header, a secondary limit in words", method: "GET", script: []reply{{status: 403, body: `{"message":"You have exceeded a secondary rate limit"}`}}, status: 200, calls: 2, waits: time.Minute},
		{name: "403 for want of rights", method: "POST", script: []reply{{status: 403, body: `{"message":"Resource not accessible by integration"}`}}, status: 403, calls: 1},
		{name: "primary limit, soon over", method: "GET", script: []reply{{status: 403, headers: at(30)}}, status: 200, calls: 2, waits: 31 * time.Second},
		{name: "primary limit, over in an hour", method: "GET", script: []reply{{status: 403, headers: at(3600)}}, limit: true, calls: 1},
		{name: "retry-after beyond all patience", method: "PATCH", script: []reply{{status: 403, headers: after(600)}}, limit: true, calls: 1},
		{name: "limits one after the other", method: "GET", script: []reply{{status: 429}, {status: 429}, {status: 429}, {status: 429}}, limit: true, calls: 4, waits: 3 * time.Minute},
		{name: "502 twice, then good", method: "PATCH", script: []reply{bad, bad}, status: 200, calls: 3, waits: -1},
		{name: "503 for ever", method: "GET", script: []reply{bad, bad, bad, bad, bad, bad}, status: 502, calls: 5, waits: -1},
		{name: "connection reset, then good", method: "GET", script: []reply{{reset: true}}, status: 200, calls: 2, waits: -1},
		{name: "502 on a create", method: "POST", script: []reply{bad}, unsure: true, calls: 1},
		{name: "connection reset on a create", method: "POST", script: []reply{{reset: true}}, unsure: true, calls: 1},
		{name: "422", method: "POST", script: []reply{{status: 422, body: "too long"}}, status: 422, calls: 1},
		{name: "404", method: "GET", script: []reply{{status: 404}}, status: 404, calls: 1},
	} {
		t.Run(v.name, func(t *testing.T) {
			url, calls := scripted(t, v.script...)
			clock := newFakeClock()
			request, err := http.NewRequestWithContext(t.Context(), v.method, url, strings.NewReader("body"))
			if err != nil {
				t.Fatal(err)
			}
			answer, err := paced(clock).Do(request)
			var limit *LimitError
			var unsure *UnsureError
			switch {
			case v.limit != errors.As(err, &limit), v.unsure != errors.As(err, &unsure):
				t.Errorf("got error %v", err)
			case v.status != 0 && (err != nil || answer.StatusCode != v.status):
				t.Errorf("got %v, %v, want status %d", answer, err, v.status)
			}
			if err == nil {
				answer.Body.Close()
			}
			if got := calls(); len(got) != v.calls {
				t.Errorf("%d calls, want %d", len(got), v.calls)
			} else {
				for _, call := range got {
					if call != v.method+" body" {
						t.Errorf("a call was %q, want its body every time", call)
					}
				}
			}
			sum := time.Duration(0)
			for _, d := range clock.slept {
				sum += d
			}
			between := v.waits // writes may wait for the second after the one before
			if v.waits >= 0 && sum != between {
				t.Errorf("waited %v, want %v", clock.slept, v.waits)
			}
			if v.waits < 0 && (sum == 0 || sum > time.Minute) {
				t.Errorf("waited %v, want some seconds", clock.slept)
			}
		})
	}
}

func TestWritesKeepASecond(t *testing.T) {
	url, calls := scripted(t)
	clock := newFakeClock()
	client := paced(clock)
	for range 3 {
		answer, err := client.Post(url, "application/json", strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
	}
	if len(calls()) != 3 || len(clock.slept) != 2 || clock.slept[0] != time.Second {
		t.Errorf("%d writes waited %v, want a second between each", len(calls()), clock.slept)
	}
}

func TestCallsAreBounded(t *testing.T) {
	url, calls := scripted(t)
	client := paced(newFakeClock())
	var err error
	for range callLimit + 1 {
		var answer *http.Response
		if answer, err = client.Get(url); err == nil {
			answer.Body.Close()
		}
	}
	var limit *LimitError
	if !errors.As(err, &limit) || len(calls()) != callLimit {
		t.Errorf("%d calls, then %v: want %d and a limit", len(calls()), err, callLimit)
	}
}

func TestCancelledWhileWaiting(t *testing.T) {
	url, _ := scripted(t, reply{status: 429})
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the job was cancelled")
	request, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	clock := &cancelling{fakeClock: newFakeClock(), cancel: func() { cancel(why) }}
	if _, err = paced(clock).Do(request); !errors.Is(err, why) && !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the cancellation", err)
	}
}

// cancelling ends the job when somebody waits.
type cancelling struct {
	*fakeClock
	cancel func()
}

func (c *cancelling) Sleep(ctx context.Context, _ time.Duration) error {
	c.cancel()
	<-ctx.Done()
	return context.Cause(ctx)
}
