package e2e

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
)

// gitRepo makes a repository whose commits are the given txtar files of testdata, one on the other; the first
// is on main, the others on topic.
func gitRepo(t *testing.T, files ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "repo")
	git(t, ".", "init", "-q", "-b", "main", dir)
	for i, file := range files {
		archive, err := txtar.ParseFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			path := filepath.Join(dir, f.Name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, f.Data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if i == 1 {
			git(t, dir, "checkout", "-q", "-b", "topic")
		}
		git(t, dir, "add", "-A")
		git(t, dir, "commit", "-q", "-m", file)
	}
	return dir
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	command := exec.Command("git", append([]string{"-c", "user.name=e2e", "-c", "user.email=e2e@example.com"}, args...)...)
	command.Dir = dir
	text, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, text)
	}
	return strings.TrimSpace(string(text))
}

// failures of a report, by variant.
func readFailures(t *testing.T, dir string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "run.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		Failures []struct{ Variant, Step, Error string }
	}
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, f := range r.Failures {
		found[f.Variant] = f.Step + ": " + f.Error
	}
	return found
}

// One repository with a service for every way to fail at head, and sound ones beside them: each failure is
// named, and the sound ones are measured all the same.
func TestFaultsAtHead(t *testing.T) {
	repo := gitRepo(t, "faults-base.txtar", "faults-head.txtar")
	out := filepath.Join(t.TempDir(), "out")
	o := run(t, repo, "run", "--budget", "20s", "--seed", "1", "--out", out)
	if o.status != 3 {
		t.Errorf("exit status: got %d, want 3 (head could not be measured)\n%s", o.status, o.stderr)
	}
	got := readFailures(t, out)
	for variant, want := range map[string]string{
		"nobuild@head": "undefined: missing",
		"quits@head":   "exit status 7",
		"never@head":   "/health",
		"tls@head":     "speaks TLS",
		"crash@head":   "exit status 9",
		"flood@head":   "status 500",
		"hang@head":    "no whole answer within",
		"broken@base":  "undefined: missing",
	} {
		if !strings.Contains(got[variant]+strings.Join(tailOf(t, out, variant), "\n"), want) {
			t.Errorf("%s: got %q, want it to name %q", variant, got[variant], want)
		}
		delete(got, variant)
	}
	if len(got) > 0 {
		t.Errorf("failures of sound variants: %v", got)
	}
	r := readReport(t, out)
	for _, name := range []string{"sound", "fixed", "daemon"} {
		judged := false
		for _, row := range r.Rows {
			judged = judged || row.Service == name && row.Metric == "cpu_per_request" && row.Rounds >= 7
		}
		if !judged {
			t.Errorf("%s: no row of 7 rounds: the failures of others kept it from being measured", name)
		}
	}
	comment := read(t, filepath.Join(out, "comment.md"))
	for _, want := range []string{"undefined: missing", "speaks TLS"} {
		if !strings.Contains(comment, want) {
			t.Errorf("comment.md does not say %q:\n%s", want, comment)
		}
	}
	checkNothingLeft(t)
	checkNoProcess(t, "left-behind-by-daemon")
}

// tailOf is the recorded last lines of a failed variant.
func tailOf(t *testing.T, dir, variant string) []string {
	t.Helper()
	var r struct {
		Failures []struct {
			Variant string
			LogTail []string `json:"log_tail"`
		}
	}
	if err := json.Unmarshal([]byte(read(t, filepath.Join(dir, "run.json"))), &r); err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Failures {
		if f.Variant == variant {
			return f.LogTail
		}
	}
	return nil
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// checkNoProcess wants no process whose command line holds a word.
func checkNoProcess(t *testing.T, word string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, _ := os.ReadFile(file) // gone meanwhile is what is wanted
		if bytes.Contains(text, []byte(word)) {
			t.Errorf("a process is left: %s: %q", filepath.Dir(file), text)
		}
	}
}

// Head alone, on a fixed port that somebody else has: the refusal names the port.
func TestPortTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	repo := gitRepo(t, "one.txtar")
	config := filepath.Join(repo, "duet.yml")
	text := strings.ReplaceAll(read(t, config), "PORT", port)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	git(t, repo, "commit", "-qam", "on a fixed port")
	out := filepath.Join(t.TempDir(), "out")
	o := run(t, repo, "run", "--base", "none", "--budget", "4s", "--out", out)
	if o.status != 3 || !strings.Contains(o.stderr, port) {
		t.Errorf("got status %d, want 3 and the port %s named:\n%s", o.status, port, o.stderr)
	}
	checkNothingLeft(t)
}

// Ctrl-C while building and while measuring: status 130, a true comment, and nothing left behind.
func TestInterrupt(t *testing.T) {
	repo := gitRepo(t, "one.txtar")
	config := filepath.Join(repo, "duet.yml")
	if err := os.WriteFile(config, []byte(strings.ReplaceAll(read(t, config), "    port: PORT\n", "")), 0o644); err != nil {
		t.Fatal(err)
	}
	git(t, repo, "commit", "-qam", "on any port")
	for _, moment := range []string{"  build", "screen round"} {
		t.Run(strings.TrimSpace(moment), func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			command := exec.Command(duet, "run", "--base", "none", "--budget", "60s", "--out", out)
			command.Dir, command.Env = repo, plainEnv()
			stderr, err := command.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			defer command.Process.Kill()
			seen := waitFor(t, stderr, moment)
			asked := time.Now()
			if err := command.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			_ = command.Wait() // the status says how it ended
			if got := command.ProcessState.ExitCode(); got != 130 {
				t.Errorf("exit status: got %d, want 130\n%s", got, seen)
			}
			t.Logf("ended %.1f s after the interrupt", time.Since(asked).Seconds())
			if comment := read(t, filepath.Join(out, "comment.md")); !strings.Contains(strings.ToLower(comment), "cancelled") {
				t.Errorf("comment.md does not say that the run was cancelled:\n%s", comment)
			}
			checkNothingLeft(t)
		})
	}
}

// waitFor reads until a word comes, and goes on draining behind.
func waitFor(t *testing.T, r interface{ Read([]byte) (int, error) }, word string) string {
	t.Helper()
	var seen bytes.Buffer
	buffer := make([]byte, 4096)
	for {
		n, err := r.Read(buffer)
		seen.Write(buffer[:n])
		if strings.Contains(seen.String(), word) {
			go func() {
				for err == nil {
					_, err = r.Read(buffer)
				}
			}()
			return seen.String()
		}
		if err != nil {
			t.Fatalf("ended before %q:\n%s", word, seen.String())
		}
	}
}
