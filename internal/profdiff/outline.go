package profdiff

import (
	"cmp"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/alecthomas/chroma/v2"
	"github.com/alecthomas/chroma/v2/lexers"
)

// Outlines are the functions of a Rust tree's files, by which code that was inlined gets its name back: a line of
// callgrind's has the file it was written in, and the name of the function that it ended up in. A text is looked into
// when it is first asked for. Safe for concurrent use; the zero value and nil know nothing.
type Outlines struct {
	Texts  map[string]string // by file of the tree
	Within time.Duration     // how long looking through them may take; 0: a minute

	lock  sync.Mutex
	known map[string][]extent
	read  int           // bytes
	spent time.Duration // on that
	late  bool          // the time was used up
}

// extent is the lines of a function or a type, with the comments between them.
type extent struct {
	first, last int
	path        []string // modules, types and functions around it in its file, and its own name
}

// enclosing is the innermost function or type around a line; nil: none, or the file is not known.
func (o *Outlines) enclosing(file string, line int) []string {
	var inner extent
	for _, e := range o.of(file) { // by first line
		if e.first <= line && line <= e.last {
			inner = e
		}
	}
	return inner.path
}

// named is the function of a file that a written path names, by its path in the file: of a free function by the last
// name, of a type's by the type's as well. nil: none.
func (o *Outlines) named(file, path string) []string {
	parts := strings.Split(path, "::")
	for _, e := range o.of(file) {
		n := min(len(e.path), 2)
		if len(parts) >= n && slices.Equal(parts[len(parts)-n:], e.path[len(e.path)-n:]) {
			return e.path
		}
	}
	return nil
}

// Late says whether the time for looking through texts was used up, so that some of them tell nothing.
func (o *Outlines) Late() bool {
	if o == nil {
		return false
	}
	o.lock.Lock()
	defer o.lock.Unlock()
	return o.late
}

func (o *Outlines) of(file string) []extent {
	if o == nil {
		return nil
	}
	o.lock.Lock()
	defer o.lock.Unlock()
	found, ok := o.known[file]
	if text, has := o.Texts[file]; has && !ok && !o.late && len(text) <= maxSource && o.read+len(text) <= maxRead {
		began := time.Now()
		found, o.late = rustOutline(text, cmp.Or(o.Within, sourceTime)-o.spent)
		o.read, o.spent = o.read+len(text), o.spent+time.Since(began)
		if o.known == nil {
			o.known = map[string][]extent{}
		}
		o.known[file] = found
	}
	return found
}

const (
	// maxSource is the length of the longest source file that is looked into, and maxRead of all of a tree, in bytes: only
	// files whose code was inlined into a library's functions are.
	maxSource = 1 << 19
	maxRead   = 4 << 20
	// sourceTime is how long all of a tree may take. The lexer reads 200 to 500 kB a second; a hostile text can make it try
	// the same place again and again.
	sourceTime = time.Minute
	// maxOpen is how many brackets may be open at once.
	maxOpen = 1_000
)

// rustOutline finds the functions and types of a source file, in the order of their first lines: attributes are the
// first. None are found in a text that is too deep, or that takes longer than within, which late says.
func rustOutline(text string, within time.Duration) (found []extent, late bool) {
	tokens, err := lexers.Get("rust").Tokenise(nil, text)
	if err != nil {
		return nil, false
	}
	o := outliner{line: 1}
	end := time.Now().Add(within)
	for t := tokens(); t != chroma.EOF; t = tokens() {
		if time.Now().After(end) {
			return nil, true
		}
		if !o.read(t) {
			return nil, false
		}
		o.line += strings.Count(t.Value, "\n")
	}
	slices.SortStableFunc(o.found, func(a, b extent) int { return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(b.last, a.last)) })
	return o.found, false
}

// outliner is what is known after the tokens read so far.
type outliner struct {
	line    int
	found   []extent
	open    []bracket
	item    item   // whose body has not begun
	begins  int    // line of the first token after the last item; 0: none yet
	keyword string // the token before, where it names an item
	raw     bool   // the item's name may go on
}

type bracket struct {
	opening string
	item    item
}

// item is a part of a file that has a name: a function, a type, a module, or what is implemented for a type.
type item struct {
	kind, name string // an empty kind: none
	first      int
	depth      int // brackets open around it
	angles     int // of an impl: <> open in its head
	closed     bool
}

var items = []string{"fn", "struct", "enum", "union", "trait", "mod", "impl"}

