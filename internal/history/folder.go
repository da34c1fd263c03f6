package history

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Folder is a history in a folder, for development: the same files as on a branch.
type Folder struct{ path string }

// OpenFolder is the history in a folder, which Append makes.
func OpenFolder(path string) *Folder { return &Folder{path: path} }

// unfinished begins the name of a file that is being written; one that is left was never an entry.
const unfinished = ".unfinished-"

// Load reads all entries. A folder that is not there is an empty history.
func (s *Folder) Load(ctx context.Context) (Loaded, error) {
	files, err := s.read()
	if err != nil {
		return Loaded{}, s.stopped(err)
	}
	entries, err := readEntries(ctx, files)
	if err != nil {
		return Loaded{}, s.stopped(err)
	}
	if entries, err = inOrder(entries); err != nil {
		return Loaded{}, s.stopped(err)
	}
	return Loaded{Entries: entries, Warnings: Oddities(entries)}, nil
}

func (s *Folder) stopped(err error) error {
	return fmt.Errorf("reading the history in %s: %w", s.path, err)
}

// read reads all files of entries, and refuses anything else that is there.
func (s *Folder) read() ([]file, error) {
	var files []file
	err := filepath.WalkDir(s.path, func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && name == s.path {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		relative, err := filepath.Rel(s.path, name)
		if err != nil {
			return err
		}
		relative = filepath.ToSlash(relative)
		if strings.HasPrefix(d.Name(), unfinished) {
			return nil
		}
		entry, err := checkPath(relative)
		if err != nil || !entry {
			return err
		}
		text, err := readRegular(name, d)
		files = append(files, file{path: relative, text: text})
		return err
	})
	return files, err
}

// readRegular reads a file that is neither a link nor too large.
func readRegular(name string, d fs.DirEntry) ([]byte, error) {
	info, err := d.Info()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", name)
	}
	if info.Size() > MaxBytes {
		return nil, fmt.Errorf("%s: %d bytes, more than the %d an entry may have", name, info.Size(), MaxBytes)
	}
	return os.ReadFile(name)
}

// Append adds one entry.
func (s *Folder) Append(ctx context.Context, e Entry) error { return s.Import(ctx, []Entry{e}) }

// Import adds all entries or none, after it has read what is there.
func (s *Folder) Import(ctx context.Context, entries []Entry) (err error) {
	files, err := filesOf(entries)
	if err != nil {
		return err
	}
	before, err := s.Load(ctx)
	if err != nil {
		return err
	}
	if files, err = missingFrom(files, before.Entries); err != nil {
		return fmt.Errorf("recording into %s: %w", s.path, err)
	}
	var written []string
	defer func() {
		if err != nil {
			for _, name := range written {
				err = errors.Join(err, os.Remove(name))
			}
		}
	}()
	for _, f := range files {
		name := filepath.Join(s.path, filepath.FromSlash(f.path))
		made, err := writeNew(name, f.text)
		if err != nil {
			return fmt.Errorf("recording into %s: %w", s.path, err)
		}
		if made {
			written = append(written, name)
		}
	}
	return nil
}

// writeNew writes a file whole or not at all, and never over another; made false: it was there with the same text.
func writeNew(name string, text []byte) (made bool, err error) {
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return false, err
	}
	temp, err := os.CreateTemp(dir, unfinished)
	if err != nil {
		return false, err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(text)
	err = errors.Join(err, temp.Sync(), temp.Chmod(0o644), temp.Close())
	if err != nil {
		return false, err
	}
	err = os.Link(temp.Name(), name) // unlike a rename, it fails where the name is taken
	if errors.Is(err, fs.ErrExist) {
		if there, _ := os.ReadFile(name); string(there) != string(text) {
			return false, fmt.Errorf("%s is there already with other content", name)
		}
		return false, nil
	}
	return err == nil, err
}

// Remove deletes entries.
func (s *Folder) Remove(ctx context.Context, ids []string) error {
	before, err := s.Load(ctx)
	if err != nil {
		return err
	}
	paths, err := pathsOf(ids, before.Entries)
	if err != nil {
		return err
	}
	for _, p := range paths {
		if err := os.Remove(filepath.Join(s.path, filepath.FromSlash(p))); err != nil {
			return fmt.Errorf("removing from %s: %w", s.path, err)
		}
	}
	return nil
}

// pathsOf is where the entries with these IDs are kept.
func pathsOf(ids []string, entries []Entry) ([]string, error) {
	where := make(map[string]string, len(entries))
	for _, e := range entries {
		where[e.ID] = pathOf(e)
	}
	paths := make([]string, len(ids))
	for i, id := range ids {
		p, ok := where[id]
		if !ok {
			return nil, fmt.Errorf("entry %s is not in the history", cut(id))
		}
		paths[i] = p
	}
	return paths, nil
}
