package source

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// beside is a repository and a neighbour of it called other.
func beside(t *testing.T) (c, other clone) {
	c, _, _, _ = forked(t, "main")
	other = clone{t: t, dir: filepath.Join(filepath.Dir(c.dir), "other"), tick: c.tick}
	return c, other
}

func TestExportOtherCheckout(t *testing.T) {
	t.Parallel()
	c, other := beside(t)
	other.write("service/main.rs", "committed")
	other.git("init", "--quiet", "--template=", "--initial-branch=trunk")
	sha := other.commit("one")
	other.write("service/main.rs", "changed")
	r := c.resolve(Options{Event: &Event{Fork: true}})
	for _, dir := range []string{"../other", "../other/service", other.dir} {
		dst := filepath.Join(t.TempDir(), "x")
		got, err := r.ExportOther(t.Context(), dir, dst)
		if err != nil {
			t.Fatal(err)
		}
		if got.SHA != sha || got.Dir != other.dir || len(got.Warnings) != 1 {
			t.Errorf("%s: got %+v, want %s in %s and a warning", dir, got, sha, other.dir)
		}
		wantText(t, strings.Join(got.Warnings, "\n"), `uncommitted changes in other are not measured: "service/main.rs"`)
		wantFiles(t, files(t, dst), map[string]string{"service/main.rs": "committed", "one": "one"})
	}
}

func TestExportOtherPlainFolder(t *testing.T) {
	t.Parallel()
	c, other := beside(t)
	other.write("sub/file", "x")
	other.write(".git/config", "not a repository")
	other.write("sub/.git", "gitdir: elsewhere")
	other.link("sub/link", "file")
	other.link("secret", "/etc/passwd")
	dst := filepath.Join(t.TempDir(), "x")
	got, err := c.resolve(Options{}).ExportOther(t.Context(), "../other", dst)
	if err != nil {
		t.Fatal(err)
	}
	if got.SHA != "" || got.Dir != other.dir {
		t.Errorf("got %+v", got)
	}
	wantText(t, strings.Join(got.Warnings, "\n"), "other is not a git repository", `"secret"`)
	wantFiles(t, files(t, dst), map[string]string{"sub/file": "x", "sub/link": "-> file"})
	_, err = c.resolve(Options{Event: &Event{Fork: true}}).ExportOther(t.Context(), "../other", filepath.Join(t.TempDir(), "x"))
	wantUsage(t, err, "not a git repository", "fork")
}

// A repository around everything, like dotfiles in a home folder, is not the neighbour's.
func TestExportOtherInsideAnotherRepository(t *testing.T) {
	t.Parallel()
	c, other := beside(t)
	other.write("file", "x")
	around := clone{t: t, dir: filepath.Dir(c.dir), tick: c.tick}
	around.write("private", "x")
	around.git("init", "--quiet", "--template=")
	around.git("add", "private")
	around.git("commit", "--quiet", "-m", "private")
	dst := filepath.Join(t.TempDir(), "x")
	got, err := c.resolve(Options{}).ExportOther(t.Context(), "../other", dst)
	if err != nil || got.SHA != "" {
		t.Fatalf("got %+v, %v", got, err)
	}
	wantFiles(t, files(t, dst), map[string]string{"file": "x"})
}

func TestExportOtherRefuses(t *testing.T) {
	t.Parallel()
	c, other := beside(t)
	parent := filepath.Dir(c.dir)
	other.write("file", "x")
	for _, dir := range []string{".ssh", "empty"} {
		if err := os.Mkdir(filepath.Join(parent, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{"linked": "/etc", "other/etc": "/etc", "alias": "other"} {
		if err := os.Symlink(target, filepath.Join(parent, name)); err != nil {
			t.Fatal(err)
		}
	}
	empty := clone{t: t, dir: filepath.Join(parent, "empty"), tick: c.tick}
	empty.git("init", "--quiet", "--template=")
	r := c.resolve(Options{})
	for dir, want := range map[string]string{
		"..":                 "not a folder beside",
		"../..":              "not a folder beside",
		"../../etc":          "not a folder beside",
		"/etc":               "not a folder beside",
		".":                  "not a folder beside",
		"one":                "not a folder beside",
		"../repo/x":          "not a folder beside",
		"../.ssh":            "hidden folder",
		"../absent":          "no such file",
		"../linked":          "symbolic link",
		"../other/etc":       "symbolic link",
		"../alias":           "symbolic link",
		"../other/file":      "no folder",
		"../empty":           "no commit yet",
		"../other/../../etc": "not a folder beside",
	} {
		dst := filepath.Join(t.TempDir(), "x")
		_, err := r.ExportOther(t.Context(), dir, dst)
		if err == nil {
			t.Errorf("ExportOther(%q) took %v", dir, files(t, dst))
			continue
		}
		wantUsage(t, err, want)
	}
}
