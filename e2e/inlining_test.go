package e2e

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// An edit of main alone costs every request of a Rust service more instructions, because rustc then cuts the crate up in
// another place and inlines less: a cross-check with one codegen unit tells it from the pull request's own doing.
func TestInliningIsNobodysFault(t *testing.T) {
	repo := gitRepo(t, "inlining-base.txtar", "inlining-head.txtar")
	out := filepath.Join(t.TempDir(), "out")
	if o := run(t, repo, "run", "--budget", "1s", "--seed", "1", "--out", out); o.status != 0 {
		t.Fatalf("exit status: got %d, want 0\n%s", o.status, o.stderr)
	}
	var r struct {
		Rows []struct {
			Metric, Verdict, Why string
			Compiler             bool
			Ratio                float64
		}
		Why []struct {
			Cross     string
			Compiler  bool
			Functions []struct{ Name, File, Changed string }
		}
		Warnings []string
	}
	if err := json.Unmarshal([]byte(read(t, filepath.Join(out, "report.json"))), &r); err != nil {
		t.Fatal(err)
	}
	for _, row := range r.Rows {
		if row.Metric == "instructions_callgrind" && (row.Verdict != "inconclusive" || !row.Compiler || row.Ratio < 1.01) {
			t.Errorf("%+v, want more instructions, inconclusive by the compiler", row)
		}
	}
	if len(r.Why) != 1 || !r.Why[0].Compiler || !strings.Contains(r.Why[0].Cross, "not your code") {
		t.Errorf("why: %+v, want the compiler's inlining; warnings %q", r.Why, r.Warnings)
	}
	for _, w := range r.Why {
		for _, f := range w.Functions {
			if f.Changed == "yes" {
				t.Errorf("%+v: main is not to blame", f)
			}
		}
		t.Logf("%+v", w)
	}
	checkNothingLeft(t)
}
