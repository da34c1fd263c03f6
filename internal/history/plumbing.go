package history

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// local is the private ref that a fetch moves.
const local = "refs/duet/tip"

// fetch brings the branch as it is now into the private git directory, with its past, so that a rewritten one is seen.
func (b *Branch) fetch(ctx context.Context) error {
	ref := "refs/heads/" + b.Name
	out, err := b.git.run(ctx, nil, "ls-remote", "--upload-pack=git-upload-pack", "--end-of-options", b.remote.url, "HEAD", ref)
	if err != nil {
		return err
	}
	tip := ""
	for line := range strings.Lines(string(out)) {
		sha, name, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if !shaForm.MatchString(sha) {
			return fmt.Errorf("running git ls-remote: a line that is no ref: %q", cut(line))
		}
		if b.format == "" {
			if err := b.init(ctx, sha); err != nil {
				return err
			}
		}
		if name == ref {
			tip = sha
		}
	}
	if b.format == "" { // an empty repository
		if err := b.init(ctx, ""); err != nil {
			return err
		}
	}
	if tip == b.tip {
		return nil
	}
	if tip != "" {
		if _, err := b.git.run(ctx, nil, "fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--upload-pack=git-upload-pack",
			"--end-of-options", b.remote.url, "+"+ref+":"+local); err != nil {
			return err
		}
		if tip, err = b.git.line(ctx, nil, "rev-parse", "--verify", local); err != nil {
			return err
		}
	}
	return b.moved(ctx, tip)
}

// init makes the private git directory, with the remote's object format.
func (b *Branch) init(ctx context.Context, sha string) error {
	format := "sha1"
	if len(sha) == 64 {
		format = "sha256"
	}
	if _, err := b.git.run(ctx, nil, "init", "--quiet", "--bare", "--template=", "--object-format="+format); err != nil {
		return err
	}
	b.format = format
	return nil
}

// moved takes a new tip. A branch whose past was rewritten since it was last read is gone on with as it is, since nothing
// here may force it back, and said.
func (b *Branch) moved(ctx context.Context, tip string) error {
	before := b.tip
	b.tip = tip
	switch {
	case before == "":
		return nil
	case tip == "":
		b.warnings = append(b.warnings, fmt.Sprintf("%s was deleted while it was in use (it was at %s): a new one begins", b, short(before)))
		return nil
	}
	_, err := b.git.run(ctx, nil, "merge-base", "--is-ancestor", before, tip)
	var failed *gitError
	if errors.As(err, &failed) {
		b.warnings = append(b.warnings, fmt.Sprintf("%s was rewritten while it was in use: %s is not among what leads to %s; entries may be missing", b, short(before), short(tip)))
		return nil
	}
	return err
}

// entries reads the branch's files. What was read before is not read again.
func (b *Branch) entries(ctx context.Context) ([]Entry, error) {
	if b.tip == "" {
		b.seen = map[string]blob{}
		return nil, nil
	}
	listing, err := b.git.run(ctx, nil, "ls-tree", "-r", "-l", "-z", "--full-tree", b.tip)
	if err != nil {
		return nil, err
	}
	there, unread, err := b.listed(listing)
	if err != nil {
		return nil, fmt.Errorf("at %s: %w", short(b.tip), err)
	}
	files, err := b.contents(ctx, unread)
	if err != nil {
		return nil, err
	}
	fresh, err := readEntries(ctx, files)
	if err != nil {
		return nil, fmt.Errorf("at %s: %w", short(b.tip), err)
	}
	for i, e := range fresh {
		there[files[i].path] = blob{sha: unread[i].sha, entry: e}
	}
	b.seen = there
	entries := make([]Entry, 0, len(there))
	for _, s := range there {
		entries = append(entries, s.entry)
	}
	return entries, nil
}

// listing is a file of the branch that was not read yet.
type listing struct{ path, sha string }

// listed parses ls-tree: MODE TYPE SHA SIZE, a tab, the path.
func (b *Branch) listed(text []byte) (there map[string]blob, unread []listing, err error) {
	there = make(map[string]blob, len(b.seen))
	var errs []error
	for item := range strings.SplitSeq(strings.TrimSuffix(string(text), "\x00"), "\x00") {
		head, name, _ := strings.Cut(item, "\t")
		fields := strings.Fields(head)
		if len(fields) != 4 {
			continue
		}
		entry, err := checkPath(name)
		if err != nil || !entry {
			errs = append(errs, err)
			continue
		}
		size, _ := strconv.Atoi(fields[3])
		switch known := b.seen[name]; {
		case fields[0] != "100644":
			errs = append(errs, fmt.Errorf("%s: not a regular file (mode %s)", name, fields[0]))
		case size > MaxBytes:
			errs = append(errs, fmt.Errorf("%s: %d bytes, more than the %d an entry may have", name, size, MaxBytes))
		case known.sha == fields[2]:
			there[name] = known
		default:
			unread = append(unread, listing{path: name, sha: fields[2]})
		}
	}
	return there, unread, unreadable(errs)
}

