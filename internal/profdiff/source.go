package profdiff

import (
	"path"
	"slices"
	"strings"

	"github.com/duet-bench/duet/internal/plan"
)

// Source tells the service's own code from what it only calls: the standard library, dependencies, the runtime. Its
// zero value owns what a package main or nobody else names.
type Source struct {
	// Root is the absolute path at which the tree was built; debug information may name files below it.
	Root string
	// Files are the tree's own source files, relative to Root, vendored ones left out.
	Files map[string]bool
	// Modules are the folders, relative to Root, of the Go modules in the tree, by module path.
	Modules map[string]string
	// Workspaces are the folders with a Cargo.toml, relative to Root.
	Workspaces []string
	// Crates are the names of the tree's own Rust crates, as they stand in symbols.
	Crates map[string]bool
	// Packages are the names of the crates that folders of Workspaces build from their sources, as they stand in symbols.
	Packages map[string]string
	// Outlines are what the tree's Rust files say; nil: nothing.
	Outlines *Outlines
	// Strip is cut off the paths of files in the report: the repository's folder below Root.
	Strip string
}

// file is a debug path as a path in the repository; ok is false for whatever is not the tree's own.
func (s Source) file(debug string, lang plan.Lang) (repo string, ok bool) {
	name := path.Clean(strings.TrimSpace(debug))
	if debug == "" || debug == "???" {
		return "", false
	}
	if below, cut := strings.CutPrefix(name, s.Root+"/"); cut && s.Root != "" {
		return s.shown(below)
	}
	if path.IsAbs(name) {
		return "", false
	}
	switch lang {
	case plan.Go: // -trimpath writes the module's path instead of its folder
		if module, ok := s.module(path.Dir(name)); ok {
			return s.shown(path.Join(s.Modules[module], strings.TrimPrefix(name, module+"/")))
		}
	case plan.Rust: // relative to the folder of a workspace, which the path does not name
		if s.Workspaces == nil {
			return "", false
		}
		var found []string
		for _, folder := range s.Workspaces {
			if file := path.Join(folder, name); s.Files[file] {
				found = append(found, file)
			}
		}
		if len(found) == 1 {
			return s.shown(found[0])
		}
	}
	return "", false
}

// module is the innermost of the tree's Go modules that an import path lies in.
func (s Source) module(pkg string) (module string, ok bool) {
	for at := pkg; at != "." && at != "/"; at = path.Dir(at) {
		if _, ok := s.Modules[at]; ok {
			return at, true
		}
	}
	return "", false
}

// shown is a file of the tree as the repository knows it.
func (s Source) shown(file string) (repo string, ok bool) {
	if !s.Files[file] {
		return "", false
	}
	if below, cut := strings.CutPrefix(file, s.Strip+"/"); cut && s.Strip != "" {
		return below, true
	}
	if s.Strip != "" {
		return "../" + file, true // of a second checkout beside the repository
	}
	return file, true
}

// inTree is a file as the tree knows it, by its path in the repository: the opposite of shown.
func (s Source) inTree(repo string) string {
	if s.Strip == "" {
		return repo
	}
	return path.Join(s.Strip, repo)
}

// named says by its symbol alone whether a function is the service's own.
func (s Source) named(name string, lang plan.Lang) bool {
	switch lang {
	case plan.Go:
		pkg := goPackage(name)
		if pkg == "main" {
			return true
		}
		_, ok := s.module(pkg)
		return ok
	case plan.Rust:
		return s.Crates[crateOf(name)]
	}
	return false
}

// foreign is whether a function's file is known and not the tree's. In Rust a function may begin with inlined code of the
// standard library, which says nothing about its own place.
func (s Source) foreign(debug string, lang plan.Lang) bool {
	if _, ok := s.file(debug, lang); ok || debug == "" || debug == "???" {
		return false
	}
	return lang == plan.Go || !strings.HasPrefix(debug, "/rustc/")
}

// Names of code that is not the service's own, as people know it.
const (
	goRuntime   = "Go's runtime"
	rustLibrary = "Rust's standard library"
	libc        = "libc"
)

// outside is under which name code goes that nobody's own code called: a package, a crate, a library.
func outside(f Function, lang plan.Lang) string {
	switch lang {
	case plan.Go:
		pkg := strings.TrimPrefix(goPackage(f.Name), "vendor/")
		if pkg == "" || pkg == "runtime" || strings.HasPrefix(pkg, "runtime/") || strings.HasPrefix(pkg, "internal/") ||
			strings.HasPrefix(pkg, "type:") || strings.HasPrefix(pkg, "go:") || strings.HasPrefix(pkg, "type.") || strings.HasPrefix(pkg, "go.") {
			if object := library(f.Object); object != "" {
				return object
			}
			return goRuntime
		}
		return pkg
	case plan.Rust:
		switch crate := crateOf(f.Name); crate {
		case "":
			if strings.HasPrefix(f.File, "/rustc/") || strings.HasPrefix(f.Name, "<") { // of a type without a path: <str>::trim
				return rustLibrary
			}
		case "core", "alloc", "std", "hashbrown", "compiler_builtins", "__rustc":
			return rustLibrary
		default:
			return crate
		}
	}
	if object := library(f.Object); object != "" {
		return object
	}
	return "code without a package"
}

// library is a shared library's short name: libc for /lib/…/libc.so.6, "" for a program.
func library(object string) string {
	base, _, ok := strings.Cut(path.Base(object), ".so")
	switch {
	case !ok:
		return ""
	case base == "libc" || strings.HasPrefix(base, "libc-") || strings.HasPrefix(base, "ld-linux") || strings.HasPrefix(base, "ld-musl"):
		return libc
	}
	return base
}

