package harness

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/duet-bench/duet/internal/build"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/sandbox"
	"github.com/duet-bench/duet/internal/workload"
)

var (
	base = plan.Variant{Service: "go", Side: plan.Base}
	head = plan.Variant{Service: "go", Side: plan.Head}
)

type heard struct{ notes []string }

func (*heard) Begin(string)          {}
func (*heard) Update(string, ...any) {}
func (h *heard) Note(format string, args ...any) {
	h.notes = append(h.notes, fmt.Sprintf(format, args...))
}

// built is a session whose variants are built already: each is this test in a role.
func built(t *testing.T, roles map[plan.Variant]string) *session {
	t.Helper()
	work, letGo, err := makeWork(os.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	run := &result.Run{Machine: Machine(), Plan: plan.Plan{
		Base: &plan.Commit{}, Services: map[plan.Variant]plan.Service{},
		Workloads: []workload.Workload{
			{Name: "hello", Rate: workload.Rate{Share: 0.1}, Connections: 2, WarmUp: 10, MaxErrors: 0.01, Requests: []workload.Request{{Method: "GET", Path: "/"}}},
			{Name: "up", Rate: workload.Rate{Share: 0.1}, Connections: 2, MaxErrors: 0.01, Requests: []workload.Request{{Method: "GET", Path: "/health"}}},
		},
		Parity: plan.Parity{Requests: 2},
		Rounds: plan.Rounds{Looks: []int{7}, Confirm: 7},
		Window: plan.Window{Trial: 200 * time.Millisecond, Open: 120 * time.Millisecond, Closed: 80 * time.Millisecond, Slice: 10 * time.Millisecond},
	}}
	s := &session{
		o: Options{Progress: &heard{}}, run: run, work: work, letGo: letGo, together: true,
		progress: plan.Progress{
			Built: map[plan.Variant]bool{}, Failed: map[plan.Variant]bool{}, Identical: map[string]bool{},
			Calibrated: map[string]bool{}, Rounds: map[string]map[plan.Phase]int{}, Stopped: map[string]string{},
		},
		boxes: map[plan.Variant]*sandbox.Box{}, binaries: map[plan.Variant]build.Built{},
		rates: map[string]float64{}, spoilt: map[cell]int{}, absent: map[cell]bool{}, begun: map[roundsKey]int{},
		cores: chooseCores(allowedCores(), siblingsFromSysfs),
		pass:  newInstructions(),
	}
	s.progress.Profiled = map[string]bool{}
	s.progress.Counted, s.progress.CountOver = map[plan.Phase]int{}, map[plan.Phase]string{}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(work); err == nil {
			t.Errorf("%s is left behind", work)
		}
	})
	for variant, role := range roles {
		run.Plan.Services[variant] = plan.Service{Name: variant.Service, Lang: plan.Go, Run: []string{"role", role}}
		s.progress.Built[variant] = true
		s.boxes[variant], err = sandbox.New(sandbox.Options{Name: variant.String(), Dir: filepath.Join(work, "box", boxName(variant)), Isolate: true})
		if err != nil {
			t.Fatal(err)
		}
		s.binaries[variant] = copyOfThis(t, filepath.Join(work, "bin", boxName(variant)))
	}
	return s
}

// copyOfThis is this test's binary, as a build would have kept it.
func copyOfThis(t *testing.T, dir string) build.Built {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "service")
	if err := os.WriteFile(binary, text, 0o755); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	return build.Built{Dir: dir, Binary: binary, Record: result.Build{BinarySHA256: hex.EncodeToString(sum[:])}}
}

// walkOn does a session's steps until done, or until enough has been seen.
func walkOn(t *testing.T, s *session, enough func() bool) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		step := plan.Next(s.run.Plan, s.progress)
		var err error
		switch step.Kind {
		case plan.StepDone:
			return nil
		case plan.StepParity:
			err = s.parity(ctx)
		case plan.StepCalibrate:
			err = s.calibrate(ctx, step.Workload)
		case plan.StepRound:
			err = s.round(ctx, step)
		default:
			t.Fatalf("unexpected step %+v", step)
		}
		if err != nil || enough() {
			return err
		}
	}
}

