package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/profdiff"
)

// blameServices is the variable that names example services, by commas, or "every" for all of them, of which
// TestFunctionsToBlameOfServices counts three builds each; axum's and net/http's without it are TestFunctionsToBlame's.
// `DUET_BLAME_SERVICES=every DUET_BLAME_RUNS=10 go test -v -timeout 6h -run BlameOfServices ./e2e` prints the table of
// docs/methodology.md.
const blameServices = "DUET_BLAME_SERVICES"

// subject is an example service with the loop of its plant "handler": about a tenth of a request, in the service's own
// function for it.
type subject struct {
	name    string
	lang    plan.Lang
	file    string // of the handler
	handler string // its first line
	turns   int
}

func subjects() []subject {
	const goTurns = 25_000
	return []subject{
		{"nethttp", plan.Go, "go/nethttp/app.go", "func pipeline(w http.ResponseWriter, r *http.Request) {\n", goTurns},
		{"gin", plan.Go, "go/gin/app.go", "func (s service) pipeline(c *gin.Context) {\n", goTurns},
		{"fiber", plan.Go, "go/fiber/app.go", "func (s service) pipeline(c fiber.Ctx) error {\n", goTurns},
		{"echo", plan.Go, "go/echo/app.go", "func (s service) pipeline(c *echo.Context) error {\n", goTurns},
		{"chi", plan.Go, "go/chi/app.go", "func (s service) pipeline(w http.ResponseWriter, r *http.Request) {\n", goTurns},
		{"axum", plan.Rust, "rust/axum/src/app.rs", "async fn pipeline(JsonBody(body): JsonBody) -> Result<Json<Batch>, Refusal> {\n", 9_500},
		{"actix", plan.Rust, "rust/actix/src/app.rs", "async fn pipeline(JsonBody(body): JsonBody) -> Answer<Batch> {\n", 7_000},
		{"rocket", plan.Rust, "rust/rocket/src/app.rs", "fn pipeline(body: Body) -> Answer<Batch> {\n", 7_000},
	}
}

// A tenth more of a request in a service's own handler, and a tenth more of a function that does about a twentieth of the
// work, are put down to that function and its lines; a build against itself is put down to nothing.
func TestFunctionsToBlameOfServices(t *testing.T) {
	asked := os.Getenv(blameServices)
	var chosen []subject
	for _, s := range subjects() {
		if asked == "every" || slices.Contains(strings.Split(asked, ","), s.name) {
			chosen = append(chosen, s)
		}
	}
	if asked != "" && len(chosen) == 0 {
		t.Fatalf("%s=%q: expected every, or some of the example services", blameServices, asked)
	}
	repo := servicesRepo(t) // a plant whose place has moved is found without counting
	if len(chosen) == 0 {
		return
	}
	runs := max(blameRunsOf(t), leastTriples)
	var services []plan.Service
	for _, plant := range []string{"none", "handler", "small"} {
		for _, s := range chosen {
			services = append(services, s.build(plant))
		}
	}
	run := countRounds(t, repo, runs, services)
	small := culprits()[1]
	for _, s := range chosen {
		handler := culprit{
			name: "handler", function: map[plan.Lang]string{s.lang: "pipeline"}, file: map[plan.Lang]string{s.lang: s.file},
			inside: map[plan.Lang]string{s.lang: "pipeline"},
		}
		for _, c := range []culprit{handler, small} {
			first := 0
			for i := range runs {
				if c.foremost(t, repo, s, finding(t, run, s.name+"-none", s.name+"-"+c.name, triple(i, runs), triple(i, runs))) {
					first++
				}
			}
			t.Logf("| %s | %s | %d of %d |", s.name, c.name, first, runs)
			if first*10 < runs*9 {
				t.Errorf("%s %s: first in %d of %d runs, want nine in ten", s.name, c.name, first, runs)
			}
		}
		named := 0
		for i := range runs {
			if f := finding(t, run, s.name+"-none", s.name+"-none", triple(i, runs), triple(i+4, runs)); len(f.Moved) > 0 {
				named++
				t.Errorf("%s against itself, run %d: %s is named", s.name, i+1, movedText(f))
			}
		}
		t.Logf("| %s | itself | named in %d of %d |", s.name, named, runs)
	}
}

// leastTriples is how few rounds make as many triples of which no two share more than one round.
const leastTriples = 8

