package service

import (
	"context"

	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/sandbox"
)

// Profiler is one way to look into a running service, for one process of it. A process with a profiler inside is never
// measured.
type Profiler interface {
	// Tool is what samples: "runtime/pprof", "gperftools", "perf", "endpoint".
	Tool() string
	// Wrap is how the service, whose own environment is env, is started in box.
	Wrap(box *sandbox.Box, env map[string]string) Wrap
	// Attach makes sure that the profiler is inside the service that has just become ready. That it is not is an error that
	// says why and what to do, never a silence.
	Attach(ctx context.Context, s *Service) error
	// Begin opens a window and End closes it.
	Begin(ctx context.Context, s *Service) error
	// End yields what the window saw, each kind once. The service that wrote it runs foreign code: the bytes are bounded and
	// never trusted.
	End(ctx context.Context, s *Service) ([]Collected, error)
}

// Collected is one profile of a window.
type Collected struct {
	Kind  result.ProfileKind
	PProf []byte // pprof's protocol buffer, gzipped or not, with the names of its functions
	Notes []string
}
