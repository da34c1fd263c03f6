package plan

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/duet-bench/duet/internal/workload"
)

// wide is a plan of so many workloads.
func wide(t *testing.T, workloads int) Plan {
	t.Helper()
	names := make([]string, workloads)
	for i := range names {
		names[i] = fmt.Sprintf("w%02d", i)
	}
	p := load(t, inputs(t, two, two+"budget: 1h\nmeasure: {count: 0s}\nworkloads: ["+strings.Join(names, ", ")+"]"))
	if len(p.Workloads) != workloads {
		t.Fatalf("%d workloads, want %d: %v", len(p.Workloads), workloads, p.Dropped)
	}
	return p
}

func namesOf(p Plan) (names []string) {
	for _, w := range p.Workloads {
		names = append(names, w.Name)
	}
	return names
}

// Every workload is in one shard, each with all services, the windows and the rounds of the whole plan; and the whole can be
// told from any of its shards, also after a journey.
func TestSplit(t *testing.T) {
	for _, size := range []int{1, 2, 7, 20} {
		p := wide(t, size)
		for count := 1; count <= size; count++ {
			shards, err := p.Split(count)
			if err != nil || len(shards) != count {
				t.Fatalf("%d of %d: %d shards, %v", count, size, len(shards), err)
			}
			var all []string
			for i, s := range shards {
				if s.Shard.Index != i+1 || s.Shard.Count != count || len(s.Workloads) == 0 || s.Shard.Name() != fmt.Sprintf("%d/%d", i+1, count) {
					t.Errorf("%d of %d: shard %+v with %v", count, size, s.Shard, namesOf(s))
				}
				if !reflect.DeepEqual(s.Services, p.Services) || !reflect.DeepEqual(s.Pairs, p.Pairs) || s.Seed != p.Seed ||
					!reflect.DeepEqual(s.Window, p.Window) || !reflect.DeepEqual(s.Rounds, p.Rounds) || s.Budget != p.Budget {
					t.Errorf("%d of %d: shard %d is of another plan", count, size, i+1)
				}
				if !slices.IsSortedFunc(s.Workloads, func(a, b workload.Workload) int {
					return slices.Index(namesOf(p), a.Name) - slices.Index(namesOf(p), b.Name)
				}) {
					t.Errorf("%d of %d: shard %d has another order: %v", count, size, i+1, namesOf(s))
				}
				all = append(all, namesOf(s)...)
				text, err := json.Marshal(s)
				if err != nil {
					t.Fatal(err)
				}
				var read Plan
				if err := json.Unmarshal(text, &read); err != nil {
					t.Fatal(err)
				}
				whole, err := read.Whole()
				if err != nil || whole.Digest() != p.Digest() || s.Shard.Plan != p.Digest() || !slices.Equal(namesOf(whole), namesOf(p)) {
					t.Errorf("%d of %d: shard %d tells of the whole %v, %v", count, size, i+1, namesOf(whole), err)
				}
			}
			slices.Sort(all)
			if want := slices.Sorted(slices.Values(namesOf(p))); !slices.Equal(all, want) {
				t.Errorf("%d of %d: the shards have %v, want %v", count, size, all, want)
			}
		}
		for _, count := range []int{-1, 0, size + 1, MaxShards + 1} {
			if _, err := p.Split(count); err == nil {
				t.Errorf("%d of %d: no error", count, size)
			}
		}
	}
}

