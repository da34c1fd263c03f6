package history

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/duet-bench/duet/internal/plan"
)

// git runs git in a private git directory, so that no hook, filter or alias of a checkout takes part. The remote's own hooks
// run where the remote is.
type git struct {
	command string // default: git
	dir     string // GIT_DIR
	env     []string
}

// flags come before every subcommand.
func flags() []string {
	return []string{
		"--no-pager",
		"-c", "core.hooksPath=" + os.DevNull,
		"-c", "core.fsmonitor=false",
		"-c", "gc.auto=0",
		"-c", "maintenance.auto=false",
		"-c", "commit.gpgSign=false",
		"-c", "push.gpgSign=false",
		"-c", "submodule.recurse=false",
		"-c", "http.followRedirects=false",
		"-c", "http.lowSpeedLimit=1000",
		"-c", "http.lowSpeedTime=30",
	}
}

// baseEnv is the environment of git. With a token nothing else may authenticate; without one git's own means of the user
// do: their configuration, credential helpers and SSH agent.
func baseEnv(token bool) []string {
	env := []string{
		"LC_ALL=C",
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_ATTR_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0",
		"GIT_ASKPASS=",
		"GIT_NO_REPLACE_OBJECTS=1",
		"GIT_LITERAL_PATHSPECS=1",
		"GIT_SSH_COMMAND=ssh -oBatchMode=yes",
	}
	names := []string{"PATH", "TMPDIR", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy",
		"SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO"}
	if token {
		env = append(env, "GIT_CONFIG_GLOBAL="+os.DevNull)
	} else {
		names = append(names, "HOME", "XDG_CONFIG_HOME", "SSH_AUTH_SOCK", "GIT_CONFIG_GLOBAL")
	}
	for _, name := range names {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// run runs a git command from stdin and returns its standard output.
func (g git) run(ctx context.Context, stdin []byte, args ...string) ([]byte, error) {
	name := g.command
	if name == "" {
		name = "git"
	}
	cmd := exec.CommandContext(ctx, name, append(flags(), args...)...)
	cmd.Dir, cmd.Env = g.dir, append(g.env, "GIT_DIR="+g.dir)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 2 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	switch {
	case err == nil:
		return stdout.Bytes(), nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("running git %s: %w", args[0], ctx.Err())
	case errors.Is(err, exec.ErrNotFound):
		return nil, plan.Usagef("install git 2.31 or newer", "running git: it is not installed, or not on the PATH")
	}
	return nil, &gitError{command: args[0], text: stderr.String() + stdout.String(), err: err}
}

// line is the output of a command that prints one.
func (g git) line(ctx context.Context, stdin []byte, args ...string) (string, error) {
	out, err := g.run(ctx, stdin, args...)
	return strings.TrimSpace(string(out)), err
}

// gitError is a git command that failed.
type gitError struct {
	command string
	text    string // all that it said
	err     error
}

func (e *gitError) Error() string {
	if said := complaint(e.text); said != "" {
		return fmt.Sprintf("running git %s: %s", e.command, said)
	}
	return fmt.Sprintf("running git %s: %v", e.command, e.err)
}

func (e *gitError) Unwrap() error { return e.err }

// complaints are lines that tell most, best first.
var complaints = []*regexp.Regexp{
	regexp.MustCompile(`(?m)^(?:remote: )?(?:error: )?(GH[0-9]{3}:.*)$`),
	regexp.MustCompile(`(?m)^!.*(\[(?:remote )?rejected\].*)$`),
	regexp.MustCompile(`(?m)^fatal: (unable to access.*)$`),
	regexp.MustCompile(`(?m)^(?:remote: )?(?:fatal|error|ERROR): (.*)$`),
	regexp.MustCompile(`(?m)^(?:remote: )?(\S.*)$`),
}

func complaint(text string) string {
	for _, c := range complaints {
		if found := c.FindStringSubmatch(text); found != nil {
			return cut(strings.TrimSpace(found[1]))
		}
	}
	return ""
}

// answer is what a failed command of git means for the next one.
type answer int

// The answers.
const (
	again    answer = iota // another recorder was first, or the network or the server failed: try again
	byRule                 // the branch's rules forbid it
	noAccess               // the token or the user may not, or the repository is not there
)

var (
	ruleForm   = regexp.MustCompile(`GH0[0-9]{2}:|(?i:protected branch|repository rule violations|rule violations found)`)
	accessForm = regexp.MustCompile(`(?i:returned error: 40[134]|permission to .* denied|permission denied|authentication failed|could not read (?:username|password)|` +
		`write access to repository not granted|resource not accessible|repository .*not found|does not appear to be a git repository|no such file or directory|transport '.*' not allowed)`)
	limitForm = regexp.MustCompile(`(?i:rate limit|returned error: 429)`)
)

// meaning reads what git and the server said. What nobody knows is tried again: the number of tries is bounded.
func (e *gitError) meaning() answer {
	switch {
	case limitForm.MatchString(e.text):
		return again
	case ruleForm.MatchString(e.text):
		return byRule
	case accessForm.MatchString(e.text):
		return noAccess
	}
	return again
}

// address is a remote with its secret apart: what stands in an address ends up in argv, which everybody may read.
type address struct {
	url  string
	host string // scheme://host/ of http and https
	auth string // of an Authorization header
}

// newAddress takes a remote's address and a token for https. A password in the address counts as one.
func newAddress(remote, token string) (address, error) {
	if remote == "" || strings.HasPrefix(remote, "-") || strings.Contains(remote, "::") {
		return address{}, plan.Usagef("name one that git fetch would take", "history's repository %q is not an address", cut(remote))
	}
	a := address{url: remote}
	u, err := url.Parse(remote)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") {
		return a, nil
	}
	if u.Scheme == "http" && u.Hostname() != "127.0.0.1" && u.Hostname() != "localhost" {
		return address{}, plan.Usagef("use https", "history's repository %s: plain http would send the token to everybody on the way", u.Redacted())
	}
	user := "x-access-token"
	if password, ok := u.User.Password(); ok && token == "" {
		user, token = u.User.Username(), password
	}
	u.User = nil
	a.url, a.host = u.String(), u.Scheme+"://"+u.Host+"/"
	if token != "" {
		a.auth = "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+token))
	}
	return a, nil
}

// env is what git needs to know of an address beside its url. The token is in git's environment alone: not in argv, not in
// an address, not in a file.
func (a address) env() []string {
	protocols := "https:ssh:file"
	if strings.HasPrefix(a.url, "http://") {
		protocols += ":http"
	}
	env := []string{"GIT_ALLOW_PROTOCOL=" + protocols}
	if a.auth == "" {
		return env
	}
	settings := [][2]string{{"http." + a.host + ".extraheader", a.auth}, {"credential.helper", ""}}
	for i, s := range settings {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, s[0]), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, s[1]))
	}
	return append(env, "GIT_CONFIG_COUNT="+strconv.Itoa(len(settings)))
}

// Origin is the address of a repository's remote origin. It connects to nothing.
func Origin(ctx context.Context, repository string) (string, error) {
	top, err := filepath.Abs(repository)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "git", append(flags(), "-c", "safe.directory=*", "-C", top, "remote", "get-url", "origin")...)
	cmd.Env = baseEnv(true)
	out, err := cmd.Output()
	if err != nil {
		return "", plan.Usagef("add a remote called origin, name a clone with --repo, or a folder with --store folder:PATH",
			"finding history's repository: %s has no remote called origin", top)
	}
	remote := strings.TrimSpace(string(out))
	if strings.HasPrefix(remote, ".") {
		remote = filepath.Join(top, remote)
	}
	return remote, nil
}
