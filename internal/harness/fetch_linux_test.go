package harness

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/duet-bench/duet/internal/plan"
)

// What Fetch leaves is what a run begins with, and of the trees nothing stays where it was.
func TestFetch(t *testing.T) {
	dir, err := os.MkdirTemp("", "duet-fetch-") // not t.TempDir, which boxes' uids cannot pass
	if err == nil {
		err = os.Chmod(dir, 0o711)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	t.Setenv("TMPDIR", dir)
	p := plan.Plan{Base: &plan.Commit{}, Services: map[plan.Variant]plan.Service{
		base: {Name: "go", Lang: plan.Go}, head: {Name: "go", Lang: plan.Go},
	}}
	trees, fetched := filepath.Join(dir, "trees"), filepath.Join(dir, "fetched")
	for _, side := range Sides(p) {
		tree := filepath.Join(trees, string(side), repoFolder)
		if err := os.MkdirAll(tree, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{"go.mod": "module x\n\ngo 1.24\n", "main.go": "package main\n\nfunc main() {}\n"} {
			if err := os.WriteFile(filepath.Join(tree, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := Fetch(t.Context(), p, trees, fetched, &heard{}); err != nil {
		t.Fatal(err)
	}
	for _, side := range Sides(p) {
		if _, err := os.Stat(filepath.Join(trees, string(side))); err == nil {
			t.Errorf("the tree of %s is still there", side)
		}
		for _, name := range []string{"downloads.json", "cache", "tree/repo/main.go"} {
			if _, err := os.Stat(filepath.Join(fetched, string(side), filepath.FromSlash(name))); err != nil {
				t.Error(err)
			}
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, workPrefix+"*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q (%v)", left, err)
	}
	if got, want := levelIn("container: x", "basic: own uid"), "container: x; inside it own uid"; got != want {
		t.Errorf("level %q, want %q", got, want)
	}
	if got := levelIn("", "basic: own uid"); got != "basic: own uid" {
		t.Errorf("level %q", got)
	}
}
