package container

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/duet-bench/duet/internal/sandbox"
)

// Engine is a docker engine that answers.
type Engine struct {
	docker   string        // path of the command
	patience time.Duration // with a container that was asked to end
	// CPUs and Memory are those of the engine's machine.
	CPUs   int
	Memory int64
}

const (
	answerWithin = 30 * time.Second // of an engine that is asked for something small
	// endWithin is what the Duet in a container gets to end what it started and say so, after a SIGTERM.
	endWithin = 15 * time.Second
	// lineLimit and lineCount bound what is kept of a container's stderr.
	lineLimit = 64 << 10
	lineCount = 50
)

// Find asks the docker engine that the docker command of PATH reaches.
func Find(ctx context.Context) (Engine, error) {
	docker, err := exec.LookPath("docker")
	if err != nil {
		return Engine{}, &EngineError{Reason: "the docker command is not on PATH"}
	}
	e := Engine{docker: docker, patience: endWithin}
	text, err := e.short(ctx, "info", "--format", "{{.OSType}} {{.NCPU}} {{.MemTotal}}")
	if ctx.Err() != nil {
		return Engine{}, context.Cause(ctx)
	}
	if err != nil {
		return Engine{}, &EngineError{Reason: err.Error()}
	}
	var system string
	if _, err := fmt.Sscan(text, &system, &e.CPUs, &e.Memory); err != nil || e.Memory <= 0 || e.CPUs <= 0 {
		return Engine{}, &EngineError{Reason: fmt.Sprintf("its description is %q", sandbox.Sanitize(text))}
	}
	if system != "linux" {
		return Engine{}, &EngineError{Reason: "its containers are for " + sandbox.Sanitize(system)}
	}
	return e, nil
}

// Image is the id of an image, which is pulled where the engine does not have it.
func (e Engine) Image(ctx context.Context, name string) (id string, err error) {
	if strings.HasPrefix(name, "-") {
		return "", fmt.Errorf("image %q: not a name", name)
	}
	inspect := []string{"image", "inspect", "--format", "{{.Id}}", name}
	if id, err = e.short(ctx, inspect...); err == nil {
		return id, nil
	}
	if _, err := e.run(ctx, "pull", "--quiet", name); err != nil {
		return "", fmt.Errorf("image %s is not here, and pulling it: %w", name, err)
	}
	return e.short(ctx, inspect...)
}

// NewVolume makes the volume that the containers of a run share.
func (e Engine) NewVolume(ctx context.Context, name string) error {
	_, err := e.short(ctx, "volume", "create", "--label", "duet", name)
	return err
}

// RemoveVolume removes it with all that is in it. An engine that is still about to remove the last container is waited for.
func (e Engine) RemoveVolume(ctx context.Context, name string) error {
	const tries, pause = 20, 250 * time.Millisecond
	for try := 1; ; try++ {
		_, err := e.short(context.WithoutCancel(ctx), "volume", "rm", name)
		if err == nil || try == tries || !strings.Contains(err.Error(), "in use") {
			return err
		}
		time.Sleep(pause)
	}
}

// Create makes a container that Run starts, and Remove must remove.
func (e Engine) Create(ctx context.Context, s Spec) error {
	_, err := e.run(ctx, s.create()...)
	return err
}

// Copy puts a folder of this machine at JobDir of a container that was not started yet. There root owns it.
func (e Engine) Copy(ctx context.Context, folder, name string) error {
	_, err := e.run(ctx, "cp", folder, name+":"+JobDir)
	return err
}

// Remove ends a container at once and removes it. One that is gone already is fine.
func (e Engine) Remove(ctx context.Context, name string) error {
	_, err := e.short(context.WithoutCancel(ctx), "rm", "--force", name)
	if err != nil && (strings.Contains(err.Error(), "No such container") || strings.Contains(err.Error(), "already in progress")) {
		return nil
	}
	return err
}

// Exit is how a container ended.
type Exit struct {
	Status int
	Tail   []string // last lines of stderr that nobody took, sanitised
}

