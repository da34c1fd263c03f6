package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/duet-bench/duet/internal/plan"
)

// target is the commit that head's merge base is looked for with: usually a branch's tip.
type target struct {
	sha  string
	name string // what it is called: "main", "origin/main", a sha
	why  string // where the name comes from
	flag bool   // --base
}

func (t target) String() string { return fmt.Sprintf("%s (%s)", t.name, t.why) }

// findBase sets Base, or NoBase.
//
//	merge base of head and target            compare against
//	──────────────────────────────────────────────────────────────────────────────────────────
//	a third commit, or the target            it
//	head itself: head is on the branch       head's first parent; under uncommitted changes, head
//	head itself, --base is ahead of head     --base as given: the two are swapped by wish
//	several (criss-cross)                    the newest by commit date, then the smallest sha
//	none, or it cannot be told               nothing: NoBase
func (s *resolver) findBase(ctx context.Context) error {
	t, err := s.target(ctx)
	if err != nil || t == nil {
		return err
	}
	if s.o.Exact && t.flag {
		return s.exactly(ctx, *t)
	}
	bases, err := s.c.mergeBases(ctx, s.head, t.sha)
	if err != nil {
		return s.hidden(err, "the merge base of head and "+t.String())
	}
	if len(bases) == 0 {
		s.noBase("head and %s share no commit: unrelated histories", t)
		return nil
	}
	base, reason, err := s.choose(ctx, *t, bases)
	if err != nil || base.sha == "" {
		return err
	}
	since := base.sha
	if bases[0] == s.head.sha {
		since = s.head.sha // on the branch itself: what came after head
	}
	behind, err := s.c.count(ctx, since, t.sha)
	if err != nil {
		return err
	}
	if base.sha == t.sha {
		behind = 0
	}
	s.res.Base = &plan.Commit{SHA: base.sha, Ref: t.name, Reason: reason, Behind: behind, Subject: base.subject}
	return nil
}

// exactly takes the target itself as the base.
func (s *resolver) exactly(ctx context.Context, t target) error {
	base, err := s.c.commit(ctx, t.sha)
	if err != nil {
		return err
	}
	s.res.Base = &plan.Commit{SHA: base.sha, Ref: t.name, Reason: "named by " + t.why, Subject: base.subject}
	return nil
}

// choose picks the base by findBase's table. Without one it sets NoBase and returns the zero commit.
func (s *resolver) choose(ctx context.Context, t target, bases []string) (commit, string, error) {
	if bases[0] == s.head.sha {
		return s.onBranch(ctx, t)
	}
	var all []commit
	for _, sha := range bases {
		c, err := s.c.commit(ctx, sha)
		if err != nil {
			return commit{}, "", err
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b commit) int {
		return cmp.Or(cmp.Compare(b.when, a.when), cmp.Compare(a.sha, b.sha))
	})
	reason := "merge base of head and " + t.String()
	if len(all) > 1 {
		reason = fmt.Sprintf("the newest of %d merge bases of head and %s: criss-cross merges", len(all), t)
		s.warn("head and %s have %d merge bases (criss-cross merges): the comparison holds some of the branch's own changes", t.name, len(all))
	}
	return all[0], reason, nil
}

// onBranch is the base when the target contains head.
func (s *resolver) onBranch(ctx context.Context, t target) (commit, string, error) {
	switch {
	case t.flag && t.sha != s.head.sha:
		s.warn("--base %s is ahead of head: the two are compared as given", t.name)
		c, err := s.c.commit(ctx, t.sha)
		return c, "given by --base, and ahead of head", err
	case s.res.Head.Worktree:
		return s.head, fmt.Sprintf("the commit under the uncommitted changes, which is on %s", t), nil
	case len(s.head.parents) == 0:
		s.noBase("head is the first commit of %s: it has no parent", t)
		return commit{}, "", nil
	}
	parent := s.head.parents[0]
	if err := s.c.ensure(ctx, parent); err != nil {
		return commit{}, "", s.hidden(err, "head's first parent "+parent)
	}
	c, err := s.c.commit(ctx, parent)
	return c, fmt.Sprintf("first parent of head, which is on %s", t), err
}

// noBase records that there is nothing to compare against.
func (s *resolver) noBase(format string, args ...any) {
	s.res.NoBase = fmt.Sprintf(format, args...)
	if s.o.Base != "none" {
		s.warn("baseline: none: %s", s.res.NoBase)
	}
}

// hidden makes missing history a reason for no base; other errors stay errors.
func (s *resolver) hidden(err error, what string) error {
	var h *hiddenError
	if !errors.As(err, &h) {
		return err
	}
	s.noBase("%s is not in this clone, and fetching it failed (%v): %s", what, h.err, fetchFix)
	return nil
}

