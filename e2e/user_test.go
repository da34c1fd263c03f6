package e2e

import (
	"bytes"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// One repository with a sound service for each way to be built, to listen and to answer; all need a login, whose
// token the workload's requests carry.
func TestWaysToServe(t *testing.T) {
	repo := gitRepo(t, "ways-base.txtar", "ways-head.txtar")
	out := filepath.Join(t.TempDir(), "new", "out")
	t.Setenv("LICENSE", "to-kill") // pass_env lets it through
	o := run(t, repo, "run", "--budget", "1s", "--seed", "1", "--out", out)
	if o.status != 0 {
		t.Errorf("exit status: got %d, want 0\n%s", o.status, o.stderr)
	}
	if failures := readFailures(t, out); len(failures) > 0 {
		t.Errorf("failures: %v", failures)
	}
	r := readReport(t, out)
	rounds := map[string]int{}
	for _, row := range r.Rows {
		if row.Metric == "cpu_per_request" {
			rounds[row.Service] = row.Rounds
		}
	}
	for _, name := range []string{"six", "any", "closes", "chunked", "argued", "made", "ws"} {
		if rounds[name] < 7 {
			t.Errorf("%s: measured in %d rounds, want 7 or more", name, rounds[name])
		}
	}
	if r.Parity.Requests == 0 || r.Parity.Differences != 0 {
		t.Errorf("parity: got %+v, want requests compared and no difference", r.Parity)
	}
	warnings := strings.Join(r.Warnings, "\n")
	for _, want := range []string{"added is not in base's duet.yml", "removed was removed at head"} {
		if !strings.Contains(warnings, want) {
			t.Errorf("no warning says %q:\n%s", want, warnings)
		}
	}
	checkNothingLeft(t)
}

// A user without any rights measures two variants on one fixed port in turns, and the report says so.
func TestWithoutRights(t *testing.T) {
	const uid = 54321
	home := newFolder(t)
	repo := filepath.Join(home, "repo")
	if err := os.Rename(gitRepo(t, "one.txtar"), repo); err != nil {
		t.Fatal(err)
	}
	edit(t, filepath.Join(repo, "duet.yml"), "PORT", freePort(t)+"\n    run: [\"{port}\"]")
	edit(t, filepath.Join(repo, "main.go"), `os.Getenv("PORT")`, "os.Args[1]")
	git(t, repo, "commit", "-qam", "on a fixed port")
	edit(t, filepath.Join(repo, "main.go"), "func main() {", "func main() {\n\tprintln(\"head\")")
	git(t, repo, "commit", "-qam", "says so")

	out := filepath.Join(home, "out")
	command := exec.Command(duet, "run", "--budget", "1s", "--seed", "1", "--out", out)
	command.Dir = repo
	command.Env = append(plainEnv(), "HOME="+home)
	if os.Geteuid() == 0 {
		giveAway(t, home, uid)
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		command.Env = append(command.Env, "PATH="+withoutHome(os.Getenv("PATH")))
	}
	text, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("duet run: %v\n%s", err, text)
	}
	r := readReport(t, out)
	if warnings := strings.Join(r.Warnings, "\n"); !strings.Contains(warnings, "take turns") {
		t.Errorf("no warning says that services take turns:\n%s", warnings)
	}
	judged := false
	for _, row := range r.Rows {
		judged = judged || row.Metric == "cpu_per_request" && row.Rounds >= 7
	}
	if !judged {
		t.Errorf("no row of 7 rounds:\n%s", text)
	}
	checkNothingLeft(t)
}

// newFolder is a temporary folder that every uid can reach; t.TempDir is not.
func newFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "duet-user-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// withoutHome keeps the folders of a PATH that any user may enter.
func withoutHome(path string) string {
	var kept []string
	for _, dir := range filepath.SplitList(path) {
		if !strings.HasPrefix(dir, "/root/") {
			kept = append(kept, dir)
		}
	}
	return strings.Join(kept, string(filepath.ListSeparator))
}

func giveAway(t *testing.T, dir string, uid int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, uid, uid))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// edit replaces a text that has to be there.
func edit(t *testing.T, file, from, to string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(text, []byte(from)) {
		t.Fatalf("%s does not hold %q:\n%s", file, from, text)
	}
	if err := os.WriteFile(file, bytes.Replace(text, []byte(from), []byte(to), 1), 0o644); err != nil {
		t.Fatal(err)
	}
}

// freePort is a port that nobody had a moment ago.
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
