package dashboard_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/duet-bench/duet/internal/dashboard"
)

// write puts a site into a folder.
func write(t testing.TB, in dashboard.Input, folder string) map[string][]byte {
	t.Helper()
	all := files(t, in)
	for name, text := range all {
		path := filepath.Join(folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

type fixture = dashboard.Input

// files makes a site.
func files(t testing.TB, in dashboard.Input) map[string][]byte {
	t.Helper()
	files, err := dashboard.Files(in)
	if err != nil {
		t.Fatal(err)
	}
	return files
}
