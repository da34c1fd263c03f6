package result

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/workload"
)

// shared is a whole plan of five workloads.
func shared() plan.Plan {
	p := plan.Plan{
		Schema: plan.Schema, Head: plan.Commit{SHA: "1111111"}, Base: &plan.Commit{SHA: "2222222"}, Changed: []string{"main.go"},
		Services: map[plan.Variant]plan.Service{}, Order: []string{"go", "rust"}, Pairs: []plan.Pair{{Name: "default", Go: "go", Rust: "rust"}},
		Margins: map[string]float64{}, Ignore: []string{}, Rounds: plan.Rounds{Looks: []int{7}, Confirm: 7}, Seed: 1,
		Window: plan.Window{Trial: 2, Open: 1, Closed: 1, Slice: 2},
	}
	for _, name := range p.Order {
		for _, side := range []plan.Side{plan.Base, plan.Head} {
			p.Services[plan.Variant{Service: name, Side: side}] = plan.Service{Name: name, Lang: plan.Lang(name)}
		}
	}
	for _, name := range []string{"e", "a", "c", "b", "d"} {
		p.Workloads = append(p.Workloads, workload.Workload{Name: name, Connections: 1, Requests: []workload.Request{}})
	}
	return p
}

// shardRun is what one machine leaves of a shard.
func shardRun(p plan.Plan) Run {
	i := p.Shard.Index
	r := Run{
		Schema: Schema, Duet: "v1", State: Measured, Started: fmt.Sprintf("2026-01-02T03:04:%02dZ", 10-i), Seconds: float64(100 * i), Attempt: i, Plan: p,
		Machine:  Machine{OS: "linux", CPU: fmt.Sprintf("CPU %d", i), Cores: 2, Toolchains: map[string]string{"go": "go1.26.8"}},
		Parity:   &ParityResult{Requests: 10 * i, Differences: []Difference{}},
		Warnings: []string{"all say this", fmt.Sprintf("%d says this", i)}, Durations: []StepDuration{{Step: "build", Seconds: 1}, {Step: "round", Seconds: float64(i)}},
		// "own" is in each table, at another place.
		Names: slices.Insert([]string{"main.go", fmt.Sprintf("f%d", i)}, i%3, "own"),
	}
	name := func(text string) Name { return Name(slices.Index(r.Names, text) + 1) }
	for _, v := range []plan.Variant{{Service: "go", Side: plan.Base}, {Service: "go", Side: plan.Head}} {
		r.Builds = append(r.Builds, Build{Variant: v, CleanSeconds: float64(i), BinaryBytes: 1000})
		for _, w := range p.Workloads {
			r.Trials = append(r.Trials, Trial{Variant: v, Workload: w.Name, Phase: plan.Screen, Round: 1, ColdStart: float64(i)})
			r.Costs = append(r.Costs, Cost{Variant: v, Workload: w.Name, Phase: plan.Screen, Round: 1, Functions: []FunctionCost{
				{Function: name("own"), File: name("main.go"), Caller: name(fmt.Sprintf("f%d", i)), Instructions: int64(i)}},
				Lines: []LineCost{{File: name("main.go"), Function: name("own")}}})
			r.Profiles = append(r.Profiles, Profile{Variant: v, Workload: w.Name, Kind: ProfileCPU, Functions: []SampledFunction{{Function: name("own")}}})
			r.GoRuntimes = append(r.GoRuntimes, GoRuntime{Variant: v, Workload: w.Name})
			r.Rows = append(r.Rows, plan.Row{Service: "go", Workload: w.Name, Metric: "p50", State: plan.RowDecided})
		}
	}
	for _, w := range p.Workloads {
		r.Rates = append(r.Rates, OfferedRate{Workload: w.Name, PerSecond: float64(i)})
	}
	return r
}

// shardFiles are all of a plan's, with changes made to their runs.
func shardFiles(t testing.TB, p plan.Plan, count int, change func(index int, r *Run)) []File {
	t.Helper()
	shards, err := p.Split(count)
	if err != nil {
		t.Fatal(err)
	}
	var files []File
	for i, s := range shards {
		r := shardRun(s)
		if change != nil {
			change(i+1, &r)
		}
		text, err := Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, File{Name: fmt.Sprintf("%d.json", i+1), Text: text})
	}
	return files
}

