package harness

import (
	"context"
	"fmt"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/service"
)

func (s *session) profilerFor(v plan.Variant, p pass) (profiler service.Profiler, binary string, notes []string, err error) {
	return nil, "", nil, fmt.Errorf("no profiler yet")
}

func (s *session) addCounters(ctx context.Context, sub *subject, window result.Profile) {}
