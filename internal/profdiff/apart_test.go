package profdiff

import (
	"fmt"
	"maps"
	"math"
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

// A function that a library calls back is called from below as well: who called it at first is who is above it.
func TestCallerOfWhatIsCalledBack(t *testing.T) {
	const dump = `version: 1
positions: line
events: Ir
fl=(1) axum/src/app.rs
fn=(1) axum::app::handler
11 1000
cfi=(2) core/src/text.rs
cfn=(2) shop_core::text::slug
calls=100 20
12 9000
fl=(2)
fn=(2)
18 2000
cfi=(3) /rustc/0123/library/alloc/src/vec.rs
cfn=(3) alloc::vec::from_iter
calls=300 1
19 7000
fl=(3)
fn=(3)
1 1000
fi=(2)
20 6000
totals: 10000
`
	functions, _ := ChargeOf(parse(t, dump), plan.Rust, inlinedTree(), 100)
	for _, f := range functions {
		if f.Name == "shop_core::text::slug" && (f.Caller != "axum::app::handler" || f.Instructions != 9000) {
			t.Errorf("got %+v, want 9,000 instructions of it, called by the handler", f)
		}
	}
	if len(functions) != 2 {
		t.Errorf("got %+v, want the handler and slug alone", functions)
	}
}

// An own function is one function, wherever its impl stands, and a library's is the library's although an own one goes by
// its last name.
func TestNamesOfOwnCode(t *testing.T) {
	src := inlinedTree()
	src.Outlines.Texts["repo/rust/axum/src/app.rs"] = "impl Display for Foo {\nfn go() {\n\n}\n}\nfn handler() {\n\n}\nimpl Service for Q {\nfn call() {}\n}\n"
	got := chargesText(ChargeOf(parse(t, `version: 1
positions: line
events: Ir
fl=(1) axum/src/app.rs
fn=(1) <axum::types::Foo as core::fmt::Display>::go
2 50000
fn=(2) <F as framework::handler::Handler>::call
7 40000
fl=(2) /registry/framework-1.0.0/src/lib.rs
fn=(3) framework::handler_service
5 10
fi=(1)
3 4000
totals: 94010
`), plan.Rust, src, 100))
	got, _, _ = strings.Cut(got, "\n  ")
	want := `<axum::types::Foo as core::fmt::Display>::go rust/axum/src/app.rs:2 54000 own=true < 
axum::app::handler rust/axum/src/app.rs:7 40000 own=true < 
framework :0 10 own=false < `
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// In a real dump as well, own code is moved and nothing else: with hyper's connection for own, much of which is inlined
// into others' functions.
func TestOwnCodeOfARealDump(t *testing.T) {
	d := parse(t, dumpFile(t, plan.Rust))
	const file = "hyper-1.12.0/src/proto/h1/conn.rs"
	text := ""
	for i := range 60 {
		text += fmt.Sprintf("fn part%d() {%s}\n", i, strings.Repeat("\n", 19))
	}
	src := Source{Root: "/work/tree", Files: map[string]bool{file: true}, Workspaces: []string{"."}, Packages: map[string]string{".": "shop"}, Outlines: &Outlines{Texts: map[string]string{file: text}}}
	g := newGraph(d, plan.Rust, src)
	if before, after := Split(d, plan.Rust), Split(g.d, plan.Rust); !maps.Equal(before, after) {
		t.Errorf("buckets: %v became %v", before, after)
	}
	var inFile, parted, charged, service int64
	for _, l := range d.Lines {
		if strings.HasSuffix(l.File, file) {
			inFile += l.Self
		}
	}
	for _, f := range g.d.Functions[len(d.Functions):] {
		parted += f.Self
	}
	functions, _ := ChargeOf(d, plan.Rust, src, 60)
	for _, f := range functions {
		charged += f.Instructions
	}
	service = Split(d, plan.Rust)["service"]
	t.Logf("%d instructions of that file, %d by themselves; %d charged of %d", inFile, parted, charged, service)
	if parted == 0 || parted > inFile || float64(charged) < 0.98*float64(service) || charged > service+int64(len(functions)) {
		t.Errorf("got %d of %d instructions by themselves, and %d charged of %d", parted, inFile, charged, service)
	}
}

// Costs that are as large as can be do not turn negative.
func TestApartSaturates(t *testing.T) {
	if got := saturated(math.MaxInt64, 5); got != math.MaxInt64 || saturated(2, 3) != 5 {
		t.Errorf("got %d", got)
	}
}

func TestWrittenPath(t *testing.T) {
	for name, want := range map[string]string{
		"shop_core::text::slug":                                                          "shop_core::text::slug",
		"<shop_core::text::Line as core::fmt::Display>::fmt":                             "shop_core::text::Line::fmt",
		"<&mut shop_core::Line<u8> as core::fmt::Debug>::fmt":                            "shop_core::Line::fmt",
		"<shop_core::Mixer<fn(u8) -> u8>>::mix":                                          "shop_core::Mixer::mix",
		"<a::B<<c::D as e::F>::G> as h::I>::j::k":                                        "a::B::j::k",
		"axum::app::<impl axum::types::Foo>::go":                                         "axum::types::Foo::go",
		"axum::app::_::<impl serde::ser::Serialize for axum::types::Foo<u8>>::serialize": "axum::types::Foo::serialize",
		"<F as framework::Handler<fn(u8) -> R>>::call":                                   "F::call",
		"<broken": "<broken",
	} {
		if got := writtenPath(name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}
