package harness

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/pprof/profile"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/profdiff"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/service"
)

// profiling is a session whose services serve profiles of themselves, and whose own code is that of this test.
func profiling(t *testing.T, roles map[plan.Variant]string) *session {
	t.Helper()
	s := built(t, roles)
	s.run.Plan.Profile = time.Second
	_, file, _, _ := runtime.Caller(0)
	root := filepath.Dir(filepath.Dir(filepath.Dir(file)))
	for v, wanted := range s.run.Plan.Services {
		wanted.Pprof = "/debug/pprof"
		s.run.Plan.Services[v] = wanted
		s.pass.sources[v.Side] = profdiff.Source{Root: root, Files: map[string]bool{"internal/harness/main_test.go": true}}
		s.run.Rates = []result.OfferedRate{{Workload: "hello", Capacity: map[plan.Variant]float64{base: 1000, head: 1000}}}
	}
	return s
}

func TestProfilePass(t *testing.T) {
	s := profiling(t, map[plan.Variant]string{head: "burns"}) // one variant: an endpoint's windows have whole seconds
	kept := map[string][]byte{}
	s.o.Keep = func(name string, pprof []byte) error {
		kept[name] = pprof
		return nil
	}
	if err := s.profile(t.Context(), plan.Step{Kind: plan.StepProfile, Workload: "hello", Start: []plan.Variant{head}}); err != nil {
		t.Fatal(err)
	}
	windows := map[plan.Variant]int{}
	found := false
	for _, p := range s.run.Profiles {
		if p.Kind != result.ProfileCPU {
			continue
		}
		if p.Invalid != "" {
			t.Errorf("%s, window %d: %s", p.Variant, p.Round, p.Invalid)
		}
		windows[p.Variant]++
		for _, f := range p.Functions {
			if strings.HasSuffix(s.run.Name(f.Function), "harness.burn") && f.Own && s.run.Name(f.File) == "internal/harness/main_test.go" && 2*f.Nearest > p.Samples {
				found = true
			}
		}
	}
	if windows[head] != profileWindows {
		t.Errorf("windows %v; want %d", windows, profileWindows)
	}
	if !found {
		t.Errorf("no window has most samples in burn of main_test.go: %+v, names %q", s.run.Profiles, s.run.Names)
	}
	if _, err := profdiff.ParseProfile(kept["go@head.hello.cpu.pb.gz"]); err != nil {
		t.Errorf("the kept profile: %v", err)
	}
	if len(s.progress.Failed) > 0 || !s.progress.Profiled["hello"] {
		t.Errorf("failed %v, profiled %v; want nobody, and hello", s.progress.Failed, s.progress.Profiled)
	}
	s.run.Schema = result.Schema
	if text, err := result.Encode(*s.run); err != nil {
		t.Error(err)
	} else if _, err := result.Decode(text); err != nil {
		t.Errorf("the run does not read back: %v", err)
	}
}

// What dies under a profiler, or has none, spoils nothing that was measured.
func TestUnprofilable(t *testing.T) {
	s := profiling(t, map[plan.Variant]string{base: "burns", head: "dies"})
	wanted := s.run.Plan.Services[base]
	wanted.Pprof = "/no/such/path"
	s.run.Plan.Services[base] = wanted
	if err := s.profile(t.Context(), plan.Step{Kind: plan.StepProfile, Workload: "hello", Start: []plan.Variant{head, base}}); err != nil {
		t.Fatal(err)
	}
	why := map[plan.Variant]string{}
	for _, p := range s.run.Profiles {
		if p.Invalid == "" {
			t.Errorf("%s has a %s profile", p.Variant, p.Kind)
		}
		why[p.Variant] = p.Invalid
	}
	if why[base] == "" || !strings.Contains(why[head], "ended") {
		t.Errorf("reasons %q; want one for each, head's that it ended", why)
	}
	if len(s.progress.Failed) > 0 || s.fatal != nil {
		t.Errorf("failed %v, fatal %v; want neither", s.progress.Failed, s.fatal)
	}
}

// unbearable is a profiler that the service does not bear: from the start, or in its first window.
type unbearable struct {
	service.Profiler
	atOnce bool
}

func (u unbearable) Tool() string { return "unbearable" }

func (u unbearable) Attach(ctx context.Context, s *service.Service) error {
	if u.atOnce {
		return errors.New("it is not in its process")
	}
	return u.Profiler.Attach(ctx, s)
}

func (u unbearable) End(context.Context, *service.Service) ([]service.Collected, error) {
	return nil, errors.New("the service handles SIGPROF itself")
}

// What one profiler cannot see the next one may, and the profile says why it is not the first one's.
func TestTheNextProfiler(t *testing.T) {
	s := profiling(t, map[plan.Variant]string{head: "burns"})
	s.run.Plan.Profile = 0
	w := s.run.Plan.Workloads[0]
	open := func(profilers ...service.Profiler) (*subject, error) {
		sub := &subject{variant: head, workload: w, pass: passCPU, means: means{profilers: profilers, binary: s.binaries[head].Binary}, merged: map[result.ProfileKind][]*profile.Profile{}}
		err := s.openUnderAny(t.Context(), sub)
		t.Cleanup(func() { sub.stop(s) })
		return sub, err
	}
	endpoint := func() service.Profiler { return service.NewEndpoint("/debug/pprof", time.Second, result.ProfileCPU) }
	sub, err := open(unbearable{endpoint(), true}, unbearable{endpoint(), false}, endpoint())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.sampleUnderAny(t.Context(), sub, 1, 2000); err != nil {
		t.Fatal(err)
	}
	if len(sub.windows) != 1 || sub.windows[0].Tool != "endpoint" || sub.windows[0].Invalid != "" {
		t.Fatalf("windows %+v, want one of the endpoint's", sub.windows)
	}
	if notes := strings.Join(sub.windows[0].Notes, "; "); !strings.HasPrefix(notes, "it is not in its process; the service handles SIGPROF itself") {
		t.Errorf("notes %q, want why it is not the first two's", notes)
	}

	if sub, err = open(unbearable{endpoint(), false}, unbearable{endpoint(), true}); err != nil {
		t.Fatal(err)
	}
	if err := s.sampleUnderAny(t.Context(), sub, 1, 10); err == nil || !strings.Contains(err.Error(), "not in its process") {
		t.Errorf("got %v, want what the last one says", err)
	}
	if sub, err = open(unbearable{endpoint(), false}, endpoint()); err != nil {
		t.Fatal(err)
	}
	if err := s.sampleUnderAny(t.Context(), sub, 2, 10); err == nil || !strings.Contains(err.Error(), "SIGPROF") || sub.profiler.Tool() != "unbearable" {
		t.Errorf("in a later window: got %v and %s, want no change of profiler", err, sub.profiler.Tool())
	}
	if _, err = open(unbearable{endpoint(), true}, unbearable{endpoint(), true}); err == nil {
		t.Error("nobody bears either: got no error")
	}
}
