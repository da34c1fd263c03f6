package compare

import (
	"fmt"
	"math"
	"slices"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/profdiff"
	"github.com/duet-bench/duet/internal/result"
)

// Why is what a regression of one service under one workload is put down to. Figures are per request.
type Why struct {
	Service   string   `json:"service"`
	Workload  string   `json:"workload"`
	Measure   string   `json:"measure"`        // instructions, allocations or CPU time (by samples); empty: time alone moved
	Unit      string   `json:"unit,omitempty"` // of the figures; empty: counts
	Base      float64  `json:"base"`           // all of the service's
	Head      float64  `json:"head"`
	Functions []Blamed `json:"functions"`
	Smallest  float64  `json:"smallest"` // a change of one function that would have been named
	Rounds    int      `json:"rounds"`   // callgrind rounds that it stands on
	Words     string   `json:"words,omitempty"`
	Cross     string   `json:"cross,omitempty"`    // what a cross-check found
	Compiler  bool     `json:"compiler,omitempty"` // it explains the regression
	Unknown   bool     `json:"-"`                  // the binary does not say whose its functions are
}

// Blamed is a function that costs more at head.
type Blamed struct {
	Name    string   `json:"name"`
	Was     string   `json:"was,omitempty"`     // its name at base
	Via     string   `json:"via,omitempty"`     // the function that it calls, with most of the change: at base inlined, or not there
	Outside bool     `json:"outside,omitempty"` // a package's own doing: no own code called it or is inlined into it
	New     bool     `json:"new,omitempty"`     // no function at base answers to it
	File    string   `json:"file,omitempty"`
	Line    int      `json:"line,omitempty"` // the first of the lines that cost more, or about where the function begins
	Last    int      `json:"last_line,omitempty"`
	Base    float64  `json:"base"`
	Head    float64  `json:"head"`
	Delta   float64  `json:"delta"`
	CI      Interval `json:"ci"`    // 95 % of Delta; zero: fewer than three pairs of rounds
	Exact   bool     `json:"exact"` // every pair of rounds agreed
	Share   float64  `json:"share"` // of all that the service's figure rose by; 0: it did not rise
	Changed Changed  `json:"changed,omitempty"`
}

// Changed is whether a pull request touches a function's file.
type Changed string

// What is known of a file.
const (
	ChangedUnknown Changed = ""
	ChangedYes     Changed = "yes"
	ChangedNo      Changed = "no"
)

const (
	// maxBlamed is how many functions a regression is put down to: those after the fifth explain little.
	maxBlamed = 5
	// listed is how many files plan.Changed holds at most: a full list may lack one.
	listed = 300
)

// whys explain every regression of work or time, services and workloads in the order of the rows.
func (r record) whys(services []string, rows []Comparison) []Why {
	var all []Why
	regressed := map[cell][]Comparison{}
	for _, row := range rows {
		if row.Verdict == Regressed && row.Workload != "" && (isWork(row.Metric) || isTime(row.Metric) || row.Metric == "allocations") {
			at := cell{variant(row.Service, plan.Head), row.Workload}
			regressed[at] = append(regressed[at], row)
		}
	}
	for _, service := range services {
		for _, w := range r.run.Plan.Workloads {
			if found := regressed[cell{variant(service, plan.Head), w.Name}]; len(found) > 0 {
				all = append(all, r.at(w.Name).why(service, w.Name, found, rows)...)
			}
		}
	}
	return all
}

// unexplained says of regressed rows of work and time that no function's instructions changed with them: code that only
// lies elsewhere in memory can be that much slower, in every round.
func unexplained(rows []Comparison, whys []Why) {
	for _, w := range whys {
		if len(w.Functions) > 0 || w.Measure != "" && (w.Measure != "instructions" || w.Rounds == 0 || w.Unknown) {
			continue
		}
		for i := range rows {
			row := &rows[i]
			switch {
			case row.Service != w.Service || row.Workload != w.Workload || row.Verdict != Regressed || row.Why != "":
			case row.Metric == result.CPUPerRequest || isTime(row.Metric):
				row.Why = "no function's instructions changed by enough to be named: where code lies in memory can cost that much time"
			case isWork(row.Metric):
				row.Why = "no one function changed by enough to be named"
			}
		}
	}
}

func isTime(metric string) bool {
	return isLatency(metric) || metric == "throughput" || metric == "cycles"
}

