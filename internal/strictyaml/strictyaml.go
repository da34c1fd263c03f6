// Package strictyaml reads the small part of YAML that a configuration needs, and refuses the rest by line and column.
//
// One document of at most 64 KiB and 16 levels; no anchors, aliases, merge keys, tags, directives or explicit
// keys; no duplicate and no unknown keys. Values are what they look like: "012" is not eight or ten, and "yes"
// is a word. It is pure, and its errors are complete sentences: file, place, what was found, what was expected.
package strictyaml

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds of a document.
const (
	MaxBytes = 64 << 10
	MaxDepth = 16
	// maxTokens keeps the library's parser, which is quadratic in the length of a map, under 0.1 s.
	maxTokens = 10_000
)

// Error is a refusal and its place, written "FILE:LINE:COLUMN: …". Lines and columns count from 1.
type Error struct {
	File         string
	Line, Column int
	Text         string
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Text)
}

type kind int

const (
	nothing kind = iota // "key:" or null
	text                // quoted, block or plain
	number              // plain, looks like one
	boolean             // true or false
	list
	mapping
)

// Node is one value of a document and its place.
type Node struct {
	// Name is how errors call the value: its key, or "key[2]" for the third of a list.
	Name string
	// Line and Column are where the value starts.
	Line, Column int

	file    string
	first   int // line that holds the first character of a text
	kind    kind
	text    string // a scalar as it was spelled, without its quotes
	items   []Node
	entries []entry
}

type entry struct{ key, value Node }

// Errorf makes an Error at the node.
func (n Node) Errorf(format string, args ...any) error {
	return &Error{File: n.file, Line: n.Line, Column: n.Column, Text: fmt.Sprintf(format, args...)}
}

// TextErrorf makes an Error at a line inside the node's text; the first line is 1.
func (n Node) TextErrorf(line int, format string, args ...any) error {
	at := n
	if line > 1 || n.first != n.Line {
		at.Line, at.Column = n.first+line-1, 1
	}
	return at.Errorf(format, args...)
}

// Place is the node's "FILE:LINE".
func (n Node) Place() string { return fmt.Sprintf("%s:%d", n.file, n.Line) }

func (n Node) describe() string {
	switch n.kind {
	case nothing:
		return "nothing"
	case text:
		return fmt.Sprintf("%q", shorten(n.text))
	case number:
		return "the number " + shorten(n.text)
	case boolean:
		return n.text
	case list:
		return "a list"
	default:
		return "a map"
	}
}

func shorten(s string) string {
	const most = 60
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "…"
}

// Parse reads a document. The file's name is used in errors only.
func Parse(file string, document []byte) (Node, error) {
	at := Node{file: file, Line: 1, Column: 1}
	source, err := at.characters(document)
	if err != nil {
		return Node{}, err
	}
	parsed, err := at.library(source)
	if err != nil {
		return Node{}, err
	}
	var documents []*ast.DocumentNode
	for _, doc := range parsed.Docs {
		if doc != nil && doc.Body != nil && doc.Body.Type() != ast.CommentType {
			documents = append(documents, doc)
		}
	}
	if len(documents) == 0 {
		return Node{}, at.Errorf("the file is empty")
	}
	if len(documents) > 1 {
		return Node{}, at.place(documents[1].Start).Errorf("unexpected second document: expected one")
	}
	at.Name = "the file"
	return at.convert(documents[0].Body, 1)
}

// characters refuses what no editor writes by intention, and makes line ends "\n".
func (n Node) characters(document []byte) (string, error) {
	if len(document) > MaxBytes {
		return "", n.Errorf("the file has %d bytes: expected at most %d", len(document), MaxBytes)
	}
	source := strings.ReplaceAll(strings.TrimPrefix(string(document), "\ufeff"), "\r\n", "\n")
	for _, r := range source {
		switch {
		case r == '\n':
			n.Line, n.Column = n.Line+1, 1
			continue
		case r == utf8.RuneError:
			return "", n.Errorf("unexpected bytes: expected UTF-8")
		case r < ' ' && r != '\t', r == 0x7f, r >= 0x80 && r < 0xa0, r == 0x2028, r == 0x2029, r == 0xfeff:
			return "", n.Errorf("unexpected control character U+%04X", r)
		}
		n.Column++
	}
	return source, nil
}

// library runs the YAML library on bounded tokens. A panic in it is a document that nobody can read, not a crash.
func (n Node) library(source string) (parsed *ast.File, err error) {
	defer func() {
		if recover() != nil {
			parsed, err = nil, n.Errorf("the file is not YAML")
		}
	}()
	tokens := lexer.Tokenize(source)
	if err := n.refuse(tokens); err != nil {
		return nil, err
	}
	parsed, err = parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	var located interface {
		error
		GetToken() *token.Token
		GetMessage() string
	}
	if errors.As(err, &located) {
		return nil, n.place(located.GetToken()).Errorf("%s", located.GetMessage())
	}
	if err != nil {
		return nil, n.Errorf("%s", err)
	}
	return parsed, nil
}

