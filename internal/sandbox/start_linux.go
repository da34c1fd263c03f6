package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// Process is one command that was started in a Box.
type Process struct {
	box     *Box
	process *os.Process
	output  *output
	spawned time.Time
	done    chan struct{}
	exit    Exit      // once done; without Wall
	ended   time.Time // once done
}

// drainGrace is how long the end of the output is waited for after a process has ended and something else
// still holds its stdout.
const drainGrace = 100 * time.Millisecond

// Start runs a command. It returns once the program is running, or tells why it is not; ctx bounds only that.
func (b *Box) Start(ctx context.Context, c Command) (*Process, error) {
	if len(c.Argv) == 0 || c.Argv[0] == "" {
		return nil, errors.New("starting a command: no program given")
	}
	p, err := b.start(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.Argv[0], err)
	}
	return p, nil
}

func (b *Box) start(ctx context.Context, c Command) (*Process, error) {
	o, err := b.order(c)
	if err != nil {
		return nil, err
	}
	w, err := openWires(c)
	if err != nil {
		return nil, err
	}
	defer w.closeChildEnds()
	p := &Process{box: b, done: make(chan struct{})}
	if err := b.spawn(func() error { return b.fork(p, w.child) }); err != nil {
		w.closeOwnEnds()
		return nil, err
	}
	p.output = keepOutput(w.output, w.log, c.LogLimit)
	w.closeChildEnds()
	go p.wait()
	if err := p.confirm(ctx, w, o); err != nil {
		p.Kill()
		<-p.done
		return nil, err
	}
	return p, nil
}

// order is what the helper is told to do.
func (b *Box) order(c Command) (order, error) {
	o := order{Argv: c.Argv, Dir: c.Dir, UID: b.uid, Parent: os.Getpid(), CPUs: c.CPUs, FileSize: c.FileSize, NetNS: c.NetNS != ""}
	if o.Dir == "" {
		o.Dir = b.Home()
	}
	env := map[string]string{
		"PATH":   os.Getenv("PATH"),
		"HOME":   b.Home(),
		"TMPDIR": b.Tmp(),
		"LANG":   "C.UTF-8",
		"TZ":     "UTC",
	}
	if env["PATH"] == "" {
		env["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	}
	maps.Copy(env, c.Env)
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(env[name], "\x00") || !utf8.ValidString(name+env[name]) {
			return order{}, fmt.Errorf("environment variable %q: not a name or a value that can be handed over", name)
		}
		o.Env = append(o.Env, name+"="+env[name])
	}
	for _, bind := range c.Binds {
		to := filepath.Clean(bind.To)
		if err := b.mountPoint(bind.From, to); err != nil {
			return order{}, fmt.Errorf("mounting %s at %s: %w", bind.From, bind.To, err)
		}
		o.Mounts = append(o.Mounts, mount{From: bind.From, To: to, Writable: slices.Contains(c.Rw, bind.To)})
	}
	return o, nil
}

// mountPoint makes what a bind is mounted on, if it is missing and the box's own.
func (b *Box) mountPoint(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(to); err == nil {
		return nil
	}
	if !strings.HasPrefix(to, b.dir+"/") {
		return fmt.Errorf("the mount point does not exist and is not in %s", b.dir)
	}
	if info.IsDir() {
		return os.MkdirAll(to, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, nil, 0o644)
}

// fork starts the helper and books it, so that nobody takes its exit for an orphan's.
func (b *Box) fork(p *Process, files []*os.File) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	process, err := os.StartProcess("/proc/self/exe", []string{helperName}, &os.ProcAttr{
		Dir: "/", Env: []string{}, Files: files,
		Sys: &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		return err
	}
	p.process = process
	p.spawned = time.Now()
	b.started[process.Pid] = p
	b.sessions[process.Pid] = true
	return nil
}

// wires are the files between Duet and a helper.
type wires struct {
	child  []*os.File // stdin, stdout, stderr, order, report and, where asked for, the network namespace
	output *os.File
	log    *os.File // nil: none
	order  *os.File
	report *os.File
}

func openWires(c Command) (w *wires, err error) {
	w = &wires{}
	defer func() {
		if err != nil {
			w.closeChildEnds()
			w.closeOwnEnds()
		}
	}()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return w, err
	}
	w.child = append(w.child, null)
	var childEnd *os.File
	if w.output, childEnd, err = os.Pipe(); err != nil {
		return w, err
	}
	w.child = append(w.child, childEnd, childEnd)
	if childEnd, w.order, err = os.Pipe(); err != nil {
		return w, err
	}
	w.child = append(w.child, childEnd)
	if w.report, childEnd, err = os.Pipe(); err != nil {
		return w, err
	}
	w.child = append(w.child, childEnd)
	if c.NetNS != "" {
		ns, err := os.Open(c.NetNS)
		if err != nil {
			return w, fmt.Errorf("joining a network namespace: %w", err)
		}
		w.child = append(w.child, ns)
	}
	if c.Log != "" {
		w.log, err = os.OpenFile(c.Log, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|syscall.O_NOFOLLOW, 0o600)
	}
	return w, err
}

func (w *wires) closeChildEnds() {
	for _, f := range w.child {
		f.Close() // the output's end is there twice: closing it again does nothing
	}
}

func (w *wires) closeOwnEnds() {
	for _, f := range []*os.File{w.output, w.log, w.order, w.report} {
		if f != nil {
			f.Close()
		}
	}
}

// confirm hands the order over and waits for execve, which closes the report pipe. What the helper wrote
// until then is the moment of the call, or the error that kept it from it.
func (p *Process) confirm(ctx context.Context, w *wires, o order) error {
	stop := context.AfterFunc(ctx, p.Kill)
	defer stop()
	err := json.NewEncoder(w.order).Encode(o)
	w.order.Close()
	text, readErr := io.ReadAll(w.report)
	w.report.Close()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err = errors.Join(err, readErr); err != nil && len(text) == 0 {
		return fmt.Errorf("talking to the helper: %w", err)
	}
	r, ok := lastReport(text)
	if !ok {
		<-p.done
		return fmt.Errorf("the helper ended early (%s)%s", p.exit, quoted(p.exit.Tail))
	}
	if r.Error != "" {
		return &startError{text: r.Error, errno: syscall.Errno(r.Errno)}
	}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return err
	}
	p.spawned = time.Now().Add(-time.Duration(now.Nano() - r.At))
	return nil
}

