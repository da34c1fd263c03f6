package github

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/duet-bench/duet/internal/github/fake"
)

const listed = "/issues"

// issueHub is a hub whose token may keep issues, with a human's issue that quotes the marker.
func issueHub(t fake.T, o fake.Options, quoted string) *fake.Hub {
	h := fake.New(t, o)
	h.Grant(map[string]string{"contents": "write", "issues": "write"})
	h.File(fake.Issue{Author: "ann", Title: "what is this?", Body: quoted})
	return h
}

// issueFault is a fault, and what it leaves.
type issueFault struct {
	name   string
	there  func(*fake.Hub)
	closed bool // nothing stands any more
	fault  func(*fake.Hub)
	fails  any    // the error's type or sentinel; nil: kept
	says   string // in the error
	calls  int
	ours   []string      // our issues as "STATE RUN", the oldest first; RUN 0: no marker any more
	waited time.Duration // on limits and between writes; -1: some seconds of jitter
}

// left are our issues.
func (v issueFault) left(h *fake.Hub) (ours []string) {
	for _, i := range h.Issues() {
		if i.Author != bot {
			continue
		}
		state := "open"
		if i.Closed {
			state = i.Reason
		}
		ours = append(ours, fmt.Sprintf("%s %d", state, aboutOf(i.Body).Run))
	}
	return ours
}

func (v issueFault) check(t *testing.T, h *fake.Hub, clock *fakeClock, quoted string) {
	t.Helper()
	if got := v.left(h); !slices.Equal(got, v.ours) {
		t.Errorf("ours are %q, want %q", got, v.ours)
	}
	if ann := h.Issues()[0]; ann.Body != quoted || ann.Closed || len(ann.History) != 1 {
		t.Errorf("ann's issue was touched: %+v", ann)
	}
	waited := time.Duration(0)
	for _, d := range clock.slept {
		waited += d
	}
	if v.waited >= 0 && waited != v.waited || v.waited < 0 && (waited == 0 || waited > time.Minute) {
		t.Errorf("waited %v, want %v", clock.slept, v.waited)
	}
	if calls := h.Calls(); len(calls) != v.calls {
		t.Errorf("%d calls, want %d:\n%v", len(calls), v.calls, calls)
	}
}

