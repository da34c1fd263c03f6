package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/duet-bench/duet/internal/build"
	"github.com/duet-bench/duet/internal/container"
	"github.com/duet-bench/duet/internal/harness"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/sandbox"
)

// isolation is what a command line says about what confines the code under test.
type isolation struct {
	level   string // may only tighten base's policy
	image   string // of the containers
	network string // of the one that downloads
}

// contained carries a plan out in two containers of Duet's image:
//
//	here           git: both trees are exported, and copied into a volume with the plan
//	duet-X-fetch   the engine's network: `duet inside fetch` downloads; of theirs nothing is executed
//	duet-X-measure no network: `duet inside measure` builds and measures; run.json and the raw profiles come out on stdout
//
// The run that it returns is always usable, like harness.Run's.
func (p prepared) contained(ctx context.Context, o harness.Options) (result.Run, error) {
	started := time.Now()
	run, err := p.stay(ctx, o)
	if run.Schema == "" { // nothing came out
		run = harness.NewRun(p.plan, o, started)
		run.State = result.NotMeasured
		if ctx.Err() != nil {
			run.State, err = result.Cancelled, context.Cause(ctx)
		} else if err != nil {
			run.Error = err.Error()
		}
	}
	run.Started, run.Seconds = started.UTC().Format(time.RFC3339), time.Since(started).Seconds()
	return run, err
}

// stay is one use of the engine: everything it makes there is named for it, and gone when it returns.
func (p prepared) stay(ctx context.Context, o harness.Options) (run result.Run, err error) {
	show := o.Progress
	show.Begin("container")
	show.Update("looking for image %s", p.isolation.image)
	id, err := p.engine.Image(ctx, p.isolation.image)
	if err != nil {
		return result.Run{}, err
	}
	job, warnings, err := p.writeJob(ctx, o, id)
	if err != nil {
		return result.Run{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(job)) }()
	name := "duet-" + randomName()
	if err := p.engine.NewVolume(ctx, name); err != nil {
		return result.Run{}, err
	}
	defer func() { err = errors.Join(err, p.engine.RemoveVolume(ctx, name)) }()
	s := container.Spec{Image: id, Volume: name, CPUs: p.engineCores(), Memory: p.engine.Memory / 4 * 3}

	fetch := s
	fetch.Name, fetch.Args = name+"-fetch", []string{insideName, "fetch"}
	fetch.Network, fetch.Pass = p.isolation.network, build.DownloadNames(os.Environ())
	if _, err := p.visit(ctx, fetch, job, show); err != nil {
		return result.Run{}, fmt.Errorf("fetching in a container: %w", err)
	}
	measure := s
	measure.Name, measure.Args, measure.Network = name+"-measure", []string{insideName, "measure"}, "none"
	text, err := p.visit(ctx, measure, "", show)
	if len(text) == 0 {
		if err == nil {
			err = notMeasured{"the container ended well and left no run.json"}
		}
		return result.Run{}, err
	}
	out, reading := readParcel(text)
	if reading == nil {
		run, reading = p.ours(out.run, o)
	}
	if reading != nil {
		return result.Run{}, errors.Join(err, fmt.Errorf("reading what the container left: %w", reading))
	}
	run.Warnings = append(warnings, run.Warnings...)
	for name, pprof := range out.profiles {
		if o.Keep != nil {
			err = errors.Join(err, o.Keep(name, pprof))
		}
	}
	return run, err
}

// visit creates a container, copies the job into it, if any, and runs it. It returns what it printed.
func (p prepared) visit(ctx context.Context, s container.Spec, job string, show harness.Progress) (stdout []byte, err error) {
	if err := p.engine.Create(ctx, s); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.engine.Remove(ctx, s.Name)) }()
	if job != "" {
		if err := p.engine.Copy(ctx, job, s.Name); err != nil {
			return nil, err
		}
	}
	var out bytes.Buffer
	exit, err := p.engine.Run(ctx, s.Name, &out, result.MaxBytes+parcelLimit+1<<20, func(line string) bool { return replay(line, show) })
	if err != nil {
		return nil, err
	}
	return out.Bytes(), insideError(ctx, exit)
}

