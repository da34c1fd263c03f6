package harness

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/duet-bench/duet/internal/build"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/sandbox"
)

// build builds one variant. A failure is the variant's; only what no variant is to blame for is an error.
func (s *session) build(ctx context.Context, v plan.Variant) error {
	s.o.Progress.Begin("build")
	s.o.Progress.Update("%s", v)
	if err := s.enter(ctx, v.Side); err != nil {
		return err
	}
	built, err := s.shop.Build(ctx, v.Service, filepath.Join(s.work, "bin", boxName(v)))
	s.progress.Built[v] = true
	var failure *build.Failure
	var usage *plan.UsageError
	switch {
	case err == nil:
		s.binaries[v] = built
		s.o.Progress.Note("%s built in %.1f s, after a newline in its main file in %.1f s", v, built.Record.CleanSeconds, built.Record.IncrementalSeconds)
	case ctx.Err() != nil:
		return err
	case errors.As(err, &failure):
		s.fail(v, failure.Step, failure.Err, failure.Tail)
	case errors.As(err, &usage) && v.Side == plan.Base:
		s.fail(v, "building", err, nil) // the pull request may be what mends base's configuration
	default:
		return err
	}
	s.recordBuild(v, built.Record)
	if err == nil {
		return s.buildForProfiles(ctx, v, built, filepath.Join(s.work, "profiled", boxName(v)))
	}
	return nil
}

// recordBuild keeps what a build cost, and finds out whether both sides start the same thing.
func (s *session) recordBuild(v plan.Variant, record result.Build) {
	record.Variant, record.InputsSHA256 = v, s.inputs(v, record.InputsSHA256)
	s.run.Builds = build.MarkIdentical(append(s.run.Builds, record))
	if record.Toolchain != "" {
		s.run.Machine.Toolchains[string(s.run.Plan.Services[v].Lang)] = record.Toolchain
	}
	for _, b := range s.run.Builds {
		if b.IdenticalToBase && s.run.Plan.Same != plan.SameAgain {
			s.progress.Identical[b.Variant.Service] = true
		}
	}
}

// enter moves the workshop to a side. Each side is built in a box of its own, and base before head, so that
// neither can touch what the other makes.
func (s *session) enter(ctx context.Context, side plan.Side) error {
	if s.inShop == side {
		return nil
	}
	if err := s.leave(ctx); err != nil {
		return err
	}
	box, err := sandbox.New(sandbox.Options{Name: "build@" + string(side), Dir: filepath.Join(s.work, "box", "build-"+string(side)), Isolate: true})
	if err != nil {
		return err
	}
	s.buildBoxes = append(s.buildBoxes, box)
	s.inShop = side
	return s.shop.Enter(ctx, build.Site{Side: side, Box: box, Repo: repoFolder, Services: servicesOf(s.run.Plan, side)})
}

// leave ends whatever the builds of a side left running and clears its tree and caches.
func (s *session) leave(ctx context.Context) error {
	if s.inShop == "" {
		return nil
	}
	s.inShop = ""
	return s.shop.Leave(ctx)
}
