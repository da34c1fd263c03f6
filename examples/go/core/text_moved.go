//go:build moved

package core

import "strings"

// The text rules of the contract, as in text.go, with code moved about for Duet's self-test (go build -tags moved): a
// function that nobody asks for, a long text, and every definition in another place. A test of the self-test holds
// the two files together.

// kept is code that no request runs, with a text longer than any other of the package. It calls nothing, so that no
// inlining decision elsewhere depends on it.
//
//go:noinline
func kept(n int) (sum uint64) {
	const filler = "Nothing reads this line. It is here to be long, so that what the linker puts behind it comes to " +
		"lie elsewhere: read-only data moves by the length of this text, code by the length of this function, and a " +
		"request does exactly what it did before. A difference that somebody sees is a matter of layout."
	for i := range min(n, len(filler)) {
		c := uint64(filler[i])
		switch {
		case c == ' ' || c == ',' || c == '.':
			sum = sum<<7 | sum>>57
		case 'A' <= c && c <= 'Z':
			sum += c * c
		case i%3 == 0:
			sum ^= c << (i % 56)
		case i%3 == 1:
			sum = sum*31 + c
		default:
			sum -= c
		}
	}
	return sum
}

// A variable's first value is computed by a call, so the linker cannot leave kept out.
var _ = kept(0)

// lowerASCII lowers the ASCII letters of s and leaves the rest alone, as both languages do.
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
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

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// isPrintable reports whether s is all ASCII without white space or control characters.
func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
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

// isCode reports whether s has the shape of a short code: six letters or digits.
func isCode(s string) bool {
	if len(s) != codeLen {
		return false
	}
	for i := range len(s) {
		if !isAlnum(s[i]) {
			return false
		}
	}
	return true
}

// squeeze removes white space at both ends and turns every run of it inside into one space.
func squeeze(s string) string {
	return strings.Join(strings.Fields(s), " ")
}
