//go:build lean

package core

import (
	"context"
	"errors"
)

// A lean build answers what needs no other module: it has neither database, computing nor WebSocket. `duet demo` and the
// self-test build it, so that nobody waits for what their workloads do not ask for.

type shop struct{}

func (*shop) open(context.Context, Settings) (links, error) {
	return nil, errors.New("reading DATABASE_URL: this build has no database: expected none")
}

func (*shop) close() {}
