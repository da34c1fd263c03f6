package plan

import (
	"hash/fnv"
	"math/rand/v2"
	"slices"
)

// Every variant leaves something behind for the next one: a warm or a cold cache, a busy collector. So, over a
// stage, each variant should follow each other one equally often. Williams (1949) gives such blocks: for an even
// number of variants n blocks hold every ordered pair of neighbours once, for an odd number 2n blocks hold it twice.
// Blocks come in such groups, each in the seeded order whose borders between blocks are best balanced too.

// random is the generator of one decision: other decisions of the same seed do not share its draws.
func random(seed uint64, purpose string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(purpose)) // never fails: hash.Hash
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// shuffled is a seeded order of variants.
func shuffled(rng *rand.Rand, variants []Variant) []Variant {
	order := slices.Clone(variants)
	rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	return order
}

// balanced makes n blocks. Its prefixes are balanced as well as their length allows.
func balanced(rng *rand.Rand, variants []Variant, n int) [][]Variant {
	if len(variants) == 0 || n <= 0 {
		return nil
	}
	design := williams(len(variants))
	follows := newCounts(len(variants))
	last := -1
	blocks := make([][]Variant, 0, n)
	for len(blocks) < n {
		for _, row := range bestGroup(rng, design, follows, last, min(len(design), n-len(blocks))) {
			last = follows.add(last, row)
			block := make([]Variant, len(row))
			for k, label := range row {
				block[k] = variants[label]
			}
			blocks = append(blocks, block)
		}
	}
	return blocks
}

// williams is the balanced design of n treatments, one row a block.
func williams(n int) [][]int {
	first := make([]int, n) // 0, 1, n-1, 2, n-2, …
	for i := range first {
		if i%2 == 1 {
			first[i] = (i + 1) / 2
		} else {
			first[i] = (n - i/2) % n
		}
	}
	var rows [][]int
	for shift := range n {
		row := make([]int, n)
		for i, x := range first {
			row[i] = (x + shift) % n
		}
		rows = append(rows, row)
		if n%2 == 1 && n > 1 {
			mirror := slices.Clone(row)
			slices.Reverse(mirror)
			rows = append(rows, mirror)
		}
	}
	return rows
}

// counts is how often each label has followed each.
type counts struct {
	n     int
	pairs []int
}

func newCounts(n int) *counts { return &counts{n: n, pairs: make([]int, n*n)} }

// add counts a block after last (-1: none) and returns its last label.
func (c *counts) add(last int, row []int) int {
	for _, x := range row {
		if last >= 0 {
			c.pairs[last*c.n+x]++
		}
		last = x
	}
	return last
}

// cost is least where all ordered pairs are equally often. A variant after itself makes one long slice: with three
// variants or more it is avoided, with two it cannot be in a random order and counts as a pair like any other.
func (c *counts) cost() int {
	sum := 0
	for i, k := range c.pairs {
		if i%(c.n+1) == 0 && c.n > 2 {
			sum += 1_000_000 * k
			continue
		}
		sum += k * k
	}
	return sum
}

// bestGroup draws some groups of k different rows of the design and keeps the one that balances best: the first of
// equals, which is as good as a random one.
func bestGroup(rng *rand.Rand, design [][]int, before *counts, last, k int) [][]int {
	const tries = 64 // more change nothing that is visible in TestBlocksAreBalanced
	var best [][]int
	bestCost := 0
	after := newCounts(before.n)
	for range tries {
		group := drawGroup(rng, design, last, k)
		copy(after.pairs, before.pairs)
		end := last
		for _, row := range group {
			end = after.add(end, row)
		}
		if cost := after.cost(); best == nil || cost < bestCost {
			best, bestCost = group, cost
		}
	}
	return best
}

// drawGroup draws k rows of the design, with the variants renamed, so that where it can be avoided no row starts with
// what the one before it ended with.
func drawGroup(rng *rand.Rand, design [][]int, last, k int) [][]int {
	n := len(design[0])
	names := rng.Perm(n)
	left := rng.Perm(len(design))
	group := make([][]int, 0, k)
	for range k {
		next := 0
		if n > 2 {
			next = max(0, slices.IndexFunc(left, func(j int) bool { return names[design[j][0]] != last }))
		}
		row := make([]int, n)
		for x, label := range design[left[next]] {
			row[x] = names[label]
		}
		left = slices.Delete(left, next, next+1)
		group = append(group, row)
		last = row[n-1]
	}
	return group
}
