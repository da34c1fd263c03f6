package plan

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/duet-bench/duet/internal/workload"
)

// The bounds of a plan's shards.
const (
	// MaxShards is how many jobs a matrix of GitHub Actions may have.
	MaxShards = 256
	// AutoShards is the most that ShardCount asks for: as many jobs as a free account runs at a time.
	AutoShards = 20
	// ShardTime is how long one shard should take at most, builds included, where nobody says otherwise.
	ShardTime = 15 * time.Minute
)

// Shard says which part of a whole plan a plan is: some of its workloads, each with all of its variants and the windows
// and rounds that the whole plan gave it. So no comparison and no pair ever stands on two machines.
type Shard struct {
	Index     int         `json:"index"`     // from 1
	Count     int         `json:"count"`     // of the whole plan's shards
	Plan      string      `json:"plan"`      // Digest of the whole plan
	Elsewhere []Elsewhere `json:"elsewhere"` // the other shards' workloads
}

// Name is the shard as people write it: "2/3".
func (s Shard) Name() string { return fmt.Sprintf("%d/%d", s.Index, s.Count) }

// Elsewhere is a workload that another shard measures.
type Elsewhere struct {
	At       int               `json:"at"`    // its place in the whole plan, from 0
	Shard    int               `json:"shard"` // whose it is
	Workload workload.Workload `json:"workload"`
}

// Digest names a plan by all that decides what is measured and how it is judged: 64 hexadecimal digits. Words for people
// (refs, reasons, warnings, how far the base branch has moved on) are not in it, nor is which shard a plan is.
func (p Plan) Digest() string {
	p.Warnings, p.NoBase, p.Shard = nil, "", nil
	p.Head.Ref, p.Head.Subject = "", ""
	if p.Base != nil {
		p.Base = &Commit{SHA: p.Base.SHA}
	}
	text, err := json.Marshal(p)
	if err != nil {
		panic(fmt.Sprintf("encoding a plan: %v", err)) // plain values alone: our own bug
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Split makes a plan's shards. Which workload is whose depends on the plan's workloads and the number alone, not on their
// order: the longest goes first, each to the shard with the least to do (longest processing time, Graham 1969).
func (p Plan) Split(count int) ([]Plan, error) {
	if most := min(len(p.Workloads), MaxShards); count < 1 || count > most {
		return nil, Usagef("a shard is one workload or more", "%d shards: expected 1 to %d, the plan's workloads", count, most)
	}
	owner := p.owners(count)
	digest := p.Digest()
	shards := make([]Plan, count)
	for i := range shards {
		part := p
		part.Workloads = nil
		part.Shard = &Shard{Index: i + 1, Count: count, Plan: digest, Elsewhere: []Elsewhere{}}
		for at, w := range p.Workloads {
			if owner[w.Name] == i {
				part.Workloads = append(part.Workloads, w)
			} else {
				part.Shard.Elsewhere = append(part.Shard.Elsewhere, Elsewhere{At: at, Shard: owner[w.Name] + 1, Workload: w})
			}
		}
		shards[i] = part
	}
	return shards, nil
}

// owners says which of so many shards, from 0, each workload belongs to.
func (p Plan) owners(count int) map[string]int {
	type load struct {
		name string
		time time.Duration
	}
	loads := make([]load, len(p.Workloads))
	for i, w := range p.Workloads {
		one := p
		one.Workloads = []workload.Workload{w}
		e := one.estimate()
		loads[i] = load{w.Name, e.Total() - e.Build}
	}
	slices.SortFunc(loads, func(a, b load) int { return cmp.Or(cmp.Compare(b.time, a.time), cmp.Compare(a.name, b.name)) })
	owner := map[string]int{}
	busy := make([]time.Duration, count)
	for _, l := range loads {
		least := 0
		for i, t := range busy {
			if t < busy[least] {
				least = i
			}
		}
		owner[l.name] = least
		busy[least] += l.time
	}
	return owner
}

// estimate is Estimates without drawing the order inside rounds, which takes no time of theirs.
func (p Plan) estimate() Estimate {
	p.Window.Open, p.Window.Closed = 0, 0
	return Estimates(p)
}

// ShardCount is the fewest shards of which none takes longer than target by the plan's estimate, builds included, and
// AutoShards at most. Builds are the same in every shard: where they alone take longer, or AutoShards are too few, it is
// as many as there may be.
func (p Plan) ShardCount(target time.Duration) int {
	most := max(min(len(p.Workloads), AutoShards), 1)
	for count := 1; count < most; count++ {
		if p.longest(count) <= target {
			return count
		}
	}
	return most
}

// longest is the estimate of the longest of so many shards.
func (p Plan) longest(count int) time.Duration {
	shards, err := p.Split(count)
	if err != nil {
		return 0
	}
	longest := time.Duration(0)
	for _, s := range shards {
		longest = max(longest, s.estimate().Total())
	}
	return longest
}

// Owners says whose each workload of a shard's whole plan is, by its name: shards from 1.
func (p Plan) Owners() map[string]int {
	owner := map[string]int{}
	if p.Shard == nil {
		return owner
	}
	for _, w := range p.Workloads {
		owner[w.Name] = p.Shard.Index
	}
	for _, e := range p.Shard.Elsewhere {
		owner[e.Workload.Name] = e.Shard
	}
	return owner
}

// Whole is the plan that a shard is part of; a plan that is no shard is whole.
func (p Plan) Whole() (Plan, error) {
	s := p.Shard
	if s == nil {
		return p, nil
	}
	if s.Count < 1 || s.Count > MaxShards || s.Index < 1 || s.Index > s.Count {
		return Plan{}, fmt.Errorf("shard %s: expected 1/1 to %d/%d", s.Name(), MaxShards, MaxShards)
	}
	whole := p
	whole.Shard, whole.Workloads = nil, make([]workload.Workload, len(p.Workloads)+len(s.Elsewhere))
	taken := make([]bool, len(whole.Workloads))
	for _, e := range s.Elsewhere {
		if e.At < 0 || e.At >= len(taken) || taken[e.At] || e.Shard < 1 || e.Shard > s.Count || e.Shard == s.Index {
			return Plan{}, fmt.Errorf("shard %s: workload %.80q cannot stand at %d in shard %d", s.Name(), e.Workload.Name, e.At, e.Shard)
		}
		whole.Workloads[e.At], taken[e.At] = e.Workload, true
	}
	own := p.Workloads
	for at := range taken {
		if !taken[at] {
			whole.Workloads[at], own = own[0], own[1:]
		}
	}
	return whole, nil
}
