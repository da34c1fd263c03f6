package harness

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/duet-bench/duet/internal/build"
	"github.com/duet-bench/duet/internal/load"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/profdiff"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/service"
	"github.com/duet-bench/duet/internal/workload"
)

// The instructions pass. What is counted here never enters the timing pass's figures.
const (
	// atOnce is how many processes are counted side by side: callgrind is deaf to its neighbours, and two cores are
	// what a hosted runner has.
	atOnce = 2
	// slowdown is how much longer a request takes under callgrind; measured 40 to 60 on both bundled services.
	slowdown = 50
	// countedStart is about what a start under callgrind takes.
	countedStart = 3 * time.Second
	// The requests of a window: enough to hold collections and rare requests, and no more than windowTime has room for.
	leastCounted, mostCounted = 60, 600
	// windowTime is how long a window takes at most, its warm-up apart.
	windowTime = 2 * time.Second
	// countedTimeout is how long one request may take under callgrind.
	countedTimeout = 60 * time.Second
	// rest is how long a window's ends are left alone, so that no request's tail lies outside.
	rest = 50 * time.Millisecond
	// think is how long the service has for itself after each answer. It takes the bundled Go service's round-to-round
	// SD under health from 0.4 to 0.1 % and its allocations' from 0.5 to 0.01 %; 5 ms did no more.
	think = time.Millisecond
	// uncountableAfter is how many rounds a variant may spoil before it is counted no more.
	uncountableAfter = 2
)

// instructions is what the pass knows while a run lasts.
type instructions struct {
	callgrind   *service.Callgrind           // nil until it was found
	counted     map[string]int               // requests of a window, by workload
	counting    map[plan.Phase]time.Duration // spent on callgrind rounds
	uncountable map[plan.Variant]int         // callgrind rounds that a variant spoilt
	sources     map[plan.Side]profdiff.Source
	names       *naming
}

func newInstructions() instructions {
	return instructions{counted: map[string]int{}, counting: map[plan.Phase]time.Duration{}, uncountable: map[plan.Variant]int{},
		sources: map[plan.Side]profdiff.Source{}, names: &naming{}}
}

// observe tells whoever listens what a round brought.
func (s *session) observe(trials []result.Trial, costs []result.Cost) {
	if s.o.Observe != nil {
		s.o.Observe(trials, costs)
	}
}

// count carries out one callgrind round: fresh processes, two at a time, each serving all windows in succession.
func (s *session) count(ctx context.Context, step plan.Step) error {
	s.o.Progress.Begin("count instructions")
	if why := s.cannotCount(step.Phase); why != "" {
		s.progress.CountOver[step.Phase] = why
		return nil
	}
	began := time.Now()
	s.o.Progress.Update("callgrind %s round %d · %d processes", step.Phase, step.Round, len(step.Start))
	costs, err := s.countAll(ctx, step)
	if err != nil {
		return err
	}
	s.pass.counting[step.Phase] += time.Since(began)
	s.run.Costs = append(s.run.Costs, costs...)
	s.warnOfSources()
	s.observe(nil, costs)
	counted := s.countedRound(step, costs)
	over := s.capReached(step)
	if step.Phase == plan.Screen && counted && (step.Settle || over) && s.o.Settle != nil {
		s.settle()
	}
	return nil
}

// capReached ends a phase of the pass whose next round would likely go over the time cap, and says so where rounds
// were still to come.
func (s *session) capReached(step plan.Step) bool {
	rounds := s.run.Plan.Rounds
	all, done := rounds.CountConfirm, s.progress.Counted[step.Phase]
	if n := len(rounds.CountLooks); step.Phase == plan.Screen && n > 0 {
		all = rounds.CountLooks[n-1]
	}
	spent := s.pass.counting[step.Phase]
	each := spent / time.Duration(max(s.begun[roundsKey{phase: step.Phase}], 1))
	if rounds.CountCap <= 0 || done >= all || spent+each <= rounds.CountCap {
		return false
	}
	why := fmt.Sprintf("the instructions pass ended after %d of %d callgrind rounds to %s: the next would have gone over its time of %s (measure.count in duet.yml)",
		done, all, step.Phase, rounds.CountCap)
	s.progress.CountOver[step.Phase] = why
	s.warnf("%s", why)
	return true
}

// settle asks where every row stands and remembers the answer.
func (s *session) settle() {
	s.progress.Rows = s.o.Settle(s.run)
	s.run.Rows = s.progress.Rows
}

