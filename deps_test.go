package duet_test

import (
	"encoding/json"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/duet-bench/duet"

// arrows is who may import whom inside the module (docs/architecture.md draws it). Edges never import each
// other; sandbox is the floor below those that start processes.
var arrows = map[string][]string{
	"workloads":           {},
	"internal/strictyaml": {},
	"internal/workload":   {"internal/strictyaml"},
	"internal/plan":       {"internal/strictyaml", "internal/workload"},
	"internal/result":     {"internal/plan", "internal/workload"},
	"internal/openapi":    {"internal/workload"},
	"internal/stats":      {},
	"internal/noise":      {"internal/stats", "internal/result"},
	"internal/parity":     {},
	"examples/contract":   {"internal/parity"},
	"internal/compare":    {"internal/stats", "internal/profdiff", "internal/result", "internal/plan"},
	"internal/report":     {"internal/compare", "internal/profdiff", "internal/stats", "internal/result", "internal/plan"},
	"internal/nightly":    {"internal/compare", "internal/history", "internal/triage", "internal/stats", "internal/result", "internal/plan"},
	"internal/triage":     {"internal/history", "internal/report", "internal/result", "internal/stats"},
	"internal/dashboard":  {"internal/history", "internal/report", "internal/result", "internal/triage"},
	"internal/claims":     {"internal/compare", "internal/report", "internal/result", "internal/plan"},
	"internal/sandbox":    {},
	"internal/source":     {"internal/plan"},
	"internal/symbols":    {},
	"internal/build":      {"internal/plan", "internal/result", "internal/sandbox", "internal/symbols", "internal/goagent"},
	"internal/goagent":    {},
	"internal/container":  {"internal/sandbox"},
	"internal/service":    {"internal/plan", "internal/result", "internal/sandbox", "internal/symbols", "internal/goagent"},
	"internal/load":       {"internal/plan", "internal/result", "internal/workload"},
	"internal/postgres":   {"internal/sandbox"},
	"internal/harness": {"internal/source", "internal/build", "internal/service", "internal/load", "internal/postgres", "internal/sandbox",
		"internal/parity", "internal/profdiff", "internal/plan", "internal/result", "internal/workload"},
	"internal/profdiff":          {"internal/stats", "internal/result", "internal/plan"},
	"internal/history":           {"internal/stats", "internal/result", "internal/plan"},
	"internal/history/made":      {"internal/history", "internal/result"},
	"internal/github":            {"internal/plan"},
	"internal/github/fake":       {},
	"internal/goagent/agent":     {},
	"internal/demo":              {},
	"internal/demo/bundle":       {},
	"internal/demo/gen":          {"internal/demo/bundle"},
	"internal/selftest/pair":     {"internal/demo", "internal/plan"},
	"internal/selftest/pair/gen": {"internal/demo/bundle"},
	"internal/selftest": {"internal/harness", "internal/compare", "internal/report", "internal/stats", "internal/selftest/pair",
		"internal/plan", "internal/result", "internal/workload"},
	"cmd/duet": {"workloads", "internal/workload", "internal/plan", "internal/result", "internal/compare", "internal/report",
		"internal/source", "internal/build", "internal/harness", "internal/sandbox", "internal/demo", "internal/parity", "internal/service", "internal/load", "internal/postgres", "internal/noise",
		"internal/selftest", "internal/selftest/pair", "internal/github", "internal/container", "internal/openapi", "internal/claims", "internal/profdiff", "internal/history", "internal/triage", "internal/dashboard", "internal/nightly"},
}

// thirdParty is every module that may be imported outside tests, and by whom: each outside thing has one home.
var thirdParty = map[string][]string{
	"github.com/alecthomas/chroma/v2":         {"internal/profdiff"},
	"github.com/HdrHistogram/hdrhistogram-go": {"internal/result", "internal/selftest"},
	"github.com/bmatcuk/doublestar/v4":        {"internal/plan"},
	"github.com/BurntSushi/toml":              {"internal/build"},
	"github.com/getkin/kin-openapi":           {"internal/github/fake", "internal/openapi"},
	"github.com/gobwas/ws":                    {"internal/load"},
	"github.com/goccy/go-yaml":                {"internal/strictyaml", "examples/contract"},
	"github.com/ianlancetaylor/demangle":      {"internal/profdiff", "internal/symbols"},
	"github.com/jackc/pgx/v5":                 {"internal/postgres"},
	"github.com/olekukonko/tablewriter":       {"internal/report"},
	"github.com/prometheus/procfs":            {"internal/sandbox", "internal/service"},
	"github.com/google/pprof":                 {"internal/profdiff", "internal/harness", "internal/service"},
	"github.com/google/go-github/v60":         {"internal/github"},
	"github.com/sethvargo/go-githubactions":   {"cmd/duet", "internal/github"},
	"github.com/spf13/cobra":                  {"cmd/duet"},
	"github.com/spf13/pflag":                  {"cmd/duet"},
	"github.com/vishvananda/netlink":          {"internal/service"},
	"github.com/vishvananda/netns":            {"internal/service", "internal/sandbox"},
	"github.com/theory/jsonpath":              {"internal/parity", "examples/contract"},
	"golang.org/x/mod":                        {"internal/build", "internal/demo/bundle"},
	"golang.org/x/perf":                       {"internal/history", "internal/selftest"},
	"golang.org/x/sys":                        {"internal/sandbox", "internal/service", "internal/load", "internal/harness", "internal/build", "internal/postgres", "cmd/duet"},
	"golang.org/x/term":                       {"cmd/duet"},
	"golang.org/x/tools":                      {"internal/demo", "internal/demo/bundle", "internal/demo/gen", "internal/selftest/pair/gen"},
	"gonum.org/v1/gonum":                      {"internal/stats"},
}

type listed struct {
	ImportPath, Dir string
	Name            string
	Imports         []string
	GoFiles         []string
}

func listPackages(t *testing.T) []listed {
	t.Helper()
	command := exec.Command("go", "list", "-json=ImportPath,Dir,Name,Imports,GoFiles", "./...")
	command.Env = append(os.Environ(), "GOOS=linux")
	text, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for decoder := json.NewDecoder(strings.NewReader(string(text))); decoder.More(); {
		var p listed
		if err := decoder.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("go list found %d packages, expected the whole module", len(all))
	}
	return all
}

func TestArrows(t *testing.T) {
	for _, p := range listPackages(t) {
		name := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		if name == "" || len(p.GoFiles) == 0 { // tests alone
			continue
		}
		allowed, known := arrows[name]
		if !known {
			t.Errorf("%s: a package that the arrows do not name: draw it in docs/architecture.md and in deps_test.go", name)
			continue
		}
		for _, imported := range p.Imports {
			if inside, ok := strings.CutPrefix(imported, module+"/"); ok {
				if !slices.Contains(allowed, inside) {
					t.Errorf("%s imports %s: expected only %v", name, inside, allowed)
				}
				continue
			}
			if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
				continue // the standard library
			}
			owner := moduleOf(imported)
			if !slices.Contains(thirdParty[owner], name) {
				t.Errorf("%s imports %s: expected it in %v alone", name, imported, thirdParty[owner])
			}
		}
	}
}

// moduleOf is the longest listed module that a package belongs to.
func moduleOf(imported string) string {
	best := imported
	for m := range thirdParty {
		if imported == m || strings.HasPrefix(imported, m+"/") {
			best = m
		}
	}
	return best
}

// Every package says in its doc what its one idea is.
func TestPackageDocs(t *testing.T) {
	for _, p := range listPackages(t) {
		if len(p.GoFiles) == 0 {
			continue
		}
		documented := false
		for _, file := range p.GoFiles {
			parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, file), nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			documented = documented || parsed.Doc.Text() != ""
		}
		if !documented {
			t.Errorf("%s has no package doc", p.ImportPath)
		}
	}
}

// cmd/duet/main.go stays a door, not a room.
func TestMainIsShort(t *testing.T) {
	text, err := os.ReadFile("cmd/duet/main.go")
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(text), "\n"); lines > 40 {
		t.Errorf("cmd/duet/main.go has %d lines, expected at most 40", lines)
	}
}
