package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/duet-bench/duet/internal/goagent"
)

// profileGo builds a Go service once more, with the agent (internal/goagent) beside its own files. The file exists for
// the compiler alone (`go build -overlay`): nothing in the tree is touched.
func (w *Workshop) profileGo(ctx context.Context, r *recipe, built Built, out string) (p Profiled, err error) {
	if len(r.service.Build) > 0 {
		back, err := w.onCopy(ctx)
		if err != nil {
			return Profiled{}, fmt.Errorf("preparing the build of %s for profiles: %w", r.variant, w.spaceError(err))
		}
		defer func() { err = errors.Join(err, back()) }()
	}
	if _, err := os.Stat(w.goCache()); err != nil { // another service was built since
		if err := w.startClean(r); err != nil {
			return Profiled{}, fmt.Errorf("preparing the build of %s for profiles: %w", r.variant, w.spaceError(err))
		}
	}
	argv, env, err := w.withAgent(r)
	if err != nil {
		return Profiled{}, err
	}
	w.removeBinary(r)
	w.o.Progress(fmt.Sprintf("building %s for profiles", r.variant))
	if _, err := w.run(ctx, r, "building for profiles", argv, env); err != nil {
		return Profiled{}, err
	}
	if err := w.site.Box.KillAll(ctx); err != nil {
		return Profiled{}, err
	}
	if p, err = w.keepProfiled(r, built, out); err != nil {
		return Profiled{}, err
	}
	if err := agentInside(p.Binary, len(r.service.Build) > 0); err != nil {
		return Profiled{}, err
	}
	p.Notes = append(p.Notes, "built with one file more than the measured binary: the agent that hands out profiles")
	return p, nil
}

// onCopy puts a copy of the side's tree in its place, for a command of the service's own, which writes there: no measured
// build may find what it leaves, a binary with an agent that make takes for up to date. back undoes it.
func (w *Workshop) onCopy(ctx context.Context) (back func() error, err error) {
	if err := w.site.Box.KillAll(ctx); err != nil {
		return nil, err
	}
	aside, own := w.path("kept", "tree"), w.site.root
	if err := os.Rename(w.tree(), aside); err != nil {
		return nil, err
	}
	back = func() error {
		err := w.site.Box.KillAll(context.WithoutCancel(ctx))
		if w.site.root != own {
			err = errors.Join(err, w.site.root.Close())
			w.site.root = own
		}
		return errors.Join(err, removeAll(w.tree()), os.Rename(aside, w.tree()))
	}
	if err = copyTree(aside, w.tree()); err == nil {
		err = w.site.Box.Own(w.tree())
	}
	var root *os.Root
	if err == nil {
		root, err = os.OpenRoot(w.tree())
	}
	if err != nil {
		return nil, errors.Join(err, back())
	}
	w.site.root = root
	return back, nil
}

// withAgent is the recipe's command and environment with the agent in the packages main that it may build.
func (w *Workshop) withAgent(r *recipe) ([]string, map[string]string, error) {
	own := len(r.service.Build) > 0
	places := []string{path.Dir(r.main)}
	if own {
		places = w.goFolders(r.rel)
	}
	overlay, err := w.writeOverlay(places)
	if err != nil {
		return nil, nil, fmt.Errorf("preparing the build of %s for profiles: %w", r.variant, w.spaceError(err))
	}
	if !own {
		return slices.Insert(slices.Clone(r.build), 2, "-overlay", overlay), r.buildEnv, nil
	}
	env := maps.Clone(r.buildEnv)
	flag := "-overlay=" + overlay
	if strings.ContainsAny(flag, " \t\n") {
		flag = `"` + flag + `"`
	}
	env["GOFLAGS"] += " " + flag
	return r.build, env, nil
}

// goFolders are the folders that a service's own build command may build: of the whole tree, and those of the service's
// dir by the path that leads there through links.
func (w *Workshop) goFolders(rel string) []string {
	fsys := w.site.root.FS()
	var folders []string
	for _, start := range []string{".", rel} {
		// A folder that cannot be read is one that cannot be built.
		_ = fs.WalkDir(fsys, start, func(name string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return nil
			}
			if name != start && skippedDir(fsys, name) {
				return fs.SkipDir
			}
			folders = append(folders, name)
			return nil
		})
	}
	return folders
}

