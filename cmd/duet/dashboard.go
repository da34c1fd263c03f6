package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/duet-bench/duet/internal/dashboard"
	"github.com/duet-bench/duet/internal/history"
	"github.com/duet-bench/duet/internal/plan"
)

// pastJob is a command that reads the history and writes something beside it.
type pastJob struct {
	storeFlags
	out        string
	repository string // address on a forge
}

func (j *pastJob) flags(c *cobra.Command, out string) {
	j.storeFlags.flags(c.Flags())
	c.Flags().StringVar(&j.out, "out", "", out)
}

func dashboardCommand(w world) *cobra.Command {
	var j pastJob
	c := &cobra.Command{
		Use:   "dashboard",
		Short: "Write the history as a static site: trends, change points, open regressions",
		Long: `Read the history and write a site into the folder --out: every service, workload and metric over the nights against the
anchor, the gap between Rust and Go, change points with their commits, builds, the self-check's record, and each night's rows.
It is plain files: publish them with GitHub Pages or any file server, or open index.html. It asks nobody else for anything.

Files of a site that was there before are replaced; the history is only read.`,
		Example: "  duet dashboard --out site\n  duet dashboard --out site --store folder:results/history",
		RunE: func(c *cobra.Command, _ []string) error {
			in, err := j.read(c.Context(), w)
			if err != nil {
				return err
			}
			in.Repository = j.address(w)
			files, err := dashboard.Files(in)
			if err != nil {
				return err
			}
			if err := writeSite(j.out, files, w); err != nil {
				return err
			}
			_, err = fmt.Fprintln(w.stdout, filepath.Join(j.out, "index.html"))
			return err
		},
	}
	j.flags(c, "the folder to write the site into")
	c.Flags().StringVar(&j.repository, "repository", "", "where commits are linked to, https://github.com/OWNER/NAME; default: the run's, else the last night's")
	return c
}

func badgeCommand(w world) *cobra.Command {
	var j pastJob
	c := &cobra.Command{
		Use:   "badge",
		Short: "Write the state of the last night as a badge: a picture (.svg) or for shields.io (.json)",
		Long: `Read the history and write a badge into the file --out: "2 open regressions", "last night missing", or since when nothing
changed. A name that ends with .svg gets a picture, one that ends with .json what shields.io's endpoint badge reads.`,
		Example: "  duet badge --out site/badge.svg\n  duet badge --out site/badge.json",
		RunE: func(c *cobra.Command, _ []string) error {
			ending := path.Ext(j.out)
			if ending != ".svg" && ending != ".json" {
				return plan.Usagef("--out FILE.svg is a picture, --out FILE.json is for shields.io", "the badge's file %q ends with neither .svg nor .json", j.out)
			}
			in, err := j.read(c.Context(), w)
			if err != nil {
				return err
			}
			badge := dashboard.NewBadge(in)
			text, err := badge.SVG()
			if ending == ".json" {
				text, err = badge.JSON()
			}
			if err != nil {
				return err
			}
			folder, err := newOutFolder(filepath.Dir(j.out), w)
			if err != nil {
				return err
			}
			if err := folder.write(filepath.Base(j.out), text); err != nil {
				return err
			}
			_, err = fmt.Fprintf(w.stdout, "%s: %s\n", j.out, badge.Message)
			return err
		},
	}
	j.flags(c, "the file to write, FILE.svg or FILE.json")
	return c
}

// read is the whole history with its change points.
func (j *pastJob) read(ctx context.Context, w world) (dashboard.Input, error) {
	if j.out == "" {
		return dashboard.Input{}, plan.Usagef("name it with --out", "nowhere to write to")
	}
	var entries []history.Entry
	err := j.withStore(ctx, w, func(store history.Keeper) (err error) {
		entries, err = loadHistory(ctx, w, store)
		return err
	})
	if err != nil {
		return dashboard.Input{}, err
	}
	series := history.Join(entries)
	return dashboard.Input{Entries: entries, Series: series, Changes: history.Changes(series, history.ChangesOptions{}), Now: time.Now()}, nil
}

// address is where commits are linked to.
func (j *pastJob) address(w world) string {
	if j.repository != "" {
		return j.repository
	}
	return repositoryOf(w)
}

// writeSite puts the files in place, the page and its index last, and removes data files of a site before that this one has
// no more.
func writeSite(out string, files map[string][]byte, w world) error {
	folders := map[string]outFolder{}
	last := func(name string) int { return slices.Index([]string{"data/index.js", "index.html"}, name) }
	names := slices.Sorted(maps.Keys(files))
	slices.SortStableFunc(names, func(a, b string) int { return last(a) - last(b) })
	for _, name := range names {
		dir := path.Dir(name)
		folder, ok := folders[dir]
		if !ok {
			var err error
			if folder, err = newOutFolder(filepath.Join(out, filepath.FromSlash(dir)), w); err != nil {
				return err
			}
			folders[dir] = folder
		}
		if err := folder.write(path.Base(name), files[name]); err != nil {
			return err
		}
	}
	for _, dir := range []string{"data/s", "data/n"} {
		old, err := filepath.Glob(filepath.Join(out, filepath.FromSlash(dir), "*.js"))
		if err != nil {
			return fmt.Errorf("looking for data of an earlier site: %w", err)
		}
		for _, file := range old {
			if name := path.Join(dir, filepath.Base(file)); files[name] == nil {
				if err := os.Remove(file); err != nil {
					return fmt.Errorf("removing data of an earlier site: %w", err)
				}
			}
		}
	}
	return nil
}
