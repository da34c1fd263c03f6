package profdiff

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// full has every line that the format knows.
const full = `# callgrind format
version: 1
creator: callgrind-3.19.0
pid: 1
cmd:  ./service --flag=1
part: 1
desc: I1 cache:
desc: Timerange: Basic block 0 - 99
event: Ir : Instruction Fetch
positions: line
events: Ir Dr

summary: 131 7

ob=(1) /app/service
fl=(1) main.go
fn=(1) main.work
10 5 1
+2 6
* 1
-1 0x10
fi=(2) inlined.go
7 20 1
fe=(1)
12 2
cfn=(2) main.leaf'2
calls=3 40
12 1000 9
jump=4 +1
12
jcnd=2/4 +1
13
cob=(2) /lib/libc.so.6
cfi=(3) malloc.c
cfn=(3) malloc
calls=2 0
13 500

fn=(2)
40 9
cfn=(2)
calls=1 0
+1 9
fn=(4) main.leaf
40 2

ob=(2)
fl=(3)
fn=(3)
1 70 5
ob=(1)
fl=(4) ???
fn=uncompressed (name)
0 0

totals: 131 7
`

func parse(t *testing.T, text string) Dump {
	t.Helper()
	d, err := ParseCallgrind(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestParseCallgrind(t *testing.T) {
	want := Dump{
		Total: 131,
		Functions: []Function{
			{Name: "malloc", Object: "/lib/libc.so.6", File: "malloc.c", Self: 70, Calls: 2},
			{Name: "main.work", Object: "/app/service", File: "main.go", Self: 50},
			{Name: "main.leaf", Object: "/app/service", File: "main.go", Self: 11, Calls: 4},
		},
		Lines: []Line{
			{File: "malloc.c", Line: 1, Function: "malloc", Self: 70},
			{File: "inlined.go", Line: 7, Function: "main.work", Self: 20},
			{File: "main.go", Line: 11, Function: "main.work", Self: 16},
			{File: "main.go", Line: 40, Function: "main.leaf", Self: 11},
			{File: "main.go", Line: 12, Function: "main.work", Self: 9},
			{File: "main.go", Line: 10, Function: "main.work", Self: 5},
		},
		Calls: []Call{
			{Caller: 1, Callee: 0, File: "main.go", Line: 13, Times: 2, Inclusive: 500},
			{Caller: 1, Callee: 2, File: "main.go", Line: 12, Times: 3, Inclusive: 1000},
			{Caller: 2, Callee: 2, File: "main.go", Line: 41, Times: 1, Inclusive: 9},
		},
	}
	if diff := cmp.Diff(want, parse(t, full)); diff != "" {
		t.Error(diff)
	}
}

func TestParsePositions(t *testing.T) {
	body := "events: Ir\nfl=a.c\nfn=f\n%s\ntotals: 7\n"
	check := func(positions, costs string, want []Line) {
		t.Helper()
		d := parse(t, "positions: "+positions+"\n"+fmt.Sprintf(body, costs))
		if diff := cmp.Diff(want, d.Lines); diff != "" {
			t.Errorf("%s: %s", positions, diff)
		}
	}
	check("line", "5 3\n+1 4", []Line{{"a.c", 6, "f", 4}, {"a.c", 5, "f", 3}})
	check("instr line", "0x4000 5 3\n+0x3 * 2\n+2 +1 2", []Line{{"a.c", 5, "f", 5}, {"a.c", 6, "f", 2}})
	check("instr", "0x4000 3\n+3 4", nil)
}

func TestParseCallgrindErrors(t *testing.T) {
	const head = "version: 1\nevents: Ir\nfl=(1) a.c\nfn=(1) f\n" // 4 lines
	long := strings.Repeat("x", maxLine+1)
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "line 0: no events line"},
		{"binary", "\x7fELF\x02\x01\x01\x00\x00", `line 1: unexpected "\x7fELF`},
		{"another file", "hello: world\n", `line 1: unexpected header "hello"`},
		{"version", "version: 2\n", `line 1: version "2" of the format: expected 1`},
		{"events", "events: Dr Ir\n", "line 1: events \"Dr Ir\": expected Ir"},
		{"no event", "events:\n", "expected Ir"},
		{"two events lines", "events: Ir\nevents: Ir\n", "line 2: a second events line"},
		{"many events", "events: Ir" + strings.Repeat(" x", maxEvents) + "\n", "expected at most 64"},
		{"positions", "positions: column\n", `positions "column": expected line`},
		{"late positions", head + "positions: line\n", "line 5: a positions line after"},
		{"body before events", "fn=(1) f\n", "line 1: \"fn\" before the events line"},
		{"no totals", head + "1 5\n", "line 5: the dump ends without totals: it was cut off"},
		{"cut off in a name", head + "1 5\nfn=(2", "line 6: compressed name"},
		{"totals before events", "totals: 5\n", "line 1: totals before"},
		{"totals of nothing", head + "totals:\n", "line 5: totals with 0 numbers"},
		{"totals differ", head + "1 1000\ntotals: 1002\n", "functions sum to 1000 instructions, totals say 1002"},
		{"totals differ below", head + "1 1002\ntotals: 1000\n", "functions sum to 1002"},
		{"second part", head + "1 5\ntotals: 5\nfn=(1)\n", "line 7: \"fn=(1)\" after the totals"},
		{"negative cost", head + "1 -5\n", `line 5: cost: "-5": expected a number from 0`},
		{"overflowing cost", head + "1 9223372036854775808\n", "expected a number from 0 to 9223372036854775807"},
		{"overflowing sum", head + "1 9223372036854775807\n1 1\n", "line 6: 9223372036854775807 and 1 are too much"},
		{"overflowing calls", head + "cfn=(1)\ncalls=9223372036854775807 1\n1 1\ncfn=(1)\ncalls=1 1\n", "line 9: calls of \"f\""},
		{"negative calls", head + "cfn=(1)\ncalls=-1 1\n", "line 6: calls: \"-1\""},
		{"calls without callee", head + "calls=1 1\n", "line 5: calls without a caller and a callee"},
		{"calls without number", head + "cfn=(1)\ncalls=\n", "line 6: calls without a number"},
		{"calls without cost", head + "cfn=(1)\ncalls=1 1\nfn=(1)\n", "line 7: \"fn=(1)\": expected the cost of the call"},
		{"more costs than events", head + "1 5 6\n", "line 5: more costs than the 1 events"},
		{"cost outside", "events: Ir\n1 5\n", "line 2: cost \"1 5\" outside of a function"},
		{"position below zero", head + "1 1\n-2 1\n", "line 6: position \"-2\" from 1"},
		{"position overflow", head + "9223372036854775807 1\n+1 1\n", "line 6: 9223372036854775807 and 1 are too much"},
		{"bad position", head + "*1 1\n", "line 5: position \"*1\""},
		{"bad relative position", head + "+x 1\n", "line 5: position: \"x\""},
		{"missing position", "positions: instr line\n" + head + "0x1\n", "line 6: a cost without a position"},
		{"name never given", head + "fn=(7)\n", "line 5: compressed name (7) was never given"},
		{"name given twice", head + "fn=(1) g\n", `line 5: compressed name (1) is given twice: "f" and "g"`},
		{"name negative", head + "fn=(-1) g\n", "line 5: compressed name \"(-1) g\""},
		{"name beyond", head + "fn=(99999999999) g\n", "line 5: compressed name"},
		{"name empty", head + "fn=\n", "line 5: a name that is empty"},
		{"unknown key", head + "xx=(1)\n", "line 5: unexpected \"xx\""},
		{"long line", head + "fn=(2) " + long + "\n", "line 5: longer than 262144 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseCallgrind(strings.NewReader(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "reading callgrind dump: line ") {
				t.Errorf("got %v, want one that says %q", err, c.want)
			}
		})
	}
}