// why explains one service's regressed rows under one workload.
func (r record) why(service, workload string, regressed, rows []Comparison) []Why {
	has := func(metrics ...string) bool {
		return slices.ContainsFunc(regressed, func(row Comparison) bool { return slices.Contains(metrics, row.Metric) })
	}
	work := has(result.Instructions, result.CallgrindInstructions)
	if !work && !has("allocations") {
		if same := unmoved(service, workload, rows); same != "" {
			said := []Why{{
				Service: service, Workload: workload,
				Words: "Time was lost without more work (" + same + "), so no function is to blame: waiting, locks, cache or the kernel",
			}}
			if sampled, ok := r.sampledWhy(service, workload); ok { // what instructions cannot show
				said = append(said, sampled)
			}
			return said
		}
	}
	pairs := r.windows(service, workload)
	var all []Why
	if work || !has("allocations") {
		all = append(all, r.blame(service, workload, profdiff.ByInstructions, pairs))
		if sampled, ok := r.sampledWhy(service, workload); ok && len(pairs) < profdiff.LeastPairs {
			all = []Why{sampled}
		}
	}
	if has("allocations") {
		all = append(all, r.blame(service, workload, profdiff.ByAllocations, pairs))
	}
	return all
}

// unmoved says in words that a service's work is unchanged, "" when it is not known to be.
func unmoved(service, workload string, rows []Comparison) string {
	for _, row := range rows {
		if row.Service != service || row.Workload != workload || row.Verdict != Unchanged || row.Metric == result.CPUPerRequest || !isWork(row.Metric) {
			continue
		}
		return fmt.Sprintf("%s unchanged within %.1f %%", label(row.Metric), 100*math.Max(row.CI[1]-1, 1-row.CI[0]))
	}
	return ""
}

// windows are the sound windows of both sides, paired by callgrind round, of both phases.
func (r record) windows(service, workload string) []profdiff.Pair {
	head, base := r.costs[cell{variant(service, plan.Head), workload}], r.costs[cell{variant(service, plan.Base), workload}]
	var pairs []profdiff.Pair
	for _, at := range sortedMarks(head) {
		h, b := head[at], base[at]
		// Where a run.json had no room for them, functions are missing on purpose.
		if b != nil && h.Invalid == "" && b.Invalid == "" && len(h.Functions) > 0 && len(b.Functions) > 0 {
			pairs = append(pairs, profdiff.Pair{Base: profdiff.WindowOf(*r.run, *b), Head: profdiff.WindowOf(*r.run, *h)})
		}
	}
	return pairs
}

// blame names the functions that cost more at head, or says why there is none to be named.
func (r record) blame(service, workload string, m profdiff.Measure, pairs []profdiff.Pair) Why {
	w := Why{Service: service, Workload: workload, Measure: "instructions", Functions: []Blamed{}}
	if m == profdiff.ByAllocations {
		w.Measure = "allocations"
	}
	f, ok := profdiff.Blame(pairs, m)
	if !ok {
		w.Words = fmt.Sprintf("No function can be named: that takes %d callgrind rounds with symbols at each side, and there are %d",
			profdiff.LeastPairs, len(pairs))
		return w
	}
	w.Base, w.Head, w.Smallest, w.Rounds = f.Base, f.Head, f.Smallest, f.Rounds
	more := 0.0
	for _, moved := range f.Moved {
		if moved.Delta <= 0 {
			continue
		}
		more += moved.Delta
		if len(w.Functions) < maxBlamed {
			w.Functions = append(w.Functions, r.blamed(moved, f))
		}
	}
	rise := f.Head - f.Base
	disagree := r.disagreement(service, workload, w.Functions)
	switch {
	case !f.Own:
		w.Unknown = true
		w.Words = "No function of the service's own is known: its binary has no symbols that say so"
	case len(w.Functions) == 0:
		w.Words = "No function explains it"
	case disagree != "":
		w.Words = disagree
	case rise > 0 && more < rise/2:
		w.Words = "This explains less than half of it"
	}
	return w
}

func (r record) blamed(m profdiff.Moved, f profdiff.Finding) Blamed {
	b := Blamed{
		Name: profdiff.ShortName(m.Name), Was: profdiff.ShortName(m.Was), Via: profdiff.ShortName(m.Via), Outside: !m.Own && m.Last == 0, New: m.New,
		File: m.File, Line: m.Line, Last: m.Last, Base: m.Base, Head: m.Head, Delta: m.Delta, Exact: m.Exact, Changed: r.changed(m.File),
	}
	if !math.IsNaN(m.Low) && !math.IsNaN(m.High) {
		b.CI = Interval{m.Low, m.High}
	}
	if rise := f.Head - f.Base; rise > 0 {
		b.Share = m.Delta / rise
	}
	return b
}

// changed is whether the pull request touches a file.
func (r record) changed(file string) Changed {
	switch changed := r.run.Plan.Changed; {
	case file == "":
		return ChangedUnknown
	case slices.Contains(changed, file):
		return ChangedYes
	case len(changed) >= listed:
		return ChangedUnknown
	}
	return ChangedNo
}
