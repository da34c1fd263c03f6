package history

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// night is how far apart two nights are.
const night = 24 * time.Hour

// Missing is a stretch of nights without figures.
type Missing struct {
	First, Last time.Time // midnight UTC of the first and last such day
	Nights      int
	Why         string // of nights that were recorded and measured nothing; empty: nothing was recorded
}

// Gaps finds nights without figures between the first and the last entry, oldest first. Two measured nights less than a
// night and a half apart follow each other, since a schedule starts late by hours. Nights that measured nothing, and said
// why, are gaps with that reason.
func Gaps(entries []Entry) []Missing {
	var gaps []Missing
	var last time.Time // of the latest measured night
	var why []string   // since then
	var tried time.Time
	for _, i := range order(entries) {
		e := entries[i]
		if e.State != Measured {
			why, tried = append(why, cmp.Or(e.Error, "no reason recorded")), recorded(e)
			continue
		}
		at := recorded(e)
		if n := int((at.Sub(last)+night/2)/night) - 1; !last.IsZero() && n > 0 {
			gaps = append(gaps, missing(last.Add(night), n, why))
		}
		last, why = at, nil
	}
	if len(why) > 0 { // the latest nights
		if last.IsZero() {
			last = recorded(entries[order(entries)[0]]).Add(-night)
		}
		gaps = append(gaps, missing(last.Add(night), max(int((tried.Sub(last)+night/2)/night), 1), why))
	}
	return gaps
}

func missing(first time.Time, n int, why []string) Missing {
	day := first.UTC().Truncate(night)
	m := Missing{First: day, Last: day.Add(time.Duration(n-1) * night), Nights: n}
	switch why = slices.Compact(why); len(why) {
	case 0:
	case 1:
		m.Why = why[0]
	default:
		m.Why = fmt.Sprintf("%s; and %d more reasons", why[0], len(why)-1)
	}
	return m
}

// skew is how much younger than its recording a commit may say it is: clocks of authors differ by seconds.
const skew = 5 * time.Minute

// Oddities says what is strange about entries and is taken as it is: clocks that disagree, two nights of one commit.
func Oddities(entries []Entry) []string {
	var all []string
	seen := map[string]Entry{}
	var newest time.Time
	var before Entry
	for _, i := range order(entries) {
		e := entries[i]
		if e.State != Measured || e.Previous != nil {
			continue
		}
		if first, ok := seen[e.Commit.SHA]; ok {
			all = append(all, fmt.Sprintf("%s: commit %s was measured already, on %s: both are kept", e.ID, short(e.Commit.SHA), first.Recorded))
		} else {
			seen[e.Commit.SHA] = e
		}
		committed, err := time.Parse(time.RFC3339, e.Commit.Date)
		if err != nil {
			continue
		}
		if at := recorded(e); committed.Sub(at) > skew {
			all = append(all, fmt.Sprintf("%s: commit %s says that it is of %s, after it was measured on %s: a clock was wrong; nights are ordered by when they were measured",
				e.ID, short(e.Commit.SHA), e.Commit.Date, e.Recorded))
		}
		if committed.Before(newest) && e.Commit.SHA != before.Commit.SHA {
			all = append(all, fmt.Sprintf("%s: commit %s says that it is older than %s, which was measured before it: nights are ordered by when they were measured",
				e.ID, short(e.Commit.SHA), short(before.Commit.SHA)))
			continue
		}
		newest, before = committed, e
	}
	return all
}

// LastMeasured is the latest night with figures. ok false: there is none.
func LastMeasured(entries []Entry) (last Entry, ok bool) {
	for _, i := range order(entries) {
		if entries[i].State == Measured && entries[i].Previous == nil {
			last, ok = entries[i], true
		}
	}
	return last, ok
}
