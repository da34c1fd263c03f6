package profdiff

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
)

// The bounds of a dump. A real one of a window is below 2 MB with 5,000 functions and 30,000 lines; these leave room
// for services a hundred times the size and still fit the memory of a small machine.
const (
	maxBytes     = 512 << 20
	maxLine      = 256 << 10 // bytes; Rust's longest names reach some ten thousand
	maxNames     = 1 << 20   // of each kind: functions, files, objects
	maxFunctions = 1 << 19
	maxLines     = 1 << 21 // source lines with a cost of their own
	maxCalls     = 1 << 21 // places that call a function
	maxEvents    = 64      // callgrind has 14 with everything switched on

	// offBy is how many times the sum of self costs goes into the largest difference to the dump's own total that is
	// borne: 0.1 %. Callgrind's totals and lines are taken some instructions apart.
	offBy = 1000
)

// ParseCallgrind reads one dump in callgrind's format (https://valgrind.org/docs/manual/cl-format.html), which it does
// not trust. An error names the line. A dump without totals is one that was cut off.
func ParseCallgrind(r io.Reader) (Dump, error) {
	p := reader{
		functions: map[functionKey]int{},
		lines:     map[lineKey]int64{},
		calls:     map[callKey]*Call{},
		under:     map[fileKey]int64{},
		normal:    map[string]string{},
		positions: 1,
	}
	in := bufio.NewReaderSize(io.LimitReader(r, maxBytes+1), maxLine)
	for {
		text, err := in.ReadSlice('\n')
		if len(text) > 0 {
			p.number++
			p.bytes += int64(len(text))
			if lineErr := p.read(text, err); lineErr != nil {
				return Dump{}, fmt.Errorf("reading callgrind dump: line %d: %w", p.number, lineErr)
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return Dump{}, fmt.Errorf("reading callgrind dump: line %d: %w", p.number+1, err)
		}
	}
	d, err := p.dump()
	if err != nil {
		return Dump{}, fmt.Errorf("reading callgrind dump: line %d: %w", p.number, err)
	}
	return d, nil
}

type functionKey struct{ object, name string }

type lineKey struct {
	file     string
	line     int64
	function int
}

type callKey struct {
	caller, callee int
	file           string
	line           int64
}

type fileKey struct {
	function int
	file     string
}

// reader is what is known after the lines read so far.
type reader struct {
	number int
	bytes  int64

	files, names, objects table
	normal                map[string]string // raw to normalised function names

	events    int // 0: no events line yet
	positions int // numbers before the costs of a line
	totals    int64
	ended     bool // totals were read

	functions map[functionKey]int // into all
	all       []Function
	lines     map[lineKey]int64
	calls     map[callKey]*Call
	under     map[fileKey]int64 // self cost by function and the file that it was declared in
	sum       int64

	object, declared, file string // declared is fl's, file may be an inlined function's
	current                int    // into all
	inFunction             bool
	at                     [2]int64 // the last positions, for + and - and *

	callee     string
	calleeFile string
	calleeObj  string
	hasCallee  bool
	called     bool // the next line is the inclusive cost of a call
	target     int  // of that call, into all
	times      int64
}

func (p *reader) read(text []byte, readErr error) error {
	if errors.Is(readErr, bufio.ErrBufferFull) {
		return fmt.Errorf("longer than %d bytes: not a callgrind dump", maxLine)
	}
	if p.bytes > maxBytes {
		return fmt.Errorf("the dump is larger than %d bytes", int64(maxBytes))
	}
	text = bytes.TrimSpace(text)
	if len(text) == 0 || text[0] == '#' {
		return nil
	}
	if p.ended {
		return fmt.Errorf("%s after the totals: expected one part a file (--combine-dumps=no)", quoted(text))
	}
	if c := text[0]; c >= '0' && c <= '9' || c == '+' || c == '-' || c == '*' {
		return p.cost(text)
	}
	if p.called {
		return fmt.Errorf("%s: expected the cost of the call in the line before", quoted(text))
	}
	at := bytes.IndexAny(text, ":=")
	if at < 0 {
		return fmt.Errorf("unexpected %s: not a line of a callgrind dump", quoted(text))
	}
	key, value := string(text[:at]), bytes.TrimSpace(text[at+1:])
	if text[at] == ':' {
		return p.header(key, value)
	}
	return p.position(key, value)
}

func (p *reader) header(key string, value []byte) error {
	switch key {
	case "version":
		if string(value) != "1" {
			return fmt.Errorf("version %s of the format: expected 1", quoted(value))
		}
	case "events":
		return p.eventNames(bytes.Fields(value))
	case "positions":
		return p.positionNames(string(bytes.Join(bytes.Fields(value), []byte(" "))))
	case "totals":
		return p.total(bytes.Fields(value))
	case "summary": // written before the lines, so a few instructions older than totals; totals are what is held to
	case "creator", "pid", "cmd", "part", "thread", "desc", "event", "target":
	default:
		return fmt.Errorf("unexpected header %s: not a line of a callgrind dump", quoted([]byte(key)))
	}
	return nil
}

func (p *reader) eventNames(names [][]byte) error {
	if p.events > 0 {
		return errors.New("a second events line: expected one part a file (--combine-dumps=no)")
	}
	if len(names) == 0 || string(names[0]) != "Ir" {
		return fmt.Errorf("events %s: expected Ir, instructions, first", quoted(bytes.Join(names, []byte(" "))))
	}
	if len(names) > maxEvents {
		return fmt.Errorf("%d events: expected at most %d", len(names), maxEvents)
	}
	p.events = len(names)
	return nil
}

func (p *reader) positionNames(names string) error {
	if len(p.all) > 0 {
		return errors.New("a positions line after the first function")
	}
	switch names {
	case "line", "instr":
		p.positions = 1
	case "instr line":
		p.positions = 2
	default:
		return fmt.Errorf("positions %s: expected line, instr or instr line", quoted([]byte(names)))
	}
	if names == "instr" {
		p.positions = -1 // one number, which is no source line
	}
	return nil
}

func (p *reader) total(costs [][]byte) error {
	if p.events == 0 {
		return errors.New("totals before the events line")
	}
	if len(costs) == 0 || len(costs) > p.events {
		return fmt.Errorf("totals with %d numbers: expected 1 to %d, one for each event", len(costs), p.events)
	}
	n, err := number(costs[0])
	if err != nil {
		return fmt.Errorf("totals: %w", err)
	}
	p.totals, p.ended = n, true
	return nil
}

// position reads the lines that say where the costs that follow belong.
func (p *reader) position(key string, value []byte) (err error) {
	if p.events == 0 {
		return fmt.Errorf("%s before the events line", quoted([]byte(key)))
	}
	switch key {
	case "ob":
		p.object, err = p.objects.name(value)
	case "fl":
		p.file, err = p.files.name(value)
		p.declared = p.file
	case "fi", "fe":
		p.file, err = p.files.name(value)
	case "fn":
		return p.enter(value)
	case "cob":
		p.calleeObj, err = p.objects.name(value)
	case "cfl", "cfi":
		p.calleeFile, err = p.files.name(value)
	case "cfn":
		p.callee, err = p.names.name(value)
		p.hasCallee = err == nil
	case "calls":
		return p.call(bytes.Fields(value))
	case "jump", "jcnd": // the line that follows has a position and no cost
	default:
		return fmt.Errorf("unexpected %s: not a line of a callgrind dump", quoted([]byte(key)))
	}
	return err
}

func (p *reader) enter(value []byte) error {
	raw, err := p.names.name(value)
	if err != nil {
		return err
	}
	p.file = p.declared
	p.current, err = p.function(p.object, raw, p.declared)
	if err != nil {
		return err
	}
	p.inFunction = true
	p.forgetCallee()
	return p.declare()
}

// declare takes a file for the function's own: callgrind writes a function down under each file that one of its blocks
// begins in, so the one under which most of its cost stands is it.
func (p *reader) declare() error {
	if p.declared == "" || p.declared == "???" {
		return nil
	}
	key := fileKey{p.current, p.declared}
	if _, known := p.under[key]; !known && len(p.under) >= 2*maxFunctions {
		return fmt.Errorf("more than %d files of functions", 2*maxFunctions)
	}
	p.under[key] += 0
	if f := &p.all[p.current]; f.File == "" || p.under[fileKey{p.current, f.File}] <= p.under[key] {
		f.File = p.declared
	}
	return nil
}

func (p *reader) call(fields [][]byte) error {
	if !p.inFunction || !p.hasCallee {
		return errors.New("calls without a caller and a callee: expected fn= and cfn= before")
	}
	if len(fields) == 0 {
		return errors.New("calls without a number")
	}
	n, err := number(fields[0])
	if err != nil {
		return fmt.Errorf("calls: %w", err)
	}
	object, file := p.calleeObj, p.calleeFile
	if object == "" {
		object = p.object
	}
	if file == "" {
		file = p.file
	}
	index, err := p.function(object, p.callee, file)
	if err != nil {
		return err
	}
	if p.all[index].Calls, err = sum(p.all[index].Calls, n); err != nil {
		return fmt.Errorf("calls of %s: %w", quoted([]byte(p.all[index].Name)), err)
	}
	p.forgetCallee()
	p.called, p.target, p.times = true, index, n
	return nil
}

// callCost keeps what a call cost, callees included, and where it stands.
func (p *reader) callCost(inclusive int64) error {
	key := callKey{caller: p.current, callee: p.target}
	if p.positions > 0 && p.file != "???" {
		key.file, key.line = p.file, p.at[p.positions-1]
	}
	c := p.calls[key]
	if c == nil {
		if len(p.calls) >= maxCalls {
			return fmt.Errorf("more than %d calls", maxCalls)
		}
		c = &Call{File: key.file, Line: int(key.line)}
		p.calls[key] = c
	}
	var err error
	if c.Times, err = sum(c.Times, p.times); err != nil {
		return err
	}
	c.Inclusive, err = sum(c.Inclusive, inclusive)
	return err
}

func (p *reader) forgetCallee() { p.callee, p.calleeFile, p.calleeObj, p.hasCallee = "", "", "", false }

// function is the index of a function, made when it is new.
func (p *reader) function(object, raw, file string) (int, error) {
	name, ok := p.normal[raw]
	if !ok {
		name = normalise(raw)
		p.normal[raw] = name
	}
	key := functionKey{object, name}
	if index, ok := p.functions[key]; ok {
		return index, nil
	}
	if len(p.all) >= maxFunctions {
		return 0, fmt.Errorf("more than %d functions", maxFunctions)
	}
	if file == "???" {
		file = ""
	}
	p.functions[key] = len(p.all)
	p.all = append(p.all, Function{Name: name, Object: object, File: file})
	return len(p.all) - 1, nil
}

// cost reads a line of positions and costs: self cost, or after calls= the callee's, which is not counted here.
func (p *reader) cost(text []byte) error {
	if !p.inFunction {
		return fmt.Errorf("cost %s outside of a function", quoted(text))
	}
	positions := max(p.positions, -p.positions)
	for i := range positions {
		field, rest := cut(text)
		at, err := relative(field, p.at[i])
		if err != nil {
			return err
		}
		p.at[i], text = at, rest
	}
	var self int64
	for i := 0; len(text) > 0; i++ {
		field, rest := cut(text)
		n, err := number(field)
		if err != nil {
			return fmt.Errorf("cost: %w", err)
		}
		if i == p.events {
			return fmt.Errorf("more costs than the %d events", p.events)
		}
		if i == 0 {
			self = n
		}
		text = rest
	}
	if p.called {
		p.called = false
		return p.callCost(self)
	}
	return p.spend(self)
}

func (p *reader) spend(self int64) (err error) {
	if self == 0 {
		return nil
	}
	if p.sum, err = sum(p.sum, self); err != nil {
		return err
	}
	p.all[p.current].Self += self // at most p.sum
	if key := (fileKey{p.current, p.declared}); p.declared != "" && p.declared != "???" {
		p.under[key] += self
		if f := &p.all[p.current]; f.File != p.declared && p.under[key] > p.under[fileKey{p.current, f.File}] {
			f.File = p.declared
		}
	}
	if p.positions < 0 || p.file == "" || p.file == "???" {
		return nil
	}
	key := lineKey{p.file, p.at[p.positions-1], p.current}
	if key.line == 0 {
		return nil
	}
	if _, known := p.lines[key]; !known && len(p.lines) >= maxLines {
		return fmt.Errorf("more than %d source lines", maxLines)
	}
	p.lines[key] += self
	return nil
}

// dump checks the ledger and closes it.
func (p *reader) dump() (Dump, error) {
	if p.events == 0 {
		return Dump{}, errors.New("no events line: not a callgrind dump")
	}
	if !p.ended {
		return Dump{}, errors.New("the dump ends without totals: it was cut off")
	}
	if off := p.totals - p.sum; off > p.totals/offBy || -off > p.totals/offBy {
		return Dump{}, fmt.Errorf("functions sum to %d instructions, totals say %d: expected within 0.1 %%", p.sum, p.totals)
	}
	d := Dump{Total: p.totals}
	for key, self := range p.lines {
		d.Lines = append(d.Lines, Line{File: key.file, Line: int(key.line), Function: p.all[key.function].Name, Self: self})
	}
	order := make([]int, 0, len(p.all)) // of the functions that are kept
	for i, f := range p.all {
		if f.Self > 0 || f.Calls > 0 {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(i, j int) int {
		a, b := p.all[i], p.all[j]
		return cmp.Or(cmp.Compare(b.Self, a.Self), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Object, b.Object))
	})
	place := make(map[int]int, len(order))
	for at, i := range order {
		place[i] = at
		d.Functions = append(d.Functions, p.all[i])
	}
	d.Calls = p.callList(place)
	slices.SortFunc(d.Lines, func(a, b Line) int {
		return cmp.Or(cmp.Compare(b.Self, a.Self), cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Function, b.Function))
	})
	return d, nil
}

