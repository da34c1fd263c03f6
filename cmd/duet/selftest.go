package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/duet-bench/duet/internal/build"
	"github.com/duet-bench/duet/internal/harness"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/selftest"
	"github.com/duet-bench/duet/internal/selftest/pair"
	"github.com/duet-bench/duet/internal/source"
	"github.com/duet-bench/duet/internal/workload"
	"github.com/duet-bench/duet/workloads"
)

// How long the two forms take at most, builds and evaluation included.
const (
	fastMinutes = 15
	fullMinutes = 6 * 60
	// The end is kept free of measuring, for the evaluation: a thirtieth of the time, within these bounds. It takes 15
	// to 35 seconds for the fast form's bank, and some minutes for the full one's.
	evaluatingShare = 30
	leastEvaluating = time.Minute
	mostEvaluating  = 10 * time.Minute
)

// selfTrial is what `duet selftest` was asked for.
type selfTrial struct {
	full       bool
	plants     []string // chosen of the full form's; nil: all of the form
	bank       string
	minutes    int
	asJSON     bool
	asMarkdown bool
	reportOnly bool
	seed       uint64
}

func selftestCommand(w world) *cobra.Command {
	var t selfTrial
	c := &cobra.Command{
		Use:   "selftest",
		Short: "Find out on this machine how often Duet cries wolf, and which planted changes it finds",
		Long: `Measure the bundled Go and Rust pair against itself and against builds with planted changes of known size, in
interleaved rounds that are kept in a folder (the bank). Draw reports from it, have each judged as every report
is, and print how many named something that is not there, which plants were found, how noisy this machine is, and
what other tools' rules say of the same rounds.

The fast form takes 15 minutes at most; --full takes 6 hours and has every plant. Both can be interrupted at any
time: what was measured is kept, and --bank goes on from there. Aims that were not reached are said, and are no
error: the exit status is 0 when this machine could measure, 3 when it could not.`,
		Example: "  duet selftest\n  duet selftest --full --bank bank --minutes 120\n  duet selftest --bank bank --report-only --json",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := t.check(); err != nil {
				return err
			}
			if t.reportOnly {
				return t.report(c.Context(), w)
			}
			if done, err := elevate(w); done || err != nil {
				return err
			}
			return t.run(c.Context(), w)
		},
	}
	f := c.Flags()
	f.BoolVar(&t.full, "full", false, "every plant, for hours")
	f.StringSliceVar(&t.plants, "plant", nil, "measure only this plant of the full form beside base itself (may be repeated), such as memory-5")
	f.StringVar(&t.bank, "bank", "", "folder of the bank: a new one is begun there, an old one goes on (default: a new temporary folder, kept)")
	f.IntVar(&t.minutes, "minutes", 0, fmt.Sprintf("time in all, builds included (default %d; with --full %d)", fastMinutes, fullMinutes))
	f.BoolVar(&t.asJSON, "json", false, "print the findings as JSON")
	f.BoolVar(&t.asMarkdown, "markdown", false, "print the findings as Markdown")
	f.BoolVar(&t.reportOnly, "report-only", false, "measure nothing: evaluate the bank of --bank")
	f.Uint64Var(&t.seed, "seed", 1, "seed of order, resampling and simulation")
	return c
}

// run collects rounds and evaluates the bank.
func (t *selfTrial) run(ctx context.Context, w world) error {
	started := time.Now()
	for _, need := range []string{"git", "go", "cargo"} {
		if _, err := exec.LookPath(need); err != nil {
			return plan.Usagef("`duet doctor` says how to get it", "the self-test builds a Go and a Rust service: %s is not on PATH", need)
		}
	}
	if t.bank == "" {
		dir, err := os.MkdirTemp("", "duet-bank-")
		if err != nil {
			return err
		}
		t.bank = dir
	}
	end := started.Add(time.Duration(t.minutes) * time.Minute)
	collecting := t.collect(ctx, w, end.Add(-min(max(end.Sub(started)/evaluatingShare, leastEvaluating), mostEvaluating)))
	err := errors.Join(collecting, t.hand(callerOf(w)))
	fmt.Fprintf(w.stderr, "\nthe bank is kept: --bank %s goes on, with --report-only it is evaluated again\n", t.bank)
	if err != nil {
		return err
	}
	return t.report(ctx, w)
}

// hand gives the bank's folder and its sessions to whoever called, and nothing else that may lie there.
func (t *selfTrial) hand(to owner) error {
	files, err := filepath.Glob(filepath.Join(t.bank, "session-*.ndjson"))
	if err != nil || len(files) == 0 {
		return err
	}
	for _, path := range append(files, t.bank) {
		err = errors.Join(err, to.take(path))
	}
	return err
}

// check refuses what cannot be meant.
func (t *selfTrial) check() error {
	switch {
	case t.asJSON && t.asMarkdown:
		return plan.Usagef("", "--json and --markdown: expected one of them")
	case t.reportOnly && t.bank == "":
		return plan.Usagef("", "--report-only needs --bank")
	}
	most := fastMinutes
	if t.full {
		most = fullMinutes
	}
	if t.minutes == 0 {
		t.minutes = most
	}
	if t.minutes < 3 || t.minutes > most {
		return plan.Usagef("", "--minutes %d: expected 3 to %d", t.minutes, most)
	}
	return nil
}

