package plan

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/duet-bench/duet/internal/strictyaml"
	"github.com/duet-bench/duet/internal/workload"
)

// Config is one side's duet.yml with its defaults filled in.
type Config struct {
	Services  []Service
	Pairs     []Pair
	Workloads []string // names of embedded workloads, or paths
	Setup     []workload.Request
	Parity    Parity
	Margins   map[string]float64 // metric → share
	Budget    time.Duration
	Measure   Measure
	Resources Resources
	Ignore    []string
	Policy    Policy
	Nightly   Nightly

	margins    map[string]func(format string, args ...any) error // metric → an error at its place
	lines      map[string]int                                    // workload, as it is named here → its line
	databaseAt func(format string, args ...any) error            // an error at resources.postgres
	unpaired   bool                                              // neither pairs nor matrix is given: the default pair, if any
}

// Measure is how timing rounds and callgrind rounds are cut to the machine: `duet doctor --noise` says what fits it.
type Measure struct {
	Slice  time.Duration // of one variant in a block, before it is lengthened for slow workloads (SliceFor)
	Rounds []int         // looks of screening, ascending; cut to what the budget allows
	Pin    bool          // false: no service is held to a core of its own
	Count  time.Duration // most of the instructions pass in screening, and as much again in confirmation; 0: off
	// Profile is the time under load of all CPU profiles together; 0: no sampling passes.
	Profile time.Duration
}

// Bounds and defaults of duet.yml.
const (
	MinBudget     = time.Second
	MaxBudget     = 6 * time.Hour
	DefaultBudget = 2 * time.Minute

	minReady         = 100 * time.Millisecond
	maxReady         = 5 * time.Minute
	defaultReady     = 10 * time.Second
	defaultReadyPath = "/health"

	// Fewer than 7 rounds find nothing at the level of a report, and their noise is not known; beyond 50 the machine is
	// the problem.
	minLook      = 7
	maxLook      = 50
	maxLooks     = 3
	defaultCount = 2 * time.Minute
	maxCount     = time.Hour
	// defaultProfile draws flame graphs; it names functions only where callgrind cannot (some 3,400 samples of each do).
	defaultProfile = 30 * time.Second
	maxProfile     = time.Hour

	maxServices   = 16
	maxPairs      = 16
	maxWorkloads  = 20
	maxList       = 100
	maxArgument   = 4096 // bytes
	maxPath       = 200  // bytes
	maxParity     = 1000
	defaultParity = 20
)

// Isolation levels. Strict is accepted here and refused by the command until it is built: it fails closed.
const (
	IsolationBasic     = "basic"     // on this machine, with a uid of its own where Duet is root
	IsolationContainer = "container" // in containers of Duet's image, without a network once built
	IsolationStrict    = "strict"
)

// Isolations are all levels, from the loosest to the tightest.
func Isolations() []string { return []string{IsolationBasic, IsolationContainer, IsolationStrict} }

// What may become of a fork's pull request on a self-hosted runner.
const (
	ForksRefuse = "refuse"
	ForksAllow  = "allow"
)

var (
	serviceName  = regexp.MustCompile(`^[a-z0-9_][a-z0-9_-]{0,39}$`)
	metricName   = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)
	envName      = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,99}$`)
	requestPath  = regexp.MustCompile(`^/[!-"$-~]{0,199}$`)
	ignoredPath  = regexp.MustCompile(`^\$[!-~ ]{0,199}$`)
	nameExpected = "1 to 40 of a-z, 0-9, _ and -, not starting with -"
)

// ParseConfig reads a duet.yml. Every error is a UsageError that names file, line and column; file is used for
// nothing else.
func ParseConfig(file string, document []byte) (Config, error) {
	c, err := parseConfig(file, document)
	if err != nil {
		return Config{}, &UsageError{Err: err}
	}
	return c, nil
}

