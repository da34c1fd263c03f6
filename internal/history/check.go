package history

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

var (
	shaForm = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
	// An entry that moves the anchor may share commit, run and attempt with a night: then its ID ends in -anchor.
	idForm = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})-[0-9]{1,20}\.[0-9]{1,10}(-anchor)?$`)
)

// verdicts are the words of internal/compare.
var verdicts = [...]string{"not-judged", "inconclusive", "unchanged", "improved", "regressed"}

// maxFigure is above every figure that can be real.
const maxFigure = 1e15

// check refuses what cannot be meant.
func (e *Entry) check() error {
	switch {
	case e.Schema != Schema:
		return otherSchema(e.Schema)
	case !idForm.MatchString(e.ID):
		return fmt.Errorf("id %q: expected SHA-RUN.ATTEMPT, as in %s-123.1", cut(e.ID), strings.Repeat("0", 40))
	case !strings.HasPrefix(e.ID, e.Commit.SHA+"-"):
		return fmt.Errorf("id %q is not of commit %q", e.ID, cut(e.Commit.SHA))
	case e.State != Measured && e.State != NotMeasured:
		return fmt.Errorf("state %q: expected one of %s, %s", cut(string(e.State)), Measured, NotMeasured)
	case e.State == NotMeasured && len(e.Rows) > 0:
		return errors.New("rows in an entry that says it measured nothing")
	case e.State == Measured && !shaForm.MatchString(e.Anchor.SHA):
		return fmt.Errorf("anchor sha %q is not 40 or 64 hex digits", cut(e.Anchor.SHA))
	}
	at, err := time.Parse(time.RFC3339, e.Recorded)
	if err != nil || at.Year() < 2020 || at.Year() > 2999 {
		return fmt.Errorf("recorded %q: expected a time such as 2026-01-02T03:04:05Z", cut(e.Recorded))
	}
	if err := e.checkCommits(); err != nil {
		return err
	}
	if n := max(len(e.Rows), len(e.Gaps), len(e.Builds), len(e.Toolchains), len(e.Services), len(e.Workloads)); n > maxItems {
		return fmt.Errorf("%d elements in one list, more than %d", n, maxItems)
	}
	return errors.Join(e.checkTexts(), e.checkRows(), e.checkRest(), e.checkSuspects())
}

func (e *Entry) checkCommits() error {
	all := []Commit{e.Commit}
	if e.Anchor != (Commit{}) {
		all = append(all, e.Anchor)
	}
	if e.Previous != nil {
		all = append(all, *e.Previous)
	}
	for _, c := range all {
		if !shaForm.MatchString(c.SHA) {
			return fmt.Errorf("commit sha %q is not 40 or 64 hex digits", cut(c.SHA))
		}
		if _, err := time.Parse(time.RFC3339, c.Date); c.Date != "" && err != nil {
			return fmt.Errorf("commit %s: date %q: expected a time such as 2026-01-02T03:04:05Z", short(c.SHA), cut(c.Date))
		}
		if err := texts(c.Subject, c.Author); err != nil {
			return fmt.Errorf("commit %s: %w", short(c.SHA), err)
		}
	}
	return nil
}

// texts refuses what could not be shown as one line.
func texts(all ...string) error {
	for _, s := range all {
		if utf8.RuneCountInString(s) > maxRunes {
			return fmt.Errorf("a text of %d characters, more than %d: %q", utf8.RuneCountInString(s), maxRunes, cut(s))
		}
		if strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) >= 0 {
			return fmt.Errorf("a text with control characters: %q", cut(s))
		}
	}
	return nil
}

func (e *Entry) checkTexts() error {
	all := []string{e.Duet, e.Error, e.Config, e.Machine.CPU, e.Machine.OS, e.Machine.Arch, e.Machine.Isolation, e.Machine.Turns, e.Machine.Kernel, e.Job.URL}
	for _, m := range []map[string]string{e.Toolchains, e.Services, e.Workloads} {
		for k, v := range m {
			all = append(all, k, v)
		}
	}
	for _, g := range e.Gaps {
		all = append(all, g.Pair, g.Workload, g.Metric)
	}
	for _, b := range e.Builds {
		all = append(all, b.Service)
	}
	if e.SelfCheck != nil {
		if len(e.SelfCheck.False) > maxItems {
			return fmt.Errorf("%d false alarms, more than %d", len(e.SelfCheck.False), maxItems)
		}
		all = append(all, e.SelfCheck.False...)
	}
	return texts(all...)
}

func (e *Entry) checkRows() error {
	seen := make(map[Key]bool, len(e.Rows))
	for i := range e.Rows {
		r := &e.Rows[i]
		k := Key{Service: r.Service, Workload: r.Workload, Metric: r.Metric}
		if seen[k] {
			return fmt.Errorf("row %s: stands twice", k)
		}
		seen[k] = true
		switch {
		case r.Service == "" || r.Metric == "":
			return fmt.Errorf("row %d: no service or no metric", i)
		case !figures(r.Ratio, r.Low, r.High, r.Anchor, r.Commit, r.Noise) || r.Low > r.High:
			return fmt.Errorf("row %s: a figure that cannot be real (ratio %v in [%v, %v], %v against %v)", k, r.Ratio, r.Low, r.High, r.Commit, r.Anchor)
		case r.Rounds < 0 || r.Rounds > maxItems:
			return fmt.Errorf("row %s: %d rounds", k, r.Rounds)
		case !slices.Contains(verdicts[:], r.Verdict):
			return fmt.Errorf("row %s: verdict %q: expected one of %s", k, cut(r.Verdict), strings.Join(verdicts[:], ", "))
		}
		if err := texts(r.Service, r.Workload, r.Metric); err != nil {
			return fmt.Errorf("row %d: %w", i, err)
		}
	}
	return nil
}

func (e *Entry) checkRest() error {
	for _, g := range e.Gaps {
		if !figures(g.Ratio, g.Low, g.High) || g.Low > g.High {
			return fmt.Errorf("gap %s · %s · %s: a figure that cannot be real (%v in [%v, %v])", g.Pair, g.Workload, g.Metric, g.Ratio, g.Low, g.High)
		}
	}
	for _, b := range e.Builds {
		if !figures(b.CleanSeconds, b.IncrementalSeconds, float64(b.BinaryBytes), float64(b.Dependencies)) {
			return fmt.Errorf("build of %s: a figure that cannot be real", b.Service)
		}
	}
	if m := e.Machine; m.Cores < 0 || m.Memory < 0 || e.Job.ID < 0 || e.Job.Attempt < 0 || (e.SelfCheck != nil && e.SelfCheck.Rows < 0) {
		return errors.New("a negative count of cores, memory, rows or runs")
	}
	return nil
}

// figures says whether all can be real. The predicate is closed: NaN satisfies no comparison.
func figures(all ...float64) bool {
	return !slices.ContainsFunc(all, func(x float64) bool { return !(x >= 0 && x <= maxFigure) })
}

// String is how a key is named in words.
func (k Key) String() string {
	if k.Workload == "" {
		return k.Service + " · " + k.Metric
	}
	return k.Service + " · " + k.Workload + " · " + k.Metric
}
