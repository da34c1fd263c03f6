package github

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/github/fake"
)

// gated lets a client's calls through when the schedule says so.
type gated struct {
	gate   func()
	coarse bool // a look at the head and the comments is one step
	next   http.RoundTripper
}

func (g gated) RoundTrip(r *http.Request) (*http.Response, error) {
	if !g.coarse || r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, "/comments") {
		g.gate()
	}
	return g.next.RoundTrip(r)
}

// SECURITY.md, M3, with two real clients against GitHub's API: however their calls fall, one comment is left, about the
// newest head. TestEveryInterleaving has the cases with too many orders for this.
func TestTwoClients(t *testing.T) {
	before, older, newer := Stamp{Run: 5, Attempt: 1, Head: sha("0")}, Stamp{Run: 7, Attempt: 1, Head: sha("a")}, Stamp{Run: 8, Attempt: 1, Head: sha("b")}
	again := Stamp{Run: 7, Attempt: 2, Head: sha("b")}
	for _, v := range []struct {
		name   string
		there  []Stamp // of our comments
		posts  [2]Stamp
		moves  bool       // head moves on from the first's to the second's just before the second begins
		coarse bool       // every order of single calls would be thousands
		fault  fake.Fault // of the first create
	}{
		{name: "head had moved, no comment yet", posts: [2]Stamp{older, newer}},
		{name: "head had moved, a create is unsure", posts: [2]Stamp{older, newer}, fault: fake.ResetAfter},
		{name: "an older run's comment of the newest head", there: []Stamp{again}, posts: [2]Stamp{older, newer}, moves: true},
		{name: "head moves, an older comment", there: []Stamp{before}, posts: [2]Stamp{older, newer}, moves: true, coarse: true},
		{name: "two runs of one head, an older comment", there: []Stamp{before}, posts: [2]Stamp{again, newer}, coarse: true},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			transport := &http.Transport{}
			t.Cleanup(transport.CloseIdleConnections)
			orders := schedule(t, func(gates []func()) ([]func(), func(string)) {
				scope := &scoped{T: t}
				h := fake.New(scope, fake.Options{})
				h.Open(fake.Pull{Number: 3, Head: newer.Head, Repository: "o/r"})
				h.Say(3, "ann", marker+"\nwhat is this?")
				for _, s := range v.there {
					h.Say(3, bot, bodyOf(t, s))
				}
				if v.moves {
					h.Push(3, v.posts[0].Head)
				}
				if v.fault != nil {
					h.Break("POST", "", 1, v.fault)
				}
				runs := &fakePull{ended: map[string]Stamp{}}
				var errs [2]error
				act := func(i int) func() {
					return func() {
						a := actor{runs, gates[i]}
						a.step(func() { // the run has ended, and what it left is there before it publishes
							runs.ended[v.posts[i].Head] = v.posts[i]
							if i == 1 {
								h.Push(3, newer.Head)
							}
						})
						c, err := New(Options{APIURL: h.URL, Token: fake.Token, Repository: "o/r", Clock: newFakeClock(), Transport: gated{gates[i], v.coarse, transport}})
						if err != nil {
							t.Error(err)
							return
						}
						_, errs[i] = Upsert(t.Context(), c.Pull(3), post(a, v.posts[i]))
					}
				}
				return []func(){act(0), act(1)}, func(order string) {
					defer scope.end()
					about := fmt.Sprintf("\n<!-- duet:run 8.1 %s -->\n", newer.Head)
					if v.posts[0] == again || len(v.there) > 0 && v.there[0] == again { // either run is about the newest head
						about = newer.Head + " -->\n"
					}
					all := h.Comments(3)
					if len(all) != 2 || all[0].Author != "ann" || !strings.Contains(all[1].Body, about) || errs[0] != nil || errs[1] != nil {
						t.Fatalf("order %s: errors %v, comments %v, want ann's and one of ours about %.7s\n%v", order, errs, all, newer.Head, h.Calls())
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

// scoped ends what a hub started before the test ends: each order has a hub of its own.
type scoped struct {
	*testing.T
	cleanups []func()
}

func (s *scoped) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

func (s *scoped) end() {
	for _, f := range s.cleanups {
		f()
	}
}
