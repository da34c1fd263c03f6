//go:build !lean

package core

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What the services share stands on no framework: core on the standard library, a database driver and errgroup, socket
// on one WebSocket library.
func TestSharedCodeIsFrameworkFree(t *testing.T) {
	allowed := map[string][]string{
		".":         {"github.com/jackc/pgx/v5", "github.com/jackc/pgx/v5/pgxpool", "golang.org/x/sync/errgroup"},
		"../socket": {"github.com/coder/websocket", "github.com/duet-bench/duet/examples/go/core"},
	}
	for dir, outside := range allowed {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", dir, len(files), err)
		}
		for _, file := range files {
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, spec := range parsed.Imports {
				name, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					t.Fatal(err)
				}
				if first, _, _ := strings.Cut(name, "/"); strings.Contains(first, ".") && !slices.Contains(outside, name) {
					t.Errorf("%s imports %s: expected only %v", file, name, outside)
				}
			}
		}
	}
}
