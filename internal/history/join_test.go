package history_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/duet-bench/duet/internal/history"
	"github.com/duet-bench/duet/internal/history/made"
)

var p50 = history.Key{Service: "go", Workload: "health", Metric: "p50"}

// seriesOf is one series of the joined entries.
func seriesOf(t *testing.T, entries []history.Entry, k history.Key) history.Series {
	t.Helper()
	for _, s := range history.Join(entries) {
		if s.Key == k {
			return s
		}
	}
	t.Fatalf("no series %s", k)
	return history.Series{}
}

// small is nights of one workload with hardly any noise.
func small(o made.Options) []history.Entry {
	o.Workloads, o.Noise = []string{"health"}, 1e-9
	if o.Metrics == nil {
		o.Metrics = []string{"p50"}
	}
	return made.Nights(o)
}

// A series goes on at its level over a moved anchor, though the rows' own ratios begin at 1 again.
func TestJoinChainsOverMovedAnchors(t *testing.T) {
	t.Parallel()
	entries := small(made.Options{Seed: 1, Nights: 40, Moves: []int{20, 30},
		Steps: []made.Step{{Night: 10, Metric: "p50", Factor: 1.2}, {Night: 25, Metric: "p50", Factor: 1.1}}})
	s := seriesOf(t, entries, p50)
	if len(s.Points) != 40 || len(s.Breaks) != 0 {
		t.Fatalf("got %d points and breaks %v, want 40 and none: a moved anchor is no night", len(s.Points), s.Breaks)
	}
	for i, p := range s.Points {
		want := 1.0
		if i >= 10 {
			want *= 1.2
		}
		if i >= 25 {
			want *= 1.1
		}
		if math.Abs(p.Ratio-want) > 1e-6 {
			t.Errorf("night %d: ratio %v, want %v", i, p.Ratio, want)
		}
		if e := entries[p.Entry]; e.Commit.SHA != p.SHA || e.Previous != nil {
			t.Errorf("night %d: point of entry %s, a moved anchor: %v", i, e.ID, e.Previous != nil)
		}
	}
}

// Widths of links add in quadrature on the log scale.
func TestJoinIntervals(t *testing.T) {
	t.Parallel()
	entries := small(made.Options{Seed: 1, Nights: 4, Moves: []int{2}})
	for i := range entries {
		for r := range entries[i].Rows {
			row := &entries[i].Rows[r]
			row.Ratio, row.Low, row.High = 1, math.Exp(-0.03), math.Exp(0.04)
			if entries[i].Previous != nil {
				row.Low, row.High = math.Exp(-0.04), math.Exp(0.03)
			}
		}
	}
	s := seriesOf(t, entries, p50)
	for i, want := range [][2]float64{{0.03, 0.04}, {0.03, 0.04}, {0.05, 0.05}, {0.05, 0.05}} {
		p := s.Points[i]
		if math.Abs(-math.Log(p.Low)-want[0]) > 1e-9 || math.Abs(math.Log(p.High)-want[1]) > 1e-9 {
			t.Errorf("night %d: got [%v, %v], want exp of −%v, %v", i, p.Low, p.High, want[0], want[1])
		}
	}
}

func TestJoinBreaks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*history.Entry)
		want   string // of go · health · p50
	}{
		{"CPU", func(e *history.Entry) { e.Machine.CPU = "Z80" }, "another CPU: Z80 instead of AMD EPYC 7763 64-Core Processor"},
		{"cores", func(e *history.Entry) { e.Machine.Cores = 64 }, "another number of cores: 64 instead of 2"},
		{"isolation", func(e *history.Entry) { e.Machine.Isolation = "container" }, "another isolation: container instead of basic"},
		{"two at once", func(e *history.Entry) { e.Machine.CPU, e.Config = "Z80", "" }, "another CPU: Z80 instead of AMD EPYC 7763 64-Core Processor; another configuration of measuring: none named instead of"},
		{"go", func(e *history.Entry) { e.Toolchains = map[string]string{"go": "go1.27.0", "rust": "1.95.0"} }, "another go toolchain: go1.27.0 instead of go1.26.0"},
		{"rust", func(e *history.Entry) { e.Toolchains = map[string]string{"go": "go1.26.0", "rust": "1.96.0"} }, ""},
		{"rust, language unknown", func(e *history.Entry) {
			e.Toolchains, e.Services = map[string]string{"go": "go1.26.0", "rust": "1.96.0"}, nil
		}, ""},
		{"its workload", func(e *history.Entry) { e.Workloads = map[string]string{"health": "2"} }, "another version of workload health: 2 instead of"},
		{"another workload", func(e *history.Entry) { e.Workloads["compute"] = "2" }, ""},
		{"kernel and memory", func(e *history.Entry) { e.Machine.Kernel, e.Machine.Memory = "7.0", 1 }, ""},
		{"anchor", func(e *history.Entry) { e.Anchor.SHA = strings.Repeat("c", 40) }, "another anchor: cccccccccccc instead of"},
	} {
		entries := small(made.Options{Seed: 1, Nights: 6})
		for i := 3; i < 6; i++ {
			tt.change(&entries[i])
		}
		s := seriesOf(t, entries, p50)
		if tt.want == "" {
			if len(s.Breaks) != 0 || s.Points[5].Segment != 0 {
				t.Errorf("%s: got breaks %v, want none", tt.name, s.Breaks)
			}
			continue
		}
		if len(s.Breaks) != 1 || s.Breaks[0].Before != 3 || !strings.HasPrefix(s.Breaks[0].Why, tt.want) {
			t.Errorf("%s: got breaks %+v, want one before 3: %s", tt.name, s.Breaks, tt.want)
		}
		if s.Points[2].Segment != 0 || s.Points[3].Segment != 1 || s.Points[5].Segment != 1 {
			t.Errorf("%s: got segments %+v", tt.name, s.Points)
		}
	}
}

