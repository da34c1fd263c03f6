package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/sandbox"
)

// Perf profiles any program, static ones too, from the kernel: nothing of it is in the service's process. perf only writes
// down what the kernel says: the program's own file is read by Duet (see symbols), and by no tool with Duet's rights.
type Perf struct {
	path  string
	names *symboliser

	running *recording
	opened  time.Time
	cpu     time.Duration // of the service when the window was opened
}

// recording is one perf that runs.
type recording struct {
	dir    string // Duet's own
	cmd    *exec.Cmd
	pipes  [2]*os.File // by which it is told to begin and says that it did; perf gives up when they are closed
	stderr bytes.Buffer
	ended  chan error
}

const (
	perfWithin   = 20 * time.Second
	perfName     = "perf.data"
	perfLimit    = 512 << 20 // bytes of a perf.data, which holds every sample
	perfSaysMost = 4 << 10
)

// FindPerf looks for perf and tries it: whether the kernel lets it look is not to be known otherwise.
func FindPerf() (*Perf, error) {
	path, err := exec.LookPath("perf")
	if err != nil {
		return nil, errors.New("perf is not on PATH: apt-get install linux-perf (Debian) or linux-tools-generic (Ubuntu)")
	}
	p := &Perf{path: path}
	dir, err := os.MkdirTemp("", "duet-perf")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	r := recording{dir: dir}
	r.cmd = p.command(dir, "--", "true")
	r.cmd.Stderr = &r.stderr
	if err := r.cmd.Run(); err != nil {
		return nil, fmt.Errorf("perf does not work here: %s", r.says(err))
	}
	return p, nil
}

// command is perf with its output in a folder of Duet's own, on a target. Neither build ids nor their cache are asked for:
// perf would read the program's file for them.
func (p *Perf) command(dir string, target ...string) *exec.Cmd {
	c := exec.Command(p.path, append([]string{"record", "--no-buildid", "--no-buildid-cache", "-e", "cpu-clock",
		"-F", strconv.Itoa(perfHertz), "--call-graph", "fp", "-o", filepath.Join(dir, perfName)}, target...)...)
	c.Dir = dir
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "PERF_CONFIG=/dev/null", "LANG=C"}
	return c
}

func (p *Perf) Tool() string { return "perf" }

// Wrap changes nothing: perf looks from outside.
func (p *Perf) Wrap(*sandbox.Box, map[string]string) Wrap { return Wrap{} }

// Attach has nothing to do but to forget the process before.
func (p *Perf) Attach(_ context.Context, s *Service) error {
	p.names.close()
	p.names = newSymboliser(s.spec.Binary)
	return nil
}

// Begin opens a window.
func (p *Perf) Begin(_ context.Context, s *Service) (err error) {
	if err := s.Alive(); err != nil {
		return p.explained(s, err)
	}
	if p.running, err = p.record(s.process.Pid()); err == nil {
		p.cpu, err = s.CPU()
	}
	p.opened = time.Now()
	return p.explained(s, err)
}

// End closes it.
func (p *Perf) End(ctx context.Context, s *Service) ([]Collected, error) {
	if p.running == nil {
		return nil, p.explained(s, errors.New("no window is open"))
	}
	took := time.Since(p.opened)
	spent, clockErr := s.CPU()
	raw, err := p.running.finish()
	p.running = nil
	if err = errors.Join(clockErr, err); err != nil {
		return nil, p.explained(s, err)
	}
	spent -= p.cpu
	parsed, lost, err := parsePerf(raw)
	if err == nil && len(parsed.Sample) == 0 {
		err = fmt.Errorf("%w: the window had %s of CPU time", errNothingSampled, spent.Round(time.Millisecond))
	}
	if err != nil {
		return nil, p.explained(s, err)
	}
	notes := append(p.names.name(ctx, parsed), cpuMissed(parsed, spent)...)
	notes = append(notes, "stacks follow frame pointers, which Rust leaves out by default: callers can be missing or wrong, the functions at work are right")
	if lost > 0 {
		notes = append(notes, fmt.Sprintf("the kernel dropped %d samples", lost))
	}
	parsed.DurationNanos = took.Nanoseconds()
	text, err := encoded(parsed)
	if err != nil {
		return nil, p.explained(s, fmt.Errorf("naming the functions of its CPU profile: %w", err))
	}
	return []Collected{{Kind: result.ProfileCPU, PProf: text, Notes: notes}}, nil
}

func (p *Perf) explained(s *Service, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("profiling %s with perf: %w", s.spec.Variant, err)
}

// record starts perf on a process and returns once it counts.
func (p *Perf) record(pid int) (*recording, error) {
	dir, err := os.MkdirTemp("", "duet-perf")
	if err != nil {
		return nil, err
	}
	r := &recording{dir: dir, ended: make(chan error, 1)}
	r.cmd = p.command(dir, "--delay=-1", "--control", "fd:3,4", "-p", strconv.Itoa(pid))
	r.cmd.Stderr = &r.stderr
	if err := r.start(); err != nil {
		r.remove()
		return nil, err
	}
	return r, nil
}

// remove forgets what perf wrote and closes the pipes to it.
func (r *recording) remove() {
	for _, pipe := range r.pipes {
		if pipe != nil {
			pipe.Close()
		}
	}
	os.RemoveAll(r.dir)
}

// start starts perf and has it begin.
func (r *recording) start() error {
	orders, order, err := os.Pipe() // what perf reads, what it is told
	if err != nil {
		return err
	}
	r.pipes[0] = order
	answer, answers, err := os.Pipe()
	if err != nil {
		orders.Close()
		return err
	}
	r.pipes[1] = answer
	r.cmd.ExtraFiles = []*os.File{orders, answers}
	err = r.cmd.Start()
	orders.Close()
	answers.Close()
	if err != nil {
		return fmt.Errorf("starting perf: %w", err)
	}
	go func() { r.ended <- r.cmd.Wait() }()
	if _, err = io.WriteString(order, "enable\n"); err == nil {
		err = answer.SetReadDeadline(time.Now().Add(perfWithin))
	}
	if err == nil {
		_, err = io.ReadFull(answer, make([]byte, len("ack\n")))
	}
	if err != nil {
		r.cmd.Process.Kill()
		<-r.ended
		return fmt.Errorf("perf did not begin: %s", r.says(err))
	}
	return nil
}

// says is what perf printed about its end, or err.
func (r *recording) says(err error) string {
	text := r.stderr.String()
	text = text[:min(len(text), perfSaysMost)]
	if strings.Contains(text, "perf_event_paranoid") || strings.Contains(text, "access to performance monitoring") {
		return "the kernel does not let us look: sudo sysctl kernel.perf_event_paranoid=1"
	}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			return sandbox.Sanitize(line)
		}
	}
	return err.Error()
}

// finish ends perf and hands over what it wrote.
func (r *recording) finish() ([]byte, error) {
	defer r.remove()
	r.cmd.Process.Signal(os.Interrupt) // an error is that it has ended: the file tells the rest
	late := time.NewTimer(perfWithin)
	defer late.Stop()
	select {
	case <-r.ended: // by our signal, whatever its status
	case <-late.C:
		r.cmd.Process.Kill()
		<-r.ended
		return nil, fmt.Errorf("perf did not end within %s", perfWithin)
	}
	f, err := openPlain(r.dir, perfName, perfLimit)
	if err != nil {
		return nil, fmt.Errorf("perf left no profile: %s", r.says(err))
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, perfLimit))
}
