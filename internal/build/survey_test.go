package build

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSurvey(t *testing.T) {
	tree := t.TempDir()
	for name, text := range map[string]string{
		"repo/go.mod":                    "module example.com/shop\n",
		"repo/cmd/shop/main.go":          "package main\n",
		"repo/vendor/example.com/x/x.go": "package x\n",
		"repo/api/go.mod":                "module example.com/shop/api\n",
		"repo/bad/go.mod":                "modul\n",
		"repo/rust/Cargo.toml":           "[workspace]\nmembers = [\"core\", \"axum\"]\n",
		"repo/rust/core/Cargo.toml":      "[package]\nname = \"shop-core\"\n",
		"repo/rust/axum/Cargo.toml":      "[package]\nname = \"shop-axum\"\n[[bin]]\nname = \"axum\"\n",
		"repo/rust/bad/Cargo.toml":       "[package\n",
		"repo/rust/core/src/lib.rs":      "fn a() {}\n",
		"repo/rust/Cargo.lock": "[[package]]\nname = \"axum\"\nversion = \"0.8.1\"\nsource = \"registry\"\n" +
			"[[package]]\nname = \"shop-core\"\nversion = \"0.1.0\"\n",
		"other/lib.go": "package lib\n",
	} {
		file := filepath.Join(tree, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(tree, "repo", "link.go")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(tree, "repo", "link.rs")); err != nil {
		t.Fatal(err)
	}
	w := &Workshop{o: Options{Dir: "/work"}}
	got, err := w.Survey(tree)
	if err != nil {
		t.Fatal(err)
	}
	want := Survey{
		Root:       "/work/tree",
		Files:      map[string]bool{"repo/cmd/shop/main.go": true, "repo/rust/core/src/lib.rs": true, "other/lib.go": true, "repo/link.go": false, "repo/link.rs": false},
		Modules:    map[string]string{"example.com/shop": "repo", "example.com/shop/api": "repo/api"},
		Workspaces: []string{"repo/rust", "repo/rust/axum", "repo/rust/core"},
		Packages:   map[string]string{"repo/rust/axum": "axum", "repo/rust/core": "shop_core"},
		Texts:      map[string]string{"repo/rust/core/src/lib.rs": "fn a() {}\n"},
		Crates:     map[string]bool{"shop_core": true, "shop_axum": true}, // a dependency is called axum too
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := w.Survey(filepath.Join(tree, "nothing")); err == nil {
		t.Error("a tree that is not there: got no error")
	}
}
