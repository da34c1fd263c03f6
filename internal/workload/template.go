package workload

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"text/template"
	"text/template/parse"
)

// Bounds of one rendered message. A template is the pull request's own text: it may not spin or fill memory.
const (
	maxMessage    = 1 << 20 // bytes
	maxRange      = 10_000  // turns of all nested ranges together
	maxHex        = 1024    // digits
	maxWords      = 1000
	maxIntBound   = 1 << 53 // what JSON readers keep exact
	maxRangeDepth = 3
	maxSteps      = 100_000 // functions and values of a template, each as often as ranges repeat it
	maxDraws      = 200_000 // digits, words and turns of one message
	maxPrinted    = 64 << 10
)

// compiled is a template that was found harmless.
type compiled struct {
	tree     *template.Template
	captures []string // names it asks for
}

// templateError is what is wrong with a template and in which of its lines, from 1.
type templateError struct {
	line int
	text string
}

// in makes the error one of a request whose text is no longer at hand line by line.
func (e *templateError) in(r Request) error { return requestError(r, e.text) }

func requestError(r Request, text string) error {
	name := r.Name
	switch {
	case name != "":
	case r.Type != "":
		name = "message"
	default:
		name = r.Method + " " + r.Path
	}
	if r.Place == "" {
		return fmt.Errorf("request %s: %s", name, text)
	}
	return fmt.Errorf("%s: request %s: %s", r.Place, name, text)
}

// allowed are the functions a template may call: ours, and those of text/template that cannot blow up
// (printf "%999999999d" can).
func allowed() []string {
	return []string{
		"capture", "hex", "int", "n", "pick", "seq", "word", "words", "zipf",
		"and", "eq", "ge", "gt", "le", "lt", "ne", "not", "or", "print", "urlquery",
	}
}

var (
	templatePlace = regexp.MustCompile(`(?s)^template: t:(\d+)(?::\d+)?: (?:executing "t" at )?(.*)$`)
	nodePlace     = regexp.MustCompile(`^t:(\d+):`)
)

func wrapTemplateError(err error) *templateError {
	var limit *templateError
	if errors.As(err, &limit) {
		return limit
	}
	m := templatePlace.FindStringSubmatch(err.Error())
	if m == nil {
		return &templateError{line: 1, text: err.Error()}
	}
	line, convErr := strconv.Atoi(m[1])
	if convErr != nil {
		line = 1
	}
	return &templateError{line: line, text: m[2]}
}

func (e *templateError) Error() string { return e.text }

// compile parses a template and refuses what could spin, recurse or call what is not ours.
func compile(source string) (compiled, *templateError) {
	tree, err := template.New("t").Funcs(new(dice).functions()).Option("missingkey=error").Parse(source)
	if err != nil {
		return compiled{}, wrapTemplateError(err)
	}
	if len(tree.Templates()) > 1 {
		return compiled{}, &templateError{line: 1, text: "unexpected define: a template is one text"}
	}
	c := compiled{tree: tree}
	if tree.Tree == nil || tree.Tree.Root == nil { // an empty text
		return c, nil
	}
	walk := &walker{tree: tree.Tree}
	err2 := walk.list(tree.Tree.Root, 1, 0)
	c.captures = walk.captures
	if err2 != nil {
		return compiled{}, err2
	}
	return c, nil
}

// walker reads a template's tree before it ever runs.
type walker struct {
	tree     *parse.Tree
	captures []string
	steps    int
}

func (w *walker) errorf(at parse.Node, format string, args ...any) *templateError {
	place, _ := w.tree.ErrorContext(at)
	line := 1
	if m := nodePlace.FindStringSubmatch(place); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = n
		}
	}
	return &templateError{line: line, text: fmt.Sprintf(format, args...)}
}

