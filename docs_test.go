package duet_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/container"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/workload"
	"github.com/duet-bench/duet/workloads"
)

func readDoc(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The example that explains every key is one that the parser takes.
func TestConfigurationExample(t *testing.T) {
	_, rest, ok := strings.Cut(readDoc(t, "docs/configuration.md"), "```yaml\n")
	if !ok {
		t.Fatal("docs/configuration.md has no yaml block")
	}
	example, _, _ := strings.Cut(rest, "```")
	config, err := plan.ParseConfig("docs/configuration.md", []byte(example))
	if err != nil {
		t.Fatal(err)
	}
	if len(config.Services) != 2 || len(config.Setup) != 1 {
		t.Errorf("got %d services and %d setup requests, want the example's 2 and 1", len(config.Services), len(config.Setup))
	}
}

// So are the two workloads.
func TestWorkloadExamples(t *testing.T) {
	_, rest, _ := strings.Cut(readDoc(t, "docs/configuration.md"), "\n## A workload\n")
	section, _, ok := strings.Cut(rest, "\n## ")
	blocks := strings.Split(section, "```yaml\n")
	if !ok || len(blocks) != 3 {
		t.Fatalf("docs/configuration.md shows %d workloads, want 2", len(blocks)-1)
	}
	for _, block := range blocks[1:] {
		text, _, _ := strings.Cut(block, "```")
		w, err := workload.Parse("docs/configuration.md", []byte(text))
		if err == nil {
			err = workload.CheckCaptures(w, nil)
		}
		if err == nil {
			_, err = workload.Stream(w, 1, workload.Captures{"id": {"1"}, "token": {"x"}}, 100)
		}
		if err != nil {
			t.Error(err)
		}
	}
}

// The bundled configuration is one too.
func TestOwnConfiguration(t *testing.T) {
	if _, err := plan.ParseConfig("duet.yml", []byte(readDoc(t, "duet.yml"))); err != nil {
		t.Fatal(err)
	}
	all, err := plan.ParseConfig("examples/duet.yml", []byte(readDoc(t, "examples/duet.yml")))
	if err != nil {
		t.Fatal(err)
	}
	if len(all.Workloads) != len(workloads.Names()) || len(all.Services) != 8 || len(all.Pairs) != 15 {
		t.Errorf("examples/duet.yml: %d workloads, %d services, %d pairs; want all %d, 8 and 15", len(all.Workloads), len(all.Services), len(all.Pairs), len(workloads.Names()))
	}
}

// Margins in the documents are those of the table.
func TestMarginsInDocuments(t *testing.T) {
	row := regexp.MustCompile("(?m)^\\| (`[a-z0-9_]+`(?: · `[a-z0-9_]+`)*) \\|([^|]*)\\|")
	found := 0
	for _, match := range row.FindAllStringSubmatch(readDoc(t, "docs/configuration.md"), -1) {
		names, margins := strings.Split(match[1], " · "), strings.Split(strings.TrimSpace(match[2]), " · ")
		for i, name := range names {
			metric, ok := result.MetricByName(strings.Trim(name, "`"))
			if !ok {
				continue
			}
			found++
			want := ""
			if metric.Judged {
				want = fmt.Sprintf("%g %%", 100*metric.Margin)
			}
			if i >= len(margins) && want != "" || i < len(margins) && margins[i] != want {
				t.Errorf("docs/configuration.md: %s: got margins %q, want %q at place %d", name, match[2], want, i+1)
			}
		}
	}
	if found != len(result.Metrics()) {
		t.Errorf("docs/configuration.md names %d metrics, the table has %d", found, len(result.Metrics()))
	}
}

// The capabilities that are explained are those that are asked for.
func TestCapabilitiesInDocuments(t *testing.T) {
	text := readDoc(t, "docs/container.md")
	found := regexp.MustCompile("`[A-Z]+(_[A-Z]+)?`").FindAllString(text, -1)
	for _, name := range container.Capabilities() {
		if !slices.Contains(found, "`"+name+"`") {
			t.Errorf("docs/container.md does not say what %s is for", name)
		}
	}
	if want := fmt.Sprintf("all capabilities dropped but %s,", []string{"none", "one", "two", "three", "four", "five", "six", "seven"}[len(container.Capabilities())]); !strings.Contains(strings.Join(strings.Fields(text), " "), want) {
		t.Errorf("docs/container.md: want %q", want)
	}
}

// Every base image of the Dockerfile is pinned by digest, and none is named but by a build argument.
func TestDockerfilePins(t *testing.T) {
	pinned := regexp.MustCompile(`^ARG [A-Z]+=[a-z]+:[a-z0-9.-]+@sha256:[0-9a-f]{64}$`)
	args, stages := 0, 0
	for line := range strings.Lines(readDoc(t, "Dockerfile")) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "ARG "):
			if args++; !pinned.MatchString(line) {
				t.Errorf("Dockerfile: %s: want NAME=IMAGE:TAG@sha256:…", line)
			}
		case strings.HasPrefix(line, "FROM "):
			if stages++; !strings.HasPrefix(line, "FROM ${") {
				t.Errorf("Dockerfile: %s: want a build argument", line)
			}
		}
	}
	if args != 3 || stages != 3 {
		t.Errorf("Dockerfile: %d arguments and %d stages, want 3 of each", args, stages)
	}
}

