package triage

import (
	"time"

	"github.com/duet-bench/duet/internal/history"
)

// MissingNights are history's gaps and, where now is known, the nights up to it of which nothing was recorded. A recorder
// that is half a night late is not missing yet.
func MissingNights(entries []history.Entry, now time.Time) []history.Missing {
	const night = 24 * time.Hour
	all := history.Gaps(entries)
	var last time.Time // of the latest entry of a night
	for _, e := range entries {
		if at, err := time.Parse(time.RFC3339, e.Recorded); err == nil && e.Previous == nil && at.After(last) {
			last = at.UTC()
		}
	}
	if last.IsZero() || now.Sub(last) < night+night/2 {
		return all
	}
	n := int((now.Sub(last) - night/2) / night)
	first := last.Add(night).Truncate(night)
	return append(all, history.Missing{First: first, Last: first.AddDate(0, 0, n-1), Nights: n})
}
