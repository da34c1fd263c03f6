package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// killWithin bounds KillAll: a process that outlives SIGKILL for so long hangs in the kernel.
	killWithin = 5 * time.Second
	// sweepsAlone is how often /proc is walked before a box's uid is killed as a whole.
	sweepsAlone = 4
)

// KillEverything ends what is left in every open box, at once and within the time given.
func KillEverything(within time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	boxes.Lock()
	open := make([]*Box, 0, len(boxes.open))
	for b := range boxes.open {
		open = append(open, b)
	}
	boxes.Unlock()
	var all sync.WaitGroup
	for _, b := range open {
		all.Go(func() { _ = b.KillAll(ctx) }) // Duet ends now: nobody is left to be told
	}
	all.Wait()
}

// Processes is the pids of everything alive in the box, in no order. It walks /proc (some 20 µs a process of
// the machine).
func (b *Box) Processes() ([]int, error) {
	alive, _, err := b.members()
	if err != nil {
		return nil, fmt.Errorf("looking for processes of box %s: %w", b.name, err)
	}
	pids := make([]int, len(alive))
	for i, e := range alive {
		pids[i] = e.pid
	}
	return pids, nil
}

// KillAll ends every process of the box and all that came of it, daemonised or not, and reaps the orphans.
// Nothing else is touched. It gives up after 5 s, or with ctx, and then names what is left.
func (b *Box) KillAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, killWithin)
	defer cancel()
	b.mu.Lock()
	unused := len(b.sessions) == 0
	b.mu.Unlock()
	if unused {
		return nil
	}
	calm := 0
	for sweep := 0; ; sweep++ {
		alive, dead, err := b.members()
		if err != nil {
			return fmt.Errorf("ending processes of box %s: %w", b.name, err)
		}
		b.reap(dead)
		// /proc is no snapshot: a process that starts its successor and ends may be alive in none of the walks.
		// But it comes to Duet as a zombie and stays until it is reaped, so a walk that meets neither the living
		// nor the dead proves that nobody was alive when it began. The second one is for what Wait reaped
		// during the first.
		if len(alive)+len(dead) == 0 {
			if calm++; calm == 2 {
				return b.reaped(ctx)
			}
			continue
		}
		calm = 0
		if ctx.Err() != nil {
			return fmt.Errorf("ending processes of box %s: still alive after SIGKILL: %s", b.name, describe(append(alive, dead...)))
		}
		for _, e := range alive {
			kill(e)
		}
		if sweep >= sweepsAlone && b.uid >= 0 {
			if err := b.killUID(ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("ending processes of box %s: %w", b.name, err)
			}
		}
		pause(ctx, min(time.Duration(sweep+1)*time.Millisecond, 20*time.Millisecond))
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func describe(alive []entry) string {
	const most = 10
	var names []string
	for _, e := range alive[:min(len(alive), most)] {
		names = append(names, fmt.Sprintf("%d (%s)", e.pid, Sanitize(e.name)))
	}
	if len(alive) > most {
		names = append(names, fmt.Sprintf("and %d more", len(alive)-most))
	}
	return strings.Join(names, ", ")
}

// kill ends the process that e describes, and not one that has its pid by now.
func kill(e entry) {
	fd, err := unix.PidfdOpen(e.pid, 0)
	if err != nil {
		if errors.Is(err, unix.ENOSYS) { // before Linux 5.3
			_ = unix.Kill(e.pid, unix.SIGKILL)
		}
		return // gone
	}
	defer unix.Close(fd)
	now, ok := readEntry(e.pid)
	if !ok || now.uids != e.uids || now.session != e.session {
		return // another one, or one that the next walk sees anew
	}
	_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) // the next walk sees whether it helped
}

