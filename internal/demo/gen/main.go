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
	if err := write("../../examples"); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func write(examples string) error {
	needs, err := bundle.Ask(examples)
	if err != nil {
		return err
	}
	made, err := archive(os.DirFS(examples), os.DirFS("testdata"), needs)
	if err != nil {
		return err
	}
	return os.WriteFile("demo.txtar", made, 0o644)
}

// archive holds the pair and the demo's own files. A file's first folder is the commit it belongs to: base, main or
// head.
func archive(examples, own fs.FS, needs bundle.Needs) ([]byte, error) {
	a := &txtar.Archive{Comment: []byte("Made by go generate ./internal/demo from examples/ and internal/demo/testdata. Do not edit.\n")}
	if err := bundle.Add(a, own, "base", ".", nil); err != nil {
		return nil, err
	}
	if err := bundle.Pair(a, examples, "base", needs, leave); err != nil {
		return nil, err
	}
	for _, commit := range []string{"main", "head"} {
		if err := bundle.Add(a, own, commit, ".", nil); err != nil {
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