// list walks nodes; turns is how often they may run and depth how many ranges stand around them.
func (w *walker) list(l *parse.ListNode, turns, depth int) *templateError {
	if l == nil {
		return nil
	}
	for _, node := range l.Nodes {
		if err := w.node(node, turns, depth); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) node(node parse.Node, turns, depth int) *templateError {
	switch node := node.(type) {
	case *parse.TextNode, *parse.CommentNode, *parse.BreakNode, *parse.ContinueNode:
		return nil
	case *parse.ActionNode:
		return w.pipe(node.Pipe, turns)
	case *parse.IfNode:
		return w.branch(&node.BranchNode, turns, depth)
	case *parse.WithNode:
		return w.branch(&node.BranchNode, turns, depth)
	case *parse.RangeNode:
		count, err := w.rangeCount(node)
		if err != nil {
			return err
		}
		if turns*count > maxRange || depth >= maxRangeDepth {
			return w.errorf(node, "range: expected at most %d turns and %d levels in all", maxRange, maxRangeDepth)
		}
		if err := w.pipe(node.Pipe, turns); err != nil {
			return err
		}
		return w.lists(&node.BranchNode, turns*count, depth+1)
	default:
		return w.errorf(node, "unexpected %s", node)
	}
}

func (w *walker) branch(b *parse.BranchNode, turns, depth int) *templateError {
	if err := w.pipe(b.Pipe, turns); err != nil {
		return err
	}
	return w.lists(b, turns, depth)
}

func (w *walker) lists(b *parse.BranchNode, turns, depth int) *templateError {
	if err := w.list(b.List, turns, depth); err != nil {
		return err
	}
	return w.list(b.ElseList, turns, depth)
}

// rangeCount holds a range to "range n NUMBER" (or "range $i := n NUMBER"): a count that is known before it runs.
func (w *walker) rangeCount(r *parse.RangeNode) (int, *templateError) {
	if len(r.Pipe.Cmds) == 1 && len(r.Pipe.Cmds[0].Args) == 2 {
		name, isName := r.Pipe.Cmds[0].Args[0].(*parse.IdentifierNode)
		count, isNumber := r.Pipe.Cmds[0].Args[1].(*parse.NumberNode)
		if isName && isNumber && name.Ident == "n" && count.IsInt && count.Int64 >= 1 && count.Int64 <= maxRange {
			return int(count.Int64), nil
		}
	}
	return 0, w.errorf(r, "range: expected \"range n NUMBER\" with a number from 1 to %d", maxRange)
}

func (w *walker) pipe(p *parse.PipeNode, turns int) *templateError {
	if p == nil {
		return nil
	}
	if p.IsAssign {
		return w.errorf(p, "unexpected assignment: a variable is declared once, with :=")
	}
	for _, command := range p.Cmds {
		for i, arg := range command.Args {
			if err := w.argument(command, i, arg, turns); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *walker) argument(command *parse.CommandNode, i int, arg parse.Node, turns int) *templateError {
	if w.steps += turns; w.steps > maxSteps {
		return w.errorf(arg, "the template takes more than %d steps", maxSteps)
	}
	switch arg := arg.(type) {
	case *parse.IdentifierNode:
		if !slices.Contains(allowed(), arg.Ident) {
			return w.errorf(arg, "function %q: expected one of %q", arg.Ident, allowed())
		}
		if arg.Ident != "capture" && arg.Ident != "zipf" {
			return nil
		}
		if i+1 < len(command.Args) {
			if name, ok := command.Args[i+1].(*parse.StringNode); ok {
				w.captures = append(w.captures, name.Text)
				return nil
			}
		}
		return w.errorf(arg, "%s: expected the name of a capture in quotes", arg.Ident)
	case *parse.PipeNode:
		return w.pipe(arg, turns)
	case *parse.StringNode, *parse.NumberNode, *parse.BoolNode, *parse.VariableNode, *parse.DotNode:
		return nil
	default:
		return w.errorf(arg, "unexpected %s: expected a function, a number, a text, . or a variable", arg)
	}
}

// bound has its functions draw from d.
func (c compiled) bound(d *dice) compiled {
	c.tree.Funcs(d.functions())
	return c
}

// render runs a template that was bound to dice.
func (c compiled) render() (string, *templateError) {
	var out bytes.Buffer
	if err := c.tree.Execute(&limited{to: &out, left: maxMessage}, nil); err != nil {
		return "", wrapTemplateError(err)
	}
	return out.String(), nil
}

// try renders once with made-up captures, to find what no seed would make right.
func (c compiled) try() *templateError {
	captures := Captures{}
	for _, name := range c.captures {
		captures[name] = []string{"x"}
	}
	d := newDice(1, "try", captures)
	d.next()
	_, err := c.bound(d).render()
	return err
}

// limited refuses to write more than a message may hold.
type limited struct {
	to   io.Writer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, &templateError{line: 1, text: fmt.Sprintf("more than %d bytes", maxMessage)}
	}
	return l.to.Write(p)
}
