// Package workloads embeds the fixed workloads. README.md says what each one stresses.
package workloads

import "embed"

// Files holds one YAML file a workload, named after it.
//
//go:embed *.yaml
var Files embed.FS
