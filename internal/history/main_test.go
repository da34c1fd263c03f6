package history_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestMain lets this binary stand in for git: a copy of it called "git" fails at random where the network would.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "git" {
		syscall.Exit(faultyGit(os.Args[1:])) // os.Exit takes a second with the race detector
	}
	os.Exit(m.Run())
}

// faults are what a network, a busy server or a lost answer looks like.
var faults = []string{
	"error: RPC failed; HTTP 502 curl 22 The requested URL returned error: 502\nfatal: the remote end hung up unexpectedly\n",
	"fatal: unable to access 'https://github.com/o/r/': The requested URL returned error: 503\n",
	"fatal: unable to access 'https://github.com/o/r/': Could not resolve host: github.com\n",
	"remote: Internal Server Error\n ! [remote rejected] duet-history (Internal Server Error)\nerror: failed to push some refs\n",
}

// faultyGit runs the real git (REAL_GIT), but for a share FAULTS of ls-remote, fetch and push, by dice of FAULT_SEED and of how
// many calls came before; half of the pushes that fail were done all the same. Calls and faults are counted in FAULT_DIR.
// Where RACE names a script, it is run once before a push, as another recorder that was first.
func faultyGit(args []string) int {
	command := ""
	for i := 0; i < len(args) && command == ""; i++ {
		switch {
		case args[i] == "-c":
			i++
		case !strings.HasPrefix(args[i], "-"):
			command = args[i]
		}
	}
	dir := os.Getenv("FAULT_DIR")
	note(dir, "argv", strings.Join(args, " "))
	if script := os.Getenv("RACE"); script != "" && command == "push" && note(dir, "raced", "x") == 0 {
		if out, err := exec.Command("sh", "-c", script).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "RACE: %v: %s", err, out)
			return 99
		}
	}
	var fault string
	if command == "ls-remote" || command == "fetch" || command == "push" {
		share, _ := strconv.ParseFloat(os.Getenv("FAULTS"), 64)
		seed, _ := strconv.ParseUint(os.Getenv("FAULT_SEED"), 10, 64)
		dice := rand.New(rand.NewPCG(seed, uint64(note(dir, "calls", command))))
		if dice.Float64() < share {
			fault = faults[dice.IntN(len(faults))]
			note(dir, "faults", command)
			if command != "push" || dice.IntN(2) == 0 {
				fmt.Fprint(os.Stderr, fault)
				return 128
			}
		}
	}
	cmd := exec.Command(os.Getenv("REAL_GIT"), args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if fault != "" {
		cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
	}
	err := cmd.Run()
	if fault != "" {
		fmt.Fprint(os.Stderr, fault)
		return 128
	}
	if err != nil {
		return cmd.ProcessState.ExitCode()
	}
	return 0
}

// note adds a line to a file, and says how many bytes were there before: a number that no other call has.
func note(dir, name, line string) int {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0
	}
	fmt.Fprintln(f, line)
	return int(info.Size())
}

// lines counts the lines of a file that faultyGit wrote, by their text.
func lines(t *testing.T, dir, name string) map[string]int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	count := map[string]int{}
	for line := range bytes.Lines(text) {
		count[strings.TrimSpace(string(line))]++
	}
	return count
}