// Who measures what does not depend on the order in which a configuration lists its workloads.
func TestSplitKnowsNoOrder(t *testing.T) {
	p := wide(t, 11)
	groups := func(p Plan, count int) [][]string {
		shards, err := p.Split(count)
		if err != nil {
			t.Fatal(err)
		}
		var all [][]string
		for _, s := range shards {
			all = append(all, slices.Sorted(slices.Values(namesOf(s))))
		}
		return all
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for range 5 {
		q := p
		q.Workloads = slices.Clone(p.Workloads)
		rng.Shuffle(len(q.Workloads), func(i, j int) { q.Workloads[i], q.Workloads[j] = q.Workloads[j], q.Workloads[i] })
		for _, count := range []int{1, 3, 7, 11} {
			if got, want := groups(q, count), groups(p, count); !reflect.DeepEqual(got, want) {
				t.Fatalf("%v in %d: got %v, want %v", namesOf(q), count, got, want)
			}
		}
	}
}

// A shard's rounds are the whole plan's: the same starts and blocks, workload by workload.
func TestShardsKeepTheOrder(t *testing.T) {
	p := wide(t, 3)
	p.Window.Slice = p.Window.Trial // one block a stage
	rounds := func(p Plan) map[string][]Step {
		all := map[string][]Step{}
		for _, s := range Steps(p) {
			if s.Kind == StepRound {
				all[s.Workload] = append(all[s.Workload], s)
			}
		}
		return all
	}
	shards, err := p.Split(3)
	if err != nil {
		t.Fatal(err)
	}
	whole := rounds(p)
	for _, s := range shards {
		for name, got := range rounds(s) {
			if !reflect.DeepEqual(got, whole[name]) {
				t.Errorf("%s is measured in another order in shard %s", name, s.Shard.Name())
			}
		}
	}
}

// No shard has more than its fair share: longest processing time is within 4/3 − 1/(3n) of the best (Graham 1969).
func TestShardsAreBalanced(t *testing.T) {
	p := wide(t, 20)
	for count := 1; count <= 20; count++ {
		shards, err := p.Split(count)
		if err != nil {
			t.Fatal(err)
		}
		least, most := len(p.Workloads), 0
		for _, s := range shards {
			least, most = min(least, len(s.Workloads)), max(most, len(s.Workloads))
		}
		if most-least > 1 {
			t.Errorf("%d shards of equal workloads have %d to %d", count, least, most)
		}
	}
}

func TestShardCount(t *testing.T) {
	p := wide(t, 20)
	one := p.longest(1)
	for _, c := range []struct {
		target time.Duration
		want   func(int) bool
		words  string
	}{
		{one, func(n int) bool { return n == 1 }, "1"},
		{one - 1, func(n int) bool { return n > 1 && p.longest(n) <= one-1 }, "just enough"},
		{one / 3, func(n int) bool { return n > 3 && p.longest(n) <= one/3 && p.longest(n-1) > one/3 }, "the fewest"},
		{time.Second, func(n int) bool { return n == 20 }, "one a workload: builds alone take longer"},
	} {
		if got := p.ShardCount(c.target); !c.want(got) {
			t.Errorf("%s: got %d shards, want %s", c.target, got, c.words)
		}
	}
}

// A plan's digest follows what is measured and how it is judged, and not the words for people.
func TestDigest(t *testing.T) {
	p := wide(t, 2)
	for what, change := range map[string]func(*Plan){
		"a warning":              func(p *Plan) { p.Warnings = []string{"x"} },
		"what head was called":   func(p *Plan) { p.Head.Ref = "topic" },
		"a base branch moved on": func(p *Plan) { p.Base = &Commit{SHA: p.Base.SHA, Reason: "merge base with main", Behind: 3} },
	} {
		q := p
		if change(&q); q.Digest() != p.Digest() {
			t.Errorf("%s changes the digest", what)
		}
	}
	for what, change := range map[string]func(*Plan){
		"head":     func(p *Plan) { p.Head.SHA = "3333" },
		"base":     func(p *Plan) { p.Base = &Commit{SHA: "3333"} },
		"no base":  func(p *Plan) { p.Base = nil },
		"the seed": func(p *Plan) { p.Seed++ },
		"margins":  func(p *Plan) { p.Margins = map[string]float64{"p50": 0.5} },
		"policy":   func(p *Plan) { p.Policy.Gate = GateInconclusive },
		"budget":   func(p *Plan) { p.Budget++ },
		"a workload": func(p *Plan) {
			p.Workloads = slices.Clone(p.Workloads)
			p.Workloads[1].Connections++
		},
		"their order": func(p *Plan) { p.Workloads = []workload.Workload{p.Workloads[1], p.Workloads[0]} },
	} {
		q := p
		if change(&q); q.Digest() == p.Digest() {
			t.Errorf("%s does not change the digest", what)
		}
	}
}

// A shard that cannot be part of any plan is refused.
func TestWholeRefuses(t *testing.T) {
	shards, err := wide(t, 3).Split(2)
	if err != nil {
		t.Fatal(err)
	}
	for what, spoil := range map[string]func(*Shard){
		"index 0":        func(s *Shard) { s.Index = 0 },
		"index beyond":   func(s *Shard) { s.Index = 3 },
		"many":           func(s *Shard) { s.Count = MaxShards + 1 },
		"a place before": func(s *Shard) { s.Elsewhere[0].At = -1 },
		"a place beyond": func(s *Shard) { s.Elsewhere[0].At = 3 },
		"its own":        func(s *Shard) { s.Elsewhere[0].Shard = s.Index },
		"nobody's":       func(s *Shard) { s.Elsewhere[0].Shard = 3 },
		"a place twice":  func(s *Shard) { s.Elsewhere = append(s.Elsewhere, s.Elsewhere[0]) },
	} {
		p := shards[0]
		s := *p.Shard
		s.Elsewhere = slices.Clone(s.Elsewhere)
		spoil(&s)
		p.Shard = &s
		if _, err := p.Whole(); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}
