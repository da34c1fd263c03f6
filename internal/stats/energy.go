package stats

import "math"

// energy computes the energy statistic of all splits of a series; it keeps its memory.
type energy struct {
	all, scaled, within, inverse []float64
}

// best is the split with the greatest statistic
//
//	Q(X, Y) = nm/(n+m) · ( 2/(nm) ΣΣ|x−y| − 2/(n(n−1)) ΣΣ|x−x'| − 2/(m(m−1)) ΣΣ|y−y'| )
//
// of X = x[:at] (n values) and Y = x[at:end] (m values) over all at and end, both at least least long; at 0: none is above
// zero. It stops at the first one that reaches enough, which is then as great as any for the asker.
//
// With S(k) the sum of distances within x[:k] and W the sum within Y, those between are S(end) − S(at) − W, and so
//
//	Q = 2/end · ( S(end) − (end−1)·( S(at)/(n−1) + W/(m−1) ) )
//
// W is carried from at+1 to at: one row of distances is added for each at, so that all splits together take O(n²) steps and
// O(n) memory.
func (e *energy) best(x []float64, least int, enough float64) (at int, q float64) {
	n := len(x)
	e.prepare(x)
	within := e.within[:n+1]
	clear(within)
	for from := n - 1; from >= least; from-- {
		row, v := 0.0, x[from]
		if n-from < least { // Y is too short for a split here, wherever it ends
			for i := from + 1; i < n; i++ {
				row += math.Abs(x[i] - v)
				within[i+1] += row
			}
			continue
		}
		own := e.all[from] * e.inverse[from-1]
		for i := from + 1; i < n; i++ {
			row += math.Abs(x[i] - v)
			w := within[i+1] + row
			within[i+1] = w
			if m := i + 1 - from; m >= least {
				if s := e.scaled[i+1] - own - w*e.inverse[m-1]; s > 0 {
					if s *= 2 * float64(i) * e.inverse[i+1]; s > q {
						at, q = from, s
					}
				}
			}
		}
		if q >= enough {
			return at, q
		}
	}
	return at, q
}

// prepare sums the distances within each x[:k]: all[k], and all[k] ÷ (k−1) as scaled[k].
func (e *energy) prepare(x []float64) {
	n := len(x)
	if len(e.all) < n+1 {
		e.all, e.scaled, e.within, e.inverse = make([]float64, n+1), make([]float64, n+1), make([]float64, n+1), make([]float64, n+1)
		for i := 1; i <= n; i++ {
			e.inverse[i] = 1 / float64(i)
		}
	}
	e.all[0], e.scaled[0] = 0, 0
	for k := 1; k <= n; k++ {
		row, v := 0.0, x[k-1]
		for _, u := range x[:k-1] {
			row += math.Abs(u - v)
		}
		e.all[k] = e.all[k-1] + row
		e.scaled[k] = 0
		if k > 1 {
			e.scaled[k] = e.all[k] * e.inverse[k-1]
		}
	}
}

// bestOf is the split of the whole of x with the greatest statistic: Y ends where x does.
func (e *energy) bestOf(x []float64, least int) (at int) {
	n := len(x)
	e.prepare(x)
	q, within := 0.0, 0.0
	for from := n - 1; from >= least; from-- {
		for _, u := range x[from+1:] {
			within += math.Abs(u - x[from])
		}
		m := n - from
		if m < least {
			continue
		}
		if s := e.scaled[n] - e.all[from]*e.inverse[from-1] - within*e.inverse[m-1]; s > q {
			at, q = from, s
		}
	}
	return at
}
