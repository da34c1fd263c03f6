package history

import "time"

// Key names a series.
type Key struct {
	Service  string
	Workload string // empty for build metrics
	Metric   string
}

// Point is one night of a series.
type Point struct {
	Entry int // index into the entries that the series was made from
	At    time.Time
	SHA   string
	// Ratio is the commit ÷ the first anchor of the series, chained over moved anchors, with its interval.
	Ratio, Low, High float64
	Value            float64 // absolute, in the metric's base unit
	Segment          int     // points of one segment are comparable; Breaks say why a new one began
}

// Break is where a series starts anew, because what follows does not compare with what was before.
type Break struct {
	Before int    // index of the first point after it
	Why    string // "another CPU: A instead of B"
}

// Series is one metric of one service under one workload over time, oldest first.
type Series struct {
	Key    Key
	Points []Point
	Breaks []Break
}

// Change is a change point of a series: from this commit on it differs persistently.
type Change struct {
	Key    Key
	At     int     // index of the first point after the change
	From   int     // index of the last point before it: the suspect commits lie after this one's
	Before float64 // mean ratio of the stretch before and after
	After  float64
	P      float64 // of the permutation test
}