// SECURITY.md, R11: what each fault of GitHub's leaves of the one issue, after exactly how many calls.
func TestIssueFaults(t *testing.T) {
	var limit *LimitError
	var unsure *UnsureError
	first := func(*fake.Hub) {}
	file := func(run int64, closed bool) func(*fake.Hub) {
		return func(h *fake.Hub) {
			i := fake.Issue{Author: bot, Title: "slower", Body: issueBody(t, run), Labels: []string{label}, Closed: closed}
			if closed {
				i.Reason = "completed"
			}
			h.File(i)
		}
	}
	older, shut := file(6, false), file(6, true)
	two := func(h *fake.Hub) { file(5, false)(h); older(h) }
	breaks := func(method, path string, calls int, f fake.Fault) func(*fake.Hub) {
		return func(h *fake.Hub) { h.Break(method, path, calls, f) }
	}
	opened, updated := []string{"open 7"}, []string{"open 7"}
	stale := []string{"open 6"}
	for _, v := range []issueFault{
		{name: "none, the first", there: first, fault: first, calls: 3, ours: opened},
		{name: "none, nothing stands and none is there", there: first, closed: true, fault: first, calls: 1},
		{name: "none, an update", there: older, fault: first, calls: 3, ours: updated},
		{name: "none, it is gone", there: older, closed: true, fault: first, calls: 3, ours: []string{"completed 7"}},
		{name: "none, it is back", there: shut, fault: first, calls: 3, ours: opened},
		{name: "none, two of ours", there: two, fault: first, calls: 5, ours: []string{"open 7", "not_planned 0"}, waited: time.Second},
		{name: "a pull request is no issue", there: func(h *fake.Hub) {
			h.File(fake.Issue{Author: bot, Title: "x", Body: issueBody(t, 6), Pull: true, Closed: true, Reason: "completed"})
		}, fault: first, calls: 3, ours: []string{"completed 6", "open 7"}},

		{name: "403 with retry-after on the list", there: older, fault: breaks("GET", listed, 1, fake.Refuse(403, tooFast, "Retry-After", "7")), calls: 4, ours: updated, waited: 7 * time.Second},
		{name: "403 with retry-after on the create", there: first, fault: breaks("POST", listed, 1, fake.Refuse(403, tooFast, "Retry-After", "7")), calls: 4, ours: opened, waited: 7 * time.Second},
		{name: "403 without a header on the edit", there: older, fault: breaks("PATCH", "", 1, fake.Refuse(403, tooFast)), calls: 4, ours: updated, waited: time.Minute},
		{name: "429 on the list again", there: first, fault: func(h *fake.Hub) {
			h.Break("GET", listed, 1, nil0)
			h.Break("GET", listed, 1, fake.Refuse(429, tooFast, "Retry-After", "7"))
		}, calls: 4, ours: opened, waited: 7 * time.Second},
		{name: "429 beyond all patience", there: first, fault: breaks("POST", listed, 1, fake.Refuse(429, tooFast, "Retry-After", "600")), fails: &limit, says: "10m0s", calls: 2},
		{name: "429 for ever", there: older, fault: breaks("", "", fake.Ever, fake.Refuse(429, tooFast)), fails: &limit, says: "artifact", calls: 4, ours: stale, waited: 3 * time.Minute},
		{name: "the hour's calls are used up", there: older, fault: func(h *fake.Hub) { h.Spend(0) }, fails: &limit, says: "1h0m", calls: 1, ours: stale},

		{name: "502 twice, then good, on the list", there: older, fault: breaks("GET", listed, 2, fake.Gateway(502)), calls: 5, ours: updated, waited: -1},
		{name: "502 twice, then good, on the edit", there: older, fault: breaks("PATCH", "", 2, fake.Gateway(502)), calls: 5, ours: updated, waited: -1},
		{name: "502 twice, then good, on the create", there: first, fault: breaks("POST", listed, 2, fake.Gateway(502)), calls: 7, ours: opened, waited: 2 * time.Second},
		{name: "502 after a create that was carried out", there: first, fault: breaks("POST", listed, 1, fake.FailAfter(502)), calls: 3, ours: opened},
		{name: "502 after an edit that was carried out", there: older, fault: breaks("PATCH", "", 1, fake.FailAfter(502)), calls: 4, ours: updated, waited: -1},
		{name: "503 for ever", there: older, fault: breaks("", "", fake.Ever, fake.Gateway(503)), says: "503", calls: 5, ours: stale, waited: -1},
		{name: "503 for ever on the edit", there: older, fault: breaks("PATCH", "", fake.Ever, fake.Gateway(503)), says: "editing the issue", calls: 6, ours: stale, waited: -1},
		{name: "503 for ever on the create", there: first, fault: breaks("POST", listed, fake.Ever, fake.Gateway(503)), fails: &unsure, says: "503", calls: 12, waited: 5 * time.Second},

		{name: "reset on the list", there: older, fault: breaks("GET", listed, 1, fake.Reset), calls: 4, ours: updated, waited: -1},
		{name: "reset before a create", there: first, fault: breaks("POST", listed, 1, fake.Reset), calls: 5, ours: opened, waited: time.Second},
		{name: "reset after a create that was carried out", there: first, fault: breaks("POST", listed, 1, fake.ResetAfter), calls: 3, ours: opened},
		{name: "reset after an edit that was carried out", there: older, fault: breaks("PATCH", "", 1, fake.ResetAfter), calls: 4, ours: updated, waited: -1},
		{name: "half of an answer to a create", there: first, fault: breaks("POST", listed, 1, fake.Half), calls: 3, ours: opened},
		{name: "half of an answer to a list", there: older, fault: breaks("GET", listed, 1, fake.Half), calls: 4, ours: updated, waited: -1},
		{name: "reset while a label is added", there: func(h *fake.Hub) {
			h.File(fake.Issue{Author: bot, Title: "slower", Body: issueBody(t, 7)})
		}, fault: breaks("POST", "/labels", 1, fake.ResetAfter), fails: &unsure, says: "labelling", calls: 2, ours: []string{"open 7"}},

		{name: "401", there: older, fault: func(h *fake.Hub) { h.Expire() }, says: "401 Bad credentials", calls: 1, ours: stale},
		{name: "403 for want of rights", there: older, fault: func(h *fake.Hub) { h.Grant(map[string]string{"issues": "read"}) }, fails: ErrNoIssues, says: "issues: write", calls: 2, ours: stale},
		{name: "410: issues are turned off", there: first, fault: func(h *fake.Hub) { h.NoIssues() }, fails: ErrNoIssues, says: "turned off", calls: 1},
		{name: "the issue is deleted before the edit", there: older, fault: func(h *fake.Hub) {
			h.Break("PATCH", "", 1, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				h.Erase(102)
				next.ServeHTTP(w, r)
			})
		}, calls: 5, ours: opened, waited: time.Second},
		{name: "a page that is no JSON", there: older, fault: breaks("GET", listed, 1, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			fmt.Fprint(w, "<html>Please log in to the network</html>")
		}), says: "listing the issues", calls: 1, ours: stale},
		{name: "too many issues to look through", there: func(h *fake.Hub) {
			for range 1001 {
				h.File(fake.Issue{Author: bot, Title: "x", Closed: true, Reason: "not_planned"})
			}
		}, fault: first, says: "more than 1000 issues", calls: 10, ours: slices.Repeat([]string{"not_planned 0"}, 1001)},
	} {
		t.Run(v.name, func(t *testing.T) {
			clock := newFakeClock()
			quoted := issueBody(t, 4)
			h := issueHub(t, fake.Options{Now: clock.Now}, quoted)
			v.there(h)
			v.fault(h)
			c, err := New(Options{APIURL: h.URL, Token: fake.Token, Repository: "o/r", Clock: clock})
			if err != nil {
				t.Fatal(err)
			}
			got, err := KeepIssue(t.Context(), c.Issues(), standing(7, !v.closed))
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
				t.Errorf("got %+v, %v, want an error with %q", got, err, v.says)
			case !failed && (err != nil || got.Open == v.closed):
				t.Errorf("got %+v, %v, want it kept", got, err)
			}
			v.check(t, h, clock, quoted)
		})
	}
}

