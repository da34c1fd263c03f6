package build

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// manifest is what Duet reads of a Cargo.toml.
type manifest struct {
	Package *struct {
		Name       string `toml:"name"`
		DefaultRun string `toml:"default-run"`
		Autobins   *bool  `toml:"autobins"`
		Workspace  string `toml:"workspace"`
	} `toml:"package"`
	Bin       []binTarget `toml:"bin"`
	Workspace *struct {
		Members []string `toml:"members"`
		Exclude []string `toml:"exclude"`
	} `toml:"workspace"`
	Profile map[string]map[string]any `toml:"profile"`
}

type binTarget struct {
	Name string `toml:"name"`
	Path string `toml:"path"`
}

// cargoBin is one binary of a Cargo package.
type cargoBin struct {
	Package string
	Name    string
	Dir     string // of the package, relative to the searched root
	File    string // with fn main, relative to the searched root
	Default bool   // the package's default-run
}

func readManifest(fsys fs.FS, dir string) (manifest, error) {
	name := path.Join(dir, "Cargo.toml")
	text, err := fs.ReadFile(fsys, name)
	if err != nil {
		return manifest{}, err
	}
	var m manifest
	if err := toml.Unmarshal(text, &m); err != nil {
		return manifest{}, fmt.Errorf("%s: %w", name, err)
	}
	return m, nil
}

// cargoBins finds the binaries that `cargo build` in dir could make: those of the package there or, where
// there is none with a binary, those of the workspace's members. It reads files alone.
func cargoBins(fsys fs.FS, dir string) ([]cargoBin, error) {
	m, err := readManifest(fsys, dir)
	if err != nil {
		return nil, err
	}
	if bins := m.bins(fsys, dir); len(bins) > 0 || m.Workspace == nil {
		return bins, nil
	}
	var all []cargoBin
	for _, member := range m.members(fsys, dir) {
		mm, err := readManifest(fsys, member)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, mm.bins(fsys, member)...)
	}
	return all, nil
}

// members are the folders of a workspace's members, sorted.
func (m manifest) members(fsys fs.FS, dir string) []string {
	var all []string
	for _, pattern := range m.Workspace.Members {
		matches, err := fs.Glob(fsys, path.Join(dir, pattern))
		if err != nil {
			continue // cargo itself will say so
		}
		for _, match := range matches {
			rel := strings.TrimPrefix(match, dir+"/")
			if !slices.Contains(m.Workspace.Exclude, rel) && !slices.Contains(all, match) {
				all = append(all, match)
			}
		}
	}
	slices.Sort(all)
	return all
}

// bins are the binaries of one package: declared ones first, then those found by cargo's layout rules.
func (m manifest) bins(fsys fs.FS, dir string) []cargoBin {
	if m.Package == nil {
		return nil
	}
	var all []cargoBin
	add := func(name, file string) {
		same := func(b cargoBin) bool { return b.Name == name || b.File == file }
		if name != "" && exists(fsys, file) && !slices.ContainsFunc(all, same) {
			all = append(all, cargoBin{Package: m.Package.Name, Name: name, Dir: dir, File: file, Default: name == m.Package.DefaultRun})
		}
	}
	for _, bin := range m.Bin {
		places := []string{path.Join("src/bin", bin.Name+".rs"), path.Join("src/bin", bin.Name, "main.rs")}
		if bin.Name == m.Package.Name {
			places = append(places, "src/main.rs")
		}
		if bin.Path != "" {
			places = []string{bin.Path}
		}
		for _, place := range places {
			add(bin.Name, path.Join(dir, place))
		}
	}
	if m.Package.Autobins != nil && !*m.Package.Autobins {
		return all
	}
	add(m.Package.Name, path.Join(dir, "src/main.rs"))
	entries, err := fs.ReadDir(fsys, path.Join(dir, "src/bin"))
	if err != nil {
		return all
	}
	for _, entry := range entries {
		file := path.Join(dir, "src/bin", entry.Name())
		if entry.IsDir() {
			add(entry.Name(), path.Join(file, "main.rs"))
		} else if name, ok := strings.CutSuffix(entry.Name(), ".rs"); ok {
			add(name, file)
		}
	}
	return all
}

// workspaceRoot is the folder whose Cargo.toml, Cargo.lock and profiles count for the package in dir.
func workspaceRoot(fsys fs.FS, dir string) (string, manifest, error) {
	own, err := readManifest(fsys, dir)
	if err != nil {
		return "", manifest{}, err
	}
	if own.Workspace != nil {
		return dir, own, nil
	}
	if own.Package != nil && own.Package.Workspace != "" {
		root := path.Join(dir, own.Package.Workspace)
		m, err := readManifest(fsys, root)
		return root, m, err
	}
	for up := dir; up != "."; {
		up = path.Dir(up)
		m, err := readManifest(fsys, up)
		if err != nil || m.Workspace == nil {
			continue
		}
		if slices.Contains(m.Workspace.Exclude, strings.TrimPrefix(dir, up+"/")) {
			break
		}
		return up, m, nil
	}
	return dir, own, nil
}

// profileSettings are the knobs of [profile.release] that change speed or size, as they are written.
func (m manifest) profileSettings() map[string]string {
	settings := map[string]string{}
	release := m.Profile["release"]
	for _, knob := range []string{"opt-level", "lto", "codegen-units", "panic", "debug", "strip", "incremental", "overflow-checks"} {
		if value, ok := release[knob]; ok {
			settings[knob] = fmt.Sprint(value)
		}
	}
	return settings
}
