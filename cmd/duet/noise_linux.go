package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/duet-bench/duet/internal/harness"
	"github.com/duet-bench/duet/internal/load"
	"github.com/duet-bench/duet/internal/noise"
	"github.com/duet-bench/duet/internal/workload"
)

// How two identical services are measured: as a run measures variants, in the open loop.
const (
	mostNoiseRounds  = 11 // an SD from eleven rounds is known to about a fifth
	leastNoiseRounds = 3
	noiseRoundTime   = 8 * time.Second // of all settings in one round, before there are fewer rounds
	noiseConnections = 4
	noiseShare       = 0.4 // of the capacity, as a workload's rate is by default
	noiseWarmUp      = 500 // requests
	noiseCapacity    = 500 * time.Millisecond
	noiseSeed        = 1 // of the order
	noisePatience    = 2 // times the given time, on a machine that is too busy to keep to it
	noiseStart       = 10 * time.Second
)

// noisy is a noise measurement under way.
type noisy struct {
	cores  noiseCores
	window time.Duration // of one service under one setting in one round
	rng    *rand.Rand
	rate   map[bool]float64 // by pinning, requests a second
	rounds []noise.Round
}

// measureNoise measures two identical services in about the given time.
func measureNoise(ctx context.Context, length time.Duration, p *progress) ([]noise.Round, noise.Disturbance, error) {
	m := noisy{rng: rand.New(rand.NewPCG(noiseSeed, 0)), rate: map[bool]float64{}}
	m.cores.service, m.cores.client, m.cores.ok = harness.PinnedCores()
	pinnings := []bool{false}
	if m.cores.ok {
		pinnings = []bool{true, false}
	} else {
		p.Note("no two cores that share no hardware: nothing can be pinned")
	}
	rounds := min(max(int(length/noiseRoundTime), leastNoiseRounds), mostNoiseRounds)
	m.window = length / time.Duration(rounds*len(pinnings)*len(noise.Slices())*2)
	p.Begin("noise of this machine")
	before := readOccupied()
	began := time.Now()
	for round := range rounds {
		if round >= leastNoiseRounds && time.Since(began) > noisePatience*length {
			p.Note("%d of %d rounds took %s: that is enough", round, rounds, time.Since(began).Round(time.Second))
			break
		}
		for _, i := range m.rng.Perm(len(pinnings)) {
			p.Update("round %d of %d, services %s", round+1, rounds, map[bool]string{true: "on one core", false: "not pinned"}[pinnings[i]])
			if err := m.round(ctx, pinnings[i]); err != nil {
				return nil, noise.Disturbance{}, fmt.Errorf("round %d: %w", round+1, err)
			}
		}
	}
	return m.rounds, readOccupied().since(before), nil
}

// round measures two fresh services under all slice lengths of a pinning, in shuffled order.
func (m *noisy) round(ctx context.Context, pinned bool) (err error) {
	var twins [2]*twin
	defer func() {
		for _, t := range twins {
			err = errors.Join(err, t.stop())
		}
	}()
	for _, i := range m.rng.Perm(len(twins)) {
		if twins[i], err = m.start(ctx, pinned); err != nil {
			return err
		}
	}
	unpin, err := m.pinClient(pinned)
	if err != nil {
		return err
	}
	defer unpin()
	if err := m.findRate(ctx, pinned, twins); err != nil {
		return err
	}
	for _, i := range m.rng.Perm(len(noise.Slices())) {
		setting := noise.Setting{Slice: noise.Slices()[i], Pinned: pinned}
		if err := m.stretch(ctx, setting, twins); err != nil {
			return fmt.Errorf("slices of %s: %w", setting.Slice, err)
		}
	}
	return nil
}

func (m *noisy) pinClient(pinned bool) (unpin func(), err error) {
	if !pinned {
		return func() {}, nil
	}
	return load.Pin(m.cores.client)
}

