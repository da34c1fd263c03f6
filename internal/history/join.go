package history

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/duet-bench/duet/internal/stats"
)

// Join makes one series a key from entries in any order: ratios to the first anchor, chained over moved anchors. Points are
// ordered by when they were recorded, never by the date of a commit, which its author's clock made; Oddities says where
// the two differ. Nights of one commit are all kept. An entry that moves the anchor is a link of the chain and no point;
// where a link is missing, the series breaks and its ratios are to the anchor that comes next.
//
// The interval of a chained ratio adds the widths of its links in quadrature on the log scale: they come from different
// rounds. All points after a move share the link's error, which the interval of one point says and their differences do not have.
func Join(entries []Entry) []Series {
	j := joiner{entries: entries, series: map[Key]*joining{}}
	for _, i := range order(entries) {
		e := &entries[i]
		if e.State != Measured {
			continue
		}
		at := recorded(*e)
		for r := range e.Rows {
			j.row(i, at, &e.Rows[r])
		}
	}
	all := make([]Series, 0, len(j.series))
	for _, s := range j.series {
		if len(s.Points) > 0 {
			all = append(all, s.Series)
		}
	}
	slices.SortFunc(all, func(a, b Series) int { return compareKeys(a.Key, b.Key) })
	return all
}

func compareKeys(a, b Key) int {
	return cmp.Or(strings.Compare(a.Service, b.Service), strings.Compare(a.Workload, b.Workload), strings.Compare(a.Metric, b.Metric))
}

// order is the indices of entries by when they were recorded, then by ID.
func order(entries []Entry) []int {
	when := make([]time.Time, len(entries))
	by := make([]int, len(entries))
	for i, e := range entries {
		by[i], when[i] = i, recorded(e)
	}
	slices.SortStableFunc(by, func(a, b int) int {
		return cmp.Or(when[a].Compare(when[b]), strings.Compare(entries[a].ID, entries[b].ID))
	})
	return by
}

// recorded is when an entry was measured; the codec has seen to it that it can be read.
func recorded(e Entry) time.Time {
	at, _ := time.Parse(time.RFC3339, e.Recorded)
	return at.UTC()
}

// joiner walks the entries once.
type joiner struct {
	entries []Entry
	series  map[Key]*joining
}

// joining is a series in the making.
type joining struct {
	Series
	last   int             // the entry of the latest row, a point or a link
	why    []string        // what broke it since the last point
	anchor string          // of the latest row
	links  map[string]link // an anchor's sha → it ÷ the first anchor
}

// link is a ratio and its interval on the log scale; low and high are distances from the centre.
type link struct{ centre, low, high float64 }

// logOf reads a row's interval; a row without one is taken as exact.
func logOf(r *Row) (link, bool) {
	if !stats.Plausible(r.Ratio) {
		return link{}, false
	}
	l := link{centre: math.Log(r.Ratio)}
	if stats.Plausible(r.Low) && stats.Plausible(r.High) {
		l.low, l.high = max(l.centre-math.Log(r.Low), 0), max(math.Log(r.High)-l.centre, 0)
	}
	return l, true
}

// times is the product of two ratios whose errors are independent.
func (l link) times(m link) link {
	return link{centre: l.centre + m.centre, low: math.Hypot(l.low, m.low), high: math.Hypot(l.high, m.high)}
}

// row takes one row of entry i over.
func (j *joiner) row(i int, at time.Time, r *Row) {
	ratio, ok := logOf(r)
	if !ok {
		return
	}
	e, k := &j.entries[i], Key{Service: r.Service, Workload: r.Workload, Metric: r.Metric}
	s := j.series[k]
	if s == nil {
		from := e.Anchor.SHA
		if e.Previous != nil {
			from = e.Previous.SHA
		}
		s = &joining{Series: Series{Key: k}, last: i, anchor: from, links: map[string]link{from: {}}}
		j.series[k] = s
	}
	if s.last != i {
		s.why = append(s.why, differences(&j.entries[s.last], e, k)...)
		s.last = i
	}
	if e.Previous != nil {
		if before, known := s.links[e.Previous.SHA]; known {
			s.links[e.Anchor.SHA] = before.times(ratio)
		}
		return
	}
	chained, known := s.links[e.Anchor.SHA]
	if !known {
		s.why = append(s.why, fmt.Sprintf("another anchor: %s instead of %s, and nothing that measured both", short(e.Anchor.SHA), short(s.anchor)))
		chained = link{}
		s.links[e.Anchor.SHA] = chained
	}
	s.anchor = e.Anchor.SHA
	s.point(Point{Entry: i, At: at, SHA: e.Commit.SHA, Value: r.Commit}, r, chained.times(ratio))
}

// point adds a night, and the break before it if there is one.
func (s *joining) point(p Point, r *Row, ratio link) {
	segment := 0
	if n := len(s.Points); n > 0 {
		segment = s.Points[n-1].Segment
		if len(s.why) > 0 {
			segment++
			s.Breaks = append(s.Breaks, Break{Before: n, Why: strings.Join(slices.Compact(s.why), "; ")})
		}
	}
	s.why = nil
	p.Ratio, p.Segment = math.Exp(ratio.centre), segment
	if r.Identical || r.Low > 0 || ratio.low > 0 || ratio.high > 0 {
		p.Low, p.High = math.Exp(ratio.centre-ratio.low), math.Exp(ratio.centre+ratio.high)
	}
	s.Points = append(s.Points, p)
}

// differences says why entries a and b, in this order, do not compare for a key. Nil: they do.
func differences(a, b *Entry, k Key) []string {
	var why []string
	differ := func(what, was, is string) {
		if was != is {
			why = append(why, fmt.Sprintf("another %s: %s instead of %s", what, orNone(is), orNone(was)))
		}
	}
	if m, n := a.Machine, b.Machine; m.CPU != n.CPU || m.Cores != n.Cores || m.OS != n.OS || m.Arch != n.Arch || m.Isolation != n.Isolation || m.Turns != n.Turns {
		differ("CPU", m.CPU, n.CPU)
		differ("number of cores", fmt.Sprint(m.Cores), fmt.Sprint(n.Cores))
		differ("system", m.OS+"/"+m.Arch, n.OS+"/"+n.Arch)
		differ("isolation", m.Isolation, n.Isolation)
		differ("way of taking turns", m.Turns, n.Turns)
	}
	for _, lang := range toolchainsOf(a, b, k.Service) {
		differ(lang+" toolchain", a.Toolchains[lang], b.Toolchains[lang])
	}
	differ("configuration of measuring", a.Config, b.Config)
	if k.Workload != "" {
		differ("version of workload "+k.Workload, a.Workloads[k.Workload], b.Workloads[k.Workload])
	}
	return why
}

// toolchainsOf is the languages whose toolchain a service's figures depend on: its own, or all where it is not known.
func toolchainsOf(a, b *Entry, service string) []string {
	if lang := cmp.Or(b.Services[service], a.Services[service]); lang != "" {
		return []string{lang}
	}
	if maps.Equal(a.Toolchains, b.Toolchains) {
		return nil
	}
	names := slices.AppendSeq(slices.Collect(maps.Keys(a.Toolchains)), maps.Keys(b.Toolchains))
	slices.Sort(names)
	return slices.Compact(names)
}

func orNone(s string) string { return cmp.Or(s, "none named") }

// short is how a commit is named in words.
func short(sha string) string {
	if len(sha) > 12 {
		return sha[:12]
	}
	return sha
}
