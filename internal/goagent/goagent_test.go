package goagent

import (
	"bytes"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
)

func parsed(t *testing.T) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), FileName, source, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// TestNames: nothing in the file can be called like something in a service's package main.
func TestNames(t *testing.T) {
	file := parsed(t)
	check := func(name string) {
		if name != "_" && !strings.HasPrefix(name, "duetAgent") {
			t.Errorf("%s: expected a name that begins with duetAgent", name)
		}
	}
	for _, declaration := range file.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			check(d.Name.Name)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.ImportSpec:
					if s.Name == nil || !strings.HasPrefix(s.Name.Name, "duet") {
						t.Errorf("import %s: expected a name of its own", s.Path.Value)
					}
				case *ast.TypeSpec:
					check(s.Name.Name)
				case *ast.ValueSpec:
					for _, name := range s.Names {
						check(name.Name)
					}
				}
			}
		}
	}
}

// TestBuiltins: services replace these (func copy, func max), and go 1.16 lacks some.
func TestBuiltins(t *testing.T) {
	replaced := []string{"any", "cap", "clear", "close", "complex", "copy", "delete", "imag", "max", "min", "new", "panic", "print", "println", "real", "recover"}
	ast.Inspect(parsed(t), func(n ast.Node) bool {
		if selector, ok := n.(*ast.SelectorExpr); ok {
			_, isName := selector.X.(*ast.Ident)
			return !isName // a method or another package's function may be called anything
		}
		if id, ok := n.(*ast.Ident); ok && slices.Contains(replaced, id.Name) {
			t.Errorf("uses %s", id.Name)
		}
		return true
	})
}

func TestImports(t *testing.T) {
	var got []string
	for _, s := range parsed(t).Imports {
		name, err := strconv.Unquote(s.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, name)
	}
	if want := Imports(); !slices.Equal(got, want) {
		t.Errorf("the file imports %q, Imports says %q", got, want)
	}
	if slices.Contains(got, "net/http/pprof") {
		t.Error("net/http/pprof publishes handlers on the service's own port")
	}
}

// TestWords: the file has no access to this package, and says the same.
func TestWords(t *testing.T) {
	for _, word := range []string{Variable, Mark, Hello, StartCPU, StopCPU, GC, Lookup, Mutex, Block, Metrics} {
		if !bytes.Contains(source, []byte(strconv.Quote(word))) {
			t.Errorf("the file does not say %q", word)
		}
	}
}

func TestSource(t *testing.T) {
	for constraint, want := range map[string]string{"": "// Package main", "(linux) || (prod)": "//go:build (linux) || (prod)\n\n// Package main"} {
		if got := Source(constraint); !bytes.HasPrefix(got, []byte(want)) {
			t.Errorf("%q: begins %q, want %q", constraint, got[:40], want)
		}
	}
}

func TestInside(t *testing.T) {
	const chunk = 1 << 20
	for _, before := range []int{0, 1, chunk - 5, chunk + len(Mark) - 3, 3*chunk - 1} {
		with := strings.Repeat("\x00", before) + Mark + "x"
		if got, err := Inside(strings.NewReader(with)); !got || err != nil {
			t.Errorf("after %d bytes: got %v, %v", before, got, err)
		}
		if got, err := Inside(iotest.HalfReader(strings.NewReader(with))); !got || err != nil {
			t.Errorf("after %d bytes, in pieces: got %v, %v", before, got, err)
		}
		without := strings.Repeat("\x00", before) + Mark[1:] + "x"
		if got, err := Inside(strings.NewReader(without)); got || err != nil {
			t.Errorf("none after %d bytes: got %v, %v", before, got, err)
		}
	}
	broken := errors.New("broken")
	if _, err := Inside(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}
