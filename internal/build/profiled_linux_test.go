package build

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/duet-bench/duet/internal/goagent"
	"github.com/duet-bench/duet/internal/plan"
)

// profiledTree adds what the agent may stumble over to goTree. Its programs say a word and wait.
const profiledTree = `
-- repo/plain/go.mod --
module example.com/plain
go 1.21
-- repo/plain/main.go --
package main

func main() { println("plain"); select {} }
-- repo/plain/assets/a.txt --
a
-- repo/vendored/go.mod --
module example.com/vendored
go 1.21
require example.com/dep v1.0.0
-- repo/vendored/main.go --
package main

import "example.com/dep"

func main() { println(dep.Name); select {} }
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

func main() { println(lib.Name); select {} }
-- repo/work/lib/go.mod --
module example.com/lib
go 1.21
-- repo/work/lib/lib.go --
package lib

const Name = "work"
-- repo/real/go.mod --
module example.com/real
go 1.21
-- repo/real/cmd/server/main.go --
package main

func main() { println("linked"); select {} }
-- repo/old/go.mod --
module example.com/old
go 1.16
-- repo/old/main.go --
package main

var net, os, io, bytes, pprof, metrics, runtime, sync, source int

type any struct{}

func copy()  {}
func close() {}
func min()   {}
func print() {}

func init() { os = 1 }

func main() { println("old"); select {} }
-- repo/tagged/go.mod --
module example.com/tagged
go 1.21
-- repo/tagged/main_prod.go --
//go:build prod

package main

func main() { println("tagged"); select {} }
-- repo/tagged/main_windows.go --
package main

func main() { println("windows") }
-- repo/tagged/lib/lib.go --
package lib
-- repo/tagged/lib/gen.go --
// +build ignore

package main

func main() {}
-- repo/tagged/cmd/dev/main.go --
//go:build dev

package main

func main() {}
-- repo/stripped/go.mod --
module example.com/stripped
go 1.21
-- repo/stripped/main.go --
package main

func main() { println("stripped"); select {} }
-- repo/made/go.mod --
module example.com/made
go 1.21
-- repo/made/main.go --
package main

func main() { println("made"); select {} }
-- repo/made/Makefile --
app:
	cd "$$(pwd -P)" && go build -o app .
`

func profiledServices() []plan.Service {
	service := func(name string, build ...string) plan.Service {
		s := plan.Service{Name: name, Lang: plan.Go, Dir: name, Build: build}
		if len(build) > 0 {
			s.Binary = "app"
		}
		return s
	}
	plain, twin, work := service("plain"), service("twin"), service("work")
	plain.Files, twin.Files = []string{"assets"}, []string{"assets"}
	twin.Dir, twin.Env = "plain", map[string]string{"GOGC": "50"}
	work.Dir = "work/svc"
	return []plan.Service{plain, twin, service("vendored"), work, service("linked"), service("old"), service("made", "make", "app"),
		service("tagged", "sh", "-c", "go vet ./... && go build -tags prod -o app ."),
		service("stripped", "go", "build", "-ldflags=-s -w", "-o", "app", "."),
		{Name: "stubborn", Lang: plan.Go, Dir: "stripped", Build: []string{"sh", "-c", "GOFLAGS=-trimpath go build -o app ."}, Binary: "app"},
		{Name: "copied", Lang: plan.Go, Dir: "stripped", Build: []string{"sh", "-c", "test -e kept || go build -o kept . && cp kept app"}, Binary: "app"}}
}