func parseConfig(file string, document []byte) (Config, error) {
	root, err := strictyaml.Parse(file, document)
	if err != nil {
		return Config{}, err
	}
	c := Config{
		Workloads: []string{"health"},
		Parity:    Parity{Requests: defaultParity},
		Margins:   map[string]float64{},
		Budget:    DefaultBudget,
		Measure:   Measure{Slice: defaultSlice, Rounds: looks(), Pin: true, Count: defaultCount, Profile: defaultProfile},
		Ignore:    []string{"**/*.md"},
		Policy:    Policy{Gate: GateNever, Isolation: IsolationBasic, SelfHostedForks: ForksRefuse},
		Nightly:   defaultNightly(),
		margins:   map[string]func(string, ...any) error{},
	}
	pairs := pairReader{}
	err = root.Map(
		strictyaml.Field{Key: "services", Required: true, Read: c.readServices},
		strictyaml.Field{Key: "pairs", Read: pairs.read},
		strictyaml.Field{Key: "matrix", Read: pairs.readMatrix},
		strictyaml.Field{Key: "workloads", Read: c.readWorkloads},
		strictyaml.Field{Key: "setup", Read: workload.ReadSetup(&c.Setup)},
		strictyaml.Field{Key: "parity", Read: c.readParity},
		strictyaml.Field{Key: "margins", Read: c.readMargins},
		strictyaml.Field{Key: "budget", Read: strictyaml.Duration(&c.Budget, MinBudget, MaxBudget)},
		strictyaml.Field{Key: "measure", Read: c.readMeasure},
		strictyaml.Field{Key: "resources", Read: c.readResources},
		strictyaml.Field{Key: "ignore", Read: strictyaml.Texts(&c.Ignore, 0, maxList, strictyaml.AtMost(maxPath), isGlob)},
		strictyaml.Field{Key: "policy", Read: c.readPolicy},
		strictyaml.Field{Key: "nightly", Read: c.Nightly.read},
	)
	if err != nil {
		return Config{}, err
	}
	if err := c.checkDatabaseVariables(); err != nil {
		return Config{}, err
	}
	if c.Pairs, err = pairs.resolve(c.Services); err != nil {
		return Config{}, err
	}
	c.unpaired = !pairs.given
	return c, nil
}

func (c *Config) readServices(n strictyaml.Node) error {
	return strictyaml.List(1, maxServices, func(item strictyaml.Node) error {
		s, err := readService(item)
		if err != nil {
			return err
		}
		for _, other := range c.Services {
			if other.Name == s.Name {
				return item.Errorf("service %q: another service is called so", s.Name)
			}
		}
		c.Services = append(c.Services, s)
		return nil
	})(n)
}

func readService(n strictyaml.Node) (Service, error) {
	s := Service{Dir: ".", Ready: Ready{Path: defaultReadyPath, Timeout: defaultReady}}
	err := n.Map(
		strictyaml.Field{Key: "name", Read: strictyaml.Text(&s.Name, strictyaml.Matching(serviceName, nameExpected))},
		strictyaml.Field{Key: "lang", Required: true, Read: strictyaml.Choice(&s.Lang, Go, Rust)},
		strictyaml.Field{Key: "dir", Read: strictyaml.Text(&s.Dir, isDir)},
		strictyaml.Field{Key: "build", Read: strictyaml.Scalars(&s.Build, 1, maxList, strictyaml.AtMost(maxArgument))},
		strictyaml.Field{Key: "binary", Read: strictyaml.Text(&s.Binary, isLocal)},
		strictyaml.Field{Key: "run", Read: strictyaml.Scalars(&s.Run, 0, maxList, strictyaml.AtMost(maxArgument))},
		strictyaml.Field{Key: "env", Read: readEnv(&s.Env)},
		strictyaml.Field{Key: "pass_env", Read: strictyaml.Texts(&s.PassEnv, 0, maxList, isPassable)},
		strictyaml.Field{Key: "ready", Read: readReady(&s.Ready)},
		strictyaml.Field{Key: "files", Read: strictyaml.Texts(&s.Files, 0, maxList, isLocal)},
		strictyaml.Field{Key: "port", Read: strictyaml.Int(&s.Port, 1, 65535)},
		strictyaml.Field{Key: "pprof", Read: strictyaml.Text(&s.Pprof, strictyaml.Matching(requestPath, "a path starting with /"))},
	)
	if err != nil {
		return Service{}, err
	}
	if s.Name == "" {
		s.Name = string(s.Lang)
	}
	if len(s.Build) > 0 && s.Binary == "" {
		return Service{}, n.Errorf("service %q: build needs binary, the path of what it makes", s.Name)
	}
	return s, nil
}

