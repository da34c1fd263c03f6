package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Box is a place in which commands run: folders, a uid where possible, and every process that was ever
// started in it or came of one. Its methods may be used from several goroutines.
type Box struct {
	name  string
	dir   string
	uid   int          // -1: Duet's own
	claim net.Listener // holds the uid against other Duet processes

	spawner chan func() // see spawn
	closed  chan struct{}
	once    sync.Once

	mu       sync.Mutex
	started  map[int]*Process // not waited for yet
	sessions map[int]bool     // of everything ever started
}

// boxes is every open Box of this process. It is a variable of the package because the children of a process,
// and the subreaper attribute that brings orphans to it, belong to the process as a whole.
var boxes = struct {
	sync.Mutex
	open map[*Box]bool
}{open: map[*Box]bool{}}

// Guard makes Duet a subreaper, so that no daemon escapes it, and closes its memory and environment to other
// processes of its uid. It belongs before anything of theirs runs.
func Guard() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("becoming a subreaper: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("closing own memory to other processes: %w", err)
	}
	return nil
}

// New makes a box's folders and, where Duet is root and o.Isolate is set, finds it a uid of its own.
func New(o Options) (*Box, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("making box %s: %w", o.Name, err)
	}
	b := &Box{name: o.Name, dir: dir, uid: -1, spawner: make(chan func()), closed: make(chan struct{}),
		started: map[int]*Process{}, sessions: map[int]bool{}}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("making box %s: becoming a subreaper: %w", o.Name, err)
	}
	if o.Isolate && mayChangeUID() {
		if b.uid, b.claim, err = claimUID(); err != nil {
			return nil, fmt.Errorf("making box %s: %w", o.Name, err)
		}
	}
	if err := b.makeFolders(); err != nil {
		b.release()
		return nil, fmt.Errorf("making box %s: %w", o.Name, err)
	}
	go b.spawnLoop()
	boxes.Lock()
	boxes.open[b] = true
	boxes.Unlock()
	return b, nil
}

func (b *Box) makeFolders() error {
	if err := os.MkdirAll(b.dir, 0o711); err != nil {
		return err
	}
	if err := os.MkdirAll(b.Logs(), 0o700); err != nil {
		return err
	}
	if err := b.makePrivate(); err != nil {
		return err
	}
	if b.uid < 0 {
		return nil
	}
	if err := os.Chmod(b.dir, 0o711); err != nil {
		return err
	}
	for path := b.dir; ; path = filepath.Dir(path) {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if info.Mode()&0o001 == 0 {
			return fmt.Errorf("other users cannot pass %s (mode %#o), so uid %d has no way to its home: make it 0711 or choose another folder",
				path, info.Mode().Perm(), b.uid)
		}
		if path == filepath.Dir(path) {
			return nil
		}
	}
}

// makePrivate makes the children's home and temporary folder.
func (b *Box) makePrivate() error {
	for _, path := range []string{b.Home(), b.Tmp()} {
		if err := os.MkdirAll(path, 0o700); err != nil {
			return err
		}
		if err := b.Own(path); err != nil {
			return err
		}
	}
	return nil
}

// removePrivate removes them with all that was left there.
func (b *Box) removePrivate() error {
	return errors.Join(RemoveTree(b.Home()), RemoveTree(b.Tmp()))
}

// Renew empties the children's home and temporary folder. Nothing of the box may run.
func (b *Box) Renew() error {
	if err := errors.Join(b.removePrivate(), b.makePrivate()); err != nil {
		return fmt.Errorf("renewing the home of box %s: %w", b.name, err)
	}
	return nil
}

// Level says how far children are confined, for people.
func (b *Box) Level() string {
	if b.uid >= 0 {
		return "basic: own uid, no_new_privs, subreaper"
	}
	return "basic: no_new_privs, subreaper (no uid of its own)"
}

// UID is the box's own uid, -1 where it shares Duet's.
func (b *Box) UID() int { return b.uid }

// Dir is the folder that holds all others.
func (b *Box) Dir() string { return b.dir }

// Home is the children's HOME.
func (b *Box) Home() string { return filepath.Join(b.dir, "home") }

// Tmp is the children's TMPDIR.
func (b *Box) Tmp() string { return filepath.Join(b.dir, "tmp") }

// Logs is a folder the children cannot write, where they have a uid of their own.
func (b *Box) Logs() string { return filepath.Join(b.dir, "logs") }

