package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/duet-bench/duet/internal/dashboard"
	"github.com/duet-bench/duet/internal/github"
	"github.com/duet-bench/duet/internal/history"
	"github.com/duet-bench/duet/internal/nightly"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/triage"
)

// recording is what `duet nightly record` was asked for.
type recording struct {
	duty
	storeFlags
	nights, out, config string
	author              string // whose issues are Duet's own
	dashboard           string // its address, for the report
	artifact            string // that holds the nights of earlier runs
	issue               bool
}

func nightlyRecordCommand(w world) *cobra.Command {
	var r recording
	c := &cobra.Command{
		Use:   "record [NIGHT.json ...]",
		Short: "Add nights to the history, write the report and keep the one issue; run nothing that was built",
		Long: `Add the nights that "duet nightly measure" left to the history, oldest first: each is a file of its own, nothing is ever
rewritten, and a night that is there already is not added again. Then write the report of the whole history to
nightly.md and the dashboard to site in the folder of --out, the report to the job's summary and to the one issue, which
is opened when a regression is confirmed, and closed when none stands.

It takes GITHUB_TOKEN with contents: write, issues: write and, to record nights that earlier runs could not, actions:
read. What GitHub refuses of the issue is said, and the exit
status is 0. It is 2 for a night that cannot be read; 3 where the history cannot be read, which is then left as it is,
and where it cannot be reached: the nights stay in their files, and recording them later, all at once, loses nothing.`,
		Example: "  duet nightly record\n  duet nightly record monday/night.json tuesday/night.json",
		Args:    cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			event, idle, err := r.begins(w, stepRecord)
			if idle || err != nil {
				return err
			}
			if err := onDefaultBranch(w, event); err != nil {
				return err
			}
			return r.run(c.Context(), w, args)
		},
	}
	f := c.Flags()
	f.StringVar(&r.nights, "nights", filepath.Join(defaultOut, nightFolder), "folder of the nights to record, where none is named")
	f.StringVar(&r.out, "out", defaultOut, "folder for nightly.md, and the dashboard in its folder site")
	f.StringVar(&r.config, "config", "duet.yml", "configuration, relative to the repository: nightly.label and nightly.title; each has an issue of its own")
	f.StringVar(&r.author, "author", "", "whose issues are Duet's own: the login that the token writes as (default: GitHub is asked)")
	f.StringVar(&r.dashboard, "dashboard-url", "", "address of the dashboard, which the report links to")
	f.StringVar(&r.artifact, "artifact", "duet-night", "artifact in which earlier runs left nights that could not be recorded, their attempt added as -N; empty: they are not looked for")
	f.BoolVar(&r.issue, "issue", true, "keep the one issue")
	r.storeFlags.flags(f)
	r.duty.flags(c)
	return c
}

func (r *recording) run(ctx context.Context, w world, args []string) (err error) {
	nights, err := nightFiles(args, r.nights)
	if err != nil {
		return err
	}
	out, err := newOutFolder(r.out, w)
	if err != nil {
		return err
	}
	store, done, err := r.openToRecord(ctx, w)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	loaded, added, err := nightly.Record(ctx, store, nights)
	if err != nil {
		return r.unrecorded(ctx, w, err)
	}
	fmt.Fprintf(w.stdout, "%d of %d nights added to the history, which has %d entries now\n", added, len(nights), len(loaded.Entries))
	for _, warning := range loaded.Warnings {
		fmt.Fprintf(w.stderr, "history: %s\n", warning)
	}
	if loaded, err = r.catchUp(ctx, w, store, loaded); err != nil {
		return err
	}
	series := history.Join(loaded.Entries)
	past := dashboard.Input{Entries: loaded.Entries, Series: series, Changes: changesOf(series), Now: time.Now(), Repository: repositoryOf(w)}
	report := r.tell(w, past)
	if err := out.write(nightReport, []byte(report.Markdown)); err != nil {
		return err
	}
	if err := r.site(w, past); err != nil { // the night is recorded, and the issue is to be kept
		fmt.Fprintf(w.stderr, "the dashboard could not be written: %v\n", err)
	}
	return r.show(ctx, w, report)
}

