package harness

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/duet-bench/duet/internal/build"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/sandbox"
	"github.com/duet-bench/duet/internal/service"
	"github.com/duet-bench/duet/internal/source"
	"github.com/duet-bench/duet/internal/workload"
)

// repoFolder is where the repository is exported to, beside any second checkout.
const repoFolder = "repo"

// session is one run while it lasts: what is alive, what was made, and what has been settled.
type session struct {
	o        Options
	run      *result.Run
	progress plan.Progress
	clock    stopwatch

	work       string       // the temporary folder that holds everything below
	letGo      func() error // of its lock
	shop       *build.Workshop
	inShop     plan.Side // the side that is being built; empty: none
	buildBoxes []*sandbox.Box
	boxes      map[plan.Variant]*sandbox.Box
	binaries   map[plan.Variant]build.Built
	again      map[plan.Variant]build.Built        // of the cross-check
	spaces     map[plan.Variant]*service.Namespace // only for fixed ports, and where Duet may make them
	together   bool                                // all variants alive at once
	cores      cores
	rates      map[string]float64 // requests offered a second, by workload
	spoilt     map[cell]int       // trials in a row that do not count
	absent     map[cell]bool      // base's variants that cannot serve a workload
	begun      map[roundsKey]int  // rounds begun, repeated ones too: the number a trial carries
	fatal      error              // nothing measured from here on could be trusted

	profiled map[plan.Variant]profiledBuild
	pass     instructions
	hardware hardware
	database database
}

