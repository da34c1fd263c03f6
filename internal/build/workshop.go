package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/sandbox"
)

// Options is what a Workshop needs.
type Options struct {
	// Dir is a folder of Duet's own that other users can pass (mode 0711 or wider, like every folder above
	// it). All trees, caches and temporary output live in it; kept binaries do not.
	Dir      string
	Environ  []string      // the caller's environment: PATH, proxies and certificates are taken from it
	Deadline time.Duration // of one fetch, one clean build, one incremental build; 0: DefaultDeadline
	MinFree  int64         // bytes that must be free before a side is entered; 0: by its services
	Progress func(string)  // hears what is being done; may be nil
	// Seed is a folder of earlier downloads (the cache folder of Fetch), whose copy the first side begins with; it may be
	// missing. Nothing that ran the code under test may ever have written to it.
	Seed string
	// Profiles says that BuildForProfiles will be asked for: what its agent needs of Go's standard library is then compiled
	// with the rest of it, once, instead of for every service.
	Profiles bool
	// Again keeps what it takes to EnterAgain. Without it that fails.
	Again bool
}

// Workshop owns the one path at which both sides are built. Its use, in this order:
//
//	shop, err := NewWorkshop(Options{…})
//	// export base below shop.Tree(plan.Base) and head below shop.Tree(plan.Head), before anything runs
//	for base, then head:
//		err = shop.Enter(ctx, Site{Side: side, Box: box, Repo: "repo", Services: …}) // moves, resolves, downloads
//		built, err := shop.Build(ctx, "go", out)                                     // for each service
//		err = shop.Leave(ctx)                                                        // removes tree and caches
//	// perhaps, with Options.Again: EnterAgain in the place of Enter, to build in another way
//	err = shop.Close()
//
// It is not for use by several goroutines.
type Workshop struct {
	o    Options
	site *site // nil: nobody is in

	brought  map[plan.Side]map[string]download // what Bring brought in place of downloads
	goHost   *goHost                           // once looked up
	compiled map[string]map[string]bool        // packages of the standard library, by toolchain
	sysroots map[string]sysroot                // by channel
	again    again
}

// Site is one side's stay in the workshop.
type Site struct {
	Side plan.Side
	Box  *sandbox.Box
	// Repo is the repository's folder below Tree(Side), one element long, so that a service's dir "../other"
	// is a sibling in the same tree.
	Repo     string
	Services []plan.Service
	// Env is what builds see beside what Duet sets; of EnterAgain alone.
	Env map[string]string
}

// site is a Site that was entered.
type site struct {
	Site
	again   bool
	root    *os.Root // of the tree
	recipes map[string]*recipe
	made    []made
}

// NewWorkshop makes the workshop's folders in o.Dir.
func NewWorkshop(o Options) (*Workshop, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("making the workshop: %w", err)
	}
	o.Dir = dir
	if o.Deadline == 0 {
		o.Deadline = DefaultDeadline
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	w := &Workshop{o: o, brought: map[plan.Side]map[string]download{}, compiled: map[string]map[string]bool{}, sysroots: map[string]sysroot{}}
	for _, folder := range []struct {
		path string
		mode fs.FileMode
	}{{w.o.Dir, 0o711}, {w.path("staged"), 0o700}, {w.path("kept"), 0o700}, {w.path("toolchains"), 0o711}} {
		if err := os.MkdirAll(folder.path, folder.mode); err != nil {
			return nil, fmt.Errorf("making the workshop: %w", err)
		}
	}
	for _, side := range []plan.Side{plan.Base, plan.Head} {
		if err := os.MkdirAll(w.Tree(side), 0o755); err != nil {
			return nil, fmt.Errorf("making the workshop: %w", err)
		}
	}
	return w, nil
}

// Tree is where a side's trees are to be exported, before Enter; no box can reach it. It is an existing
// empty folder.
func (w *Workshop) Tree(side plan.Side) string { return w.path("staged", string(side)) }

// The fixed paths of whichever side is in. All but kept and toolchains belong to its box.
func (w *Workshop) tree() string  { return w.path("tree") }
func (w *Workshop) cache() string { return w.path("cache") } // what was downloaded
func (w *Workshop) out() string   { return w.path("out") }   // binaries and compiled packages of one build
func (w *Workshop) path(elements ...string) string {
	return filepath.Join(append([]string{w.o.Dir}, elements...)...)
}

