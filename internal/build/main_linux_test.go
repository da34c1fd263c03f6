package build

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.Helper()
	os.Exit(m.Run())
}

// shop is a workshop under test, with both sides' trees exported.
type shop struct {
	*Workshop
	t    *testing.T
	dir  string // holds the workshop, the boxes and, in kept, what was built
	boxs map[plan.Side]*sandbox.Box
}

// newShop exports one tree to both sides; head, if any, replaces or adds files at head. More variables are
// added to the caller's environment.
func newShop(t *testing.T, tree, head string, environ ...string) *shop {
	t.Helper()
	return newShopIn(t, folder(t), tree, head, environ...)
}

func newShopIn(t *testing.T, dir, tree, head string, environ ...string) *shop {
	t.Helper()
	start := time.Now()
	w, err := NewWorkshop(Options{Dir: filepath.Join(dir, "shop"), Environ: append(os.Environ(), environ...), MinFree: 1 << 20, Progress: func(text string) { t.Log(time.Since(start).Round(time.Millisecond), text) }})
	check(t, err)
	s := &shop{Workshop: w, t: t, dir: dir, boxs: map[plan.Side]*sandbox.Box{}}
	t.Cleanup(func() { check(t, w.Close()) })
	for _, side := range []plan.Side{plan.Base, plan.Head} {
		write(t, w.Tree(side), tree)
		box, err := sandbox.New(sandbox.Options{Name: string(side), Dir: filepath.Join(dir, string(side)), Isolate: true})
		check(t, err)
		s.boxs[side] = box
		t.Cleanup(func() { check(t, box.Close()) })
	}
	write(t, w.Tree(plan.Head), head)
	return s
}

func write(t *testing.T, dir, tree string) {
	t.Helper()
	for _, f := range txtar.Parse([]byte(tree)).Files {
		name := filepath.Join(dir, filepath.FromSlash(f.Name))
		check(t, os.MkdirAll(filepath.Dir(name), 0o755))
		check(t, os.WriteFile(name, f.Data, 0o644))
	}
}

// enter lets a side in and builds nothing yet.
func (s *shop) enter(side plan.Side, services ...plan.Service) {
	s.t.Helper()
	check(s.t, s.Enter(context.Background(), Site{Side: side, Box: s.boxs[side], Repo: "repo", Services: services}))
}

func (s *shop) out(name string) string {
	return filepath.Join(s.dir, "kept", name+"@"+string(s.site.Side))
}

// build builds a service that must build.
func (s *shop) build(name string) Built {
	s.t.Helper()
	b, err := s.Build(context.Background(), name, s.out(name))
	if err != nil {
		s.t.Fatalf("building %s: %v\n%s", name, err, strings.Join(b.Record.LogTail, "\n"))
	}
	check(s.t, b.Verify())
	return b
}

// fails builds a service that must not build, and returns why.
func (s *shop) fails(name string) (Built, error) {
	s.t.Helper()
	b, err := s.Build(context.Background(), name, s.out(name))
	if err == nil {
		s.t.Fatalf("building %s: got a binary, want an error", name)
	}
	if b.Record.Error != err.Error() {
		s.t.Errorf("building %s: record says %q, error is %q", name, b.Record.Error, err)
	}
	return b, err
}

// folder is a temporary one that every uid can pass; t.TempDir is not.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "duet-build")
	check(t, err)
	check(t, os.Chmod(dir, 0o711))
	t.Cleanup(func() { check(t, removeAll(dir)) })
	return dir
}
