package stats

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

var (
	update = flag.Bool("update", false, "write the table of docs/history.md")
	runs   = flag.Int("runs", 10, "simulated series a row of that table")
)

// simulated is a kind of series and where its level truly changes.
type simulated struct {
	name  string
	at    []int // true changes; nil: none
	still bool  // the level does not change in steps, so that what is found is neither right nor wrong
	make  func(dice *rand.Rand, n int) []float64
}

// year is how many nights a simulated series has, and middle where a single step is.
const (
	year   = 365
	middle = 180
	near   = 5 // nights: a change point this near to a true change has found it
)

// stepped is normal noise and a step of size SD from middle on.
func stepped(size float64) func(*rand.Rand, int) []float64 {
	return func(dice *rand.Rand, n int) []float64 {
		x := normal(dice, n, 0)
		for i := middle; i < n; i++ {
			x[i] += size
		}
		return x
	}
}

// spoiled puts far outliers on two nights of a hundred.
func spoiled(of func(*rand.Rand, int) []float64) func(*rand.Rand, int) []float64 {
	return func(dice *rand.Rand, n int) []float64 {
		x := of(dice, n)
		for i := range x {
			if dice.IntN(50) == 0 {
				x[i] += 10 * (1 + dice.Float64()) * float64(1-2*dice.IntN(2))
			}
		}
		return x
	}
}

func simulations() []simulated {
	step := func(size float64) simulated {
		return simulated{name: fmt.Sprintf("step of %v SD", size), at: []int{middle}, make: stepped(size)}
	}
	return []simulated{
		{name: "none", make: stepped(0)},
		step(1), step(2), step(3), step(5),
		{name: "up 3 SD, back 14 nights later", at: []int{middle, middle + 14}, make: func(dice *rand.Rand, n int) []float64 {
			x := normal(dice, n, 0)
			for i := middle; i < middle+14; i++ {
				x[i] += 3
			}
			return x
		}},
		{name: "stairs, three of 2 SD", at: []int{90, 180, 270}, make: func(dice *rand.Rand, n int) []float64 {
			x := normal(dice, n, 0)
			for i := range x {
				x[i] += 2 * float64(min(i/90, 3))
			}
			return x
		}},
		{name: "none, outliers of 10 to 20 SD on 2 % of nights", make: spoiled(stepped(0))},
		{name: "step of 3 SD and these outliers", at: []int{middle}, make: spoiled(stepped(3))},
		{name: "none, heavy tails (Student's t, 3 degrees)", make: func(dice *rand.Rand, n int) []float64 {
			x := normal(dice, n, 0)
			for i := range x {
				sum := 0.0
				for range 3 {
					v := dice.NormFloat64()
					sum += v * v
				}
				x[i] /= math.Sqrt(sum / 3)
			}
			return x
		}},
		{name: "none, spread three times as wide from the middle on", make: func(dice *rand.Rand, n int) []float64 {
			x := normal(dice, n, 0)
			for i := middle; i < n; i++ {
				x[i] *= 3
			}
			return x
		}},
		{name: "none, nights that resemble the night before (correlation 0.3)", make: func(dice *rand.Rand, n int) []float64 {
			x := normal(dice, n, 0)
			for i := 1; i < n; i++ {
				x[i] = 0.3*x[i-1] + math.Sqrt(1-0.09)*x[i]
			}
			return x
		}},
		{name: "drift of 3 SD over the year", still: true, make: func(dice *rand.Rand, n int) []float64 {
			x := normal(dice, n, 0)
			for i := range x {
				x[i] += 3 * float64(i) / float64(n)
			}
			return x
		}},
	}
}

// scores is how often change points were right.
type scores struct {
	true, found, right, recalled int
	alarmed                      int   // series with a change point that is none
	off                          []int // nights between a true change and the point that found it
}

func (s *scores) add(at, got []int) {
	s.true, s.found = s.true+len(at), s.found+len(got)
	wrong := false
	for _, g := range got {
		ok := slices.ContainsFunc(at, func(a int) bool { return abs(a-g) <= near })
		if ok {
			s.right++
		}
		wrong = wrong || !ok
	}
	if wrong {
		s.alarmed++
	}
	for _, a := range at {
		least := near + 1
		for _, g := range got {
			least = min(least, abs(a-g))
		}
		if least <= near {
			s.recalled++
			s.off = append(s.off, least)
		}
	}
}

