package source

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/duet-bench/duet/internal/plan"
)

// forked is main with two commits, and a branch off the first one.
//
//	one ── two          main
//	  └─── feature      feature, checked out
func forked(t *testing.T, main string) (c clone, one, two, feature string) {
	c = newClone(t, main)
	one = c.commit("one")
	c.git("checkout", "--quiet", "-b", "feature")
	feature = c.commit("feature")
	c.git("checkout", "--quiet", main)
	two = c.commit("two")
	c.git("checkout", "--quiet", "feature")
	return c, one, two, feature
}

func TestMergeBaseAlthoughMainMovedOn(t *testing.T) {
	t.Parallel()
	for _, main := range []string{"main", "master"} {
		c, one, _, feature := forked(t, main)
		r := c.resolve(Options{})
		wantBase(t, r, one, "merge base of head and "+main, "the default branch, by its name")
		if r.Head.SHA != feature || r.Head.Ref != "HEAD" || r.Head.Subject != "feature" {
			t.Errorf("head is %+v, want %s", r.Head, feature)
		}
		if r.Base.Behind != 1 || r.Base.Subject != "one" || r.Base.Ref != main || r.DefaultBranch != main || r.Repo != c.dir {
			t.Errorf("got base %+v, default branch %q, repo %q", r.Base, r.DefaultBranch, r.Repo)
		}
		wantPaths(t, "changed", r.Changed, "feature")
		wantPaths(t, "warnings", r.Warnings)
	}
}

func TestExplicitBase(t *testing.T) {
	t.Parallel()
	c, one, two, feature := forked(t, "trunk")
	c.git("branch", "none")
	c.git("tag", "-a", "-m", "annotated", "v1", one)
	wantBase(t, c.resolve(Options{Base: "trunk"}), one, "merge base", "trunk (--base)")
	wantBase(t, c.resolve(Options{Base: one[:10]}), one, "--base")
	wantBase(t, c.resolve(Options{Base: "v1"}), one)
	wantBase(t, c.resolve(Options{Base: two, Head: feature}), one)
	wantBase(t, c.resolve(Options{Base: "HEAD~1"}), one)
	wantBase(t, c.resolve(Options{Head: two, Base: "trunk"}), one, "first parent of head, which is on trunk")
	// The swap: head is behind --base.
	r := c.resolve(Options{Base: "feature", Head: "trunk~1"})
	wantBase(t, r, feature, "given by --base, and ahead of head")
	wantPaths(t, "changed", r.Changed, "feature")
	wantPaths(t, "warnings", r.Warnings, "--base feature is ahead of head: the two are compared as given")
	wantNoBase(t, c.resolve(Options{Base: "none"}), "by wish")
}

func TestOnTheDefaultBranch(t *testing.T) {
	t.Parallel()
	c, one, two, _ := forked(t, "main")
	c.git("checkout", "--quiet", "main")
	r := c.resolve(Options{})
	wantBase(t, r, one, "first parent of head, which is on main")
	if r.Base.Behind != 0 {
		t.Errorf("behind %d, want 0", r.Base.Behind)
	}
	c.git("merge", "--quiet", "--no-ff", "-m", "merged", "feature")
	wantBase(t, c.resolve(Options{}), two, "first parent")
	// Detached, and main went on.
	c.git("checkout", "--quiet", "--detach", two)
	r = c.resolve(Options{})
	wantBase(t, r, one, "first parent")
	if r.Base.Behind != 2 { // the merge and the branch's commit
		t.Errorf("behind %d, want 2", r.Base.Behind)
	}
	c.git("checkout", "--quiet", "--detach", one)
	wantNoBase(t, c.resolve(Options{}), "first commit of main", "no parent")
}

