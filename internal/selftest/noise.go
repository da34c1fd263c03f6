package selftest

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/stats"
)

// noise measures base against itself, and from it which kind of machine this is.
func (e *evaluation) noise() {
	cpu := map[string]float64{}
	for _, lang := range langs(e.subjects) {
		d := e.again[lang].all()
		for _, w := range e.workloads {
			at := slot{lang, w.Name}
			for _, m := range result.Metrics() {
				s := d.series(at, m)
				sd, ok := stats.SD(s.d)
				if !ok || len(s.d) < stats.MinSamples || !m.Judged {
					continue
				}
				n := Noise{Lang: lang, Workload: w.Name, Metric: m.Name, Rounds: len(s.d), SD: sd, Center: math.Expm1(mean(s.d)), Margin: m.Margin}
				rounds := e.o.Rounds.Confirm
				if m.Count != nil {
					rounds = e.o.Rounds.CountConfirm
				}
				if effect, ok := stats.Detectable(rounds, sd, math.Log1p(m.Margin), judgeAlpha, judgePower); ok {
					n.Smallest = math.Expm1(effect)
				}
				e.out.Noise = append(e.out.Noise, n)
				if m.Name == result.CPUPerRequest {
					cpu[fmt.Sprintf("%s %s", lang, w.Name)] = sd
				}
			}
		}
	}
	e.out.Kind, e.out.KindWhy = kindOf(cpu)
}

// quietBelow is the round-to-round standard deviation of CPU time under which a machine is quiet.
const quietBelow = 0.01

func kindOf(cpu map[string]float64) (Kind, string) {
	if len(cpu) == 0 {
		return Unknown, "no CPU time of base against itself was measured"
	}
	worst := 0.0
	var all []string
	for name, sd := range cpu {
		worst = max(worst, sd)
		all = append(all, fmt.Sprintf("%s %.1f %%", name, 100*sd))
	}
	slices.Sort(all)
	why := "round-to-round SD of CPU per request: " + strings.Join(all, ", ")
	if worst < quietBelow {
		return Quiet, why
	}
	return Busy, why
}
