package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/sandbox"
)

const (
	errNoSpace = syscall.ENOSPC
	errNoExec  = syscall.ENOEXEC
)

// recipe is how one service is built. All of it is decided before any code of its side runs.
type recipe struct {
	service plan.Service
	variant plan.Variant
	err     error // why it cannot be built

	rel   string // the service's dir, relative to the tree, slash-separated
	dir   string // the same, absolute: where commands run
	tools toolchain

	fetch    []string // nil: nothing to download
	fetchKey string   // recipes with the same key download the same
	fetchEnv map[string]string
	fetched  time.Duration

	build    []string
	buildEnv map[string]string
	clean    func() error // makes the build a clean one
	binary   place

	main     string // file with the main function, relative to the tree; empty: not known
	mainText []byte

	settings map[string]string
	notes    []string
	// measured adds what only the finished build tells: dependencies, settings.
	measured func(ctx context.Context, binary string, record *result.Build)
}

// place is where a build leaves its binary.
type place struct {
	open     func() (*os.Root, error)
	patterns []string // relative to the root, in order of preference; slash-separated, may hold wildcards
}

// inOut is a place in the folder of one build's output; its own folder is Duet's.
func (w *Workshop) inOut(patterns ...string) place {
	return place{open: func() (*os.Root, error) { return os.OpenRoot(w.out()) }, patterns: patterns}
}

// inDir is a place in a service's dir, which is opened through the tree's root: whatever the build has made
// of that folder, it is not left.
func (w *Workshop) inDir(rel, name string) place {
	open := func() (*os.Root, error) { return w.site.root.OpenRoot(filepath.FromSlash(rel)) }
	return place{open: open, patterns: []string{path.Clean(filepath.ToSlash(name))}}
}

