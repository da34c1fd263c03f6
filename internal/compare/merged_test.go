package compare_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/workload"
)

// apiece are the worlds in which a plan's shards are measured: each has a speed, a noise and a seed of its own.
func apiece(t *testing.T, seed uint64, noise float64, workloads ...string) []*world {
	t.Helper()
	whole := newWorld(seed, noise, workloads...).run.Plan
	for i := range whole.Workloads {
		whole.Workloads[i].Requests = []workload.Request{}
	}
	shards, err := whole.Split(len(workloads))
	if err != nil {
		t.Fatal(err)
	}
	var all []*world
	for i, s := range shards {
		w := newWorld(seed*100+uint64(i)+1, noise*(1+float64(i)/2))
		w.run.Plan, w.run.Duet, w.run.Machine = s, "v1", result.Machine{OS: "linux", CPU: fmt.Sprintf("CPU %d", i+1)}
		speed := float64(i) * 0.7 // the slowest machine takes four times as long
		w.shift = func(plan.Variant, string, string) float64 { return speed }
		all = append(all, w)
	}
	return all
}

// mergedRun is what the machines left, merged; a machine that is nil left nothing.
func mergedRun(t *testing.T, all []*world) result.Run {
	t.Helper()
	var files []result.File
	for i, w := range all {
		if w == nil {
			continue
		}
		text, err := result.Encode(w.run)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, result.File{Name: fmt.Sprint(i + 1), Text: text})
	}
	run, err := result.Merge(files)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// together is the same without a journey through JSON, which takes most of the time.
func together(all []*world) result.Run {
	run := result.Run{Schema: result.Schema, Duet: "v1", State: result.Measured}
	for _, w := range all {
		run.Plan, _ = w.run.Plan.Whole()
		s := result.Shard{Index: w.run.Plan.Shard.Index, Count: len(all), State: result.Measured, Builds: w.run.Builds, Parity: w.run.Parity, Machine: &w.run.Machine}
		for _, wl := range w.run.Plan.Workloads {
			s.Workloads = append(s.Workloads, wl.Name)
		}
		run.Shards, run.Trials = append(run.Shards, s), append(run.Trials, w.run.Trials...)
	}
	run.Machine, run.Builds = all[0].run.Machine, all[0].run.Builds
	return run
}

func moved(c compare.Comparisons) (rows []string) {
	for _, r := range c.Rows {
		if r.Verdict == compare.Regressed || r.Verdict == compare.Improved {
			rows = append(rows, strings.Join([]string{r.Service, r.Workload, r.Metric, r.Verdict.String()}, " "))
		}
	}
	return rows
}

// Three machines, no change: a merged report says that something moved no more often than the family-wise error allows, and
// never of a row of which its own shard's report does not say it. All margins are zero, which no plan of a user's has, so
// that every row is a suspect and all of the error is spent: the three shards' own reports are wrong up to three times as often.
func TestMergedReportsKeepTheError(t *testing.T) {
	t.Parallel()
	const reports = 100
	wrong, alone, rows := 0, 0, 0
	for seed := range uint64(reports) {
		all := apiece(t, seed+1, 0.01, "a", "b", "c")
		var shards []string
		for _, w := range all {
			for _, m := range result.Metrics() {
				w.run.Plan.Margins[m.Name] = 0
			}
			shards = append(shards, moved(w.measure())...)
		}
		c := compare.Run(together(all))
		rows = max(rows, len(c.Rows))
		if len(shards) > 0 {
			alone++
		}
		if len(moved(c)) > 0 {
			wrong++
		}
		for _, row := range moved(c) {
			if !slices.Contains(shards, row) {
				t.Errorf("seed %d: %s in the merged report alone", seed+1, row)
			}
		}
	}
	t.Logf("three shards, %d rows, all of them suspects: %d of %d merged reports are wrong, and one of the three alone in %d", rows, wrong, reports, alone)
	if wrong > 5 { // 1 % of 100 is 1; 6 or more would be seen once in 1,900 times
		t.Errorf("%d of %d merged reports are wrong", wrong, reports)
	}
	if alone <= wrong {
		t.Errorf("%d reports of shards are wrong: the check sees nothing", alone)
	}
}

