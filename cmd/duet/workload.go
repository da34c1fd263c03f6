package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/duet-bench/duet/internal/harness"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/sandbox"
	"github.com/duet-bench/duet/internal/workload"
	"github.com/duet-bench/duet/workloads"
)

func workloadCommand(w world) *cobra.Command {
	c := &cobra.Command{
		Use:   "workload",
		Short: "Look at workload files",
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(workloadCheckCommand(w))
	return c
}

// workloadCheck is what `duet workload check` was asked for.
type workloadCheck struct {
	url, config, seed string
	requests          int
}

// samples is how many requests are shown.
const samples = 10

func workloadCheckCommand(w world) *cobra.Command {
	var o workloadCheck
	c := &cobra.Command{
		Use:   "check FILE",
		Short: "Check a workload, show ten of its requests, and try it on a running service",
		Long: `Check a workload file, or an embedded workload by its name, and show ten sample requests. With --url, also run
its setup and its first requests, one after the other, against a service that runs on this machine; every request
with bad answers and every capture that fails is named with its line in the file. The setup of ./duet.yml comes first
where there is one, as in a run.

Exit status: 0 fine · 2 the file or the command line is wrong · 3 the service does not answer as the workload expects`,
		Example: "  duet workload check ./bench/search.yaml --url http://127.0.0.1:8080\n  duet workload check websocket",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return o.run(c.Context(), w.stdout, args[0], c.Flags().Changed("config"))
		},
	}
	f := c.Flags()
	f.StringVar(&o.url, "url", "", "service to try it on, such as http://127.0.0.1:8080; this machine's loopback alone")
	f.StringVar(&o.config, "config", "duet.yml", "configuration whose setup comes first")
	f.StringVar(&o.seed, "seed", "1", "seed of the requests")
	f.IntVar(&o.requests, "requests", 300, "how many requests to try, 1 to 10000")
	return c
}

func (o workloadCheck) run(ctx context.Context, out io.Writer, name string, configGiven bool) error {
	seed, err := strconv.ParseUint(o.seed, 10, 64)
	if err != nil {
		return plan.Usagef("", "--seed %q: expected a whole number from 0 to 18446744073709551615", o.seed)
	}
	if o.requests < 1 || o.requests > 10_000 {
		return plan.Usagef("", "--requests %d: expected 1 to 10000", o.requests)
	}
	p := plan.Plan{Seed: seed}
	if p.Setup, err = setupOf(o.config, configGiven); err != nil {
		return err
	}
	w, err := readWorkload(name)
	if err != nil {
		return err
	}
	if err := workload.CheckCaptures(w, p.Setup); err != nil {
		return plan.Usagef("", "%w", err)
	}
	// What no service is needed for comes first: all requests can be made.
	made, err := workload.Stream(w, seed, madeUp(w, p.Setup), o.requests)
	if err != nil {
		return plan.Usagef("", "%w", err)
	}
	describe(out, w, p)
	if o.url == "" {
		return show(out, made, seed, len(madeUp(w, p.Setup)) > 0)
	}
	tried, err := harness.Rehearse(ctx, o.url, p, w, o.requests)
	if err != nil {
		return err
	}
	if err := show(out, tried.Messages, seed, false); err != nil {
		return err
	}
	return o.report(out, tried)
}

// report says what a service made of the workload.
func (o workloadCheck) report(out io.Writer, r harness.Rehearsal) error {
	fmt.Fprintf(out, "\ntried on %s: ", o.url)
	if r.Setup > 0 {
		fmt.Fprintf(out, "%s well answered, ", count(r.Setup, "setup request"))
	}
	fmt.Fprintf(out, "%s asked", count(r.Asked, "request"))
	if len(r.Bad) == 0 {
		fmt.Fprintln(out, ", all well answered")
		return nil
	}
	fmt.Fprintf(out, ", %d badly answered\n", r.BadCount())
	for _, b := range r.Bad {
		fmt.Fprintf(out, "%s: request %s: %d bad, such as %s\n", b.Place, b.Name, b.Count, sandbox.Harmless(b.First))
	}
	if r.Asked < o.requests {
		fmt.Fprintf(out, "the rest of %d was not asked: the service does not answer\n", o.requests)
	}
	return notMeasured{fmt.Sprintf("%s of %d badly answered: mend the service, or what the workload expects of it", count(r.BadCount(), "request"), r.Asked)}
}

