package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/profdiff"
	"github.com/duet-bench/duet/internal/result"
)

// profileLimit bounds a raw profile that is read; the bundled services' have 100 kB.
const profileLimit = 64 << 20

// drawn are the kinds of profiles that flame graphs are drawn of, and by which of their figures.
var drawn = []struct {
	kind   result.ProfileKind
	second bool // bytes, nanoseconds lost
}{
	{result.ProfileCPU, false}, {result.ProfileAllocs, true}, {result.ProfileHeap, true}, {result.ProfileMutex, true}, {result.ProfileBlock, true},
}

// profileFolder are the raw profiles that lie beside a run.json. They came from whoever measured, and are data.
type profileFolder struct{ root *os.Root }

// openProfiles opens the folder; ok is false where there is none.
func openProfiles(dir string) (profileFolder, bool) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return profileFolder{}, false
	}
	return profileFolder{root}, true
}

func (p profileFolder) close() { _ = p.root.Close() }

func (p profileFolder) read(name string) ([]byte, error) {
	f, err := p.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, fmt.Errorf("%s is not a regular file", name))
	}
	return readAtMost(f, profileLimit)
}

// graphs are the flame graphs of a run, base and head of each service and workload in one. What cannot be drawn is said.
func (p profileFolder) graphs(run result.Run) (all []profdiff.Graph, problems []string) {
	for _, service := range run.Plan.ServiceNames() {
		for _, w := range run.Plan.Workloads {
			for _, d := range drawn {
				g, err := p.graph(run, service, w.Name, d.kind, d.second)
				switch {
				case errors.Is(err, profdiff.ErrEmptyProfile):
				case err != nil:
					problems = append(problems, fmt.Sprintf("no flame graph of %s, %s, %s: %v", service, w.Name, d.kind, err))
				default:
					all = append(all, g)
				}
			}
		}
	}
	return all, problems
}

func (p profileFolder) graph(run result.Run, service, workload string, kind result.ProfileKind, second bool) (profdiff.Graph, error) {
	stacks := map[plan.Side]profdiff.Stacks{}
	tool := ""
	var lang plan.Lang
	for _, side := range []plan.Side{plan.Base, plan.Head} {
		v := plan.Variant{Service: service, Side: side}
		s, windows, err := p.stacks(run, v, workload, kind)
		if err != nil {
			return profdiff.Graph{}, err
		}
		if len(windows) > 0 {
			tool, lang = windows[0].Tool, run.Plan.Services[v].Lang
		}
		stacks[side] = s
	}
	g, err := profdiff.GraphOf(stacks[plan.Base], stacks[plan.Head], kind, lang, second)
	if err != nil {
		return profdiff.Graph{}, err
	}
	g.Service, g.Workload, g.Tool = service, workload, tool
	return g, nil
}

// stacks reads a variant's raw profile and sums up what its windows were.
func (p profileFolder) stacks(run result.Run, v plan.Variant, workload string, kind result.ProfileKind) (s profdiff.Stacks, windows []result.Profile, err error) {
	file := ""
	for _, window := range run.Profiles {
		if window.Variant != v || window.Workload != workload || window.Kind != kind || window.Invalid != "" || window.File == "" {
			continue
		}
		windows = append(windows, window)
		file = window.File
		s.Requests, s.CPUSeconds = s.Requests+window.Requests, s.CPUSeconds+window.CPUSeconds
	}
	if file == "" {
		return profdiff.Stacks{}, nil, nil
	}
	text, err := p.read(file)
	if errors.Is(err, fs.ErrNotExist) {
		return profdiff.Stacks{}, nil, nil // the run.json alone was taken along
	}
	if err != nil {
		return profdiff.Stacks{}, nil, err
	}
	s.Owner = ownFunctions(run, v)
	s.Profile, err = profdiff.ParseProfile(text)
	return s, windows, err
}

// ownFunctions are the functions of a service's own code that any of its profiles names, and their files, this variant's
// where it has them. A window lists its dearest functions alone: one that a side did not list would be taken for foreign
// there, and a stack that both sides have would be drawn twice.
func ownFunctions(run result.Run, v plan.Variant) profdiff.Known {
	own := profdiff.Known{}
	for _, p := range run.Profiles {
		if p.Variant.Service != v.Service {
			continue
		}
		for _, f := range p.Functions {
			name := run.Name(f.Function)
			if _, listed := own[name]; f.Own && (!listed || p.Variant == v) {
				own[name] = run.Name(f.File)
			}
		}
	}
	return own
}
