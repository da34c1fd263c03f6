package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/duet-bench/duet/internal/sandbox"
)

// Callgrind is the instructions pass: the unmodified binary under valgrind's callgrind, whose counts are asked for by
// window through vgdb. Both programs are found on PATH.
type Callgrind struct {
	valgrind, vgdb string
}

// ErrNoValgrind says that this machine has no instructions pass.
var ErrNoValgrind = errors.New("valgrind is not on PATH: apt-get install valgrind")

// FindCallgrind looks for valgrind and vgdb.
func FindCallgrind() (Callgrind, error) {
	valgrind, err := exec.LookPath("valgrind")
	if err != nil {
		return Callgrind{}, ErrNoValgrind
	}
	vgdb, err := exec.LookPath("vgdb")
	if err != nil {
		return Callgrind{}, fmt.Errorf("vgdb, which comes with valgrind, is not on PATH: %w", ErrNoValgrind)
	}
	return Callgrind{valgrind: valgrind, vgdb: vgdb}, nil
}

// Files of the pass, in the box's temporary folder.
const (
	dumpName    = "callgrind.out"
	logName     = "valgrind.log"
	vgdbName    = "vgdb"
	dumpLimit   = 256 << 20 // bytes of one dump; a large Go service's has 20 MiB
	logLookedAt = 64 << 10
)

// Wrap is the wrap of a service in box, whose own environment is env.
//
// Each setting was needed: without asyncpreemptoff a Go service dies on SIGURG under callgrind; one processor and one
// worker keep the scheduler's idling out of the counts; SIGTERM handlers trip an assertion of valgrind's.
func (c Callgrind) Wrap(box *sandbox.Box, env map[string]string) Wrap {
	return Wrap{
		Argv: []string{
			c.valgrind, "--tool=callgrind", "--callgrind-out-file=" + filepath.Join(box.Tmp(), dumpName),
			"--log-file=" + filepath.Join(box.Tmp(), logName), "--vgdb-prefix=" + c.prefix(box), "--vgdb-poll=20000",
		},
		Env: map[string]string{
			"GODEBUG": withSetting(env["GODEBUG"], "asyncpreemptoff=1"), "GOMAXPROCS": "1",
			"TOKIO_WORKER_THREADS": "1", "ROCKET_WORKERS": "1",
		},
		Patience: 20, Kill: true,
	}
}

func (c Callgrind) prefix(box *sandbox.Box) string { return filepath.Join(box.Tmp(), vgdbName) }

// Zero starts a window: what was counted until now is forgotten.
func (c Callgrind) Zero(ctx context.Context, s *Service) error { return c.tell(ctx, s, "zero") }

// Dump ends the so manieth window of a service, from 1, and hands over what was counted in it. The dump was written by
// a process that runs foreign code: it is data, bounded and never trusted.
func (c Callgrind) Dump(ctx context.Context, s *Service, window int) (io.ReadCloser, error) {
	if err := c.tell(ctx, s, "dump"); err != nil {
		return nil, err
	}
	f, err := openPlain(s.spec.Box.Tmp(), fmt.Sprintf("%s.%d", dumpName, window), dumpLimit)
	if err != nil {
		return nil, fmt.Errorf("reading callgrind's dump of %s: %w", s.spec.Variant, c.explained(s, err))
	}
	return f, nil
}

// tell gives valgrind's gdbserver one command, from inside the box: whoever may talk to the service may, and Duet's own
// rights stay out of it.
func (c Callgrind) tell(ctx context.Context, s *Service, command string) error {
	exit, err := s.spec.Box.Run(ctx, sandbox.Command{Argv: []string{
		c.vgdb, "--vgdb-prefix=" + c.prefix(s.spec.Box), fmt.Sprintf("--pid=%d", s.process.Pid()), command,
	}})
	if err == nil && !exit.OK() {
		err = fmt.Errorf("vgdb %s: %s: %s", command, exit, strings.Join(exit.Tail, " "))
	}
	if err != nil {
		return fmt.Errorf("counting %s: %w", s.spec.Variant, c.explained(s, err))
	}
	return nil
}

// explained prefers what valgrind said about its own end to what came of it.
func (c Callgrind) explained(s *Service, err error) error {
	f, opening := openPlain(s.spec.Box.Tmp(), logName, dumpLimit)
	if opening != nil {
		return err
	}
	defer f.Close()
	text, _ := io.ReadAll(io.LimitReader(f, logLookedAt))
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "Assertion") || strings.Contains(line, "Illegal opcode") || strings.Contains(line, "terminating") {
			return fmt.Errorf("%w (valgrind: %s)", err, sandbox.Sanitize(strings.TrimSpace(line)))
		}
	}
	return err
}

// openPlain opens a regular file of a folder that foreign code may write: no link is followed and no pipe waited for.
func openPlain(dir, name string, limit int64) (*os.File, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", name)
	}
	if err == nil && info.Size() > limit {
		err = fmt.Errorf("%s has %d bytes, at most %d are read", name, info.Size(), limit)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