func merged(t *testing.T, files []File) Run {
	t.Helper()
	r, err := Merge(files)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Each workload's figures are its machine's; what is said of the whole is the first shard's or all shards', and no figure is
// pooled.
func TestMerge(t *testing.T) {
	p := shared()
	r := merged(t, shardFiles(t, p, 3, nil))
	if r.Plan.Digest() != p.Digest() || r.Plan.Shard != nil || r.State != Measured || len(r.Unfinished()) != 0 {
		t.Fatalf("got state %s, shard %v, plan %s", r.State, r.Plan.Shard, r.Plan.Digest())
	}
	if len(r.Shards) != 3 || len(r.Trials) != 10 || len(r.Costs) != 10 || len(r.Profiles) != 10 || len(r.GoRuntimes) != 10 || len(r.Rates) != 5 || len(r.Rows) != 10 {
		t.Fatalf("got %d shards, %d trials, %d costs, %d rates, %d rows", len(r.Shards), len(r.Trials), len(r.Costs), len(r.Rates), len(r.Rows))
	}
	for _, trial := range r.Trials {
		s := r.ShardOf(trial.Workload)
		if float64(s.Index) != trial.ColdStart || r.MachineOf(trial.Workload).CPU != fmt.Sprintf("CPU %d", s.Index) {
			t.Errorf("%s: a trial of shard %g stands in shard %s on %s", trial.Workload, trial.ColdStart, s.Name(), r.MachineOf(trial.Workload).CPU)
		}
	}
	for _, c := range r.Costs {
		f, l := c.Functions[0], c.Lines[0]
		if got, want := r.Name(f.Function)+" "+r.Name(f.File)+" "+r.Name(f.Caller)+" "+r.Name(l.File)+" "+r.Name(l.Function), fmt.Sprintf("own main.go f%d main.go own", f.Instructions); got != want {
			t.Errorf("%s: got names %q, want %q", c.Workload, got, want)
		}
	}
	for _, profile := range r.Profiles {
		if got := r.Name(profile.Functions[0].Function); got != "own" {
			t.Errorf("%s: a profile's function is %q", profile.Workload, got)
		}
	}
	if r.Machine.CPU != "CPU 1" || r.MachineOf("").CPU != "CPU 1" || r.Builds[0].CleanSeconds != 1 || r.Attempt != 3 || r.Seconds != 300 || r.Started != "2026-01-02T03:04:07Z" || r.Parity.Requests != 60 {
		t.Errorf("got machine %q, build %g s, attempt %d, %g s from %s, %d requests compared", r.Machine.CPU, r.Builds[0].CleanSeconds, r.Attempt, r.Seconds, r.Started, r.Parity.Requests)
	}
	want := []string{"all say this", "shard 1/3: 1 says this", "shard 2/3: 2 says this", "shard 3/3: 3 says this"}
	if diff := cmp.Diff(want, r.Warnings); diff != "" {
		t.Errorf("warnings: %s", diff)
	}
	if diff := cmp.Diff([]StepDuration{{"build", 3}, {"round", 6}}, r.Durations); diff != "" {
		t.Errorf("durations: %s", diff)
	}
	text, err := Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	read, err := Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Encode(read); err != nil || !bytes.Equal(text, again) {
		t.Errorf("a merged run differs after a journey: %v", err)
	}
}

// The parts of a merged run are the runs that it was made of, as far as anybody judges them.
func TestPartsAreTheRuns(t *testing.T) {
	files := shardFiles(t, shared(), 3, nil)
	for i, part := range merged(t, files).Parts() {
		run, err := Decode(files[i].Text)
		if err != nil {
			t.Fatal(err)
		}
		for what, pair := range map[string][2]any{
			"workloads": {run.Plan.Workloads, part.Plan.Workloads}, "trials": {run.Trials, part.Trials}, "builds": {run.Builds, part.Builds},
			"machine": {run.Machine, part.Machine}, "rates": {run.Rates, part.Rates}, "parity": {run.Parity, part.Parity},
		} {
			got, err := json.Marshal(pair[1])
			want, err2 := json.Marshal(pair[0])
			if err != nil || err2 != nil || !bytes.Equal(got, want) {
				t.Errorf("part %d: %s: got %s, %v, want %s", i+1, what, got, err, want)
			}
		}
		if len(part.Costs) != len(run.Costs) {
			t.Errorf("part %d: %d costs, want %d", i+1, len(part.Costs), len(run.Costs))
		}
	}
	run := Run{Schema: Schema, State: Measured}
	if parts := run.Parts(); len(parts) != 1 || !reflect.DeepEqual(parts[0], run) {
		t.Errorf("a run of one machine: parts %+v", parts)
	}
}

// Whatever order files come in, and however often one comes, the merged run has the same bytes.
func TestMergeKnowsNoOrder(t *testing.T) {
	files := shardFiles(t, shared(), 4, func(i int, r *Run) {
		if i == 2 {
			r.State = Cancelled
		}
	})
	want, err := Encode(merged(t, files[:3]))
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(5, 6))
	for range 20 {
		some := slices.Concat(files[:3], []File{{Name: "again.json", Text: files[rng.IntN(3)].Text}})
		rng.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
		got, err := Encode(merged(t, some))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("%v gave other bytes", some)
		}
	}
}

