package build

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

func (w *Workshop) prepareRust(ctx context.Context, r *recipe) error {
	fsys := w.site.root.FS()
	if err := w.noCargoAbove(); err != nil {
		return err
	}
	channel, err := w.askedRust(r)
	if err != nil {
		return err
	}
	if r.tools, err = w.rustToolchain(ctx, r.service.Name, channel); err != nil {
		return err
	}
	w.rustEnvironment(r)
	if err := w.cargoSettings(r); err != nil {
		return err
	}
	manifestDir := r.rel
	if !exists(fsys, path.Join(r.rel, "Cargo.toml")) {
		if len(r.service.Build) == 0 {
			return w.notBuildable(r, "service %s: no Cargo.toml in %s", r.service.Name, r.service.Dir)
		}
		found, ok := upward(fsys, r.rel, "Cargo.toml")
		if !ok {
			r.build, r.binary = r.service.Build, w.inDir(r.rel, r.service.Binary)
			return nil
		}
		manifestDir = path.Dir(found)
	}
	root, workspace, err := workspaceRoot(fsys, manifestDir)
	if err != nil {
		return &Failure{Step: "building", Err: err}
	}
	maps.Copy(r.settings, workspace.profileSettings())
	cargo := r.tools.bin("cargo")
	r.fetch, r.fetchKey = []string{cargo, "fetch"}, "rust "+root
	var locked []string
	if exists(fsys, path.Join(root, "Cargo.lock")) {
		locked = []string{"--locked"}
		r.fetch = append(r.fetch, locked...)
	} else {
		r.notes = append(r.notes, "Cargo.lock is not tracked: the versions of dependencies are those of today")
	}
	if err := w.cargoCommand(r, manifestDir, locked); err != nil {
		return err
	}
	r.clean = func() error { return w.startTarget(root) }
	return nil
}

// cargoCommand decides what is built: the service's own command, or the one binary.
func (w *Workshop) cargoCommand(r *recipe, manifestDir string, locked []string) error {
	bins, err := cargoBins(w.site.root.FS(), manifestDir)
	if err != nil {
		return &Failure{Step: "building", Err: err}
	}
	bin, err := chooseBin(r.service, bins)
	if err == nil {
		r.main = bin.File
		r.measured = func(ctx context.Context, _ string, record *result.Build) { w.countCrates(ctx, r, bin, locked, record) }
	}
	if len(r.service.Build) > 0 {
		r.build, r.binary = r.service.Build, w.inDir(r.rel, r.service.Binary)
		return nil
	}
	if err != nil {
		return err
	}
	r.build = append([]string{r.tools.bin("cargo"), "build", "--release", "--offline"}, locked...)
	if bin.Dir != r.rel {
		r.build = append(r.build, "-p", bin.Package)
	}
	r.build = append(r.build, "--bin", bin.Name)
	r.buildEnv["CARGO_TARGET_DIR"] = filepath.Join(w.out(), "target")
	// With `build.target` in .cargo/config.toml there is a folder named for the target in between.
	r.binary = w.inOut("target/release/"+bin.Name, "target/*/release/"+bin.Name)
	return nil
}

// chooseBin picks the binary of a service: the one named like `binary:`, default-run, or the only one.
func chooseBin(s plan.Service, bins []cargoBin) (cargoBin, error) {
	var names []string
	for _, b := range bins {
		if s.Binary != "" && b.Name == path.Base(filepath.ToSlash(s.Binary)) || s.Binary == "" && b.Default {
			return b, nil
		}
		names = append(names, b.Name)
	}
	switch len(bins) {
	case 1:
		return bins[0], nil
	case 0:
		return cargoBin{}, plan.Usagef("correct `dir:`, or say how to build it with `build:` and `binary:`",
			"service %s: Cargo.toml in %s makes no binary", s.Name, s.Dir)
	}
	return cargoBin{}, plan.Usagef(
		fmt.Sprintf("choose one with `binary: %s`, or with `default-run` in Cargo.toml", names[0]),
		"service %s: %d binaries in %s: %s", s.Name, len(bins), s.Dir, strings.Join(names, ", "))
}

