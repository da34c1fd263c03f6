// Package workloads embeds the fixed workloads. README.md says what each one stresses.
package workloads

import (
	"embed"
	"io/fs"
	"strings"
)

// Files holds one YAML file a workload, named after it.
//
//go:embed *.yaml
var Files embed.FS

// Names are the embedded workloads, sorted.
func Names() []string {
	files, err := fs.Glob(Files, "*.yaml")
	if err != nil {
		panic(err) // the pattern is ours
	}
	names := make([]string, len(files))
	for i, file := range files {
		names[i] = strings.TrimSuffix(file, ".yaml")
	}
	return names
}