// A shard that is not there, was cancelled or could not measure is said, and nothing of it counts.
func TestMergeSaysWhatIsMissing(t *testing.T) {
	head := plan.Variant{Service: "go", Side: plan.Head}
	failed := func(r *Run, step string) {
		r.State, r.Failures = NotMeasured, []Failure{{Variant: head, Step: step, Error: "exit status 1"}}
	}
	for what, c := range map[string]struct {
		change func(i int, r *Run) // of 3 shards
		drop   int                 // shards that are not there, from the end
		state  State
		want   []string // what is unfinished
		first  string   // the shard whose builds stand
		broken int      // failures of the whole
	}{
		"all there":                  {nil, 0, Measured, nil, "1/3", 0},
		"one missing":                {nil, 1, Measured, []string{"shard 3 of 3 is missing"}, "1/3", 0},
		"two missing":                {nil, 2, Measured, []string{"shard 2 of 3 is missing", "shard 3 of 3 is missing"}, "1/3", 0},
		"the first cancelled":        {func(i int, r *Run) { r.State = map[bool]State{true: Cancelled, false: Measured}[i == 1] }, 0, Measured, []string{"shard 1 of 3 was cancelled"}, "2/3", 0},
		"all cancelled, one missing": {func(_ int, r *Run) { r.State = Cancelled }, 1, Cancelled, []string{"shard 1 of 3 was cancelled", "shard 2 of 3 was cancelled", "shard 3 of 3 is missing"}, "1/3", 0},
		"a full disk": {func(i int, r *Run) {
			if i == 2 {
				r.State, r.Error = NotMeasured, "no space left"
			}
		}, 0, Measured, []string{"shard 2 of 3 could not measure: no space left"}, "1/3", 0},
		"head crashes in one": {func(i int, r *Run) {
			if i == 2 {
				failed(r, "measuring a")
			}
		}, 0, Measured, []string{"shard 2 of 3 could not measure go@head: measuring a: exit status 1"}, "1/3", 0},
		"head builds nowhere": {func(_ int, r *Run) { failed(r, "building") }, 1, NotMeasured,
			[]string{"shard 1 of 3 could not measure go@head: building: exit status 1", "shard 2 of 3 could not measure go@head: building: exit status 1", "shard 3 of 3 is missing"}, "1/3", 1},
		"nothing changed": {func(_ int, r *Run) { r.State = NothingChanged }, 0, NothingChanged, nil, "1/3", 0},
	} {
		files := shardFiles(t, shared(), 3, c.change)
		r := merged(t, files[:3-c.drop])
		if r.State != c.state || !slices.Equal(r.Unfinished(), c.want) || r.ShardOf("").Name() != c.first || len(r.Failures) != c.broken {
			t.Errorf("%s: got %s, %q, builds of %s, failures %v", what, r.State, r.Unfinished(), r.ShardOf("").Name(), r.Failures)
		}
		for i, part := range r.Parts() {
			for _, w := range part.Plan.Workloads {
				if gone := r.Shards[i].Gone(); part.Stopped[w.Name] != gone {
					t.Errorf("%s: %s of shard %d is stopped by %q, want %q", what, w.Name, i+1, part.Stopped[w.Name], gone)
				}
			}
		}
	}
}

