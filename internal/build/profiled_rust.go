package build

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"

	"github.com/duet-bench/duet/internal/symbols"
)

// debugEnvironment makes any cargo build one whose functions and lines have names, whatever the manifest's profile says.
// Flags (RUSTFLAGS) are not touched: they would take the place of the project's own. "1" rather than "line-tables-only":
// the latter leaves the paths out of inlined functions' names.
var debugEnvironment = [...][2]string{
	{"CARGO_PROFILE_RELEASE_DEBUG", "1"},
	{"CARGO_PROFILE_RELEASE_STRIP", "none"},
	{"CARGO_PROFILE_RELEASE_SPLIT_DEBUGINFO", "off"},
}

// profiledTarget is cargo's target folder of profiling builds, in the folder of one build's output.
const profiledTarget = "profiled"

// profileRust is the binary of a Rust service to be profiled: the measured one where it has names and lines, else another
// of the same sources, made after it in the same box and kept in out. That it cannot be made is a note: the measured one
// can be profiled all the same, without names.
func (w *Workshop) profileRust(ctx context.Context, r *recipe, built Built, out string) (Profiled, error) {
	measured := Profiled{Binary: built.Binary, Files: built.Files}
	lacks, text, paths := namesMissing(built.Binary)
	if lacks == "" {
		if !paths {
			measured.Notes = []string{`functions of libraries that were inlined have names without their path: debug = "line-tables-only" leaves it out, debug = 1 would not`}
		}
		return measured, nil
	}
	b, err := w.buildWithNames(ctx, r, out)
	var failure *Failure
	if errors.As(err, &failure) {
		measured.Notes = []string{fmt.Sprintf("the measured binary is profiled, which %s: the build with debug information failed: %v", lacks, err)}
		return measured, nil
	}
	if err != nil {
		return Profiled{}, err
	}
	p := Profiled{Binary: b.Binary, Files: b.Files}
	lacks, profiledText, _ := namesMissing(b.Binary)
	switch {
	case lacks != "" && len(r.service.Build) > 0:
		p.Notes = append(p.Notes, fmt.Sprintf("the binary still %s, although cargo was asked for debug information: let `build:` not strip it", lacks))
	case lacks != "":
		p.Notes = append(p.Notes, fmt.Sprintf("the binary still %s, although cargo was asked for debug information", lacks))
	default:
		p.Notes = append(p.Notes, "a build of the same sources with debug information is profiled, not the measured binary")
	}
	if note := codeDiffers(text, profiledText); note != "" {
		p.Notes = append(p.Notes, note)
	}
	return p, nil
}

// namesMissing says what a binary lacks to be profiled with the names of functions and lines, reads its machine code, and
// says whether inlined functions' names have paths.
func namesMissing(binary string) (lacks string, text symbols.Text, paths bool) {
	f, err := symbols.Open(binary)
	if err != nil {
		return "cannot be read", text, false
	}
	defer f.Close()
	text, _ = f.Text() // without one nothing can be compared
	switch {
	case !f.HasTable():
		return "has no symbols", text, false
	case !f.HasLines():
		return "has no line tables", text, false
	}
	return "", text, f.HasPaths()
}

// codeDiffers says how the machine code of the profiled binary differs from the measured one's, if it does. Debug
// information changes the names of symbols, by which functions are ordered, and so where everything lies: that alone is
// usual. That functions themselves differ is not.
func codeDiffers(measured, profiled symbols.Text) string {
	switch {
	case measured.SHA256 == "" || profiled.SHA256 == "":
		return "its machine code could not be compared with the measured binary's"
	case measured.SHA256 == profiled.SHA256:
		return ""
	}
	if differ := others(profiled.Sizes, measured.Sizes); differ > 0 {
		return fmt.Sprintf("its machine code differs from the measured binary's: %d of %d functions have other sizes, %d bytes, measured %d",
			differ, len(profiled.Sizes), profiled.Bytes, measured.Bytes)
	}
	if profiled.Bytes != measured.Bytes {
		return fmt.Sprintf("its machine code differs from the measured binary's: %d bytes, measured %d", profiled.Bytes, measured.Bytes)
	}
	return "its functions have the measured binary's sizes, and other addresses"
}

// others counts what is in one ascending list and not in another.
func others(list, in []uint32) (n int) {
	for _, v := range list {
		for len(in) > 0 && in[0] < v {
			in = in[1:]
		}
		if len(in) > 0 && in[0] == v {
			in = in[1:]
		} else {
			n++
		}
	}
	return n
}

// buildWithNames builds a service once more, with debug information. Only where cargo is called by Duet can its output go
// to a folder of its own; a `build:` of the service's leaves its binary where it always does, and the measured one was
// kept before.
func (w *Workshop) buildWithNames(ctx context.Context, r *recipe, out string) (Built, error) {
	again := *r
	again.buildEnv = maps.Clone(r.buildEnv)
	for _, variable := range debugEnvironment {
		again.buildEnv[variable[0]] = variable[1]
	}
	if _, ours := r.buildEnv["CARGO_TARGET_DIR"]; ours {
		again.buildEnv["CARGO_TARGET_DIR"] = filepath.Join(w.out(), profiledTarget)
		var patterns []string
		for _, p := range r.binary.patterns {
			patterns = append(patterns, profiledTarget+strings.TrimPrefix(p, "target"))
		}
		again.binary = w.inOut(patterns...)
	}
	b := Built{Dir: out}
	w.o.Progress(fmt.Sprintf("building %s with debug information", r.variant))
	if _, err := w.run(ctx, &again, "profiling", again.build, again.buildEnv); err != nil {
		return b, err
	}
	if err := w.site.Box.KillAll(ctx); err != nil {
		return b, err
	}
	return b, w.keep(&again, &b)
}
