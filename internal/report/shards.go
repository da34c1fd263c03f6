package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/duet-bench/duet/internal/result"
)

// Shard is one machine's part of a merged run.
type Shard struct {
	Shard     string          `json:"shard"` // 2/3
	State     result.State    `json:"state"`
	Workloads []string        `json:"workloads"`
	Machine   *result.Machine `json:"machine"` // null: it left nothing
	Started   string          `json:"started,omitempty"`
	Seconds   float64         `json:"s,omitempty"`
	Why       string          `json:"why,omitempty"` // something of its part was not measured
}

// addShards lists the machines of a merged run, and says of each row which of them measured it.
func (r *Report) addShards(run result.Run) {
	for _, s := range run.Shards {
		r.Shards = append(r.Shards, Shard{
			Shard: s.Name(), State: s.State, Workloads: append([]string{}, s.Workloads...), Machine: s.Machine,
			Started: s.Started, Seconds: finite(s.Seconds), Why: s.Unfinished(),
		})
	}
	if len(run.Shards) == 0 {
		return
	}
	name := func(workload string) string {
		if s := run.ShardOf(workload); s != nil {
			return s.Name()
		}
		return ""
	}
	for i := range r.Rows {
		r.Rows[i].Shard = name(r.Rows[i].Workload)
	}
	for i := range r.Gaps {
		r.Gaps[i].Shard = name(r.Gaps[i].Workload)
	}
	if r.Worst != nil {
		r.Worst.Shard = name(r.Worst.Workload)
	}
	r.built = name("")
}

// shardOf is the shard whose machine measured a workload, "" where one machine measured all.
func (r Report) shardOf(workload string) string {
	for _, s := range r.Shards {
		if slices.Contains(s.Workloads, workload) {
			return s.Shard
		}
	}
	return ""
}

// unfinished are the shards of which something is missing.
func (r Report) unfinished() []Shard {
	return slices.DeleteFunc(slices.Clone(r.Shards), func(s Shard) bool { return s.Why == "" })
}

// shardSentences say of each unfinished shard what is missing, and which workloads nobody judged for it.
func (r Report) shardSentences() []Text {
	var out []Text
	unfinished := r.unfinished()
	for i, s := range unfinished {
		if i == maxClaims {
			return append(out, say(plain(fmt.Sprintf("%s more of them.", count(len(unfinished)-i)))))
		}
		words := map[result.State]string{result.Missing: "is missing", result.Cancelled: "was cancelled"}[s.State]
		line := bold(say(plain("Shard " + s.Shard + " " + cmp.Or(words, "was not measured to its end"))))
		line = append(line, plain(": "))
		line = append(line, listed("", s.Workloads, func(w string) Text { return say(name(w)) })...)
		if words != "" {
			line = append(line, plain(map[bool]string{true: " is", false: " are"}[len(s.Workloads) == 1]+" not judged."))
		} else {
			line = append(line, plain(". "), prose(s.Why), plain("."))
		}
		out = append(out, line)
	}
	return out
}

// machineLines are where a run was measured: one line, or one a shard.
func (r Report) machineLines() []Text {
	if len(r.Shards) == 0 {
		return machineLine(say(plain("machine: ")), r.Machine)
	}
	var out []Text
	for _, s := range r.Shards {
		title := say(plain("shard " + s.Shard + ", "))
		title = append(title, listed("", s.Workloads, func(w string) Text { return say(name(w)) })...)
		if s.Machine == nil {
			out = append(out, append(title, plain(": missing")))
			continue
		}
		ended := map[result.State]string{result.Measured: "measured", result.Cancelled: "cancelled", result.NothingChanged: "nothing to measure"}[s.State]
		title = append(title, plain(fmt.Sprintf(": %s, %s on ", cmp.Or(ended, "not measured to its end"), span(s.Seconds))))
		out = append(out, machineLine(title, *s.Machine)...)
	}
	return out
}

func machineLine(title Text, m result.Machine) []Text {
	if m.OS == "" {
		return nil
	}
	return []Text{append(title, name(m.OS+"/"+m.Arch), plain(" · "), name(cmp.Or(m.CPU, "unknown processor")),
		plain(" · "+plural(m.Cores, "core")+" · "+quantity(known(float64(m.Memory)), "B")+" · "), name(m.Kernel))}
}

// settingLines are how a machine was used, once where all shards say the same.
func (r Report) settingLines() []Text {
	var out []Text
	for _, line := range []func(result.Machine) Text{isolationLine, turnsLine, toolchainsLine} {
		first, alike := line(r.Machine), true
		for _, s := range r.Shards {
			alike = alike && (s.Machine == nil || line(*s.Machine).String() == first.String())
		}
		if alike {
			out = append(out, first)
			continue
		}
		for _, s := range r.Shards {
			if s.Machine != nil {
				out = append(out, append(say(plain("shard "+s.Shard+", ")), line(*s.Machine)...))
			}
		}
	}
	return slices.DeleteFunc(out, func(t Text) bool { return len(t) == 0 })
}

func isolationLine(m result.Machine) Text {
	if m.Isolation == "" {
		return nil
	}
	return say(plain("isolation: "), name(m.Isolation))
}

func turnsLine(m result.Machine) Text {
	if m.Turns == "" {
		return nil
	}
	return say(plain("services ran: "), name(m.Turns), plain(" · cores of the services: "), name(cmp.Or(m.ServiceCPU, "any")),
		plain(" · of the load generator: "), name(cmp.Or(m.ClientCPU, "any")))
}

func toolchainsLine(m result.Machine) Text {
	var versions []string
	for _, tool := range slices.Sorted(maps.Keys(m.Toolchains)) {
		versions = append(versions, m.Toolchains[tool])
	}
	return listed("toolchains: ", versions, func(v string) Text { return say(name(v)) })
}
