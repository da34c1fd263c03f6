package report

import (
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/duet-bench/duet/internal/compare"
)

// Why is what a regression of one service under one workload is put down to. Figures are per request.
type Why struct {
	Service   string     `json:"service"`
	Workload  string     `json:"workload"`
	Measure   string     `json:"measure,omitempty"` // instructions, allocations or CPU time (by samples); empty: time alone moved
	Unit      string     `json:"unit,omitempty"`    // of the figures; empty: counts
	Base      *float64   `json:"base"`              // all of the service's
	Head      *float64   `json:"head"`
	Functions []Function `json:"functions"`
	Smallest  *float64   `json:"smallest"` // a change of one function that would have been named
	Rounds    int        `json:"rounds,omitempty"`
	Words     string     `json:"words,omitempty"`
	Cross     string     `json:"cross,omitempty"`    // what a cross-check with one codegen unit found
	Compiler  bool       `json:"compiler,omitempty"` // it puts the change down to the compiler
}

// Function is one that costs more at head.
type Function struct {
	Name    string          `json:"name"`
	Was     string          `json:"was,omitempty"`     // its name at base
	Via     string          `json:"via,omitempty"`     // the function that it calls, with most of the change: at base inlined, or not there
	Outside bool            `json:"outside,omitempty"` // a package that the service's own code did not call
	New     bool            `json:"new,omitempty"`     // no function at base answers to it
	File    string          `json:"file,omitempty"`    // in the repository at head
	Line    int             `json:"line,omitempty"`
	Last    int             `json:"last_line,omitempty"`
	Base    float64         `json:"base"`
	Head    float64         `json:"head"`
	Delta   float64         `json:"delta"`
	CI      *[2]float64     `json:"ci"` // 95 % of Delta
	Exact   bool            `json:"exact,omitempty"`
	Share   *float64        `json:"share"` // of all that the service's figure rose by
	Changed compare.Changed `json:"changed,omitempty"`
}

// maxWhys is how many regressions the comment and the terminal explain; report.json has all.
const maxWhys = 4

// maxPlace is how many runes of a file are shown.
const maxPlace = 48

func newWhys(of []compare.Why) []Why {
	out := make([]Why, 0, len(of))
	for _, w := range of {
		why := Why{
			Service: w.Service, Workload: w.Workload, Measure: w.Measure, Unit: w.Unit, Base: known(w.Base), Head: known(w.Head),
			Functions: make([]Function, 0, len(w.Functions)), Smallest: known(w.Smallest), Rounds: w.Rounds, Words: w.Words,
			Cross: w.Cross, Compiler: w.Compiler,
		}
		for _, f := range w.Functions {
			function := Function{
				Name: f.Name, Was: f.Was, Via: f.Via, Outside: f.Outside, New: f.New, File: f.File, Line: f.Line, Last: f.Last,
				Base: finite(f.Base), Head: finite(f.Head), Delta: finite(f.Delta), Exact: f.Exact, Share: known(f.Share), Changed: f.Changed,
			}
			if f.CI != (compare.Interval{}) {
				function.CI = &[2]float64{finite(f.CI[0]), finite(f.CI[1])}
			}
			why.Functions = append(why.Functions, function)
		}
		out = append(out, why)
	}
	return out
}

// title is "Why (Go, url-shortener) instructions per request 1.02 → 1.10 M".
func (w Why) title(r Report) Text {
	t := append(say(plain("Why (")), r.label(w.Service)...)
	t = append(bold(append(t, plain(", "), name(w.Workload), plain(")"))), plain(" "))
	if w.Measure == "" || w.Base == nil {
		return t[:len(t)-1]
	}
	t = append(t, prose(w.Measure), plain(" per request"))
	if w.Measure == compare.SampledTime {
		t = append(t, plain(" (samples)"))
	}
	if w.Head != nil {
		t = append(t, plain(" "+w.amount(*w.Base)+" → "+w.amount(*w.Head)))
	}
	return t
}

// words are what a table does not say: that nothing is named, how small a change would have been, and what a cross-check
// found.
func (w Why) words() Text {
	t := w.unnamed()
	if w.Cross == "" {
		return t
	}
	if t != nil {
		t = append(t, plain(" "))
	}
	return append(t, Span{Text: w.Cross, Bold: w.Compiler}, plain("."))
}