// goPackage is the import path in a Go symbol, "" for a symbol without one: core of core.(*Links).Create.
func goPackage(name string) string {
	from := strings.LastIndexByte(bracketless(name), '/') + 1
	dot := strings.IndexByte(name[from:], '.')
	if dot < 0 {
		return ""
	}
	return strings.ReplaceAll(name[:from+dot], "%2e", ".")
}

// bracketless cuts type arguments and receivers off, whose slashes are not the package's.
func bracketless(name string) string {
	if at := strings.IndexAny(name, "[("); at >= 0 {
		return name[:at]
	}
	return name
}

// crateOf is the crate in a Rust path, that of the type where a method of a trait is meant: a of a::b, <a::B as c::D>::e
// and <&mut a::B>::c. "" for a symbol that is none.
func crateOf(name string) string {
	for {
		trimmed := strings.TrimLeft(name, "<&*([ ")
		for _, word := range []string{"mut ", "const ", "dyn ", "'_ ", "impl "} {
			trimmed = strings.TrimPrefix(trimmed, word)
		}
		if trimmed == name {
			break
		}
		name = trimmed
	}
	crate, _, ok := strings.Cut(name, "::")
	if _, trait, is := strings.Cut(crate, " as "); is { // of a type without a path: <F as axum::handler::Handler>
		crate = trait
	}
	if at := strings.IndexByte(crate, '['); at > 0 { // a disambiguator: a[0123]::b
		crate = crate[:at]
	}
	if !ok || crate == "" || strings.ContainsAny(crate, " <>(),;") {
		return ""
	}
	return crate
}

// ownName is a function of the service's own as both sides know it: without the arguments of generic code, and with its
// closures, whose numbers change when another one is written before them, in its name.
func ownName(name string, lang plan.Lang) string {
	switch lang {
	case plan.Go:
		return goOwnName(name)
	case plan.Rust:
		for _, closure := range []string{"::{{closure}}", "::{closure}"} {
			name = strings.ReplaceAll(name, closure, "")
		}
		return withoutShim(withoutTurbofish(withoutNumbered(name)))
	}
	return name
}

// goOwnName drops what the compiler appends: .func1, .func1.2, .deferwrap1, .gowrap1, -range1, -fm, and [...] of
// generic code.
func goOwnName(name string) string {
	if open := strings.IndexByte(name, '['); open >= 0 {
		if end := strings.LastIndexByte(name, ']'); end > open {
			name = name[:open] + name[end+1:]
		}
	}
	from := strings.LastIndexByte(name, '/') + 1
	parts := strings.Split(name[from:], ".")
	for i, part := range parts {
		parts[i], _, _ = strings.Cut(part, "-")
	}
	for len(parts) > 2 && generated(parts[len(parts)-1]) {
		parts = parts[:len(parts)-1]
	}
	return name[:from] + strings.Join(parts, ".")
}

// generated is whether a part of a Go symbol is the compiler's: func1, 2, gowrap1, deferwrap1.
func generated(part string) bool {
	for _, prefix := range []string{"func", "gowrap", "deferwrap", ""} {
		if digits, ok := strings.CutPrefix(part, prefix); ok && digits != "" && strings.Trim(digits, "0123456789") == "" {
			return true
		}
	}
	return part == ""
}

// withoutNumbered drops {closure#0} and the like of Rust's newer mangling.
func withoutNumbered(name string) string {
	for {
		at := strings.Index(name, "::{closure#")
		if at < 0 {
			return name
		}
		end := strings.IndexByte(name[at:], '}')
		if end < 0 {
			return name
		}
		name = name[:at] + name[at+end+1:]
	}
}

// withoutTurbofish drops the arguments of generic functions: a::b::<c, d>::e is a::b::e.
func withoutTurbofish(name string) string {
	var b strings.Builder
	depth := 0
	for i := 0; i < len(name); i++ {
		switch {
		case depth == 0 && strings.HasPrefix(name[i:], "::<") && i > 0 && !strings.HasPrefix(name[i:], "::<impl "):
			depth = 1
			i += len("::<") - 1
		case depth > 0 && name[i] == '<':
			depth++
		case depth > 0 && name[i] == '>' && name[i-1] != '-': // not of fn() -> T
			depth--
		case depth == 0:
			b.WriteByte(name[i])
		}
	}
	if depth > 0 {
		return name
	}
	return b.String()
}

// withoutShim drops {shim:vtable#0} and the like.
func withoutShim(name string) string {
	if at := strings.Index(name, "::{shim"); at > 0 {
		return name[:at]
	}
	return name
}

// lastName is the last element of a function's path: Create of core.(*Links).Create, slug of duet_core::text::slug.
func lastName(name string) string {
	parts := strings.FieldsFunc(name, func(r rune) bool { return strings.ContainsRune(".:<>() ", r) })
	if len(parts) == 0 {
		return name
	}
	return parts[len(parts)-1]
}

// ShortName is a name as a report shows it: a Go import path's last element is enough.
func ShortName(name string) string {
	at := strings.LastIndexByte(bracketless(name), '/')
	if at < 0 || slices.Contains([]string{goRuntime, rustLibrary, libc}, name) || strings.Contains(name, "::") || !strings.Contains(name[at:], ".") {
		return name
	}
	return name[at+1:]
}
