package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
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
	duty
	out, config, comment string
	author               string // whose comments are Duet's own
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
	f.StringVar(&p.author, "author", "", "whose comments are Duet's own: the login that the token writes as (default: GitHub is asked)")
	p.duty.flags(c)
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
	step := stepPublish
	if p.running {
		step = stepBegin
	}
	event, idle, err := p.begins(w, step)
	if err != nil {
		return err
	}
	runner := github.NewRunner(w.stderr, w.getenv)
	if idle {
		return runner.Outputs(outputs(report.Report{}, "", ""))
	}
	if p.mode == modeMeasure && p.comment == commentUpdate {
		p.comment = commentSummary // commenting is another job's
	}
	if p.fromRun {
		return p.publishRun(ctx, w, runner, event)
	}
	if p.running {
		return p.begin(ctx, w, runner, event)
	}
	run, err := p.finished(event)
	if err != nil {
		return err
	}
	here, err := p.here(ctx, w, runner, event)
	if err != nil {
		return err
	}
	judged := compare.Run(run)
	r := report.New(run, judged, report.Options{Key: p.key(w), Job: jobOf(w), Accepted: accepted(ctx, w, here.client, here.number, judged)})
	url, err := here.post(ctx, r)
	if err != nil {
		return err
	}
	return p.show(runner, w, r, p.placed(annotationsOf(r), run), url)
}

// begin says in the comment that a run has begun.
func (p *publishing) begin(ctx context.Context, w world, runner github.Runner, event *source.Event) error {
	here, err := p.here(ctx, w, runner, event)
	if err != nil {
		return err
	}
	run := result.Run{Plan: plan.Plan{Head: plan.Commit{SHA: headOf(event)}}}
	_, err = here.post(ctx, report.New(run, compare.Comparisons{}, report.Options{State: report.Running, Key: p.key(w), Job: jobOf(w)}))
	return err
}

// key tells this workflow's and this configuration's comment from others.
func (p *publishing) key(w world) string { return workflowFile(w) + ":" + filepath.ToSlash(p.config) }

// jobOf is the run of the workflow that this is a step of; none where the environment does not say.
func jobOf(w world) report.Job {
	id, _ := strconv.ParseInt(w.getenv("GITHUB_RUN_ID"), 10, 64)
	attempt, _ := strconv.Atoi(w.getenv("GITHUB_RUN_ATTEMPT"))
	if id < 1 || attempt < 1 {
		return report.Job{}
	}
	return jobAt(w, id, attempt)
}

// jobAt is a run with the address of its page.
func jobAt(w world, id int64, attempt int) report.Job {
	return report.Job{ID: id, Attempt: attempt,
		URL: fmt.Sprintf("%s/%s/actions/runs/%d/attempts/%d", w.getenv("GITHUB_SERVER_URL"), w.getenv("GITHUB_REPOSITORY"), id, attempt)}
}

// accepted says who let pass, by the label, what a gate would refuse. It is not asked where none would.
func accepted(ctx context.Context, w world, client *github.Client, number int, judged compare.Comparisons) report.Acceptance {
	if client == nil || number == 0 || !compare.Gate(judged, plan.GateRegression) {
		return report.Acceptance{}
	}
	by, err := client.AcceptedBy(ctx, number)
	if err != nil {
		fmt.Fprintf(w.stderr, "whether the label %s is there could not be read: %v\n", github.AcceptLabel, err)
	}
	if by == "" {
		return report.Acceptance{}
	}
	return report.Acceptance{By: by, Label: github.AcceptLabel}
}

// nothingLeft is told where the measuring step left no run.json.
const nothingLeft = "the measuring step ended before it left a result: its log says why"

// finished is the run that was left. Where none was, or one about another commit, the measuring step ended before it
// could leave its own, and that is what is told.
func (p *publishing) finished(event *source.Event) (result.Run, error) {
	run, err := readRun(filepath.Join(p.out, runFile))
	head := headOf(event)
	if errors.Is(err, fs.ErrNotExist) || err == nil && head != "" && run.Plan.Head.Asked() != head {
		return result.Run{
			Schema: result.Schema, State: result.NotMeasured, Error: nothingLeft,
			Plan: plan.Plan{Head: plan.Commit{SHA: head}, NoBase: "nothing was measured"},
		}, nil
	}
	return run, err
}

