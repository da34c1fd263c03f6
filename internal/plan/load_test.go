package plan

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/duet-bench/duet/internal/workload"
)

func metricNames() []string { return []string{"p50", "throughput"} }

func named(name string) workload.Workload {
	return workload.Workload{Name: name, Requests: []workload.Request{{Path: "/"}}}
}

// inputs are two configurations and workloads for all that head names.
func inputs(t *testing.T, base, head string) Inputs {
	t.Helper()
	in := Inputs{
		HeadConfig: config(t, head), Head: Commit{SHA: "1111"}, Base: &Commit{SHA: "2222"},
		Changed: []string{"a/main.go"}, MetricNames: metricNames(), Workloads: map[string]workload.Workload{},
	}
	if base != "" {
		in.BaseConfig = config(t, base)
	}
	for _, name := range in.HeadConfig.Workloads {
		w := named(strings.TrimSuffix(name[strings.LastIndex(name, "/")+1:], ".yaml"))
		in.Workloads[name] = w
	}
	return in
}

func load(t *testing.T, in Inputs) Plan {
	t.Helper()
	p, err := Load(in)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestWhoseConfigurationCounts changes one setting at head, or at base, and sees which of the two the plan has.
func TestWhoseConfigurationCounts(t *testing.T) {
	const service = "services: [{lang: go, %s}]\n"
	for _, c := range []struct {
		what, base, head string
		plan             func(Plan) any
		want             any
		warning          string
	}{
		{"margins", two + "margins: {p50: 1%}", two + "margins: {p50: 90%}", func(p Plan) any { return p.Margins },
			map[string]float64{"p50": 0.01}, "margins changed in duet.yml: base's counts until this is merged"},
		{"a new margin", two, two + "margins: {p50: 90%}", func(p Plan) any { return p.Margins },
			map[string]float64{}, "margins changed in duet.yml: base's counts until this is merged"},
		{"ignore", two, two + "ignore: ['**']", func(p Plan) any { return p.Changed }, []string{"a/main.go"}, "ignore changed in duet.yml: base's counts until this is merged"},
		{"parity.ignore", two + "parity: {ignore: [$.id]}", two + "parity: {ignore: [$.total]}", func(p Plan) any { return p.Parity.Ignore },
			[]string{"$.id"}, "parity.ignore changed in duet.yml: base's counts until this is merged"},
		{"policy.gate", two + "policy: {gate: regression}", two, func(p Plan) any { return p.Policy.Gate },
			GateRegression, "policy changed in duet.yml: base's counts until this is merged"},
		{"policy.isolation", two + "policy: {isolation: strict}", two, func(p Plan) any { return p.Policy.Isolation }, "strict", "policy changed"},
		{"policy.self-hosted-forks", two, two + "policy: {self-hosted-forks: allow}", func(p Plan) any { return p.Policy.SelfHostedForks }, ForksRefuse, "policy changed"},
		{"pass_env", fmt.Sprintf(service, "pass_env: [A]"), fmt.Sprintf(service, "pass_env: [A, SECRET]"),
			func(p Plan) any {
				return [][]string{p.Services[Variant{"go", Base}].PassEnv, p.Services[Variant{"go", Head}].PassEnv}
			},
			[][]string{{"A"}, {"A"}}, `pass_env of go is ["A" "SECRET"] at head, but ["A"] is passed on`},
		{"budget", two + "budget: 5m", two + "budget: 3m", func(p Plan) any { return p.Budget }, 3 * time.Minute, "budget changed in duet.yml: head's counts for both sides"},
		{"measure", two + "measure: {slice: 50ms}", two + "measure: {slice: 10ms, pin: false, rounds: [9, 12], count: 1m}",
			func(p Plan) any { return []any{p.Window.Slice, p.Unpinned, p.Rounds} },
			[]any{10 * time.Millisecond, true, Rounds{Looks: []int{9, 12}, Confirm: 7, ConfirmMost: 15, CountLooks: []int{3, 5}, CountConfirm: 4, CountCap: time.Minute, CrossCap: 10 * time.Minute}},
			"measure changed in duet.yml: head's counts for both sides"},
		{"workloads", two, two + "workloads: [health, json]", func(p Plan) any { return len(p.Workloads) }, 2, "workloads changed in duet.yml: head's counts for both sides"},
		{"pairs", two, two + "pairs: []", func(p Plan) any { return len(p.Pairs) }, 0, "pairs changed in duet.yml: head's counts for both sides"},
		{"setup", two + "setup: [{path: /a}]", two + "setup: [{path: /b}]", func(p Plan) any { return p.Setup[0].Path }, "/b", "setup changed in duet.yml: head's counts for both sides"},
		{"parity.requests", two, two + "parity: {requests: 7}", func(p Plan) any { return p.Parity.Requests }, 7, "parity.requests changed"},
		{"a service's own settings", fmt.Sprintf(service, "port: 1"), fmt.Sprintf(service, "port: 2"),
			func(p Plan) any {
				return []int{p.Services[Variant{"go", Base}].Port, p.Services[Variant{"go", Head}].Port}
			}, []int{1, 2}, ""},
		{"a service that is new", fmt.Sprintf(service, "port: 1"), two, func(p Plan) any { return len(p.Services) }, 3, "service rust is not in base's duet.yml: head alone is measured"},
		{"a service that is gone", two, fmt.Sprintf(service, "port: 1"), func(p Plan) any { return len(p.Services) }, 2, "service rust was removed at head: it is not measured"},
		{"no duet.yml at base", "", two + "margins: {p50: 3%}\npolicy: {gate: regression}", func(p Plan) any { return []any{p.Policy.Gate, len(p.Services), p.Margins["p50"]} },
			[]any{GateNever, 4, 0.03}, "base has no duet.yml: head's serves both sides, and the gate is off"},
		{"base's margin for no metric", two + "margins: {old: 1%}", two, func(p Plan) any { return p.Margins }, map[string]float64{}, `base's duet.yml has a margin for "old", which is no metric: left out`},
		{"nothing", two, two, func(p Plan) any { return len(p.Warnings) }, 0, ""},
	} {
		p := load(t, inputs(t, c.base, c.head))
		if got := c.plan(p); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.what, got, c.want)
		}
		if c.warning != "" && !slices.ContainsFunc(p.Warnings, func(w string) bool { return strings.HasPrefix(w, c.warning) }) {
			t.Errorf("%s: got warnings %q, want %q", c.what, p.Warnings, c.warning)
		}
	}
}

