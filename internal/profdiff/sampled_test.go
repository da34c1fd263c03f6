package profdiff

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/pprof/profile"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// stackOf is a sample's stack from the leaf, as the profiler of a language names it, and how often it was seen.
type stackOf struct {
	count, second int64
	frames        []string
}

// made is a profile of such stacks.
func made(kind result.ProfileKind, stacks ...stackOf) *profile.Profile {
	names := valueNames[kind]
	p := &profile.Profile{SampleType: []*profile.ValueType{{Type: names[0][0], Unit: "count"}}, PeriodType: &profile.ValueType{Type: "cpu", Unit: "nanoseconds"}, Period: 1e7}
	if names[1] != nil {
		p.SampleType = append(p.SampleType, &profile.ValueType{Type: names[1][0], Unit: "bytes"})
	}
	functions := map[string]*profile.Location{}
	for _, s := range stacks {
		sample := &profile.Sample{Value: []int64{s.count}}
		if names[1] != nil {
			sample.Value = append(sample.Value, s.second)
		}
		for _, name := range s.frames {
			if functions[name] == nil {
				id := uint64(len(functions) + 1)
				f := &profile.Function{ID: id, Name: name, Filename: "example.org/svc/core/" + name[len(name)-1:] + ".go"}
				if name[:5] != "examp" {
					f.Filename = "library.go"
				}
				p.Function = append(p.Function, f)
				functions[name] = &profile.Location{ID: id, Line: []profile.Line{{Function: f, Line: int64(10 + id)}}}
				p.Location = append(p.Location, functions[name])
			}
			sample.Location = append(sample.Location, functions[name])
		}
		p.Sample = append(p.Sample, sample)
	}
	return p
}

var svc = Source{Modules: map[string]string{"example.org/svc": "."}, Files: map[string]bool{"core/e.go": true, "core/p.go": true}}

const (
	serve, decode, lookup = "net/http.(*conn).serve", "example.org/svc/core.decode", "example.org/svc/core.lookup"
	move, collect         = "runtime.memmove", "runtime.gcBgMarkWorker"
)

func TestSampledGoesToTheNearestOwn(t *testing.T) {
	p := made(result.ProfileCPU,
		stackOf{count: 5, frames: []string{move, "encoding/json.Unmarshal", decode, lookup, serve}},
		stackOf{count: 3, frames: []string{lookup, serve}},
		stackOf{count: 2, frames: []string{collect}},
		stackOf{count: 4, frames: []string{"net.(*conn).Read", serve}},
	)
	got, sum, err := SampledOf(p, result.ProfileCPU, plan.Go, svc)
	if err != nil || sum[0] != 14 {
		t.Fatalf("sum %v, error %v; want 14", sum, err)
	}
	want := map[string][3]int64{ // nearest, self, cumulative
		"example.org/svc/core.decode": {5, 0, 5}, "example.org/svc/core.lookup": {3, 3, 8},
		"garbage collector": {2, 2, 2}, "net": {4, 4, 4}, "net/http": {0, 0, 12}, "Go's runtime": {0, 5, 5}, "encoding/json": {0, 0, 5},
	}
	for _, s := range got {
		if w := want[s.Name]; w != [3]int64{s.Nearest[0], s.Self[0], s.Cumulative[0]} {
			t.Errorf("%s: nearest %d, self %d, cumulative %d; want %v", s.Name, s.Nearest[0], s.Self[0], s.Cumulative[0], w)
		}
		delete(want, s.Name)
	}
	for name := range want {
		t.Errorf("%s is missing", name)
	}
	if got[0].File != "core/e.go" || !got[0].Own {
		t.Errorf("first is %+v; want decode in core/e.go", got[0])
	}
}

func TestEmptyProfile(t *testing.T) {
	if _, _, err := SampledOf(made(result.ProfileCPU), result.ProfileCPU, plan.Go, svc); !errors.Is(err, ErrEmptyProfile) {
		t.Errorf("got %v; want an empty profile", err)
	}
}

func TestWrongKind(t *testing.T) {
	if _, _, err := SampledOf(made(result.ProfileCPU, stackOf{count: 1, frames: []string{serve}}), result.ProfileMutex, plan.Go, svc); err == nil {
		t.Error("a CPU profile passed for one of contention")
	}
}

