package triage

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/duet-bench/duet/internal/history"
	"github.com/duet-bench/duet/internal/stats"
)

// enough is how many nights a stretch after a break needs before it may say that a regression is gone.
const enough = 3

// stretch is a run of points between two change points or breaks.
type stretch struct {
	from, to int // points [from, to)
	level    float64
}

// Open are the regressions that no later stretch of their series took back, the worst first. A regression closes when a
// stretch comes back to within the metric's margin of the level before it, or when the anchor is moved to a commit that has
// it: so a change that is wanted is accepted.
func Open(entries []history.Entry, series []history.Series, changes []history.Change) []OpenRegression {
	byKey := map[history.Key][]history.Change{}
	for _, c := range changes {
		byKey[c.Key] = append(byKey[c.Key], c)
	}
	moves := movesOf(entries)
	var out []OpenRegression
	for _, s := range series {
		of := byKey[s.Key]
		if len(of) == 0 || len(s.Points) == 0 {
			continue
		}
		stretches := split(s, of)
		now := stretches[len(stretches)-1].level
		for _, c := range of {
			if !within(c, s) || !stands(c, stretches) || accepted(c, moves, s.Points[c.At].Entry) {
				continue
			}
			out = append(out, opened(entries, s, c, now/c.Before))
		}
	}
	slices.SortStableFunc(out, func(a, b OpenRegression) int {
		return cmp.Or(cmp.Compare(Severity(b.Key.Metric, 1, b.Ratio), Severity(a.Key.Metric, 1, a.Ratio)), CompareKeys(a.Key, b.Key))
	})
	return out
}

// opened describes the regression that change c is.
func opened(entries []history.Entry, s history.Series, c history.Change, ratio float64) OpenRegression {
	at := s.Points[c.At]
	o := OpenRegression{Key: s.Key, Since: entries[at.Entry].Commit, Entry: at.Entry, SinceDate: at.At.UTC().Format(time.DateOnly), Ratio: ratio}
	if night := Night(entries[len(entries)-1]); !night.IsZero() {
		o.AgeNights = max(0, int(night.Sub(at.At.UTC().Truncate(24*time.Hour)).Hours()/24))
	}
	for _, b := range s.Breaks {
		if b.Before > c.At {
			o.Held = b.Why
		}
	}
	return o
}

// stands says whether every stretch from the change on is worse than the level before it.
func stands(c history.Change, stretches []stretch) bool {
	if Severity(c.Key.Metric, c.Before, c.After) < 1 {
		return false
	}
	for _, st := range stretches {
		if st.from > c.At && st.to-st.from >= enough && Severity(c.Key.Metric, c.Before, st.level) < 1 {
			return false
		}
	}
	return true
}

// move is an entry that moves the anchor.
type move struct {
	entry  int
	level  map[history.Key]float64 // of the new anchor, as a ratio to the first one; nothing where the chain is broken
	anchor string
}

// movesOf follows the anchor through the entries.
func movesOf(entries []history.Entry) []move {
	levels := map[string]map[history.Key]float64{} // by anchor
	var moves []move
	for i, e := range entries {
		if e.Previous == nil || e.State != history.Measured {
			continue
		}
		before, chained := levels[e.Previous.SHA]
		m := move{entry: i, anchor: e.Anchor.SHA, level: map[history.Key]float64{}}
		for _, r := range e.Rows {
			k := history.Key{Service: r.Service, Workload: r.Workload, Metric: r.Metric}
			level, known := before[k]
			if !chained {
				level, known = 1, true // the first anchor
			}
			if known && r.Ratio > 0 {
				m.level[k] = level * r.Ratio
			}
		}
		levels[m.anchor] = m.level
		moves = append(moves, m)
	}
	return moves
}

// accepted says whether the anchor that counts today was moved after a change to a commit that has it: one whose level is
// nearer to that after the change than to that before.
func accepted(c history.Change, moves []move, at int) bool {
	if len(moves) == 0 {
		return false
	}
	last := moves[len(moves)-1]
	level, known := last.level[c.Key]
	if !known || last.entry < at || c.Before <= 0 || c.After <= 0 {
		return false
	}
	return math.Abs(math.Log(level/c.After)) < math.Abs(math.Log(level/c.Before))
}

// split cuts a series at its change points and breaks. A stretch's level is its median, which one odd night does not move.
func split(s history.Series, changes []history.Change) []stretch {
	cuts := []int{0, len(s.Points)}
	for _, c := range changes {
		if within(c, s) {
			cuts = append(cuts, c.At)
		}
	}
	for _, b := range s.Breaks {
		if b.Before > 0 && b.Before < len(s.Points) {
			cuts = append(cuts, b.Before)
		}
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	var out []stretch
	for i := 1; i < len(cuts); i++ {
		st := stretch{from: cuts[i-1], to: cuts[i]}
		var ratios []float64
		for _, p := range s.Points[st.from:st.to] {
			ratios = append(ratios, p.Ratio)
		}
		st.level = median(ratios)
		out = append(out, st)
	}
	return out
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	mid := len(values) / 2
	if len(values)%2 == 1 {
		return values[mid]
	}
	return (values[mid-1] + values[mid]) / 2
}

// SelfCheck is the record of the A/A runs: how often a row was called moved where nothing had.
type SelfCheck struct {
	Night     *history.SelfCheck // this night's; nil: it had none
	Nights    int                // with a self-check
	Rows      int
	False     int
	Low, High float64 // 95 % Wilson interval of False ÷ Rows
}

// Checks is the record over all entries.
func Checks(entries []history.Entry) SelfCheck {
	var c SelfCheck
	for i, e := range entries {
		if e.SelfCheck == nil {
			continue
		}
		c.Nights++
		c.Rows += e.SelfCheck.Rows
		c.False += len(e.SelfCheck.False)
		if i == len(entries)-1 {
			c.Night = e.SelfCheck
		}
	}
	c.Low, c.High, _ = stats.Wilson(c.False, c.Rows, 0.95)
	return c
}
