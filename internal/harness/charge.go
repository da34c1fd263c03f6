package harness

import (
	"fmt"
	"strings"
	"sync"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/profdiff"
	"github.com/duet-bench/duet/internal/result"
)

// naming turns names into numbers of run.json's table. Windows are read side by side.
type naming struct {
	lock  sync.Mutex
	known map[string]result.Name
}

// name is a name's number, made where it is new; 0 for no name, and for one that there is no room for.
func (n *naming) name(table *[]string, name string) result.Name {
	name = strings.ToValidUTF8(name, "")
	if len(name) > result.MaxName {
		name = strings.ToValidUTF8(name[:result.MaxName], "")
	}
	if name == "" {
		return 0
	}
	n.lock.Lock()
	defer n.lock.Unlock()
	if known, ok := n.known[name]; ok {
		return known
	}
	if len(*table) >= result.MaxNames {
		return 0
	}
	if n.known == nil {
		n.known = map[string]result.Name{}
	}
	*table = append(*table, name)
	n.known[name] = result.Name(len(*table))
	return n.known[name]
}

// survey remembers what a side's tree calls its own, before any of its code runs.
func (s *session) survey(side plan.Side) error {
	found, err := s.shop.Survey(s.shop.Tree(side))
	if err != nil {
		return fmt.Errorf("looking through the tree: %w", err)
	}
	s.pass.sources[side] = profdiff.Source{
		Root: found.Root, Files: found.Files, Modules: found.Modules, Workspaces: found.Workspaces, Crates: found.Crates, Strip: repoFolder,
		Packages: found.Packages,
		Outlines: &profdiff.Outlines{Texts: found.Texts},
	}
	return nil
}

// warnOfSources says whether a side's sources took too long to look through.
func (s *session) warnOfSources() {
	for _, side := range s.sides() {
		if s.pass.sources[side].Outlines.Late() {
			s.warnf("%s: its Rust sources take too long to look through: own code that was inlined into libraries stands under their names", side)
		}
	}
}

// charge puts a window's costs down to the service's own functions and lines.
func (s *session) charge(cost *result.Cost, dump profdiff.Dump) {
	source := s.pass.sources[cost.Variant.Side]
	functions, lines := profdiff.ChargeOf(dump, s.run.Plan.Services[cost.Variant].Lang, source, cost.Requests)
	name := func(text string) result.Name { return s.pass.names.name(&s.run.Names, text) }
	for _, f := range functions {
		c := result.FunctionCost{
			Function: name(f.Name), File: name(f.File), Line: f.Line, Caller: name(f.Caller), Own: f.Own,
			Instructions: f.Instructions, Allocations: f.Allocations,
		}
		if c.Function != 0 {
			cost.Functions = append(cost.Functions, c)
		}
	}
	for _, l := range lines {
		c := result.LineCost{File: name(l.File), Line: l.Line, Function: name(l.Function), Instructions: l.Instructions, Allocations: l.Allocations}
		if c.File != 0 && c.Function != 0 {
			cost.Lines = append(cost.Lines, c)
		}
	}
}
