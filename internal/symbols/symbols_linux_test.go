package symbols

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// rustc compiles the program under test.
func rustc(t *testing.T, flags ...string) *File {
	t.Helper()
	to := filepath.Join(t.TempDir(), "named")
	command := exec.Command("rustc", append([]string{"--edition=2021", "-O", "-o", to, "testdata/named.rs"}, flags...)...)
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("rustc: %v\n%s", err, output)
	}
	return open(t, to)
}

func open(t *testing.T, path string) *File {
	t.Helper()
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// inside are all distinct stacks at addresses of a function, as "name:line name:line".
func (f *File) inside(function string) map[string]bool {
	found := map[string]bool{}
	for _, s := range f.table.symbols {
		if !strings.Contains(Demangled(f.table.name(s)), function) {
			continue
		}
		for at := s.low; at < s.high; at++ {
			var stack []string
			for _, frame := range f.Frames(context.Background(), at) {
				where := frame.Name
				if strings.HasSuffix(frame.File, "named.rs") {
					where += ":" + string(rune('0'+frame.Line/10)) + string(rune('0'+frame.Line%10))
				}
				stack = append(stack, where)
			}
			found[strings.Join(stack, " ")] = true
		}
	}
	return found
}

func TestNames(t *testing.T) {
	for _, c := range []struct {
		name  string
		flags []string
		want  string
	}{
		{"limited", []string{"-Cdebuginfo=1"}, "named::inner::inlined:14 named::inner::Mixer<T>::mix:07"},
		{"full", []string{"-Cdebuginfo=2"}, "named::inner::inlined:14 named::inner::Mixer<T>::mix:07"},
		{"DWARF 5", []string{"-Cdebuginfo=1", "-Cdwarf-version=5"}, "named::inner::inlined:14 named::inner::Mixer<T>::mix:07"},
		{"compressed", []string{"-Cdebuginfo=1", "-Clink-arg=-Wl,--compress-debug-sections=zlib"}, "named::inner::inlined:14 named::inner::Mixer<T>::mix:07"},
		{"v0", []string{"-Cdebuginfo=1", "-Csymbol-mangling-version=v0"}, "named::inner::inlined:14 <named::inner::Mixer<u32>>::mix:07"},
		{"fat", []string{"-Cdebuginfo=1", "-Clto=fat", "-Cpanic=abort"}, "named::inner::inlined:14 named::inner::Mixer<T>::mix:07"},
		// The least of debug information has no paths: those of functions that were not inlined come from the symbol table.
		{"lines alone", []string{"-Cdebuginfo=line-tables-only"}, "inlined:14 named::inner::Mixer<T>::mix:07"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := rustc(t, c.flags...)
			if found := f.inside("::mix"); !found[c.want] {
				t.Errorf("got %v, want %q among them", found, c.want)
			}
			if !f.HasTable() || !f.HasLines() {
				t.Errorf("got table %v and lines %v, want both", f.HasTable(), f.HasLines())
			}
			if want := c.name != "lines alone"; f.HasPaths() != want {
				t.Errorf("got paths %v, want %v", f.HasPaths(), want)
			}
		})
	}
}

func TestNoLines(t *testing.T) {
	for _, c := range []struct {
		name  string
		flags []string
		table bool
		want  string
	}{
		{"the library's lines alone", []string{"-Cdebuginfo=0"}, true, "named::inner::Mixer<T>::mix"},
		{"debug information stripped", []string{"-Cstrip=debuginfo"}, true, "named::inner::Mixer<T>::mix"},
		{"stripped", []string{"-Cdebuginfo=1", "-Cstrip=symbols"}, false, ""},
	} {
		f := rustc(t, c.flags...)
		if f.HasTable() != c.table || f.HasLines() {
			t.Errorf("%s: got table %v and lines %v, want %v and none", c.name, f.HasTable(), f.HasLines(), c.table)
		}
		if found := f.inside("::mix"); c.want != "" && !found[c.want] {
			t.Errorf("%s: got %v, want %q", c.name, found, c.want)
		}
		if f.Interpreter() == "" {
			t.Errorf("%s: got no interpreter", c.name)
		}
	}
}

func TestText(t *testing.T) {
	named, stripped := rustc(t, "-Cstrip=none"), rustc(t, "-Cstrip=symbols")
	a, err := named.Text()
	if err != nil {
		t.Fatal(err)
	}
	b, err := stripped.Text()
	if err != nil {
		t.Fatal(err)
	}
	if a.SHA256 != b.SHA256 || a.Bytes != b.Bytes || len(a.Sizes) != len(b.Sizes) || len(a.Sizes) < 100 {
		t.Errorf("got %d bytes, %d functions and, stripped, %d and %d", a.Bytes, len(a.Sizes), b.Bytes, len(b.Sizes))
	}
}

func TestLibrary(t *testing.T) {
	matches, err := filepath.Glob("/usr/lib*/libc.so.6")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("/usr/lib/*/libc.so.6")
	if err != nil {
		t.Fatal(err)
	}
	all := append(matches, more...)
	if len(all) == 0 {
		t.Fatal("no libc.so.6 in /usr/lib")
	}
	f := open(t, all[0])
	if !f.Has("malloc") || f.Has("no_such_function") {
		t.Error("got no malloc in libc, or a function that is not there")
	}
}

func TestDemangled(t *testing.T) {
	for mangled, want := range map[string]string{
		"_ZN4core3fmt9Formatter9write_str17h0123456789abcdefE": "core::fmt::Formatter::write_str",
		"_RNvNtCs1234_7mycrate3foo3bar":                        "mycrate::foo::bar",
		"_ZNSt6vectorIiE4sizeEv":                               "std::vector<int>::size()",
		"main":                                                 "main",
		"_R":                                                   "_R",
	} {
		if got := Demangled(mangled); got != want {
			t.Errorf("%s: got %q, want %q", mangled, got, want)
		}
	}
}

func TestRefused(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{text, dir, filepath.Join(dir, "none"), "/dev/zero"} {
		if f, err := Open(path); err == nil {
			f.Close()
			t.Errorf("%s: opened, want an error", path)
		} else if !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, want the path in it", path, err)
		}
	}
}

// Whatever is in a file, it is read or refused.
func FuzzFile(f *testing.F) {
	dir := f.TempDir()
	for name, flags := range map[string][]string{"lines": {"-g", "-O2"}, "plain": {"-O2"}, "dwarf5": {"-gdwarf-5", "-O2", "-shared", "-fPIC"}} {
		to := filepath.Join(dir, name)
		command := exec.Command("cc", append(flags, "-nostdlib", "-Wl,--entry=outer", "-o", to, "testdata/tiny.c")...)
		if output, err := command.CombinedOutput(); err != nil {
			f.Fatalf("cc: %v\n%s", err, output)
		}
		raw, err := os.ReadFile(to)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		path := filepath.Join(t.TempDir(), "any")
		if err := os.WriteFile(path, raw, 0o644); err != nil {
			t.Fatal(err)
		}
		file, err := Open(path)
		if err != nil {
			return
		}
		defer file.Close()
		file.HasLines()
		file.Has("outer")
		file.Text()
		for offset := uint64(0); offset < 1<<14; offset += 61 {
			address, ok := file.Address(offset)
			for _, frame := range file.Frames(context.Background(), address) {
				if ok && frame.Name == "" {
					t.Errorf("a function without a name at %#x", address)
				}
			}
		}
	})
}
