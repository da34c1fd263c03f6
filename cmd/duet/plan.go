package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/report"
)

// The values of plan's --format.
const (
	formatText   = "text"
	formatJSON   = "json"
	formatMatrix = "matrix"
)

func planCommand(w world) *cobra.Command {
	var j job
	var d duty
	var share sharing
	asJSON, format := false, formatText
	c := &cobra.Command{
		Use:   "plan",
		Short: "Print the whole order of what would run and how long it will take; touch nothing",
		Long: `Print what "duet run" would do: the commits and why, the services, the workloads, every step in its order, and
about how many minutes it will take, builds included. Nothing is built, started or written.

With --shards the workloads are shared among machines, each workload with all of its variants: "duet measure --shard 1/3"
measures the first third, and --format matrix is the JSON for strategy.matrix of GitHub Actions.`,
		Example: "  duet plan --base main --budget 5m\n  duet plan --shards auto --format matrix",
		RunE: func(c *cobra.Command, _ []string) error {
			if asJSON {
				format = formatJSON
			}
			step, err := share.step(format)
			if err != nil {
				return err
			}
			if _, idle, err := d.begins(w, step); idle || err != nil {
				return err
			}
			prep, err := j.prepare(c.Context(), w)
			if err != nil {
				return err
			}
			if err := prep.source.Close(); err != nil {
				return err
			}
			if share.shards != "" {
				return share.print(w, prep.plan, format)
			}
			if format == formatText {
				return printPlan(w.stdout, prep.plan)
			}
			text, err := json.MarshalIndent(prep.plan, "", " ")
			if err != nil {
				return fmt.Errorf("encoding the plan: %w", err)
			}
			_, err = fmt.Fprintln(w.stdout, string(text))
			return err
		},
	}
	j.flags(c)
	d.flags(c)
	c.Flags().StringVar(&j.isolation.level, "isolation", "", "as for measure: it is part of the plan")
	share.flags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "the same as --format json")
	c.Flags().StringVar(&format, "format", formatText, "text; json: the plan as run.json holds it; matrix: the shards, for strategy.matrix (takes --shards, else auto)")
	return c
}

func printPlan(out io.Writer, p plan.Plan) error {
	fmt.Fprintf(out, "head  %s %s\n", p.Head.SHA, p.Head.Subject)
	if p.Base == nil {
		fmt.Fprintf(out, "base  none: %s\n", p.NoBase)
	} else {
		fmt.Fprintf(out, "base  %s %s (%s)\n", p.Base.SHA, p.Base.Subject, p.Base.Reason)
		fmt.Fprintf(out, "files changed outside ignore: %d\n", len(p.Changed))
	}
	for _, warning := range p.Warnings {
		fmt.Fprintf(out, "note: %s\n", warning)
	}
	for _, d := range p.Dropped {
		fmt.Fprintf(out, "left out: %s: %s\n", d.Workload, d.Reason)
	}
	if p.NothingChanged() {
		fmt.Fprintln(out, "nothing changed outside ignore: a run would say so and end before building (--base none measures head alone)")
		return nil
	}
	for _, line := range describeDatabase(p) {
		fmt.Fprintln(out, line)
	}
	estimate := plan.Estimates(p)
	fmt.Fprintf(out, "with  %s\n", p.Choice())
	fmt.Fprintf(out, "seed  %d\ntime  about %s: builds %s, measuring %s, instructions %s, confirmation up to %s", p.Seed,
		minutes(estimate.Total()), minutes(estimate.Build), minutes(estimate.Measure), minutes(estimate.Count), minutes(estimate.Confirm))
	if estimate.Cross > 0 {
		fmt.Fprintf(out, ", cross-check up to %s", minutes(estimate.Cross))
	}
	if estimate.Profile > 0 {
		fmt.Fprintf(out, ", profiles %s", minutes(estimate.Profile))
	}
	fmt.Fprint(out, "\n\n")
	var rows [][]string
	for i, step := range plan.Steps(p) {
		what, order := describeStep(step)
		rows = append(rows, []string{fmt.Sprint(i + 1), what, order})
	}
	_, err := fmt.Fprintln(out, strings.Join(report.Grid([]string{"step", "what", "order"}, rows), "\n"))
	return err
}

// describeDatabase says which server there would be, and what each side's databases are made from.
func describeDatabase(p plan.Plan) []string {
	how, wanted := p.Database()
	if !wanted {
		return nil
	}
	server := "a throwaway server, reached by " + string(how.Connect)
	if how.URLEnv != "" {
		server = "the server in " + how.URLEnv
	}
	lines := []string{"postgres: " + server + "; a fresh database for each variant and trial"}
	for _, side := range []plan.Side{plan.Base, plan.Head} {
		asked := p.Resources[side].Postgres
		if asked == nil {
			continue
		}
		var files []string
		for _, file := range []string{asked.Schema, asked.Data} {
			if file != "" {
				files = append(files, file)
			}
		}
		from := "empty"
		if len(files) > 0 {
			from = "from " + strings.Join(files, " and ")
		}
		lines = append(lines, fmt.Sprintf("postgres: %s's %s", side, from))
	}
	return lines
}

// describeStep says what a step does and, for a round, the order of starts and of the first turns.
func describeStep(s plan.Step) (what, order string) {
	switch s.Kind {
	case plan.StepBuild:
		return "build " + s.Variant.String(), ""
	case plan.StepParity:
		return "parity: compare the answers of all variants", ""
	case plan.StepCalibrate:
		return s.Workload + ": find the offered rate", ""
	case plan.StepDoubt:
		return "cross-check: which regressions of Rust are in doubt", ""
	case plan.StepCross:
		return "cross-check: build again with one codegen unit", variants(s.Start)
	case plan.StepCount:
		what = fmt.Sprintf("callgrind: %s round %d", s.Phase, s.Round)
		return what, fmt.Sprintf("starts %s; windows %s", variants(s.Start), strings.Join(s.Windows, " "))
	case plan.StepProfile:
		return s.Workload + ": profiles", "starts " + variants(s.Start)
	case plan.StepRound:
		what = fmt.Sprintf("%s: %s round %d", s.Workload, s.Phase, s.Round)
		return what, fmt.Sprintf("starts %s; %d + %d blocks", variants(s.Start), len(s.Open), len(s.Closed))
	default:
		return string(s.Kind), ""
	}
}

func variants(list []plan.Variant) string {
	words := make([]string, len(list))
	for i, v := range list {
		words[i] = v.String()
	}
	return strings.Join(words, " ")
}

func minutes(d time.Duration) string {
	return fmt.Sprintf("%.1f min", d.Minutes())
}
