package result

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/duet-bench/duet/internal/plan"
)

// Bounds of what a run.json says about functions and lines; a reader refuses more.
const (
	MaxFunctions = 300     // of one window, and as many lines
	MaxNames     = 1 << 14 // of functions and files, each once a run
	MaxName      = 400     // bytes of one
)

// Name is an index into Run.Names, from 1; 0: none.
type Name int

// FunctionCost is what one function of the service's own code cost in a window of the instructions pass, with all that
// it had libraries and the runtime do. Code that nobody's own code called stands under the name of its package.
// Functions do not sum to the window's figures: what would never matter is left out.
//
// In JSON it is one string of numbers, in the order of the fields: a run has tens of thousands.
type FunctionCost struct {
	Function     Name
	File         Name // in the repository
	Line         int  // where it begins, about; 0: unknown
	Caller       Name // the function of the service's own that called it most
	Own          bool // the service's own; else the rest of a package
	Instructions int64
	Allocations  int64
}

// LineCost is what one line of the service's own source cost, with what is called there.
type LineCost struct {
	File         Name
	Line         int
	Function     Name // that it counts for
	Instructions int64
	Allocations  int64
}

// Name is a name of the run's table, "" for none.
func (r Run) Name(n Name) string {
	if n <= 0 || int(n) > len(r.Names) {
		return ""
	}
	return r.Names[n-1]
}

// MarshalText writes the numbers.
func (f FunctionCost) MarshalText() ([]byte, error) {
	own := int64(0)
	if f.Own {
		own = 1
	}
	return numbersText(int64(f.Function), int64(f.File), int64(f.Line), int64(f.Caller), own, f.Instructions, f.Allocations), nil
}

// UnmarshalText reads them.
func (f *FunctionCost) UnmarshalText(text []byte) error {
	n, err := numbersOf(string(text), 7)
	if err != nil || n[4] > 1 {
		return fmt.Errorf("unexpected function %.80q: expected 7 numbers, the fifth 0 or 1", text)
	}
	*f = FunctionCost{Function: Name(n[0]), File: Name(n[1]), Line: int(n[2]), Caller: Name(n[3]), Own: n[4] == 1, Instructions: n[5], Allocations: n[6]}
	return nil
}

// MarshalText writes the numbers.
func (l LineCost) MarshalText() ([]byte, error) {
	return numbersText(int64(l.File), int64(l.Line), int64(l.Function), l.Instructions, l.Allocations), nil
}

// UnmarshalText reads them.
func (l *LineCost) UnmarshalText(text []byte) error {
	n, err := numbersOf(string(text), 5)
	if err != nil {
		return fmt.Errorf("unexpected line %.80q: expected 5 numbers", text)
	}
	*l = LineCost{File: Name(n[0]), Line: int(n[1]), Function: Name(n[2]), Instructions: n[3], Allocations: n[4]}
	return nil
}

func numbersText(numbers ...int64) []byte {
	var text []byte
	for i, n := range numbers {
		if i > 0 {
			text = append(text, ' ')
		}
		text = strconv.AppendInt(text, n, 10)
	}
	return text
}

// numbersOf reads so many whole numbers as numbersText writes them. Each is exact as a float.
func numbersOf(text string, count int) ([]int64, error) {
	fields := strings.SplitN(text, " ", count+1)
	if len(fields) != count {
		return nil, strconv.ErrSyntax
	}
	numbers := make([]int64, count)
	for i, field := range fields {
		n, err := strconv.ParseUint(field, 10, 53)
		if err != nil || field != strconv.FormatUint(n, 10) {
			return nil, strconv.ErrSyntax
		}
		numbers[i] = int64(n)
	}
	return numbers, nil
}

// checkNames refuses a run whose functions and lines are more than a run of ours has, or point nowhere.
func (r Run) checkNames() error {
	if len(r.Names) > MaxNames {
		return fmt.Errorf("%d names: expected at most %d", len(r.Names), MaxNames)
	}
	for _, name := range r.Names {
		if name == "" || len(name) > MaxName || !utf8.ValidString(name) {
			return fmt.Errorf("name %.80q: expected 1 to %d bytes of UTF-8", name, MaxName)
		}
	}
	known := func(all ...Name) bool {
		for _, n := range all {
			if int(n) > len(r.Names) {
				return false
			}
		}
		return true
	}
	for _, c := range r.Costs {
		if c.Build != "" && c.Build != plan.OneUnit {
			return fmt.Errorf("%s, %s: build %.80q: expected none or %q", c.Variant, c.Workload, c.Build, plan.OneUnit)
		}
		if len(c.Functions) > MaxFunctions || len(c.Lines) > MaxFunctions {
			return fmt.Errorf("%s, %s: %d functions and %d lines: expected at most %d", c.Variant, c.Workload, len(c.Functions), len(c.Lines), MaxFunctions)
		}
		for _, f := range c.Functions {
			if f.Function == 0 || f.Line > math.MaxInt32 || !known(f.Function, f.File, f.Caller) {
				return fmt.Errorf("%s, %s: a function that is not in names, or a line beyond %d", c.Variant, c.Workload, math.MaxInt32)
			}
		}
		for _, l := range c.Lines {
			if l.File == 0 || l.Function == 0 || l.Line > math.MaxInt32 || !known(l.File, l.Function) {
				return fmt.Errorf("%s, %s: a line that is not in names or beyond %d", c.Variant, c.Workload, math.MaxInt32)
			}
		}
	}
	return nil
}
