package stats

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// places is where the change points of a series are.
func places(x []float64, o ChangeOptions) []int {
	at := []int{}
	for _, c := range ChangePoints(x, o) {
		at = append(at, c.At)
	}
	return at
}

// normal is n values around mean with a standard deviation of 1.
func normal(dice *rand.Rand, n int, mean float64) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = mean + dice.NormFloat64()
	}
	return x
}

func TestChangePointsOfClearSteps(t *testing.T) {
	t.Parallel()
	dice := rand.New(rand.NewPCG(1, 2))
	check := func(name string, x []float64, want ...int) {
		t.Helper()
		got := places(x, ChangeOptions{})
		near := len(got) == len(want)
		for i := range min(len(got), len(want)) {
			near = near && abs(got[i]-want[i]) <= 1
		}
		if !near {
			t.Errorf("%s: got change points %v, want about %v", name, got, want)
		}
	}
	check("none", normal(dice, 200, 0))
	check("one step", slices.Concat(normal(dice, 60, 0), normal(dice, 60, 5)), 60)
	check("a step at the end", slices.Concat(normal(dice, 100, 0), normal(dice, 6, 6)), 100)
	check("a step at the beginning", slices.Concat(normal(dice, 8, 6), normal(dice, 100, 0)), 8)
	check("up and back", slices.Concat(normal(dice, 300, 0), normal(dice, 12, 5), normal(dice, 300, 0)), 300, 312)
	check("stairs", slices.Concat(normal(dice, 50, 0), normal(dice, 50, 4), normal(dice, 50, 8), normal(dice, 50, 4)), 50, 100, 150)
	check("constant", slices.Repeat([]float64{1}, 100))
	check("two constants", slices.Concat(slices.Repeat([]float64{1}, 30), slices.Repeat([]float64{1.001}, 30)), 30)
	check("a constant, then noise around it", slices.Concat(make([]float64, 60), normal(dice, 60, 0)))
	check("too short", []float64{1, 1, 1, 9, 9, 9, 9})
	check("empty", nil)
}

// Steps of a long series are found wherever windows begin and end, and stay where they are as more values come.
func TestChangePointsOfLongSeries(t *testing.T) {
	t.Parallel()
	dice := rand.New(rand.NewPCG(3, 2))
	want := []int{199, 203, 400, 598, 802, 1010}
	x := normal(dice, 1100, 0)
	for i := range x {
		for k, at := range want {
			if i >= at {
				x[i] += 8 * float64(1-2*(k%2))
			}
		}
	}
	got := places(x, ChangeOptions{})
	if !slices.Equal(got, want) {
		t.Errorf("got change points %v, want %v", got, want)
	}
	if got := places(x[:1000], ChangeOptions{}); !slices.Equal(got, want[:5]) {
		t.Errorf("a hundred values earlier: got change points %v, want %v", got, want[:5])
	}
	if got := places(normal(dice, 1100, 0), ChangeOptions{}); len(got) > 0 {
		t.Errorf("a long series without any: got %v", got)
	}
}

func abs(i int) int { return max(i, -i) }

// An outlier, and two of them far apart, are no change points, however far out; beside a step they do not hide it.
func TestChangePointsAndOutliers(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		dice := rand.New(rand.NewPCG(seed, 3))
		x := normal(dice, 150, 0)
		for _, far := range []float64{10, 1e3, 1e6, -1e6} {
			out := slices.Clone(x)
			out[dice.IntN(150)] = far
			out[dice.IntN(150)] = -far
			if got, without := places(out, ChangeOptions{}), places(x, ChangeOptions{}); len(got) > len(without) {
				t.Errorf("seed %d: outliers of %v made change points %v", seed, far, got)
			}
			step := slices.Concat(out, normal(dice, 60, 6))
			if got := places(step, ChangeOptions{}); !slices.ContainsFunc(got, func(at int) bool { return abs(at-150) <= 3 }) {
				t.Errorf("seed %d: outliers of %v hid a step of 6 SD at 150: got %v", seed, far, got)
			}
		}
	}
}

// Values that are not finite have a named outcome: no change points.
func TestChangePointsOfBadValues(t *testing.T) {
	t.Parallel()
	x := slices.Concat(make([]float64, 20), slices.Repeat([]float64{5}, 20))
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		y := slices.Clone(x)
		y[7] = bad
		if got := ChangePoints(y, ChangeOptions{}); got != nil {
			t.Errorf("with %v: got %v, want none", bad, got)
		}
	}
}

