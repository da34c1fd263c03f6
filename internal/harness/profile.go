package harness

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/pprof/profile"

	"github.com/duet-bench/duet/internal/load"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/profdiff"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/service"
	"github.com/duet-bench/duet/internal/workload"
)

// The sampling passes: the same requests once more, in fresh processes with a profiler inside. Nothing of them enters a
// trial, and nothing that goes wrong in them spoils what was measured.
const (
	// profileWindows is how many windows each variant's CPU profile is taken in, in turns with the others': a change has
	// to show in most of them to be named.
	profileWindows = 5
	// exactRequests is how many requests the allocation pass takes at most, in exactTime as it is slowed down by.
	exactRequests = 1500
	exactLeast    = 50
	exactTime     = 2 * time.Second
	exactSlowdown = 10 // about the mean of Go's 2 to 8 and tcmalloc's 4 to 25 (docs/methodology.md)
	// warmedUp bounds the warm-up of a profiled process.
	warmedUp = 2 * time.Second
)

// pass is one way to sample.
type pass int

const (
	passCPU pass = iota
	passAllocations
)

// subject is one variant of a workload while a profiler looks into it.
type subject struct {
	variant  plan.Variant
	workload workload.Workload
	pass     pass
	means    means
	profiler service.Profiler // of means
	service  *service.Service
	client   *load.Client
	windows  []result.Profile
	merged   map[result.ProfileKind][]*profile.Profile
	counters service.GoCounters // of Go services
	counted  int64              // requests of the windows that counters cover
}

// profile carries out the sampling passes of one workload.
func (s *session) profile(ctx context.Context, step plan.Step) error {
	s.o.Progress.Begin("profile")
	s.progress.Profiled[step.Workload] = true
	w := s.workload(step.Workload)
	variants := s.present(step.Start, w.Name)
	for _, p := range []pass{passCPU, passAllocations} {
		if err := s.samplePass(ctx, w, variants, p); err != nil {
			return err
		}
	}
	return s.over(ctx)
}

