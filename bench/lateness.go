//go:build linux

package main

import (
	"context"
	"fmt"

	"github.com/duet-bench/duet/internal/load"
)

// latenesses are how late Duet's sends are.
type latenesses struct {
	PerSecond float64       `json:"per_second"`
	Runs      int           `json:"runs"`
	Duration  float64       `json:"duration_seconds"`
	Rows      []latenessRow `json:"rows"`
}

// latenessRow is one way of sending; medians over the runs. Lateness runs from the intended start, or from the
// moment a connection was free, to the send.
type latenessRow struct {
	Process  load.Process `json:"process"`
	Spin     bool         `json:"spin"`
	Lateness quantiles    `json:"lateness_seconds"`
	Latency  quantiles    `json:"latency_seconds"`
	Met      bool         `json:"met"` // p99 within 50 µs, the project's aim
}

// latenessRate and latenessAim are the project's: sends at 2,000 a second leave within 50 µs (p99).
const (
	latenessRate = 2000
	latenessAim  = 50e-6 // seconds
)

func (b *bench) lateness(ctx context.Context) (*latenesses, error) {
	s, err := b.serve(ctx, 0)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	l := &latenesses{PerSecond: latenessRate, Runs: (b.runs + 2) / 3, Duration: b.duration.Seconds()}
	for _, process := range []load.Process{load.Constant, load.Poisson} {
		l.Rows = append(l.Rows, latenessRow{Process: process, Spin: true}, latenessRow{Process: process})
	}
	late, latency := make([][]quantiles, len(l.Rows)), make([][]quantiles, len(l.Rows))
	for range l.Runs {
		for i, row := range l.Rows {
			t, _, err := b.tell(ctx, nil, asked{
				Client: "duet", Address: s.address(), Connections: b.connections, Duration: b.duration,
				PerSecond: latenessRate, Process: row.Process, Spin: row.Spin,
			})
			if err != nil {
				return nil, fmt.Errorf("lateness of %s arrivals: %w", row.Process, err)
			}
			late[i], latency[i] = append(late[i], t.Lateness), append(latency[i], t.Latency)
		}
	}
	for i := range l.Rows {
		l.Rows[i].Lateness, l.Rows[i].Latency = medians(late[i]), medians(latency[i])
		l.Rows[i].Met = l.Rows[i].Lateness[2] <= latenessAim
	}
	return l, nil
}