func TestGraph(t *testing.T) {
	base := Stacks{Owner: svc, Requests: 100, CPUSeconds: 1, Profile: made(result.ProfileCPU,
		stackOf{count: 50, frames: []string{decode, serve}}, stackOf{count: 50, frames: []string{lookup, serve}})}
	head := Stacks{Owner: svc, Requests: 200, CPUSeconds: 3, Profile: made(result.ProfileCPU,
		stackOf{count: 100, frames: []string{decode, serve}}, stackOf{count: 50, frames: []string{lookup, serve}})}
	g, err := GraphOf(base, head, result.ProfileCPU, plan.Go, false)
	if err != nil {
		t.Fatal(err)
	}
	near := func(what string, got, want float64) {
		if math.Abs(got-want) > 1e-12 {
			t.Errorf("%s is %g; want %g", what, got, want)
		}
	}
	near("base", g.Root.Base, 0.01)
	near("head", g.Root.Head, 0.015)
	root := g.Root.Calls[0]
	if root.Name != serve || len(root.Calls) != 2 || root.Calls[0].Name != "example.org/svc/core.decode" {
		t.Fatalf("below the root: %+v; want serve, and decode first below it", root)
	}
	near("decode at base", root.Calls[0].Base, 0.005)
	near("decode at head", root.Calls[0].Head, 0.01)
	near("lookup", root.Calls[1].Head-root.Calls[1].Base, 0)
	if z := root.Calls[0].Z; z < 3 || z > 5 {
		t.Errorf("decode's z is %g; want some 4: 50 against 100 samples at 100 and 200 exposed", z)
	}
	if math.Abs(root.Calls[1].Z) > 0.01 {
		t.Errorf("lookup's z is %g; want 0", root.Calls[1].Z)
	}
	// Swapping the sides swaps every figure and turns every sign.
	swapped, err := GraphOf(head, base, result.ProfileCPU, plan.Go, false)
	if err != nil {
		t.Fatal(err)
	}
	near("swapped z", swapped.Root.Calls[0].Calls[0].Z+root.Calls[0].Z, 0)
	if alone, err := GraphOf(Stacks{}, head, result.ProfileCPU, plan.Go, false); err != nil || alone.HasBase || !alone.HasHead || alone.Root.Calls[0].Z != 0 {
		t.Errorf("head alone: %+v, %v", alone, err)
	}
}

// What a run.json knows draws the same graph as the tree did.
func TestGraphFromKnown(t *testing.T) {
	p := made(result.ProfileAllocs, stackOf{count: 3, second: 300, frames: []string{move, decode, serve}})
	known := Known{"example.org/svc/core.decode": "core/e.go"}
	a, errA := GraphOf(Stacks{}, Stacks{Owner: svc, Requests: 10, Profile: p}, result.ProfileAllocs, plan.Go, true)
	b, errB := GraphOf(Stacks{}, Stacks{Owner: known, Requests: 10, Profile: p}, result.ProfileAllocs, plan.Go, true)
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	x, y := a.Root.Calls[0].Calls[0], b.Root.Calls[0].Calls[0]
	if !x.Own || x.File != y.File || x.Own != y.Own || x.Head != 30 || a.Unit != "B" {
		t.Errorf("by the tree %+v, by run.json %+v; want both own, in core/e.go, 30 B a request", x, y)
	}
}

// windowsOf samples a service that spends its time by shares, with the noise of counting.
func windowsOf(rng *rand.Rand, samples int, cpu float64, shares map[string]float64) SampledWindow {
	w := SampledWindow{Requests: 1000, CPUSeconds: cpu}
	for _, name := range []string{"a", "b", "c", "d"} {
		n := int64(math.Round(float64(samples)*shares[name] + math.Sqrt(float64(samples)*shares[name])*rng.NormFloat64()))
		w.Functions = append(w.Functions, Sampled{Name: name, Own: name != "d", Nearest: figures{n}})
		w.Samples += n
	}
	return w
}

func pairsOf(rng *rand.Rand, n, samples int, grown float64) []SampledPair {
	base := map[string]float64{"a": 0.3, "b": 0.05, "c": 0.25, "d": 0.4}
	head := map[string]float64{"a": 0.3 * grown / (0.7 + 0.3*grown), "b": 0.05 / (0.7 + 0.3*grown), "c": 0.25 / (0.7 + 0.3*grown), "d": 0.4 / (0.7 + 0.3*grown)}
	var pairs []SampledPair
	for range n {
		pairs = append(pairs, SampledPair{
			Base: windowsOf(rng, samples, 1, base), Head: windowsOf(rng, int(float64(samples)*(0.7+0.3*grown)), 0.7+0.3*grown, head),
		})
	}
	return pairs
}