// callList are the calls of functions that are kept, in the order of callers.
func (p *reader) callList(place map[int]int) []Call {
	var calls []Call
	for key, c := range p.calls {
		caller, callerKept := place[key.caller]
		callee, calleeKept := place[key.callee]
		if callerKept && calleeKept {
			c.Caller, c.Callee = caller, callee
			calls = append(calls, *c)
		}
	}
	slices.SortFunc(calls, byEnds)
	return calls
}

func byEnds(a, b Call) int {
	return cmp.Or(cmp.Compare(a.Caller, b.Caller), cmp.Compare(a.Callee, b.Callee), cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
}

// table holds one kind of compressed names: "(3) name" the first time, "(3)" after that.
type table struct{ names map[uint32]string }

func (t *table) name(value []byte) (string, error) {
	if len(value) < 2 || value[0] != '(' || !(value[1] == '-' || value[1] >= '0' && value[1] <= '9') {
		if len(value) == 0 {
			return "", errors.New("a name that is empty")
		}
		return string(value), nil // not compressed
	}
	end := bytes.IndexByte(value, ')')
	if end < 0 {
		return "", fmt.Errorf("compressed name %s: expected (NUMBER) or (NUMBER) NAME", quoted(value))
	}
	id, err := strconv.ParseUint(string(value[1:end]), 10, 32)
	if err != nil {
		return "", fmt.Errorf("compressed name %s: expected (NUMBER) or (NUMBER) NAME", quoted(value))
	}
	known, ok := t.names[uint32(id)]
	given := bytes.TrimSpace(value[end+1:])
	if len(given) == 0 {
		if !ok {
			return "", fmt.Errorf("compressed name (%d) was never given", id)
		}
		return known, nil
	}
	if ok && known != string(given) {
		return "", fmt.Errorf("compressed name (%d) is given twice: %s and %s", id, quoted([]byte(known)), quoted(given))
	}
	if !ok && len(t.names) >= maxNames {
		return "", fmt.Errorf("more than %d names", maxNames)
	}
	if !ok {
		if t.names == nil {
			t.names = map[uint32]string{}
		}
		t.names[uint32(id)] = string(given)
	}
	return t.names[uint32(id)], nil
}

// cut splits off the first word.
func cut(text []byte) (word, rest []byte) {
	at := bytes.IndexAny(text, " \t")
	if at < 0 {
		return text, nil
	}
	return text[:at], bytes.TrimLeft(text[at:], " \t")
}

// number reads a count: decimal, or hexadecimal after 0x; never negative.
func number(text []byte) (int64, error) {
	digits, base := text, 10
	if hex, ok := bytes.CutPrefix(text, []byte("0x")); ok {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(string(digits), base, 63)
	if err != nil {
		return 0, fmt.Errorf("%s: expected a number from 0 to %d", quoted(text), int64(math.MaxInt64))
	}
	return int64(n), nil
}

// relative reads a position: a number, +n or -n from the last one, or * for the same.
func relative(text []byte, last int64) (int64, error) {
	if len(text) == 0 {
		return 0, errors.New("a cost without a position")
	}
	sign := int64(0)
	switch text[0] {
	case '*':
		if len(text) == 1 {
			return last, nil
		}
		return 0, fmt.Errorf("position %s: expected *, +n, -n or a number", quoted(text))
	case '+':
		sign = 1
	case '-':
		sign = -1
	default:
		return number(text)
	}
	n, err := number(text[1:])
	if err != nil {
		return 0, fmt.Errorf("position: %w", err)
	}
	if sign > 0 {
		return sum(last, n)
	}
	if n > last {
		return 0, fmt.Errorf("position %s from %d: expected no negative one", quoted(text), last)
	}
	return last - n, nil
}

func sum(a, b int64) (int64, error) {
	if a > math.MaxInt64-b {
		return 0, fmt.Errorf("%d and %d are too much: expected at most %d", a, b, int64(math.MaxInt64))
	}
	return a + b, nil
}

// quoted is a piece of the untrusted dump as an error may show it: short and printable.
func quoted(text []byte) string {
	const shown = 60
	if len(text) > shown {
		text = text[:shown]
	}
	return strconv.QuoteToASCII(string(text))
}
