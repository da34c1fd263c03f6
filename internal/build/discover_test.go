package build

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/tools/txtar"

	"github.com/duet-bench/duet/internal/plan"
)

func mapFS(tree string) fstest.MapFS {
	files := fstest.MapFS{}
	for _, f := range txtar.Parse([]byte(tree)).Files {
		files[f.Name] = &fstest.MapFile{Data: f.Data}
	}
	return files
}

const mixedTree = `
-- go.mod --
module example.com/shop/v2
-- main.go --
package main

func main() {}
-- cmd/admin/main.go --
package main

func main() {}
-- cmd/windows/main_windows.go --
package main

func main() {}
-- internal/lib.go --
package internal
-- internal/methods.go --
package main

type T struct{}

func (T) main() {}
-- vendor/example.com/x/main.go --
package main

func main() {}
-- testdata/main.go --
package main

func main() {}
-- broken/main.go --
package main

func main() { not go at all
-- go/api/go.mod --
module example.com/api
-- go/api/cmd/api/main.go --
package main

func main() {}
-- rust/Cargo.toml --
[workspace]
members = ["crates/*", "tool"]
exclude = ["crates/left-out"]
-- rust/target/debug/Cargo.toml --
[package]
name = "never"
-- rust/target/debug/src/main.rs --
-- rust/crates/api/Cargo.toml --
[package]
name = "api"
default-run = "api"
-- rust/crates/api/src/main.rs --
-- rust/crates/api/src/bin/migrate.rs --
-- rust/crates/api/src/bin/seed/main.rs --
-- rust/crates/lib/Cargo.toml --
[package]
name = "lib"
-- rust/crates/lib/src/lib.rs --
-- rust/crates/left-out/Cargo.toml --
[package]
name = "left-out"
-- rust/crates/left-out/src/main.rs --
-- rust/tool/Cargo.toml --
[package]
name = "tool"
autobins = false
[[bin]]
name = "renamed"
path = "src/tool.rs"
-- rust/tool/src/tool.rs --
-- rust/tool/src/main.rs --
-- odd/Cargo.toml --
not toml at all
`

func TestDiscover(t *testing.T) {
	found, err := Discover(mapFS(mixedTree))
	check(t, err)
	var got []string
	for _, c := range append(found.Go, found.Rust...) {
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", c.Name, c.Dir, c.Main, c.Package)))
	}
	want := []string{
		"shop . main.go",
		"broken . broken/main.go ./broken", // for the compiler to complain about
		"admin . cmd/admin/main.go ./cmd/admin",
		"api go/api go/api/cmd/api/main.go",
		"api rust/crates/api rust/crates/api/src/main.rs",
		"migrate rust/crates/api rust/crates/api/src/bin/migrate.rs migrate",
		"seed rust/crates/api rust/crates/api/src/bin/seed/main.rs seed",
		"renamed rust/tool rust/tool/src/tool.rs",
		"left-out rust/crates/left-out rust/crates/left-out/src/main.rs",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func TestChooseMain(t *testing.T) {
	two := []goMain{{Dir: "r/cmd/a"}, {Dir: "r/cmd/b"}}
	for _, c := range []struct {
		mains  []goMain
		binary string
		want   string
	}{
		{append(two, goMain{Dir: "r"}), "", "r"},
		{two, "b", "r/cmd/b"},
		{two, "out/a", "r/cmd/a"},
		{two[1:], "", "r/cmd/b"},
		{two[1:], "other", "r/cmd/b"},
		{two, "", "2 packages main in svc: ./cmd/a, ./cmd/b"},
		{nil, "", "no package main"},
	} {
		got, err := chooseMain(plan.Service{Name: "s", Dir: "svc", Binary: c.binary}, "r", c.mains)
		if err != nil {
			contains(t, "error", err.Error(), c.want)
		} else if got.Dir != c.want {
			t.Errorf("%v, binary %q: got %s, want %s", c.mains, c.binary, got.Dir, c.want)
		}
	}
}

func TestWorkspaceRoot(t *testing.T) {
	tree := mapFS(mixedTree)
	tree["loose/Cargo.toml"] = &fstest.MapFile{Data: []byte("[package]\nname = \"x\"\nworkspace = \"../rust\"\n")}
	for dir, want := range map[string]string{"rust": "rust", "rust/crates/api": "rust", "loose": "rust", "rust/crates/left-out": "rust/crates/left-out"} {
		got, _, err := workspaceRoot(tree, dir)
		if got != want || err != nil {
			t.Errorf("%s: got %s, %v, want %s", dir, got, err, want)
		}
	}
}

func TestToolchainChannel(t *testing.T) {
	for _, c := range []struct {
		text   string
		isTOML bool
		want   string
	}{
		{"1.95.0\n", false, "1.95.0"},
		{"nightly-2026-05-01", false, "nightly-2026-05-01"},
		{"[toolchain]\nchannel = \"beta\"\n", false, "beta"},
		{"[toolchain]\nchannel = \"1.95\"\ncomponents = [\"clippy\"]\n", true, "1.95"},
		{"[toolchain]\ncomponents = [\"clippy\"]\n", true, ""},
		{"[toolchain]\npath = \"/opt/x\"\n", true, "by path"},
		{"[toolchain]\nchannel = \"--help\"\n", true, "unexpected channel"},
		{"../../evil", false, "unexpected channel"},
		{"", false, "unexpected channel"},
		{"[toolchain", true, "expected"},
	} {
		got, err := toolchainChannel([]byte(c.text), c.isTOML)
		if err != nil {
			contains(t, "error", err.Error(), c.want)
		} else if got != c.want {
			t.Errorf("%q: got %q, want %q", c.text, got, c.want)
		}
	}
}

func TestRegistrySettings(t *testing.T) {
	got, err := registrySettings([]byte(`
[source.crates-io]
replace-with = "mirror"
[source.mirror]
registry = "sparse+https://mirror.example/index/"
[registries.own]
index = "ssh://git@git.example/index"
token = "canary"
credential-provider = ["/bin/canary"]
[registries.shut]
index = "https://user:canary@git.example/index"
[registry]
token = "canary"
global-credential-providers = ["canary"]
[http]
proxy = "user:canary@proxy:3128"
cainfo = "/etc/ssl/own.pem"
[build]
rustc-wrapper = "canary"
[env]
SECRET = "canary"
[target.x86_64-unknown-linux-gnu]
linker = "canary"
`))
	check(t, err)
	contains(t, "settings", string(got), "sparse+https://mirror.example", "ssh://git@git.example", "own.pem", `replace-with = "mirror"`)
	if strings.Contains(string(got), "canary") {
		t.Errorf("secrets or programs were copied:\n%s", got)
	}
}

func TestToolchains(t *testing.T) {
	if got := Toolchains(t.Context(), []string{"PATH=/nowhere"}); len(got) != 0 {
		t.Errorf("in an empty PATH: got %v", got)
	}
}

func FuzzManifest(f *testing.F) {
	for _, file := range txtar.Parse([]byte(mixedTree)).Files {
		if strings.HasSuffix(file.Name, ".toml") {
			f.Add(file.Data)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		tree := fstest.MapFS{"a/Cargo.toml": {Data: text}, "a/src/main.rs": {}, "a/src/bin/x.rs": {}, "secret/src/main.rs": {}}
		bins, err := cargoBins(tree, "a")
		if err != nil {
			return
		}
		for _, b := range bins {
			if b.Name == "" || !exists(tree, b.File) {
				t.Errorf("%q: got a binary %+v that is not there", text, b)
			}
		}
	})
}