func (w Why) unnamed() Text {
	if w.Words == "" {
		return nil
	}
	t := say(prose(w.Words))
	if w.Smallest != nil && w.Base != nil {
		part := *w.Smallest / *w.Base
		t = append(t, plain(": a change of "+w.amount(*w.Smallest)+" ("+share(&part)+" of a request) in any one would have been named"))
	}
	return append(t, plain("."))
}

// table is the functions of a Why; rows is empty where nothing is named.
func (w Why) table() table {
	t := table{header: []Text{say(plain("function")), say(plain("more per request")), say(plain("share")), say(plain("changed in this PR"))}}
	for _, f := range w.Functions {
		part := none
		if f.Share != nil {
			part = strconv.Itoa(int(math.Round(100**f.Share))) + " %"
		}
		t.rows = append(t.rows, []Text{f.called(), say(plain(f.more(w.amount))), say(plain(part)), f.place()})
	}
	return t
}

// called is a function's name and what became of it.
func (f Function) called() Text {
	t := say(wide(f.Name))
	switch {
	case f.Outside:
		t = append(t, plain(" (not called by own code)"))
	case f.Was != "":
		t = append(t, plain(", was "), wide(f.Was))
	case f.New:
		t = append(t, plain(" (not at base)"))
	}
	if f.Via != "" {
		t = append(t, plain(", in "), wide(f.Via))
	}
	return t
}

// more is "+8,140 [8,010, 8,260]" or "+1 exact".
func (f Function) more(amount func(float64) string) string {
	switch {
	case f.Exact:
		return "+" + amount(f.Delta) + " exact"
	case f.CI != nil:
		return "+" + amount(f.Delta) + " [" + amount(f.CI[0]) + ", " + amount(f.CI[1]) + "]"
	}
	return "+" + amount(f.Delta)
}

// amount writes one of a Why's figures in its unit.
func (w Why) amount(v float64) string {
	if w.Unit == "" {
		return amount(v)
	}
	return quantity(&v, w.Unit)
}

// place is "yes: store.go:88–96".
func (f Function) place() Text {
	if f.File == "" {
		return say(plain(none))
	}
	where := shortPath(f.File)
	if f.Line > 0 {
		where += ":" + strconv.Itoa(f.Line)
	}
	if f.Last > f.Line {
		where += "–" + strconv.Itoa(f.Last)
	}
	word := map[compare.Changed]string{compare.ChangedYes: "yes: ", compare.ChangedNo: "no: "}[f.Changed]
	return say(plain(word), wide(where))
}

// shortPath is a path's end, which says most.
func shortPath(file string) string {
	n := utf8.RuneCountInString(file)
	if n <= maxPlace {
		return file
	}
	return "…" + string([]rune(file)[n-maxPlace+1:])
}

// amount writes a count: whole where it is, or from 100 on; three digits else.
func amount(v float64) string {
	if (math.Abs(v) >= 100 || v == math.Trunc(v)) && math.Abs(v) < 1e15 {
		return count(int64(math.Round(v)))
	}
	return figures(v)
}

func (r Report) whyMarkdown() string {
	var text string
	for i, w := range r.Why {
		if i == maxWhys {
			return text + "\n" + plural(len(r.Why)-i, "more regression") + " explained in report.json.\n"
		}
		if i > 0 {
			text += "\n"
		}
		text += inline(w.title(r), false) + "\n"
		if t := w.table(); len(t.rows) > 0 {
			text += "\n" + t.markdown()
		}
		if words := w.words(); words != nil {
			text += "\n" + inline(words, false) + "\n"
		}
	}
	return text
}

// whys writes the same for a terminal.
func (s *screen) whys(r Report) {
	for i, w := range r.Why {
		if i == maxWhys {
			s.sentence(say(plain(plural(len(r.Why)-i, "more regression") + " explained in report.json.")))
			return
		}
		if t := w.table(); len(t.rows) > 0 {
			t.title = w.title(r)
			s.table(t)
		} else {
			s.sentence(w.title(r))
		}
		if words := w.words(); words != nil {
			s.wrap("", words.String())
		}
	}
}
