package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/duet-bench/duet/internal/plan"
)

// checkout is a repository with a working tree, and the private git directory through which it is read.
//
//	here ── revisions, branches, remote ──▶ the repository's own .git   its configuration is read, never obeyed
//	own  ── commits, trees, blobs, fetch ─▶ a temporary git directory   objects borrowed from .git, own config
//	work ── status, index ────────────────▶ the same, with a copy of .git/index over the working tree
type checkout struct {
	top        string // absolute, symlinks resolved
	commonDir  string // .git, shared by linked working trees
	checkedOut string // HEAD's commit; "": none yet
	private    string // removed by close
	config     []setting
	here       git
	own        git
	work       git
	closed     *atomic.Bool
}

// setting is one entry of the repository's own configuration.
type setting struct{ key, value string }

// errNoRepository is a folder outside every repository.
var errNoRepository = errors.New("is not in a git repository")

var errClosed = errors.New("reading the repository: the source is closed: git is not used any more once code of the repository has run")

// open finds the repository dir is in and prepares the private git directory. The caller must close it.
func open(ctx context.Context, dir string) (*checkout, error) {
	dir, err := filepath.Abs(dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return nil, plan.Usagef("name a folder of a git repository with --repo", "opening the repository: %w", err)
	}
	c := &checkout{here: git{dir: dir}, closed: new(atomic.Bool)}
	places, err := c.here.line(ctx, "rev-parse", "--path-format=absolute", "--show-toplevel", "--git-dir", "--git-common-dir", "--show-object-format")
	if err != nil {
		return nil, notRepository(dir, err)
	}
	lines := strings.Split(places, "\n")
	if len(lines) != 4 {
		return nil, plan.Usagef("rename the folder", "opening the repository %q: its path holds a line break", dir)
	}
	c.top, c.commonDir = lines[0], lines[2]
	gitDir, format := lines[1], lines[3]
	if !within(c.top, dir) {
		// core.worktree in .git/config can name any folder of the machine.
		return nil, plan.Usagef("unset core.worktree in .git/config", "opening the repository %s: its working tree is elsewhere, in %s", dir, c.top)
	}
	c.here.dir = c.top
	if err := c.readConfig(ctx); err != nil {
		return nil, err
	}
	if c.checkedOut, err = c.here.line(ctx, "rev-parse", "--verify", "--quiet", "HEAD^{commit}"); err != nil {
		c.checkedOut = ""
	}
	if c.private, err = os.MkdirTemp("", "duet-source-"); err != nil {
		return nil, fmt.Errorf("opening the repository %s: %w", c.top, err)
	}
	c.own = git{dir: c.private, env: []string{"GIT_DIR=" + c.private}}
	c.work = git{dir: c.top, env: []string{"GIT_DIR=" + c.private, "GIT_WORK_TREE=" + c.top}}
	if err := c.furnish(gitDir, format); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the repository %s: %w", c.top, err), c.close())
	}
	return c, nil
}

// notRepository words why dir cannot be measured.
func notRepository(dir string, err error) error {
	var failed *gitError
	if !errors.As(err, &failed) {
		return err
	}
	switch {
	case strings.Contains(failed.stderr, "not a git repository"):
		return plan.Usagef("run Duet inside a clone, or name one with --repo", "opening the repository: %s %w", dir, errNoRepository)
	case strings.Contains(failed.stderr, "bare repository"), strings.Contains(failed.stderr, "must be run in a work tree"):
		return plan.Usagef("clone it, and name the clone with --repo", "opening the repository: %s is a bare repository, without files to build", dir)
	}
	return plan.Usagef("", "opening the repository %s: %w", dir, err)
}

// furnish fills the private git directory: objects by reference, the shallow boundary, index and
// info/exclude by copy. Neither config, attributes, grafts nor hooks come along.
func (c *checkout) furnish(gitDir, format string) error {
	head := cmp.Or(c.checkedOut, "ref: refs/heads/unborn")
	config := "[core]\n\tbare = true\n\trepositoryformatversion = 1\n[extensions]\n\tobjectformat = " + format + "\n"
	for _, dir := range []string{"objects/info", "objects/pack", "refs", "info"} {
		if err := os.MkdirAll(filepath.Join(c.private, dir), 0o700); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{
		"HEAD":                    head + "\n",
		"config":                  config,
		"objects/info/alternates": quote(filepath.Join(c.commonDir, "objects")) + "\n",
	} {
		if err := os.WriteFile(filepath.Join(c.private, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	copies := [][2]string{
		{filepath.Join(c.commonDir, "shallow"), "shallow"},
		{filepath.Join(c.commonDir, "info", "exclude"), "info/exclude"},
		{filepath.Join(gitDir, "index"), "index"},
	}
	split, err := os.ReadDir(gitDir) // a split index keeps most of itself beside itself
	if err != nil {
		return err
	}
	for _, e := range split {
		if strings.HasPrefix(e.Name(), "sharedindex.") {
			copies = append(copies, [2]string{filepath.Join(gitDir, e.Name()), e.Name()})
		}
	}
	for _, pair := range copies {
		if err := copyIfThere(pair[0], filepath.Join(c.private, pair[1])); err != nil {
			return err
		}
	}
	return nil
}

// copyIfThere copies a file with its modification time: against the index's, git tells entries that were
// written in the same instant and so cannot be trusted ("racily clean").
func copyIfThere(from, to string) error {
	info, err := os.Stat(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.WriteFile(to, text, 0o600); err != nil {
		return err
	}
	return os.Chtimes(to, info.ModTime(), info.ModTime())
}

// quote writes a path the way objects/info/alternates quotes: as a C string.
func quote(path string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(path) {
		switch ch := path[i]; {
		case ch == '"' || ch == '\\':
			b.WriteByte('\\')
			b.WriteByte(ch)
		case ch < ' ' || ch >= 0x7f:
			fmt.Fprintf(&b, "\\%03s", strconv.FormatUint(uint64(ch), 8))
		default:
			b.WriteByte(ch)
		}
	}
	return b.String() + `"`
}

// readConfig lists the repository's own configuration, with what it includes.
func (c *checkout) readConfig(ctx context.Context) error {
	out, err := c.here.output(ctx, "config", "--list", "-z", "--includes")
	if err != nil {
		return fmt.Errorf("reading .git/config: %w", err)
	}
	for entry := range strings.SplitSeq(string(out), "\x00") {
		if key, value, _ := strings.Cut(entry, "\n"); key != "" {
			c.config = append(c.config, setting{key: key, value: value})
		}
	}
	return nil
}

// close removes the private git directory. It may be called twice.
func (c *checkout) close() error {
	if c.closed.Swap(true) {
		return nil
	}
	return os.RemoveAll(c.private)
}

// alive says errClosed after close.
func (c *checkout) alive() error {
	if c == nil || c.closed.Load() {
		return errClosed
	}
	return nil
}

// within says whether path is dir or below it; both are absolute and clean.
func within(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}
