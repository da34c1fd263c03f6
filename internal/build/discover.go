package build

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
)

// Found is what a tree offers to measure.
type Found struct {
	Go   []Candidate
	Rust []Candidate
}

// Candidate is a binary that a tree can make.
type Candidate struct {
	Name string // a short name, not unique: "server"
	Dir  string // what `dir:` of a service would say, slash-separated
	Main string // the file with the main function, relative to the searched root
	// Package is what to build where Dir alone would be ambiguous: "./cmd/server" (Go) or "server" (the
	// binary of a Cargo package). Empty: Dir says it all.
	Package string
}

// Discover finds Go packages main and Cargo binaries by reading files alone. A file that does not parse
// is passed over: the compiler will have more to say about it than we do.
func Discover(fsys fs.FS) (Found, error) {
	var found Found
	inMember := map[string]bool{} // packages whose workspace was looked at already
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrPermission) {
			return fs.SkipDir
		}
		if err != nil || !d.IsDir() {
			return err
		}
		if p != "." && skippedDir(fsys, p) {
			return fs.SkipDir
		}
		if exists(fsys, path.Join(p, "go.mod")) {
			goFound, err := goCandidates(fsys, p)
			if err != nil {
				return err
			}
			found.Go = append(found.Go, goFound...)
		}
		if exists(fsys, path.Join(p, "Cargo.toml")) && !inMember[p] {
			inMember[p] = true
			found.Rust = append(found.Rust, rustCandidates(fsys, p, inMember)...)
		}
		return nil
	})
	return found, err
}

func goCandidates(fsys fs.FS, dir string) ([]Candidate, error) {
	mains, err := goMains(fsys, dir, false)
	var all []Candidate
	for _, m := range mains {
		c := Candidate{Name: path.Base(m.Dir), Dir: dir, Main: m.File}
		if m.Dir == dir {
			c.Name = moduleName(fsys, dir)
		} else if len(mains) > 1 {
			c.Package = "./" + strings.TrimPrefix(m.Dir, dir+"/")
		}
		all = append(all, c)
	}
	return all, err
}

// moduleName is the last element of dir's module path, without a major version.
func moduleName(fsys fs.FS, dir string) string {
	text, err := fs.ReadFile(fsys, path.Join(dir, "go.mod"))
	if err != nil {
		return path.Base(dir)
	}
	name := modfile.ModulePath(text)
	if last := path.Base(name); len(last) > 1 && last[0] == 'v' && strings.Trim(last[1:], "0123456789") == "" {
		name = path.Dir(name)
	}
	if name = path.Base(name); name == "." || name == "/" {
		return path.Base(dir)
	}
	return name
}

func rustCandidates(fsys fs.FS, dir string, seen map[string]bool) []Candidate {
	m, err := readManifest(fsys, dir)
	if err != nil {
		return nil
	}
	bins := m.bins(fsys, dir)
	if m.Workspace != nil {
		for _, member := range m.members(fsys, dir) {
			if seen[member] {
				continue
			}
			seen[member] = true
			if mm, err := readManifest(fsys, member); err == nil {
				bins = append(bins, mm.bins(fsys, member)...)
			}
		}
	}
	var all []Candidate
	for _, b := range bins {
		c := Candidate{Name: b.Name, Dir: b.Dir, Main: b.File}
		several := slices.ContainsFunc(bins, func(o cargoBin) bool { return o.Dir == b.Dir && o.Name != b.Name })
		if several && !b.Default {
			c.Package = b.Name
		}
		all = append(all, c)
	}
	return all
}
