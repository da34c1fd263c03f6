package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/duet-bench/duet/internal/demo"
	"github.com/duet-bench/duet/internal/plan"
)

// demoBudget is enough for the planted factor of two; a real run has 2 minutes.
const demoBudget = time.Minute

func demoCommand(w world) *cobra.Command {
	j := job{}
	c := &cobra.Command{
		Use:   "demo",
		Short: "Run the main job on a small repository made for the purpose, with a planted regression",
		Long: `Make a small git repository from the bundled Go and Rust pair in a temporary folder, with a head commit
that plants a costly function in the Go service, run the main job on it, and end with the report a maintainer
would get: Go regressed, Rust identical.`,
		Example: "  duet demo\n  duet demo --budget 2m",
		RunE: func(c *cobra.Command, _ []string) error {
			for _, need := range []string{"git", "go", "cargo"} {
				if _, err := exec.LookPath(need); err != nil {
					return plan.Usagef("`duet doctor` says how to get it", "the demo builds a Go and a Rust service: %s is not on PATH", need)
				}
			}
			if done, err := elevate(w); done || err != nil {
				return err
			}
			dir, err := os.MkdirTemp("", "duet-demo-")
			if err != nil {
				return err
			}
			if err := os.Chmod(dir, 0o755); err != nil { // results are for the caller, also when root made them
				return err
			}
			j.repo, j.out, j.config = filepath.Join(dir, "repo"), filepath.Join(dir, "results"), "duet.yml"
			commits, err := demo.Write(c.Context(), j.repo)
			if err == nil {
				err = callerOf(w).takeAll(dir)
			}
			if err != nil {
				os.RemoveAll(dir)
				return fmt.Errorf("making the demo's repository: %w", err)
			}
			j.base, j.head = commits.Main, commits.Head
			fmt.Fprintf(w.stderr, "demo repository: %s (head %.12s plants a function in the Go service)\n", j.repo, commits.Head)
			err = j.run(c.Context(), w)
			if err == nil {
				fmt.Fprintf(w.stderr, `
Where to look next
  the comment a pull request would get   %s
  what the head commit changed           git -C %s show
  the same report from the facts alone   duet compare %s
  your own repository                    duet init, then duet run
  when you are done                      rm -r %s
`, filepath.Join(j.out, commentFile), j.repo, filepath.Join(j.out, runFile), dir)
			} else {
				os.RemoveAll(dir)
			}
			return err
		},
	}
	c.Flags().DurationVar(&j.budget, "budget", demoBudget, "measuring time over all workloads")
	c.Flags().StringVar(&j.seed, "seed", "1", "seed of the order and of the requests")
	return c
}
