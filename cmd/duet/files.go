package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/duet-bench/duet/internal/plan"
)

// readAtMost reads all of r and refuses more than limit bytes.
func readAtMost(r io.Reader, limit int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("larger than %d bytes", limit)
	}
	return text, nil
}

// outFolder is where a command leaves its files.
type outFolder struct {
	path  string
	owner owner
}

// newOutFolder makes the folder. The default one ignores itself in git.
func newOutFolder(path string, w world) (outFolder, error) {
	o := outFolder{path: path, owner: callerOf(w)}
	var made []string // by this call
	for dir := filepath.Clean(path); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err == nil && o.owner == nobody() {
			o.owner = ownerOfFolder(info)
		}
		if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			break
		}
		made = append(made, dir)
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		hint := "choose another folder with --out"
		if errors.Is(err, fs.ErrPermission) {
			hint += "; with `docker run`, be who may write there: --user \"$(id -u):$(id -g)\""
		}
		return o, plan.Usagef(hint, "making the folder for results: %w", err)
	}
	for _, dir := range made {
		if err := o.owner.take(dir); err != nil {
			return o, fmt.Errorf("making the folder for results: %w", err)
		}
	}
	if filepath.Base(path) == defaultOut {
		if err := o.write(".gitignore", []byte("*\n")); err != nil {
			return o, err
		}
	}
	return o, nil
}

// write puts a file in place whole or not at all.
func (o outFolder) write(name string, text []byte) error {
	if err := o.make(); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	f, err := os.CreateTemp(o.path, "."+name+".*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	defer os.Remove(f.Name()) // gone after the rename
	_, err = f.Write(text)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = o.owner.take(f.Name())
	}
	if err == nil {
		err = f.Sync()
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(o.path, name))
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", filepath.Join(o.path, name), err)
	}
	return nil
}

// make makes the folder where it is not there yet.
func (o outFolder) make() error {
	if _, err := os.Stat(o.path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Mkdir(o.path, 0o755); err != nil {
		return err
	}
	return o.owner.take(o.path)
}

// in is a folder within the folder, made when it is first written to.
func (o outFolder) in(name string) outFolder {
	return outFolder{path: filepath.Join(o.path, name), owner: o.owner}
}

// renew drops what an earlier run left in a folder within the folder.
func (o outFolder) renew(name string) error {
	path := filepath.Join(o.path, name)
	if err := os.RemoveAll(path); err != nil {
		return fmt.Errorf("removing what an earlier run left: %w", err)
	}
	return nil
}

// remove drops a file of an earlier run, so that what is in the folder belongs together.
func (o outFolder) remove(names ...string) {
	for _, name := range names {
		_ = os.Remove(filepath.Join(o.path, name)) // absent is what is wanted
	}
}
