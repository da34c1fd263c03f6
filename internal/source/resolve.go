package source

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/duet-bench/duet/internal/plan"
)

// Options is what the caller wants compared. The zero value is the repository of the current folder, HEAD
// against its merge base with the default branch.
type Options struct {
	Repo     string   // a folder in the repository; "": the current one
	Head     string   // a revision; "": HEAD
	Base     string   // a revision, "none", or "": found
	Exact    bool     // Base itself is compared, ancestor of head or not, and be it head
	Worktree bool     // head is the working tree as it is, uncommitted changes included
	Event    *Event   // nil outside GitHub Actions
	Exclude  []string // folders of Duet's own in the working tree (--out), relative to it or absolute; .duet always is
}

// Resolution is which commits are compared and why, and the way to their files until Close.
type Resolution struct {
	Repo          string       // absolute top level
	Head          plan.Commit  //
	Base          *plan.Commit // nil: "baseline: none"
	NoBase        string       // why there is no base
	Changed       []string     // files that differ between base and head, or the working tree; sorted; nil without a base
	Dirty         []string     // uncommitted and untracked files that are not measured, because Worktree is off; sorted
	Fork          bool         // head is a stranger's code
	DefaultBranch string       // "": not found
	Warnings      []string     //

	from *checkout
	own  func(path string) bool // Duet's own files in the working tree
}

// Close ends the use of git and removes what Resolve put into the temporary folder. Call it after the
// exports and before any code of the repository runs; calling it again does nothing.
func (r Resolution) Close() error {
	if r.from == nil {
		return nil
	}
	return r.from.close()
}

// Resolve finds head, base and what changed between them. It writes nothing into the repository. The caller
// must Close the resolution; after an error there is nothing to close.
func Resolve(ctx context.Context, o Options) (Resolution, error) {
	if o.Worktree && o.Head != "" && o.Head != "HEAD" {
		return Resolution{}, plan.Usagef("leave out --head or --worktree", "resolving head: --worktree measures the checked-out files, not %q", printable(o.Head))
	}
	if o.Repo == "" {
		o.Repo = "."
	}
	if o.Head == "" {
		o.Head = "HEAD"
	}
	if o.Event == nil {
		o.Event = &Event{}
	}
	c, err := open(ctx, o.Repo)
	if err != nil {
		return Resolution{}, err
	}
	s := &resolver{c: c, o: o, res: Resolution{Repo: c.top, Fork: o.Event.Fork, from: c, own: ownFiles(c.top, o.Exclude)}}
	if err := s.resolve(ctx); err != nil {
		return Resolution{}, errors.Join(err, c.close())
	}
	return s.res, nil
}

// ownFiles says which slash-separated paths of the working tree are Duet's own.
func ownFiles(top string, exclude []string) func(string) bool {
	own := []string{".duet"}
	for _, dir := range exclude {
		if filepath.IsAbs(dir) {
			rel, err := filepath.Rel(top, dir)
			if err != nil {
				continue
			}
			dir = rel
		}
		if dir = filepath.ToSlash(filepath.Clean(dir)); dir != "." && filepath.IsLocal(dir) {
			own = append(own, dir)
		}
	}
	return func(path string) bool {
		return slices.ContainsFunc(own, func(dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") })
	}
}

// resolver fills a Resolution, step by step.
type resolver struct {
	c     *checkout
	o     Options
	head  commit
	dirty []string // uncommitted files, if head is checked out
	res   Resolution
}

func (s *resolver) warn(format string, args ...any) {
	s.res.Warnings = append(s.res.Warnings, fmt.Sprintf(format, args...))
}

func (s *resolver) resolve(ctx context.Context) error {
	where, err := s.c.credentials(s.o.Event.Fork)
	if err != nil {
		return fmt.Errorf("checking the checkout: %w", err)
	}
	if len(where) > 0 {
		s.warn("credentials are stored in the checkout (%s): %s", strings.Join(where, ", "), credentialsFix)
	}
	if err := s.findHead(ctx); err != nil {
		return fmt.Errorf("resolving head: %w", err)
	}
	if err := s.findDirty(ctx); err != nil {
		return fmt.Errorf("listing uncommitted changes: %w", err)
	}
	if err := s.findBase(ctx); err != nil {
		return fmt.Errorf("resolving base: %w", err)
	}
	if s.res.Base != nil {
		if err := s.findChanged(ctx); err != nil {
			return fmt.Errorf("listing changed files: %w", err)
		}
	}
	return nil
}

func (s *resolver) findHead(ctx context.Context) error {
	sha, _, err := s.c.revision(ctx, s.o.Head)
	if errors.Is(err, errUnknown) {
		if s.o.Head == "HEAD" {
			return plan.Usagef("commit something first", "the repository %s has no commit yet", s.c.top)
		}
		return s.c.unknown(ctx, "--head", s.o.Head)
	}
	if err != nil {
		return err
	}
	if s.head, err = s.c.commit(ctx, sha); err != nil {
		return err
	}
	s.res.Head = plan.Commit{SHA: sha, Ref: s.o.Head, Subject: s.head.subject}
	if s.testMerge() {
		s.res.Head.MergeOf = s.o.Event.HeadSHA
	}
	return nil
}

// findDirty lists uncommitted changes. They only matter if head is what is checked out.
func (s *resolver) findDirty(ctx context.Context) error {
	if s.c.checkedOut != s.head.sha {
		return nil
	}
	changed, err := s.c.status(ctx)
	if err != nil {
		return err
	}
	for _, path := range changed {
		if !s.res.own(path) {
			s.dirty = append(s.dirty, path)
		}
	}
	slices.Sort(s.dirty)
	s.dirty = slices.Compact(s.dirty)
	if len(s.dirty) == 0 {
		return nil
	}
	if s.o.Worktree {
		s.res.Head.Worktree = true
		return nil
	}
	s.res.Dirty = s.dirty
	s.warn("uncommitted changes are not measured (%s): --worktree measures them", some(s.dirty))
	return nil
}

// some is the first three of a list of paths, and how many more.
func some(paths []string) string {
	var names []string
	for _, path := range paths[:min(3, len(paths))] {
		names = append(names, strconv.Quote(path))
	}
	text := strings.Join(names, ", ")
	if more := len(paths) - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func (s *resolver) findChanged(ctx context.Context) error {
	out, err := s.c.own.output(ctx, "diff-tree", "-r", "-z", "--name-only", "--no-renames", "--no-ext-diff", "--end-of-options",
		s.res.Base.SHA, s.head.sha)
	if err != nil {
		return err
	}
	paths := fields(out)
	if s.res.Head.Worktree {
		paths = append(paths, s.dirty...)
	}
	slices.Sort(paths)
	s.res.Changed = slices.Compact(paths)
	return nil
}

// fields splits git's -z output.
func fields(out []byte) []string {
	text := strings.TrimSuffix(string(out), "\x00")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\x00")
}
