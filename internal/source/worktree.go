package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// status is the paths with uncommitted changes, staged or not, and the untracked ones that are not ignored.
// The user's own global ignore file does not count. Filters being unknown here, files of Git LFS count as
// unchanged only while their time stamps agree with the index.
func (c *checkout) status(ctx context.Context) ([]string, error) {
	out, err := c.work.output(ctx, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--ignore-submodules=all")
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, line := range fields(out) { // XY SPACE PATH
		if len(line) < 4 {
			return nil, fmt.Errorf("unexpected status %q", printable(line))
		}
		paths = append(paths, strings.TrimSuffix(line[3:], "/"))
	}
	return paths, nil
}

// workTree is the files as they lie in the working tree: tracked, and untracked unless ignored.
type workTree struct {
	c   *checkout
	own func(path string) bool
}

func (t workTree) list(ctx context.Context, below string) ([]entry, error) {
	staged, err := t.c.work.output(ctx, "ls-files", "--stage", "-z")
	if err != nil {
		return nil, err
	}
	submodules := make(map[string]string)
	var paths []string
	for _, line := range fields(staged) { // MODE ID STAGE TAB PATH
		meta, path, _ := strings.Cut(line, "\t")
		words := strings.Fields(meta)
		if len(words) != 3 || path == "" {
			return nil, fmt.Errorf("listing the index: unexpected entry %q", printable(line))
		}
		if kind(words[0]) == submodule {
			submodules[path] = words[1]
		}
		paths = append(paths, path)
	}
	changed, err := t.c.status(ctx)
	if err != nil {
		return nil, err
	}
	paths = append(paths, changed...)
	slices.Sort(paths)
	paths = slices.DeleteFunc(slices.Compact(paths), func(path string) bool {
		return t.own(path) || (below != "" && path != below && !strings.HasPrefix(path, below+"/"))
	})
	root, err := os.OpenRoot(t.c.top)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return onDisk(root, paths, submodules)
}

// onDisk looks up what lies at the paths. Those that are gone are left out: they were deleted.
func onDisk(root *os.Root, paths []string, submodules map[string]string) ([]entry, error) {
	var entries []entry
	for _, path := range paths {
		if id, ok := submodules[path]; ok {
			entries = append(entries, entry{path: path, kind: submodule, id: id})
			continue
		}
		if throughLink(root, path) {
			continue // the folder became a link: what git tracks below it is deleted
		}
		info, err := root.Lstat(filepath.FromSlash(path))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry{path: path, kind: kindOf(info.Mode())})
	}
	return entries, nil
}

// throughLink says whether a folder on the way to name is a symbolic link, or no folder.
func throughLink(root *os.Root, name string) bool {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if info, err := root.Lstat(filepath.FromSlash(dir)); err != nil || !info.IsDir() {
			return true
		}
	}
	return false
}

func kindOf(mode fs.FileMode) kind {
	switch {
	case mode.IsRegular() && mode&0o100 != 0:
		return executable
	case mode.IsRegular():
		return regular
	case mode.Type() == fs.ModeSymlink:
		return symlink
	}
	return odd
}

func (t workTree) read(ctx context.Context, entries []entry, each content) error {
	return readDisk(ctx, t.c.top, entries, each)
}

// readDisk reads files below dir, none of them through a symbolic link that leaves it.
func readDisk(ctx context.Context, dir string, entries []entry, each content) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		switch e.kind {
		case symlink:
			target, err := root.Readlink(filepath.FromSlash(e.path))
			if err != nil {
				return err
			}
			if err := each(e, int64(len(target)), strings.NewReader(target)); err != nil {
				return err
			}
		case regular, executable:
			if err := readFile(root, e, each); err != nil {
				return err
			}
		}
	}
	return nil
}

func readFile(root *os.Root, e entry, each content) error {
	f, err := root.Open(filepath.FromSlash(e.path))
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("reading %q: it is no regular file any more", e.path)
	}
	return each(e, info.Size(), io.LimitReader(f, info.Size()))
}

// plainTree is the files of a folder outside git, without any .git.
type plainTree struct{ dir string }

// list is all paths at or below a folder.
func (t plainTree) list(ctx context.Context, below string) ([]entry, error) {
	root, err := os.OpenRoot(t.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var entries []entry
	start := "."
	if below != "" {
		start = below
	}
	err = fs.WalkDir(root.FS(), start, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case d.Name() == ".git" && d.IsDir():
			return fs.SkipDir
		case d.Name() == ".git" || d.IsDir():
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		entries = append(entries, entry{path: path, kind: kindOf(info.Mode())})
		return nil
	})
	return entries, err
}

func (t plainTree) read(ctx context.Context, entries []entry, each content) error {
	return readDisk(ctx, t.dir, entries, each)
}
