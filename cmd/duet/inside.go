package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/duet-bench/duet/internal/compare"
	"github.com/duet-bench/duet/internal/container"
	"github.com/duet-bench/duet/internal/harness"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/sandbox"
)

// insideName is the command that the Duet in a container is started with.
const insideName = "inside"

// insideSchema is the version of what both Duets say to each other.
const insideSchema = "duet.inside/2"

// The job's folder, and where fetch leaves what measure takes.
const (
	orderFile     = "order.json"
	treesFolder   = "trees"
	fetchedFolder = "fetched"
)

// insideOrder is what the Duet in a container is told.
type insideOrder struct {
	Schema  string            `json:"schema"`
	Attempt int               `json:"attempt"`
	Image   string            `json:"image"` // what this is a container of, for the report
	Plan    plan.Plan         `json:"plan"`
	PassEnv map[string]string `json:"pass_env"`
}

func insideCommand(w world) *cobra.Command {
	c := &cobra.Command{
		Use: insideName, Hidden: true,
		Short: "What `duet measure --isolation container` starts in its containers",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	fetch := &cobra.Command{
		Use: "fetch", Short: "Download what the builds of all sides need",
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, order, _, err := enterContainer(c.Context(), w, false)
			if err != nil {
				return err
			}
			return harness.Fetch(ctx, order.Plan, filepath.Join(container.JobDir, treesFolder), filepath.Join(container.Dir, fetchedFolder), relay{w.stderr})
		},
	}
	measure := &cobra.Command{
		Use: "measure", Short: "Build and measure what was fetched, without a network; print run.json and the raw profiles",
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, order, bounds, err := enterContainer(c.Context(), w, true)
			if err != nil {
				return err
			}
			var out parcel
			run, err := harness.Run(ctx, order.Plan, harness.Options{
				Keep: out.keep, Version: versionText(), Attempt: order.Attempt, PassEnv: order.lookup, Settle: compare.Settle, Doubt: compare.Doubt,
				Progress: relay{w.stderr}, Fetched: filepath.Join(container.Dir, fetchedFolder),
				Around: fmt.Sprintf("container: %s, %s", order.Image, bounds),
			})
			var encoding error
			if out.run, encoding = result.Encode(run); encoding == nil {
				encoding = out.write(w.stdout)
			}
			return errors.Join(err, encoding)
		},
	}
	c.AddCommand(fetch, measure)
	return c
}

// enterContainer makes sure that this is a container as it was asked for, and reads the order. Its context ends when
// stdin does: then the Duet outside is gone.
func enterContainer(ctx context.Context, w world, offline bool) (context.Context, insideOrder, sandbox.Bounds, error) {
	bounds, err := sandbox.FindBounds()
	if err == nil {
		err = bounds.Check(offline, container.Capabilities())
	}
	if err == nil && !sandbox.Probe().Root {
		err = errors.New("this container has too few rights to give builds and services a uid of their own: nothing was run")
	}
	if err != nil {
		return nil, insideOrder{}, bounds, notMeasured{err.Error()}
	}
	text, err := os.ReadFile(filepath.Join(container.JobDir, orderFile))
	if err != nil {
		return nil, insideOrder{}, bounds, fmt.Errorf("reading the order: %w", err)
	}
	order, err := readOrder(text)
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, w.stdin) // that it ends is all it says
		cancel(errInterrupted)
	}()
	return ctx, order, bounds, err
}

func readOrder(text []byte) (insideOrder, error) {
	var head struct {
		Schema string `json:"schema"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return insideOrder{}, fmt.Errorf("reading the order: %w", err)
	}
	if head.Schema != insideSchema {
		return insideOrder{}, fmt.Errorf("reading the order: schema %q, and this duet (%s) reads %q: use an image of the same version", head.Schema, versionText(), insideSchema)
	}
	var order insideOrder
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&order); err != nil {
		return insideOrder{}, fmt.Errorf("reading the order (use an image of the same version): %w", err)
	}
	return order, nil
}

func (o insideOrder) lookup(name string) (string, bool) {
	value, ok := o.PassEnv[name]
	return value, ok
}

// said is one line by which the Duet in a container tells the one outside what it is doing.
type said struct {
	Progress string `json:"progress"` // begin, update or note
	Text     string `json:"text"`
}

// relay is a harness.Progress whose words are shown by the Duet outside.
type relay struct{ w io.Writer }

func (r relay) Begin(step string)                 { r.say("begin", step) }
func (r relay) Update(format string, args ...any) { r.say("update", fmt.Sprintf(format, args...)) }
func (r relay) Note(format string, args ...any)   { r.say("note", fmt.Sprintf(format, args...)) }

func (r relay) say(kind, text string) {
	line, err := json.Marshal(said{Progress: kind, Text: text})
	if err == nil {
		_, _ = r.w.Write(append(line, '\n')) // nobody is left to be told
	}
}

// replay shows what a line of a relay says; false: it is not one.
func replay(line string, show harness.Progress) bool {
	if !strings.HasPrefix(line, `{"progress":`) {
		return false
	}
	var s said
	if json.Unmarshal([]byte(line), &s) != nil {
		return false
	}
	text := sandbox.Sanitize(s.Text)
	switch s.Progress {
	case "begin":
		show.Begin(text)
	case "update":
		show.Update("%s", text)
	case "note":
		show.Note("%s", text)
	}
	return true
}
