package github

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/duet-bench/duet/internal/github/fake"
)

const (
	comments = "/issues/3/comments"
	tooFast  = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
)

// faultCase is a fault, and what it leaves.
type faultCase struct {
	name   string
	there  func(*fake.Hub)
	fault  func(*fake.Hub)
	fails  any    // the error's type or sentinel; nil: posted
	says   string // in the error
	calls  int
	ours   int           // comments of ours that are left
	stale  bool          // what they say is the older text
	waited time.Duration // on limits and between writes; -1: some seconds of jitter
}

// check looks at what is left: ours, the human's who quotes the marker, and the time that was waited.
func (v faultCase) check(t *testing.T, h *fake.Hub, clock *fakeClock) {
	t.Helper()
	ours := 0
	for _, c := range h.Comments(3) {
		switch {
		case c.Author != bot:
			if len(c.History) != 1 {
				t.Errorf("%s's comment was changed to %q", c.Author, c.Body)
			}
			continue
		case (c.Body != bodyOf(t, now)) != v.stale:
			t.Errorf("our comment says %q, stale: want %v", c.Body, v.stale)
		}
		ours++
	}
	if humans := len(h.Comments(3)) - ours; ours != v.ours || humans != 1 {
		t.Errorf("%d comments of ours and %d of humans are left, want %d and 1", ours, humans, v.ours)
	}
	waited := time.Duration(0)
	for _, d := range clock.slept {
		waited += d
	}
	if v.waited >= 0 && waited != v.waited || v.waited < 0 && (waited == 0 || waited > time.Minute) {
		t.Errorf("waited %v, want %v", clock.slept, v.waited)
	}
}

