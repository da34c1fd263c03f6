package demo

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/duet-bench/duet/internal/plan"
)

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir}, args...)...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %q: %v", args, err)
	}
	return strings.TrimSpace(string(out))
}

func TestWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "repo")
	c, err := Write(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: got %q, want %q", what, got, want)
		}
	}
	check("branch", git(t, dir, "rev-parse", "--abbrev-ref", "HEAD"), Branch)
	check("head", git(t, dir, "rev-parse", Branch), c.Head)
	check("main", git(t, dir, "rev-parse", "main"), c.Main)
	check("merge base", git(t, dir, "merge-base", "main", Branch), c.Base)
	check("main has moved on", git(t, dir, "rev-list", "--count", c.Base+".."+c.Main), "1")
	check("what head changes", git(t, dir, "diff", "--name-only", c.Base, c.Head), "go/core/text.go")
	check("working tree", git(t, dir, "status", "--porcelain", "--ignored"), "")
	check("whole history", git(t, dir, "rev-list", "--all", "--count"), "3")

	text, err := os.ReadFile(filepath.Join(dir, "duet.yml"))
	if err != nil {
		t.Fatal(err)
	}
	config, err := plan.ParseConfig("duet.yml", text)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range config.Services {
		if _, err := os.Stat(filepath.Join(dir, s.Dir)); err != nil {
			t.Error(err)
		}
	}
}

// TestShasAreAlwaysTheSame writes twice, the second time in an environment that tries to interfere.
func TestShasAreAlwaysTheSame(t *testing.T) {
	want, err := Write(t.Context(), filepath.Join(t.TempDir(), "repo"))
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	hook := filepath.Join(home, "hooks", "pre-commit")
	settings := "[commit]\n\tgpgSign = true\n[core]\n\thooksPath = " + filepath.Dir(hook) +
		"\n\tautocrlf = true\n\texcludesFile = " + filepath.Join(home, "ignore") + "\n[init]\n\tdefaultBranch = trunk\n[user]\n\tname = Someone\n"
	for name, text := range map[string]string{".gitconfig": settings, "ignore": "*.rs\n", "hooks/pre-commit": "#!/bin/sh\nexit 1\n"} {
		path := filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range map[string]string{
		"HOME": home, "XDG_CONFIG_HOME": home, "GIT_CONFIG_GLOBAL": filepath.Join(home, ".gitconfig"),
		"GIT_DIR": filepath.Join(home, "elsewhere"), "GIT_AUTHOR_DATE": "2001-01-01T00:00:00Z", "GIT_INDEX_FILE": filepath.Join(home, "index"),
		"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "user.name", "GIT_CONFIG_VALUE_0": "Someone", "TZ": "Asia/Tokyo",
	} {
		t.Setenv(name, value)
	}
	got, err := Write(t.Context(), filepath.Join(t.TempDir(), "repo"))
	if err != nil || got != want {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
}

func TestWriteRefusesAFolderInUse(t *testing.T) {
	dir := t.TempDir()
	kept := filepath.Join(dir, "kept")
	if err := os.WriteFile(kept, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Write(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Error(err)
	}
}

func TestAnErrorLeavesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := filepath.Join(t.TempDir(), "repo")
	if _, err := Write(ctx, dir); err == nil {
		t.Error("got no error from a cancelled context")
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("got %v, want nothing left", err)
	}
}

// allocations is a test put beside the service's own: it counts what one request's work allocates.
const allocations = `package core

import (
	"fmt"
	"testing"
)

func TestAllocations(t *testing.T) {
	links := NewLinks(1)
	if _, err := links.Create([]byte("{\"url\":\"http://x\"}")); err != nil {
		t.Fatal(err)
	}
	follow := testing.AllocsPerRun(100, func() { _, _ = links.Follow(Code(0)) })
	process := testing.AllocsPerRun(100, func() { _, _ = Process(batchOf(good, good, good)) })
	fmt.Printf("follow=%v process=%v\n", follow, process)
}
`

// TestPlantCostsAndChangesNoAnswer runs the service's own tests with and without the plant, and counts
// allocations: unlike time they are the same on every machine.
func TestPlantCostsAndChangesNoAnswer(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var follow, process [2]float64
	for i, commit := range []string{"base/go/", "head/go/"} {
		for _, f := range txtar.Parse(archive).Files {
			if name, ok := strings.CutPrefix(f.Name, commit); ok {
				put(name, string(f.Data))
			}
		}
		put("core/allocations_test.go", allocations)
		cmd := exec.CommandContext(t.Context(), "go", "test", "-v", "./...")
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", commit, err, out)
		}
		follow[i], process[i] = counts(t, string(out))
	}
	if process[1] < 2*process[0] || follow[1] < follow[0]+50 {
		t.Errorf("allocations a request, base and head: redirect %v, batch %v: expected head to cost at least twice as much", follow, process)
	}
}

func counts(t *testing.T, out string) (follow, process float64) {
	t.Helper()
	for line := range strings.Lines(out) {
		if n, err := fmt.Sscanf(line, "follow=%g process=%g", &follow, &process); err == nil && n == 2 {
			return follow, process
		}
	}
	t.Fatalf("no counts in %s", out)
	return 0, 0
}