// With the usual margins nothing is found where nothing changed, and what was planted is.
func TestMergedReportsFind(t *testing.T) {
	t.Parallel()
	const reports = 32
	wrong, found := 0, 0
	for seed := range uint64(reports) {
		all := apiece(t, seed+1, 0.01, "a", "b", "c")
		for _, w := range all {
			w.measure()
		}
		wrong += len(moved(compare.Run(mergedRun(t, all))))
	}
	for seed := range uint64(reports / 4) {
		all := apiece(t, seed+1, 0.01, "a", "b", "c")
		var alone []string
		for i, w := range all {
			if speed := w.shift; i == 1 {
				planted := plant("go", "cpu_per_request", 0.08)
				w.shift = func(v plan.Variant, workload, metric string) float64 {
					return speed(v, workload, metric) + planted(v, workload, metric)
				}
			}
			alone = append(alone, moved(w.measure())...)
		}
		c := compare.Run(mergedRun(t, all))
		for _, row := range moved(c) {
			if !slices.Contains(alone, row) {
				t.Errorf("planted, seed %d: %s in the merged report alone", seed+1, row)
			}
		}
		if c.Services["go"].Verdict == compare.Regressed && c.Worst != nil && c.Worst.Metric == "cpu_per_request" {
			found++
		}
	}
	t.Logf("three shards: %d false rows in %d reports; +8 %% found in %d of %d", wrong, reports, found, reports/4)
	if wrong > 2 { // 1 % of 32 is 0.3; 3 or more would be seen once in 260 times
		t.Errorf("%d false rows in %d merged reports", wrong, reports)
	}
	if found < reports/4-3 {
		t.Errorf("+8 %% was found in %d of %d merged reports", found, reports/4)
	}
}

// Where a row stands after a look is its own machine's to say: merged, it stands where it stood.
func TestMergedRowsSettleAsTheyDid(t *testing.T) {
	all := apiece(t, 5, 0.02, "a", "b", "c")
	var want []plan.Row
	for _, w := range all {
		w.measure()
		want = append(want, compare.Settle(&w.run)...)
	}
	run := mergedRun(t, all)
	got := compare.Settle(&run)
	if len(got) != len(want) || len(got) == 0 {
		t.Fatalf("%d rows, want %d", len(got), len(want))
	}
	for _, row := range want {
		if !slices.Contains(got, row) {
			t.Errorf("%+v is not among the merged run's", row)
		}
	}
}

// The rows of a machine are judged as its own report judges them, but for the level; nothing of another machine's reaches them.
func TestMergedRowsAreTheirMachines(t *testing.T) {
	all := apiece(t, 9, 0.01, "a", "b", "c")
	want := map[string]compare.Comparison{}
	for _, w := range all {
		for _, row := range w.measure().Rows {
			want[row.Service+row.Workload+row.Metric] = row
		}
	}
	for _, row := range compare.Run(mergedRun(t, all)).Rows {
		alone := want[row.Service+row.Workload+row.Metric]
		if row.Base != alone.Base || row.Head != alone.Head || row.Ratio != alone.Ratio || row.Noise != alone.Noise || row.Rounds != alone.Rounds || row.Level < alone.Level {
			t.Errorf("%s %s %s: got %+v, want %+v", row.Service, row.Workload, row.Metric, row, alone)
		}
	}
}

// What is missing is not judged, never unchanged: a lost machine, a cancelled one, one that could not measure.
func TestMissingShardsAreNotJudged(t *testing.T) {
	for what, spoil := range map[string]func([]*world){
		"is missing":                           func(all []*world) { all[1] = nil },
		"was cancelled":                        func(all []*world) { all[1].run.State = result.Cancelled },
		"could not measure: no space left":     func(all []*world) { all[1].run.State, all[1].run.Error = result.NotMeasured, "no space left" },
		"nothing of the other machines at all": func(all []*world) { all[0], all[2] = nil, nil; all[1].run.State = result.Cancelled },
	} {
		all := apiece(t, 3, 0.004, "a", "b", "c")
		for _, w := range all {
			w.measure()
		}
		spoil(all)
		run := mergedRun(t, all)
		lost := run.Shards[1].Workloads[0]
		c := compare.Run(run)
		seen := 0
		for _, row := range c.Rows {
			if row.Workload != lost {
				continue
			}
			seen++
			if row.Verdict != compare.NotJudged || !strings.Contains(row.Why, "shard 2 of 3") {
				t.Errorf("%s: %s %s: %s, %q", what, row.Service, row.Metric, row.Verdict, row.Why)
			}
		}
		if seen == 0 {
			t.Errorf("%s: no rows of %s", what, lost)
		}
		for name, s := range c.Services {
			if s.Verdict != compare.Inconclusive && s.Verdict != compare.NotJudged {
				t.Errorf("%s: %s is %s", what, name, s.Verdict)
			}
		}
		for _, g := range c.Gaps {
			if g.Workload == lost {
				t.Errorf("%s: a gap under %s", what, lost)
			}
		}
		if len(run.Trials) > 0 && what != "nothing of the other machines at all" && (len(c.Gaps) == 0 || len(c.Withheld) > 0) {
			t.Errorf("%s: %d gaps, withheld %v: the other machines have theirs", what, len(c.Gaps), c.Withheld)
		}
	}
}