func TestDefaultBranchOrder(t *testing.T) {
	t.Parallel()
	up, one, two, _ := forked(t, "trunk")
	up.git("checkout", "--quiet", "trunk")
	c := up.from()
	c.git("checkout", "--quiet", "feature")
	// A local main that is not the default branch must not win over origin/HEAD.
	c.git("branch", "main", "feature")
	r := c.resolve(Options{})
	wantBase(t, r, one, "origin/trunk", "from origin/HEAD")
	if r.DefaultBranch != "trunk" || r.Base.Behind != 1 {
		t.Errorf("default branch %q, behind %d", r.DefaultBranch, r.Base.Behind)
	}
	// The event goes before origin/HEAD, --base before the event.
	c.git("branch", "release", two)
	c.git("checkout", "--quiet", "-b", "fix", "release")
	fix := c.commit("fix")
	wantBase(t, c.resolve(Options{Event: &Event{Name: "push", DefaultBranch: "release"}}), two, "from the event")
	wantBase(t, c.resolve(Options{Base: "main", Event: &Event{DefaultBranch: "release"}}), one, "--base")
	wantBase(t, c.resolve(Options{Event: &Event{Name: "merge_group", BaseSHA: one, BaseRef: "trunk", DefaultBranch: "release"}}), one, "merge_group event")
	// The default branch was renamed: origin/HEAD dangles, the local main is next.
	c.git("update-ref", "-d", "refs/remotes/origin/trunk")
	c.git("branch", "-f", "main", fix+"~1")
	r = c.resolve(Options{})
	wantBase(t, r, two, "main (the default branch, by its name)")
	if len(r.Warnings) != 1 {
		t.Fatalf("warnings %q", r.Warnings)
	}
	wantText(t, r.Warnings[0], "origin/HEAD points to trunk, which is gone", "set-head")
	// origin's branch goes before an older local one.
	c.git("branch", "-f", "main", one)
	c.git("update-ref", "refs/remotes/origin/main", two)
	wantBase(t, c.resolve(Options{}), two, "origin/main")
	// A CI checkout has no local branch.
	wantBase(t, c.resolve(Options{Base: "feature"}), one)
	c.git("branch", "-D", "feature")
	wantBase(t, c.resolve(Options{Base: "feature"}), one, "origin/feature (--base)")
	// None at all.
	up.git("checkout", "--quiet", "feature")
	r = up.resolve(Options{})
	wantNoBase(t, r, "no default branch found")
	if r.DefaultBranch != "" {
		t.Errorf("default branch %q", r.DefaultBranch)
	}
}

func TestUnrelatedHistories(t *testing.T) {
	t.Parallel()
	c, _, _, _ := forked(t, "main")
	c.git("checkout", "--quiet", "--orphan", "island")
	c.commit("island")
	r := c.resolve(Options{})
	wantNoBase(t, r, "unrelated histories", "main")
	wantNoBase(t, c.resolve(Options{Base: "feature"}), "unrelated histories", "feature (--base)")
	if len(r.Warnings) != 1 {
		t.Errorf("warnings %q, want one", r.Warnings)
	}
}

// Criss-cross: both branches merged the other's first commit.
func TestSeveralMergeBases(t *testing.T) {
	t.Parallel()
	c := newClone(t, "main")
	c.commit("root")
	c.git("checkout", "--quiet", "-b", "feature")
	f := c.commit("f")
	c.git("checkout", "--quiet", "main")
	m := c.commit("m")
	c.git("merge", "--quiet", "--no-ff", "-m", "f to main", f)
	c.git("checkout", "--quiet", "feature")
	c.git("merge", "--quiet", "--no-ff", "-m", "m to feature", m)
	c.commit("more")
	r := c.resolve(Options{})
	wantBase(t, r, m, "newest of 2 merge bases", "criss-cross")
	if len(r.Warnings) != 1 {
		t.Fatalf("warnings %q", r.Warnings)
	}
	wantText(t, r.Warnings[0], "2 merge bases")
}

func TestUnknownRevision(t *testing.T) {
	t.Parallel()
	c, _, _, _ := forked(t, "main")
	c.refuse(Options{Base: "feture"}, `unknown revision "feture" given by --base`, `did you mean "feature"?`)
	c.refuse(Options{Head: "mian"}, `unknown revision "mian" given by --head`, `"main"`)
	c.refuse(Options{Base: "0123456789012345678901234567890123456789"}, "unknown revision", "git fetch")
	for _, odd := range []string{"a\nb", "main..feature", "^main", "--all", "HEAD:one", "-", "main\x00"} {
		c.refuse(Options{Base: odd}, "unknown revision")
	}
	c.refuse(Options{Head: "main", Worktree: true}, "--worktree measures the checked-out files")
}