// rustEnvironment sets what fetching and building see. The compiler is named outright and wrappers are
// switched off, so that .cargo/config.toml puts no other program in its place. CARGO_INCREMENTAL is left to
// the manifest's profile: release builds are not incremental unless it says so.
func (w *Workshop) rustEnvironment(r *recipe) {
	r.buildEnv = map[string]string{
		"PATH":                             w.searchPath(r.tools),
		"CARGO_HOME":                       w.cargoHome(),
		"RUSTC":                            r.tools.bin("rustc"),
		"RUSTC_WRAPPER":                    "",
		"RUSTC_WORKSPACE_WRAPPER":          "",
		"CARGO_TERM_COLOR":                 "never",
		"CARGO_TERM_PROGRESS_WHEN":         "never",
		"CARGO_CACHE_AUTO_CLEAN_FREQUENCY": "never",
	}
	r.fetchEnv = maps.Clone(r.buildEnv)
	maps.Copy(r.fetchEnv, w.networkEnvironment())
	r.buildEnv["CARGO_NET_OFFLINE"] = "true"
}

// startTarget removes what an earlier service of the same workspace left in cargo's own target folder.
func (w *Workshop) startTarget(workspace string) error {
	target := path.Join(workspace, "target")
	if !exists(w.site.root.FS(), path.Join(target, "CACHEDIR.TAG")) {
		return nil
	}
	return w.site.root.RemoveAll(filepath.FromSlash(target))
}

// countCrates counts the crates that end up in the binary or help to compile it (proc-macros), by
// `cargo tree`; build scripts' and tests' own dependencies do not count.
func (w *Workshop) countCrates(ctx context.Context, r *recipe, bin cargoBin, locked []string, record *result.Build) {
	argv := append([]string{r.tools.bin("cargo"), "tree", "--quiet", "--offline"}, locked...)
	argv = append(argv, "-p", bin.Package, "-e", "normal", "--prefix", "none", "--format", "duet-crate {p}")
	if _, err := w.run(ctx, r, "listing", argv, r.buildEnv); err != nil {
		record.Notes = append(record.Notes, "crates not counted: "+err.Error())
		return
	}
	crates := map[string]bool{}
	for line := range strings.Lines(w.output(r, "listing")) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "duet-crate "); ok {
			crates[strings.TrimSuffix(name, " (*)")] = true
		}
	}
	record.Dependencies = max(0, len(crates)-1) // without the package itself
}

// askedRust is the channel that the tree's rust-toolchain file asks for, or "".
func (w *Workshop) askedRust(r *recipe) (string, error) {
	name, ok := upward(w.site.root.FS(), r.rel, "rust-toolchain", "rust-toolchain.toml")
	if !ok {
		return "", nil
	}
	text, err := readRegular(w.site.root, name)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", name, err)
	}
	channel, err := toolchainChannel(text, strings.HasSuffix(name, ".toml"))
	if err != nil {
		return "", plan.Usagef("name a channel, as in `channel = \"1.95.0\"`", "service %s: %s at %s: %w", r.service.Name, name, w.site.Side, err)
	}
	return channel, nil
}

var channelPattern = regexp.MustCompile(`^[a-z0-9][A-Za-z0-9._-]*$`)

// toolchainChannel reads a rust-toolchain file, in TOML or in the older form of one line.
func toolchainChannel(text []byte, isTOML bool) (string, error) {
	var file struct {
		Toolchain struct {
			Channel string `toml:"channel"`
			Path    string `toml:"path"`
		} `toml:"toolchain"`
	}
	channel := string(bytes.TrimSpace(text))
	if isTOML || strings.ContainsAny(channel, "[=\n") {
		if err := toml.Unmarshal(text, &file); err != nil {
			return "", err
		}
		if file.Toolchain.Path != "" {
			return "", errors.New("a toolchain by path is a program of the tree's choice and is not used")
		}
		channel = file.Toolchain.Channel
		if channel == "" {
			return "", nil // components and targets alone
		}
	}
	if !channelPattern.MatchString(channel) {
		return "", fmt.Errorf("unexpected channel %q", channel)
	}
	return channel, nil
}