// refuse bounds what the parser will recurse into, and names what YAML has and a configuration does not need.
func (n Node) refuse(tokens token.Tokens) error {
	if len(tokens) > maxTokens {
		return n.place(tokens[maxTokens]).Errorf("the file is too long: expected at most %d words and signs", maxTokens)
	}
	flow, line, onLine := 0, 0, 0
	for _, t := range tokens {
		at := n.place(t)
		if at.Line != line {
			line, onLine = at.Line, 0
		}
		switch t.Type {
		case token.AnchorType:
			return at.Errorf("unexpected anchor: anchors are not supported, repeat the value")
		case token.AliasType:
			return at.Errorf("unexpected alias: aliases are not supported, repeat the value (or quote a leading *)")
		case token.MergeKeyType:
			return at.Errorf("unexpected merge key: merge keys are not supported, repeat the values")
		case token.TagType:
			return at.Errorf("unexpected tag: tags are not supported (quote a leading !)")
		case token.DirectiveType:
			return at.Errorf("unexpected directive: directives are not supported (quote a leading %%)")
		case token.MappingKeyType:
			return at.Errorf("unexpected explicit key: write \"key: value\" (or quote a leading ?)")
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow--
		case token.SequenceEntryType, token.MappingValueType:
			if flow == 0 {
				onLine++
			}
		}
		if flow > MaxDepth || onLine > MaxDepth {
			return at.Errorf("too deep: expected at most %d levels", MaxDepth)
		}
	}
	return nil
}

func (n Node) place(t *token.Token) Node {
	if t != nil && t.Position != nil {
		n.Line, n.Column = max(t.Position.Line, 1), max(t.Position.Column, 1)
	}
	return n
}

// convert turns the library's tree into Nodes.
func (n Node) convert(from ast.Node, depth int) (Node, error) {
	to := n.place(from.GetToken())
	to.first = to.Line
	if depth > MaxDepth {
		return Node{}, to.Errorf("too deep: expected at most %d levels", MaxDepth)
	}
	switch from := from.(type) {
	case *ast.MappingNode:
		return to.convertMapping(from.Values, depth)
	case *ast.MappingValueNode:
		return to.convertMapping([]*ast.MappingValueNode{from}, depth)
	case *ast.SequenceNode:
		to.kind = list
		for i, value := range from.Values {
			if value == nil {
				return Node{}, to.Errorf("%s[%d]: expected a value, got nothing", n.Name, i)
			}
			item, err := Node{file: n.file, Name: fmt.Sprintf("%s[%d]", n.Name, i), Line: to.Line, Column: to.Column}.convert(value, depth+1)
			if err != nil {
				return Node{}, err
			}
			to.items = append(to.items, item)
		}
		return to, nil
	case *ast.LiteralNode:
		to.kind, to.text, to.first = text, from.Value.Value, to.Line+1
	case *ast.StringNode:
		to.kind, to.text = text, from.Value
	case *ast.NullNode:
		to.kind = nothing
	case *ast.BoolNode:
		to.kind, to.text = boolean, from.Token.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		to.kind, to.text = number, from.GetToken().Value
	default:
		return Node{}, to.Errorf("unexpected %s", strings.ToLower(from.Type().String()))
	}
	return to, nil
}

func (n Node) convertMapping(values []*ast.MappingValueNode, depth int) (Node, error) {
	n.kind = mapping
	seen := map[string]Node{}
	for i, value := range values {
		key := Node{file: n.file, Name: "key", Line: n.Line, Column: n.Column}.place(value.Key.GetToken())
		if i == 0 {
			n.Line, n.Column = key.Line, key.Column // the library points at the first colon
		}
		name, ok := value.Key.(ast.ScalarNode)
		if !ok || value.Key.Type() == ast.NullType {
			return Node{}, key.Errorf("unexpected key: expected a word")
		}
		key.kind, key.text = text, name.GetToken().Value
		if first, ok := seen[key.text]; ok {
			return Node{}, key.Errorf("duplicate key %q: first given in line %d", key.text, first.Line)
		}
		seen[key.text] = key
		under := Node{file: n.file, Name: key.text, Line: key.Line, Column: key.Column}
		converted := under
		if value.Value != nil {
			var err error
			if converted, err = under.convert(value.Value, depth+1); err != nil {
				return Node{}, err
			}
			if converted.kind == nothing {
				converted.Line, converted.Column = key.Line, key.Column
			}
		}
		n.entries = append(n.entries, entry{key, converted})
	}
	return n, nil
}
