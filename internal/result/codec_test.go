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
