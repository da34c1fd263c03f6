package dashboard

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/duet-bench/duet/internal/history"
	"github.com/duet-bench/duet/internal/report"
	"github.com/duet-bench/duet/internal/triage"
)

// indexFile is what the page loads first: every night in a line, and the last weeks of every series, coarsely.
type indexFile struct {
	Version    string       `json:"version"` // of all data
	Made       string       `json:"made,omitempty"`
	Title      string       `json:"title"`
	Repository string       `json:"repository,omitempty"`
	Services   []string     `json:"services"`
	Languages  []string     `json:"languages"` // of the services; "" where it is not known
	Workloads  []string     `json:"workloads"` // "" is what builds have
	Metrics    []metricHead `json:"metrics"`
	Pairs      []string     `json:"pairs"`
	Nights     nightsColumn `json:"nights"`
	Shards     []shardHead  `json:"shards"`
	Changes    []changeHead `json:"changes"`
	Open       []openHead   `json:"open"`
	Missing    []missed     `json:"missing"`
	Breaks     []breakHead  `json:"breaks"`
	Checks     checksColumn `json:"checks"`
	SparkDays  int          `json:"spark_days"`
}

// nightsColumn is every entry, by column.
type nightsColumn struct {
	At      json.RawMessage `json:"at"`      // minutes since 1970, as deltas
	SHA     []string        `json:"sha"`     // whole
	ID      []string        `json:"id"`      // what follows the sha; "=" and all of it where it does not begin with the sha
	Subject []string        `json:"subject"` // of the commit
	Author  []int           `json:"author"`  // index into Authors
	Authors []string        `json:"authors"`
	Failed  map[int]string  `json:"failed"` // nights that measured nothing, and why
	Months  []monthRun      `json:"months"` // where a night's rows are
	URLs    string          `json:"urls"`   // what all addresses of runs begin with
	URL     []string        `json:"url"`    // the rest; "" where there is none
	Anchors []anchorRun     `json:"anchors"`
	Moves   []int           `json:"moves"` // entries that move the anchor, no nights
}

type monthRun struct {
	From  int    `json:"from"` // the first night of the run
	Month string `json:"month"`
}

type anchorRun struct {
	From int    `json:"from"`
	SHA  string `json:"sha"`
}

// shardHead is a workload's metric in short.
type shardHead struct {
	Workload int          `json:"w"`
	Metric   int          `json:"m"`
	Series   []seriesHead `json:"s"`
	Gaps     []gapHead    `json:"g,omitempty"`
}

type seriesHead struct {
	Service int             `json:"s"`
	Night   int             `json:"n"` // of the last figure
	Ratio   float64         `json:"r"`
	Low     float64         `json:"l,omitempty"`
	High    float64         `json:"h,omitempty"`
	Value   float64         `json:"v,omitempty"`
	State   string          `json:"t,omitempty"`
	Spark   json.RawMessage `json:"p,omitempty"` // ten-thousandths, as deltas
}

type gapHead struct {
	Pair  int             `json:"p"`
	Night int             `json:"n"`
	Ratio float64         `json:"r"`
	Low   float64         `json:"l,omitempty"`
	High  float64         `json:"h,omitempty"`
	Spark json.RawMessage `json:"k,omitempty"`
}

type changeHead struct {
	Series int     `json:"s"` // over all shards
	At     int     `json:"at"`
	From   int     `json:"from"`
	Before float64 `json:"before"`
	After  float64 `json:"after"`
	Way    int     `json:"way"` // 1: worse by more than the margin, -1: better, 0: neither
	Open   bool    `json:"open,omitempty"`
	Bad    *commit `json:"bad,omitempty"` // the first bad merge, where a night named it
}

type commit struct {
	SHA     string `json:"sha"`
	Subject string `json:"subject"`
	Author  string `json:"author"`
}

type openHead struct {
	Series int     `json:"s"`
	Night  int     `json:"at"`
	Ratio  float64 `json:"r"`
	Days   int     `json:"days"`
	Held   string  `json:"held,omitempty"`
}

type missed struct {
	From   string `json:"from"`
	To     string `json:"to"`
	Nights int    `json:"nights"`
	Why    string `json:"why,omitempty"`
}

type breakHead struct {
	Night  int    `json:"at"`
	Why    string `json:"why"`
	Series int    `json:"series"`
}

