package result

import "slices"

// names is the table of a merged run, filled from the shards' tables.
type names struct {
	list []string
	at   map[string]Name
	full bool // somebody's functions found no place
}

func newNames() *names { return &names{at: map[string]Name{}} }

// add is the place of a shard's name; ok is false where the table has no room for it.
func (n *names) add(r Run, old Name) (place Name, ok bool) {
	text := r.Name(old)
	if text == "" {
		return 0, true
	}
	if place, known := n.at[text]; known {
		return place, true
	}
	if len(n.list) >= MaxNames {
		n.full = true
		return 0, false
	}
	n.list = append(n.list, text)
	n.at[text] = Name(len(n.list))
	return n.at[text], true
}

// all gives names their new places, all of them or none.
func (n *names) all(r Run, of ...*Name) bool {
	for _, name := range of {
		place, ok := n.add(r, *name)
		if !ok {
			return false
		}
		*name = place
	}
	return true
}

// cost is a window with its names in the table. Where there is no room its functions and lines are left out, all of them.
func (n *names) cost(r Run, c Cost) Cost {
	c.Functions, c.Lines = slices.Clone(c.Functions), slices.Clone(c.Lines)
	fits := true
	for i := range c.Functions {
		f := &c.Functions[i]
		fits = fits && n.all(r, &f.Function, &f.File, &f.Caller)
	}
	for i := range c.Lines {
		l := &c.Lines[i]
		fits = fits && n.all(r, &l.File, &l.Function)
	}
	if !fits {
		c.Functions, c.Lines = nil, nil
	}
	return c
}

// profile is the same for a sampled window.
func (n *names) profile(r Run, p Profile) Profile {
	p.Functions = slices.Clone(p.Functions)
	fits := true
	for i := range p.Functions {
		f := &p.Functions[i]
		fits = fits && n.all(r, &f.Function, &f.File)
	}
	if !fits {
		p.Functions = nil
	}
	return p
}
