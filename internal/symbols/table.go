package symbols

import (
	"bytes"
	"cmp"
	"debug/elf"
	"fmt"
	"slices"
	"strings"

	"github.com/ianlancetaylor/demangle"
)

// table is the functions of a symbol table. The standard library would copy every name, which a hostile table makes
// endless; names stay where they are until they are asked for.
type table struct {
	symbols []symbol // by address
}

type symbol struct {
	low, high uint64 // high == low: up to the next one
	names     []byte // the string table
	at        uint32
}

const symbolSize = 24 // bytes of an Elf64_Sym

// readTable reads .symtab or, in a stripped file, .dynsym: a library's own names are there at least.
func readTable(f *elf.File) (table, error) {
	s := f.SectionByType(elf.SHT_SYMTAB)
	if s == nil {
		s = f.SectionByType(elf.SHT_DYNSYM)
	}
	if s == nil || int(s.Link) >= len(f.Sections) {
		return table{}, nil
	}
	if s.Size/symbolSize > symbolsLimit {
		return table{}, fmt.Errorf("%d symbols: expected at most %d", s.Size/symbolSize, symbolsLimit)
	}
	entries, err := s.Data()
	if err != nil {
		return table{}, err
	}
	names, err := f.Sections[s.Link].Data()
	if err != nil {
		return table{}, err
	}
	var t table
	for ; len(entries) >= symbolSize; entries = entries[symbolSize:] {
		word := func(at int) uint64 { return f.ByteOrder.Uint64(entries[at:]) }
		kind, section := elf.ST_TYPE(entries[4]), f.ByteOrder.Uint16(entries[6:])
		at, low, size := f.ByteOrder.Uint32(entries), word(8), word(16)
		if kind != elf.STT_FUNC && kind != elf.STT_GNU_IFUNC || section == uint16(elf.SHN_UNDEF) || low+size < low || int64(at) >= int64(len(names)) {
			continue
		}
		t.symbols = append(t.symbols, symbol{low: low, high: low + size, names: names, at: at})
	}
	slices.SortStableFunc(t.symbols, func(a, b symbol) int {
		return cmp.Or(cmp.Compare(a.low, b.low), cmp.Compare(a.high, b.high))
	})
	return t, nil
}

func (t table) name(s symbol) string {
	name := s.names[s.at:]
	if end := bytes.IndexByte(name[:min(len(name), nameLimit)], 0); end >= 0 {
		return string(name[:end])
	}
	return ""
}

// find is the name of the function at an address; empty: none.
func (t table) find(address uint64) string {
	after, _ := slices.BinarySearchFunc(t.symbols, address, func(s symbol, a uint64) int {
		if s.low <= a {
			return -1
		}
		return 1
	})
	for i := after - 1; i >= 0 && i >= after-4; i-- { // aliases, and assembler's labels without a size, lie at one address
		s := t.symbols[i]
		if address < s.high {
			return t.name(s)
		}
		if s.high == s.low && (after == len(t.symbols) || address < t.symbols[after].low) {
			return t.name(s)
		}
	}
	return ""
}

// demangledLog2 bounds a demangled name to 2^15 bytes: a short mangled name can be made to unfold without end.
const demangledLog2 = 15

// Demangled is a name as its author wrote it: Rust's mangling, v0 and legacy, and C++'s. Legacy names lose their hash.
func Demangled(name string) string {
	if strings.HasPrefix(name, "_R") || strings.HasPrefix(name, "_Z") {
		return withoutHash(demangle.Filter(name, demangle.MaxLength(demangledLog2)))
	}
	return name
}

// withoutHash drops ::h and 16 hexadecimal digits from the end of a name.
func withoutHash(name string) string {
	const digits = 16
	at := len(name) - digits - len("::h")
	if at <= 0 || name[at:at+len("::h")] != "::h" || strings.Trim(name[at+len("::h"):], "0123456789abcdef") != "" {
		return name
	}
	return name[:at]
}
