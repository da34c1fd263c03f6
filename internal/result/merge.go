package result

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/workload"
)

// File is a run.json and what it is called.
type File struct {
	Name string
	Text []byte
}

// part is a shard's run.json, read.
type part struct {
	File
	run   Run
	shard plan.Shard
	whole plan.Plan
}

// Merge makes one run of a plan's shards, in whatever order they come. Nothing is pooled: each workload's figures are those
// of the one machine that measured it, and the builds' are the first shard's. A shard that is not there is Missing. Files of
// different plans, commits, versions or schemas are refused, and so is a second, different file of one shard.
func Merge(files []File) (Run, error) {
	parts, err := readParts(files)
	if err != nil {
		return Run{}, err
	}
	first := parts[0]
	merged := Run{Schema: Schema, Duet: first.run.Duet, Plan: first.whole}
	owner, table := first.run.Plan.Owners(), newNames()
	for index := 1; index <= first.shard.Count; index++ {
		s := Shard{Index: index, Count: first.shard.Count, State: Missing}
		for _, w := range first.whole.Workloads {
			if owner[w.Name] == index {
				s.Workloads = append(s.Workloads, w.Name)
			}
		}
		if len(s.Workloads) == 0 {
			return Run{}, fmt.Errorf("%s: shard %s has no workloads", first.Name, s.Name())
		}
		if at := slices.IndexFunc(parts, func(p part) bool { return p.shard.Index == index }); at >= 0 {
			s = s.with(parts[at].run)
			merged.take(parts[at].run, table)
		}
		merged.Shards = append(merged.Shards, s)
	}
	merged.Names = table.list
	merged.sum(parts, table.full)
	if err := merged.check(); err != nil {
		return Run{}, fmt.Errorf("merged: %w", err)
	}
	return merged, nil
}

