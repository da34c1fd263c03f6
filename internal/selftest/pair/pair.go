// Package pair is what `duet selftest` builds and measures: the bundled Go and Rust services as test builds that can
// plant one known regression each, the table of those plants, and the row that each of them has to move.
//
// The services are built once with their plants compiled in; which one acts is decided by the environment variable
// DUET_PLANT when a process starts. So base and a planted variant are the same binary, and no code layout stands
// between them. One more build moves code about without any change in work. Users' builds hold none of it.
package pair

import (
	"context"
	_ "embed"

	"github.com/duet-bench/duet/internal/demo"
)

//go:generate go run ./gen

//go:embed pair.txtar
var archive []byte

// Variable is the environment variable that names the plant of a process; empty is none.
const Variable = "DUET_PLANT"

// Write makes a git repository of one commit in dir, which must not exist or be empty: the services' sources, plants
// included, and no duet.yml. It needs git on PATH. The sha is always the same. On an error nothing of it is left.
func Write(ctx context.Context, dir string) (sha string, err error) {
	return demo.WriteOne(ctx, dir, archive, "The bundled pair with its plants")
}
