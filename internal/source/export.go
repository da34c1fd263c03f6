package source

import (
	"bufio"
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

	"github.com/duet-bench/duet/internal/plan"
)

// Export writes a side's files to dst, an empty folder or one to be made, without .git. What was left out
// comes back as warnings: symbolic links that could leave the tree, contents of submodules (an empty folder
// stands for each), Git LFS contents (the pointer file stands for them). After an error dst is incomplete and
// the caller's to remove.
func (r Resolution) Export(ctx context.Context, side plan.Side, dst string) ([]string, error) {
	t, err := r.tree(side)
	if err != nil {
		return nil, fmt.Errorf("exporting %s: %w", side, err)
	}
	warnings, err := export(ctx, t, dst)
	if err != nil {
		return nil, fmt.Errorf("exporting %s: %w", side, err)
	}
	return warnings, nil
}

// export writes all of a tree to dst.
func export(ctx context.Context, t tree, dst string) ([]string, error) {
	entries, err := t.list(ctx, "")
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dst, 0o755); err != nil {
		return nil, err
	}
	if there, err := os.ReadDir(dst); err != nil {
		return nil, err
	} else if len(there) > 0 {
		return nil, fmt.Errorf("%s is not empty", dst)
	}
	root, err := os.OpenRoot(dst)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	w := &writer{root: root, made: map[string]bool{".": true}}
	for _, e := range entries {
		if err := allowed(e.path); err != nil {
			return nil, err
		}
		if e.kind == submodule || e.kind == odd {
			if err := w.leaveOut(e); err != nil {
				return nil, err
			}
		}
	}
	if err := t.read(ctx, entries, w.write); err != nil {
		return nil, err
	}
	return w.warnings(), nil
}

// errUnsafePath is a path no honest tree has.
var errUnsafePath = errors.New("unsafe path")

// allowed refuses paths that lead out of the tree or into a .git, also as other file systems spell it. git
// itself refuses to check them out, so no honest tree has one.
func allowed(name string) error {
	if !filepath.IsLocal(filepath.FromSlash(name)) {
		return fmt.Errorf("%w: %q leaves the tree", errUnsafePath, name)
	}
	for part := range strings.SplitSeq(name, "/") {
		plain := strings.Map(func(r rune) rune {
			if r >= 0x200c && r <= 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x206a && r <= 0x206f || r == 0xfeff {
				return -1 // HFS+ ignores these
			}
			return r
		}, strings.ToLower(part))
		plain = strings.TrimRight(plain, ". ") // as NTFS does
		if plain == ".git" || plain == "git~1" {
			return fmt.Errorf("%w: %q holds a .git folder", errUnsafePath, name)
		}
	}
	return nil
}

// writer writes files below a root and remembers what it left out.
type writer struct {
	root       *os.Root
	made       map[string]bool // folders
	leaving    []string        // symbolic links left out
	submodules []string
	odd        []string
	lfs        []string
}

// write is a content: one file or symbolic link.
func (w *writer) write(e entry, size int64, r io.Reader) error {
	if err := w.folder(path.Dir(e.path)); err != nil {
		return err
	}
	if e.kind == symlink {
		return w.link(e, size, r)
	}
	mode := fs.FileMode(0o644)
	if e.kind == executable {
		mode = 0o755
	}
	f, err := w.root.OpenFile(filepath.FromSlash(e.path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	in := bufio.NewReaderSize(r, 4096)
	if start, _ := in.Peek(len(lfsPointer)); size < 1024 && string(start) == lfsPointer {
		w.lfs = append(w.lfs, e.path)
	}
	n, err := io.Copy(f, in)
	if err == nil && n != size {
		err = fmt.Errorf("writing %q: %d of %d bytes", e.path, n, size)
	}
	return errors.Join(err, f.Close())
}

// lfsPointer is how a file starts whose contents are kept by Git LFS.
const lfsPointer = "version https://git-lfs.github.com/spec/v1\n"

// maxTarget is Linux's PATH_MAX, in bytes.
const maxTarget = 4096

func (w *writer) link(e entry, size int64, r io.Reader) error {
	if size > maxTarget {
		w.leaving = append(w.leaving, e.path)
		return nil
	}
	target, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if !stays(e.path, string(target)) {
		w.leaving = append(w.leaving, e.path)
		return nil
	}
	return w.root.Symlink(string(target), filepath.FromSlash(e.path))
}

// stays says whether a symbolic link at name surely stays in the tree: its target is relative, climbs only at
// its beginning, and no higher than the tree's top. As the folders above a link are real ones, climbing is
// exact; the rest descends, through other links only if they stay too. So no chain of such links leaves,
// whatever is later put where a link dangles. A target like a/../b is refused, for a may be a link.
func stays(name, target string) bool {
	if target == "" || path.IsAbs(target) || filepath.VolumeName(target) != "" || strings.ContainsAny(target, "\\\x00") {
		return false
	}
	depth := strings.Count(name, "/")
	climbing := true
	for part := range strings.SplitSeq(target, "/") {
		switch part {
		case "", ".":
		case "..":
			if depth--; depth < 0 || !climbing {
				return false
			}
		default:
			climbing = false
			if allowed(part) != nil {
				return false // .git does not exist here; a link to it waits for one
			}
		}
	}
	return true
}

func (w *writer) folder(dir string) error {
	if w.made[dir] {
		return nil
	}
	if err := w.root.MkdirAll(filepath.FromSlash(dir), 0o755); err != nil {
		return err
	}
	if throughLink(w.root, dir+"/x") {
		// A tree that has a link and files below it: stays would not hold there.
		return fmt.Errorf("%w: %q lies behind a symbolic link", errUnsafePath, dir)
	}
	w.made[dir] = true
	return nil
}

// leaveOut makes an empty folder for a submodule and notes what is no file.
func (w *writer) leaveOut(e entry) error {
	if e.kind == odd {
		w.odd = append(w.odd, e.path)
		return nil
	}
	w.submodules = append(w.submodules, e.path)
	return w.folder(e.path)
}

func (w *writer) warnings() []string {
	var texts []string
	for _, note := range []struct {
		paths []string
		text  string
	}{
		{w.leaving, "symbolic links that could leave the tree are left out: %s"},
		{w.submodules, "submodules are empty folders, their contents are not fetched: %s"},
		{w.lfs, "files kept by Git LFS are pointers, their contents are not fetched: %s"},
		{w.odd, "repositories inside the working tree, sockets and devices are left out: %s"},
	} {
		if len(note.paths) > 0 {
			slices.Sort(note.paths)
			texts = append(texts, fmt.Sprintf(note.text, some(note.paths)))
		}
	}
	return texts
}
