package duet_test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// workflow is the part of a workflow that these tests look at.
type workflow struct {
	On          any
	Permissions map[string]string
	Env         map[string]any
	Jobs        map[string]workflowJob
}

type workflowJob struct {
	If          string
	Permissions map[string]string
	Uses        string
	With        map[string]any
	Secrets     any
	Steps       []workflowStep
}

type workflowStep struct {
	ID, Name, If, Uses, Run, Shell string
	With                           map[string]any
	Env                            map[string]string
}

// action is action.yml.
type action struct {
	Inputs  map[string]struct{ Description, Default string }
	Outputs map[string]struct{ Description, Value string }
	Runs    struct {
		Using string
		Steps []workflowStep
	}
}

// examples are the workflows that users copy; workflows are those and the repository's own.
func examples(t *testing.T) []string { return globbed(t, "docs/workflows/*.yml") }

func workflows(t *testing.T) []string {
	return append(examples(t), globbed(t, ".github/workflows/*.yml")...)
}

func globbed(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(files), err)
	}
	return files
}

func readWorkflow(t *testing.T, file string) (w workflow) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(readDoc(t, file)), &w); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if len(w.Jobs) == 0 {
		t.Fatalf("%s has no jobs", file)
	}
	return w
}

func readAction(t *testing.T) (a action) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(readDoc(t, "action.yml")), &a); err != nil {
		t.Fatalf("action.yml: %v", err)
	}
	if len(a.Runs.Steps) == 0 || len(a.Inputs) == 0 {
		t.Fatal("action.yml has no steps or no inputs")
	}
	return a
}

// events are what starts a workflow.
func (w workflow) events() (names []string) {
	switch on := w.On.(type) {
	case string:
		names = []string{on}
	case []any:
		for _, name := range on {
			names = append(names, fmt.Sprint(name))
		}
	case map[string]any:
		for name := range on {
			names = append(names, name)
		}
	}
	return names
}

// pinned is how an action of somebody else's is named: by a commit.
var pinned = regexp.MustCompile(`^[\w.-]+/[\w./-]+@[0-9a-f]{40}$`)

// SECURITY.md, W1, C4 and G7; every permission is one that docs/workflows explains.
func TestWorkflowsAreSafe(t *testing.T) {
	most := map[string]string{"contents": "read", "actions": "read", "pull-requests": "write"}
	records := map[string]string{"actions": "read", "contents": "read write", "issues": "write"}
	for _, file := range workflows(t) {
		w := readWorkflow(t, file)
		complain := func(format string, args ...any) {
			t.Helper()
			t.Errorf("%s: %s", file, fmt.Sprintf(format, args...))
		}
		text := readDoc(t, file)
		for _, word := range []string{"pull_request_target", "allow-unsafe-pr-checkout", "write-all", "read-all", "toJSON(secrets)", "secrets: inherit", "ACTIONS_ALLOW_UNSECURE"} {
			if strings.Contains(text, word) {
				complain("it has %s", word)
			}
		}
		if len(w.events()) == 0 {
			complain("nothing starts it")
		}
		if !strings.Contains(text, "\npermissions: {}") {
			complain("its permissions are not none, but for what each job names")
		}
		for name, job := range w.Jobs {
			if len(job.Permissions) == 0 {
				complain("job %s names no permissions", name)
			}
			for scope, level := range job.Permissions {
				allowed := most[scope]
				if job.mode() == "record" {
					allowed = records[scope]
				}
				if !strings.Contains(allowed, level) || level == "" {
					complain("job %s: %s: %s is more than Duet needs", name, scope, level)
				}
			}
			if job.Secrets != nil || job.Uses != "" && !strings.HasPrefix(job.Uses, "./") && !pinned.MatchString(job.Uses) {
				complain("job %s: it hands secrets on, or %s is not pinned to a commit", name, job.Uses)
			}
			for _, s := range job.Steps {
				if strings.Contains(s.Run+s.Shell, "${{") {
					complain("job %s: an expression in a script: %q", name, s.Run)
				}
				switch {
				case s.Uses == "", strings.HasPrefix(s.Uses, "./"):
				case !pinned.MatchString(s.Uses):
					complain("job %s: %s is not pinned to a commit", name, s.Uses)
				}
				if strings.HasPrefix(s.Uses, "actions/checkout@") && s.With["persist-credentials"] != false {
					complain("job %s: the checkout leaves the token in .git", name)
				}
			}
			checkCaches(complain, name, job)
			checkNight(complain, w, name, job)
			if slices.Contains(w.events(), "workflow_run") {
				checkPublishing(complain, name, job)
			}
		}
	}
}