// delay is how many nights after a step a series that grows night by night first has a change point near it.
func delay(s simulated, seed uint64) int {
	x := s.make(rand.New(rand.NewPCG(seed, 77)), year)
	for night := 1; night <= 60; night++ {
		got := places(x[:middle+night], ChangeOptions{})
		if slices.ContainsFunc(got, func(at int) bool { return abs(at-middle) <= near }) {
			return night
		}
	}
	return 61
}

// quantile of sorted counts, in words.
func nights(sorted []int, q float64) string {
	n := sorted[int(q*float64(len(sorted)-1))]
	if n > 60 {
		return "> 60"
	}
	return fmt.Sprint(n)
}

// row is a line of the table.
type row struct {
	simulated
	scores
	waits []int // nights until a single step is found
}

// simulate makes a row from n series.
func simulate(s simulated, n int) row {
	r := row{simulated: s}
	for seed := range uint64(n) {
		r.add(s.at, places(s.make(rand.New(rand.NewPCG(seed, 7)), year), ChangeOptions{}))
	}
	if len(s.at) == 1 {
		for seed := range uint64(max(n/5, 1)) {
			r.waits = append(r.waits, delay(s, seed))
		}
	}
	slices.Sort(r.waits)
	slices.Sort(r.off)
	return r
}

func (r row) String() string {
	share := func(a, b int) string { return fmt.Sprintf("%.0f %%", 100*float64(a)/float64(max(b, 1))) }
	recall, precision, alarms, off, wait := "–", "–", share(r.alarmed, *runs), "–", "–"
	if r.true > 0 {
		recall, precision = share(r.recalled, r.true), share(r.right, r.found)
	}
	if len(r.off) > 0 {
		off = fmt.Sprint(r.off[len(r.off)/2])
	}
	if len(r.waits) > 0 {
		wait = nights(r.waits, 0.5) + " and " + nights(r.waits, 0.9)
	}
	if r.still {
		alarms = fmt.Sprintf("%.1f steps a series", float64(r.found)/float64(*runs))
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s |\n", r.name, recall, precision, alarms, off, wait)
}

// The table of docs/history.md is what this makes with -runs 100 -update. Without, few series are held to what it says.
func TestChangePointTable(t *testing.T) {
	table := fmt.Sprintf("| %d nights, noise with an SD of 1 | found (recall) | of what was found, right (precision) | series with a false one | nights off, median | nights until it is found, median and 90 %% |\n|---|---|---|---|---|---|\n", year)
	for _, s := range simulations() {
		r := simulate(s, *runs)
		table += r.String()
		if len(s.at) == 0 && !s.still && r.alarmed > *runs/5+1 {
			t.Errorf("%s: %d of %d series had a change point", s.name, r.alarmed, *runs)
		}
		if len(s.at) > 0 && (r.recalled*3 < r.true*2 || r.right*3 < r.found*2) {
			t.Errorf("%s: %d of %d changes found, %d of %d right", s.name, r.recalled, r.true, r.right, r.found)
		}
	}
	t.Log("\n" + table)
	if *update {
		replaceTable(t, table)
	}
}

// replaceTable writes the table into its page.
func replaceTable(t *testing.T, table string) {
	t.Helper()
	const page, begin, end = "../../docs/history.md", "<!-- change points: begin -->\n", "<!-- change points: end -->\n"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no lines %q and %q", page, begin, end)
	}
	if err := os.WriteFile(page, []byte(before+begin+table+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Hardly any of many series without a change has a change point: the test's own level is 0.1 % a stretch.
func TestChangePointFalseAlarms(t *testing.T) {
	t.Parallel()
	series, alarmed := 10**runs, 0 // 400 for what docs/history.md says
	for seed := range uint64(series) {
		if len(ChangePoints(normal(rand.New(rand.NewPCG(seed, 9)), year, 0), ChangeOptions{})) > 0 {
			alarmed++
		}
	}
	t.Logf("%d of %d series without any change had a change point", alarmed, series)
	if alarmed > max(series/100, 1) {
		t.Errorf("%d of %d series without any change had a change point", alarmed, series)
	}
}

// Analysed anew every night for a year, a series without any change has a change point on some night of few series.
func TestChangePointsNightByNight(t *testing.T) {
	series, alarmed := max(*runs/5, 1), 0
	for seed := range uint64(series) {
		x := normal(rand.New(rand.NewPCG(seed, 8)), 200, 0)
		for n := 20; n <= len(x); n++ {
			if len(ChangePoints(x[:n], ChangeOptions{})) > 0 {
				alarmed++
				break
			}
		}
	}
	t.Logf("%d of %d series without any change had a change point on one night of 180 at least", alarmed, series)
	if alarmed > series/4 {
		t.Errorf("%d of %d series without any change had a change point on some night", alarmed, series)
	}
}
