package plan_test

import (
	"fmt"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/workload"
)

func ExampleLoad() {
	config, err := plan.ParseConfig("duet.yml", []byte(`
services:
  - {lang: go, dir: api}
  - {lang: rust, dir: api-rs}
budget: 1m
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	p, err := plan.Load(plan.Inputs{
		BaseConfig: &config, HeadConfig: &config,
		Base: &plan.Commit{SHA: "8c1f"}, Head: plan.Commit{SHA: "e02a"}, Changed: []string{"api/main.go", "README.md"},
		Workloads: map[string]workload.Workload{"health": {Name: "health", Requests: []workload.Request{{Path: "/health"}}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("changed:", p.Changed)
	fmt.Println("looks:", p.Rounds.Looks, "trial:", p.Window.Trial)
	for _, step := range plan.Steps(p)[:7] {
		fmt.Println(step.Kind, step.Workload, step.Variant.Service, step.Start)
	}
	// Output:
	// changed: [api/main.go]
	// looks: [7 11 15] trial: 1s
	// build  go []
	// build  rust []
	// build  go []
	// build  rust []
	// parity   []
	// calibrate health  []
	// count   [go@head go@base rust@base rust@head]
}

func ExampleParseConfig() {
	_, err := plan.ParseConfig("duet.yml", []byte("services:\n  - {lang: go}\nbudget: 9000h\n"))
	fmt.Println(err)
	// Output: duet.yml:3:9: budget 9000h: expected 1s to 6h
}
