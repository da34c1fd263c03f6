package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// labelled serves a pull request's labels and who put them there.
func labelled(t *testing.T, status int, labels ...string) string {
	t.Helper()
	mux := http.NewServeMux()
	say := func(w http.ResponseWriter, v any) {
		w.WriteHeader(status)
		if err := json.NewEncoder(w).Encode(v); err != nil {
			t.Error(err)
		}
	}
	all, events := []any{}, []any{map[string]any{"event": "labeled", "label": map[string]any{"name": "bug"}, "actor": map[string]any{"login": "eve"}}}
	for i, l := range labels {
		all = append(all, map[string]any{"name": l})
		events = append(events, map[string]any{"event": "labeled", "label": map[string]any{"name": l}, "actor": map[string]any{"login": []string{"ann", "ben"}[i%2]}})
	}
	mux.HandleFunc("GET /repos/o/r/issues/3/labels", func(w http.ResponseWriter, _ *http.Request) { say(w, all) })
	mux.HandleFunc("GET /repos/o/r/issues/3/events", func(w http.ResponseWriter, _ *http.Request) { say(w, events) })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

// gateStep runs `duet gate` in a job about pull request 3, over a run that regressed under base's gate.
func gateStep(t *testing.T, gate plan.Gate, api string, args ...string) (exitStatus, string) {
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
		"GITHUB_API_URL": api, "GITHUB_TOKEN": "secret-token", "DUET_OUT": dir, "DUET_MODE": modeAuto,
	}
	var out strings.Builder
	status := run(world{args: append([]string{"gate"}, args...), getenv: func(name string) string { return vars[name] }, stdout: &out, stderr: &out})
	if strings.Contains(out.String(), "secret-token") {
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
		status int
		args   []string
		want   exitStatus
		says   string
	}{
		{"off", plan.GateNever, nil, 200, nil, exitOK, ""},
		{"tightened by the job", plan.GateNever, nil, 200, []string{"--fail-on", "regression"}, exitRegression, "refuses"},
		{"loosened by the job", plan.GateRegression, nil, 200, []string{"--fail-on", "never"}, exitUsage, "may only be tightened"},
		{"base refuses", plan.GateRegression, []string{"bug"}, 200, nil, exitRegression, "refuses"},
		{"accepted", plan.GateRegression, []string{"duet-accept"}, 200, nil, exitOK, "ann let it pass with the label duet-accept"},
		{"labelled twice", plan.GateRegression, []string{"duet-accept", "duet-accept"}, 200, nil, exitOK, "ben let it pass"},
		{"another label", plan.GateRegression, []string{"duet-accepted"}, 200, nil, exitRegression, "refuses"},
		{"labels cannot be read", plan.GateRegression, []string{"duet-accept"}, 403, nil, exitRegression, "could not be read"},
		{"nothing was left", "", nil, 200, nil, exitNotMeasured, "ended before it left a result"},
		{"another job's", plan.GateRegression, nil, 200, []string{"--mode", "publish"}, exitOK, "another job"},
	} {
		if status, log := gateStep(t, v.gate, labelled(t, v.status, v.labels...), v.args...); status != v.want || !strings.Contains(log, v.says) {
			t.Errorf("%s: status %d, want %d\n%s", v.name, status, v.want, log)
		}
	}
}
