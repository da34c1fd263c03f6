package source

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/duet-bench/duet/internal/plan"
)

func wantFiles(t *testing.T, got, want map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func (c clone) link(name, target string) {
	c.t.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		c.t.Fatal(err)
	}
}

// The same odd tree, committed and as working tree.
func TestExport(t *testing.T) {
	t.Parallel()
	c := newClone(t, "main")
	c.commit("first")
	c.write("dir/run.sh", "#!/bin/sh\n")
	if err := os.Chmod(filepath.Join(c.dir, "dir/run.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	c.write("carriage\r", "cr")
	c.write("new\nline", "nl")
	c.write("-leading", "dash")
	c.write("not utf-8 \xff", "latin")
	c.write("empty", "")
	c.write("large", strings.Repeat("0123456789", 100_000))
	c.write("crlf", "a\r\nb\n")
	c.write("stamp", "$Format:%H$ $Id$")
	c.write("secret/kept", "kept")
	c.write("video", lfsPointer+"oid sha256:00\nsize 1\n")
	c.write(".gitattributes", "stamp export-subst ident\nsecret export-ignore\ncrlf text eol=lf\n* filter=lfs\n")
	c.link("inside", "dir/run.sh")
	c.link("dir/up", "../first")
	c.link("dangling", "not/there")
	c.link("absolute", "/etc/passwd")
	c.link("outside", "../secret")
	c.link("dir/outside", "../../secret")
	c.link("dir/mixed", "sub/../../first")
	c.link("togit", ".git/config")
	c.git("add", "--all")
	c.git("update-index", "--add", "--cacheinfo", "160000,"+c.git("rev-parse", "HEAD")+",module")
	if err := os.Mkdir(filepath.Join(c.dir, "module"), 0o755); err != nil {
		t.Fatal(err)
	}
	c.git("commit", "--quiet", "-m", "odd")
	want := map[string]string{
		"first": "first", "dir/run.sh": "x #!/bin/sh\n", "carriage\r": "cr", "new\nline": "nl", "-leading": "dash", "not utf-8 \xff": "latin",
		"empty": "", "large": strings.Repeat("0123456789", 100_000), "crlf": "a\nb\n", "stamp": "$Format:%H$ $Id$",
		"secret/kept": "kept", "video": lfsPointer + "oid sha256:00\nsize 1\n",
		".gitattributes": "stamp export-subst ident\nsecret export-ignore\ncrlf text eol=lf\n* filter=lfs\n",
		"inside":         "-> dir/run.sh", "dir/up": "-> ../first", "dangling": "-> not/there", "module": "/",
	}
	check := func(o Options) Resolution {
		t.Helper()
		r := c.resolve(o)
		got, warnings := exported(t, r, plan.Head)
		wantFiles(t, got, want)
		if len(warnings) != 3 {
			t.Fatalf("warnings %q, want three", warnings)
		}
		wantText(t, warnings[0], "symbolic links", `"absolute", "dir/mixed", "dir/outside" and 2 more`)
		wantText(t, warnings[1], "submodules", `"module"`)
		wantText(t, warnings[2], "LFS", `"video"`)
		return r
	}
	committed := check(Options{})

	want["crlf"] = "a\r\nb\n" // as it lies there
	want["new"] = "new"
	c.write("new", "new")
	worktree := check(Options{Worktree: true})
	for dir, same := range map[string]bool{"dir": true, "secret": true, "carriage\r": true, ".": false, "crlf": false} {
		a, err := committed.TreeHash(t.Context(), plan.Head, dir)
		if err != nil {
			t.Fatal(err)
		}
		b, err := worktree.TreeHash(t.Context(), plan.Head, dir)
		if err != nil {
			t.Fatal(err)
		}
		if (a == b) != same || len(a) != 64 {
			t.Errorf("TreeHash(%q) of commit %s, of working tree %s; same: want %v", dir, a, b, same)
		}
	}
	if _, err := committed.TreeHash(t.Context(), plan.Head, "absent"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("TreeHash(absent): %v", err)
	}
}

func TestTreeHashSeesEverything(t *testing.T) {
	t.Parallel()
	c := newClone(t, "main")
	c.write("a/file", "1")
	c.link("a/link", "file")
	c.commit("one")
	hash := func(dir string) string {
		t.Helper()
		sum, err := c.resolve(Options{}).TreeHash(t.Context(), plan.Head, dir)
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	seen := map[string]string{hash("a"): "the beginning"}
	changed := func(what string) {
		t.Helper()
		c.git("add", "--all")
		c.git("commit", "--quiet", "-m", what)
		sum := hash("a")
		if before, ok := seen[sum]; ok {
			t.Errorf("%s: same hash as %s", what, before)
		}
		seen[sum] = what
	}
	c.write("a/file", "2")
	changed("contents")
	c.git("update-index", "--chmod=+x", "a/file")
	c.git("commit", "--quiet", "-m", "x")
	if _, ok := seen[hash("a")]; ok {
		t.Error("executable bit: same hash")
	}
	c.git("mv", "a/file", "a/fil")
	changed("name")
	if err := os.Remove(filepath.Join(c.dir, "a/link")); err != nil {
		t.Fatal(err)
	}
	c.link("a/link", "fil")
	changed("link")
	c.git("mv", "a", "b")
	c.git("commit", "--quiet", "-m", "moved")
	if _, ok := seen[hash("b")]; !ok {
		t.Error("a folder that was only moved: another hash")
	}
}

func TestExportRefusesAFullFolder(t *testing.T) {
	t.Parallel()
	c, _, _, _ := forked(t, "main")
	dst := t.TempDir()
	if err := os.WriteFile(filepath.Join(dst, "mine"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := c.resolve(Options{}).Export(t.Context(), plan.Head, dst); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("got %v", err)
	}
	r := c.resolve(Options{Base: "none"})
	if _, err := r.Export(t.Context(), plan.Base, filepath.Join(dst, "x")); err == nil || !strings.Contains(err.Error(), "there is no base: none by wish") {
		t.Errorf("got %v", err)
	}
}

// What lies in a working tree besides files; and folders that became links.
func TestExportOddWorkingTree(t *testing.T) {
	t.Parallel()
	c := newClone(t, "main")
	c.write("dir/tracked", "secret below a link")
	c.commit("one")
	c.commit("two")
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "tracked"), []byte("outside"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(c.dir, "dir")); err != nil {
		t.Fatal(err)
	}
	c.link("dir", outside)
	c.write("nested/file", "x")
	nested := clone{t: t, dir: filepath.Join(c.dir, "nested"), tick: c.tick}
	nested.git("init", "--quiet", "--template=")
	nested.commit("inner")
	if err := os.Remove(filepath.Join(c.dir, "two")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(c.dir, "two"), 0o644); err != nil {
		t.Fatal(err)
	}
	got, warnings := exported(t, c.resolve(Options{Worktree: true}), plan.Head)
	wantFiles(t, got, map[string]string{"one": "one"})
	wantText(t, strings.Join(warnings, "\n"), `could leave the tree are left out: "dir"`, `"nested", "two"`)
}

func TestReadFile(t *testing.T) {
	t.Parallel()
	c := newClone(t, "main")
	c.write("sub/duet.yml", "base")
	c.commit("one")
	c.write("sub/duet.yml", "head")
	c.link("link.yml", "sub/duet.yml")
	c.link("dirlink", "sub")
	c.write("big", strings.Repeat("x", DefaultLimit+1))
	c.write("fits", strings.Repeat("x", DefaultLimit))
	c.write("[s]ub/duet.yml", "brackets")
	c.commit("two")
	c.write("sub/duet.yml", "working tree")
	r := c.resolve(Options{})
	w := c.resolve(Options{Worktree: true})
	for _, tt := range []struct {
		r       Resolution
		side    plan.Side
		name    string
		want    string
		wantErr string // "": none; "absent": fs.ErrNotExist
	}{
		{r, plan.Base, "sub/duet.yml", "base", ""},
		{r, plan.Head, "sub/duet.yml", "head", ""},
		{r, plan.Head, "./sub//duet.yml", "head", ""},
		{w, plan.Head, "sub/duet.yml", "working tree", ""},
		{w, plan.Base, "sub/duet.yml", "head", ""},
		{r, plan.Head, "[s]ub/duet.yml", "brackets", ""},
		{r, plan.Head, "fits", strings.Repeat("x", DefaultLimit), ""},
		{r, plan.Head, "duet.yml", "", "absent"},
		{w, plan.Head, "duet.yml", "", "absent"},
		{r, plan.Base, "big", "", "absent"},
		{r, plan.Head, "dirlink/duet.yml", "", "absent"},
		{w, plan.Head, "dirlink/duet.yml", "", "absent"},
		{r, plan.Head, "link.yml", "", "symbolic link"},
		{w, plan.Head, "link.yml", "", "symbolic link"},
		{r, plan.Head, "sub", "", "folder"},
		{r, plan.Head, "big", "", "65537 bytes, more than 65536"},
		{r, plan.Head, "../repo/one", "", "not inside the repository"},
		{w, plan.Head, "/etc/passwd", "", "not inside the repository"},
		{r, plan.Side("left"), "one", "", "expected base or head"},
	} {
		got, err := tt.r.ReadFile(t.Context(), tt.side, tt.name, 0)
		switch {
		case tt.wantErr == "absent":
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("ReadFile(%s, %q): got %q, %v, want fs.ErrNotExist", tt.side, tt.name, got, err)
			}
		case tt.wantErr != "":
			if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
				t.Errorf("ReadFile(%s, %q): got %q, %v, want %q", tt.side, tt.name, got, err, tt.wantErr)
			}
		case err != nil || string(got) != tt.want:
			t.Errorf("ReadFile(%s, %q) = %q, %v, want %q", tt.side, tt.name, got, err, tt.want)
		}
	}
	if _, err := r.ReadFile(t.Context(), plan.Head, "one", 2); err == nil || !strings.Contains(err.Error(), "more than 2") {
		t.Errorf("limit 2: got %v", err)
	}
}

func TestCloseEndsGit(t *testing.T) {
	t.Parallel()
	c, _, _, _ := forked(t, "main")
	c.write("dirty", "x")
	for _, r := range []Resolution{c.resolve(Options{}), c.resolve(Options{Worktree: true})} {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Export(t.Context(), plan.Head, filepath.Join(t.TempDir(), "x")); !errors.Is(err, errClosed) {
			t.Errorf("Export: %v", err)
		}
		if _, err := r.ReadFile(t.Context(), plan.Head, "one", 0); !errors.Is(err, errClosed) {
			t.Errorf("ReadFile: %v", err)
		}
		if _, err := r.TreeHash(t.Context(), plan.Head, "."); !errors.Is(err, errClosed) {
			t.Errorf("TreeHash: %v", err)
		}
		if _, err := r.ExportOther(t.Context(), "../x", t.TempDir()); !errors.Is(err, errClosed) {
			t.Errorf("ExportOther: %v", err)
		}
		if _, err := r.CredentialsPersisted(t.Context()); !errors.Is(err, errClosed) {
			t.Errorf("CredentialsPersisted: %v", err)
		}
	}
	if err := (Resolution{}).Close(); err != nil {
		t.Error(err)
	}
}

func TestStays(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, target string
		want         bool
	}{
		{"a", "b", true}, {"a", "./b/c", true}, {"d/a", "../b", true}, {"d/e/a", "../../b", true}, {"d/a", "..", true},
		{"a", "..", false}, {"a", "../b", false}, {"d/a", "../../b", false}, {"a", "/b", false}, {"a", "", false},
		{"a", "b/..", false}, {"d/a", "b/../../c", false}, {"d/a", ".././b", true}, {"a", "d/.GIT/config", false}, {"a", `..\b`, false},
	} {
		if got := stays(tt.name, tt.target); got != tt.want {
			t.Errorf("stays(%q, %q) = %v, want %v", tt.name, tt.target, got, tt.want)
		}
	}
}
