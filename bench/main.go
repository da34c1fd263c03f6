//go:build linux

// Command bench proves the load generator: it prints what a request costs the client beside the floor and the peers,
// what the clients say of a server that stalls, how late Duet's sends are, and what a WebSocket message costs.
//
// Its stance: only ratios of interleaved runs on one server count. All figures of a table come from runs in turns, the
// server on one core and the client on another; a figure that could not be measured is said so, never left out.
// The peers are dependencies of this module alone.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"
)

const usage = `usage: go -C bench run . [flags]

Prints four tables (README.md says what they mean): cost, stall, lateness and messages.
It needs cc, wrk and the go command on PATH, and two cores.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	tables      string
	json        bool
	runs        int
	duration    time.Duration // of one run of the cost table
	stallFor    time.Duration // of one run of the stall table
	connections int
	serverCPU   int
	clientCPU   int
	rate        float64 // of the stall table
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 2 && args[0] == asFlag {
		return asClient(ctx, args[1], stdout)
	}
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, usage); flags.PrintDefaults() }
	flags.StringVar(&o.tables, "tables", "cost,stall,lateness,messages", "which tables")
	flags.BoolVar(&o.json, "json", false, "print JSON")
	flags.IntVar(&o.runs, "runs", 10, "interleaved `runs` of each client for the cost; a third of them for the stall and the lateness")
	flags.DurationVar(&o.duration, "duration", 2*time.Second, "of one run for the cost and the lateness; whole seconds")
	flags.DurationVar(&o.stallFor, "stall-duration", 10*time.Second, "of one run for the stall; whole seconds")
	flags.IntVar(&o.connections, "connections", 32, "keep-alive connections")
	flags.IntVar(&o.serverCPU, "server-cpu", 0, "the server's `CPU`")
	flags.IntVar(&o.clientCPU, "client-cpu", 1, "the clients' `CPU`")
	// Not a whole number: constant arrivals at one would meet each stall at the same phase, and their own spacing (1 ms)
	// would show in p90, where 0.1 % of the requests are 1 ms.
	flags.Float64Var(&o.rate, "rate", 1000.1, "requests a second for the stall")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if o.runs < 1 || o.connections < 1 || o.rate <= 0 || o.serverCPU == o.clientCPU || flags.NArg() > 0 {
		return fmt.Errorf("unexpected %q: expected at least 1 run and connection, a rate and two CPUs", args)
	}
	if o.duration < time.Second || o.duration%time.Second != 0 || o.stallFor < period || o.stallFor%period != 0 {
		return fmt.Errorf("unexpected durations %v and %v: expected whole seconds: the peers and the stalls know no others", o.duration, o.stallFor)
	}
	report, err := measure(ctx, o, stderr)
	if err != nil {
		return err
	}
	if o.json {
		encoder := json.NewEncoder(stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(report)
	}
	return report.print(stdout)
}

// report is all that was measured.
type report struct {
	Machine  machine     `json:"machine"`
	Cost     *costs      `json:"cost,omitempty"`
	Stall    *stalls     `json:"stall,omitempty"`
	Lateness *latenesses `json:"lateness,omitempty"`
	Messages *costs      `json:"messages,omitempty"`
}

func measure(ctx context.Context, o options, progress io.Writer) (report, error) {
	b, err := newBench(ctx, o, progress)
	if err != nil {
		return report{}, err
	}
	defer b.close()
	r := report{}
	for _, table := range strings.Split(o.tables, ",") {
		switch table {
		case "cost":
			r.Cost, err = b.cost(ctx)
		case "stall":
			r.Stall, err = b.stall(ctx)
		case "lateness":
			r.Lateness, err = b.lateness(ctx)
		case "messages":
			r.Messages, err = b.messages(ctx)
		default:
			err = fmt.Errorf("unexpected table %q: expected cost, stall, lateness or messages", table)
		}
		if err != nil {
			return report{}, err
		}
	}
	r.Machine = b.machine()
	return r, nil
}
