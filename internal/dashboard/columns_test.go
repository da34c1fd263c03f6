package dashboard

import (
	"encoding/json"
	"math"
	"slices"
	"testing"
)

// undelta is what the page makes of a column.
func undelta(t *testing.T, text json.RawMessage, per float64) []float64 {
	t.Helper()
	var column []*int64
	if err := json.Unmarshal(text, &column); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	out, last := make([]float64, len(column)), int64(0)
	for i, d := range column {
		out[i] = math.NaN()
		if d != nil {
			last += *d
			out[i] = float64(last) / per
		}
	}
	return out
}

func TestColumns(t *testing.T) {
	t.Parallel()
	nan := math.NaN()
	for _, c := range []struct {
		values []float64
		per    float64
		want   string
	}{
		{nil, 1, `[]`},
		{[]float64{1, 1, 2.5}, 10, `[10,0,15]`},
		{[]float64{nan, 1, nan, 0.9}, 100, `[null,100,null,-10]`},
		{[]float64{math.Inf(1), 1}, 1, `[null,1]`},
		{[]float64{1e300, 2}, 1, `[null,2]`},
	} {
		if got := string(deltas(c.values, c.per)); got != c.want {
			t.Errorf("deltas(%v, %g): got %s, want %s", c.values, c.per, got, c.want)
		}
	}
	if got := string(steps([]float64{1, nan, 3}, 2)); got != `[2,null,6]` {
		t.Errorf("steps: got %s", got)
	}
}

// What is written is read again to within half a step, at any position: the steps do not add up.
func FuzzColumns(f *testing.F) {
	f.Add(1.0, 1.02, 0.97, 3)
	f.Add(1e-9, 3e-9, 0.0, 5)
	f.Add(12e9, -4.0, math.Inf(1), 2)
	f.Fuzz(func(t *testing.T, a, b, c float64, digits int) {
		values := []float64{a, b, c, a, c, b}
		per := perOf(values, 1+(digits%5+5)%5)
		if per <= 0 || math.IsInf(per, 0) || math.IsNaN(per) {
			return // figures beyond what is measured
		}
		for i, got := range undelta(t, deltas(values, per), per) {
			want := values[i]
			if n := math.Round(want * per); math.IsNaN(n) || math.Abs(n) > 1<<53 {
				if !math.IsNaN(got) {
					t.Errorf("value %d, %g, came back as %g", i, want, got)
				}
				continue
			}
			if math.Abs(got-want) > 0.500001/per+math.Abs(want)*1e-15 {
				t.Errorf("value %d of %v in steps of 1/%g came back as %g", i, values, per, got)
			}
		}
	})
}

func TestRuns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ numbers, want []int }{
		{nil, nil}, {[]int{4}, []int{4, 1}}, {[]int{0, 1, 2, 5, 6, 9}, []int{0, 3, 5, 2, 9, 1}},
	} {
		if got := runs(c.numbers); !slices.Equal(got, c.want) {
			t.Errorf("runs(%v): got %v, want %v", c.numbers, got, c.want)
		}
	}
}

func TestPer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		values []float64
		digits int
		want   float64
	}{
		{[]float64{0.000412}, 5, 1e8}, {[]float64{30e6, 31e6}, 5, 1e-3}, {[]float64{0, math.NaN()}, 5, 1}, {[]float64{0.005}, 2, 1e4},
	} {
		if got := perOf(c.values, c.digits); math.Abs(got/c.want-1) > 1e-12 {
			t.Errorf("perOf(%v, %d): got %g, want %g", c.values, c.digits, got, c.want)
		}
	}
}

func TestShared(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		texts []string
		want  string
	}{
		{nil, ""}, {[]string{"", ""}, ""}, {[]string{"https://a/1"}, "https://a/"}, {[]string{"https://a/12", "", "https://a/13"}, "https://a/1"},
		{[]string{"https://a/1", "https://a/1"}, "https://a/"}, {[]string{"https://a/1", "https://a/12"}, "https://a/"}, {[]string{"https://a", "http://b"}, "http"},
	} {
		if got := shared(c.texts); got != c.want {
			t.Errorf("shared(%q): got %q, want %q", c.texts, got, c.want)
		}
	}
}