// readEnv reads an environment. What Duet sets itself cannot be set.
func readEnv(to *map[string]string) strictyaml.Read {
	return strictyaml.Each(maxList, func(name string, n strictyaml.Node) error {
		if expected := isSettable(name); expected != "" {
			return n.Errorf("env %q: expected %s", name, expected)
		}
		var value string
		if err := strictyaml.Scalar(&value, atMost(maxArgument))(n); err != nil {
			return err
		}
		if *to == nil {
			*to = map[string]string{}
		}
		(*to)[name] = value
		return nil
	})
}

func atMost(bytes int) strictyaml.Check {
	return func(s string) string {
		if len(s) > bytes {
			return fmt.Sprintf("at most %d bytes", bytes)
		}
		return ""
	}
}

func isSettable(name string) string {
	if !envName.MatchString(name) {
		return "a variable's name: letters, digits and _"
	}
	if slices.Contains([]string{"ADDR", "HOME", "PORT", "TMPDIR"}, name) {
		return "another name: Duet sets ADDR, HOME, PORT and TMPDIR"
	}
	return ""
}

// isPassable keeps a runner's own variables, tokens among them, from being passed on by name.
func isPassable(name string) string {
	if expected := isSettable(name); expected != "" {
		return expected
	}
	for _, prefix := range []string{"ACTIONS_", "GITHUB_", "INPUT_", "RUNNER_"} {
		if strings.HasPrefix(strings.ToUpper(name), prefix) {
			return "a variable that is not the runner's: ACTIONS_*, GITHUB_*, INPUT_* and RUNNER_* are never passed on"
		}
	}
	return ""
}

func readReady(to *Ready) strictyaml.Read {
	readPath := strictyaml.Text(&to.Path, strictyaml.Matching(requestPath, "a path starting with /, of printable ASCII without spaces or #"))
	return func(n strictyaml.Node) error {
		if !n.IsMap() {
			return readPath(n)
		}
		return n.Map(
			strictyaml.Field{Key: "path", Read: readPath},
			strictyaml.Field{Key: "timeout", Read: strictyaml.Duration(&to.Timeout, minReady, maxReady)},
		)
	}
}

func (c *Config) readWorkloads(n strictyaml.Node) error {
	const expected = "a name (1 to 40 of a-z, 0-9 and -) or a path below the repository such as ./bench/mine.yaml"
	c.lines = map[string]int{}
	_ = strictyaml.List(1, maxWorkloads, func(item strictyaml.Node) error { // what is wrong is found below
		var name string
		if strictyaml.Text(&name)(item) == nil {
			c.lines[name] = item.Line
		}
		return nil
	})(n)
	return strictyaml.Texts(&c.Workloads, 1, maxWorkloads, func(s string) string {
		if IsWorkloadPath(s) && isLocal(s) == "" || workload.NameOK(s) {
			return ""
		}
		return expected
	}, unlikeOthers())(n)
}

// WorkloadLine is the line of the configuration that names a workload, as it names it; 0 where none does.
func (c *Config) WorkloadLine(name string) int { return c.lines[name] }

// IsWorkloadPath tells a path of the repository from the name of an embedded workload.
func IsWorkloadPath(s string) bool { return strings.ContainsAny(s, "/.") }

// unlikeOthers objects to a text that it saw before.
func unlikeOthers() strictyaml.Check {
	seen := map[string]bool{}
	return func(s string) string {
		if seen[path.Clean(s)] {
			return "each one once"
		}
		seen[path.Clean(s)] = true
		return ""
	}
}

func (c *Config) readParity(n strictyaml.Node) error {
	return n.Map(
		strictyaml.Field{Key: "ignore", Read: strictyaml.Texts(&c.Parity.Ignore, 0, maxList, strictyaml.Matching(ignoredPath, `a path such as "$.id"`))},
		strictyaml.Field{Key: "requests", Read: strictyaml.Int(&c.Parity.Requests, 1, maxParity)},
	)
}

func (c *Config) readMargins(n strictyaml.Node) error {
	return strictyaml.Each(maxList, func(metric string, n strictyaml.Node) error {
		if !metricName.MatchString(metric) {
			return n.Errorf("margin %q: expected a metric's name", metric)
		}
		var share float64
		if err := strictyaml.Share(&share, 0.1, 100)(n); err != nil {
			return err
		}
		c.Margins[metric], c.margins[metric] = share, n.Errorf
		return nil
	})(n)
}