// checkCaches: a pull request's code writes into no cache that others read, and what publishes has none at all.
func checkCaches(complain func(string, ...any), name string, job workflowJob) {
	built := false // the code under test may have run
	for _, s := range job.Steps {
		switch {
		case strings.HasPrefix(s.Uses, "actions/cache@"):
			complain("job %s: actions/cache saves after the job: use restore and save", name)
		case strings.HasPrefix(s.Uses, "actions/setup-") && s.With["cache"] != false:
			complain("job %s: %s saves a cache after the job", name, s.Uses)
		case strings.HasPrefix(s.Uses, "actions/cache/save@") && (built || !strings.Contains(s.If, "github.event_name == 'push'")):
			complain("job %s: a cache is saved where a pull request's code may have run", name)
		}
		built = built || s.Run != "" || (strings.HasPrefix(s.Uses, "duet-bench/duet@") || s.Uses == "./") && s.With["mode"] != "fetch"
	}
}

// checkPublishing: a workflow_run job runs nothing of a pull request's: Duet's step alone, which checks nothing out.
func checkPublishing(complain func(string, ...any), name string, job workflowJob) {
	if len(job.Steps) != 1 || !strings.HasPrefix(job.Steps[0].Uses, "duet-bench/duet@") || job.Steps[0].With["mode"] != "publish" {
		complain("job %s: on workflow_run expected Duet's publishing step alone, got %+v", name, job.Steps)
	}
	if job.Permissions["contents"] != "read" || job.Permissions["pull-requests"] != "write" || job.Permissions["actions"] != "read" {
		complain("job %s cannot publish with %v", name, job.Permissions)
	}
}

// mode is what Duet's own step of a job is for; empty without one.
func (j workflowJob) mode() string {
	for _, s := range j.Steps {
		if strings.HasPrefix(s.Uses, "duet-bench/duet@") || s.Uses == "./" {
			return fmt.Sprint(s.With["mode"])
		}
	}
	return ""
}

// checkNight: what measures a night may read and nothing else; what records it builds and runs nothing of the repository's
// (it has no step but Duet's own, checking out Duet's own source, and artifacts), and is started by no pull request.
func checkNight(complain func(string, ...any), w workflow, name string, job workflowJob) {
	mode := job.mode()
	if mode != "nightly" && mode != "record" {
		return
	}
	for _, event := range w.events() {
		if event != "schedule" && event != "workflow_dispatch" {
			complain("job %s: a night is started by %s", name, event)
		}
	}
	if mode == "nightly" {
		if len(job.Permissions) != 1 || job.Permissions["contents"] != "read" {
			complain("job %s measures with %v, expected contents: read alone", name, job.Permissions)
		}
		return
	}
	if job.Permissions["contents"] != "write" || job.Permissions["issues"] != "write" || job.Permissions["actions"] != "read" || len(job.Permissions) != 3 {
		complain("job %s cannot record with %v", name, job.Permissions)
	}
	for _, s := range job.Steps {
		own := strings.HasPrefix(s.Uses, "duet-bench/duet@") || s.Uses == "./"
		if s.Run != "" || !own && !strings.HasPrefix(s.Uses, "actions/download-artifact@") && !strings.HasPrefix(s.Uses, "actions/upload-artifact@") &&
			!(strings.HasPrefix(s.Uses, "actions/checkout@") && slices.ContainsFunc(job.Steps, func(s workflowStep) bool { return s.Uses == "./" })) {
			complain("job %s holds a token that may write, and has the step %s%s", name, s.Uses, s.Run)
		}
	}
}