func rounds(s *session, n int) func() bool {
	return func() bool { return s.progress.Rounds["up"][plan.Screen] >= n }
}

func TestRoundsOfSoundServices(t *testing.T) {
	s := built(t, map[plan.Variant]string{base: "remembers", head: "sound"})
	s.run.Plan.Window = plan.Window{Trial: 460 * time.Millisecond, Open: 60 * time.Millisecond, Closed: 400 * time.Millisecond, Slice: 10 * time.Millisecond}
	if err := walkOn(t, s, rounds(s, 2)); err != nil {
		t.Fatal(err)
	}
	for _, tr := range s.run.Trials {
		if tr.Invalid != "" {
			t.Errorf("%s %s round %d: %s", tr.Variant, tr.Workload, tr.Round, tr.Invalid)
			continue
		}
		if tr.Open.Requests == 0 || tr.Closed.Requests == 0 || tr.ColdStart <= 0 || tr.Memory.PeakRSS == 0 {
			t.Errorf("%s %s round %d lacks figures: %+v", tr.Variant, tr.Workload, tr.Round, tr)
		}
	}
	if n := len(s.run.Trials); n != 8 {
		t.Errorf("got %d trials, want 2 rounds × 2 workloads × 2 variants", n)
	}
	checkMemoryAtFixedRate(t, s)
	if len(s.run.Failures) > 0 {
		t.Errorf("failures: %+v (a home that was not new would be one)", s.run.Failures)
	}
}

// overSockets is a session under one WebSocket workload.
func overSockets(t *testing.T, roles map[plan.Variant]string) *session {
	t.Helper()
	s := built(t, roles)
	w, err := workload.Parse("up.yaml", []byte(`name: up
protocol: websocket
path: /ws
connections: 2
rate: 10%
warm_up: 10
setup: [{path: /health}]
requests:
  - {name: line, body: "{{words 4}} {{seq}}", expect: {echo: true}}
  - {name: blob, type: binary, body: "{{hex 40}}"}
`))
	if err != nil {
		t.Fatal(err)
	}
	s.run.Plan.Workloads = []workload.Workload{w}
	return s
}

func TestRoundsOverWebSockets(t *testing.T) {
	s := overSockets(t, map[plan.Variant]string{base: "echoes", head: "echoes"})
	s.run.Plan.Parity.Requests = 6
	if err := walkOn(t, s, rounds(s, 2)); err != nil {
		t.Fatal(err)
	}
	if len(s.run.Trials) < 4 || len(s.run.Failures) > 0 {
		t.Errorf("got %d trials, failures %+v", len(s.run.Trials), s.run.Failures)
	}
	for _, tr := range s.run.Trials {
		if strings.HasPrefix(tr.Invalid, "reached ") {
			continue // the machine was busy
		}
		if tr.Invalid != "" || tr.Open.Requests == 0 || tr.Closed.Requests == 0 || tr.Open.Latency.Count() == 0 || tr.Open.Errors+tr.Closed.Errors > 0 {
			t.Errorf("%s round %d: %s, %+v", tr.Variant, tr.Round, tr.Invalid, tr.Open)
		}
	}
	if s.run.Parity == nil || s.run.Parity.Requests != 7 || s.run.Parity.Total != 0 { // 1 of setup, 6 messages
		t.Errorf("parity: %+v", s.run.Parity)
	}
	if len(s.run.Rates) != 1 || s.run.Rates[0].PerSecond <= 0 {
		t.Errorf("rates: %+v", s.run.Rates)
	}
}

