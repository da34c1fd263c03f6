// Package demo makes the small git repository that `duet demo` measures.
//
// It holds the bundled Go and Rust services at three commits, always with the same shas:
//
//	base ── main      main has moved on since: the base of a comparison is the merge base, not main
//	   └─── head      branch slower: an innocent-looking refactoring of the Go service that costs at least twice
//	                  the CPU on every request which holds text; answers stay the same, Rust is untouched
//
// Swapping base and head shows an improvement.
package demo

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/tools/txtar"
)

//go:generate go run ./gen

//go:embed demo.txtar
var archive []byte

// Branch is what head is called; it is checked out.
const Branch = "slower"

// Commits are the full shas of the demo's history.
type Commits struct {
	Base string // where main and head part
	Main string
	Head string
}

// Write makes the repository in dir, which must not exist or be empty. It needs git on PATH, and no
// configuration of the user's has a part in it. On an error nothing of it is left.
func Write(ctx context.Context, dir string) (Commits, error) {
	if err := empty(dir); err != nil {
		return Commits{}, err
	}
	c, err := write(ctx, repository{dir: dir, home: filepath.Join(dir, ".git")})
	if err != nil {
		return Commits{}, errors.Join(err, os.RemoveAll(dir))
	}
	return c, nil
}

func write(ctx context.Context, r repository) (Commits, error) {
	if err := r.init(ctx); err != nil {
		return Commits{}, err
	}
	var c Commits
	for i, step := range []struct {
		files, message string
		sha            *string
		before         []string
	}{
		{files: "base", message: "Order lines and short links in Go and in Rust", sha: &c.Base},
		{files: "main", message: "docs: how to run the services", sha: &c.Main},
		{files: "head", message: "core: state the text rules as patterns", sha: &c.Head, before: []string{"checkout", "--quiet", "-b", Branch, "main~1"}},
	} {
		if step.before != nil {
			if _, err := r.git(ctx, i, step.before...); err != nil {
				return Commits{}, err
			}
		}
		var err error
		if *step.sha, err = r.commit(ctx, i, archive, step.files, step.message); err != nil {
			return Commits{}, fmt.Errorf("making commit %s: %w", step.files, err)
		}
	}
	return c, nil
}

// WriteOne makes a repository of one commit in dir under the same terms as Write: the files of the txtar archive, each
// without its first folder, which has to be main. The sha depends on archive and message alone.
func WriteOne(ctx context.Context, dir string, archive []byte, message string) (sha string, err error) {
	if err := empty(dir); err != nil {
		return "", err
	}
	r := repository{dir: dir, home: filepath.Join(dir, ".git")}
	if err = r.init(ctx); err == nil {
		sha, err = r.commit(ctx, 0, archive, "main", message)
	}
	if err != nil {
		return "", errors.Join(fmt.Errorf("writing repository %s: %w", dir, err), os.RemoveAll(dir))
	}
	return sha, nil
}

// empty refuses a folder that holds something.
func empty(dir string) error {
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if names, err := f.Readdirnames(1); !errors.Is(err, io.EOF) {
		return errors.Join(fmt.Errorf("writing demo repository: %s is not empty: it holds %q", dir, names), err)
	}
	return nil
}

// repository is a git repository that nothing outside it can influence.
type repository struct {
	dir  string
	home string // HOME for git
}

// init makes the repository, with main checked out and no commit.
func (r repository) init(ctx context.Context) error {
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		return err
	}
	// symbolic-ref and not init -b, which git knows since 2.28 only.
	for _, args := range [][]string{
		{"init", "--quiet", "--template="},
		{"symbolic-ref", "HEAD", "refs/heads/main"},
	} {
		if _, err := r.git(ctx, 0, args...); err != nil {
			return err
		}
	}
	return nil
}

// commit writes the files of one of the archive's commits and commits them; it returns the sha.
func (r repository) commit(ctx context.Context, day int, archive []byte, files, message string) (string, error) {
	for _, f := range txtar.Parse(archive).Files {
		commit, name, ok := strings.Cut(f.Name, "/")
		if !ok || commit != files {
			continue
		}
		path := filepath.Join(r.dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(path, f.Data, 0o644); err != nil {
			return "", err
		}
	}
	if _, err := r.git(ctx, day, "add", "--all"); err != nil {
		return "", err
	}
	if _, err := r.git(ctx, day, "commit", "--quiet", "--no-verify", "--message", message); err != nil {
		return "", err
	}
	return r.git(ctx, day, "rev-parse", "HEAD")
}

// git runs one git command, with the date of the so manieth day: shas depend on dates.
func (r repository) git(ctx context.Context, day int, args ...string) (string, error) {
	date := time.Date(2026, 1, 5+day, 12, 0, 0, 0, time.UTC).Format(time.RFC3339)
	settings := []string{
		"-c", "core.hooksPath=" + os.DevNull, "-c", "commit.gpgSign=false", "-c", "core.autocrlf=false",
		"-c", "core.fileMode=false", "-c", "gc.auto=0", "-c", "advice.detachedHead=false",
	}
	cmd := exec.CommandContext(ctx, "git", append(settings, args...)...)
	cmd.Dir = r.dir
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); !strings.HasPrefix(name, "GIT_") && name != "HOME" && name != "XDG_CONFIG_HOME" {
			cmd.Env = append(cmd.Env, entry)
		}
	}
	cmd.Env = append(cmd.Env,
		"HOME="+r.home, "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_SYSTEM="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_DEFAULT_HASH=sha1", "GIT_TERMINAL_PROMPT=0", "GIT_CEILING_DIRECTORIES="+filepath.Dir(r.dir),
		"GIT_AUTHOR_NAME=Duet demo", "GIT_AUTHOR_EMAIL=demo@duet.invalid", "GIT_AUTHOR_DATE="+date,
		"GIT_COMMITTER_NAME=Duet demo", "GIT_COMMITTER_EMAIL=demo@duet.invalid", "GIT_COMMITTER_DATE="+date,
	)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(string(out)), nil
}