// find opens the root and names the one file there that is the binary.
func (p place) find() (*os.Root, string, error) {
	root, err := p.open()
	if err != nil {
		return nil, "", err
	}
	for _, pattern := range p.patterns {
		if !strings.ContainsAny(pattern, `*?[\`) {
			if _, err := root.Stat(filepath.FromSlash(pattern)); err == nil {
				return root, pattern, nil
			}
			continue
		}
		if matches, err := fs.Glob(root.FS(), pattern); err == nil && len(matches) == 1 {
			return root, matches[0], nil
		}
	}
	root.Close()
	return nil, "", fmt.Errorf("the build made no %s", strings.Join(p.patterns, " or "))
}

// prepare fills in the recipe of one service.
func (w *Workshop) prepare(ctx context.Context, r *recipe) error {
	if err := w.locate(r); err != nil {
		return err
	}
	var err error
	switch r.service.Lang {
	case plan.Go:
		err = w.prepareGo(ctx, r)
	case plan.Rust:
		err = w.prepareRust(ctx, r)
	default:
		return plan.Usagef("", "service %s: unexpected lang %q: expected %s or %s", r.service.Name, r.service.Lang, plan.Go, plan.Rust)
	}
	if err != nil {
		return err
	}
	maps.Copy(r.buildEnv, w.site.Env)
	for _, knob := range []string{"GOGC", "GOMAXPROCS", "GOMEMLIMIT", "GODEBUG", "TOKIO_WORKER_THREADS", "MALLOC_ARENA_MAX", "LD_PRELOAD"} {
		if value, ok := r.service.Env[knob]; ok {
			r.settings[knob] = value
		}
	}
	if len(r.service.Build) > 0 {
		r.settings["build"] = strings.Join(r.service.Build, " ")
	}
	if r.main == "" {
		return nil
	}
	if r.mainText, err = readRegular(w.site.root, r.main); err != nil {
		return fmt.Errorf("reading the main file: %w", err)
	}
	return nil
}

// locate finds the service's dir in the tree.
func (w *Workshop) locate(r *recipe) error {
	rel := path.Join(w.site.Repo, filepath.ToSlash(r.service.Dir))
	if !filepath.IsLocal(filepath.FromSlash(rel)) {
		return plan.Usagef("give a path inside the repository, or ../NAME for a second checkout beside it",
			"service %s: dir %q leaves the exported tree", r.service.Name, r.service.Dir)
	}
	info, err := w.site.root.Stat(filepath.FromSlash(rel))
	if err != nil || !info.IsDir() {
		return plan.Usagef("correct `dir:` of the service in duet.yml; it counts from the repository's root",
			"service %s: no folder %q at %s", r.service.Name, r.service.Dir, w.site.Side)
	}
	if len(r.service.Build) > 0 && (r.service.Binary == "" || !filepath.IsLocal(filepath.FromSlash(r.service.Binary))) {
		return plan.Usagef("name it with `binary:`, relative to the service's dir",
			"service %s: its own `build:` needs to say which file it makes, inside the service's dir", r.service.Name)
	}
	r.rel, r.dir = rel, filepath.Join(w.tree(), filepath.FromSlash(rel))
	r.settings = map[string]string{}
	return nil
}

// notBuildable is the error of a service that has nothing to build it by. Where there is a Dockerfile, it can perhaps be
// built there alone: Duet builds with the tools at hand, so that image has to be where Duet runs.
func (w *Workshop) notBuildable(r *recipe, format string, args ...any) error {
	hint := "correct `dir:`, or say how to build it with `build:` and `binary:`"
	fsys := w.site.root.FS()
	own := exists(fsys, path.Join(r.rel, "go.mod")) || exists(fsys, path.Join(r.rel, "Cargo.toml"))
	if file := path.Join(r.rel, "Dockerfile"); exists(fsys, file) && !own {
		hint = fmt.Sprintf("it has a Dockerfile, and Duet builds with the tools of the machine it runs on: name the image that %s builds in as the job's `container:` "+
			"(`jobs: {duet: {container: IMAGE}}`), and say how to build there with `build:` and `binary:`", path.Join(r.service.Dir, "Dockerfile"))
	}
	return plan.Usagef(hint, format, args...)
}

// upward finds the nearest of the named files in dir and the folders above it, up to the tree's root.
func upward(fsys fs.FS, dir string, names ...string) (string, bool) {
	for {
		for _, name := range names {
			if p := path.Join(dir, name); exists(fsys, p) {
				return p, true
			}
		}
		if dir == "." {
			return "", false
		}
		dir = path.Dir(dir)
	}
}

// Build builds one service of the side that is in, and keeps its binary and files in out, which it makes.
// A *Failure is the tree's own doing, a *plan.UsageError the configuration's; Built.Record holds, in either
// case, what is known.
func (w *Workshop) Build(ctx context.Context, service, out string) (Built, error) {
	if w.site == nil || w.site.recipes[service] == nil {
		return Built{}, fmt.Errorf("building %s: the workshop was not entered with it", service)
	}
	r := w.site.recipes[service]
	b := Built{Dir: out, Record: result.Build{
		Variant: r.variant, Toolchain: r.tools.version, Settings: r.settings,
		Notes: r.notes, FetchSeconds: r.fetched.Seconds(),
	}}
	err := r.err
	twin, found := w.twin(r)
	switch {
	case err != nil:
	case found:
		err = w.share(ctx, twin, r, &b)
	default:
		err = w.build(ctx, r, &b)
	}
	if err == nil {
		w.site.made = append(w.site.made, made{service: r.service, built: b})
	}
	if err != nil {
		b.Record.Error = err.Error()
		if failure := (*Failure)(nil); errors.As(err, &failure) {
			b.Record.LogTail = failure.Tail
		}
	}
	return b, err
}

func (w *Workshop) build(ctx context.Context, r *recipe, b *Built) error {
	if err := w.startClean(r); err != nil {
		return fmt.Errorf("preparing the build of %s: %w", r.variant, w.spaceError(err))
	}
	w.o.Progress(fmt.Sprintf("building %s", r.variant))
	exit, err := w.run(ctx, r, "building", r.build, r.buildEnv)
	if err == nil {
		err = w.site.Box.KillAll(ctx)
	}
	if err != nil {
		return err
	}
	b.Record.CleanSeconds, b.Record.CleanCPU = exit.Wall.Seconds(), exit.CPU.Seconds()
	if err := w.keep(r, b); err != nil {
		return err
	}
	if r.measured != nil {
		r.measured(ctx, b.Binary, &b.Record)
	}
	if !w.site.again {
		w.rebuild(ctx, r, &b.Record)
	}
	return errors.Join(ctx.Err(), w.site.Box.KillAll(ctx))
}

// made is a service of the side that is in and what its build came to.
type made struct {
	service  plan.Service
	built    Built
	profiled Profiled // zero: not made
}

// twin is a service that was built by the same recipe already: only how they are started differs.
func (w *Workshop) twin(r *recipe) (made, bool) {
	for _, m := range w.site.made {
		if sameBuild(m.service, r.service) {
			return m, true
		}
	}
	return made{}, false
}

func sameBuild(a, b plan.Service) bool {
	return a.Lang == b.Lang && a.Dir == b.Dir && a.Binary == b.Binary && slices.Equal(a.Build, b.Build) && slices.Equal(a.Files, b.Files)
}

// share gives a service its twin's figures, and a copy of its binary and files. A second build would make the same
// again, and what its time showed beyond the first's would be noise; but services that ran one and the same file would
// share its pages, in memory and in the processor's caches, and so be lighter and quicker than the others.
func (w *Workshop) share(ctx context.Context, twin made, r *recipe, b *Built) error {
	if err := copyKept(twin.built.Dir, b.Dir); err != nil {
		return fmt.Errorf("keeping the binary of %s: %w", r.variant, w.spaceError(err))
	}
	b.Binary, b.Files, b.kept = filepath.Join(b.Dir, filepath.Base(twin.built.Binary)), twin.built.Files, twin.built.kept
	of := twin.built.Record
	b.Record.CleanSeconds, b.Record.CleanCPU = of.CleanSeconds, of.CleanCPU
	b.Record.IncrementalSeconds, b.Record.IncrementalCPU = of.IncrementalSeconds, of.IncrementalCPU
	b.Record.BinaryBytes, b.Record.BinarySHA256 = of.BinaryBytes, of.BinarySHA256
	b.Record.InputsSHA256 = inputsSHA256(of.BinarySHA256, b.kept, r.service)
	b.Record.Notes = append(slices.Clone(b.Record.Notes), "built once for it and "+twin.service.Name)
	if r.measured != nil {
		r.measured(ctx, b.Binary, &b.Record)
	}
	return nil
}

// copyKept copies what was kept of a service, modes included.
func copyKept(from, to string) error {
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return err
	}
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		return os.Chmod(filepath.Join(to, relative), info.Mode().Perm())
	})
}

// startClean removes what an earlier build compiled.
func (w *Workshop) startClean(r *recipe) error {
	if err := removeAll(w.out()); err != nil {
		return err
	}
	if err := os.Mkdir(w.out(), 0o755); err != nil {
		return err
	}
	if r.clean != nil {
		if err := r.clean(); err != nil {
			return err
		}
	}
	return w.site.Box.Own(w.out())
}

// keep copies the binary and the files beside it to where no box can change them.
func (w *Workshop) keep(r *recipe, b *Built) error {
	if err := os.MkdirAll(b.Dir, 0o755); err != nil {
		return fmt.Errorf("keeping the binary of %s: %w", r.variant, err)
	}
	out, err := os.OpenRoot(b.Dir)
	if err != nil {
		return fmt.Errorf("keeping the binary of %s: %w", r.variant, err)
	}
	defer out.Close()
	files, err := w.keepFiles(r, out)
	if err != nil {
		return err
	}
	name := binaryName(r.service.Name, files)
	root, from, err := r.binary.find()
	if err != nil {
		return &Failure{Step: "keeping the binary", Err: err, Tail: nil}
	}
	defer root.Close()
	binary, size, err := keepFile(root, from, out, name, binaryLimit)
	if err != nil {
		return w.keepError("keeping the binary", err)
	}
	if !binary.executable {
		return &Failure{Step: "keeping the binary", Err: fmt.Errorf("%s is not executable", from)}
	}
	b.Binary = filepath.Join(b.Dir, name)
	b.Record.BinaryBytes, b.Record.BinarySHA256 = size, binary.sha256
	b.Record.InputsSHA256 = inputsSHA256(binary.sha256, files, r.service)
	b.kept = files
	for _, f := range files {
		b.Files = append(b.Files, f.name)
	}
	return nil
}

func (w *Workshop) keepFiles(r *recipe, out *os.Root) ([]kept, error) {
	if len(r.service.Files) == 0 {
		return nil, nil
	}
	dir, err := w.site.root.OpenRoot(filepath.FromSlash(r.rel))
	if err != nil {
		return nil, w.keepError("copying files", err)
	}
	defer dir.Close()
	files, err := keepFiles(dir, r.service.Files, out)
	if err != nil {
		return nil, w.keepError("copying files", err)
	}
	return files, nil
}

// keepError is a Failure unless the disk is to blame.
func (w *Workshop) keepError(step string, err error) error {
	if disk := (*DiskError)(nil); errors.As(w.spaceError(err), &disk) {
		return disk
	}
	return &Failure{Step: step, Err: err}
}

// binaryName is the service's name, made different from whatever was copied beside it.
func binaryName(service string, files []kept) string {
	name := service
	for i := 0; i < len(files); i++ {
		if first, _, _ := strings.Cut(files[i].name, "/"); first == name {
			name, i = name+".bin", -1
		}
	}
	return name
}

// rebuild times the incremental build. It tells something about the service's compile time and nothing about
// the service, so that its failure is a note.
func (w *Workshop) rebuild(ctx context.Context, r *recipe, record *result.Build) {
	note := func(format string, args ...any) {
		record.Notes = append(record.Notes, "incremental build not timed: "+fmt.Sprintf(format, args...))
	}
	if r.main == "" {
		note("no single file with the main function was found in %s", r.service.Dir)
		return
	}
	if err := w.touch(r); err != nil {
		note("changing %s: %v", path.Base(r.main), err)
		return
	}
	w.removeBinary(r) // so that it is linked again, as after a change that counts
	w.o.Progress(fmt.Sprintf("building %s again after a change", r.variant))
	exit, err := w.run(ctx, r, "rebuilding", r.build, r.buildEnv)
	if err != nil {
		note("%v", err)
		return
	}
	record.IncrementalSeconds, record.IncrementalCPU = exit.Wall.Seconds(), exit.CPU.Seconds()
}

// touch replaces the main file by itself and a newline. It writes a new file: whatever the build left at that
// path, a link out of the tree included, is not written through.
func (w *Workshop) touch(r *recipe) error {
	name := filepath.FromSlash(r.main)
	if err := w.site.root.Remove(name); err != nil {
		return err
	}
	f, err := w.site.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(r.mainText[:len(r.mainText):len(r.mainText)], '\n'))
	if uid := w.site.Box.UID(); uid >= 0 {
		err = errors.Join(err, f.Chown(uid, uid))
	}
	return errors.Join(err, f.Close())
}

// toolchain is a compiler as a box sees it.
type toolchain struct {
	version string // "go1.26.8", "rustc 1.95.0 (…)"
	root    string // GOROOT or sysroot, as the box sees it
	binds   []sandbox.Bind
}

func (t toolchain) bin(name string) string { return filepath.Join(t.root, "bin", name) }

// reachable is root as the box can read it: where other users cannot pass (/root is 0700), it is mounted,
// read-only, at a path that is the same for both sides.
func (w *Workshop) reachable(root, name string) (toolchain, error) {
	root, err := filepath.EvalSymlinks(root)
	if err != nil {
		return toolchain{}, err
	}
	if w.site.Box.UID() < 0 || openToOthers(root) {
		return toolchain{root: root}, nil
	}
	to := w.path("toolchains", name)
	if err := os.MkdirAll(to, 0o755); err != nil {
		return toolchain{}, err
	}
	return toolchain{root: to, binds: []sandbox.Bind{{From: root, To: to}}}, nil
}

// openToOthers says whether any user can read a folder, given without links in its path.
func openToOthers(dir string) bool {
	info, err := os.Stat(dir)
	if err != nil || info.Mode()&0o005 != 0o005 {
		return false
	}
	for up := filepath.Dir(dir); ; up = filepath.Dir(up) {
		info, err := os.Stat(up)
		if err != nil || info.Mode()&0o001 == 0 {
			return false
		}
		if up == filepath.Dir(up) {
			return true
		}
	}
}
