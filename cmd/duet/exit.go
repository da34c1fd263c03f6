package main

import (
	"context"
	"errors"

	"github.com/duet-bench/duet/internal/plan"
)

// exitStatus is what the process ends with; docs/configuration.md lists them for users.
type exitStatus int

// The exit statuses.
const (
	exitOK          exitStatus = 0
	exitRegression  exitStatus = 1   // a confirmed regression, or answers that stopped agreeing, under the gate
	exitUsage       exitStatus = 2   // a wrong command line or configuration
	exitNotMeasured exitStatus = 3   // head does not build, start or survive, or this machine cannot measure
	exitInterrupted exitStatus = 130 // Ctrl-C
)

// errInterrupted is the cause of a context that a signal cancelled.
var errInterrupted = errors.New("interrupted")

// gated is the error of a run whose verdict the gate refuses.
type gated struct{ reason string }

func (g gated) Error() string { return g.reason }

// notMeasured is the error of a run that ended without measuring head.
type notMeasured struct{ reason string }

func (n notMeasured) Error() string { return n.reason }

// statusOf maps an error to the exit status. What nobody classified could not be measured.
func statusOf(err error) exitStatus {
	var usage *plan.UsageError
	var gate gated
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errInterrupted), errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &gate):
		return exitRegression
	case errors.As(err, &usage):
		return exitUsage
	default:
		return exitNotMeasured
	}
}
