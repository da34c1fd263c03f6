package plan

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/duet-bench/duet/internal/strictyaml"
	"github.com/duet-bench/duet/internal/workload"
)

// maxChanged bounds the changed files a plan names.
const maxChanged = 300

// Inputs is all that a plan is made from.
type Inputs struct {
	BaseConfig *Config // nil: base has no duet.yml, or there is no base
	HeadConfig *Config
	Head       Commit
	Base       *Commit // nil: "baseline: none", and NoBase says why
	NoBase     string
	Changed    []string // all files that differ between base and head
	Fork       bool
	// Workloads holds what Config.Workloads of head names, by the same words.
	Workloads   map[string]workload.Workload
	MetricNames []string // what margins may name
	Flags       Flags
}

// Flags is what a command line may change. Zero values change nothing.
type Flags struct {
	Budget    time.Duration
	Seed      *uint64
	Attempt   int      // of a CI job: a re-run is an independent repetition
	FailOn    Gate     // may only tighten base's gate
	Isolation string   // may only tighten base's isolation
	Workloads []string // measure only these, by name or as duet.yml spells them
	Services  []string // measure only these, by name or as lang/name
	Same      Same     // for `duet nightly`: no flag of its own
}

// Load decides everything. Each side's services and resources are its own; workloads, pairs, setup, parity.requests, budget
// and measure are head's for both sides; margins, ignore, parity.ignore, policy and pass_env are base's, so that a pull request
// cannot loosen its own judge. Where base has no duet.yml, head's serves both and the gate is off.
func Load(in Inputs) (Plan, error) {
	if in.HeadConfig == nil {
		return Plan{}, Usagef("`duet init` writes one", "no duet.yml at head")
	}
	if err := in.HeadConfig.checkMargins(in.MetricNames); err != nil {
		return Plan{}, err
	}
	if err := in.chooseServices(); err != nil {
		return Plan{}, err
	}
	l := loader{Inputs: in, judge: in.HeadConfig}
	if in.Base != nil && in.BaseConfig != nil {
		l.judge = in.BaseConfig
	}
	l.plan = Plan{
		Schema: Schema, Head: in.Head, Base: in.Base, NoBase: in.NoBase, Fork: in.Fork,
		Services: map[Variant]Service{}, Pairs: slices.Clone(in.HeadConfig.Pairs), Setup: slices.Clone(in.HeadConfig.Setup),
		Parity: Parity{Ignore: slices.Clone(l.judge.Parity.Ignore), Requests: in.HeadConfig.Parity.Requests},
		Ignore: slices.Clone(l.judge.Ignore), Policy: l.judge.Policy, Budget: in.HeadConfig.Budget,
		Unpinned: !in.HeadConfig.Measure.Pin, Same: in.Flags.Same,
	}
	l.margins()
	l.services()
	l.resources()
	l.changed()
	if err := l.policy(); err != nil {
		return Plan{}, err
	}
	l.announce()
	if err := l.flags(); err != nil {
		return Plan{}, err
	}
	if err := l.workloads(); err != nil {
		return Plan{}, err
	}
	l.plan.fit(in.HeadConfig.Measure)
	return l.plan, nil
}

// chooseServices leaves of both configurations the services that the flags ask for, and of the pairs those whose two
// services stay. Where duet.yml has no pairs, the one Go and the one Rust service that are left are one.
func (in *Inputs) chooseServices() error {
	if len(in.Flags.Services) == 0 {
		return nil
	}
	chosen := map[string]bool{}
	for _, asked := range in.Flags.Services {
		found := false
		for _, s := range in.HeadConfig.Services {
			if asked == s.Name || asked == string(s.Lang)+"/"+s.Name {
				chosen[s.Name], found = true, true
			}
		}
		if !found {
			return Usagef("", "--services %q: expected one of %s", asked, strings.Join(spelled(in.HeadConfig.Services), ", "))
		}
	}
	only := func(c Config) *Config {
		c.Services = slices.DeleteFunc(slices.Clone(c.Services), func(s Service) bool { return !chosen[s.Name] })
		c.Pairs = slices.DeleteFunc(slices.Clone(c.Pairs), func(p Pair) bool { return !chosen[p.Go] || !chosen[p.Rust] })
		if c.unpaired {
			c.Pairs = defaultPairs(c.Services)
		}
		return &c
	}
	in.HeadConfig = only(*in.HeadConfig)
	if in.BaseConfig != nil {
		in.BaseConfig = only(*in.BaseConfig)
	}
	return nil
}

// spelled are services as --services takes them.
func spelled(services []Service) []string {
	names := make([]string, len(services))
	for i, s := range services {
		names[i] = string(s.Lang) + "/" + s.Name
	}
	return names
}