// repositoryOf is where commits are linked to; empty outside of GitHub Actions.
func repositoryOf(w world) string {
	if server, name := w.getenv("GITHUB_SERVER_URL"), w.getenv("GITHUB_REPOSITORY"); server != "" && name != "" {
		return server + "/" + name
	}
	return ""
}

// site writes the dashboard and its badges.
func (r *recording) site(w world, past dashboard.Input) error {
	files, err := dashboard.Files(past)
	if err != nil {
		return err
	}
	badge := dashboard.NewBadge(past)
	picture, err := badge.SVG()
	if err != nil {
		return err
	}
	text, err := badge.JSON()
	if err != nil {
		return err
	}
	files["badge.svg"], files["badge.json"] = picture, text
	return writeSite(filepath.Join(r.out, siteFolder), files, w)
}

// catchUp adds the nights that earlier runs of this workflow left and that are not in the history: it could not be reached
// then. What is wrong with one of them is said, and is no reason for tonight's to fail.
func (r *recording) catchUp(ctx context.Context, w world, store history.Store, loaded history.Loaded) (history.Loaded, error) {
	branch, ok := strings.CutPrefix(w.getenv("GITHUB_REF"), "refs/heads/")
	run, err := strconv.ParseInt(w.getenv("GITHUB_RUN_ID"), 10, 64)
	if !ok || err != nil || w.getenv("GITHUB_ACTIONS") != "true" || w.getenv("GITHUB_TOKEN") == "" || r.artifact == "" {
		return loaded, nil
	}
	client, err := clientOf(w)
	if err != nil {
		return loaded, err
	}
	left, err := client.LeftOver(ctx, github.Earlier{
		Before: run, Workflow: workflowFile(w), Branch: branch, Artifact: r.artifact,
		Known: func(run int64) bool {
			return slices.ContainsFunc(loaded.Entries, func(e history.Entry) bool { return e.Job.ID == run })
		},
	})
	var nights []history.Entry
	for _, l := range left {
		for _, text := range l.Nights {
			night, problem := history.Decode(fmt.Sprintf("run %d", l.Run), text)
			if problem != nil {
				err = errors.Join(err, problem)
				continue
			}
			nights = append(nights, night)
		}
	}
	if len(nights) > 0 {
		more, added, problem := nightly.Record(ctx, store, nights)
		if problem == nil {
			loaded = more
			fmt.Fprintf(w.stdout, "%d nights of earlier runs added as well\n", added)
		}
		err = errors.Join(err, problem)
	}
	if ctx.Err() != nil {
		return loaded, context.Cause(ctx)
	}
	if err != nil {
		fmt.Fprintf(w.stderr, "not all nights of earlier runs could be looked for or added: %v\n", err)
	}
	return loaded, nil
}

// unrecorded says what became of nights that could not be added. They stay in their files, for a later night.
func (r *recording) unrecorded(ctx context.Context, w world, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var missing *nightly.UnrecordedError
	if !errors.As(err, &missing) {
		return unreadable(ctx, err)
	}
	text := fmt.Sprintf("%v\nthe night files are as they were: the next night's job finds them in this run's artifact and records them, too; so does this job, run again, and `duet nightly record FILE…`", missing)
	runner := github.NewRunner(w.stderr, w.getenv)
	if w.getenv("GITHUB_ACTIONS") == "true" {
		problem := errors.Join(
			runner.Summary("**The night was measured and is not in the history yet.** The next night's job records it from this run's artifact, and so does this job, run again: nothing is lost.\n"),
			runner.Annotate([]github.Annotation{{Level: github.Error, Title: "Duet", Text: missing.Error()}}))
		if problem != nil {
			fmt.Fprintf(w.stderr, "%v\n", problem)
		}
	}
	return notMeasured{text}
}

