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
	if err := write("../../../examples"); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func write(examples string) error {
	needs, err := bundle.Ask(examples)
	if err != nil {
		return err
	}
	made, err := archive(os.DirFS(examples), needs)
	if err != nil {
		return err
	}
	return os.WriteFile("pair.txtar", made, 0o644)
}

// archive holds the pair, plants included, as the content of one commit on main.
func archive(examples fs.FS, needs bundle.Needs) ([]byte, error) {
	a := &txtar.Archive{Comment: []byte("Made by go generate ./internal/selftest/pair from examples/. Do not edit.\n")}
	if err := bundle.Pair(a, examples, "main", needs, nil); err != nil {
		return nil, err
	}
	return txtar.Format(a), nil
}
