package pair

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

const examples = "../../../examples/"

func write(t *testing.T) (dir, sha string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "repo")
	sha, err := Write(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir, sha
}

func TestWrite(t *testing.T) {
	dir, sha := write(t)
	if _, again := write(t); again != sha {
		t.Errorf("got %s, then %s", sha, again)
	}
	out, err := exec.CommandContext(t.Context(), "git", "-C", dir, "rev-list", "--all").Output()
	if got := strings.TrimSpace(string(out)); err != nil || got != sha {
		t.Errorf("got commits %q, %v, want %s alone", got, err, sha)
	}
	for _, f := range txtar.Parse(archive).Files {
		name := strings.TrimPrefix(f.Name, "main/")
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, f.Data) {
			t.Errorf("%s is not what the archive holds: %v", name, err)
		}
	}
	for _, name := range []string{"go/go.mod", "go/nethttp/plants.go", "rust/Cargo.lock", "rust/axum/src/plants.rs"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

func TestWriteLeavesNothingBehind(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := filepath.Join(t.TempDir(), "repo")
	if _, err := Write(ctx, dir); err == nil {
		t.Error("got no error from a cancelled context")
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("got %v, want nothing left", err)
	}
	if _, err := Write(t.Context(), "."); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("got %v for a folder in use", err)
	}
}

// Each language's test holds its service to the same list of plants.
func TestPlants(t *testing.T) {
	names := map[string]bool{}
	for _, p := range Plants() {
		if names[p.Name] || p.Name == "" || p.About == "" {
			t.Errorf("%+v: its name is taken, or something is empty", p)
		}
		names[p.Name] = true
		if p.Moved == (p.Env != "") || (p.Row == "") != (p.Sign == Nothing) {
			t.Errorf("%+v: expected either a plant or moved code, and a sign with a row", p)
		}
		if m, ok := result.MetricByName(p.Row); p.Row != "" && (!ok || !m.Judged) {
			t.Errorf("%s: %s is not a row that is judged", p.Name, p.Row)
		}
		for _, file := range []string{"go/nethttp/plants_test.go", "rust/axum/src/plants.rs"} {
			if text := read(t, examples+file); p.Env != "" && !strings.Contains(text, `"`+p.Env+`"`) {
				t.Errorf("%s does not test %q", file, p.Env)
			}
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestServices(t *testing.T) {
	dir, _ := write(t)
	var binaries []string
	for _, moved := range []bool{false, true} {
		for _, s := range Services(moved) {
			manifest := map[plan.Lang]string{plan.Go: "main.go", plan.Rust: "Cargo.toml"}[s.Lang]
			if _, err := os.Stat(filepath.Join(dir, s.Dir, manifest)); err != nil || s.Name != string(s.Lang) {
				t.Errorf("%s: %v", s.Name, err)
			}
			if !filepath.IsLocal(s.Binary) || slices.Contains(binaries, s.Dir+s.Binary) {
				t.Errorf("%s: binary %s leaves its dir or is another's", s.Name, s.Binary)
			}
			binaries = append(binaries, s.Dir+s.Binary)
		}
	}
}

// Only test builds hold plants. Of Rust, whose build takes minutes, the sources must do.
func TestGoBuilds(t *testing.T) {
	dir, _ := write(t)
	service := filepath.Join(dir, "go", "nethttp")
	build := func(binary string, command []string) []byte {
		t.Helper()
		c := exec.CommandContext(t.Context(), command[0], command[1:]...)
		c.Dir = service
		if text, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", command, err, text)
		}
		return []byte(read(t, filepath.Join(service, filepath.FromSlash(binary))))
	}
	plain, moved := Services(false)[0], Services(true)[0]
	for _, tt := range []struct {
		binary        string
		command       []string
		plants, moved bool
	}{
		{"user", []string{"go", "build", "-o", "user", "."}, false, false},
		{plain.Binary, plain.Build, true, false},
		{moved.Binary, moved.Build, true, true},
	} {
		program := build(tt.binary, tt.command)
		for trace, want := range map[string]bool{Variable: tt.plants, "main.parsePlant": tt.plants, "core.kept": tt.moved} {
			if got := bytes.Contains(program, []byte(trace)); got != want {
				t.Errorf("%s holds %s: got %v, want %v", tt.binary, trace, got, want)
			}
		}
	}
}

func TestRustPlantsAreOfAFeature(t *testing.T) {
	main := read(t, examples+"rust/axum/src/main.rs")
	const gate = "#[cfg(feature = \"plants\")]\n"
	if got := strings.Count(strings.ReplaceAll(main, gate, "GATE"), "plants"); got != 2 {
		t.Errorf("main.rs names plants %d times, want the module and its call", got)
	}
	if !strings.Contains(main, gate+"mod plants;") || !strings.Contains(main, gate+"    let app = plants::") {
		t.Errorf("a mention of plants in main.rs has no %s", gate)
	}
	for _, file := range []string{"rust/axum/Cargo.toml", "rust/core/Cargo.toml"} {
		text := strings.ReplaceAll(read(t, examples+file), "default = [\"full\"] # not bundled\n", "")
		if strings.Contains(text, "default = ") {
			t.Errorf("%s has default features", file)
		}
	}
}

// Moved code is the same code: every line of the one file is in the other as often, or more often.
func TestMovedCodeIsTheSame(t *testing.T) {
	for file, suffix := range map[string]string{"go/core/text": ".go", "rust/core/src/text": ".rs"} {
		lines := map[string]int{}
		for line := range strings.Lines(read(t, examples+file+"_moved"+suffix)) {
			lines[line]++
		}
		for line := range strings.Lines(read(t, examples+file+suffix)) {
			if strings.HasPrefix(line, "//go:build") || strings.HasPrefix(line, "//!") || strings.HasPrefix(line, "// The text rules") {
				continue
			}
			if lines[line]--; lines[line] < 0 {
				t.Errorf("%s%s has a line that its moved twin lacks: %s", file, suffix, line)
			}
		}
		if len(lines) < 20 {
			t.Errorf("%s%s has too few lines to be the code that is moved", file, suffix)
		}
	}
}