// A night is two jobs, one at a time, and whatever was measured is recorded, a night that measured nothing as well.
func TestNightlyWorkflows(t *testing.T) {
	for _, file := range []string{"docs/workflows/nightly.yml", ".github/workflows/nightly.yml"} {
		w, text := readWorkflow(t, file), readDoc(t, file)
		measure, record := w.Jobs["measure"], w.Jobs["record"]
		if len(w.Jobs) != 2 || measure.mode() != "nightly" || record.mode() != "record" {
			t.Errorf("%s: expected the jobs measure and record, got %v", file, w.Jobs)
		}
		if !strings.HasPrefix(record.If, "always() &&") || !strings.Contains(text, "\n    needs: measure\n") {
			t.Errorf("%s: a night that failed would not be recorded: if %q", file, record.If)
		}
		if !strings.Contains(text, "\n  group: duet-nightly\n  cancel-in-progress: false\n") {
			t.Errorf("%s: two nights at once, or one that ends the other", file)
		}
		if !slices.Contains(w.events(), "schedule") || !slices.Contains(w.events(), "workflow_dispatch") {
			t.Errorf("%s is started by %v", file, w.events())
		}
		left, taken := "", ""
		for _, s := range append(slices.Clone(measure.Steps), record.Steps...) {
			switch {
			case strings.HasPrefix(s.Uses, "actions/checkout@") && s.With["fetch-depth"] != nil && fmt.Sprint(s.With["fetch-depth"]) != "0":
				t.Errorf("%s: a shallow clone has no anchor", file)
			case strings.HasPrefix(s.Uses, "actions/upload-artifact@") && s.With["path"] == ".duet/nights/":
				left = fmt.Sprint(s.With["name"])
				if s.If != "always()" {
					t.Errorf("%s: a night that measured nothing is not handed over", file)
				}
			case strings.HasPrefix(s.Uses, "actions/download-artifact@"):
				taken = fmt.Sprint(s.With["name"])
			}
		}
		if left == "" || left != taken {
			t.Errorf("%s: %q is left and %q is taken", file, left, taken)
		}
	}
	// The action's nightly step has no token, and the other one is what has it.
	for _, s := range readAction(t).Runs.Steps {
		_, token := s.Env["GITHUB_TOKEN"]
		if strings.Contains(s.Run, "nightly measure") && token || strings.Contains(s.Run, "nightly record") && !token {
			t.Errorf("%s: token: %v", s.Name, token)
		}
	}
}

// The job that runs a fork's code may read and nothing else.
func TestForksAreMeasuredWithoutRights(t *testing.T) {
	for name, job := range readWorkflow(t, "docs/workflows/fork-measure.yml").Jobs {
		if len(job.Permissions) != 1 || job.Permissions["contents"] != "read" {
			t.Errorf("job %s has %v, expected contents: read alone", name, job.Permissions)
		}
		for _, s := range job.Steps {
			if s.With["token"] != nil {
				t.Errorf("job %s: %s gets a token", name, s.Uses)
			}
		}
	}
}

// A workflow on many machines: the jobs that run a pull request's code may read and nothing else, whoever opened it; the one
// that comments checks nothing out. What the example hands over are inputs that it has, and each of them reaches a job.
func TestSharded(t *testing.T) {
	const file = ".github/workflows/sharded.yml"
	w := readWorkflow(t, file)
	modes := map[string]string{}
	for name, job := range w.Jobs {
		for _, s := range job.Steps {
			if mode, ok := s.With["mode"].(string); ok && mode != "fetch" {
				modes[mode] = name
			}
		}
	}
	if modes["plan"] == "" || modes["shard"] == "" || modes["merge"] == "" || len(modes) != 3 {
		t.Fatalf("%s: modes in jobs %v, want plan, shard and merge", file, modes)
	}
	if got := w.Jobs[modes["shard"]].Permissions; len(got) != 1 || got["contents"] != "read" {
		t.Errorf("%s: shards are measured with %v, want contents: read alone", file, got)
	}
	for _, s := range w.Jobs[modes["merge"]].Steps {
		if strings.HasPrefix(s.Uses, "actions/checkout@") {
			t.Errorf("%s: the job that comments checks something out", file)
		}
	}
	if condition := w.Jobs[modes["merge"]].If; condition != "always()" {
		t.Errorf("%s: the job that reports runs if %q, want always()", file, condition)
	}
	on, _ := w.On.(map[string]any)
	call, _ := on["workflow_call"].(map[string]any)
	inputs, _ := call["inputs"].(map[string]any)
	if len(inputs) == 0 {
		t.Fatalf("%s has no inputs", file)
	}
	text := readDoc(t, file)
	for name := range inputs {
		if !strings.Contains(text, "${{ inputs."+name+" }}") {
			t.Errorf("%s: input %s reaches nothing", file, name)
		}
	}
	for _, job := range readWorkflow(t, "docs/workflows/sharded.yml").Jobs {
		if !strings.HasPrefix(job.Uses, "duet-bench/duet/"+file+"@") {
			t.Errorf("docs/workflows/sharded.yml calls %s", job.Uses)
		}
		for name := range job.With {
			if inputs[name] == nil {
				t.Errorf("docs/workflows/sharded.yml: %s has no input %s", file, name)
			}
		}
	}
}

