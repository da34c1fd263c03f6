package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/duet-bench/duet/internal/history"
	"github.com/duet-bench/duet/internal/nightly"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/source"
)

// The files that a night leaves. What is recorded is in a folder of its own, which the recording job reads and nothing else.
const (
	nightFolder = "nights"
	nightFile   = "night.json"
	anchorFile  = "anchor.json"
	nightReport = "nightly.md"
	nightName   = "night" // of the measurement against the anchor
	siteFolder  = "site"
)

func nightlyCommand(w world) *cobra.Command {
	c := &cobra.Command{
		Use:   "nightly",
		Short: "Measure the default branch against a fixed anchor at night; record it and report what became slower",
		Long: `Every night, in two jobs: measure compares the default branch's head with a fixed anchor commit, and head with itself,
finds what became slower over the nights and bisects it to the first bad merge; record adds the night to the history,
which is a branch of the repository, and keeps one issue. The job that measures has no token; the one that records
runs nothing that was built. docs/nightly.md says more.`,
		Example: "  duet nightly measure\n  duet nightly record",
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(nightlyMeasureCommand(w), nightlyRecordCommand(w))
	return c
}

// night is what `duet nightly measure` was asked for.
type night struct {
	duty
	job
	anchor    string
	from      storeFlags
	move      bool
	selfCheck bool
	bisect    time.Duration

	out outFolder
}

func nightlyMeasureCommand(w world) *cobra.Command {
	var n night
	c := &cobra.Command{
		Use:   "measure",
		Short: "Measure a night: head against the anchor and against itself, and bisect what became slower; leave night.json",
		Long: `Measure the default branch's head against the anchor, Go and Rust, all workloads, and then against itself: what the
judge finds there is a false alarm. Then look for change points in the history with this night added; each change for the
worse that is new is bisected, merge by merge, against the last good commit and by the same judge, within a time.

It leaves NIGHTS/night.json for "duet nightly record" in the folder of --out, and a run.json of every measurement beside
it. It exits 0; 2 where the command line, the configuration or the history cannot be read; 3 where head could not be
measured: the night is recorded all the same, with its reason.`,
		Example: "  duet nightly measure\n  duet nightly measure --move-anchor\n  duet nightly measure --store folder:results/history --bisect-budget 0s",
		RunE: func(c *cobra.Command, _ []string) error {
			event, idle, err := n.begins(w, stepNight)
			if idle || err != nil {
				return err
			}
			if err := onDefaultBranch(w, event); err != nil {
				return err
			}
			if done, err := n.elevate(w); done || err != nil {
				return err
			}
			unlock, err := lockHost(c.Context(), w)
			if err != nil {
				return err
			}
			defer unlock()
			return n.run(c.Context(), w, c.Flags().Changed("bisect-budget"))
		},
	}
	f := c.Flags()
	f.StringVar(&n.repo, "repo", ".", "repository to measure")
	f.StringVar(&n.head, "head", "", "revision under test, on the default branch (default HEAD)")
	f.StringVar(&n.config, "config", "duet.yml", "configuration, relative to the repository")
	f.DurationVar(&n.budget, "budget", 0, "measuring time over all workloads, without builds and confirmation (default: duet.yml's, else 2m)")
	f.StringVar(&n.seed, "seed", "", "seed of the order and of the requests (default: from head's sha and the attempt)")
	f.StringSliceVar(&n.services, "services", nil, "measure only these services, by name or as lang/name")
	f.StringSliceVar(&n.only, "workload", nil, "measure only this workload (may be repeated)")
	f.StringVar(&n.from.store, "store", "branch:"+history.DefaultBranch, "where the history is: branch:NAME of the repository, as the clone has it, or folder:PATH")
	f.StringVar(&n.anchor, "anchor", "", "commit to measure against (default: nightly.anchor of duet.yml, else the history's, else head)")
	f.BoolVar(&n.move, "move-anchor", false, "move the anchor to --anchor, else to head: both anchors are measured against each other once")
	f.BoolVar(&n.selfCheck, "self-check", true, "measure head against itself as well")
	f.DurationVar(&n.bisect, "bisect-budget", 0, "most time of all bisections; 0s: none (default: nightly.bisect of duet.yml, else 20m)")
	n.duty.flags(c)
	n.isolationFlags(c)
	n.outFlag(c)
	return c
}

// onDefaultBranch refuses a night of another branch: whoever may push one could start the workflow on it by hand, and the
// history is the default branch's.
func onDefaultBranch(w world, e *source.Event) error {
	ref := w.getenv("GITHUB_REF")
	if w.getenv("GITHUB_ACTIONS") != "true" || e == nil || e.DefaultBranch == "" || ref == "refs/heads/"+e.DefaultBranch {
		return nil
	}
	return plan.Usagef("run the workflow on "+e.DefaultBranch, "a night is the default branch's, and this job runs on %.100q: nothing was done", ref)
}

func (n *night) run(ctx context.Context, w world, bisectGiven bool) (err error) {
	settings, err := n.settings(ctx, w)
	if err != nil {
		return err
	}
	line, err := source.OpenLine(ctx, n.repo)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, line.Close()) }()
	past, err := n.past(ctx, w, line)
	if err != nil {
		return err
	}
	if !bisectGiven {
		n.bisect = settings.Bisect
	}
	job := jobOf(w)
	found, err := nightly.Run(ctx, nightly.Options{
		Entries: past, Head: headOr(n.head), Anchor: n.anchor, Configured: settings.Anchor, Move: n.move,
		SelfCheck: n.selfCheck, Bisect: n.bisect, Changes: changesOf, Now: time.Now,
		Job: history.Job{ID: job.ID, Attempt: job.Attempt, URL: job.URL},
		Say: func(format string, args ...any) { fmt.Fprintf(w.stderr, "night: "+format+"\n", args...) },
	}, defaultBranch{line}, func(ctx context.Context, m nightly.Measurement) (result.Run, error) { return n.measure(ctx, w, m) })
	if err != nil {
		return err
	}
	return n.leave(w, found)
}

