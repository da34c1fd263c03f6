package selftest

import (
	"math/rand/v2"
	"testing"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/workload"
)

var heavyOnly = []workload.Workload{{Name: Heavy}}

// Disjoint means that no round stands in two reports, nor twice in one.
func TestDisjointReportsShareNoRound(t *testing.T) {
	d := quietWorld(1).bank(t, 100, 30).deckOf(plan.Go, "work-3")
	s := sizeOf(Rounds(true))
	timing, counting := d.reports(plan.Go, s)
	if timing != 3 || counting != 3 {
		t.Fatalf("%d and %d reports of 100 and 30 rounds, want 3 and 3", timing, counting)
	}
	used := map[*banked]bool{}
	for i := range 4 {
		rounds := d.disjoint(s, i, func(plan.Lang) bool { return false }).timing[slot{plan.Go, Heavy}]
		if want := map[bool]int{true: 30, false: 0}[i < 3]; len(rounds) != want {
			t.Errorf("report %d has %d rounds, want %d", i, len(rounds), want)
		}
		for _, r := range rounds {
			if used[r[0]] || used[r[1]] {
				t.Fatal("a round stands in two reports")
			}
			used[r[0]], used[r[1]] = true, true
		}
	}
}

func TestResampledReports(t *testing.T) {
	d := quietWorld(1).bank(t, 40, 12).deckOf(plan.Go, "work-3")
	s := sizeOf(Rounds(true))
	at := slot{plan.Go, Heavy}
	one := d.resampled(s, rand.New(rand.NewPCG(1, 1)))
	same := d.resampled(s, rand.New(rand.NewPCG(1, 1)))
	other := d.resampled(s, rand.New(rand.NewPCG(2, 1)))
	used := map[*banked]bool{}
	equal := true
	for i, r := range one.timing[at] {
		if used[r[0]] {
			t.Error("a round stands twice in one report")
		}
		used[r[0]] = true
		if r != same.timing[at][i] {
			t.Error("the same seed draws another report")
		}
		equal = equal && r == other.timing[at][i]
	}
	if len(used) != 30 || len(one.counting[plan.Go]) != 9 {
		t.Errorf("%d timing and %d callgrind rounds, want 30 and 9", len(used), len(one.counting[plan.Go]))
	}
	if equal {
		t.Error("another seed draws the same report")
	}
}

func TestDeckLeavesOutWhatDoesNotCount(t *testing.T) {
	b := quietWorld(1).bank(t, 5, 5)
	b.Timing[1].trials["go"].trial.Invalid = "a reason"
	b.Timing[2].trials["go-work-3"].trial.Invalid = "a reason"
	b.Timing[3].trials["go-memory-5"].trial.Invalid = "a reason" // a neighbour's trial is nothing to this pair
	c := b.Counting[0].costs["go-work-3"][Heavy]
	c.Invalid = "a reason"
	b.Counting[0].costs["go-work-3"][Heavy] = c
	d := b.deckOf(plan.Go, "work-3")
	if n := len(d.timing[slot{plan.Go, Heavy}]); n != 3 {
		t.Errorf("%d timing rounds of 5 count, want 3", n)
	}
	if n := len(d.counting[plan.Go]); n != 4 {
		t.Errorf("%d callgrind rounds of 5 count, want 4", n)
	}
}

func TestSizeWithin(t *testing.T) {
	full := sizeOf(Rounds(true))
	for _, test := range []struct {
		timing, counting       int
		looks, countLooks      int
		wantTiming, wantCounts int
	}{
		{22, 9, 3, 2, 22, 9},
		{100, 100, 3, 2, 30, 9},
		{21, 8, 2, 1, 21, 7},
		{14, 0, 1, 0, 14, 0},
		{13, 7, 0, 1, 0, 7},
	} {
		s, ok := full.within(test.timing, test.counting)
		if !ok || len(s.looks) != test.looks || len(s.countLooks) != test.countLooks || s.timing() != test.wantTiming || s.counting() != test.wantCounts {
			t.Errorf("within(%d, %d) = %+v, %v, of %d and %d rounds", test.timing, test.counting, s, ok, s.timing(), s.counting())
		}
	}
	if s, ok := full.within(13, 6); ok {
		t.Errorf("within(13, 6) = %+v, want none", s)
	}
}

