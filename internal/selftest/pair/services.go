package pair

import "github.com/duet-bench/duet/internal/plan"

// Services are the services of the repository that Write makes, ready for a configuration: Name is the language's,
// and Variable has to be added to Env. With moved they are those with code moved about.
func Services(moved bool) []plan.Service {
	tags, target := "plants", "target"
	if moved {
		tags, target = "plants,moved", "target/moved"
	}
	binary := "made/nethttp"
	if moved {
		binary = "made/moved/nethttp"
	}
	return []plan.Service{
		{
			Name: string(plan.Go), Lang: plan.Go, Dir: "go/nethttp",
			Build:  []string{"go", "build", "-tags", tags, "-o", binary, "."},
			Binary: binary,
		},
		{
			Name: string(plan.Rust), Lang: plan.Rust, Dir: "rust/axum",
			// Into the service's own dir, where a `build:` of one's own has to leave its binary.
			Build:  []string{"cargo", "build", "--release", "--locked", "--features", tags, "--target-dir", target},
			Binary: target + "/release/axum",
		},
	}
}
