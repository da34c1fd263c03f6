package main

import (
	"context"
	"errors"
	"fmt"
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