// GitHub sets no INPUT_ variables for a composite action's run steps, no runtime token, and refuses expressions where it
// takes none; act is more lenient in the first two. A script is one process, so that a cancelled job signals Duet itself.
func TestAction(t *testing.T) {
	a := readAction(t)
	used := ""
	for _, s := range a.Runs.Steps {
		if s.Uses != "" {
			t.Errorf("%s uses %s: Duet's action is its own source alone", s.Name, s.Uses)
		}
		used += s.If
		holds := false // the token
		for name, value := range s.Env {
			used += value
			holds = holds || strings.Contains(value, "inputs.token }}") || strings.Contains(value, "github.token }}") || strings.Contains(value, "secrets.")
			if strings.HasPrefix(name, "INPUT_") || strings.HasPrefix(name, "ACTIONS_") {
				t.Errorf("%s: it sets %s", s.Name, name)
			}
		}
		if holds && (strings.Contains(s.Run, "measure") || strings.Contains(s.Run, " build ") || strings.Contains(s.Run, "doctor")) {
			t.Errorf("%s: the token is where the pull request's code runs, or where it is not needed", s.Name)
		}
		for _, word := range []string{"${{", "INPUT_", "ACTIONS_", "GITHUB_TOKEN", "eval"} {
			if strings.Contains(s.Run, word) {
				t.Errorf("%s: its script has %s", s.Name, word)
			}
		}
		if lines := strings.Split(strings.TrimSpace(s.Run), "\n"); !strings.HasPrefix(lines[len(lines)-1], "exec ") {
			t.Errorf("%s: its script does not become the program it starts: %q", s.Name, s.Run)
		}
	}
	for name, in := range a.Inputs {
		if !strings.Contains(used, "inputs."+name) {
			t.Errorf("input %s reaches no step: GitHub sets no INPUT_ variables here", name)
		}
		if in.Description == "" || strings.Contains(in.Description, "${{") {
			t.Errorf("input %s: description %q", name, in.Description)
		}
	}
	for name, out := range a.Outputs {
		if out.Description == "" || strings.Contains(out.Description, "${{") || !strings.Contains(out.Value, "steps.") {
			t.Errorf("output %s: %+v", name, out)
		}
	}
}

// What the examples hand to the action are inputs that it has.
func TestExamplesUseInputsThatThereAre(t *testing.T) {
	inputs := readAction(t).Inputs
	found := 0
	for _, file := range workflows(t) {
		for _, job := range readWorkflow(t, file).Jobs {
			for _, s := range job.Steps {
				if s.Uses != "./" && !strings.HasPrefix(s.Uses, "duet-bench/duet@") {
					continue
				}
				found++
				for name := range s.With {
					if _, ok := inputs[name]; !ok {
						t.Errorf("%s: Duet's action has no input %s", file, name)
					}
				}
				if s.With["fail-on"] == "never" {
					t.Errorf("%s: fail-on: never is refused as soon as base's policy.gate is tighter", file)
				}
			}
		}
	}
	if found < 3 {
		t.Errorf("%d steps of Duet's in %v", found, workflows(t))
	}
}
