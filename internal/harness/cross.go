package harness

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/duet-bench/duet/internal/build"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/sandbox"
)

// The cross-check: are a Rust service's regressions there, too, when each crate is compiled as one codegen unit? Its
// builds are counted under callgrind and never measured. Whatever hinders it leaves the rows as they are, and is said.

// oneUnit is what makes cargo compile a crate as one unit, by environment alone: the manifest stays as it is, and RUSTFLAGS
// would replace the tree's own.
func oneUnit() map[string]string {
	return map[string]string{"CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "1"}
}

// doubt asks what is to be cross-checked.
func (s *session) doubt() {
	s.progress.Asked = true
	if s.o.Doubt != nil {
		s.progress.Doubts = s.o.Doubt(s.run)
	}
}

// cross builds both sides of the services in doubt again.
func (s *session) cross(ctx context.Context, step plan.Step) error {
	s.o.Progress.Begin("cross-check")
	s.progress.BuiltAgain = true
	if why := s.tooLongToCross(step.Start); why != "" {
		s.uncrossed("%s", why)
		return nil
	}
	limit := s.run.Plan.Rounds.CrossCap
	within, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it was not done after %s", limit))
	defer cancel()
	err := s.buildAgain(within, step.Start)
	if err = errors.Join(err, s.leave(context.WithoutCancel(ctx))); ctx.Err() != nil {
		return ctx.Err()
	}
	switch {
	case err != nil:
		s.uncrossed("building again with one codegen unit: %v", err)
	case !slices.ContainsFunc(step.Start, s.builtOtherwise):
		s.uncrossed("the builds that were measured have one codegen unit as well")
	}
	return nil
}

// tooLongToCross is why there is no time for a cross-check, "" when there is: by what the builds took before, and by what the
// instructions pass took to confirm.
func (s *session) tooLongToCross(variants []plan.Variant) string {
	rounds := s.run.Plan.Rounds
	var builds time.Duration
	for _, b := range s.run.Builds {
		if slices.Contains(variants, b.Variant) {
			builds += time.Duration(b.CleanSeconds * float64(time.Second))
		}
	}
	if builds > rounds.CrossCap {
		return fmt.Sprintf("building both sides again would take longer than %s", rounds.CrossCap)
	}
	begun := s.begun[roundsKey{phase: plan.Screen}] + s.begun[roundsKey{phase: plan.Confirm}]
	each := (s.pass.counting[plan.Screen] + s.pass.counting[plan.Confirm]) / time.Duration(max(begun, 1))
	if least := 3 * each; least > rounds.CountCap {
		return fmt.Sprintf("3 more callgrind rounds would go over the pass's time of %s (measure.count in duet.yml)", rounds.CountCap)
	}
	return ""
}

// uncrossed ends the cross-check and says why: the rows stay as they are.
func (s *session) uncrossed(format string, args ...any) {
	why := fmt.Sprintf(format, args...)
	s.progress.CountOver[plan.Cross] = why
	s.warnf("whether the compiler's inlining explains a regression was not cross-checked: %s", why)
}

// buildAgain builds variants with one codegen unit, a side at a time, each from the tree as it was before any of its code
// ran and in a box of its own.
func (s *session) buildAgain(ctx context.Context, variants []plan.Variant) error {
	for _, side := range []plan.Side{plan.Base, plan.Head} {
		var services []plan.Service
		for _, v := range variants {
			if v.Side == side {
				services = append(services, s.run.Plan.Services[v])
			}
		}
		if err := s.leave(ctx); err != nil {
			return err
		}
		name := "again-" + string(side)
		box, err := sandbox.New(sandbox.Options{Name: "again@" + string(side), Dir: filepath.Join(s.work, "box", name), Isolate: true})
		if err != nil {
			return err
		}
		s.buildBoxes = append(s.buildBoxes, box)
		s.inShop = side
		if err := s.shop.EnterAgain(ctx, build.Site{Side: side, Box: box, Repo: repoFolder, Services: services, Env: oneUnit()}); err != nil {
			return err
		}
		for _, service := range services {
			v := plan.Variant{Service: service.Name, Side: side}
			s.o.Progress.Update("%s with one codegen unit", v)
			built, err := s.shop.Build(ctx, service.Name, filepath.Join(s.work, "bin", name, service.Name))
			if err != nil {
				return fmt.Errorf("%s: %w", v, err)
			}
			s.again[v] = built
		}
	}
	return nil
}

// builtOtherwise is whether one codegen unit made another binary than the measured one.
func (s *session) builtOtherwise(v plan.Variant) bool {
	return s.again[v].Record.BinarySHA256 != s.binaries[v].Record.BinarySHA256
}

// counts is the build of a variant that a phase's callgrind rounds run, and how its costs name it.
func (s *session) counts(v plan.Variant, phase plan.Phase) (built build.Built, named string) {
	if phase == plan.Cross {
		return s.again[v], plan.OneUnit
	}
	return s.binaries[v], ""
}
