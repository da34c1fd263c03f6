package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// escape matches the colours that Terminal writes.
var escape = regexp.MustCompile("\x1b\\[[0-9;]*m")

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", file)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got; -update rewrites it):\n%s", file, diff)
	}
}

// Each state has its golden files, and the report of the decoded run.json is the report of the run.
func TestGolden(t *testing.T) {
	for _, f := range fixtures() {
		t.Run(f.name, func(t *testing.T) {
			encoded, err := json.Marshal(f.run)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, f.name+".run.json", append(encoded, '\n'))
			var read result.Run
			if err := json.Unmarshal(encoded, &read); err != nil {
				t.Fatal(err)
			}
			r := New(read, f.c, f.o)
			golden(t, f.name+".md", []byte(Markdown(r)))
			golden(t, f.name+".txt", []byte(Terminal{}.Render(r)))
			golden(t, f.name+".report.json", JSON(r))
			if again := New(f.run, f.c, f.o); !bytes.Equal(JSON(again), JSON(r)) || Markdown(again) != Markdown(r) {
				t.Error("the report of the run and of its run.json differ")
			}
		})
	}
}

// The fields of report.json that other programs rely on.
func TestJSONFields(t *testing.T) {
	var got map[string]any
	if err := json.Unmarshal(JSON(New(fixtures()[0].run, fixtures()[0].c, Options{})), &got); err != nil {
		t.Fatal(err)
	}
	first := func(list string) map[string]any { return got[list].([]any)[0].(map[string]any) }
	for _, want := range []struct {
		of   string
		in   map[string]any
		keys string
	}{
		{"report", got, "schema verdict state base head services rows gaps parity builds machine warnings failures run"},
		{"base", got["base"].(map[string]any), "sha reason"},
		{"head", got["head"].(map[string]any), "sha"},
		{"service", got["services"].(map[string]any)["go"].(map[string]any), "lang verdict"},
		{"row", first("rows"), "service workload metric unit base head ratio ci margin detectable noise verdict rounds"},
		{"gap", first("gaps"), "pair workload metric base head ratio ci"},
		{"parity", got["parity"].(map[string]any), "requests differences"},
		{"build", first("builds"), "variant clean_s incremental_s binary_bytes identical_to_base"},
	} {
		for _, key := range strings.Fields(want.keys) {
			if _, ok := want.in[key]; !ok {
				t.Errorf("%s has no %q", want.of, key)
			}
		}
	}
	if ci, ok := first("rows")["ci"].([]any); !ok || len(ci) != 2 {
		t.Errorf("ci is %v, want [lo, hi]", first("rows")["ci"])
	}
}

// Missing figures are null, never zero.
func TestMissingIsNull(t *testing.T) {
	r := New(result.Run{}, compare.Comparisons{Rows: []compare.Comparison{{Service: "go", Metric: "p50"}}}, Options{})
	if got := r.Rows[0]; got.Base != nil || got.Head != nil || got.Ratio != nil || got.CI != nil || got.Noise != nil || got.Detectable != nil {
		t.Errorf("got %+v, want nil figures", got)
	}
	if r.Verdict != compare.NotJudged || !strings.Contains(Markdown(r), "not judged") {
		t.Errorf("an empty run must be not judged, got:\n%s", Markdown(r))
	}
}

func TestHeadline(t *testing.T) {
	for _, want := range []struct{ fixture, headline string }{
		{"regressed", "### Duet: ❌ Go regressed, ✅ Rust identical\n"},
		{"improved", "### Duet: ✅ Go unchanged, ✅ Rust improved\n"},
		{"unchanged", "### Duet: ✅ Go unchanged, ✅ Rust unchanged\n"},
		{"inconclusive", "### Duet: ❔ Go inconclusive, ✅ Rust unchanged\n"},
		{"inlining", "### Duet: ✅ Go unchanged, ❔ Rust inconclusive\n"},
		{"identical", "### Duet: ✅ Go identical, ✅ Rust identical\n"},
		{"single-service", "### Duet: ❌ `gateway` regressed\n"},
		{"head-only-service", "### Duet: ✅ Go unchanged, ⚪ Rust not judged (new at head)\n"},
		{"no-base", "### Duet: ⚪ measured at head alone, baseline: none\n"},
		{"build-failed-head", "### Duet: ❌ Go does not build at head, ✅ Rust unchanged\n"},
		{"build-failed-base", "### Duet: ⚪ Go not judged (does not build at base), ✅ Rust unchanged\n"},
		{"start-failed", "### Duet: ❌ Go does not start at head, ✅ Rust unchanged\n"},
		{"crashed", "### Duet: ❌ Go did not survive the load at head, ✅ Rust unchanged\n"},
		{"parity-failed", "### Duet: ❔ answers differ, ✅ Go unchanged, ✅ Rust unchanged\n"},
		{"parity-broke", "### Duet: ❌ answers stopped agreeing, ✅ Go unchanged, ✅ Rust unchanged\n"},
		{"nothing-changed", "### Duet: ✅ nothing to measure\n"},
		{"cancelled", "### Duet: ⚪ cancelled, not judged\n"},
		{"running", "### Duet: ⚪ measuring\n"},
		{"superseded", "### Duet: ⚪ superseded, head moved on\n"},
		{"merged-missing", "### Duet: ❔ Go inconclusive, ❔ Rust inconclusive\n"},
		{"merged", "### Duet: ❌ Go regressed, ✅ Rust unchanged\n"},
	} {
		found := false
		for _, f := range fixtures() {
			if f.name != want.fixture {
				continue
			}
			found = true
			if got := Markdown(New(f.run, f.c, f.o)); !strings.Contains(got, want.headline) {
				t.Errorf("%s: got %q, want %q", f.name, strings.SplitN(got, "\n", 3)[1], want.headline)
			}
		}
		if !found {
			t.Errorf("no fixture %q", want.fixture)
		}
	}
}

