// Package act runs Duet's own action.yml and the example workflows of docs/workflows under act, in host mode, against the
// fake of GitHub's API: a pull request's whole life, with GitHub's own example payloads. act's log is lossy, so nothing
// here reads it: what counts are the files that a run leaves and the state of the fake.
package act

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/duet-bench/duet/internal/github/fake"
)

// actVersion is what is built where act is not on PATH.
const actVersion = "v0.2.89"

func TestMain(m *testing.M) {
	part := map[string]func() error{"upload": upload, "download": download}[os.Getenv("STANDIN")]
	if filepath.Base(os.Args[0]) == "bash" {
		part = bash
	}
	if part == nil {
		os.Exit(m.Run())
	}
	if err := part(); err != nil {
		fmt.Fprintln(os.Stderr, "stand-in:", err)
		os.Exit(1)
	}
}

type object = map[string]any

// examples are GitHub's payloads.
var examples = fake.Package{
	Name: "@octokit/webhooks-examples", Version: "7.6.1",
	Integrity: "sha512-De6U3XB6O3DtCa7bKgCMzTHdeopqqZ6SNivMYJnK65ierKL1AnNIA0tkRYCRS7lwGT792d+Ps1WbfHlso6MynQ==",
}

// payload is GitHub's example of an event and action, in this test's repository.
func payload(t *testing.T, event, action string) object {
	t.Helper()
	text, err := examples.File("api.github.com/index.json")
	if err != nil {
		t.Fatal(err)
	}
	text = []byte(strings.ReplaceAll(strings.ReplaceAll(string(text), "Codertocat/Hello-World", "o/r"), "octo-org/octo-repo", "o/r"))
	var events []struct {
		Name     string
		Examples []object
	}
	if err := json.Unmarshal(text, &events); err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		for _, one := range e.Examples {
			if e.Name == event && one["action"] == action {
				return one
			}
		}
	}
	t.Fatalf("GitHub's examples have no %s %s", event, action)
	return nil
}

// set sets a field deep in a payload, which must have it.
func set(t *testing.T, in object, value any, path ...string) {
	t.Helper()
	for _, name := range path[:len(path)-1] {
		inner, ok := in[name].(object)
		if !ok {
			t.Fatalf("the payload has no %s", strings.Join(path, "."))
		}
		in = inner
	}
	if _, ok := in[path[len(path)-1]]; !ok {
		t.Fatalf("the payload has no %s", strings.Join(path, "."))
	}
	in[path[len(path)-1]] = value
}

// world is a repository on GitHub, and a runner for it.
type world struct {
	t       *testing.T
	dir     string // everything of this test's
	act     string
	action  string // Duet as `uses:` gets it
	origin  string // the repository
	commits map[string]string
	hub     *fake.Hub
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, act: actBinary(t), commits: map[string]string{}, hub: fake.New(t, fake.Options{})}
	dir, err := os.MkdirTemp("", "duet-act-") // t.TempDir is closed to the services' uid
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	w.dir, w.action, w.origin = dir, filepath.Join(dir, "duet"), filepath.Join(dir, "origin")
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	w.export()
	w.commit("base.txtar", "", "main")
	return w
}

// actBinary is act, built once into the user's cache where it is not on PATH.
func actBinary(t *testing.T) string {
	t.Helper()
	if path, err := exec.LookPath("act"); err == nil {
		if said, err := exec.Command(path, "--version").Output(); err == nil && strings.TrimSpace(string(said)) == "act version "+strings.TrimPrefix(actVersion, "v") {
			return path
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "duet-test", "act-"+actVersion)
	path := filepath.Join(dir, "act")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	build := exec.Command("go", "install", "github.com/nektos/act@"+actVersion)
	build.Dir = t.TempDir() // not in this module
	build.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building act %s: %v\n%s\nput it on PATH: https://github.com/nektos/act", actVersion, err, text)
	}
	return path
}

// export copies the tree as git would check it out, with what is not committed yet.
func (w *world) export() {
	w.t.Helper()
	root := filepath.Join("..", "..")
	list, err := exec.Command("git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		w.t.Fatalf("listing the repository: %v", err)
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		text, err := os.ReadFile(filepath.Join(root, name))
		if errors.Is(err, fs.ErrNotExist) { // deleted, and not committed yet
			continue
		}
		if err != nil {
			w.t.Fatal(err)
		}
		w.write(filepath.Join(w.action, name), text)
	}
}

func (w *world) write(path string, text []byte) {
	w.t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, text, 0o644)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) git(args ...string) string {
	w.t.Helper()
	command := exec.Command("git", append([]string{"-C", w.origin, "-c", "user.name=e2e", "-c", "user.email=e2e@example.com"}, args...)...)
	text, err := command.CombinedOutput()
	if err != nil {
		w.t.Fatalf("git %v: %v\n%s", args, err, text)
	}
	return strings.TrimSpace(string(text))
}