// Without the services' languages every toolchain counts for every service.
func TestJoinUnknownLanguage(t *testing.T) {
	t.Parallel()
	entries := small(made.Options{Seed: 1, Nights: 4})
	for i := range entries {
		entries[i].Services = nil
	}
	entries[3].Toolchains = map[string]string{"go": "go1.26.0", "rust": "1.96.0"}
	if s := seriesOf(t, entries, p50); len(s.Breaks) != 1 || s.Breaks[0].Why != "another rust toolchain: 1.96.0 instead of 1.95.0" {
		t.Errorf("got breaks %+v", s.Breaks)
	}
}

// A link that was measured elsewhere breaks what it links.
func TestJoinLinkOnAnotherMachine(t *testing.T) {
	t.Parallel()
	entries := small(made.Options{Seed: 1, Nights: 6, Moves: []int{3}})
	for i := range entries {
		if entries[i].Previous != nil {
			entries[i].Machine.CPU = "Z80"
		}
	}
	s := seriesOf(t, entries, p50)
	if len(s.Breaks) != 1 || s.Breaks[0].Before != 3 || !strings.Contains(s.Breaks[0].Why, "Z80") {
		t.Errorf("got breaks %+v, want one before night 3", s.Breaks)
	}
}

// Entries come in any order; what counts is when they were recorded, and the indices are those that were given.
func TestJoinOrder(t *testing.T) {
	t.Parallel()
	entries := small(made.Options{Seed: 1, Nights: 10, Twice: []int{4}, Late: []int{7}, Steps: []made.Step{{Night: 5, Factor: 2}}})
	want := seriesOf(t, entries, p50)
	if len(want.Points) != 10 || want.Points[3].SHA != want.Points[4].SHA {
		t.Fatalf("two nights of one commit: got %d points, want both kept", len(want.Points))
	}
	shuffled := slices.Clone(entries)
	slices.Reverse(shuffled)
	got := seriesOf(t, shuffled, p50)
	for i := range got.Points {
		got.Points[i].Entry = 9 - got.Points[i].Entry
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("in another order (-want +got):\n%s", diff)
	}
	said := strings.Join(history.Oddities(entries), "\n")
	for _, w := range []string{"was measured already, on 2024-01-04", "after it was measured on 2024-01-08T03:00:00Z: a clock was wrong"} {
		if !strings.Contains(said, w) {
			t.Errorf("oddities do not say %q:\n%s", w, said)
		}
	}
}

func TestGaps(t *testing.T) {
	t.Parallel()
	entries := small(made.Options{Seed: 1, Nights: 20, Missing: []int{3, 8, 9}, Failed: []int{9, 13, 18, 19}})
	entries[5].Recorded = "2024-01-07T11:00:00Z" // eight hours late: no gap
	var got []string
	for _, m := range history.Gaps(entries) {
		got = append(got, fmt.Sprintf("%s to %s: %d %s", m.First.Format(time.DateOnly), m.Last.Format(time.DateOnly), m.Nights, m.Why))
	}
	want := []string{
		"2024-01-04 to 2024-01-04: 1 ",
		"2024-01-09 to 2024-01-10: 2 ",
		"2024-01-14 to 2024-01-14: 1 building go@head: exit status 1",
		"2024-01-19 to 2024-01-20: 2 building go@head: exit status 1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if last, ok := history.LastMeasured(entries); !ok || last.Recorded != "2024-01-18T03:00:00Z" {
		t.Errorf("last measured: %v %v", last.Recorded, ok)
	}
	if _, ok := history.LastMeasured(nil); ok || history.Gaps(nil) != nil || history.Join(nil) == nil {
		t.Error("an empty history: want no night, no gap, no series")
	}
	if got := history.Gaps(small(made.Options{Seed: 1, Nights: 2, Failed: []int{0, 1}})); len(got) != 1 || got[0].Nights != 2 {
		t.Errorf("no night ever measured: got %+v", got)
	}
}

// Planted steps are found at their night, in their series alone, each segment for itself; outliers and moved anchors are not.
func TestChangesFindWhatWasPlanted(t *testing.T) {
	t.Parallel()
	entries := made.Nights(made.Options{Seed: 3, Nights: 160, Workloads: []string{"health", "compute"}, Metrics: []string{"p50", "instructions", "throughput"},
		Steps:    []made.Step{{Night: 50, Service: "go", Workload: "health", Metric: "p50", Factor: 1.2}, {Night: 80, Service: "rust", Metric: "instructions", Factor: 0.9}},
		Outliers: []made.Step{{Night: 30, Factor: 1.5}, {Night: 120, Factor: 0.7}},
		Missing:  []int{20, 21}, Failed: []int{60}, Moves: []int{70}, Machines: []int{110}})
	series := history.Join(entries)
	var got []string
	for _, c := range history.Changes(series, history.ChangesOptions{}) {
		at := c.At
		for _, s := range series {
			if s.Key == c.Key {
				at = int(s.Points[c.At].At.Sub(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)) / (24 * time.Hour))
			}
		}
		got = append(got, fmt.Sprintf("%s at night %d: %.1f", c.Key, at, c.After/c.Before))
	}
	want := []string{"go · health · p50 at night 50: 1.2", "rust · compute · instructions at night 80: 0.9", "rust · health · instructions at night 80: 0.9"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if again := history.Changes(series, history.ChangesOptions{}); len(again) != len(got) {
		t.Errorf("the same series again: %d changes, want %d", len(again), len(got))
	}
}
