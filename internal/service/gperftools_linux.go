package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/google/pprof/profile"

	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/sandbox"
)

// Gperftools profiles a program that was built without any thought of it: a library of gperftools' is loaded into it
// (LD_PRELOAD), which a signal tells to begin and to end.
type Gperftools struct {
	want    Want
	library string // as the kernel shows it, without links
	names   *symboliser
	window  int // of this process, from 0
	opened  time.Time
	cpu     time.Duration    // of the service when the window was opened
	before  *profile.Profile // the heap then
}

// FindGperftools looks for the library that yields what is wanted, where the distributions put it.
func FindGperftools(want Want) (*Gperftools, error) {
	name := map[Want]string{WantCPU: "libprofiler.so.0", WantAllocations: "libtcmalloc.so.4"}[want]
	for _, folder := range libraryFolders {
		if path, err := filepath.EvalSymlinks(filepath.Join(folder, name)); err == nil {
			return &Gperftools{want: want, library: path}, nil
		}
	}
	return nil, fmt.Errorf("%s is not here: apt-get install google-perftools libgoogle-perftools4 (Fedora: dnf install gperftools-libs; Arch: pacman -S gperftools)", name)
}

// libraryFolders are those of Debian and Ubuntu, Fedora, Arch, and what was installed by hand.
var libraryFolders = [...]string{"/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib64", "/usr/local/lib"}

const (
	// profileSignal opens and closes windows. Its default is death: it is never sent to a process without the library.
	profileSignal = syscall.SIGUSR2
	// cpuHertz is the kernel's own tick: asked for more, samples are lost.
	cpuHertz = 250

	cpuFile     = "cpuprofile"
	heapFile    = "heapprofile"
	obeysWithin = 10 * time.Second
	// dumpAgain is how long a dump may be without a sign before it is asked for again: the profiler drops a signal that
	// comes while a thread allocates.
	dumpAgain = 250 * time.Millisecond
	// settlesWithin is how long a signal's handler may be at work. Services that keep the signal from some of their threads
	// look like that for good.
	settlesWithin = 500 * time.Millisecond
)

func (g *Gperftools) Tool() string { return "gperftools" }

// Wrap is the wrap of a service in box, whose own environment is env.
//
// How stacks are walked was tried: libgcc, which the heap needs (the default is four times slower there), crashes services
// under the CPU profiler, and frame pointers are not in Rust's binaries.
func (g *Gperftools) Wrap(box *sandbox.Box, env map[string]string) Wrap {
	w := Wrap{Kill: true, Env: map[string]string{"LD_PRELOAD": strings.TrimPrefix(env["LD_PRELOAD"]+":"+g.library, ":")}}
	number := strconv.Itoa(int(profileSignal))
	if g.want == WantCPU {
		w.Env["CPUPROFILE"] = filepath.Join(box.Tmp(), cpuFile)
		w.Env["CPUPROFILESIGNAL"] = number
		w.Env["CPUPROFILE_FREQUENCY"] = strconv.Itoa(cpuHertz)
		w.Env["TCMALLOC_STACKTRACE_METHOD"] = "libunwind"
		return w
	}
	w.Patience = 10
	w.Env["HEAPPROFILE"] = filepath.Join(box.Tmp(), heapFile)
	w.Env["HEAPPROFILESIGNAL"] = number
	w.Env["HEAP_PROFILE_ALLOCATION_INTERVAL"] = "0"
	w.Env["HEAP_PROFILE_INUSE_INTERVAL"] = "0"
	w.Env["TCMALLOC_STACKTRACE_METHOD"] = "libgcc"
	return w
}

// Attach checks that the library is in the process, and there before any of the service's own code, and that it waits for
// its signal.
func (g *Gperftools) Attach(_ context.Context, s *Service) error {
	g.names.close()
	g.names, g.window = newSymboliser(s.spec.Binary), 0
	pid := s.process.Pid()
	here, err := mapped(pid, g.library)
	if err == nil && !here {
		err = fmt.Errorf("%s is not in its process: a static binary, or one that is started by another program, does not load it", filepath.Base(g.library))
	}
	if err != nil {
		return g.explained(s, err)
	}
	return g.explained(s, g.listening(pid))
}

// listening says whether a process that gets the signal would live.
func (g *Gperftools) listening(pid int) error {
	caught, err := catches(pid, profileSignal)
	if err == nil && !caught {
		err = fmt.Errorf("nobody in its process waits for signal %d: the service may have taken it away from the profiler", profileSignal)
	}
	return err
}

// Begin opens a window.
func (g *Gperftools) Begin(ctx context.Context, s *Service) (err error) {
	if g.want == WantAllocations {
		raw, err := g.dump(ctx, s)
		if err == nil {
			g.before, err = parseRaw(raw)
		}
		g.opened = time.Now()
		return g.explained(s, err)
	}
	if err := g.signal(ctx, s); err != nil {
		return g.explained(s, err)
	}
	name := fmt.Sprintf("%s.%d", cpuFile, g.window)
	begun, err := s.within(ctx, obeysWithin, func() (bool, error) { return exists(s.spec.Box.Tmp(), name), nil })
	if err == nil && !begun {
		err = fmt.Errorf("it began no profile within %s of signal %d: the service may handle that signal itself", obeysWithin, profileSignal)
	}
	if err == nil {
		g.cpu, err = s.CPU()
	}
	g.opened = time.Now()
	return g.explained(s, err)
}

// End closes it.
func (g *Gperftools) End(ctx context.Context, s *Service) ([]Collected, error) {
	took := time.Since(g.opened)
	end := g.endCPU
	if g.want == WantAllocations {
		end = g.endHeap
	}
	all, err := end(ctx, s, took)
	if err != nil {
		return nil, g.explained(s, err)
	}
	return all, nil
}

