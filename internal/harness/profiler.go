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

// profilerFor is how a variant is looked into in a pass, with the binary that is started for it and what differs from the
// measured one.
func (s *session) profilerFor(v plan.Variant, p pass) (profiler service.Profiler, binary string, notes []string, err error) {
	wanted := s.run.Plan.Services[v]
	if wanted.Pprof != "" {
		return service.NewEndpoint(wanted.Pprof, s.profiledWindow(), profiledKinds[p]...), s.binaries[v].Binary, nil, nil
	}
	made, ok := s.profiled[v]
	if !ok {
		return nil, "", nil, errors.New("there is no build of it that can be profiled")
	}
	if made.err != nil {
		return nil, "", nil, made.err
	}
	if wanted.Lang == plan.Go {
		wants := service.GoCPU
		if p == passAllocations {
			wants = service.GoAllocations
		}
		return service.NewGoAgent(wants), made.Binary, made.Notes, nil
	}
	env := s.passEnv(v)
	maps.Copy(env, wanted.Env)
	found := service.ProfilersFor(made.Binary, env)
	notes = slices.Concat(made.Notes, found.Notes)
	able := found.CPU
	if p == passAllocations {
		able = found.Allocations
	}
	if len(able) == 0 {
		return nil, "", nil, errors.New(strings.Join(notes, "; "))
	}
	return able[0], made.Binary, notes, nil
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