// Callgrind's totals may be some instructions off its lines.
func TestTotalsNearlyRight(t *testing.T) {
	if d := parse(t, "events: Ir\nfn=f\n1 999\ntotals: 1000\n"); d.Total != 1000 || d.Functions[0].Self != 999 {
		t.Errorf("got %+v", d)
	}
}

// golden is what a cut-down real dump comes to; its functions are sorted.
type golden struct {
	Total       int64
	Buckets     map[string]int64
	Allocations int64
	Functions   []Function
	Lines       int
	FirstLine   Line
}

func TestGolden(t *testing.T) {
	for _, lang := range []plan.Lang{plan.Go, plan.Rust} {
		d := parse(t, dumpFile(t, lang))
		got, err := json.MarshalIndent(golden{
			Total: d.Total, Buckets: Split(d, lang), Allocations: Allocations(d, lang),
			Functions: d.Functions, Lines: len(d.Lines), FirstLine: d.Lines[0],
		}, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, '\n')
		path := filepath.Join("testdata", string(lang)+".json")
		if *update {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s (go test -update writes it anew): %s", path, diff)
		}
	}
}

func dumpFile(t testing.TB, lang plan.Lang) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", string(lang)+".callgrind"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A dump that is cut off anywhere before its last line is refused.
func TestTruncated(t *testing.T) {
	text := dumpFile(t, plan.Go)
	last := strings.LastIndex(text, "totals:")
	for at := 0; at < last+len("totals:"); at += 7 {
		if _, err := ParseCallgrind(strings.NewReader(text[:at])); err == nil {
			t.Errorf("the first %d of %d bytes were taken for a whole dump", at, len(text))
		}
	}
}

func FuzzCallgrind(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte(dumpFile(f, plan.Go)))
	f.Add([]byte(dumpFile(f, plan.Rust)))
	f.Add([]byte(inlined))
	f.Add([]byte("events: Ir\nfn=(1) _ZN4core3fmt5write17h0123456789abcdefE\n1 5\nfn=(2) _RNvC1a1b\n1 2\ntotals: 7\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := ParseCallgrind(bytes.NewReader(text))
		if err != nil {
			return
		}
		var self, lines int64
		for _, fn := range d.Functions {
			if fn.Self < 0 || fn.Calls < 0 {
				t.Fatalf("negative: %+v", fn)
			}
			self += fn.Self
		}
		for _, l := range d.Lines {
			lines += l.Self
		}
		if off := d.Total - self; off > d.Total/offBy || -off > d.Total/offBy || lines > self {
			t.Fatalf("total %d, functions %d, lines %d: they do not add up", d.Total, self, lines)
		}
		for _, lang := range []plan.Lang{plan.Go, plan.Rust} {
			var split int64
			for _, n := range Split(d, lang) {
				split += n
			}
			if split != self {
				t.Fatalf("%s: buckets sum to %d, functions to %d", lang, split, self)
			}
			checkCharges(t, d, lang)
		}
	})
}

func BenchmarkParseCallgrind(b *testing.B) {
	text := []byte(dumpFile(b, plan.Rust))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseCallgrind(bytes.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
}
