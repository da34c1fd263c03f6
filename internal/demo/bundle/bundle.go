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
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/tools/txtar"
)

// kept are the packages of examples/go that the pair's service is made of.
func kept() []string { return []string{"core", "nethttp", "socket"} }

// Needs is what the pair's Go service needs of the modules that its go.mod names.
type Needs struct {
	Modules []string // paths of those it is built from, tests and self-test builds included
	Graph   []string // path@version of all whose go.mod the go command reads to find that out
}

// Ask asks the go command; dir is examples/go.
func Ask(dir string) (Needs, error) {
	args := []string{"list", "-deps", "-test", "-tags", "plants", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}"}
	for _, name := range kept() {
		args = append(args, "./"+name)
	}
	modules, err := words(dir, args...)
	if err != nil {
		return Needs{}, fmt.Errorf("listing the modules of %s: %w", dir, err)
	}
	graph, err := graphOf(dir, modules)
	if err != nil {
		return Needs{}, fmt.Errorf("asking for the module graph of %s: %w", dir, err)
	}
	return Needs{Modules: modules, Graph: graph}, nil
}

// graphOf is the module graph of a go.mod without what is not among modules.
func graphOf(dir string, modules []string) (graph []string, err error) {
	temp, err := os.MkdirTemp("", "bundle-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	for name, trim := range map[string]func([]byte) ([]byte, error){
		"go.mod": func(text []byte) ([]byte, error) { return trimMod(text, modules) },
		"go.sum": func(text []byte) ([]byte, error) { return text, nil },
	} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			text, err = trim(text)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(temp, name), text, 0o644)
		}
		if err != nil {
			return nil, err
		}
	}
	return words(temp, "mod", "graph")
}

// words are the words that a go command prints, sorted, each once.
func words(dir string, args ...string) ([]string, error) {
	c := exec.Command("go", args...)
	c.Dir = dir
	out, err := c.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil, fmt.Errorf("go %s: %w: %s", args[0], err, exit.Stderr)
	}
	all := strings.Fields(string(out))
	slices.Sort(all)
	return slices.Compact(all), err
}

// Pair appends the pair's files to a as into/go/… and into/rust/…; needs is what Ask returned. Files for which leave,
// unless it is nil, says so by their name below examples are left out.
func Pair(a *txtar.Archive, examples fs.FS, into string, needs Needs, leave func(name string) bool) error {
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
			f.Data, err = trimMod(f.Data, needs.Modules)
		case path.Join(into, "go/go.sum"):
			f.Data = trimSum(f.Data, needs)
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

// trimSum takes the lines out of a go.sum that nothing asks for any more.
func trimSum(text []byte, needs Needs) []byte {
	var kept []byte
	for line := range strings.Lines(string(text)) {
		module, rest, _ := strings.Cut(line, " ")
		version, isMod := strings.CutSuffix(strings.Fields(rest)[0], "/go.mod")
		if slices.Contains(needs.Modules, module) || isMod && slices.Contains(needs.Graph, module+"@"+version) {
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
