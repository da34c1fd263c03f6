// Package bundle puts folders of sources into a txtar archive, which a binary can embed: go:embed refuses folders
// with a go.mod of their own.
package bundle

import (
	"fmt"
	"io/fs"
	"path"

	"golang.org/x/tools/txtar"
)

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