func TestForksArePassedNothing(t *testing.T) {
	in := inputs(t, "services: [{lang: go, pass_env: [A]}]", "services: [{lang: go, pass_env: [A]}]")
	in.Fork = true
	for v, s := range load(t, in).Services {
		if len(s.PassEnv) > 0 {
			t.Errorf("%s is passed %q", v, s.PassEnv)
		}
	}
}

func TestIsolationOnlyTightens(t *testing.T) {
	for _, c := range []struct{ base, head, flag, want, warning string }{
		{"basic", "basic", "", IsolationBasic, ""},
		{"basic", "basic", "container", IsolationContainer, ""},
		{"container", "basic", "", IsolationContainer, ""},
		{"container", "basic", "basic", IsolationContainer, "--isolation basic would loosen policy.isolation: container counts"},
		{"basic", "container", "", IsolationBasic, ""},
		{"strict", "strict", "container", IsolationStrict, "--isolation container would loosen policy.isolation: strict counts"},
	} {
		in := inputs(t, two+"policy: {isolation: "+c.base+"}", two+"policy: {isolation: "+c.head+"}")
		in.Flags.Isolation = c.flag
		p := load(t, in)
		if p.Policy.Isolation != c.want {
			t.Errorf("%+v: got %s", c, p.Policy.Isolation)
		}
		if warned := slices.Contains(p.Warnings, c.warning); c.warning != "" && !warned {
			t.Errorf("%+v: got warnings %q", c, p.Warnings)
		}
	}
}

func TestFailOnOnlyTightens(t *testing.T) {
	for _, c := range []struct {
		base         string
		failOn, want Gate
		warns        bool
	}{
		{"never", "", GateNever, false},
		{"never", GateRegression, GateRegression, false},
		{"regression", GateNever, GateRegression, true},
		{"regression", GateInconclusive, GateInconclusive, false},
		{"inconclusive", GateRegression, GateInconclusive, true},
	} {
		text := two + "policy: {gate: " + c.base + "}"
		in := inputs(t, text, text)
		in.Flags.FailOn = c.failOn
		p := load(t, in)
		if p.Policy.Gate != c.want || (len(p.Warnings) > 0) != c.warns {
			t.Errorf("base %s, --fail-on %q: got %s and %q, want %s", c.base, c.failOn, p.Policy.Gate, p.Warnings, c.want)
		}
	}
	in := inputs(t, "", two)
	in.Flags.FailOn = GateRegression
	if got := load(t, in).Policy.Gate; got != GateNever {
		t.Errorf("no duet.yml at base: gate %s, want never", got)
	}
}