func TestNumbers(t *testing.T) {
	f := func(v float64) *float64 { return &v }
	for _, c := range []struct{ got, want string }{
		{change(f(412e-6), f(441e-6), "s"), "412 → 441 µs"},
		{change(f(9.1e6), f(9.123e6), "B"), "9.10 → 9.12 MB"},
		{change(f(0.9996e-3), f(0.5e-3), "s"), "1.00 → 0.500 ms"},
		{change(nil, f(0.5e-3), "s"), "500 µs"},
		{change(f(12.4), nil, "s"), "12.4 s → –"},
		{quantity(f(12_345), "req/s"), "12,300 req/s"},
		{quantity(f(999_999), "B"), "1.00 MB"},
		{quantity(nil, "B"), "–"},
		{quantity(f(0.123), "furlong"), "0.123"},
		{percentOf(f(1.071)), "+7.1 %"},
		{percentOf(f(0.958)), "−4.2 %"},
		{percentOf(f(1.0042)), "+0.42 %"},
		{percentOf(f(1)), "0.0 %"},
		{percentOf(f(13.5)), "+1,250 %"},
		{percentOf(nil), "–"},
		{interval(&[2]float64{1.059, 1.082}), "[+5.9, +8.2]"},
		{bound(&[2]float64{0.9822, 1.004}), "(< 1.8 %)"},
		{bound(&[2]float64{0.999, 1.00421}), "(< 0.43 %)"},
		{factor(f(0.4512)), "0.45"},
		{factor(f(12.34)), "12.3"},
		{span(125), "2 min 5 s"},
		{span(41), "41.0 s"},
		{budget(120e9), "2m"},
		{budget(90e9), "1m30s"},
		{figures(1_234_567), "1,230,000"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestProse(t *testing.T) {
	for s, isName := range map[string]bool{
		"does not build at head":        false,
		"4,000 requests, 10,000 needed": true, // starts with a digit: could open a list
		"needs 10,000 requests":         false,
		"see @octocat":                  true,
		"see #12":                       true,
		"see www.example.org":           true,
		"see GH-12":                     true,
		"see http://example":            true,
		"see :smile:":                   true,
		"url-shortener · p50 is not judged: few requests": false,
		"broke in 4f1c2a9be0":                             true,
		"<b>x":                                            true,
		"":                                                true,
	} {
		if got := prose(s); got.Name != isName {
			t.Errorf("prose(%q).Name = %v, want %v", s, got.Name, isName)
		}
	}
}

// The lines of a terminal report never exceed its width, and colour only adds escape sequences.
func TestTerminal(t *testing.T) {
	for _, f := range fixtures() {
		for _, columns := range []int{0, 40, 60, 80, 100, 300} {
			r := New(f.run, f.c, f.o)
			limit := columns
			if limit == 0 || limit > maxWidth {
				limit = maxWidth
			}
			text := Terminal{Width: columns}.Render(r)
			for _, line := range strings.Split(text, "\n") {
				if w := width(line); w > limit {
					t.Errorf("%s at %d: %d columns: %q", f.name, columns, w, line)
				}
			}
			if strings.Contains(text, "\x1b") {
				t.Errorf("%s: colour that nobody asked for", f.name)
			}
			coloured := Terminal{Width: columns, Colour: true}.Render(r)
			if !strings.Contains(coloured, "\x1b[") {
				t.Errorf("%s: no colour", f.name)
			}
			if got := escape.ReplaceAllString(coloured, ""); got != text {
				t.Errorf("%s at %d: colour changes the text:\n%s", f.name, columns, cmp.Diff(text, got))
			}
		}
	}
}

// What a heap profile found in use stands beside the memory that the kernel saw.
func TestHeapInUse(t *testing.T) {
	run := result.Run{
		Trials: []result.Trial{{Variant: v("rust", plan.Head), Workload: "list"}, {Variant: v("go", plan.Head), Workload: "list"}},
		Profiles: []result.Profile{
			{Variant: v("rust", plan.Head), Workload: "list", Kind: result.ProfileHeap, Bytes: 4096},
			{Variant: v("rust", plan.Head), Workload: "list", Kind: result.ProfileAllocs, Bytes: 1 << 20},
			{Variant: v("go", plan.Head), Workload: "list", Kind: result.ProfileHeap, Bytes: 1, Invalid: "it died"},
			{Variant: v("go", plan.Head), Workload: "list", Kind: result.ProfileHeap, Bytes: 1, Tool: result.ToolEndpoint}, // sampled
			{Variant: v("go", plan.Head), Workload: "other", Kind: result.ProfileHeap, Bytes: 2},
		},
	}
	found := map[string]*float64{}
	for _, m := range memory(run) {
		found[m.Variant.Service] = m.HeapInUse
	}
	if found["rust"] == nil || *found["rust"] != 4096 || found["go"] != nil || len(found) != 2 {
		t.Errorf("got %v, want Rust's 4096 bytes alone", found)
	}
}
