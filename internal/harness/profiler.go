package harness

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/duet-bench/duet/internal/build"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/service"
)

// profiledKinds are what each pass asks a service for that serves profiles itself.
var profiledKinds = map[pass][]result.ProfileKind{
	passCPU:         {result.ProfileCPU},
	passAllocations: {result.ProfileAllocs, result.ProfileHeap},
}

// means is how a variant can be looked into in a pass.
type means struct {
	profilers []service.Profiler // the best first; one at least
	binary    string             // what is started for it
	notes     []string           // what differs from the measured one, and what does not work
}

// meansFor finds a variant's profilers for a pass. An error says why there are none.
func (s *session) meansFor(v plan.Variant, p pass) (means, error) {
	wanted := s.run.Plan.Services[v]
	if wanted.Pprof != "" {
		endpoint := service.NewEndpoint(wanted.Pprof, s.profiledWindow(), profiledKinds[p]...)
		return means{profilers: []service.Profiler{endpoint}, binary: s.binaries[v].Binary}, nil
	}
	made, ok := s.profiled[v]
	if !ok {
		return means{}, errors.New("there is no build of it that can be profiled")
	}
	if made.err != nil {
		return means{}, made.err
	}
	m := means{binary: made.Binary, notes: made.Notes}
	if wanted.Lang == plan.Go {
		wants := service.GoCPU
		if p == passAllocations {
			wants = service.GoAllocations
		}
		m.profilers = []service.Profiler{service.NewGoAgent(wants)}
		return m, nil
	}
	env := s.passEnv(v)
	maps.Copy(env, wanted.Env)
	found := service.ProfilersFor(made.Binary, env)
	m.notes = slices.Concat(made.Notes, found.Notes)
	m.profilers = found.CPU
	if p == passAllocations {
		m.profilers = found.Allocations
	}
	if len(m.profilers) == 0 {
		return means{}, errors.New(strings.Join(m.notes, "; "))
	}
	return m, nil
}

// profiledWindow is about how long one variant's CPU window is.
func (s *session) profiledWindow() time.Duration {
	windows := profileWindows * max(len(s.live()), 1) * len(s.run.Plan.Workloads)
	return s.run.Plan.Profile / time.Duration(windows)
}

// profiledBuild is what a build for profiles came to.
type profiledBuild struct {
	build.Profiled
	err error
}

// buildForProfiles makes what the profilers of a variant need, right after its build. That it cannot be made is a fact
// about its profiles alone.
func (s *session) buildForProfiles(ctx context.Context, v plan.Variant, built build.Built, out string) error {
	if s.run.Plan.Profile <= 0 || s.run.Plan.Services[v].Pprof != "" {
		return nil
	}
	s.o.Progress.Update("%s, to be profiled", v)
	made, err := s.shop.BuildForProfiles(ctx, v.Service, built, out)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.profiled[v] = profiledBuild{made, err}
	return nil
}

// addCounters adds what Go's runtime counted in a window to its variant's under a workload.
func (s *session) addCounters(ctx context.Context, sub *subject, window result.Profile) error {
	agent, ok := sub.profiler.(*service.GoAgent)
	if !ok {
		return nil
	}
	counters, err := agent.Metrics(ctx, sub.service)
	if err != nil {
		return err
	}
	sub.counters.Add(counters)
	sub.counted += window.Requests
	return nil
}
