package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

const examples = "../../../../examples"

func TestArchiveIsCurrent(t *testing.T) {
	want, err := archive(os.DirFS(examples))
	if err != nil {
		t.Fatal(err)
	}
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
	made, err := archive(os.DirFS(examples))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range txtar.Parse(made).Files {
		source := examples + strings.TrimPrefix(f.Name, "main")
		if want, err := os.ReadFile(source); err != nil || !bytes.Equal(f.Data, want) {
			t.Errorf("%s is not %s: %v", f.Name, source, err)
		}
	}
}
