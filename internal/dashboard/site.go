package dashboard

import (
	"cmp"
	"slices"
	"time"

	"github.com/duet-bench/duet/internal/history"
	"github.com/duet-bench/duet/internal/report"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/triage"
)

// Limits of texts from outside, in characters.
const (
	maxName    = 80
	maxSubject = 120
	maxReason  = 200
)

// site is the history, numbered: services, workloads, metrics and pairs by their place in a list, series by their place in
// shards.
type site struct {
	in                                Input
	services, workloads, metrics, all []string // all: the pairs
	serviceNo, workloadNo, metricNo   map[string]int
	pairNo                            map[string]int
	shards                            []shard
	shardNo                           map[place]int
	minutes                           []float64 // when each entry was recorded, in minutes since 1970; 0 where its time cannot be read
	end                               float64   // of the last entry, on the same scale
}

// place is a workload's metric: what one file has the series of.
type place struct{ workload, metric string }

type shard struct {
	place
	series []history.Series // by service
	first  int              // number of the first series of the shard, over all shards
	gaps   []gapSeries      // by pair
}

// gapSeries is Rust ÷ Go of one pair over the nights.
type gapSeries struct {
	pair             string
	nights           []int
	ratio, low, high []float64
}

func newSite(in Input) *site {
	s := &site{in: in, shardNo: map[place]int{}}
	s.number()
	for _, series := range in.Series {
		i := s.shardOf(place{series.Key.Workload, series.Key.Metric})
		s.shards[i].series = append(s.shards[i].series, series)
	}
	s.addGaps()
	next := 0
	for i := range s.shards {
		slices.SortFunc(s.shards[i].series, func(a, b history.Series) int { return cmp.Compare(a.Key.Service, b.Key.Service) })
		slices.SortFunc(s.shards[i].gaps, func(a, b gapSeries) int { return cmp.Compare(a.pair, b.pair) })
		s.shards[i].first = next
		next += len(s.shards[i].series)
	}
	for _, e := range in.Entries {
		s.minutes = append(s.minutes, minutes(e))
	}
	s.end = s.lastMinute()
	return s
}

// number lists every name there is and makes a shard for every workload and metric, in their order.
func (s *site) number() {
	services, workloads, metrics, pairs := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	places := map[place]bool{}
	for _, series := range s.in.Series {
		services[series.Key.Service] = true
		workloads[series.Key.Workload] = true
		metrics[series.Key.Metric] = true
		places[place{series.Key.Workload, series.Key.Metric}] = true
	}
	for _, e := range s.in.Entries {
		for _, r := range e.Rows {
			services[r.Service], workloads[r.Workload], metrics[r.Metric] = true, true, true
		}
		for _, g := range e.Gaps {
			pairs[g.Pair], workloads[g.Workload], metrics[g.Metric] = true, true, true
			places[place{g.Workload, g.Metric}] = true
		}
		for _, b := range e.Builds {
			services[b.Service] = true
		}
	}
	byName := func(a, b string) int { return cmp.Compare(a, b) }
	s.services, s.serviceNo = list(services, byName)
	s.workloads, s.workloadNo = list(workloads, byName)
	s.all, s.pairNo = list(pairs, byName)
	s.metrics, s.metricNo = list(metrics, func(a, b string) int {
		return cmp.Or(cmp.Compare(triage.MetricRank(a), triage.MetricRank(b)), cmp.Compare(a, b))
	})
	for p := range places {
		s.shards = append(s.shards, shard{place: p})
	}
	slices.SortFunc(s.shards, func(a, b shard) int {
		return cmp.Or(cmp.Compare(s.workloadNo[a.workload], s.workloadNo[b.workload]), cmp.Compare(s.metricNo[a.metric], s.metricNo[b.metric]))
	})
	for i, sh := range s.shards {
		s.shardNo[sh.place] = i
	}
}

func list(set map[string]bool, order func(a, b string) int) ([]string, map[string]int) {
	names := make([]string, 0, len(set))
	for name := range set {
		names = append(names, name)
	}
	slices.SortFunc(names, order)
	number := make(map[string]int, len(names))
	for i, name := range names {
		number[name] = i
	}
	return names, number
}

func (s *site) shardOf(p place) int { return s.shardNo[p] }

// addGaps collects each pair's gap over the nights. Unlike a ratio to the anchor it is of one commit, so nothing is chained.
func (s *site) addGaps() {
	type at struct {
		place
		pair string
	}
	where := map[at]int{}
	for i, e := range s.in.Entries {
		if e.State != history.Measured || e.Previous != nil {
			continue
		}
		for _, g := range e.Gaps {
			p := place{g.Workload, g.Metric}
			sh := &s.shards[s.shardOf(p)]
			n, ok := where[at{p, g.Pair}]
			if !ok {
				n = len(sh.gaps)
				where[at{p, g.Pair}] = n
				sh.gaps = append(sh.gaps, gapSeries{pair: g.Pair})
			}
			gap := &sh.gaps[n]
			if k := len(gap.nights); k > 0 && gap.nights[k-1] == i {
				continue // said twice
			}
			gap.nights = append(gap.nights, i)
			gap.ratio = append(gap.ratio, orMissing(g.Ratio))
			gap.low = append(gap.low, orMissing(g.Low))
			gap.high = append(gap.high, orMissing(g.High))
		}
	}
}

// months are the measured and unmeasured nights by month of recording: "2026-03"; "other" where the time cannot be read.
func (s *site) months() map[string][]int {
	out := map[string][]int{}
	for i, e := range s.in.Entries {
		out[monthOf(e)] = append(out[monthOf(e)], i)
	}
	return out
}

func monthOf(e history.Entry) string {
	night := triage.Night(e)
	if night.IsZero() || night.Year() < 1 || night.Year() > 9999 {
		return "other"
	}
	return night.Format("2006-01")
}

// languages are the services' languages, as the latest entry that says so has it.
func (s *site) languages() []string {
	out := make([]string, len(s.services))
	for _, e := range s.in.Entries {
		for service, lang := range e.Services {
			if n, ok := s.serviceNo[service]; ok {
				out[n] = name(lang)
			}
		}
	}
	return out
}

func names(raw []string) []string {
	out := make([]string, len(raw))
	for i, s := range raw {
		out[i] = name(s)
	}
	return out
}

func name(s string) string { return report.Clean(s, maxName) }

// metricHead is a row of the metric table as the page needs it.
type metricHead struct {
	Name   string  `json:"name"`
	Label  string  `json:"label"`
	Unit   string  `json:"unit"`
	Higher bool    `json:"higher,omitempty"` // more is better
	Judged bool    `json:"judged,omitempty"`
	Margin float64 `json:"margin,omitempty"`
}

func (s *site) metricHeads() []metricHead {
	out := make([]metricHead, len(s.metrics))
	for i, n := range s.metrics {
		out[i] = metricHead{Name: name(n), Label: name(n)}
		if m, ok := result.MetricByName(n); ok {
			out[i] = metricHead{Name: m.Name, Label: m.Label, Unit: m.Unit, Higher: m.Better == result.Higher, Judged: m.Judged, Margin: m.Margin}
		}
	}
	return out
}

// minutes is when an entry was recorded, in minutes since 1970; 0 where the time cannot be read.
func minutes(e history.Entry) float64 {
	at, err := time.Parse(time.RFC3339, e.Recorded)
	if err != nil {
		return 0
	}
	return float64(at.Unix() / 60)
}