// lastReport is the one that holds: an error after the moment says that execve failed.
func lastReport(text []byte) (r report, ok bool) {
	for lines := json.NewDecoder(bytes.NewReader(text)); ; ok = true {
		var next report
		if lines.Decode(&next) != nil {
			return r, ok
		}
		r = next
	}
}

func quoted(tail []string) string {
	if len(tail) == 0 {
		return ""
	}
	return ": " + tail[len(tail)-1]
}

// startError is what the helper could not do. It unwraps to the system's error, so that errors.Is works.
type startError struct {
	text  string
	errno syscall.Errno
}

func (e *startError) Error() string { return e.text }

func (e *startError) Unwrap() error {
	if e.errno == 0 {
		return nil
	}
	return e.errno
}

func (p *Process) wait() {
	state, err := p.process.Wait()
	p.ended = time.Now()
	p.box.mu.Lock()
	delete(p.box.started, p.process.Pid)
	p.box.mu.Unlock()
	timer := time.NewTimer(drainGrace)
	defer timer.Stop()
	select {
	case <-p.output.done:
	case <-timer.C:
	}
	p.exit = Exit{Code: -1, Tail: p.output.lines()}
	if err == nil {
		p.exit.CPU = state.UserTime() + state.SystemTime()
		p.exit.Code = state.ExitCode()
		if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			p.exit.Signal = unix.SignalName(status.Signal())
		}
	}
	close(p.done)
}

// Pid is the program's process id.
func (p *Process) Pid() int { return p.process.Pid }

// Spawned is the moment of execve.
func (p *Process) Spawned() time.Time { return p.spawned }

// Done is closed when the process has ended; what it left behind may live on, see KillAll.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exit waits for the process and says how it ended.
func (p *Process) Exit() Exit {
	<-p.done
	exit := p.exit
	exit.Wall = p.ended.Sub(p.spawned)
	return exit
}

// Tail is the last lines of output so far, sanitised.
func (p *Process) Tail() []string { return p.output.lines() }

// Signal sends the process alone a signal.
func (p *Process) Signal(s os.Signal) error { return p.process.Signal(s) }

// Kill ends the process alone, at once; KillAll ends all that came of it.
func (p *Process) Kill() { _ = p.process.Kill() } // the only error is that it has ended

// Run starts a command and waits for it. When ctx ends first, everything in the box is killed.
func (b *Box) Run(ctx context.Context, c Command) (Exit, error) {
	p, err := b.Start(ctx, c)
	if err != nil {
		return Exit{Code: -1}, err
	}
	select {
	case <-p.Done():
		return p.Exit(), nil
	case <-ctx.Done():
		err := b.KillAll(context.WithoutCancel(ctx))
		select {
		case <-p.Done():
			return p.Exit(), errors.Join(context.Cause(ctx), err)
		default:
			return Exit{Code: -1}, errors.Join(context.Cause(ctx), err)
		}
	}
}
