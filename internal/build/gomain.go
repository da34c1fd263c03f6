package build

import (
	"go/ast"
	gobuild "go/build"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"path"
	"strings"
)

// goMain is one package main that builds on Linux.
type goMain struct {
	Dir  string // slash-separated, relative to the searched root; "." is the root
	File string // the file with func main, relative to the searched root
}

// goMains finds the packages main in and below dir, sorted by folder, by reading files alone. It leaves out
// what `go build ./...` leaves out; with modules it also enters nested modules, as a go.work needs it.
func goMains(fsys fs.FS, dir string, modules bool) ([]goMain, error) {
	var found []goMain
	err := fs.WalkDir(fsys, dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if p != dir {
			if skippedDir(fsys, p) {
				return fs.SkipDir
			}
			if !modules && exists(fsys, path.Join(p, "go.mod")) {
				return fs.SkipDir
			}
		}
		file, err := goMainFile(fsys, p)
		if file != "" {
			found = append(found, goMain{Dir: p, File: file})
		}
		return err
	})
	return found, err
}

// skippedDir says whether a folder holds nothing of the tree's own: what `go build ./...` skips, what npm
// installs, and what cargo makes.
func skippedDir(fsys fs.FS, dir string) bool {
	switch name := path.Base(dir); name {
	case "testdata", "vendor", "node_modules":
		return true
	case "target":
		return exists(fsys, path.Join(path.Dir(dir), "Cargo.toml"))
	default:
		return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")
	}
}

// goMainFile is the file of dir that holds func main, or "" if dir is no package main.
func goMainFile(fsys fs.FS, dir string) (string, error) {
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return "", err
	}
	context := linuxContext(fsys)
	for _, entry := range entries {
		name := entry.Name()
		if !entry.Type().IsRegular() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		if match, err := context.MatchFile(dir, name); err != nil || !match {
			continue // a file that does not parse is for the compiler to complain about
		}
		text, err := fs.ReadFile(fsys, path.Join(dir, name))
		if err != nil {
			return "", err
		}
		if declaresMain(text) {
			return path.Join(dir, name), nil
		}
	}
	return "", nil
}

// declaresMain says whether a Go file is of package main and declares func main.
func declaresMain(text []byte) bool {
	file, _ := parser.ParseFile(token.NewFileSet(), "", text, parser.SkipObjectResolution)
	if file == nil || file.Name == nil || file.Name.Name != "main" {
		return false
	}
	for _, decl := range file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "main" {
			return true
		}
	}
	return false
}

// linuxContext matches build constraints as a build on Linux would, reading from fsys.
func linuxContext(fsys fs.FS) gobuild.Context {
	c := gobuild.Default
	c.GOOS, c.CgoEnabled, c.BuildTags = "linux", true, nil
	c.JoinPath = path.Join
	c.OpenFile = func(name string) (io.ReadCloser, error) { return fsys.Open(name) }
	return c
}

func exists(fsys fs.FS, name string) bool {
	info, err := fs.Stat(fsys, name)
	return err == nil && info.Mode().IsRegular()
}
