package selftest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/workload"
)

// Options of an evaluation.
type Options struct {
	Rounds    plan.Rounds // of a report
	Seed      uint64      // of resampling and simulation
	Resamples int         // reports drawn where disjoint ones are fewer than enough; 0: none
	Simulated int         // reports of the simulation; 0: none
	Progress  func(format string, args ...any)
}

// The numbers of reports that a bank too small for disjoint ones is asked for.
const (
	DefaultResamples = 200
	DefaultSimulated = 1000 // the 1 in 100 then has an interval of about ± 0.6 %
)

// judgeAlpha and judgePower are the judge's own (compare): the family-wise error, and the power of "smallest".
const (
	judgeAlpha = 0.01
	judgePower = 0.8
	// maxNeed bounds "needs so many rounds".
	maxNeed = 2000
)

// evaluation is a bank on its way to findings.
type evaluation struct {
	ctx       context.Context
	o         Options
	bank      *Bank
	subjects  []Subject
	workloads []workload.Workload
	again     map[plan.Lang]deck // base against itself
	out       *Findings
}

// Evaluate draws reports from a bank and counts what the judge says of them. It is a pure function of the bank and the
// options; a cancelled context ends it early with an error.
func Evaluate(ctx context.Context, b *Bank, o Options) (Findings, error) {
	if len(b.Sessions) == 0 || len(b.Timing)+len(b.Counting) == 0 {
		return Findings{}, fmt.Errorf("evaluating the bank: it holds no round yet")
	}
	if o.Progress == nil {
		o.Progress = func(string, ...any) {}
	}
	last := b.Sessions[len(b.Sessions)-1]
	e := evaluation{
		ctx: ctx, o: o, bank: b, subjects: b.Subjects(), workloads: b.Workloads(), again: map[plan.Lang]deck{},
		out: &Findings{
			Schema: FindingsSchema, Duet: last.Duet, Machine: last.Machine, Sessions: b.measured(),
			Rounds: b.count(), Warnings: slices.Clone(b.Warnings),
		},
	}
	for _, lang := range langs(e.subjects) {
		e.again[lang] = b.deckOf(lang, Again)
	}
	full := sizeOf(o.Rounds)
	e.out.Report = ReportSize{Looks: full.looks, Confirm: full.confirm, ConfirmMost: full.confirmMost, CountLooks: full.countLooks, CountConfirm: full.countConfirm, PerWorkload: e.screening(full)}
	e.noise()
	for _, step := range []func() error{e.falseReports, e.plants, e.simulate} {
		if err := step(); err != nil {
			return Findings{}, err
		}
	}
	e.aims()
	return *e.out, nil
}

// count is what a bank holds.
func (b *Bank) count() BankRounds {
	r := BankRounds{Timing: map[string]int{}, Counting: len(b.Counting)}
	var measured time.Duration
	for _, round := range b.Timing {
		r.Timing[round.workload]++
		for _, t := range round.trials {
			r.Trials++
			measured += time.Duration((t.trial.Open.Seconds + t.trial.Closed.Seconds) * float64(time.Second)) // whole: any order gives the same
			if t.trial.Invalid != "" {
				r.Invalid++
			}
		}
	}
	for _, round := range b.Counting {
		for _, windows := range round.costs {
			for _, c := range windows {
				if c.Invalid != "" {
					r.InvalidCosts++
				}
			}
		}
	}
	r.MeasuredSeconds = measured.Seconds()
	return r
}

// measured is how many sessions brought rounds.
func (b *Bank) measured() int {
	seen := map[int]bool{}
	for _, r := range b.Timing {
		seen[r.session] = true
	}
	for _, r := range b.Counting {
		seen[r.session] = true
	}
	return len(seen)
}

// together is base against itself in every language at once.
func (e *evaluation) together() deck {
	d := deck{timing: map[slot][]both[*banked]{}, counting: map[plan.Lang][]both[map[string]result.Cost]{}}
	for _, other := range e.again {
		d = d.with(other)
	}
	return d
}

// judged is what the judge says of one report.
func (e *evaluation) judged(d dealt, s size) compare.Comparisons {
	return replay(d.unfold(), s, e.workloads)
}

// seen is one report, judged, with what peers' rules say of it.
type seen struct {
	dealt dealt
	c     compare.Comparisons
	peers []hits
}

// each judges n reports side by side and hands them over in order.
func (e *evaluation) each(n int, s size, report func(i int) dealt, peers func(dealt) []hits, use func(seen)) error {
	return inOrder(e.ctx, n, func(i int) seen {
		d := report(i)
		return seen{d, e.judged(d, s), peers(d)}
	}, func(_ int, one seen) { use(one) })
}

