package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/profdiff"
	"github.com/duet-bench/duet/internal/report"
	"github.com/duet-bench/duet/internal/result"
)

func compareCommand(w world) *cobra.Command {
	var format, out, failOn string
	c := &cobra.Command{
		Use:   "compare RUN.JSON",
		Short: "Print the report of a run.json: the same, byte for byte, anywhere",
		Long: `Judge a run.json and print its report. It is a pure function of the file: a laptop prints byte for byte
what CI printed. The gate is the one base's duet.yml set; --fail-on may tighten it.`,
		Example: "  duet compare .duet/run.json\n  duet compare .duet/run.json --format markdown > comment.md",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			run, err := readRun(args[0])
			if err != nil {
				return err
			}
			o, err := judge(run, plan.Gate(failOn))
			if err != nil {
				return err
			}
			if err := o.print(w, format); err != nil {
				return err
			}
			if out != "" {
				o.draw(filepath.Join(filepath.Dir(args[0]), result.ProfileFolder))
				folder, err := newOutFolder(out, w)
				if err != nil {
					return err
				}
				if err := o.write(folder); err != nil {
					return err
				}
			}
			return o.status()
		},
	}
	c.Flags().StringVar(&format, "format", "terminal", "terminal, markdown or json")
	c.Flags().StringVar(&out, "out", "", "folder for report.json, report.html and comment.md (default: none is written)")
	c.Flags().StringVar(&failOn, "fail-on", "", "tighten the gate: never, regression or inconclusive")
	return c
}

func readRun(path string) (result.Run, error) {
	text, err := readFileAtMost(path, result.MaxBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return result.Run{}, plan.Usagef("`duet run` or `duet measure` leaves one", "%w", err)
	}
	if err != nil {
		return result.Run{}, plan.Usagef("", "reading %s: %w", path, err)
	}
	run, err := result.Decode(text)
	if err != nil {
		return result.Run{}, plan.Usagef("", "reading %s: %w", path, err)
	}
	return run, nil
}

// opinion is the lower half of the straight line: a pure function of a run and of the gate.
type opinion struct {
	run         result.Run
	comparisons compare.Comparisons
	report      report.Report
	gate        plan.Gate
	graphs      []profdiff.Graph // for report.html, where the raw profiles are
	undrawn     []string         // profiles that no graph could be made of, and why
}

// draw makes the flame graphs of the raw profiles in a folder, if there are any. What cannot be drawn is said in the page.
func (o *opinion) draw(dir string) {
	folder, ok := openProfiles(dir)
	if !ok {
		return
	}
	defer folder.close()
	var problems []string
	o.graphs, problems = folder.graphs(o.run)
	o.undrawn = append(o.undrawn, problems...)
}

func judge(run result.Run, failOn plan.Gate) (opinion, error) {
	gate, err := compare.Tighten(run.Plan.Policy.Gate, failOn)
	if err != nil {
		return opinion{}, err
	}
	c := compare.Run(run)
	return opinion{run: run, comparisons: c, gate: gate, report: report.New(run, c, report.Options{})}, nil
}

func (o opinion) print(w world, format string) error {
	switch format {
	case "terminal":
		_, err := io.WriteString(w.stdout, report.Terminal{Width: 100, Colour: colourful(w)}.Render(o.report))
		return err
	case "markdown":
		_, err := io.WriteString(w.stdout, report.Markdown(o.report))
		return err
	case "json":
		_, err := w.stdout.Write(report.JSON(o.report))
		return err
	}
	return plan.Usagef("", "--format %q: expected one of terminal, markdown, json", format)
}

func (o opinion) write(folder outFolder) error {
	if err := folder.write(reportFile, report.JSON(o.report)); err != nil {
		return err
	}
	if err := folder.write(commentFile, []byte(report.Markdown(o.report))); err != nil {
		return err
	}
	beyond := report.NewPage(o.run, o.graphs)
	beyond.Undrawn = o.undrawn
	page, err := report.HTML(o.report, beyond)
	if err != nil {
		return err
	}
	return folder.write(reportHTMLFile, page)
}

// status is the gate, after what could not be measured at all.
func (o opinion) status() error {
	if err := measuredError(o.run); err != nil {
		return err
	}
	if compare.Gate(o.comparisons, o.gate) {
		return gated{fmt.Sprintf("the gate %q refuses: %s", o.gate, gateReason(o.comparisons))}
	}
	if missing := o.run.Unfinished(); len(missing) > 0 { // after the gate: a regression is one whatever is missing beside it
		return notMeasured{strings.Join(missing, "; ") + ": their workloads were not judged"}
	}
	return nil
}

func gateReason(c compare.Comparisons) string {
	switch {
	case c.Worst != nil:
		return fmt.Sprintf("%s %s %s regressed", c.Worst.Service, c.Worst.Workload, c.Worst.Metric)
	case c.ParityBroke:
		return "head's services answer differently where base's agreed"
	default:
		return "the verdict is " + c.Verdict.String()
	}
}

// colourful is true on a terminal that has not said no (no-color.org).
func colourful(w world) bool {
	f, ok := w.stdout.(*os.File)
	return ok && w.getenv("NO_COLOR") == "" && w.getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}
