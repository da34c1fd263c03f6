package e2e

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/harness"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/selftest"
	"github.com/duet-bench/duet/internal/source"
	"github.com/duet-bench/duet/internal/workload"
)

// An edit of main alone costs every request of a Rust service more instructions, because rustc then cuts the crate up in
// another place and inlines less: a cross-check with one codegen unit tells it from the pull request's own doing. Which of
// the two texts has the worse cut is the compiler's business, so that the edit is taken back where it made requests cheaper.
//
// It is made with blameRuns alone: it is a proof for docs/methodology.md, and takes two minutes.
func TestInliningIsNobodysFault(t *testing.T) {
	if os.Getenv(blameRuns) == "" {
		return
	}
	repo := gitRepo(t, "inlining-base.txtar", "inlining-head.txtar")
	c, run := countSides(t, repo, "main", "topic")
	if countedRow(t, c).Verdict == compare.Improved {
		c, run = countSides(t, repo, "topic", commitOnTop(t, repo, "topic", "main"))
	}
	if r := countedRow(t, c); r.Verdict != compare.Inconclusive || !r.Compiler || r.Ratio < 1.01 {
		t.Errorf("%+v, want more instructions, inconclusive by the compiler; warnings %q", r, run.Warnings)
	}
	if len(c.Why) != 1 || !c.Why[0].Compiler || !strings.Contains(c.Why[0].Cross, "not your code") {
		t.Fatalf("why: %+v, want the compiler's inlining", c.Why)
	}
	t.Logf("%+v", c.Why[0])
	if len(c.Why[0].Functions) == 0 {
		t.Fatal("no function is named")
	}
	if f := c.Why[0].Functions[0]; !strings.HasPrefix(f.Name, "inlining::") || f.Changed != compare.ChangedNo || f.Line == 0 {
		t.Errorf("%+v: want a function of the crate, at a line of a file that nobody touched", f)
	}
	checkNothingLeft(t)
}

func countedRow(t *testing.T, c compare.Comparisons) compare.Comparison {
	t.Helper()
	for _, row := range c.Rows {
		if row.Metric == result.CallgrindInstructions {
			return row
		}
	}
	t.Fatal("no row of callgrind's instructions")
	return compare.Comparison{}
}

// countSides counts both sides of the repository's one service as a run does, without its timing rounds.
func countSides(t *testing.T, repo, base, head string) (compare.Comparisons, result.Run) {
	t.Helper()
	src, err := source.Resolve(t.Context(), source.Options{Repo: repo, Base: base, Head: head})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	w, err := workload.Parse("page.yaml", []byte(pageWorkload))
	if err != nil {
		t.Fatal(err)
	}
	s := plan.Service{Name: "rust", Lang: plan.Rust, Dir: ".", Ready: plan.Ready{Path: "/page"}}
	p := plan.Plan{
		Schema: plan.Schema, Head: src.Head, Base: src.Base, Seed: 1, Changed: []string{"src/main.rs"}, Order: []string{s.Name},
		Services:  map[plan.Variant]plan.Service{{Service: s.Name, Side: plan.Base}: s, {Service: s.Name, Side: plan.Head}: s},
		Workloads: []workload.Workload{w}, Window: selftest.Window(), Parity: plan.Parity{Requests: 1},
		Rounds: plan.Rounds{CountLooks: []int{3, 5}, CountConfirm: 4, CountCap: 10 * time.Minute, CrossCap: 10 * time.Minute},
	}
	run, err := harness.Run(t.Context(), p, harness.Options{
		Source: src, Version: "e2e", Attempt: 1, Settle: compare.Settle, Doubt: compare.Doubt, Progress: logged{t},
	})
	if err != nil || len(run.Failures) > 0 {
		t.Fatalf("counting: %v %+v", err, run.Failures)
	}
	return compare.Run(run), run
}

const pageWorkload = `name: page
version: 1
about: One page, always the same.
cores: 1
connections: 2
rate: 10%
requests:
  - name: page
    method: GET
    path: /page
    expect: {status: 200}
`