// nil0 lets a call pass.
func nil0(w http.ResponseWriter, r *http.Request, next http.Handler) { next.ServeHTTP(w, r) }

// Two real clients, against GitHub's API: however their calls fall, one issue of ours is left open.
func TestTwoRecorders(t *testing.T) {
	for name, v := range map[string]struct {
		there bool
		many  bool // orders: some hundred, each with a server of its own, which the race detector is spared
	}{
		"no issue yet": {many: true}, "an older issue": {there: true},
	} {
		if raceDetected && v.many {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			transport := &http.Transport{}
			t.Cleanup(transport.CloseIdleConnections)
			orders := schedule(t, func(gates []func()) ([]func(), func(string)) {
				scope := &scoped{T: t}
				h := issueHub(scope, fake.Options{}, issueBody(t, 4))
				if v.there {
					h.File(fake.Issue{Author: bot, Title: "slower", Body: issueBody(t, 5), Labels: []string{label}})
				}
				var errs [2]error
				act := func(i int) func() {
					return func() {
						c, err := New(Options{APIURL: h.URL, Token: fake.Token, Repository: "o/r", Clock: newFakeClock(), Transport: gated{gate: gates[i], next: transport}})
						if err != nil {
							t.Error(err)
							return
						}
						_, errs[i] = KeepIssue(t.Context(), c.Issues(), standing(int64(7+i), true))
					}
				}
				return []func(){act(0), act(1)}, func(order string) {
					defer scope.end()
					open, ours := 0, 0
					for _, i := range h.Issues()[1:] {
						if !i.Closed {
							open++
						}
						if strings.HasPrefix(i.Body, nightMarker) {
							ours++
						}
					}
					if open != 1 || ours != 1 || errs[0] != nil || errs[1] != nil {
						t.Fatalf("order %s: errors %v, %d open, %d of ours\n%v", order, errs, open, ours, h.Calls())
					}
				}
			}, 2)
			t.Logf("%d orders", orders)
			if orders < 20 {
				t.Errorf("only %d orders: the schedule has no choice", orders)
			}
		})
	}
}