func TestBlameSampled(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	found, wrong := 0, 0
	for range 200 {
		f, ok := BlameSampled(pairsOf(rng, 5, 4000, 1.2)) // 6,000 samples in a function that grew by a fifth
		if !ok {
			t.Fatal("no finding")
		}
		if len(f.Moved) > 0 && f.Moved[0].Name == "a" && f.Moved[0].Low > 0 {
			found++
		}
		for _, m := range f.Moved {
			if m.Name != "a" {
				wrong++
			}
		}
	}
	if found < 190 || wrong > 4 {
		t.Errorf("named in %d of 200 runs, others %d times; want at least 190 and at most 4", found, wrong)
	}
	false_ := 0
	for range 500 {
		f, _ := BlameSampled(pairsOf(rng, 5, 400, 1))
		if len(f.Moved) > 0 {
			false_++
		}
		if f.Smallest < 0.1*f.Base*0.1 {
			t.Fatalf("2,000 samples a side are said to tell %g of %g apart", f.Smallest, f.Base)
		}
	}
	if false_ > 25 {
		t.Errorf("%d of 500 runs that changed nothing name a function; want at most 25", false_)
	}
	if _, ok := BlameSampled(nil); ok {
		t.Error("nothing was sampled, and there is a finding")
	}
}

func FuzzParseProfile(f *testing.F) {
	var text bytes.Buffer
	if err := made(result.ProfileAllocs, stackOf{count: 3, second: 300, frames: []string{move, decode, serve}}).Write(&text); err != nil {
		f.Fatal(err)
	}
	f.Add(text.Bytes())
	f.Add([]byte{0x1f, 0x8b, 8, 0})
	f.Add([]byte("heap profile: 1: 2 [3: 4] @ heap/1048576"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ParseProfile(text)
		if err != nil {
			return
		}
		for _, kind := range result.ProfileKinds() {
			if all, _, err := SampledOf(p, kind, plan.Rust, svc); err == nil && len(all) == 0 {
				t.Errorf("%s: no function and no error", kind)
			}
			_, _ = GraphOf(Stacks{Profile: p, Owner: svc, Requests: 1, CPUSeconds: 1}, Stacks{}, kind, plan.Go, false)
		}
	})
}

// Inlined functions of the service's own get the names that they were written under; those of libraries keep theirs.
func TestNameInlined(t *testing.T) {
	async := &profile.Function{ID: 7, Name: "{async_fn#0}", Filename: "axum/src/app.rs"}
	library := &profile.Function{ID: 2, Name: "push", Filename: "/rustc/0123/library/alloc/src/vec.rs"}
	whole := &profile.Function{ID: 3, Name: "shop_core::text::slug", Filename: "core/src/text.rs"}
	p := &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}},
		Function:   []*profile.Function{async, library, whole},
		Location: []*profile.Location{
			{ID: 1, Line: []profile.Line{{Function: library, Line: 5}, {Function: async, Line: 11}, {Function: whole, Line: 20}}},
			{ID: 2, Line: []profile.Line{{Function: async, Line: 12}}},
			{ID: 3, Line: []profile.Line{{Function: async, Line: 3}}}, // outside of any function
		},
	}
	for _, l := range p.Location {
		p.Sample = append(p.Sample, &profile.Sample{Location: []*profile.Location{l}, Value: []int64{1}})
	}
	NameInlined(p, inlinedTree())
	if err := p.CheckValid(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range p.Location {
		for _, line := range l.Line {
			if line.Function != nil {
				got = append(got, line.Function.Name)
			}
		}
	}
	want := []string{"push", "axum::app::handler", "shop_core::text::slug", "axum::app::handler", "{async_fn#0}"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if p.Location[0].Line[1].Function != p.Location[1].Line[0].Function {
		t.Error("one function became two")
	}
	NameInlined(p, Source{}) // of a tree that is not known: nothing changes
	if p.Location[2].Line[0].Function != async {
		t.Error("without a tree a function was renamed")
	}
}