func TestOddlyNamedBranch(t *testing.T) {
	t.Parallel()
	c, one, _, _ := forked(t, "main")
	for _, name := range []string{"--upload-pack=touch canary;x", "$(touch${IFS}canary)", "`touch-canary`", "-x"} {
		if name[0] != '-' {
			c.git("update-ref", "refs/heads/"+name, "main")
			wantBase(t, c.resolve(Options{Base: name}), one)
			continue
		}
		// git makes no such branch any more, but an old or foreign one can.
		c.write(".git/refs/heads/--upload-pack=x", c.git("rev-parse", "main")+"\n")
		wantBase(t, c.resolve(Options{Base: "--upload-pack=x"}), one)
	}
	if _, err := os.Stat(filepath.Join(c.dir, "canary")); err == nil {
		t.Error("a branch name ran")
	}
}

func TestDirty(t *testing.T) {
	t.Parallel()
	c, one, _, feature := forked(t, "main")
	c.write(".gitignore", "ignored\n")
	c.git("add", ".gitignore")
	c.git("commit", "--quiet", "-m", "ignore")
	c.write("ignored", "x")
	c.write(".duet/run.json", "x")
	c.write("out/run.json", "x")
	c.write(".git/info/exclude", "excluded\n")
	c.write("excluded", "x")
	o := Options{Exclude: []string{filepath.Join(c.dir, "out")}}
	r := c.resolve(o)
	wantPaths(t, "dirty", r.Dirty)
	wantPaths(t, "warnings", r.Warnings)

	c.write("one", "changed")
	c.write("new", "untracked")
	c.write("staged", "staged")
	c.git("add", "staged")
	if err := os.Remove(filepath.Join(c.dir, "feature")); err != nil {
		t.Fatal(err)
	}
	r = c.resolve(o)
	wantPaths(t, "dirty", r.Dirty, "feature", "new", "one", "staged")
	wantPaths(t, "changed", r.Changed, ".gitignore", "feature")
	if len(r.Warnings) != 1 || r.Head.Worktree {
		t.Fatalf("warnings %q, head %+v", r.Warnings, r.Head)
	}
	wantText(t, r.Warnings[0], "uncommitted changes are not measured", `"feature", "new", "one" and 1 more`, "--worktree")

	o.Worktree = true
	r = c.resolve(o)
	wantPaths(t, "dirty", r.Dirty)
	wantPaths(t, "changed", r.Changed, ".gitignore", "feature", "new", "one", "staged")
	wantBase(t, r, one)
	if !r.Head.Worktree {
		t.Error("head is not the working tree")
	}
	got, _ := exported(t, r, plan.Head)
	wantFiles(t, got, map[string]string{".gitignore": "ignored\n", "one": "changed", "new": "untracked", "staged": "staged"})
	got, _ = exported(t, r, plan.Base)
	wantFiles(t, got, map[string]string{"one": "one"})

	// Another head than the checked-out one: what is not committed does not matter.
	wantPaths(t, "dirty", c.resolve(Options{Head: feature}).Dirty)
}

func TestWorktreeOnTheDefaultBranch(t *testing.T) {
	t.Parallel()
	c := newClone(t, "main")
	one := c.commit("one")
	two := c.commit("two")
	r := c.resolve(Options{Worktree: true})
	wantBase(t, r, one, "first parent")
	if r.Head.Worktree {
		t.Error("a clean working tree is the commit itself")
	}
	c.write("two", "changed")
	r = c.resolve(Options{Worktree: true})
	wantBase(t, r, two, "the commit under the uncommitted changes")
	wantPaths(t, "changed", r.Changed, "two")
}