// The same series has the same change points; another scale or level, or the mirror image, has them in the same places.
func TestChangePointsMetamorphic(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		dice := rand.New(rand.NewPCG(seed, 4))
		x := slices.Concat(normal(dice, 40, 0), normal(dice, 50, 4), normal(dice, 30, -3))
		want := places(x, ChangeOptions{Seed: seed})
		if got := places(x, ChangeOptions{Seed: seed}); !slices.Equal(got, want) {
			t.Errorf("seed %d: twice the same series: got %v, then %v", seed, want, got)
		}
		scaled, mirrored := make([]float64, len(x)), make([]float64, len(x))
		for i, v := range x {
			scaled[i], mirrored[i] = 1024*v, -v
		}
		if got := places(scaled, ChangeOptions{Seed: seed}); !slices.Equal(got, want) {
			t.Errorf("seed %d: scaled: got %v, want %v", seed, got, want)
		}
		if got := places(mirrored, ChangeOptions{Seed: seed}); !slices.Equal(got, want) {
			t.Errorf("seed %d: mirrored: got %v, want %v", seed, got, want)
		}
	}
}

// Where the permutation test ends early for a split, the full one says the same: on steps, outliers, heavy tails and few
// different values.
func TestEarlyEnd(t *testing.T) {
	t.Parallel()
	early := 0
	for seed := range uint64(150) {
		dice := rand.New(rand.NewPCG(seed, 6))
		x := slices.Concat(normal(dice, 6+dice.IntN(20), 0), normal(dice, 6+dice.IntN(20), 4*dice.Float64()))
		for i := range x {
			switch seed % 4 {
			case 1:
				x[i] /= math.Sqrt(dice.ExpFloat64()) // heavy tails
			case 2:
				x[i] = math.Round(x[i])
			case 3:
				if dice.IntN(15) == 0 {
					x[i] *= 20
				}
			}
		}
		quick, full := divider{ChangeOptions: ChangeOptions{}.filled(), x: holdIn(x)}, divider{ChangeOptions: ChangeOptions{}.filled(), x: holdIn(x), full: true}
		_, q := quick.scratch.best(quick.x, quick.MinSegment, math.Inf(1))
		p, ok := quick.test(0, len(x), q)
		pFull, okFull := full.test(0, len(x), q)
		if ok != okFull {
			t.Errorf("seed %d: ended early with p %v, %v; in full %v, %v", seed, p, ok, pFull, okFull)
		}
		if ok {
			early++
		}
	}
	if early < 30 {
		t.Errorf("%d of 150 series were split, too few to say anything", early)
	}
}

func TestChangePointFields(t *testing.T) {
	t.Parallel()
	x := slices.Concat(slices.Repeat([]float64{1, 2, 3}, 10), slices.Repeat([]float64{11, 12, 13}, 10))
	got := ChangePoints(x, ChangeOptions{})
	if len(got) != 1 || got[0].At != 30 || math.Abs(got[0].Before-2) > 1e-9 || math.Abs(got[0].After-12) > 1e-9 || got[0].P > 0.001 || got[0].P <= 0 {
		t.Errorf("got %+v, want one at 30, from 2 to 12, p at most 0.001", got)
	}
	if got := ChangePoints(x, ChangeOptions{MinEffect: 11}); got != nil {
		t.Errorf("a change of 10 with a least effect of 11: got %v", got)
	}
}

// slowBest is the statistic as its definition says it.
func slowBest(x []float64, least int) (at int, q float64) {
	pairs := func(a []float64) (sum float64) {
		for i := range a {
			for j := range i {
				sum += math.Abs(a[i] - a[j])
			}
		}
		return sum
	}
	for from := least; from <= len(x)-least; from++ {
		for end := from + least; end <= len(x); end++ {
			n, m, between := float64(from), float64(end-from), 0.0
			for _, u := range x[:from] {
				for _, v := range x[from:end] {
					between += math.Abs(u - v)
				}
			}
			value := n * m / (n + m) * (2/(n*m)*between - 2/(n*(n-1))*pairs(x[:from]) - 2/(m*(m-1))*pairs(x[from:end]))
			if value > q {
				at, q = from, value
			}
		}
	}
	return at, q
}

