package selftest

import (
	"math"
	"slices"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/stats"
)

// plants judges every plant.
func (e *evaluation) plants() error {
	for _, subject := range e.subjects {
		if subject.Plant == Again {
			continue
		}
		if err := e.plant(subject); err != nil {
			return err
		}
	}
	return nil
}

// plant judges base against one plant, with base against itself in the other language as company.
func (e *evaluation) plant(subject Subject) error {
	own := e.bank.deckOf(subject.Lang, subject.Plant)
	s, ok := sizeOf(e.o.Rounds).within(own.room(subject.Lang, e.smallest()))
	v := verdicts{subject: subject, own: own}
	v.begin()
	e.short(subject.Variant().Service, s, ok)
	if !ok {
		v.finish(e)
		return nil
	}
	d := own
	for lang, other := range e.again {
		if lang != subject.Lang {
			d = d.with(other.under(own.workloads()))
		}
	}
	timing, counting := own.reports(subject.Lang, s)
	n := max(timing, counting)
	e.o.Progress("%s: %d disjoint reports", subject.Variant().Service, n)
	fill := func(lang plan.Lang) bool { return lang != subject.Lang }
	err := e.each(n, s, func(i int) dealt { return d.disjoint(s, i, fill) }, v.hits, func(one seen) { v.see(one, false) })
	if err == nil && least(timing, counting) < enough && e.o.Resamples > 0 {
		e.o.Progress("%s: %d resampled reports", subject.Variant().Service, e.o.Resamples)
		err = e.each(e.o.Resamples, s, func(i int) dealt { return d.resampled(s, e.generator(subject.Variant().Service, i)) },
			v.hits, func(one seen) { v.see(one, true) })
	}
	if err == nil {
		v.finish(e)
	}
	return err
}

// under keeps timing rounds of some workloads alone.
func (d deck) under(workloads []string) deck {
	kept := deck{timing: map[slot][]both[*banked]{}, counting: d.counting}
	for at, rounds := range d.timing {
		if slices.Contains(workloads, at.workload) {
			kept.timing[at] = rounds
		}
	}
	return kept
}

func (d deck) workloads() []string {
	var names []string
	for at := range d.timing {
		names = append(names, at.workload)
	}
	return names
}

// verdicts gathers what reports say of one plant.
type verdicts struct {
	subject Subject
	own     deck
	found   []Found
	tallies [][2]tally // by target: disjoint, resampled
	peers   []peerTallies
	named   [2][2]int // disjoint, resampled: reports that name something, reports
	which   []string
}

// tally counts verdicts of a row.
type tally struct {
	reports int
	by      map[compare.Verdict]int
	others  int
}

func (v *verdicts) begin() {
	all := v.own.all()
	for _, target := range v.subject.Targets {
		at := slot{v.subject.Lang, target.Workload}
		metric := target.Metric
		if metric == Work {
			metric = all.workMetric(at)
		}
		m, _ := result.MetricByName(metric)
		f := Found{
			Plant: v.subject.Plant, About: v.subject.About, Lang: v.subject.Lang, Workload: target.Workload, Metric: metric,
			Aim: target.Aim, Least: target.Least, Quiet: target.Quiet, Margin: m.Margin,
		}
		s := all.series(at, m)
		f.Rounds = len(s.d)
		f.Noise, _ = stats.SD(s.d)
		effect := mean(s.d)
		f.Effect = math.Expm1(effect)
		if aim := target.Aim; aim > 0 {
			f.NeedRounds, _ = stats.RoundsToFind(effect, f.Noise, math.Log1p(m.Margin), judgeAlpha, aim, maxNeed)
		}
		v.found = append(v.found, f)
		v.tallies = append(v.tallies, [2]tally{{by: map[compare.Verdict]int{}}, {by: map[compare.Verdict]int{}}})
		v.peers = append(v.peers, newPeerTallies())
	}
}

func mean(x []float64) float64 {
	if len(x) == 0 {
		return 0
	}
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

// hits are what peers' rules say of each target.
func (v *verdicts) hits(report dealt) []hits {
	all := make([]hits, len(v.found))
	for i, f := range v.found {
		m, _ := result.MetricByName(f.Metric)
		all[i] = atRow(report, slot{f.Lang, f.Workload}, m)
	}
	return all
}

// see takes one report in.
func (v *verdicts) see(one seen, resampled bool) {
	kind := 0
	if resampled {
		kind = 1
	}
	ours := func(row compare.Comparison) bool { return row.Service == string(v.subject.Lang) }
	which, _ := changed(one.c, ours)
	v.named[kind][1]++
	if len(which) > 0 {
		v.named[kind][0]++
		v.which = append(v.which, which...)
	}
	for i, f := range v.found {
		m, _ := result.MetricByName(f.Metric)
		if len(one.dealt.series(slot{f.Lang, f.Workload}, m).d) == 0 {
			continue // this report has no round of that pass
		}
		v.tallies[i][kind].add(one.c, ours, f)
		v.peers[i].take(one.peers[i])
	}
}

func (t *tally) add(c compare.Comparisons, ours func(compare.Comparison) bool, f Found) {
	t.reports++
	for _, row := range c.Rows {
		switch {
		case !ours(row):
		case row.Workload == f.Workload && row.Metric == f.Metric:
			t.by[row.Verdict]++
		case row.Verdict == compare.Improved:
			t.others++
		}
	}
}

func (v *verdicts) finish(e *evaluation) {
	if len(v.subject.Targets) == 0 {
		e.out.Named = append(e.out.Named, Named{
			Plant: v.subject.Plant, About: v.subject.About, Lang: v.subject.Lang, WhichRows: commonest(v.which),
			Disjoint: share(v.named[0][0], v.named[0][1]), Resampled: share(v.named[1][0], v.named[1][1]),
		})
		return
	}
	for i, f := range v.found {
		f.Disjoint, f.Resampled = v.tallies[i][0].tally(), v.tallies[i][1].tally()
		v.peers[i].stretchesRow(v.own.timing[slot{f.Lang, f.Workload}])
		f.Peers = v.peers[i].shares()
		e.out.Found = append(e.out.Found, f)
	}
}

func (t tally) tally() Tally {
	return Tally{
		Found: share(t.by[compare.Regressed], t.reports), Wrong: t.by[compare.Improved], Unchanged: t.by[compare.Unchanged],
		Inconclusive: t.by[compare.Inconclusive], NotJudged: t.by[compare.NotJudged], OthersImproved: t.others,
	}
}
