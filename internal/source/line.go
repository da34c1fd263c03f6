package source

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Landed is a commit of a branch's first-parent line: what was pushed, or a merge.
type Landed struct {
	SHA     string
	Subject string // first line of the message
	Author  string // name
	Date    string // committer's, RFC 3339, UTC; empty where git's is none
}

// Line is the way through a branch's history, merge by merge. A night uses it between its measurements too, when no code of the
// repository runs; git obeys nothing of the repository's configuration here either. The caller must Close it.
type Line struct{ c *checkout }

// OpenLine opens the repository that a folder is in.
func OpenLine(ctx context.Context, repo string) (*Line, error) {
	c, err := open(ctx, repo)
	if err != nil {
		return nil, err
	}
	return &Line{c}, nil
}

// Close ends the use of git.
func (l *Line) Close() error { return l.c.close() }

// ErrNoCommit is a revision that the repository, and its remote, do not have (any more).
var ErrNoCommit = errors.New("no such commit")

// Commit is the commit that a revision names. A full sha that is not at hand is asked of the remote: a branch that was
// forced elsewhere leaves commits that no branch holds.
func (l *Line) Commit(ctx context.Context, rev string) (Landed, error) {
	sha, _, err := l.c.revision(ctx, rev)
	if errors.Is(err, errUnknown) && isHex(rev) {
		if sha, err = rev, l.c.ensure(ctx, rev); err != nil && ctx.Err() == nil {
			err = errUnknown
		}
	}
	if errors.Is(err, errUnknown) {
		return Landed{}, fmt.Errorf("%w: %s", ErrNoCommit, printable(rev))
	}
	if err != nil {
		return Landed{}, err
	}
	all, err := l.log(ctx, "--no-walk", sha)
	if err != nil || len(all) != 1 {
		return Landed{}, errors.Join(fmt.Errorf("reading commit %s: %d found", sha, len(all)), err)
	}
	return all[0], nil
}

// Between are the commits after one and up to another, oldest first, on the other's first-parent line; ok is false where the
// first is not on that line: the branch was forced elsewhere, or the clone is too shallow to tell.
func (l *Line) Between(ctx context.Context, after, upTo string) (all []Landed, ok bool, err error) {
	if !isHex(after) || !isHex(upTo) {
		return nil, false, fmt.Errorf("listing commits: %.70q to %.70q: expected full shas", after, upTo)
	}
	if _, err := l.c.own.output(ctx, "merge-base", "--is-ancestor", after, upTo); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) && ctx.Err() == nil {
			return nil, false, nil
		}
		return nil, false, err
	}
	if all, err = l.log(ctx, "--first-parent", "--reverse", after+".."+upTo); err != nil {
		return nil, false, err
	}
	// An ancestor by way of a merge's second parent is none of the line's.
	parent := after
	if len(all) > 0 {
		if parent, err = l.c.own.line(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", all[0].SHA+"^1"); err != nil {
			return nil, false, err
		}
	}
	return all, parent == after, nil
}

// Lend makes a branch readable in the private git directory, which is Duet's own and borrows the repository's objects: as
// origin had it when the clone was fetched, else the clone's own. ok is false where the clone has neither. The folder is
// there until Close.
func (l *Line) Lend(ctx context.Context, branch string) (dir string, ok bool, err error) {
	if !branchName(branch) {
		return "", false, nil
	}
	for _, place := range []string{origin, heads} {
		sha, err := l.c.here.line(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", place+branch+"^{commit}")
		var failed *gitError
		switch {
		case err == nil && isHex(sha):
			_, err = l.c.own.output(ctx, "update-ref", heads+branch, sha)
			return l.c.private, err == nil, err
		case err != nil && !errors.As(err, &failed):
			return "", false, err
		}
	}
	return "", false, nil
}

// Shallow says whether the clone lacks some of its history.
func (l *Line) Shallow() (bool, error) {
	cut, err := l.c.shallow()
	return len(cut) > 0, err
}

// log is what git says of commits.
func (l *Line) log(ctx context.Context, args ...string) ([]Landed, error) {
	out, err := l.c.own.output(ctx, append([]string{"log", "-z", "--format=%H%x01%ct%x01%an%x01%s", "--no-show-signature", "--encoding=UTF-8"}, args...)...)
	if err != nil {
		return nil, err
	}
	var all []Landed
	for _, one := range fields(out) {
		parts := strings.SplitN(one, "\x01", 4)
		if len(parts) != 4 || !isHex(parts[0]) {
			return nil, fmt.Errorf("reading the log: unexpected line %q", printable(one))
		}
		found := Landed{SHA: parts[0], Author: printable(parts[2]), Subject: printable(parts[3])}
		if seconds, err := strconv.ParseInt(parts[1], 10, 64); err == nil {
			found.Date = time.Unix(seconds, 0).UTC().Format(time.RFC3339)
		}
		all = append(all, found)
	}
	return all, nil
}
