package nightly

import (
	"testing"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/workload"
)

func workloadsNamed(names ...string) (all []workload.Workload) {
	for _, name := range names {
		all = append(all, workload.Workload{Name: name, Version: 1, About: "about " + name, Requests: []workload.Request{{Name: name, Path: "/" + name}}})
	}
	return all
}

func TestChooseAnchor(t *testing.T) {
	for name, v := range map[string]struct {
		latest, asked, configured string
		move                      bool
		want                      Anchor
	}{
		"the first night":                    {want: Anchor{SHA: "head", First: true}},
		"the history's":                      {latest: "a", want: Anchor{SHA: "a"}},
		"asked for, the first night":         {asked: "b", want: Anchor{SHA: "b"}},
		"asked for another":                  {latest: "a", asked: "b", want: Anchor{SHA: "b", Previous: "a"}},
		"asked for the same":                 {latest: "a", asked: "a", want: Anchor{SHA: "a"}},
		"configured, the first night":        {configured: "c", want: Anchor{SHA: "c"}},
		"configured another":                 {latest: "a", configured: "c", want: Anchor{SHA: "c", Previous: "a"}},
		"configured the same":                {latest: "c", configured: "c", want: Anchor{SHA: "c"}},
		"asked goes before configured":       {latest: "a", asked: "b", configured: "c", want: Anchor{SHA: "b", Previous: "a"}},
		"moved":                              {latest: "a", move: true, want: Anchor{SHA: "head", Previous: "a"}},
		"moved to what is asked":             {latest: "a", asked: "b", move: true, want: Anchor{SHA: "b", Previous: "a"}},
		"moved to what is configured":        {latest: "a", configured: "c", move: true, want: Anchor{SHA: "c", Previous: "a"}},
		"moved, and duet.yml names the old":  {latest: "c", configured: "c", move: true, want: Anchor{SHA: "head", Previous: "c"}},
		"moved to where it is":               {latest: "head", move: true, want: Anchor{SHA: "head"}},
		"moved where there is nothing, head": {move: true, want: Anchor{SHA: "head"}},
	} {
		if got := ChooseAnchor(v.latest, v.asked, v.configured, "head", v.move); got != v.want {
			t.Errorf("%s: got %+v, want %+v", name, got, v.want)
		}
	}
}

// Series begin anew where their figures depend on something else, and only there.
func TestHashes(t *testing.T) {
	of := func(change func(*plan.Plan)) plan.Plan {
		p := plan.Plan{Workloads: workloadsNamed("health", "users"), Budget: 1, Rounds: plan.Rounds{CountLooks: []int{3}}}
		if change != nil {
			change(&p)
		}
		return p
	}
	plain := of(nil)
	for name, v := range map[string]struct {
		change                func(*plan.Plan)
		config, health, users bool // a hash changes
	}{
		"nothing":                  {},
		"a word about a workload":  {change: func(p *plan.Plan) { p.Workloads[0].About = "other" }},
		"where a workload stands":  {change: func(p *plan.Plan) { p.Workloads[0].Requests[0].Place = "x:1" }},
		"a workload's requests":    {change: func(p *plan.Plan) { p.Workloads[0].Requests[0].Path = "/other" }, health: true},
		"a workload's version":     {change: func(p *plan.Plan) { p.Workloads[1].Version = 2 }, users: true},
		"another service":          {change: func(p *plan.Plan) { p.Order = []string{"go", "rust"}; p.Window.Trial = 5; p.Rounds.Looks = []int{7} }},
		"another commit":           {change: func(p *plan.Plan) { p.Head.SHA = "x"; p.Seed = 8; p.Changed = []string{"x"} }},
		"the budget":               {change: func(p *plan.Plan) { p.Budget = 2 }, config: true},
		"slices":                   {change: func(p *plan.Plan) { p.Window.Slice = 5 }, config: true},
		"pinning":                  {change: func(p *plan.Plan) { p.Unpinned = true }, config: true},
		"counting":                 {change: func(p *plan.Plan) { p.Rounds.CountLooks = nil }, config: true},
		"requests before all":      {change: func(p *plan.Plan) { p.Setup = []workload.Request{{Path: "/login"}} }, config: true},
		"margins: another opinion": {change: func(p *plan.Plan) { p.Margins = map[string]float64{"p50": 1} }},
	} {
		p := of(v.change)
		was, is := workloadHashes(plain), workloadHashes(p)
		if got := configHash(p) != configHash(plain); got != v.config {
			t.Errorf("%s: the configuration's hash changes: %v, want %v", name, got, v.config)
		}
		if got := was["health"] != is["health"]; got != v.health {
			t.Errorf("%s: health's hash changes: %v, want %v", name, got, v.health)
		}
		if got := was["users"] != is["users"]; got != v.users {
			t.Errorf("%s: users' hash changes: %v, want %v", name, got, v.users)
		}
	}
}
