package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/duet-bench/duet/internal/container"
	"github.com/duet-bench/duet/internal/parity"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/source"
	"github.com/duet-bench/duet/internal/workload"
	"github.com/duet-bench/duet/workloads"
)

// job is what the commands that need a plan are asked for.
type job struct {
	repo, head, base string
	worktree         bool
	config           string
	budget           time.Duration
	seed             string
	only             []string
	services         []string
	failOn           string
	out              string
	isolation        isolation
	shard            oneShard // of measure

	// For `duet nightly`; the zero value is a pull request's job.
	exact bool      // base is compared as given
	same  plan.Same // what becomes of what is the same at both sides
	share float64   // of the measuring time; 0: all of it
	looks []int     // rounds after which screening may end; nil: duet.yml's
}

// defaultOut is where results go; it ignores itself in git.
const defaultOut = ".duet"

func (j *job) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&j.repo, "repo", ".", "repository to measure")
	f.StringVar(&j.head, "head", "", "revision under test (default HEAD)")
	f.StringVar(&j.base, "base", "", "revision to compare with: its merge base with head is measured; \"none\" measures head alone\n(default: the pull request's base, else origin/HEAD, main or master; on that branch itself, head's first parent)")
	f.BoolVar(&j.worktree, "worktree", false, "measure the uncommitted changes too")
	f.StringVar(&j.config, "config", "duet.yml", "configuration, relative to the repository")
	f.DurationVar(&j.budget, "budget", 0, "measuring time over all workloads, without builds and confirmation (default: duet.yml's, else 2m)")
	f.StringVar(&j.seed, "seed", "", "seed of the order and of the requests (default: from head's sha and the attempt)")
	f.StringSliceVar(&j.services, "services", nil, "measure only these services, by name or as lang/name: go/gin,rust/axum")
	f.StringSliceVar(&j.only, "workload", nil, "measure only this workload (may be repeated)")
}

func (j *job) gateFlag(c *cobra.Command) {
	c.Flags().StringVar(&j.failOn, "fail-on", "", "tighten the gate: never, regression or inconclusive (default: policy.gate of base's duet.yml)")
}

func (j *job) outFlag(c *cobra.Command) {
	c.Flags().StringVar(&j.out, "out", defaultOut, "folder for run.json, report.json, report.html and comment.md")
}

func (j *job) isolationFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&j.isolation.level, "isolation", "", "tighten what confines builds and services: basic or container (default: policy.isolation of base's duet.yml)")
	f.StringVar(&j.isolation.image, "image", "", "image for --isolation container: Duet's own, or one made from it")
	f.StringVar(&j.isolation.network, "fetch-network", "", "network of the container that downloads (default: the engine's)")
}

// prepared is a job whose every decision has been made and nothing has been run of.
type prepared struct {
	plan    plan.Plan
	source  source.Resolution
	attempt int

	isolation isolation
	engine    container.Engine // once refuse has found it; for containers alone
}

// prepare resolves the source, reads both configurations and makes the plan. It runs git, and nothing of theirs.
func (j *job) prepare(ctx context.Context, w world) (prepared, error) {
	event, err := eventOf(w)
	if err != nil {
		return prepared{}, err
	}
	src, err := source.Resolve(ctx, source.Options{Repo: j.repo, Head: j.head, Base: j.base, Exact: j.exact, Worktree: j.worktree, Event: event, Exclude: j.exclude()})
	if err != nil {
		return prepared{}, err
	}
	p, err := j.load(ctx, w, src)
	if err != nil {
		return prepared{}, errors.Join(err, src.Close())
	}
	return p, nil
}

// load makes the plan from what was resolved.
func (j *job) load(ctx context.Context, w world, src source.Resolution) (prepared, error) {
	head, err := j.readConfig(ctx, src, plan.Head)
	if err != nil {
		return prepared{}, err
	}
	if head == nil {
		return prepared{}, plan.Usagef("`duet init` writes one", "no %s in %s at head (%.12s)", j.config, src.Repo, src.Head.SHA)
	}
	var base *plan.Config
	if src.Base != nil {
		if base, err = j.readConfig(ctx, src, plan.Base); err != nil {
			if ctx.Err() != nil {
				return prepared{}, err
			}
			// Head may be what mends it, so it is no error: the same as no configuration at base.
			src.Warnings = append(src.Warnings, fmt.Sprintf("base's configuration cannot be used: %v", err))
		}
	}
	j.resize(head)
	loaded, err := j.loadWorkloads(ctx, src, *head)
	if err != nil {
		return prepared{}, err
	}
	flags, attempt, err := j.planFlags(w)
	if err != nil {
		return prepared{}, err
	}
	p, err := plan.Load(plan.Inputs{
		BaseConfig: base, HeadConfig: head,
		Head: src.Head, Base: src.Base, NoBase: src.NoBase, Changed: src.Changed, Fork: src.Fork,
		Workloads: loaded, MetricNames: metricNames(), Flags: flags,
	})
	if err != nil {
		return prepared{}, err
	}
	if err := parity.Check(p.Parity.Ignore); err != nil {
		return prepared{}, plan.Usagef("", "parity.ignore: %w", err)
	}
	p.Warnings = append(p.Warnings, src.Warnings...)
	return prepared{plan: p, source: src, attempt: attempt, isolation: j.isolation}, nil
}

