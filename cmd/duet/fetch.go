package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/duet-bench/duet/internal/build"
	"github.com/duet-bench/duet/internal/harness"
	"github.com/duet-bench/duet/internal/plan"
)

// cacheMark names the folder of earlier downloads, also past sudo, which may change HOME.
const cacheMark = "DUET_CACHE"

// fetchCommand fills the folder of downloads that later jobs begin with. It is what a default branch's job does before
// anything of a repository is built or run, so that no code under test ever writes what another job reads.
func fetchCommand(w world) *cobra.Command {
	var j job
	var d duty
	c := &cobra.Command{
		Use:   "fetch",
		Short: "Download what head's builds need into a folder that later runs begin with; build nothing",
		Long: `Download the modules and crates that head's services are built from into a folder, from which later runs on this
machine, or in later jobs that restore it, begin: what stands there is not downloaded again. Nothing of the repository
is built or run.

The folder is DUET_CACHE, else duet/fetched in the user's cache folder.`,
		Example: "  duet fetch",
		RunE: func(c *cobra.Command, _ []string) error {
			if _, idle, err := d.begins(w, stepFetch); idle || err != nil {
				return err
			}
			if done, err := elevate(w); done || err != nil {
				return err
			}
			return j.fetch(c.Context(), w)
		},
	}
	j.flags(c)
	d.flags(c)
	return c
}

// cacheFolder is where earlier downloads are kept; empty where this user has no place for them.
func cacheFolder(w world) string {
	home, err := os.UserCacheDir()
	if err != nil {
		return w.getenv(cacheMark)
	}
	return cmp.Or(w.getenv(cacheMark), filepath.Join(home, "duet", "fetched"))
}

func (j *job) fetch(ctx context.Context, w world) (err error) {
	into := cacheFolder(w)
	if into == "" {
		return plan.Usagef("name one with "+cacheMark, "there is no cache folder for this user")
	}
	j.base = "none"
	prep, err := j.prepare(ctx, w)
	if err != nil {
		return err
	}
	defer prep.source.Close()
	show := newProgress(w)
	defer show.End()
	work, err := os.MkdirTemp("", "duet-fetch-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	trees, fetched := filepath.Join(work, "trees"), filepath.Join(work, "fetched")
	for _, side := range harness.Sides(prep.plan) {
		tree := filepath.Join(trees, string(side))
		if err := os.MkdirAll(tree, 0o755); err != nil {
			return err
		}
		if _, err := harness.Export(ctx, prep.source, prep.plan, side, tree); err != nil {
			return err
		}
	}
	if err := prep.source.Close(); err != nil {
		return err
	}
	if err := harness.Fetch(ctx, prep.plan, trees, fetched, show); err != nil {
		return err
	}
	if err := replaceTree(build.FetchedCache(filepath.Join(fetched, string(plan.Head))), into); err != nil {
		return fmt.Errorf("keeping what was downloaded: %w", err)
	}
	fmt.Fprintf(w.stdout, "fetched into %s\n", into)
	return callerOf(w).takeAll(into)
}

// replaceTree puts a copy of a tree in the place of another, whole or not at all.
func replaceTree(from, into string) error {
	if err := os.MkdirAll(filepath.Dir(into), 0o755); err != nil {
		return err
	}
	fresh, err := os.MkdirTemp(filepath.Dir(into), ".fetched-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(fresh)
	if err := os.CopyFS(filepath.Join(fresh, "new"), os.DirFS(from)); err != nil {
		return err
	}
	if err := os.RemoveAll(into); err != nil {
		return err
	}
	return os.Rename(filepath.Join(fresh, "new"), into)
}