// setupOf is a configuration's setup; one that was not asked for need not be there.
func setupOf(file string, given bool) ([]workload.Request, error) {
	text, err := readFile(file)
	if errors.Is(err, fs.ErrNotExist) && !given {
		return nil, nil
	}
	if err != nil {
		return nil, plan.Usagef("", "reading the configuration: %w", err)
	}
	config, err := plan.ParseConfig(file, text)
	if err != nil {
		return nil, err
	}
	return config.Setup, nil
}

// readWorkload reads an embedded workload by name, or a file.
func readWorkload(name string) (workload.Workload, error) {
	file, text, err := name, []byte(nil), error(nil)
	if plan.IsWorkloadPath(name) || filepath.IsAbs(name) {
		text, err = readFile(name)
	} else {
		file = name + ".yaml"
		text, err = fs.ReadFile(workloads.Files, file)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return workload.Workload{}, plan.Usagef("a file of your own is named by its path, such as ./bench/mine.yaml",
			"no workload %q: expected a file, or one of %s", name, strings.Join(workloads.Names(), ", "))
	}
	if err != nil {
		return workload.Workload{}, plan.Usagef("", "reading the workload: %w", err)
	}
	w, err := workload.Parse(file, text)
	if err != nil {
		return workload.Workload{}, plan.Usagef("", "%w", err)
	}
	return w, nil
}

// readFile reads a file of the caller's; what its parser takes is far smaller than the bound.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAtMost(f, 1<<20)
}

// madeUp are captures to show requests with, as long as no service was asked.
func madeUp(w workload.Workload, before []workload.Request) workload.Captures {
	captures := workload.Captures{}
	for _, requests := range [][]workload.Request{before, w.Setup} {
		for _, r := range requests {
			for name := range r.Capture {
				for i := range min(max(r.Repeat, 1), 3) {
					captures[name] = append(captures[name], fmt.Sprintf("%s-%d", name, i+1))
				}
			}
		}
	}
	return captures
}

func describe(out io.Writer, w workload.Workload, p plan.Plan) {
	rate := fmt.Sprintf("%g%% of the slowest base's capacity", 100*w.Rate.Share)
	if w.Rate.PerSecond > 0 {
		rate = fmt.Sprintf("%g requests a second", w.Rate.PerSecond)
	}
	protocol := "HTTP/1.1"
	if w.Protocol == workload.ProtocolWebSocket {
		protocol = "WebSocket at " + w.Path
	}
	fmt.Fprintf(out, "%s, version %d: a good workload\n", w.Name, w.Version)
	if w.About != "" {
		fmt.Fprintf(out, "%s\n", w.About)
	}
	fmt.Fprintf(out, "%s · %s in the mix · %s · rate %s\n", protocol, count(len(w.Requests), "request"), count(w.Connections, "connection"), rate)
	setup := 0
	for _, r := range append(append([]workload.Request{}, p.Setup...), w.Setup...) {
		setup += max(r.Repeat, 1)
	}
	if setup > 0 {
		fmt.Fprintf(out, "%s before it\n", count(setup, "setup request"))
	}
}

// show prints the first requests of a stream.
func show(out io.Writer, messages []workload.Message, seed uint64, invented bool) error {
	first := messages[:min(len(messages), samples)]
	fmt.Fprintf(out, "\nThe first %s with seed %d", count(len(first), "request"), seed)
	if invented {
		fmt.Fprint(out, "; captured values are made up")
	}
	fmt.Fprintln(out, ":")
	for i, m := range first {
		if _, err := fmt.Fprintf(out, "%3d  %s\n", i+1, sandbox.Harmless(sample(m))); err != nil {
			return err
		}
	}
	return nil
}

// sample is one request on one line, and what is expected of its answer.
func sample(m workload.Message) string {
	text := m.Name + ": " + m.String()
	for _, h := range m.Headers {
		text += fmt.Sprintf(" · %s: %s", h.Name, short(h.Value))
	}
	if len(m.Body) > 0 {
		text += fmt.Sprintf(" · %s: %s", count(len(m.Body), "byte"), short(string(m.Body)))
	}
	var wants []string
	if m.Type == "" {
		wants = append(wants, fmt.Sprint(m.Expect.Status))
	}
	if m.Expect.Echo {
		wants = append(wants, "the same back")
	}
	if m.Expect.Contains != "" {
		wants = append(wants, fmt.Sprintf("with %q", m.Expect.Contains))
	}
	if len(wants) == 0 {
		return text
	}
	return text + " → " + strings.Join(wants, " ")
}

// short is the beginning of a text, on one line.
func short(text string) string {
	const most = 100 // runes
	if !utf8.ValidString(text) {
		text = fmt.Sprintf("%x", text)
	}
	text = strings.ReplaceAll(text, "\n", `\n`)
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

// count is "1 request" or "2 requests".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
