package build

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/dirhash"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// goTree has one folder for each way a Go service can lie in a tree. The one named fetched needs a module from
// a proxy, and its build writes into the cache that the module came to. None imports the standard library: what
// the runtime needs is all that has to be compiled for it.
const goTree = `
-- repo/plain/go.mod --
module example.com/plain
go 1.21
-- repo/plain/main.go --
package main

func main() { println(greeting) }
-- repo/plain/greeting.go --
package main

const greeting = "hello"
-- repo/plain/assets/a.txt --
a
-- repo/plain/assets/deep/b.txt --
b
-- repo/sub/go.mod --
module example.com/sub
go 1.21
-- repo/sub/lib.go --
package sub
-- repo/sub/cmd/server/main.go --
package main

func main() { println("sub") }
-- repo/sub/cmd/gen/gen.go --
//go:build ignore

package main

func main() {}
-- repo/sub/nested/go.mod --
module example.com/nested
-- repo/sub/nested/main.go --
package main

func main() {}
-- repo/several/go.mod --
module example.com/several
go 1.21
-- repo/several/cmd/a/main.go --
package main

func main() { println("a") }
-- repo/several/cmd/b/main.go --
package main

func main() { println("b") }
-- repo/vendored/go.mod --
module example.com/vendored
go 1.21
require example.com/dep v1.0.0
-- repo/vendored/main.go --
package main

import "example.com/dep"

func main() { println(dep.Name) }
-- repo/vendored/vendor/modules.txt --
# example.com/dep v1.0.0
## explicit
example.com/dep
-- repo/vendored/vendor/example.com/dep/dep.go --
package dep

const Name = "vendored"
-- repo/work/go.work --
go 1.21
use ./svc
use ./lib
-- repo/work/svc/go.mod --
module example.com/svc
go 1.21
require example.com/lib v0.0.0
-- repo/work/svc/main.go --
package main

import "example.com/lib"

func main() { println(lib.Name) }
-- repo/work/lib/go.mod --
module example.com/lib
go 1.21
-- repo/work/lib/lib.go --
package lib

const Name = "workspace"
-- repo/broken/go.mod --
module example.com/broken
go 1.21
-- repo/broken/main.go --
package main

func main() { undefinedHere() }
-- repo/future/go.mod --
module example.com/future
go 1.99
-- repo/future/main.go --
package main

func main() {}
-- repo/custom/go.mod --
module example.com/custom
go 1.21
-- repo/custom/main.go --
package main

func main() { println("custom") }
-- repo/fetched/go.mod --
module example.com/fetched
go 1.21
require example.com/dep v1.0.0
-- repo/fetched/main.go --
package main

import "example.com/dep"

func main() { println(dep.Name) }
-- repo/fetched/Makefile --
app:
	go build -o app .
	rm -f $(DEP)/dep.go
	printf 'package dep\n\nconst Name = "poisoned"\n' > $(DEP)/dep.go

DEP = $(shell go env GOMODCACHE)/example.com/dep@v1.0.0
-- other/go.mod --
module example.com/other
go 1.21
-- other/main.go --
package main

func main() { println("other") }
`

// poison tries, while head builds, to change whatever it can find of base's and of the harness's.
const poison = `
-- repo/poison/Makefile --
app:
	-echo poisoned > $(VICTIM)
	-chmod u+w $(VICTIM); rm -f $(VICTIM)
	-echo poisoned >> ../../../kept/marker
	-ls ../../../kept && touch listed-kept
	-rm -f app; ln -s /etc/hostname stolen
	-mv main.go was.go; ln -s $(VICTIM) main.go
	go build -o app was.go
-- repo/plain/assets/a.txt --
changed
`

func goServices() []plan.Service {
	service := func(name string) plan.Service { return plan.Service{Name: name, Lang: plan.Go, Dir: name} }
	plain := service("plain")
	plain.Files = []string{"assets", "assets/a.txt"}
	chosen := service("chosen")
	chosen.Dir, chosen.Binary = "several", "b"
	custom := service("custom")
	custom.Build, custom.Binary = []string{"go", "build", "-ldflags=-s -w", "-o", "made/app", "."}, "made/app"
	fetched := service("fetched")
	fetched.Build, fetched.Binary = []string{"make", "app"}, "app"
	other := service("other")
	other.Dir = "../other"
	missing := service("missing")
	outside := service("outside")
	outside.Dir = "../../elsewhere"
	return []plan.Service{plain, service("sub"), service("several"), chosen, service("vendored"),
		{Name: "work", Lang: plan.Go, Dir: "work/svc"}, service("broken"), service("future"), custom, other, missing, outside, fetched}
}

