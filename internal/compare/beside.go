package compare

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/stats"
)

// Ratio is services ÷ services of one metric at head, paired by round, with its 95 % interval. Described, never judged.
type Ratio struct {
	Ratio  float64
	CI     Interval
	Rounds int    // that it stands on
	Why    string // there is none; then the figures are zero
}

// Standing is how one of many services stands to the best of them under a workload, at head. Described, never judged.
type Standing struct {
	Service  string
	Workload string
	Metric   string
	Best     string // the service with the best median; its own ratio is 1
	Ratio    float64
	CI       Interval
}

// manyServices is from how many on services are shown side by side.
const manyServices = 3

// Description answers what a report or a page asks of services at head beside each other.
type Description struct{ r record }

// Describe looks a run up.
func Describe(run result.Run) Description { return Description{newRecord(&run)} }

// Between is over ÷ under: of several services on one side, the geometric mean in each round. It takes the rounds in which
// all of them have a figure, and has the bars of a gap: as many rounds, and percentiles as many requests.
func (d Description) Between(over, under []string, workload string, m result.Metric) Ratio {
	effects, why := d.effects(over, under, workload, m)
	return ratioOf(effects, why, m)
}

// Narrowing is what tells whether over ÷ under is nearer to 1 under one workload than under another: |ln to| < |ln from|
// exactly where both ratios, from ÷ to and from × to, lie on one side of 1. Rounds of the two are taken in their order.
func (d Description) Narrowing(over, under []string, from, to string, m result.Metric) (quotient, product Ratio) {
	if len(d.r.parts) > 0 && d.r.run.ShardOf(from) != d.r.run.ShardOf(to) {
		apart := Ratio{Why: "the two workloads were measured on different machines"}
		return apart, apart
	}
	before, whyBefore := d.effects(over, under, from, m)
	after, whyAfter := d.effects(over, under, to, m)
	why := whyBefore
	if why == "" {
		why = whyAfter
	}
	minus, plus := map[mark]float64{}, map[mark]float64{}
	for at, b := range before {
		if a, both := after[at]; both {
			minus[at], plus[at] = b-a, b+a
		}
	}
	return ratioOf(minus, why, m), ratioOf(plus, why, m)
}

// Median is a service's figure at head, the median over its valid rounds; ok is false where it has none, or where a
// percentile stands on too few requests: then why says so.
func (d Description) Median(service, workload string, m result.Metric) (value float64, why string) {
	head := variant(service, plan.Head)
	if why := d.few(service, workload, m); why != "" {
		return 0, why
	}
	value, ok := stats.Median(slices.Collect(maps.Values(d.r.at(workload).figures(head, workload, m))))
	if !ok {
		return 0, "not measured"
	}
	return value, ""
}

func (d Description) few(service, workload string, m result.Metric) string {
	if requests, _ := d.r.at(workload).requests(variant(service, plan.Head), workload); requests < m.MinRequests {
		return fmt.Sprintf("%s has %d requests: %s needs %d", service, requests, m.Label, m.MinRequests)
	}
	return ""
}

// effects are ln(over ÷ under) by round.
func (d Description) effects(over, under []string, workload string, m result.Metric) (effects map[mark]float64, why string) {
	var sums [2]map[mark]float64
	r := d.r.at(workload)
	for side, services := range [][]string{over, under} {
		if len(services) == 0 {
			return nil, "no such service was measured"
		}
		for i, service := range services {
			head := variant(service, plan.Head)
			if _, known := d.r.run.Plan.Services[head]; !known {
				return nil, service + " was not measured"
			}
			if why := r.failure(head); why != "" {
				return nil, service + " " + why
			}
			if why := d.few(service, workload, m); why != "" {
				return nil, why
			}
			logs := map[mark]float64{}
			for at, x := range r.figures(head, workload, m) {
				if before, all := sums[side][at]; i == 0 || all {
					logs[at] = before + math.Log(x)
				}
			}
			sums[side] = logs
		}
	}
	for _, a := range over {
		for _, b := range under {
			if r.unlike(a, b) {
				return nil, a + " and " + b + " do not answer alike"
			}
		}
	}
	effects = map[mark]float64{}
	for at, sum := range sums[0] {
		if other, both := sums[1][at]; both {
			effects[at] = sum/float64(len(over)) - other/float64(len(under))
		}
	}
	return effects, ""
}

func ratioOf(effects map[mark]float64, why string, m result.Metric) Ratio {
	if least := barOf(m).screen; why == "" && len(effects) < least {
		why = fmt.Sprintf("%d valid rounds: at least %d are needed", len(effects), least)
	}
	if why != "" {
		return Ratio{Why: why}
	}
	var sample []float64
	for _, at := range sortedMarks(effects) {
		sample = append(sample, effects[at])
	}
	r := Ratio{Rounds: len(sample)}
	r.Ratio, r.CI = center(sample)
	return r
}

// unlike says that two services are known to answer differently: they were compared and differ, or, where nobody
// compared the two, no third service agrees with both though both were compared with one.
func (r record) unlike(a, b string) bool {
	if a == b || r.run.Parity == nil {
		return false
	}
	compared := func(x, y string) bool {
		return slices.ContainsFunc(r.run.Plan.Pairs, func(p plan.Pair) bool { return p.Go == x && p.Rust == y || p.Go == y && p.Rust == x })
	}
	agree := func(x, y string) bool {
		return len(r.differences(variant(x, plan.Head), variant(y, plan.Head))) == 0
	}
	if compared(a, b) {
		return !agree(a, b)
	}
	third := false
	for _, service := range r.services() {
		if compared(a, service) && compared(b, service) {
			if agree(a, service) && agree(b, service) {
				return false
			}
			third = true
		}
	}
	return third
}

// standings are every service's throughput beside the best one's, where there are many services.
func (r record) standings(services []string) (all []Standing) {
	if len(services) < manyServices {
		return nil
	}
	d := Description{r}
	m, _ := result.MetricByName("throughput")
	for _, w := range r.run.Plan.Workloads {
		best, most := "", 0.0
		for _, service := range services {
			if x, why := d.Median(service, w.Name, m); why == "" && x > most {
				best, most = service, x
			}
		}
		for _, service := range services {
			s := Standing{Service: service, Workload: w.Name, Metric: m.Name, Best: best, Ratio: 1, CI: Interval{1, 1}}
			if service != best {
				ratio := d.Between([]string{service}, []string{best}, w.Name, m)
				if ratio.Why != "" {
					continue
				}
				s.Ratio, s.CI = ratio.Ratio, ratio.CI
			}
			all = append(all, s)
		}
	}
	return all
}
