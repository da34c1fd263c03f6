package postgres

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Programs is an installed server.
type Programs struct {
	Dir     string // holds initdb and postgres
	Version string // "15.14"
}

// leastMajor is the first version that can drop a database somebody is connected to.
const leastMajor = 13

// Cure is how to get a server.
const Cure = "apt-get install postgresql (or your system's package of the PostgreSQL server)"

// MissingError says that no usable server is installed.
type MissingError struct {
	TooOld []string // what was found, and is too old: "/usr/lib/postgresql/11/bin (11.22)"
}

func (e *MissingError) Error() string {
	if len(e.TooOld) > 0 {
		return fmt.Sprintf("PostgreSQL %d or later is needed, and there is only %s: %s", leastMajor, strings.Join(e.TooOld, ", "), Cure)
	}
	return "PostgreSQL was not found on PATH or where distributions put it: " + Cure
}

// folders are where servers are that are not on PATH: distributions keep several versions apart.
func folders() []string {
	return []string{
		"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/lib/postgresql*/bin", "/usr/libexec/postgresql*",
		"/usr/lib64/postgresql*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin",
	}
}

// Find looks for a server: on path, a PATH, first, and then in the usual folders, the newest first.
func Find(path string) (Programs, error) { return find(path, folders()) }

func find(path string, globs []string) (Programs, error) {
	missing := &MissingError{}
	for _, dir := range candidates(path, globs) {
		version, major := versionIn(dir)
		switch {
		case major >= leastMajor:
			return Programs{Dir: dir, Version: version}, nil
		case major > 0 && !slices.Contains(missing.TooOld, dir+" ("+version+")"):
			missing.TooOld = append(missing.TooOld, dir+" ("+version+")")
		}
	}
	return Programs{}, missing
}

// candidates are the folders that hold both programs, links resolved.
func candidates(path string, globs []string) []string {
	var dirs []string
	add := func(dir string) {
		initdb, err := filepath.EvalSymlinks(filepath.Join(dir, "initdb"))
		if err != nil || !filepath.IsAbs(dir) {
			return
		}
		dir = filepath.Dir(initdb)
		if _, err := os.Stat(filepath.Join(dir, "postgres")); err == nil {
			dirs = append(dirs, dir)
		}
	}
	for _, dir := range filepath.SplitList(path) {
		add(dir)
	}
	for _, glob := range globs {
		found, _ := filepath.Glob(glob) // the patterns are ours
		slices.SortFunc(found, func(a, b string) int { return majorOf(b) - majorOf(a) })
		for _, dir := range found {
			add(dir)
		}
	}
	return dirs
}

var digits = regexp.MustCompile(`[0-9]+`)

// majorOf is the version in a folder's name.
func majorOf(dir string) int {
	major, _ := strconv.Atoi(digits.FindString(dir)) // none: the last
	return major
}

var versionSyntax = regexp.MustCompile(`^postgres \(PostgreSQL\) (([0-9]+)[^ \n]*)`)

// versionIn asks a server for its version; major 0: it did not say.
func versionIn(dir string) (version string, major int) {
	text, err := exec.Command(filepath.Join(dir, "postgres"), "--version").Output()
	m := versionSyntax.FindStringSubmatch(string(text))
	if err != nil || m == nil {
		return "", 0
	}
	major, err = strconv.Atoi(m[2])
	if err != nil {
		return "", 0
	}
	return m[1], major
}
