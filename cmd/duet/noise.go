package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/duet-bench/duet/internal/harness"
	"github.com/duet-bench/duet/internal/noise"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/report"
)

// noiseFlags are what `duet doctor --noise` takes.
type noiseFlags struct {
	wanted, json bool
	time         time.Duration
}

// Bounds of the time that is spent on measuring noise. The default gives a round of a setting about as long as a trial of
// a run with several workloads has.
const (
	defaultNoiseTime = 90 * time.Second
	minNoiseTime     = time.Second
	maxNoiseTime     = time.Hour
)

func (n *noiseFlags) flags(c *cobra.Command) {
	c.Flags().BoolVar(&n.wanted, "noise", false, "measure how quiet this machine is and what duet.yml should say for it")
	c.Flags().BoolVar(&n.json, "json", false, "with --noise: print JSON")
	c.Flags().DurationVar(&n.time, "noise-time", defaultNoiseTime, "with --noise: measuring time")
}

// alone refuses the flags that say how to do what was not asked for.
func (n *noiseFlags) alone(c *cobra.Command) error {
	for _, name := range []string{"json", "noise-time"} {
		if c.Flags().Changed(name) {
			return plan.Usagef("see `duet doctor --help`", "--%s needs --noise", name)
		}
	}
	return nil
}

func (n *noiseFlags) run(ctx context.Context, w world) error {
	if n.time < minNoiseTime || n.time > maxNoiseTime {
		return plan.Usagef("", "--noise-time %s: expected %s to %s", n.time, minNoiseTime, maxNoiseTime)
	}
	if !harness.Supported() {
		return notMeasured{"measuring needs Linux on amd64 or arm64"}
	}
	p := newProgress(w)
	rounds, disturbance, err := measureNoise(ctx, n.time, p)
	p.End()
	if err != nil {
		return fmt.Errorf("measuring noise: %w", err)
	}
	answer, err := noise.Judge(rounds, disturbance)
	if err != nil {
		return fmt.Errorf("judging noise: %w", err)
	}
	if n.json {
		encoder := json.NewEncoder(w.stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(answer)
	}
	return printNoise(w, answer)
}

func printNoise(w world, a noise.Answer) error {
	lines := report.Grid(noise.Header(), a.Table())
	lines = append(lines, "")
	lines = append(lines, a.Words()...)
	lines = append(lines, "", "for duet.yml:", "", a.Measure)
	_, err := fmt.Fprintln(w.stdout, strings.Join(lines, "\n"))
	return err
}