// What broke on one machine is said there, and the other machines' rows are judged; what broke on all is a fact of the commit.
func TestFailuresStayOnTheirMachine(t *testing.T) {
	head := plan.Variant{Service: "go", Side: plan.Head}
	broken := func(w *world) {
		w.run.State, w.run.Trials = result.NotMeasured, nil
		w.run.Failures = []result.Failure{{Variant: head, Step: "starting", Error: "exit status 1"}}
	}
	all := apiece(t, 3, 0.004, "a", "b", "c")
	for _, w := range all {
		w.measure()
	}
	broken(all[0])
	run := mergedRun(t, all)
	c := compare.Run(run)
	for _, row := range c.Rows {
		if row.Service != "go" || row.Workload == "" || row.Metric != "cpu_per_request" {
			continue
		}
		if there := run.ShardOf(row.Workload).Index == 1; there != (row.Verdict == compare.NotJudged) || there && row.Why != "does not start at head" {
			t.Errorf("%s: %s, %q", row.Workload, row.Verdict, row.Why)
		}
	}
	if v := c.Services["go"]; v.Verdict != compare.Inconclusive || len(c.Gaps) == 0 {
		t.Errorf("go is %s (%s), with %d gaps", v.Verdict, v.Why, len(c.Gaps))
	}
	broken(all[1])
	broken(all[2])
	c = compare.Run(mergedRun(t, all))
	if v := c.Services["go"]; v.Verdict != compare.NotJudged || v.Why != "does not start at head" {
		t.Errorf("broken everywhere: go is %s (%s)", v.Verdict, v.Why)
	}
}

// A service is the same program at both sides where each machine's builds say so; one machine's word counts for its own rows.
func TestIdenticalOnOneMachine(t *testing.T) {
	all := apiece(t, 3, 0.004, "a", "b", "c")
	all[0].identical("rust")
	for _, w := range all {
		w.measure()
	}
	run := mergedRun(t, all)
	c := compare.Run(run)
	for _, row := range c.Rows {
		if row.Service == "rust" && row.Workload != "" && row.Metric == "cpu_per_request" {
			if there := run.ShardOf(row.Workload).Index == 1; row.Identical != there || row.Verdict == compare.NotJudged {
				t.Errorf("%s: identical %v, %s (%s)", row.Workload, row.Identical, row.Verdict, row.Why)
			}
		}
	}
	if c.Services["rust"].Identical {
		t.Error("rust is identical by the word of one machine")
	}
	all[1].identical("rust")
	all[2].identical("rust")
	if c := compare.Run(mergedRun(t, all)); !c.Services["rust"].Identical {
		t.Errorf("identical on all machines: %+v", c.Services["rust"])
	}
}

// Answers that differ on one machine withhold the languages' comparison everywhere.
func TestParityOverMachines(t *testing.T) {
	all := apiece(t, 3, 0.004, "a", "b", "c")
	for _, w := range all {
		w.measure()
	}
	all[2].run.Parity = &result.ParityResult{Requests: 9, Total: 1, Differences: []result.Difference{{
		A: plan.Variant{Service: "go", Side: plan.Head}, B: plan.Variant{Service: "rust", Side: plan.Head}, Workload: all[2].run.Plan.Workloads[0].Name, Request: "GET /x", What: "body",
	}, {
		A: plan.Variant{Service: "go", Side: plan.Base}, B: plan.Variant{Service: "go", Side: plan.Head}, Workload: all[2].run.Plan.Workloads[0].Name, Request: "GET /x", What: "body",
	}}}
	all[2].run.Parity.Total = 2
	c := compare.Run(mergedRun(t, all))
	if !c.ParityBroke || !slices.Equal(c.Withheld, []string{"default"}) || len(c.Gaps) != 0 {
		t.Errorf("broke %v, withheld %v, %d gaps", c.ParityBroke, c.Withheld, len(c.Gaps))
	}
}

// Two workloads of different machines are never set against each other.
func TestNarrowingStaysOnOneMachine(t *testing.T) {
	all := apiece(t, 3, 0.004, "a", "b", "c")
	for _, w := range all {
		w.measure()
	}
	d := compare.Describe(mergedRun(t, all))
	m, _ := result.MetricByName("throughput")
	if q, p := d.Narrowing([]string{"rust"}, []string{"go"}, "a", "b", m); q.Why == "" || p.Why == "" {
		t.Errorf("got %+v and %+v", q, p)
	}
	for _, name := range []string{"a", "b", "c"} {
		if r := d.Between([]string{"rust"}, []string{"go"}, name, m); r.Why != "" || r.Ratio < 0.98 || r.Ratio > 1.02 {
			t.Errorf("%s: rust ÷ go: %+v", name, r)
		}
		if _, why := d.Median("go", name, m); why != "" {
			t.Errorf("%s: median: %s", name, why)
		}
	}
}
