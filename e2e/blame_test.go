package e2e

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/harness"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/profdiff"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/selftest"
	"github.com/duet-bench/duet/internal/selftest/pair"
	"github.com/duet-bench/duet/internal/source"
	"github.com/duet-bench/duet/internal/workload"
	"github.com/duet-bench/duet/workloads"
)

// blameRuns is the variable that says how many runs of perRun callgrind rounds TestFunctionsToBlame makes of each plant;
// one without it, of the harder plant in Go and of Go code that was moved about. `DUET_BLAME_RUNS=10 go test -v -run Blame$ ./e2e` prints
// the figures of docs/methodology.md.
const blameRuns = "DUET_BLAME_RUNS"

// blameKeep is the variable that names a file for the run.json of what was counted.
const blameKeep = "DUET_BLAME_KEEP"

// perRun is how many callgrind rounds a run has: five, of which trimmed means let one be wrong (a suspect row of a report
// has seven and more); three with blameRuns.
var perRun = 5

// culprit is a planted loop: it adds about a tenth to one function.
type culprit struct {
	name     string // build tag and feature
	function map[plan.Lang]string
	file     map[plan.Lang]string
	inside   map[plan.Lang]string // the function of the source whose lines hold the loop
}

// culprits are a function that does most of the work, and one that does about a twentieth. In Rust the latter's loop
// stands in a function that the compiler inlines: it has lines and no name.
func culprits() []culprit {
	files := map[plan.Lang]string{plan.Go: "go/core/pipeline.go", plan.Rust: "rust/core/src/pipeline.rs"}
	return []culprit{
		{"large", map[plan.Lang]string{plan.Go: "core.parse", plan.Rust: "duet_core::pipeline::parse"}, files, map[plan.Lang]string{plan.Go: "parse", plan.Rust: "parse"}},
		{"small", map[plan.Lang]string{plan.Go: "core.fingerprint", plan.Rust: "duet_core::pipeline::fingerprint"}, files, map[plan.Lang]string{plan.Go: "fingerprint", plan.Rust: "fnv"}},
	}
}

// A planted tenth more of one function is put down to that function and its lines; code that was only moved about is
// put down to nothing.
func TestFunctionsToBlame(t *testing.T) {
	runs, all := blameRunsOf(t), false
	if os.Getenv(blameRuns) != "" {
		all, perRun = true, 3
	}
	repo := plantedRepo(t)
	run := countRounds(t, repo, runs*perRun, pairBuilds(all))
	langs := []plan.Lang{plan.Go}
	if all {
		langs = append(langs, plan.Rust)
	}
	for _, lang := range langs {
		for _, c := range culprits() {
			if !all && c.name == "large" {
				continue
			}
			first := 0
			for i := range runs {
				if c.first(t, repo, lang, finding(t, run, string(lang)+"-none", string(lang)+"-"+c.name, disjoint(i), disjoint(i))) {
					first++
				}
			}
			t.Logf("%s %s: first in %d of %d runs", lang, c.name, first, runs)
			if first*10 < runs*9 {
				t.Errorf("%s %s: first in %d of %d runs, want nine in ten", lang, c.name, first, runs)
			}
		}
		for i := range runs {
			if f := finding(t, run, string(lang)+"-none", string(lang)+"-moved", disjoint(i), disjoint(i)); len(f.Moved) > 0 {
				t.Errorf("%s, code that was moved about, run %d: %s is named", lang, i+1, movedText(f))
			}
		}
	}
}

// blameRunsOf is how many runs are asked for, 1 without the variable.
func blameRunsOf(t *testing.T) int {
	t.Helper()
	text := os.Getenv(blameRuns)
	if text == "" {
		return 1
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q: expected a number from 1", blameRuns, text)
	}
	return n
}

// first is whether the culprit is the first function named, at its own lines.
func (c culprit) first(t *testing.T, repo string, lang plan.Lang, f profdiff.Finding) bool {
	t.Helper()
	t.Logf("%s %s: %.0f → %.0f instructions: %s", lang, c.name, f.Base, f.Head, movedText(f))
	if len(f.Moved) == 0 {
		return false
	}
	m := f.Moved[0]
	begin, end := linesOf(t, filepath.Join(repo, c.file[lang]), c.inside[lang])
	return profdiff.ShortName(m.Name) == c.function[lang] && m.Delta > 0 && m.File == c.file[lang] && begin <= m.Line && m.Last <= end && m.Last > 0
}

func movedText(f profdiff.Finding) string {
	var all []string
	for _, m := range f.Moved {
		all = append(all, fmt.Sprintf("%s %+.0f of %.0f [%.0f, %.0f] (%+.2f %%) %s:%d-%d", profdiff.ShortName(m.Name), m.Delta, m.Base, m.Low, m.High, 100*m.Delta/f.Base, m.File, m.Line, m.Last))
	}
	return strings.Join(all, "; ")
}

