package history

import (
	"fmt"
	"time"
)

// Retention says which entries stay.
type Retention struct {
	Daily time.Duration // all that are younger than this stay
	Then  Thinning      // of what is older
}

// Thinning is how much of what is old stays.
type Thinning string

// The thinnings.
const (
	Weekly  Thinning = "weekly"  // the last measured night of each ISO week
	Monthly Thinning = "monthly" // of each month
	Nothing Thinning = "nothing"
)

// ParseThinning reads a thinning's word.
func ParseThinning(s string) (Thinning, error) {
	switch t := Thinning(s); t {
	case Weekly, Monthly, Nothing:
		return t, nil
	}
	return "", fmt.Errorf("%q: expected one of %s, %s, %s", s, Weekly, Monthly, Nothing)
}

// Drops is the entries that may go, oldest first. Entries that move the anchor always stay, since the chain needs them;
// nights that measured nothing go once they are old. Of each set of conditions the last night of a week or month stays.
func (r Retention) Drops(entries []Entry, now time.Time) []Entry {
	last := map[string]int{} // of each period and conditions
	var old []int
	for _, i := range order(entries) {
		e := &entries[i]
		if now.Sub(recorded(*e)) < r.Daily || e.Previous != nil {
			continue
		}
		old = append(old, i)
		if e.State == Measured && r.Then != Nothing {
			last[r.period(e)] = i
		}
	}
	stays := make(map[int]bool, len(last))
	for _, i := range last {
		stays[i] = true
	}
	var drops []Entry
	for _, i := range old {
		if !stays[i] {
			drops = append(drops, entries[i])
		}
	}
	return drops
}

// period is what one night stands for: a week or month on one machine against one anchor.
func (r Retention) period(e *Entry) string {
	at := recorded(*e)
	when := at.Format("2006-01")
	if r.Then == Weekly {
		year, week := at.ISOWeek()
		when = fmt.Sprintf("%d-W%02d", year, week)
	}
	m := e.Machine
	return fmt.Sprintln(when, m.CPU, m.Cores, m.OS, m.Arch, m.Isolation, m.Turns, e.Config, e.Anchor.SHA)
}