// insideError is what the Duet in a container ended with, as an error of this one.
func insideError(ctx context.Context, exit container.Exit) error {
	if exit.Status == int(exitOK) {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	text := strings.TrimPrefix(strings.Join(exit.Tail, "\n"), "duet: ")
	if text == "" {
		text = fmt.Sprintf("the container ended with status %d and said nothing (137: it was killed, perhaps for its memory)", exit.Status)
	}
	if exit.Status == int(exitUsage) {
		return &plan.UsageError{Err: errors.New(text)}
	}
	return notMeasured{text}
}

// ours reads a run.json that came out of a container, and holds it to the plan that went in: margins, policy and commits
// are decided here alone.
func (p prepared) ours(text []byte, o harness.Options) (result.Run, error) {
	run, err := result.Decode(text)
	if err != nil {
		return result.Run{}, err
	}
	got, err := json.Marshal(run.Plan)
	if err != nil {
		return result.Run{}, err
	}
	want, err := json.Marshal(p.plan)
	if err != nil {
		return result.Run{}, err
	}
	if !bytes.Equal(got, want) {
		return result.Run{}, errors.New("it is of another plan than the one that was handed over")
	}
	if run.Duet != o.Version {
		run.Warnings = append(run.Warnings, fmt.Sprintf("measured by duet %s, which is in the image; this is %s", sandbox.Sanitize(run.Duet), o.Version))
	}
	return run, nil
}

// writeJob exports both trees and writes the order, into a folder that nobody else can read. No git is used afterwards.
func (p prepared) writeJob(ctx context.Context, o harness.Options, image string) (job string, warnings []string, err error) {
	o.Progress.Update("exporting both trees")
	job, err = os.MkdirTemp("", "duet-job-")
	if err != nil {
		return "", nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(job))
		}
	}()
	for _, side := range harness.Sides(p.plan) {
		tree := filepath.Join(job, treesFolder, string(side))
		if err := os.MkdirAll(tree, 0o755); err != nil {
			return "", nil, err
		}
		more, err := harness.Export(ctx, p.source, p.plan, side, tree)
		if err != nil {
			return "", nil, err
		}
		warnings = append(warnings, more...)
	}
	order := insideOrder{
		Schema: insideSchema, Attempt: o.Attempt, Plan: p.plan, PassEnv: passed(p.plan, o.PassEnv),
		Image: fmt.Sprintf("%s (%.19s)", p.isolation.image, id(image)),
	}
	text, err := json.Marshal(order)
	if err == nil {
		err = os.WriteFile(filepath.Join(job, orderFile), text, 0o600)
	}
	return job, warnings, errors.Join(err, p.source.Close())
}

// id is an image's id with its algorithm, as engines and people write it.
func id(image string) string {
	if strings.Contains(image, ":") {
		return image
	}
	return "sha256:" + image
}

// passed are the values of the variables that a plan lets through to its services. They travel as a file: in the
// environment of a container they could name things that Duet itself there heeds.
func passed(p plan.Plan, lookup func(string) (string, bool)) map[string]string {
	values := map[string]string{}
	for _, s := range p.Services {
		for _, name := range s.PassEnv {
			if value, ok := lookup(name); ok {
				values[name] = value
			}
		}
	}
	return values
}

// engineCores holds the containers to the cores that this process may use, where the engine's machine has them: the
// engine was started elsewhere, and knows nothing of them.
func (p prepared) engineCores() []int {
	cores := harness.AllowedCores()
	if len(cores) == 0 || slices.Max(cores) >= p.engine.CPUs {
		return nil
	}
	return cores
}

func randomName() string {
	var bits [6]byte
	_, _ = rand.Read(bits[:]) // never fails
	return hex.EncodeToString(bits[:])
}
