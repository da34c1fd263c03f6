// Package bundle puts the bundled pair's sources into a txtar archive, which a binary can embed: go:embed refuses
// folders with a go.mod of their own.
//
// The pair is one Go and one Rust service of examples/ and what they stand on. The Go module is one for services of
// five frameworks; the archive has the one service, and a go.mod and go.sum that name what it needs, so that whoever
// builds it downloads no framework.
package bundle

import (
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/tools/txtar"
)

// kept are the packages of examples/go that the pair's service is made of.
func kept() []string { return []string{"core", "nethttp", "socket"} }

// Modules asks the go command which modules the pair's Go service needs, tests and self-test builds included; dir is
// examples/go.
func Modules(dir string) ([]string, error) {
	args := []string{"list", "-deps", "-test", "-tags", "plants", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}"}
	for _, name := range kept() {
		args = append(args, "./"+name)
	}
	c := exec.Command("go", args...)
	c.Dir = dir
	out, err := c.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return nil, fmt.Errorf("listing the modules of %s: %w", dir, err)
	}
	modules := strings.Fields(string(out))
	slices.Sort(modules)
	return slices.Compact(modules), nil
}

// Pair appends the pair's files to a as into/go/… and into/rust/…; modules is what Modules returned. Files for which
// leave, unless it is nil, says so by their name below examples are left out.
func Pair(a *txtar.Archive, examples fs.FS, into string, modules []string, leave func(name string) bool) error {
	first := len(a.Files)
	for _, dir := range []string{"go", "rust"} {
		if err := Add(a, examples, dir, into, func(name string) bool {
			return other(name) || leave != nil && leave(name)
		}); err != nil {
			return err
		}
	}
	for i := first; i < len(a.Files); i++ {
		f := &a.Files[i]
		var err error
		switch f.Name {
		case path.Join(into, "go/go.mod"):
			f.Data, err = trimMod(f.Data, modules)
		case path.Join(into, "go/go.sum"):
			f.Data = trimSum(f.Data, modules)
		}
		if err != nil {
			return fmt.Errorf("bundling %s: %w", f.Name, err)
		}
	}
	return nil
}

// other reports whether a file belongs to a Go service that is not of the pair.
func other(name string) bool {
	rest, isGo := strings.CutPrefix(name, "go/")
	dir, _, isBelow := strings.Cut(rest, "/")
	return isGo && isBelow && !slices.Contains(kept(), dir)
}

// trimMod takes the requirements out of a go.mod that are not among modules.
func trimMod(text []byte, modules []string) ([]byte, error) {
	m, err := modfile.Parse("go.mod", text, nil)
	if err != nil {
		return nil, err
	}
	for _, r := range slices.Clone(m.Require) {
		if slices.Contains(modules, r.Mod.Path) {
			continue
		}
		if err := m.DropRequire(r.Mod.Path); err != nil {
			return nil, err
		}
	}
	m.Cleanup()
	return m.Format()
}

// trimSum takes the lines out of a go.sum that are of none of the modules.
func trimSum(text []byte, modules []string) []byte {
	var kept []byte
	for line := range strings.Lines(string(text)) {
		if module, _, _ := strings.Cut(line, " "); slices.Contains(modules, module) {
			kept = append(kept, line...)
		}
	}
	return kept
}

// Add appends every file below dir to a, as into/ and its name. Cargo's target folders are left out, and so are the
// files for which leave, unless it is nil, says so by their name below fsys.
func Add(a *txtar.Archive, fsys fs.FS, dir, into string, leave func(name string) bool) error {
	return fs.WalkDir(fsys, dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "target": // cargo's
			return fs.SkipDir
		case d.IsDir() || leave != nil && leave(name):
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
