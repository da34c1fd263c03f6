package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// helperName is the argv[0] by which Duet knows that it was started to confine a child.
const helperName = "duet-sandbox"

// The helper's descriptors beside stdin, stdout and stderr.
const (
	orderFD  = 3
	reportFD = 4
	netnsFD  = 5
)

// order is what a helper is told.
type order struct {
	Argv     []string `json:"argv,omitempty"`
	Env      []string `json:"env,omitempty"`
	Dir      string   `json:"dir,omitempty"`
	UID      int      `json:"uid"`    // -1: stay who you are
	Parent   int      `json:"parent"` // pid of Duet
	CPUs     []int    `json:"cpus,omitempty"`
	FileSize uint64   `json:"file_size,omitempty"`
	NetNS    bool     `json:"netns,omitempty"` // netnsFD is open
	Mounts   []mount  `json:"mounts,omitempty"`
	// KillUID asks for something else than a program: SIGKILL to all that has UID.
	KillUID bool `json:"kill_uid,omitempty"`
}

type mount struct {
	From     string `json:"from"`
	To       string `json:"to"`
	Writable bool   `json:"writable,omitempty"`
}

// report is what a helper answers before execve.
type report struct {
	At    int64  `json:"at,omitempty"` // CLOCK_MONOTONIC, ns
	Error string `json:"error,omitempty"`
	Errno int    `json:"errno,omitempty"`
}

// Helper does not return where Duet was started as the helper that confines a child; everywhere else it does
// nothing. It is the first call of main, and of TestMain where a test starts boxes.
func Helper() {
	if len(os.Args) != 1 || os.Args[0] != helperName {
		return
	}
	// Namespaces, no_new_privs, capabilities and affinity are a thread's; execve keeps those of its caller.
	runtime.LockOSThread()
	err := confine()
	var errno syscall.Errno
	errors.As(err, &errno)
	tell(report{Error: err.Error(), Errno: int(errno)})
	syscall.Exit(127) // not os.Exit, which takes a second with the race detector
}

func tell(r report) {
	text, err := json.Marshal(r)
	if err == nil {
		_, _ = unix.Write(reportFD, text) // nobody else is left to be told
	}
}

// confine gives up everything the child must not have, in the order in which the rights for it go, and
// becomes the child. It returns only with an error.
func confine() error {
	if err := closeOnExec(); err != nil {
		return fmt.Errorf("closing descriptors: %w", err)
	}
	var o order
	if err := json.NewDecoder(os.NewFile(orderFD, "order")).Decode(&o); err != nil {
		return fmt.Errorf("reading the order: %w", err)
	}
	if o.KillUID {
		return killUID(o.UID)
	}
	if err := limit(o); err != nil {
		return err
	}
	if o.NetNS {
		if err := unix.Setns(netnsFD, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("joining the network namespace: %w", err)
		}
	}
	if err := bind(o.Mounts); err != nil {
		return err
	}
	if err := drop(o.UID); err != nil {
		return err
	}
	// A change of uid clears it; and Duet may have gone meanwhile.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("tying the child to Duet: %w", err)
	}
	if os.Getppid() != o.Parent {
		return errors.New("the parent has ended")
	}
	if err := unix.Chdir(o.Dir); err != nil {
		return fmt.Errorf("changing to %s%s: %w", o.Dir, asUID(o.UID), err)
	}
	return become(o)
}

func asUID(uid int) string {
	if uid < 0 {
		return ""
	}
	return " as uid " + strconv.Itoa(uid)
}

// closeOnExec marks every descriptor above stderr. Kernels before 5.11 lack the flag.
func closeOnExec() error {
	err := unix.CloseRange(3, 1<<31-1, unix.CLOSE_RANGE_CLOEXEC)
	if !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EINVAL) {
		return err
	}
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, name := range names {
		if fd, err := strconv.Atoi(name.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}

// descriptors is the soft limit a child starts with, if the hard one allows: shells hand down 1024, which a
// service that does not raise it itself (Go does, Rust does not) meets at 1000 connections.
const descriptors = 65536

func limit(o order) error {
	unix.Umask(0o022)
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("turning core dumps off: %w", err)
	}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return fmt.Errorf("reading the limit of descriptors: %w", err)
	}
	files.Cur = min(files.Max, descriptors)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return fmt.Errorf("setting the limit of descriptors: %w", err)
	}
	if o.FileSize > 0 {
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: o.FileSize, Max: o.FileSize}); err != nil {
			return fmt.Errorf("limiting file sizes: %w", err)
		}
	}
	if len(o.CPUs) > 0 {
		var set unix.CPUSet
		for _, cpu := range o.CPUs {
			set.Set(cpu)
		}
		if err := unix.SchedSetaffinity(0, &set); err != nil {
			return fmt.Errorf("pinning to cores %v: %w", o.CPUs, err)
		}
	}
	return nil
}

