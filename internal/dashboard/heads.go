package dashboard

import (
	"encoding/json"
	"math"
	"slices"
	"time"

	"github.com/duet-bench/duet/internal/history"
	"github.com/duet-bench/duet/internal/result"
)

// The overview's small lines: the last sparkDays days in sparkSteps steps.
const (
	sparkDays  = 90
	sparkSteps = 45
	// recent is how many days an improvement is shown as new.
	recent = 30
)

// heads are all shards in short.
func (s *site) heads(changes []changeHead) []shardHead {
	open, improved := map[int]bool{}, map[int]bool{}
	for _, c := range changes {
		open[c.Series] = open[c.Series] || c.Open
		if c.Way < 0 && s.end-s.minutes[c.At] <= recent*24*60 {
			improved[c.Series] = true
		}
	}
	last := s.lastMeasured()
	out := []shardHead{}
	for _, sh := range s.shards {
		head := shardHead{Workload: s.workloadNo[sh.workload], Metric: s.metricNo[sh.metric], Series: []seriesHead{}}
		for k, series := range sh.series {
			h := s.seriesHead(series)
			switch n := sh.first + k; {
			case open[n]:
				h.State = isOpen
			case h.Night != last:
				h.State = isGone
			case improved[n]:
				h.State = isImproved
			case s.identical(series):
				h.State = isSame
			case wide(series.Key.Metric, h.Low, h.High):
				h.State = isNoisy
			}
			head.Series = append(head.Series, h)
		}
		for _, g := range sh.gaps {
			n := len(g.nights) - 1
			h := gapHead{Pair: s.pairNo[g.pair], Night: g.nights[n], Ratio: round(g.ratio[n]), Low: round(g.low[n]), High: round(g.high[n])}
			h.Spark = s.spark(len(g.nights), func(i int) (int, float64) { return g.nights[i], g.ratio[i] })
			head.Gaps = append(head.Gaps, h)
		}
		out = append(out, head)
	}
	return out
}

func (s *site) seriesHead(series history.Series) seriesHead {
	h := seriesHead{Service: s.serviceNo[series.Key.Service], Night: -1}
	if n := len(series.Points); n > 0 {
		p := series.Points[n-1]
		h.Night, h.Ratio, h.Low, h.High, h.Value = p.Entry, round(p.Ratio), round(p.Low), round(p.High), round(p.Value)
	}
	h.Spark = s.spark(len(series.Points), func(i int) (int, float64) { return series.Points[i].Entry, orMissing(series.Points[i].Ratio) })
	return h
}

// identical says whether the last night's row of a series was not measured because both commits start the same thing.
func (s *site) identical(series history.Series) bool {
	if len(series.Points) == 0 {
		return false
	}
	for _, r := range s.in.Entries[series.Points[len(series.Points)-1].Entry].Rows {
		if r.Service == series.Key.Service && r.Workload == series.Key.Workload && r.Metric == series.Key.Metric {
			return r.Identical
		}
	}
	return false
}

// wide says whether an interval is wider than the metric's margin, so that a change of a margin would not be seen.
func wide(metric string, low, high float64) bool {
	m, ok := result.MetricByName(metric)
	return ok && m.Judged && low > 0 && math.Sqrt(high/low)-1 > m.Margin
}

// spark is the median of each step of the last days; a step without a night is missing.
func (s *site) spark(n int, at func(int) (night int, value float64)) json.RawMessage {
	cells := make([][]float64, sparkSteps)
	from := s.end - sparkDays*24*60
	any := false
	for i := n - 1; i >= 0; i-- {
		night, value := at(i)
		since := s.minutes[night] - from
		if since < 0 {
			break
		}
		step := min(int(since/(sparkDays*24*60/sparkSteps)), sparkSteps-1)
		if !math.IsNaN(value) {
			cells[step] = append(cells[step], value)
			any = true
		}
	}
	if !any {
		return nil
	}
	line := make([]float64, sparkSteps)
	for i, c := range cells {
		line[i] = math.NaN()
		if len(c) > 0 {
			slices.Sort(c)
			line[i] = c[len(c)/2]
		}
	}
	return deltas(line, 1e4)
}

// lastMinute is the last entry's time in minutes; times of a clock that ran ahead by more than a day do not count where it is known
// what time it is.
func (s *site) lastMinute() float64 {
	end := 0.0
	limit := math.Inf(1)
	if !s.in.Now.IsZero() {
		limit = float64(s.in.Now.Add(24*time.Hour).Unix() / 60)
	}
	for _, at := range s.minutes {
		if at > end && at <= limit {
			end = at
		}
	}
	return end
}

// lastMeasured is the index of the last night that measured something; -1: none did.
func (s *site) lastMeasured() int {
	for i, e := range slices.Backward(s.in.Entries) {
		if e.State == history.Measured && e.Previous == nil {
			return i
		}
	}
	return -1
}
