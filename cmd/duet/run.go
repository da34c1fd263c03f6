package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

func runCommand(w world) *cobra.Command {
	var j job
	c := &cobra.Command{
		Use:   "run",
		Short: "The main job: measure both services at both commits and print the report",
		Long: `Resolve base and head, build the Go and the Rust service at both, check that both answer alike, run the
workloads in rounds of interleaved trials against all four, and print the report. It leaves run.json (facts),
report.json (opinions), comment.md and report.html in the folder of --out.`,
		Example: "  duet run\n  duet run --base main --head my-branch --budget 5m --seed 1 --out results",
		RunE: func(c *cobra.Command, _ []string) error {
			if done, err := j.elevate(w); done || err != nil {
				return err
			}
			return j.run(c.Context(), w)
		},
	}
	j.flags(c)
	j.gateFlag(c)
	j.isolationFlags(c)
	j.outFlag(c)
	return c
}

// run is measure and compare. Whatever left a run.json leaves its report too: a cancelled run says that it was
// cancelled, and one that could not measure why.
func (j *job) run(ctx context.Context, w world) error {
	if err := j.checkGate(); err != nil {
		return err
	}
	m, measuring := j.measure(ctx, w)
	if measuring != nil && m.out.path == "" {
		return measuring
	}
	o, err := m.report(plan.Gate(j.failOn))
	if err != nil {
		return errors.Join(measuring, err)
	}
	if measuring != nil && o.run.State != result.Measured {
		return measuring
	}
	if err := o.print(w, "terminal"); err != nil {
		return err
	}
	fmt.Fprintf(w.stderr, "\nfacts %s · opinions %s · comment %s · report %s\n", filepath.Join(m.out.path, runFile),
		filepath.Join(m.out.path, reportFile), filepath.Join(m.out.path, commentFile), filepath.Join(m.out.path, reportHTMLFile))
	if measuring != nil { // measured, and something was left behind
		return measuring
	}
	return o.status()
}

// report judges what was measured and leaves the report's files beside it. It is made of what run.json holds, so that
// compare prints the same bytes from it.
func (m measured) report(failOn plan.Gate) (opinion, error) {
	run, err := readRun(filepath.Join(m.out.path, runFile))
	if err != nil {
		return opinion{}, err
	}
	o, err := judge(run, failOn)
	if err != nil {
		return opinion{}, err
	}
	o.draw(filepath.Join(m.out.path, result.ProfileFolder))
	return o, o.write(m.out)
}

func (j *job) checkGate() error {
	switch plan.Gate(j.failOn) {
	case "", plan.GateNever, plan.GateRegression, plan.GateInconclusive:
		return nil
	}
	return plan.Usagef("", "--fail-on %q: expected one of never, regression, inconclusive", j.failOn)
}
