package symbols

import (
	"cmp"
	"context"
	"debug/dwarf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Limits of what is kept of a program's debug information. Beyond them there are no lines.
const (
	rowsLimit   = 32 << 20 // of one unit's line table
	scopesLimit = 8 << 20  // functions and inlined calls of one unit, and their address ranges
	unitsLimit  = 1 << 20
	depthLimit  = 500 // of entries in entries
	originLimit = 8   // steps from an inlined call to what names its function
)

// lines is the debug information of a program. Of its units, those that are asked for are read, once each.
type lines struct {
	data  *dwarf.Data
	units []*unit
	spans []span // of addresses, sorted
	names map[dwarf.Offset]function
}

type span struct {
	low, high uint64
	unit      *unit
}

// unit is what one run of a compiler made: in Rust a part of a crate.
type unit struct {
	entry     *dwarf.Entry
	loaded    bool
	rows      []row // by address
	functions []piece
	files     []*dwarf.LineFile
}

// row begins a stretch of machine code of one source line; without a file it ends the stretch before.
type row struct {
	address uint64
	file    *dwarf.LineFile
	line    int
}

// scope is a function's machine code, or that of a call which was inlined into it.
type scope struct {
	ranges   [][2]uint64
	entry    dwarf.Offset
	callFile int // index of the unit's files
	callLine int
	inner    []*scope
}

type piece struct {
	low, high uint64
	scope     *scope
}

// function is what debug information calls a function.
type function struct {
	linked string // mangled; empty: not said
	plain  string // without its path
	line   int    // where it begins
}

// HasLines says whether there are line tables of more than the language's own library, whose tables come with the
// toolchain.
func (f *File) HasLines() bool {
	l, err := f.debug()
	return err == nil && l != nil && slices.ContainsFunc(l.units, (*unit).own)
}

// own says whether a unit has lines and is not of Rust's own library.
func (u *unit) own() bool {
	_, has := u.entry.Val(dwarf.AttrStmtList).(int64)
	folder, _ := u.entry.Val(dwarf.AttrCompDir).(string)
	language, _ := u.entry.Val(dwarf.AttrLanguage).(int64)
	return has && language == rust && !strings.HasPrefix(folder, "/rustc/") && !strings.HasPrefix(folder, "/rust/deps/")
}

// HasPaths says whether functions that were inlined are known by more than their last name. The least of debug
// information ("line-tables-only") does without.
func (f *File) HasPaths() (has bool) {
	defer func() { has = has && recover() == nil }()
	l, err := f.debug()
	if err != nil || l == nil {
		return false
	}
	const looked = 4096 // entries of a unit: a function with a name is among the first
	r := l.data.Reader()
	for _, u := range l.units {
		if !u.own() {
			continue
		}
		r.Seek(u.entry.Offset)
		for i := range looked {
			e, err := r.Next()
			if err != nil || e == nil || i > 0 && e.Tag == dwarf.TagCompileUnit { // the next one
				break
			}
			if e.AttrField(dwarf.AttrLinkageName) != nil {
				return true
			}
		}
	}
	return false
}

const rust = 0x1c // DW_LANG_Rust; the toolchain's own library says it was compiled in /rustc/HASH, its dependencies in /rust/deps

// debug reads which units there are, once.
func (f *File) debug() (l *lines, err error) {
	defer recovered(&err)
	if f.read {
		return f.lines, nil
	}
	f.read = true
	if f.elf.Section(".debug_info") == nil {
		return nil, nil
	}
	data, err := f.elf.DWARF()
	if err != nil {
		return nil, fmt.Errorf("reading debug information: %w", err)
	}
	info, err := f.elf.Section(".debug_info").Data()
	if err != nil {
		return nil, fmt.Errorf("reading debug information: %w", err)
	}
	l = &lines{data: data, names: map[dwarf.Offset]function{}}
	if err := l.readUnits(unitEntries(info, f.elf.ByteOrder)); err != nil {
		return nil, fmt.Errorf("reading debug information: %w", err)
	}
	f.lines = l
	return l, nil
}

// unitEntries are where the units' own entries begin. The standard library's reader would walk through all of a unit to
// find the next.
func unitEntries(info []byte, order binary.ByteOrder) (all []dwarf.Offset) {
	const shortest = 12 // bytes of a header
	for at := uint64(0); at+shortest <= uint64(len(info)) && len(all) <= unitsLimit; {
		length, version, kind := order.Uint32(info[at:]), order.Uint16(info[at+4:]), info[at+6]
		header := uint64(11)
		if version >= 5 {
			header = map[byte]uint64{1: 12, 3: 12, 4: 20, 5: 20}[kind] // DW_UT_*
		}
		if header != 0 {
			all = append(all, dwarf.Offset(at+header))
		}
		at += 4 + uint64(length) // 2³² and more (DWARF of 64 bits) ends the loop
	}
	return all
}

func (l *lines) readUnits(entries []dwarf.Offset) error {
	r := l.data.Reader()
	for _, at := range entries {
		r.Seek(at)
		e, err := r.Next()
		if err != nil {
			return err
		}
		if e == nil || e.Tag != dwarf.TagCompileUnit {
			continue
		}
		if len(l.units) == unitsLimit || len(l.spans) > scopesLimit {
			return errors.New("too many units")
		}
		u := &unit{entry: e}
		l.units = append(l.units, u)
		ranges, err := l.data.Ranges(e)
		if err != nil {
			return err
		}
		for _, r := range ranges {
			if r[0] != 0 && r[0] < r[1] { // 0: dropped by the linker
				l.spans = append(l.spans, span{low: r[0], high: r[1], unit: u})
			}
		}
	}
	slices.SortFunc(l.spans, func(a, b span) int { return cmp.Compare(a.low, b.low) })
	return nil
}

// unitAt is the unit of an address; nil: none.
func (l *lines) unitAt(address uint64) *unit {
	after, _ := slices.BinarySearchFunc(l.spans, address, func(s span, a uint64) int {
		if s.low <= a {
			return -1
		}
		return 1
	})
	if after == 0 || address >= l.spans[after-1].high {
		return nil
	}
	return l.spans[after-1].unit
}

// load reads a unit's lines and functions.
func (u *unit) load(ctx context.Context, l *lines) error {
	if u.loaded {
		return nil
	}
	u.loaded = true
	if err := u.loadRows(ctx, l); err != nil {
		u.rows = nil
		return err
	}
	if err := u.loadScopes(ctx, l); err != nil {
		u.functions = nil
		return err
	}
	return nil
}

func (u *unit) loadRows(ctx context.Context, l *lines) error {
	r, err := l.data.LineReader(u.entry)
	if err != nil || r == nil {
		return err
	}
	for e := (dwarf.LineEntry{}); ; {
		err := r.Next(&e)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if len(u.rows) == rowsLimit {
			return fmt.Errorf("a unit of more than %d lines", rowsLimit)
		}
		if len(u.rows)%4096 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		at := row{address: e.Address, file: e.File, line: e.Line}
		if e.EndSequence {
			at.file = nil
		}
		u.rows = append(u.rows, at)
	}
	u.files = r.Files()
	// Within one address the last row holds; a sequence's end stands before the next one's begin.
	slices.SortStableFunc(u.rows, func(a, b row) int {
		if c := cmp.Compare(a.address, b.address); c != 0 {
			return c
		}
		return cmp.Compare(boolInt(a.file != nil), boolInt(b.file != nil))
	})
	return nil
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// line is the source line of an address.
func (u *unit) line(address uint64) (file string, line int) {
	after, _ := slices.BinarySearchFunc(u.rows, address, func(r row, a uint64) int {
		if r.address <= a {
			return -1
		}
		return 1
	})
	if after == 0 || u.rows[after-1].file == nil {
		return "", 0
	}
	return clipped(u.rows[after-1].file.Name), u.rows[after-1].line
}

// file is a file of the unit by its index.
func (u *unit) file(index int) string {
	if index < 0 || index >= len(u.files) || u.files[index] == nil {
		return ""
	}
	return clipped(u.files[index].Name)
}

func clipped(name string) string { return name[:min(len(name), nameLimit)] }