// findRate warms both services up and finds the rate of a pinning once, by the slower one.
func (m *noisy) findRate(ctx context.Context, pinned bool, twins [2]*twin) error {
	for _, t := range twins {
		if _, err := t.client.Count(ctx, noiseWarmUp, nil); err != nil {
			return fmt.Errorf("warming up: %w", err)
		}
	}
	if m.rate[pinned] > 0 {
		return nil
	}
	least := 0.0
	for _, t := range twins {
		slice, err := t.client.Closed(ctx, noiseCapacity, nil)
		if err != nil {
			return fmt.Errorf("finding the rate: %w", err)
		}
		if perSecond := float64(slice.Requests-slice.Errors) / slice.Elapsed.Seconds(); least == 0 || perSecond < least {
			least = perSecond
		}
	}
	m.rate[pinned] = noiseShare * least
	return nil
}

// stretch measures blocks of one slice length: one turn through both services each, either one first equally often.
func (m *noisy) stretch(ctx context.Context, setting noise.Setting, twins [2]*twin) error {
	blocks := max(int(m.window/setting.Slice), 1)
	first := make([]int, blocks) // which service goes first
	for i := range first {
		first[i] = i % 2
	}
	m.rng.Shuffle(blocks, func(i, j int) { first[i], first[j] = first[j], first[i] })
	arrivals := load.Arrivals{PerSecond: m.rate[setting.Pinned]}
	var tallies [2]noiseTally
	var starts []time.Duration
	for k, one := range first {
		var err error
		if starts, err = arrivals.Starts(starts[:0], k, setting.Slice); err != nil {
			return err
		}
		for _, i := range []int{one, 1 - one} {
			if err := tallies[i].add(ctx, twins[i], starts); err != nil {
				return err
			}
		}
	}
	r := noise.Round{Setting: setting}
	for i := range tallies {
		r.CPU[i], r.P50[i], r.Slices[i] = tallies[i].figures()
	}
	m.rounds = append(m.rounds, r)
	return nil
}

// noiseTally is one service's share of a stretch.
type noiseTally struct {
	cpu      time.Duration
	requests int64
	recorder load.Recorder
	slices   []float64 // CPU per request, seconds
}

func (t *noiseTally) add(ctx context.Context, of *twin, starts []time.Duration) error {
	before, err := of.cpu()
	if err != nil {
		return err
	}
	slice, err := of.client.Open(ctx, starts, &t.recorder)
	if err != nil {
		return err
	}
	after, err := of.cpu()
	if err != nil {
		return err
	}
	if slice.Errors > 0 {
		return fmt.Errorf("%d of %d answers were bad: %s", slice.Errors, slice.Requests, slice.Failures.First())
	}
	t.cpu += after - before
	t.requests += slice.Requests
	if slice.Requests > 0 {
		t.slices = append(t.slices, (after-before).Seconds()/float64(slice.Requests))
	}
	return nil
}

// figures are 0 where nothing was asked: noise.Judge leaves such rounds out.
func (t *noiseTally) figures() (cpu, p50 float64, slices []float64) {
	if t.requests == 0 {
		return 0, 0, nil
	}
	p50, _ = t.recorder.Latency.At(50)
	return t.cpu.Seconds() / float64(t.requests), p50, t.slices
}

// twin is one running copy of the built-in service.
type twin struct {
	command *exec.Cmd
	client  *load.Client
}

// start starts a copy, held to the services' core if it is to be.
func (m *noisy) start(ctx context.Context, pinned bool) (*twin, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	t := &twin{command: exec.Command(self, "doctor", noiseServiceName)}
	t.command.Env = []string{}
	// The copy lives as long as its standard input, which is Duet's to close: by stop, or by its end.
	if _, err := t.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := t.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := m.spawn(t.command, pinned); err != nil {
		return nil, fmt.Errorf("starting a copy of the built-in service: %w", err)
	}
	expired := time.AfterFunc(noiseStart, func() { t.command.Process.Kill() })
	address, err := bufio.NewReader(out).ReadString('\n')
	expired.Stop()
	if err == nil {
		err = t.connect(ctx, strings.TrimSpace(address), pinned)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connecting to a copy of the built-in service: %w", err), t.stop())
	}
	return t, nil
}

