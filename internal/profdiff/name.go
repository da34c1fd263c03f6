package profdiff

import (
	"strings"

	"github.com/ianlancetaylor/demangle"
)

// demangledLog2 bounds a demangled name to 2^15 bytes: a short mangled name can be made to unfold without end.
const demangledLog2 = 15

// normalise makes names of two builds alike: demangled, without callgrind's recursion suffix ('2), without the hash
// that Rust's legacy mangling ends in (::h and 16 hexadecimal digits) and without Go's mark of the assembler's calling
// convention (.abi0).
func normalise(name string) string {
	name = withoutRecursion(name)
	if strings.HasPrefix(name, "_R") || strings.HasPrefix(name, "_Z") {
		name = demangle.Filter(name, demangle.MaxLength(demangledLog2))
	}
	return strings.TrimSuffix(withoutHash(name), ".abi0")
}

func withoutRecursion(name string) string {
	at := strings.LastIndexByte(name, '\'')
	if at <= 0 || at == len(name)-1 || strings.Trim(name[at+1:], "0123456789") != "" {
		return name
	}
	return name[:at]
}

func withoutHash(name string) string {
	const digits = 16
	at := len(name) - digits - len("::h")
	if at <= 0 || name[at:at+len("::h")] != "::h" || strings.Trim(name[at+len("::h"):], "0123456789abcdef") != "" {
		return name
	}
	return name[:at]
}