// cannotCount is why there is no instructions pass on this machine, said once.
func (s *session) cannotCount(phase plan.Phase) string {
	if s.pass.callgrind != nil {
		return ""
	}
	found, err := service.FindCallgrind()
	if err == nil {
		s.pass.callgrind = &found
		return ""
	}
	if phase == plan.Screen {
		s.warnf("instructions and allocations are not judged: %v", err)
	}
	return err.Error()
}

// countedRound counts a round as done, unless a cost of it was spoilt and there is a spare round left to replace it.
func (s *session) countedRound(step plan.Step, costs []result.Cost) bool {
	key := roundsKey{phase: step.Phase}
	s.begun[key]++
	struck := map[plan.Variant]bool{} // once a process, however many of its windows it spoilt
	for _, c := range costs {
		if c.Invalid == "" {
			continue
		}
		s.o.Progress.Note("%s · %s, callgrind round %d does not count: %s", c.Variant, c.Workload, c.Round, c.Invalid)
		if !struck[c.Variant] {
			struck[c.Variant] = true
			s.pass.uncountable[c.Variant]++
		}
	}
	spoilt := slices.ContainsFunc(costs, func(c result.Cost) bool {
		return c.Invalid != "" && s.pass.uncountable[c.Variant] < uncountableAfter
	})
	if spoilt && s.begun[key]-step.Round < spareRounds {
		return false
	}
	s.progress.Counted[step.Phase] = step.Round
	return true
}

// countAll counts every variant of a step that can be counted.
func (s *session) countAll(ctx context.Context, step plan.Step) ([]result.Cost, error) {
	var variants []plan.Variant
	for _, v := range step.Start {
		if s.pass.uncountable[v] < uncountableAfter {
			variants = append(variants, v)
		}
	}
	costs := make([][]result.Cost, len(variants))
	problems := make([]error, len(variants))
	var wait sync.WaitGroup
	for slot := range s.slots() {
		wait.Go(func() {
			for i := slot; i < len(variants) && ctx.Err() == nil; i += s.slots() {
				costs[i], problems[i] = s.countOne(ctx, step, variants[i], slot)
			}
		})
	}
	wait.Wait()
	if err := s.over(ctx); err != nil {
		return nil, err
	}
	return slices.Concat(costs...), errors.Join(problems...)
}

// slots is how many processes are counted side by side.
func (s *session) slots() int {
	if !s.together {
		return 1
	}
	return min(atOnce, max(len(s.cores.allowed), 1))
}