func TestNoRepository(t *testing.T) {
	t.Parallel()
	c := newClone(t, "main")
	c.refuse(Options{}, "has no commit yet")
	c.refuse(Options{Repo: t.TempDir()}, "is not in a git repository", "--repo")
	c.refuse(Options{Repo: filepath.Join(c.dir, "absent")}, "no such file")
	c.refuse(Options{Repo: filepath.Join(c.dir, ".git")}, "bare repository")
	c.git("init", "--quiet", "--bare", "bare.git")
	c.refuse(Options{Repo: filepath.Join(c.dir, "bare.git")}, "bare repository")
	c.commit("one")
	c.git("config", "core.worktree", t.TempDir())
	c.refuse(Options{}, "core.worktree")
}

func TestNoGit(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := Resolve(t.Context(), Options{Repo: t.TempDir()})
	wantUsage(t, err, "git", "not installed", "install git")
}

func TestCancel(t *testing.T) {
	t.Parallel()
	c, _, _, _ := forked(t, "main")
	if _, err := Resolve(cancelled(t), Options{Repo: c.dir}); !errors.Is(err, context.Canceled) {
		t.Errorf("Resolve: got %v, want context.Canceled", err)
	}
	r := c.resolve(Options{})
	if _, err := r.Export(cancelled(t), plan.Head, filepath.Join(t.TempDir(), "x")); !errors.Is(err, context.Canceled) {
		t.Errorf("Export: got %v, want context.Canceled", err)
	}
}

// A folder below the top, a linked working tree, and a repository of another user.
func TestWhereTheRepositoryIs(t *testing.T) {
	t.Parallel()
	c, one, _, _ := forked(t, "main")
	linked := filepath.Join(realTemp(t), "linked")
	c.git("worktree", "add", "--quiet", "-b", "other", linked, "feature")
	lc := clone{t: t, dir: linked, tick: c.tick}
	lc.commit("deep/er/file")
	for _, repo := range []string{linked, filepath.Join(linked, "deep", "er")} {
		r, err := Resolve(t.Context(), Options{Repo: repo})
		if err != nil {
			t.Fatal(err)
		}
		if r.Repo != linked {
			t.Errorf("repo %q, want %q", r.Repo, linked)
		}
		wantBase(t, r, one)
		wantPaths(t, "changed", r.Changed, "deep/er/file", "feature")
		wantPaths(t, "dirty", r.Dirty)
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if os.Getuid() != 0 {
		return // only root can give files away
	}
	for _, path := range []string{c.dir, filepath.Join(c.dir, ".git")} {
		if err := os.Chown(path, 1234, 1234); err != nil {
			t.Fatal(err)
		}
	}
	wantBase(t, c.resolve(Options{}), one)
}

func TestSHA256Repository(t *testing.T) {
	t.Parallel()
	c := newClone(t, "main")
	if err := os.RemoveAll(filepath.Join(c.dir, ".git")); err != nil {
		t.Fatal(err)
	}
	c.git("init", "--quiet", "--template=", "--initial-branch=main", "--object-format=sha256")
	one := c.commit("one")
	c.commit("two")
	wantBase(t, c.resolve(Options{}), one)
	if len(one) != 64 {
		t.Fatalf("sha %q is not SHA-256", one)
	}
	got, _ := exported(t, c.resolve(Options{}), plan.Head)
	wantFiles(t, got, map[string]string{"one": "one", "two": "two"})
}

// The ways an index can be kept: whole, split in two, without the files that are not wanted here.
func TestKindsOfIndex(t *testing.T) {
	t.Parallel()
	c, one, _, _ := forked(t, "main")
	c.write("far/file", "x")
	c.commit("more")
	for _, args := range [][]string{
		{"update-index", "--split-index"},
		{"update-index", "--untracked-cache"},
		{"sparse-checkout", "set", "--cone", "--sparse-index"},
	} {
		c.git(args...)
		r := c.resolve(Options{})
		wantBase(t, r, one)
		wantPaths(t, "dirty", r.Dirty)
		c.write("one", args[0])
		wantPaths(t, "dirty", c.resolve(Options{}).Dirty, "one")
		got, _ := exported(t, c.resolve(Options{Worktree: true}), plan.Head)
		if got["one"] != args[0] || got["more"] != "more" {
			t.Errorf("%q: the working tree has %q", args, got)
		}
		c.git("checkout", "--quiet", "one")
	}
}