// spawn starts a process on the services' core: a child has the cores of the thread that made it.
func (m *noisy) spawn(c *exec.Cmd, pinned bool) error {
	if pinned {
		unpin, err := load.Pin(m.cores.service)
		if err != nil {
			return err
		}
		defer unpin()
	}
	return c.Start()
}

func (t *twin) connect(ctx context.Context, address string, pinned bool) error {
	dial := func() (net.Conn, error) { return (&net.Dialer{}).DialContext(ctx, "tcp", address) }
	var conns []net.Conn
	for range noiseConnections {
		conn, err := dial()
		if err != nil {
			for _, open := range conns {
				open.Close()
			}
			return err
		}
		conns = append(conns, conn)
	}
	var err error
	t.client, err = load.NewClient(load.Options{
		Conns: conns, Redial: dial, Host: address, Spin: pinned,
		Messages: []workload.Message{{Name: "noise", Method: "GET", Path: "/", Expect: workload.Expect{Status: 200}}},
	})
	return err
}

// cpu is what the copy has had of the CPU: clock_getcpuclockid(3) makes a process's clock id as (^pid << 3) | 2.
func (t *twin) cpu() (time.Duration, error) {
	const scheduled = 2 // CPUCLOCK_SCHED: user and kernel
	var at unix.Timespec
	if err := unix.ClockGettime(int32(^t.command.Process.Pid<<3|scheduled), &at); err != nil {
		return 0, fmt.Errorf("reading the CPU clock of the built-in service: %w", err)
	}
	return time.Duration(at.Nano()), nil
}

// stop ends the copy and waits for its end.
func (t *twin) stop() error {
	if t == nil {
		return nil
	}
	var err error
	if t.client != nil {
		err = t.client.Close()
	}
	t.command.Process.Kill()
	t.command.Wait() // killed: that is no error
	return err
}

// noiseCores are those of the services and of the client; not ok where there are not two that share no hardware.
type noiseCores struct {
	service, client int
	ok              bool
}

// occupied is whose the cores were until now.
type occupied struct {
	all, stolen, busy, own time.Duration
}

// readOccupied reads /proc/stat and what Duet and its ended children had. What cannot be read stays 0.
func readOccupied() occupied {
	text, _ := os.ReadFile("/proc/stat")
	o := parseOccupied(string(text))
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var u unix.Rusage
		if unix.Getrusage(who, &u) == nil {
			o.own += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
	}
	return o
}

// parseOccupied reads the first line of /proc/stat: user, nice, system, idle, iowait, irq, softirq and steal of all cores.
func parseOccupied(stat string) (o occupied) {
	const tick = 10 * time.Millisecond // USER_HZ is 100 wherever Go runs on Linux
	line, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(line)
	const idle, iowait, steal = 4, 5, 8
	for i := 1; i < len(fields) && i <= steal; i++ {
		ticks, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return occupied{}
		}
		spent := time.Duration(ticks) * tick
		o.all += spent
		switch i {
		case steal:
			o.stolen = spent
		case idle, iowait:
		default:
			o.busy += spent
		}
	}
	return o
}

func (o occupied) since(before occupied) noise.Disturbance {
	all := (o.all - before.all).Seconds()
	if all <= 0 {
		return noise.Disturbance{}
	}
	others := (o.busy - before.busy) - (o.own - before.own)
	return noise.Disturbance{
		Stolen: max((o.stolen-before.stolen).Seconds(), 0) / all,
		Others: max(others.Seconds(), 0) / all,
	}
}