func TestGo(t *testing.T) {
	proxy := filepath.Join(folder(t), "proxy")
	tree := goTree + "-- repo/fetched/go.sum --\n" + moduleProxy(t, proxy)
	s := newShop(t, tree, poison, "GOPROXY=file://"+proxy, "GOSUMDB=off", "GOFLAGS=-mod=vendor")
	s.enter(plan.Base, goServices()...)
	prints := map[string]string{"plain": "hello", "sub": "sub", "chosen": "b", "vendored": "vendored", "work": "workspace", "custom": "custom", "other": "other", "fetched": "fetched"}
	base := map[string]Built{}
	for name, want := range prints {
		b := s.build(name)
		base[name] = b
		if got, err := exec.Command(b.Binary).CombinedOutput(); strings.TrimSpace(string(got)) != want || err != nil {
			t.Errorf("%s: prints %q (%v), want %q", name, got, err, want)
		}
		r := b.Record
		if r.CleanSeconds <= 0 || r.CleanCPU <= 0 || r.IncrementalSeconds <= 0 || r.BinaryBytes < 1000 || !strings.HasPrefix(r.Toolchain, "go1.") {
			t.Errorf("%s: missing figures in %+v", name, r)
		}
		if len(r.Notes) > 0 {
			t.Errorf("%s: unexpected notes %q", name, r.Notes)
		}
	}
	for name, want := range map[string]int{"plain": 0, "vendored": 1, "work": 1, "fetched": 1} {
		if got := base[name].Record.Dependencies; got != want {
			t.Errorf("%s: got %d dependencies, want %d", name, got, want)
		}
	}
	if got, want := base["custom"].Record.Settings["build"], "go build -ldflags=-s -w -o made/app ."; got != want {
		t.Errorf("custom: settings say build %q, want %q", got, want)
	}
	s.goErrors()
	if got, err := os.ReadFile(filepath.Join(base["plain"].Dir, "assets", "deep", "b.txt")); string(got) != "b\n" {
		t.Errorf("copied file: got %q, %v", got, err)
	}
	check(t, s.Leave(t.Context()))
	check(t, removeAll(proxy)) // what head needs of it, it has from base
	s.goHead(base)
}

// goErrors checks what is said of services that cannot be built.
func (s *shop) goErrors() {
	t := s.t
	var usage *plan.UsageError
	for name, parts := range map[string][]string{
		"several": {"2 packages main", "./cmd/a, ./cmd/b", "binary:"},
		"future":  {"asks for go1.99", "GOTOOLCHAIN=go1.99", "base"},
		"missing": {`no folder "missing" at base`},
		"outside": {"leaves the exported tree"},
	} {
		_, err := s.fails(name)
		if !errors.As(err, &usage) {
			t.Errorf("%s: got %T, want a usage error", name, err)
		}
		contains(t, name, err.Error(), parts...)
	}
	b, err := s.fails("broken")
	var failure *Failure
	if !errors.As(err, &failure) || failure.Step != "building" {
		t.Errorf("broken: got %v, want a failure of building", err)
	}
	contains(t, "broken: log", strings.Join(b.Record.LogTail, "\n"), "undefined: undefinedHere")
}

// goHead builds at head: what did not change is identical, and what is hostile changes nothing of base's.
func (s *shop) goHead(base map[string]Built) {
	t := s.t
	hostile := plan.Service{Name: "poison", Lang: plan.Go, Dir: "poison", Binary: "app",
		Build: []string{"make", "VICTIM=" + base["plain"].Binary, "app"}}
	thief := hostile
	thief.Name, thief.Binary = "thief", "stolen"
	write(t, s.Tree(plan.Head), "-- repo/poison/main.go --\npackage main\n\nfunc main() { println(1) }\n-- repo/poison/go.mod --\nmodule example.com/poison\n")
	s.enter(plan.Head, append(goServices(), hostile, thief)...)
	s.build("poison")
	if _, err := s.fails("thief"); !strings.Contains(err.Error(), "stolen") {
		t.Errorf("thief: got %v, want a refusal of the link", err)
	}
	if _, err := os.Stat(filepath.Join(s.tree(), "repo", "poison", "listed-kept")); err == nil {
		t.Error("a head build could list the workshop's own folder")
	}
	var builds []result.Build
	for _, name := range []string{"plain", "custom", "fetched"} {
		check(t, base[name].Verify())
		builds = append(builds, base[name].Record, s.build(name).Record)
	}
	for _, b := range MarkIdentical(builds) {
		want := b.Variant.Side == plan.Head && b.Variant.Service != "plain"
		if b.IdenticalToBase != want {
			t.Errorf("%s: identical to base: got %v, want %v", b.Variant, b.IdenticalToBase, want)
		}
	}
	if builds[0].BinarySHA256 != builds[1].BinarySHA256 {
		t.Error("plain: same source at both sides, another binary")
	}
}

// moduleProxy writes a GOPROXY folder with example.com/dep v1.0.0 and returns the go.sum for it.
func moduleProxy(t *testing.T, dir string) string {
	t.Helper()
	const mod = "module example.com/dep\ngo 1.21\n"
	var archive bytes.Buffer
	z := zip.NewWriter(&archive)
	for name, text := range map[string]string{"go.mod": mod, "dep.go": "package dep\n\nconst Name = \"fetched\"\n"} {
		f, err := z.Create("example.com/dep@v1.0.0/" + name)
		check(t, err)
		_, err = f.Write([]byte(text))
		check(t, err)
	}
	check(t, z.Close())
	versions := filepath.Join(dir, "example.com", "dep", "@v")
	check(t, os.MkdirAll(versions, 0o755))
	check(t, os.WriteFile(filepath.Join(versions, "list"), []byte("v1.0.0\n"), 0o644))
	check(t, os.WriteFile(filepath.Join(versions, "v1.0.0.info"), []byte(`{"Version":"v1.0.0"}`), 0o644))
	check(t, os.WriteFile(filepath.Join(versions, "v1.0.0.mod"), []byte(mod), 0o644))
	check(t, os.WriteFile(filepath.Join(versions, "v1.0.0.zip"), archive.Bytes(), 0o644))
	zipSum, err := dirhash.HashZip(filepath.Join(versions, "v1.0.0.zip"), dirhash.Hash1)
	check(t, err)
	modSum, err := dirhash.Hash1([]string{"go.mod"}, func(string) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(mod)), nil })
	check(t, err)
	return fmt.Sprintf("example.com/dep v1.0.0 %s\nexample.com/dep v1.0.0/go.mod %s\n", zipSum, modSum)
}