// resize cuts a configuration's measuring to what a part of a night is for.
func (j *job) resize(c *plan.Config) {
	if j.looks != nil {
		c.Measure.Rounds = j.looks
	}
	if j.share > 0 {
		first := time.Duration(c.Measure.Rounds[0]) * time.Second // rounds of one service at both sides, half a second each
		c.Budget = max(time.Duration(j.share*float64(cmp.Or(j.budget, c.Budget))), first)
		j.budget = 0
	}
}

// exclude keeps results of earlier runs from counting as changes.
func (j *job) exclude() []string {
	if j.out == "" {
		return nil
	}
	out, err := filepath.Abs(j.out)
	if err != nil {
		return nil
	}
	return []string{out}
}

// readConfig is one side's duet.yml; nil where that side has none.
func (j *job) readConfig(ctx context.Context, src source.Resolution, side plan.Side) (*plan.Config, error) {
	text, err := src.ReadFile(ctx, side, j.config, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	config, err := plan.ParseConfig(j.config, text)
	if err != nil {
		return nil, err
	}
	return &config, nil
}

// loadWorkloads reads every workload that head's configuration names: an embedded one by name, a file of the
// repository by path.
func (j *job) loadWorkloads(ctx context.Context, src source.Resolution, c plan.Config) (map[string]workload.Workload, error) {
	loaded := map[string]workload.Workload{}
	for _, name := range c.Workloads {
		file, text, err := workloadText(ctx, src, name)
		if err != nil {
			return nil, err
		}
		if loaded[name], err = workload.Parse(file, text); err != nil {
			return nil, plan.Usagef("", "%w", err)
		}
	}
	return loaded, nil
}

func workloadText(ctx context.Context, src source.Resolution, name string) (file string, text []byte, err error) {
	if !strings.ContainsAny(name, "/.") {
		file = name + ".yaml"
		text, err = fs.ReadFile(workloads.Files, file)
		if errors.Is(err, fs.ErrNotExist) {
			return "", nil, plan.Usagef("a workload of your own is named by its path, such as ./bench/"+name+".yaml",
				"unknown workload %q: expected one of %s", name, strings.Join(workloads.Names(), ", "))
		}
		return file, text, err
	}
	file = filepath.ToSlash(filepath.Clean(name))
	text, err = src.ReadFile(ctx, plan.Head, file, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, plan.Usagef("paths are relative to the repository", "no workload file %q at head", name)
	}
	return file, text, err
}

// planFlags are the flags that change a plan, and the attempt a re-run counts.
func (j *job) planFlags(w world) (flags plan.Flags, attempt int, err error) {
	attempt = 1
	if text := w.getenv("GITHUB_RUN_ATTEMPT"); text != "" {
		if attempt, err = strconv.Atoi(text); err != nil || attempt < 1 {
			return flags, 0, plan.Usagef("", "GITHUB_RUN_ATTEMPT %q: expected a whole number from 1", text)
		}
	}
	flags = plan.Flags{Budget: j.budget, Attempt: attempt, FailOn: plan.Gate(j.failOn), Isolation: j.isolation.level, Workloads: j.only, Services: j.services, Same: j.same}
	if j.seed != "" {
		seed, err := strconv.ParseUint(j.seed, 10, 64)
		if err != nil {
			return flags, 0, plan.Usagef("", "--seed %q: expected a whole number from 0 to 18446744073709551615", j.seed)
		}
		flags.Seed = &seed
	}
	return flags, attempt, nil
}

// eventLimit bounds an event's payload; GitHub's own are under 1 MiB.
const eventLimit = 8 << 20

// eventOf reads the event that GitHub Actions left; nil outside of it.
func eventOf(w world) (*source.Event, error) {
	name, path := w.getenv("GITHUB_EVENT_NAME"), w.getenv("GITHUB_EVENT_PATH")
	if name == "" || path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the event: %w", err)
	}
	defer f.Close()
	payload, err := readAtMost(f, eventLimit)
	if err != nil {
		return nil, fmt.Errorf("reading the event %s: %w", path, err)
	}
	return source.ParseEvent(name, payload)
}

func metricNames() []string {
	var names []string
	for _, m := range result.Metrics() {
		names = append(names, m.Name)
	}
	return names
}
