package harness

import (
	"context"
	"fmt"
	"slices"

	"github.com/duet-bench/duet/internal/parity"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/service"
	"github.com/duet-bench/duet/internal/workload"
)

// transcript is every answer of one variant to one workload's seeded requests, setup included.
type transcript []exchange

// differencesEach is how many differences of two variants under one workload are kept, so that no two of them
// push the others out of run.json.
const differencesEach = 3

// parity asks all variants the same requests of every workload and compares the answers: the two languages at
// each side, and head against base of each service. It comes before any load. Where answers differ, all are asked
// a second time, and what differs both times counts: a time of day in a body may agree or differ by chance.
func (s *session) parity(ctx context.Context) error {
	if err := s.leave(ctx); err != nil {
		return err
	}
	s.o.Progress.Begin("parity")
	found := &result.ParityResult{Differences: []result.Difference{}}
	for _, w := range s.run.Plan.Workloads {
		if s.stopped(w.Name) {
			continue
		}
		first, err := s.transcripts(ctx, w)
		if err != nil {
			return err
		}
		differences, requests := s.differences(w.Name, first)
		found.Requests += requests
		if len(differences) == 0 {
			continue
		}
		second, err := s.transcripts(ctx, w)
		if err != nil {
			return err
		}
		again, _ := s.differences(w.Name, second)
		record(found, bothTimes(differences, again))
	}
	if found.Requests > 0 {
		s.run.Parity = found
	}
	s.progress.ParityDone = true
	return nil
}

// transcripts asks every variant that is measured one workload's first requests.
func (s *session) transcripts(ctx context.Context, w workload.Workload) (map[plan.Variant]transcript, error) {
	answers := map[plan.Variant]transcript{}
	for _, variant := range s.present(s.live(), w.Name) {
		s.o.Progress.Update("%s · answers of %s", w.Name, variant)
		got, failed := s.converse(ctx, w, variant)
		if err := s.over(ctx); err != nil {
			return nil, err
		}
		if failed != nil {
			s.giveUp(variant, w.Name, *failed)
			continue
		}
		answers[variant] = got
	}
	for name := range s.progress.Identical { // one binary: what head answers, base does
		answers[plan.Variant{Service: name, Side: plan.Base}] = answers[plan.Variant{Service: name, Side: plan.Head}]
	}
	return answers, nil
}

// difference is one way in which two variants answered one request differently.
type difference struct {
	at    int // the request's place among a workload's
	found result.Difference
}

// differences compares all transcripts that should agree, in order, and counts the requests compared.
func (s *session) differences(workload string, answers map[plan.Variant]transcript) (all []difference, requests int) {
	for _, two := range s.comparable() {
		a, b := answers[two[0]], answers[two[1]]
		for i := range min(len(a), len(b)) {
			requests++
			for _, finding := range parity.Compare(a[i].answer, b[i].answer, s.run.Plan.Parity.Ignore) {
				all = append(all, difference{at: i, found: result.Difference{
					A: two[0], B: two[1], Workload: workload, Request: requestName(a[i].message),
					What: finding.What, Diff: finding.Diff,
				}})
			}
		}
	}
	return all, requests
}

// requestName is what a report calls a request. Messages are told apart by their name alone.
func requestName(m workload.Message) string {
	if m.Type == "" {
		return m.String()
	}
	return m.Name + " " + m.String() // compare tells kinds of requests apart by the first word
}

// bothTimes keeps the differences that were found the second time as well.
func bothTimes(first, second []difference) []difference {
	type key struct {
		a, b plan.Variant
		at   int
		what string
	}
	seen := map[key]bool{}
	for _, d := range second {
		seen[key{d.found.A, d.found.B, d.at, d.found.What}] = true
	}
	return slices.DeleteFunc(slices.Clone(first), func(d difference) bool {
		return !seen[key{d.found.A, d.found.B, d.at, d.found.What}]
	})
}

// record counts the differences of one workload and keeps a few of each two variants'.
func record(found *result.ParityResult, differences []difference) {
	kept := map[[2]plan.Variant]int{}
	for _, d := range differences {
		found.Total++
		two := [2]plan.Variant{d.found.A, d.found.B}
		if kept[two]++; kept[two] <= differencesEach && len(found.Differences) < result.MaxDifferences {
			found.Differences = append(found.Differences, d.found)
		}
	}
}

// comparable are the pairs of variants whose answers should be the same.
func (s *session) comparable() [][2]plan.Variant {
	var twos [][2]plan.Variant
	for _, side := range s.sides() {
		for _, pair := range s.run.Plan.Pairs {
			twos = append(twos, [2]plan.Variant{{Service: pair.Go, Side: side}, {Service: pair.Rust, Side: side}})
		}
	}
	for _, variant := range s.variants() {
		if variant.Side == plan.Head {
			twos = append(twos, [2]plan.Variant{{Service: variant.Service, Side: plan.Base}, variant})
		}
	}
	return twos
}

// converse starts one variant and asks it one workload's first requests, one after the other.
func (s *session) converse(ctx context.Context, w workload.Workload, v plan.Variant) (transcript, *breakdown) {
	t := &turn{workload: w, trial: result.Trial{Variant: v, Workload: w.Name}}
	got, err := s.askAll(ctx, t, w, v)
	step := t.stepName("parity")
	if err != nil {
		err = t.crashed(err)
		t.tail = service.TailOf(err)
		t.spoil(err)
	}
	t.stop(s)
	if err != nil {
		return nil, &breakdown{step: step, cause: err, tail: t.tail}
	}
	return got, nil
}

func (s *session) askAll(ctx context.Context, t *turn, w workload.Workload, v plan.Variant) (transcript, error) {
	var err error
	if t.service, err = s.start(ctx, v, w); err != nil {
		return nil, err
	}
	captures, got, err := setUp(ctx, t.service, s.run.Plan, w)
	if err != nil {
		return nil, err
	}
	asked, err := askedOf(w, s.run.Plan.Seed, captures, s.run.Plan.Parity.Requests)
	if err != nil {
		return nil, err
	}
	asker := asker{to: t.service, opening: asked.opening, timeout: requestTimeout}
	defer asker.close()
	for _, m := range asked.messages {
		answer, err := asker.ask(ctx, m)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m, err)
		}
		got = append(got, exchange{m, answer})
	}
	return got, nil
}
