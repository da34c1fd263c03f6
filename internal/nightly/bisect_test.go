package nightly

import (
	"errors"
	"math/bits"
	"math/rand/v2"
	"testing"
)

// Every first bad commit of every range is named, within the questions that halving takes.
func TestSearchNamesEveryPosition(t *testing.T) {
	for n := 1; n <= 70; n++ {
		for first := range n {
			asked := map[int]bool{}
			f, err := Search(n, func(i int, again bool) (Answer, error) {
				if again || asked[i] {
					t.Fatalf("%d of %d: %d is asked twice", first, n, i)
				}
				asked[i] = true
				if i >= first {
					return Bad, nil
				}
				return Good, nil
			})
			got, ok := f.First()
			if err != nil || !ok || got != first {
				t.Fatalf("%d of %d: got %+v, %v", first, n, f, err)
			}
			if most := 1 + bits.Len(uint(n-1)); len(asked) > most {
				t.Errorf("%d of %d: %d questions, want at most %d", first, n, len(asked), most)
			}
		}
	}
}

// Whatever is skipped or cannot be told, the first bad commit is in the range that is said, and the range has no edge that
// could have been asked about.
func TestSearchPassesBy(t *testing.T) {
	const n = 9
	for first := range n {
		for hidden := range 1 << (n - 1) { // the last commit is always told
			for _, what := range []Answer{Skipped, Unsure} {
				f, err := Search(n, func(i int, _ bool) (Answer, error) {
					switch {
					case hidden&(1<<i) != 0:
						return what, nil
					case i >= first:
						return Bad, nil
					}
					return Good, nil
				})
				// By hand: the range ends at the first told bad one, and begins after the last told good one.
				low, high := 0, n-1
				for i := range n {
					if hidden&(1<<i) == 0 && i < first {
						low = i + 1
					}
				}
				for i := n - 1; i >= first; i-- {
					if hidden&(1<<i) == 0 {
						high = i
					}
				}
				if err != nil || !f.Reproduced || f.Low != low || f.High != high {
					t.Fatalf("first %d, hidden %b, %v: got %+v, %v, want [%d, %d]", first, hidden, what, f, err, low, high)
				}
				if got, ok := f.First(); ok && got != first {
					t.Fatalf("first %d, hidden %b: named %d", first, hidden, got)
				}
			}
		}
	}
}

func TestSearchEndsEarly(t *testing.T) {
	for name, c := range map[string]struct {
		last       Answer
		reproduced bool
	}{"not seen again": {Good, false}, "cannot be told": {Unsure, false}, "does not build": {Skipped, false}, "no time at all": {NoTime, false}} {
		calls := 0
		f, err := Search(5, func(int, bool) (Answer, error) { calls++; return c.last, nil })
		want := 1
		if c.last == Unsure {
			want = 2 // more rounds once
		}
		if err != nil || f.Reproduced || f.Low != 0 || f.High != 4 || calls != want || f.NoTime != (c.last == NoTime) {
			t.Errorf("%s: got %+v, %v after %d questions", name, f, err, calls)
		}
	}
	// The budget ends after so many questions: what was found until then stands.
	for left := 1; left < 6; left++ {
		const n, first = 32, 11
		calls := 0
		f, err := Search(n, func(i int, _ bool) (Answer, error) {
			if calls++; calls > left {
				return NoTime, nil
			}
			if i >= first {
				return Bad, nil
			}
			return Good, nil
		})
		if err != nil || !f.NoTime || first < f.Low || first > f.High || f.High-f.Low != n>>(left-1)-1 && f.High-f.Low != n>>(left-1) {
			t.Errorf("%d questions: got %+v, %v", left, f, err)
		}
		if _, ok := f.First(); ok {
			t.Errorf("%d questions: %+v names one", left, f)
		}
	}
	broken := errors.New("the disk is full")
	if _, err := Search(3, func(int, bool) (Answer, error) { return Unsure, broken }); !errors.Is(err, broken) {
		t.Errorf("got %v, want the error", err)
	}
}

// The judge errs: bad commits that seem good one time in a hundred, good ones that seem bad as often, and one answer in
// ten that cannot be told. A name is then right nearly always; a wrong name is the price of every wrong answer.
func TestSearchWithFlakyAnswers(t *testing.T) {
	const trials, n = 20_000, 64
	dice := rand.New(rand.NewPCG(8, 1))
	named, right, ranged := 0, 0, 0
	for range trials {
		first := dice.IntN(n)
		f, err := Search(n, func(i int, _ bool) (Answer, error) {
			bad := i >= first
			if dice.Float64() < 0.01 {
				bad = !bad
			}
			switch {
			case dice.Float64() < 0.1:
				return Unsure, nil
			case bad:
				return Bad, nil
			}
			return Good, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := f.First(); ok {
			named++
			if got == first {
				right++
			}
		} else if f.Reproduced && f.Low <= first && first <= f.High {
			ranged++
		}
	}
	t.Logf("%d of %d named, %.1f %% of them rightly; %d ranges hold it", named, trials, 100*float64(right)/float64(named), ranged)
	if float64(right) < 0.90*float64(named) || named < trials*8/10 {
		t.Errorf("named %d, %d of them rightly", named, right)
	}
}
