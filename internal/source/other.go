package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/duet-bench/duet/internal/plan"
)

// Other is a second checkout beside the repository, as it was exported.
type Other struct {
	Dir      string   // its top level, absolute; dst holds what lies below it
	SHA      string   // its HEAD; "" when it is not in git
	Warnings []string // uncommitted changes, and what Export warns of
}

// plainLimit is the most a folder outside git may hold, in bytes.
const plainLimit = 2 << 30

// ExportOther writes the checkout that dir is in ("../other", or a folder in it) to dst: its HEAD, or, when it
// is not a git repository, a plain copy of its files without .git. Both sides share it.
//
// A pull request chooses dir, and dst is readable to its code. So dir must lie in a neighbour of the
// repository, not further away and not in a hidden folder, no link leads there, and for a fork it must be a
// git repository: of those, only what is committed is copied.
func (r Resolution) ExportOther(ctx context.Context, dir, dst string) (Other, error) {
	o, err := r.exportOther(ctx, dir, dst)
	if err != nil {
		return Other{}, fmt.Errorf("exporting %s: %w", dir, err)
	}
	return o, nil
}

func (r Resolution) exportOther(ctx context.Context, dir, dst string) (Other, error) {
	if err := r.from.alive(); err != nil {
		return Other{}, err
	}
	abs, neighbour, err := r.neighbour(dir)
	if err != nil {
		return Other{}, err
	}
	c, err := open(ctx, abs)
	if err == nil && !within(neighbour, c.top) {
		// A repository around the neighbour, perhaps around everything: not what was meant.
		if err := c.close(); err != nil {
			return Other{}, err
		}
		c = nil
	}
	if err != nil && !errors.Is(err, errNoRepository) {
		return Other{}, err
	}
	if c == nil {
		return r.copyPlain(ctx, neighbour, dst)
	}
	o, err := exportHead(ctx, c, dst)
	return o, errors.Join(err, c.close())
}

// neighbour finds the folder beside the repository that dir is or lies in.
func (r Resolution) neighbour(dir string) (abs, top string, err error) {
	const hint = "name a folder beside the repository, like ../other"
	abs = dir
	if !filepath.IsAbs(dir) {
		abs = filepath.Join(r.Repo, filepath.FromSlash(dir))
	}
	parent := filepath.Dir(r.Repo)
	rel, err := filepath.Rel(parent, abs)
	if err != nil || rel == "." || !filepath.IsLocal(rel) || within(r.Repo, abs) {
		return "", "", plan.Usagef(hint, "%q is not a folder beside the repository", dir)
	}
	first, _, _ := strings.Cut(filepath.ToSlash(rel), "/")
	if strings.HasPrefix(first, ".") {
		return "", "", plan.Usagef(hint, "%q is in a hidden folder", dir)
	}
	info, err := os.Lstat(filepath.Join(parent, first))
	if err == nil && info.IsDir() {
		info, err = os.Stat(abs)
	}
	if err != nil {
		return "", "", plan.Usagef("check it out there first", "%w", err)
	}
	if real, err := filepath.EvalSymlinks(abs); err != nil || real != abs || !info.IsDir() {
		return "", "", plan.Usagef(hint, "%q is no folder, or reached through a symbolic link", dir)
	}
	return abs, filepath.Join(parent, first), nil
}

// exportHead writes the HEAD of a checkout.
func exportHead(ctx context.Context, c *checkout, dst string) (Other, error) {
	if c.checkedOut == "" {
		return Other{}, plan.Usagef("commit something first", "the repository %s has no commit yet", c.top)
	}
	o := Other{Dir: c.top, SHA: c.checkedOut}
	dirty, err := c.status(ctx)
	if err != nil {
		return Other{}, err
	}
	if len(dirty) > 0 {
		o.Warnings = append(o.Warnings, fmt.Sprintf("uncommitted changes in %s are not measured: %s", filepath.Base(c.top), some(dirty)))
	}
	warnings, err := export(ctx, commitTree{c: c, sha: o.SHA}, dst)
	o.Warnings = append(o.Warnings, warnings...)
	return o, err
}

// copyPlain copies a folder that is not a checkout.
func (r Resolution) copyPlain(ctx context.Context, dir, dst string) (Other, error) {
	if r.Fork {
		return Other{}, plan.Usagef("check it out with git", "%s is not a git repository, and a fork's pull request may name only those", dir)
	}
	name := filepath.Base(dir)
	warnings, err := export(ctx, &capped{tree: plainTree{dir: dir}, left: plainLimit}, dst)
	note := fmt.Sprintf("%s is not a git repository: its files are measured as they are, on both sides alike", name)
	return Other{Dir: dir, Warnings: append([]string{note}, warnings...)}, err
}

// capped is a tree that fails beyond a number of bytes.
type capped struct {
	tree
	left int64
}

func (c *capped) read(ctx context.Context, entries []entry, each content) error {
	return c.tree.read(ctx, entries, func(e entry, size int64, r io.Reader) error {
		if c.left -= size; c.left < 0 {
			return plan.Usagef("make it a git repository: then only committed files count", "it holds more than %d GiB", plainLimit>>30)
		}
		return each(e, size, r)
	})
}
