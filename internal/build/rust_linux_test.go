package build

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

const rustTree = `
-- repo/plain/Cargo.toml --
[package]
name = "plain"
version = "0.1.0"
edition = "2021"

[profile.release]
panic = "abort"
codegen-units = 1
-- repo/plain/Cargo.lock --
version = 4

[[package]]
name = "plain"
version = "0.1.0"
-- repo/plain/src/main.rs --
fn main() { println!("plain {}", env!("CARGO_MANIFEST_DIR")); }
-- repo/plain/.cargo/config.toml --
[build]
rustc-wrapper = "/bin/false"
rustc-workspace-wrapper = "/bin/false"
rustc = "/bin/false"
-- repo/space/Cargo.toml --
[workspace]
members = ["crates/*"]
resolver = "2"
-- repo/space/crates/app/Cargo.toml --
[package]
name = "app"
version = "0.1.0"
edition = "2021"
[dependencies]
lib = { path = "../lib" }
-- repo/space/crates/app/src/bin/served.rs --
fn main() { println!("{}", lib::NAME); }
-- repo/space/crates/lib/Cargo.toml --
[package]
name = "lib"
version = "0.1.0"
edition = "2021"
-- repo/space/crates/lib/src/lib.rs --
pub const NAME: &str = "workspace";
-- repo/several/Cargo.toml --
[package]
name = "several"
version = "0.1.0"
edition = "2021"
-- repo/several/src/main.rs --
fn main() {}
-- repo/several/src/bin/more.rs --
fn main() {}
-- repo/broken/Cargo.toml --
[package]
name = "broken"
version = "0.1.0"
edition = "2021"
-- repo/broken/src/main.rs --
fn main() { undefined_here() }
-- repo/old/Cargo.toml --
[package]
name = "old"
version = "0.1.0"
-- repo/old/rust-toolchain.toml --
[toolchain]
channel = "1.1.0"
-- repo/old/src/main.rs --
fn main() {}
-- repo/path/Cargo.toml --
[package]
name = "path"
version = "0.1.0"
-- repo/path/rust-toolchain.toml --
[toolchain]
path = "/tmp/evil"
-- repo/path/src/main.rs --
fn main() {}
-- repo/mirror/Cargo.toml --
[package]
name = "mirror"
version = "0.1.0"
edition = "2021"
[dependencies]
dep = "1"
-- repo/mirror/src/main.rs --
fn main() { println!("{}", dep::NAME); }
-- repo/stale/Cargo.toml --
[package]
name = "stale"
version = "0.2.0"
edition = "2021"
-- repo/stale/Cargo.lock --
version = 4

[[package]]
name = "stale"
version = "0.1.0"
-- repo/stale/src/main.rs --
fn main() {}
`

func rustServices() []plan.Service {
	var all []plan.Service
	for _, name := range []string{"plain", "space", "several", "broken", "old", "path", "stale", "mirror"} {
		all = append(all, plan.Service{Name: name, Lang: plan.Rust, Dir: name})
	}
	return all
}

// mirror is a registry of one crate, and the CARGO_HOME of a user who has it replace crates.io.
const mirror = `
-- registry/dep/Cargo.toml --
[package]
name = "dep"
version = "1.0.0"
edition = "2021"
-- registry/dep/.cargo-checksum.json --
{"files":{}}
-- registry/dep/src/lib.rs --
pub const NAME: &str = "mirrored";
-- home/config.toml --
[source.crates-io]
replace-with = "mirror"
[source.mirror]
directory = "DIR/registry"
[build]
rustc-wrapper = "/bin/false"
`

func TestRust(t *testing.T) {
	dir := folder(t)
	write(t, dir, strings.ReplaceAll(mirror, "DIR", dir))
	s := newShop(t, rustTree, "", "CARGO_HOME="+dir+"/home")
	s.enter(plan.Base, rustServices()...)
	plain, space, mirrored := s.build("plain"), s.build("space"), s.build("mirror")
	for _, c := range []struct {
		b    Built
		want string
	}{{plain, "plain " + s.tree() + "/repo/plain"}, {space, "workspace"}, {mirrored, "mirrored"}} {
		got, err := exec.Command(c.b.Binary).CombinedOutput()
		if strings.TrimSpace(string(got)) != c.want || err != nil {
			t.Errorf("%s: prints %q (%v), want %q", c.b.Record.Variant, got, err, c.want)
		}
		if r := c.b.Record; r.CleanSeconds <= 0 || r.IncrementalSeconds <= 0 || !strings.HasPrefix(r.Toolchain, "rustc 1.") {
			t.Errorf("missing figures in %+v", r)
		}
	}
	contains(t, "plain: notes", strings.Join(plain.Record.Notes, "\n"), "a wrapper, which is not used")
	contains(t, "space: notes", strings.Join(space.Record.Notes, "\n"), "Cargo.lock is not tracked")
	if got := plain.Record.Settings; got["panic"] != "abort" || got["codegen-units"] != "1" || got["cargo config"] == "" {
		t.Errorf("plain: got settings %v", got)
	}
	if got := [2]int{plain.Record.Dependencies, space.Record.Dependencies}; got != [2]int{0, 1} {
		t.Errorf("got %v dependencies, want 0 and 1", got)
	}
	s.rustErrors()
	check(t, s.Leave(t.Context()))

	write(t, s.Tree(plan.Head), "-- repo/space/crates/lib/src/lib.rs --\npub const NAME: &str = \"changed\";\n")
	s.enter(plan.Head, rustServices()[:2]...)
	marked := MarkIdentical([]result.Build{plain.Record, s.build("plain").Record, space.Record, s.build("space").Record})
	if !marked[1].IdenticalToBase || marked[3].IdenticalToBase {
		t.Errorf("identical to base: got %v for the same source and %v for another, want true and false",
			marked[1].IdenticalToBase, marked[3].IdenticalToBase)
	}
	check(t, plain.Verify())
}

func (s *shop) rustErrors() {
	t := s.t
	var usage *plan.UsageError
	for name, parts := range map[string][]string{
		"several": {"2 binaries", "several, more", "binary: several"},
		"old":     {"Rust 1.1.0", "rustup toolchain install 1.1.0", "base"},
		"path":    {"by path"},
	} {
		_, err := s.fails(name)
		if !errors.As(err, &usage) {
			t.Errorf("%s: got %T (%v), want a usage error", name, err, err)
		}
		contains(t, name, err.Error(), parts...)
	}
	for name, want := range map[string]string{"broken": "undefined_here", "stale": "--locked"} {
		b, err := s.fails(name)
		var failure *Failure
		if !errors.As(err, &failure) {
			t.Errorf("%s: got %v, want a failure", name, err)
		}
		contains(t, name+": log", strings.Join(b.Record.LogTail, "\n"), want)
	}
}
