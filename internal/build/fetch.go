package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/duet-bench/duet/internal/plan"
)

// Where there may be a network for downloads and none for builds, two Workshops share the work, at two times or in two
// places of one disk: the first one Fetches each side, the second one is Brought what came of that, and Enters and
// Builds as if it had downloaded itself.
//
//	FOLDER/tree            the side's trees, with what downloading put there (a Cargo.lock that is not tracked)
//	FOLDER/cache           GOMODCACHE and CARGO_HOME
//	FOLDER/downloads.json  how long it took, and what failed
const (
	fetchedTree   = "tree"
	fetchedCache  = "cache"
	downloadsFile = "downloads.json"
)

// download is what came of one download. Its failure is the variant's, and is told when that is built.
type download struct {
	Seconds float64  `json:"seconds"`
	Error   string   `json:"error,omitempty"`
	Tail    []string `json:"tail,omitempty"`
}

// Fetch downloads what the builds of a side need and moves that, with the side's tree, into folder, which it makes.
// Nothing is built. It is used in place of Enter, Build and Leave, for base before head.
func (w *Workshop) Fetch(ctx context.Context, s Site, folder string) error {
	if w.site != nil {
		return fmt.Errorf("fetching for %s: %s is still in the workshop", s.Side, w.site.Side)
	}
	err := w.fetch(ctx, s, folder)
	if leaving := w.Leave(context.WithoutCancel(ctx)); err != nil || leaving != nil {
		return fmt.Errorf("fetching for %s: %w", s.Side, errors.Join(err, leaving))
	}
	return nil
}

func (w *Workshop) fetch(ctx context.Context, s Site, folder string) error {
	if err := w.moveIn(ctx, s); err != nil {
		return err
	}
	if err := w.download(ctx); err != nil {
		return err
	}
	all, err := w.downloads()
	if err != nil {
		return err
	}
	text, err := json.Marshal(all)
	if err == nil {
		err = s.Box.KillAll(ctx)
	}
	if err == nil {
		err = os.MkdirAll(folder, 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, downloadsFile), text, 0o600)
	}
	if err == nil {
		err = os.Rename(w.cache(), filepath.Join(folder, fetchedCache))
	}
	if err == nil {
		err = os.Rename(w.tree(), filepath.Join(folder, fetchedTree))
	}
	return err
}

// downloads is what came of the side's downloads, by what was downloaded. What no tree is to blame for, a full disk, is
// an error.
func (w *Workshop) downloads() (map[string]download, error) {
	all := map[string]download{}
	for _, r := range w.site.recipes {
		var failure *Failure
		var usage *plan.UsageError
		if r.err != nil && !errors.As(r.err, &failure) && !errors.As(r.err, &usage) {
			return nil, r.err
		}
		if len(r.fetch) == 0 || all[r.fetchKey].Seconds > 0 {
			continue
		}
		d := download{Seconds: r.fetched.Seconds()}
		if failure != nil {
			d.Error, d.Tail = failure.Err.Error(), failure.Tail
		}
		all[r.fetchKey] = d
	}
	return all, nil
}

// takeDownloads gives the recipes of the side that is in what an earlier workshop's downloads came to.
func (w *Workshop) takeDownloads(all map[string]download) {
	for _, r := range w.site.recipes {
		d, known := all[r.fetchKey]
		switch {
		case r.err != nil || len(r.fetch) == 0:
		case !known:
			r.err = &Failure{Step: "fetching", Err: errors.New("nothing was downloaded for it")}
		case d.Error != "":
			r.err = &Failure{Step: "fetching", Err: errors.New(d.Error), Tail: d.Tail}
		default:
			r.fetched = time.Duration(d.Seconds * float64(time.Second))
		}
	}
}

// Bring moves what Fetch left in folder into this workshop: the side's tree, in the place of an export, and its
// downloads, so that Enter needs no network. The folder must be on the same disk.
func (w *Workshop) Bring(side plan.Side, folder string) error {
	if err := w.bring(side, folder); err != nil {
		return fmt.Errorf("taking over what was fetched for %s: %w", side, err)
	}
	return nil
}

func (w *Workshop) bring(side plan.Side, folder string) error {
	text, err := os.ReadFile(filepath.Join(folder, downloadsFile))
	if err != nil {
		return err
	}
	all := map[string]download{}
	if err := json.Unmarshal(text, &all); err != nil {
		return fmt.Errorf("%s: %w", downloadsFile, err)
	}
	if err := w.BringTree(side, filepath.Join(folder, fetchedTree)); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(folder, fetchedCache), w.broughtCache(side)); err != nil {
		return err
	}
	w.brought[side] = all
	return nil
}

// BringTree moves a side's trees here in the place of an export.
func (w *Workshop) BringTree(side plan.Side, from string) error {
	if err := os.Remove(w.Tree(side)); err != nil && !errors.Is(err, fs.ErrNotExist) { // an empty folder
		return err
	}
	return os.Rename(from, w.Tree(side))
}

// FetchedCache is the folder of downloads that Fetch left in folder; an Options.Seed.
func FetchedCache(folder string) string { return filepath.Join(folder, fetchedCache) }

func (w *Workshop) broughtCache(side plan.Side) string { return w.path("kept", "cache-"+string(side)) }
