// Command gen makes demo.txtar, the demo repository's content, from examples/ and internal/demo/testdata.
//
// An archive, because go:embed refuses folders with a go.mod of their own.
package main

import (
	"fmt"
	"io/fs"
	"os"
	"path"

	"golang.org/x/tools/txtar"
)

func main() {
	archive, err := bundle(os.DirFS("../../examples"), os.DirFS("testdata"))
	if err == nil {
		err = os.WriteFile("demo.txtar", archive, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// bundle writes the examples' Go and Rust folders and the demo's own files as one archive. A file's first folder
// is the commit it belongs to: base, main or head.
func bundle(examples, own fs.FS) ([]byte, error) {
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
		if err := add(a, from.fsys, from.dir, from.into); err != nil {
			return nil, err
		}
	}
	return txtar.Format(a), nil
}

func add(a *txtar.Archive, fsys fs.FS, dir, into string) error {
	return fs.WalkDir(fsys, dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "target": // cargo's
			return fs.SkipDir
		case d.IsDir():
			return nil
		case !d.Type().IsRegular():
			return fmt.Errorf("bundling %s: not a regular file", name)
		}
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		a.Files = append(a.Files, txtar.File{Name: path.Join(into, name), Data: text})
		return nil
	})
}