func TestNothingChanged(t *testing.T) {
	for _, c := range []struct {
		ignore  string
		changed []string
		want    bool
	}{
		{"", nil, true},
		{"", []string{"README.md", "docs/x.md"}, true},
		{"", []string{"README.md", "main.go"}, false},
		{"ignore: [docs/**]", []string{"docs/a/b.txt"}, true},
		{"ignore: [docs/**]", []string{"README.md"}, false},
		{"ignore: []", []string{"README.md"}, false},
	} {
		in := inputs(t, two+c.ignore, two+c.ignore)
		in.Changed = c.changed
		if got := load(t, in).NothingChanged(); got != c.want {
			t.Errorf("%s, %q: got %v, want %v", c.ignore, c.changed, got, c.want)
		}
	}
	for _, same := range []Same{SameOnce, SameAgain} { // a night is measured whatever changed
		in := inputs(t, two, two)
		in.Changed, in.Flags.Same = nil, same
		if p := load(t, in); p.NothingChanged() || p.Same != same {
			t.Errorf("a night: nothing changed %v, %q", p.NothingChanged(), p.Same)
		}
	}
	in := inputs(t, "", two)
	in.Base, in.NoBase, in.Changed = nil, "first commit", nil
	if p := load(t, in); p.NothingChanged() || len(p.Services) != 2 || !reflect.DeepEqual(p.Rounds, Rounds{Looks: []int{7}}) {
		t.Errorf("without a base: nothing changed %v, services %d, rounds %+v", p.NothingChanged(), len(p.Services), p.Rounds)
	}
	in = inputs(t, two, two)
	for i := range 400 {
		in.Changed = append(in.Changed, fmt.Sprintf("f%03d", i))
	}
	if p := load(t, in); len(p.Changed) != maxChanged || p.Warnings[0] != "401 files changed: the first 300 are listed" {
		t.Errorf("got %d files and %q", len(p.Changed), p.Warnings)
	}
}

