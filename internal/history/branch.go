package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/duet-bench/duet/internal/plan"
)

// DefaultBranch is the branch that a history is kept on unless another one is named.
const DefaultBranch = "duet-history"

// BranchOptions says where a history's branch is and how it is written.
type BranchOptions struct {
	Remote string // address of the repository: https, ssh, a path
	Name   string // of the branch; default duet-history
	Token  string // for https; empty: git's own credentials
	// Keep is the folder where an entry is left that could not be recorded; empty: it is in the error's Entry alone.
	Keep string
	// Author of commits, "Name <address>"; default Duet's own.
	Author string
	// Tries and Within bound one call; defaults 10 and two minutes. Pause is the first wait between tries, doubled each time up
	// to 32 times itself, at least as long as the try took, and jittered by half; default half a second.
	Tries  int
	Within time.Duration
	Pause  time.Duration
	Git    string // the command; default git
}

// Branch is a history on a branch of a repository: one file an entry, one commit a call, never rewritten, never forced. It
// works in a private git directory and never in a checkout.
type Branch struct {
	BranchOptions
	remote   address
	git      git
	format   string // object format, once a commit was seen
	tip      string // of the branch, as fetched last; empty: it is not there
	seen     map[string]blob
	warnings []string
}

// blob is an entry's file that was read already.
type blob struct {
	sha   string
	entry Entry
}

var branchForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$`)

// OpenBranch prepares a private git directory. It connects to nothing yet. The caller must close it.
func OpenBranch(o BranchOptions) (*Branch, error) {
	o.Name = cmp.Or(o.Name, DefaultBranch)
	o.Author = cmp.Or(o.Author, "Duet <duet@localhost>")
	o.Tries, o.Within, o.Pause = cmp.Or(o.Tries, 10), cmp.Or(o.Within, 2*time.Minute), cmp.Or(o.Pause, time.Second/2)
	if !branchForm.MatchString(o.Name) || strings.Contains(o.Name, "..") || strings.Contains(o.Name, "//") || strings.HasSuffix(o.Name, "/") || strings.HasSuffix(o.Name, ".lock") {
		return nil, plan.Usagef("letters, digits, and . _ / - within", "history's branch %q is not a branch name", cut(o.Name))
	}
	remote, err := newAddress(o.Remote, o.Token)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "duet-history-")
	if err != nil {
		return nil, fmt.Errorf("opening the history: %w", err)
	}
	env := append(baseEnv(remote.auth != ""), remote.env()...)
	return &Branch{BranchOptions: o, remote: remote, seen: map[string]blob{}, git: git{command: o.Git, dir: dir, env: env}}, nil
}

// Close removes the private git directory.
func (b *Branch) Close() error { return os.RemoveAll(b.git.dir) }

func (b *Branch) String() string { return fmt.Sprintf("branch %s of %s", b.Name, b.remote.url) }

// Warnings are what was strange about the branch and is no reason to stop.
func (b *Branch) Warnings() []string { return b.warnings }

// Load reads all entries. A branch that is not there is an empty history.
func (b *Branch) Load(ctx context.Context) (Loaded, error) {
	var entries []Entry
	err := b.retry(ctx, func(ctx context.Context) (err error) {
		entries, err = b.read(ctx)
		return err
	})
	if err != nil {
		return Loaded{}, fmt.Errorf("reading the history on %s: %w%s", b, err, b.wayOut(err, false))
	}
	return Loaded{Entries: entries, Tip: b.tip, Warnings: append(Oddities(entries), b.warnings...)}, nil
}

// Append adds one entry as one file in one commit. Where that fails, the entry is left as a file in Keep, and the error is a
// *KeptError.
func (b *Branch) Append(ctx context.Context, e Entry) error {
	return b.write(ctx, "night "+e.ID, []Entry{e}, nil)
}

// Import adds all entries in one commit.
func (b *Branch) Import(ctx context.Context, entries []Entry) error {
	return b.write(ctx, fmt.Sprintf("import %d entries", len(entries)), entries, nil)
}

// Remove deletes entries in one commit; the branch's past keeps them.
func (b *Branch) Remove(ctx context.Context, ids []string) error {
	return b.write(ctx, fmt.Sprintf("remove %d entries", len(ids)), nil, ids)
}

// write is fetch ▸ check ▸ commit ▸ push, again and again while somebody else was first or the network failed. A push
// whose answer was lost is found out by the next fetch: the entry is there already.
func (b *Branch) write(ctx context.Context, message string, entries []Entry, remove []string) error {
	files, err := filesOf(entries)
	if err != nil {
		return err
	}
	err = b.retry(ctx, func(ctx context.Context) error {
		there, err := b.read(ctx)
		if err != nil {
			return err
		}
		return b.push(ctx, message, files, remove, there)
	})
	if err == nil {
		return nil
	}
	err = fmt.Errorf("recording on %s: %w%s", b, err, b.wayOut(err, true))
	return b.keep(files, err)
}

// read fetches the branch and reads all of it, so that nothing is ever added to what cannot be read.
func (b *Branch) read(ctx context.Context) ([]Entry, error) {
	if err := b.fetch(ctx); err != nil {
		return nil, err
	}
	entries, err := b.entries(ctx)
	if err != nil {
		return nil, err
	}
	return inOrder(entries)
}

// retry calls try until it succeeds, until it fails in a way that trying again does not mend, or until Tries or Within
// are used up.
func (b *Branch) retry(ctx context.Context, try func(context.Context) error) error {
	within, cancel := context.WithTimeout(ctx, b.Within)
	defer cancel()
	for n := 1; ; n++ {
		begin := time.Now()
		err := try(within)
		took := time.Since(begin)
		var failed *gitError
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return err
		case within.Err() != nil:
			return fmt.Errorf("not within %s, %d tries: %w", b.Within, n, err)
		case !errors.As(err, &failed) || failed.meaning() != again:
			return err
		case n == b.Tries:
			return fmt.Errorf("after %d tries: %w", n, err)
		}
		pause := max(b.Pause<<min(n-1, 5), took) // recorders that were as slow as this one must not meet again
		select {
		case <-time.After(time.Duration(float64(pause) * (0.5 + rand.Float64()))):
		case <-within.Done():
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("not within %s, %d tries: %w", b.Within, n, err)
		}
	}
}

// wayOut is what to do about a refusal, as the end of an error.
func (b *Branch) wayOut(err error, write bool) string {
	var failed *gitError
	if !errors.As(err, &failed) {
		return ""
	}
	switch failed.meaning() {
	case byRule:
		return fmt.Sprintf("\nlet the repository's rules (Settings, Rules) allow pushes to %s by Actions, or name another branch with --store branch:NAME", b.Name)
	case noAccess:
		if write {
			return "\ngive the job `permissions: contents: write`, and hand it GITHUB_TOKEN"
		}
		return "\ngive the job `permissions: contents: read`, and hand it GITHUB_TOKEN"
	}
	return ""
}

// KeptError is a history that could not be written; what should have been recorded is in Paths.
type KeptError struct {
	Paths []string // of one file an entry; none: there is no folder to keep it in
	Err   error
}

func (e *KeptError) Error() string {
	switch len(e.Paths) {
	case 0:
		return e.Err.Error()
	case 1:
		return fmt.Sprintf("%v\nthe entry is kept: `duet history import %s` records it", e.Err, e.Paths[0])
	}
	return fmt.Sprintf("%v\n%d entries are kept in %s: `duet history import` records them", e.Err, len(e.Paths), filepath.Dir(e.Paths[0]))
}

func (e *KeptError) Unwrap() error { return e.Err }

// keep leaves files in Keep.
func (b *Branch) keep(files []file, err error) error {
	kept := &KeptError{Err: err}
	if b.Keep == "" || len(files) == 0 {
		return kept
	}
	for _, f := range files {
		name := filepath.Join(b.Keep, path.Base(f.path))
		if _, problem := writeNew(name, f.text); problem != nil {
			kept.Err = errors.Join(kept.Err, fmt.Errorf("keeping the entry: %w", problem))
			continue
		}
		kept.Paths = append(kept.Paths, name)
	}
	return kept
}
