package history

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// Store keeps entries. Folder and Branch are the two there are.
type Store interface {
	// Load reads all entries, oldest first. An error means that something cannot be read, and that nothing was changed.
	Load(ctx context.Context) (Loaded, error)
	// Append adds one entry as one new file. The same entry once more is done already; another one under its ID is an error.
	Append(ctx context.Context, e Entry) error
}

// Keeper is a store that can also be filled from elsewhere and thinned out: what `duet history` needs.
type Keeper interface {
	Store
	// Import adds all entries or none.
	Import(ctx context.Context, entries []Entry) error
	// Remove deletes the entries with these IDs, all or none. What was before stays in a branch's past.
	Remove(ctx context.Context, ids []string) error
}

// Loaded is a history as it was read.
type Loaded struct {
	Entries []Entry // oldest first
	// Tip is the branch's commit that was read; empty: a folder, or a branch that is not there yet.
	Tip string
	// Warnings are oddities that were taken as they are.
	Warnings []string
}

// file is where an entry is kept and what its file holds.
type file struct {
	path string // data/YYYY/MM/ID.json
	text []byte
}

// fileOf encodes an entry for a store.
func fileOf(e Entry) (file, error) {
	text, err := Encode(e)
	if err != nil {
		return file{}, err
	}
	return file{path: pathOf(e), text: text}, nil
}

func filesOf(entries []Entry) ([]file, error) {
	files := make([]file, len(entries))
	for i, e := range entries {
		f, err := fileOf(e)
		if err != nil {
			return nil, err
		}
		files[i] = f
	}
	return files, distinct(files)
}

// distinct refuses two files under one name, whatever their month.
func distinct(files []file) error {
	seen := map[string]bool{}
	for _, f := range files {
		if id := path.Base(f.path); seen[id] {
			return fmt.Errorf("entry %s stands twice", strings.TrimSuffix(id, ".json"))
		} else {
			seen[id] = true
		}
	}
	return nil
}

func pathOf(e Entry) string {
	return recorded(e).Format("data/2006/01/") + e.ID + ".json"
}

var pathForm = regexp.MustCompile(`^data/[0-9]{4}/[0-9]{2}/([0-9a-f]{40,64}-[0-9]+\.[0-9]+(-anchor)?)\.json$`)

// beside are files that a history may have beside data/: for people who look at the branch.
var beside = []string{"README.md", "LICENSE", ".gitattributes"}

// checkPath says whether a file of the store is an entry, and refuses what is neither that nor beside.
func checkPath(name string) (entry bool, err error) {
	switch {
	case pathForm.MatchString(name):
		return true, nil
	case slices.Contains(beside, name):
		return false, nil
	case strings.HasPrefix(name, "data/"):
		return false, fmt.Errorf("%s: not an entry's name (data/YYYY/MM/SHA-RUN.ATTEMPT.json)", cut(name))
	}
	return false, fmt.Errorf("%s: not a file of Duet's history: this is something else's; name another store with --store", cut(name))
}

// readEntry decodes one file of a store, which must be where its content says.
func readEntry(f file) (Entry, error) {
	e, err := Decode(f.path, f.text)
	if err == nil && pathOf(e) != f.path {
		err = fmt.Errorf("%s: holds entry %s of %s, whose file is %s", f.path, e.ID, e.Recorded, pathOf(e))
	}
	return e, err
}

// readEntries decodes files side by side; all errors are told, ten at most.
func readEntries(ctx context.Context, files []file) ([]Entry, error) {
	entries, errs := make([]Entry, len(files)), make([]error, len(files))
	var wait sync.WaitGroup
	next := make(chan int)
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for i := range next {
				entries[i], errs[i] = readEntry(files[i])
			}
		})
	}
	for i := range files {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	wait.Wait()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return entries, unreadable(errs)
}

// unreadable joins what could not be read.
func unreadable(errs []error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(errs) > 10 {
		errs = append(errs[:10:10], fmt.Errorf("and %d more files", len(errs)-10))
	}
	if len(errs) == 0 {
		return nil
	}
	return errors.Join(errs...)
}

// inOrder sorts entries, oldest first, and refuses one ID in two files.
func inOrder(entries []Entry) ([]Entry, error) {
	sorted := make([]Entry, 0, len(entries))
	seen := make(map[string]bool, len(entries))
	for _, i := range order(entries) {
		e := entries[i]
		if seen[e.ID] {
			return nil, fmt.Errorf("%s: entry %s stands in two files", pathOf(e), e.ID)
		}
		seen[e.ID] = true
		sorted = append(sorted, e)
	}
	return sorted, nil
}

// missingFrom is which files a store that holds entries does not have yet. One that is there with other content, or under
// another month, is an error: entries are never rewritten.
func missingFrom(files []file, entries []Entry) ([]file, error) {
	there := make(map[string]*Entry, len(entries))
	for i := range entries {
		there[entries[i].ID] = &entries[i]
	}
	var missing []file
	for _, f := range files {
		known, ok := there[strings.TrimSuffix(path.Base(f.path), ".json")]
		if !ok {
			missing = append(missing, f)
			continue
		}
		text, err := Encode(*known)
		switch {
		case err != nil:
			return nil, err
		case pathOf(*known) != f.path:
			return nil, fmt.Errorf("%s: is there already as %s, of another time: an entry is never rewritten", f.path, pathOf(*known))
		case !bytes.Equal(text, f.text):
			return nil, fmt.Errorf("%s: is there already with other content: an entry is never rewritten; a second measurement has another run or attempt in its name", f.path)
		}
	}
	return missing, nil
}