func TestBudget(t *testing.T) {
	const one, three, six = "workloads: [a]", "workloads: [a, b, c]", "workloads: [a, b, c, d, e, f]"
	for _, c := range []struct {
		budget    string
		workloads string
		looks     []int
		trial     time.Duration
		left      int
	}{
		{"2m", one, []int{7, 11, 15}, 2 * time.Second, 1},
		{"6h", one, []int{7, 11, 15}, 3 * time.Second, 1},
		{"2m", three, []int{7, 11, 15}, 666 * time.Millisecond, 3},
		{"90s", three, []int{7, 11, 15}, 500 * time.Millisecond, 3},
		{"80s", three, []int{7, 11}, 606 * time.Millisecond, 3},
		{"60s", three, []int{7}, 714 * time.Millisecond, 3},
		{"42s", three, []int{7}, 500 * time.Millisecond, 3},
		{"41s", three, []int{7}, 732 * time.Millisecond, 2},
		{"41s", six, []int{7}, 732 * time.Millisecond, 2},
		{"2m", six, []int{7}, 714 * time.Millisecond, 6},
		{"14s", three, []int{7}, 500 * time.Millisecond, 1},
		{"1s", three, []int{7}, 500 * time.Millisecond, 1},
	} {
		text := two + c.workloads + "\nbudget: " + c.budget
		p := load(t, inputs(t, text, text))
		if !reflect.DeepEqual(p.Rounds.Looks, c.looks) || p.Window.Trial != c.trial || len(p.Workloads) != c.left {
			t.Errorf("%s, %s: got %v × %s, %d workloads, want %v × %s, %d", c.budget, c.workloads,
				p.Rounds.Looks, p.Window.Trial, len(p.Workloads), c.looks, c.trial, c.left)
		}
		if p.Window.Open+p.Window.Closed != p.Window.Trial {
			t.Errorf("%s: %+v does not add up", c.budget, p.Window)
		}
		for i, d := range p.Dropped {
			if want := string(rune('a' + c.left + i)); d.Workload != want {
				t.Errorf("%s, %s: dropped %q, want %q", c.budget, c.workloads, d.Workload, want)
			}
		}
	}
	text := two + three + "\nbudget: 1s"
	want := []string{
		"workload c is left out: the budget of 1s has no room for 7 rounds of 500ms",
		"workload b is left out: the budget of 1s has no room for 7 rounds of 500ms",
		"the budget of 1s is too short for 7 rounds of 500ms: measuring takes 14s",
	}
	if got := load(t, inputs(t, text, text)).Warnings; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The instructions pass has a time of its own, and none without a base or where it is turned off.
func TestCountRounds(t *testing.T) {
	on := Rounds{CountLooks: []int{3, 5}, CountConfirm: 4}
	for _, c := range []struct {
		what, measure string
		base          bool
		limit         time.Duration
	}{
		{"by default", "", true, 2 * time.Minute},
		{"a longer time", "measure: {count: 1h}", true, time.Hour},
		{"off", "measure: {count: 0s}", true, 0},
		{"no base", "", false, 0},
	} {
		in := inputs(t, two, two+c.measure)
		if !c.base {
			in.Base, in.BaseConfig = nil, nil
		}
		got, want := load(t, in).Rounds, Rounds{}
		if c.limit > 0 {
			want = on
		}
		want.CountCap = c.limit
		if got.CountCap != want.CountCap || got.CountConfirm != want.CountConfirm || !slices.Equal(got.CountLooks, want.CountLooks) {
			t.Errorf("%s: got %+v, want %+v", c.what, got, want)
		}
	}
}

func TestSliceFor(t *testing.T) {
	w := Window{Slice: 25 * time.Millisecond}
	for rate, want := range map[float64]time.Duration{
		0: 25 * time.Millisecond, 10_000: 25 * time.Millisecond, 800: 25 * time.Millisecond, 400: 50 * time.Millisecond, 200: 100 * time.Millisecond, 1e-9: 100 * time.Millisecond,
	} {
		if got := SliceFor(w, rate); got != want {
			t.Errorf("%g requests a second: got %s, want %s", rate, got, want)
		}
	}
}

func TestFlags(t *testing.T) {
	seed := uint64(0)
	in := inputs(t, two, two+"workloads: [health, ./x/mine.yaml]")
	a := load(t, in)
	in.Flags.Attempt = 2
	b := load(t, in)
	in.Flags = Flags{Budget: time.Minute, Seed: &seed, Workloads: []string{"mine"}}
	c := load(t, in)
	if a.Seed == b.Seed || a.Seed != DefaultSeed("1111", 1) {
		t.Errorf("seeds: got %d for attempt 1 and %d for attempt 2", a.Seed, b.Seed)
	}
	if c.Seed != 0 || c.Budget != time.Minute || len(c.Workloads) != 1 || c.Workloads[0].Name != "mine" {
		t.Errorf("got %+v", c)
	}
}

func TestLoadErrors(t *testing.T) {
	for _, c := range []struct {
		want   string
		change func(*Inputs)
	}{
		{"no duet.yml at head\nhint: `duet init` writes one", func(in *Inputs) { in.HeadConfig = nil }},
		{"--budget -2h: expected 1s to 6h", func(in *Inputs) { in.Flags.Budget = -2 * time.Hour }},
		{"--budget 9000h: expected 1s to 6h", func(in *Inputs) { in.Flags.Budget = 9000 * time.Hour }},
		{`--isolation "none": expected one of basic, container, strict`, func(in *Inputs) { in.Flags.Isolation = "none" }},
		{`--fail-on "always": expected one of never, regression, inconclusive`, func(in *Inputs) { in.Flags.FailOn = "always" }},
		{`--workload "nope": expected one of health`, func(in *Inputs) { in.Flags.Workloads = []string{"nope"} }},
		{"duet.yml:4:16: margin \"p42\": no such metric: expected one of p50, throughput", func(in *Inputs) { in.HeadConfig = config(t, two+"margins: {p42: 1%}") }},
		{"workloads \"health\" and \"./b.yaml\" are both called \"health\"\nhint: give one of them another name", func(in *Inputs) {
			in.HeadConfig = config(t, two+"workloads: [health, ./b.yaml]")
			in.Workloads["./b.yaml"] = named("health")
		}},
		{`request GET /{{capture "id"}}: capture "id": no setup request before it captures that: expected one of []`, func(in *Inputs) {
			in.Workloads["health"] = workload.Workload{Name: "health", Requests: []workload.Request{{Method: "GET", Path: `/{{capture "id"}}`}}}
		}},
	} {
		in := inputs(t, two, two)
		c.change(&in)
		if _, err := Load(in); err == nil || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

func TestPlanSurvivesJSON(t *testing.T) {
	p := load(t, inputs(t, two, two+"workloads: [a, b]"))
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var again Plan
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(Steps(p), Steps(again)) {
		t.Error("the order changed on the way through JSON")
	}
}

// However large the budget, a run has no more trials than run.json has room for.
func TestTrialsAreBounded(t *testing.T) {
	p := Plan{Base: &Commit{}, Services: map[Variant]Service{}, Budget: MaxBudget}
	for i := range maxServices {
		for _, side := range []Side{Base, Head} {
			p.Services[Variant{fmt.Sprintf("s%d", i), side}] = Service{}
		}
	}
	for i := range maxWorkloads {
		p.Workloads = append(p.Workloads, workload.Workload{Name: fmt.Sprintf("w%d", i)})
	}
	p.fit(Measure{Slice: defaultSlice, Rounds: looks(), Count: maxCount})
	looks := p.Rounds.Looks
	if n := p.trials(looks[len(looks)-1]); n > maxTrials || len(p.Workloads) != 7 || len(p.Dropped) != 13 {
		t.Errorf("got %d trials of %d workloads, %d left out, want at most %d", n, len(p.Workloads), len(p.Dropped), maxTrials)
	}
	if why := p.Dropped[0].Reason; !strings.Contains(why, "5500 trials") {
		t.Errorf("left out because %q", why)
	}
}

// A plan from a stranger's run keeps none of its opinions.
func TestJudgeBy(t *testing.T) {
	hostile := func() Plan {
		return Plan{Margins: map[string]float64{"p50": 9}, Ignore: []string{"**"}, Parity: Parity{Ignore: []string{"$"}, Requests: 5},
			Policy: Policy{Gate: GateNever, SelfHostedForks: "allow"}}
	}
	p := hostile()
	base := Config{Margins: map[string]float64{"p50": 0.05, "gone": 0.1}, Ignore: []string{"*.md"}, Policy: Policy{Gate: GateRegression}}
	p.JudgeBy(&base, []string{"p50"})
	if len(p.Margins) != 1 || p.Margins["p50"] != 0.05 || !slices.Equal(p.Ignore, base.Ignore) || p.Parity.Ignore != nil || p.Parity.Requests != 5 ||
		p.Policy != base.Policy || len(p.Warnings) != 1 {
		t.Errorf("by base: %+v", p)
	}
	if p.Margins["p50"] = 1; base.Margins["p50"] != 0.05 {
		t.Error("the plan and the configuration share a map")
	}
	p = hostile()
	p.JudgeBy(nil, nil)
	if len(p.Margins) != 0 || p.Ignore != nil || p.Policy.Gate != GateNever || p.Policy.SelfHostedForks != "" || len(p.Warnings) != 1 {
		t.Errorf("by nobody: %+v", p)
	}
}

// The flag leaves the services it names, their pairs, and nothing of the others.
func TestServicesFlag(t *testing.T) {
	const four = "services: [{name: gin, lang: go}, {name: chi, lang: go}, {name: axum, lang: rust}, {name: actix, lang: rust}]\n"
	const paired = four + "matrix: {go: [gin, chi], rust: [axum, actix]}\n"
	for _, c := range []struct {
		text  string
		asked []string
		order []string
		pairs []string
	}{
		{paired, nil, []string{"gin", "chi", "axum", "actix"}, []string{"gin-axum", "gin-actix", "chi-axum", "chi-actix"}},
		{paired, []string{"go/gin", "rust/axum"}, []string{"gin", "axum"}, []string{"gin-axum"}},
		{paired, []string{"axum", "chi", "actix"}, []string{"chi", "axum", "actix"}, []string{"chi-axum", "chi-actix"}},
		{paired, []string{"gin", "go/gin"}, []string{"gin"}, nil},
		{four, []string{"go/chi", "actix"}, []string{"chi", "actix"}, []string{"chi-actix"}}, // the default pair of those left
		{four + "pairs: [{go: gin, rust: axum}]\n", []string{"chi", "actix"}, []string{"chi", "actix"}, nil},
	} {
		in := inputs(t, c.text, c.text)
		in.Flags.Services = c.asked
		p := load(t, in)
		var pairs []string
		for _, pair := range p.Pairs {
			pairs = append(pairs, pair.Name)
		}
		if !reflect.DeepEqual(p.Order, c.order) || !reflect.DeepEqual(pairs, c.pairs) || len(p.Services) != 2*len(c.order) {
			t.Errorf("--services %v: got %v %v and %d variants, want %v %v", c.asked, p.Order, pairs, len(p.Services), c.order, c.pairs)
		}
		for _, w := range p.Warnings {
			if strings.Contains(w, "removed at head") || strings.Contains(w, "not in base's") {
				t.Errorf("--services %v warns: %s", c.asked, w)
			}
		}
		if len(in.HeadConfig.Services) != 4 {
			t.Error("the configuration was changed")
		}
	}
	for _, asked := range []string{"fiber", "rust/gin", ""} {
		in := inputs(t, paired, paired)
		in.Flags.Services = []string{"gin", asked}
		_, err := Load(in)
		if want := fmt.Sprintf("--services %q: expected one of go/gin, go/chi, rust/axum, rust/actix", asked); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