func (o *outliner) read(t chroma.Token) (ok bool) {
	text := strings.TrimSpace(t.Value)
	blank := text == "" || t.Type.InCategory(chroma.Comment) && t.Type != chroma.CommentPreproc || t.Type == chroma.LiteralStringDoc
	if blank {
		return true
	}
	if o.begins == 0 {
		o.begins = o.line
	}
	named := o.keyword
	o.keyword = ""
	switch {
	case t.Type.InCategory(chroma.Keyword) && slices.Contains(items, text) && o.item.kind == "":
		if text == "impl" {
			o.item = item{kind: text, first: o.begins, depth: len(o.open)}
		}
		o.keyword = text
	case o.item.name == "r" && o.raw && (text == "#" || t.Type.InCategory(chroma.Name) || t.Type.InCategory(chroma.Keyword)):
		if text != "#" { // r#match
			o.item.name, o.raw = text, false
		}
	case named != "" && named != "impl" && t.Type.InCategory(chroma.Name):
		o.raw = text == "r"
		o.item = item{kind: named, name: text, first: o.begins, depth: len(o.open)}
	case t.Type == chroma.Punctuation:
		return o.punctuation(text)
	case o.item.kind == "impl":
		o.item.implemented(t, text)
	}
	return true
}

// implemented reads on in the head of an impl, of which the last type at the end, or before a where, is the one meant.
func (i *item) implemented(t chroma.Token, text string) {
	switch {
	case t.Type == chroma.Operator:
		i.angles += strings.Count(text, "<") - strings.Count(text, ">")
	case text == "where":
		i.closed = true
	case i.angles <= 0 && !i.closed && (t.Type.InCategory(chroma.Name) || t.Type == chroma.KeywordType):
		i.name = text
	}
}

func (o *outliner) punctuation(text string) (ok bool) {
	for _, c := range strings.Split(text, "") {
		switch c {
		case "{", "(", "[":
			if len(o.open) == maxOpen {
				return false
			}
			b := bracket{opening: c}
			if c == "{" && o.item.kind != "" && o.item.depth == len(o.open) && o.item.angles <= 0 {
				b.item, o.item = o.item, item{}
			}
			o.open = append(o.open, b)
			if c == "{" {
				o.begins = 0
			}
		case "}", ")", "]":
			o.close(map[string]string{"}": "{", ")": "(", "]": "["}[c])
			if c == "}" {
				o.begins = 0
			}
		case ";":
			if o.item.kind == "" || o.item.depth >= len(o.open) {
				o.keep(o.item) // a type without a body
				o.item, o.begins = item{}, 0
			}
		}
	}
	return true
}

// close ends the innermost bracket of a kind, and whatever was left open in it.
func (o *outliner) close(opening string) {
	at := len(o.open) - 1
	for ; at >= 0 && o.open[at].opening != opening; at-- {
	}
	if at < 0 {
		return
	}
	ended := o.open[at].item
	o.open = o.open[:at]
	if o.item.kind != "" && o.item.depth > at {
		o.item = item{}
	}
	if ended.kind == "fn" {
		o.found = append(o.found, o.extent(ended))
		return
	}
	o.keep(ended)
}

// keep keeps the lines of a type.
func (o *outliner) keep(i item) {
	if i.kind == "struct" || i.kind == "enum" || i.kind == "union" {
		o.found = append(o.found, o.extent(i))
	}
}

func (o *outliner) extent(i item) extent {
	e := extent{first: i.first, last: o.line}
	for _, b := range o.open {
		if b.item.name != "" {
			e.path = append(e.path, b.item.name)
		}
	}
	e.path = append(e.path, i.name)
	return e
}

// rustModule is the path of the module that a file of the tree holds, its crate first: shop::app for src/app.rs. It goes
// by where cargo and rustc look for modules.
func (s Source) rustModule(file string) []string {
	folder := ""
	for _, f := range s.Workspaces {
		if (f == "." || strings.HasPrefix(file, f+"/")) && len(f) > len(folder) && s.Packages[f] != "" {
			folder = f
		}
	}
	below := strings.TrimSuffix(file, path.Ext(file))
	crate := s.Packages[folder]
	if folder != "." {
		below = strings.TrimPrefix(below, folder+"/")
	}
	parts := strings.Split(strings.TrimPrefix(below, "src/"), "/")
	if parts[0] == "bin" && len(parts) > 1 {
		crate, parts = strings.ReplaceAll(parts[1], "-", "_"), parts[2:]
	}
	if n := len(parts); n > 0 && (parts[n-1] == "mod" || n == 1 && (parts[0] == "lib" || parts[0] == "main")) {
		parts = parts[:n-1]
	}
	if crate == "" {
		return parts
	}
	return append([]string{crate}, parts...)
}

// written is the name of the function or type that a line of a Rust file in the repository was written in, as its symbol
// would be where it had one, and its path in the file. Empty: not known.
func (s Source) written(file string, line int) (name string, inFile []string) {
	inTree := s.inTree(file)
	inFile = s.Outlines.enclosing(inTree, line)
	if inFile == nil {
		return "", nil
	}
	return strings.Join(append(s.rustModule(inTree), inFile...), "::"), inFile
}