func bind(mounts []mount) error {
	if len(mounts) == 0 {
		return nil
	}
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("making a mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	for _, m := range mounts {
		if err := unix.Mount(m.From, m.To, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("mounting %s at %s: %w", m.From, m.To, err)
		}
		attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV}
		flags := uintptr(unix.MS_NOSUID | unix.MS_NODEV)
		if !m.Writable {
			attr.Attr_set |= unix.MOUNT_ATTR_RDONLY
			flags |= unix.MS_RDONLY
		}
		err := unix.MountSetattr(unix.AT_FDCWD, m.To, unix.AT_RECURSIVE, &attr)
		if errors.Is(err, unix.ENOSYS) { // before Linux 5.12: the top mount alone
			err = unix.Mount("", m.To, "", unix.MS_BIND|unix.MS_REMOUNT|flags, "")
		}
		if err != nil {
			return fmt.Errorf("protecting %s: %w", m.To, err)
		}
	}
	return nil
}

// drop gives up capabilities, groups, the uid, and every way to get them back.
func drop(uid int) error {
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
		// EINVAL: a capability this kernel lacks. EPERM: no right to drop it, and so none to hold one.
		if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EPERM) {
			return fmt.Errorf("dropping capability %d: %w", c, err)
		}
	}
	if uid >= 0 {
		if err := syscall.Setgroups(nil); err != nil {
			return fmt.Errorf("leaving all groups: %w", err)
		}
		if err := syscall.Setresgid(uid, uid, uid); err != nil {
			return fmt.Errorf("taking gid %d: %w", uid, err)
		}
		if err := syscall.Setresuid(uid, uid, uid); err != nil {
			return fmt.Errorf("taking uid %d: %w", uid, err)
		}
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil { // ambient ones go with the permitted
		return fmt.Errorf("dropping capabilities: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("setting no_new_privs: %w", err)
	}
	return nil
}

// become looks the program up as the child would, says when, and turns into it.
func become(o order) error {
	path, err := lookUp(o.Argv[0], o.Env)
	if err != nil {
		return err
	}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return err
	}
	// The report is written whole before execve and read only if that closes the pipe without more: an
	// error then replaces it.
	text, err := json.Marshal(report{At: now.Nano()})
	if err != nil {
		return err
	}
	if _, err := unix.Write(reportFD, append(text, '\n')); err != nil {
		return err
	}
	err = syscall.Exec(path, o.Argv, o.Env)
	switch {
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("%w%s: the file or the interpreter it asks for does not exist", err, asUID(o.UID))
	case errors.Is(err, unix.ENOEXEC):
		return fmt.Errorf("%w: not a program for this machine", err)
	}
	return fmt.Errorf("%w%s", err, asUID(o.UID))
}

func lookUp(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, variable := range env {
		list, found := strings.CutPrefix(variable, "PATH=")
		if !found {
			continue
		}
		for _, dir := range filepath.SplitList(list) {
			path := filepath.Join(dir, name)
			info, err := os.Stat(path)
			if filepath.IsAbs(dir) && err == nil && info.Mode().IsRegular() && unix.Access(path, unix.X_OK) == nil {
				return path, nil
			}
		}
		return "", fmt.Errorf("%w: not found in PATH %s", unix.ENOENT, list)
	}
	return "", fmt.Errorf("%w: there is no PATH to look it up in", unix.ENOENT)
}

// killUID sends SIGKILL to every process of a box's uid in one system call, which a fork loop cannot outrun.
// kill(-1) reaches all that its caller may signal: it must be nobody but that uid, and be sure of it.
func killUID(uid int) error {
	if uid < firstUID || uid > lastUID {
		return fmt.Errorf("uid %d is not a box's", uid)
	}
	if err := drop(uid); err != nil {
		return err
	}
	real, effective, saved := unix.Getresuid()
	if real != uid || effective != uid || saved != uid {
		return fmt.Errorf("still uid %d, %d, %d instead of %d", real, effective, saved, uid)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	if err := unix.Capget(&header, &caps[0]); err != nil {
		return err
	}
	if caps[0].Effective|caps[1].Effective != 0 {
		return errors.New("still holding capabilities")
	}
	if err := unix.Kill(-1, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	syscall.Exit(0)
	return nil
}
