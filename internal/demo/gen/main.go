// Command gen makes demo.txtar, the demo repository's content, from examples/ and internal/demo/testdata.
package main

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/tools/txtar"

	"github.com/duet-bench/duet/internal/demo/bundle"
)

func main() {
	made, err := archive(os.DirFS("../../examples"), os.DirFS("testdata"))
	if err == nil {
		err = os.WriteFile("demo.txtar", made, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// archive holds the examples' Go and Rust folders and the demo's own files. A file's first folder
// is the commit it belongs to: base, main or head.
func archive(examples, own fs.FS) ([]byte, error) {
	a := &txtar.Archive{Comment: []byte("Made by go generate ./internal/demo from examples/ and internal/demo/testdata. Do not edit.\n")}
	for _, from := range []struct {
		fsys      fs.FS
		dir, into string
	}{
		{own, "base", "."},
		{examples, "go", "base"},
		{examples, "rust", "base"},
		{own, "main", "."},
		{own, "head", "."},
	} {
		if err := bundle.Add(a, from.fsys, from.dir, from.into, leave); err != nil {
			return nil, err
		}
	}
	return txtar.Format(a), nil
}

// leave says which of the examples' files serve the self-test alone: its plants and its code moved about.
func leave(name string) bool {
	base, _, _ := strings.Cut(path.Base(name), ".")
	return base == "plants" || base == "plants_test" || strings.HasSuffix(base, "_moved")
}
