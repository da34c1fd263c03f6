package report

import (
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/result"
)

// A reader learns first that a shard is missing and of what, in both formats, and never that no action is needed.
func TestMissingShardIsSaid(t *testing.T) {
	f := mergedShards(true)
	for _, c := range []struct {
		state result.State
		error string
		want  string
	}{
		{result.Missing, "", "Shard 3/3 is missing"},
		{result.Cancelled, "", "Shard 3/3 was cancelled"},
		{result.NotMeasured, "no space left", "no space left"},
	} {
		f.run.Shards[2].State, f.run.Shards[2].Error = c.state, c.error
		r := New(f.run, f.c, f.o)
		for name, text := range map[string]string{"markdown": Markdown(r), "terminal": Terminal{}.Render(r)} {
			above, _, _ := strings.Cut(text, "<details>")
			if !strings.Contains(above, c.want) || !strings.Contains(above, "search") || strings.Contains(text, "No action needed") || strings.Contains(text, "No row moved") {
				t.Errorf("%s: want %q:\n%s", name, c.want, text)
			}
		}
	}
}

// Every row and gap names the shard whose machine measured it, and each shard its machine.
func TestRowsNameTheirShard(t *testing.T) {
	f := mergedShards(false)
	r := New(f.run, f.c, f.o)
	want := map[string]string{"": "1/3", "url-shortener": "1/3", "json-pipeline": "2/3", "search": "3/3"}
	for _, row := range r.Rows {
		if row.Shard != want[row.Workload] {
			t.Errorf("%s · %s is of shard %q, want %q", row.Workload, row.Metric, row.Shard, want[row.Workload])
		}
	}
	for _, g := range r.Gaps {
		if g.Shard != want[g.Workload] {
			t.Errorf("the gap of %s is of shard %q", g.Workload, g.Shard)
		}
	}
	if len(r.Shards) != 3 || r.Shards[1].Machine.CPU != "Intel Xeon" || r.Worst.Shard != "2/3" {
		t.Errorf("shards %+v, worst %+v", r.Shards, r.Worst)
	}
	text := Markdown(r)
	for _, words := range []string{"shard 2/3", "`Intel Xeon`", "`AMD EPYC 7B13`", "**Build** (measured in shard 1/3)", "CPU per request · shard 2/3"} {
		if !strings.Contains(text, words) {
			t.Errorf("the comment does not say %q:\n%s", words, text)
		}
	}
	for _, f := range fixtures() {
		if text := Markdown(New(f.run, f.c, f.o)); len(f.run.Shards) == 0 && strings.Contains(text, "shard") {
			t.Errorf("%s: one machine, and the comment speaks of shards", f.name)
		}
	}
}

// What a shard says of itself is as hostile as any text.
func TestHostileShards(t *testing.T) {
	f := mergedShards(true)
	s := &f.run.Shards[2]
	s.State, s.Error, s.Workloads = result.NotMeasured, "x\n::error::y <!-- @octocat -->", []string{"a|b`c\n::error::z"}
	m := *f.run.Shards[0].Machine
	m.CPU, m.OS = "</details><script>", "::error::q"
	s.Machine = &m
	r := New(f.run, f.c, f.o)
	for name, text := range map[string]string{"markdown": Markdown(r), "terminal": Terminal{}.Render(r)} {
		for line := range strings.Lines(text) {
			if strings.HasPrefix(strings.TrimSpace(line), "::") || strings.Contains(line, "\n::") {
				t.Errorf("%s: a line is %q", name, line)
			}
		}
		if name == "markdown" && (strings.Count(text, "<!--") != 1 || strings.Count(text, "</details>") != strings.Count(text, "<details>")+1) {
			t.Errorf("%s: it left its code spans:\n%s", name, text)
		}
	}
}
