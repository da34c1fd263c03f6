package dashboard

import (
	"encoding/json"

	"github.com/duet-bench/duet/internal/history"
	"github.com/duet-bench/duet/internal/report"
)

// shardFile has a workload's metric in full: every service and pair, every night.
type shardFile struct {
	Series []seriesFile `json:"series"`
	Gaps   []gapFile    `json:"gaps"`
}

// seriesFile is one series by column. Low and High are how far the interval's ends are from the ratio.
type seriesFile struct {
	Service  int             `json:"s"`
	Nights   []int           `json:"n"` // runs
	Per      float64         `json:"per"`
	Ratio    json.RawMessage `json:"r"`
	Low      json.RawMessage `json:"l"`
	High     json.RawMessage `json:"h"`
	PerValue float64         `json:"perv"`
	Value    json.RawMessage `json:"v"`
	Breaks   []seriesBreak   `json:"breaks,omitempty"`
}

type seriesBreak struct {
	Point int    `json:"p"` // the first one after it
	Why   string `json:"why"`
}

type gapFile struct {
	Pair   int             `json:"p"`
	Nights []int           `json:"n"`
	Per    float64         `json:"per"`
	Ratio  json.RawMessage `json:"r"`
	Low    json.RawMessage `json:"l"`
	High   json.RawMessage `json:"h"`
}

// shard writes shard i in full.
func (s *site) shard(i int) shardFile {
	f := shardFile{Series: []seriesFile{}, Gaps: []gapFile{}}
	for _, series := range s.shards[i].series {
		f.Series = append(f.Series, s.series(series))
	}
	for _, g := range s.shards[i].gaps {
		per, ratio, low, high := interval(g.ratio, g.low, g.high)
		f.Gaps = append(f.Gaps, gapFile{Pair: s.pairNo[g.pair], Nights: runs(g.nights), Per: per, Ratio: ratio, Low: low, High: high})
	}
	return f
}

func (s *site) series(series history.Series) seriesFile {
	n := len(series.Points)
	nights, values := make([]int, n), make([]float64, n)
	ratio, low, high := make([]float64, n), make([]float64, n), make([]float64, n)
	for i, p := range series.Points {
		nights[i], values[i] = p.Entry, orMissing(p.Value)
		ratio[i], low[i], high[i] = orMissing(p.Ratio), orMissing(p.Low), orMissing(p.High)
	}
	f := seriesFile{Service: s.serviceNo[series.Key.Service], Nights: runs(nights), PerValue: perOf(values, 5)}
	f.Per, f.Ratio, f.Low, f.High = interval(ratio, low, high)
	f.Value = deltas(values, f.PerValue)
	for _, b := range series.Breaks {
		if b.Before >= 0 && b.Before < n {
			f.Breaks = append(f.Breaks, seriesBreak{Point: b.Before, Why: report.Clean(b.Why, maxReason)})
		}
	}
	return f
}

// interval writes ratios with their intervals, as fine as the intervals are.
func interval(ratio, low, high []float64) (per float64, r, l, h json.RawMessage) {
	below, above := make([]float64, len(ratio)), make([]float64, len(ratio))
	for i := range ratio {
		below[i], above[i] = ratio[i]-low[i], high[i]-ratio[i]
	}
	per = perRatio(below)
	return per, deltas(ratio, per), steps(below, per), steps(above, per)
}

// buildsFile is what building cost, by service.
type buildsFile struct {
	Services []buildColumn `json:"services"`
}

type buildColumn struct {
	Service      int             `json:"s"`
	Nights       []int           `json:"n"`
	Clean        json.RawMessage `json:"clean"` // hundredths of a second
	Incremental  json.RawMessage `json:"incremental"`
	Bytes        json.RawMessage `json:"bytes"`
	Dependencies json.RawMessage `json:"dependencies"`
}

func (s *site) builds() buildsFile {
	type columns struct {
		nights                       []int
		clean, incremental, size, of []float64
	}
	all := make([]columns, len(s.services))
	for i, e := range s.in.Entries {
		for _, b := range e.Builds {
			c := &all[s.serviceNo[b.Service]]
			if k := len(c.nights); k > 0 && c.nights[k-1] == i {
				continue // said twice
			}
			c.nights = append(c.nights, i)
			c.clean = append(c.clean, orMissing(b.CleanSeconds))
			c.incremental = append(c.incremental, orMissing(b.IncrementalSeconds))
			c.size = append(c.size, orMissing(float64(b.BinaryBytes)))
			c.of = append(c.of, orMissing(float64(b.Dependencies)))
		}
	}
	f := buildsFile{Services: []buildColumn{}}
	for i, c := range all {
		if len(c.nights) == 0 {
			continue
		}
		f.Services = append(f.Services, buildColumn{
			Service: i, Nights: runs(c.nights), Clean: deltas(c.clean, 100), Incremental: deltas(c.incremental, 100),
			Bytes: deltas(c.size, 1), Dependencies: deltas(c.of, 1),
		})
	}
	return f
}
