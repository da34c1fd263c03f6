package profdiff

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func outlineText(text string) string {
	var b strings.Builder
	found, _ := rustOutline(text, sourceTime)
	for _, e := range found {
		fmt.Fprintf(&b, "%d-%d %s\n", e.first, e.last, strings.Join(e.path, "::"))
	}
	return b.String()
}

// What looks like code in strings, characters and comments is none; what the compiler attributes to a function's
// attributes is the function's.
func TestRustOutline(t *testing.T) {
	text := `//! fn no() {
use std::fmt;

fn a<'a>(x: &'a str) -> char {
    let s = r#"} fn no() { "#;
    let c = '{'; let d = '\''; let b = b'}'; /* } /* } */ fn no( */
    let e = c"}"; println!("{x}{{"); 'l: loop { break 'l }
    fn nested() -> impl Fn(u8) -> u8 { |x| { x } }
    '"'
}

impl<T: Fn(u8) -> bool> std::fmt::Display for Foo<T> where T: Clone {
    /// Comment.
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("}")
    }
}
macro_rules! m { ($x:ident) => { fn $x() {} } }
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Batch {
    a: fn(u8) -> u8,
}
struct Unit;
enum Kind { A(u8), B { c: [u8; 3] } }
impl Foo<u8> {
    pub(crate) async unsafe extern "C" fn go(self: Box<Self>, x: [u8; 3], h: impl Fn()) -> [u8; 2] {
        let f = async move |x| { x };
    }
}
mod inner { pub mod deeper {
    pub const fn deep() {} } }
trait Q { fn declared(&self); fn body(&self) { 1; } }
#[post(
    "/pipeline", data = "<body>")]
async fn handler(body: Body) -> Result<impl Responder, Refusal>
where
    Body: Sized,
{
}
static F: fn() = || { };
fn r#match() {}
impl<const N: usize> Sized<{ N + 1 }> { fn r#type() {} }
fn r() {}
`
	want := `4-10 a
8-8 a::nested
14-17 Foo::fmt
20-24 Batch
25-25 Unit
26-26 Kind
28-30 Foo::go
33-33 inner::deeper::deep
34-34 Q::body
35-41 handler
43-43 match
44-44 Sized::type
45-45 r
`
	if got := outlineText(text); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	files := Outlines{Texts: map[string]string{"src/app.rs": text}}
	for line, want := range map[int]string{3: "", 4: "a", 8: "a::nested", 9: "a", 12: "", 15: "Foo::fmt", 22: "Batch", 32: "", 36: "handler", 99: ""} {
		if got := strings.Join(files.enclosing("src/app.rs", line), "::"); got != want {
			t.Errorf("line %d: got %q, want %q", line, got, want)
		}
	}
	for path, want := range map[string]string{
		"shop::app::a": "a", "shop::app::Foo::go": "Foo::go", "other::Foo::go": "Foo::go", "F::go": "", "go": "", "shop::app::no": "", "deeper::deep": "inner::deeper::deep",
	} {
		if got := strings.Join(files.named("src/app.rs", path), "::"); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
	if files.named("src/gone.rs", "go") != nil || files.enclosing("src/gone.rs", 1) != nil {
		t.Error("a file that is not there has functions")
	}
	var none *Outlines
	if none.enclosing("src/app.rs", 4) != nil || (&Outlines{}).named("src/app.rs", "a") != nil {
		t.Error("outlines without files know something")
	}
}

// Texts that are made to be read slowly end soon, with nothing found, and no further file is read then.
func TestRustOutlineOfHostileText(t *testing.T) {
	for name, text := range map[string]string{
		"comments": strings.Repeat("/*", 20_000), "raw strings": strings.Repeat(`r#"`, maxSource/3), "brackets": strings.Repeat("{", 20_000),
		"closed": strings.Repeat("}", 20_000), "attributes": strings.Repeat("#[", 20_000), "quotes": strings.Repeat("'", 20_000),
		"escapes": strings.Repeat(`"\`, 20_000), "functions": strings.Repeat("fn a(", 20_000),
		"names": "fn " + strings.Repeat("a", 100_000), "numbers": strings.Repeat("0x1_e+", 20_000), "not UTF-8": strings.Repeat("\xff\"", 20_000),
	} {
		began := time.Now()
		found, late := rustOutline(text, 200*time.Millisecond)
		t.Logf("%s: %v", name, time.Since(began))
		if len(found) > 0 || !late && name == "raw strings" {
			t.Errorf("%s: %d found, late: %v", name, len(found), late)
		}
	}
}

// What a tree may cost has an end: in bytes, so that both sides of a pull request read alike, and in time for a hostile one.
func TestOutlinesBudget(t *testing.T) {
	long := "fn a() {}" + strings.Repeat(" ", maxSource-9)
	files := Outlines{Texts: map[string]string{"long.rs": long + " "}}
	for i := range maxRead/maxSource + 1 {
		files.Texts[fmt.Sprint(i, ".rs")] = long
	}
	known := 0
	for i := range maxRead/maxSource + 1 {
		if files.named(fmt.Sprint(i, ".rs"), "a") != nil {
			known++
		}
	}
	if known != maxRead/maxSource || files.named("long.rs", "a") != nil || files.Late() {
		t.Errorf("%d files are known, late %v; want %d, none longer than %d bytes", known, files.Late(), maxRead/maxSource, maxSource)
	}
	slow := Outlines{Texts: map[string]string{"first.rs": "fn a() {}", "hostile.rs": strings.Repeat(`r#"`, 150_000), "next.rs": "fn a() {}"}, Within: time.Second}
	first, hostile, next := slow.named("first.rs", "a"), slow.named("hostile.rs", "a"), slow.named("next.rs", "a")
	if first == nil || hostile != nil || next != nil || !slow.Late() || slow.named("first.rs", "a") == nil {
		t.Errorf("before, of and after a hostile file: got %v, %v, %v, want the first file's alone", first, hostile, next)
	}
}

func FuzzRustOutline(f *testing.F) {
	f.Add("fn a() { struct B; impl B { fn c() {} } }")
	f.Fuzz(func(t *testing.T, text string) {
		lines := strings.Count(text, "\n") + strings.Count(text, "\r") + 2
		found, _ := rustOutline(text, sourceTime)
		for _, e := range found {
			if e.first < 1 || e.last < e.first || e.last > lines || len(e.path) == 0 || e.path[len(e.path)-1] == "" {
				t.Fatalf("%+v of %d lines", e, lines)
			}
		}
	})
}

func TestRustModule(t *testing.T) {
	s := Source{Workspaces: []string{".", "core", "axum", "tools"}, Packages: map[string]string{".": "all", "core": "shop_core", "axum": "axum"}}
	for file, want := range map[string]string{
		"src/lib.rs": "all", "core/src/lib.rs": "shop_core", "core/src/text.rs": "shop_core::text", "core/src/text/mod.rs": "shop_core::text",
		"core/src/text/slug.rs": "shop_core::text::slug", "axum/src/main.rs": "axum", "axum/src/bin/load-test.rs": "load_test",
		"axum/src/bin/load/main.rs": "load", "axum/build.rs": "axum::build", "tools/src/x.rs": "all::tools::src::x",
	} {
		if got := strings.Join(s.rustModule(file), "::"); got != want {
			t.Errorf("%s: got %s, want %s", file, got, want)
		}
	}
}
