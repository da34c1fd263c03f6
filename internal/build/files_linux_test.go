package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func openRoot(t *testing.T, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	check(t, err)
	t.Cleanup(func() { root.Close() })
	return root
}

func TestKeepFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "-- a.txt --\na\n-- sub/b.txt --\nb\n-- sub/run.sh --\n#!/bin/sh\n")
	check(t, os.Chmod(filepath.Join(dir, "sub", "run.sh"), 0o755))
	check(t, os.Symlink("b.txt", filepath.Join(dir, "sub", "inside")))
	check(t, os.MkdirAll(filepath.Join(dir, "evil"), 0o755))
	check(t, os.Symlink("/etc/hostname", filepath.Join(dir, "evil", "outside")))
	check(t, os.Symlink("/etc", filepath.Join(dir, "etc")))
	check(t, os.MkdirAll(filepath.Join(dir, "links"), 0o755))
	check(t, os.Symlink("..", filepath.Join(dir, "links", "loop")))
	check(t, unix.Mkfifo(filepath.Join(dir, "pipe"), 0o666))
	root := openRoot(t, dir)
	for _, c := range []struct {
		names string
		want  string // names kept, or the error
	}{
		{"a.txt", "a.txt"},
		{"sub a.txt sub/b.txt a.txt", "a.txt sub/b.txt sub/inside sub/run.sh"},
		{"./sub/../a.txt", "a.txt"},
		{"absent", "no such file"},
		{"../x", "does not lie inside"},
		{"/etc/hostname", "does not lie inside"},
		{"evil", "escapes"},
		{"etc/hostname", "escapes"},
		{"pipe", "not a regular file"},
		{"links", "not a regular file"},
	} {
		out := t.TempDir()
		files, err := keepFiles(root, strings.Fields(c.names), openRoot(t, out))
		var names []string
		for _, f := range files {
			names = append(names, f.name)
		}
		got := strings.Join(names, " ")
		if err != nil {
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: got error %q, want %q", c.names, err, c.want)
			}
		} else if got != c.want {
			t.Errorf("%s: got %q, want %q", c.names, got, c.want)
		}
	}
}

func TestCopyTree(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "-- from/deep/a --\ntext\n-- secret/b --\nsecret\n")
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	check(t, os.Chmod(filepath.Join(from, "deep", "a"), 0o755))
	check(t, os.Symlink("../secret", filepath.Join(from, "link")))
	check(t, unix.Mkfifo(filepath.Join(from, "pipe"), 0o666))
	check(t, copyTree(from, to))
	info, err := os.Stat(filepath.Join(to, "deep", "a"))
	check(t, err)
	if info.Mode().Perm() != 0o755 {
		t.Errorf("mode of a copied program: got %v", info.Mode())
	}
	target, err := os.Readlink(filepath.Join(to, "link"))
	if target != "../secret" || err != nil {
		t.Errorf("copied link: got %q, %v, want the link itself", target, err)
	}
	if entries, err := os.ReadDir(to); len(entries) != 2 || err != nil {
		t.Errorf("got %v, %v, want deep and link", entries, err)
	}
	if err := copyTree(from, to); err == nil {
		t.Error("copied over an existing folder")
	}
}