// openToRecord opens the store. In a job of GitHub Actions, which checks nothing out, a branch is the repository's own; elsewhere
// it is that of a clone's origin, or of the clone itself where it has none.
func (r *recording) openToRecord(ctx context.Context, w world) (store history.Store, done func() error, err error) {
	name, isBranch, err := r.named()
	if err != nil {
		return nil, nil, err
	}
	if !isBranch {
		return history.OpenFolder(name), func() error { return nil }, nil
	}
	o := history.BranchOptions{Name: name, Remote: w.getenv("GITHUB_SERVER_URL") + "/" + w.getenv("GITHUB_REPOSITORY"), Token: w.getenv("GITHUB_TOKEN")}
	if w.getenv("GITHUB_ACTIONS") != "true" {
		if o.Remote, err = history.Origin(ctx, r.repo); err != nil {
			o.Remote, err = filepath.Abs(r.repo)
		}
		o.Token = tokenFor(o.Remote, w.getenv)
	}
	if err != nil {
		return nil, nil, err
	}
	branch, err := history.OpenBranch(o)
	if err != nil {
		return nil, nil, err
	}
	return branch, branch.Close, nil
}

// tell makes the report of the history.
func (r *recording) tell(w world, past dashboard.Input) nightly.Report {
	links := triage.Links{Dashboard: r.dashboard, Run: jobOf(w).URL, Repository: past.Repository}
	return nightly.Tell(triage.Input{Entries: past.Entries, Series: past.Series, Changes: past.Changes, Now: past.Now, Links: links})
}

// show puts the report where people look. What GitHub refuses is said and is no error: the night is recorded.
func (r *recording) show(ctx context.Context, w world, report nightly.Report) error {
	if w.getenv("GITHUB_ACTIONS") != "true" {
		_, err := fmt.Fprint(w.stdout, report.Markdown)
		return err
	}
	runner := github.NewRunner(w.stderr, w.getenv)
	if err := runner.Summary(report.Markdown); err != nil {
		fmt.Fprintf(w.stderr, "not all of the report could be shown: %v\n", err)
	}
	if !r.issue || w.getenv("GITHUB_TOKEN") == "" {
		return nil
	}
	url, err := r.keep(ctx, w, report)
	var usage *plan.UsageError
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &usage):
		return err
	case err != nil:
		return runner.Annotate([]github.Annotation{{Level: github.Warning, Title: "Duet", Text: "the issue was not updated, and the night is recorded: " + err.Error()}})
	}
	return runner.Outputs([]github.Output{{Name: "issue-url", Value: url}})
}

// keep updates the one issue; url is its address, empty without one.
func (r *recording) keep(ctx context.Context, w world, report nightly.Report) (url string, err error) {
	head := report.Triage.Night.Commit.SHA
	stamp, err := stampFrom(w, head)
	if err != nil {
		return "", err
	}
	client, err := clientOf(w)
	if err != nil {
		return "", err
	}
	author := publishing{author: r.author}
	if r.author, err = author.own(ctx, w, client); err != nil {
		return "", err
	}
	settings := r.settings(ctx, w, client)
	kept, err := github.KeepIssue(ctx, client.Issues(), github.Standing{
		Author: r.author, Stamp: stamp, Marker: github.IssueMarker(workflowFile(w) + ":" + filepath.ToSlash(r.config)),
		Text: report.Markdown, Title: settings.Title, Label: settings.Label, Open: report.Open,
	})
	if err != nil || kept.Issue == 0 {
		return "", err
	}
	if kept.Newer {
		fmt.Fprintln(w.stderr, "the issue was left alone: a newer run has spoken")
	}
	return fmt.Sprintf("%s/%s/issues/%d", w.getenv("GITHUB_SERVER_URL"), w.getenv("GITHUB_REPOSITORY"), kept.Issue), nil
}

// settings is `nightly` of the default branch's duet.yml, through the API: this job checks nothing out. Where it cannot be
// read the defaults count, and that is said.
func (r *recording) settings(ctx context.Context, w world, client *github.Client) plan.Nightly {
	text, ok, err := client.File(ctx, filepath.ToSlash(r.config), w.getenv("GITHUB_SHA"))
	var config plan.Config
	if err == nil && ok {
		config, err = plan.ParseConfig(r.config, text)
	}
	if err != nil || !ok {
		fmt.Fprintf(w.stderr, "%s could not be read, the issue has the default title and label: %v\n", r.config, errors.Join(err, map[bool]error{true: os.ErrNotExist}[!ok]))
		config, _ = plan.ParseConfig(r.config, []byte("services: [{lang: go}]"))
	}
	return config.Nightly
}