// killUID has a helper send SIGKILL as the box's uid.
func (b *Box) killUID(ctx context.Context) error {
	text, err := json.Marshal(order{UID: b.uid, KillUID: true})
	if err != nil {
		return err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close()
	_, err = write.Write(text)
	if err = errors.Join(err, write.Close()); err != nil {
		return err
	}
	var answer bytes.Buffer
	// In Duet's own session: so no KillAll takes it for an orphan.
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Args, cmd.Env, cmd.Dir = []string{helperName}, []string{}, "/"
	answerRead, answerWrite, err := os.Pipe()
	if err != nil {
		return err
	}
	defer answerRead.Close()
	cmd.ExtraFiles = []*os.File{read, answerWrite}
	err = cmd.Run()
	answerWrite.Close()
	if _, readErr := answer.ReadFrom(answerRead); readErr != nil {
		return readErr
	}
	if r, ok := lastReport(answer.Bytes()); ok && r.Error != "" {
		return fmt.Errorf("killing uid %d: %s", b.uid, r.Error)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil // its victims were quicker: the next sweep tries again
	}
	return err
}

// members is who belongs to the box: alive, and dead but not reaped by anyone.
//
// With a uid of its own that is who has the uid, and who came of what was started (a helper is still root).
// Without one it is the latter and the orphans that Duet, the subreaper, was given.
func (b *Box) members() (alive, dead []entry, err error) {
	table, err := processTable()
	if err != nil {
		return nil, nil, err
	}
	others := b.otherBoxes()
	self, ours := os.Getpid(), ownSession()
	mine := map[int]bool{}
	b.mu.Lock()
	for pid := range b.started {
		mine[pid] = true
	}
	b.mu.Unlock()
	for _, e := range table {
		switch {
		case b.uid >= 0:
			if slices.Contains(e.uids[:], b.uid) {
				mine[e.pid] = true
			}
		case e.parent == self && e.session != ours && b.claims(e, others):
			mine[e.pid] = true
		}
	}
	for grown := true; grown; {
		grown = false
		for _, e := range table {
			if mine[e.parent] && !mine[e.pid] {
				mine[e.pid] = true
				grown = true
			}
		}
	}
	for _, e := range table {
		switch {
		case !mine[e.pid] || e.pid == self || e.session == ours:
		case !e.zombie:
			alive = append(alive, e)
		case e.parent == self:
			dead = append(dead, e)
		}
	}
	return alive, dead, nil
}

// ownSession is the session of everything that Duet itself starts without a box. A box's processes are in
// sessions of their own from the first, and no process can enter one that exists.
func ownSession() int {
	sid, err := unix.Getsid(0)
	if err != nil {
		return -1
	}
	return sid
}

func (b *Box) otherBoxes() []*Box {
	boxes.Lock()
	defer boxes.Unlock()
	var others []*Box
	for o := range boxes.open {
		if o != b {
			others = append(others, o)
		}
	}
	return others
}

// claims says whether an orphan is of this box, which has no uid to tell by: by its session, by the folders
// in its environment, or because no other box can have left it.
func (b *Box) claims(e entry, others []*Box) bool {
	var environ []byte
	if !e.zombie {
		environ, _ = os.ReadFile(fmt.Sprintf("/proc/%d/environ", e.pid)) // not readable: no evidence
	}
	if b.knows(e, environ) {
		return true
	}
	alone := true
	for _, o := range others {
		if o.holds(e.pid) || o.knows(e, environ) {
			return false
		}
		alone = alone && o.uid >= 0
	}
	return alone
}

func (b *Box) holds(pid int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.started[pid] != nil
}

func (b *Box) knows(e entry, environ []byte) bool {
	if b.uid >= 0 {
		return slices.Contains(e.uids[:], b.uid)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sessions[e.session] ||
		bytes.Contains(environ, []byte("TMPDIR="+b.Tmp()+"\x00")) || bytes.Contains(environ, []byte("HOME="+b.Home()+"\x00"))
}

// reap collects orphans that have ended. What a box started itself is left to the goroutine that waits for it.
func (b *Box) reap(dead []entry) {
	for _, e := range dead {
		started := b.holds(e.pid)
		for _, o := range b.otherBoxes() {
			started = started || o.holds(e.pid)
		}
		if !started {
			var status syscall.WaitStatus
			_, _ = syscall.Wait4(e.pid, &status, syscall.WNOHANG, nil) // else the next walk, or init
		}
	}
}

// reaped waits until the processes that were started are collected, so that their Exit is there.
func (b *Box) reaped(ctx context.Context) error {
	b.mu.Lock()
	started := make([]*Process, 0, len(b.started))
	for _, p := range b.started {
		started = append(started, p)
	}
	b.mu.Unlock()
	for _, p := range started {
		select {
		case <-p.done:
		case <-ctx.Done():
			return fmt.Errorf("ending processes of box %s: waiting for %d: %w", b.name, p.Pid(), ctx.Err())
		}
	}
	return nil
}
