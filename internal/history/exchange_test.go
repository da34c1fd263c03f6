package history_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"golang.org/x/perf/benchfmt"

	"github.com/duet-bench/duet/internal/history"
	"github.com/duet-bench/duet/internal/history/made"
)

func TestNDJSONBothWays(t *testing.T) {
	t.Parallel()
	entries := made.Nights(made.Options{Seed: 1, Nights: 9, Failed: []int{2}, Moves: []int{5}})
	var text bytes.Buffer
	if err := history.WriteNDJSON(&text, entries); err != nil {
		t.Fatal(err)
	}
	got, err := history.ReadNDJSON("nights.ndjson", bytes.NewReader(text.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "out and in", entries, got)
	lines := strings.SplitAfter(text.String(), "\n")
	for name, bad := range map[string]string{
		"line 2: truncated":     lines[0] + lines[1][:200] + "\n" + lines[2],
		"stands in two files":   lines[0] + lines[0],
		"empty":                 "\n\n",
		"line 2: more than the": lines[0] + strings.Repeat("x", history.MaxBytes+10),
		"line 3: not JSON":      lines[0] + "\n" + "<html>\n",
	} {
		if _, err := history.ReadNDJSON("nights.ndjson", strings.NewReader(bad)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want %q", err, name)
		}
	}
}

// What is written in the Go benchmark format its own reader takes whole, with every figure of both sides.
func TestBenchfmt(t *testing.T) {
	t.Parallel()
	entries := made.Nights(made.Options{Seed: 1, Nights: 5, Failed: []int{2}, Moves: []int{3}, Metrics: append(made.Metrics(), "binary_size")})
	var text bytes.Buffer
	if err := history.WriteBenchfmt(&text, entries); err != nil {
		t.Fatal(err)
	}
	values := map[string]int{}
	for r := benchfmt.NewReader(&text, "nights.txt"); r.Scan(); {
		switch record := r.Result().(type) {
		case *benchfmt.Result:
			values[record.GetConfig("side")] += len(record.Values)
			if record.GetConfig("cpu") == "" || record.GetConfig("sha") == "" || record.GetConfig("night") == "" {
				t.Fatalf("%s: keys are missing: %v", record.Name, record.Config)
			}
			if v, ok := record.Value("p50-sec"); strings.Contains(string(record.Name), "service=go/workload=health") && (!ok || v < 1e-5 || v > 1e-2) {
				t.Errorf("%s: p50 is %v s, %v", record.Name, v, ok)
			}
		case *benchfmt.SyntaxError:
			t.Fatal(record)
		}
	}
	if want := 4 * 2 * (12*7 + 1); values["anchor"] != want || values["commit"] != want {
		t.Errorf("got %v figures, want %d a side: 4 nights, 2 services, 7 workloads, 12 metrics and the binary's size", values, want)
	}
}

func TestRetention(t *testing.T) {
	t.Parallel()
	entries := small(made.Options{Seed: 1, Nights: 60, Failed: []int{3}, Moves: []int{10}, Machines: []int{16}}) // 2024-01-01 is a Monday
	now := time.Date(2024, 3, 1, 3, 0, 0, 0, time.UTC)
	check := func(r history.Retention, wantKept ...string) {
		t.Helper()
		gone := map[string]bool{}
		for _, e := range r.Drops(entries, now) {
			gone[e.ID] = true
		}
		var kept []string
		for _, e := range entries {
			if !gone[e.ID] && e.Recorded < "2024-02-01" {
				kept = append(kept, e.Recorded[5:10])
			}
			if gone[e.ID] && e.Recorded >= "2024-01-31T03:00:01Z" {
				t.Errorf("%v drops %s, which is young", r, e.Recorded)
			}
		}
		if got, want := strings.Join(kept, " "), strings.Join(wantKept, " "); got != want {
			t.Errorf("%v: kept %s, want %s", r, got, want)
		}
	}
	month := 30 * 24 * time.Hour
	// The 10th is the last night against the first anchor, the 11th's first entry moves it, the 16th is the last on the first machine.
	check(history.Retention{Daily: month, Then: history.Weekly}, "01-07", "01-10", "01-11", "01-14", "01-16", "01-21", "01-28", "01-31")
	check(history.Retention{Daily: month, Then: history.Monthly}, "01-10", "01-11", "01-16", "01-31")
	check(history.Retention{Daily: month, Then: history.Nothing}, "01-11")
	if got := (history.Retention{Daily: 400 * 24 * time.Hour, Then: history.Weekly}).Drops(entries, now); len(got) != 0 {
		t.Errorf("all are young: %d go", len(got))
	}
}