// readParts reads files, holds them to one plan, and sorts them by their shards.
func readParts(files []File) ([]part, error) {
	var parts []part
	for _, f := range files {
		run, err := Decode(f.Text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		if run.Plan.Shard == nil {
			return nil, fmt.Errorf("%s is no shard's: it was measured without --shard, or is merged already", f.Name)
		}
		whole, err := run.Plan.Whole()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		parts = append(parts, part{File: f, run: run, shard: *run.Plan.Shard, whole: whole})
	}
	if len(parts) == 0 {
		return nil, errors.New("no run.json: at least one shard's is needed")
	}
	slices.SortFunc(parts, func(a, b part) int {
		return cmp.Or(cmp.Compare(a.shard.Index, b.shard.Index), cmp.Compare(a.Name, b.Name))
	})
	kept := parts[:1]
	for _, p := range parts[1:] {
		if err := agree(parts[0], p); err != nil {
			return nil, err
		}
		last := kept[len(kept)-1]
		switch {
		case last.shard.Index != p.shard.Index:
			kept = append(kept, p)
		case !bytes.Equal(last.Text, p.Text):
			return nil, fmt.Errorf("%s and %s are both shard %s, and differ: take the one that counts", last.Name, p.Name, p.shard.Name())
		}
	}
	if digest := kept[0].whole.Digest(); digest != kept[0].shard.Plan {
		return nil, fmt.Errorf("%s says that it is of plan %.16s, and its plan is %.16s", kept[0].Name, kept[0].shard.Plan, digest)
	}
	return kept, nil
}

// agree refuses two files that cannot be of one run.
func agree(a, b part) error {
	base := func(p part) string {
		if p.whole.Base == nil {
			return "none"
		}
		return p.whole.Base.SHA
	}
	for _, c := range []struct{ what, a, b string }{
		{"Duet's version", a.run.Duet, b.run.Duet},
		{"head", a.whole.Head.SHA, b.whole.Head.SHA},
		{"base", base(a), base(b)},
		{"the number of shards", fmt.Sprint(a.shard.Count), fmt.Sprint(b.shard.Count)},
		{"the seed", fmt.Sprint(a.whole.Seed), fmt.Sprint(b.whole.Seed)},
		{"the plan it names", a.shard.Plan, b.shard.Plan},
		{"the plan", a.whole.Digest(), b.whole.Digest()},
	} {
		if c.a != c.b {
			return fmt.Errorf("%s and %s are not of one run: %s is %q in the first and %q in the second", a.Name, b.Name, c.what, c.a, c.b)
		}
	}
	theirs := b.run.Plan.Owners()
	for name, index := range a.run.Plan.Owners() {
		if theirs[name] != index {
			return fmt.Errorf("%s and %s are not of one run: workload %q is shard %d's in the first and shard %d's in the second", a.Name, b.Name, name, index, theirs[name])
		}
	}
	return nil
}

// with fills in what a machine has to say.
func (s Shard) with(r Run) Shard {
	s.State, s.Started, s.Seconds, s.Attempt, s.Machine = r.State, r.Started, r.Seconds, r.Attempt, &r.Machine
	s.Builds, s.Parity, s.Failures, s.Stopped, s.Error = r.Builds, r.Parity, r.Failures, r.Stopped, r.Error
	return s
}

// take adds a shard's figures under its workloads.
func (m *Run) take(r Run, table *names) {
	in := func(name string) bool {
		return slices.ContainsFunc(r.Plan.Workloads, func(w workload.Workload) bool { return w.Name == name })
	}
	for _, t := range r.Trials {
		if in(t.Workload) {
			m.Trials = append(m.Trials, t)
		}
	}
	for _, c := range r.Costs {
		if in(c.Workload) {
			m.Costs = append(m.Costs, table.cost(r, c))
		}
	}
	for _, p := range r.Profiles {
		if in(p.Workload) {
			m.Profiles = append(m.Profiles, table.profile(r, p))
		}
	}
	for _, g := range r.GoRuntimes {
		if in(g.Workload) {
			m.GoRuntimes = append(m.GoRuntimes, g)
		}
	}
	for _, rate := range r.Rates {
		if in(rate.Workload) {
			m.Rates = append(m.Rates, rate)
		}
	}
	for _, row := range r.Rows {
		if in(row.Workload) {
			m.Rows = append(m.Rows, row)
		}
	}
}

// sum says of the whole what its shards say of their parts.
func (m *Run) sum(parts []part, full bool) {
	m.State, m.Error = m.ended()
	for _, p := range parts {
		if m.Started == "" || p.run.Started < m.Started {
			m.Started = p.run.Started
		}
		m.Seconds, m.Attempt = max(m.Seconds, p.run.Seconds), max(m.Attempt, p.run.Attempt)
		for _, d := range p.run.Durations {
			at := slices.IndexFunc(m.Durations, func(have StepDuration) bool { return have.Step == d.Step })
			if at < 0 {
				at, m.Durations = len(m.Durations), append(m.Durations, StepDuration{Step: d.Step})
			}
			m.Durations[at].Seconds += d.Seconds
		}
	}
	if s := m.ShardOf(""); s != nil {
		m.Machine, m.Builds = *s.Machine, s.Builds
	}
	m.Failures = m.everywhere()
	for _, s := range m.Shards {
		if s.Gone() != "" {
			continue
		}
		if p := s.Parity; p != nil {
			if m.Parity == nil {
				m.Parity = &ParityResult{Differences: []Difference{}}
			}
			m.Parity.Requests, m.Parity.Total = m.Parity.Requests+p.Requests, m.Parity.Total+p.Total
			room := MaxDifferences - len(m.Parity.Differences)
			m.Parity.Differences = append(m.Parity.Differences, p.Differences[:min(len(p.Differences), room)]...)
		}
		if len(s.Stopped) > 0 && m.Stopped == nil {
			m.Stopped = map[string]string{}
		}
		maps.Copy(m.Stopped, s.Stopped)
	}
	m.Warnings = m.warnings(parts, full)
}

// ended is how the whole ended: measured where any part of it was.
func (m *Run) ended() (state State, problem string) {
	seen := map[State]bool{}
	for _, s := range m.Shards {
		seen[s.State] = true
		if problem == "" && s.Error != "" {
			problem = s.Gone()
		}
	}
	for _, state := range []State{Measured, NotMeasured, Cancelled} {
		if seen[state] && state != NotMeasured {
			return state, ""
		}
		if seen[state] {
			if problem == "" && len(m.everywhere()) == 0 {
				problem = m.Unfinished()[0]
			}
			return state, problem
		}
	}
	return NothingChanged, ""
}

// everywhere are the failures of variants that failed on each machine: what failed on one of them is no fact of the commit.
func (m *Run) everywhere() []Failure {
	var all []Failure
	judged := slices.DeleteFunc(slices.Clone(m.Shards), func(s Shard) bool { return s.Gone() != "" })
	if len(judged) == 0 {
		return nil
	}
	for _, f := range judged[0].Failures {
		failed := func(s Shard) bool {
			return slices.ContainsFunc(s.Failures, func(other Failure) bool { return other.Variant == f.Variant })
		}
		if !slices.ContainsFunc(judged, func(s Shard) bool { return !failed(s) }) {
			all = append(all, f)
		}
	}
	return all
}

// warnings are the shards', those of all of them once, the others with whose they are; and where machines differ in more than
// their speed.
func (m *Run) warnings(parts []part, full bool) []string {
	var all []string
	count := map[string]int{}
	for _, p := range parts {
		for _, w := range p.run.Warnings {
			count[w]++
		}
	}
	for _, p := range parts {
		for _, w := range p.run.Warnings {
			if count[w] < len(parts) {
				w = fmt.Sprintf("shard %s: %s", p.shard.Name(), w)
			}
			if !slices.Contains(all, w) {
				all = append(all, w)
			}
		}
	}
	if full {
		all = append(all, fmt.Sprintf("more than %d functions and files in all: some shards' are left out", MaxNames))
	}
	return append(all, m.unlike()...)
}

// unlike says where two machines built the same commits in different ways.
func (m *Run) unlike() (warnings []string) {
	same := func(s Shard, service string) (identical, known bool) {
		for _, b := range s.Builds {
			if b.Variant == (plan.Variant{Service: service, Side: plan.Head}) {
				return b.IdenticalToBase, true
			}
		}
		return false, false
	}
	reference := m.ShardOf("")
	if reference == nil {
		return nil
	}
	for _, s := range m.Shards {
		if s.Gone() != "" || s.Index == reference.Index {
			continue
		}
		if a, b := reference.Machine.Toolchains, s.Machine.Toolchains; !maps.Equal(a, b) {
			warnings = append(warnings, fmt.Sprintf("shard %s was built with %s, shard %s with %s", reference.Name(), versions(a), s.Name(), versions(b)))
		}
		for _, service := range m.Plan.ServiceNames() {
			a, known := same(*reference, service)
			if b, too := same(s, service); known && too && a != b {
				warnings = append(warnings, fmt.Sprintf("%s is the same program at both sides in one of shard %s and shard %s, and not in the other: its build is not reproducible",
					service, reference.Name(), s.Name()))
			}
		}
	}
	return warnings
}

func versions(toolchains map[string]string) string {
	text := ""
	for _, name := range slices.Sorted(maps.Keys(toolchains)) {
		if text != "" {
			text += ", "
		}
		text += toolchains[name]
	}
	return cmp.Or(text, "toolchains unknown")
}
