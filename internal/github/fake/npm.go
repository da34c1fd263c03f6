package fake

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Package is one version of an npm package, with the digest that npm publishes of it.
type Package struct {
	Name, Version string
	Integrity     string // sha512- and base64, as `npm view NAME@VERSION dist.integrity` says it
}

// File is one file of the package. The package is fetched by npm once, nothing of it is run, and what is taken from it was
// checked against the digest.
func (p Package) File(name string) ([]byte, error) {
	dir, err := cacheDir()
	if err != nil {
		return nil, err
	}
	packed, err := p.packed(dir)
	if err != nil {
		return nil, err
	}
	text, err := member(packed, "package/"+name)
	if err != nil {
		return nil, fmt.Errorf("reading %s of %s@%s: %w", name, p.Name, p.Version, err)
	}
	return text, nil
}

// packed is the package's archive, from the cache folder or from npm.
func (p Package) packed(dir string) ([]byte, error) {
	kept := filepath.Join(dir, p.key()+".tgz")
	text, err := os.ReadFile(kept)
	if err == nil && p.check(text) == nil {
		return text, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if text, err = p.fetch(); err != nil {
		return nil, err
	}
	return text, keep(kept, text)
}

func (p Package) fetch() ([]byte, error) {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return nil, fmt.Errorf("fetching %s@%s: npm is not on PATH: install Node.js, which brings it", p.Name, p.Version)
	}
	dir, err := os.MkdirTemp("", "duet-npm-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	pack := exec.Command(npm, "pack", "--ignore-scripts", "--silent", "--pack-destination", dir, p.Name+"@"+p.Version)
	pack.Dir = dir
	if text, err := pack.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("fetching %s@%s: npm pack: %w: %s", p.Name, p.Version, err, bytes.TrimSpace(text))
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(found) != 1 {
		return nil, fmt.Errorf("fetching %s@%s: npm pack left %d archives, expected one", p.Name, p.Version, len(found))
	}
	text, err := os.ReadFile(found[0])
	if err != nil {
		return nil, err
	}
	return text, p.check(text)
}

// check compares with the digest.
func (p Package) check(text []byte) error {
	sum := sha512.Sum512(text)
	if got := "sha512-" + base64.StdEncoding.EncodeToString(sum[:]); got != p.Integrity {
		return fmt.Errorf("fetching %s@%s: its digest is %s, expected %s", p.Name, p.Version, got, p.Integrity)
	}
	return nil
}

// key names the package's files in the cache folder.
func (p Package) key() string {
	sum := sha512.Sum512([]byte(p.Name + "@" + p.Version + " " + p.Integrity))
	return strings.NewReplacer("@", "", "/", "-").Replace(p.Name) + "-" + p.Version + "-" + hex.EncodeToString(sum[:6])
}

// maxMember bounds a file of a package, in bytes: GitHub's whole description has 13 MB.
const maxMember = 64 << 20

// member is one file of a .tgz.
func member(packed []byte, name string) ([]byte, error) {
	unzipped, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	for archive := tar.NewReader(unzipped); ; {
		head, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil, fs.ErrNotExist
		}
		if err != nil {
			return nil, err
		}
		if head.Name == name {
			return io.ReadAll(io.LimitReader(archive, maxMember))
		}
	}
}

// cacheDir is where fetched packages stay between tests.
func cacheDir() (string, error) {
	user, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("looking for a cache folder: %w: set HOME or XDG_CACHE_HOME", err)
	}
	dir := filepath.Join(user, "duet-test")
	return dir, os.MkdirAll(dir, 0o755)
}

// keep writes a file whole or not at all: tests of two packages may fetch at once.
func keep(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".keep-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone after the rename
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
