package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/github/fake"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// labelled is GitHub with pull request 3 and its labels, by ann and ben in turn; eve's is gone again.
func labelled(t *testing.T, may bool, labels ...string) *fake.Hub {
	t.Helper()
	h := forge(t, publishedHead)
	h.Labelled(3, fake.Label{Name: "bug", Actor: "eve"})
	h.Labelled(3, fake.Label{Name: "bug", Actor: "eve", Removed: true})
	for i, l := range labels {
		h.Labelled(3, fake.Label{Name: l, Actor: []string{"ann", "ben"}[i%2]})
	}
	if !may {
		h.Grant(map[string]string{"contents": "read"})
	}
	return h
}

// gateStep runs `duet gate` in a job about pull request 3, over a run that regressed under base's gate.
func gateStep(t *testing.T, gate plan.Gate, h *fake.Hub, args ...string) (exitStatus, string) {
	t.Helper()
	dir := t.TempDir()
	if gate != "" {
		run, err := result.Decode(recorded(t))
		if err != nil {
			t.Fatal(err)
		}
		run.Plan.Policy.Gate = gate
		text, err := result.Encode(run)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, runFile), text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	event := filepath.Join(dir, "event.json")
	payload := `{"action":"opened","repository":{"full_name":"o/r","default_branch":"main"},"pull_request":{"number":3,"base":{"sha":"` + otherHead +
		`","ref":"main","repo":{"full_name":"o/r"}},"head":{"sha":"` + publishedHead + `","ref":"x","repo":{"full_name":"o/r"}}}}`
	if err := os.WriteFile(event, []byte(payload), 0o644); err != nil {
		t.Fatal(err)
	}
	vars := map[string]string{
		"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "pull_request", "GITHUB_EVENT_PATH": event, "GITHUB_REPOSITORY": "o/r",
		"GITHUB_API_URL": h.URL, "GITHUB_TOKEN": fake.Token, "DUET_OUT": dir, "DUET_MODE": modeAuto,
	}
	var out strings.Builder
	status := run(world{args: append([]string{"gate"}, args...), getenv: func(name string) string { return vars[name] }, stdout: &out, stderr: &out})
	if strings.Contains(out.String(), fake.Token) {
		t.Error("the log holds the token")
	}
	return status, out.String()
}

func TestGate(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		name   string
		gate   plan.Gate
		labels []string
		may    bool // read labels
		args   []string
		want   exitStatus
		says   string
	}{
		{"off", plan.GateNever, nil, true, nil, exitOK, ""},
		{"tightened by the job", plan.GateNever, nil, true, []string{"--fail-on", "regression"}, exitRegression, "refuses"},
		{"loosened by the job", plan.GateRegression, nil, true, []string{"--fail-on", "never"}, exitUsage, "may only be tightened"},
		{"base refuses", plan.GateRegression, []string{"bug"}, true, nil, exitRegression, "refuses"},
		{"accepted", plan.GateRegression, []string{"duet-accept"}, true, nil, exitOK, "ann let it pass with the label duet-accept"},
		{"labelled twice", plan.GateRegression, []string{"duet-accept", "duet-accept"}, true, nil, exitOK, "ben let it pass"},
		{"another label", plan.GateRegression, []string{"duet-accepted"}, true, nil, exitRegression, "refuses"},
		{"labels cannot be read", plan.GateRegression, []string{"duet-accept"}, false, nil, exitRegression, "could not be read"},
		{"nothing was left", "", nil, true, nil, exitNotMeasured, "ended before it left a result"},
		{"another job's", plan.GateRegression, nil, true, []string{"--mode", "publish"}, exitOK, "another job"},
	} {
		if status, log := gateStep(t, v.gate, labelled(t, v.may, v.labels...), v.args...); status != v.want || !strings.Contains(log, v.says) {
			t.Errorf("%s: status %d, want %d\n%s", v.name, status, v.want, log)
		}
	}
}
