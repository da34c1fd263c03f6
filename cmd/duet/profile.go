package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

func profileCommand(w world) *cobra.Command {
	var asked profileAsked
	c := &cobra.Command{
		Use:   "profile VARIANT --workload W",
		Short: "Open a variant's profile of the last run in `go tool pprof`'s web view",
		Long: `Open the raw profile of a variant (go@head) under a workload, as the last run left it in the folder of --out, in
go tool pprof's web view. --diff shows it against the same service's other side, per profile as pprof does it: report.html has
the difference per request. Needs Go on PATH; whatever else reads pprof's format opens the same file.`,
		Example: "  duet profile go@head --workload json-pipeline\n  duet profile rust@head --workload health --kind allocs\n  duet profile go@head --workload health --diff",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			argv, err := asked.command(args[0])
			if err != nil {
				return err
			}
			if asked.print {
				_, err := fmt.Fprintln(w.stdout, strings.Join(argv, " "))
				return err
			}
			pprof := exec.CommandContext(c.Context(), argv[0], argv[1:]...)
			pprof.Stdin, pprof.Stdout, pprof.Stderr = os.Stdin, w.stdout, w.stderr
			if err := pprof.Run(); err != nil {
				return plan.Usagef("it takes Go on PATH; `duet profile … --print` shows the command", "%s: %w", strings.Join(argv, " "), err)
			}
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&asked.workload, "workload", "", "the workload that it was profiled under (default: the run's only one)")
	f.StringVar(&asked.kind, "kind", string(result.ProfileCPU), "cpu, allocs, heap, mutex, block or goroutine")
	f.StringVar(&asked.out, "out", defaultOut, "folder that the run was left in")
	f.StringVar(&asked.http, "http", "127.0.0.1:0", "address of the web view")
	f.BoolVar(&asked.diff, "diff", false, "against the same service at the other side")
	f.BoolVar(&asked.print, "print", false, "print the command instead of running it")
	return c
}

// profileAsked is what `duet profile` was asked for.
type profileAsked struct {
	workload, kind, out, http string
	diff, print               bool
}

// command is the command line of pprof.
func (a profileAsked) command(name string) ([]string, error) {
	var v plan.Variant
	if err := v.UnmarshalText([]byte(name)); err != nil {
		return nil, plan.Usagef("such as go@head", "%w", err)
	}
	if !slices.Contains(result.ProfileKinds(), result.ProfileKind(a.kind)) {
		return nil, plan.Usagef("", "--kind %q: expected one of %v", a.kind, result.ProfileKinds())
	}
	run, err := readRun(filepath.Join(a.out, runFile))
	if err != nil {
		return nil, err
	}
	if a.workload == "" && len(run.Plan.Workloads) == 1 {
		a.workload = run.Plan.Workloads[0].Name
	}
	file, err := a.file(run, v)
	if err != nil {
		return nil, err
	}
	argv := []string{"go", "tool", "pprof", "-http=" + a.http}
	if a.diff {
		other := plan.Variant{Service: v.Service, Side: plan.Base}
		if v.Side == plan.Base {
			other.Side = plan.Head
		}
		against, err := a.file(run, other)
		if err != nil {
			return nil, err
		}
		argv = append(argv, "-diff_base="+against)
	}
	return append(argv, file), nil
}

// file is the raw profile of a variant.
func (a profileAsked) file(run result.Run, v plan.Variant) (string, error) {
	var have []string
	why := ""
	for _, p := range run.Profiles {
		if p.File != "" {
			have = append(have, fmt.Sprintf("%s --workload %s --kind %s", p.Variant, p.Workload, p.Kind))
		}
		if p.Variant != v || p.Workload != a.workload || string(p.Kind) != a.kind {
			continue
		}
		if why = p.Invalid; p.File == "" || p.Invalid != "" {
			continue
		}
		path := filepath.Join(a.out, result.ProfileFolder, p.File)
		if _, err := os.Stat(path); err != nil {
			return "", plan.Usagef("run.json was taken along without the profiles beside it", "%w", err)
		}
		return path, nil
	}
	if why != "" {
		return "", plan.Usagef("", "no %s profile of %s under %s: %w", a.kind, v, a.workload, errors.New(why))
	}
	slices.Sort(have)
	have = slices.Compact(have)
	hint := "this run has no profiles: measure.profile in duet.yml turns them on"
	if len(have) > 0 {
		hint = "there are:\n  " + strings.Join(have, "\n  ")
	}
	return "", plan.Usagef(hint, "no %s profile of %s under workload %q in %s", a.kind, v, a.workload, a.out)
}
