package claims

import (
	"go/build/constraint"
	"path"
	"strings"
)

// CountLines counts a source file's lines of code, in Go or Rust: those that are neither blank nor comments alone. Tests
// count nothing, nor do files that a plain build leaves out: Go's say so, and Rust's are known by their names, those of the
// self-test's plants. Rust's tests are taken to stand last in their file, and a comment inside a text for one.
func CountLines(file, source string) int {
	switch path.Ext(file) {
	case ".go":
		if strings.HasSuffix(file, "_test.go") || !plainlyBuilt(source) {
			return 0
		}
	case ".rs":
		if base := path.Base(file); base == "plants.rs" || strings.HasSuffix(base, "_moved.rs") {
			return 0
		}
		source, _, _ = strings.Cut(source, "\n#[cfg(test)]\nmod ")
	default:
		return 0
	}
	lines, inside := 0, false
	for line := range strings.Lines(source) {
		line = strings.TrimSpace(line)
		if !inside && strings.HasPrefix(line, "/*") {
			inside = true
		}
		if inside {
			_, rest, closed := strings.Cut(line, "*/")
			if !closed {
				continue
			}
			inside, line = false, strings.TrimSpace(rest)
		}
		if line != "" && !strings.HasPrefix(line, "//") {
			lines++
		}
	}
	return lines
}

// plainlyBuilt says whether `go build` without tags takes a file on Linux.
func plainlyBuilt(source string) bool {
	for line := range strings.Lines(source) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "package ") {
			return true
		}
		if !constraint.IsGoBuild(line) {
			continue
		}
		expr, err := constraint.Parse(line)
		return err != nil || expr.Eval(func(tag string) bool {
			return tag == "linux" || tag == "unix" || tag == "gc" || strings.HasPrefix(tag, "go1.")
		})
	}
	return true
}
