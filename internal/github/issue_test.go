package github

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

const label = "duet-nightly"

var nightMarker = IssueMarker(".github/workflows/nightly.yml:duet.yml")

// standing is what a run has to say.
func standing(run int64, open bool) Standing {
	return Standing{Author: bot, Stamp: Stamp{Run: run, Attempt: 1, Head: sha("a")}, Marker: nightMarker, Text: fmt.Sprintf("night %d\n", run), Title: "slower", Label: label, Open: open}
}

func issueBody(t *testing.T, run int64) string {
	t.Helper()
	body, err := standing(run, true).body()
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// fakeIssues is a repository's issues. Every call is one step of the schedule.
type fakeIssues struct {
	mu     sync.Mutex
	issues []Issue
	unsure int // creates that work and are reported as unsure
	writes []string
}

func (f *fakeIssues) add(i Issue) {
	i.Number = len(f.issues) + 1
	f.issues = append(f.issues, i)
}

// own are Duet's issues that are there.
func (f *fakeIssues) own() (own []Issue) {
	own, _ = standing(1, true).own(context.Background(), recorder{f, func() {}})
	return own
}

// recorder is one recorder's view; gate is called before each of its calls.
type recorder struct {
	*fakeIssues
	gate func()
}

func (r recorder) step(what string, f func()) {
	r.gate()
	r.mu.Lock()
	defer r.mu.Unlock()
	if what != "" {
		r.writes = append(r.writes, what)
	}
	f()
}

func (r recorder) ByAuthor(_ context.Context, login string) (all []Issue, err error) {
	r.step("", func() {
		for _, i := range r.issues {
			if i.Author == login {
				all = append(all, i)
			}
		}
	})
	return all, nil
}

func (r recorder) Open(_ context.Context, title, body, label string) (err error) {
	r.step("open", func() {
		r.add(Issue{Author: bot, Title: title, Body: body, Open: true, Labels: []string{label}})
		if r.unsure > 0 {
			r.unsure--
			err = &UnsureError{errors.New("connection reset")}
		}
	})
	return err
}

func (r recorder) Change(_ context.Context, number int, to IssueChange) (err error) {
	r.step("change "+to.Reason, func() {
		i := &r.issues[number-1]
		if to.Title != "" {
			i.Title = to.Title
		}
		i.Body = to.Body
		if to.Reason != "" {
			i.Open = to.Open
		}
	})
	return err
}

func (r recorder) AddLabel(_ context.Context, number int, label string) error {
	r.step("label", func() { r.issues[number-1].Labels = append(r.issues[number-1].Labels, label) })
	return nil
}

func TestKeepIssueAlone(t *testing.T) {
	mine := func(run int64, open bool) Issue {
		return Issue{Author: bot, Title: "slower", Body: issueBody(t, run), Open: open, Labels: []string{label}}
	}
	crlf := mine(7, true)
	crlf.Body = strings.ReplaceAll(crlf.Body, "\n", "\r\n")
	unlabelled, renamed := mine(6, true), mine(6, true)
	unlabelled.Labels, renamed.Title = []string{"bug"}, "is this fixed?"
	quoted := Issue{Author: "ann", Title: "what is this?", Body: issueBody(t, 6), Open: true}
	inside := Issue{Author: bot, Body: "look:\n" + issueBody(t, 6), Open: true}
	other := Issue{Author: bot, Body: strings.Replace(issueBody(t, 6), "nightly.yml", "other.yml", 1), Open: true}
	for name, v := range map[string]struct {
		there  []Issue
		closed bool // nothing stands any more
		writes []string
		issues int
		open   int // number of the one that is open; 0: none
		newer  bool
	}{
		"nothing stands, nothing is there": {closed: true},
		"the first":                        {writes: []string{"open"}, issues: 1, open: 1},
		"an update":                        {there: []Issue{mine(6, true)}, writes: []string{"change "}, issues: 1, open: 1},
		"the very text, with CRLF":         {there: []Issue{crlf}, issues: 1, open: 1},
		"it is gone":                       {there: []Issue{mine(6, true)}, closed: true, writes: []string{"change completed"}, issues: 1},
		"it is gone, and was closed":       {there: []Issue{mine(6, false)}, closed: true, writes: []string{"change "}, issues: 1},
		"it is back":                       {there: []Issue{mine(6, false)}, writes: []string{"change reopened"}, issues: 1, open: 1},
		"a human quotes the marker":        {there: []Issue{quoted}, writes: []string{"open"}, issues: 2, open: 2},
		"a human's, and nothing stands":    {there: []Issue{quoted}, closed: true, issues: 1},
		"our own, not at the start":        {there: []Issue{inside}, writes: []string{"open"}, issues: 2, open: 2},
		"another workflow's":               {there: []Issue{other}, writes: []string{"open"}, issues: 2, open: 2},
		"the label was changed":            {there: []Issue{unlabelled}, writes: []string{"change ", "label"}, issues: 1, open: 1},
		"the title was changed":            {there: []Issue{renamed}, writes: []string{"change "}, issues: 1, open: 1},
		"two of ours":                      {there: []Issue{mine(5, true), mine(6, true)}, writes: []string{"change ", "change not_planned"}, issues: 2, open: 1},
		"two of ours, both closed":         {there: []Issue{mine(5, false), mine(6, false)}, closed: true, writes: []string{"change ", "change "}, issues: 2},
		"a newer run was here":             {there: []Issue{mine(8, true)}, closed: true, issues: 1, open: 1, newer: true},
		"a newer run found it gone":        {there: []Issue{mine(8, false)}, issues: 1, newer: true},
		"a newer run in a second issue":    {there: []Issue{mine(5, false), mine(8, true)}, writes: []string{"change reopened", "change not_planned"}, issues: 2, open: 1},
	} {
		f := &fakeIssues{}
		for _, i := range v.there {
			f.add(i)
		}
		got, err := KeepIssue(t.Context(), recorder{f, func() {}}, standing(7, !v.closed))
		if err != nil || !slices.Equal(f.writes, v.writes) || len(f.issues) != v.issues || got.Newer != v.newer && v.issues == 1 {
			t.Errorf("%s: got %+v, %v with %d issues after %q, want %d after %q", name, got, err, len(f.issues), f.writes, v.issues, v.writes)
		}
		for _, i := range f.issues {
			human := i.Author != bot || i.Body == inside.Body || i.Body == other.Body
			if !human && i.Open != (i.Number == v.open) {
				t.Errorf("%s: #%d is open: %v, want #%d alone", name, i.Number, i.Open, v.open)
			}
		}
		if own := f.own(); len(own) > 1 || v.open > 0 && (len(own) != 1 || own[0].Number != v.open || got.Issue != v.open || !got.Open) {
			t.Errorf("%s: got %+v, ours are %v", name, got, own)
		}
		before := len(f.writes)
		if _, err := KeepIssue(t.Context(), recorder{f, func() {}}, standing(7, !v.closed)); err != nil || len(f.writes) != before {
			t.Errorf("%s: a second time wrote %q, %v", name, f.writes[before:], err)
		}
		if !slices.EqualFunc(f.issues[:min(1, len(v.there), len(f.issues))], v.there[:min(1, len(v.there))], func(a, b Issue) bool {
			return a.Author == bot || a.Body == b.Body && a.Open == b.Open && a.Title == b.Title
		}) {
			t.Errorf("%s: a human's issue was touched: %v", name, f.issues)
		}
	}
}

func TestUnsureIssueIsNotOpenedTwice(t *testing.T) {
	f := &fakeIssues{unsure: 1}
	got, err := KeepIssue(t.Context(), recorder{f, func() {}}, standing(7, true))
	if err != nil || got.Issue != 1 || len(f.issues) != 1 {
		t.Errorf("got %+v, %v with %d issues, want one", got, err, len(f.issues))
	}
}

func TestStrangeStandings(t *testing.T) {
	quoting := standing(7, true)
	quoting.Text = "a commit is called " + nightMarker + "\n"
	f := &fakeIssues{}
	if got, err := KeepIssue(t.Context(), recorder{f, func() {}}, quoting); err != nil || got.Issue != 1 || len(f.own()) != 1 {
		t.Errorf("a text that quotes the marker: got %+v, %v", got, err)
	}
	long := standing(8, true)
	long.Text = strings.Repeat("a line\n", 20_000)
	if got, err := KeepIssue(t.Context(), recorder{f, func() {}}, long); err != nil || got.Issue != 1 || len(f.issues[0].Body) > 65_536 || !strings.Contains(f.issues[0].Body, "Cut here") {
		t.Errorf("a long text: got %+v, %v, %d bytes", got, err, len(f.issues[0].Body))
	}
	headless := standing(9, true)
	headless.Stamp.Head = "main"
	if _, err := KeepIssue(t.Context(), recorder{f, func() {}}, headless); err == nil {
		t.Error("a standing without a full sha was published")
	}
	for _, key := range []string{"a -->b", "a--->", "<x>", "é"} {
		if m := IssueMarker(key); strings.Count(m, "-->") != 1 || !strings.HasSuffix(m, " -->") || strings.ContainsAny(strings.Trim(m, "<!->"), "<>") {
			t.Errorf("%q: marker %q", key, m)
		}
	}
}

// However the calls of two recorders fall, at most one issue of ours is left and open, and it says what one of them had to
// say, whole: the newer one's, unless the older one had looked before and wrote after it.
func TestEveryInterleavingOfRecorders(t *testing.T) {
	mine := func(run int64, open bool) Issue {
		return Issue{Author: bot, Title: "slower", Body: issueBody(t, run), Open: open, Labels: []string{label}}
	}
	for name, v := range map[string]struct {
		there  []Issue
		opens  [2]bool
		unsure int
	}{
		"both open the first":          {opens: [2]bool{true, true}},
		"both open, one is unsure":     {opens: [2]bool{true, true}, unsure: 1},
		"both update":                  {there: []Issue{mine(5, true)}, opens: [2]bool{true, true}},
		"both reopen":                  {there: []Issue{mine(5, false)}, opens: [2]bool{true, true}},
		"the newer finds it gone":      {there: []Issue{mine(5, true)}, opens: [2]bool{true, false}},
		"the newer finds it back":      {there: []Issue{mine(5, true)}, opens: [2]bool{false, true}},
		"two are there, the older one": {there: []Issue{mine(5, true), mine(6, true)}, opens: [2]bool{true, true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newest := 0
			orders := schedule(t, func(gates []func()) ([]func(), func(string)) {
				f := &fakeIssues{unsure: v.unsure}
				f.add(Issue{Author: "ann", Title: "what is this?", Body: issueBody(t, 4), Open: true})
				for _, i := range v.there {
					f.add(i)
				}
				var errs [2]error
				act := func(i int) func() {
					return func() {
						_, errs[i] = KeepIssue(t.Context(), recorder{f, gates[i]}, standing(int64(7+i), v.opens[i]))
					}
				}
				return []func(){act(0), act(1)}, func(order string) {
					own, open := f.own(), 0
					for _, i := range f.issues[1:] {
						if i.Open {
							open++
						}
					}
					ok := len(own) == 1 && open <= 1 && errs[0] == nil && errs[1] == nil
					if ok {
						run := aboutOf(own[0].Body).Run
						newest += map[bool]int{true: 1}[run == 8]
						ok = (run == 7 || run == 8) && own[0].Open == v.opens[run-7] && own[0].Body == issueBody(t, run)
					}
					if !ok {
						t.Fatalf("order %s: errors %v, %d open, ours: %v\n%q", order, errs, open, own, f.writes)
					}
					if f.issues[0].Title != "what is this?" || !f.issues[0].Open || f.issues[0].Body != issueBody(t, 4) {
						t.Fatalf("order %s: ann's issue was touched: %v", order, f.issues[0])
					}
				}
			}, 2)
			t.Logf("%d orders, the newer one's text stays in %d", orders, newest)
			if orders < 20 || newest < orders/2 {
				t.Errorf("only %d orders: the schedule has no choice", orders)
			}
		})
	}
}
