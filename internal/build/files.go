package build

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/duet-bench/duet/internal/sandbox"
)

// Nothing in this file follows a symbolic link out of the folder it was given, opens anything that is not a
// regular file, or waits for a pipe: the folders belong to code that is not trusted.

// manifestLimit is how many bytes of a manifest or source file are read.
const manifestLimit = 4 << 20

// openRegular opens a regular file below root for reading. Links inside root are followed.
func openRegular(root *os.Root, name string) (*os.File, fs.FileInfo, error) {
	f, err := root.OpenFile(filepath.FromSlash(name), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", name)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// readRegular reads a whole small file below root.
func readRegular(root *os.Root, name string) ([]byte, error) {
	f, _, err := openRegular(root, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, manifestLimit+1))
	if err == nil && len(text) > manifestLimit {
		err = fmt.Errorf("%s is longer than %d bytes", name, manifestLimit)
	}
	return text, err
}

// keepFile copies one file below root to the new file to below out, read-only, and hashes it on the way.
// It reads at most limit bytes and says how many there were.
func keepFile(root *os.Root, name string, out *os.Root, to string, limit int64) (kept, int64, error) {
	from, info, err := openRegular(root, name)
	if err != nil {
		return kept{}, 0, err
	}
	defer from.Close()
	if err := out.MkdirAll(filepath.Dir(filepath.FromSlash(to)), 0o755); err != nil {
		return kept{}, 0, err
	}
	dst, err := out.OpenFile(filepath.FromSlash(to), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return kept{}, 0, err
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(dst, h), io.LimitReader(from, limit+1))
	if err == nil && n > limit {
		err = fmt.Errorf("%s takes it beyond the limit of %d MiB", name, limit>>20)
	}
	executable := info.Mode()&0o111 != 0
	mode := fs.FileMode(0o444)
	if executable {
		mode = 0o555
	}
	err = errors.Join(err, dst.Chmod(mode), dst.Close())
	return kept{name: to, executable: executable, sha256: hex.EncodeToString(h.Sum(nil))}, n, err
}

// keepFiles copies the named files and folders below root into out, at the same relative paths. Links to
// files inside root are copied as the files they name; everything else that is no file is refused.
func keepFiles(root *os.Root, names []string, out *os.Root) ([]kept, error) {
	var all []kept
	there := map[string]bool{} // files named twice, by themselves and by their folder
	room := int64(filesLimit)
	add := func(name string) error {
		if there[name] {
			return nil
		}
		there[name] = true
		k, n, err := keepFile(root, name, out, name, room)
		if err != nil {
			return err
		}
		room -= n
		all = append(all, k)
		return nil
	}
	for _, name := range names {
		name = path.Clean(filepath.ToSlash(name))
		if !filepath.IsLocal(filepath.FromSlash(name)) {
			return nil, fmt.Errorf("%s does not lie inside the service's dir", name)
		}
		info, err := root.Stat(filepath.FromSlash(name))
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			if err := add(name); err != nil {
				return nil, err
			}
			continue
		}
		err = fs.WalkDir(root.FS(), name, func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			return add(p)
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(all, func(a, b kept) int { return strings.Compare(a.name, b.name) })
	return all, nil
}

// copyTree copies folders, regular files and links (as links) of src into dst, which must not exist yet.
// The copies belong to Duet; of the modes only "executable" is kept.
func copyTree(src, dst string) error {
	from, err := os.OpenRoot(src)
	if err != nil {
		return err
	}
	defer from.Close()
	if err := os.Mkdir(dst, 0o755); err != nil {
		return err
	}
	to, err := os.OpenRoot(dst)
	if err != nil {
		return err
	}
	defer to.Close()
	return fs.WalkDir(from.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		name := filepath.FromSlash(p)
		switch {
		case err != nil || p == ".":
			return err
		case d.IsDir():
			return to.Mkdir(name, 0o755)
		case d.Type()&fs.ModeSymlink != 0:
			target, err := from.Readlink(name)
			if err != nil {
				return err
			}
			return to.Symlink(target, name)
		case d.Type().IsRegular():
			return copyFile(from, to, name)
		}
		return nil // a socket or a pipe is nobody's cache
	})
}

func copyFile(from, to *os.Root, name string) error {
	f, info, err := openRegular(from, name)
	if err != nil {
		return err
	}
	defer f.Close()
	mode := fs.FileMode(0o644)
	if info.Mode()&0o111 != 0 {
		mode = 0o755
	}
	dst, err := to.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = dst.ReadFrom(f) // copy_file_range where the system has it
	return errors.Join(err, dst.Close())
}

// removeAll removes a tree even where folders in it cannot be written.
func removeAll(dir string) error { return sandbox.RemoveTree(dir) }

// Verify says whether a kept binary is still the one that was built.
func (b Built) Verify() error {
	f, err := os.Open(b.Binary)
	if err != nil {
		return fmt.Errorf("checking the binary of %s: %w", b.Record.Variant, err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return fmt.Errorf("checking the binary of %s: %w", b.Record.Variant, err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != b.Record.BinarySHA256 {
		return fmt.Errorf("the binary of %s was changed after it was built: sha256 %s, built as %s", b.Record.Variant, got, b.Record.BinarySHA256)
	}
	return nil
}