// target looks for the base branch where the order says. Without one it sets NoBase and returns nil.
func (s *resolver) target(ctx context.Context) (*target, error) {
	implied, err := s.defaultBranch(ctx)
	if err != nil {
		return nil, err
	}
	e := s.o.Event
	switch {
	case s.o.Base == "none":
		s.noBase("none by wish (--base none)")
		return nil, nil
	case s.o.Base != "":
		sha, name, err := s.c.revision(ctx, s.o.Base)
		if errors.Is(err, errUnknown) && s.o.Exact && isHex(s.o.Base) && s.c.ensure(ctx, s.o.Base) == nil {
			sha, name, err = s.o.Base, s.o.Base, nil // no branch holds it any more
		}
		if errors.Is(err, errUnknown) {
			return nil, s.c.unknown(ctx, "--base", s.o.Base)
		}
		return &target{sha: sha, name: printable(name), why: "--base", flag: true}, err
	case s.testMerge():
		// The payload's base sha may be older than what GitHub merged into: then main's own commits would count.
		return &target{sha: s.head.parents[0], name: cmp.Or(e.BaseRef, e.BaseSHA),
			why: "the commit GitHub merged " + e.HeadSHA + " into for the test merge that is checked out"}, nil
	case e.BaseSHA != "" && e.Name == "push":
		return &target{sha: e.BaseSHA, name: e.BaseRef, why: "what stood there before the push"}, nil
	case e.BaseSHA != "":
		return &target{sha: e.BaseSHA, name: cmp.Or(e.BaseRef, e.BaseSHA), why: "the base of the " + e.Name + " event"}, nil
	case implied == nil:
		s.noBase("no default branch found: neither origin/HEAD nor main nor master; name a base with --base")
	}
	return implied, nil
}

// testMerge says whether what is checked out is the commit that GitHub made of a pull request's two ends.
func (s *resolver) testMerge() bool {
	head := s.o.Event.HeadSHA
	return head != "" && s.o.Head == "HEAD" && len(s.head.parents) == 2 && s.head.parents[1] == head
}

// defaultBranch looks in the event, at origin/HEAD, and for main and master; it sets DefaultBranch. A
// remote's branch goes before the local one of the same name, which is often older. nil: none found.
func (s *resolver) defaultBranch(ctx context.Context) (*target, error) {
	if name := s.o.Event.DefaultBranch; name != "" {
		s.res.DefaultBranch = name
		t, err := s.tip(ctx, name, "the default branch, from the event", origin, heads)
		if err == nil && t == nil {
			t, err = s.remoteTip(ctx, name)
		}
		if err != nil || t != nil {
			return t, err
		}
	}
	ref, err := s.c.here.line(ctx, "symbolic-ref", "--quiet", origin+"HEAD")
	var failed *gitError
	if err != nil && !errors.As(err, &failed) {
		return nil, err
	}
	if name, ok := strings.CutPrefix(ref, origin); ok && branchName(name) {
		t, err := s.tip(ctx, name, "the default branch, from origin/HEAD", origin)
		if err != nil || t != nil {
			s.res.DefaultBranch = cmp.Or(s.res.DefaultBranch, name)
			return t, err
		}
		s.warn("origin/HEAD points to %s, which is gone: `git remote set-head origin --auto` mends it", name)
	}
	for _, name := range []string{"main", "master"} {
		t, err := s.tip(ctx, name, "the default branch, by its name", origin, heads)
		if err != nil || t != nil {
			s.res.DefaultBranch = cmp.Or(s.res.DefaultBranch, name)
			return t, err
		}
	}
	return nil, nil
}

// Where branches are kept.
const (
	origin = "refs/remotes/origin/"
	heads  = "refs/heads/"
)

// tip is a branch's last commit, from the first of the places that has it. nil: none does.
func (s *resolver) tip(ctx context.Context, name, why string, places ...string) (*target, error) {
	for _, place := range places {
		sha, err := s.c.here.line(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", place+name+"^{commit}")
		if err == nil && isHex(sha) {
			short := strings.TrimPrefix(strings.TrimPrefix(place, "refs/remotes/"), heads)
			return &target{sha: sha, name: short + name, why: why}, nil
		}
		var failed *gitError
		if err != nil && !errors.As(err, &failed) {
			return nil, err
		}
	}
	return nil, nil
}

// remoteTip asks the remote of a shallow clone for the default branch, unless something better names the base.
func (s *resolver) remoteTip(ctx context.Context, name string) (*target, error) {
	if s.o.Base != "" || s.o.Event.BaseSHA != "" {
		return nil, nil
	}
	sha, _, err := s.c.revisionAtRemote(ctx, name)
	if errors.Is(err, errUnknown) {
		return nil, nil
	}
	return &target{sha: sha, name: "origin/" + name, why: "the default branch, from the event"}, err
}