// NothingChanged says that base and head differ in nothing but ignored files: there is nothing to measure.
func (p Plan) NothingChanged() bool {
	return p.Same == SameLeft && p.Base != nil && len(p.Changed) == 0
}

// loader fills a plan from its inputs, one concern a method.
type loader struct {
	Inputs
	judge *Config // whose margins, ignore and policy count
	plan  Plan
}

func (l *loader) warnf(format string, args ...any) {
	l.plan.Warnings = append(l.plan.Warnings, fmt.Sprintf(format, args...))
}

// twoConfigs says whether base's configuration is there to differ from head's.
func (l *loader) twoConfigs() bool { return l.judge != l.HeadConfig }

func (l *loader) margins() { l.plan.judgedBy(*l.judge, l.MetricNames) }

// JudgeBy puts base's opinions in place of whatever a plan says: margins, ignore, parity.ignore and policy. It is for
// plans that came from a stranger's run. Where base has no configuration the defaults count and the gate is off.
func (p *Plan) JudgeBy(base *Config, metricNames []string) {
	if base == nil {
		p.Margins, p.Ignore, p.Parity.Ignore, p.Policy = map[string]float64{}, nil, nil, Policy{Gate: GateNever}
		p.Warnings = append(p.Warnings, "base has no duet.yml: the default margins count, and the gate is off")
		return
	}
	p.Ignore, p.Parity.Ignore, p.Policy = slices.Clone(base.Ignore), slices.Clone(base.Parity.Ignore), base.Policy
	p.judgedBy(*base, metricNames)
}

// judgedBy takes over the margins of a configuration.
func (p *Plan) judgedBy(judge Config, metricNames []string) {
	p.Margins = maps.Clone(judge.Margins)
	if p.Margins == nil {
		p.Margins = map[string]float64{}
	}
	for _, name := range unknownMargins(p.Margins, metricNames) {
		delete(p.Margins, name)
		p.Warnings = append(p.Warnings, fmt.Sprintf("base's duet.yml has a margin for %q, which is no metric: left out", name))
	}
}

func (l *loader) services() {
	base := map[string]Service{}
	if l.Base != nil {
		for _, s := range l.judge.Services {
			base[s.Name] = s
		}
	}
	for _, s := range l.HeadConfig.Services {
		l.plan.Order = append(l.plan.Order, s.Name)
		atBase, known := base[s.Name]
		passed := s.PassEnv
		if l.twoConfigs() {
			passed = atBase.PassEnv
		}
		if l.Fork {
			passed = nil
		}
		if !slices.Equal(passed, s.PassEnv) {
			l.warnf("pass_env of %s is %q at head, but %q is passed on: base's list counts, and nothing is passed to a fork's code", s.Name, s.PassEnv, passed)
		}
		s.PassEnv = passed
		l.plan.Services[Variant{s.Name, Head}] = s
		if l.Base == nil {
			continue
		}
		if !known {
			l.warnf("service %s is not in base's duet.yml: head alone is measured", s.Name)
			continue
		}
		if atBase.Lang != s.Lang {
			l.warnf("service %s is written in %s at base and in %s at head", s.Name, atBase.Lang, s.Lang)
		}
		atBase.PassEnv = passed
		l.plan.Services[Variant{s.Name, Base}] = atBase
		delete(base, s.Name)
	}
	for _, s := range l.judge.Services {
		if _, left := base[s.Name]; left {
			l.warnf("service %s was removed at head: it is not measured", s.Name)
		}
	}
}

// changed keeps what base's ignore leaves of the changed files.
func (l *loader) changed() {
	kept := []string{}
	for _, file := range l.Changed {
		if !slices.ContainsFunc(l.plan.Ignore, func(pattern string) bool { return doublestar.MatchUnvalidated(pattern, file) }) {
			kept = append(kept, file)
		}
	}
	slices.Sort(kept)
	kept = slices.Compact(kept)
	if len(kept) > maxChanged {
		l.warnf("%d files changed: the first %d are listed", len(kept), maxChanged)
		kept = kept[:maxChanged]
	}
	l.plan.Changed = kept
}

// policy lets a flag tighten base's gate, and turns it off where no configuration of base's can set it.
func (l *loader) policy() error {
	failOn := l.Flags.FailOn
	if failOn != "" && !slices.Contains(Gates(), failOn) {
		return Usagef("", "--fail-on %q: expected one of never, regression, inconclusive", failOn)
	}
	if err := l.isolation(); err != nil {
		return err
	}
	if l.Base != nil && l.BaseConfig == nil {
		l.warnf("base has no duet.yml: head's serves both sides, and the gate is off")
		l.plan.Policy.Gate = GateNever
		return nil
	}
	tightness := func(g Gate) int { return slices.Index(Gates(), g) }
	switch {
	case failOn == "":
	case tightness(failOn) >= tightness(l.plan.Policy.Gate):
		l.plan.Policy.Gate = failOn
	default:
		l.warnf("--fail-on %s would loosen policy.gate: %s counts", failOn, l.plan.Policy.Gate)
	}
	return nil
}