func (g *Gperftools) endCPU(ctx context.Context, s *Service, took time.Duration) ([]Collected, error) {
	spent, err := s.CPU()
	if err != nil {
		return nil, err
	}
	spent -= g.cpu
	if err := g.signal(ctx, s); err != nil {
		return nil, err
	}
	raw, err := g.written(ctx, s, fmt.Sprintf("%s.%d", cpuFile, g.window))
	if err != nil {
		return nil, err
	}
	g.window++
	p, err := parseRaw(raw)
	if err != nil {
		return nil, fmt.Errorf("reading its CPU profile: %w", err)
	}
	if err := emptyCPU(p, spent); err != nil {
		return nil, err
	}
	one, err := g.collected(ctx, result.ProfileCPU, p, took)
	if err != nil {
		return nil, err
	}
	one.Notes = append(one.Notes, cpuMissed(p, spent)...)
	if pids, err := s.tree(); err == nil && len(pids) > 1 {
		one.Notes = append(one.Notes, fmt.Sprintf("of its %d processes the first alone was profiled", len(pids)))
	}
	return []Collected{one}, nil
}

func (g *Gperftools) endHeap(ctx context.Context, s *Service, took time.Duration) ([]Collected, error) {
	raw, err := g.dump(ctx, s)
	if err != nil {
		return nil, err
	}
	after, err := parseRaw(raw)
	if err != nil {
		return nil, fmt.Errorf("reading its heap profile: %w", err)
	}
	if len(after.Sample) == 0 {
		return nil, fmt.Errorf("%w: the service allocates by other means than malloc", errNothingSampled)
	}
	allocs, inUse := heapWindow(g.before, after)
	var all []Collected
	for _, one := range []struct {
		kind result.ProfileKind
		p    *profile.Profile
	}{{result.ProfileAllocs, allocs}, {result.ProfileHeap, inUse}} {
		c, err := g.collected(ctx, one.kind, one.p, took)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

func (g *Gperftools) collected(ctx context.Context, kind result.ProfileKind, p *profile.Profile, took time.Duration) (Collected, error) {
	notes := g.names.name(ctx, p)
	p.DurationNanos = took.Nanoseconds()
	text, err := encoded(p)
	if err != nil {
		return Collected{}, fmt.Errorf("naming the functions of its %s profile: %w", kind, err)
	}
	return Collected{Kind: kind, PProf: text, Notes: notes}, nil
}

// signal tells the library to begin or to end. It looks anew whether the process would survive that, and waits for the end
// of the signal before: two of them at work in two threads would leave the library at odds about what it does.
func (g *Gperftools) signal(ctx context.Context, s *Service) error {
	if _, err := s.within(ctx, settlesWithin, func() (bool, error) { return handled(s.process.Pid(), profileSignal), nil }); err != nil {
		return err
	}
	if err := g.listening(s.process.Pid()); err != nil {
		return err
	}
	if err := s.process.Signal(profileSignal); err != nil {
		return fmt.Errorf("sending signal %d: %w", profileSignal, err)
	}
	return nil
}

// dump has the heap written out and hands it over.
func (g *Gperftools) dump(ctx context.Context, s *Service) ([]byte, error) {
	g.window++ // dumps are counted from 1
	for exists(s.spec.Box.Tmp(), heapName(g.window)) {
		g.window++ // one that was asked for twice
	}
	name := heapName(g.window)
	for begun := time.Now(); time.Since(begun) < obeysWithin; {
		if err := g.signal(ctx, s); err != nil {
			return nil, err
		}
		there, err := s.within(ctx, dumpAgain, func() (bool, error) { return exists(s.spec.Box.Tmp(), name), nil })
		if err != nil {
			return nil, err
		}
		if there {
			return g.written(ctx, s, name)
		}
	}
	return nil, fmt.Errorf("it wrote no heap profile within %s of signal %d: its allocations are not seen", obeysWithin, profileSignal)
}

func heapName(number int) string { return fmt.Sprintf("%s.%04d.heap", heapFile, number) }

// written waits until the process has closed a profile and reads it.
func (g *Gperftools) written(ctx context.Context, s *Service, name string) ([]byte, error) {
	dir, pid := s.spec.Box.Tmp(), s.process.Pid()
	done, err := s.within(ctx, obeysWithin, func() (bool, error) { return closed(pid, name) })
	if err == nil && !done {
		err = fmt.Errorf("it did not finish its profile within %s of signal %d", obeysWithin, profileSignal)
	}
	if err != nil {
		return nil, err
	}
	f, err := openPlain(dir, name, rawLimit)
	if err != nil {
		return nil, fmt.Errorf("reading its profile: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, rawLimit))
	if err != nil {
		return nil, fmt.Errorf("reading its profile: %w", err)
	}
	return raw, nil
}

// explained puts the pass before an error, and before the end of a service that may be of the profiler's doing.
func (g *Gperftools) explained(s *Service, err error) error {
	if err == nil {
		return nil
	}
	var ended *EndedError
	if errors.As(err, &ended) {
		return fmt.Errorf("profiling %s with gperftools: it may not bear the profiler, and was measured without: %w", s.spec.Variant, err)
	}
	return fmt.Errorf("profiling %s with gperftools: %w", s.spec.Variant, err)
}

// exists says whether there is anything of that name in a folder of foreign code.
func exists(dir, name string) bool {
	_, err := os.Lstat(filepath.Join(dir, name))
	return err == nil
}
