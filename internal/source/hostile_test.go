package source

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/plan"
)

// canary is a program that leaves a line when it runs. Where the caller's environment has a token, it is in
// that line.
func canary(t *testing.T) (program, mark string) {
	t.Helper()
	dir := realTemp(t)
	program, mark = filepath.Join(dir, "canary"), filepath.Join(dir, "mark")
	script := fmt.Sprintf("#!/bin/sh\necho \"$0 $* $GITHUB_TOKEN\" >> %s\ncat\n", mark)
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return program, mark
}

// Everything in .git and the tree that git can be told to run, at once (SECURITY.md G1, G2).
func TestNothingOfTheRepositoryRuns(t *testing.T) {
	up, one, _, _ := forked(t, "main")
	up.git("checkout", "--quiet", "main")
	program, mark := canary(t)
	c := up.from("--depth=1", "--branch=feature", "--no-single-branch")
	c.write(".gitattributes", "* filter=evil diff=evil merge=evil text=auto\n")
	c.write(".gitmodules", "[submodule \"m\"]\npath = m\nurl = ext::"+program+"\nupdate = !"+program+"\n")
	c.write(".lfsconfig", "[lfs]\nurl = https://"+program+"\n")
	c.write("bare/HEAD", "ref: refs/heads/main\n")
	c.write("bare/config", "[core]\nfsmonitor = "+program+"\nbare = true\n")
	c.write("bare/objects/x", "")
	c.write("bare/refs/x", "")
	c.git("add", "--all")
	c.git("commit", "--quiet", "-m", "hostile tree")
	if _, err := os.Stat(mark); err == nil {
		t.Fatal("the canary ran too early")
	}

	for _, hook := range []string{"post-checkout", "post-index-change", "reference-transaction", "pre-auto-gc", "fsmonitor-watchman"} {
		path := filepath.Join(c.dir, ".git", "hooks", hook)
		c.write(".git/hooks/"+hook, "#!/bin/sh\n"+program+"\n")
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"core.fsmonitor", "filter.evil.smudge", "filter.evil.clean", "filter.evil.process", "diff.evil.textconv", "diff.evil.command",
		"diff.external", "merge.evil.driver", "core.sshCommand", "core.gitProxy", "core.pager", "core.editor", "core.askPass", "core.alternateRefsCommand", "credential.helper",
		"gpg.program", "remote.origin.uploadpack", "uploadpack.packObjectsHook", "alias.rev-parse", "alias.status"} {
		c.git("config", key, "!"+program)
		c.git("config", "--replace-all", key, program)
	}
	for key, value := range map[string]string{"filter.evil.required": "true", "core.attributesFile": filepath.Join(c.dir, ".gitattributes"), "protocol.allow": "always",
		"protocol.ext.allow": "always", "log.showSignature": "true", "core.hooksPath": filepath.Join(c.dir, ".git", "hooks"), "core.untrackedCache": "true"} {
		c.git("config", key, value)
	}
	c.write(".git/info/attributes", "* filter=evil export-ignore\n")
	c.write("feature", "touched, so that a clean filter is asked for")
	stat, err := os.ReadFile(mark)
	if err == nil {
		t.Fatalf("the canary ran too early: %s", stat)
	}

	t.Setenv("GITHUB_TOKEN", "secret")
	t.Setenv("GIT_CONFIG_COUNT", "1") // the caller's environment does not count
	t.Setenv("GIT_CONFIG_KEY_0", "core.fsmonitor")
	t.Setenv("GIT_CONFIG_VALUE_0", program)
	t.Setenv("GIT_DIR", "/nonexistent")
	for _, o := range []Options{{}, {Worktree: true}} {
		r := c.resolve(o)
		wantBase(t, r, one)
		for _, side := range []plan.Side{plan.Base, plan.Head} {
			exported(t, r, side)
			if _, err := r.TreeHash(t.Context(), side, "."); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := r.ReadFile(t.Context(), plan.Head, "feature", 0); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(mark)
	if err == nil {
		t.Fatalf("a program of the repository ran:\n%s", text)
	}

	// The bare repository in the tree is a folder like any other.
	c.refuse(Options{Repo: filepath.Join(c.dir, "bare")}, "bare repository")

	// The canary can sing: the user's own git runs it.
	os.Unsetenv("GIT_DIR")
	exec.Command("git", "-C", c.dir, "status").Run() // the filter is no real one: it fails
	if _, err := os.Stat(mark); err != nil {
		t.Error("the canary is dumb: the test proves nothing")
	}
}

// object writes an object by hand, as an attacker's client does.
func (c clone) object(kind, body string) string {
	return c.feed(body, "hash-object", "-w", "-t", kind, "--literally", "--stdin")
}

// entry is one line of a tree object.
func (c clone) entry(mode, name, id string) string {
	var raw strings.Builder
	for i := 0; i < len(id); i += 2 {
		var b byte
		fmt.Sscanf(id[i:i+2], "%02x", &b)
		raw.WriteByte(b)
	}
	return mode + " " + name + "\x00" + raw.String()
}

func TestTreesNoHonestGitMakes(t *testing.T) {
	t.Parallel()
	c := newClone(t, "main")
	blob := c.object("blob", "evil")
	up := c.object("blob", "..")
	here := c.object("blob", ".")
	hooks := c.object("tree", c.entry("100755", "post-checkout", blob))
	climb := c.object("tree", c.entry("120000", "out", up))
	for name, body := range map[string]string{
		"..":          c.entry("40000", "..", hooks),
		".git":        c.entry("40000", ".git", hooks),
		".GIT":        c.entry("40000", ".GIT", hooks),
		"git~1":       c.entry("40000", "git~1", hooks),
		".git.":       c.entry("40000", ".git. ", hooks),
		"hfs":         c.entry("40000", ".g\u200cit", hooks),
		"slash":       c.entry("100644", "../evil", blob),
		"absolute":    c.entry("100644", "/tmp/duet-evil", blob),
		"gitlink":     c.entry("160000", "../module", blob),
		"link behind": c.entry("120000", "d", here) + c.entry("40000", "d", climb),
		"twice":       c.entry("100644", "d", blob) + c.entry("100644", "d", blob),
	} {
		tree := c.object("tree", body)
		c.git("update-ref", "refs/heads/main", c.git("commit-tree", "-m", name, tree))
		r := c.resolve(Options{Base: "none", Head: "main"})
		dst := filepath.Join(realTemp(t), "tree")
		_, err := r.Export(t.Context(), plan.Head, dst)
		if err == nil || (name != "twice" && !errors.Is(err, errUnsafePath)) {
			t.Errorf("%s: got %v, want an unsafe path", name, err)
		}
		if left, _ := os.ReadDir(filepath.Dir(dst)); len(left) > 1 {
			t.Errorf("%s: files beside the tree: %v", name, left)
		}
	}
}

func TestPartialClone(t *testing.T) {
	t.Parallel()
	c, _, _, _ := forked(t, "main")
	c.git("config", "uploadpack.allowFilter", "true")
	p := c.from("--filter=blob:none", "--no-checkout", "--branch=feature")
	r := p.resolve(Options{Head: "feature"})
	_, err := r.Export(t.Context(), plan.Head, filepath.Join(t.TempDir(), "x"))
	wantUsage(t, err, "partial", "--filter")
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	event := func(fork bool) Options { return Options{Event: &Event{Name: "pull_request", Fork: fork}} }
	for _, tt := range []struct{ name, key, value, where string }{
		{"checkout v5", "http.https://github.com/.extraheader", "AUTHORIZATION: basic c2VjcmV0", "http.https://github.com/.extraheader"},
		{"checkout v6", "includeIf.gitdir:/github/workspace/.git.path", "/github/runner_temp/git-credentials-1234.config", "git-credentials-1234.config"},
		{"in the address", "remote.origin.url", "https://x-access-token:c2VjcmV0@github.com/o/r", "remote.origin.url"},
		{"a token as the user", "remote.up.pushurl", "https://c2VjcmV0@github.com/o/r", "remote.up.pushurl"},
		{"nothing", "remote.origin.url", "ssh://git@github.com/o/r", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, _, _, _ := forked(t, "main")
			c.git("config", tt.key, tt.value)
			r := c.resolve(event(false))
			where, err := r.CredentialsPersisted(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if tt.where == "" {
				if len(where)+len(r.Warnings) > 0 {
					t.Errorf("got %q, %q, want nothing", where, r.Warnings)
				}
				if !c.resolve(event(true)).Fork {
					t.Error("not a fork")
				}
				return
			}
			if len(where) != 1 || len(r.Warnings) != 1 {
				t.Fatalf("got %q, warnings %q, want one", where, r.Warnings)
			}
			wantText(t, r.Warnings[0], tt.where, "persist-credentials: false")
			err = c.refuse(event(true), "E_CREDENTIALS_PERSISTED", tt.where, "persist-credentials: false")
			var found *CredentialsError
			if !errors.As(err, &found) || len(found.Where) != 1 {
				t.Errorf("got %#v", err)
			}
			if text := err.Error() + r.Warnings[0]; strings.Contains(text, "c2VjcmV0") {
				t.Errorf("the secret is in %q", text)
			}
		})
	}
}

// A password in the remote's address must not reach argv, which everybody can read (SECURITY.md T6).
func TestSecretsStayOutOfArgv(t *testing.T) {
	t.Parallel()
	c := &checkout{top: "/repo"}
	rem := c.bare(remote{}, "https://user:secret@example.org/o/r.git")
	if rem.url != "https://example.org/o/r.git" || len(rem.headers) != 1 || rem.headers[0][0] != "http.https://example.org/.extraheader" ||
		rem.headers[0][1] != "Authorization: Basic dXNlcjpzZWNyZXQ=" {
		t.Errorf("got %+v", rem)
	}
	for address, want := range map[string]string{"../up": "/up", "git@example.org:o/r": "git@example.org:o/r", "ssh://git@example.org/o": "ssh://git@example.org/o"} {
		if rem := c.bare(remote{}, address); rem.url != want || len(rem.headers) > 0 {
			t.Errorf("bare(%q) = %+v", address, rem)
		}
	}
}
