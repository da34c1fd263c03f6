package build

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/duet-bench/duet/internal/sandbox"
)

// networkNames are the variables that downloads need to pass proxies and to trust certificates. They are
// given to downloads alone.
var networkNames = [...]string{
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
	"SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "CARGO_NET_GIT_FETCH_WITH_CLI", "CARGO_NET_RETRY",
}

// lookup reads one variable of the caller's environment; the last one counts.
func (w *Workshop) lookup(name string) string {
	for i := len(w.o.Environ) - 1; i >= 0; i-- {
		if n, value, _ := strings.Cut(w.o.Environ[i], "="); n == name {
			return value
		}
	}
	return ""
}

func (w *Workshop) networkEnvironment() map[string]string {
	env := map[string]string{}
	for _, name := range networkNames {
		if value := w.lookup(name); value != "" {
			env[name] = value
		}
	}
	for _, variable := range w.o.Environ { // CARGO_HTTP_CAINFO, CARGO_HTTP_TIMEOUT, …
		if name, value, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "CARGO_HTTP_") && value != "" {
			env[name] = value
		}
	}
	return env
}

// DownloadNames are the variables of an environment by which downloads elsewhere reach modules and crates as they would
// here: proxies and Go's own settings. Certificates are files, and so are not among them.
func DownloadNames(environ []string) []string {
	var names []string
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		asked := slices.Contains(networkNames[:], name) && !strings.Contains(name, "SSL") || slices.Contains(goFetchSettings[:], name) ||
			name == "CARGO_HTTP_PROXY" || name == "CARGO_HTTP_TIMEOUT"
		if asked && value != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// searchPath is the caller's PATH behind the toolchain's own programs.
func (w *Workshop) searchPath(t toolchain) string {
	dirs := []string{t.bin("")}
	for _, dir := range filepath.SplitList(w.lookup("PATH")) {
		if filepath.IsAbs(dir) {
			dirs = append(dirs, dir)
		}
	}
	return strings.Join(dirs, string(filepath.ListSeparator))
}

// lookPath finds a program in a PATH other than this process's.
func lookPath(name, searchPath string) (string, error) {
	if filepath.IsAbs(name) {
		return name, nil
	}
	for _, dir := range filepath.SplitList(searchPath) {
		if !filepath.IsAbs(dir) {
			continue
		}
		program := filepath.Join(dir, name)
		if runtime.GOOS == "windows" {
			program += ".exe"
		}
		info, err := os.Stat(program)
		if err == nil && info.Mode().IsRegular() && (info.Mode()&0o111 != 0 || runtime.GOOS == "windows") {
			return program, nil
		}
	}
	return "", fmt.Errorf("%s is not in PATH", name)
}

// commandOutput runs a trusted command and returns its stdout; its error quotes the first line of stderr.
func commandOutput(c *exec.Cmd) ([]byte, error) {
	var stderr bytes.Buffer
	c.Stderr = &stderr
	text, err := c.Output()
	if err == nil {
		return text, nil
	}
	if first, _, _ := strings.Cut(strings.TrimSpace(stderr.String()), "\n"); first != "" {
		err = fmt.Errorf("%w: %s", err, sandbox.Sanitize(first))
	}
	return nil, fmt.Errorf("%s: %w", filepath.Base(c.Path), err)
}

// Toolchains is the version of each compiler that environ's PATH finds: "go" → "go1.26.8", "rustc" and
// "cargo" → "1.95.0". One that is not there, or does not answer, is missing from the map.
func Toolchains(ctx context.Context, environ []string) map[string]string {
	w := &Workshop{o: Options{Dir: os.TempDir(), Environ: environ}}
	versions := map[string]string{}
	for _, tool := range []struct {
		name  string
		args  []string
		field int // of the answer's words
	}{{"go", []string{"version"}, 2}, {"rustc", []string{"--version"}, 1}, {"cargo", []string{"--version"}, 1}} {
		text, err := w.ask(ctx, []string{"GOTOOLCHAIN=local", "RUSTUP_AUTO_INSTALL=0"}, tool.name, tool.args...)
		if words := strings.Fields(string(text)); err == nil && len(words) > tool.field {
			versions[tool.name] = words[tool.field]
		}
	}
	return versions
}
