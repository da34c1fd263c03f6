package stats_test

import (
	"fmt"
	"math"

	"github.com/duet-bench/duet/internal/stats"
)

// Seven rounds of one row: is head at least 1 % slower?
func Example() {
	base := []float64{100, 101, 99, 100, 102, 98, 100}
	head := []float64{103, 105, 102, 102, 106, 101, 104}
	var d []float64
	for i := range base {
		if effect, ok := stats.LogRatio(base[i], head[i]); ok {
			d = append(d, effect)
		}
	}
	e := stats.Estimated(d, stats.MethodFor(d, 0), 0)
	low, high := e.Interval(0.01)
	fmt.Printf("ratio %.3f [%.3f, %.3f], p = %.4f\n", math.Exp(e.Center), math.Exp(low), math.Exp(high), e.Above(math.Log1p(0.01)))
	// Output: ratio 1.033 [1.024, 1.042], p = 0.0001
}
