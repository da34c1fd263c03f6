package source

import (
	"errors"
	"testing"

	"github.com/duet-bench/duet/internal/plan"
)

func (c clone) line() *Line {
	c.t.Helper()
	l, err := OpenLine(c.t.Context(), c.dir)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		if err := l.Close(); err != nil {
			c.t.Error(err)
		}
	})
	return l
}

// A branch's line are its pushes and merges; a merged branch's own commits are none of it.
func TestLine(t *testing.T) {
	c := newClone(t, "main")
	first := c.commit("first")
	c.git("checkout", "--quiet", "-b", "topic")
	inside := c.commit("inside")
	c.commit("inside too")
	c.git("checkout", "--quiet", "main")
	second := c.commit("second")
	c.git("merge", "--quiet", "--no-ff", "-m", "Merge topic", "topic")
	merge := c.git("rev-parse", "HEAD")
	last := c.commit("last")
	l := c.line()
	all, ok, err := l.Between(t.Context(), first, last)
	if err != nil || !ok || len(all) != 3 {
		t.Fatalf("got %v, %v, %v, want three commits", all, ok, err)
	}
	for i, want := range []string{second, merge, last} {
		if all[i].SHA != want {
			t.Errorf("%d: got %s (%s), want %s", i, all[i].SHA, all[i].Subject, want)
		}
	}
	if m := all[1]; m.Subject != "Merge topic" || m.Author != "a" || m.Date == "" {
		t.Errorf("the merge: got %+v", m)
	}
	for name, r := range map[string]struct {
		after, upTo string
		n           int
		ok          bool
	}{
		"nothing between":            {last, last, 0, true},
		"the wrong way round":        {last, first, 0, false},
		"by a second parent":         {inside, last, 0, false},
		"no such commit":             {"0123456789012345678901234567890123456789", last, 0, false},
		"a merge's own first parent": {second, merge, 1, true},
	} {
		all, ok, err := l.Between(t.Context(), r.after, r.upTo)
		if err != nil || ok != r.ok || ok && len(all) != r.n {
			t.Errorf("%s: got %v, %v, %v, want %d, %v", name, all, ok, err, r.n, r.ok)
		}
	}
	if _, _, err := l.Between(t.Context(), "--all", last); err == nil {
		t.Error("a flag was taken for a commit")
	}
}

// A branch is lent as origin had it, out of a folder of Duet's own.
func TestLend(t *testing.T) {
	c := newClone(t, "main")
	c.commit("first")
	c.git("checkout", "--quiet", "--orphan", "kept")
	was := c.commit("kept")
	c.git("checkout", "--quiet", "main")
	for name, here := range map[string]clone{"a clone": c.from(), "the repository itself": c} {
		dir, ok, err := here.line().Lend(t.Context(), "kept")
		if err != nil || !ok || dir == here.dir {
			t.Fatalf("%s: got %q, %v, %v", name, dir, ok, err)
		}
		if got := (clone{t: t, dir: here.dir, tick: c.tick}).git("ls-remote", dir, "refs/heads/kept"); got != was+"\trefs/heads/kept" {
			t.Errorf("%s: got %q, want %s", name, got, was)
		}
	}
	for _, name := range []string{"none", "--all", "../x", ""} {
		if _, ok, err := c.line().Lend(t.Context(), name); ok || err != nil {
			t.Errorf("%q: got %v, %v", name, ok, err)
		}
	}
}

// A branch that was forced elsewhere leaves its old commits to the remote, as long as that keeps them.
func TestLostCommit(t *testing.T) {
	c := newClone(t, "main")
	kept := c.commit("kept")
	lost := c.commit("lost")
	c.git("reset", "--quiet", "--hard", kept)
	head := c.commit("forced")
	c.git("config", "uploadpack.allowAnySHA1InWant", "true")
	here := c.from()
	l := here.line()
	if got, err := l.Commit(t.Context(), lost); err != nil || got.SHA != lost || got.Subject != "lost" {
		t.Errorf("got %+v, %v, want the commit from the remote", got, err)
	}
	if got, err := l.Commit(t.Context(), "0123456789012345678901234567890123456789"); !errors.Is(err, ErrNoCommit) {
		t.Errorf("got %+v, %v, want no such commit", got, err)
	}
	r := here.resolve(Options{Base: lost, Exact: true})
	if r.Base == nil || r.Base.SHA != lost || len(r.Changed) != 2 {
		t.Errorf("got base %+v and changed %q, want the lost commit itself", r.Base, r.Changed)
	}
	if text, err := r.ReadFile(t.Context(), plan.Base, "lost", 0); err != nil || string(text) != "lost" {
		t.Errorf("got %q, %v, want the lost commit's file", text, err)
	}
	if r := here.resolve(Options{Base: head, Exact: true}); r.Base == nil || r.Base.SHA != head || r.Head.SHA != head || len(r.Changed) != 0 {
		t.Errorf("got %+v against %+v, want head against itself", r.Head, r.Base)
	}
	if r := here.resolve(Options{Head: kept, Base: head, Exact: true}); r.Base == nil || r.Base.SHA != head || r.Head.SHA != kept {
		t.Errorf("got %+v against %+v, want them as given", r.Head, r.Base)
	}
}
