// Package examples_test runs the tests of the bundled services, each with its language's own command: they are
// modules of their own, which this module's go test does not enter.
package examples_test

import (
	"os/exec"
	"testing"
)

func TestServices(t *testing.T) {
	check := func(dir string, command ...string) {
		t.Run(dir, func(t *testing.T) {
			c := exec.Command(command[0], command[1:]...)
			c.Dir = dir
			if text, err := c.CombinedOutput(); err != nil {
				t.Errorf("%v in %s: %v\n%s", command, dir, err, text)
			}
		})
	}
	check("go", "go", "test", "./...")
	check("rust", "cargo", "test", "--locked")
}
