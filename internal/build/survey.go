package build

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
	"golang.org/x/mod/modfile"
)

// Bounds of a Survey: a large monorepo has 200,000 files and some hundred manifests.
const (
	maxSurveyed  = 400_000 // entries looked at
	maxManifests = 2_000
	maxTexts     = 64 << 20 // bytes of Rust sources
)

// Survey is what a tree calls its own, by which functions are told from those of dependencies.
type Survey struct {
	Root    string            // the absolute path at which the tree is built
	Files   map[string]bool   // source files, relative to the tree, vendored ones left out
	Modules map[string]string // folders of Go modules by module path
	// Workspaces are the folders with a Cargo.toml, in the order of their names.
	Workspaces []string
	// Packages are the crates that folders with a Cargo.toml build from their sources, as symbols have them: the library, or
	// the first program where there is none.
	Packages map[string]string
	// Texts are the Rust sources by file, as far as there is room: builds may change them, and the tree goes away.
	Texts  map[string]string
	Crates map[string]bool // names of Rust crates as symbols have them, those that a dependency has too left out
}

// Survey looks through a side's exported tree before any of its code runs. A manifest that cannot be read names
// nothing; the build will say what is wrong with it.
func (w *Workshop) Survey(tree string) (Survey, error) {
	root, err := os.OpenRoot(tree)
	if err != nil {
		return Survey{}, err
	}
	defer root.Close()
	s := Survey{Root: w.tree(), Files: map[string]bool{}, Modules: map[string]string{}, Packages: map[string]string{}, Texts: map[string]string{}, Crates: map[string]bool{}}
	elsewhere := map[string]bool{} // crates of a registry
	isFile := func(name string) bool {
		info, err := root.Lstat(name)
		return err == nil && info.Mode().IsRegular()
	}
	entries, manifests, texts := 0, 0, 0
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if entries++; err != nil || entries > maxSurveyed {
			return errors.Join(err, fs.SkipAll)
		}
		if d.IsDir() {
			if slices.Contains([]string{".git", "vendor", "node_modules", "testdata"}, d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		switch path.Ext(name) {
		case ".go", ".rs", ".s", ".c", ".h", ".cc", ".cpp":
			s.Files[name] = d.Type().IsRegular()
		}
		if !d.Type().IsRegular() {
			return nil
		}
		if path.Ext(name) == ".rs" && texts < maxTexts {
			if text, err := readRegular(root, name); err == nil && texts+len(text) <= maxTexts {
				s.Texts[name] = string(text)
				texts += len(text)
			}
		}
		if manifests == maxManifests {
			return nil
		}
		switch d.Name() {
		case "go.mod", "Cargo.toml", "Cargo.lock":
			manifests++
			if text, err := readRegular(root, name); err == nil {
				s.read(name, text, elsewhere, isFile)
			}
		}
		return nil
	})
	if errors.Is(err, fs.SkipAll) {
		err = nil
	}
	for crate := range elsewhere {
		delete(s.Crates, crate)
	}
	return s, err
}

func (s *Survey) read(name string, text []byte, elsewhere map[string]bool, isFile func(string) bool) {
	switch path.Base(name) {
	case "go.mod":
		if module := modfile.ModulePath(text); module != "" {
			s.Modules[module] = path.Dir(name)
		}
	case "Cargo.toml":
		var m struct {
			Package, Lib struct{ Name string }
			Bin          []struct{ Name string }
		}
		if toml.Unmarshal(text, &m) != nil {
			return
		}
		s.Workspaces = append(s.Workspaces, path.Dir(name))
		for _, crate := range append(m.Bin, m.Package, m.Lib) {
			if crate.Name != "" {
				s.Crates[symbolName(crate.Name)] = true
			}
		}
		crate := cmp.Or(m.Lib.Name, m.Package.Name)
		if len(m.Bin) > 0 && m.Lib.Name == "" && !isFile(path.Join(path.Dir(name), "src/lib.rs")) {
			crate = cmp.Or(m.Bin[0].Name, crate)
		}
		if crate != "" {
			s.Packages[path.Dir(name)] = symbolName(crate)
		}
	case "Cargo.lock":
		var lock struct {
			Package []struct{ Name, Source string }
		}
		if toml.Unmarshal(text, &lock) != nil {
			return
		}
		for _, p := range lock.Package {
			if p.Source != "" {
				elsewhere[symbolName(p.Name)] = true
			}
		}
	}
}

// symbolName is a crate's name as it stands in symbols.
func symbolName(crate string) string { return strings.ReplaceAll(crate, "-", "_") }
