//go:build linux

package main

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/duet-bench/duet/internal/load"
)

// The stall that the server makes in each period of period.
const (
	stallLength = 100 * time.Millisecond
	period      = time.Second
)

// stalls are what each client says of a server that stalls, against what is so.
type stalls struct {
	PerSecond   float64    `json:"per_second"`
	Connections int        `json:"connections"`
	Runs        int        `json:"runs"`
	Duration    float64    `json:"duration_seconds"`
	Capacity    float64    `json:"capacity_per_second"`   // at which a backlog drains, on the server without stalls
	Unstalled   float64    `json:"unstalled_p50_seconds"` // latency without stalls, at PerSecond
	Computed    quantiles  `json:"computed_seconds"`
	Within      bool       `json:"duet_within_aim"` // 2 % or 0.2 ms, whichever is more
	Clients     []stallRow `json:"clients"`
}

// stallRow is one client's quantiles: medians over the runs.
type stallRow struct {
	Client  string    `json:"client"`
	Latency quantiles `json:"latency_seconds"`
}

// waited is what a request waits that arrives at a share p of the ordered waits (0 to 1), in seconds.
//
// Constant arrivals, rate r, meet a server of capacity m that stands still for the first s of each period t. Before
// one that comes a after the stall began stand r·a others, so it waits s − a + r·a/m = s − a(1 − r/m), and the same
// line holds after the stall until the backlog is gone, at a = s/(1 − r/m). So waits fall from s to 0 evenly over a
// share s/(1 − r/m)/t of the requests, and the others wait for nobody.
func waited(p, rate, capacity, stall, period float64) float64 {
	return max(stall-(1-p)*period*(1-rate/capacity), 0)
}

// computed is the distribution of latency: the wait, and the latency of a request that waits for nobody.
func computed(rate, capacity, unstalled float64) quantiles {
	var q quantiles
	for i, p := range percentiles() {
		q[i] = waited(p/100, rate, capacity, stallLength.Seconds(), period.Seconds()) + unstalled
	}
	return q
}

// within holds when each quantile is within 2 % or 0.2 ms of the computed one, the project's aim.
func within(got, want quantiles) bool {
	for i := range got {
		if math.Abs(got[i]-want[i]) > max(0.02*want[i], 0.0002) {
			return false
		}
	}
	return true
}

func (b *bench) stall(ctx context.Context) (*stalls, error) {
	st := &stalls{PerSecond: b.rate, Connections: b.connections, Runs: (b.runs + 2) / 3, Duration: b.stallFor.Seconds()}
	if err := b.calibrate(ctx, st); err != nil {
		return nil, err
	}
	s, err := b.serve(ctx, stallLength)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	clients := b.stallClients(ctx, s)
	all := make([][]quantiles, len(clients))
	for run := range st.Runs {
		for i, c := range clients {
			t, err := c.run()
			if err != nil {
				return nil, fmt.Errorf("stall with %s: %w", c.name, err)
			}
			all[i] = append(all[i], t.Latency)
		}
		fmt.Fprintf(b.progress, "stall: run %d of %d\n", run+1, st.Runs)
	}
	for i, c := range clients {
		st.Clients = append(st.Clients, stallRow{Client: c.name, Latency: medians(all[i])})
	}
	st.Computed = computed(st.PerSecond, st.Capacity, st.Unstalled)
	st.Within = within(st.Clients[0].Latency, st.Computed)
	return st, nil
}

// calibrate measures what the computed distribution rests on, on the same server without stalls. A backlog drains more
// slowly than a closed loop runs: both sides have rested and their caches are cold. So capacity is that of bursts, each
// as large as the backlog after a stall and after as long a rest. A burst of n is answered evenly over n/capacity, so
// that half of it is answered in 0.5 n/capacity, which is p50 of its latency (and hardly moved by a few slow bursts).
func (b *bench) calibrate(ctx context.Context, st *stalls) error {
	s, err := b.serve(ctx, 0)
	if err != nil {
		return err
	}
	defer s.stop()
	n := max(int(b.rate*stallLength.Seconds()), 1)
	a := asked{Client: "duet", Address: s.address(), Connections: b.connections, Duration: b.duration, Spin: true}
	var capacity, unstalled []float64
	for range 3 {
		burst := a
		burst.Burst = n
		t, _, err := b.tell(ctx, nil, burst)
		if err != nil {
			return fmt.Errorf("measuring capacity: %w", err)
		}
		capacity = append(capacity, 0.5*float64(n)/t.Latency[0])
		fixed := a
		fixed.PerSecond = b.rate
		if t, _, err = b.tell(ctx, nil, fixed); err != nil {
			return fmt.Errorf("measuring latency without stalls: %w", err)
		}
		unstalled = append(unstalled, t.Latency[0])
	}
	st.Capacity, st.Unstalled = median(capacity), median(unstalled)
	if st.Capacity <= 2*b.rate {
		return fmt.Errorf("stall at %.0f/s: a backlog drains at %.0f/s: expected at least twice the rate", b.rate, st.Capacity)
	}
	return nil
}

type stallClient struct {
	name string
	run  func() (told, error)
}

// stallClients are Duet first, then each peer at full speed and, where it knows one, at the rate.
func (b *bench) stallClients(ctx context.Context, s *server) []stallClient {
	return []stallClient{
		{nameDuet + ", open loop", func() (told, error) {
			t, _, err := b.tell(ctx, nil, asked{
				Client: "duet", Address: s.address(), Connections: b.connections, Duration: b.stallFor,
				PerSecond: b.rate, Process: load.Constant, Spin: true, AtHalf: true,
			})
			return t, err
		}},
		{"wrk, full speed", func() (told, error) { t, _, err := b.wrk(ctx, s, b.stallFor); return t, err }},
		{"hey, full speed", func() (told, error) { return b.hey(ctx, s, 0) }},
		{"hey, at the rate", func() (told, error) { return b.hey(ctx, s, b.rate) }},
		{"bombardier, full speed", func() (told, error) { return b.bombardier(ctx, s, 0) }},
		{"bombardier, at the rate", func() (told, error) { return b.bombardier(ctx, s, b.rate) }},
	}
}

// medians are the medians of each quantile.
func medians(all []quantiles) quantiles {
	var q quantiles
	for i := range q {
		values := make([]float64, len(all))
		for k := range all {
			values[k] = all[k][i]
		}
		q[i] = median(values)
	}
	return q
}