// writeOverlay writes the agent for each of the folders, relative to the tree, that hold a func main, and the list of
// them that go build reads; it returns the list's path.
func (w *Workshop) writeOverlay(folders []string) (string, error) {
	dir := w.path("overlay")
	if err := removeAll(dir); err != nil {
		return "", err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	var list struct{ Replace map[string]string }
	list.Replace = map[string]string{}
	for i, folder := range folders {
		condition, found := mainCondition(w.site.root, folder)
		if !found {
			continue
		}
		source := filepath.Join(dir, fmt.Sprintf("%d.go", i))
		if err := os.WriteFile(source, goagent.Source(condition), 0o644); err != nil {
			return "", err
		}
		for _, name := range w.namesOf(folder) {
			list.Replace[filepath.Join(name, goagent.FileName)] = source
		}
	}
	text, err := json.Marshal(list)
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "overlay.json")
	return name, os.WriteFile(name, text, 0o644)
}

// namesOf are the absolute paths by which the go command may know a folder of the tree: as it was given, and with the
// links on the way resolved. Reached by a path that is not listed, an overlay is silently not applied.
func (w *Workshop) namesOf(rel string) []string {
	names := []string{filepath.Join(w.tree(), filepath.FromSlash(rel))}
	tree, err := filepath.EvalSymlinks(w.tree())
	if err != nil {
		return names
	}
	names = append(names, filepath.Join(tree, filepath.FromSlash(rel)))
	if real, err := filepath.EvalSymlinks(names[0]); err == nil {
		names = append(names, real)
		if inside, err := filepath.Rel(tree, real); err == nil && filepath.IsLocal(inside) {
			names = append(names, filepath.Join(w.tree(), inside))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// mainCondition says whether a folder holds a func main, and under which build constraint one of its files that declare
// it is compiled on Linux; "" is always. The agent is held back by the same one: a package main without func main, or one
// more package in a folder of another name, would not build.
func mainCondition(root *os.Root, folder string) (condition string, found bool) {
	entries, err := fs.ReadDir(root.FS(), folder)
	if err != nil {
		return "", false
	}
	byName := linuxContext(root.FS())
	byName.OpenFile = func(string) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("package main\n")), nil }
	var conditions []string
	for _, entry := range entries {
		name := entry.Name()
		if !entry.Type().IsRegular() || path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			continue
		}
		if match, err := byName.MatchFile(folder, name); err != nil || !match { // main_windows.go
			continue
		}
		text, err := readRegular(root, path.Join(folder, name))
		if err != nil || !declaresMain(text) {
			continue
		}
		c := constraintOf(text)
		if c == "" {
			return "", true
		}
		conditions = append(conditions, "("+c+")")
	}
	slices.Sort(conditions)
	return strings.Join(slices.Compact(conditions), " || "), len(conditions) > 0
}

// constraintOf is the build constraint of a Go file, in either notation, or "".
func constraintOf(text []byte) string {
	file, _ := parser.ParseFile(token.NewFileSet(), "", text, parser.PackageClauseOnly|parser.ParseComments)
	if file == nil {
		return ""
	}
	var old []string
	for _, comment := range comments(file) {
		expression, err := constraint.Parse(comment)
		switch {
		case err != nil:
		case constraint.IsGoBuild(comment):
			return expression.String()
		default:
			old = append(old, "("+expression.String()+")")
		}
	}
	return strings.Join(old, " && ")
}

// comments are the lines of comment above the package clause.
func comments(file *ast.File) (lines []string) {
	for _, group := range file.Comments {
		for _, c := range group.List {
			if c.Pos() < file.Package {
				lines = append(lines, c.Text)
			}
		}
	}
	return lines
}

// agentInside refuses a binary that came out without the agent.
func agentInside(binary string, ownBuild bool) error {
	f, err := os.Open(binary)
	if err != nil {
		return fmt.Errorf("looking for the agent in %s: %w", binary, err)
	}
	defer f.Close()
	inside, err := goagent.Inside(f)
	switch {
	case err != nil:
		return fmt.Errorf("looking for the agent in %s: %w", binary, err)
	case inside:
		return nil
	case ownBuild:
		return &Failure{Step: "building for profiles", Err: errors.New("the agent is not in the binary: the service's `build:` replaces GOFLAGS, packs the binary, or " +
			"does not build it anew: let it add to the GOFLAGS that it is given, or name the service's own pprof endpoint")}
	}
	return &Failure{Step: "building for profiles", Err: errors.New("the agent is not in the binary: go build did not take the file that -overlay names")}
}
