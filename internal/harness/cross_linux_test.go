package harness

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/duet-bench/duet/internal/build"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/sandbox"
)

// tinyRust is a service of the standard library alone, in two modules and so in more than one codegen unit.
const tinyRust = `
-- repo/Cargo.toml --
[package]
name = "tiny"
version = "0.1.0"
edition = "2021"
-- repo/Cargo.lock --
version = 4

[[package]]
name = "tiny"
version = "0.1.0"
-- repo/src/work.rs --
pub fn work(n: u64) -> String {
    let mut all = std::collections::BTreeMap::new();
    for i in 0..n {
        *all.entry(i.wrapping_mul(2654435761) % 97).or_insert(0u64) += i;
    }
    format!("{}\n", all.values().fold(0u64, |a, b| a.wrapping_mul(31) ^ b))
}
-- repo/src/main.rs --
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

mod work;

fn main() {
    let listener = TcpListener::bind(std::env::var("ADDR").unwrap()).unwrap();
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || serve(stream));
    }
}

fn serve(stream: TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut writer = stream;
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            let body = work::work(500);
            write!(writer, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{}", body.len(), body).ok()?;
        }
    }
}
`

var (
	rustBase = plan.Variant{Service: "rust", Side: plan.Base}
	rustHead = plan.Variant{Service: "rust", Side: plan.Head}
)

// crossing is a session that built both sides of a Rust service from trees, and has everything else behind it.
func crossing(t *testing.T, tree string, service plan.Service) *session {
	t.Helper()
	s := built(t, nil)
	s.again = map[plan.Variant]build.Built{}
	s.run.Plan.Workloads = s.run.Plan.Workloads[:1]
	s.run.Plan.Rounds.CountLooks, s.run.Plan.Rounds.CountConfirm = []int{3, 5}, 4
	s.run.Plan.Rounds.CountCap, s.run.Plan.Rounds.CrossCap = time.Minute, 5*time.Minute
	s.pass.counted["hello"] = leastCounted
	shop, err := build.NewWorkshop(build.Options{Dir: filepath.Join(s.work, "shop"), Environ: os.Environ(), MinFree: 1 << 20, Again: true})
	if err != nil {
		t.Fatal(err)
	}
	s.shop = shop
	service.Name, service.Lang, service.Dir = "rust", plan.Rust, "."
	for _, v := range []plan.Variant{rustBase, rustHead} {
		s.run.Plan.Services[v] = service
		for _, f := range txtar.Parse([]byte(tree)).Files {
			name := filepath.Join(shop.Tree(v.Side), filepath.FromSlash(f.Name))
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, f.Data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if s.boxes[v], err = sandbox.New(sandbox.Options{Name: v.String(), Dir: filepath.Join(s.work, "box", boxName(v)), Isolate: true}); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range []plan.Variant{rustBase, rustHead} {
		if err := s.build(t.Context(), v); err != nil || s.progress.Failed[v] {
			t.Fatalf("building %s: %v %+v", v, err, s.run.Failures)
		}
	}
	if err := s.leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func crossStep() plan.Step {
	return plan.Step{Kind: plan.StepCross, Start: []plan.Variant{rustBase, rustHead}}
}

// Both sides are built again as one unit each and counted apart from the rest: how much, not where.
func TestCrossCheck(t *testing.T) {
	s := crossing(t, tinyRust, plan.Service{})
	if err := s.cross(t.Context(), crossStep()); err != nil || s.progress.CountOver[plan.Cross] != "" {
		t.Fatalf("%v %q", err, s.run.Warnings)
	}
	for _, v := range []plan.Variant{rustBase, rustHead} {
		if !s.builtOtherwise(v) {
			t.Errorf("%s: one codegen unit made the same binary", v)
		}
	}
	if a, b := s.again[rustBase].Record, s.again[rustHead].Record; a.BinarySHA256 != b.BinarySHA256 {
		t.Errorf("one source, two binaries: %s and %s", a.BinarySHA256, b.BinarySHA256)
	}
	step := plan.Step{Kind: plan.StepCount, Phase: plan.Cross, Round: 1, Start: []plan.Variant{rustHead, rustBase}, Windows: []string{"hello"}}
	if err := s.count(t.Context(), step); err != nil {
		t.Fatal(err)
	}
	if len(s.run.Costs) != 2 || s.progress.Counted[plan.Cross] != 1 || len(s.run.Builds) != 2 {
		t.Errorf("%d costs, %v rounds, %d builds: want 2 costs of one round, and the measured builds alone", len(s.run.Costs), s.progress.Counted, len(s.run.Builds))
	}
	for _, c := range s.run.Costs {
		if c.Invalid != "" || c.Build != plan.OneUnit || c.Phase != plan.Cross || c.Buckets[result.BucketService] == 0 || len(c.Functions)+len(c.Lines) > 0 {
			t.Errorf("%+v, want a whole window of the other build", c)
		}
	}
}

// What hinders a cross-check is said once and harms nothing.
func TestNotCrossChecked(t *testing.T) {
	const script = `{ echo "#!/bin/sh"; echo "# $CARGO_PROFILE_RELEASE_CODEGEN_UNITS"; } > app; chmod +x app`
	ways := func(build string) plan.Service {
		return plan.Service{Build: []string{"sh", "-c", build}, Binary: "app"}
	}
	for _, c := range []struct {
		what    string
		service plan.Service
		change  func(*session)
		want    string
	}{
		{"the build fails", ways(`test -z "$CARGO_PROFILE_RELEASE_CODEGEN_UNITS" || { echo no such unit; exit 1; }; ` + script), nil, "building again with one codegen unit: rust@base: building"},
		{"the same binary", ways("cp Cargo.toml app; chmod +x app"), nil, "have one codegen unit as well"},
		{"slow builds", ways(script), func(s *session) { s.run.Builds[0].CleanSeconds = 600 }, "would take longer than 5m0s"},
		{"slow rounds", ways(script), func(s *session) { s.pass.counting[plan.Screen] = time.Hour }, "would go over the pass's time of 1m0s"},
		{"a cap that ends it", ways(`test -z "$CARGO_PROFILE_RELEASE_CODEGEN_UNITS" || sleep 600; ` + script), func(s *session) {
			s.run.Plan.Rounds.CrossCap = 2 * time.Second
			for i := range s.run.Builds {
				s.run.Builds[i].CleanSeconds = 0
			}
		}, "it was not done after 2s"},
	} {
		s := crossing(t, "-- repo/Cargo.toml --\n[package]\nname = \"x\"\nversion = \"0.1.0\"\n-- repo/Cargo.lock --\nversion = 4\n\n[[package]]\nname = \"x\"\nversion = \"0.1.0\"\n-- repo/src/main.rs --\nfn main() {}\n", c.service)
		if c.change != nil {
			c.change(s)
		}
		if err := s.cross(t.Context(), crossStep()); err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
		said := func(warning string) bool {
			return strings.Contains(warning, "was not cross-checked: ") && strings.Contains(warning, c.want)
		}
		if !slices.ContainsFunc(s.run.Warnings, said) || s.progress.CountOver[plan.Cross] == "" || !s.progress.BuiltAgain || s.inShop != "" {
			t.Errorf("%s: warnings %q, over %q, want %q and an empty workshop", c.what, s.run.Warnings, s.progress.CountOver[plan.Cross], c.want)
		}
		if len(s.progress.Failed)+len(s.run.Failures) > 0 || s.fatal != nil {
			t.Errorf("%s: it counts as a failure: %+v", c.what, s.run.Failures)
		}
	}
}
