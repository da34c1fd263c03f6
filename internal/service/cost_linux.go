package service

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/sandbox"
)

// The tree of a service is its process and all that came of it. Children are found anew at every reading
// (/proc/PID/task/TID/children); daemons, which are children of Duet by then, when all of /proc is walked: after
// the start and around a peak. Where the kernel lacks the children files, every reading walks /proc.

// walk finds the tree by all of /proc (milliseconds).
func (s *Service) walk() error {
	pids, err := s.spec.Box.Processes()
	if err != nil {
		return err
	}
	s.known = map[int]bool{s.process.Pid(): true}
	for _, pid := range pids {
		s.known[pid] = true
	}
	return nil
}

// tree is the known processes that live, and their children. It fails once the service has ended.
func (s *Service) tree() ([]int, error) {
	if err := s.Alive(); err != nil {
		return nil, err
	}
	if s.known == nil || !haveChildrenFiles(s.process.Pid()) {
		if err := s.walk(); err != nil {
			return nil, err
		}
	}
	var todo, all []int
	for pid := range s.known {
		todo = append(todo, pid)
	}
	for len(todo) > 0 {
		pid := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		found, alive := children(pid)
		if !alive {
			delete(s.known, pid)
			continue
		}
		all = append(all, pid)
		for _, child := range found {
			if !s.known[child] {
				s.known[child] = true
				todo = append(todo, child)
			}
		}
	}
	return all, nil
}

func haveChildrenFiles(pid int) bool {
	id := strconv.Itoa(pid)
	_, err := os.Stat("/proc/" + id + "/task/" + id + "/children")
	return err == nil
}

// children are those of all threads of a process.
func children(pid int) (pids []int, alive bool) {
	dir := "/proc/" + strconv.Itoa(pid) + "/task/"
	tasks, err := os.Open(dir)
	if err != nil {
		return nil, false
	}
	defer tasks.Close()
	names, err := tasks.Readdirnames(-1)
	if err != nil {
		return nil, false
	}
	for _, name := range names {
		text, _ := os.ReadFile(dir + name + "/children") // a thread that has ended has none
		for _, field := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(field); err == nil {
				pids = append(pids, child)
			}
		}
	}
	return pids, true
}

// CPU is the time the service's tree has spent, user and kernel, since it was started: the CPU clocks of all
// its processes, in nanoseconds, and what their children had spent that have ended and were waited for, which the
// kernel tells in ticks of 10 ms. A child nobody waited for (SIGCHLD ignored) takes its time with it.
func (s *Service) CPU() (time.Duration, error) {
	pids, err := s.tree()
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, pid := range pids {
		own, err := sandbox.CPUClock(pid)
		if err != nil {
			if dead := s.Alive(); dead != nil {
				return 0, dead
			}
			if pid == s.process.Pid() {
				return 0, fmt.Errorf("reading the CPU clock of %s: %w", s.spec.Variant, err)
			}
			continue // a child that has just ended
		}
		sum += own + sandbox.WaitedFor(pid)
	}
	return sum, nil
}

// Sample is the tree's memory now. PSS and PSSAnon stay zero, "not read", where the kernel keeps them from
// Duet: in a container without CAP_SYS_PTRACE, for another uid.
func (s *Service) Sample() (result.MemoryPoint, error) {
	pids, err := s.tree()
	if err != nil {
		return result.MemoryPoint{}, err
	}
	var sum result.MemoryPoint
	hidden := false
	for _, pid := range pids {
		fields, err := sizes(pid, "smaps_rollup", "Rss", "Pss", "Pss_Anon")
		if errors.Is(err, fs.ErrPermission) {
			hidden = true
			if fields, err = sizes(pid, "status", "VmRSS"); err == nil {
				fields["Rss"] = fields["VmRSS"]
			}
		}
		if err != nil {
			if pid == s.process.Pid() {
				return result.MemoryPoint{}, s.unreadable("memory", err)
			}
			continue // a child that has just ended
		}
		sum.RSS += fields["Rss"]
		sum.PSS += fields["Pss"]
		sum.PSSAnon += fields["Pss_Anon"]
	}
	if hidden {
		sum.PSS, sum.PSSAnon = 0, 0
	}
	return sum, nil
}

// ResetPeak starts PeakRSS anew from the memory of now.
func (s *Service) ResetPeak() error {
	if err := s.walk(); err != nil {
		return err
	}
	pids, err := s.tree()
	if err != nil {
		return err
	}
	for _, pid := range pids {
		const peak = "5" // proc(5), clear_refs
		err := os.WriteFile("/proc/"+strconv.Itoa(pid)+"/clear_refs", []byte(peak), 0)
		if err != nil && pid == s.process.Pid() {
			return s.unreadable("peak memory", err)
		}
	}
	return nil
}

// PeakRSS is the largest resident memory since ResetPeak: the kernel's own peak of each process, summed. The
// peaks need not have been at one time.
func (s *Service) PeakRSS() (int64, error) {
	if err := s.walk(); err != nil {
		return 0, err
	}
	pids, err := s.tree()
	if err != nil {
		return 0, err
	}
	var sum int64
	for _, pid := range pids {
		fields, err := sizes(pid, "status", "VmHWM")
		if err != nil && pid == s.process.Pid() {
			return 0, s.unreadable("peak memory", err)
		}
		sum += fields["VmHWM"]
	}
	return sum, nil
}

func (s *Service) unreadable(what string, err error) error {
	if dead := s.Alive(); dead != nil {
		return dead
	}
	return fmt.Errorf("reading the %s of %s: %w", what, s.spec.Variant, err)
}

// sizes reads fields in kB from a file of /proc/PID, as bytes.
func sizes(pid int, file string, names ...string) (map[string]int64, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/" + file)
	if err != nil {
		return nil, err
	}
	found := map[string]int64{}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		for _, name := range names {
			if key != name {
				continue
			}
			number, _, _ := strings.Cut(strings.TrimSpace(value), " ")
			if kb, err := strconv.ParseInt(number, 10, 64); err == nil {
				found[key] = kb << 10
			}
		}
	}
	if len(found) < len(names) {
		return nil, fmt.Errorf("%s of process %d lacks %s: it has just ended", file, pid, strings.Join(names, ", "))
	}
	return found, nil
}
