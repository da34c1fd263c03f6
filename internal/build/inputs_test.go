package build

import (
	"slices"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

func TestBinaryName(t *testing.T) {
	for files, want := range map[string]string{"": "app", "x app/y": "app.bin", "app app.bin": "app.bin.bin", "dir/app": "app"} {
		var all []kept
		for _, name := range strings.Fields(files) {
			all = append(all, kept{name: name})
		}
		if got := binaryName("app", all); got != want {
			t.Errorf("beside %q: got %s, want %s", files, got, want)
		}
	}
}

func TestInputs(t *testing.T) {
	service := plan.Service{Name: "go", Run: []string{"--port", "{port}"}, Env: map[string]string{"A": "1", "B": "2"}}
	file := kept{name: "f", sha256: "abc"}
	same := inputsSHA256("bin", []kept{file}, service)
	seen := map[string]string{same: "the original"}
	other := func(what, got string) {
		if before, ok := seen[got]; ok {
			t.Errorf("%s has the inputs of %s", what, before)
		}
		seen[got] = what
	}
	with := func(change func(*plan.Service)) plan.Service {
		s := service
		change(&s)
		return s
	}
	if got := inputsSHA256("bin", []kept{file}, with(func(s *plan.Service) { s.Dir, s.Ready.Path = "elsewhere", "/up" })); got != same {
		t.Error("where a service was built and how it is known to be ready are no inputs")
	}
	other("another binary", inputsSHA256("bin2", []kept{file}, service))
	other("no file", inputsSHA256("bin", nil, service))
	other("an executable file", inputsSHA256("bin", []kept{{name: "f", sha256: "abc", executable: true}}, service))
	other("another file name", inputsSHA256("bin", []kept{{name: "g", sha256: "abc"}}, service))
	other("other arguments", inputsSHA256("bin", []kept{file}, with(func(s *plan.Service) { s.Run = []string{"--port {port}"} })))
	other("another value", inputsSHA256("bin", []kept{file}, with(func(s *plan.Service) { s.Env = map[string]string{"A": "1", "B": "3"} })))
	other("names and values joined", inputsSHA256("bin", []kept{file}, with(func(s *plan.Service) { s.Env = map[string]string{"A": "1B2"} })))
	other("a passed name", inputsSHA256("bin", []kept{file}, with(func(s *plan.Service) { s.PassEnv = []string{"A"} })))
	other("a port", inputsSHA256("bin", []kept{file}, with(func(s *plan.Service) { s.Port = 8080 })))
}

func TestMarkIdentical(t *testing.T) {
	b := func(service string, side plan.Side, inputs, lto, failure string) result.Build {
		return result.Build{Variant: plan.Variant{Service: service, Side: side}, InputsSHA256: inputs,
			Settings: map[string]string{"lto": lto}, Error: failure}
	}
	builds := []result.Build{
		b("same", plan.Head, "1", "", ""), b("same", plan.Base, "1", "", ""),
		b("changed", plan.Base, "1", "", ""), b("changed", plan.Head, "2", "thin", ""),
		b("broken", plan.Base, "", "", "x"), b("broken", plan.Head, "", "", "x"),
		b("new", plan.Head, "1", "", ""),
	}
	var got []string
	marked := MarkIdentical(builds)
	for _, m := range marked {
		if m.IdenticalToBase {
			got = append(got, m.Variant.String())
		}
	}
	if want := []string{"same@head"}; !slices.Equal(got, want) {
		t.Errorf("identical: got %v, want %v", got, want)
	}
	if want := []string{"build configuration differs from base: lto"}; !slices.Equal(marked[3].Notes, want) {
		t.Errorf("notes: got %q, want %q", marked[3].Notes, want)
	}
	if builds[0].IdenticalToBase || builds[3].Notes != nil {
		t.Error("the builds handed in were changed")
	}
	again := MarkIdentical(marked)
	if len(again[3].Notes) != 1 {
		t.Errorf("marking twice: got notes %q", again[3].Notes)
	}
}
