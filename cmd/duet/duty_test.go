package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/source"
)

// Every event has one outcome a step; an unknown one ends well and says why.
func TestDuty(t *testing.T) {
	t.Parallel()
	event := func(name string) *source.Event { return &source.Event{Name: name, Ref: "refs/heads/main"} }
	pull := func(action string) *source.Event {
		return &source.Event{Name: "pull_request", Action: action, Number: 3}
	}
	draft := pull("opened")
	draft.Draft = true
	const works = ""
	for _, v := range []struct {
		name, mode, drafts string
		event              *source.Event
		measure, publish   string // why it is idle
		wantErr            string
	}{
		{"outside of Actions", modeAuto, draftsMeasure, nil, works, works, ""},
		{"opened", modeAuto, draftsMeasure, pull("opened"), works, works, ""},
		{"synchronize", modeAuto, draftsMeasure, pull("synchronize"), works, works, ""},
		{"reopened", modeAuto, draftsMeasure, pull("reopened"), works, works, ""},
		{"ready_for_review", modeAuto, draftsSkip, pull("ready_for_review"), works, works, ""},
		{"labeled", modeAuto, draftsMeasure, pull("labeled"), works, works, ""},
		{"closed", modeAuto, draftsMeasure, pull("closed"), "closed", "closed", ""},
		{"a draft, measured", modeAuto, draftsMeasure, draft, works, works, ""},
		{"a draft, skipped", modeAuto, draftsSkip, draft, "draft", "draft", ""},
		{"merge_group", modeAuto, draftsMeasure, event("merge_group"), works, works, ""},
		{"push", modeAuto, draftsMeasure, event("push"), works, works, ""},
		{"a tag", modeAuto, draftsMeasure, &source.Event{Name: "push", Ref: "refs/tags/v1"}, "tag", "tag", ""},
		{"a deleted branch", modeAuto, draftsMeasure, &source.Event{Name: "push", Ref: "refs/heads/x", Gone: true}, "deleted", "deleted", ""},
		{"schedule", modeAuto, draftsMeasure, event("schedule"), works, works, ""},
		{"workflow_dispatch", modeAuto, draftsMeasure, event("workflow_dispatch"), works, works, ""},
		{"workflow_run", modeAuto, draftsMeasure, event("workflow_run"), "measures nothing", works, ""},
		{"workflow_run, in its own mode", modePublish, draftsMeasure, event("workflow_run"), "another job", works, ""},
		{"issue_comment", modeAuto, draftsMeasure, event("issue_comment"), "about no code", "about no code", ""},
		{"unheard of", modeAuto, draftsMeasure, event(strings.Repeat("x", 100)), "about no code", "about no code", ""},
		{"measure alone", modeMeasure, draftsMeasure, pull("opened"), works, works, ""},
		{"fetch alone", modeFetch, draftsMeasure, event("push"), "nothing else", "nothing else", ""},
		{"a shard's job", modeShard, draftsMeasure, pull("opened"), works, "another job", ""},
		{"a shard's job, closed", modeShard, draftsMeasure, pull("closed"), "closed", "another job", ""},
		{"the planning job", modePlan, draftsMeasure, pull("opened"), "another job", "another job", ""},
		{"without a mode", "", draftsMeasure, event("issue_comment"), works, works, ""},
		{"pull_request_target", modeAuto, draftsMeasure, event("pull_request_target"), "", "", "stranger's code beside a token"},
		{"a strange mode", "mesure", draftsMeasure, pull("opened"), "", "", "expected one of auto, measure, publish, fetch, plan, shard, merge, nightly, record"},
		{"strange drafts", modeAuto, "yes", pull("opened"), "", "", "expected one of measure, skip"},
	} {
		d := duty{mode: v.mode, drafts: v.drafts}
		for step, want := range map[string]string{stepMeasure: v.measure, stepGate: v.measure, stepPublish: v.publish} {
			if step == stepGate && v.mode == modeShard {
				want = "another job"
			}
			why, err := d.idle(step, v.event)
			switch {
			case v.wantErr != "":
				if statusOf(err) != exitUsage || !strings.Contains(err.Error(), v.wantErr) {
					t.Errorf("%s, %s: got error %v, want %q", v.name, step, err, v.wantErr)
				}
			case err != nil:
				t.Errorf("%s, %s: %v", v.name, step, err)
			case (why == "") != (want == "") || !strings.Contains(why, want):
				t.Errorf("%s, %s: idle for %q, want %q", v.name, step, why, want)
			}
		}
	}
	for _, v := range []struct {
		mode, step, event string
		works             bool
	}{
		{modeNightly, stepNight, "schedule", true}, {modeNightly, stepNight, "workflow_dispatch", true}, {modeNightly, stepNight, "pull_request", false},
		{modeNightly, stepRecord, "schedule", false}, {modeNightly, stepMeasure, "schedule", false}, {modeNightly, stepPublish, "schedule", false},
		{modeNightly, stepGate, "schedule", false}, {modeRecord, stepRecord, "schedule", true}, {modeRecord, stepRecord, "pull_request", false},
		{modeRecord, stepNight, "schedule", false}, {modeAuto, stepNight, "schedule", false}, {modeAuto, stepRecord, "schedule", false}, {"", stepRecord, "schedule", true},
	} {
		d := duty{mode: v.mode, drafts: draftsMeasure}
		if why, err := d.idle(v.step, event(v.event)); err != nil || (why == "") != v.works {
			t.Errorf("mode %s, step %s on %s: idle for %q, %v", v.mode, v.step, v.event, why, err)
		}
	}
	for mode, does := range map[string]string{
		modeAuto: "begin measure publish gate", modeMeasure: "begin measure publish gate", modePublish: "begin publish", modeFetch: "fetch",
		modePlan: "plan begin", modeShard: "measure", modeMerge: "merge publish gate", modeNightly: "nightly", modeRecord: "record",
	} {
		d := duty{mode: mode, drafts: draftsMeasure}
		for _, step := range []string{stepFetch, stepPlan, stepBegin, stepMeasure, stepMerge, stepPublish, stepGate, stepNight, stepRecord} {
			if why, err := d.idle(step, event("push")); err != nil || (why == "") != slices.Contains(strings.Fields(does), step) {
				t.Errorf("mode %s: %s is idle for %q, %v", mode, step, why, err)
			}
		}
	}
}
