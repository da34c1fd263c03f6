package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/github"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/report"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/source"
)

// Where a report goes beside the files: the values of --comment.
const (
	commentUpdate  = "update"       // the pull request's comment, and all of the others
	commentSummary = "summary-only" // the job summary, annotations and outputs
	commentOff     = "off"          // outputs alone
)

// publishing is what `duet publish` was asked for.
type publishing struct {
	out, config, comment string
	running              bool
	fromRun              bool
	workflow, artifact   string // of the run that measured, with fromRun
}

func publishCommand(w world) *cobra.Command {
	var p publishing
	c := &cobra.Command{
		Use:   "publish",
		Short: "Put the report where a pull request's readers look: its one comment, the job summary, annotations, outputs",
		Long: `In a job of GitHub Actions, put the report of a finished run where its readers look: Duet's one comment of the
pull request, the job summary, annotations and the step's outputs. The comment takes GITHUB_TOKEN with
pull-requests: write; nothing else here does.

Publishing never decides a job. What GitHub refuses is said in the log, the summary has the report all the same, and
the exit status is 0; 2 where the command line or the environment cannot be meant.`,
		Example: "  duet publish --running\n  duet publish --out .duet",
		RunE:    func(c *cobra.Command, _ []string) error { return p.run(c.Context(), w) },
	}
	f := c.Flags()
	f.StringVar(&p.out, "out", defaultOut, "folder with run.json")
	f.StringVar(&p.config, "config", "duet.yml", "the configuration that was measured with: each has a comment of its own")
	f.StringVar(&p.comment, "comment", commentUpdate, "update, summary-only or off")
	f.BoolVar(&p.fromRun, "from-run", false, "on workflow_run: publish what the run that ended measured, from its artifact")
	f.StringVar(&p.workflow, "workflow", ".github/workflows/duet.yml", "with --from-run: the file of the workflow that measures")
	f.StringVar(&p.artifact, "artifact", "duet-run", "with --from-run: the artifact that holds run.json alone; the run's attempt is added as -N")
	f.BoolVar(&p.running, "running", false, "say in the comment that a run has begun, and nothing else")
	return c
}

// check refuses what cannot be meant.
func (p *publishing) check(w world) error {
	switch p.comment {
	case commentUpdate, commentSummary, commentOff:
	default:
		return plan.Usagef("", "--comment %q: expected one of %s, %s, %s", p.comment, commentUpdate, commentSummary, commentOff)
	}
	if w.getenv("GITHUB_ACTIONS") != "true" {
		return plan.Usagef("elsewhere `duet compare` prints the report", "GITHUB_ACTIONS is not set: publishing takes a job of GitHub Actions")
	}
	return nil
}

func (p *publishing) run(ctx context.Context, w world) error {
	if err := p.check(w); err != nil {
		return err
	}
	event, err := eventOf(w)
	if err != nil {
		return err
	}
	runner := github.NewRunner(w.stderr, w.getenv)
	if p.fromRun {
		return p.publishRun(ctx, w, runner, event)
	}
	key := workflowFile(w) + ":" + filepath.ToSlash(p.config)
	if p.running {
		r := report.New(result.Run{Plan: plan.Plan{Head: plan.Commit{SHA: headOf(event)}}}, compare.Comparisons{}, report.Options{State: report.Running, Key: key})
		_, err = p.post(ctx, w, runner, event, r)
		return err
	}
	run, err := p.finished(event)
	if err != nil {
		return err
	}
	r := report.New(run, compare.Run(run), report.Options{Key: key})
	url, err := p.post(ctx, w, runner, event, r)
	if err != nil {
		return err
	}
	return p.show(runner, w, r, url)
}

// finished is the run that was left. Where none was, the measuring step ended before it could leave one, and that is what
// is told.
func (p *publishing) finished(event *source.Event) (result.Run, error) {
	run, err := readRun(filepath.Join(p.out, runFile))
	if errors.Is(err, fs.ErrNotExist) {
		return result.Run{
			Schema: result.Schema, State: result.NotMeasured, Error: "the measuring step ended before it left a result: its log says why",
			Plan: plan.Plan{Head: plan.Commit{SHA: headOf(event)}, NoBase: "nothing was measured"},
		}, nil
	}
	return run, err
}

// post updates the comment. What GitHub refuses is said and is no error.
func (p *publishing) post(ctx context.Context, w world, runner github.Runner, event *source.Event, r report.Report) (url string, err error) {
	if p.comment != commentUpdate || event == nil || event.Number == 0 || w.getenv("GITHUB_TOKEN") == "" {
		return "", nil
	}
	stamp, err := stampFrom(w, r.Head.SHA)
	if err != nil {
		return "", err
	}
	client, err := clientOf(w)
	if err != nil {
		return "", err
	}
	return upsert(ctx, w, runner, client, event.Number, github.Post{Author: github.Bot, Stamp: stamp, Text: report.Markdown(r)})
}

func clientOf(w world) (*github.Client, error) {
	return github.New(github.Options{APIURL: w.getenv("GITHUB_API_URL"), Token: w.getenv("GITHUB_TOKEN"), Repository: w.getenv("GITHUB_REPOSITORY")})
}

