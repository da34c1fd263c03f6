package harness

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/duet-bench/duet/internal/load"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/workload"
)

const (
	// calibrationSlice is how long one variant's capacity is measured for, after its warm-up.
	calibrationSlice = 500 * time.Millisecond
	// headroom is the largest share of any variant's capacity that is offered: near 1 a queue never drains.
	headroom = 0.7
)

// calibrate finds a workload's offered rate once, the same for all variants: a share of the slowest base
// variant's capacity. A head that could not carry it lowers the rate for all, said, so that it is measured
// instead of being drowned.
func (s *session) calibrate(ctx context.Context, name string) error {
	s.o.Progress.Begin("measure")
	w := s.workload(name)
	found := result.OfferedRate{Workload: name, PerSecond: w.Rate.PerSecond, Capacity: map[plan.Variant]float64{}}
	if w.Rate.PerSecond == 0 {
		for _, variant := range s.present(s.live(), name) {
			s.o.Progress.Update("%s · capacity of %s", name, variant)
			capacity, failed := s.capacity(ctx, w, variant)
			if err := s.over(ctx); err != nil {
				return err
			}
			if failed != nil {
				s.giveUp(variant, name, *failed)
				continue
			}
			found.Capacity[variant] = capacity
		}
		found.PerSecond = s.offer(w, found.Capacity)
	}
	s.sizeWindow(w, found.Capacity)
	s.rates[name] = found.PerSecond
	s.run.Rates = append(s.run.Rates, found)
	s.progress.Calibrated[name] = true
	return nil
}

// offer is the rate for all variants of a workload. A base whose head has failed is no reference: nobody measures it.
func (s *session) offer(w workload.Workload, capacity map[plan.Variant]float64) float64 {
	wanted, most := 0.0, 0.0
	for _, variant := range s.live() {
		c, known := capacity[variant]
		if !known {
			continue
		}
		reference := variant.Side == plan.Base || s.run.Plan.Base == nil || s.progress.Identical[variant.Service]
		if share := w.Rate.Share * c; reference && (wanted == 0 || share < wanted) {
			wanted = share
		}
		if most == 0 || headroom*c < most {
			most = headroom * c
		}
	}
	if wanted == 0 { // no reference survived: what is left is measured by itself
		return w.Rate.Share * most / headroom
	}
	if wanted > most {
		s.warnf("%s: base would carry %.0f requests a second at %.0f %% load and the slowest variant would not: offered %.0f to all", w.Name, wanted, 100*w.Rate.Share, most)
		return most
	}
	return wanted
}

// capacity is the closed-loop throughput of one freshly started variant.
func (s *session) capacity(ctx context.Context, w workload.Workload, v plan.Variant) (perSecond float64, failed *breakdown) {
	t := s.begin(ctx, plan.Step{Kind: plan.StepCalibrate}, w, v)
	if t.trial.Invalid == "" {
		var err error
		if perSecond, err = s.fullLoad(ctx, t); err != nil {
			t.spoil(t.crashed(err))
		}
	}
	t.stop(s)
	if t.trial.Invalid != "" {
		return 0, &breakdown{step: t.step, cause: errors.New(t.trial.Invalid), tail: t.tail}
	}
	return perSecond, nil
}

func (s *session) fullLoad(ctx context.Context, t *turn) (perSecond float64, err error) {
	unpin, err := s.pinClient()
	if err != nil {
		return 0, err
	}
	defer unpin()
	slice, err := t.client.Closed(ctx, calibrationSlice, &t.pending)
	if err != nil {
		return 0, err
	}
	if slice.Requests == 0 || float64(slice.Errors) > t.workload.MaxErrors*float64(slice.Requests) {
		return 0, fmt.Errorf("%d of %d answers were bad at full load: %s", slice.Errors, slice.Requests, slice.Failures.First())
	}
	return float64(slice.Requests-slice.Errors) / slice.Elapsed.Seconds(), nil
}

// pinClient holds the load generator to a core of its own, where there is one.
func (s *session) pinClient() (unpin func(), err error) {
	if len(s.cores.client) == 0 {
		return func() {}, nil
	}
	return load.Pin(s.cores.client[0])
}