// triple is the rounds of the i-th run: of so many rounds, each is in three runs, and no two runs share more than one. So
// ten rounds are ten runs, where disjoint ones would take three times as long.
func triple(i, rounds int) []int {
	return []int{i%rounds + 1, (i+1)%rounds + 1, (i+3)%rounds + 1}
}

// foremost is whether the culprit is the first function named, at its own lines. A framework's macro may put a handler's
// code into a function of its own making: the name holds the handler's.
func (c culprit) foremost(t *testing.T, repo string, s subject, f profdiff.Finding) bool {
	t.Helper()
	t.Logf("%s %s: %.0f → %.0f instructions: %s", s.name, c.name, f.Base, f.Head, movedText(f))
	if len(f.Moved) == 0 {
		return false
	}
	m := f.Moved[0]
	begin, end := linesOf(t, filepath.Join(repo, c.file[s.lang]), c.inside[s.lang])
	return strings.Contains(profdiff.ShortName(m.Name), c.function[s.lang]) && m.Own && m.Delta > 0 &&
		m.File == c.file[s.lang] && begin <= m.Line && m.Last <= end && m.Last > 0
}

// build is the service with a plant. Dependencies are compiled once for all builds of a language: nobody times them.
func (s subject) build(plant string) plan.Service {
	binary := "made/" + plant + "/" + s.name
	script := fmt.Sprintf(`mkdir -p made/%s; GOCACHE="$PWD/../.cache" exec go build -tags %s -o %s .`, plant, plant, binary)
	if s.lang == plan.Rust {
		features := ""
		if plant != "none" {
			features = " --features " + plant
		}
		script = fmt.Sprintf(`cargo build --release --locked --target-dir ../shared%s && mkdir -p made/%s && cp ../shared/release/%s %s`,
			features, plant, s.name, binary)
	}
	return plan.Service{Name: s.name + "-" + plant, Lang: s.lang, Dir: string(s.lang) + "/" + s.name, Build: []string{"sh", "-c", script}, Binary: binary}
}

// servicesRepo is all example services with the loops, each switched on by a build tag or feature of its name.
func servicesRepo(t *testing.T) string {
	t.Helper()
	repo := filepath.Join(t.TempDir(), "repo")
	for _, lang := range []string{"go", "rust"} {
		copySources(t, filepath.Join("..", "examples", lang), filepath.Join(repo, lang))
	}
	plantSmall(t, repo, 60, 6)
	for _, s := range subjects() {
		file := filepath.Join(repo, filepath.FromSlash(s.file))
		switch s.lang {
		case plan.Go:
			insertOnce(t, file, s.handler, fmt.Sprintf(goLoop, "handlerTurns"))
			dir := filepath.Dir(file)
			writeText(t, filepath.Join(dir, "plant.go"), "package main\n\nvar looped int\n")
			writeText(t, filepath.Join(dir, "plant_handler.go"), fmt.Sprintf("//go:build handler\n\npackage main\n\nconst handlerTurns = %d\n", s.turns))
			writeText(t, filepath.Join(dir, "plant_no_handler.go"), "//go:build !handler\n\npackage main\n\nconst handlerTurns = 0\n")
		case plan.Rust:
			insertOnce(t, file, s.handler, fmt.Sprintf(rustLoop, "HANDLER_TURNS"))
			insertOnce(t, file, "//! Routes, and the mapping between HTTP and the core.\n",
				fmt.Sprintf("\nconst HANDLER_TURNS: u32 = if cfg!(feature = \"handler\") { %d } else { 0 };\n", s.turns))
			addFeatures(t, filepath.Join(repo, "rust", s.name, "Cargo.toml"), "handler = []\nsmall = [\"duet-core/small\"]\n")
		}
	}
	gitInit(t, repo)
	return repo
}

// addFeatures adds features to a manifest, with or without some of its own.
func addFeatures(t *testing.T, manifest, features string) {
	t.Helper()
	text := read(t, manifest)
	if strings.Contains(text, "[features]\n") {
		insertOnce(t, manifest, "[features]\n", features)
		return
	}
	writeText(t, manifest, text+"\n[features]\n"+features)
}

// copySources copies a folder without what was built in it.
func copySources(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch {
		case entry.IsDir() && entry.Name() == "target":
			return filepath.SkipDir
		case entry.IsDir():
			return os.MkdirAll(filepath.Join(to, name), 0o755)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, name), text, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func gitInit(t *testing.T, repo string) {
	t.Helper()
	git(t, ".", "init", "-q", "-b", "main", repo)
	git(t, repo, "add", "-A")
	git(t, repo, "commit", "-q", "-m", "Loops")
}
