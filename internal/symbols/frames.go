package symbols

import "context"

// Frame is a function that is at work at an address.
type Frame struct {
	Name   string // as its author wrote it; never empty
	Linked string // as the linker knows it; empty: not known
	File   string // as the compiler was given it; empty: not known
	Line   int    // in File; 0: not known
	Start  int    // the function's first line; 0: not known
}

// Frames are the functions at an address of the file, the innermost first: those inlined there, and the one that holds
// them. None: nothing is known of the address. Debug information that cannot be read is as good as none; ctx ends the
// reading of it.
func (f *File) Frames(ctx context.Context, address uint64) (frames []Frame) {
	var err error
	if frames, err = f.inlined(ctx, address); err == nil && len(frames) > 0 {
		return frames
	}
	if name := f.table.find(address); name != "" {
		return []Frame{{Name: Demangled(name), Linked: name}}
	}
	return nil
}

// inlined is what debug information says.
func (f *File) inlined(ctx context.Context, address uint64) (frames []Frame, err error) {
	defer recovered(&err)
	l, err := f.debug()
	if err != nil || l == nil {
		return nil, err
	}
	u := l.unitAt(address)
	if u == nil {
		return nil, nil
	}
	if err := u.load(ctx, l); err != nil {
		return nil, err
	}
	scopes := u.scopes(address)
	file, line := u.line(address)
	for i := len(scopes) - 1; i >= 0; i-- {
		named := l.function(scopes[i].entry)
		if i == 0 && named.linked == "" { // the least of debug information leaves it to the symbol table
			named.linked = f.table.find(address)
		}
		frame := Frame{Name: named.plain, Linked: named.linked, File: file, Line: line, Start: named.line}
		if named.linked != "" {
			frame.Name = Demangled(named.linked)
		}
		if frame.Name == "" {
			frame.Name = "[unknown]"
		}
		frames = append(frames, frame)
		file, line = u.file(scopes[i].callFile), scopes[i].callLine
	}
	if name := f.table.find(address); len(frames) == 0 && name != "" {
		frames = []Frame{{Name: Demangled(name), Linked: name, File: file, Line: line}}
	}
	return frames, nil
}
