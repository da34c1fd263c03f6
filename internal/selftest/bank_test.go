package selftest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// written is a bank's folder with one session of so many timing rounds and one callgrind round.
func written(t *testing.T, h Header, rounds int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "bank")
	appendSession(t, dir, h, rounds)
	return dir
}

func appendSession(t *testing.T, dir string, h Header, rounds int) string {
	t.Helper()
	w, err := NewSession(dir, h)
	if err != nil {
		t.Fatal(err)
	}
	machine := quietWorld(3)
	base, again := BaseOf(plan.Go), Subject{Plant: Again, Lang: plan.Go}.Variant()
	for range rounds {
		trials := []result.Trial{machine.trial(base, Heavy, nil), machine.trial(again, Heavy, nil)}
		if err := w.Round(trials, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Round(nil, []result.Cost{machine.cost(base, Heavy, nil), machine.cost(again, Heavy, nil)}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return w.Path
}

func TestBankRoundTrip(t *testing.T) {
	dir := written(t, header(), 2)
	second := header()
	second.Seed = 2
	appendSession(t, dir, second, 3)
	b, err := ReadBank(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Sessions) != 2 || len(b.Timing) != 5 || len(b.Counting) != 2 || len(b.Warnings) != 0 {
		t.Fatalf("%d sessions, %d timing and %d callgrind rounds, warnings %q; want 2, 5, 2 and none", len(b.Sessions), len(b.Timing), len(b.Counting), b.Warnings)
	}
	if b.Timing[1].session != 0 || b.Timing[2].session != 1 {
		t.Errorf("rounds 2 and 3 are of sessions %d and %d, want 0 and 1", b.Timing[1].session, b.Timing[2].session)
	}
	want := quietWorld(3).trial(BaseOf(plan.Go), Heavy, nil)
	got := b.Timing[0].trials["go"].unfold()
	for _, m := range result.Metrics() {
		if m.Read == nil {
			continue
		}
		x, okX := m.Read(want)
		y, okY := m.Read(got)
		if x != y || okX != okY {
			t.Errorf("%s is %v, %v after reading; it was %v, %v", m.Name, y, okY, x, okX)
		}
	}
}

// An interrupted session leaves half a line: all before it counts, and it is said.
func TestBankCutShort(t *testing.T) {
	dir := written(t, header(), 3)
	path := filepath.Join(dir, "session-000001.ndjson")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text[:len(text)-10], 0o644); err != nil {
		t.Fatal(err)
	}
	appendSession(t, dir, header(), 1)
	b, err := ReadBank(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Timing) != 4 || len(b.Counting) != 1 {
		t.Errorf("%d timing and %d callgrind rounds, want 4 and 1", len(b.Timing), len(b.Counting))
	}
	if len(b.Warnings) != 1 || !strings.Contains(b.Warnings[0], "cut short") {
		t.Errorf("warnings %q, want one of a line cut short", b.Warnings)
	}
}

func TestBankRefuses(t *testing.T) {
	for _, test := range []struct {
		name   string
		second func(*Header)
		want   string
	}{
		{"machine", func(h *Header) { h.Machine.CPU = "another CPU" }, "another machine"},
		{"version", func(h *Header) { h.Duet = "0.2.0" }, "another version of Duet"},
		{"pair", func(h *Header) { h.Pair = "def" }, "other sources of the pair"},
		{"toolchain", func(h *Header) { h.Machine.Toolchains = map[string]string{"go": "go1.27"} }, "other toolchains"},
		{"window", func(h *Header) { h.Window.Trial *= 2 }, "other windows"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := written(t, header(), 1)
			h := header()
			test.second(&h)
			appendSession(t, dir, h, 1)
			if _, err := ReadBank(dir); err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "session-000002") {
				t.Errorf("error %v, want one that names session-000002 and %q", err, test.want)
			}
		})
	}
}

func TestBankRefusesBrokenFiles(t *testing.T) {
	good := `{"schema":"duet.bank/1","duet":"0.1.0","started":"","machine":{"os":"","arch":"","kernel":"","cpu":"","cores":0,"memory_bytes":0,"toolchains":null,"isolation":"","turns":"","client_cpu":"","service_cpu":""},"pair":"","seed":1,"window":{"trial_ns":0,"open_ns":0,"closed_ns":0,"slice_ns":0},"workloads":null,"subjects":null}` + "\n"
	for _, test := range []struct{ name, text, want string }{
		{"newer", `{"schema":"duet.bank/2","new":true}` + "\n", `reads "duet.bank/1"`},
		{"not a bank", "hello\n", "not a bank"},
		{"unknown key", good + `{"trails":[]}` + "\n", "line 2"},
		{"broken in the middle", good + "{\n" + `{"trials":[]}` + "\n", "line 2"},
		{"two workloads in one round", good + `{"trials":[{"variant":"go@head","workload":"a","phase":"screen","round":1,"cold_start_s":0,"open":{},"closed":{},"memory":{}},{"variant":"go@head","workload":"b","phase":"screen","round":1,"cold_start_s":0,"open":{},"closed":{},"memory":{}}]}` + "\n", "in one round"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "session-000001.ndjson"), []byte(test.text), 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := ReadBank(dir); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
	if b, err := ReadBank(filepath.Join(t.TempDir(), "none")); err != nil || len(b.Sessions) != 0 {
		t.Errorf("a folder that is not there: %v, %v; want an empty bank", b, err)
	}
}
