package history

import (
	"math"
	"runtime"
	"sync"

	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/stats"
)

// ChangesOptions tunes Changes. Zero values: the defaults.
type ChangesOptions struct {
	// Stats is how change points are found, in ln(ratio). Its MinEffect is filled for each series from Share.
	Stats stats.ChangeOptions
	// Share of a metric's margin that a change is at least: many nights together see less than one does. Default a half.
	Share float64
}

// Changes finds the change points of all series, each segment for itself: what does not compare is never held against each
// other. The order is that of series, then of time. It uses all cores, and its answer does not depend on how many there are.
func Changes(series []Series, o ChangesOptions) []Change {
	if o.Share <= 0 {
		o.Share = 0.5
	}
	found := make([][]Change, len(series))
	var wait sync.WaitGroup
	next := make(chan int)
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for i := range next {
				found[i] = changesOf(series[i], o)
			}
		})
	}
	for i := range series {
		next <- i
	}
	close(next)
	wait.Wait()
	var all []Change
	for _, changes := range found {
		all = append(all, changes...)
	}
	return all
}

// unknownMargin is for metrics that result's table does not have.
const unknownMargin = 0.01

// changesOf is the change points of one series.
func changesOf(s Series, o ChangesOptions) []Change {
	margin := unknownMargin
	if m, ok := result.MetricByName(s.Key.Metric); ok && m.Margin > 0 {
		margin = m.Margin
	}
	options := o.Stats
	options.MinEffect = math.Log1p(margin * o.Share)
	var all []Change
	for from := 0; from < len(s.Points); {
		to := from + 1
		for to < len(s.Points) && s.Points[to].Segment == s.Points[from].Segment {
			to++
		}
		x := make([]float64, to-from)
		for i := range x {
			x[i] = math.Log(s.Points[from+i].Ratio)
		}
		for _, c := range stats.ChangePoints(x, options) {
			all = append(all, Change{Key: s.Key, At: from + c.At, From: from + c.At - 1,
				Before: math.Exp(c.Before), After: math.Exp(c.After), P: c.P})
		}
		from = to
	}
	return all
}
