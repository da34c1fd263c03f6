package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/duet-bench/duet/internal/demo"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// fakeDocker is the docker command in tests: it notes its argv in docker.log of $FAKE_DIR and answers as FAKE_ variables
// say. Its containers are made of the job that was copied into them.
func fakeDocker() {
	args, dir := os.Args[1:], os.Getenv("FAKE_DIR")
	note(filepath.Join(dir, "docker.log"), strings.Join(args, " "))
	refuse := func(text string) {
		fmt.Fprintln(os.Stderr, text)
		syscall.Exit(1)
	}
	switch args[0] {
	case "info":
		if os.Getenv("FAKE_INFO") == "" {
			refuse("Cannot connect to the Docker daemon")
		}
		fmt.Println(os.Getenv("FAKE_INFO"))
	case "image":
		if os.Getenv("FAKE_IMAGE") == "" {
			refuse("Error: No such image")
		}
		fmt.Println("sha256:0123456789abcdef")
	case "pull":
		refuse("pull access denied")
	case "cp":
		if err := os.CopyFS(filepath.Join(dir, "job"), os.DirFS(args[1])); err != nil {
			refuse(err.Error())
		}
	case "start":
		syscall.Exit(fakeInside(dir, args[len(args)-1]))
	case "rm":
		refuse("Error: No such container")
	case "kill":
		note(filepath.Join(dir, "killed"), args[len(args)-1])
	}
	syscall.Exit(0)
}

func note(file, line string) {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = fmt.Fprintln(f, line)
	}
	if err != nil {
		panic(err)
	}
	f.Close()
}

// fakeInside is the Duet in a container; it returns the exit status.
func fakeInside(dir, name string) int {
	if strings.HasSuffix(name, "-fetch") {
		relay{os.Stderr}.Note("downloading what %s needs ::error::x", "go@base")
		return 0
	}
	text, err := os.ReadFile(filepath.Join(dir, "job", orderFile))
	if err != nil {
		panic(err)
	}
	order, err := readOrder(text)
	if err != nil {
		panic(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "job")); err != nil {
		panic(err)
	}
	run := result.Run{Schema: result.Schema, Duet: "0.0.0-fake", State: result.Measured, Plan: order.Plan, Machine: result.Machine{Isolation: "container: fake"}}
	status := 0
	switch os.Getenv("FAKE_RUN") {
	case "tampered":
		run.Plan.Policy.Gate, run.Plan.Margins = plan.GateNever, map[string]float64{"p50": 0.9}
	case "garbage":
		fmt.Print("::error::no json")
		return 0
	case "silent":
		return 137
	case "usage":
		fmt.Fprint(os.Stderr, "duet: the configuration is odd\nhint: mend it ::error::\n")
		return 2
	case "stays":
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			if text, err := os.ReadFile(filepath.Join(dir, "killed")); err == nil && strings.TrimSpace(string(text)) == name {
				run.State, status = result.Cancelled, 130
				break
			}
		}
	}
	var out parcel
	if out.run, err = result.Encode(run); err != nil {
		panic(err)
	}
	if err := out.keep("go@head.health.cpu.pb.gz", []byte("of a profiler")); err != nil {
		panic(err)
	}
	var whole bytes.Buffer
	if err := out.write(&whole); err != nil {
		panic(err)
	}
	text = whole.Bytes()
	fmt.Print(string(text))
	return status
}

var (
	runName = regexp.MustCompile(`duet-[0-9a-f]{12}`)
	jobName = regexp.MustCompile(`cp \S+ `)
	created = regexp.MustCompile(`^create --name (\S+) .*?( --network \S+)? --entrypoint .*`)
)

// showCalls prints what docker was called with, without what differs from run to run and without what internal/container
// has its golden files for; with an argument it says whether that occurs.
func showCalls() {
	text, err := os.ReadFile(filepath.Join(os.Getenv("FAKE_DIR"), "docker.log"))
	if err != nil {
		panic(err)
	}
	if len(os.Args) > 1 {
		if !strings.Contains(string(text), os.Args[1]) {
			syscall.Exit(1)
		}
		syscall.Exit(0)
	}
	for line := range strings.Lines(string(text)) {
		line = created.ReplaceAllString(strings.TrimSuffix(line, "\n"), "create $1$2")
		fmt.Println(jobName.ReplaceAllString(runName.ReplaceAllString(line, "duet-X"), "cp JOB "))
	}
	syscall.Exit(0)
}

// An interrupt ends the container by its name, and the run says that it was cancelled.
func TestContainerInterrupted(t *testing.T) {
	dir := t.TempDir()
	repo := filepath.Join(dir, "repo")
	commits, err := demo.Write(t.Context(), repo)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"docker", "duet"} {
		if err := os.Symlink(self, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "duet"), "measure", "--base", commits.Base, "--isolation", "container", "--image", "duet", "--out", filepath.Join(dir, "out"))
	cmd.Dir = repo
	cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "FAKE_DIR=" + dir, "FAKE_INFO=linux 2 16000000000", "FAKE_IMAGE=1", "FAKE_RUN=stays"}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	log := func() string {
		text, _ := os.ReadFile(filepath.Join(dir, "docker.log"))
		return string(text)
	}
	for ctx.Err() == nil && !regexp.MustCompile(`start .*-measure`).MatchString(log()) {
		time.Sleep(10 * time.Millisecond)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // its status says more
	if got := cmd.ProcessState.ExitCode(); got != int(exitInterrupted) {
		t.Errorf("exit status %d, want %d: %s", got, exitInterrupted, &stderr)
	}
	calls := strings.Split(strings.TrimSpace(log()), "\n")
	name := runName.FindString(log())
	want := []string{"start --attach --interactive " + name + "-measure", "kill --signal TERM " + name + "-measure", "rm --force " + name + "-measure", "volume rm " + name}
	if got := calls[max(0, len(calls)-len(want)):]; !slices.Equal(got, want) {
		t.Errorf("docker's last calls are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	text, err := os.ReadFile(filepath.Join(dir, "out", runFile))
	if err != nil {
		t.Fatal(err)
	}
	if run, err := result.Decode(text); err != nil || run.State != result.Cancelled {
		t.Errorf("state %q (%v), want %q", run.State, err, result.Cancelled)
	}
}

// Orders of another version are refused with a way out.
func TestReadOrder(t *testing.T) {
	good, err := json.Marshal(insideOrder{Schema: insideSchema, Attempt: 1, PassEnv: map[string]string{"A": "1"}})
	if err != nil {
		t.Fatal(err)
	}
	order, err := readOrder(good)
	if err != nil {
		t.Fatal(err)
	}
	if value, ok := order.lookup("A"); !ok || value != "1" {
		t.Errorf("A is %q, %v", value, ok)
	}
	for text, want := range map[string]string{
		`{"schema":"duet.inside/9"}`:         "use an image of the same version",
		`{"schema":"duet.inside/2","new":1}`: "use an image of the same version",
		"no":                                 "reading the order",
	} {
		if _, err := readOrder([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}