func headOr(head string) string {
	if head == "" {
		return "HEAD"
	}
	return head
}

// settings is `nightly` of head's duet.yml.
func (n *night) settings(ctx context.Context, w world) (s plan.Nightly, err error) {
	src, err := source.Resolve(ctx, source.Options{Repo: n.repo, Head: n.head, Base: "none"})
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	config, err := n.readConfig(ctx, src, plan.Head)
	if err != nil {
		return s, err
	}
	if config == nil {
		return s, plan.Usagef("`duet init` writes one", "no %s in %s at head (%.12s)", n.config, src.Repo, src.Head.SHA)
	}
	return config.Nightly, nil
}

// measure carries one measurement out as `duet measure` does, and leaves its run.json.
func (n *night) measure(ctx context.Context, w world, m nightly.Measurement) (result.Run, error) {
	j := n.job
	j.head, j.base, j.exact, j.same, j.share, j.looks = m.Head, m.Base, true, m.Same, m.Share, m.Looks
	if m.Services != nil {
		j.services = m.Services
	}
	if m.Workloads != nil {
		j.only = m.Workloads
	}
	fmt.Fprintf(w.stderr, "night: measuring %s: %.12s against %.12s\n", m.Name, m.Head, m.Base)
	prep, err := j.prepare(ctx, w)
	if err != nil {
		return result.Run{}, err
	}
	defer prep.source.Close()
	if err := prep.refuse(ctx, w); err != nil {
		return result.Run{}, err
	}
	if n.out.path == "" {
		if n.out, err = newOutFolder(n.job.out, w); err != nil {
			return result.Run{}, err
		}
	}
	if m.Name != nightName { // a self-check and a bisection need no profiles
		prep.plan.Profile = 0
	}
	run, err := prep.carryOut(ctx, w, n.out.in(result.ProfileFolder).write)
	text, encoding := result.Encode(run)
	if encoding == nil {
		encoding = n.out.write(runFileOf(m.Name), text)
	}
	if encoding != nil {
		return run, errors.Join(err, encoding)
	}
	// The night is judged by what run.json holds, so that compare says the same of it.
	kept, decoding := result.Decode(text)
	return kept, errors.Join(err, decoding)
}

// runFileOf is the file of a measurement; the night's own is the one that all commands read.
func runFileOf(name string) string {
	if name == nightName {
		return runFile
	}
	return "run-" + name + ".json"
}