// generator is the source of one report's draws: reports can be drawn in any order and stay the same.
func (e *evaluation) generator(purpose string, i int) *rand.Rand {
	h := uint64(14695981039346656037) // FNV-1a
	for _, c := range []byte(fmt.Sprintf("%s %d", purpose, i)) {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return rand.New(rand.NewPCG(e.o.Seed, h))
}

// changed are the rows that a report calls improved or regressed, in words.
func changed(c compare.Comparisons, keep func(compare.Comparison) bool) (which []string, judged int) {
	for _, row := range c.Rows {
		if !keep(row) {
			continue
		}
		if row.Verdict != compare.NotJudged {
			judged++
		}
		if row.Verdict == compare.Improved || row.Verdict == compare.Regressed {
			which = append(which, fmt.Sprintf("%s · %s · %s %s", row.Service, row.Workload, row.Metric, row.Verdict))
		}
	}
	return which, judged
}

func anyRow(compare.Comparison) bool { return true }

// falseReports judges base against itself.
func (e *evaluation) falseReports() error {
	d := e.together()
	s, ok := sizeOf(e.o.Rounds).within(d.room("", e.smallest()))
	e.short("base against itself", s, ok)
	if !ok {
		return nil
	}
	n := 0
	for lang := range e.again {
		timing, counting := d.reports(lang, s)
		n = max(n, timing, counting)
	}
	none := func(plan.Lang) bool { return false }
	e.o.Progress("base against itself: %d disjoint reports", n)
	f, peers, err := e.alarms(n, s, func(i int) dealt { return d.disjoint(s, i, none) })
	if err != nil {
		return err
	}
	e.out.False = f
	if n < enough && e.o.Resamples > 0 {
		e.o.Progress("base against itself: %d resampled reports", e.o.Resamples)
		more, again, err := e.alarms(e.o.Resamples, s, func(i int) dealt { return d.resampled(s, e.generator("again", i)) })
		if err != nil {
			return err
		}
		e.out.False.Resampled, peers = more.Disjoint, again
	}
	for _, at := range d.slots() {
		peers.stretches(d.timing[at])
	}
	e.out.False.Peers = peers.shares()
	return nil
}

// alarms judges n reports of base against itself.
func (e *evaluation) alarms(n int, s size, report func(i int) dealt) (f FalseReports, peers peerTallies, err error) {
	peers = newPeerTallies()
	reports, falseRows, rows := 0, 0, 0
	err = e.each(n, s, report, func(d dealt) []hits { return []hits{anywhere(d)} }, func(one seen) {
		which, judged := changed(one.c, anyRow)
		rows += judged
		if falseRows += len(which); len(which) > 0 {
			reports++
		}
		f.WhichRows = append(f.WhichRows, which...)
		peers.take(one.peers[0])
	})
	f.Disjoint, f.Rows, f.WhichRows = share(reports, n), share(falseRows, rows), commonest(f.WhichRows)
	return f, peers, err
}

// screening is a report's time of measuring a workload in screening, all four variants.
func (e *evaluation) screening(s size) float64 {
	if len(s.looks) == 0 {
		return 0
	}
	window := e.bank.Sessions[0].Window
	return float64(s.looks[len(s.looks)-1]*2*len(langs(e.subjects))) * window.Trial.Seconds()
}

func (e *evaluation) smallest() size { return sizeOf(e.o.Rounds).smallest() }

// lacks is said of what has no report.
const lacks = "no report, for want of rounds that count (the smallest takes %d timing or %d callgrind rounds)"

// short says that something has no report, or smaller ones than asked for.
func (e *evaluation) short(what string, s size, ok bool) {
	full, least := sizeOf(e.o.Rounds), e.smallest()
	if !ok {
		e.say(fmt.Sprintf(lacks, least.timing(), least.counting()), what)
		return
	}
	if len(s.looks) > 0 && len(s.looks) < len(full.looks) {
		e.say(fmt.Sprintf("reports end at the look after %d rounds, for want of rounds", s.looks[len(s.looks)-1]), what)
	}
	if len(s.countLooks) > 0 && len(s.countLooks) < len(full.countLooks) {
		e.say(fmt.Sprintf("reports end at the look after %d callgrind rounds, for want of rounds", s.countLooks[len(s.countLooks)-1]), what)
	}
}

// say gathers what is true of several things into one warning.
func (e *evaluation) say(why, what string) {
	for i, w := range e.out.Warnings {
		if names, found := strings.CutSuffix(w, ": "+why); found {
			e.out.Warnings[i] = names + ", " + what + ": " + why
			return
		}
	}
	e.out.Warnings = append(e.out.Warnings, what+": "+why)
}
