package build

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
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

func TestBinaryName(t *testing.T) {
	for files, want := range map[string]string{"": "app", "x app/y": "app.bin", "app app.bin": "app.bin.bin", "dir/app": "app"} {
		var all []kept
		for _, name := range strings.Fields(files) {
			all = append(all, kept{name: name})
		}
		if got := binaryName("app", all); got != want {
			t.Errorf("beside %q: got %s, want %s", files, got, want)
		}
	}
}

func TestInputs(t *testing.T) {
	service := plan.Service{Name: "go", Run: []string{"--port", "{port}"}, Env: map[string]string{"A": "1", "B": "2"}}
	file := kept{name: "f", sha256: "abc"}
	same := inputsSHA256("bin", []kept{file}, service)
	seen := map[string]string{same: "the original"}
	other := func(what, got string) {
		if before, ok := seen[got]; ok {
			t.Errorf("%s has the inputs of %s", what, before)
		}
		seen[got] = what
	}
	with := func(change func(*plan.Service)) plan.Service {
		s := service
		change(&s)
		return s
	}
	if got := inputsSHA256("bin", []kept{file}, with(func(s *plan.Service) { s.Dir, s.Ready.Path = "elsewhere", "/up" })); got != same {
		t.Error("where a service was built and how it is known to be ready are no inputs")
	}
	other("another binary", inputsSHA256("bin2", []kept{file}, service))
	other("no file", inputsSHA256("bin", nil, service))
	other("an executable file", inputsSHA256("bin", []kept{{name: "f", sha256: "abc", executable: true}}, service))
	other("another file name", inputsSHA256("bin", []kept{{name: "g", sha256: "abc"}}, service))
	other("other arguments", inputsSHA256("bin", []kept{file}, with(func(s *plan.Service) { s.Run = []string{"--port {port}"} })))
	other("another value", inputsSHA256("bin", []kept{file}, with(func(s *plan.Service) { s.Env = map[string]string{"A": "1", "B": "3"} })))
	other("names and values joined", inputsSHA256("bin", []kept{file}, with(func(s *plan.Service) { s.Env = map[string]string{"A": "1B2"} })))
	other("a passed name", inputsSHA256("bin", []kept{file}, with(func(s *plan.Service) { s.PassEnv = []string{"A"} })))
	other("a port", inputsSHA256("bin", []kept{file}, with(func(s *plan.Service) { s.Port = 8080 })))
}

func TestMarkIdentical(t *testing.T) {
	b := func(service string, side plan.Side, inputs, lto, failure string) result.Build {
		return result.Build{Variant: plan.Variant{Service: service, Side: side}, InputsSHA256: inputs,
			Settings: map[string]string{"lto": lto}, Error: failure}
	}
	builds := []result.Build{
		b("same", plan.Head, "1", "", ""), b("same", plan.Base, "1", "", ""),
		b("changed", plan.Base, "1", "", ""), b("changed", plan.Head, "2", "thin", ""),
		b("broken", plan.Base, "", "", "x"), b("broken", plan.Head, "", "", "x"),
		b("new", plan.Head, "1", "", ""),
	}
	var got []string
	marked := MarkIdentical(builds)
	for _, m := range marked {
		if m.IdenticalToBase {
			got = append(got, m.Variant.String())
		}
	}
	if want := []string{"same@head"}; !slices.Equal(got, want) {
		t.Errorf("identical: got %v, want %v", got, want)
	}
	if want := []string{"build configuration differs from base: lto"}; !slices.Equal(marked[3].Notes, want) {
		t.Errorf("notes: got %q, want %q", marked[3].Notes, want)
	}
	if builds[0].IdenticalToBase || builds[3].Notes != nil {
		t.Error("the builds handed in were changed")
	}
	again := MarkIdentical(marked)
	if len(again[3].Notes) != 1 {
		t.Errorf("marking twice: got notes %q", again[3].Notes)
	}
}
