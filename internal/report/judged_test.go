package report

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// measured is a run of the default pair with rounds, in which Go's requests cost 30 % more CPU at head and Rust
// is the same program at both sides.
func measured() result.Run {
	run := newRun()
	run.Trials = nil
	random := rand.New(rand.NewPCG(1, 2))
	for i := range run.Builds {
		run.Builds[i].IdenticalToBase = run.Builds[i].Variant == v("rust", plan.Head)
	}
	for _, w := range run.Plan.Workloads {
		for _, phase := range []plan.Phase{plan.Screen, plan.Confirm} {
			for round := 1; round <= 7; round++ {
				for _, variant := range []plan.Variant{v("go", plan.Base), v("go", plan.Head), v("rust", plan.Head)} {
					run.Trials = append(run.Trials, trialOf(random, variant, w.Name, phase, round))
				}
			}
		}
	}
	for _, w := range run.Plan.Workloads {
		run.Rows = append(run.Rows, plan.Row{Service: "go", Workload: w.Name, Metric: "cpu_per_request", State: plan.RowSuspect})
	}
	return run
}

func trialOf(random *rand.Rand, variant plan.Variant, w string, phase plan.Phase, round int) result.Trial {
	t := newTrial(variant, w)
	t.Phase, t.Round = phase, round
	noise := 1 + 0.002*random.NormFloat64()
	t.Open.CPUSeconds *= noise
	if variant == v("go", plan.Head) {
		t.Open.CPUSeconds *= 1.3
	}
	perRequest := t.Open.CPUSeconds / float64(t.Open.Requests)
	for range 100 {
		d := time.Duration(float64(400*time.Microsecond) * noise * (1 + random.ExpFloat64()/5))
		t.Open.Latency.Record(d)
	}
	t.Closed = result.Stage{Requests: int64(9000 * noise), Seconds: 1, CPUSeconds: perRequest * math.Trunc(9000*noise), Slices: 50}
	t.Memory.PeakRSS = int64(float64(t.Memory.PeakRSS) * noise)
	t.Memory.PeakPSSAnon = int64(float64(t.Memory.PeakPSSAnon) * noise)
	return t
}

// The report of what compare really says of a run: the judge's words and the layout fit together.
func TestReportOfTheJudge(t *testing.T) {
	run := measured()
	r := New(run, compare.Run(run), Options{})
	markdown := Markdown(r)
	for _, want := range []string{"### Duet: ❌ Go regressed, ✅ Rust identical\n", "is the worst of 2 regressions: please read.", "| 0.31 (", "µs<br>identical |"} {
		if !strings.Contains(markdown, want) {
			t.Errorf("no %q in:\n%s", want, markdown)
		}
	}
	if faults := render(markdown).faults; len(faults) > 0 {
		t.Errorf("%q", faults)
	}
}
