package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/container"
	"github.com/duet-bench/duet/internal/harness"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// The files a run leaves.
const (
	runFile        = "run.json"
	reportFile     = "report.json"
	commentFile    = "comment.md"
	reportHTMLFile = "report.html"
)

func measureCommand(w world) *cobra.Command {
	var j job
	var d duty
	c := &cobra.Command{
		Use:   "measure",
		Short: "Build and measure both services at both commits; leave run.json",
		Long: `Build and measure both services at both commits and leave the facts in run.json, without an opinion.
It exits 0, or 3 when head could not be measured: measuring never decides a job. As a step of a job it leaves the report's
files as well, for an artifact.

With --shard only some of the plan's workloads are measured, each as the whole plan has it: other machines measure the
others, and "duet merge" makes one run of all.`,
		Example: "  duet measure --base main --out .duet\n  duet compare .duet/run.json",
		RunE: func(c *cobra.Command, _ []string) error {
			if _, idle, err := d.begins(w, stepMeasure); idle || err != nil {
				return err
			}
			if done, err := j.elevate(w); done || err != nil {
				return err
			}
			if err := d.alone(w, j.isolation.level); err != nil {
				return err
			}
			unlock, err := lockHost(c.Context(), w)
			if err != nil {
				return err
			}
			defer unlock()
			m, err := j.measure(c.Context(), w)
			if err != nil {
				return err
			}
			if w.getenv("GITHUB_ACTIONS") == "true" { // what people find in the artifact: publishing opens no profile
				if _, err := m.report(""); err != nil {
					return err
				}
			}
			fmt.Fprintf(w.stdout, "%s: %s\n", m.run.State, m.out.path+"/"+runFile)
			return measuredError(m.run)
		},
	}
	j.flags(c)
	d.flags(c)
	j.isolationFlags(c)
	j.shard.flags(c)
	j.outFlag(c)
	return c
}

// alone refuses to run their code with this user's own rights where later steps of the job hold a token: it could take
// the place of what those steps run (SECURITY.md, T7).
func (d *duty) alone(w world, isolation string) error {
	if isolation == plan.IsolationContainer || d.mode != modeAuto || w.getenv("GITHUB_ACTIONS") != "true" || os.Geteuid() == 0 {
		return nil
	}
	return notMeasured{"builds and services would run with this job's own rights, and a later step of it holds a token: nothing was run; " +
		"give the runner's user `sudo -n` or run the job as root, take isolation: container, or measure in a job of its own (mode: measure, docs/workflows/fork-measure.yml)"}
}

// measured is a finished measurement and where it was put.
type measured struct {
	run result.Run
	out outFolder
}

// measure does the upper half of the straight line and writes run.json, also when it was cancelled: a folder
// never holds a result that is not this run's.
func (j *job) measure(ctx context.Context, w world) (measured, error) {
	prep, err := j.prepare(ctx, w)
	if err != nil {
		return measured{}, err
	}
	defer prep.source.Close()
	if prep.plan, err = j.shard.of(prep.plan); err != nil {
		return measured{}, err
	}
	if err := prep.refuse(ctx, w); err != nil {
		return measured{}, err
	}
	out, err := newOutFolder(j.out, w)
	if err != nil {
		return measured{}, err
	}
	out.remove(runFile, reportFile, commentFile, reportHTMLFile)
	if err := out.renew(result.ProfileFolder); err != nil {
		return measured{}, err
	}
	run, err := prep.carryOut(ctx, w, out.in(result.ProfileFolder).write)
	text, encoding := result.Encode(run)
	if encoding != nil {
		return measured{}, errors.Join(err, encoding)
	}
	if writing := out.write(runFile, text); writing != nil {
		return measured{}, errors.Join(err, writing)
	}
	return measured{run: run, out: out}, err
}

func (p prepared) carryOut(ctx context.Context, w world, keep func(name string, pprof []byte) error) (result.Run, error) {
	show := newProgress(w)
	defer show.End()
	o := harness.Options{
		Source: p.source, Version: versionText(), Attempt: p.attempt,
		PassEnv: w.lookup, Settle: compare.Settle, Doubt: compare.Doubt, Progress: show, Seed: cacheFolder(w), Keep: keep,
	}
	for _, warning := range p.plan.Warnings {
		show.Note("note: %s", warning)
	}
	if p.plan.NothingChanged() {
		run := harness.NewRun(p.plan, o, time.Now())
		run.State = result.NothingChanged
		return run, nil
	}
	if p.plan.Policy.Isolation == plan.IsolationContainer {
		return p.contained(ctx, o)
	}
	return harness.Run(ctx, p.plan, o)
}

// refuse ends a run before anything of theirs is executed.
func (p *prepared) refuse(ctx context.Context, w world) error {
	policy := p.plan.Policy
	if policy.Isolation == plan.IsolationStrict {
		return notMeasured{"policy.isolation: strict is not built yet, and it fails closed: nothing was run; use container or basic, or wait for it"}
	}
	if p.plan.Fork && w.getenv("RUNNER_ENVIRONMENT") == "self-hosted" && policy.SelfHostedForks != "allow" {
		return notMeasured{"a fork's code is not run on a self-hosted runner: nothing was run; base's duet.yml may allow it with policy: {self-hosted-forks: allow}"}
	}
	if _, err := p.source.CredentialsPersisted(ctx); err != nil {
		return err
	}
	if policy.Isolation != plan.IsolationContainer {
		return nil
	}
	return p.findEngine(ctx)
}

// findEngine refuses where a container is asked for and none can be had.
func (p *prepared) findEngine(ctx context.Context) error {
	if p.isolation.image == "" {
		return plan.Usagef("name it with --image or DUET_IMAGE; `docker build -t duet .` in Duet's repository makes one",
			"isolation: container, and no image is named: nothing was run")
	}
	var err error
	var none *container.EngineError
	if p.engine, err = container.Find(ctx); errors.As(err, &none) {
		return notMeasured{"isolation: container fails closed, nothing was run: " + none.Error()}
	}
	return err
}

// measuredError says why a run that ended has no figures for head.
func measuredError(run result.Run) error {
	if run.State != result.NotMeasured {
		return nil
	}
	for _, f := range run.Failures {
		if f.Variant.Side == plan.Head {
			return notMeasured{fmt.Sprintf("%s could not be measured: %s: %s", f.Variant, f.Step, f.Error)}
		}
	}
	if run.Error != "" {
		return notMeasured{run.Error}
	}
	return notMeasured{"head could not be measured"}
}
