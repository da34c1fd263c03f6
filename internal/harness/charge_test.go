package harness

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/pprof/profile"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/profdiff"
	"github.com/duet-bench/duet/internal/result"
)

// Every name has one number, whoever asks first, and what there is no room for has none.
func TestNaming(t *testing.T) {
	var n naming
	var table []string
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for i := range 100 {
				n.name(&table, fmt.Sprint("f", i))
			}
		})
	}
	wait.Wait()
	if len(table) != 100 {
		t.Fatalf("got %d names, want 100", len(table))
	}
	for i, text := range table {
		if got := n.name(&table, text); int(got) != i+1 {
			t.Errorf("%s: got %d, want %d", text, got, i+1)
		}
	}
	if got := n.name(&table, ""); got != 0 {
		t.Errorf("no name: got %d", got)
	}
	long := n.name(&table, strings.Repeat("é", result.MaxName))
	if got := table[long-1]; len(got) > result.MaxName || strings.Trim(got, "é") != "" {
		t.Errorf("a long name: got %q", got)
	}
	if got := table[n.name(&table, "a\xffb")-1]; got != "ab" {
		t.Errorf("a name that is no text: got %q", got)
	}
	for i := range result.MaxNames {
		n.name(&table, fmt.Sprint("g", i))
	}
	if got := n.name(&table, "one more"); got != 0 || len(table) != result.MaxNames {
		t.Errorf("one more than there is room for: got %d, %d names", got, len(table))
	}
}

// That a side's sources tell nothing is said once.
func TestWarnOfSources(t *testing.T) {
	source := profdiff.Source{
		Root: "/tree", Files: map[string]bool{"a.rs": true},
		Outlines: &profdiff.Outlines{Texts: map[string]string{"a.rs": strings.Repeat(`r#"`, 100_000)}, Within: time.Millisecond},
	}
	s := &session{run: &result.Run{}, pass: instructions{sources: map[plan.Side]profdiff.Source{plan.Head: source}}}
	s.warnOfSources()
	if len(s.run.Warnings) != 0 {
		t.Errorf("before anything was read: got %q", s.run.Warnings)
	}
	f := &profile.Function{ID: 1, Name: "inlined", Filename: "/tree/a.rs"}
	profdiff.NameInlined(&profile.Profile{Location: []*profile.Location{{ID: 1, Line: []profile.Line{{Function: f, Line: 1}}}}}, source)
	s.warnOfSources()
	s.warnOfSources()
	if len(s.run.Warnings) != 1 || !strings.Contains(s.run.Warnings[0], "head: its Rust sources take too long") {
		t.Errorf("got %q, want one warning of head's sources", s.run.Warnings)
	}
}
