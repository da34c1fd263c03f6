package symbols

import (
	"cmp"
	"context"
	"debug/dwarf"
	"errors"
	"slices"
	"strings"
)

// loadScopes reads which functions the unit has and what was inlined into them.
func (u *unit) loadScopes(ctx context.Context, l *lines) error {
	if !u.entry.Children {
		return nil
	}
	r := l.data.Reader()
	r.Seek(u.entry.Offset)
	if _, err := r.Next(); err != nil {
		return err
	}
	w := walk{unit: u, lines: l, room: scopesLimit}
	open := []*scope{nil} // the innermost scope around each entry that is open; nil: none
	for steps := 0; len(open) > 0; steps++ {
		if steps%1024 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		e, err := r.Next()
		if err != nil || e == nil {
			return err
		}
		if e.Tag == 0 {
			open = open[:len(open)-1]
			continue
		}
		s, enter, err := w.entry(e, open[len(open)-1])
		if err != nil {
			return err
		}
		switch {
		case !e.Children:
		case !enter:
			r.SkipChildren()
		case len(open) == depthLimit:
			return errors.New("entries too deep in each other")
		default:
			open = append(open, s)
		}
	}
	slices.SortFunc(u.functions, func(a, b piece) int { return cmp.Compare(a.low, b.low) })
	return nil
}

type walk struct {
	unit  *unit
	lines *lines
	room  int
}

// entry keeps what an entry inside the scope around it says. It returns the scope around its own children, and whether
// they are worth a look.
func (w *walk) entry(e *dwarf.Entry, around *scope) (s *scope, enter bool, err error) {
	inlined := e.Tag == dwarf.TagInlinedSubroutine
	if !inlined && e.Tag != dwarf.TagSubprogram {
		return around, true, nil
	}
	ranges, err := w.lines.data.Ranges(e)
	if err != nil {
		return nil, false, err
	}
	ranges = slices.DeleteFunc(ranges, func(r [2]uint64) bool { return r[0] == 0 || r[0] >= r[1] })
	if w.room -= 1 + len(ranges); w.room < 0 {
		return nil, false, errors.New("too many functions")
	}
	if len(ranges) == 0 || inlined && around == nil {
		return nil, false, nil // a declaration, or what others were inlined from
	}
	s = &scope{ranges: ranges, entry: e.Offset, callFile: integer(e, dwarf.AttrCallFile), callLine: integer(e, dwarf.AttrCallLine)}
	if inlined {
		around.inner = append(around.inner, s)
		return s, true, nil
	}
	for _, r := range ranges {
		w.unit.functions = append(w.unit.functions, piece{low: r[0], high: r[1], scope: s})
	}
	return s, true, nil
}

func integer(e *dwarf.Entry, a dwarf.Attr) int {
	n, _ := e.Val(a).(int64)
	return int(n)
}

func (s *scope) holds(address uint64) bool {
	return slices.ContainsFunc(s.ranges, func(r [2]uint64) bool { return r[0] <= address && address < r[1] })
}

// scopes are the function at an address and the calls inlined there, from the outside in.
func (u *unit) scopes(address uint64) []*scope {
	after, _ := slices.BinarySearchFunc(u.functions, address, func(f piece, a uint64) int {
		if f.low <= a {
			return -1
		}
		return 1
	})
	if after == 0 || address >= u.functions[after-1].high {
		return nil
	}
	all := []*scope{u.functions[after-1].scope}
	for at := all[0]; ; {
		next := slices.IndexFunc(at.inner, func(s *scope) bool { return s.holds(address) })
		if next < 0 {
			return all
		}
		at = at.inner[next]
		all = append(all, at)
	}
}

// function is what an entry is called: by itself, or by what it was made from.
func (l *lines) function(entry dwarf.Offset) function {
	if known, ok := l.names[entry]; ok {
		return known
	}
	var f function
	r := l.data.Reader()
	for at, step := entry, 0; step < originLimit; step++ {
		r.Seek(at)
		e, err := r.Next()
		if err != nil || e == nil {
			break
		}
		if name, ok := e.Val(dwarf.AttrLinkageName).(string); ok && f.linked == "" {
			f.linked = strings.Clone(clipped(name))
		}
		if name, ok := e.Val(dwarf.AttrName).(string); ok && f.plain == "" {
			f.plain = strings.Clone(clipped(name))
		}
		if f.line == 0 {
			f.line = integer(e, dwarf.AttrDeclLine)
		}
		origin, ok := e.Val(dwarf.AttrAbstractOrigin).(dwarf.Offset)
		if !ok {
			origin, ok = e.Val(dwarf.AttrSpecification).(dwarf.Offset)
		}
		if !ok {
			break
		}
		at = origin
	}
	l.names[entry] = f
	return f
}
