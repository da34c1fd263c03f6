package bundle

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/tools/txtar"
)

func TestPairHasWhatItNeeds(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	examples := fstest.MapFS{
		"go/go.mod": file("module m\n\ngo 1.26.0\n\nrequire (\n\ta.org/pool v1.2.3\n\tb.org/framework v1.0.0\n)\n\nrequire (\n" +
			"\ta.org/pool/v2 v2.0.0 // indirect\n\tc.org/engine v0.1.0 // indirect\n)\n"),
		"go/go.sum": file("a.org/pool v1.2.3 h1:x\na.org/pool v1.2.3/go.mod h1:y\na.org/pool/v2 v2.0.0/go.mod h1:z\n" +
			"b.org/framework v1.0.0 h1:x\nc.org/engine v0.1.0 h1:x\nd.org/test v1.0.0 h1:x\nd.org/test v1.0.0/go.mod h1:w\nd.org/test v1.1.0/go.mod h1:v\n"),
		"go/core/a.go": file("a\n"), "go/core/deep/b.go": file("b\n"), "go/nethttp/main.go": file("c\n"), "go/socket/s.go": file("s\n"),
		"go/core/full.go": file(fullOnly + "x\n"), "go/core/lean.go": file(leanOnly + "y\n"), "go/core/plants.go": file("z\n"),
		"go/gin/main.go": file("d\n"), "go/gin/deep/core/x.go": file("e\n"), "rust/axum/src/main.rs": file("f\n"),
		"rust/rocket/src/main.rs": file("h\n"), "rust/Cargo.lock": file("whole\n"),
		"rust/Cargo.toml": file("members = [\n  \"axum\",\n  \"rocket\", # not bundled\n]\n"),
		"rust/target/x":   file("g\n"),
	}
	a := &txtar.Archive{}
	needs := Needs{Modules: []string{"a.org/pool", "a.org/pool/v2"}, Graph: []string{"a.org/pool@v1.2.3", "d.org/test@v1.0.0"}, Lock: []byte("trimmed\n")}
	if err := Pair(a, examples, "at", needs, func(name string) bool { return name == "go/core/plants.go" }); err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"-- at/go/core/a.go --", "a", "-- at/go/core/deep/b.go --", "b", "-- at/go/core/lean.go --", "y",
		"-- at/go/go.mod --", "module m", "", "go 1.26.0", "", "require a.org/pool v1.2.3", "", "require a.org/pool/v2 v2.0.0 // indirect",
		"-- at/go/go.sum --", "a.org/pool v1.2.3 h1:x", "a.org/pool v1.2.3/go.mod h1:y", "a.org/pool/v2 v2.0.0/go.mod h1:z",
		"d.org/test v1.0.0/go.mod h1:w",
		"-- at/go/nethttp/main.go --", "c",
		"-- at/rust/Cargo.lock --", "trimmed", "-- at/rust/Cargo.toml --", "members = [", `  "axum",`, "]", "-- at/rust/axum/src/main.rs --", "f", "",
	}, "\n")
	if got := string(txtar.Format(a)); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// TestThePairNeedsNoFramework asks for the modules and crates of the real pair: Go's standard library, and axum.
func TestThePairNeedsNoFramework(t *testing.T) {
	needs, err := Ask("../../../examples")
	if err != nil {
		t.Fatal(err)
	}
	if len(needs.Modules) != 0 {
		t.Errorf("got modules %v, want none", needs.Modules)
	}
	got := strings.Join(append(needs.Modules, needs.Graph...), "\n") + string(needs.Lock)
	if !strings.Contains(got, `"axum"`) {
		t.Errorf("axum is missing in:\n%s", got)
	}
	for _, framework := range []string{"gin-gonic", "gofiber", "labstack", "go-chi", "fasthttp", "jackc", "actix", "rocket"} {
		if strings.Contains(got, framework) {
			t.Errorf("%s is in:\n%s", framework, got)
		}
	}
}

// TestTheLockIsOfTheWorkspace has every crate of the pair's lock in the whole one, line by line but for the dependencies, whose
// version is left out where there is one.
func TestTheLockIsOfTheWorkspace(t *testing.T) {
	dir := "../../../examples/rust"
	lock, err := lockOf(dir)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(dir + "/Cargo.lock")
	if err != nil {
		t.Fatal(err)
	}
	crates := strings.Split(string(lock), "[[package]]\n")[1:]
	for _, crate := range crates {
		if id, _, _ := strings.Cut(crate, "dependencies = ["); !strings.Contains(string(whole), strings.TrimSpace(id)+"\n") {
			t.Errorf("the whole workspace has no\n%s", id)
		}
	}
	if len(crates) < 50 {
		t.Errorf("got %d crates", len(crates))
	}
}

func TestAskSaysWhatFailed(t *testing.T) {
	if _, err := Ask(t.TempDir()); err == nil || !strings.Contains(err.Error(), "listing the modules of ") {
		t.Errorf("got %v", err)
	}
}
