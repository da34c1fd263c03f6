package harness

import (
	"context"
	"fmt"

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
// each side, and head against base of each service. It comes before any load.
func (s *session) parity(ctx context.Context) error {
	if err := s.leave(ctx); err != nil {
		return err
	}
	s.o.Progress.Begin("parity")
	found := &result.ParityResult{Differences: []result.Difference{}}
	for _, w := range s.run.Plan.Workloads {
		answers := map[plan.Variant]transcript{}
		for _, variant := range s.present(s.live(), w.Name) {
			s.o.Progress.Update("%s · answers of %s", w.Name, variant)
			got, failed := s.converse(ctx, w, variant)
			if err := s.over(ctx); err != nil {
				return err
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
		for _, two := range s.comparable() {
			a, b := answers[two[0]], answers[two[1]]
			if a != nil && b != nil {
				compareTranscripts(found, w.Name, two, a, b, s.run.Plan.Parity.Ignore)
			}
		}
	}
	if found.Requests > 0 {
		s.run.Parity = found
	}
	s.progress.ParityDone = true
	return nil
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
	messages, err := workload.Stream(w, s.run.Plan.Seed, captures, s.run.Plan.Parity.Requests)
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		answer, err := ask(ctx, t.service, m)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", m.Method, m.Path, err)
		}
		got = append(got, exchange{m, answer})
	}
	return got, nil
}

func compareTranscripts(found *result.ParityResult, workload string, two [2]plan.Variant, a, b transcript, ignore []string) {
	kept := 0
	for i := range min(len(a), len(b)) {
		found.Requests++
		for _, finding := range parity.Compare(a[i].answer, b[i].answer, ignore) {
			found.Total++
			if kept++; kept <= differencesEach && len(found.Differences) < result.MaxDifferences {
				found.Differences = append(found.Differences, result.Difference{
					A: two[0], B: two[1], Workload: workload, Request: a[i].message.Method + " " + a[i].message.Path,
					What: finding.What, Diff: finding.Diff,
				})
			}
		}
	}
}
