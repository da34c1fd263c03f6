package report

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// none is what a missing value looks like.
const none = "–"

// step is one scaled unit: value in base units ÷ by, written with suffix.
type step struct {
	by     float64
	suffix string
}

// scales are the units a report writes, smallest first. Bytes are decimal everywhere: 1 MB is 1,000,000 B.
func scales(unit string) []step {
	switch unit {
	case "s":
		return []step{{1e-9, "ns"}, {1e-6, "µs"}, {1e-3, "ms"}, {1, "s"}}
	case "B":
		return []step{{1, "B"}, {1e3, "kB"}, {1e6, "MB"}, {1e9, "GB"}}
	case "instr":
		return []step{{1, "instr"}, {1e3, "k instr"}, {1e6, "M instr"}}
	case "allocs":
		return []step{{1, "allocs"}}
	case "req/s":
		return []step{{1, "req/s"}}
	}
	return []step{{1, ""}}
}

// scaleFor picks the largest unit in which v is at least 1 once rounded.
func scaleFor(unit string, v float64) step {
	steps := scales(unit)
	chosen := steps[0]
	for _, s := range steps {
		if round3(math.Abs(v)/s.by) >= 1 {
			chosen = s
		}
	}
	return chosen
}

// round3 rounds to three significant digits.
func round3(v float64) float64 {
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(v, 'e', 2, 64), 64)
	if err != nil {
		return v
	}
	return rounded
}

// figures writes v with three significant digits and thousands separated.
func figures(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return none
	}
	v = round3(v)
	abs := math.Abs(v)
	decimals := 0
	switch {
	case abs == 0:
	case abs < 0.001:
		return strconv.FormatFloat(v, 'g', 3, 64)
	case abs < 100:
		decimals = 2 - int(math.Floor(math.Log10(abs)))
	}
	return grouped(strconv.FormatFloat(v, 'f', decimals, 64))
}

// grouped puts commas between thousands.
func grouped(s string) string {
	whole, fraction, hasFraction := strings.Cut(s, ".")
	digits := strings.TrimPrefix(whole, "-")
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	if strings.HasPrefix(whole, "-") {
		digits = "−" + digits
	}
	if hasFraction {
		digits += "." + fraction
	}
	return digits
}

// count writes a whole number.
func count[N int | int64](n N) string { return grouped(strconv.FormatInt(int64(n), 10)) }

// quantity writes a value of a base unit, scaled: 0.000412 s is "412 µs".
func quantity(v *float64, unit string) string {
	if v == nil {
		return none
	}
	s := scaleFor(unit, *v)
	return strings.TrimSpace(figures(*v/s.by) + " " + s.suffix)
}

// change writes base and head in one unit: "412 → 441 µs".
func change(base, head *float64, unit string) string {
	switch {
	case base == nil:
		return quantity(head, unit)
	case head == nil:
		return quantity(base, unit) + " → " + none
	}
	s := scaleFor(unit, math.Max(math.Abs(*base), math.Abs(*head)))
	return strings.TrimSpace(figures(*base/s.by) + " → " + figures(*head/s.by) + " " + s.suffix)
}

// percentDigits writes 100·v without a sign: one decimal from 1 %, two below.
func percentDigits(percent float64) string {
	switch abs := math.Abs(percent); {
	case math.IsNaN(percent) || math.IsInf(percent, 0):
		return none
	case abs >= 99.95:
		return grouped(strconv.FormatFloat(abs, 'f', 0, 64))
	case abs >= 0.995 || abs == 0:
		return strconv.FormatFloat(abs, 'f', 1, 64)
	default:
		return strconv.FormatFloat(abs, 'f', 2, 64)
	}
}

// signed writes a ratio as a change in percent, with sign and without the unit: 1.071 is "+7.1".
func signed(ratio float64) string {
	percent := (ratio - 1) * 100
	digits := percentDigits(percent)
	switch {
	case digits == none || strings.Trim(digits, "0.") == "":
		return digits
	case percent < 0:
		return "−" + digits
	}
	return "+" + digits
}

// percentOf writes a ratio as a change in percent: "+7.1 %".
func percentOf(ratio *float64) string {
	if ratio == nil {
		return none
	}
	return signed(*ratio) + " %"
}

// share writes a share in percent: 0.018 is "1.8 %".
func share(v *float64) string {
	if v == nil {
		return none
	}
	return percentDigits(*v*100) + " %"
}

// interval writes both ends as changes in percent: "[+5.9, +8.2]".
func interval(ci *[2]float64) string {
	if ci == nil {
		return ""
	}
	return "[" + signed(ci[0]) + ", " + signed(ci[1]) + "]"
}

// bound is the far end of an interval: the change is smaller than that. Rounded up, so that it stays true.
func bound(ci *[2]float64) string {
	if ci == nil {
		return ""
	}
	far := math.Max(math.Abs(ci[0]-1), math.Abs(ci[1]-1)) * 100
	if far < 0.995 {
		far = math.Ceil(far*100-1e-9) / 100
	} else {
		far = math.Ceil(far*10-1e-9) / 10
	}
	return "(< " + percentDigits(far) + " %)"
}

// factor writes a ratio of two languages: "0.45", "12.3".
func factor(v *float64) string {
	switch {
	case v == nil || math.IsNaN(*v) || math.IsInf(*v, 0):
		return none
	case math.Abs(*v) >= 0.095 && math.Abs(*v) < 9.995:
		return strconv.FormatFloat(*v, 'f', 2, 64)
	}
	return figures(*v)
}

// span writes a longer time: "41.0 s", "2 min 5 s".
func span(seconds float64) string {
	if seconds < 119.5 {
		return quantity(&seconds, "s")
	}
	whole := int64(math.Round(seconds))
	return count(whole/60) + " min " + count(whole%60) + " s"
}

// budget writes a duration as a command line takes it: "2m", "1m30s".
func budget(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Quantity writes a value of a base unit as reports do: 0.000412 s is "412 µs".
func Quantity(v float64, unit string) string { return quantity(known(v), unit) }

// Factor writes a ratio: "0.45".
func Factor(v float64) string { return factor(known(v)) }

// Count writes a whole number: "12,345".
func Count(n int) string { return count(n) }
