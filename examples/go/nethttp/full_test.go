//go:build !lean

package main

import (
	"testing"

	"github.com/duet-bench/duet/examples/go/core"
)

func TestFullRefusalsHaveTheSameShape(t *testing.T) {
	app := newApp(core.InMemory(core.NewLinks(10)))
	for _, r := range []refusal{
		{"POST", "/compute", "{}", 422, "invalid_compute", ""},
		{"GET", "/orders", "", 405, "method_not_allowed", "POST"},
		{"HEAD", "/ws", "", 405, "method_not_allowed", "GET"},
		{"GET", "/ws", "", 426, "upgrade_required", ""},
		{"GET", "/users/1", "", 503, "no_database", ""},
		{"POST", "/orders", "{}", 503, "no_database", ""},
	} {
		r.check(t, app)
	}
}
