package main

import (
	"bytes"
	"os"
	"path"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/duet-bench/duet/internal/demo/bundle"
)

const examples = "../../../../examples"

func made(t *testing.T) []byte {
	t.Helper()
	needs, err := bundle.Ask(examples)
	if err != nil {
		t.Fatal(err)
	}
	text, err := archive(os.DirFS(examples), needs)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestArchiveIsCurrent(t *testing.T) {
	want := made(t)
	got, err := os.ReadFile("../pair.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("pair.txtar is not what examples/ makes: run go generate ./internal/selftest/pair")
	}
}

// TestArchiveKeepsEveryByte guards against what txtar cannot hold: a file without a last newline, or with a line
// that looks like a marker.
func TestArchiveKeepsEveryByte(t *testing.T) {
	for _, f := range txtar.Parse(made(t)).Files {
		switch path.Base(f.Name) {
		case "go.mod", "go.sum", "Cargo.toml", "Cargo.lock": // as much of them as the pair needs
			continue
		}
		source := examples + strings.TrimPrefix(f.Name, "main")
		if want, err := os.ReadFile(source); err != nil || !bytes.Equal(f.Data, bytes.TrimPrefix(want, []byte("//go:build lean\n\n"))) {
			t.Errorf("%s is not %s: %v", f.Name, source, err)
		}
	}
}
