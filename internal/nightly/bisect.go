package nightly

// Answer is what a commit turned out to be, measured against the last good one.
type Answer int

// The answers.
const (
	Unsure  Answer = iota // the judge cannot tell
	Good                  // not worse by more than the margin, or identical
	Bad                   // confirmed worse
	Skipped               // it cannot be measured: it does not build, say
	NoTime                // it was not measured: the budget is used up
)

var answerWords = [...]string{"unsure", "good", "bad", "skipped", "no time"}

func (a Answer) String() string { return answerWords[a] }

// Ask finds out about one commit. again: it was unsure once, and now gets more rounds.
type Ask func(i int, again bool) (Answer, error)

// Found is what a search found. The first bad commit is one of [Low, High], both included.
type Found struct {
	Low, High  int
	Reproduced bool // the last commit was found bad; else nothing else was looked at
	NoTime     bool
}

// First is the first bad commit; ok is false where more than one may be it.
func (f Found) First() (i int, ok bool) { return f.High, f.Reproduced && f.Low == f.High }

// Search finds the first bad one of n ≥ 1 commits in a row, numbered from 0, oldest first. The commit before number 0 is
// good; the last one is said to be bad, and that is asked first: a change that cannot be seen again cannot be traced.
//
// It halves the range as git bisect does. A commit that cannot be measured, or of which the judge cannot tell even with
// more rounds, is passed by for its nearest neighbour; where such commits are all that is left, the range is the answer.
func Search(n int, ask Ask) (Found, error) {
	f := Found{Low: 0, High: n - 1}
	told := func(i int) (Answer, error) {
		a, err := ask(i, false)
		if a == Unsure && err == nil {
			if a, err = ask(i, true); a == NoTime {
				a, f.NoTime = Unsure, true
			}
		}
		f.NoTime = f.NoTime || a == NoTime
		return a, err
	}
	last, err := told(f.High)
	if err != nil || last != Bad {
		return f, err
	}
	f.Reproduced = true
	passed := map[int]bool{}
	for !f.NoTime {
		i, ok := f.next(passed)
		if !ok {
			break
		}
		a, err := told(i)
		switch {
		case err != nil:
			return f, err
		case a == Good:
			f.Low = i + 1
		case a == Bad:
			f.High = i
		default:
			passed[i] = true
		}
	}
	return f, nil
}

// next is the commit nearest to the middle that may be told good or bad: those below High that were not passed by.
func (f Found) next(passed map[int]bool) (i int, ok bool) {
	middle := (f.Low + f.High - 1) / 2
	for away := 0; away <= f.High-f.Low; away++ {
		for _, i := range []int{middle - away, middle + away} {
			if i >= f.Low && i < f.High && !passed[i] {
				return i, true
			}
		}
	}
	return 0, false
}
