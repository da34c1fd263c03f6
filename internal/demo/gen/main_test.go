package main

import (
	"bytes"
	"os"
	"path"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/tools/txtar"

	"github.com/duet-bench/duet/internal/demo/bundle"
)

const examples = "../../../examples"

func made(t *testing.T) []byte {
	t.Helper()
	needs, err := bundle.Ask(examples)
	if err != nil {
		t.Fatal(err)
	}
	text, err := archive(os.DirFS(examples), os.DirFS("../testdata"), needs)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestArchiveIsCurrent(t *testing.T) {
	want := made(t)
	got, err := os.ReadFile("../demo.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("demo.txtar is not what examples/ and testdata make: run go generate ./internal/demo")
	}
}

// TestArchiveKeepsEveryByte guards against what txtar cannot hold: a file without a last newline, or with a line
// that looks like a marker.
func TestArchiveKeepsEveryByte(t *testing.T) {
	for _, f := range txtar.Parse(made(t)).Files {
		commit, name, _ := strings.Cut(f.Name, "/")
		source := "../testdata/" + f.Name
		if first, _, _ := strings.Cut(name, "/"); commit == "base" && (first == "go" || first == "rust") {
			source = examples + "/" + name
		}
		switch path.Base(name) {
		case "go.mod", "go.sum", "Cargo.toml", "Cargo.lock": // as much of them as the pair needs
			continue
		}
		if want, err := os.ReadFile(source); err != nil || !bytes.Equal(f.Data, bytes.TrimPrefix(want, []byte("//go:build lean\n\n"))) {
			t.Errorf("%s is not %s: %v", f.Name, source, err)
		}
	}
}

func TestArchiveLeavesBuildsAndPlantsOut(t *testing.T) {
	file := func() *fstest.MapFile { return &fstest.MapFile{Data: []byte("x\n")} }
	made, err := archive(
		fstest.MapFS{"go/core/a.go": file(), "rust/target/debug/axum": file(), "rust/Cargo.toml": file(), "go/gin/main.go": file(),
			"go/nethttp/plants.go": file(), "rust/core/src/text_moved.rs": file()},
		fstest.MapFS{"base/a": file(), "main/b": file(), "head/c": file()},
		bundle.Needs{},
	)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range txtar.Parse(made).Files {
		names = append(names, f.Name)
	}
	if got, want := strings.Join(names, " "), "base/a base/go/core/a.go base/rust/Cargo.toml main/b head/c"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
