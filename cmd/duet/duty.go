package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/source"
)

// The values of --mode: which steps of a job of GitHub Actions do something.
const (
	modeAuto    = "auto"    // measure and publish; on workflow_run publish what the other run measured
	modeMeasure = "measure" // measure and gate, in a job whose token may not write: the report is in its summary
	modePublish = "publish" // publish alone
	modeFetch   = "fetch"   // fill the folder that caches keep, in the default branch's job
	modePlan    = "plan"    // say in the comment that a run has begun, and share its workloads among jobs
	modeShard   = "shard"   // measure one job's share
	modeMerge   = "merge"   // merge the shares of all jobs, publish and gate
	modeNightly = "nightly" // measure a night, without a token
	modeRecord  = "record"  // record a night; nothing that was built is run
)

// The steps that modes are made of.
const (
	stepFetch   = "fetch"
	stepPlan    = "plan"
	stepBegin   = "begin" // say that a run has begun
	stepMeasure = "measure"
	stepMerge   = "merge"
	stepPublish = "publish"
	stepGate    = "gate"
	stepNight   = "nightly"
	stepRecord  = "record"
)

// modes are the values of --mode; stepsOf what each of them does.
func modes() []string {
	return []string{modeAuto, modeMeasure, modePublish, modeFetch, modePlan, modeShard, modeMerge, modeNightly, modeRecord}
}

func stepsOf(mode string) []string {
	return map[string][]string{
		modeAuto:    {stepBegin, stepMeasure, stepPublish, stepGate},
		modeMeasure: {stepBegin, stepMeasure, stepPublish, stepGate},
		modePublish: {stepBegin, stepPublish},
		modeFetch:   {stepFetch},
		modePlan:    {stepPlan, stepBegin},
		modeShard:   {stepMeasure},
		modeMerge:   {stepMerge, stepPublish, stepGate},
		modeNightly: {stepNight},
		modeRecord:  {stepRecord},
	}[mode]
}

// The values of --drafts.
const (
	draftsMeasure = "measure"
	draftsSkip    = "skip"
)

// duty is which part of a job a step was given, and whether the event leaves it anything to do. Without a mode a
// command does as it was told, whatever the event.
type duty struct{ mode, drafts string }

func (d *duty) flags(c *cobra.Command) {
	c.Flags().StringVar(&d.mode, "mode", "", "as a step of a job: "+strings.Join(modes(), ", ")+"; an event that asks for nothing then ends well, and says why")
	c.Flags().StringVar(&d.drafts, "drafts", draftsMeasure, "with --mode: measure or skip pull requests that are drafts")
}

// begins reads the event and says whether a step has nothing to do, which it tells.
func (d *duty) begins(w world, step string) (event *source.Event, idle bool, err error) {
	if event, err = eventOf(w); err != nil {
		return nil, false, err
	}
	why, err := d.idle(step, event)
	if err == nil && why != "" {
		fmt.Fprintf(w.stderr, "nothing to do: %s\n", why)
	}
	return event, why != "", err
}

// idle says why a step has nothing to do; empty where it has.
func (d *duty) idle(step string, e *source.Event) (why string, err error) {
	if d.mode == "" {
		return "", nil
	}
	if !slices.Contains(modes(), d.mode) {
		return "", plan.Usagef("", "--mode %q: expected one of %s", d.mode, strings.Join(modes(), ", "))
	}
	switch d.drafts {
	case draftsMeasure, draftsSkip:
	default:
		return "", plan.Usagef("", "--drafts %q: expected one of %s, %s", d.drafts, draftsMeasure, draftsSkip)
	}
	if !slices.Contains(stepsOf(d.mode), step) {
		switch {
		case step == stepFetch || d.mode == modeFetch:
			return "in mode fetch downloads are kept, and nothing else is done", nil
		case step == stepPlan || step == stepMerge:
			return fmt.Sprintf("in mode %s there are no shards", d.mode), nil
		case step == stepNight || step == stepRecord:
			return "nights have modes of their own, nightly and record", nil
		}
		return fmt.Sprintf("in mode %s another job does this", d.mode), nil
	}
	if night := d.mode == modeNightly || d.mode == modeRecord; night && e != nil && !slices.Contains(nightEvents(), e.Name) {
		return fmt.Sprintf("a night is the default branch's, on a schedule or by hand, and the event is %.40q", e.Name), nil
	}
	if step == stepFetch || e == nil {
		return "", nil
	}
	if e.Name == "workflow_run" {
		if step == stepPublish || step == stepBegin {
			return "", nil
		}
		return "workflow_run publishes what the other run measured, and measures nothing: its job has a token", nil
	}
	return d.asksForNothing(e)
}

// nightEvents are those on which a night is measured and recorded.
func nightEvents() []string {
	return []string{"schedule", "workflow_dispatch", "repository_dispatch", "push"}
}

// asksForNothing says why nothing is measured for an event.
//
//	pull_request          measured, whatever the action, but for closed; drafts by option
//	merge_group           measured, against the group's base
//	push                  of a branch: measured; of a tag, or of a branch that was deleted: not
//	schedule, *_dispatch  measured
//	pull_request_target   refused: it would run a stranger's code beside a token
//	all others            not measured
//
// An action that changes no code, such as labeled, is measured again: ending well without measuring would replace a
// check that had failed.
func (d *duty) asksForNothing(e *source.Event) (why string, err error) {
	switch e.Name {
	case "pull_request":
		if e.Action == "closed" {
			return "the pull request was closed", nil
		}
		if e.Draft && d.drafts == draftsSkip {
			return "the pull request is a draft", nil
		}
		return "", nil
	case "push":
		if e.Gone {
			return "the branch was deleted", nil
		}
		if e.Ref != "" && !strings.HasPrefix(e.Ref, "refs/heads/") {
			return "a tag adds no code: its commit is measured on its branch", nil
		}
		return "", nil
	case "merge_group", "schedule", "workflow_dispatch", "repository_dispatch":
		return "", nil
	case "pull_request_target":
		return "", plan.Usagef("use the events pull_request and, for forks, workflow_run (docs/workflows)",
			"the event pull_request_target would run a stranger's code beside a token that may write")
	}
	return fmt.Sprintf("the event %.40q is about no code to measure", e.Name), nil
}
