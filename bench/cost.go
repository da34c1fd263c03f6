//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// costs are what one request costs each client in a closed loop.
type costs struct {
	Of          string    `json:"of"` // what is counted: request, message
	Connections int       `json:"connections"`
	Runs        int       `json:"runs"`
	Duration    float64   `json:"duration_seconds"`
	Clients     []cost    `json:"clients"`
	Against     []against `json:"against"`
	By          string    `json:"by"` // what Against compares: "cycles" or "CPU time"
}

// cost is one client's: medians over the runs, per request. Counts are 0 where the machine does not count.
type cost struct {
	Client             string  `json:"client"`
	PerSecond          float64 `json:"requests_per_second"`
	CPUMicros          float64 `json:"cpu_us"`
	UserInstructions   float64 `json:"user_instructions,omitempty"`
	KernelInstructions float64 `json:"kernel_instructions,omitempty"`
	UserCycles         float64 `json:"user_cycles,omitempty"`
	KernelCycles       float64 `json:"kernel_cycles,omitempty"`

	runs []cost
}

// by is what clients are compared by.
func (c cost) by() float64 {
	if cycles := c.UserCycles + c.KernelCycles; cycles > 0 {
		return cycles
	}
	return c.CPUMicros
}

// against is Duet's cost over another's, and the aim.
type against struct {
	Other  string  `json:"other"`
	Ratio  float64 `json:"ratio"` // median over the rounds of runs: each of Duet's over its neighbour's
	AtMost float64 `json:"at_most"`
	Met    bool    `json:"met"`
}

// Names of the clients that the aims are about.
const (
	nameDuet  = "Duet"
	nameFloor = "system-call floor (C, blind)"
	nameWrk   = "wrk (1 thread)"
	nameFast  = "fasthttp HostClient, GOMAXPROCS="
)

// contender runs once. Its CPU time is that of all its threads while it asks; wrk's is its process's, of which
// starting is about a millisecond. Hardware counts are whole processes'.
type contender struct {
	name string
	run  func() (requests int64, s spent, err error)
}

func (b *bench) cost(ctx context.Context) (*costs, error) {
	s, err := b.serve(ctx, 0)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	return b.costOf("request", b.contenders(ctx, s), []against{{Other: nameFloor, AtMost: 1.15}, {Other: nameWrk, AtMost: 1}, {Other: nameFast, AtMost: 0.7}})
}

// costOf runs contenders in turns, and sets Duet against the best of each others' kind.
func (b *bench) costOf(what string, contenders []contender, aims []against) (*costs, error) {
	clients := make([]cost, len(contenders))
	for i, c := range contenders {
		clients[i].Client = c.name
	}
	for run := range b.runs {
		// Each round begins with another client: none has always the same neighbour in time first.
		for k := range contenders {
			i := (run + k) % len(contenders)
			requests, spent, err := contenders[i].run()
			if err != nil {
				return nil, fmt.Errorf("cost of %s: %w", contenders[i].name, err)
			}
			clients[i].runs = append(clients[i].runs, perRequest(requests, spent, b.duration))
		}
		fmt.Fprintf(b.progress, "cost of a %s: run %d of %d\n", what, run+1, b.runs)
	}
	for i := range clients {
		clients[i].summarise()
	}
	c := &costs{Of: what, Connections: b.connections, Runs: b.runs, Duration: b.duration.Seconds(), Clients: clients, By: "CPU time"}
	if clients[0].UserCycles > 0 {
		c.By = "cycles"
	}
	c.Against = compare(clients, aims)
	return c, nil
}

func (b *bench) contenders(ctx context.Context, s *server) []contender {
	seconds := strconv.FormatFloat(b.duration.Seconds(), 'f', -1, 64)
	list := []contender{
		{nameFloor, func() (int64, spent, error) {
			sp, err := b.client(ctx, nil, b.dir+"/floor", strconv.Itoa(s.port), strconv.Itoa(b.connections), seconds)
			if err != nil {
				return 0, sp, err
			}
			n := int64(0)
			if _, err := fmt.Sscan(sp.out, &n, &sp.cpu); err != nil {
				return 0, sp, fmt.Errorf("reading what the floor says: %w", err)
			}
			return n, sp, nil
		}},
		{nameDuet, func() (int64, spent, error) {
			return b.own(ctx, nil, asked{Client: "duet", Address: s.address(), Connections: b.connections, Duration: b.duration})
		}},
		{nameWrk, func() (int64, spent, error) {
			t, sp, err := b.wrk(ctx, s, b.duration)
			return t.Requests, sp, err
		}},
	}
	for _, procs := range []string{"1", "2", "4"} {
		list = append(list, contender{nameFast + procs, func() (int64, spent, error) {
			return b.own(ctx, []string{"GOMAXPROCS=" + procs},
				asked{Client: "fasthttp", Address: s.address(), Connections: b.connections, Duration: b.duration})
		}})
	}
	return list
}

// own runs this program as a client.
func (b *bench) own(ctx context.Context, env []string, a asked) (int64, spent, error) {
	t, s, err := b.tell(ctx, env, a)
	s.cpu = t.Process
	return t.Requests, s, err
}

func (b *bench) tell(ctx context.Context, env []string, a asked) (told, spent, error) {
	s, err := b.client(ctx, env, b.self, a.args()...)
	if err != nil {
		return told{}, s, err
	}
	var t told
	if err := json.Unmarshal([]byte(s.out), &t); err != nil {
		return told{}, s, fmt.Errorf("reading what %s says: %w", a.Client, err)
	}
	return t, s, nil
}

func perRequest(requests int64, s spent, length time.Duration) cost {
	n := float64(requests)
	return cost{
		PerSecond: n / length.Seconds(), CPUMicros: s.cpu.Seconds() * 1e6 / n,
		UserInstructions: float64(s.counts.userInstructions) / n, KernelInstructions: float64(s.counts.kernelInstructions) / n,
		UserCycles: float64(s.counts.userCycles) / n, KernelCycles: float64(s.counts.kernelCycles) / n,
	}
}

// summarise takes the medians.
func (c *cost) summarise() {
	of := func(field func(cost) float64) float64 {
		values := make([]float64, len(c.runs))
		for i, r := range c.runs {
			values[i] = field(r)
		}
		return median(values)
	}
	c.PerSecond = of(func(r cost) float64 { return r.PerSecond })
	c.CPUMicros = of(func(r cost) float64 { return r.CPUMicros })
	c.UserInstructions = of(func(r cost) float64 { return r.UserInstructions })
	c.KernelInstructions = of(func(r cost) float64 { return r.KernelInstructions })
	c.UserCycles = of(func(r cost) float64 { return r.UserCycles })
	c.KernelCycles = of(func(r cost) float64 { return r.KernelCycles })
}

func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	if len(s) == 0 {
		return 0
	}
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// compare sets Duet against others, by the beginnings of their names: the best of each. The bounds are the project's aims.
func compare(clients []cost, aims []against) []against {
	find := func(prefix string) cost {
		var best cost
		for _, c := range clients {
			if strings.HasPrefix(c.Client, prefix) && (best.Client == "" || c.by() < best.by()) {
				best = c
			}
		}
		return best
	}
	duet := find(nameDuet)
	list := slices.Clone(aims)
	for i := range list {
		other := find(list[i].Other)
		ratios := make([]float64, len(duet.runs))
		for k := range ratios {
			ratios[k] = duet.runs[k].by() / other.runs[k].by()
		}
		list[i].Other, list[i].Ratio = other.Client, median(ratios)
		list[i].Met = list[i].Ratio <= list[i].AtMost
	}
	return list
}
