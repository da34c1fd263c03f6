package profdiff

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/plan"
)

// tree is the source of a service in a repository of two languages.
func tree() Source {
	return Source{
		Root: "/work/tree", Strip: "repo",
		Files: map[string]bool{
			"repo/go/core/text.go": true, "repo/go/main.go": true, "repo/rust/core/src/text.rs": true, "repo/rust/axum/src/app.rs": true,
			"repo/a/src/lib.rs": true, "repo/b/src/lib.rs": true, "other/lib.go": true,
		},
		Modules:    map[string]string{"example.com/shop": "repo/go", "example.com/shop/other": "other"},
		Workspaces: []string{"repo/a", "repo/b", "repo/rust", "repo/rust/axum", "repo/rust/core"},
		Crates:     map[string]bool{"shop_core": true},
	}
}

func TestSourceFile(t *testing.T) {
	check := func(lang plan.Lang, debug, want string) {
		t.Helper()
		if got, _ := tree().file(debug, lang); got != want {
			t.Errorf("%s %s: got %q, want %q", lang, debug, got, want)
		}
	}
	check(plan.Go, "././example.com/shop/core/text.go", "go/core/text.go")
	check(plan.Go, "/work/tree/repo/go/core/text.go", "go/core/text.go")
	check(plan.Go, "./example.com/shop/other/lib.go", "../other/lib.go")
	check(plan.Go, "./strings/strings.go", "")
	check(plan.Go, "./core/text.go", "") // the standard library's paths look like that
	check(plan.Go, "./example.com/shop/core/gone.go", "")
	check(plan.Go, "./example.com/shopping/core/text.go", "")
	check(plan.Go, "???", "")
	check(plan.Rust, "/work/tree/repo/rust/core/src/text.rs", "rust/core/src/text.rs")
	check(plan.Rust, "core/src/text.rs", "rust/core/src/text.rs")
	check(plan.Rust, "src/lib.rs", "") // of two crates
	check(plan.Rust, "src/text.rs", "rust/core/src/text.rs")
	check(plan.Rust, "/root/.cargo/registry/src/x/axum-0.8.1/src/app.rs", "")
	check(plan.Rust, "/rustc/0123/library/core/src/str/mod.rs", "")
	check(plan.Rust, "/work/tree/repo/../../../etc/passwd", "")
}

func TestNamed(t *testing.T) {
	check := func(lang plan.Lang, name string, want bool) {
		t.Helper()
		if got := tree().named(name, lang); got != want {
			t.Errorf("%s %s: got %v, want %v", lang, name, got, want)
		}
	}
	check(plan.Go, "main.main", true)
	check(plan.Go, "example.com/shop/core.(*Links).Create", true)
	check(plan.Go, "example.com/shop.run", true)
	check(plan.Go, "example.com/shopping.run", false)
	check(plan.Go, "net/http.(*conn).serve", false)
	check(plan.Rust, "shop_core::text::slug", true)
	check(plan.Rust, "<shop_core::Line as serde::ser::Serialize>::serialize", true)
	check(plan.Rust, "<&mut shop_core::Line>::f", true)
	check(plan.Rust, "core::ptr::drop_in_place<shop_core::Line>", false)
	check(plan.Rust, "<alloc::vec::Vec<shop_core::Line> as core::ops::drop::Drop>::drop", false)
}

func TestOutside(t *testing.T) {
	check := func(lang plan.Lang, name, object, want string) {
		t.Helper()
		if got := outside(Function{Name: name, Object: object}, lang); got != want {
			t.Errorf("%s %s: got %q, want %q", lang, name, got, want)
		}
	}
	check(plan.Go, "runtime.memmove", "/app", goRuntime)
	check(plan.Go, "memeqbody", "/app", goRuntime)
	check(plan.Go, "internal/bytealg.IndexByte", "/app", goRuntime)
	check(plan.Go, "type:.eq.[2]string", "/app", goRuntime)
	check(plan.Go, "net/http.(*conn).serve", "/app", "net/http")
	check(plan.Go, "vendor/golang.org/x/net/http/httpguts.ValidHeaderFieldName", "/app", "golang.org/x/net/http/httpguts")
	check(plan.Go, "gopkg.in/yaml%2ev3.Unmarshal", "/app", "gopkg.in/yaml.v3")
	check(plan.Go, "slices.SortFunc[go.shape.[]example.com/x.T]", "/app", "slices")
	check(plan.Go, "__libc_read", "/lib/x86_64-linux-gnu/libc.so.6", libc)
	check(plan.Rust, "core::fmt::write", "/app", rustLibrary)
	check(plan.Rust, "<hyper::proto::h1::Conn as core::future::Future>::poll", "/app", "hyper")
	check(plan.Rust, "<F as axum::handler::Handler<T>>::call", "/app", "axum")
	check(plan.Rust, "__memcpy_avx_unaligned_erms", "/lib/x86_64-linux-gnu/libc-2.36.so", libc)
	check(plan.Rust, "round", "/lib/x86_64-linux-gnu/libm.so.6", "libm")
	check(plan.Rust, "<str>::to_ascii_lowercase", "/app", rustLibrary)
	check(plan.Rust, "???", "/app", "code without a package")
}

