package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/duet-bench/duet/internal/plan"
)

// A side can be built a second time, in another way, long after its first builds left. What that takes is put aside
// before any of its code runs, where no box can reach it: a copy of each tree, and one of head's downloads for cargo,
// which began as base's and so hold both sides'. It is for Rust alone: Go's downloads are not kept.

// again is what was put aside.
type again struct {
	trees map[plan.Side]bool
	cache bool
	why   error // nothing was, for want of room
}

func (w *Workshop) asideTree(side plan.Side) string { return w.path("kept", "again-"+string(side)) }
func (w *Workshop) asideCache() string              { return w.path("kept", "again-cargo") }
func (w *Workshop) cargoHome() string               { return filepath.Join(w.cache(), "cargo") }

// putAside copies the side that is in, as its downloads left it. A disk without room for that is no reason not to build.
func (w *Workshop) putAside(ctx context.Context) error {
	s := w.site.Site
	if !w.o.Again || w.again.why != nil || w.again.trees[s.Side] {
		return nil
	}
	if err := s.Box.KillAll(ctx); err != nil {
		return err
	}
	w.o.Progress("keeping a copy of the tree")
	err := copyTree(w.tree(), w.asideTree(s.Side))
	if err == nil && s.Side == plan.Head {
		err = copyTree(w.cargoHome(), w.asideCache())
	}
	if err == nil {
		if w.again.trees == nil {
			w.again.trees = map[plan.Side]bool{}
		}
		w.again.trees[s.Side], w.again.cache = true, s.Side == plan.Head
		return nil
	}
	w.again = again{why: fmt.Errorf("keeping a copy of the tree: %w", w.spaceError(err))}
	return w.dropAside()
}

func (w *Workshop) dropAside() error {
	return errors.Join(removeAll(w.asideTree(plan.Base)), removeAll(w.asideTree(plan.Head)), removeAll(w.asideCache()))
}

// EnterAgain is Enter for a side that was here before: its tree and its downloads are what they were before any of its
// code ran. Each side can come back once, base before head. Nothing is downloaded, and Build times no incremental build.
func (w *Workshop) EnterAgain(ctx context.Context, s Site) error {
	if w.site != nil {
		return fmt.Errorf("entering the workshop again with %s: %s is still in", s.Side, w.site.Side)
	}
	if err := w.enterAgain(ctx, s); err != nil {
		return errors.Join(fmt.Errorf("preparing to build %s again: %w", s.Side, err), w.Leave(context.WithoutCancel(ctx)))
	}
	return nil
}

func (w *Workshop) enterAgain(ctx context.Context, s Site) error {
	switch {
	case w.again.why != nil:
		return w.again.why
	case !w.again.trees[s.Side] || !w.again.cache:
		return errors.New("nothing of it was kept")
	}
	if err := w.checkSpace(s.Services); err != nil {
		return err
	}
	delete(w.again.trees, s.Side)
	if err := os.Rename(w.asideTree(s.Side), w.tree()); err != nil {
		return err
	}
	if err := os.Mkdir(w.cache(), 0o755); err != nil {
		return err
	}
	if len(w.again.trees) == 0 { // nobody else comes back
		w.again.cache = false
		if err := os.Rename(w.asideCache(), w.cargoHome()); err != nil {
			return err
		}
	} else if err := copyTree(w.asideCache(), w.cargoHome()); err != nil {
		return w.spaceError(err)
	}
	if err := s.Box.Own(w.cache()); err != nil {
		return err
	}
	err := w.settle(ctx, s)
	if w.site != nil {
		w.site.again = true
	}
	return err
}