// checksColumn is the record of the self-checks.
type checksColumn struct {
	Nights []int            `json:"nights"` // runs
	Rows   json.RawMessage  `json:"rows"`   // deltas
	False  map[int][]string `json:"false"`  // by night: the rows' names, at most maxFalse
	Count  map[int]int      `json:"count"`  // by night: how many
	Sum    int              `json:"sum"`
	Of     int              `json:"of"`
	Low    float64          `json:"low"`
	High   float64          `json:"high"`
}

// maxFalse is how many false alarms of a night are named.
const maxFalse = 5

// The states of a series, by letter.
const (
	isOpen     = "o" // an open regression
	isImproved = "i" // improved within the last month
	isNoisy    = "n" // the last interval is wider than the margin
	isGone     = "g" // the last measured night has no figure
	isSame     = "=" // identical to the anchor
)

func (s *site) index() indexFile {
	r := triage.New(triage.Input{Entries: s.in.Entries, Series: s.in.Series, Changes: s.in.Changes, Now: s.in.Now})
	f := indexFile{
		Title: s.in.Title, Repository: s.in.Repository, Services: names(s.services), Languages: s.languages(), Workloads: names(s.workloads),
		Metrics: s.metricHeads(), Pairs: names(s.all), Nights: s.nights(), Shards: []shardHead{}, Changes: []changeHead{},
		Open: []openHead{}, Missing: []missed{}, Checks: s.checks(), SparkDays: sparkDays,
	}
	if !s.in.Now.IsZero() {
		f.Made = s.in.Now.UTC().Format(time.RFC3339)
	}
	numbers := map[history.Key]int{}
	for _, sh := range s.shards {
		for k, series := range sh.series {
			numbers[series.Key] = sh.first + k
		}
	}
	opened := map[[2]int]bool{}
	for _, o := range r.Open {
		n := numbers[o.Key]
		opened[[2]int{n, o.Entry}] = true
		f.Open = append(f.Open, openHead{Series: n, Night: o.Entry, Ratio: round(o.Ratio), Days: o.AgeNights, Held: report.Clean(o.Held, maxReason)})
	}
	f.Changes = s.changes(numbers, opened)
	f.Shards = s.heads(f.Changes)
	for _, m := range r.Missing {
		f.Missing = append(f.Missing, missed{From: m.First.Format(time.DateOnly), To: m.Last.Format(time.DateOnly), Nights: m.Nights, Why: report.Clean(m.Why, maxReason)})
	}
	f.Breaks = s.breaks()
	return f
}

// nights writes every entry by column.
func (s *site) nights() nightsColumn {
	c := nightsColumn{Failed: map[int]string{}, SHA: []string{}, ID: []string{}, Subject: []string{}, Author: []int{}, URL: []string{}, Moves: []int{}}
	authors := map[string]int{}
	for i, e := range s.in.Entries {
		sha := report.Clean(e.Commit.SHA, 64)
		c.SHA = append(c.SHA, sha)
		id := report.Clean(e.ID, 120)
		if rest, ok := strings.CutPrefix(id, sha); ok && sha != "" {
			c.ID = append(c.ID, rest)
		} else {
			c.ID = append(c.ID, "="+id)
		}
		c.Subject = append(c.Subject, report.Clean(e.Commit.Subject, maxSubject))
		author := name(e.Commit.Author)
		n, ok := authors[author]
		if !ok {
			n = len(authors)
			authors[author] = n
			c.Authors = append(c.Authors, author)
		}
		c.Author = append(c.Author, n)
		if e.State != history.Measured {
			c.Failed[i] = report.Clean(cmp.Or(e.Error, "measured nothing"), maxReason)
		}
		if e.Previous != nil {
			c.Moves = append(c.Moves, i)
		}
		if month := monthOf(e); i == 0 || c.Months[len(c.Months)-1].Month != month {
			c.Months = append(c.Months, monthRun{From: i, Month: month})
		}
		if anchor := report.Clean(e.Anchor.SHA, 64); i == 0 || c.Anchors[len(c.Anchors)-1].SHA != anchor {
			c.Anchors = append(c.Anchors, anchorRun{From: i, SHA: anchor})
		}
		url, _ := triage.SafeURL(e.Job.URL)
		c.URL = append(c.URL, url)
	}
	c.At = deltas(s.minutes, 1)
	c.URLs = shared(c.URL)
	for i := range c.URL {
		c.URL[i] = strings.TrimPrefix(c.URL[i], c.URLs)
	}
	return c
}

