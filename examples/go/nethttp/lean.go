//go:build lean

package main

import (
	"net/http"

	"github.com/duet-bench/duet/examples/go/core"
)

// full routes nothing: this is the lean build of core/lean.go.
func full(*http.ServeMux, *core.App) {}
