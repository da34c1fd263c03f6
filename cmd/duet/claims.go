package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/duet-bench/duet/internal/claims"
	"github.com/duet-bench/duet/internal/result"
)

// claimsJob is what `duet claims` was asked for.
type claimsJob struct {
	job
	from string // a run.json; "": measure
	page string
}

func claimsCommand(w world) *cobra.Command {
	var j claimsJob
	c := &cobra.Command{
		Use:   "claims",
		Short: "Measure what an article says of Go and Rust frameworks with the bundled services; write docs/claims.md",
		Long: `Build all services of examples/duet.yml, run every workload against them at head alone, and hold an article's claims
against what was measured: each as a ratio with its interval, which holds, does not hold, or cannot be told. The page has the
claims, the rule, and everything that was measured. Run it in Duet's own repository.

It takes about 20 minutes on two quiet cores; on a busy machine more, and less can be told. The measured run is kept in the
folder of --out: --from writes the page from it again.`,
		Example: "  duet claims\n  duet claims --budget 20m --seed 1\n  duet claims --from .duet/run.json",
		RunE: func(c *cobra.Command, _ []string) error {
			if j.from != "" {
				run, err := readRun(j.from)
				if err != nil {
					return err
				}
				return j.write(c.Context(), w, run)
			}
			if done, err := j.elevate(w); done || err != nil {
				return err
			}
			m, err := j.measure(c.Context(), w)
			if err != nil && m.run.State != result.Measured {
				return err
			}
			return errors.Join(err, j.write(c.Context(), w, m.run))
		},
	}
	j.flags(c)
	j.isolationFlags(c)
	j.outFlag(c)
	j.config, j.base = "examples/duet.yml", "none"
	for _, name := range []string{"config", "base"} {
		f := c.Flags().Lookup(name)
		f.DefValue = f.Value.String()
	}
	c.Flags().StringVar(&j.from, "from", "", "measure nothing: write the page from this run.json")
	c.Flags().StringVar(&j.page, "page", "docs/claims.md", "the page to write, relative to the repository")
	return c
}

// write settles the claims and puts the page in place.
func (j *claimsJob) write(ctx context.Context, w world, run result.Run) error {
	if err := measuredError(run); err != nil {
		return err
	}
	extras, err := j.extras(ctx, run)
	if err != nil {
		return err
	}
	page := j.page
	if !filepath.IsAbs(page) {
		page = filepath.Join(j.repo, page)
	}
	folder, err := newOutFolder(filepath.Dir(page), w)
	if err != nil {
		return err
	}
	if err := folder.write(filepath.Base(page), []byte(claims.Markdown(claims.New(run, extras, j.again(run))))); err != nil {
		return err
	}
	_, err = fmt.Fprintln(w.stdout, page)
	return err
}

// again are the arguments that make such a page anew.
func (j *claimsJob) again(run result.Run) []string {
	args := []string{"--budget", run.Plan.Budget.String(), "--seed", fmt.Sprint(run.Plan.Seed)}
	if j.config != "examples/duet.yml" {
		args = append(args, "--config", j.config)
	}
	return args
}
