package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/duet-bench/duet/internal/github"
	"github.com/duet-bench/duet/internal/plan"
)

// gating is what `duet gate` was asked for.
type gating struct {
	duty
	out, failOn string
}

func gateCommand(w world) *cobra.Command {
	var g gating
	c := &cobra.Command{
		Use:   "gate",
		Short: "A job's last step: fail it where base's policy.gate refuses what was measured",
		Long: `Judge the run.json that was left, and fail where base's policy.gate refuses it; --fail-on may only tighten that.
A maintainer lets a pull request pass with the label ` + github.AcceptLabel + `: then this ends well, and says who did.
Publishing is another step and always runs; nothing but this one decides the job.`,
		Example: "  duet gate --out .duet --fail-on regression",
		RunE:    func(c *cobra.Command, _ []string) error { return g.run(c.Context(), w) },
	}
	g.flags(c)
	c.Flags().StringVar(&g.out, "out", defaultOut, "folder with run.json")
	c.Flags().StringVar(&g.failOn, "fail-on", "", "tighten the gate: never, regression or inconclusive (default: policy.gate of base's duet.yml)")
	return c
}

func (g *gating) run(ctx context.Context, w world) error {
	event, idle, err := g.begins(w, stepGate)
	if idle || err != nil {
		return err
	}
	run, err := readRun(filepath.Join(g.out, runFile))
	if errors.Is(err, fs.ErrNotExist) {
		return notMeasured{nothingLeft}
	}
	if err != nil {
		return err
	}
	o, err := judge(run, plan.Gate(g.failOn))
	if err != nil {
		return err
	}
	err = o.status()
	if refused := (gated{}); !errors.As(err, &refused) || event == nil || event.Number == 0 || w.getenv("GITHUB_TOKEN") == "" {
		return err
	}
	client, problem := clientOf(w)
	if problem != nil {
		return problem
	}
	by, problem := client.AcceptedBy(ctx, event.Number)
	if problem != nil {
		fmt.Fprintf(w.stderr, "whether the label %s is there could not be read: %v\n", github.AcceptLabel, problem)
		return err
	}
	if by == "" {
		return err
	}
	return github.NewRunner(w.stderr, w.getenv).Annotate([]github.Annotation{{Level: github.Notice, Title: "Duet",
		Text: fmt.Sprintf("%v, and %s let it pass with the label %s", err, by, github.AcceptLabel)}})
}
