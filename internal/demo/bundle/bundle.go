// Package bundle puts the bundled pair's sources into a txtar archive, which a binary can embed: go:embed refuses
// folders with a go.mod of their own.
//
// The pair is one Go and one Rust service of examples/ and what they stand on, both as lean builds: without database,
// computing and WebSocket, which neither the demo nor the self-test asks for. The Go module is one for services of five
// frameworks, the Rust workspace one for services of three; the archive has the one service of each, and a go.mod, go.sum
// and Cargo.lock that name what it needs, so that whoever builds it downloads no other framework.
package bundle

import (
	"bytes"
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

// kept are the folders of examples/go and examples/rust that the pair is made of.
func kept(lang string) []string {
	if lang == "rust" {
		return []string{"core", "axum"}
	}
	return []string{"core", "nethttp"}
}

// notBundled ends the lines of a Cargo.toml that the pair does without.
const notBundled = "# not bundled\n"

// The first line of a Go file that is of the full service alone, and of one that stands in its place in a lean one.
const (
	fullOnly = "//go:build !lean\n\n"
	leanOnly = "//go:build lean\n\n"
)

// Needs is what the pair needs of the modules that its go.mod names, and of the crates that its Cargo.lock names.
type Needs struct {
	Modules []string // paths of those it is built from, tests and self-test builds included
	Graph   []string // path@version of all whose go.mod the go command reads to find that out
	Lock    []byte   // Cargo.lock, with every crate at the version of the whole workspace
}

// Ask asks the go command and cargo; dir is examples.
func Ask(dir string) (Needs, error) {
	needs, err := askGo(filepath.Join(dir, "go"))
	if err != nil {
		return Needs{}, err
	}
	rust := filepath.Join(dir, "rust")
	if needs.Lock, err = lockOf(rust); err != nil {
		return Needs{}, fmt.Errorf("asking for the crates of %s: %w", rust, err)
	}
	return needs, nil
}

func askGo(dir string) (Needs, error) {
	args := []string{"list", "-deps", "-test", "-tags", "plants,lean", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}"}
	for _, name := range kept("go") {
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

// lockOf is the Cargo.lock of a workspace that has the pair's crates alone, without their code.
func lockOf(dir string) (lock []byte, err error) {
	temp, err := os.MkdirTemp("", "bundle-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	for name, trim := range map[string]func([]byte) []byte{
		"Cargo.toml":      trimManifest,
		"Cargo.lock":      func(text []byte) []byte { return text },
		"core/Cargo.toml": trimManifest, "core/src/lib.rs": func([]byte) []byte { return nil },
		"axum/Cargo.toml": trimManifest, "axum/src/main.rs": func([]byte) []byte { return nil },
	} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(temp, name)), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(temp, name), trim(text), 0o644); err != nil {
			return nil, err
		}
	}
	// Takes out what no crate of this workspace needs, and moves no version.
	c := exec.Command("cargo", "update", "--workspace", "--quiet")
	c.Dir = temp
	if text, err := c.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("cargo update: %w: %s", err, text)
	}
	return os.ReadFile(filepath.Join(temp, "Cargo.lock"))
}

// trimManifest takes the lines out of a Cargo.toml that are not for the pair.
func trimManifest(text []byte) []byte {
	var kept []byte
	for line := range strings.Lines(string(text)) {
		if !strings.HasSuffix(line, notBundled) {
			kept = append(kept, line...)
		}
	}
	return kept
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
	a.Files = slices.DeleteFunc(a.Files, func(f txtar.File) bool { return isGo(f) && bytes.HasPrefix(f.Data, []byte(fullOnly)) })
	for i := first; i < len(a.Files); i++ {
		f := &a.Files[i]
		var err error
		switch f.Name {
		case path.Join(into, "go/go.mod"):
			f.Data, err = trimMod(f.Data, needs.Modules)
		case path.Join(into, "go/go.sum"):
			f.Data = trimSum(f.Data, needs)
		case path.Join(into, "rust/Cargo.lock"):
			f.Data = needs.Lock
		default:
			if path.Base(f.Name) == "Cargo.toml" {
				f.Data = trimManifest(f.Data)
			}
			if isGo(*f) {
				f.Data = bytes.TrimPrefix(f.Data, []byte(leanOnly))
			}
		}
		if err != nil {
			return fmt.Errorf("bundling %s: %w", f.Name, err)
		}
	}
	a.Files = slices.DeleteFunc(a.Files, func(f txtar.File) bool { return path.Base(f.Name) == "go.sum" && len(f.Data) == 0 })
	return nil
}

func isGo(f txtar.File) bool { return path.Ext(f.Name) == ".go" }

// other reports whether a file belongs to a service that is not of the pair.
func other(name string) bool {
	lang, rest, _ := strings.Cut(name, "/")
	dir, _, isBelow := strings.Cut(rest, "/")
	return isBelow && !slices.Contains(kept(lang), dir)
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
