package github

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
)

const (
	bot    = "github-actions[bot]"
	marker = "<!-- duet:v1:w.yml/default -->"
)

func sha(digit string) string { return strings.Repeat(digit, 40) }

func textOf(s Stamp) string {
	return fmt.Sprintf("%s\n### Duet: run %d.%d of %.7s\n", marker, s.Run, s.Attempt, s.Head)
}

func bodyOf(t *testing.T, s Stamp) string {
	t.Helper()
	body, err := headed(textOf(s), about{Stamp: s})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// fakePull is one pull request. Every call is one step of the schedule.
type fakePull struct {
	mu       sync.Mutex
	head     string
	comments []Comment
	nextID   int64
	ended    map[string]Stamp // by head: runs that have ended
	unsure   int              // creates that work and are reported as unsure
	writes   int
}

func (f *fakePull) add(author, body string) {
	f.nextID++
	f.comments = append(f.comments, Comment{ID: f.nextID, Author: author, Body: body})
}

// own are the comments of Duet's that are there.
func (f *fakePull) own() (own []Comment) {
	for _, c := range f.comments {
		if c.Author == bot && strings.HasPrefix(c.Body, marker) && strings.Count(c.Body, markerStart) == 1 {
			own = append(own, c)
		}
	}
	return own
}

// actor is one publisher's view of a fakePull; gate is called before each of its calls.
type actor struct {
	*fakePull
	gate func()
}

func (a actor) step(f func()) {
	a.gate()
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
}

func (a actor) Head(context.Context) (head string, err error) {
	a.step(func() { head = a.head })
	return head, nil
}

func (a actor) List(context.Context) (all []Comment, err error) {
	a.step(func() { all = append(all, a.comments...) })
	return all, nil
}

func (a actor) Create(_ context.Context, body string) (err error) {
	a.step(func() {
		a.writes++
		a.add(bot, body)
		if a.unsure > 0 {
			a.unsure--
			err = &UnsureError{errors.New("connection reset")}
		}
	})
	return err
}

func (a actor) find(id int64) int {
	for i, c := range a.comments {
		if c.ID == id {
			return i
		}
	}
	return -1
}

func (a actor) Edit(_ context.Context, id int64, body string) (err error) {
	a.step(func() {
		a.writes++
		if i := a.find(id); i >= 0 {
			a.comments[i].Body = body
		} else {
			err = ErrGone
		}
	})
	return err
}

func (a actor) Delete(_ context.Context, id int64) (err error) {
	a.step(func() {
		a.writes++
		if i := a.find(id); i >= 0 {
			a.comments = append(a.comments[:i:i], a.comments[i+1:]...)
		} else {
			err = ErrGone
		}
	})
	return err
}

func (a actor) newest(_ context.Context, head string) (p Post, ok bool, err error) {
	var s Stamp
	a.step(func() { s, ok = a.ended[head] })
	return Post{Author: bot, Stamp: s, Text: textOf(s)}, ok, nil
}

// alone is an actor whom nobody interrupts.
func alone(f *fakePull) actor { return actor{f, func() {}} }

func post(a actor, s Stamp) Post {
	return Post{Author: bot, Stamp: s, Text: textOf(s), Newest: a.newest}
}

func TestUpsertAlone(t *testing.T) {
	now, before := Stamp{Run: 7, Attempt: 1, Head: sha("b")}, Stamp{Run: 6, Attempt: 2, Head: sha("a")}
	human := "look at this: " + marker
	for _, v := range []struct {
		name     string
		there    []Comment
		head     string
		want     Fate
		comments int
		writes   int
	}{
		{name: "the first", want: Posted, comments: 1, writes: 1},
		{name: "over an older run's", there: []Comment{{Author: bot, Body: bodyOf(t, before)}}, want: Posted, comments: 1, writes: 1},
		{name: "over one without a stamp", there: []Comment{{Author: bot, Body: marker + "\nold"}}, want: Posted, comments: 1, writes: 1},
		{name: "the very text, with CRLF", there: []Comment{{Author: bot, Body: strings.ReplaceAll(bodyOf(t, now), "\n", "\r\n")}}, want: Posted, comments: 1},
		{name: "a human quotes the marker", there: []Comment{{Author: "ann", Body: marker + "\n" + human}}, want: Posted, comments: 2, writes: 1},
		{name: "another bot quotes it", there: []Comment{{Author: "x[bot]", Body: bodyOf(t, before)}}, want: Posted, comments: 2, writes: 1},
		{name: "our own, not at the start", there: []Comment{{Author: bot, Body: "x\n" + marker}}, want: Posted, comments: 2, writes: 1},
		{name: "our own, twice in it", there: []Comment{{Author: bot, Body: bodyOf(t, before) + marker}}, want: Posted, comments: 2, writes: 1},
		{name: "another configuration's", there: []Comment{{Author: bot, Body: "<!-- duet:v1:w.yml/other -->\nx"}}, want: Posted, comments: 2, writes: 1},
		{name: "two of ours", there: []Comment{{Author: bot, Body: bodyOf(t, before)}, {Author: bot, Body: bodyOf(t, before)}}, want: Posted, comments: 1, writes: 2},
		{name: "a newer run was here", there: []Comment{{Author: bot, Body: bodyOf(t, Stamp{Run: 8, Attempt: 1, Head: sha("b")})}}, want: Superseded, comments: 1},
		{name: "a newer attempt was here", there: []Comment{{Author: bot, Body: bodyOf(t, Stamp{Run: 7, Attempt: 2, Head: sha("b")})}}, want: Superseded, comments: 1},
		{name: "head moved on", head: sha("c"), there: []Comment{{Author: bot, Body: bodyOf(t, before)}}, want: Superseded, comments: 1},
	} {
		f := &fakePull{head: sha("b")}
		if v.head != "" {
			f.head = v.head
		}
		for _, c := range v.there {
			f.add(c.Author, c.Body)
		}
		a := alone(f)
		got, err := Upsert(t.Context(), a, post(a, now))
		if err != nil || got.Fate != v.want || len(f.comments) != v.comments || f.writes != v.writes {
			t.Errorf("%s: got %s, %v with %d comments after %d writes, want %s, %d, %d", v.name, got.Fate, err, len(f.comments), f.writes, v.want, v.comments, v.writes)
		}
		if own := f.own(); v.want == Posted && (len(own) == 0 || !same(own[0].Body, bodyOf(t, now))) && !strings.HasPrefix(v.name, "our own") {
			t.Errorf("%s: ours says %v", v.name, own)
		}
	}
}

func TestUnsureCreateIsNotRepeated(t *testing.T) {
	f := &fakePull{head: sha("b"), unsure: 1}
	a := alone(f)
	got, err := Upsert(t.Context(), a, post(a, Stamp{Run: 7, Attempt: 1, Head: sha("b")}))
	if err != nil || got.Fate != Posted || len(f.comments) != 1 || f.writes != 1 {
		t.Errorf("got %s, %v, %d comments after %d writes, want one of each", got.Fate, err, len(f.comments), f.writes)
	}
}

// A re-run is an independent repetition: both results are shown, and neither replaces the other.
func TestEarlierResultsAreCarriedOn(t *testing.T) {
	f := &fakePull{head: sha("b")}
	a := alone(f)
	say := func(run int64, attempt int, head, said string) string {
		t.Helper()
		p := post(a, Stamp{Run: run, Attempt: attempt, Head: sha(head)})
		p.Said = said
		if got, err := Upsert(t.Context(), a, p); err != nil || got.Fate != Posted || len(f.own()) != 1 {
			t.Fatalf("run %d.%d: got %v, %v with %d comments", run, attempt, got, err, len(f.own()))
		}
		return f.own()[0].Body
	}
	const repeated = "Earlier runs of this commit"
	if body := say(7, 1, "b", ""); strings.Contains(body, repeated) {
		t.Errorf("the first run repeats something: %s", body)
	}
	if body := say(7, 1, "b", "Go regressed, Rust unchanged"); strings.Contains(body, repeated) {
		t.Errorf("a run repeats itself: %s", body)
	}
	if body := say(7, 2, "b", ""); !strings.Contains(body, repeated+", each an independent repetition: run 7.1: Go regressed, Rust unchanged.\n") {
		t.Errorf("the re-run forgot the first while it runs: %s", body)
	}
	body := say(7, 2, "b", "Go unchanged, Rust unchanged")
	if strings.Count(body, "run 7.1: Go regressed") != 1 || strings.Contains(body, "run 7.2:") {
		t.Errorf("the re-run: %s", body)
	}
	f.comments[0].Body = strings.ReplaceAll(body, "\n", "\r\n") // as GitHub may keep it
	for attempt := 3; attempt <= 9; attempt++ {
		body = say(7, attempt, "b", "Go improved")
	}
	if got := strings.Count(body, "<!-- duet:was "); got != maxWas || !strings.Contains(body, "run 7.8: Go improved.") || strings.Contains(body, "run 7.3:") {
		t.Errorf("%d earlier results, want the last %d: %s", got, maxWas, body)
	}
	f.head = sha("c")
	if body := say(8, 1, "c", "Go unchanged"); strings.Contains(body, repeated) {
		t.Errorf("another commit's results are repeated: %s", body)
	}
}

func TestStrangeResults(t *testing.T) {
	s := Stamp{Run: 7, Attempt: 1, Head: sha("b")}
	for name, p := range map[string]Post{
		"words that end a comment": {Stamp: s, Text: textOf(s), Said: "Go --> @all"},
		"too many words":           {Stamp: s, Text: textOf(s), Said: strings.Repeat("a", 101)},
		"no full sha":              {Stamp: Stamp{Run: 7, Attempt: 1, Head: "main --> @all"}, Text: textOf(s)},
	} {
		f := &fakePull{head: sha("b")}
		if _, err := Upsert(t.Context(), alone(f), p); err == nil || f.writes != 0 {
			t.Errorf("%s: published after %d writes", name, f.writes)
		}
	}
	for _, body := range []string{
		marker + "\n<!-- duet:said Go --> regressed -->\n", marker + "\n<!-- duet:was 7.1 x -->\n", "<!-- duet:run 7.1 " + sha("b") + " -->",
		marker + "\n<!-- duet:run 7.1 " + sha("b") + " -->\n<!-- duet:was 99999999999999999999.1 Go -->\n",
	} {
		if got := aboutOf(body); got.words != "" || len(got.was) != 0 {
			t.Errorf("%q says %+v about itself", body, got)
		}
	}
}

func TestTextWithoutMarker(t *testing.T) {
	if _, err := Upsert(t.Context(), alone(&fakePull{}), Post{Text: "hello\n"}); err == nil {
		t.Error("a text without a marker was published")
	}
}

// schedule runs actors one call at a time in every order there is. Each actor's function ends when it is through.
// setUp makes a new world and its actors; check looks at it afterwards.
func schedule(t *testing.T, setUp func(gates []func()) (actors []func(), check func(order string)), n int) (orders int) {
	t.Helper()
	var choices []int // at each step, which of the waiting actors goes
	for {
		gates, asks := make([]func(), n), make(chan int)
		goes := make([]chan struct{}, n)
		for i := range n {
			goes[i] = make(chan struct{})
			gates[i] = func() {
				asks <- i
				<-goes[i]
			}
		}
		ended := make(chan int)
		actors, check := setUp(gates)
		for i, act := range actors {
			go func() {
				act()
				ended <- i
			}()
		}
		waiting := map[int]bool{}
		running := n
		var widths, taken []int
		var order strings.Builder
		for alive := n; alive > 0; {
			for running > 0 {
				select {
				case i := <-asks:
					waiting[i] = true
				case <-ended:
					alive--
				}
				running--
			}
			if alive == 0 {
				break
			}
			var who []int
			for i := range n {
				if waiting[i] {
					who = append(who, i)
				}
			}
			k := 0
			if len(taken) < len(choices) {
				k = choices[len(taken)]
			}
			widths, taken = append(widths, len(who)), append(taken, k)
			i := who[k]
			fmt.Fprint(&order, i)
			delete(waiting, i)
			running = 1
			goes[i] <- struct{}{}
		}
		check(order.String())
		orders++
		at := len(taken) - 1
		for at >= 0 && taken[at]+1 >= widths[at] {
			at--
		}
		if at < 0 {
			return orders
		}
		choices = append(taken[:at:at], taken[at]+1)
	}
}

// SECURITY.md, M3: however the calls of two publishers fall, one comment is left, about the newest head.
func TestEveryInterleaving(t *testing.T) {
	older, newer := Stamp{Run: 7, Attempt: 1, Head: sha("a")}, Stamp{Run: 8, Attempt: 1, Head: sha("b")}
	again := Stamp{Run: 7, Attempt: 2, Head: sha("b")}
	there := func(t *testing.T, f *fakePull, stamps ...Stamp) {
		f.add("ann", marker+"\nwhat is this?")
		for _, s := range stamps {
			f.add(bot, bodyOf(t, s))
		}
	}
	before := Stamp{Run: 5, Attempt: 1, Head: sha("0")}
	for _, v := range []struct {
		name   string
		stamps []Stamp // of the comments that are there
		posts  [2]Stamp
		moves  bool // head moves on from the first's to the second's between, just before the second begins
		unsure int
		many   bool // orders: some 100,000, which the race detector is spared (CI runs this test without it as well)
	}{
		{name: "head had moved, no comment yet", posts: [2]Stamp{older, newer}},
		{name: "head moves, no comment yet", posts: [2]Stamp{older, newer}, moves: true, many: true},
		{name: "head moves, an older comment", stamps: []Stamp{before}, posts: [2]Stamp{older, newer}, moves: true},
		{name: "head moves, a create is unsure", posts: [2]Stamp{older, newer}, moves: true, unsure: 1, many: true},
		{name: "two runs of one head, no comment yet", posts: [2]Stamp{again, newer}, many: true},
		{name: "two runs of one head, an older comment", stamps: []Stamp{before}, posts: [2]Stamp{again, newer}},
		{name: "two runs of one head, two older comments", stamps: []Stamp{before, before}, posts: [2]Stamp{again, newer}},
		{name: "an older run's comment of the newest head", stamps: []Stamp{again}, posts: [2]Stamp{older, newer}, moves: true},
	} {
		if raceDetected && v.many {
			continue
		}
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			orders := schedule(t, func(gates []func()) ([]func(), func(string)) {
				f := &fakePull{head: newer.Head, unsure: v.unsure, ended: map[string]Stamp{}}
				there(t, f, v.stamps...)
				if v.moves {
					f.head = v.posts[0].Head
				}
				var errs [2]error
				act := func(i int) func() {
					return func() {
						a := actor{f, gates[i]}
						a.step(func() { // the run has ended, and what it left is there before it publishes
							f.ended[v.posts[i].Head] = v.posts[i]
							if i == 1 {
								f.head = newer.Head
							}
						})
						_, errs[i] = Upsert(t.Context(), a, post(a, v.posts[i]))
					}
				}
				return []func(){act(0), act(1)}, func(order string) {
					own := f.own()
					if len(own) != 1 || aboutOf(own[0].Body).Head != newer.Head || errs[0] != nil || errs[1] != nil {
						t.Fatalf("order %s: errors %v, %d comments of ours are left: %v, want one about %.7s", order, errs, len(own), own, newer.Head)
					}
					if n := len(f.comments) - len(own); n != 1 {
						t.Fatalf("order %s: %d comments of others are left, want 1", order, n)
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
