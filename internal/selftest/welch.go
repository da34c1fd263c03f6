package selftest

import "math"

// welchT is the two-sided p-value of Welch's t-test. With thousands of requests a side Student's t is the normal.
func welchT(a, b moments) (p float64, ok bool) {
	if a.n < 2 || b.n < 2 {
		return 1, false
	}
	se := math.Sqrt(a.variance/float64(a.n) + b.variance/float64(b.n))
	if !(se > 0) {
		return 1, false
	}
	return math.Erfc(math.Abs(a.mean-b.mean) / se / math.Sqrt2), true
}
