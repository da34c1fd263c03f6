package source

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A shallow clone is deepened in at most four fetches, three minutes together. Depths count from where the
// history at hand ends; infinite is git's own number for --unshallow.
const (
	fetchTime = 3 * time.Minute
	infinite  = 0x7fffffff
)

func depths() []int { return []int{50, 200, 1000, infinite} }

// fetchFix is the way out when a history is missing.
const fetchFix = "set `fetch-depth: 0` on actions/checkout, or run `git fetch --unshallow`"

// errNoRemote is why nothing can be fetched.
var errNoRemote = errors.New("there is no remote to fetch it from")

// remote is an address to fetch from, with its secrets apart.
type remote struct {
	url     string
	headers [][2]string // configuration key and value: http.URL.extraheader
}

// remote finds origin, else the only remote.
func (c *checkout) remote(ctx context.Context) (remote, error) {
	var names []string
	for _, s := range c.config {
		if name, ok := strings.CutPrefix(s.key, "remote."); ok {
			if name, ok = strings.CutSuffix(name, ".url"); ok {
				names = append(names, name)
			}
		}
	}
	name := "origin"
	if !slices.Contains(names, name) {
		if len(names) != 1 || strings.HasPrefix(names[0], "-") {
			return remote{}, errNoRemote
		}
		name = names[0]
	}
	address, err := c.here.line(ctx, "ls-remote", "--get-url", name) // obeys url.*.insteadOf; connects to nothing
	if err != nil {
		return remote{}, err
	}
	var rem remote
	for _, s := range c.config {
		if strings.HasPrefix(s.key, "http.") && strings.HasSuffix(s.key, ".extraheader") {
			rem.headers = append(rem.headers, [2]string{s.key, s.value})
		}
	}
	return c.bare(rem, address), nil
}

// bare moves a password from the address into a header: addresses end up in argv, which everybody may read
// (SECURITY.md T6). A relative path counts from the repository.
func (c *checkout) bare(rem remote, address string) remote {
	u, err := url.Parse(address)
	if err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.User != nil {
		password, _ := u.User.Password()
		basic := base64.StdEncoding.EncodeToString([]byte(u.User.Username() + ":" + password))
		u.User = nil
		rem.headers = append(rem.headers, [2]string{"http." + u.Scheme + "://" + u.Host + "/.extraheader", "Authorization: Basic " + basic})
		address = u.String()
	}
	if strings.HasPrefix(address, ".") {
		address = filepath.Join(c.top, address)
	}
	rem.url = address
	return rem
}

// fetch brings the wanted commits or refs, with depth commits of history each (0: all of it), into the
// private git directory. It is the one place where git may use a network: https, ssh, and file for clones of
// local repositories; never the repository's own helpers, which its configuration would name. Submodules and
// tags stay where they are.
func (c *checkout) fetch(ctx context.Context, depth int, wants ...string) error {
	rem, err := c.remote(ctx)
	if err != nil {
		return err
	}
	g := git{dir: c.own.dir, env: slices.Concat(c.own.env, []string{
		"GIT_ALLOW_PROTOCOL=https:ssh:file",
		"GIT_SSH_COMMAND=ssh -oBatchMode=yes",
		"GIT_CONFIG_COUNT=" + strconv.Itoa(len(rem.headers)),
	}, passed("HOME", "SSH_AUTH_SOCK", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy",
		"SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO"))}
	for i, h := range rem.headers {
		g.env = append(g.env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, h[0]), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, h[1]))
	}
	args := []string{"fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--upload-pack=git-upload-pack"}
	if depth > 0 {
		args = append(args, "--depth="+strconv.Itoa(depth))
	}
	_, err = g.output(ctx, append(append(args, "--end-of-options", rem.url), wants...)...)
	return err
}

// shallow is the set of commits whose parents are hidden by a shallow clone.
func (c *checkout) shallow() (map[string]bool, error) {
	text, err := os.ReadFile(filepath.Join(c.private, "shallow"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	cut := make(map[string]bool)
	for sha := range bytes.FieldsSeq(text) {
		cut[string(sha)] = true
	}
	return cut, nil
}

// has says whether a commit is at hand.
func (c *checkout) has(ctx context.Context, sha string) (bool, error) {
	_, err := c.own.output(ctx, "cat-file", "-e", sha+"^{commit}")
	var failed *gitError
	if errors.As(err, &failed) {
		return false, nil
	}
	return err == nil, err
}