// collect measures one session of the bank.
func (t *selfTrial) collect(ctx context.Context, w world, until time.Time) error {
	bank, err := selftest.ReadBank(t.bank)
	if err != nil {
		return plan.Usagef("name another folder", "%w", err)
	}
	dir, err := os.MkdirTemp("", "duet-selftest-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // git runs as the caller
		return err
	}
	repo := filepath.Join(dir, "pair")
	sha, err := pair.Write(ctx, repo)
	if err != nil {
		return fmt.Errorf("making the pair's repository: %w", err)
	}
	src, err := source.Resolve(ctx, source.Options{Repo: repo, Base: "none"})
	if err != nil {
		return err
	}
	defer src.Close()
	session, err := t.session(ctx, w, bank, src, sha)
	if err != nil {
		return err
	}
	session.Until = until
	// What the harness shows as the number of rounds; the order knows no last one.
	expected := session.Layout.Expect(selftest.Heavy, time.Until(until), len(session.Plan.Workloads))
	session.Plan.Rounds.Looks = []int{max(expected, 1)}
	show := newProgress(w)
	defer show.End()
	session.Options.Progress = show
	run, err := selftest.Collect(ctx, session)
	for _, warning := range run.Warnings {
		show.Note("note: %s", warning)
	}
	if err != nil || len(run.Trials)+len(run.Costs) > 0 {
		return err // a plant that failed was noted, and the others say all the same what they say
	}
	if err := measuredError(run); err != nil {
		return err
	}
	return notMeasured{"the time was over before the first round: --minutes gives it more"}
}

// session is the next one of a bank.
func (t *selfTrial) session(ctx context.Context, w world, bank *selftest.Bank, src source.Resolution, sha string) (selftest.Session, error) {
	subjects := selftest.Subjects(t.full || t.plants != nil)
	if t.plants != nil {
		var err error
		if subjects, err = selftest.Only(subjects, t.plants); err != nil {
			return selftest.Session{}, plan.Usagef("", "--plant: %w", err)
		}
	}
	loaded, err := embedded(selftest.Workloads(subjects))
	if err != nil {
		return selftest.Session{}, err
	}
	seed := t.seed + uint64(len(bank.Sessions)) // every session has requests and an order of its own
	rounds := selftest.Rounds(t.full)
	p := selftest.PlanFor(src.Head, subjects, loaded, seed, rounds)
	machine := harness.Machine()
	machine.Toolchains = build.Toolchains(ctx, os.Environ())
	header := selftest.Header{
		Duet: versionText(), Started: time.Now().UTC().Format(time.RFC3339), Machine: machine, Pair: sha, Seed: seed,
		Window: p.Window, Workloads: loaded, Subjects: subjects,
	}
	if len(bank.Sessions) > 0 {
		header.Schema = bank.Sessions[0].Schema
		if err := bank.Sessions[0].Fits(header); err != nil {
			return selftest.Session{}, plan.Usagef("name another folder", "the bank in %s: %w", t.bank, err)
		}
	}
	return selftest.Session{
		Dir: t.bank, Header: header, Plan: p, Layout: selftest.LayOut(subjects, rounds),
		Options: harness.Options{Source: src, Version: versionText(), Attempt: 1, PassEnv: w.lookup},
	}, nil
}

// embedded parses embedded workloads.
func embedded(names []string) ([]workload.Workload, error) {
	var all []workload.Workload
	for _, name := range names {
		text, err := fs.ReadFile(workloads.Files, name+".yaml")
		if err != nil {
			return nil, err
		}
		w, err := workload.Parse(name+".yaml", text)
		if err != nil {
			return nil, err
		}
		all = append(all, w)
	}
	return all, nil
}

// report evaluates the bank and prints what it found.
func (t *selfTrial) report(ctx context.Context, w world) error {
	bank, err := selftest.ReadBank(t.bank)
	if err != nil {
		return err
	}
	show := newProgress(w)
	show.Begin("evaluate")
	findings, err := selftest.Evaluate(ctx, bank, selftest.Options{
		Rounds: selftest.Rounds(true), Seed: t.seed, Resamples: selftest.DefaultResamples, Simulated: selftest.DefaultSimulated,
		Progress: show.Update,
	})
	show.End()
	if err != nil {
		return notMeasured{err.Error()}
	}
	switch {
	case t.asJSON:
		text, err := json.MarshalIndent(findings, "", " ")
		if err != nil {
			return fmt.Errorf("encoding the findings: %w", err)
		}
		_, err = fmt.Fprintln(w.stdout, string(text))
		return err
	case t.asMarkdown:
		_, err = fmt.Fprint(w.stdout, findings.Markdown())
	default:
		_, err = fmt.Fprint(w.stdout, findings.Text())
	}
	return err
}
