package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/duet-bench/duet/internal/github"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/report"
)

// shardsAuto lets the plan's estimate decide how many shards there are.
const shardsAuto = "auto"

// sharing is how `duet plan` was asked to share a plan among machines.
type sharing struct {
	shards string        // auto, a number, or "" for none
	time   time.Duration // of one shard at most, with auto
}

func (s *sharing) flags(c *cobra.Command) {
	c.Flags().StringVar(&s.shards, "shards", "", "share the workloads among machines: how many, or auto, by --shard-time")
	c.Flags().DurationVar(&s.time, "shard-time", plan.ShardTime, fmt.Sprintf("with --shards auto: how long one shard takes at most by the estimate, builds included (%d shards at most)", plan.AutoShards))
}

// step is which step of a job this is: making a matrix is one of its own.
func (s *sharing) step(format string) (string, error) {
	switch format {
	case formatText:
	case formatJSON:
		if s.shards != "" {
			return "", plan.Usagef("--format matrix has the shards", "--format json is the plan of one machine, and not with --shards")
		}
	case formatMatrix:
		if s.shards == "" {
			s.shards = shardsAuto
		}
		return stepPlan, nil
	default:
		return "", plan.Usagef("", "--format %q: expected one of %s, %s, %s", format, formatText, formatJSON, formatMatrix)
	}
	return stepMeasure, nil
}

// print prints a plan's shards. Where nothing changed there is one, which says so without building.
func (s *sharing) print(w world, p plan.Plan, format string) error {
	if p.NothingChanged() {
		s.shards = "1"
	}
	shards, err := s.split(p)
	if err != nil {
		return err
	}
	for _, warning := range p.Warnings {
		fmt.Fprintf(w.stderr, "note: %s\n", warning)
	}
	if format == formatMatrix {
		return printMatrix(w, shards)
	}
	return printShards(w.stdout, shards)
}

// split makes the plan's shards.
func (s *sharing) split(p plan.Plan) ([]plan.Plan, error) {
	if s.time <= 0 {
		return nil, plan.Usagef("", "--shard-time %s: expected a time above zero", s.time)
	}
	if s.shards == shardsAuto {
		return p.Split(p.ShardCount(s.time))
	}
	count, err := strconv.Atoi(s.shards)
	if err != nil {
		return nil, plan.Usagef("", "--shards %q: expected auto or a whole number from 1", s.shards)
	}
	shards, err := p.Split(count)
	if err != nil {
		return nil, plan.Usagef("", "--shards %d: %w", count, err)
	}
	return shards, nil
}

// matrix is what a job's strategy.matrix takes: one job a shard, with all that it must be told to measure that plan again.
type matrix struct {
	Include []matrixJob `json:"include"`
}

type matrixJob struct {
	Shard     string `json:"shard"`     // 1/3
	Index     string `json:"index"`     // 1
	Workloads string `json:"workloads"` // for people
	Seed      string `json:"seed"`      // a re-run of one job has another attempt, and must have the same seed
	Plan      string `json:"plan"`      // the whole plan's digest
}

func matrixOf(shards []plan.Plan) matrix {
	m := matrix{Include: []matrixJob{}}
	for _, s := range shards {
		m.Include = append(m.Include, matrixJob{
			Shard: s.Shard.Name(), Index: strconv.Itoa(s.Shard.Index), Workloads: strings.Join(workloadNames(s), ","), Seed: strconv.FormatUint(s.Seed, 10), Plan: s.Shard.Plan,
		})
	}
	return m
}

func workloadNames(p plan.Plan) []string {
	names := make([]string, len(p.Workloads))
	for i, w := range p.Workloads {
		names[i] = w.Name
	}
	return names
}

// printMatrix prints the matrix and, in a step of a job, leaves it and the plan's digest as the step's outputs.
func printMatrix(w world, shards []plan.Plan) error {
	text, err := json.Marshal(matrixOf(shards))
	if err != nil {
		return fmt.Errorf("encoding the matrix: %w", err)
	}
	if _, err := fmt.Fprintln(w.stdout, string(text)); err != nil || w.getenv("GITHUB_OUTPUT") == "" {
		return err
	}
	return github.NewRunner(w.stderr, w.getenv).Outputs([]github.Output{
		{Name: "matrix", Value: string(text)}, {Name: "plan", Value: shards[0].Shard.Plan},
	})
}

// printShards says which shard has what, and for how long.
func printShards(out io.Writer, shards []plan.Plan) error {
	var rows [][]string
	for _, s := range shards {
		estimate := plan.Estimates(s)
		rows = append(rows, []string{s.Shard.Name(), strings.Join(workloadNames(s), " "), minutes(estimate.Total()), minutes(estimate.Build)})
	}
	_, err := fmt.Fprintln(out, strings.Join(report.Grid([]string{"shard", "workloads", "time at most", "of it builds"}, rows), "\n"))
	return err
}

// oneShard is which part of a plan `duet measure` measures.
type oneShard struct {
	shard string // 2/3; empty: all of it
	plan  string // digest of the whole plan, or its first digits; empty: whichever it is
}

func (s *oneShard) flags(c *cobra.Command) {
	c.Flags().StringVar(&s.shard, "shard", "", "measure only this shard of the plan, as `duet plan --shards` has them: 2/3")
	c.Flags().StringVar(&s.plan, "plan", "", "refuse to measure another plan than the one with this digest")
}

// of cuts a plan to the shard that was asked for.
func (s *oneShard) of(p plan.Plan) (plan.Plan, error) {
	if digest := p.Digest(); !strings.HasPrefix(digest, s.plan) {
		return plan.Plan{}, plan.Usagef("the commits, the configuration, the seed and the flags must be those that the shards were made with",
			"--plan %.16s: this machine's plan is %.16s", s.plan, digest)
	}
	if s.shard == "" {
		return p, nil
	}
	first, second, ok := strings.Cut(s.shard, "/")
	index, err := strconv.Atoi(first)
	count, err2 := strconv.Atoi(second)
	if !ok || err != nil || err2 != nil || index < 1 || index > count {
		return plan.Plan{}, plan.Usagef("", "--shard %q: expected INDEX/COUNT, 1/3 to 3/3 say", s.shard)
	}
	shards, err := p.Split(count)
	if err != nil {
		return plan.Plan{}, plan.Usagef("`duet plan --shards` says which there are", "--shard %s: %w", s.shard, err)
	}
	return shards[index-1], nil
}
