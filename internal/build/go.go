package build

import (
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"go/version"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"

	"github.com/duet-bench/duet/internal/goagent"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// goHost is the Go that is installed here and what its user has set.
type goHost struct {
	env map[string]string // of `go env`
	err error             // why there is none
}

// goFetchSettings are what a user sets, in the environment or with `go env -w`, to reach modules.
var goFetchSettings = [...]string{"GOPROXY", "GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GOSUMDB", "GOINSECURE", "GONOSUMCHECK", "GOVCS"}

// host asks the installed Go about itself, in a folder of ours, once.
func (w *Workshop) host(ctx context.Context) *goHost {
	if w.goHost != nil {
		return w.goHost
	}
	h := &goHost{}
	args := append([]string{"env", "-json", "GOVERSION", "GOROOT", "GOPATH", "GOMODCACHE"}, goFetchSettings[:]...)
	// Go counts its uses in the caller's configuration folder; where Duet was started through sudo that would
	// leave root's files there. The settings the caller keeps in it are read all the same.
	env := []string{"GOTOOLCHAIN=local", "GOWORK=off", "GOFLAGS=", "GOENV=" + w.goEnvFile(), "XDG_CONFIG_HOME=/dev/null"}
	text, err := w.ask(ctx, env, "go", args...)
	if err == nil {
		err = json.Unmarshal(text, &h.env)
	}
	if err == nil && h.env["GOVERSION"] == "" {
		err = errors.New("go env: the installed Go does not know its own version")
	}
	if h.err = err; ctx.Err() == nil {
		w.goHost = h
	}
	return h
}

// goEnvFile is where the caller's `go env -w` settings are.
func (w *Workshop) goEnvFile() string {
	if file := w.lookup("GOENV"); file != "" {
		return file
	}
	config := w.lookup("XDG_CONFIG_HOME")
	if config == "" {
		config = filepath.Join(w.lookup("HOME"), ".config")
	}
	return filepath.Join(config, "go", "env")
}

// ask runs a program of the caller's PATH as the caller, outside any tree, and returns what it printed.
func (w *Workshop) ask(ctx context.Context, env []string, name string, args ...string) ([]byte, error) {
	program, err := lookPath(name, w.lookup("PATH"))
	if err != nil {
		return nil, err
	}
	c := exec.CommandContext(ctx, program, args...)
	c.Dir, c.Env = w.o.Dir, append(slices.Clone(w.o.Environ), env...)
	return commandOutput(c)
}

func (w *Workshop) prepareGo(ctx context.Context, r *recipe) error {
	fsys := w.site.root.FS()
	module, hasModule := upward(fsys, r.rel, "go.mod")
	workspace, hasWorkspace := upward(fsys, r.rel, "go.work")
	if !hasModule && !hasWorkspace && len(r.service.Build) == 0 {
		return w.notBuildable(r, "service %s: no go.mod in %s or above it", r.service.Name, r.service.Dir)
	}
	asked, err := w.askedGo(module, workspace)
	if err != nil {
		return err
	}
	if r.tools, err = w.goToolchain(ctx, r.service.Name, asked); err != nil {
		return err
	}
	w.goEnvironment(ctx, r, workspace)
	mains, err := goMains(fsys, r.rel, !hasModule)
	if err != nil {
		return fmt.Errorf("looking for package main: %w", err)
	}
	if err := w.goCommand(r, mains); err != nil {
		return err
	}
	if place := path.Dir(module); hasModule || hasWorkspace {
		if hasWorkspace {
			place = path.Dir(workspace)
		}
		if !exists(fsys, path.Join(place, "vendor", "modules.txt")) {
			r.fetch, r.fetchKey = goFetch(r, hasWorkspace), "go "+place
			if hasWorkspace { // there it is for one service's packages
				r.fetchKey = "go service " + r.service.Name
			}
		}
	}
	r.clean = func() error { return w.startGoCache(r) }
	r.measured = goFacts
	return nil
}

// goFetch is how the modules of a service are downloaded. In a workspace `go mod download` asks the proxy for
// members that were never published, which `go build` then does not need: there the packages' own needs are loaded.
func goFetch(r *recipe, workspace bool) []string {
	if !workspace {
		return []string{r.tools.bin("go"), "mod", "download"}
	}
	packages := "./..."
	if len(r.service.Build) == 0 {
		packages = r.build[len(r.build)-1]
	}
	return []string{r.tools.bin("go"), "list", "-deps", "-f", `{{""}}`, packages}
}

// goCommand decides what is built: the service's own command, or the one package main.
func (w *Workshop) goCommand(r *recipe, mains []goMain) error {
	chosen, err := chooseMain(r.service, r.rel, mains)
	if err == nil {
		r.main = chosen.File
	}
	if len(r.service.Build) > 0 {
		r.build, r.binary = r.service.Build, w.inDir(r.rel, r.service.Binary)
		return nil
	}
	if len(mains) == 0 {
		return w.notBuildable(r, "service %s: no package main in %s or below it", r.service.Name, r.service.Dir)
	}
	if err != nil {
		return err
	}
	r.binary = w.inOut("bin/" + r.service.Name)
	r.build = []string{r.tools.bin("go"), "build", "-o", filepath.Join(w.out(), "bin", r.service.Name), packageArgument(r.rel, chosen.Dir)}
	return nil
}

// packageArgument names a package's folder as go wants it: "." or "./cmd/server".
func packageArgument(from, dir string) string {
	if dir == from {
		return "."
	}
	return "./" + strings.TrimPrefix(strings.TrimPrefix(dir, from), "/")
}

// chooseMain picks the package main of a service: the dir itself, the one named like `binary:`, or the only one.
func chooseMain(s plan.Service, rel string, mains []goMain) (goMain, error) {
	var names []string
	for _, m := range mains {
		if s.Binary != "" && path.Base(m.Dir) == path.Base(filepath.ToSlash(s.Binary)) {
			return m, nil
		}
		if m.Dir == rel && s.Binary == "" {
			return m, nil
		}
		names = append(names, packageArgument(rel, m.Dir))
	}
	switch len(mains) {
	case 1:
		return mains[0], nil
	case 0:
		return goMain{}, fmt.Errorf("service %s: no package main in %s or below it", s.Name, s.Dir)
	}
	return goMain{}, plan.Usagef(
		fmt.Sprintf("set `dir:` to one of them, or `build: [go, build, -o, app, %s]` with `binary: app`", names[0]),
		"service %s: %d packages main in %s: %s", s.Name, len(mains), s.Dir, strings.Join(names, ", "))
}

// goEnvironment sets what fetching and building see. -trimpath and -buildvcs=false keep paths and commits out
// of binaries; there is no -mod flag, because it would break vendored trees; GOENV=off and GOTOOLCHAIN=local
// keep the tree from choosing flags for us or downloading a compiler.
func (w *Workshop) goEnvironment(ctx context.Context, r *recipe, workspace string) {
	env := map[string]string{
		"PATH":        w.searchPath(r.tools),
		"GOENV":       "off",
		"GOTOOLCHAIN": "local",
		"GOFLAGS":     "-trimpath -buildvcs=false",
		"GOPATH":      filepath.Join(w.cache(), "go"),
		"GOMODCACHE":  filepath.Join(w.cache(), "go", "mod"),
		"GOWORK":      "off", // never one that lies above the tree
	}
	if workspace != "" {
		env["GOWORK"] = filepath.Join(w.tree(), filepath.FromSlash(workspace))
	}
	r.buildEnv = maps.Clone(env)
	r.buildEnv["GOPROXY"], r.buildEnv["GOSUMDB"] = "off", "off"
	r.buildEnv["GOCACHE"] = w.goCache()
	r.fetchEnv = env
	r.fetchEnv["GOFLAGS"] += " -modcacherw"
	for name, value := range w.networkEnvironment() {
		r.fetchEnv[name] = value
	}
	for _, name := range goFetchSettings {
		if value := w.host(ctx).env[name]; value != "" {
			r.fetchEnv[name] = value
		}
	}
}

func (w *Workshop) goCache() string { return filepath.Join(w.out(), "gocache") }

// askedGo is the newest toolchain that go.mod and go.work ask for, or "".
func (w *Workshop) askedGo(module, workspace string) (string, error) {
	var asked string
	newer := func(goLine *modfile.Go, toolchain *modfile.Toolchain) {
		if goLine != nil && version.Compare("go"+goLine.Version, asked) > 0 {
			asked = "go" + goLine.Version
		}
		if toolchain != nil && version.Compare(toolchain.Name, asked) > 0 {
			asked = toolchain.Name
		}
	}
	if module != "" {
		text, err := readRegular(w.site.root, module)
		if err != nil {
			return "", fmt.Errorf("reading %s: %w", module, err)
		}
		m, err := modfile.ParseLax(module, text, nil)
		if err != nil {
			return "", &Failure{Step: "building", Err: err}
		}
		newer(m.Go, m.Toolchain)
	}
	if workspace != "" {
		text, err := readRegular(w.site.root, workspace)
		if err != nil {
			return "", fmt.Errorf("reading %s: %w", workspace, err)
		}
		f, err := modfile.ParseWork(workspace, text, nil)
		if err != nil {
			return "", &Failure{Step: "building", Err: err}
		}
		newer(f.Go, f.Toolchain)
	}
	return asked, nil
}

// goToolchain finds a Go that is new enough, the one in PATH first, as the go command itself would choose.
func (w *Workshop) goToolchain(ctx context.Context, service, asked string) (toolchain, error) {
	h := w.host(ctx)
	want := asked
	if want == "" {
		want = "Go"
	}
	if h.err == nil {
		root, local := h.env["GOROOT"], strings.Fields(h.env["GOVERSION"])[0]
		if asked != "" && version.IsValid(local) && version.Compare(local, asked) < 0 {
			root, local = w.otherGo(asked)
		}
		if root != "" {
			t, err := w.reachable(root, local)
			t.version = local
			return t, err
		}
		return toolchain{}, plan.Usagef(
			fmt.Sprintf("install it (actions/setup-go with go-version-file, or `GOTOOLCHAIN=%s go version`), or ask for at most %s in go.mod", asked, h.env["GOVERSION"]),
			"service %s: %s asks for %s, and the newest Go here is %s; Duet downloads no compilers", service, w.site.Side, asked, h.env["GOVERSION"])
	}
	if ctx.Err() != nil {
		return toolchain{}, context.Cause(ctx)
	}
	return toolchain{}, plan.Usagef("install Go from https://go.dev/dl/ or with actions/setup-go",
		"service %s: %s needs %s: %w", service, w.site.Side, want, h.err)
}

// otherGo is the oldest installed Go that is new enough, where Go's own tools and runners put them, or "".
func (w *Workshop) otherGo(asked string) (root, found string) {
	env := w.host(context.Background()).env
	platform := runtime.GOOS + "-" + runtime.GOARCH
	for _, pattern := range []string{
		filepath.Join(env["GOMODCACHE"], "golang.org", "toolchain@v0.0.1-go*."+platform),
		filepath.Join(w.lookup("HOME"), "sdk", "go*"),
		"/usr/local/go*",
		filepath.Join(w.lookup("RUNNER_TOOL_CACHE"), "go", "*", "*"),
	} {
		places, _ := filepath.Glob(pattern)
		for _, place := range places {
			v := installedVersion(place)
			newer := version.IsValid(v) && version.Compare(v, asked) >= 0
			if newer && filepath.IsAbs(place) && (found == "" || version.Compare(v, found) < 0) {
				root, found = place, v
			}
		}
	}
	return root, found
}

// installedVersion is what the VERSION file of a GOROOT says, if there is a go command in it.
func installedVersion(root string) string {
	info, err := os.Stat(filepath.Join(root, "bin", "go"))
	if err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return ""
	}
	text, err := os.ReadFile(filepath.Join(root, "VERSION"))
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSpace(first)
}

