// Package claims holds what an article says of Go and Rust web services against what one run measured of the bundled ones.
//
// A claim is held as a ratio, never as an absolute figure: 137,000 requests a second were another machine's. Each of its
// rows is one ratio with an interval, and the outcome is where the interval lies against the claim (Band.Hold). Whatever
// is not known cannot be told. Nothing here measures, or reads a clock or a file.
package claims

import (
	"fmt"
	"math"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/result"
)

// Outcome is what became of a claim, or of one of its rows. Its zero value claims nothing.
type Outcome int

// The outcomes.
const (
	CannotBeTold Outcome = iota
	Holds
	DoesNotHold
)

func (o Outcome) String() string { return [...]string{"cannot be told", "holds", "does not hold"}[o] }

// Band is where a claim puts a ratio, both ends included.
type Band struct{ Low, High float64 }

// Hold is the rule: a claim holds where the whole interval lies inside its band, does not hold where the whole interval
// lies outside, and cannot be told where the interval straddles an end or is none.
//
//	      low ┊           ┊ high
//	          ┊  ├──CI──┤ ┊               holds
//	├──CI──┤  ┊           ┊               does not hold
//	     ├──CI┊──┤        ┊               cannot be told
func (b Band) Hold(ci compare.Interval) Outcome {
	low, high := ci[0], ci[1]
	switch {
	case !(low > 0) || !(high >= low) || math.IsInf(high, 1):
		return CannotBeTold
	case low >= b.Low && high <= b.High:
		return Holds
	case high < b.Low || low > b.High:
		return DoesNotHold
	}
	return CannotBeTold
}

// more is the band of "more than": any ratio above 1.
func more() Band { return Band{math.Nextafter(1, 2), math.MaxFloat64} }

func (b Band) String() string {
	if b == more() {
		return "more than 1"
	}
	return fmt.Sprintf("%s to %s", trimmed(b.Low), trimmed(b.High))
}

// Row is one measured ratio, or one exact figure, against a claim.
type Row struct {
	What    string // is compared, such as "actix ÷ fiber, throughput"
	Where   string // workload; empty: none
	Figure  float64
	CI      compare.Interval // at 95 %, or the range of what was measured once; both ends the same for an exact figure
	Kind    Kind
	Band    Band
	Outcome Outcome
	Why     string // there is no figure
}

// Kind says what a row's interval is.
type Kind int

// The kinds of intervals.
const (
	Paired Kind = iota // 95 % interval over rounds
	Range              // from the least to the greatest of what was measured once, widened by what a repetition may differ
	Exact              // one exact figure
)

// Claim is what the article says and what became of it.
type Claim struct {
	Says    string // the article
	Asked   string // what is measured for it
	Rows    []Row
	Note    string
	Outcome Outcome
}

// settle is the rule over a claim's rows: it holds where it holds in all of them, does not hold where one row or more
// contradicts it, and cannot be told otherwise.
func (c *Claim) settle() {
	c.Outcome = CannotBeTold
	holds := 0
	for _, r := range c.Rows {
		switch r.Outcome {
		case DoesNotHold:
			c.Outcome = DoesNotHold
			return
		case Holds:
			holds++
		}
	}
	if holds > 0 && holds == len(c.Rows) {
		c.Outcome = Holds
	}
}

// Extras are what a run does not hold: counted and measured beside it.
type Extras struct {
	Lines map[string]Lines // by service
	// Hello is the lines of each framework's hello world, by service.
	Hello     map[string]int
	Goroutine Goroutine
	Why       string // lines are not known, and why
}

// Lines are lines of code, without blank ones and comments: a service's own and those that its language's services share.
type Lines struct{ Own, Shared int }

// Goroutine is what parked goroutines take.
type Goroutine struct {
	Count int     // that were parked
	Stack float64 // bytes of stack each
	Whole float64 // bytes each, with what the runtime keeps of them
	Go    string  // version
}

// Page is everything to be shown, before any format.
type Page struct {
	Run    result.Run
	Claims []Claim
	Extras Extras
	Args   []string // of the command that makes the page again, after "duet claims"

	describe compare.Description
}

// New settles every claim. It neither formats nor measures.
func New(run result.Run, extras Extras, args []string) Page {
	p := Page{Run: run, Extras: extras, Args: args, describe: compare.Describe(run)}
	p.Claims = p.all()
	for i := range p.Claims {
		p.Claims[i].settle()
	}
	return p
}