// commit makes a commit of a txtar file on a branch that starts where another is. A branch that is no main gets what GitHub
// makes for a pull request as well: its merge with main.
func (w *world) commit(file, from, branch string) (sha string) {
	w.t.Helper()
	if from == "" {
		if err := os.MkdirAll(w.origin, 0o755); err != nil {
			w.t.Fatal(err)
		}
		w.git("init", "-q", "-b", branch)
	} else {
		w.git("checkout", "-q", "-B", branch, from)
	}
	archive, err := txtar.ParseFile(filepath.Join("testdata", file))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range archive.Files {
		w.write(filepath.Join(w.origin, f.Name), f.Data)
	}
	w.git("add", "-A")
	w.git("commit", "-q", "-m", file)
	sha = w.git("rev-parse", "HEAD")
	if branch != "main" {
		tree := w.git("rev-parse", "HEAD^{tree}")
		w.git("update-ref", "refs/pull/3/merge", w.git("commit-tree", tree, "-p", "main", "-p", sha, "-m", "merge"))
		w.git("update-ref", "refs/pull/3/head", sha)
	}
	w.commits[file] = sha
	return sha
}

// job is one run of an example workflow.
type job struct {
	workflow string // in docs/workflows
	path     string // where the repository has it
	event    string
	payload  object
	run      int64
	calls    string         // the workflow that it calls, in this repository; empty: it calls none
	last     string         // whose job Duet's last step is in, where there are several
	server   string         // where the repository is; empty: GitHub, which nothing asks
	during   func(*running) // while it runs
}

// running is a job that runs.
type running struct {
	*world
	act   *exec.Cmd
	steps string
	ended chan struct{}
}

// ended is what a job has left.
type ended struct {
	steps     []step
	summaries string            // of all steps
	outputs   map[string]string // of Duet's step
	outcome   string            // of Duet's step: success or failure
	artifacts map[string][]byte // zips, by name
}