func (l *loader) isolation() error {
	asked := l.Flags.Isolation
	if asked == "" {
		return nil
	}
	if !slices.Contains(Isolations(), asked) {
		return Usagef("", "--isolation %q: expected one of %s", asked, strings.Join(Isolations(), ", "))
	}
	tightness := func(level string) int { return slices.Index(Isolations(), level) }
	if tightness(asked) >= tightness(l.plan.Policy.Isolation) {
		l.plan.Policy.Isolation = asked
		return nil
	}
	l.warnf("--isolation %s would loosen policy.isolation: %s counts", asked, l.plan.Policy.Isolation)
	return nil
}

// announce says which settings head changed, and whose count.
func (l *loader) announce() {
	if !l.twoConfigs() {
		return
	}
	base, head := *l.BaseConfig, *l.HeadConfig
	for _, s := range []struct {
		name       string
		base, head any
	}{
		{"margins", base.Margins, head.Margins},
		{"ignore", base.Ignore, head.Ignore},
		{"parity.ignore", base.Parity.Ignore, head.Parity.Ignore},
		{"policy", base.Policy, head.Policy},
	} {
		if !reflect.DeepEqual(s.base, s.head) && fmt.Sprint(s.base) != fmt.Sprint(s.head) {
			l.warnf("%s changed in duet.yml: base's counts until this is merged", s.name)
		}
	}
	for _, s := range []struct {
		name       string
		base, head any
	}{
		{"workloads", base.Workloads, head.Workloads},
		{"pairs", base.Pairs, head.Pairs},
		{"setup", placeless(base.Setup), placeless(head.Setup)},
		{"parity.requests", base.Parity.Requests, head.Parity.Requests},
		{"budget", base.Budget, head.Budget},
		{"measure", base.Measure, head.Measure},
	} {
		if fmt.Sprint(s.base) != fmt.Sprint(s.head) {
			l.warnf("%s changed in duet.yml: head's counts for both sides", s.name)
		}
	}
}

func placeless(requests []workload.Request) []workload.Request {
	requests = slices.Clone(requests)
	for i := range requests {
		requests[i].Place = ""
	}
	return requests
}

func (l *loader) flags() error {
	if b := l.Flags.Budget; b != 0 {
		if b < MinBudget || b > MaxBudget {
			return Usagef("", "--budget %s: expected %s to %s", strictyaml.Short(b), strictyaml.Short(MinBudget), strictyaml.Short(MaxBudget))
		}
		l.plan.Budget = b
	}
	l.plan.Seed = DefaultSeed(l.Head.SHA, l.Flags.Attempt)
	if l.Flags.Seed != nil {
		l.plan.Seed = *l.Flags.Seed
	}
	return nil
}

// DefaultSeed is a commit's seed, different for each attempt at it; 32 bits, so that it is easily typed again.
func DefaultSeed(sha string, attempt int) uint64 {
	sum := sha256.Sum256([]byte("duet seed " + sha + " " + strconv.Itoa(max(attempt, 1))))
	return uint64(binary.BigEndian.Uint32(sum[:]))
}

// workloads puts head's workloads into the plan, those that the flags ask for.
func (l *loader) workloads() error {
	spelled := map[string]string{} // workload's name → what duet.yml calls it
	asked := map[string]bool{}
	for _, name := range l.HeadConfig.Workloads {
		w, ok := l.Workloads[name]
		if !ok {
			return Usagef("", "workload %q: not loaded", name)
		}
		if other, twice := spelled[w.Name]; twice {
			return Usagef("give one of them another name", "workloads %q and %q are both called %q", other, name, w.Name)
		}
		spelled[w.Name] = name
		if IsWorkloadPath(name) && slices.Contains(l.Changed, path.Clean(name)) {
			l.warnf("workload %s changed in %s: head's counts for both sides", w.Name, path.Clean(name))
		}
		if len(l.Flags.Workloads) > 0 && !slices.Contains(l.Flags.Workloads, name) && !slices.Contains(l.Flags.Workloads, w.Name) {
			continue
		}
		asked[name], asked[w.Name] = true, true
		if err := workload.CheckCaptures(w, l.plan.Setup); err != nil {
			return &UsageError{Err: err}
		}
		if err := l.checkNeeds(w); err != nil {
			return err
		}
		l.plan.Workloads = append(l.plan.Workloads, w)
	}
	for _, name := range l.Flags.Workloads {
		if !asked[name] {
			return Usagef("", "--workload %q: expected one of %s", name, strings.Join(slices.Sorted(maps.Keys(spelled)), ", "))
		}
	}
	return nil
}