func TestParityOfMessages(t *testing.T) {
	s := overSockets(t, map[plan.Variant]string{base: "echoes", head: "chatty"})
	s.run.Plan.Parity.Requests = 4
	if err := s.parity(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := s.run.Parity
	if p == nil || p.Total != 4 || p.Differences[0].What != "body" || !strings.Contains(p.Differences[0].Request+p.Differences[1].Request, "line text message") {
		t.Errorf("got %+v, want four bodies that differ", p)
	}
}

// A service without the WebSocket is a failure with its status; one that hangs up, with what it did.
func TestFailuresOverWebSockets(t *testing.T) {
	check := func(role, text string) {
		t.Helper()
		s := overSockets(t, map[plan.Variant]string{base: "echoes", head: role})
		if err := walkOn(t, s, rounds(s, 1)); err != nil {
			t.Fatal(err)
		}
		if len(s.run.Failures) != 1 || s.run.Failures[0].Variant != head || !strings.Contains(s.run.Failures[0].Error, text) {
			t.Errorf("%s: got %+v, want head's with %q", role, s.run.Failures, text)
		}
	}
	check("lacks", "opening a WebSocket at /ws: the service refused to open a WebSocket: status 404, expected 101")
	check("mute", "message: connection closed without a close frame before an answer")
}

// checkMemoryAtFixedRate wants no reading of memory in the closed loop, which is much longer here than the fixed
// rate: there a faster variant gets more requests, and so more state.
func checkMemoryAtFixedRate(t *testing.T, s *session) {
	t.Helper()
	open := 2 * s.run.Plan.Window.Open // both variants' slices
	most := int(open/memoryEvery) + 3
	for _, tr := range s.run.Trials {
		if n := len(tr.Memory.Curve); n == 0 || n > most {
			t.Errorf("%s %s round %d: memory was read %d times in some %v, at most every %v", tr.Variant, tr.Workload, tr.Round, n, open, memoryEvery)
		}
	}
}

// What a variant does not do is its own failure, with a step and its last lines; the others go on.
func TestFailuresAreRecorded(t *testing.T) {
	check := func(role, step, text string) {
		t.Helper()
		s := built(t, map[plan.Variant]string{base: "sound", head: role})
		if err := walkOn(t, s, rounds(s, 1)); err != nil {
			t.Fatal(err)
		}
		if len(s.run.Failures) != 1 || s.run.Failures[0].Variant != head {
			t.Fatalf("%s: got failures %+v, want head's", role, s.run.Failures)
		}
		f := s.run.Failures[0]
		if f.Step != step || !strings.Contains(f.Error, text) {
			t.Errorf("%s: got %s: %s, want %s: …%s…", role, f.Step, f.Error, step, text)
		}
		if !s.headFailed() {
			t.Errorf("%s: head has not failed", role)
		}
		for _, line := range f.LogTail {
			if strings.Contains(line, "::error") {
				t.Errorf("%s: the tail holds a workflow command: %q", role, line)
			}
		}
	}
	check("dies", "parity", "exit status 9")
	check("flaky", "measuring", "answers were bad")
}

// A base that lacks what one workload asks for is left out there, and judged in the others.
func TestBaseLacksARoute(t *testing.T) {
	s := built(t, map[plan.Variant]string{base: "lacks", head: "sound"})
	if err := walkOn(t, s, rounds(s, 1)); err != nil {
		t.Fatal(err)
	}
	if len(s.run.Failures) > 0 || !strings.Contains(strings.Join(s.run.Warnings, "; "), "go@base is left out of hello") {
		t.Errorf("failures %+v, warnings %q: want a warning alone", s.run.Failures, s.run.Warnings)
	}
	measured := map[string]bool{}
	for _, tr := range s.run.Trials {
		measured[tr.Variant.String()+" "+tr.Workload] = true
	}
	if want := map[string]bool{"go@head hello": true, "go@base up": true, "go@head up": true}; !maps.Equal(measured, want) {
		t.Errorf("measured %v, want %v", measured, want)
	}
}

// A binary that is not the one that was built ends the run: whose doing it was cannot be told.
func TestChangedBinaryEndsTheRun(t *testing.T) {
	s := built(t, map[plan.Variant]string{base: "sound", head: "sound"})
	if err := walkOn(t, s, rounds(s, 1)); err != nil {
		t.Fatal(err)
	}
	trials := len(s.run.Trials)
	f, err := os.OpenFile(s.binaries[base].Binary, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("poison"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	err = walkOn(t, s, rounds(s, 3))
	if err == nil || !strings.Contains(err.Error(), "changed after it was built") {
		t.Errorf("got %v, want an error that says that the binary was changed", err)
	}
	if len(s.run.Trials) != trials || len(s.run.Failures) > 0 {
		t.Errorf("got %d new trials and failures %+v, want none", len(s.run.Trials)-trials, s.run.Failures)
	}
}

// Cancelled at any moment: no trial of the round is kept, no process is left.
func TestCancelEndsARound(t *testing.T) {
	s := built(t, map[plan.Variant]string{base: "sound", head: "sound"})
	if err := walkOn(t, s, rounds(s, 1)); err != nil {
		t.Fatal(err)
	}
	trials := len(s.run.Trials)
	for _, after := range []time.Duration{0, 5 * time.Millisecond, 50 * time.Millisecond, 200 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		began := time.Now()
		err := s.round(ctx, plan.Next(s.run.Plan, s.progress))
		cancel()
		if took := time.Since(began); took > after+5*time.Second {
			t.Errorf("cancelled after %v: it took %v", after, took)
		}
		if !errors.Is(err, context.DeadlineExceeded) && err != nil {
			t.Errorf("cancelled after %v: got %v", after, err)
		}
		if err != nil && len(s.run.Trials) != trials {
			t.Errorf("cancelled after %v: a trial was kept", after)
		}
		trials = len(s.run.Trials)
		for variant, box := range s.boxes {
			if left, err := box.Processes(); err != nil || len(left) > 0 {
				t.Errorf("cancelled after %v: %s has processes %v, %v", after, variant, left, err)
			}
		}
		if s.fatal != nil || len(s.run.Failures) > 0 {
			t.Errorf("cancelled after %v: %v, failures %+v", after, s.fatal, s.run.Failures)
		}
	}
}

// What a service spends between its slices is not "other processes".
func TestOwnWorkDropsNoBlock(t *testing.T) {
	s := built(t, map[plan.Variant]string{base: "sound", head: "busy"})
	s.run.Plan.Workloads = s.run.Plan.Workloads[:1]
	s.run.Plan.Workloads[0].Rate = workload.Rate{PerSecond: 500}
	w := s.run.Plan.Workloads[0]
	s.rates[w.Name] = 500
	turns := map[plan.Variant]*turn{}
	for _, v := range []plan.Variant{base, head} {
		turns[v] = s.begin(t.Context(), plan.Step{}, w, v)
		defer turns[v].stop(s)
		if why := turns[v].trial.Invalid; why != "" {
			t.Fatal(why)
		}
	}
	spent(turns)
	time.Sleep(200 * time.Millisecond) // the service works, and nobody asks it
	if got := spent(turns); got < 50*time.Millisecond {
		t.Errorf("head worked for 200 ms between slices: got %v of CPU", got)
	}
}

func TestLockAndSweep(t *testing.T) {
	dir := t.TempDir()
	alive, letGo, err := makeWork(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer letGo()
	old := time.Now().Add(-time.Hour)
	make := func(name string, fill func(string) error) string {
		path := filepath.Join(dir, workPrefix+name)
		if err := errors.Join(os.Mkdir(path, 0o700), fill(path)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	killed := make("killed", func(p string) error { return os.WriteFile(filepath.Join(p, lockName), nil, 0o600) })
	unlocked := make("unlocked", func(p string) error {
		return errors.Join(os.Mkdir(filepath.Join(p, "cache"), 0o700), os.WriteFile(filepath.Join(p, "cache", "x"), nil, 0o400), os.Chmod(filepath.Join(p, "cache"), 0o500))
	})
	young := make("young", func(string) error { return nil })
	piped := make("piped", func(p string) error { return mkfifo(filepath.Join(p, lockName)) })
	target := make("target", func(string) error { return nil })
	link := filepath.Join(dir, workPrefix+"link")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{alive, killed, unlocked, piped} {
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	sweepWork(dir) // and does not hang at the pipe
	var left []string
	for _, path := range []string{alive, killed, unlocked, young, piped, target, link} {
		if _, err := os.Lstat(path); err == nil {
			left = append(left, path)
		}
	}
	if want := []string{alive, young, target, link}; !slices.Equal(left, want) {
		t.Errorf("left after the sweep: %v, want %v", left, want)
	}
	if err := letGo(); err != nil {
		t.Error(err)
	}
	sweepWork(dir)
	if _, err := os.Lstat(alive); err == nil {
		t.Error("a folder that was let go is not swept")
	}
}

func mkfifo(path string) error { return unix.Mkfifo(path, 0o600) }
