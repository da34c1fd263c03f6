package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/sandbox"
)

// version is set at release; a build from source says the module's version instead.
const version = "0.1.0"

// world is everything outside that a command may touch, so that tests can hand in their own.
type world struct {
	args           []string
	getenv         func(string) string
	lookup         func(string) (string, bool)
	stdin          io.Reader
	stdout, stderr io.Writer
}

// run is main without the process: it returns the exit status.
func run(w world) exitStatus {
	ctx, stop := interruptible(w.stderr)
	defer stop()
	root := newRoot(w)
	root.SetArgs(w.args)
	err := root.ExecuteContext(ctx)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		fmt.Fprintf(w.stderr, "duet: %s\n", sandbox.Harmless(err.Error())) // it may quote what a service said
	}
	return statusOf(err)
}

func newRoot(w world) *cobra.Command {
	root := &cobra.Command{
		Use:   "duet",
		Short: "Did this pull request make our service slower, fatter or slower to build, in Go and in Rust, and why?",
		Long: `Duet builds a repository's Go service and its Rust counterpart at two commits, checks that both answer
alike, runs fixed workloads against all four in finely interleaved turns, and says what changed.

Exit status: 0 fine · 1 the gate refuses (a confirmed regression, answers that stopped agreeing)
             2 usage or configuration · 3 could not measure · 130 interrupted`,
		Version:       versionText(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return c.Help()
		},
	}
	root.SetVersionTemplate("duet {{.Version}}\n")
	root.SetIn(w.stdin)
	root.SetOut(w.stdout)
	root.SetErr(w.stderr)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return plan.Usagef("see `"+c.CommandPath()+" --help`", "%w", err)
	})
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		runCommand(w), demoCommand(w), planCommand(w), measureCommand(w), compareCommand(w), doctorCommand(w), initCommand(w),
		selftestCommand(w), publishCommand(w), gateCommand(w), fetchCommand(w), insideCommand(w),
		workloadCommand(w), claimsCommand(w), profileCommand(w), historyCommand(w), mergeCommand(w), nightlyCommand(w), dashboardCommand(w), badgeCommand(w),
	)
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error { return flagsFromEnvironment(c, w.getenv) }
	checkArgs(root)
	return root
}

func checkArgs(c *cobra.Command) {
	c.Args = usageArgs(c.Args)
	for _, under := range c.Commands() {
		checkArgs(under)
	}
}

// flagsFromEnvironment sets each flag that was not given from DUET_ and its name, --fail-on from DUET_FAIL_ON, where that
// holds something: so an action's inputs reach Duet without passing through a shell's text.
func flagsFromEnvironment(c *cobra.Command, getenv func(string) string) error {
	var problem error
	c.Flags().VisitAll(func(f *pflag.Flag) {
		name := "DUET_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value := getenv(name)
		if f.Changed || f.Name == "help" || value == "" || problem != nil {
			return
		}
		if err := c.Flags().Set(f.Name, value); err != nil {
			problem = plan.Usagef("it stands for --"+f.Name, "%s %q: %w", name, value, err)
		}
	})
	return problem
}

// usageArgs makes a wrong number of arguments, or an unknown command, a usage error.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	if check == nil {
		check = cobra.NoArgs
	}
	return func(c *cobra.Command, args []string) error {
		err := check(c, args)
		var usage *plan.UsageError
		if err == nil || errors.As(err, &usage) {
			return err
		}
		return plan.Usagef("see `"+c.CommandPath()+" --help`", "%w", err)
	}
}

func versionText() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return version
	}
	return info.Main.Version
}
