package dashboard

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
)

// Columns of numbers are whole multiples of 1/per, a few characters each: most of a site is columns.

// deltas writes a column, each number less the last one before it that is there. The first is whole.
func deltas(values []float64, per float64) json.RawMessage {
	last := int64(0)
	return column(values, per, func(n int64) int64 {
		d := n - last
		last = n
		return d
	})
}

// steps writes a column of numbers as they are.
func steps(values []float64, per float64) json.RawMessage {
	return column(values, per, func(n int64) int64 { return n })
}

func column(values []float64, per float64, write func(int64) int64) json.RawMessage {
	text := []byte{'['}
	for i, v := range values {
		if i > 0 {
			text = append(text, ',')
		}
		n := math.Round(v * per)
		if math.IsNaN(n) || math.Abs(n) > 1<<53 {
			text = append(text, "null"...)
			continue
		}
		text = strconv.AppendInt(text, write(int64(n)), 10)
	}
	return append(text, ']')
}

// runs writes ascending whole numbers as pairs of start and length: nearly every series has nearly every night.
func runs(numbers []int) []int {
	out := []int{}
	for i, n := range numbers {
		if i > 0 && n == numbers[i-1]+1 {
			out[len(out)-1]++
			continue
		}
		out = append(out, n, 1)
	}
	return out
}

// perOf picks a power of ten for a column: typical figures become whole numbers of digits digits.
func perOf(values []float64, digits int) float64 {
	var sizes []float64
	for _, v := range values {
		if a := math.Abs(v); a > 0 && !math.IsInf(a, 0) {
			sizes = append(sizes, a)
		}
	}
	if len(sizes) == 0 {
		return 1
	}
	slices.Sort(sizes)
	return math.Pow10(digits - 1 - int(math.Floor(math.Log10(sizes[len(sizes)/2]))))
}

// perRatio is perOf for ratios with these half widths: fine enough to tell what the interval can tell.
func perRatio(widths []float64) float64 { return min(max(perOf(widths, 2), 1e4), 1e6) }

// orMissing is v where it is a figure at all.
func orMissing(v float64) float64 {
	if v <= 0 || math.IsInf(v, 0) {
		return math.NaN() // no figure
	}
	return v
}

// round keeps five significant digits, for single numbers in JSON. Not a number becomes 0, which stands for none.
func round(v float64) float64 {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(v, 'e', 4, 64), 64)
	if err != nil {
		return 0
	}
	return rounded
}