func (c *Config) readMeasure(n strictyaml.Node) error {
	return n.Map(
		strictyaml.Field{Key: "slice", Read: strictyaml.Duration(&c.Measure.Slice, minSlice, maxSlice)},
		strictyaml.Field{Key: "rounds", Read: readRounds(&c.Measure.Rounds)},
		strictyaml.Field{Key: "pin", Read: readTruth(&c.Measure.Pin)},
		strictyaml.Field{Key: "count", Read: strictyaml.Duration(&c.Measure.Count, 0, maxCount)},
		strictyaml.Field{Key: "profile", Read: strictyaml.Duration(&c.Measure.Profile, 0, maxProfile)},
	)
}

// readRounds reads the looks of screening: each is later than the one before it.
func readRounds(to *[]int) strictyaml.Read {
	return func(n strictyaml.Node) error {
		var all []int
		err := strictyaml.List(1, maxLooks, func(item strictyaml.Node) error {
			var look int
			if err := strictyaml.Int(&look, minLook, maxLook)(item); err != nil {
				return err
			}
			if last := len(all) - 1; last >= 0 && look <= all[last] {
				return item.Errorf("%s %d: expected more than the %d before it", item.Name, look, all[last])
			}
			all = append(all, look)
			return nil
		})(n)
		if err == nil {
			*to = all
		}
		return err
	}
}

// readTruth reads true or false, quoted or not.
func readTruth(to *bool) strictyaml.Read {
	return func(n strictyaml.Node) error {
		var word string
		err := strictyaml.Scalar(&word, func(s string) string {
			if s == "true" || s == "false" {
				return ""
			}
			return "true or false"
		})(n)
		*to = word == "true"
		return err
	}
}

func (c *Config) readPolicy(n strictyaml.Node) error {
	return n.Map(
		strictyaml.Field{Key: "gate", Read: strictyaml.Choice(&c.Policy.Gate, Gates()...)},
		strictyaml.Field{Key: "isolation", Read: strictyaml.Choice(&c.Policy.Isolation, Isolations()...)},
		strictyaml.Field{Key: "self-hosted-forks", Read: strictyaml.Choice(&c.Policy.SelfHostedForks, ForksRefuse, ForksAllow)},
	)
}

// Gates are all gates, from the loosest to the tightest.
func Gates() []Gate { return []Gate{GateNever, GateRegression, GateInconclusive} }

// pairReader keeps the places of pairs until all services are known.
type pairReader struct {
	given  bool
	pairs  []Pair
	places []strictyaml.Node
}

func (r *pairReader) read(n strictyaml.Node) error {
	if r.given {
		return n.Errorf("pairs and matrix: expected one of them")
	}
	r.given = true
	return strictyaml.List(0, maxPairs, func(item strictyaml.Node) error {
		var p Pair
		err := item.Map(
			strictyaml.Field{Key: "name", Read: strictyaml.Text(&p.Name, strictyaml.Matching(serviceName, nameExpected))},
			strictyaml.Field{Key: "go", Required: true, Read: strictyaml.Text(&p.Go)},
			strictyaml.Field{Key: "rust", Required: true, Read: strictyaml.Text(&p.Rust)},
		)
		if err != nil {
			return err
		}
		return r.add(p, item)
	})(n)
}