func TestBuildForProfiles(t *testing.T) {
	s := newShop(t, profiledTree, "")
	s.o.Profiles = true
	check(t, os.Symlink("real", filepath.Join(s.Tree(plan.Base), "repo", "linked")))
	s.enter(plan.Base, profiledServices()...)
	for _, service := range profiledServices() {
		name := service.Name
		built := s.build(name)
		text := "the service's `build:`"
		start := time.Now()
		p, err := s.BuildForProfiles(t.Context(), name, built, s.out(name)+"-profiled")
		t.Log(name, "built for profiles in", time.Since(start).Round(time.Millisecond))
		if name == "stubborn" || name == "copied" {
			var failure *Failure
			if !errors.As(err, &failure) || !strings.Contains(err.Error(), text) {
				t.Errorf("%s: got %v, want a failure that says %s", name, err, text)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, s.output(s.site.recipes[name], "building for profiles"))
		}
		want := name
		if name == "twin" {
			want = "plain"
		}
		lives(t, p.Binary, want)
		check(t, built.Verify())
		if hasAgent(t, built.Binary) {
			t.Errorf("%s: the measured binary has an agent", name)
		}
		if !slices.Equal(p.Files, built.Files) || len(p.Notes) != 1 || filepath.Base(p.Binary) != filepath.Base(built.Binary) {
			t.Errorf("%s: got %+v of %+v", name, p, built)
		}
	}
	if got, err := os.ReadFile(filepath.Join(s.out("twin")+"-profiled", "assets", "a.txt")); string(got) != "a\n" {
		t.Errorf("copied file: got %q, %v", got, err)
	}
	if hasAgent(t, filepath.Join(s.tree(), "repo", "made", "app")) {
		t.Error("a build for profiles left its binary in the tree")
	}
	inert(t, s.out("plain")+"-profiled/plain")
	if _, err := s.BuildForProfiles(t.Context(), "plain", Built{}, s.out("none")); err == nil {
		t.Error("built for profiles what was not built")
	}
	check(t, s.Leave(t.Context()))
}

func hasAgent(t *testing.T, binary string) bool {
	t.Helper()
	f, err := os.Open(binary)
	check(t, err)
	defer f.Close()
	inside, err := goagent.Inside(f)
	check(t, err)
	return inside
}

// lives starts a binary with its agent awake, and says hello.
func lives(t *testing.T, binary, prints string) {
	t.Helper()
	dir := t.TempDir()
	c := exec.Command(binary)
	c.Env = []string{goagent.Variable + "=" + filepath.Join(dir, "a")}
	output, err := c.StderrPipe() // println's
	check(t, err)
	check(t, c.Start())
	defer func() { check(t, c.Process.Kill()); c.Wait() }()
	reader := bufio.NewReader(output)
	if line, err := reader.ReadString('\n'); strings.TrimSpace(line) != prints {
		t.Errorf("%s: prints %q (%v), want %q", binary, line, err, prints)
		return
	}
	here, err := os.Getwd()
	check(t, err)
	relative, err := filepath.Rel(here, goagent.Socket(filepath.Join(dir, "a"), c.Process.Pid)) // an address holds 107 bytes
	check(t, err)
	conn, err := net.Dial("unix", relative)
	check(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, goagent.Hello+"\n")
	check(t, err)
	answer := bufio.NewReader(conn)
	head, err := answer.ReadString('\n')
	check(t, err)
	mark := make([]byte, len(goagent.Mark))
	_, err = io.ReadFull(answer, mark)
	if !strings.HasPrefix(head, "ok ") || string(mark) != goagent.Mark {
		t.Errorf("%s: answers %q %q (%v)", binary, head, mark, err)
	}
}

// inert: without the variable the agent makes no socket, and so nothing else.
func inert(t *testing.T, binary string) {
	t.Helper()
	c := exec.Command(binary)
	c.Env = []string{}
	output, err := c.StderrPipe()
	check(t, err)
	check(t, c.Start())
	defer func() { c.Process.Kill(); c.Wait() }()
	if line, err := bufio.NewReader(output).ReadString('\n'); line != "plain\n" {
		t.Errorf("without the variable: prints %q, %v", line, err)
		return
	}
	dir := fmt.Sprintf("/proc/%d/fd", c.Process.Pid)
	entries, err := os.ReadDir(dir)
	check(t, err)
	for _, entry := range entries {
		if to, err := os.Readlink(filepath.Join(dir, entry.Name())); err == nil && strings.HasPrefix(to, "socket:") {
			t.Errorf("without the variable: it has %s", to)
		}
	}
}

func TestConstraintOf(t *testing.T) {
	for text, want := range map[string]string{
		"package main": "",
		"// Copyright\n\n//go:build a && (b || !c)\n// +build a\n\npackage main": "a && (b || !c)",
		"/* license\n*/\n\n// +build a b\n// +build !c\n\npackage main":          "(a || b) && (!c)",
		"package main\n\n//go:build late\n":                                      "",
		"no go":                                                                  "",
	} {
		if got := constraintOf([]byte(text)); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