// countOne counts one variant in a fresh process. What goes wrong spoils its windows from there on; an error is what
// nothing measured after it could be trusted with.
func (s *session) countOne(ctx context.Context, step plan.Step, v plan.Variant, slot int) ([]result.Cost, error) {
	var costs []result.Cost
	built, named := s.counts(v, step.Phase)
	for _, name := range step.Windows {
		if s.absent[cell{v, name}] {
			continue // it cannot serve this one
		}
		costs = append(costs, result.Cost{Variant: v, Workload: name, Build: named, Phase: step.Phase, Round: s.begun[roundsKey{phase: step.Phase}] + 1})
	}
	running, err := s.startCounted(ctx, v, built, slot)
	if err != nil {
		return spoil(costs, err), nil
	}
	for i := range costs {
		if err = s.window(ctx, running, &costs[i], i+1); err != nil {
			if dead := running.Alive(); dead != nil {
				err = dead
			}
			costs = slices.Concat(costs[:i], spoil(costs[i:], err))
			break
		}
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	return costs, errors.Join(running.Stop(stopping), s.takeDatabase(v))
}

func spoil(costs []result.Cost, err error) []result.Cost {
	for i := range costs {
		costs[i].Invalid = err.Error()
	}
	return costs
}

// startCounted starts a variant under callgrind, on a core of its slot's own.
func (s *session) startCounted(ctx context.Context, v plan.Variant, built build.Built, slot int) (*service.Service, error) {
	if err := errors.Join(built.Verify(), s.boxes[v].Renew()); err != nil {
		return nil, err
	}
	var cpus []int
	if n := len(s.cores.allowed); n > 0 {
		cpus = []int{s.cores.allowed[slot%n]}
	}
	return s.startWrapped(ctx, v, built.Binary, cpus, func(env map[string]string) service.Wrap {
		return s.pass.callgrind.Wrap(s.boxes[v], env)
	})
}

// startWrapped starts a variant as a pass observes it; wrap is told the service's whole environment.
func (s *session) startWrapped(ctx context.Context, v plan.Variant, binary string, cpus []int, wrap func(env map[string]string) service.Wrap) (*service.Service, error) {
	wanted := s.run.Plan.Services[v]
	env := s.passEnv(v)
	given, err := s.giveDatabase(ctx, v)
	if err != nil {
		return nil, err
	}
	maps.Copy(env, given)
	all := maps.Clone(env)
	maps.Copy(all, wanted.Env)
	started, err := service.Start(ctx, service.Spec{
		Variant: v, Service: wanted, Box: s.boxes[v], Binary: binary, NetNS: s.spaces[v], Env: env, CPUs: cpus, Wrap: wrap(all),
	})
	if err != nil {
		err = errors.Join(err, s.takeDatabase(v))
	}
	return started, err
}

// window serves one workload and keeps what was counted meanwhile. One connection, one request at a time: nothing
// depends on who is quicker.
func (s *session) window(ctx context.Context, running *service.Service, cost *result.Cost, number int) error {
	w := s.workload(cost.Workload)
	client, err := s.countedClient(ctx, running, w)
	if err != nil {
		return err
	}
	defer client.Close()
	n := s.pass.counted[w.Name]
	if _, err := client.Count(ctx, min(max(w.WarmUp, 1), n), nil); err != nil {
		return fmt.Errorf("warming up: %w", err)
	}
	time.Sleep(rest)
	if err := s.pass.callgrind.Zero(ctx, running); err != nil {
		return err
	}
	time.Sleep(rest)
	did, err := countPaced(ctx, client, n)
	if err != nil {
		return fmt.Errorf("counting: %w", err)
	}
	if float64(did.Errors) > w.MaxErrors*float64(did.Requests) {
		return fmt.Errorf("%d of %d answers were bad (%s)", did.Errors, did.Requests, did.Failures.First())
	}
	time.Sleep(rest)
	cost.Requests = did.Requests
	return s.readCounts(ctx, running, cost, number)
}

// countPaced asks n requests one by one, each after the service had time to go idle: what a runtime does after an
// answer would else fall into this request or the next by chance.
func countPaced(ctx context.Context, client *load.Client, n int) (load.Slice, error) {
	var sum load.Slice
	for range n {
		did, err := client.Count(ctx, 1, nil)
		sum.Add(did)
		if err != nil {
			return sum, err
		}
		time.Sleep(think)
	}
	return sum, nil
}

func (s *session) readCounts(ctx context.Context, running *service.Service, cost *result.Cost, number int) error {
	file, err := s.pass.callgrind.Dump(ctx, running, number)
	if err != nil {
		return err
	}
	defer file.Close()
	dump, err := profdiff.ParseCallgrind(file)
	if err != nil {
		return fmt.Errorf("reading callgrind's dump: %w", err)
	}
	lang := s.run.Plan.Services[cost.Variant].Lang
	cost.Buckets, cost.Allocations = profdiff.Split(dump, lang), profdiff.Allocations(dump, lang)
	if cost.Build == "" { // a cross-check asks how much, not where
		s.charge(cost, dump)
	}
	return nil
}

// countedClient sets a workload up and connects to the service once.
func (s *session) countedClient(ctx context.Context, running *service.Service, w workload.Workload) (*load.Client, error) {
	captures, _, err := setUp(ctx, running, s.run.Plan, w)
	if err != nil {
		return nil, err
	}
	asked, err := askedOf(w, s.run.Plan.Seed, captures, streamLength)
	if err != nil {
		return nil, err
	}
	conn, err := running.Dial(ctx)
	if err != nil {
		return nil, err
	}
	return load.NewClient(load.Options{
		Conns: []net.Conn{conn}, Redial: func() (net.Conn, error) { return running.Dial(ctx) },
		Opening: asked.opening, Messages: asked.messages, Host: running.Host(), Timeout: countedTimeout,
	})
}

// sizeWindow decides how many requests a window of a workload has, the same for all variants, so that all looks fit
// the time cap: the slowest variant's capacity tells how long a request takes.
func (s *session) sizeWindow(w workload.Workload, capacity map[plan.Variant]float64) {
	slowest := w.Rate.PerSecond
	for _, c := range capacity {
		if slowest == 0 || c < slowest {
			slowest = c
		}
	}
	rounds := s.run.Plan.Rounds
	looks, turns := 1, (len(s.live())+atOnce-1)/atOnce
	if len(rounds.CountLooks) > 0 {
		looks = rounds.CountLooks[len(rounds.CountLooks)-1]
	}
	window := windowTime
	if rounds.CountCap > 0 {
		process := rounds.CountCap/time.Duration(looks*max(turns, 1)) - countedStart
		window = min(window, process/time.Duration(len(s.run.Plan.Workloads))/2) // the other half is the warm-up's
	}
	s.pass.counted[w.Name] = min(max(int(window.Seconds()*slowest/slowdown), leastCounted), mostCounted)
}
