// Command duet tells whether a pull request made a service slower, fatter or slower to build, in Go and in
// its Rust counterpart, and why. See docs/configuration.md and `duet --help`.
package main

import (
	"os"

	"github.com/duet-bench/duet/internal/sandbox"
)

func main() {
	sandbox.Helper() // does not return where Duet was started again as the helper that confines a child
	os.Exit(int(run(world{
		args: os.Args[1:], getenv: os.Getenv, lookup: os.LookupEnv,
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
	})))
}
