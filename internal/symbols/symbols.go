// Package symbols reads what a program says of itself: its names, its source lines, its machine code.
//
// Programs are of foreign make and their debug information is data, never trusted: it is bounded before it is read, read
// by the standard library alone, in memory that Go watches over, and no tool runs on it. What is wrong in it makes names
// and lines that are wrong, or none.
package symbols

import (
	"crypto/sha256"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
)

// Limits. A large Rust service with line tables has some 100 MiB of them and 10⁵ functions.
const (
	fileLimit    = 2 << 30 // bytes of a program
	debugLimit   = 1 << 30 // bytes of all debug sections, decompressed
	symbolsLimit = 4 << 20 // entries of a symbol table
	nameLimit    = 32 << 10
)

// File is an open program or library.
type File struct {
	in    *os.File
	elf   *elf.File
	table table
	lines *lines // nil: there are none, or not read yet
	read  bool   // lines was tried
}

// Open opens an ELF file of 64 bits. Close it.
func Open(path string) (f *File, err error) {
	in, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("reading symbols: %w", err)
	}
	defer func() {
		if err != nil {
			in.Close()
			err = fmt.Errorf("reading symbols of %s: %w", path, err)
		}
	}()
	defer recovered(&err)
	info, err := in.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > fileLimit {
		return nil, fmt.Errorf("not a regular file of at most %d MiB", fileLimit>>20)
	}
	parsed, err := elf.NewFile(in)
	if err != nil {
		return nil, err
	}
	if err := bounded(parsed, info.Size()); err != nil {
		return nil, err
	}
	f = &File{in: in, elf: parsed}
	f.table, err = readTable(parsed)
	return f, err
}

// recovered turns a panic of a decoder into an error.
func recovered(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("malformed: %v", r)
	}
}

// bounded refuses what would be read without end: sections that lie on top of each other, or unpack to too much.
func bounded(f *elf.File, size int64) error {
	if f.Class != elf.ELFCLASS64 {
		return fmt.Errorf("%s: expected %s", f.Class, elf.ELFCLASS64)
	}
	room, debug := uint64(size)+1<<20, uint64(debugLimit)
	for _, s := range f.Sections {
		if s.Type == elf.SHT_NOBITS {
			continue
		}
		if s.FileSize > room {
			return errors.New("its sections are larger than the file")
		}
		room -= s.FileSize
		if strings.HasPrefix(s.Name, ".zdebug_") {
			return errors.New("debug sections compressed in a way that was left in 2015")
		}
		if strings.HasPrefix(s.Name, ".debug_") {
			if s.Size > debug {
				return fmt.Errorf("more than %d MiB of debug information", debugLimit>>20)
			}
			debug -= s.Size
		}
	}
	return nil
}

// Close closes the file. What was read of it can no longer be looked up.
func (f *File) Close() error { return f.in.Close() }

// Interpreter is the program that loads this one; empty: it is static, and nothing can be loaded into it.
func (f *File) Interpreter() string {
	for _, p := range f.elf.Progs {
		if p.Type == elf.PT_INTERP {
			text, _ := io.ReadAll(io.LimitReader(p.Open(), 4096))
			return strings.TrimRight(string(text), "\x00")
		}
	}
	return ""
}

// HasTable says whether functions have names: that the file was not stripped.
func (f *File) HasTable() bool {
	return f.elf.SectionByType(elf.SHT_SYMTAB) != nil && len(f.table.symbols) > 0
}

// Has says whether a function of one of these names, as the linker knows it, is in the symbol tables.
func (f *File) Has(names ...string) bool {
	for _, s := range f.table.symbols {
		for _, name := range names {
			if f.table.name(s) == name {
				return true
			}
		}
	}
	return false
}

// Text is a program's machine code.
type Text struct {
	Bytes  int64
	SHA256 string
	// Sizes are the bytes of its functions, ascending, as the tables for unwinding stacks have them: stripped programs keep
	// those.
	Sizes []uint32
}

// Text reads the machine code.
func (f *File) Text() (t Text, err error) {
	defer recovered(&err)
	s := f.elf.Section(".text")
	if s == nil || s.Type == elf.SHT_NOBITS {
		return Text{}, errors.New("no .text section")
	}
	h := sha256.New()
	if t.Bytes, err = io.Copy(h, s.Open()); err != nil {
		return Text{}, fmt.Errorf("reading .text: %w", err)
	}
	t.SHA256 = hex.EncodeToString(h.Sum(nil))
	if frames := f.elf.Section(".eh_frame"); frames != nil && frames.Type != elf.SHT_NOBITS {
		raw, err := frames.Data()
		if err != nil {
			return Text{}, fmt.Errorf("reading .eh_frame: %w", err)
		}
		t.Sizes = functionSizes(raw, f.elf.ByteOrder)
	}
	return t, nil
}

// functionSizes reads .eh_frame (Linux Standard Base, 10.6): entries of a length, a pointer to what they share (0: they are
// that), an address and a size, both of 4 bytes as compilers write them for programs below 2 GiB.
func functionSizes(raw []byte, order binary.ByteOrder) (sizes []uint32) {
	const shortest = 12 // bytes of an entry after its length
	for len(raw) >= 4 {
		length := uint64(order.Uint32(raw))
		if raw = raw[4:]; length == 0 || length > uint64(len(raw)) {
			break
		}
		if entry := raw[:length]; length >= shortest && order.Uint32(entry) != 0 {
			sizes = append(sizes, order.Uint32(entry[8:]))
		}
		raw = raw[length:]
	}
	slices.Sort(sizes)
	return sizes
}

// Address is where a byte of the file is according to the file itself: what symbols and lines go by. ok is false where
// the byte is not loaded.
func (f *File) Address(offset uint64) (address uint64, ok bool) {
	for _, p := range f.elf.Progs {
		if p.Type == elf.PT_LOAD && offset >= p.Off && offset-p.Off < p.Filesz {
			return offset - p.Off + p.Vaddr, true
		}
	}
	return 0, false
}
