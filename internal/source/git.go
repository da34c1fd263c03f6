package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/duet-bench/duet/internal/plan"
)

// git is one place to run git in: a folder and the environment on top of the hardened one.
type git struct {
	dir string
	env []string
}

// hardenedEnv is the whole environment of a git command, but for the few names a fetch needs: nothing of the
// caller's is inherited, so no GIT_* variable and no token gets in. GIT_ALLOW_PROTOCOL, unlike -c
// protocol.allow=never, cannot be undone by protocol.file.allow in .git/config; it also stops the lazy
// fetches of partial clones in versions that do not know GIT_NO_LAZY_FETCH. HOME is absent on purpose:
// versions before 2.32 ignore GIT_CONFIG_GLOBAL.
func hardenedEnv() []string {
	env := []string{
		"LC_ALL=C",
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_GLOBAL=" + os.DevNull,
		"GIT_ATTR_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0",
		"GIT_OPTIONAL_LOCKS=0",
		"GIT_NO_REPLACE_OBJECTS=1",
		"GIT_NO_LAZY_FETCH=1",
		"GIT_LITERAL_PATHSPECS=1",
		"GIT_ALLOW_PROTOCOL=none",
	}
	return append(env, passed("PATH", "TMPDIR")...)
}

// passed is the named variables of the caller's environment that are set.
func passed(names ...string) []string {
	var env []string
	for _, name := range names {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// hardenedFlags come before every subcommand. safe.directory is "*" because Duet may run as root, through
// sudo, on a user's repository: what that check protects from, programs named in .git/config, does not run
// anyway, since the only commands used in a repository itself are rev-parse, for-each-ref, symbolic-ref,
// ls-remote --get-url and config --list.
func hardenedFlags() []string {
	return []string{
		"--no-pager",
		"-c", "core.fsmonitor=false",
		"-c", "core.hooksPath=" + os.DevNull,
		"-c", "core.alternateRefsCommand=true",
		"-c", "protocol.allow=never",
		"-c", "safe.bareRepository=explicit",
		"-c", "safe.directory=*",
		"-c", "submodule.recurse=false",
		"-c", "gc.auto=0",
		"-c", "maintenance.auto=false",
		"-c", "credential.helper=",
	}
}

// command prepares a git command. Cancelling ends it with SIGTERM, on which git ends its own children.
func (g git) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "git", append(hardenedFlags(), args...)...)
	cmd.Dir = g.dir
	cmd.Env = append(hardenedEnv(), g.env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 2 * time.Second
	return cmd
}

// output runs git and returns its standard output, at most 1 GiB.
func (g git) output(ctx context.Context, args ...string) ([]byte, error) {
	var stdout bytes.Buffer
	err := g.stream(ctx, nil, &limited{w: &stdout, left: 1 << 30}, args...)
	return stdout.Bytes(), err
}

// line is output without its last newline: paths may hold others.
func (g git) line(ctx context.Context, args ...string) (string, error) {
	out, err := g.output(ctx, args...)
	return strings.TrimSuffix(string(out), "\n"), err
}

// stream runs git from stdin to stdout.
func (g git) stream(ctx context.Context, stdin io.Reader, stdout io.Writer, args ...string) error {
	cmd := g.command(ctx, args...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, &limited{w: &stderr, left: 8 << 10, quiet: true}
	return gitFailure(ctx, args, cmd.Run(), stderr.String())
}

// gitFailure words the failure of a git command; nil stays nil.
func gitFailure(ctx context.Context, args []string, err error, stderr string) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("running git %s: %w", args[0], ctx.Err())
	}
	if errors.Is(err, exec.ErrNotFound) {
		return plan.Usagef("install git 2.31 or newer", "running git: it is not installed, or not on the PATH")
	}
	if strings.Contains(stderr, "dubious ownership") {
		return plan.Usagef("run Duet as the owner of the repository, or install git 2.38 or newer",
			"running git %s: the repository belongs to another user", args[0])
	}
	return &gitError{command: args[0], stderr: complaint(stderr), err: err}
}

// gitError is a git command that failed.
type gitError struct {
	command string
	stderr  string // its first complaint, one line
	err     error
}

func (e *gitError) Error() string {
	if e.stderr == "" {
		return fmt.Sprintf("running git %s: %v", e.command, e.err)
	}
	return fmt.Sprintf("running git %s: %s", e.command, e.stderr)
}

func (e *gitError) Unwrap() error { return e.err }

// complaint is the first "fatal:" or "error:" line of git's stderr, which tells most, else its first line; made
// printable.
func complaint(stderr string) string {
	first, _, _ := strings.Cut(strings.TrimSpace(stderr), "\n")
	for line := range strings.SplitSeq(stderr, "\n") {
		for _, prefix := range []string{"fatal: ", "error: "} {
			if text, ok := strings.CutPrefix(strings.TrimPrefix(line, "remote: "), prefix); ok {
				return printable(text)
			}
		}
	}
	return printable(first)
}

// printable is one line of valid UTF-8 without control characters, at most 300 runes.
func printable(s string) string {
	out := []rune(strings.Map(func(r rune) rune {
		if r < ' ' || (r >= 0x7f && r < 0xa0) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD")))
	if len(out) > 300 {
		out = append(out[:299], '…')
	}
	return string(out)
}

// limited passes at most left bytes on; then it fails, or, when quiet, drops the rest.
type limited struct {
	w     io.Writer
	left  int
	quiet bool
}

func (l *limited) Write(p []byte) (int, error) {
	if len(p) <= l.left {
		l.left -= len(p)
		return l.w.Write(p)
	}
	if !l.quiet {
		return 0, errors.New("output is too long")
	}
	n := l.left
	l.left = 0
	if _, err := l.w.Write(p[:n]); err != nil {
		return n, err
	}
	return len(p), nil
}

// isHex says whether s is a full object name: 40 or 64 lower-case hex digits.
func isHex(s string) bool {
	return (len(s) == 40 || len(s) == 64) && strings.Trim(s, "0123456789abcdef") == ""
}
