package compare_test

import (
	"fmt"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/plan"
)

// A run whose Go service costs 5 % more CPU per request at head; the Rust service did not change.
func Example() {
	w := newWorld(1, 0.003, "links") // a synthetic run: 7, 11 or 15 screening rounds, then 7 to confirm
	w.identical("rust")
	w.shift = plant("go", "cpu_per_request", 0.05)
	w.measure()

	c := compare.Run(w.run)
	fmt.Println("go:", c.Services["go"].Verdict, "· rust:", c.Services["rust"].Verdict)
	fmt.Printf("worst: %s · %s %+.1f %%\n", c.Worst.Workload, c.Worst.Metric, 100*(c.Worst.Ratio-1))
	fmt.Println("fails the gate:", compare.Gate(c, plan.GateRegression))
	// Output:
	// go: regressed · rust: unchanged
	// worst: links · cpu_per_request +4.9 %
	// fails the gate: true
}