// shared is what all texts that are not empty begin with, less one character, so that a rest is never empty.
func shared(texts []string) string {
	prefix, first := "", true
	for _, t := range texts {
		switch {
		case t == "":
			continue
		case first:
			prefix, first = t[:len(t)-1], false
			continue
		}
		n := 0
		for n < len(prefix) && n < len(t)-1 && prefix[n] == t[n] {
			n++
		}
		prefix = prefix[:n]
	}
	return prefix
}

func (s *site) changes(numbers map[history.Key]int, opened map[[2]int]bool) []changeHead {
	out := []changeHead{}
	for _, c := range s.in.Changes {
		n, ok := numbers[c.Key]
		if !ok {
			continue
		}
		sh := s.shards[s.shardOf(place{c.Key.Workload, c.Key.Metric})]
		points := sh.series[n-sh.first].Points
		if c.From < 0 || c.At <= c.From || c.At >= len(points) {
			continue
		}
		head := changeHead{Series: n, At: points[c.At].Entry, From: points[c.From].Entry, Before: round(c.Before), After: round(c.After)}
		switch severity := triage.Severity(c.Key.Metric, c.Before, c.After); {
		case severity >= 1:
			head.Way = 1
		case severity <= -1:
			head.Way = -1
		}
		head.Open = opened[[2]int{n, head.At}]
		if head.Way > 0 {
			head.Bad = s.firstBad(c.Key, head.At)
		}
		out = append(out, head)
	}
	slices.SortStableFunc(out, func(a, b changeHead) int { return cmp.Or(cmp.Compare(b.At, a.At), cmp.Compare(a.Series, b.Series)) })
	return out
}

// nearby is how many nights a change point may have wandered since it was looked into, as more nights were added.
const nearby = 3

// firstBad is the merge that a bisection of this change named: of the series itself, else of its service, since one merge
// moves many rows. Nil: none did.
func (s *site) firstBad(k history.Key, at int) *commit {
	shas := map[string]bool{}
	for _, e := range s.in.Entries[max(0, at-nearby):min(len(s.in.Entries), at+nearby+1)] {
		shas[e.Commit.SHA] = true
	}
	var found *history.Commit
	own := false
	for _, e := range s.in.Entries[max(0, at-nearby):] {
		for _, suspect := range e.Suspects {
			itself := suspect.Workload == k.Workload && suspect.Metric == k.Metric
			if suspect.FirstBad != nil && suspect.Service == k.Service && shas[suspect.To.SHA] && (itself || !own) {
				found, own = suspect.FirstBad, own || itself
			}
		}
	}
	if found == nil {
		return nil
	}
	return &commit{SHA: report.Clean(found.SHA, 64), Subject: report.Clean(found.Subject, maxSubject), Author: name(found.Author)}
}

// breaks says once for all series why nights do not compare with those before.
func (s *site) breaks() []breakHead {
	type at struct {
		night int
		why   string
	}
	counts := map[at]int{}
	for _, series := range s.in.Series {
		for _, b := range series.Breaks {
			if b.Before >= 0 && b.Before < len(series.Points) {
				counts[at{series.Points[b.Before].Entry, b.Why}]++
			}
		}
	}
	out := []breakHead{}
	for k, n := range counts {
		out = append(out, breakHead{Night: k.night, Why: report.Clean(k.why, maxReason), Series: n})
	}
	slices.SortFunc(out, func(a, b breakHead) int { return cmp.Or(cmp.Compare(b.Night, a.Night), cmp.Compare(a.Why, b.Why)) })
	return out
}

func (s *site) checks() checksColumn {
	record := triage.Checks(s.in.Entries)
	c := checksColumn{False: map[int][]string{}, Count: map[int]int{}, Sum: record.False, Of: record.Rows, Low: round(record.Low), High: round(record.High)}
	var nights []int
	var rows []float64
	for i, e := range s.in.Entries {
		if e.SelfCheck == nil {
			continue
		}
		nights = append(nights, i)
		rows = append(rows, float64(e.SelfCheck.Rows))
		if n := len(e.SelfCheck.False); n > 0 {
			c.Count[i] = n
			c.False[i] = names(e.SelfCheck.False[:min(n, maxFalse)])
		}
	}
	c.Nights, c.Rows = runs(nights), deltas(rows, 1)
	return c
}
