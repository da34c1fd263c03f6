package noise

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// yaml is the block for duet.yml.
func (a Answer) yaml() string {
	words := make([]string, len(a.Looks))
	for i, n := range a.Looks {
		words[i] = strconv.Itoa(n)
	}
	return fmt.Sprintf("measure: {slice: %s, rounds: [%s], pin: %t}", a.Best.Slice, strings.Join(words, ", "), a.Best.Pinned)
}

// Header and Table are the rows in words.
func Header() []string {
	return []string{"slices", "services", "rounds", "noise of CPU per request", "noise of p50", "neighbouring slices' correlation", ""}
}

// Table has a line for each setting.
func (a Answer) Table() [][]string {
	var lines [][]string
	for _, r := range a.Rows {
		mark := ""
		if r.Setting == a.Best {
			mark = "best"
		}
		lines = append(lines, []string{milliseconds(r.Slice), pinning(r.Pinned), strconv.Itoa(r.Rounds), percent(r.CPUNoise), percent(r.P50Noise), correlation(r.Lag1), mark})
	}
	return lines
}

// crowded is the share of the cores' time from which other processes make the answer theirs: a tenth is what a run
// would not let pass in a block for long either.
const crowded = 0.1

// Words say what the machine is like, sentence by sentence.
func (a Answer) Words() []string {
	best := a.best()
	words := []string{
		a.Kind.words(best),
		fmt.Sprintf("stolen by the hypervisor: %.1f %% of the cores' time; used by other processes: %.1f %%", 100*a.Stolen, 100*a.Others),
	}
	if a.Others > crowded {
		words = append(words, "other processes were at work: this is the noise with them, measure again when they are not")
	}
	if best.Rounds < fewRounds {
		words = append(words, fmt.Sprintf("%d rounds are too few to choose a setting by: give it more time", best.Rounds))
	}
	words = append(words, fmt.Sprintf("best: slices of %s, services %s", milliseconds(a.Best.Slice), pinning(a.Best.Pinned)))
	for _, aim := range a.Aims {
		words = append(words, aim.words())
	}
	return words
}

// best is the row of the best setting.
func (a Answer) best() Row {
	for _, r := range a.Rows {
		if r.Setting == a.Best {
			return r
		}
	}
	return Row{}
}

// words say what a kind means, by the row of the best setting.
func (k Kind) words(best Row) string {
	noise := percent(best.CPUNoise)
	if k == Quiet {
		return fmt.Sprintf("%s: two identical services differ by %s in CPU per request between rounds (SD), under %g %%: time can be judged here",
			k, noise, 100*QuietBelow)
	}
	return fmt.Sprintf("%s: two identical services differ by %s in CPU per request between rounds (SD), not under %g %%: small changes of time are inconclusive here, instructions are what can be judged",
		k, noise, 100*QuietBelow)
}

func (a Aim) words() string {
	effect := fmt.Sprintf("%s +%g %% (margin %g %%, noise %.2f %%)", a.Label, 100*a.Effect, 100*a.Margin, 100*a.Noise)
	if a.Rounds == 0 {
		return fmt.Sprintf("%s: out of reach, more than %d rounds to be found 95 times in 100", effect, MaxRounds)
	}
	return fmt.Sprintf("%s: %d rounds to be found 95 times in 100", effect, a.Rounds)
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%g ms", d.Seconds()*1000) }

func pinning(pinned bool) string {
	if pinned {
		return "on one core"
	}
	return "not pinned"
}

func percent(share *float64) string {
	if share == nil {
		return "–"
	}
	return fmt.Sprintf("%.2f %%", 100**share)
}

func correlation(rho *float64) string {
	if rho == nil {
		return "–"
	}
	return fmt.Sprintf("%+.2f", *rho)
}