// Own gives a file or a whole tree to the box's uid. Links are given, never followed.
func (b *Box) Own(path string) error {
	if b.uid < 0 {
		return nil
	}
	if err := os.Lchown(path, b.uid, b.uid); err != nil {
		return err
	}
	info, err := os.Lstat(path)
	if err != nil || !info.IsDir() {
		return err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		return root.Lchown(name, b.uid, b.uid)
	})
}

// Close ends what is left in the box and removes its home and tmp; logs stay for whoever owns Dir.
func (b *Box) Close() error {
	var err error
	b.once.Do(func() {
		err = b.KillAll(context.Background())
		err = errors.Join(err, b.removePrivate())
		boxes.Lock()
		delete(boxes.open, b)
		boxes.Unlock()
		close(b.closed)
		b.release()
	})
	return err
}

func (b *Box) release() {
	if b.claim != nil {
		b.claim.Close()
	}
}

// spawnLoop forks on one thread that lives as long as the box: PR_SET_PDEATHSIG, the backup for a Duet that
// is killed, fires when the forking thread ends, not the process.
func (b *Box) spawnLoop() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for {
		select {
		case f := <-b.spawner:
			f()
		case <-b.closed:
			return
		}
	}
}

// spawn runs f on the box's thread.
func (b *Box) spawn(f func() error) error {
	done := make(chan error, 1)
	select {
	case b.spawner <- func() { done <- f() }:
		return <-done
	case <-b.closed:
		return fmt.Errorf("box %s is closed", b.name)
	}
}

// The uids boxes draw from: by systemd's table (UIDS-GIDS.md) nobody hands these out, and they fit the
// 65536 ids of a container. A Duet in a container has a range of its own: one outside sees its processes, by the same
// uids, but neither its claims nor its boxes, and would take them for what its own boxes left behind.
const (
	firstUID      = 60600
	firstInnerUID = 60850
	lastUID       = 61099
)

// uidRange is where the boxes of this process draw their uids from.
func uidRange() (first, last int) {
	const initial = "pid:[4026531836]" // PROC_PID_INIT_INO, the same on every Linux
	if at, err := os.Readlink("/proc/self/ns/pid"); err == nil && at != initial {
		return firstInnerUID, lastUID
	}
	return firstUID, firstInnerUID - 1
}

func mayChangeUID() bool {
	if os.Geteuid() != 0 {
		return false
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false
	}
	const need = 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID | 1<<unix.CAP_CHOWN | 1<<unix.CAP_KILL
	return data[0].Effective&need == need && mapped("/proc/self/uid_map") && mapped("/proc/self/gid_map")
}

// mapped says whether a user namespace knows the boxes' ids.
func mapped(path string) bool {
	text, err := os.ReadFile(path)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		var inside, outside, count int64
		if _, err := fmt.Sscan(line, &inside, &outside, &count); err == nil && inside <= firstUID && lastUID < inside+count {
			return true
		}
	}
	return false
}

// claimUID finds a uid that no account, no process and no other Duet uses. The claim is an abstract socket:
// taken atomically, and gone with the process however it ends.
func claimUID() (int, net.Listener, error) {
	used, err := usedIDs()
	if err != nil {
		return -1, nil, err
	}
	first, last := uidRange()
	for uid := first; uid <= last; uid++ {
		if used[uid] {
			continue
		}
		claim, err := net.Listen("unix", fmt.Sprintf("@duet-uid-%d", uid))
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return -1, nil, fmt.Errorf("claiming uid %d: %w", uid, err)
		}
		return uid, claim, nil
	}
	return -1, nil, fmt.Errorf("finding a free uid: all of %d to %d are in use", first, last)
}

func usedIDs() (map[int]bool, error) {
	used := map[int]bool{}
	for _, file := range []string{"/etc/passwd", "/etc/group"} {
		text, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("looking for a free uid: %w", err)
		}
		for line := range strings.Lines(string(text)) {
			var id int
			if fields := strings.Split(line, ":"); len(fields) > 2 {
				if _, err := fmt.Sscan(fields[2], &id); err == nil {
					used[id] = true
				}
			}
		}
	}
	table, err := processTable()
	if err != nil {
		return nil, fmt.Errorf("looking for a free uid: %w", err)
	}
	for _, p := range table {
		for _, uid := range p.uids {
			used[uid] = true
		}
	}
	return used, nil
}
