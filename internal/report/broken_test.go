package report

import (
	"fmt"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// However many services break, the reader learns why of each that is named, head's first; the logs of the first
// two follow, and a failed download is a build that failed, not a service that fell over.
func TestEveryBrokenServiceSaysWhy(t *testing.T) {
	run := newRun()
	for i := range 3 {
		for _, side := range []plan.Side{plan.Base, plan.Head} {
			run.Failures = append(run.Failures, result.Failure{Variant: v(fmt.Sprintf("s%d", i), side), Step: "fetching",
				Error: fmt.Sprintf("why %d at %s", i, side), LogTail: []string{fmt.Sprintf("log %d at %s", i, side)}})
		}
	}
	r := New(run, newComparisons(), Options{})
	for name, text := range map[string]string{"terminal": Terminal{Width: 100}.Render(r), "markdown": Markdown(r)} {
		for i := range 3 {
			for _, side := range []plan.Side{plan.Base, plan.Head} {
				if want := fmt.Sprintf("why %d at %s", i, side); !strings.Contains(text, want) {
					t.Errorf("%s does not say %q:\n%s", name, want, text)
				}
			}
			if got, want := strings.Contains(text, fmt.Sprintf("log %d at head", i)), i < maxTails; got != want {
				t.Errorf("%s: the log of s%d at head is shown: %v, want %v", name, i, got, want)
			}
		}
		if strings.Contains(text, "log 0 at base") || strings.Contains(text, "survive") || !strings.Contains(text, "does not build at head") {
			t.Errorf("%s: want the first two logs of head's, and builds that failed:\n%s", name, text)
		}
	}
}

// What no variant is to blame for is said all the same, and is as hostile as any text.
func TestNothingMeasuredSaysWhy(t *testing.T) {
	run := newRun()
	run.State, run.Error = result.NotMeasured, "building go@head: no space left on the disk of /tmp\n:::error::x ##[error]x"
	r := New(run, newComparisons(), Options{})
	for name, text := range map[string]string{"terminal": Terminal{Width: 100}.Render(r), "markdown": Markdown(r)} {
		if !strings.Contains(text, "no space left on the disk") || strings.Contains(text, " ::") || strings.Contains(text, "##[") {
			t.Errorf("%s: want why, without commands:\n%s", name, text)
		}
	}
}