// SECURITY.md, R11: what each fault of GitHub's leaves behind, after exactly how many calls.
func TestFaults(t *testing.T) {
	var limit *LimitError
	var unsure *UnsureError
	first := func(*fake.Hub) {}
	older := func(h *fake.Hub) { h.Say(3, bot, bodyOf(t, Stamp{Run: 6, Attempt: 1, Head: sha("a")})) }
	two := func(h *fake.Hub) { older(h); older(h) }
	breaks := func(method, path string, calls int, f fake.Fault) func(*fake.Hub) {
		return func(h *fake.Hub) { h.Break(method, path, calls, f) }
	}
	soon := fmt.Sprint(newFakeClock().now.Unix() + 30)
	for _, v := range []faultCase{
		{name: "none, the first comment", there: first, fault: first, calls: 5, ours: 1},
		{name: "none, an older comment", there: older, fault: first, calls: 5, ours: 1},
		{name: "none, two older comments", there: two, fault: first, calls: 8, ours: 1, waited: time.Second},

		{name: "403 with retry-after on the create", there: first, fault: breaks("POST", comments, 1, fake.Refuse(403, tooFast, "Retry-After", "7")), calls: 6, ours: 1, waited: 7 * time.Second},
		{name: "403 without a header on the create", there: first, fault: breaks("POST", comments, 1, fake.Refuse(403, tooFast)), calls: 6, ours: 1, waited: time.Minute},
		{name: "403 with a reset soon", there: first, fault: breaks("GET", comments, 1, fake.Refuse(403, "API rate limit exceeded", "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", soon)), calls: 6, ours: 1, waited: 31 * time.Second},
		{name: "403 with retry-after on the edit", there: older, fault: breaks("PATCH", "", 1, fake.Refuse(403, tooFast, "Retry-After", "7")), calls: 6, ours: 1, waited: 7 * time.Second},
		{name: "429 with retry-after", there: first, fault: breaks("POST", comments, 1, fake.Refuse(429, tooFast, "Retry-After", "7")), calls: 6, ours: 1, waited: 7 * time.Second},
		{name: "429 without a header", there: first, fault: breaks("GET", "/pulls/3", 1, fake.Refuse(429, tooFast)), calls: 6, ours: 1, waited: time.Minute},
		{name: "429 beyond all patience", there: first, fault: breaks("POST", comments, 1, fake.Refuse(429, tooFast, "Retry-After", "600")), fails: &limit, says: "10m0s", calls: 3},
		{name: "429 for ever", there: first, fault: breaks("", "", fake.Ever, fake.Refuse(429, tooFast)), fails: &limit, says: "artifact", calls: 4, waited: 3 * time.Minute},
		{name: "the hour's calls are used up", there: older, fault: func(h *fake.Hub) { h.Spend(0) }, fails: &limit, says: "1h0m", calls: 1, ours: 1, stale: true},
		{name: "the hour's calls end half-way", there: older, fault: func(h *fake.Hub) { h.Spend(2) }, fails: &limit, says: "1h0m", calls: 3, ours: 1, stale: true},

		{name: "502 twice, then good, on a read", there: first, fault: breaks("GET", "/pulls/3", 2, fake.Gateway(502)), calls: 7, ours: 1, waited: -1},
		{name: "502 twice, then good, on a list", there: first, fault: breaks("GET", comments, 2, fake.Gateway(502)), calls: 7, ours: 1, waited: -1},
		{name: "502 twice, then good, on the edit", there: older, fault: breaks("PATCH", "", 2, fake.Gateway(502)), calls: 7, ours: 1, waited: -1},
		{name: "502 twice, then good, on the create", there: first, fault: breaks("POST", "", 2, fake.Gateway(502)), calls: 11, ours: 1, waited: 2 * time.Second},
		{name: "502 after a create that was carried out", there: first, fault: breaks("POST", "", 1, fake.FailAfter(502)), calls: 5, ours: 1},
		{name: "502 after an edit that was carried out", there: older, fault: breaks("PATCH", "", 1, fake.FailAfter(502)), calls: 6, ours: 1, waited: -1},
		{name: "502 after a delete that was carried out", there: two, fault: breaks("DELETE", "", 1, fake.FailAfter(502)), calls: 9, ours: 1, waited: -1},
		{name: "503 for ever", there: older, fault: breaks("", "", fake.Ever, fake.Gateway(503)), says: "503", calls: 5, ours: 1, stale: true, waited: -1},
		{name: "503 for ever on the edit", there: older, fault: breaks("PATCH", "", fake.Ever, fake.Gateway(503)), says: "editing the comment", calls: 7, ours: 1, stale: true, waited: -1},
		{name: "503 for ever on the create", there: first, fault: breaks("POST", "", fake.Ever, fake.Gateway(503)), fails: &unsure, says: "503", calls: 18, waited: 5 * time.Second},
		{name: "503 for ever once the comment is made", there: first, fault: func(h *fake.Hub) {
			h.Break("POST", "", 1, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				next.ServeHTTP(w, r)
				h.Break("", "", fake.Ever, fake.Gateway(503))
			})
		}, says: "503", calls: 8, ours: 1, waited: -1},

		{name: "connection reset on a read", there: first, fault: breaks("GET", "/pulls/3", 1, fake.Reset), calls: 6, ours: 1, waited: -1},
		{name: "connection reset before a create", there: first, fault: breaks("POST", "", 1, fake.Reset), calls: 8, ours: 1, waited: time.Second},
		{name: "connection reset after a create that was carried out", there: first, fault: breaks("POST", "", 1, fake.ResetAfter), calls: 5, ours: 1},
		{name: "connection reset after an edit that was carried out", there: older, fault: breaks("PATCH", "", 1, fake.ResetAfter), calls: 6, ours: 1, waited: -1},
		{name: "connection reset after a delete that was carried out", there: two, fault: breaks("DELETE", "", 1, fake.ResetAfter), calls: 9, ours: 1, waited: -1},
		{name: "half of an answer to a create", there: first, fault: breaks("POST", "", 1, fake.Half), calls: 5, ours: 1},
		{name: "half of an answer to a list", there: older, fault: breaks("GET", comments, 1, fake.Half), calls: 6, ours: 1, waited: -1},
		{name: "half of an answer to an edit", there: older, fault: breaks("PATCH", "", 1, fake.Half), calls: 6, ours: 1, waited: -1},

		{name: "401", there: older, fault: func(h *fake.Hub) { h.Expire() }, says: "401 Bad credentials", calls: 1, ours: 1, stale: true},
		{name: "403 for want of rights", there: older, fault: func(h *fake.Hub) { h.Grant(map[string]string{"pull-requests": "read"}) }, fails: ErrReadOnly, says: "pull-requests: write", calls: 3, ours: 1, stale: true},
		{name: "403 for want of all rights", there: older, fault: func(h *fake.Hub) { h.Grant(nil) }, fails: ErrReadOnly, calls: 1, ours: 1, stale: true},
		{name: "403 for a locked conversation", there: first, fault: func(h *fake.Hub) {
			h.Open(fake.Pull{Number: 3, Head: sha("b"), Repository: "o/r", Locked: true})
		}, says: "locked", calls: 3},
		{name: "404 for the pull request", there: first, fault: breaks("GET", "/pulls/3", 1, fake.Refuse(404, "Not Found")), says: "404", calls: 1},
		{name: "422 for too long a text", there: older, fault: func(*fake.Hub) {}, says: "maximum is 65536", calls: 3, ours: 1, stale: true},
		{name: "the comment goes before the edit", there: older, fault: func(h *fake.Hub) {
			h.Break("PATCH", "", 1, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				h.Remove(2)
				next.ServeHTTP(w, r)
			})
		}, calls: 8, ours: 1, waited: time.Second},
		{name: "a page that is no JSON", there: older, fault: breaks("GET", comments, 1, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			fmt.Fprint(w, "<html>Please log in to the network</html>")
		}), says: "listing the comments", calls: 2, ours: 1, stale: true},
	} {
		t.Run(v.name, func(t *testing.T) {
			clock := newFakeClock()
			h := hub(t, fake.Options{Now: clock.Now})
			h.Say(3, "ann", marker+"\nwhat is this?")
			v.there(h)
			v.fault(h)
			c, err := New(Options{APIURL: h.URL, Token: fake.Token, Repository: "o/r", Clock: clock})
			if err != nil {
				t.Fatal(err)
			}
			text := textOf(now)
			if strings.HasPrefix(v.name, "422") {
				text += strings.Repeat("x", 70_000)
			}
			got, err := Upsert(t.Context(), c.Pull(3), Post{Author: bot, Stamp: now, Text: text})
			switch want := v.fails.(type) {
			case **LimitError:
				if !errors.As(err, want) {
					t.Errorf("got error %v, want a limit", err)
				}
			case **UnsureError:
				if !errors.As(err, want) {
					t.Errorf("got error %v, want that nobody knows", err)
				}
			case error:
				if !errors.Is(err, want) {
					t.Errorf("got error %v, want %v", err, want)
				}
			}
			switch failed := v.fails != nil || v.says != ""; {
			case failed && (err == nil || !strings.Contains(err.Error(), v.says)):
				t.Errorf("got %v, %v, want an error with %q", got, err, v.says)
			case !failed && (err != nil || got.Fate != Posted || got.Comment == 0):
				t.Errorf("got %v, %v, want it posted", got, err)
			}
			if calls := h.Calls(); len(calls) != v.calls {
				t.Errorf("%d calls, want %d:\n%v", len(calls), v.calls, calls)
			}
			v.check(t, h, clock)
		})
	}
}
