package service

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/duet-bench/duet/internal/sandbox"
)

// listener is a socket that takes TCP connections on loopback, alone or among others.
type listener struct {
	port, uid int
	inode     string
}

// listeners reads tcp and tcp6 of a network namespace's folder in /proc.
func listeners(dir string) ([]listener, error) {
	var all []listener
	for _, name := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if name == "tcp6" && errors.Is(err, fs.ErrNotExist) {
			continue // a kernel without IPv6
		}
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(text)) {
			if l, ok := parseListener(line); ok {
				all = append(all, l)
			}
		}
	}
	return all, nil
}

// parseListener reads one line: "0: 0100007F:1F90 00000000:0000 0A … uid timeout inode …".
func parseListener(line string) (listener, bool) {
	const listening = "0A"
	fields := strings.Fields(line)
	if len(fields) < 10 || fields[3] != listening {
		return listener{}, false
	}
	address, portText, _ := strings.Cut(fields[1], ":")
	port, err := strconv.ParseUint(portText, 16, 16)
	if err != nil || !reachable(address) {
		return listener{}, false
	}
	uid, err := strconv.Atoi(fields[7])
	if err != nil {
		return listener{}, false
	}
	return listener{port: int(port), uid: uid, inode: fields[9]}, true
}

// reachable says whether a connection to loopback may end up at an address: a wildcard, 127/8, ::1, or
// 127/8 mapped. The kernel prints words of four bytes, on the machines Duet measures on with the first byte last.
func reachable(address string) bool {
	const (
		loopback6 = "00000000000000000000000001000000"
		mapped    = "0000000000000000FFFF0000"
	)
	address = strings.TrimPrefix(address, mapped)
	if strings.Trim(address, "0") == "" || address == loopback6 {
		return true
	}
	return len(address) == 8 && strings.HasSuffix(address, "7F")
}

func find(all []listener, port int) (listener, bool) {
	for _, l := range all {
		if l.port == port {
			return l, true
		}
	}
	return listener{}, false
}

// checkOwner makes sure that every socket a connection may end up at is the service's.
func (s *Service) checkOwner() error {
	all, err := listeners("/proc/" + strconv.Itoa(s.process.Pid()) + "/net")
	if err != nil {
		if dead := s.Alive(); dead != nil {
			return s.ended(whenStarting)
		}
		return fmt.Errorf("looking for who listens on port %d: %w", s.port, err)
	}
	var own map[string]bool // sockets of the box's processes; read only where uids do not tell
	found := false
	for _, l := range all {
		if l.port != s.port {
			continue
		}
		found = true
		if uid := s.spec.Box.UID(); uid >= 0 && l.uid == uid {
			continue
		}
		if own == nil {
			pids, err := s.spec.Box.Processes()
			if err != nil {
				return err
			}
			own = map[string]bool{}
			for _, pid := range pids {
				sockets(pid, own)
			}
		}
		if !own[l.inode] {
			return &PortError{Variant: s.spec.Variant, Port: s.port, Owner: owner(l.inode), Fixed: s.spec.Service.Port != 0}
		}
	}
	if !found {
		return fmt.Errorf("%s answered on port %d, but nothing listens there any more", s.spec.Variant, s.port)
	}
	return nil
}

// stranger is the error that somebody else has the port, if so: it explains every other one.
func (s *Service) stranger() error {
	var taken *PortError
	if err := s.checkOwner(); errors.As(err, &taken) {
		return taken
	}
	return nil
}

// sockets adds the inodes of a process's sockets. A process that is gone or closed to us has none.
func sockets(pid int, inodes map[string]bool) {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd/"
	names, _ := os.ReadDir(dir)
	for _, name := range names {
		target, _ := os.Readlink(dir + name.Name())
		if inode, ok := strings.CutPrefix(target, "socket:["); ok {
			inodes[strings.TrimSuffix(inode, "]")] = true
		}
	}
}

// owner names the process that holds a socket, as far as Duet may see; empty if it may not.
func owner(inode string) string {
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, proc := range procs {
		pid, err := strconv.Atoi(filepath.Base(proc))
		if err != nil {
			continue
		}
		inodes := map[string]bool{}
		sockets(pid, inodes)
		if inodes[inode] {
			name, _ := os.ReadFile(proc + "/comm")
			return fmt.Sprintf("%s (pid %d)", sandbox.Sanitize(strings.TrimSpace(string(name))), pid)
		}
	}
	return ""
}
