package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/duet-bench/duet/internal/build"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/sandbox"
)

// Fetch does what of a run may need a network, and no more of it: it downloads what the builds of all sides ask for.
// The sides' trees are in trees, as Export left them, one folder a side; they and the downloads are moved to folder, for
// a run with Options.Fetched. Both must be on the disk of the temporary folder.
//
// Of theirs it executes nothing: `go mod download` and `cargo fetch` read manifests, which may name other addresses to
// load from. They run in a box all the same.
func Fetch(ctx context.Context, p plan.Plan, trees, folder string, progress Progress) (err error) {
	if !Supported() {
		return ErrUnsupported
	}
	if err := sandbox.Guard(); err != nil {
		return err
	}
	work, letGo, err := makeWork(os.TempDir())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeWork(work), letGo()) }()
	progress.Begin("fetch")
	shop, err := build.NewWorkshop(build.Options{
		Dir: filepath.Join(work, "shop"), Environ: os.Environ(),
		Progress: func(step string) { progress.Update("%s", step) },
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, shop.Close()) }()
	for _, side := range Sides(p) {
		if err := shop.BringTree(side, filepath.Join(trees, string(side))); err != nil {
			return fmt.Errorf("taking over the tree of %s: %w", side, err)
		}
	}
	for _, side := range Sides(p) {
		if err := fetchSide(ctx, shop, p, side, work, filepath.Join(folder, string(side))); err != nil {
			return err
		}
	}
	return nil
}

func fetchSide(ctx context.Context, shop *build.Workshop, p plan.Plan, side plan.Side, work, folder string) (err error) {
	box, err := sandbox.New(sandbox.Options{Name: "fetch@" + string(side), Dir: filepath.Join(work, "box", "fetch-"+string(side)), Isolate: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, box.Close()) }()
	return shop.Fetch(ctx, build.Site{Side: side, Box: box, Repo: repoFolder, Services: servicesOf(p, side)}, folder)
}
