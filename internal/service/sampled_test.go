package service

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/pprof/profile"
)

// counted is a profile of two columns with one sample for each pair of values, each of a function of its own.
func counted(values ...[2]int64) *profile.Profile {
	p := &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "alloc_objects", Unit: "count"}, {Type: "alloc_space", Unit: "bytes"}},
		PeriodType: &profile.ValueType{Type: "space", Unit: "bytes"}, Period: 1,
	}
	for i, v := range values {
		id := uint64(i + 1)
		f := &profile.Function{ID: id, Name: "main." + string(rune('a'+i))}
		l := &profile.Location{ID: id, Address: id, Line: []profile.Line{{Function: f, Line: 1}}}
		p.Function, p.Location = append(p.Function, f), append(p.Location, l)
		p.Sample = append(p.Sample, &profile.Sample{Location: []*profile.Location{l}, Value: v[:], NumLabel: map[string][]int64{"bytes": {v[1] + 1}}})
	}
	return p
}

func packed(t testing.TB, p *profile.Profile) []byte {
	t.Helper()
	raw, err := packProfile(p)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestSubtract(t *testing.T) {
	const large = 1<<53 + 1 // floating point would lose the one
	earlier := counted([2]int64{large, 5}, [2]int64{2, 3}, [2]int64{9, 9})
	later := counted([2]int64{large + 2, 10}, [2]int64{2, 3}, [2]int64{1, 1}, [2]int64{4, 7})
	gained, err := subtract(later, earlier)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][2]int64{}
	for _, s := range gained.Sample {
		got[s.Location[0].Line[0].Function.Name] = [2]int64{s.Value[0], s.Value[1]}
	}
	if want := (map[string][2]int64{"main.a": {2, 5}, "main.d": {4, 7}}); len(got) != 2 || got["main.a"] != want["main.a"] || got["main.d"] != want["main.d"] {
		t.Errorf("got %v, want %v: what did not move or shrank is not there", got, want)
	}
	if _, err := subtract(counted([2]int64{1, 1}), &profile.Profile{SampleType: []*profile.ValueType{{Type: "cpu"}}, PeriodType: &profile.ValueType{}}); err == nil {
		t.Error("subtracted what is no earlier state of it")
	}
}

func TestKeepTypes(t *testing.T) {
	p := counted([2]int64{1, 0}, [2]int64{2, 8})
	if err := keepTypes(p, "alloc_space"); err != nil {
		t.Fatal(err)
	}
	if len(p.SampleType) != 1 || len(p.Sample) != 1 || p.Sample[0].Value[0] != 8 {
		t.Errorf("got %v %v", p.SampleType, p.Sample)
	}
	if err := keepTypes(p, "alloc_space", "cpu"); err == nil {
		t.Error("kept a type that is not there")
	}
}

func TestWithoutAgent(t *testing.T) {
	p := counted([2]int64{1, 1}, [2]int64{1, 1}, [2]int64{1, 1}, [2]int64{1, 1}, [2]int64{1, 1})
	for i, name := range []string{"main.duetAgentStart.func1", "main.(*duetAgent).duetAgentServe", "runtime/pprof.profileWriter", "main.serve", "other.duetAgentStart"} {
		p.Function[i].Name = name
	}
	if withoutAgent(p); len(p.Sample) != 2 {
		t.Errorf("%d samples left, want 2", len(p.Sample))
	}
}

