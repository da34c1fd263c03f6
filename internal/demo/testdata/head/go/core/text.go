//go:build !moved

package core

import (
	"regexp"
	"strings"
)

// The text rules of the contract, in one place; those that are more than a set of characters are patterns.
const (
	blankRule = `[\s\v\x{85}\p{Z}]+`
	edgeRule  = `^[\s\v\x{85}\p{Z}]+|[\s\v\x{85}\p{Z}]+$`
	codeRule  = `^[\p{L}\p{N}]{6}$`
	plainRule = `^[!-~]*$`
)

// pattern reads a rule.
func pattern(rule string) *regexp.Regexp {
	return regexp.MustCompile(rule)
}

// squeeze removes white space at both ends and turns every run of it inside into one space.
func squeeze(s string) string {
	return pattern(blankRule).ReplaceAllString(pattern(edgeRule).ReplaceAllString(s, ""), " ")
}

// isCode reports whether s has the shape of a short code: six letters or digits.
func isCode(s string) bool {
	return len(s) == codeLen && pattern(codeRule).MatchString(s)
}

// isTag reports whether s is 1 to 32 letters, digits, "-" or "_".
func isTag(s string) bool {
	if s == "" || len(s) > 32 {
		return false
	}
	for i := range len(s) {
		if !isAlnum(s[i]) && s[i] != '-' && s[i] != '_' {
			return false
		}
	}
	return true
}

// isPrintable reports whether s is all ASCII without white space or control characters.
func isPrintable(s string) bool {
	return pattern(plainRule).MatchString(s)
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// slug writes the ASCII letters and digits of s in lower case, with "-" for every run of anything else.
func slug(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	gap := false
	for i := range len(s) {
		if !isAlnum(s[i]) {
			gap = b.Len() > 0
			continue
		}
		if gap {
			b.WriteByte('-')
			gap = false
		}
		b.WriteByte(lower(s[i]))
	}
	return b.String()
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// lowerASCII lowers the ASCII letters of s and leaves the rest alone, as both languages do.
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