// Enter moves a side's tree to the fixed path, finds out how each service is built, and downloads what the
// builds need. What goes wrong with one service is answered by Build of that service; Enter's own error
// means that nothing can be built.
func (w *Workshop) Enter(ctx context.Context, s Site) error {
	if w.site != nil {
		return fmt.Errorf("entering the workshop with %s: %s is still in", s.Side, w.site.Side)
	}
	if err := w.enter(ctx, s); err != nil {
		return errors.Join(fmt.Errorf("preparing the builds of %s: %w", s.Side, err), w.Leave(context.WithoutCancel(ctx)))
	}
	return nil
}

func (w *Workshop) enter(ctx context.Context, s Site) error {
	if err := w.moveIn(ctx, s); err != nil {
		return err
	}
	if w.brought[s.Side] != nil {
		w.takeDownloads(w.brought[s.Side])
	} else if err := w.download(ctx); err != nil {
		return err
	}
	if err := w.putAside(ctx); err != nil {
		return err
	}
	return w.compileStandardLibrary(ctx)
}

// moveIn moves a side's tree to the fixed path and finds out how each service is built.
func (w *Workshop) moveIn(ctx context.Context, s Site) error {
	if err := w.checkSpace(s.Services); err != nil {
		return err
	}
	if err := os.Rename(w.Tree(s.Side), w.tree()); err != nil {
		return err
	}
	if err := w.enterCache(s); err != nil {
		return err
	}
	return w.settle(ctx, s)
}