func TestOwnName(t *testing.T) {
	check := func(lang plan.Lang, name, want string) {
		t.Helper()
		if got := ownName(normalise(name), lang); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	check(plan.Go, "example.com/shop/core.transform'2", "example.com/shop/core.transform")
	check(plan.Go, "example.com/shop/core.transform.lowerASCII.func1", "example.com/shop/core.transform.lowerASCII")
	check(plan.Go, "main.run.func1.2", "main.run")
	check(plan.Go, "main.run.gowrap1", "main.run")
	check(plan.Go, "main.run.deferwrap2", "main.run")
	check(plan.Go, "main.each-range1", "main.each")
	check(plan.Go, "main.(*app).serve-fm", "main.(*app).serve")
	check(plan.Go, "main.Map[go.shape.int,go.shape.string]", "main.Map")
	check(plan.Go, "main.(*Set[go.shape.int]).Add", "main.(*Set).Add")
	check(plan.Go, "main.func1", "main.func1")
	check(plan.Rust, "shop_core::text::slug::h0123456789abcdef", "shop_core::text::slug")
	check(plan.Rust, "shop_core::run::{{closure}}::{{closure}}", "shop_core::run")
	check(plan.Rust, "shop_core::run::{closure#0}", "shop_core::run")
	check(plan.Rust, "shop_core::read::field::<alloc::string::String, fn(u8) -> bool>", "shop_core::read::field")
	check(plan.Rust, "<shop_core::Line as serde::ser::Serialize>::serialize::<serde_json::ser::Serializer>", "<shop_core::Line as serde::ser::Serialize>::serialize")
	check(plan.Rust, "shop_core::odd::<", "shop_core::odd::<")
}

func TestShortName(t *testing.T) {
	for name, want := range map[string]string{
		"example.com/shop/core.(*Links).Create": "core.(*Links).Create", "main.run": "main.run", "net/http": "net/http",
		"shop_core::text::slug": "shop_core::text::slug", "golang.org/x/net/http/httpguts": "golang.org/x/net/http/httpguts", goRuntime: goRuntime,
		"core.Map[example.com/a/b.C]": "core.Map[example.com/a/b.C]", "": "",
	} {
		if got := ShortName(name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

// charged is a dump of 100 requests: main.run calls core.slug and core.other, which have the library copy and allocate.
const charged = `version: 1
positions: line
events: Ir
ob=(1) /app/service
fl=(1) ./example.com/shop/main.go
fn=(1) main.run
10 1000
cfi=(2) ./example.com/shop/core/text.go
cfn=(2) example.com/shop/core.slug
calls=100 20
11 90000
cfi=(2)
cfn=(3) example.com/shop/core.other
calls=100 40
12 20000
cfi=(3) ./runtime/proc.go
cfn=(4) runtime.gopark
calls=1 0
13 9000000

fl=(2)
fn=(2)
20 5000
cfi=(4) ./bytes/bytes.go
cfn=(5) bytes.Copy
calls=100 1
22 80000
fi=(4)
7 500
cfi=(5) ./runtime/malloc.go
cfn=(6) runtime.mallocgc
calls=200 1
7 4000
fe=(2)
24 500

fn=(3)
40 8000
cfi=(4)
cfn=(5)
calls=100 1
41 10000
cfi=(5)
cfn=(6)
calls=100 1
42 2000

fl=(4)
fn=(5)
1 9000
cfi=(6) ./runtime/memmove.s
cfn=(7) runtime.memmove
calls=400 1
2 81000

fl=(6)
fn=(7)
1 81000

fl=(5)
fn=(6)
1 2000
cfn=(8) runtime.mallocgcTiny
calls=300 1
2 4000
fn=(8)
1 4000

fl=(3)
fn=(4)
1 3000
cfi=(2)
cfn=(2)
calls=1 20
2 9000000
fl=(7) ./net/http/server.go
fn=(9) net/http.(*conn).serve
5 7000
cfi=(6)
cfn=(7)
calls=100 1
6 9000

totals: 121000
`

// What the library did goes to whoever had it done, in shares of what the calls cost; a call that callgrind made up at a
// goroutine switch counts for nothing.
func TestChargeOf(t *testing.T) {
	functions, lines := ChargeOf(parse(t, charged), plan.Go, tree(), 100)
	var got []string
	for _, f := range functions {
		got = append(got, fmt.Sprintf("%s %s:%d %d %d < %s", ShortName(f.Name), f.File, f.Line, f.Instructions, f.Allocations, ShortName(f.Caller)))
	}
	// A tenth of memmove's 81,000 was the server's. The rest and bytes.Copy's own 9,000 are shared 8 to 1.
	want := []string{
		"core.slug go/core/text.go:20 78800 200 < main.run",
		"core.other go/core/text.go:40 17100 100 < main.run",
		"Go's runtime :0 8100 0 < ",
		"net/http :0 7000 0 < ",
		"main.run go/main.go:10 1000 0 < ",
	}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("functions:\n%s\nwant:\n%s", g, w)
	}
	got = nil
	for _, l := range lines {
		got = append(got, fmt.Sprintf("%s:%d %s %d %d", l.File, l.Line, ShortName(l.Function), l.Instructions, l.Allocations))
	}
	want = []string{
		"go/core/text.go:42 core.other 0 100", "go/core/text.go:22 core.slug 72800 0", "go/core/text.go:41 core.other 9100 0",
		"go/core/text.go:40 core.other 8000 0", "go/core/text.go:20 core.slug 5000 0", "go/main.go:10 main.run 1000 0", "go/core/text.go:24 core.slug 500 0",
	}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("lines:\n%s\nwant:\n%s", g, w)
	}
}

// Costs are neither lost nor made, whatever a dump says.
func checkCharges(t *testing.T, d Dump, lang plan.Lang) {
	t.Helper()
	g := newGraph(d, lang, inlinedTree())
	before, after := Split(d, lang), Split(g.d, lang)
	for bucket, n := range before {
		if after[bucket] != n {
			t.Fatalf("%s: %s had %d instructions, and %d when own code stood by itself", lang, bucket, n, after[bucket])
		}
	}
	for _, c := range g.d.Calls {
		if c.Inclusive < 0 || c.Times < 0 {
			t.Fatalf("%s: %+v", lang, c)
		}
	}
	functions, lines := ChargeOf(d, lang, inlinedTree(), 60)
	var instructions, allocations int64
	for _, f := range functions {
		if f.Instructions < 0 || f.Allocations < 0 || f.Name == "" {
			t.Fatalf("%+v", f)
		}
		instructions, allocations = instructions+f.Instructions, allocations+f.Allocations
	}
	for _, l := range lines {
		if l.Instructions < 0 || l.Allocations < 0 || l.File == "" || l.Line <= 0 {
			t.Fatalf("%+v", l)
		}
	}
	service, made := Split(d, lang)["service"], Allocations(d, lang)
	if slack := int64(len(functions)) + 1; instructions > service+service/1000+slack || allocations > made+made/1000+slack {
		t.Fatalf("%s: charged %d of %d instructions and %d of %d allocations", lang, instructions, service, allocations, made)
	}
	if len(functions) > maxCharges || len(lines) > maxShown {
		t.Fatalf("%d functions, %d lines", len(functions), len(lines))
	}
}

func TestChargesOfRealDumps(t *testing.T) {
	for _, lang := range []plan.Lang{plan.Go, plan.Rust} {
		checkCharges(t, parse(t, dumpFile(t, lang)), lang)
	}
	if files, err := filepath.Glob("testdata/*.callgrind"); err != nil || len(files) != 2 {
		t.Errorf("got %v, %v, want two dumps", files, err)
	}
}

// A function of the service's own is kept however little it cost, so that it is not taken for new once it costs more: others
// that are not kept take no place from it.
func TestCheapFunctionsAreKept(t *testing.T) {
	var others strings.Builder
	for i := range maxCharges {
		fmt.Fprintf(&others, "fn=(%d) example.org/p%d.idle\n5 6\n", i+10, i)
	}
	functions, lines := ChargeOf(parse(t, `version: 1
positions: line
events: Ir
fl=(1) ./example.com/shop/main.go
fn=(1) main.run
10 10000000
fn=(2) main.handle
20 5
fl=(2) ./net/http/server.go
`+others.String()+fmt.Sprintf("totals: %d\n", 10_000_005+6*maxCharges)), plan.Go, tree(), 100)
	if len(functions) != 2 || functions[1].Name != "main.handle" || functions[1].Instructions != 5 || len(lines) != 1 {
		t.Errorf("got %+v and %+v, want main.run, main.handle and a line of the first", functions, lines)
	}
}