// rustToolchain finds the sysroot of a channel, by rustup where there is one. Nothing is ever installed.
// cargo and rustc are then used directly, so that the tree cannot have rustup choose others.
func (w *Workshop) rustToolchain(ctx context.Context, service, channel string) (toolchain, error) {
	found, ok := w.sysroots[channel]
	if !ok {
		found.root, found.err = w.sysroot(ctx, channel)
		if found.err == nil {
			var text []byte
			text, found.err = w.ask(ctx, nil, filepath.Join(found.root, "bin", "rustc"), "--version")
			found.version = strings.TrimSpace(string(text))
		}
	}
	if ctx.Err() != nil {
		return toolchain{}, context.Cause(ctx)
	}
	w.sysroots[channel] = found
	if found.err != nil && channel != "" {
		return toolchain{}, plan.Usagef(
			fmt.Sprintf("install it with `rustup toolchain install %s`, or ask for another in the rust-toolchain file", channel),
			"service %s: %s asks for Rust %s, which is not installed here (%w); Duet downloads no compilers", service, w.site.Side, channel, found.err)
	}
	if found.err != nil {
		return toolchain{}, plan.Usagef("install Rust from https://rustup.rs, and a default with `rustup default stable`",
			"service %s: %s needs Rust: %w", service, w.site.Side, found.err)
	}
	name := channel
	if name == "" {
		name = "default"
	}
	t, err := w.reachable(found.root, "rust-"+name)
	t.version = found.version
	return t, err
}

// sysroot is an installed Rust toolchain, or why there is none.
type sysroot struct {
	root, version string
	err           error
}

var quietRustup = [...]string{"RUSTUP_AUTO_INSTALL=0", "RUST_BACKTRACE=0"}

// sysroot is where the toolchain of a channel lives. A channel that is a version is also satisfied by another
// toolchain of that very version.
func (w *Workshop) sysroot(ctx context.Context, channel string) (string, error) {
	which := func(toolchain string) (string, error) {
		args := []string{"which", "rustc"}
		if toolchain != "" {
			args = []string{"which", "--toolchain", toolchain, "rustc"}
		}
		text, err := w.ask(ctx, quietRustup[:], "rustup", args...)
		return filepath.Dir(filepath.Dir(strings.TrimSpace(string(text)))), err
	}
	if _, err := lookPath("rustup", w.lookup("PATH")); err != nil {
		return w.plainSysroot(ctx, channel)
	}
	found, err := which(channel)
	if err == nil || channel == "" {
		return found, err
	}
	list, listErr := w.ask(ctx, quietRustup[:], "rustup", "toolchain", "list")
	if listErr != nil {
		return "", err
	}
	for line := range strings.Lines(string(list)) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if root, e := which(name); e == nil && w.isVersion(ctx, filepath.Join(root, "bin", "rustc"), channel) {
			return root, nil
		}
	}
	return "", err
}

// plainSysroot is that of the rustc in PATH, without rustup, if it is what the channel asks for.
func (w *Workshop) plainSysroot(ctx context.Context, channel string) (string, error) {
	text, err := w.ask(ctx, nil, "rustc", "--print", "sysroot")
	if err != nil {
		return "", err
	}
	if channel != "" && channel != "stable" && !w.isVersion(ctx, "rustc", channel) {
		return "", errors.New("there is no rustup, and the rustc in PATH is another version")
	}
	return strings.TrimSpace(string(text)), nil
}

// isVersion says whether a rustc is of the version that a channel like "1.95" or "1.95.0" names.
func (w *Workshop) isVersion(ctx context.Context, rustc, channel string) bool {
	text, err := w.ask(ctx, quietRustup[:], rustc, "--version")
	words := strings.Fields(string(text))
	return err == nil && len(words) > 1 && (words[1] == channel || strings.HasPrefix(words[1], channel+"."))
}

// cargoConfig is what Duet reads of a .cargo/config.toml.
type cargoConfig struct {
	Build struct {
		RustcWrapper          string `toml:"rustc-wrapper"`
		RustcWorkspaceWrapper string `toml:"rustc-workspace-wrapper"`
		Rustc                 string `toml:"rustc"`
		Rustflags             any    `toml:"rustflags"`
	} `toml:"build"`
}