// linesOf are the first and the last line of a function whose closing brace stands at the left.
func linesOf(t *testing.T, file, function string) (begin, end int) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(string(text), "\n") {
		if begins := regexp.MustCompile(`^(func (\([^)]*\) )?|(async )?fn )` + function + `\(`); begins.MatchString(line) {
			begin = i + 1
		}
		if begin > 0 && line == "}" {
			return begin, i + 1
		}
	}
	t.Fatalf("%s has no function %s", file, function)
	return 0, 0
}

// disjoint are the rounds of the i-th run where no two runs share one.
func disjoint(i int) (rounds []int) {
	for round := range perRun {
		rounds = append(rounds, i*perRun+round+1)
	}
	return rounds
}

// finding is what some rounds say of a plant: base over the first against it over the second.
func finding(t *testing.T, run result.Run, base, head string, first, second []int) profdiff.Finding {
	t.Helper()
	windows := map[string]map[int]profdiff.Window{}
	for _, c := range run.Costs {
		if c.Invalid != "" {
			t.Logf("%s round %d does not count: %s", c.Variant, c.Round, c.Invalid)
			continue
		}
		if windows[c.Variant.Service] == nil {
			windows[c.Variant.Service] = map[int]profdiff.Window{}
		}
		windows[c.Variant.Service][c.Round] = profdiff.WindowOf(run, c)
	}
	var pairs []profdiff.Pair
	for i := range first {
		pairs = append(pairs, profdiff.Pair{Base: windows[base][first[i]], Head: windows[head][second[i]]})
	}
	f, ok := profdiff.Blame(pairs, profdiff.ByInstructions)
	if !ok {
		t.Errorf("%s, rounds %v and %v: too few of both", head, first, second)
	}
	return f
}

// The loops that are planted, by the constant that says how often they turn.
const (
	goLoop   = "\tfor i := range %s {\n\t\tlooped ^= i * 31\n\t}\n"
	rustLoop = "    let (mut planted, mut turn) = (0, 0);\n    while turn < %s {\n        planted = std::hint::black_box(planted) ^ turn;\n        turn += 1;\n    }\n"
)

// plantedRepo is the bundled pair with the loops, each switched on by a build tag or feature of its name.
func plantedRepo(t *testing.T) string {
	t.Helper()
	repo := filepath.Join(t.TempDir(), "repo")
	if _, err := pair.Write(t.Context(), repo); err != nil {
		t.Fatal(err)
	}
	plantSmall(t, repo, 60, 6)
	insertOnce(t, filepath.Join(repo, "go/core/pipeline.go"), "func parse(body []byte) ([]Record, *Error) {\n", fmt.Sprintf(goLoop, "largeTurns"))
	insertOnce(t, filepath.Join(repo, "rust/core/src/pipeline.rs"), "fn parse(body: &[u8]) -> Result<Vec<Record>, Error> {\n", fmt.Sprintf(rustLoop, "LARGE_TURNS"))
	insertOnce(t, filepath.Join(repo, "rust/core/src/pipeline.rs"), "use crate::{Error, text};\n", `
const LARGE_TURNS: u32 = if cfg!(feature = "large") { 4_500 } else { 0 };
`)
	insertOnce(t, filepath.Join(repo, "rust/core/Cargo.toml"), "[features]\n", "large = []\n")
	insertOnce(t, filepath.Join(repo, "rust/axum/Cargo.toml"), "[features]\n", "large = [\"duet-core/large\"]\nsmall = [\"duet-core/small\"]\n")
	writeText(t, filepath.Join(repo, "go/core/plant_large.go"), "//go:build large\n\npackage core\n\nconst largeTurns = 16_000\n")
	writeText(t, filepath.Join(repo, "go/core/plant_flat.go"), "//go:build !large\n\npackage core\n\nconst largeTurns = 0\n")
	git(t, repo, "add", "--all")
	git(t, repo, "commit", "--quiet", "-m", "Loops")
	return repo
}

// plantSmall puts the loop "small" into both cores.
func plantSmall(t *testing.T, repo string, goTurns, rustTurns int) {
	t.Helper()
	insertOnce(t, filepath.Join(repo, "go/core/pipeline.go"), "func fingerprint(l *Line) string {\n", fmt.Sprintf(goLoop, "smallTurns"))
	rust := filepath.Join(repo, "rust/core/src/pipeline.rs")
	insertOnce(t, rust, "fn fnv(hash: u64, s: &str) -> u64 {\n", fmt.Sprintf(rustLoop, "SMALL_TURNS"))
	insertOnce(t, rust, "use crate::{Error, text};\n", fmt.Sprintf("\nconst SMALL_TURNS: u32 = if cfg!(feature = \"small\") { %d } else { 0 };\n", rustTurns))
	insertOnce(t, filepath.Join(repo, "rust/core/Cargo.toml"), "[features]\n", "small = []\n")
	for name, text := range map[string]string{
		"plant.go":       "package core\n\nvar looped int\n",
		"plant_small.go": fmt.Sprintf("//go:build small\n\npackage core\n\nconst smallTurns = %d\n", goTurns),
		"plant_fair.go":  "//go:build !small\n\npackage core\n\nconst smallTurns = 0\n",
	} {
		writeText(t, filepath.Join(repo, "go", "core", name), text)
	}
}

