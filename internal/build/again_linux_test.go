package build

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/plan"
)

// spoils prints what it was built from and how, and then spoils that, downloads included.
func spoils() plan.Service {
	const script = `{ cat note; echo "units $CARGO_PROFILE_RELEASE_CODEGEN_UNITS"; ls "$CARGO_HOME"; } > app; chmod +x app; echo spoilt > note; echo spoilt > "$CARGO_HOME/spoilt"`
	return plan.Service{Name: "rust", Lang: plan.Rust, Dir: ".", Build: []string{"sh", "-c", script}, Binary: "app"}
}

func (s *shop) text(name string) string {
	s.t.Helper()
	text, err := os.ReadFile(s.build(name).Binary)
	check(s.t, err)
	return string(text)
}

func (s *shop) enterAgain(side plan.Side, services ...plan.Service) {
	s.t.Helper()
	env := map[string]string{"CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "1"}
	check(s.t, s.EnterAgain(context.Background(), Site{Side: side, Box: s.boxs[side], Repo: "repo", Services: services, Env: env}))
}

// A side that comes back finds its tree and its downloads as they were before any of its code ran; what it is built with
// differs by the environment alone.
func TestBuildAgain(t *testing.T) {
	s := newShop(t, "-- repo/note --\nof base\n", "-- repo/note --\nof head\n")
	s.o.Again = true
	first := map[plan.Side]string{}
	for _, side := range []plan.Side{plan.Base, plan.Head} {
		s.enter(side, spoils())
		first[side] = s.text("rust")
		if note, err := os.ReadFile(filepath.Join(s.tree(), "repo", "note")); err != nil || string(note) != "spoilt\n" {
			t.Fatalf("%s: the build left %q (%v): it was to spoil its tree", side, note, err)
		}
		check(t, s.Leave(context.Background()))
	}
	for _, side := range []plan.Side{plan.Base, plan.Head} {
		check(t, os.RemoveAll(filepath.Join(s.dir, "kept")))
		s.enterAgain(side, spoils())
		if got, want := s.text("rust"), strings.Replace(first[side], "units \n", "units 1\n", 1); got != want || !strings.HasPrefix(want, "of "+string(side)+"\nunits 1\n") {
			t.Errorf("%s, built again from\n%swant\n%s", side, got, want)
		}
		if b := s.site.made[0].built.Record; b.IncrementalSeconds != 0 || slices.ContainsFunc(b.Notes, func(note string) bool { return strings.Contains(note, "incremental") }) {
			t.Errorf("%s: an incremental build was timed: %+v", side, b)
		}
		check(t, s.Leave(context.Background()))
	}
	err := s.EnterAgain(context.Background(), Site{Side: plan.Base, Box: s.boxs[plan.Base], Repo: "repo"})
	if err == nil || !strings.Contains(err.Error(), "nothing of it was kept") {
		t.Errorf("a third time: %v, want an error that says why", err)
	}
}

// Without the option nothing is kept, and without room for it the first builds go on.
func TestBuildAgainKeepsNothing(t *testing.T) {
	s := newShop(t, "-- repo/note --\nof base\n", "")
	s.enter(plan.Base, spoils())
	if _, err := os.Stat(s.asideTree(plan.Base)); err == nil {
		t.Error("a copy was kept that nobody asked for")
	}
	check(t, s.Leave(context.Background()))

	s = newShop(t, "-- repo/note --\nof base\n", "")
	s.o.Again = true
	check(t, os.MkdirAll(s.asideTree(plan.Base), 0o700)) // in the way of the copy
	s.enter(plan.Base, spoils())
	s.build("rust")
	check(t, s.Leave(context.Background()))
	if err := s.EnterAgain(context.Background(), Site{Side: plan.Base, Box: s.boxs[plan.Base], Repo: "repo"}); err == nil || !errors.Is(err, os.ErrExist) {
		t.Errorf("got %v, want why nothing was kept", err)
	}
}
