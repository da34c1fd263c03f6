package history

import (
	"fmt"
	"slices"
)

// Suspect is a change for the worse of one series, and what bisecting its commits found.
type Suspect struct {
	Service  string `json:"service"`
	Workload string `json:"workload"`
	Metric   string `json:"metric"`
	From     Commit `json:"from"` // the last commit known to be good
	To       Commit `json:"to"`   // the first commit that a night found bad
	// FirstBad is the first bad merge; nil where it was not found, which Why explains.
	FirstBad *Commit `json:"first_bad,omitempty"`
	// Left are the commits that may be the first bad one, oldest first, where more than one may be; at most MaxLeft.
	Left  []Commit `json:"left,omitempty"`
	Why   string   `json:"why,omitempty"`
	Steps []Step   `json:"steps,omitempty"` // in the order in which they were measured
}

// MaxLeft bounds the commits that a suspect lists.
const MaxLeft = 50

// Step is one commit of a bisection, measured against the suspect's From.
type Step struct {
	Commit string  `json:"commit"` // full sha
	Found  string  `json:"found"`  // good, bad, skipped, unsure
	Ratio  float64 `json:"ratio,omitempty"`
	Low    float64 `json:"low,omitempty"`
	High   float64 `json:"high,omitempty"`
	Rounds int     `json:"rounds,omitempty"`
	Why    string  `json:"why,omitempty"` // of one that is neither good nor bad
}

// The words of a Step's Found.
const (
	FoundGood    = "good"
	FoundBad     = "bad"
	FoundSkipped = "skipped"
	FoundUnsure  = "unsure"
)

// Bounds of suspects.
const (
	maxSuspects = 100
	maxSteps    = 200
	maxNotes    = 100
)

// commits are all that a suspect names.
func (s *Suspect) commits() []Commit {
	all := append([]Commit{s.From, s.To}, s.Left...)
	if s.FirstBad != nil {
		all = append(all, *s.FirstBad)
	}
	return all
}

func tidySuspect(s *Suspect) {
	s.From, s.To, s.Why = tidyCommit(s.From), tidyCommit(s.To), cut(s.Why)
	if s.FirstBad != nil {
		c := tidyCommit(*s.FirstBad)
		s.FirstBad = &c
	}
	s.Left = mapped(s.Left, func(c *Commit) { *c = tidyCommit(*c) })
	s.Steps = mapped(s.Steps, func(step *Step) {
		roundAll(&step.Ratio, &step.Low, &step.High)
		step.Why = cut(step.Why)
	})
}

// checkSuspects refuses suspects and notes that cannot be meant.
func (e *Entry) checkSuspects() error {
	if len(e.Suspects) > maxSuspects || len(e.Notes) > maxNotes {
		return fmt.Errorf("%d suspects and %d notes, more than %d and %d", len(e.Suspects), len(e.Notes), maxSuspects, maxNotes)
	}
	if err := texts(e.Notes...); err != nil {
		return fmt.Errorf("notes: %w", err)
	}
	for i := range e.Suspects {
		if err := e.Suspects[i].check(); err != nil {
			return fmt.Errorf("suspect %d: %w", i, err)
		}
	}
	return nil
}

func (s *Suspect) check() error {
	if len(s.Left) > MaxLeft || len(s.Steps) > maxSteps {
		return fmt.Errorf("%d commits left and %d steps, more than %d and %d", len(s.Left), len(s.Steps), MaxLeft, maxSteps)
	}
	said := []string{s.Service, s.Workload, s.Metric, s.Why}
	for _, c := range s.commits() {
		if !shaForm.MatchString(c.SHA) {
			return fmt.Errorf("commit sha %q is not 40 or 64 hex digits", cut(c.SHA))
		}
		said = append(said, c.Subject, c.Author, c.Date)
	}
	for _, step := range s.Steps {
		switch {
		case !shaForm.MatchString(step.Commit):
			return fmt.Errorf("a step's commit %q is not 40 or 64 hex digits", cut(step.Commit))
		case !slices.Contains([]string{FoundGood, FoundBad, FoundSkipped, FoundUnsure}, step.Found):
			return fmt.Errorf("a step found %q: expected one of %s, %s, %s, %s", cut(step.Found), FoundGood, FoundBad, FoundSkipped, FoundUnsure)
		case !figures(step.Ratio, step.Low, step.High) || step.Low > step.High || step.Rounds < 0 || step.Rounds > maxItems:
			return fmt.Errorf("step %s: a figure that cannot be real", short(step.Commit))
		}
		said = append(said, step.Why)
	}
	return texts(said...)
}