func TestParseProfileRefuses(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	zeros := make([]byte, 1<<20)
	for range profileLimit>>20 + 1 {
		z.Write(zeros)
	}
	z.Close()
	for name, c := range map[string]struct {
		raw  []byte
		want string
	}{
		"empty":     {nil, "no profile in pprof's format"},
		"page":      {[]byte("<!doctype html>"), `it begins "<!doctype html>"`},
		"bomb":      {bomb.Bytes(), "a profile of more than 64 MiB"},
		"cut":       {packed(t, counted([2]int64{1, 1}))[:40], "unpacking a profile"},
		"crowd":     {bytes.Repeat([]byte{0x12, 0}, messagesLimit+1), "a profile of more than 1048576 parts"},
		"long tail": {[]byte{0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, "no profile in pprof's format"},
	} {
		if _, err := parseProfile(c.raw); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestCheckSampled(t *testing.T) {
	p := counted([2]int64{100, int64(time.Second)})
	p.SampleType[1].Type = "cpu"
	for spent, notes := range map[time.Duration]int{time.Second: 0, 1900 * time.Millisecond: 0, 3 * time.Second: 1} {
		if got, err := checkSampled(p, spent); len(got) != notes || err != nil {
			t.Errorf("1 s of samples for %v: got %q, %v", spent, got, err)
		}
	}
	p.Sample[0].Location = nil
	if got, err := checkSampled(p, time.Second); err != nil || len(got) != 1 || !strings.Contains(got[0], "100 % of its samples have no stack") {
		t.Errorf("samples without stacks: got %q, %v", got, err)
	}
	p.Sample = nil
	if _, err := checkSampled(p, 100*time.Millisecond); err != nil {
		t.Errorf("an idle window: %v", err)
	}
	if _, err := checkSampled(p, time.Second); !errors.Is(err, errNoSamples) {
		t.Errorf("got %v", err)
	}
}

func TestReadAnswer(t *testing.T) {
	for text, want := range map[string]string{
		"ok 3\nabcd":                            "abc",
		"ok 0\n":                                "",
		"error 4\nno\x1b!":                      "! no",
		"ok 11\nabc":                            "! an answer of 11 bytes: expected at most 10",
		"ok 5\nabc":                             "! reading 5 bytes of answer: unexpected EOF",
		"ok -1\n":                               "! an answer that begins",
		"ok 9223372036854775808\n":              "! an answer that begins",
		"yes 1\n":                               "! an answer that begins",
		"ok":                                    "! reading the head of the answer: EOF",
		"ok " + strings.Repeat("0", 100) + "\n": "! reading the head of the answer",
		"error 5000\n":                          "! an answer of 5000 bytes: expected at most 4096",
	} {
		got, err := readAnswer(bufio.NewReaderSize(strings.NewReader(text), 64), 10)
		said := string(got)
		if err != nil {
			said = "! " + err.Error()
		}
		if !strings.HasPrefix(said, want) || (want == "" && said != "") {
			t.Errorf("%q: got %q, want %q", text, said, want)
		}
	}
}

func TestParseGreeting(t *testing.T) {
	g, err := parseGreeting([]byte("duet-agent/1 devel go1.27-abc linux 512"))
	if err != nil || g.version != "devel go1.27-abc linux" || g.memProfRate != 512 {
		t.Errorf("got %+v, %v", g, err)
	}
	for _, text := range []string{"", "duet-agent/1 ", "duet-agent/1 go1.26 x", "SSH-2.0 go1.26 1"} {
		if _, err := parseGreeting([]byte(text)); err == nil {
			t.Errorf("%q: taken for a greeting", text)
		}
	}
}

func TestSince(t *testing.T) {
	histogram := func(counts ...float64) []float64 {
		return append(counts, -math.MaxFloat64, 0.001, 0.003, math.MaxFloat64)
	}
	before := snapshot{
		"/gc/cycles/total:gc-cycles": {3}, "/gc/heap/allocs:objects": {100}, "/gc/heap/tiny/allocs:objects": {10}, "/gc/heap/allocs:bytes": {1000},
		"/cpu/classes/gc/total:cpu-seconds": {1}, "/cpu/classes/total:cpu-seconds": {10}, "/cpu/classes/idle:cpu-seconds": {4},
		"/gc/pauses:seconds": histogram(1, 1, 1), "/sched/latencies:seconds": histogram(0, 0, 0),
	}
	now := snapshot{
		"/gc/cycles/total:gc-cycles": {5}, "/gc/heap/allocs:objects": {150}, "/gc/heap/tiny/allocs:objects": {17}, "/gc/heap/allocs:bytes": {1500},
		"/cpu/classes/gc/total:cpu-seconds": {1.5}, "/cpu/classes/total:cpu-seconds": {14}, "/cpu/classes/idle:cpu-seconds": {6},
		"/gc/pauses:seconds": histogram(1, 3, 2), "/sched/latencies:seconds": {1, 2}, "/memory/classes/heap/objects:bytes": {777}, "/sched/goroutines:goroutines": {8},
	}
	c := now.since(before, 2)
	if c.GCCycles != 2 || c.AllocObjects != 57 || c.TinyAllocs != 7 || c.AllocBytes != 500 || c.GCCPUSeconds != 0.5 || c.CPUSeconds != 2 || c.HeapLive != 777 || c.Goroutines != 8 {
		t.Errorf("got %+v", c)
	}
	if got := c.GCPauses.Count(); got != 3 {
		t.Errorf("%d pauses, want 3", got)
	}
	for percentile, want := range map[float64]float64{50: 0.002, 100: 0.003} {
		if got, _ := c.GCPauses.At(percentile); math.Abs(got/want-1) > 0.002 {
			t.Errorf("p%v of pauses: %v s, want %v", percentile, got, want)
		}
	}
	if got := strings.Join(c.Missing, " "); got != "/sched/latencies:seconds" {
		t.Errorf("missing %q", got)
	}
	var sum GoCounters
	sum.Add(c)
	sum.Add(c)
	if sum.AllocObjects != 114 || sum.HeapLive != 777 || sum.Seconds != 4 || sum.GCPauses.Count() != 6 || len(sum.Missing) != 1 {
		t.Errorf("two windows: %+v", sum)
	}
	for _, odd := range []snapshot{nil, {"/gc/heap/allocs:bytes": {-1}}, {"/sched/latencies:seconds": {1e300, math.NaN(), 2}}, {"/gc/cycles/total:gc-cycles": {math.Inf(1)}}} {
		if c := odd.since(before, 1); c.AllocBytes != 0 || c.GCCycles != 0 {
			t.Errorf("%v: got %+v", odd, c)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	for _, text := range []string{"ok 3\nabc", "error 2\nno", "ok 99999999999\n", "ok 2\n{}", `ok 44` + "\n" + `{"/sched/latencies:seconds":[1,2,0,1,2,3,4]}`, "ok 18\nduet-agent/1 go 1 2"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		const limit = 1000
		body, err := readAnswer(bufio.NewReaderSize(bytes.NewReader(text), 64), limit)
		if err != nil {
			return
		}
		if len(body) > limit {
			t.Fatalf("%d bytes", len(body))
		}
		_, _ = parseGreeting(body)
		if s, err := parseSnapshot(body); err == nil {
			c := s.since(snapshot{}, 1)
			c.add(s.since(s, 1))
		}
	})
}

func FuzzProfile(f *testing.F) {
	p := counted([2]int64{1, 2}, [2]int64{3, 4})
	f.Add(packed(f, p))
	var plain bytes.Buffer
	if err := p.WriteUncompressed(&plain); err != nil {
		f.Fatal(err)
	}
	f.Add(plain.Bytes())
	f.Add([]byte("heap profile: 1: 2 [3: 4] @ heapprofile\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := parseProfile(raw)
		if err != nil {
			return
		}
		withoutAgent(p)
		if gained, err := subtract(p, p.Copy()); err == nil && len(gained.Sample) > 0 {
			t.Errorf("%d samples of nothing", len(gained.Sample))
		}
		_ = keepTypes(p, "alloc_objects", "alloc_space")
		if text, err := packProfile(p); err == nil {
			if _, err := parseProfile(text); err != nil {
				t.Errorf("what was packed is refused: %v", err)
			}
		}
	})
}
