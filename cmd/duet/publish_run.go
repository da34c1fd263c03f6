package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/github"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/report"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/source"
)

// untrusted is said of every report that was measured where a stranger's code could reach the figures.
const untrusted = "measured in a pull request's own run: these figures are as honest as the code that ran beside them"

// publishRun publishes what another run measured, in a job of its own that has the token and runs none of its code.
// Nothing that the artifact says decides where or by which margins: the pull request comes from the API by the commit
// that was measured, and the opinions from base.
func (p *publishing) publishRun(ctx context.Context, w world, runner github.Runner, event *source.Event) error {
	if event == nil || event.Name != "workflow_run" || event.Run < 1 {
		return plan.Usagef("in other events `duet publish` takes the run of its own job", "--from-run: expected the event workflow_run")
	}
	client, err := clientOf(w)
	if err != nil {
		return err
	}
	err = p.publishFrom(ctx, w, runner, client, event.Run)
	var nothing *github.NeutralError
	var usage *plan.UsageError
	switch {
	case errors.As(err, &nothing):
		fmt.Fprintf(w.stderr, "nothing to publish: %v\n", err)
		return nil
	case err == nil || errors.As(err, &usage):
		return err
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return runner.Annotate([]github.Annotation{{Level: github.Warning, Title: "Duet", Text: "nothing was published: " + err.Error()}})
}

func (p *publishing) publishFrom(ctx context.Context, w world, runner github.Runner, client *github.Client, id int64) error {
	m, err := client.Run(ctx, id, p.workflow)
	if err != nil {
		return err
	}
	pulls, err := client.Pulls(ctx, m)
	if err != nil {
		return err
	}
	if len(pulls) == 0 {
		fmt.Fprintf(w.stderr, "nothing to publish: no open pull request has %.7s as its head\n", m.Head)
		return nil
	}
	run, err := p.fetched(ctx, w, client, m)
	if err != nil {
		return err
	}
	author, err := p.own(ctx, w, client)
	if err != nil {
		return err
	}
	var problems []error
	for _, pull := range pulls {
		r, err := p.judged(ctx, w, client, run, m, pull)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		url := ""
		if p.comment == commentUpdate {
			post := postOf(r, author, stampOf(m))
			post.Newest = p.newest(w, client, author, pull)
			url, err = upsert(ctx, w, runner, client, pull.Number, post)
		}
		problems = append(problems, err, p.show(runner, w, r, nil, url)) // annotations here would stand on the default branch
	}
	return errors.Join(problems...)
}

func stampOf(m github.Measured) github.Stamp {
	return github.Stamp{Run: m.ID, Attempt: m.Attempt, Head: m.Head}
}

// newest makes the post about a pull request's new head from what that head's run left.
func (p *publishing) newest(w world, client *github.Client, author string, pull github.PullRequest) func(context.Context, string) (github.Post, bool, error) {
	return func(ctx context.Context, head string) (github.Post, bool, error) {
		id, ok, err := client.Ended(ctx, p.workflow, head)
		if err != nil || !ok {
			return github.Post{}, false, err
		}
		m, err := client.Run(ctx, id, p.workflow)
		var nothing *github.NeutralError
		if errors.As(err, &nothing) || err == nil && m.Head != head {
			return github.Post{}, false, nil
		}
		if err != nil {
			return github.Post{}, false, err
		}
		run, err := p.fetched(ctx, w, client, m)
		if err != nil {
			return github.Post{}, false, err
		}
		r, err := p.judged(ctx, w, client, run, m, pull)
		return postOf(r, author, stampOf(m)), err == nil, err
	}
}

// fetched is the run that was measured. Where it left no artifact, how it ended is told; an artifact that cannot be
// taken, or that is about another commit, is told as well and not used.
func (p *publishing) fetched(ctx context.Context, w world, client *github.Client, m github.Measured) (result.Run, error) {
	told := result.Run{
		Schema: result.Schema, State: result.NotMeasured, Attempt: m.Attempt,
		Plan: plan.Plan{Head: plan.Commit{SHA: m.Head}, NoBase: "nothing was measured"},
	}
	text, ok, err := client.Artifact(ctx, m, fmt.Sprintf("%s-%d", p.artifact, m.Attempt))
	switch {
	case errors.Is(err, github.ErrArtifact):
		told.Error = err.Error()
		return told, nil
	case err != nil:
		return result.Run{}, err
	case !ok && m.Conclusion == "cancelled":
		told.State = result.Cancelled
		return told, nil
	case !ok:
		told.Error = fmt.Sprintf("the measuring run ended as %q and left no result: its log says why", m.Conclusion)
		if m.Conclusion == "success" && w.getenv("GITHUB_SERVER_URL") != "https://github.com" {
			told.Error += "; a server without artifacts of version 4 takes the one-job workflow, docs/workflows/same-repository.yml"
		}
		return told, nil
	}
	run, err := result.Decode(text)
	switch {
	case err != nil:
		told.Error = "the artifact's run.json cannot be read: " + err.Error()
		return told, nil
	case run.Plan.Head.Asked() != m.Head:
		told.Error = "the artifact is about another commit than its run: it is not used"
		return told, nil
	}
	run.Warnings = append(run.Warnings, untrusted)
	return run, nil
}

// judged is the report of a run by the opinions of one pull request's base.
func (p *publishing) judged(ctx context.Context, w world, client *github.Client, run result.Run, m github.Measured, pull github.PullRequest) (report.Report, error) {
	run.Warnings, run.Plan.Warnings = slices.Clone(run.Warnings), slices.Clone(run.Plan.Warnings) // each pull request has its own
	var base *plan.Config
	text, ok, err := client.File(ctx, p.config, pull.BaseSHA)
	if err != nil {
		return report.Report{}, err
	}
	if ok {
		parsed, err := plan.ParseConfig(p.config, text)
		if err != nil {
			run.Warnings = append(run.Warnings, fmt.Sprintf("base's configuration cannot be used: %v", err))
		} else {
			base = &parsed
		}
	}
	run.Plan.JudgeBy(base, metricNames())
	judged := compare.Run(run)
	return report.New(run, judged, report.Options{
		Key: p.workflow + ":" + p.config, Job: jobAt(w, m.ID, m.Attempt), Accepted: accepted(ctx, w, client, pull.Number, judged),
	}), nil
}
