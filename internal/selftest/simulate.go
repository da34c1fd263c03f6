package selftest

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// simulate judges reports whose truth is known to be "no change": rounds of base against itself, drawn at random, none
// of them twice, each with its sides swapped or not by a coin. The two sides are the same program, so either order of
// a round is as good as the other: what is drawn is symmetric about no change, and still has the bank's noise, its
// tails and the way in which the rows of a round move together. (Taking a mean effect off instead leaves the centre of
// a skewed row off zero, and the trimmed t then finds what is there.) The real judge judges them.
func (e *evaluation) simulate() error {
	d := e.together()
	s, ok := sizeOf(e.o.Rounds).within(d.room("", e.smallest()))
	if e.o.Simulated == 0 || !ok {
		return nil
	}
	e.o.Progress("simulating %d reports on the bank's residuals", e.o.Simulated)
	sim := Simulation{Judge: "the judge of every report (compare.Run), looks and confirmation included"}
	bad := 0
	err := inOrder(e.ctx, e.o.Simulated, func(i int) compare.Comparisons {
		rng := e.generator("residuals", i)
		return e.judged(d.resampled(s, rng).swapped(rng), s)
	}, func(_ int, c compare.Comparisons) {
		which, judged := changed(c, anyRow)
		if sim.Rows = max(sim.Rows, judged); len(which) > 0 {
			bad++
		}
		sim.WhichRows = append(sim.WhichRows, which...)
	})
	if err != nil {
		return err
	}
	sim.False = share(bad, e.o.Simulated)
	sim.WhichRows = commonest(sim.WhichRows)
	e.out.Simulation = &sim
	return nil
}

// swapped turns the sides of each round by a coin. It changes the report in place, which was drawn for it.
func (d dealt) swapped(rng *rand.Rand) dealt {
	for _, at := range deck(d).slots() {
		for i, r := range d.timing[at] {
			if rng.IntN(2) == 1 {
				d.timing[at][i] = both[*banked]{r[1], r[0]}
			}
		}
	}
	for _, lang := range []plan.Lang{plan.Go, plan.Rust} {
		for i, r := range d.counting[lang] {
			if rng.IntN(2) == 1 {
				d.counting[lang][i] = both[map[string]result.Cost]{r[1], r[0]}
			}
		}
	}
	return d
}

// commonest are rows in words, each once with how often, the most frequent first.
func commonest(rows []string) []string {
	count := map[string]int{}
	var order []string
	for _, row := range rows {
		if count[row]++; count[row] == 1 {
			order = append(order, row)
		}
	}
	slices.SortStableFunc(order, func(a, b string) int { return count[b] - count[a] })
	for i, row := range order {
		order[i] = fmt.Sprintf("%s, %d ×", row, count[row])
	}
	return order
}
