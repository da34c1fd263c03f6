package bundle

import (
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
		"go/gin/main.go": file("d\n"), "go/gin/deep/core/x.go": file("e\n"), "rust/gin/main.rs": file("f\n"),
		"rust/target/x": file("g\n"),
	}
	a := &txtar.Archive{}
	needs := Needs{Modules: []string{"a.org/pool", "a.org/pool/v2"}, Graph: []string{"a.org/pool@v1.2.3", "d.org/test@v1.0.0"}}
	if err := Pair(a, examples, "at", needs, func(name string) bool { return name == "go/socket/s.go" }); err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"-- at/go/core/a.go --", "a", "-- at/go/core/deep/b.go --", "b",
		"-- at/go/go.mod --", "module m", "", "go 1.26.0", "", "require a.org/pool v1.2.3", "", "require a.org/pool/v2 v2.0.0 // indirect",
		"-- at/go/go.sum --", "a.org/pool v1.2.3 h1:x", "a.org/pool v1.2.3/go.mod h1:y", "a.org/pool/v2 v2.0.0/go.mod h1:z",
		"d.org/test v1.0.0/go.mod h1:w",
		"-- at/go/nethttp/main.go --", "c", "-- at/rust/gin/main.rs --", "f", "",
	}, "\n")
	if got := string(txtar.Format(a)); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// TestThePairNeedsNoFramework asks for the modules of the real pair: a database, a WebSocket, and what they stand on.
func TestThePairNeedsNoFramework(t *testing.T) {
	needs, err := Ask("../../../examples/go")
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(append(needs.Modules, needs.Graph...), "\n")
	for _, want := range []string{"github.com/jackc/pgx/v5", "github.com/coder/websocket"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing in:\n%s", want, got)
		}
	}
	for _, framework := range []string{"gin-gonic", "gofiber", "labstack", "go-chi", "fasthttp"} {
		if strings.Contains(got, framework) {
			t.Errorf("%s is in:\n%s", framework, got)
		}
	}
}

func TestAskSaysWhatFailed(t *testing.T) {
	if _, err := Ask(t.TempDir()); err == nil || !strings.Contains(err.Error(), "listing the modules of ") {
		t.Errorf("got %v", err)
	}
}
