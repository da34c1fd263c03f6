package build

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/sandbox"
)

// What one workshop fetched another one builds from, without whatever it came from.
func TestFetchAndBring(t *testing.T) {
	from := folder(t)
	check(t, os.Chmod(from, 0o755))
	sum := moduleProxy(t, from)
	main := "-- repo/a/go.mod --\nmodule a\n\ngo 1.24\n\nrequire example.com/dep v1.0.0\n-- repo/a/go.sum --\n" + sum +
		"-- repo/a/main.go --\npackage main\n\nimport \"example.com/dep\"\n\nfunc main() { println(dep.Name) }\n" +
		"-- repo/b/go.mod --\nmodule b\n\ngo 1.24\n\nrequire example.com/none v1.0.0\n-- repo/b/main.go --\npackage main\n\nfunc main() {}\n"
	s := newShop(t, main, "", "GOPROXY=file://"+from, "GOSUMDB=off")
	a, b := plan.Service{Name: "a", Lang: plan.Go, Dir: "a"}, plan.Service{Name: "b", Lang: plan.Go, Dir: "b"}
	fetched := filepath.Join(s.dir, "fetched")
	for _, side := range []plan.Side{plan.Base, plan.Head} {
		check(t, s.Fetch(t.Context(), Site{Side: side, Box: s.boxs[side], Repo: "repo", Services: []plan.Service{a, b}}, filepath.Join(fetched, string(side))))
		if left, err := os.ReadDir(s.o.Dir); err != nil || strings.Contains(names(left), "tree") || strings.Contains(names(left), "cache") {
			t.Errorf("after %s's fetch: %s (%v)", side, names(left), err)
		}
	}
	check(t, removeAll(from)) // the network, as it were, is gone

	other, err := NewWorkshop(Options{Dir: filepath.Join(s.dir, "other"), Environ: os.Environ(), MinFree: 1 << 20})
	check(t, err)
	t.Cleanup(func() { check(t, other.Close()) })
	for _, side := range []plan.Side{plan.Base, plan.Head} {
		check(t, other.Bring(side, filepath.Join(fetched, string(side))))
	}
	for _, side := range []plan.Side{plan.Base, plan.Head} {
		box, err := sandbox.New(sandbox.Options{Name: "again@" + string(side), Dir: filepath.Join(s.dir, "again-"+string(side)), Isolate: true})
		check(t, err)
		t.Cleanup(func() { check(t, box.Close()) })
		check(t, other.Enter(t.Context(), Site{Side: side, Box: box, Repo: "repo", Services: []plan.Service{a, b}}))
		built, err := other.Build(t.Context(), "a", filepath.Join(s.dir, "kept", "a@"+string(side)))
		if err != nil {
			t.Fatalf("a@%s: %v: %s", side, err, strings.Join(built.Record.LogTail, "\n"))
		}
		if built.Record.FetchSeconds <= 0 || built.Record.Dependencies != 1 {
			t.Errorf("a@%s: fetched in %g s, %d dependencies; want the first workshop's time and one", side, built.Record.FetchSeconds, built.Record.Dependencies)
		}
		var failure *Failure
		if _, err := other.Build(t.Context(), "b", filepath.Join(s.dir, "kept", "b@"+string(side))); !errors.As(err, &failure) || failure.Step != "fetching" || !strings.Contains(strings.Join(failure.Tail, " "), "example.com/none") {
			t.Errorf("b@%s: got %v, want the failure of its download", side, err)
		}
		check(t, other.Leave(t.Context()))
	}
}

// What an earlier job fetched a later one begins with: nothing that stands there is downloaded again.
func TestSeed(t *testing.T) {
	from := folder(t)
	check(t, os.Chmod(from, 0o755))
	sum := moduleProxy(t, from)
	tree := "-- repo/a/go.mod --\nmodule a\n\ngo 1.24\n\nrequire example.com/dep v1.0.0\n-- repo/a/go.sum --\n" + sum +
		"-- repo/a/main.go --\npackage main\n\nimport \"example.com/dep\"\n\nfunc main() { println(dep.Name) }\n"
	s := newShop(t, tree, "", "GOPROXY=file://"+from, "GOSUMDB=off")
	a := plan.Service{Name: "a", Lang: plan.Go, Dir: "a"}
	fetched := filepath.Join(s.dir, "fetched")
	check(t, s.Fetch(t.Context(), Site{Side: plan.Head, Box: s.boxs[plan.Head], Repo: "repo", Services: []plan.Service{a}}, fetched))
	check(t, removeAll(from)) // the network, as it were, is gone

	for seed, want := range map[string]bool{FetchedCache(fetched): true, filepath.Join(s.dir, "missing"): false, "": false} {
		later := newShop(t, tree, "", "GOPROXY=off", "GOSUMDB=off")
		later.o.Seed = seed
		later.enter(plan.Base, a)
		built, err := later.Build(t.Context(), "a", filepath.Join(later.dir, "kept", "a"))
		if (err == nil) != want {
			t.Errorf("seed %q: %v: %s", seed, err, strings.Join(built.Record.LogTail, "\n"))
		}
	}
	if _, err := os.Stat(filepath.Join(FetchedCache(fetched), "go", "mod")); err != nil {
		t.Errorf("the seed was taken and not copied: %v", err)
	}
}

func names(entries []os.DirEntry) string {
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

// A service that can only be built in its Dockerfile is sent to the job's container.
func TestDockerfileAlone(t *testing.T) {
	s := newShop(t, "-- repo/only/Dockerfile --\nFROM scratch\n-- repo/mono/go.mod --\nmodule m\n-- repo/mono/svc/Dockerfile --\nFROM scratch\n"+
		"-- repo/both/Dockerfile --\nFROM scratch\n-- repo/both/go.mod --\nmodule b\n-- repo/none/x --\n", "")
	s.enter(plan.Base,
		plan.Service{Name: "go", Lang: plan.Go, Dir: "only"}, plan.Service{Name: "rust", Lang: plan.Rust, Dir: "only"},
		plan.Service{Name: "mono", Lang: plan.Go, Dir: "mono/svc"},
		plan.Service{Name: "both", Lang: plan.Go, Dir: "both"}, plan.Service{Name: "none", Lang: plan.Go, Dir: "none"})
	for name, container := range map[string]bool{"go": true, "rust": true, "mono": true, "both": false, "none": false} {
		_, err := s.fails(name)
		var usage *plan.UsageError
		if !errors.As(err, &usage) {
			t.Errorf("%s: got %v, want a usage error", name, err)
			continue
		}
		if got := strings.Contains(usage.Hint, "container:"); got != container || !strings.Contains(usage.Hint, "`build:` and `binary:`") {
			t.Errorf("%s: hint %q, want the job's container: %v", name, usage.Hint, container)
		}
	}
}

func TestDownloadNames(t *testing.T) {
	got := DownloadNames([]string{"HTTPS_PROXY=x", "SSL_CERT_FILE=/a", "GITHUB_TOKEN=t", "GOPROXY=y", "GOFLAGS=-x", "CARGO_HTTP_CAINFO=/b", "NO_PROXY=", "GIT_SSL_CAINFO=/c"})
	if want := "GOPROXY HTTPS_PROXY"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}