// Run starts a container that was created and waits for its end. Its stdout goes to out, at most limit bytes; take is
// handed each line of its stderr and says whether that was for it. When ctx ends, the container is asked to end, and
// after a while removed.
func (e Engine) Run(ctx context.Context, name string, out io.Writer, limit int64, take func(line string) bool) (Exit, error) {
	cmd := exec.Command(e.docker, "start", "--attach", "--interactive", name)
	apart(cmd)                    // a terminal's Ctrl-C is for Duet, which then says it once
	stdin, err := cmd.StdinPipe() // closed by nobody until the end: see the package's comment
	if err != nil {
		return Exit{}, err
	}
	defer stdin.Close()
	bounded := &boundedWriter{w: out, left: limit}
	tail := &lines{take: take}
	cmd.Stdout, cmd.Stderr = bounded, tail
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return Exit{}, fmt.Errorf("starting container %s: %w", name, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err = <-ended:
	case <-ctx.Done():
		err = e.end(ctx, name, cmd, ended)
	}
	tail.flush()
	exit := Exit{Status: cmd.ProcessState.ExitCode(), Tail: tail.kept}
	var status *exec.ExitError
	switch {
	case bounded.over:
		return exit, fmt.Errorf("container %s printed more than %d bytes", name, limit)
	case err != nil && !errors.As(err, &status):
		return exit, fmt.Errorf("container %s: %w", name, err)
	}
	return exit, nil
}

// end asks the Duet in a container to end, and ends it where it does not.
func (e Engine) end(ctx context.Context, name string, cmd *exec.Cmd, ended chan error) error {
	_, asking := e.short(context.WithoutCancel(ctx), "kill", "--signal", "TERM", name)
	patience := e.patience
	if asking != nil {
		patience = 0
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(patience):
	}
	removing := e.Remove(ctx, name)
	select {
	case err := <-ended:
		return errors.Join(err, removing)
	case <-time.After(answerWithin):
		_ = cmd.Process.Kill() // the docker command alone; its container was removed, or removing says why not
		return errors.Join(<-ended, removing)
	}
}

// short is run for what takes no time: an engine that hangs is an error.
func (e Engine) short(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, answerWithin, fmt.Errorf("docker %s: no answer within %s", args[0], answerWithin))
	defer cancel()
	return e.run(ctx, args...)
}

// run runs one docker command and returns what it printed. Its error quotes the end of its stderr.
func (e Engine) run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, e.docker, args...)
	apart(cmd)
	cmd.WaitDelay = time.Second
	var stdout bytes.Buffer
	tail := &lines{take: func(string) bool { return false }}
	cmd.Stdout, cmd.Stderr = &boundedWriter{w: &stdout, left: 1 << 20}, tail
	err := cmd.Run()
	tail.flush()
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case err != nil && len(tail.kept) > 0:
		return "", fmt.Errorf("docker %s: %s", args[0], strings.Join(tail.kept, " "))
	case err != nil:
		return "", fmt.Errorf("docker %s: %w", args[0], err)
	}
	return strings.TrimSpace(stdout.String()), nil
}

// boundedWriter drops what goes beyond left bytes, and remembers that.
type boundedWriter struct {
	w    io.Writer
	left int64
	over bool
}

func (b *boundedWriter) Write(p []byte) (int, error) {
	if int64(len(p)) > b.left {
		b.over, b.left = true, 0
		return len(p), nil
	}
	b.left -= int64(len(p))
	return b.w.Write(p)
}

// lines cuts a stream into lines of bounded length, offers each to take, and keeps the last of what take does not want.
type lines struct {
	take func(line string) bool
	rest []byte
	kept []string
}

func (l *lines) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		advance, line, _ := bufio.ScanLines(l.rest, false)
		switch {
		case advance > 0:
			l.line(string(line))
			l.rest = l.rest[advance:]
		case len(l.rest) > lineLimit:
			l.line(string(l.rest[:lineLimit]))
			l.rest = l.rest[lineLimit:]
		default:
			return len(p), nil
		}
	}
}

func (l *lines) flush() {
	if len(l.rest) > 0 {
		l.line(string(l.rest))
		l.rest = nil
	}
}

func (l *lines) line(text string) {
	if l.take(text) {
		return
	}
	if text = sandbox.Sanitize(text); text == "" {
		return
	}
	if l.kept = append(l.kept, text); len(l.kept) > lineCount {
		l.kept = l.kept[1:]
	}
}
