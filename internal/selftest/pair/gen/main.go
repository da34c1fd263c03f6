// Command gen makes pair.txtar, the self-test's repository, from examples/go and examples/rust.
package main

import (
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/tools/txtar"

	"github.com/duet-bench/duet/internal/demo/bundle"
)

func main() {
	made, err := archive(os.DirFS("../../../examples"))
	if err == nil {
		err = os.WriteFile("pair.txtar", made, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// archive holds the examples' Go and Rust folders, plants included, as the content of one commit on main.
func archive(examples fs.FS) ([]byte, error) {
	a := &txtar.Archive{Comment: []byte("Made by go generate ./internal/selftest/pair from examples/. Do not edit.\n")}
	for _, dir := range []string{"go", "rust"} {
		if err := bundle.Add(a, examples, dir, "main", nil); err != nil {
			return nil, err
		}
	}
	return txtar.Format(a), nil
}