// run carries a job out.
func (w *world) run(j job) ended {
	w.t.Helper()
	dir := filepath.Join(w.dir, strconv.FormatInt(j.run, 10))
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, sub := range []string{"bin", "steps", "work", "config/act", "artifacts"} {
		if err := os.MkdirAll(in(sub), 0o755); err != nil {
			w.t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	realBash, err := exec.LookPath("bash")
	if err != nil {
		w.t.Fatal(err)
	}
	event, err := json.Marshal(j.payload)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.Symlink(self, in("bin/bash")); err != nil {
		w.t.Fatal(err)
	}
	w.write(in("event.json"), event)
	w.write(in("config/act/actrc"), nil) // or it asks
	w.write(in("secrets"), []byte("GITHUB_TOKEN="+fake.Token+"\n"))
	first := j.last
	if j.calls != "" {
		first = ""
	}
	text, uses, permissions := witnessed(w.t, "docs/workflows/"+j.workflow, first)
	w.write(in("work/"+j.path), text)
	if j.calls != "" { // from Duet's own tree, as `uses:` gets it
		w.write(in("work/"+j.path), replaced(w.t, text, "shards: auto", "shards: 3"))
		text, uses, permissions = witnessed(w.t, j.calls, j.last)
		w.write(filepath.Join(w.action, j.calls), text)
	}
	w.hub.Grant(permissions)

	args := []string{
		j.event, "-C", in("work"), "-W", j.path, "-e", in("event.json"), "-P", "ubuntu-24.04=-self-hosted", "-P", "ubuntu-latest=-self-hosted", "--secret-file", in("secrets"),
		"--no-skip-checkout", "--no-cache-server", "--action-offline-mode", "--actor", "ann", "--defaultbranch", "main",
		"--artifact-server-path", in("artifacts"), "--artifact-server-addr", "127.0.0.1", "--artifact-server-port", freePort(w.t),
	}
	for _, u := range uses {
		args = append(args, "--local-repository", u+"="+w.actionFor(u))
	}
	for name, value := range map[string]string{
		"GITHUB_API_URL": w.hub.URL, "GITHUB_GRAPHQL_URL": w.hub.GraphQL, "GITHUB_SERVER_URL": cmp.Or(j.server, "https://github.com"), "GITHUB_REPOSITORY": "o/r",
		"GITHUB_REPOSITORY_OWNER": "o", "GITHUB_RUN_ID": strconv.FormatInt(j.run, 10), "GITHUB_RUN_ATTEMPT": "1",
		"GITHUB_REF": j.ref(), "SHA_REF": w.git("rev-parse", j.ref()), "GITHUB_WORKFLOW_REF": "o/r/" + j.path + "@" + j.ref(),
	} {
		args = append(args, "--env", name+"="+value)
	}
	r := &running{world: w, act: exec.Command(w.act, args...), steps: in("steps"), ended: make(chan struct{})}
	r.act.Env = append(plainEnv(w.t),
		"PATH="+in("bin")+":"+os.Getenv("PATH"), "XDG_CACHE_HOME="+in("cache"), "XDG_CONFIG_HOME="+in("config"), "RUNNER_ENVIRONMENT=github-hosted",
		"STANDIN_DIR="+dir, "STANDIN_SELF="+self, "STANDIN_BASH="+realBash, "STANDIN_ORIGIN="+w.origin)
	log, err := os.Create(in("act.log"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer log.Close()
	r.act.Stdout, r.act.Stderr = log, log
	if err := r.act.Start(); err != nil {
		w.t.Fatal(err)
	}
	var watched sync.WaitGroup
	watched.Go(r.overhear)
	if j.during != nil {
		watched.Go(func() { j.during(r) })
	}
	_ = r.act.Wait() // its status follows the gate's and is looked at as the step's outcome
	close(r.ended)
	watched.Wait()
	return w.look(j, dir)
}

// ref is what an event checks out.
func (j job) ref() string {
	if j.event == "pull_request" {
		return "refs/pull/3/merge"
	}
	return "refs/heads/main"
}

// look reads what a job has left.
func (w *world) look(j job, dir string) (e ended) {
	w.t.Helper()
	read := func(path string) []byte {
		text, err := os.ReadFile(path)
		if err != nil {
			w.t.Fatalf("%s, run %d: %v\n%s", j.workflow, j.run, err, w.tail(filepath.Join(dir, "act.log")))
		}
		return text
	}
	programs, _ := filepath.Glob("/proc/[0-9]*/exe") // the pattern is sound
	for _, link := range programs {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, dir+"/") {
			w.t.Errorf("%s, run %d: a process is left: %s runs %s", j.workflow, j.run, filepath.Dir(link), target)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "pwned")); err == nil {
		w.t.Errorf("%s, run %d: a branch's name was run as a command", j.workflow, j.run)
	}
	var witness struct {
		Outputs map[string]string
		Outcome string
	}
	if err := json.Unmarshal(read(filepath.Join(dir, "witness.json")), &witness); err != nil {
		w.t.Fatal(err)
	}
	e.outputs, e.outcome, e.artifacts = witness.Outputs, witness.Outcome, map[string][]byte{}
	files, err := filepath.Glob(filepath.Join(dir, "steps", "*.json"))
	if err != nil {
		w.t.Fatal(err)
	}
	slices.Sort(files)
	for _, f := range files {
		var s step
		if err := json.Unmarshal(read(f), &s); err != nil {
			w.t.Fatal(err)
		}
		e.steps = append(e.steps, s)
		e.summaries += string(read(s.Summary))
	}
	zips, err := filepath.Glob(filepath.Join(dir, "artifacts", "*", "*", "*.zip"))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, z := range zips {
		e.artifacts[strings.TrimSuffix(filepath.Base(z), ".zip")] = read(z)
	}
	w.t.Logf("%s, run %d: %d steps, Duet's ended as %s with %v", j.workflow, j.run, len(e.steps), e.outcome, e.outputs)
	if testing.Verbose() {
		w.t.Logf("%s", w.tail(filepath.Join(dir, "act.log")))
	}
	return e
}

// tail is the end of act's log, for people to read.
func (w *world) tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(string(text), "\n")
	return strings.Join(lines[max(0, len(lines)-80):], "\n")
}

// actionFor is the folder of an action: Duet's own tree, or a stand-in.
func (w *world) actionFor(uses string) string {
	w.t.Helper()
	name, _, _ := strings.Cut(uses, "@")
	if name == "duet-bench/duet" {
		return w.action
	}
	dir, err := filepath.Abs(filepath.Join("testdata", "standin", strings.TrimPrefix(name, "actions/")))
	if err == nil {
		_, err = os.Stat(dir)
	}
	if err != nil {
		w.t.Fatalf("no stand-in for %s: %v", uses, err)
	}
	return dir
}

// plainEnv is the environment of a plain shell, with Go's caches named: act's cache folder is another.
func plainEnv(t *testing.T) []string {
	t.Helper()
	named, err := exec.Command("go", "env", "GOCACHE", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	caches := strings.Fields(string(named))
	env := []string{"GOCACHE=" + caches[0], "GOMODCACHE=" + caches[1]}
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, "GITHUB_") && !strings.HasPrefix(name, "RUNNER_") && !strings.HasPrefix(name, "DUET_") && !notOnGitHub(name) &&
			!slices.Contains([]string{"PATH", "GOCACHE", "GOMODCACHE", "GOFLAGS", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"}, name) {
			env = append(env, entry)
		}
	}
	return env
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