// samplePass takes turns over the variants: all alive at once for CPU profiles where that can be, else one after the other.
func (s *session) samplePass(ctx context.Context, w workload.Workload, variants []plan.Variant, p pass) error {
	groups := [][]plan.Variant{variants}
	if !s.together || p == passAllocations {
		groups = nil
		for _, v := range variants {
			groups = append(groups, []plan.Variant{v})
		}
	}
	for _, group := range groups {
		if err := s.sampleGroup(ctx, w, group, p, len(variants)); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) sampleGroup(ctx context.Context, w workload.Workload, group []plan.Variant, p pass, variants int) error {
	var alive []*subject
	defer func() {
		for _, sub := range alive {
			sub.stop(s)
		}
	}()
	for _, v := range group {
		s.o.Progress.Update("%s · profiling %s", w.Name, v)
		sub, err := s.openSubject(ctx, v, w, p)
		if err == nil {
			alive = append(alive, sub)
		}
		if over := s.over(ctx); over != nil {
			return over
		}
		if err != nil {
			s.noProfile(v, w.Name, p, err)
		}
	}
	windows, requests := profileWindows, s.profiledRequests(w, variants)
	if p == passAllocations {
		windows, requests = 1, s.exactRequests(w)
	}
	for round := 1; round <= windows; round++ {
		for _, sub := range turned(alive, round) {
			if err := s.sampleUnderAny(ctx, sub, round, requests); err != nil {
				if over := s.over(ctx); over != nil {
					return over
				}
				sub.broken(err, round, p)
				alive = slices.DeleteFunc(alive, func(other *subject) bool { return other == sub })
				sub.stop(s)
				s.keepProfiles(sub)
			}
		}
	}
	for _, sub := range alive {
		s.keepProfiles(sub)
	}
	return nil
}

// turned is who comes first in a round: each in its turn.
func turned(all []*subject, round int) []*subject {
	if len(all) == 0 {
		return nil
	}
	first := round % len(all)
	return slices.Concat(all[first:], all[:first])
}

// profiledRequests is how many requests a CPU window has, the same for all variants: as many as the slowest serves in
// the window's time.
func (s *session) profiledRequests(w workload.Workload, variants int) int {
	windows := profileWindows * max(variants, 1) * len(s.run.Plan.Workloads)
	each := s.run.Plan.Profile / time.Duration(windows)
	return max(int(each.Seconds()*s.slowest(w)), 1)
}

func (s *session) exactRequests(w workload.Workload) int {
	return min(max(int(exactTime.Seconds()*s.slowest(w)/exactSlowdown), exactLeast), exactRequests)
}

// slowest is what every variant of a workload carries, in requests a second.
func (s *session) slowest(w workload.Workload) float64 {
	least := w.Rate.PerSecond
	for _, r := range s.run.Rates {
		if r.Workload != w.Name {
			continue
		}
		for _, c := range r.Capacity {
			if least == 0 || c < least {
				least = c
			}
		}
	}
	return least
}

// openSubject starts a variant with a profiler inside, sets it up and warms it up.
func (s *session) openSubject(ctx context.Context, v plan.Variant, w workload.Workload, p pass) (*subject, error) {
	found, err := s.meansFor(v, p)
	if err != nil {
		return nil, err
	}
	sub := &subject{variant: v, workload: w, pass: p, means: found, merged: map[result.ProfileKind][]*profile.Profile{}}
	if err := s.openUnderAny(ctx, sub); err != nil {
		return nil, err
	}
	return sub, nil
}

// openUnderAny opens a subject under the best of the profilers that it has not been under, and that it bears.
func (s *session) openUnderAny(ctx context.Context, sub *subject) (err error) {
	for len(sub.means.profilers) > 0 {
		sub.profiler, sub.means.profilers = sub.means.profilers[0], sub.means.profilers[1:]
		if err = s.openUnder(ctx, sub); err == nil || s.over(ctx) != nil {
			return err
		}
		sub.means.notes = slices.Concat(sub.means.notes, []string{err.Error()})
	}
	return err
}

func (s *session) openUnder(ctx context.Context, sub *subject) (err error) {
	if sub.service, err = s.startProfiled(ctx, sub.variant, sub.workload, sub.profiler, sub.means.binary); err != nil {
		return err
	}
	if err = sub.warmUp(ctx, s); err != nil {
		err = sub.cause(err)
		sub.stop(s)
	}
	return err
}

// sampleUnderAny samples a window. A profiler whose first one fails gives way to the next: a service may have taken its
// signal, or may not bear it.
func (s *session) sampleUnderAny(ctx context.Context, sub *subject, round, requests int) error {
	for {
		err := s.sampleWindow(ctx, sub, round, requests)
		if err == nil || round > 1 || len(sub.means.profilers) == 0 || s.over(ctx) != nil {
			return err
		}
		sub.means.notes = slices.Concat(sub.means.notes, []string{err.Error()})
		sub.stop(s)
		if err := s.openUnderAny(ctx, sub); err != nil {
			return err
		}
	}
}

func (sub *subject) warmUp(ctx context.Context, s *session) error {
	if err := sub.profiler.Attach(ctx, sub.service); err != nil {
		return err
	}
	captures, _, err := setUp(ctx, sub.service, s.run.Plan, sub.workload)
	if err != nil {
		return err
	}
	asked, err := askedOf(sub.workload, s.run.Plan.Seed, captures, streamLength)
	if err != nil {
		return err
	}
	if sub.client, err = connect(ctx, sub.service, sub.workload, asked, false); err != nil {
		return err
	}
	n := min(max(sub.workload.WarmUp, 1), max(int(warmedUp.Seconds()*s.slowest(sub.workload)/exactSlowdown), 1))
	if _, err := sub.client.Count(ctx, n, nil); err != nil {
		return fmt.Errorf("warming up: %w", err)
	}
	return nil
}

// sampleWindow serves a window's requests while the profiler looks.
func (s *session) sampleWindow(ctx context.Context, sub *subject, round, requests int) error {
	if err := sub.profiler.Begin(ctx, sub.service); err != nil {
		return sub.cause(err)
	}
	before, err := sub.service.CPU()
	if err != nil {
		return sub.cause(err)
	}
	began := time.Now()
	did, err := sub.client.Count(ctx, requests, nil)
	if err != nil {
		return sub.cause(err)
	}
	took := time.Since(began)
	after, err := sub.service.CPU()
	if err != nil {
		return sub.cause(err)
	}
	collected, err := sub.profiler.End(ctx, sub.service)
	if err != nil {
		return sub.cause(err)
	}
	if float64(did.Errors) > sub.workload.MaxErrors*float64(did.Requests) {
		return fmt.Errorf("%d of %d answers were bad (%s)", did.Errors, did.Requests, did.Failures.First())
	}
	window := result.Profile{
		Variant: sub.variant, Workload: sub.workload.Name, Round: round, Tool: sub.profiler.Tool(),
		Requests: did.Requests, Seconds: took.Seconds(), CPUSeconds: (after - before).Seconds(),
	}
	for _, c := range collected {
		if read, any := s.readProfile(sub, window, c); any {
			sub.windows = append(sub.windows, read)
		}
	}
	return s.addCounters(ctx, sub, window)
}

// cause prefers what became of the process to what the profiler or the connection said about it.
func (sub *subject) cause(err error) error {
	if dead := sub.service.Alive(); dead != nil {
		return dead
	}
	return err
}

// readProfile makes a window's figures of one profile. Nobody waited, or nothing is in use: then there are none.
func (s *session) readProfile(sub *subject, window result.Profile, c service.Collected) (_ result.Profile, any bool) {
	window.Kind, window.Notes = c.Kind, slices.Concat(sub.means.notes, c.Notes)
	parsed, err := profdiff.ParseProfile(c.PProf)
	if err != nil {
		window.Invalid = err.Error()
		return window, true
	}
	lang, source := s.run.Plan.Services[sub.variant].Lang, s.pass.sources[sub.variant.Side]
	if lang == plan.Rust {
		profdiff.NameInlined(parsed, source)
	}
	functions, sum, err := profdiff.SampledOf(parsed, c.Kind, lang, source)
	if err != nil {
		window.Invalid = err.Error()
		return window, c.Kind == result.ProfileCPU || !errors.Is(err, profdiff.ErrEmptyProfile)
	}
	sub.merged[c.Kind] = append(sub.merged[c.Kind], parsed)
	window.Samples, window.Bytes = sum[0], sum[1]
	name := func(text string) result.Name { return s.pass.names.name(&s.run.Names, text) }
	for _, f := range functions {
		kept := result.SampledFunction{
			Function: name(f.Name), File: name(f.File), Line: f.Line, Own: f.Own,
			Nearest: f.Nearest[0], NearestBytes: f.Nearest[1], Self: f.Self[0], SelfBytes: f.Self[1],
			Cumulative: f.Cumulative[0], CumulativeBytes: f.Cumulative[1],
		}
		if kept.Function != 0 {
			window.Functions = append(window.Functions, kept)
		}
	}
	if note := lost(parsed, window); note != "" {
		window.Notes = append(window.Notes, note)
	}
	return window, true
}

// lost says by how much a CPU profile's own time and the CPU clock part, where that is more than 15 %.
func lost(p *profile.Profile, window result.Profile) string {
	if window.Kind != result.ProfileCPU || window.CPUSeconds <= 0 || p.Period <= 0 || p.PeriodType == nil || p.PeriodType.Unit != "nanoseconds" {
		return ""
	}
	const most = 0.15
	seen := float64(window.Samples) * float64(p.Period) / 1e9 / window.CPUSeconds
	if seen > 1-most && seen < 1+most {
		return ""
	}
	return fmt.Sprintf("its samples stand for %.0f %% of the CPU time that the clock shows", 100*seen)
}

// keepProfiles records a subject's windows and hands its raw profiles, merged, to whoever keeps them.
func (s *session) keepProfiles(sub *subject) {
	files := map[result.ProfileKind]string{}
	for _, kind := range result.ProfileKinds() {
		if len(sub.merged[kind]) == 0 || s.o.Keep == nil {
			continue
		}
		name := fmt.Sprintf("%s.%s.%s.pb.gz", sub.variant, sub.workload.Name, kind)
		merged, err := profdiff.MergeProfiles(sub.merged[kind])
		var text []byte
		if err == nil {
			text, err = profdiff.GzipProfile(merged)
		}
		if err == nil {
			err = s.o.Keep(name, text)
		}
		if err != nil {
			s.warnf("the %s profile of %s under %s is not kept: %v", kind, sub.variant, sub.workload.Name, err)
			continue
		}
		files[kind] = name
	}
	for i := range sub.windows {
		if sub.windows[i].Invalid == "" {
			sub.windows[i].File = files[sub.windows[i].Kind]
		}
	}
	s.run.Profiles = append(s.run.Profiles, sub.windows...)
	sub.windows = nil
	if sub.counted > 0 && sub.pass == passCPU {
		s.run.GoRuntimes = append(s.run.GoRuntimes, sub.counters.Runtime(sub.variant, sub.workload.Name, sub.counted))
	}
}

// broken records a window that a subject did not live through.
func (sub *subject) broken(err error, round int, p pass) {
	sub.windows = append(sub.windows, result.Profile{
		Variant: sub.variant, Workload: sub.workload.Name, Kind: kindOf(p), Round: round, Tool: sub.profiler.Tool(), Invalid: err.Error(), Notes: sub.means.notes,
	})
}

// noProfile records that a variant has no profile, and why.
func (s *session) noProfile(v plan.Variant, workload string, p pass, err error) {
	s.run.Profiles = append(s.run.Profiles, result.Profile{Variant: v, Workload: workload, Kind: kindOf(p), Round: 1, Invalid: err.Error()})
	s.o.Progress.Note("%s · %s has no %s profile: %s", v, workload, kindOf(p), err)
}

func kindOf(p pass) result.ProfileKind {
	if p == passAllocations {
		return result.ProfileAllocs
	}
	return result.ProfileCPU
}

// startProfiled starts a variant as start does, with a profiler inside.
func (s *session) startProfiled(ctx context.Context, v plan.Variant, w workload.Workload, profiler service.Profiler, binary string) (*service.Service, error) {
	if err := errors.Join(s.binaries[v].Verify(), s.boxes[v].Renew()); err != nil {
		return nil, err
	}
	var cpus []int
	if s.pinned(w) {
		cpus = s.cores.service
	}
	return s.startWrapped(ctx, v, binary, cpus, func(env map[string]string) service.Wrap { return profiler.Wrap(s.boxes[v], env) })
}

// stop ends the subject's processes.
func (sub *subject) stop(s *session) {
	if sub.client != nil {
		sub.client.Close()
		sub.client = nil
	}
	if sub.service != nil {
		s.stopService(sub.variant, sub.service)
		sub.service = nil
	}
}
