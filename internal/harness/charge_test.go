package harness

import (
	"fmt"
	"strings"
	"sync"
	"testing"

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