// compileStandardLibrary compiles what the side's Go services import from it and what was not compiled yet,
// before any code of theirs runs, into a folder that no box can write.
func (w *Workshop) compileStandardLibrary(ctx context.Context) error {
	byToolchain := map[string][]*recipe{}
	for _, service := range w.site.Services {
		if r := w.site.recipes[service.Name]; r.err == nil && service.Lang == plan.Go {
			byToolchain[r.tools.version] = append(byToolchain[r.tools.version], r)
		}
	}
	for _, recipes := range byToolchain {
		if err := w.compileStandardPackages(ctx, recipes); err != nil {
			return err
		}
	}
	return removeAll(w.out())
}

// compileStandardPackages does so for recipes with one toolchain.
func (w *Workshop) compileStandardPackages(ctx context.Context, recipes []*recipe) error {
	first := recipes[0]
	if err := w.startClean(first); err != nil {
		return err
	}
	compiled := w.compiled[first.tools.version]
	if compiled == nil {
		compiled = map[string]bool{}
		w.compiled[first.tools.version] = compiled
	}
	var missing []string
	for _, r := range recipes {
		names, err := w.standardPackages(ctx, r)
		if err != nil {
			return err
		}
		for _, name := range names {
			if !compiled[name] && !slices.Contains(missing, name) {
				missing = append(missing, name)
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	w.o.Progress(fmt.Sprintf("compiling the %d packages of Go's standard library that are used, once", len(missing)))
	argv := append([]string{first.tools.bin("go"), "build"}, missing...)
	if _, err := w.run(ctx, first, "compiling the standard library", argv, first.buildEnv); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		for _, r := range recipes {
			r.notes = append(r.notes, "the clean build includes Go's standard library: "+err.Error())
		}
		return nil
	}
	if err := w.keepGoCache(ctx, first); err != nil {
		return w.spaceError(err)
	}
	for _, name := range missing {
		compiled[name] = true
	}
	return nil
}

// standardPackages are those a recipe needs. Packages that std vendors for itself cannot be named; they come
// with those that import them.
func (w *Workshop) standardPackages(ctx context.Context, r *recipe) ([]string, error) {
	const mark = "duet-std "
	target := "./..."
	if len(r.service.Build) == 0 {
		target = r.build[len(r.build)-1]
	}
	argv := []string{r.tools.bin("go"), "list", "-e", "-deps", "-f", "{{if .Standard}}" + mark + "{{.ImportPath}}{{end}}", target}
	if _, err := w.run(ctx, r, "listing", argv, r.buildEnv); err != nil {
		return nil, ctx.Err() // the build itself will say what is wrong
	}
	var names []string
	for line := range strings.Lines(w.output(r, "listing")) {
		name, ok := strings.CutPrefix(strings.TrimSpace(line), mark)
		if ok && name != "unsafe" && !strings.HasPrefix(name, "vendor/") {
			names = append(names, name)
		}
	}
	if w.o.Profiles {
		names = append(names, goagent.Imports()...)
	}
	return names, nil
}

// keptGoCache is the compiled standard library of one toolchain.
func (w *Workshop) keptGoCache(r *recipe) string { return w.path("kept", "std-"+r.tools.version) }

func (w *Workshop) keepGoCache(ctx context.Context, r *recipe) error {
	if err := w.site.Box.KillAll(ctx); err != nil {
		return err
	}
	if err := removeAll(w.keptGoCache(r)); err != nil {
		return err
	}
	return copyTree(w.goCache(), w.keptGoCache(r))
}

// startGoCache gives a build the compiled standard library and nothing else.
func (w *Workshop) startGoCache(r *recipe) error {
	if err := os.Mkdir(filepath.Join(w.out(), "bin"), 0o755); err != nil {
		return err
	}
	if _, err := os.Stat(w.keptGoCache(r)); err != nil {
		return os.Mkdir(w.goCache(), 0o755)
	}
	return copyTree(w.keptGoCache(r), w.goCache())
}

// goFacts reads from a Go binary what it was made of: the modules linked in and the settings that count.
func goFacts(_ context.Context, binary string, record *result.Build) {
	defer func() {
		if recover() != nil { // debug/* is not made for hostile binaries
			record.Notes = append(record.Notes, "the binary's build information could not be read")
		}
	}()
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		record.Notes = append(record.Notes, "the binary has no build information: its modules are not counted")
		return
	}
	record.Toolchain, record.Dependencies = info.GoVersion, len(info.Deps)
	record.Settings = maps.Clone(record.Settings)
	for _, s := range info.Settings {
		switch s.Key {
		case "CGO_ENABLED", "GOAMD64", "GOARM64", "-gcflags", "-tags", "-race", "GOEXPERIMENT": // -ldflags are left out under -trimpath
			record.Settings[s.Key] = s.Value
		}
	}
}
