package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

func TestStatusOf(t *testing.T) {
	check := func(name string, err error, want exitStatus) {
		t.Helper()
		if got := statusOf(err); got != want {
			t.Errorf("%s: got %d, want %d", name, got, want)
		}
	}
	check("fine", nil, exitOK)
	check("the gate", gated{"x"}, exitRegression)
	check("usage, wrapped", fmt.Errorf("building go@head: %w", plan.Usagef("", "x")), exitUsage)
	check("not measured", notMeasured{"x"}, exitNotMeasured)
	check("anything else", errors.New("no space left"), exitNotMeasured)
	check("interrupted", fmt.Errorf("parity: %w", errInterrupted), exitInterrupted)
	check("interrupted, and something was left", errors.Join(errInterrupted, errors.New("x")), exitInterrupted)
	check("cancelled", context.Canceled, exitInterrupted)
}

func TestMeasuredError(t *testing.T) {
	check := func(name string, run result.Run, want string) {
		t.Helper()
		got := ""
		if err := measuredError(run); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	head, base := plan.Variant{Service: "go", Side: plan.Head}, plan.Variant{Service: "go", Side: plan.Base}
	check("base failed", result.Run{State: result.Measured, Failures: []result.Failure{{Variant: base, Step: "starting", Error: "x"}}}, "")
	check("head failed", result.Run{State: result.NotMeasured, Failures: []result.Failure{{Variant: base, Step: "starting", Error: "x"}, {Variant: head, Step: "building", Error: "y"}}},
		"go@head could not be measured: building: y")
	check("a full disk", result.Run{State: result.NotMeasured, Error: "no space left"}, "no space left")
	check("nothing changed", result.Run{State: result.NothingChanged}, "")
}

// What a service or a build says never reaches the log as a command of the CI runner's.
func TestNoCommandReachesTheLog(t *testing.T) {
	for _, hostile := range []string{"::error::x", "a\n::error::x", "a ##[error]x", "\r::set-output name=a::b", "\x1b]0;x\x07::add-mask::e", ":::error::x"} {
		var stderr strings.Builder
		w := world{args: []string{"compare", hostile}, getenv: func(string) string { return "" }, stdout: io.Discard, stderr: &stderr}
		if got := run(w); got != exitUsage {
			t.Errorf("%q: status %d", hostile, got)
		}
		p := newProgress(w)
		p.Begin("parity")
		p.Update("%s", hostile)
		p.Note("%s", hostile)
		p.End()
		for line := range strings.Lines(stderr.String()) {
			if strings.HasPrefix(strings.TrimSpace(line), "::") || strings.Contains(line, "##[") || strings.ContainsAny(line, "\r\x1b") {
				t.Errorf("%q: the log holds %q", hostile, line)
			}
		}
	}
}

// An action's inputs arrive as DUET_… variables; the command line goes before them, and an empty one says nothing.
func TestFlagsFromEnvironment(t *testing.T) {
	asked := func(env map[string]string, args ...string) (exitStatus, string) {
		var stderr strings.Builder
		status := run(world{args: args, getenv: func(name string) string { return env[name] }, stdout: io.Discard, stderr: &stderr})
		return status, stderr.String()
	}
	for name, v := range map[string]struct {
		env  map[string]string
		args []string
		want string // in the error
	}{
		"a variable":            {map[string]string{"DUET_FORMAT": "xml"}, []string{"compare", "../../internal/report/testdata/unchanged.run.json"}, `--format "xml"`},
		"a variable with a -":   {map[string]string{"DUET_FAIL_ON": "always"}, []string{"compare", "../../internal/report/testdata/unchanged.run.json"}, "always"},
		"the flag goes before":  {map[string]string{"DUET_FORMAT": "xml"}, []string{"compare", "../../internal/report/testdata/unchanged.run.json", "--format", "yaml"}, `--format "yaml"`},
		"not what a flag takes": {map[string]string{"DUET_BUDGET": "long"}, []string{"plan"}, `DUET_BUDGET "long"`},
	} {
		if status, stderr := asked(v.env, v.args...); status != exitUsage || !strings.Contains(stderr, v.want) {
			t.Errorf("%s: status %d, %q, want %q", name, status, stderr, v.want)
		}
	}
	if status, stderr := asked(map[string]string{"DUET_FORMAT": "", "DUET_HELP": "true"}, "compare", "../../internal/report/testdata/unchanged.run.json"); status != exitOK {
		t.Errorf("an empty variable: status %d, %q", status, stderr)
	}
}