// The README's two commands are the ones that are run: CI runs its test command, and the demo is a subcommand.
func TestReadmeCommands(t *testing.T) {
	readme, ci := readDoc(t, "README.md"), readDoc(t, ".ci/run")
	for _, command := range []string{"scripts/test", "go run ./cmd/duet demo"} {
		if !strings.Contains(readme, "\n    "+command+"\n") {
			t.Errorf("README.md does not show the command %q on a line of its own", command)
		}
	}
	if !strings.Contains(ci, "\nscripts/test -race\n") {
		t.Error(".ci/run does not run the README's test command")
	}
}

// Every document that one names is there.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)\)`)
	for _, file := range []string{"README.md", "docs/architecture.md", "docs/configuration.md", "docs/container.md", "docs/glossary.md", "docs/methodology.md", "workloads/README.md", "examples/contract/README.md"} {
		dir := ""
		if i := strings.LastIndex(file, "/"); i >= 0 {
			dir = file[:i+1]
		}
		for _, match := range link.FindAllStringSubmatch(readDoc(t, file), -1) {
			if _, err := os.Stat(dir + match[1]); err != nil {
				t.Errorf("%s links to %s: %v", file, match[1], err)
			}
		}
	}
}

// The job that docs/dashboard.md adds to the nightly workflow takes what that one leaves, and actions at a commit.
func TestPagesJob(t *testing.T) {
	_, rest, _ := strings.Cut(readDoc(t, "docs/dashboard.md"), "```yaml\n")
	block, _, ok := strings.Cut(rest, "```")
	nightly := readDoc(t, "docs/workflows/nightly.yml")
	if !ok || !strings.Contains(block, "needs: record\n") || !strings.Contains(nightly, "\n  record:\n") {
		t.Fatal("docs/dashboard.md has no job that follows nightly.yml's record")
	}
	if name := "name: duet-nightly-${{ github.run_attempt }}\n"; !strings.Contains(block, name) || !strings.Contains(nightly, name) {
		t.Errorf("the artifact of nightly.yml is not the one that the job takes: want %q in both", name)
	}
	uses := regexp.MustCompile(`uses: (\S+)`).FindAllStringSubmatch(block, -1)
	pinned := regexp.MustCompile(`^actions/[a-z-]+@[0-9a-f]{40}$`)
	for _, u := range uses {
		if !pinned.MatchString(u[1]) {
			t.Errorf("%s is not pinned to a commit", u[1])
		}
	}
	if len(uses) != 3 {
		t.Errorf("the job uses %d actions, want 3", len(uses))
	}
}
