//go:build linux

package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// print writes the tables as text.
func (r report) print(w io.Writer) error {
	m := r.Machine
	if _, err := fmt.Fprintf(w, "%s, Linux %s; server on CPU %d, client on CPU %d; load averages before %s, after %s; hardware counters: %s\n",
		m.CPU, m.Kernel, m.ServerCPU, m.ClientCPU, m.LoadBefore, m.LoadAfter, m.Counters); err != nil {
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(cells ...string) { fmt.Fprintln(table, strings.Join(cells, "\t")) }
	if r.Cost != nil {
		r.Cost.print(row)
	}
	if r.Stall != nil {
		r.Stall.print(row)
	}
	if r.Messages != nil {
		r.Messages.print(row)
	}
	if r.Lateness != nil {
		r.Lateness.print(row)
	}
	return table.Flush() // reports the first error of its writes
}

func (c costs) print(row func(...string)) {
	row(fmt.Sprintf("\ncost of a %s, closed loop, %d connections, the client with all its threads: medians of %d interleaved runs of %g s\n",
		c.Of, c.Connections, c.Runs, c.Duration))
	counted := c.By == "cycles"
	head := []string{"client", c.Of + "s/s", "CPU µs"}
	if counted {
		head = append(head, "instructions user", "kernel", "cycles user", "kernel")
	}
	row(head...)
	for _, client := range c.Clients {
		cells := []string{client.Client, fmt.Sprintf("%.0f", client.PerSecond), fmt.Sprintf("%.2f", client.CPUMicros)}
		if counted {
			cells = append(cells, fmt.Sprintf("%.0f", client.UserInstructions), fmt.Sprintf("%.0f", client.KernelInstructions),
				fmt.Sprintf("%.0f", client.UserCycles), fmt.Sprintf("%.0f", client.KernelCycles))
		}
		row(cells...)
	}
	row("")
	row("Duet against ("+c.By+")", "ratio", "aim", "")
	for _, a := range c.Against {
		row(a.Other, fmt.Sprintf("%.3f", a.Ratio), fmt.Sprintf("≤ %g", a.AtMost), met(a.Met))
	}
}

func (s stalls) print(row func(...string)) {
	row(fmt.Sprintf("\nlatency in ms of a server that stalls 100 ms once a second, %.0f/s, %d connections: medians of %d interleaved runs of %g s (a backlog drains at %.0f/s)\n",
		s.PerSecond, s.Connections, s.Runs, s.Duration, s.Capacity))
	row("client", "p50", "p90", "p99", "p99.9", "")
	row(append([]string{"computed"}, millis(s.Computed)...)...)
	for i, c := range s.Clients {
		cells := append([]string{c.Client}, millis(c.Latency)...)
		if i == 0 {
			cells = append(cells, "within 2 % or 0.2 ms: "+met(s.Within))
		}
		row(cells...)
	}
}

func millis(q quantiles) []string {
	cells := make([]string, len(q))
	for i, v := range q {
		if cells[i] = fmt.Sprintf("%.2f", v*1e3); v < 0 {
			cells[i] = "not said"
		}
	}
	return cells
}

func (l latenesses) print(row func(...string)) {
	row(fmt.Sprintf("\nlateness of Duet's sends in µs, %.0f/s: medians of %d interleaved runs of %g s\n", l.PerSecond, l.Runs, l.Duration))
	row("arrivals", "p50", "p90", "p99", "p99.9", "latency p50", "aim: p99 ≤ 50")
	for _, r := range l.Rows {
		name := string(r.Process) + ", sleeping"
		if r.Spin {
			name = string(r.Process) + ", spinning"
		}
		cells := []string{name}
		for _, v := range r.Lateness {
			cells = append(cells, fmt.Sprintf("%.1f", v*1e6))
		}
		row(append(cells, fmt.Sprintf("%.1f", r.Latency[0]*1e6), met(r.Met))...)
	}
}

func met(ok bool) string {
	if ok {
		return "met"
	}
	return "not met"
}