// insertOnce puts a text behind one that stands once in a file.
func insertOnce(t *testing.T, file, after, text string) {
	t.Helper()
	old := read(t, file)
	if n := strings.Count(old, after); n != 1 {
		t.Fatalf("%s: %q stands in it %d times, want once", file, after, n)
	}
	writeText(t, file, strings.Replace(old, after, after+text, 1))
}

func writeText(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// countRounds counts builds in so many callgrind rounds, and measures nothing else.
func countRounds(t *testing.T, repo string, rounds int, services []plan.Service) result.Run {
	t.Helper()
	src, err := source.Resolve(t.Context(), source.Options{Repo: repo, Base: "none"})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	text, err := fs.ReadFile(workloads.Files, selftest.Heavy+".yaml")
	if err != nil {
		t.Fatal(err)
	}
	w, err := workload.Parse(selftest.Heavy+".yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	p := plan.Plan{
		Schema: plan.Schema, Head: src.Head, NoBase: "builds of one commit are compared", Seed: 1, Services: map[plan.Variant]plan.Service{},
		Workloads: []workload.Workload{w}, Rounds: plan.Rounds{Looks: []int{7}, Confirm: 7, CountLooks: []int{rounds}}, Window: selftest.Window(),
	}
	for _, s := range services {
		p.Services[plan.Variant{Service: s.Name, Side: plan.Head}] = s
		p.Order = append(p.Order, s.Name)
	}
	variants := slices.SortedFunc(maps.Keys(p.Services), func(a, b plan.Variant) int { return strings.Compare(a.Service, b.Service) })
	next := func(p plan.Plan, pr plan.Progress) plan.Step {
		for _, v := range variants {
			if !pr.Built[v] && !pr.Failed[v] {
				return plan.Step{Kind: plan.StepBuild, Variant: v}
			}
		}
		switch done := pr.Counted[plan.Screen]; {
		case !pr.Calibrated[w.Name]:
			return plan.Step{Kind: plan.StepCalibrate, Workload: w.Name}
		case done < rounds && pr.CountOver[plan.Screen] == "":
			return plan.Step{Kind: plan.StepCount, Phase: plan.Screen, Round: done + 1, Start: rotate(variants, done), Windows: []string{w.Name}}
		}
		return plan.Step{Kind: plan.StepDone}
	}
	run, err := harness.Run(t.Context(), p, harness.Options{Source: src, Version: "e2e", Attempt: 1, Next: next, Progress: logged{t}})
	if err != nil {
		t.Fatalf("counting: %v %+v", err, run.Failures)
	}
	for _, f := range run.Failures { // the others go on
		t.Errorf("%s, %s: %s\n%s", f.Variant, f.Step, f.Error, strings.Join(f.LogTail, "\n"))
	}
	// As a report would see it.
	encoded, err := result.Encode(run)
	if err != nil {
		t.Fatal(err)
	}
	if keep := os.Getenv(blameKeep); keep != "" {
		writeText(t, keep, string(encoded))
	}
	t.Logf("run.json has %d bytes, %d names", len(encoded), len(run.Names))
	if run, err = result.Decode(encoded); err != nil {
		t.Fatal(err)
	}
	return run
}

func rotate(variants []plan.Variant, by int) []plan.Variant {
	by %= len(variants)
	return slices.Concat(variants[by:], variants[:by])
}

// pairBuilds are the pair's services with and without each plant; without all, Go's and the plants that are harder to find:
// one of Rust's builds takes as long as all of those. TestInliningIsNobodysFault names functions of Rust.
func pairBuilds(all bool) (services []plan.Service) {
	for _, name := range []string{"none", "large", "small", "moved"} {
		if name == "large" && !all {
			continue
		}
		for _, s := range builds(name) {
			if s.Lang == plan.Rust && !all {
				continue
			}
			services = append(services, s)
		}
	}
	return services
}

// builds are the pair's services built with a tag and a feature.
func builds(name string) []plan.Service {
	goBuild := []string{"go", "build", "-tags", name, "-o", "made/" + name + "/nethttp", "."}
	// Into one folder of the service's own, so that dependencies are compiled once.
	rustBuild := []string{"cargo", "build", "--release", "--locked", "--target-dir", "target"}
	if name != "none" {
		rustBuild = append(rustBuild, "--features", name)
	}
	return []plan.Service{
		{Name: "go-" + name, Lang: plan.Go, Dir: "go/nethttp", Build: goBuild, Binary: "made/" + name + "/nethttp"},
		{Name: "rust-" + name, Lang: plan.Rust, Dir: "rust/axum", Build: rustBuild, Binary: "target/release/axum"},
	}
}

// logged is a run's progress in a test's log.
type logged struct{ t *testing.T }

func (l logged) Begin(step string)                 { l.t.Logf("%s", step) }
func (l logged) Update(format string, args ...any) {}
func (l logged) Note(format string, args ...any)   { l.t.Logf(format, args...) }
