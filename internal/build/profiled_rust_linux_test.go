package build

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/symbols"
)

const rustProfiledTree = `
-- repo/lean/Cargo.toml --
[package]
name = "lean"
version = "0.1.0"
edition = "2021"
[profile.release]
strip = true
lto = "fat"
panic = "abort"
-- repo/lean/data.txt --
kept
-- repo/lean/src/main.rs --
mod inner { #[inline(never)] pub fn shout(text: &str) { println!("{text}"); } }
fn main() { inner::shout("lean"); }
-- repo/named/Cargo.toml --
[package]
name = "named"
version = "0.1.0"
edition = "2021"
[profile.release]
debug = "line-tables-only"
strip = "none"
-- repo/named/src/main.rs --
fn main() { println!("named"); }
-- repo/best/Cargo.toml --
[package]
name = "best"
version = "0.1.0"
edition = "2021"
[profile.release]
debug = true
-- repo/best/src/main.rs --
fn main() { println!("best"); }
-- repo/own/Cargo.toml --
[package]
name = "own"
version = "0.1.0"
edition = "2021"
-- repo/own/src/main.rs --
fn main() { println!("own"); }
-- repo/stripping/Cargo.toml --
[package]
name = "stripping"
version = "0.1.0"
edition = "2021"
-- repo/stripping/src/main.rs --
fn main() { println!("stripping"); }
-- repo/once/Cargo.toml --
[package]
name = "once"
version = "0.1.0"
edition = "2021"
-- repo/once/src/main.rs --
fn main() { println!("once"); }
`

func rustProfiledServices() []plan.Service {
	build := func(line string) []string { return []string{"sh", "-c", line} }
	return []plan.Service{
		{Name: "lean", Lang: plan.Rust, Dir: "lean", Files: []string{"data.txt"}},
		{Name: "named", Lang: plan.Rust, Dir: "named"},
		{Name: "best", Lang: plan.Rust, Dir: "best"},
		{Name: "own", Lang: plan.Rust, Dir: "own", Binary: "target/release/own", Build: build("cargo build --release")},
		{Name: "stripping", Lang: plan.Rust, Dir: "stripping", Binary: "target/release/stripping",
			Build: build("cargo build --release && strip target/release/stripping")},
		{Name: "once", Lang: plan.Rust, Dir: "once", Binary: "target/release/once",
			Build: build(`test -z "$CARGO_PROFILE_RELEASE_DEBUG" && cargo build --release`)},
	}
}

func TestProfileRust(t *testing.T) {
	s := newShop(t, rustProfiledTree, "")
	s.enter(plan.Base, rustProfiledServices()...)
	for _, c := range []struct {
		service  string
		measured bool   // the measured binary is profiled
		lacks    string // what the profiled one lacks
		notes    string // one of them
	}{
		{"lean", false, "", "a build of the same sources with debug information"},
		{"named", true, "", "debug = 1 would not"},
		{"best", true, "", ""},
		{"own", false, "", "a build of the same sources with debug information"},
		{"stripping", false, "has no symbols", "let `build:` not strip it"},
		{"once", true, "has no line tables", "the build with debug information failed"},
	} {
		built := s.build(c.service)
		p, err := s.profileRust(context.Background(), s.site.recipes[c.service], built, filepath.Join(s.dir, "profiled", c.service))
		check(t, err)
		if (p.Binary == built.Binary) != c.measured {
			t.Errorf("%s: got %s to profile, measured %s", c.service, p.Binary, built.Binary)
		}
		if lacks, _, _ := namesMissing(p.Binary); lacks != c.lacks {
			t.Errorf("%s: the profiled binary %s, want %q", c.service, lacks, c.lacks)
		}
		notes := strings.Join(p.Notes, "\n")
		t.Logf("%s: %s", c.service, notes)
		if contains(t, c.service+": notes", notes, c.notes); c.notes == "" && notes != "" {
			t.Errorf("%s: got notes %q", c.service, notes)
		}
		if strings.Join(p.Files, " ") != strings.Join(built.Files, " ") {
			t.Errorf("%s: got files %q, measured %q", c.service, p.Files, built.Files)
		}
		check(t, built.Verify())
	}
	check(t, s.Leave(t.Context()))
}

func TestCodeDiffers(t *testing.T) {
	text := func(sha string, sizes ...uint32) symbols.Text {
		sum := uint32(0)
		for _, size := range sizes {
			sum += size
		}
		return symbols.Text{Bytes: int64(sum), SHA256: sha, Sizes: sizes}
	}
	for _, c := range []struct {
		measured, profiled symbols.Text
		want               string
	}{
		{text("a", 4, 6), text("a", 4, 6), ""},
		{text("a", 4, 6), text("b", 4, 6), "other addresses"},
		{text("a", 4, 6, 8), text("b", 4, 5, 8), "1 of 3 functions have other sizes, 17 bytes, measured 18"},
		{text("a", 4, 6, 6), text("b", 4, 6), "10 bytes, measured 16"},
		{text("a", 6), text("b", 4, 6, 6), "2 of 3 functions"},
		{symbols.Text{}, symbols.Text{}, "could not be compared"},
	} {
		if got := codeDiffers(c.measured, c.profiled); !strings.Contains(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%+v and %+v: got %q, want %q", c.measured, c.profiled, got, c.want)
		}
	}
}