// settle gives the side its tree and finds out how each service is built.
func (w *Workshop) settle(ctx context.Context, s Site) error {
	if err := s.Box.Own(w.tree()); err != nil {
		return err
	}
	root, err := os.OpenRoot(w.tree())
	if err != nil {
		return err
	}
	w.site = &site{Site: s, root: root, recipes: map[string]*recipe{}}
	for _, service := range s.Services {
		r := &recipe{service: service, variant: plan.Variant{Service: service.Name, Side: s.Side}}
		w.site.recipes[service.Name] = r
		if r.err = w.prepare(ctx, r); r.err != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// download gets what the builds of the side that is in need, and keeps a copy for the other one.
func (w *Workshop) download(ctx context.Context) error {
	if err := w.fetchAll(ctx); err != nil {
		return err
	}
	return w.keepCache(w.site.Site)
}

// enterCache gives the side what was brought for it, else what base had downloaded, or nothing.
func (w *Workshop) enterCache(s Site) error {
	from := w.path("kept", "cache")
	if w.brought[s.Side] != nil {
		from = w.broughtCache(s.Side)
	}
	if err := os.Rename(from, w.cache()); err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := w.seedCache(); err != nil {
			return err
		}
	}
	if err := w.writeCargoConfig(); err != nil {
		return err
	}
	return s.Box.Own(w.cache())
}

// seedCache makes the cache, with what earlier jobs downloaded, if anything.
func (w *Workshop) seedCache() error {
	if _, err := os.Stat(w.o.Seed); w.o.Seed == "" || errors.Is(err, fs.ErrNotExist) {
		return os.Mkdir(w.cache(), 0o755)
	}
	w.o.Progress("copying earlier downloads")
	if err := copyTree(w.o.Seed, w.cache()); err != nil {
		return w.spaceError(fmt.Errorf("copying earlier downloads from %s: %w", w.o.Seed, err))
	}
	return nil
}

// keepCache puts a copy of what base downloaded aside for head, before any code of base's runs.
func (w *Workshop) keepCache(s Site) error {
	if s.Side != plan.Base {
		return nil
	}
	if _, err := os.Stat(w.Tree(plan.Head)); err != nil {
		return nil // head has been here, or is not coming
	}
	if err := s.Box.KillAll(context.Background()); err != nil {
		return err
	}
	if err := copyTree(w.cache(), w.path("kept", "cache")); err != nil {
		return w.spaceError(fmt.Errorf("copying what was downloaded for head: %w", err))
	}
	return nil
}

// Leave ends what the side's builds left running and removes its tree and caches.
func (w *Workshop) Leave(ctx context.Context) error {
	var err error
	if w.site != nil {
		err = errors.Join(w.site.Box.KillAll(ctx), w.site.root.Close())
		w.site = nil
	}
	for _, dir := range []string{w.tree(), w.cache(), w.out()} {
		err = errors.Join(err, removeAll(dir))
	}
	if err != nil {
		return fmt.Errorf("clearing the workshop: %w", err)
	}
	return nil
}

// Close leaves and removes all of the workshop.
func (w *Workshop) Close() error {
	err := w.Leave(context.Background())
	if e := removeAll(w.o.Dir); e != nil {
		err = errors.Join(err, fmt.Errorf("removing the workshop: %w", e))
	}
	return err
}

// fetchAll downloads for all services, once for those that share a module or a workspace.
func (w *Workshop) fetchAll(ctx context.Context) error {
	done := map[string]*recipe{}
	for _, service := range w.site.Services {
		r := w.site.recipes[service.Name]
		if r.err != nil || len(r.fetch) == 0 {
			continue
		}
		if first := done[r.fetchKey]; first != nil {
			r.err = first.err
			continue
		}
		done[r.fetchKey] = r
		w.o.Progress(fmt.Sprintf("downloading what %s needs", r.variant))
		exit, err := w.run(ctx, r, "fetching", r.fetch, r.fetchEnv)
		if err != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		r.fetched, r.err = exit.Wall, err
	}
	return nil
}

// checkSpace refuses to begin what the disk will not hold: a Go build takes some 100 MB of modules, compiled
// packages and binary, a Rust one with 200 crates about 1 GB; twice that, and as much for the copies.
func (w *Workshop) checkSpace(services []plan.Service) error {
	need := w.o.MinFree
	if need == 0 {
		need = 512 << 20
		for _, s := range services {
			if s.Lang == plan.Rust {
				need += 1536 << 20
			} else {
				need += 512 << 20
			}
		}
	}
	free, err := freeBytes(w.o.Dir)
	if err != nil {
		return fmt.Errorf("reading how much of the disk is free: %w", err)
	}
	if free < need {
		return &DiskError{Path: w.o.Dir, Free: free, Need: need}
	}
	return nil
}

// spaceError is a DiskError if that is what err comes from, else err.
func (w *Workshop) spaceError(err error) error {
	free, _ := freeBytes(w.o.Dir)
	if outOfSpace(err, nil, free) {
		return &DiskError{Path: w.o.Dir, Free: free}
	}
	return err
}

// outOfSpace says whether a step failed for want of disk: by the error, or by what the step printed where
// the disk is indeed as good as full.
func outOfSpace(err error, tail []string, free int64) bool {
	const asGoodAsFull = 256 << 20 // a compiler removes its half-made output when it fails
	if errors.Is(err, errNoSpace) {
		return true
	}
	for _, line := range tail {
		if free < asGoodAsFull && (strings.Contains(line, "No space left on device") || strings.Contains(line, "no space left on device")) {
			return true
		}
	}
	return false
}

// run runs one command of a recipe in the side's box. A command that fails is a Failure of that step.
func (w *Workshop) run(ctx context.Context, r *recipe, step string, argv []string, env map[string]string) (sandbox.Exit, error) {
	deadline, cancel := context.WithTimeout(ctx, w.o.Deadline)
	defer cancel()
	log := filepath.Join(w.site.Box.Logs(), fmt.Sprintf("%s-%s.log", r.service.Name, step))
	exit, err := w.site.Box.Run(deadline, sandbox.Command{
		Argv: argv, Dir: r.dir, Env: env, Log: log, LogLimit: logLimit,
		Binds: r.tools.binds, FileSize: fileSizeLimit,
	})
	free, _ := freeBytes(w.o.Dir)
	switch {
	case ctx.Err() != nil:
		return exit, context.Cause(ctx)
	case deadline.Err() != nil:
		return exit, &Failure{Step: step, Err: fmt.Errorf("%s was not done after %s", strings.Join(argv, " "), w.o.Deadline), Tail: exit.Tail}
	case err != nil && notStartable(err):
		return exit, &Failure{Step: step, Err: err}
	case err != nil:
		return exit, fmt.Errorf("%s %s: %w", step, r.variant, w.spaceError(err))
	case exit.OK():
		return exit, nil
	case outOfSpace(nil, exit.Tail, free):
		return exit, &DiskError{Path: w.o.Dir, Free: free}
	}
	return exit, &Failure{Step: step, Err: fmt.Errorf("%s: %s", strings.Join(argv, " "), exit), Tail: exit.Tail}
}

// logLimit is how much of a command's output is kept: the answers we parse are shorter.
const logLimit = 4 << 20

// output is what the last run of that step printed.
func (w *Workshop) output(r *recipe, step string) string {
	text, err := os.ReadFile(filepath.Join(w.site.Box.Logs(), fmt.Sprintf("%s-%s.log", r.service.Name, step)))
	if err != nil {
		return ""
	}
	return string(text)
}

// notStartable says whether a program could not be started because of what it is.
func notStartable(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, errNoExec)
}
