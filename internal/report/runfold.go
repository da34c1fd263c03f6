package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// runMarkdown is what a reader needs to trust the run: machine, isolation, order, noise, omissions.
func (r Report) runMarkdown() string {
	var b strings.Builder
	for _, item := range r.circumstances() {
		b.WriteString("- " + inline(item, false) + "\n")
	}
	if len(r.Warnings) > 0 {
		lines := r.Warnings[:min(len(r.Warnings), maxListed)]
		if more := len(r.Warnings) - len(lines); more > 0 {
			lines = append(slices.Clone(lines), plural(more, "more warning"))
		}
		b.WriteString("\n" + plural(len(r.Warnings), "warning") + ":\n\n" + block("text", lines))
	}
	return b.String()
}

// circumstances are the facts about a run, one a line.
func (r Report) circumstances() []Text {
	run := r.Run
	var out []Text
	add := func(t ...Text) { out = append(out, t...) }
	add(r.machineLines()...)
	add(r.settingLines()...)
	seed := fmt.Sprintf("seed %d", run.Seed)
	if run.Attempt > 0 {
		seed += fmt.Sprintf(" (attempt %d)", run.Attempt)
	}
	if run.Budget > 0 {
		seed += " · budget " + budget(run.Budget)
	}
	add(say(plain(seed)))
	if r.Base != nil {
		add(say(plain("base: "), name(r.Base.SHA)))
	}
	add(say(plain("head: "), name(r.Head.SHA)))
	add(r.measured()...)
	return out
}

// measured says what was measured how often, at what rate, where the time went and what was left out.
func (r Report) measured() []Text {
	run := r.Run
	var out []Text
	add := func(t Text) {
		if len(t) > 0 {
			out = append(out, t)
		}
	}
	phases := func(screen, confirm int) string {
		words := " " + count(screen)
		if confirm > 0 {
			words += " + " + count(confirm) + " to confirm"
		}
		return words
	}
	if len(run.Rounds) > 0 && run.Choice != "" {
		add(say(plain("measured with " + run.Choice)))
	}
	add(listed("rounds: ", run.Rounds, func(x Rounds) Text { return say(name(x.Workload), plain(phases(x.Screen, x.Confirm))) }))
	if c := run.Callgrind; c != nil {
		words := "callgrind rounds:" + phases(c.Screen, c.Confirm)
		if c.Cross > 0 {
			words += ", " + count(c.Cross) + " to cross-check with one codegen unit"
		}
		add(say(plain(words)))
	}
	add(listed("offered rates: ", run.Rates, func(x Rate) Text {
		return say(name(x.Workload), plain(" "+quantity(known(x.PerSecond), "req/s")))
	}))
	if run.Lateness != nil {
		add(say(plain("sends left late by at most " + quantity(run.Lateness, "s") + " (p99 of the worst trial)")))
	}
	if run.ClientCPU != nil {
		add(say(plain("the load generator's own CPU per request, all connections busy: " + quantity(run.ClientCPU, "s"))))
	}
	add(listed("where the time went: ", run.Durations, func(x result.StepDuration) Text {
		return say(name(x.Step), plain(" "+span(x.Seconds)))
	}))
	add(listed("left out: ", run.Dropped, func(x plan.Dropped) Text { return say(name(x.Workload), plain(" because "), name(x.Reason)) }))
	tally := func(x Tally) Text { return say(plain(count(x.Count)+" × "), name(x.Reason)) }
	add(listed("invalid trials: ", run.Invalid, tally))
	add(listed("slices dropped for outside causes: ", run.Slices, tally))
	for i, b := range run.Built {
		if i == maxSettings {
			break
		}
		t := append(listed("", b.Variants, func(s string) Text { return say(name(s)) }), plain(" built with "))
		add(append(t, listed("", b.Settings, func(s string) Text { return say(name(s)) })...))
	}
	for i, variant := range slices.Sorted(maps.Keys(run.Notes)) {
		if i == maxSettings {
			break
		}
		add(listed("", append([]string{variant}, run.Notes[variant]...), func(s string) Text { return say(name(s)) }))
	}
	return out
}

// listed is a title and at most maxListed items; nothing when there are none.
func listed[T any](title string, items []T, write func(T) Text) Text {
	if len(items) == 0 {
		return nil
	}
	texts := make([]Text, 0, len(items))
	for i, item := range items {
		if i == maxListed {
			texts = append(texts, say(plain(count(len(items)-i)+" more")))
			break
		}
		texts = append(texts, write(item))
	}
	return append(say(plain(title)), join(texts, ", ")...)
}