// verdictOf is what a replayed report says of one row.
func verdictOf(t *testing.T, c compare.Comparisons, service, metric string) compare.Comparison {
	t.Helper()
	for _, row := range c.Rows {
		if row.Service == service && row.Metric == metric && row.Workload == Heavy {
			return row
		}
	}
	t.Fatalf("no row %s of %s", metric, service)
	return compare.Comparison{}
}

// A replayed report is an ordinary one: the plant's language regresses at the plant's rows, the other one does not.
func TestReplay(t *testing.T) {
	b := quietWorld(1).bank(t, 30, 9)
	d := b.deckOf(plan.Go, "work-3").with(b.deckOf(plan.Rust, Again))
	s := sizeOf(Rounds(true))
	report := d.disjoint(s, 0, func(plan.Lang) bool { return false })
	c := replay(report.unfold(), s, heavyOnly)
	for _, metric := range []string{result.CallgrindInstructions, result.CPUPerRequest} {
		if row := verdictOf(t, c, "go", metric); row.Verdict != compare.Regressed || !row.Confirmed {
			t.Errorf("go %s: %s, confirmed %v (%s); want regressed", metric, row.Verdict, row.Confirmed, row.Why)
		}
		if row := verdictOf(t, c, "rust", metric); row.Verdict != compare.Unchanged && row.Verdict != compare.Inconclusive {
			t.Errorf("rust %s: %s, want no change", metric, row.Verdict)
		}
	}
	if c.Services["rust"].Lang != plan.Rust || c.Verdict != compare.Regressed {
		t.Errorf("overall %s, services %+v; want regressed, and rust known as Rust", c.Verdict, c.Services)
	}
}

// Swapping base and head swaps the verdict.
func TestReplaySwapped(t *testing.T) {
	d := quietWorld(1).bank(t, 30, 9).deckOf(plan.Go, "work-3")
	s := sizeOf(Rounds(true))
	h := d.disjoint(s, 0, func(plan.Lang) bool { return false }).unfold()
	for at, rounds := range h.timing {
		for i, r := range rounds {
			h.timing[at][i] = both[result.Trial]{r[1], r[0]}
		}
	}
	for lang, rounds := range h.counting {
		for i, r := range rounds {
			h.counting[lang][i] = both[map[string]result.Cost]{r[1], r[0]}
		}
	}
	c := replay(h, s, heavyOnly)
	for _, metric := range []string{result.CallgrindInstructions, result.CPUPerRequest} {
		if row := verdictOf(t, c, "go", metric); row.Verdict != compare.Improved {
			t.Errorf("%s: %s, want improved", metric, row.Verdict)
		}
	}
}

// A report whose rows settle at the first look takes no more rounds than that, and suspects alone are confirmed.
func TestReplayStopsAsARunDoes(t *testing.T) {
	quiet := quietWorld(1)
	quiet.noise, quiet.count = 0.001, 0.0001
	d := quiet.bank(t, 30, 9).deckOf(plan.Go, Again)
	s := sizeOf(Rounds(true))
	c := replay(d.disjoint(s, 0, func(plan.Lang) bool { return false }).unfold(), s, heavyOnly)
	if row := verdictOf(t, c, "go", result.CPUPerRequest); row.Rounds != 7 || row.Verdict != compare.Unchanged {
		t.Errorf("CPU: %s on %d rounds, want unchanged on the first look's 7", row.Verdict, row.Rounds)
	}
	if row := verdictOf(t, c, "go", result.CallgrindInstructions); row.Rounds != 3 {
		t.Errorf("instructions stand on %d rounds, want the first look's 3", row.Rounds)
	}
}

// A report of one pass alone is judged on that pass.
func TestReplayOnePassAlone(t *testing.T) {
	d := quietWorld(1).bank(t, 0, 9).deckOf(plan.Go, "work-3")
	s, _ := sizeOf(Rounds(true)).within(0, 9)
	c := replay(d.disjoint(s, 0, func(plan.Lang) bool { return false }).unfold(), s, heavyOnly)
	if row := verdictOf(t, c, "go", result.CallgrindInstructions); row.Verdict != compare.Regressed {
		t.Errorf("instructions: %s (%s), want regressed", row.Verdict, row.Why)
	}
	for _, row := range c.Rows {
		if row.Metric == result.CPUPerRequest && row.Verdict != compare.NotJudged {
			t.Errorf("CPU was never measured and is %s", row.Verdict)
		}
	}
}