// Files that do not belong together are refused, with both values and both names.
func TestMergeRefuses(t *testing.T) {
	whole := shared()
	other := func(change func(*plan.Plan)) []File {
		p := shared()
		change(&p)
		return shardFiles(t, p, 3, nil)
	}
	good := shardFiles(t, whole, 3, nil)
	in := func(index int, old, new string) File {
		text := strings.ReplaceAll(string(good[index-1].Text), old, new)
		if text == string(good[index-1].Text) {
			t.Fatalf("%q is not in shard %d", old, index)
		}
		return File{Name: "spoilt.json", Text: []byte(text)}
	}
	for what, c := range map[string]struct {
		files []File
		want  []string
	}{
		"none":              {nil, []string{"at least one"}},
		"no run":            {[]File{good[0], {Name: "x.json", Text: []byte("{}")}}, []string{"x.json", "schema"}},
		"another schema":    {[]File{good[0], in(2, Schema, "duet.run/9")}, []string{"spoilt.json", "duet.run/9", Schema}},
		"no shard's":        {[]File{good[0], {Name: "x.json", Text: encoded(t, Run{Schema: Schema})}}, []string{"x.json is no shard's"}},
		"merged already":    {[]File{{Name: "x.json", Text: encoded(t, merged(t, good))}}, []string{"x.json is no shard's"}},
		"another Duet":      {[]File{good[0], in(2, `"duet": "v1"`, `"duet": "v2"`)}, []string{"1.json and spoilt.json", "version", `"v1"`, `"v2"`}},
		"another head":      {[]File{good[0], other(func(p *plan.Plan) { p.Head.SHA = "3333333" })[1]}, []string{"1.json and 2.json", "head", "1111111", "3333333"}},
		"another base":      {[]File{good[0], other(func(p *plan.Plan) { p.Base = &plan.Commit{SHA: "3333333"} })[1]}, []string{"base", "2222222", "3333333"}},
		"no base":           {[]File{good[0], other(func(p *plan.Plan) { p.Base = nil })[1]}, []string{"base", "2222222", "none"}},
		"another seed":      {[]File{good[0], other(func(p *plan.Plan) { p.Seed = 7 })[1]}, []string{"seed", `"1"`, `"7"`}},
		"other margins":     {[]File{good[0], other(func(p *plan.Plan) { p.Margins["p50"] = 0.5 })[1]}, []string{"1.json and 2.json", "the plan it names"}},
		"other shards":      {[]File{good[0], shardFiles(t, whole, 4, nil)[1]}, []string{"number of shards", `"3"`, `"4"`}},
		"a plan that lies":  {[]File{in(1, whole.Digest(), strings.Repeat("0", 64))}, []string{"spoilt.json says", "0000000000000000", whole.Digest()[:16]}},
		"margins that lie":  {[]File{good[0], in(2, `"margins": {}`, `"margins": {"p50": 0.5}`)}, []string{"1.json and spoilt.json", "the plan is"}},
		"one shard twice":   {[]File{good[0], good[1], in(2, "CPU 2", "CPU 7")}, []string{"2.json and spoilt.json are both shard 2/3"}},
		"another's work":    {[]File{swapped(t, whole), good[2]}, []string{"swapped.json and 3.json", "workload", "shard 1's", "shard 2's"}},
		"an impossible one": {[]File{in(1, `"index": 1`, `"index": 9`)}, []string{"spoilt.json", "shard 9/3"}},
	} {
		_, err := Merge(c.files)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %q", what, err, want)
			}
		}
	}
}

