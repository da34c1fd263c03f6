package source

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/duet-bench/duet/internal/plan"
)

// kind is what a path of a tree is, written as git's mode.
type kind string

const (
	regular    kind = "100644"
	executable kind = "100755"
	symlink    kind = "120000"
	submodule  kind = "160000"
	odd        kind = "" // a folder with a repository of its own, a socket, a device
)

// entry is one path of a tree; slashes separate.
type entry struct {
	path string
	kind kind
	id   string // the blob's or the submodule commit's name; "": not known yet
}

// content takes one entry's bytes; size of them can be read.
type content func(e entry, size int64, r io.Reader) error

// tree is a side's files. read calls each for every regular file and symbolic link (its target) of entries.
type tree interface {
	list(ctx context.Context, below string) ([]entry, error)
	read(ctx context.Context, entries []entry, each content) error
}

// commitTree is a commit's files as they were committed: raw blobs, without filters and attributes.
type commitTree struct {
	c   *checkout
	sha string
}

// list is the paths at or below a folder ("": all), in git's order.
func (t commitTree) list(ctx context.Context, below string) ([]entry, error) {
	args := []string{"ls-tree", "-r", "-z", "--full-tree", "--end-of-options", t.sha}
	if below != "" {
		args = append(args, below)
	}
	out, err := t.c.own.output(ctx, args...)
	if err != nil {
		return nil, err
	}
	var entries []entry
	for _, line := range fields(out) {
		meta, path, ok := strings.Cut(line, "\t") // MODE TYPE ID TAB PATH
		words := strings.Fields(meta)
		if !ok || len(words) != 3 || !isHex(words[2]) {
			return nil, fmt.Errorf("listing commit %s: unexpected entry %q", t.sha, printable(line))
		}
		e := entry{path: path, id: words[2]}
		switch words[0] {
		case "120000", "160000", "100755":
			e.kind = kind(words[0])
		default:
			e.kind = regular // 100664 in old trees
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func (t commitTree) read(ctx context.Context, entries []entry, each content) error {
	entries = slices.DeleteFunc(slices.Clone(entries), func(e entry) bool { return e.kind == submodule || e.kind == odd })
	var ids bytes.Buffer
	for _, e := range entries {
		ids.WriteString(e.id + "\n")
	}
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := t.c.own.stream(ctx, &ids, in, "cat-file", "--batch", "--buffer")
		in.CloseWithError(err) // nil reads as io.EOF
		done <- err
	}()
	err := readBlobs(bufio.NewReaderSize(out, 1<<16), entries, each)
	if err == nil {
		return <-done
	}
	out.CloseWithError(err) // git ends on the closed pipe
	if gitErr := <-done; ctx.Err() != nil {
		return gitErr
	}
	return err
}

// readBlobs reads the answers of cat-file --batch: "ID blob SIZE\n", SIZE bytes, "\n".
func readBlobs(r *bufio.Reader, entries []entry, each content) error {
	for _, e := range entries {
		header, err := r.ReadString('\n')
		if err != nil {
			return fmt.Errorf("reading %q: %w", e.path, err)
		}
		words := strings.Fields(header)
		if len(words) == 2 && words[1] == "missing" {
			return plan.Usagef("clone without --filter, or run `git fetch --refetch --no-filter`",
				"reading %q: its contents are not in this (partial) clone", e.path)
		}
		if len(words) != 3 || words[1] != "blob" {
			return fmt.Errorf("reading %q: unexpected answer %q of git cat-file", e.path, printable(header))
		}
		size, err := strconv.ParseInt(words[2], 10, 64)
		if err != nil || size < 0 {
			return fmt.Errorf("reading %q: unexpected size %q", e.path, words[2])
		}
		blob := &io.LimitedReader{R: r, N: size}
		if err := each(e, size, blob); err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, r, blob.N+1); err != nil {
			return fmt.Errorf("reading %q: %w", e.path, err)
		}
	}
	return nil
}

// tree is a side's files.
func (r Resolution) tree(side plan.Side) (tree, error) {
	if err := r.from.alive(); err != nil {
		return nil, err
	}
	switch {
	case side == plan.Head && r.Head.Worktree:
		return workTree{c: r.from, own: r.own}, nil
	case side == plan.Head:
		return commitTree{c: r.from, sha: r.Head.SHA}, nil
	case side == plan.Base && r.Base != nil:
		return commitTree{c: r.from, sha: r.Base.SHA}, nil
	case side == plan.Base:
		return nil, fmt.Errorf("there is no base: %s", r.NoBase)
	}
	return nil, fmt.Errorf("unexpected side %q: expected base or head", side)
}

// local is a slash-separated path below the tree's top, cleaned; "" is the top.
func local(name string) (string, error) {
	clean := path.Clean(filepath.ToSlash(name))
	if clean == "." {
		return "", nil
	}
	if !filepath.IsLocal(clean) || strings.ContainsRune(clean, 0) {
		return "", plan.Usagef("", "path %q is not inside the repository", name)
	}
	return clean, nil
}

// DefaultLimit is how long a file read by ReadFile may be when limit is 0, in bytes.
const DefaultLimit = 64 << 10

// ReadFile reads one regular file of a side, of at most limit bytes (0: DefaultLimit). It is fs.ErrNotExist
// when there is none; a symbolic link is refused, wherever it leads.
func (r Resolution) ReadFile(ctx context.Context, side plan.Side, name string, limit int64) ([]byte, error) {
	fail := func(err error) ([]byte, error) {
		return nil, fmt.Errorf("reading %s of %s: %w", name, side, err)
	}
	if limit == 0 {
		limit = DefaultLimit
	}
	t, err := r.tree(side)
	if err != nil {
		return fail(err)
	}
	file, err := local(name)
	if err != nil {
		return fail(err)
	}
	entries, err := t.list(ctx, file)
	if err != nil {
		return fail(err)
	}
	i := slices.IndexFunc(entries, func(e entry) bool { return e.path == file })
	if i < 0 {
		if len(entries) > 0 {
			return fail(plan.Usagef("", "it is a folder"))
		}
		return fail(fs.ErrNotExist)
	}
	if e := entries[i]; e.kind != regular && e.kind != executable {
		return fail(plan.Usagef("commit the file itself", "it is a symbolic link or a submodule, not a regular file"))
	}
	var text []byte
	err = t.read(ctx, entries[i:i+1], func(_ entry, size int64, blob io.Reader) error {
		if size > limit {
			return plan.Usagef("", "it has %d bytes, more than %d", size, limit)
		}
		text, err = io.ReadAll(io.LimitReader(blob, size))
		return err
	})
	if err != nil {
		return fail(err)
	}
	return text, nil
}

// TreeHash is a hash, 64 hex digits, of all that Export would take from a folder of a side ("." for the whole
// tree): paths, kinds and contents. Two sides, or a commit and a working tree, have the same hash exactly if
// the folder holds the same. fs.ErrNotExist when it has no files.
func (r Resolution) TreeHash(ctx context.Context, side plan.Side, dir string) (string, error) {
	sum, err := r.treeHash(ctx, side, dir)
	if err != nil {
		return "", fmt.Errorf("hashing %s of %s: %w", dir, side, err)
	}
	return sum, nil
}

func (r Resolution) treeHash(ctx context.Context, side plan.Side, dir string) (string, error) {
	t, err := r.tree(side)
	if err != nil {
		return "", err
	}
	below, err := local(dir)
	if err != nil {
		return "", err
	}
	entries, err := t.list(ctx, below)
	if err != nil {
		return "", err
	}
	if len(entries) == 0 {
		return "", fs.ErrNotExist
	}
	sums := make(map[string]string, len(entries)) // by path
	err = t.read(ctx, entries, func(e entry, _ int64, blob io.Reader) error {
		h := sha256.New()
		if _, err := io.Copy(h, blob); err != nil {
			return err
		}
		sums[e.path] = hex.EncodeToString(h.Sum(nil))
		return nil
	})
	if err != nil {
		return "", err
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.path, b.path) })
	h := sha256.New()
	for _, e := range entries {
		sum, ok := sums[e.path]
		if !ok {
			sum = e.id
		}
		rel := strings.TrimPrefix(strings.TrimPrefix(e.path, below), "/")
		fmt.Fprintf(h, "%s %s %s\x00", e.kind, sum, rel)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
