package profdiff

import (
	"fmt"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/plan"
)

// inlined is a dump of 100 requests whose handler the compiler put into the framework's function, with a function of
// the core, and which has a function of the core that was inlined in one place and called in another.
const inlined = `version: 1
positions: line
events: Ir
ob=(1) /app/service
fl=(1) /registry/framework-1.0.0/src/lib.rs
fn=(1) framework::serve
5 900
cfi=(1)
cfn=(2) framework::handler_service::{{closure}}::h0123456789abcdef
calls=100 20
6 80700

fl=(1)
fn=(2)
20 1000
fi=(2) axum/src/app.rs
11 5000
cfi=(4) /glibc/memcpy.c
cfn=(3) memcpy
calls=100 1
12 30000
fi=(3) core/src/text.rs
20 2000
fi=(5) /rustc/0123/library/core/src/iter.rs
7 700
fe=(1)
cfi=(6) /registry/serde_json-1.0.0/src/ser.rs
cfn=(4) serde_json::ser::to_vec
calls=100 1
21 42000

fl=(6)
fn=(4)
1 40000
fi=(3)
31 500
fi=(3)
cfi=(3)
cfn=(5) <shop_core::text::Line as core::fmt::Display>::fmt::h0123456789abcdef
calls=100 30
40 1500

fl=(3)
fn=(5)
30 1500

fl=(4)
fn=(3)
1 30000

totals: 81600
`

// inlinedTree is what that dump's service was built from.
func inlinedTree() Source {
	s := tree()
	s.Packages = map[string]string{"repo/rust/axum": "axum", "repo/rust/core": "shop_core"}
	s.Outlines = &Outlines{Texts: map[string]string{
		"repo/rust/axum/src/app.rs":  strings.Repeat("\n", 9) + "async fn handler(\n) {\n\n}\n",
		"repo/rust/core/src/text.rs": strings.Repeat("\n", 17) + "fn slug() {\n\n\n}" + strings.Repeat("\n", 7) + "impl fmt::Display for Line {\nfn fmt() {\n\n}\n}\n",
	}}
	return s
}

func chargesText(functions []Charge, lines []LineCharge) string {
	var b strings.Builder
	for _, f := range functions {
		fmt.Fprintf(&b, "%s %s:%d %d own=%v < %s\n", f.Name, f.File, f.Line, f.Instructions, f.Own, f.Caller)
	}
	for _, l := range lines {
		fmt.Fprintf(&b, "  %s:%d %s %d\n", l.File, l.Line, l.Function, l.Instructions)
	}
	return b.String()
}

// Own code is charged under the name it was written as, whichever function of a library's holds it, with what is called
// from its lines; what the library does in between stays the library's, and a line outside of any function with it.
func TestOwnCodeInALibrarysFunction(t *testing.T) {
	got := chargesText(ChargeOf(parse(t, inlined), plan.Rust, inlinedTree(), 100))
	want := `serde_json :0 40000 own=false < 
axum::app::handler rust/axum/src/app.rs:11 35000 own=true < 
framework :0 2600 own=false < 
<shop_core::text::Line as core::fmt::Display>::fmt rust/core/src/text.rs:30 2000 own=true < 
shop_core::text::slug rust/core/src/text.rs:20 2000 own=true < 
  rust/axum/src/app.rs:12 axum::app::handler 30000
  rust/axum/src/app.rs:11 axum::app::handler 5000
  rust/core/src/text.rs:20 shop_core::text::slug 2000
  rust/core/src/text.rs:30 <shop_core::text::Line as core::fmt::Display>::fmt 1500
  rust/core/src/text.rs:31 <shop_core::text::Line as core::fmt::Display>::fmt 500
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// Where the source is not to be had, the function that holds the code is named.
func TestOwnCodeWithoutSource(t *testing.T) {
	src := inlinedTree()
	src.Outlines = nil
	got, _, _ := strings.Cut(chargesText(ChargeOf(parse(t, inlined), plan.Rust, src, 100)), "  ")
	if strings.Contains(got, "app::handler") || !strings.Contains(got, "framework") {
		t.Errorf("got\n%s", got)
	}
}

func TestWrittenPath(t *testing.T) {
	for name, want := range map[string]string{
		"shop_core::text::slug":                               "shop_core::text::slug",
		"<shop_core::text::Line as core::fmt::Display>::fmt":  "shop_core::text::Line::fmt",
		"<&mut shop_core::Line<u8> as core::fmt::Debug>::fmt": "shop_core::Line::fmt",
		"<shop_core::Mixer<fn(u8) -> u8>>::mix":               "shop_core::Mixer::mix",
		"<a::B<<c::D as e::F>::G> as h::I>::j::k":             "a::B::j::k",
		"<broken": "<broken",
	} {
		if got := writtenPath(name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}
