// Package triage says what a night means, in the form of rustc-perf's weekly triage: what regressed, what improved, what is
// noisy, what is still open. Its stance: a move is a change point that exceeds its metric's margin, never a single night; and
// what is missing is said before what was found.
package triage

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/duet-bench/duet/internal/history"
	"github.com/duet-bench/duet/internal/result"
)

// Report is one night's triage, before any format.
type Report struct {
	Night     history.Entry
	Previous  *history.Entry // the last measured night before it
	Window    int            // Regressed and Improved are of so many nights, this one included
	Regressed []Moved        // the worst first
	Improved  []Moved
	Small     int // change points of the window that stay within their metric's margin
	Noisy     []Noisy
	Open      []OpenRegression // the worst first
	Began     []Began          // series that this night begins anew
	SelfCheck SelfCheck
	LastGood  *history.Entry    // the last night that measured something, this one included
	Missing   []history.Missing // oldest first
	Links     Links
}

// Moved is a series that a change point moved by more than its metric's margin.
type Moved struct {
	Key           history.Key
	Before, After float64 // level on either side, as a ratio to the anchor
	Change        *history.Change
	Commit        history.Commit   // the first measured commit of the new level
	From          history.Commit   // the last measured commit of the old level
	FirstBad      *history.Commit  // the first bad merge, where a bisection named it
	Suspects      []history.Commit // what else lies between From and Commit, where it is known
	Note          string           // of the bisection: why no first bad merge is named
}

// Noisy is a row whose interval of this night is wider than its metric's margin.
type Noisy struct {
	Key    history.Key
	Noise  float64 // the rounds' standard deviation, of ln(commit ÷ anchor)
	Within float64 // half the interval's width, a share: 0.03 is ±3 %
	Margin float64
}

// OpenRegression is a regression that no later stretch of its series took back.
type OpenRegression struct {
	Key       history.Key
	Since     history.Commit // the first measured commit of the new level; the first bad merge where one was named
	Entry     int            // index of Since's entry
	SinceDate string         // 2026-11-26
	AgeNights int            // days between Since's night and the last one
	Ratio     float64        // level now ÷ level before it
	Held      string         // the break since, if any: what was seen before it and after does not quite compare
}

// Began is a reason for which series start anew this night, and how many do.
type Began struct {
	Why    string
	Series int
}

// Links are where more is to be seen. Empty or unsafe ones are left out.
type Links struct {
	Dashboard  string
	Run        string // the workflow's run
	Repository string // https://github.com/OWNER/NAME, for links to commits
}

// Input is what a report is made of.
type Input struct {
	Entries []history.Entry // oldest first; the last one is the night
	Series  []history.Series
	Changes []history.Change
	Window  int // nights that Regressed and Improved look back on; 0: 7
	// Now is the time up to which nights are missed; zero: the last entry's.
	Now   time.Time
	Links Links
}

// defaultWindow is a week, as rustc-perf's triage has it: a change point shows some nights after it happened.
const defaultWindow = 7

// New makes the triage of the last entry.
func New(in Input) Report {
	r := Report{Window: in.Window, Links: in.Links}
	if r.Window <= 0 {
		r.Window = defaultWindow
	}
	if len(in.Entries) == 0 {
		return r
	}
	last := len(in.Entries) - 1
	r.Night = in.Entries[last]
	for i := last; i >= 0; i-- {
		e := &in.Entries[i]
		if e.State != history.Measured || e.Previous != nil {
			continue
		}
		if r.LastGood == nil {
			r.LastGood = e
		}
		if i < last {
			r.Previous = e
			break
		}
	}
	r.move(in)
	r.Noisy = noisy(r.Night.Rows)
	r.Open = Open(in.Entries, in.Series, in.Changes)
	r.Began = began(in.Series, last)
	r.SelfCheck = Checks(in.Entries)
	r.Missing = MissingNights(in.Entries, in.Now)
	return r
}

