package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/plan"
)

// TestMain gives all tests one temporary folder and checks that nothing of Resolve's is left in it.
func TestMain(m *testing.M) {
	temp, err := os.MkdirTemp("", "duet-test-")
	if err == nil {
		err = os.Setenv("TMPDIR", temp)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := m.Run()
	if left, _ := filepath.Glob(filepath.Join(temp, "duet-*")); len(left) > 0 {
		fmt.Fprintf(os.Stderr, "left behind: %q\n", left)
		status = 1
	}
	os.RemoveAll(temp)
	os.Exit(status)
}

// clone is a real repository in a temporary folder. Its commits' dates follow their number, so that shas are
// the same in every run.
type clone struct {
	t    *testing.T
	dir  string
	tick *int
}

// newClone makes an empty repository with its first branch named branch.
func newClone(t *testing.T, branch string) clone {
	t.Helper()
	c := clone{t: t, dir: filepath.Join(realTemp(t), "repo"), tick: new(int)}
	if err := os.Mkdir(c.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	c.git("init", "--quiet", "--template=", "--initial-branch="+branch)
	return c
}

// realTemp is t.TempDir without symbolic links in its path.
func realTemp(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// git runs the user's git, with a configuration of its own.
func (c clone) git(args ...string) string {
	c.t.Helper()
	return c.feed("", args...)
}

func (c clone) feed(stdin string, args ...string) string {
	c.t.Helper()
	*c.tick++
	date := fmt.Sprintf("%d +0000", 1_700_000_000+*c.tick)
	cmd := exec.Command("git", args...)
	cmd.Dir = c.dir
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.org",
		"GIT_COMMITTER_NAME=c", "GIT_COMMITTER_EMAIL=c@example.org", "GIT_AUTHOR_DATE="+date, "GIT_COMMITTER_DATE="+date)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		c.t.Fatalf("git %q: %v\n%s", args, err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// write puts a file into the working tree.
func (c clone) write(name, text string) {
	c.t.Helper()
	path := filepath.Join(c.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

// commit writes a file named like the commit, and commits everything.
func (c clone) commit(name string) string {
	c.t.Helper()
	c.write(name, name)
	c.git("add", "--all")
	c.git("commit", "--quiet", "-m", name+"\n\nmore")
	return c.git("rev-parse", "HEAD")
}

// from clones a clone, as actions/checkout and people do.
func (c clone) from(args ...string) clone {
	c.t.Helper()
	made := clone{t: c.t, dir: filepath.Join(realTemp(c.t), "repo"), tick: c.tick}
	c.git(slices.Concat([]string{"clone", "--quiet", "--template="}, args, []string{"file://" + c.dir, made.dir})...)
	return made
}

// resolve must succeed; the resolution is closed at the end of the test.
func (c clone) resolve(o Options) Resolution {
	c.t.Helper()
	o.Repo = c.dir
	r, err := Resolve(c.t.Context(), o)
	if err != nil {
		c.t.Fatalf("Resolve(%+v): %v", o, err)
	}
	c.t.Cleanup(func() {
		if err := r.Close(); err != nil {
			c.t.Error(err)
		}
	})
	return r
}

// refuse must fail with a usage error that says all of want.
func (c clone) refuse(o Options, want ...string) error {
	c.t.Helper()
	if o.Repo == "" {
		o.Repo = c.dir
	}
	r, err := Resolve(c.t.Context(), o)
	if err == nil {
		r.Close()
		c.t.Fatalf("Resolve(%+v) = %+v, want an error with %q", o, r, want)
	}
	wantUsage(c.t, err, want...)
	return err
}

func wantUsage(t *testing.T, err error, want ...string) {
	t.Helper()
	var usage *plan.UsageError
	if !errors.As(err, &usage) {
		t.Fatalf("got error %v, want a usage error", err)
	}
	for _, text := range want {
		if !strings.Contains(err.Error(), text) && !strings.Contains(usage.Error(), text) {
			t.Errorf("error %q (hint %q) does not say %q", err, usage.Hint, text)
		}
	}
}

// wantBase checks base and that the reason says all of why.
func wantBase(t *testing.T, r Resolution, sha string, why ...string) {
	t.Helper()
	if r.Base == nil {
		t.Fatalf("no base (%s), want %s", r.NoBase, sha)
	}
	if r.Base.SHA != sha {
		t.Errorf("base is %s (%s), want %s", r.Base.SHA, r.Base.Reason, sha)
	}
	if r.NoBase != "" {
		t.Errorf("a base and NoBase %q", r.NoBase)
	}
	wantText(t, r.Base.Reason, why...)
}

func wantNoBase(t *testing.T, r Resolution, why ...string) {
	t.Helper()
	if r.Base != nil {
		t.Fatalf("base is %s (%s), want none", r.Base.SHA, r.Base.Reason)
	}
	if r.Changed != nil {
		t.Errorf("changed %q without a base", r.Changed)
	}
	wantText(t, r.NoBase, why...)
}

func wantText(t *testing.T, got string, want ...string) {
	t.Helper()
	for _, text := range want {
		if !strings.Contains(got, text) {
			t.Errorf("%q does not say %q", got, text)
		}
	}
}

func wantPaths(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// exported exports a side and returns its files: path → contents, "-> TARGET" for links, "/" for empty folders.
func exported(t *testing.T, r Resolution, side plan.Side) (map[string]string, []string) {
	t.Helper()
	dst := filepath.Join(t.TempDir(), "tree")
	warnings, err := r.Export(t.Context(), side, dst)
	if err != nil {
		t.Fatalf("Export(%s): %v", side, err)
	}
	return files(t, dst), warnings
}

func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		switch {
		case d.Type() == fs.ModeSymlink:
			target, err := os.Readlink(path)
			found[rel] = "-> " + target
			return err
		case d.IsDir():
			inside, err := os.ReadDir(path)
			if len(inside) == 0 {
				found[rel] = "/"
			}
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		found[rel] = string(text)
		if info.Mode()&0o111 != 0 {
			found[rel] = "x " + string(text)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func cancelled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
