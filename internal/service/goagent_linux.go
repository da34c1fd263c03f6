package service

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/pprof/profile"
	"golang.org/x/sys/unix"

	"github.com/duet-bench/duet/internal/goagent"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/sandbox"
)

// GoAgent is the profiler of a Go service that was built with the agent (package goagent) inside: a Profiler for one
// process tree, over a Unix socket in the box's temporary folder.
type GoAgent struct {
	wants     GoWants
	processes []*agentProcess
	cpu       time.Duration // of the service, when the window began
}

// NewGoAgent is a profiler for one service that is to be started.
func NewGoAgent(wants GoWants) *GoAgent { return &GoAgent{wants: wants} }

const (
	agentName     = "agent" // in the box's temporary folder; short, as addresses of sockets are
	agentTimeout  = time.Minute
	maxProcesses  = 64 // of a service, that are looked into
	slowdownExact = 5  // to be patient with: exact allocation sites cost every allocation a stack
)

// Tool is what samples.
func (g *GoAgent) Tool() string { return ToolGo }

// Wrap wakes the agent. Memory is sampled in the pass that asks for it alone: a program that is linked with the agent
// samples it by default, and the measured one mostly does not.
func (g *GoAgent) Wrap(box *sandbox.Box, env map[string]string) Wrap {
	w := Wrap{Env: map[string]string{goagent.Variable: filepath.Join(box.Tmp(), agentName)}}
	debug := env["GODEBUG"]
	if g.wants == GoAllocations {
		w.Env["GODEBUG"], w.Patience = withSetting(debug, "memprofilerate=1"), slowdownExact
	} else if !strings.Contains(debug, "memprofilerate=") {
		w.Env["GODEBUG"] = withSetting(debug, "memprofilerate=0")
	}
	return w
}

// Attach finds the agents of the service's processes.
func (g *GoAgent) Attach(ctx context.Context, s *Service) error {
	pids, err := s.tree()
	if err != nil {
		return err
	}
	slices.Sort(pids)
	g.processes = nil
	failed := fs.ErrNotExist
	for _, pid := range pids[:min(len(pids), maxProcesses)] {
		p := &agentProcess{pid: pid}
		if err := g.greet(ctx, s, p); err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				failed = err
			}
			continue
		}
		g.processes = append(g.processes, p)
	}
	if len(g.processes) == 0 {
		if err := s.Alive(); err != nil {
			return err
		}
		return fmt.Errorf("profiling %s: %w", s.spec.Variant, s.whyNoAgent(failed))
	}
	if g.wants != GoAllocations {
		return nil
	}
	for _, p := range g.processes {
		if p.hello.memProfRate != 1 {
			return fmt.Errorf("profiling %s: it sets runtime.MemProfileRate to %d itself, so allocations cannot be counted by their sites: leave that out where Duet starts it",
				s.spec.Variant, p.hello.memProfRate)
		}
	}
	return nil
}

func (g *GoAgent) greet(ctx context.Context, s *Service, p *agentProcess) error {
	return g.with(ctx, s, p, func(c *agentConn) error {
		text, err := c.ask(goagent.Hello, wordsLimit)
		if err == nil {
			p.hello, err = parseGreeting(text)
		}
		return err
	})
}

// whyNoAgent says what is in the way, as far as that can be seen from outside.
func (s *Service) whyNoAgent(err error) error {
	pid := strconv.Itoa(s.process.Pid())
	if exe, e := os.Readlink("/proc/" + pid + "/exe"); e == nil && !samePath(exe, s.spec.Binary) {
		return fmt.Errorf("no agent answers: the service replaced itself by %s, which has none: let duet.yml start that one", sandbox.Sanitize(exe))
	}
	if f, e := os.Open(s.spec.Binary); e == nil {
		inside, e := goagent.Inside(f)
		f.Close()
		if e == nil && !inside {
			return fmt.Errorf("no agent answers: there is none in the binary %s, which was not built for profiles", filepath.Base(s.spec.Binary))
		}
	}
	if environ, e := os.ReadFile("/proc/" + pid + "/environ"); e == nil && !strings.Contains("\x00"+string(environ), "\x00"+goagent.Variable+"=") {
		return fmt.Errorf("no agent answers: the service started itself anew without the variable %s: let it keep its environment", goagent.Variable)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("no agent answers: it made no socket in TMPDIR, or the service removed it")
	}
	return fmt.Errorf("no agent answers: %w", err)
}

func samePath(a, b string) bool {
	x, errX := filepath.EvalSymlinks(a)
	y, errY := filepath.EvalSymlinks(b)
	return errX == nil && errY == nil && x == y
}

// with holds one conversation. Between them there is no connection, and so no goroutine of it in the service.
func (g *GoAgent) with(ctx context.Context, s *Service, p *agentProcess, talk func(*agentConn) error) error {
	ctx, cancel := context.WithTimeout(ctx, agentTimeout)
	defer cancel()
	conn, err := dialAgent(ctx, s, p.pid)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	const longestHead = 64 // bytes
	err = talk(&agentConn{Conn: conn, reader: bufio.NewReaderSize(conn, longestHead)})
	if err != nil && ctx.Err() != nil {
		return errors.Join(err, context.Cause(ctx))
	}
	return err
}