// upsert updates a pull request's comment and says what became of it; url is the comment's where it says the text.
func upsert(ctx context.Context, w world, runner github.Runner, client *github.Client, number int, post github.Post) (url string, err error) {
	done, err := github.Upsert(ctx, client.Pull(number), post)
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case errors.Is(err, github.ErrReadOnly):
		return "", runner.Annotate([]github.Annotation{{Level: github.Notice, Title: "Duet", Text: "no comment: " + err.Error() + ". The report is in the job summary."}})
	case err != nil:
		return "", runner.Annotate([]github.Annotation{{Level: github.Warning, Title: "Duet", Text: "the comment was not updated: " + err.Error()}})
	case done.Fate == github.Superseded:
		fmt.Fprintf(w.stderr, "the comment was left alone: the pull request has a newer head or a newer run\n")
		return "", nil
	}
	return fmt.Sprintf("%s/%s/pull/%d#issuecomment-%d", w.getenv("GITHUB_SERVER_URL"), w.getenv("GITHUB_REPOSITORY"), number, done.Comment), nil
}

// show writes the summary, the annotations and the outputs.
func (p *publishing) show(runner github.Runner, w world, r report.Report, url string) error {
	var problems []error
	if p.comment != commentOff {
		problems = append(problems, runner.Summary(report.Markdown(r)), runner.Annotate(annotations(r, p.config)))
	}
	problems = append(problems, runner.Outputs(outputs(r, filepath.Join(p.out, reportFile), url)))
	if err := errors.Join(problems...); err != nil {
		fmt.Fprintf(w.stderr, "not all of the report could be shown: %v\n", err)
	}
	return nil
}

// headOf is the commit that an event is about, empty where it does not say.
func headOf(e *source.Event) string {
	if e == nil {
		return ""
	}
	return e.HeadSHA
}

// workflowFile is the path of the workflow's file: GITHUB_WORKFLOW_REF is OWNER/NAME/PATH@REF.
func workflowFile(w world) string {
	file, _, _ := strings.Cut(w.getenv("GITHUB_WORKFLOW_REF"), "@")
	return strings.TrimPrefix(file, w.getenv("GITHUB_REPOSITORY")+"/")
}

// stampFrom says whose text a comment of this job is.
func stampFrom(w world, head string) (github.Stamp, error) {
	run, err := strconv.ParseInt(w.getenv("GITHUB_RUN_ID"), 10, 64)
	if err != nil || run < 1 {
		return github.Stamp{}, plan.Usagef("GitHub Actions sets it", "GITHUB_RUN_ID %q: expected a whole number from 1", w.getenv("GITHUB_RUN_ID"))
	}
	attempt, err := strconv.Atoi(w.getenv("GITHUB_RUN_ATTEMPT"))
	if err != nil || attempt < 1 {
		return github.Stamp{}, plan.Usagef("GitHub Actions sets it", "GITHUB_RUN_ATTEMPT %q: expected a whole number from 1", w.getenv("GITHUB_RUN_ATTEMPT"))
	}
	return github.Stamp{Run: run, Attempt: attempt, Head: head}, nil
}

// outputs are words, numbers and paths of Duet's own: what a pull request names stands in none of them.
func outputs(r report.Report, path, url string) []github.Output {
	verdict := func(lang plan.Lang) string {
		said := ""
		for _, s := range r.Services {
			if s.Lang == lang && (said == "" || s.Verdict == compare.Regressed) {
				said = s.Verdict.String()
			}
		}
		return said
	}
	worst := ""
	if r.Worst != nil && r.Worst.Ratio != nil {
		worst = fmt.Sprintf("%s %.4g", r.Worst.Metric, *r.Worst.Ratio)
	}
	return []github.Output{
		{Name: "verdict", Value: r.Verdict.String()}, {Name: "go-verdict", Value: verdict(plan.Go)}, {Name: "rust-verdict", Value: verdict(plan.Rust)},
		{Name: "worst", Value: worst}, {Name: "report-path", Value: path}, {Name: "comment-url", Value: url},
	}
}

// annotations name every regressed row, the worst first.
func annotations(r report.Report, config string) []github.Annotation {
	var all []github.Annotation
	add := func(row report.Row) {
		if row.Ratio == nil {
			return
		}
		where := row.Service
		if row.Workload != "" {
			where += " · " + row.Workload
		}
		all = append(all, github.Annotation{
			Level: github.Warning, Title: "Duet", File: filepath.ToSlash(config),
			Text: fmt.Sprintf("%s · %s regressed: head ÷ base %.4g", where, row.Metric, *row.Ratio),
		})
	}
	if r.Worst != nil {
		add(*r.Worst)
	}
	for _, row := range r.Rows {
		worst := r.Worst != nil && row.Service == r.Worst.Service && row.Workload == r.Worst.Workload && row.Metric == r.Worst.Metric
		if row.Verdict == compare.Regressed && !worst {
			add(row)
		}
	}
	return all
}