// here is the pull request that a job is about; without a client there is none, or no comment is to be made.
type here struct {
	w      world
	runner github.Runner
	client *github.Client
	number int
	author string
	stamp  github.Stamp
}

// here finds the pull request of the event, if the comment is to be updated at all.
func (p *publishing) here(ctx context.Context, w world, runner github.Runner, event *source.Event) (h here, err error) {
	h = here{w: w, runner: runner}
	if p.comment != commentUpdate || event == nil || event.Number == 0 || w.getenv("GITHUB_TOKEN") == "" {
		return h, nil
	}
	if h.stamp, err = stampFrom(w, event.HeadSHA); err != nil {
		return h, err
	}
	client, err := clientOf(w)
	if err != nil {
		return h, err
	}
	if h.author, err = p.own(ctx, w, client); err != nil {
		return h, runner.Annotate([]github.Annotation{{Level: github.Warning, Title: "Duet", Text: "no comment: " + err.Error()}})
	}
	h.client, h.number = client, event.Number
	return h, nil
}

// own is whose comments are Duet's own.
func (p *publishing) own(ctx context.Context, w world, client *github.Client) (login string, err error) {
	graphQL := w.getenv("GITHUB_GRAPHQL_URL")
	switch {
	case p.author != "":
		return p.author, nil
	case graphQL == "":
		return github.Bot, nil
	}
	return client.Login(ctx, graphQL)
}

// post updates the comment. What GitHub refuses is said and is no error.
func (h here) post(ctx context.Context, r report.Report) (url string, err error) {
	if h.client == nil {
		return "", nil
	}
	return upsert(ctx, h.w, h.runner, h.client, h.number, postOf(r, h.author, h.stamp))
}

// postOf is a report as a comment.
func postOf(r report.Report, author string, stamp github.Stamp) github.Post {
	return github.Post{Author: author, Stamp: stamp, Text: report.Markdown(r), Said: resultOf(r)}
}

// resultOf is a finished run's result in Duet's own words; empty where the run was no attempt at one.
func resultOf(r report.Report) string {
	switch r.State {
	case result.NotMeasured:
		return "not measured"
	case result.NothingChanged:
		return "nothing to measure"
	case result.Measured:
		var words []string
		for _, lang := range []plan.Lang{plan.Go, plan.Rust} {
			if verdict := verdictOf(r, lang); verdict != "" {
				words = append(words, map[plan.Lang]string{plan.Go: "Go ", plan.Rust: "Rust "}[lang]+strings.ReplaceAll(verdict, "-", " "))
			}
		}
		return strings.Join(words, ", ")
	}
	return ""
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
func (p *publishing) show(runner github.Runner, w world, r report.Report, annotations []github.Annotation, url string) error {
	var problems []error
	if p.comment != commentOff {
		problems = append(problems, runner.Summary(report.Summary(r)), runner.Annotate(annotations))
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
	worst := ""
	if r.Worst != nil && r.Worst.Ratio != nil {
		worst = fmt.Sprintf("%s %.4g", r.Worst.Metric, *r.Worst.Ratio)
	}
	return []github.Output{
		{Name: "verdict", Value: r.Verdict.String()}, {Name: "go-verdict", Value: verdictOf(r, plan.Go)}, {Name: "rust-verdict", Value: verdictOf(r, plan.Rust)},
		{Name: "worst", Value: worst}, {Name: "report-path", Value: path}, {Name: "comment-url", Value: url},
	}
}

// verdictOf is the worst verdict over a language's services; empty without one.
func verdictOf(r report.Report, lang plan.Lang) string {
	var all []compare.Verdict
	for _, s := range r.Services {
		if s.Lang == lang {
			all = append(all, s.Verdict)
		}
	}
	for _, v := range []compare.Verdict{compare.Regressed, compare.Inconclusive, compare.NotJudged, compare.Improved, compare.Unchanged} {
		if slices.Contains(all, v) {
			return v.String()
		}
	}
	return ""
}