// leave writes what the recording job takes.
func (n *night) leave(w world, found nightly.Night) error {
	folder, err := newOutFolder(filepath.Join(n.out.path, nightFolder), w)
	if err != nil {
		return err
	}
	folder.remove(nightFile, anchorFile)
	for _, e := range found.Entries() {
		text, err := history.Encode(e)
		if err != nil {
			return err
		}
		name := nightFile
		if e.Previous != nil {
			name = anchorFile
		}
		if err := folder.write(name, text); err != nil {
			return err
		}
	}
	e := found.Entry
	for _, s := range e.Suspects {
		fmt.Fprintf(w.stdout, "%s · %s · %s: %s\n", s.Service, s.Workload, s.Metric, nightly.Concluded(s))
	}
	fmt.Fprintf(w.stdout, "%s: %.12s against %.12s: %s\n", e.State, e.Commit.SHA, e.Anchor.SHA, filepath.Join(folder.path, nightFile))
	if e.State != history.Measured {
		return notMeasured{e.Error}
	}
	return nil
}

// changesOf finds the change points of a history's series.
func changesOf(series []history.Series) []history.Change {
	return history.Changes(series, history.ChangesOptions{})
}

// defaultBranch is the repository's line as nights see it.
type defaultBranch struct{ line *source.Line }

func (b defaultBranch) Commit(ctx context.Context, rev string) (history.Commit, error) {
	c, err := b.line.Commit(ctx, rev)
	if errors.Is(err, source.ErrNoCommit) {
		return history.Commit{}, fmt.Errorf("%w: %w", nightly.ErrGone, err)
	}
	return history.Commit(c), err
}

func (b defaultBranch) Between(ctx context.Context, after, upTo string) ([]history.Commit, bool, error) {
	all, ok, err := b.line.Between(ctx, after, upTo)
	commits := make([]history.Commit, len(all))
	for i, c := range all {
		commits[i] = history.Commit(c)
	}
	return commits, ok, err
}

// past is the history as the measuring job can read it without a token: from a folder, or from what the checkout fetched of
// its branch. A clone that may lack the branch is refused: a history that is overlooked would be begun anew.
func (n *night) past(ctx context.Context, w world, line *source.Line) ([]history.Entry, error) {
	name, isBranch, err := n.from.named()
	if err != nil {
		return nil, err
	}
	var store history.Store = history.OpenFolder(name)
	if isBranch {
		dir, there, err := line.Lend(ctx, name)
		if err != nil {
			return nil, err
		}
		if !there {
			shallow, err := line.Shallow()
			if err == nil && shallow {
				err = plan.Usagef("set `fetch-depth: 0` on actions/checkout: it fetches all branches", "whether there is a history cannot be told: the clone is shallow and has no branch %s", name)
			}
			return nil, err
		}
		branch, err := history.OpenBranch(history.BranchOptions{Remote: dir, Name: name})
		if err != nil {
			return nil, err
		}
		defer branch.Close()
		store = branch
	}
	loaded, err := store.Load(ctx)
	if err != nil {
		return nil, unreadable(ctx, err)
	}
	for _, warning := range loaded.Warnings {
		fmt.Fprintf(w.stderr, "history: %s\n", warning)
	}
	return loaded.Entries, nil
}

// unreadable is the error of a history that cannot be read: nothing was changed, and nothing is measured or recorded.
func unreadable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var usage *plan.UsageError
	if errors.As(err, &usage) {
		return err
	}
	return notMeasured{err.Error() + "\nthe history was left as it is, and nothing was added"}
}

// nightFiles are the entries that a measuring job left: of files that are named, or of a folder.
func nightFiles(args []string, folder string) ([]history.Entry, error) {
	if len(args) == 0 {
		var err error
		if args, err = filepath.Glob(filepath.Join(folder, "*.json")); err != nil {
			return nil, plan.Usagef("", "--nights %q: %w", folder, err)
		}
		if len(args) == 0 {
			return nil, notMeasured{fmt.Sprintf("there is no night in %s: the measuring job ended before it left one; its log says why", folder)}
		}
		slices.Sort(args)
	}
	entries := make([]history.Entry, len(args))
	for i, name := range args {
		f, err := os.Open(name)
		if err != nil {
			return nil, plan.Usagef("`duet nightly measure` leaves one", "%w", err)
		}
		text, err := readAtMost(f, history.MaxBytes)
		if err == nil {
			entries[i], err = history.Decode(name, text)
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, plan.Usagef("", "reading a night: %w: nothing was recorded", err)
		}
	}
	return entries, nil
}