// dialAgent connects to the socket of one process. Foreign code could put anything in its place, a link to somebody
// else's socket too: nothing is said before the kernel has told that the process itself listens there.
func dialAgent(ctx context.Context, s *Service, pid int) (net.Conn, error) {
	box := s.spec.Box
	path := goagent.Socket(filepath.Join(box.Tmp(), agentName), pid)
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return nil, fmt.Errorf("%s is no socket", filepath.Base(path))
	}
	folder, err := os.Open(box.Tmp())
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	short := fmt.Sprintf("/proc/self/fd/%d/%s", folder.Fd(), filepath.Base(path)) // an address holds 107 bytes
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", short)
	if err != nil {
		return nil, fmt.Errorf("connecting to process %d: %w", pid, errors.Unwrap(err))
	}
	if err := checkPeer(conn.(*net.UnixConn), pid, box.UID()); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func checkPeer(conn *net.UnixConn, pid, uid int) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	var asking error
	if err := raw.Control(func(fd uintptr) {
		peer, asking = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil || asking != nil {
		return errors.Join(err, asking)
	}
	if int(peer.Pid) != pid || (uid >= 0 && int(peer.Uid) != uid) {
		return fmt.Errorf("process %d of uid %d listens on the socket of process %d", peer.Pid, peer.Uid, pid)
	}
	return nil
}

// Begin opens a window.
func (g *GoAgent) Begin(ctx context.Context, s *Service) error {
	var err error
	if g.cpu, err = s.CPU(); err != nil {
		return err
	}
	for _, p := range g.processes {
		if err := g.with(ctx, s, p, func(c *agentConn) error { return p.begin(c, g.wants) }); err != nil {
			return s.profiling("beginning to profile", err)
		}
	}
	return nil
}

// End closes it: profiles of all processes, merged.
func (g *GoAgent) End(ctx context.Context, s *Service) ([]Collected, error) {
	spent, err := s.CPU()
	if err != nil {
		return nil, err
	}
	merged := map[result.ProfileKind][]*profile.Profile{}
	for _, p := range g.processes {
		if err := g.with(ctx, s, p, func(c *agentConn) error { return p.end(c, g.wants) }); err != nil {
			return nil, s.profiling("ending the profile of", err)
		}
		for kind, p := range p.kinds {
			merged[kind] = append(merged[kind], p)
		}
	}
	var all []Collected
	for _, kind := range result.ProfileKinds() {
		if len(merged[kind]) == 0 {
			continue
		}
		c, err := g.collect(kind, merged[kind], spent-g.cpu)
		if err != nil {
			return nil, s.profiling("collecting the "+string(kind)+" profile of", err)
		}
		all = append(all, c)
	}
	return all, nil
}

// profiling explains an error by the service's end, if that is where it comes from.
func (s *Service) profiling(what string, err error) error {
	if dead := s.Alive(); dead != nil {
		return dead
	}
	return fmt.Errorf("%s %s: %w", what, s.spec.Variant, err)
}

// collect makes one profile of those of all processes.
func (g *GoAgent) collect(kind result.ProfileKind, parts []*profile.Profile, spent time.Duration) (Collected, error) {
	c := Collected{Kind: kind}
	p, err := profile.Merge(parts)
	if err != nil {
		return Collected{}, err
	}
	if len(parts) > 1 {
		c.Notes = append(c.Notes, fmt.Sprintf("of %d processes", len(parts)))
	}
	switch kind {
	case result.ProfileCPU:
		note, err := checkSampled(p, spent)
		if err != nil {
			return Collected{}, err
		}
		c.Notes = append(c.Notes, note...)
		withoutAgent(p)
	case result.ProfileAllocs:
		c.Notes = append(c.Notes, g.tinyNote()...)
	}
	c.PProf, err = packProfile(p)
	return c, err
}

// tinyNote says how many allocations have no site.
func (g *GoAgent) tinyNote() []string {
	var all GoCounters
	for _, p := range g.processes {
		all.add(p.counters(p.after, p.ended))
	}
	if all.TinyAllocs == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%d of %d allocations were packed into a block with others (below 16 bytes, no pointers): Go does not tell their sites", all.TinyAllocs, all.AllocObjects)}
}

// Metrics is what Go's own counters say of the window: of the last one after End, of the one that is open before.
func (g *GoAgent) Metrics(ctx context.Context, s *Service) (GoCounters, error) {
	var all GoCounters
	for _, p := range g.processes {
		if p.before == nil {
			return GoCounters{}, fmt.Errorf("reading Go's counters of %s: no window was begun", s.spec.Variant)
		}
		now, at := p.after, p.ended
		if p.ended.Before(p.begun) {
			err := g.with(ctx, s, p, func(c *agentConn) (err error) { now, err = c.metrics(); return err })
			if err != nil {
				return GoCounters{}, s.profiling("reading Go's counters of", err)
			}
			at = time.Now()
		}
		c := p.counters(now, at)
		all.Seconds = max(all.Seconds, c.Seconds)
		all.add(c)
	}
	return all, nil
}
