//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/duet-bench/duet/internal/load"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/workload"
	"github.com/valyala/fasthttp"
	"golang.org/x/sys/unix"
)

// asFlag makes this program a client of its own server: each run is a process, as wrk's is.
const asFlag = "-as"

// asked is what a client is to do, as JSON after asFlag.
type asked struct {
	Client      string        `json:"client"` // duet, fasthttp; those of messages.go
	Address     string        `json:"address"`
	Connections int           `json:"connections"`
	Duration    time.Duration `json:"duration"`
	PerSecond   float64       `json:"per_second,omitempty"` // duet: 0: closed loop
	Process     load.Process  `json:"process,omitempty"`
	Burst       int           `json:"burst,omitempty"` // duet: so many at once, once in a stallLength, instead of a process
	Spin        bool          `json:"spin,omitempty"`
	AtHalf      bool          `json:"at_half,omitempty"` // begin in the middle of a second of the monotonic clock
}

func (a asked) args() []string {
	text, err := json.Marshal(a)
	if err != nil {
		panic(err) // our own bug: strings and numbers always marshal
	}
	return []string{asFlag, string(text)}
}

// told is what a client says of its run.
type told struct {
	Requests int64         `json:"requests"`
	Errors   int64         `json:"errors"`
	Elapsed  time.Duration `json:"elapsed"`
	Process  time.Duration `json:"process"` // CPU time of the whole process while it asked
	CPU      time.Duration `json:"cpu"`     // duet: of its thread, within the slice
	Latency  quantiles     `json:"latency"`
	Lateness quantiles     `json:"lateness"`
}

// quantiles are p50, p90, p99 and p99.9 in seconds; below 0: the client does not say.
type quantiles [4]float64

// percentiles are what quantiles hold.
func percentiles() [4]float64 { return [4]float64{50, 90, 99, 99.9} }

func quantilesOf(h result.Histogram) quantiles {
	var q quantiles
	for i, p := range percentiles() {
		q[i], _ = h.At(p)
	}
	return q
}

// asClient is the client's process.
func asClient(ctx context.Context, text string, stdout io.Writer) error {
	var a asked
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		return fmt.Errorf("reading what to do: %w", err)
	}
	ask := askDuet
	switch a.Client {
	case "fasthttp":
		ask = askFasthttp
	case clientDuet:
		ask = askDuetMessages
	case clientGobwas, clientCoder:
		ask = askLibrary
	case clientEcho:
		return echo(stdout)
	}
	t, err := ask(ctx, a)
	if err != nil {
		return err
	}
	if t.Errors > 0 || t.Requests == 0 {
		return fmt.Errorf("%d of %d requests failed", t.Errors, t.Requests)
	}
	return json.NewEncoder(stdout).Encode(t)
}

func askDuet(ctx context.Context, a asked) (told, error) {
	o := load.Options{
		Host: a.Address, Spin: a.Spin,
		Messages: []workload.Message{{Method: "GET", Path: "/", Expect: workload.Expect{Status: 200}}},
	}
	return askSlices(ctx, a, o)
}

// askSlices connects Duet's client and has it ask.
func askSlices(ctx context.Context, a asked, o load.Options) (told, error) {
	for range a.Connections {
		conn, err := net.Dial("tcp", a.Address)
		if err != nil {
			return told{}, errors.Join(err, closeAll(o.Conns))
		}
		o.Conns = append(o.Conns, conn)
	}
	c, err := load.NewClient(o)
	if err != nil {
		return told{}, err
	}
	defer c.Close()
	rec := &load.Recorder{}
	before := processCPU()
	slice, err := askSlice(ctx, c, a, rec)
	if err != nil {
		return told{}, err
	}
	return told{
		Requests: slice.Requests, Errors: slice.Errors, Elapsed: slice.Elapsed, CPU: slice.CPU, Process: processCPU() - before,
		Latency: quantilesOf(rec.Latency), Lateness: quantilesOf(rec.Lateness),
	}, nil
}

// processCPU is the CPU time of this process so far, all threads.
func processCPU() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u) // cannot fail: the place and the memory are there
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func closeAll(conns []net.Conn) (err error) {
	for _, conn := range conns {
		err = errors.Join(err, conn.Close())
	}
	return err
}

// askSlice asks in one slice; an open loop's is warmed up first, as a round's is.
func askSlice(ctx context.Context, c *load.Client, a asked, rec *load.Recorder) (load.Slice, error) {
	if a.PerSecond == 0 && a.Burst == 0 {
		return c.Closed(ctx, a.Duration, rec)
	}
	if _, err := c.Count(ctx, 500, rec); err != nil {
		return load.Slice{}, err
	}
	rec.Reset()
	starts, err := startsOf(a)
	if err != nil {
		return load.Slice{}, err
	}
	if a.AtHalf {
		if err := sleepToHalf(); err != nil {
			return load.Slice{}, err
		}
	}
	return c.Open(ctx, starts, rec)
}

func startsOf(a asked) ([]time.Duration, error) {
	if a.Burst == 0 {
		return load.Arrivals{Process: a.Process, PerSecond: a.PerSecond, Seed: 1}.Starts(nil, 0, a.Duration)
	}
	var starts []time.Duration
	for at := time.Duration(0); at < a.Duration; at += stallLength {
		starts = append(starts, slices.Repeat([]time.Duration{at}, a.Burst)...)
	}
	return starts, nil
}

// sleepToHalf sleeps to the middle of a second, as far from the server's stalls as possible: so the slice holds
// whole stalls only.
func sleepToHalf() error {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return fmt.Errorf("reading the clock: %w", err)
	}
	time.Sleep((1500*time.Millisecond - time.Duration(now.Nsec)) % time.Second)
	return nil
}

// askFasthttp keeps one goroutine a connection busy with fasthttp's leanest client.
func askFasthttp(_ context.Context, a asked) (told, error) {
	client := &fasthttp.HostClient{Addr: a.Address, MaxConns: a.Connections}
	begin, before := time.Now(), processCPU()
	until := begin.Add(a.Duration)
	counts, failures := make([]int64, a.Connections), make([]int64, a.Connections)
	var wait sync.WaitGroup
	for i := range a.Connections {
		wait.Go(func() { counts[i], failures[i] = askInTurn(client, "http://"+a.Address+"/", until) })
	}
	wait.Wait()
	t := told{Elapsed: time.Since(begin), Process: processCPU() - before}
	for i := range counts {
		t.Requests += counts[i]
		t.Errors += failures[i]
	}
	return t, nil
}

func askInTurn(client *fasthttp.HostClient, url string, until time.Time) (requests, failures int64) {
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	request.SetRequestURI(url)
	for time.Now().Before(until) {
		err := client.Do(request, response)
		requests++
		if err != nil || response.StatusCode() != fasthttp.StatusOK {
			failures++
		}
	}
	return requests, failures
}