// cargoSettings records what .cargo/config.toml changes about the build: the flags, and a hash of all such
// files, so that a difference between the sides is seen.
func (w *Workshop) cargoSettings(r *recipe) error {
	fsys := w.site.root.FS()
	h := sha256.New()
	for dir := r.rel; ; dir = path.Dir(dir) {
		name := path.Join(dir, ".cargo", "config") // the older name wins where both are there
		if !exists(fsys, name) {
			name += ".toml"
		}
		text, err := readRegular(w.site.root, name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("reading %s: %w", name, err)
		}
		if err == nil {
			put(h, name, string(text))
			r.settings["cargo config"] = hex.EncodeToString(h.Sum(nil))[:12]
			var c cargoConfig
			if toml.Unmarshal(text, &c) == nil {
				r.noteConfig(name, c)
			}
		}
		if dir == "." {
			return nil
		}
	}
}

func (r *recipe) noteConfig(name string, c cargoConfig) {
	if c.Build.Rustflags != nil && r.settings["rustflags"] == "" {
		r.settings["rustflags"] = fmt.Sprint(c.Build.Rustflags)
	}
	if c.Build.RustcWrapper != "" || c.Build.RustcWorkspaceWrapper != "" || c.Build.Rustc != "" {
		r.notes = append(r.notes, fmt.Sprintf("%s names its own rustc or a wrapper, which is not used", name))
	}
}

// noCargoAbove refuses a workshop in or below a Cargo project: cargo would take settings from there.
func (w *Workshop) noCargoAbove() error {
	for dir := w.o.Dir; ; dir = filepath.Dir(dir) {
		for _, name := range []string{"Cargo.toml", ".cargo/config.toml", ".cargo/config"} {
			if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name))); err == nil {
				return plan.Usagef("set TMPDIR to a folder outside of any project, such as /tmp",
					"the builds' folder %s lies below %s, whose settings cargo would use", w.o.Dir, filepath.Join(dir, name))
			}
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

// writeCargoConfig copies the caller's registry and network settings, and no credentials, into the side's
// CARGO_HOME: a mirror must be known to the offline build, too.
func (w *Workshop) writeCargoConfig() error {
	home := w.lookup("CARGO_HOME")
	if home == "" {
		home = filepath.Join(w.lookup("HOME"), ".cargo")
	}
	var text []byte
	for _, name := range []string{"config", "config.toml"} {
		read, err := os.ReadFile(filepath.Join(home, name))
		if err == nil {
			text = read
			break
		}
	}
	config, err := registrySettings(text)
	if err != nil {
		return fmt.Errorf("reading the registry settings in %s: %w", home, err)
	}
	cache, err := os.OpenRoot(w.cache()) // base's box had its hands on what head is given
	if err != nil {
		return err
	}
	defer cache.Close()
	if err := cache.MkdirAll("cargo", 0o755); err != nil {
		return err
	}
	name := filepath.Join("cargo", "config.toml")
	if err := cache.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return cache.WriteFile(name, config, 0o644)
}

// registrySettings is what of a user's cargo configuration says where crates come from.
func registrySettings(text []byte) ([]byte, error) {
	all := map[string]any{}
	if err := toml.Unmarshal(text, &all); err != nil {
		return nil, err
	}
	maps.DeleteFunc(all, func(key string, _ any) bool {
		return !slices.Contains([]string{"source", "registries", "registry", "http", "net"}, key)
	})
	stripCredentials(all)
	var out bytes.Buffer
	err := toml.NewEncoder(&out).Encode(all)
	return out.Bytes(), err
}

// stripCredentials removes tokens, the programs that provide them, and addresses with a password.
func stripCredentials(table map[string]any) {
	for key, value := range table {
		switch v := value.(type) {
		case map[string]any:
			stripCredentials(v)
		case string:
			if key == "token" || strings.Contains(key, "secret") || holdsPassword(v) {
				delete(table, key)
			}
		}
		if strings.Contains(key, "credential") {
			delete(table, key)
		}
	}
}

// holdsPassword says whether a text is an address with a user's password, with or without a scheme.
func holdsPassword(text string) bool {
	if !strings.Contains(text, "://") {
		text = "any://" + text
	}
	address, err := url.Parse(text)
	if err != nil {
		return strings.Contains(text, "@")
	}
	_, has := address.User.Password()
	return has
}
