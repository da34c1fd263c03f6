package result

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/duet-bench/duet/internal/plan"
)

func sampleRun() Run {
	r := Run{
		Schema: Schema, State: Measured, Started: "2026-01-02T03:04:05Z",
		Trials: []Trial{{Variant: plan.Variant{Service: "go", Side: plan.Head}, Workload: "health", Phase: plan.Screen, Round: 1}},
	}
	r.Names = []string{"core.slug", "core/text.go", "main.run", "libc"}
	r.Costs = []Cost{{
		Variant: r.Trials[0].Variant, Workload: "health", Phase: plan.Screen, Round: 1, Requests: 60,
		Buckets: map[string]int64{BucketService: 9000}, Allocations: 60,
		Functions: []FunctionCost{{Function: 1, File: 2, Line: 10, Caller: 3, Own: true, Instructions: 8000, Allocations: 60}, {Function: 4, Instructions: 900}},
		Lines:     []LineCost{{File: 2, Line: 12, Function: 1, Instructions: 7000, Allocations: 60}},
	}}
	for i := range 100 {
		r.Trials[0].Open.Latency.Record(time.Duration(i+1) * time.Millisecond)
	}
	return r
}

func TestRoundTrip(t *testing.T) {
	text, err := Encode(sampleRun())
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Encode(got)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(text), string(again)); diff != "" {
		t.Errorf("encoding what was decoded differs:\n%s", diff)
	}
	if diff := cmp.Diff(sampleRun().Costs, got.Costs); diff != "" || got.Name(1) != "core.slug" || got.Name(0) != "" || got.Name(9) != "" {
		t.Errorf("costs after a round trip: %s", diff)
	}
	p50, ok := got.Trials[0].Open.Latency.At(50)
	if !ok || p50 < 0.0499 || p50 > 0.0502 {
		t.Errorf("p50 after a round trip: got %v, %v, want 50 ms", p50, ok)
	}
}

func TestDecodeRefuses(t *testing.T) {
	whole, err := Encode(sampleRun())
	if err != nil {
		t.Fatal(err)
	}
	text := string(whole)
	refuse := func(name, text, want string) {
		t.Helper()
		if _, err := Decode([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want one with %q", name, err, want)
		}
	}
	refuse("nothing", "", "not a run.json")
	refuse("another schema", strings.Replace(text, Schema, "duet.run/999", 1), `reads "duet.run/1"`)
	refuse("an unknown key", strings.Replace(text, `"state"`, `"estate"`, 1), "unknown field")
	refuse("a doubled key", strings.Replace(text, `"state": "measured"`, `"state": "measured", "state": "cancelled"`, 1), "stands twice")
	refuse("a key doubled in another case", strings.Replace(text, `"state": "measured"`, `"state": "measured", "State": "cancelled"`, 1), "stands twice")
	refuse("text after the end", text+"{}", "not a run.json")
	refuse("half a file", text[:len(text)/2], "not a run.json")
	refuse("a number out of range", strings.Replace(text, `"round": 1`, `"round": 1e999`, 1), "run.json")
	const function, line = `"1 2 10 3 1 8000 60"`, `"2 12 1 7000 60"`
	refuse("a function that nobody named", strings.Replace(text, function, `"5 2 10 3 1 8000 60"`, 1), "not in names")
	refuse("a function without a name", strings.Replace(text, function, `"0 2 10 3 1 8000 60"`, 1), "not in names")
	refuse("a caller that nobody named", strings.Replace(text, function, `"1 2 10 9 1 8000 60"`, 1), "not in names")
	refuse("a line that nobody named", strings.Replace(text, line, `"2 12 9 7000 60"`, 1), "not in names")
	refuse("a line beyond", strings.Replace(text, line, `"2 3000000000 1 7000 60"`, 1), "beyond")
	for _, bad := range []string{`""`, `"1"`, `"1 2 10 3 1 8000"`, `"1 2 10 3 1 8000 60 1"`, `"1 2 10 3 2 8000 60"`, `"1 2 10 3 1 -8000 60"`, `"1 2 10 3 1 9007199254740992 60"`, `"1 2 10 3 1 08 60"`, `"1 2 10 3 1 8e3 60"`, `7`} {
		refuse("a function "+bad, strings.Replace(text, function, bad, 1), "decoding run.json")
	}
	refuse("a name that is empty", strings.Replace(text, `"core.slug"`, `""`, 1), "expected 1 to 400 bytes")
	refuse("a name that is long", strings.Replace(text, `core.slug`, strings.Repeat("x", MaxName+1), 1), "expected 1 to 400 bytes")
	refuse("many names", strings.Replace(text, `"core.slug"`, `"core.slug"`+strings.Repeat(`,"x"`, MaxNames), 1), "expected at most 16384")
	refuse("many functions", strings.Replace(text, function, function+strings.Repeat(","+function, MaxFunctions), 1), "expected at most 300")
	refuse("many lines", strings.Replace(text, line, line+strings.Repeat(","+line, MaxFunctions), 1), "expected at most 300")
	refuse("a build that is no cross-check's", strings.Replace(text, `"requests": 60`, `"build": "codegen-units=7", "requests": 60`, 1), "expected none or")
	refuse("deep nesting", strings.Replace(text, `"state": "measured"`, `"x": `+strings.Repeat("[", 100)+strings.Repeat("]", 100), 1), "nested deeper")
}

func FuzzDecode(f *testing.F) {
	text, err := Encode(sampleRun())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"schema":"duet.run/1","trials":[{"open":{"latency":"x"}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := Decode(text)
		if err != nil {
			return
		}
		if _, err := Encode(r); err != nil {
			t.Errorf("decoded and does not encode: %v", err)
		}
	})
}
