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