func TestEnergyIsItsDefinition(t *testing.T) {
	t.Parallel()
	var e energy
	for seed := range uint64(30) {
		dice := rand.New(rand.NewPCG(seed, 5))
		x := slices.Concat(normal(dice, 2+dice.IntN(15), 0), normal(dice, 2+dice.IntN(15), 3*dice.Float64()))
		wantAt, wantQ := slowBest(x, 2)
		at, q := e.best(x, 2, math.Inf(1))
		if at != wantAt || math.Abs(q-wantQ) > 1e-9*(1+wantQ) {
			t.Errorf("seed %d: got %v at %d, want %v at %d", seed, q, at, wantQ, wantAt)
		}
	}
}

// published is a series that Apache Otava publishes, with what it says of it (testdata/otava.json has the sources).
type published struct {
	Name   string    `json:"name"`
	Source string    `json:"source"`
	Values []float64 `json:"values"`
	Otava  []struct {
		Settings     string `json:"settings"`
		ChangePoints []int  `json:"change_points"`
	} `json:"otava"`
	Duet []struct {
		Alpha        float64 `json:"alpha"`
		MinSegment   int     `json:"min_segment"`
		MinEffect    float64 `json:"min_effect"` // as a ratio less one
		ChangePoints []int   `json:"change_points"`
	} `json:"duet"`
}

// Beside Otava's own answers on its own series: what differs is written down, not argued away (docs/history.md).
func TestBesideOtava(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/otava.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Notice string      `json:"notice"`
		Series []published `json:"series"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Series) < 6 {
		t.Fatalf("testdata/otava.json has %d series", len(file.Series))
	}
	for _, s := range file.Series {
		for _, o := range s.Otava {
			t.Logf("%s: Otava, %s: %v", s.Name, o.Settings, o.ChangePoints)
		}
		for _, d := range s.Duet {
			x := slices.Clone(s.Values)
			if d.MinEffect > 0 {
				for i := range x {
					x[i] = math.Log(x[i])
				}
			}
			got := places(x, ChangeOptions{Alpha: d.Alpha, MinSegment: d.MinSegment, MinEffect: math.Log1p(d.MinEffect)})
			t.Logf("%s: Duet, alpha %v, segments of %d, effect %v: %v", s.Name, d.Alpha, d.MinSegment, d.MinEffect, got)
			if diff := cmp.Diff(d.ChangePoints, got); diff != "" {
				t.Errorf("%s, alpha %v, segments of %d (-want +got):\n%s", s.Name, d.Alpha, d.MinSegment, diff)
			}
		}
	}
}

func FuzzChangePoints(f *testing.F) {
	f.Add([]byte{1, 1, 1, 1, 1, 9, 9, 9, 9, 9}, uint64(1))
	f.Add([]byte{0, 255, 0, 255, 0, 255, 0, 255}, uint64(2))
	f.Fuzz(func(t *testing.T, raw []byte, seed uint64) {
		x := make([]float64, min(len(raw), 200))
		for i := range x {
			x[i] = math.Exp(float64(raw[i])/8 - 16)
		}
		last := 0
		for _, c := range ChangePoints(x, ChangeOptions{Seed: seed, Alpha: 0.05, Permutations: 59}) {
			if c.At-last < 4 || len(x)-c.At < 4 || c.P > 0.05 || c.P <= 0 || c.Before == c.After {
				t.Fatalf("%v: change point %+v after %d", x, c, last)
			}
			last = c.At
		}
	})
}

func BenchmarkChangePoints(b *testing.B) {
	for _, c := range []struct {
		name  string
		steps []float64
	}{{"none", []float64{0}}, {"one", []float64{0, 1}}, {"five", []float64{0, 3, 0, 5, 4, 6}}} {
		for _, n := range []int{365, 1100} {
			b.Run(c.name+"/"+map[int]string{365: "1y", 1100: "3y"}[n], func(b *testing.B) {
				dice := rand.New(rand.NewPCG(9, 9))
				series := make([][]float64, 16)
				for i := range series {
					for _, level := range c.steps {
						series[i] = append(series[i], normal(dice, n/len(c.steps), level)...)
					}
				}
				for i := 0; b.Loop(); i++ {
					ChangePoints(series[i%len(series)], ChangeOptions{})
				}
			})
		}
	}
}