func encoded(t *testing.T, r Run) []byte {
	t.Helper()
	text, err := Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// swapped says that it is shard 1 and has the workloads of shard 2.
func swapped(t *testing.T, p plan.Plan) File {
	t.Helper()
	shards, err := p.Split(3)
	if err != nil {
		t.Fatal(err)
	}
	s := shards[1]
	part := *s.Shard
	part.Index = 1
	for i := range part.Elsewhere {
		if part.Elsewhere[i].Shard == 1 {
			part.Elsewhere[i].Shard = 2
		}
	}
	s.Shard = &part
	return File{Name: "swapped.json", Text: encoded(t, shardRun(s))}
}

// Whatever two files hold, merging them ends, and what comes out can be read.
func FuzzMerge(f *testing.F) {
	files := shardFiles(f, shared(), 2, nil)
	f.Add(files[0].Text, files[1].Text)
	f.Add(files[1].Text, files[1].Text)
	f.Add(files[0].Text, []byte("{}"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		run, err := Merge([]File{{Name: "a", Text: a}, {Name: "b", Text: b}})
		if err != nil {
			return
		}
		text, err := Encode(run)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Decode(text); err != nil {
			t.Errorf("merged and cannot be read: %v", err)
		}
	})
}

// Where machines built the same commits in different ways, it is said.
func TestMergeSaysWhereBuildsDiffer(t *testing.T) {
	r := merged(t, shardFiles(t, shared(), 3, func(i int, r *Run) {
		if i == 2 {
			r.Machine.Toolchains = map[string]string{"go": "go1.26.9"}
		}
		if i == 3 {
			r.Builds[1].IdenticalToBase = true
		}
	}))
	text := strings.Join(r.Warnings, "\n")
	for _, want := range []string{"shard 1/3 was built with go1.26.8, shard 2/3 with go1.26.9", "go is the same program at both sides in one of shard 1/3 and shard 3/3"} {
		if !strings.Contains(text, want) {
			t.Errorf("warnings %q, want %q", r.Warnings, want)
		}
	}
}

// A table of names that would be too long leaves functions out, whole windows of them, and says so.
func TestMergeKeepsNamesBounded(t *testing.T) {
	files := shardFiles(t, shared(), 3, func(i int, r *Run) {
		for n := range MaxNames - len(r.Names) {
			r.Names = append(r.Names, fmt.Sprintf("%d of %d", n, i))
		}
		for c := range r.Costs {
			for n := range MaxFunctions - 1 {
				r.Costs[c].Functions = append(r.Costs[c].Functions, FunctionCost{Function: Name(4 + (c*MaxFunctions+n)%(MaxNames-4))})
			}
		}
	})
	r := merged(t, files)
	if len(r.Names) > MaxNames {
		t.Errorf("%d names", len(r.Names))
	}
	if _, err := Decode(encoded(t, r)); err != nil {
		t.Error(err)
	}
}

// A merged run whose shards are not its plan's is refused.
func TestDecodeRefusesShards(t *testing.T) {
	text := string(encoded(t, merged(t, shardFiles(t, shared(), 3, nil))))
	for what, c := range map[string]struct{ old, new, want string }{
		"an index twice":         {"\"index\": 2,\n   \"count\": 3", "\"index\": 1,\n   \"count\": 3", "expected shard 2/3"},
		"a workload of nobody's": {"\"workloads\": [\n    \"a\"", "\"workloads\": [\n    \"x\"", "is not the plan's"},
		"a workload twice":       {"\"workloads\": [\n    \"a\"", "\"workloads\": [\n    \"b\"", "another shard's too"},
	} {
		spoilt := strings.Replace(text, c.old, c.new, 1)
		if spoilt == text {
			t.Errorf("%s: %q is not there", what, c.old)
			continue
		}
		if _, err := Decode([]byte(spoilt)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", what, err, c.want)
		}
	}
}