// contents reads blobs in one call.
func (b *Branch) contents(ctx context.Context, wanted []listing) ([]file, error) {
	if len(wanted) == 0 {
		return nil, nil
	}
	var names bytes.Buffer
	for _, w := range wanted {
		fmt.Fprintln(&names, w.sha)
	}
	out, err := b.git.run(ctx, names.Bytes(), "cat-file", "--batch")
	if err != nil {
		return nil, err
	}
	files := make([]file, len(wanted))
	r := bufio.NewReader(bytes.NewReader(out))
	for i, w := range wanted {
		head, err := r.ReadString('\n')
		fields := strings.Fields(head)
		if err != nil || len(fields) != 3 || fields[0] != w.sha || fields[1] != "blob" {
			return nil, fmt.Errorf("%s: its content is missing: git says %q", w.path, cut(head))
		}
		size, err := strconv.Atoi(fields[2])
		if err != nil || size > MaxBytes {
			return nil, fmt.Errorf("%s: %s bytes, more than the %d an entry may have", w.path, fields[2], MaxBytes)
		}
		text := make([]byte, size)
		if _, err := io.ReadFull(r, text); err != nil {
			return nil, fmt.Errorf("%s: %w", w.path, err)
		}
		if _, err := r.Discard(1); err != nil {
			return nil, fmt.Errorf("%s: %w", w.path, err)
		}
		files[i] = file{path: w.path, text: text}
	}
	return files, nil
}

// push makes one commit on top of the tip, and pushes it. Nothing to do is done.
func (b *Branch) push(ctx context.Context, message string, files []file, remove []string, entries []Entry) error {
	missing, err := missingFrom(files, entries)
	if err != nil {
		return err
	}
	gone, err := pathsOf(remove, entries)
	if err != nil {
		return err
	}
	if len(missing)+len(gone) == 0 {
		return nil
	}
	commit, err := b.commit(ctx, message, missing, gone)
	if err != nil {
		return err
	}
	_, err = b.git.run(ctx, nil, "push", "--porcelain", "--no-verify", "--no-signed", "--no-follow-tags", "--recurse-submodules=no",
		"--receive-pack=git-receive-pack", "--end-of-options", b.remote.url, commit+":refs/heads/"+b.Name)
	return err
}

// commit writes the new files' blobs, the tree and the commit, without a working tree.
func (b *Branch) commit(ctx context.Context, message string, files []file, gone []string) (string, error) {
	blobs, err := b.blobs(ctx, files)
	if err != nil {
		return "", err
	}
	index := b.git
	index.env = append(slices.Clone(index.env), "GIT_INDEX_FILE="+filepath.Join(b.git.dir, "duet-index"))
	start := []string{"read-tree", "--empty"}
	if b.tip != "" {
		start = []string{"read-tree", b.tip}
	}
	if _, err := index.run(ctx, nil, start...); err != nil {
		return "", err
	}
	var changes bytes.Buffer
	for i, f := range files {
		fmt.Fprintf(&changes, "100644 %s\t%s\x00", blobs[i], f.path)
	}
	for _, name := range gone {
		fmt.Fprintf(&changes, "0 %s\t%s\x00", strings.Repeat("0", len(b.tip)), name)
	}
	if _, err := index.run(ctx, changes.Bytes(), "update-index", "-z", "--index-info"); err != nil {
		return "", err
	}
	tree, err := index.line(ctx, nil, "write-tree")
	if err != nil {
		return "", err
	}
	args := []string{"commit-tree", tree, "-m", message}
	if b.tip != "" {
		args = append(args, "-p", b.tip)
	}
	name, mail, _ := strings.Cut(strings.TrimSuffix(b.Author, ">"), " <")
	author := b.git
	author.env = append(slices.Clone(author.env), "GIT_AUTHOR_NAME="+name, "GIT_AUTHOR_EMAIL="+mail, "GIT_COMMITTER_NAME="+name, "GIT_COMMITTER_EMAIL="+mail)
	return author.line(ctx, nil, args...)
}

// blobs stores files as git objects, in one call.
func (b *Branch) blobs(ctx context.Context, files []file) ([]string, error) {
	if len(files) == 0 {
		return nil, nil
	}
	dir, err := os.MkdirTemp(b.git.dir, "new-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var names bytes.Buffer
	for i, f := range files {
		name := filepath.Join(dir, strconv.Itoa(i))
		if err := os.WriteFile(name, f.text, 0o600); err != nil {
			return nil, err
		}
		fmt.Fprintln(&names, name)
	}
	out, err := b.git.line(ctx, names.Bytes(), "hash-object", "-w", "--no-filters", "--stdin-paths")
	if err != nil {
		return nil, err
	}
	shas := strings.Fields(out)
	if len(shas) != len(files) {
		return nil, fmt.Errorf("running git hash-object: %d names for %d files", len(shas), len(files))
	}
	return shas, nil
}