// newSession makes the temporary folder and exports both trees, before any of their code runs.
func newSession(ctx context.Context, run *result.Run, o Options) (*session, error) {
	if o.Next == nil {
		o.Next = plan.Next
	}
	if !Supported() {
		return nil, fmt.Errorf("%w, and this is %s/%s; plan, compare and init work here", ErrUnsupported, run.Machine.OS, run.Machine.Arch)
	}
	if err := sandbox.Guard(); err != nil {
		return nil, err
	}
	work, letGo, err := makeWork(os.TempDir())
	if err != nil {
		return nil, err
	}
	s := &session{
		o: o, run: run, work: work, letGo: letGo,
		progress: plan.Progress{
			Built: map[plan.Variant]bool{}, Failed: map[plan.Variant]bool{}, Identical: map[string]bool{},
			Calibrated: map[string]bool{}, Rounds: map[string]map[plan.Phase]int{}, Stopped: map[string]string{},
			Counted: map[plan.Phase]int{}, CountOver: map[plan.Phase]string{}, Profiled: map[string]bool{},
		},
		pass: newInstructions(), hardware: findHardware(),
		boxes: map[plan.Variant]*sandbox.Box{}, binaries: map[plan.Variant]build.Built{},
		again:  map[plan.Variant]build.Built{},
		spaces: map[plan.Variant]*service.Namespace{}, rates: map[string]float64{}, spoilt: map[cell]int{}, absent: map[cell]bool{}, begun: map[roundsKey]int{},
		profiled: map[plan.Variant]profiledBuild{},
		cores:    chooseCores(allowedCores(), siblingsFromSysfs),
	}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// prepare makes boxes and namespaces and exports the trees.
func (s *session) prepare(ctx context.Context) error {
	s.o.Progress.Begin("export")
	s.clock.begin("export")
	defer s.clock.end()
	for _, variant := range s.variants() {
		box, err := sandbox.New(sandbox.Options{Name: variant.String(), Dir: filepath.Join(s.work, "box", boxName(variant)), Isolate: true})
		if err != nil {
			return err
		}
		s.boxes[variant] = box
		s.run.Machine.Isolation = levelIn(s.o.Around, box.Level())
	}
	if err := s.findDatabase(ctx); err != nil {
		return err
	}
	s.arrangeTurns()
	s.run.Machine.ServiceCPU, s.run.Machine.ClientCPU = cpuListText(s.cores.service), cpuListText(s.cores.client)
	if len(s.cores.service) == 0 {
		s.warnf("fewer than two cores to choose from: services and load generator share, and times are noisier")
	}
	var err error
	s.shop, err = build.NewWorkshop(build.Options{
		Dir: filepath.Join(s.work, "shop"), Environ: os.Environ(), Seed: s.o.Seed, Profiles: s.run.Plan.Profile > 0, Again: s.o.Doubt != nil && s.run.Plan.MayCross(),
		Progress: func(step string) { s.o.Progress.Update("%s", step) },
	})
	if err != nil {
		return err
	}
	for _, side := range s.sides() {
		if s.o.Fetched != "" {
			if err := s.shop.Bring(side, filepath.Join(s.o.Fetched, string(side))); err != nil {
				return err
			}
		} else {
			warnings, err := Export(ctx, s.o.Source, s.run.Plan, side, s.shop.Tree(side))
			if err != nil {
				return err
			}
			s.warn(warnings)
		}
		if err := s.survey(side); err != nil {
			return err
		}
	}
	return s.o.Source.Close() // from here on their code may run, and git may not
}

// levelIn is a box's level of isolation where something is around Duet itself.
func levelIn(around, level string) string {
	if around == "" {
		return level
	}
	return around + "; inside it " + strings.TrimPrefix(level, plan.IsolationBasic+": ")
}

// Export writes one side's tree below dir, and any second checkout that its services live in.
func Export(ctx context.Context, from source.Resolution, p plan.Plan, side plan.Side, dir string) (warnings []string, err error) {
	if warnings, err = from.Export(ctx, side, filepath.Join(dir, repoFolder)); err != nil {
		return nil, err // which says what it was doing
	}
	done := map[string]bool{}
	for _, variant := range variantsOf(p) {
		other, second := secondCheckout(p.Services[variant].Dir)
		if variant.Side != side || !second || done[other] {
			continue
		}
		done[other] = true
		exported, err := from.ExportOther(ctx, filepath.Join("..", other), filepath.Join(dir, other))
		if err != nil {
			return nil, fmt.Errorf("exporting %s: %w", side, err)
		}
		warnings = append(warnings, exported.Warnings...)
		if exported.SHA != "" {
			warnings = append(warnings, fmt.Sprintf("../%s is a second checkout, the same at both sides: %.12s", other, exported.SHA))
		}
	}
	return warnings, nil
}

// secondCheckout is the folder beside the repository that a service's dir leads into.
func secondCheckout(dir string) (folder string, ok bool) {
	rest, ok := strings.CutPrefix(filepath.ToSlash(filepath.Clean(dir)), "../")
	if !ok {
		return "", false
	}
	folder, _, _ = strings.Cut(rest, "/")
	return folder, true
}

// arrangeTurns decides whether all variants can be alive at once.
func (s *session) arrangeTurns() {
	s.together = true
	s.run.Machine.Turns = "together"
	if !s.needNamespaces() {
		return
	}
	if s.databaseByTCP() {
		s.together = false
		s.run.Machine.Turns = "one at a time"
		s.warnf("services on fixed ports take turns, one alive at a time: their database is reached over TCP, and that does not reach into network namespaces of their own (resources.postgres: connect: socket does)")
		return
	}
	fixed := map[string]bool{} // at either side: both are measured alike
	for _, variant := range s.variants() {
		fixed[variant.Service] = fixed[variant.Service] || s.run.Plan.Services[variant].Port != 0
	}
	for _, variant := range s.variants() {
		if !fixed[variant.Service] {
			continue
		}
		space, err := service.NewNamespace()
		if err != nil {
			s.closeSpaces()
			s.together = false
			s.run.Machine.Turns = "one at a time"
			s.warnf("services on fixed ports take turns, one alive at a time: network namespaces of their own need root or `sudo -n` (%v)", err)
			return
		}
		s.spaces[variant] = space
	}
}

// needNamespaces says whether two variants want the same fixed port.
func (s *session) needNamespaces() bool {
	taken := map[int]bool{}
	for _, variant := range s.variants() {
		port := s.run.Plan.Services[variant].Port
		if port != 0 && taken[port] {
			return true
		}
		taken[port] = true
	}
	return false
}

// close ends every process, namespace and folder of the run. It runs also after a cancel, so it has time of
// its own.
func (s *session) close() error {
	var problems []error
	for _, box := range append(slices.Collect(maps.Values(s.boxes)), s.buildBoxes...) {
		problems = append(problems, box.Close())
	}
	problems = append(problems, s.closeDatabase())
	if s.shop != nil {
		problems = append(problems, s.shop.Close())
	}
	problems = append(problems, s.closeSpaces(), removeWork(s.work), s.letGo())
	return errors.Join(problems...)
}

func (s *session) closeSpaces() error {
	var problems []error
	for _, space := range s.spaces {
		problems = append(problems, space.Close())
	}
	clear(s.spaces)
	return errors.Join(problems...)
}

// variants are those of the plan.
func (s *session) variants() []plan.Variant { return variantsOf(s.run.Plan) }

// variantsOf are a plan's variants, base's first, in the services' order by name.
func variantsOf(p plan.Plan) []plan.Variant {
	var all []plan.Variant
	for variant := range p.Services {
		all = append(all, variant)
	}
	slices.SortFunc(all, func(a, b plan.Variant) int {
		if a.Side != b.Side {
			return strings.Compare(string(a.Side), string(b.Side)) // base before head
		}
		return strings.Compare(a.Service, b.Service)
	})
	return all
}

func (s *session) sides() []plan.Side { return Sides(s.run.Plan) }

// Sides are those that a plan measures, in the order in which they are built.
func Sides(p plan.Plan) []plan.Side {
	if p.Base == nil {
		return []plan.Side{plan.Head}
	}
	return []plan.Side{plan.Base, plan.Head}
}

// servicesOf are a side's services.
func servicesOf(p plan.Plan, side plan.Side) []plan.Service {
	var services []plan.Service
	for _, v := range variantsOf(p) {
		if v.Side == side {
			services = append(services, p.Services[v])
		}
	}
	return services
}

// live are the variants that are measured.
func (s *session) live() []plan.Variant { return s.run.Plan.Live(s.progress) }

// over is why a run cannot go on: it was cancelled, its database is gone, or what it measures could not be trusted.
func (s *session) over(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.fatal == nil {
		s.fatal = s.databaseEnded()
	}
	return s.fatal
}

// start starts one variant of a workload, alone on the services' core unless the workload wants all of them. Its
// binary must still be the one that was built, and its home, its temporary folder and its database are new: nothing
// passes from trial to trial.
func (s *session) start(ctx context.Context, v plan.Variant, w workload.Workload) (*service.Service, error) {
	if err := s.binaries[v].Verify(); err != nil {
		s.fatal = err
		return nil, err
	}
	if err := s.boxes[v].Renew(); err != nil {
		s.fatal = err
		return nil, err
	}
	env, err := s.giveDatabase(ctx, v)
	if err != nil {
		s.fatal = err
		return nil, err
	}
	spec := service.Spec{
		Variant: v, Service: s.run.Plan.Services[v], Box: s.boxes[v], Binary: s.binaries[v].Binary,
		NetNS: s.spaces[v], Env: s.passEnv(v),
	}
	maps.Copy(spec.Env, env)
	if s.pinned(w) {
		spec.CPUs = s.cores.service
	}
	started, err := service.Start(ctx, spec)
	if err != nil {
		s.fatal = errors.Join(s.fatal, s.takeDatabase(v))
	}
	return started, err
}

// pinned says whether a workload's services are held to one core.
func (s *session) pinned(w workload.Workload) bool { return !s.run.Plan.Unpinned && s.cores.pinned(w) }

// watched are the cores on which nobody else should be while a workload is measured.
func (s *session) watched(w workload.Workload) []int {
	if !s.pinned(w) {
		return nil
	}
	return s.cores.watched(w)
}

// passEnv looks up the names that the plan lets through to a service.
func (s *session) passEnv(v plan.Variant) map[string]string {
	passed := map[string]string{}
	for _, name := range s.run.Plan.Services[v].PassEnv {
		if s.o.PassEnv == nil {
			break
		}
		if value, ok := s.o.PassEnv(name); ok {
			passed[name] = value
		}
	}
	return passed
}

func boxName(v plan.Variant) string { return v.Service + "-" + string(v.Side) }