// move sorts the window's change points into regressed, improved and small.
func (r *Report) move(in Input) {
	bySeries := index(in.Series)
	since := Night(r.Night).AddDate(0, 0, 1-r.Window)
	for i := range in.Changes {
		c := &in.Changes[i]
		s, ok := bySeries[c.Key]
		if !ok || !within(*c, s) || s.Points[c.At].At.Before(since) {
			continue
		}
		m := Moved{
			Key: c.Key, Before: c.Before, After: c.After, Change: c,
			Commit: in.Entries[s.Points[c.At].Entry].Commit,
			From:   in.Entries[s.Points[c.From].Entry].Commit,
		}
		switch severity := Severity(c.Key.Metric, c.Before, c.After); {
		case severity >= 1:
			r.Regressed = append(r.Regressed, m)
		case severity <= -1:
			r.Improved = append(r.Improved, m)
		default:
			r.Small++
		}
	}
	for _, moved := range [][]Moved{r.Regressed, r.Improved} {
		slices.SortStableFunc(moved, func(a, b Moved) int {
			return cmp.Or(
				cmp.Compare(math.Abs(Severity(b.Key.Metric, b.Before, b.After)), math.Abs(Severity(a.Key.Metric, a.Before, a.After))),
				CompareKeys(a.Key, b.Key))
		})
	}
}

// Severity is how many margins of its metric a move is: positive where it is worse, 0 for metrics that are not judged.
func Severity(metric string, before, after float64) float64 {
	m, ok := result.MetricByName(metric)
	if !ok || !m.Judged || m.Margin <= 0 || before <= 0 || after <= 0 {
		return 0
	}
	severity := math.Log(after/before) / math.Log1p(m.Margin)
	if m.Better == result.Higher {
		return -severity
	}
	return severity
}

// CompareKeys orders series by workload, service and the table of metrics.
func CompareKeys(a, b history.Key) int {
	return cmp.Or(cmp.Compare(a.Workload, b.Workload), cmp.Compare(a.Service, b.Service),
		cmp.Compare(MetricRank(a.Metric), MetricRank(b.Metric)), cmp.Compare(a.Metric, b.Metric))
}

// MetricRank is a metric's place in the one table; unknown ones come last.
func MetricRank(name string) int {
	for i, m := range result.Metrics() {
		if m.Name == name {
			return i
		}
	}
	return len(result.Metrics())
}

// Night is the UTC day of an entry; zero where its time cannot be read.
func Night(e history.Entry) time.Time {
	at, err := time.Parse(time.RFC3339, e.Recorded)
	if err != nil {
		return time.Time{}
	}
	return at.UTC().Truncate(24 * time.Hour)
}

// noisy are the judged rows whose interval is wider than the margin, the widest for its margin first.
func noisy(rows []history.Row) []Noisy {
	var out []Noisy
	for _, row := range rows {
		m, ok := result.MetricByName(row.Metric)
		if !ok || !m.Judged || m.Margin <= 0 || row.Low <= 0 || row.High <= row.Low {
			continue
		}
		within := math.Sqrt(row.High/row.Low) - 1
		if within <= m.Margin {
			continue
		}
		key := history.Key{Service: row.Service, Workload: row.Workload, Metric: row.Metric}
		out = append(out, Noisy{Key: key, Noise: row.Noise, Within: within, Margin: m.Margin})
	}
	slices.SortStableFunc(out, func(a, b Noisy) int {
		return cmp.Or(cmp.Compare(b.Within/b.Margin, a.Within/a.Margin), CompareKeys(a.Key, b.Key))
	})
	return out
}

// began counts the series that start anew at entry last, by reason.
func began(series []history.Series, last int) []Began {
	counts := map[string]int{}
	for _, s := range series {
		for _, b := range s.Breaks {
			if b.Before >= 0 && b.Before < len(s.Points) && s.Points[b.Before].Entry == last {
				counts[b.Why]++
			}
		}
	}
	var out []Began
	for why, n := range counts {
		out = append(out, Began{Why: why, Series: n})
	}
	slices.SortFunc(out, func(a, b Began) int { return cmp.Or(cmp.Compare(b.Series, a.Series), cmp.Compare(a.Why, b.Why)) })
	return out
}

func index(series []history.Series) map[history.Key]history.Series {
	out := make(map[history.Key]history.Series, len(series))
	for _, s := range series {
		out[s.Key] = s
	}
	return out
}

// within says whether a change's indices are of this series.
func within(c history.Change, s history.Series) bool {
	return c.From >= 0 && c.From < c.At && c.At < len(s.Points)
}
