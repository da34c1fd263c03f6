package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/workload"
)

// sharedPlan is a plan of three workloads.
func sharedPlan() plan.Plan {
	p := plan.Plan{
		Schema: plan.Schema, Head: plan.Commit{SHA: "1111111"}, Base: &plan.Commit{SHA: "2222222"}, Changed: []string{"main.go"},
		Services: map[plan.Variant]plan.Service{}, Order: []string{"go"}, Pairs: []plan.Pair{}, Margins: map[string]float64{}, Ignore: []string{},
		Rounds: plan.Rounds{Looks: []int{7}, Confirm: 7}, Window: plan.Window{Trial: 2, Open: 1, Closed: 1, Slice: 2}, Policy: plan.Policy{Gate: plan.GateRegression},
	}
	for _, side := range []plan.Side{plan.Base, plan.Head} {
		p.Services[plan.Variant{Service: "go", Side: side}] = plan.Service{Name: "go", Lang: plan.Go}
	}
	for _, name := range []string{"a", "b", "c"} {
		p.Workloads = append(p.Workloads, workload.Workload{Name: name, Requests: []workload.Request{}})
	}
	return p
}

// leaveShards writes what three machines leave: rounds in which nothing changed, or head's binary grew.
func leaveShards(t *testing.T, grown bool) (paths []string) {
	t.Helper()
	shards, err := sharedPlan().Split(3)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for i, s := range shards {
		r := result.Run{Schema: result.Schema, Duet: "v1", State: result.Measured, Plan: s, Machine: result.Machine{OS: "linux", CPU: fmt.Sprintf("CPU %d", i+1)}}
		for _, side := range []plan.Side{plan.Base, plan.Head} {
			v := plan.Variant{Service: "go", Side: side}
			b := result.Build{Variant: v, BinaryBytes: 1000}
			if grown && side == plan.Head {
				b.BinaryBytes = 2000
			}
			r.Builds = append(r.Builds, b)
			for round := range 7 {
				stage := result.Stage{Requests: 1000, Seconds: 1, CPUSeconds: 0.1}
				r.Trials = append(r.Trials, result.Trial{Variant: v, Workload: s.Workloads[0].Name, Phase: plan.Screen, Round: round + 1, ColdStart: 0.1,
					Open: stage, Closed: stage, Memory: result.Memory{PeakRSS: 1e6, PeakPSS: 1e6, PeakPSSAnon: 1e6}})
			}
		}
		text, err := result.Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, fmt.Sprint(i+1), runFile)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

// saidBy runs a command and returns its status and all that it said.
func saidBy(args ...string) (exitStatus, string) {
	var out strings.Builder
	status := run(world{args: args, getenv: func(string) string { return "" }, stdout: &out, stderr: &out})
	return status, out.String()
}

// What machines measured of one plan becomes one run, which compare and gate read like any other; missing data is never green.
func TestMergeCommand(t *testing.T) {
	paths := leaveShards(t, false)
	out := t.TempDir()
	whole := filepath.Join(out, runFile)
	check := func(what string, want exitStatus, words []string, args ...string) {
		t.Helper()
		status, text := saidBy(args...)
		if status != want {
			t.Errorf("%s: status %d, want %d: %s", what, status, want, text)
		}
		for _, word := range words {
			if !strings.Contains(text, word) {
				t.Errorf("%s: it does not say %q: %s", what, word, text)
			}
		}
	}
	from := filepath.Dir(filepath.Dir(paths[0]))
	check("a folder", exitOK, []string{"shard 1/3 (a): measured", "shard 3/3 (c): measured", "measured: "}, "merge", "--from", from, "--out", out)
	check("all there", exitOK, []string{"Go unchanged"}, "compare", whole)
	check("the gate", exitOK, nil, "gate", "--out", out)
	bytes := func() string {
		text, err := os.ReadFile(whole)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	first := bytes()
	check("by name, in another order, one twice", exitOK, nil, "merge", paths[2], paths[0], paths[1], paths[2], "--out", out)
	if bytes() != first {
		t.Error("another order of files gave other bytes")
	}

	check("one missing", exitOK, []string{"shard 3 of 3 is missing"}, "merge", paths[0], paths[1], "--out", out)
	check("one missing, compared", exitNotMeasured, []string{"Shard 3/3 is missing", "Go inconclusive"}, "compare", whole)
	check("one missing, gated", exitNotMeasured, []string{"shard 3 of 3 is missing"}, "gate", "--out", out)
	check("one missing, a tighter gate", exitRegression, nil, "gate", "--out", out, "--fail-on", "inconclusive")

	check("the plan that was asked for", exitOK, nil, "merge", paths[0], "--out", out, "--plan", sharedPlan().Digest())
	check("another plan", exitUsage, []string{"--plan is 0000"}, "merge", paths[0], "--out", out, "--plan", strings.Repeat("0", 64))
	if _, err := os.Stat(whole); err == nil {
		t.Error("files that do not belong together left a run.json, or an older one stands")
	}
	check("nothing named", exitUsage, []string{"--from"}, "merge", "--out", out)
	check("no folder", exitNotMeasured, []string{"no shard left a run.json"}, "merge", "--from", filepath.Join(from, "none"), "--out", out)
	check("no such file", exitUsage, []string{"none.json"}, "merge", filepath.Join(from, "none.json"), "--out", out)
	check("no run", exitUsage, []string{"merge_test.go"}, "merge", "merge_test.go", paths[0], "--out", out)

	grown := leaveShards(t, true)
	check("of two runs", exitOK, nil, "merge", grown[0], paths[1], "--out", out) // one plan: which of a shard's files counts is the caller's to say
	check("one shard twice, and different", exitUsage, []string{grown[0], paths[0], "both shard 1/3"}, "merge", grown[0], paths[0], "--out", out)
	check("a regression", exitOK, nil, "merge", grown[0], grown[1], "--out", out)
	check("a regression goes before what is missing", exitRegression, []string{"regressed"}, "gate", "--out", out)
}

// The matrix has every workload once, and all that a job must be told.
func TestMatrix(t *testing.T) {
	shards, err := sharedPlan().Split(2)
	if err != nil {
		t.Fatal(err)
	}
	output := filepath.Join(t.TempDir(), "output")
	if err := os.WriteFile(output, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	var stdout strings.Builder
	w := world{getenv: func(name string) string { return map[string]string{"GITHUB_OUTPUT": output}[name] }, stdout: &stdout, stderr: &stdout}
	if err := printMatrix(w, shards); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`{"include":[{"shard":"1/2","index":"1","workloads":"a,c","seed":"0","plan":"%[1]s"},{"shard":"2/2","index":"2","workloads":"b","seed":"0","plan":"%[1]s"}]}`, sharedPlan().Digest())
	if got := strings.TrimSpace(stdout.String()); got != want || !json.Valid([]byte(got)) {
		t.Errorf("got %s, want %s", got, want)
	}
	text, err := os.ReadFile(output)
	if err != nil || !strings.Contains(string(text), want) || !strings.Contains(string(text), "plan<<") {
		t.Errorf("outputs %q, %v", text, err)
	}
}

func TestOneShard(t *testing.T) {
	p := sharedPlan()
	for _, c := range []struct{ shard, plan, want string }{
		{"", "", ""}, {"1/3", "", ""}, {"3/3", p.Digest(), ""}, {"1/1", p.Digest()[:16], ""}, {"", "0000", "this machine's plan is"},
		{"0/3", "", "INDEX/COUNT"}, {"4/3", "", "INDEX/COUNT"}, {"x/3", "", "INDEX/COUNT"}, {"1", "", "INDEX/COUNT"}, {"1/4", "", "expected 1 to 3"}, {"1/0", "", "INDEX/COUNT"},
	} {
		s := oneShard{shard: c.shard, plan: c.plan}
		got, err := s.of(p)
		if c.want != "" {
			if statusOf(err) != exitUsage || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%+v: got %v, want %q", c, err, c.want)
			}
			continue
		}
		if err != nil || (got.Shard == nil) != (c.shard == "") || got.Shard != nil && got.Shard.Name() != c.shard {
			t.Errorf("%+v: got shard %v, %v", c, got.Shard, err)
		}
	}
}