// readMatrix reads the short form of many pairs: each Go service named with each Rust one.
func (r *pairReader) readMatrix(n strictyaml.Node) error {
	if r.given {
		return n.Errorf("pairs and matrix: expected one of them")
	}
	r.given = true
	var names [2][]string
	list := func(to *[]string) strictyaml.Read { return strictyaml.Texts(to, 1, maxServices, unlikeOthers()) }
	err := n.Map(
		strictyaml.Field{Key: "go", Required: true, Read: list(&names[0])},
		strictyaml.Field{Key: "rust", Required: true, Read: list(&names[1])},
	)
	if err != nil {
		return err
	}
	if made := len(names[0]) * len(names[1]); made > maxPairs {
		return n.Errorf("matrix: %d × %d services make %d pairs: expected at most %d", len(names[0]), len(names[1]), made, maxPairs)
	}
	for _, goName := range names[0] {
		for _, rustName := range names[1] {
			if err := r.add(Pair{Go: goName, Rust: rustName}, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// add takes a pair over; without a name it is called after its services.
func (r *pairReader) add(p Pair, at strictyaml.Node) error {
	if p.Name == "" {
		p.Name = p.Go + "-" + p.Rust
	}
	for _, other := range r.pairs {
		if other.Name == p.Name {
			return at.Errorf("pair %q: another pair is called so", p.Name)
		}
	}
	r.pairs, r.places = append(r.pairs, p), append(r.places, at)
	return nil
}

// resolve holds pairs to services. Without any, the one Go and the one Rust service are a pair.
func (r *pairReader) resolve(services []Service) ([]Pair, error) {
	names := map[Lang][]string{}
	for _, s := range services {
		names[s.Lang] = append(names[s.Lang], s.Name)
	}
	if !r.given {
		return defaultPairs(services), nil
	}
	for i, p := range r.pairs {
		for _, half := range []struct {
			lang Lang
			name string
		}{{Go, p.Go}, {Rust, p.Rust}} {
			if len(names[half.lang]) == 0 {
				return nil, r.places[i].Errorf("pair %q: no %s service %q: no service has `lang: %s`", p.Name, half.lang, half.name, half.lang)
			}
			if !slices.Contains(names[half.lang], half.name) {
				return nil, r.places[i].Errorf("pair %q: no %s service %q: expected one of %q", p.Name, half.lang, half.name, names[half.lang])
			}
		}
	}
	return r.pairs, nil
}

// defaultPairs are the one Go and the one Rust service, where there is one of each.
func defaultPairs(services []Service) []Pair {
	names := map[Lang][]string{}
	for _, s := range services {
		names[s.Lang] = append(names[s.Lang], s.Name)
	}
	if len(names[Go]) != 1 || len(names[Rust]) != 1 {
		return nil
	}
	return []Pair{{Name: names[Go][0] + "-" + names[Rust][0], Go: names[Go][0], Rust: names[Rust][0]}}
}

// isDir allows what isLocal does, the repository itself, and a second checkout beside it: ../NAME.
func isDir(s string) string {
	if s == "." {
		return ""
	}
	rest := strings.TrimPrefix(s, "../")
	if isLocal(rest) != "" {
		return "a path below the repository, or ../NAME for a second checkout beside it"
	}
	return ""
}

// isLocal holds a path to what stays below its folder on every system, and cannot be taken for a flag.
func isLocal(s string) string {
	const expected = "a relative path with forward slashes that stays below its folder"
	if s == "" || len(s) > maxPath || strings.ContainsAny(s, "\\:\n\t") || path.IsAbs(s) {
		return expected
	}
	clean := path.Clean(s)
	if clean == "." {
		return expected
	}
	for _, part := range strings.Split(clean, "/") {
		if part == ".." || strings.HasPrefix(part, "-") || strings.EqualFold(part, ".git") {
			return expected + "; no part is .. or .git or starts with -"
		}
	}
	if strings.Contains(s, "..") && slices.Contains(strings.Split(s, "/"), "..") {
		return expected + "; no part is .. or .git or starts with -"
	}
	return ""
}

func isGlob(s string) string {
	if !doublestar.ValidatePattern(s) || strings.HasPrefix(s, "/") {
		return "a pattern such as **/*.md, relative to the repository"
	}
	return ""
}

// checkMargins holds head's margins to metrics: they are being written now. Base's may be from before a metric was
// renamed: Load says so and leaves them out.
func (c Config) checkMargins(metrics []string) error {
	unknown := unknownMargins(c.Margins, metrics)
	if len(unknown) == 0 {
		return nil
	}
	expected := "no such metric: expected one of " + strings.Join(metrics, ", ")
	if at := c.margins[unknown[0]]; at != nil {
		return &UsageError{Err: at("margin %q: %s", unknown[0], expected)}
	}
	return Usagef("", "margin %q: %s", unknown[0], expected)
}

func unknownMargins(margins map[string]float64, metrics []string) []string {
	var unknown []string
	for name := range margins {
		if !slices.Contains(metrics, name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}
