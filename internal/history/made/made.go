// Package made makes years of nights with planted changes. Its stance: what was planted is known exactly, one seed always
// makes the same nights, and nothing of it was measured: it is for tests, for the dashboard's own pages and for finding
// out how time and memory grow.
package made

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/duet-bench/duet/internal/history"
)

// Options says what to make. Zero values: a year of two services, seven workloads and twelve metrics without any change.
type Options struct {
	Seed      uint64
	Start     time.Time // default 2024-01-01 03:00 UTC
	Nights    int       // default 365, missing ones included
	Services  []string  // default go and rust; a name that begins with "rust" is Rust, others are Go
	Workloads []string  // default the seven fixed ones
	Metrics   []string  // default twelve; binary_size has no workload
	Noise     float64   // SD of a night's ln(ratio); default 0.004, a hundredth of it for instructions and allocations
	Steps     []Step
	Drifts    []Drift
	Outliers  []Step // of one night alone
	Missing   []int  // nights of which nothing was recorded
	Failed    []int  // nights that were recorded and measured nothing
	Machines  []int  // nights from which it is another machine
	Moves     []int  // nights before which the anchor is moved to the commit of the night before
	Twice     []int  // nights that measured the commit of the night before again
	Late      []int  // nights whose commit says that it is two hours younger than the night
}

// Step is a planted change: from the night's commit on, the figure is multiplied. Empty names mean all.
type Step struct {
	Night                     int
	Service, Workload, Metric string
	Factor                    float64
	Subject, Author           string // of the commit
}

// Drift is a planted change in many small steps, from one night to another, Factor in all.
type Drift struct {
	From, To                  int
	Service, Workload, Metric string
	Factor                    float64
}

func (s Step) hits(k history.Key) bool { return hits(s.Service, s.Workload, s.Metric, k) }

func hits(service, workload, metric string, k history.Key) bool {
	match := func(want, is string) bool { return want == "" || want == is }
	return match(service, k.Service) && match(workload, k.Workload) && match(metric, k.Metric)
}

// Workloads are the names of the seven fixed workloads.
func Workloads() []string {
	return []string{"compute", "db-query", "health", "json-pipeline", "order-pipeline", "url-shortener", "websocket"}
}

// Metrics are the twelve metrics that are made unless others are named.
func Metrics() []string {
	return []string{"instructions", "allocations", "cycles", "cpu_per_request", "p50", "p90", "p95", "p99", "throughput", "peak_rss", "pss_anon", "cold_start"}
}

func (o Options) filled() Options {
	if o.Start.IsZero() {
		o.Start = time.Date(2024, 1, 1, 3, 0, 0, 0, time.UTC)
	}
	o.Nights = cmp.Or(o.Nights, 365)
	o.Noise = cmp.Or(o.Noise, 0.004)
	if o.Services == nil {
		o.Services = []string{"go", "rust"}
	}
	if o.Workloads == nil {
		o.Workloads = Workloads()
	}
	if o.Metrics == nil {
		o.Metrics = Metrics()
	}
	return o
}

// Nights makes the entries, oldest first.
func Nights(o Options) []history.Entry {
	m := maker{Options: o.filled(), dice: rand.New(rand.NewPCG(o.Seed, 0x6e69676874)), anchor: -1}
	m.keys = m.makeKeys()
	for k := range m.Nights {
		if k > 0 && slices.Contains(m.Moves, k) {
			m.move(k)
		}
		switch {
		case slices.Contains(m.Missing, k):
		case slices.Contains(m.Failed, k):
			m.failed(k)
		default:
			m.night(k)
		}
	}
	return m.entries
}

// maker walks the nights. The anchor is a commit's night; −1 is the commit before the first.
type maker struct {
	Options
	dice    *rand.Rand
	keys    []history.Key
	anchor  int
	entries []history.Entry
}

func (m *maker) makeKeys() []history.Key {
	var keys []history.Key
	for _, service := range m.Services {
		for _, metric := range m.Metrics {
			if metric == "binary_size" {
				keys = append(keys, history.Key{Service: service, Metric: metric})
				continue
			}
			for _, workload := range m.Workloads {
				keys = append(keys, history.Key{Service: service, Workload: workload, Metric: metric})
			}
		}
	}
	return keys
}

// commitOf is which commit a night measured: its own, or that of the night before.
func (m *maker) commitOf(night int) int {
	for night > 0 && slices.Contains(m.Twice, night) {
		night--
	}
	return night
}

// level is what a commit's planted changes come to for one figure.
func (m *maker) level(commit int, k history.Key) float64 {
	level := 1.0
	for _, s := range m.Steps {
		if commit >= s.Night && s.hits(k) {
			level *= s.Factor
		}
	}
	for _, d := range m.Drifts {
		if hits(d.Service, d.Workload, d.Metric, k) {
			share := float64(commit-d.From+1) / float64(d.To-d.From+1)
			level *= math.Pow(d.Factor, min(max(share, 0), 1))
		}
	}
	return level
}

// outlier is what a night alone did to a figure.
func (m *maker) outlier(night int, k history.Key) float64 {
	factor := 1.0
	for _, s := range m.Outliers {
		if s.Night == night && s.hits(k) {
			factor *= s.Factor
		}
	}
	return factor
}

// night adds a measured night.
func (m *maker) night(k int) {
	commit := m.commitOf(k)
	e := m.entry(k, commit)
	e.State = history.Measured
	values := make(map[history.Key]float64, len(m.keys))
	for _, key := range m.keys {
		row := m.row(k, commit, m.anchor, key)
		values[key] = row.Commit
		e.Rows = append(e.Rows, row)
	}
	e.Gaps = m.gaps(values)
	e.Builds = m.builds(commit)
	e.SelfCheck = &history.SelfCheck{Rows: len(m.keys)}
	if m.dice.IntN(60) == 0 {
		key := m.keys[m.dice.IntN(len(m.keys))]
		e.SelfCheck.False = []string{fmt.Sprintf("%s · %s · %s", key.Service, key.Workload, key.Metric)}
	}
	m.entries = append(m.entries, e)
}

// move adds the entry that moves the anchor to the commit of the night before, recorded an hour before night k.
func (m *maker) move(k int) {
	to := m.commitOf(k - 1)
	e := m.entry(k, to)
	e.State = history.Measured
	e.ID = fmt.Sprintf("%s-%d.1", e.Commit.SHA, 500_000+k)
	e.Recorded = m.at(k).Add(-time.Hour).Format(time.RFC3339)
	e.Job.ID = int64(500_000 + k)
	previous := m.commit(m.anchor)
	e.Anchor, e.Previous = m.commit(to), &previous
	for _, key := range m.keys {
		e.Rows = append(e.Rows, m.row(k, to, m.anchor, key))
	}
	m.anchor = to
	m.entries = append(m.entries, e)
}

func (m *maker) failed(k int) {
	e := m.entry(k, m.commitOf(k))
	e.State, e.Error = history.NotMeasured, "building go@head: exit status 1"
	m.entries = append(m.entries, e)
}

func (m *maker) at(night int) time.Time { return m.Start.AddDate(0, 0, night) }

// entry is all but what was measured.
func (m *maker) entry(k, commit int) history.Entry {
	machine := 0
	for _, from := range m.Machines {
		if k >= from {
			machine++
		}
	}
	e := history.Entry{
		Schema: history.Schema, Recorded: m.at(k).Format(time.RFC3339), Duet: "0.1.0",
		Commit: m.commit(commit), Anchor: m.commit(m.anchor),
		Machine: history.Machine{CPU: machines[machine%len(machines)], Cores: 2 + 2*(machine%2), OS: "linux", Arch: "amd64",
			Isolation: "basic", Memory: 8 << 30, Kernel: fmt.Sprintf("6.8.0-%d", 40+k/60)},
		Toolchains: map[string]string{"go": "go1.26.0", "rust": "1.95.0"}, Services: map[string]string{},
		Config: digest(m.Seed, "config"), Workloads: map[string]string{},
		Job: history.Job{ID: int64(100_000 + k), Attempt: 1, URL: fmt.Sprintf("https://github.com/example/shop/actions/runs/%d", 100_000+k)},
	}
	e.ID = fmt.Sprintf("%s-%d.1", e.Commit.SHA, e.Job.ID)
	if slices.Contains(m.Late, k) {
		e.Commit.Date = m.at(k).Add(2 * time.Hour).Format(time.RFC3339)
	}
	for _, s := range m.Services {
		e.Services[s] = lang(s)
	}
	for _, w := range m.Workloads {
		e.Workloads[w] = digest(m.Seed, w)
	}
	return e
}

var machines = [...]string{"AMD EPYC 7763 64-Core Processor", "Intel(R) Xeon(R) Platinum 8370C CPU @ 2.80GHz"}

func lang(service string) string {
	if strings.HasPrefix(service, "rust") {
		return "rust"
	}
	return "go"
}

// commit is the commit of a night; planted steps say theirs.
func (m *maker) commit(night int) history.Commit {
	c := history.Commit{
		SHA:     digest(m.Seed, fmt.Sprint("commit ", night))[:40],
		Subject: subjects[(night+len(subjects))%len(subjects)], Author: authors[(night+len(authors))%len(authors)],
		Date: m.at(night).Add(-9 * time.Hour).Format(time.RFC3339),
	}
	for _, s := range m.Steps {
		if s.Night == night {
			c.Subject, c.Author = cmp.Or(s.Subject, c.Subject), cmp.Or(s.Author, c.Author)
		}
	}
	return c
}

var (
	subjects = [...]string{"orders: keep the discount with the line", "Update dependencies", "shortener: refuse an empty target", "docs: how to run it locally",
		"store: one query instead of two", "Handle a cancelled request", "logging: fewer fields", "tests: shorter names"}
	authors = [...]string{"A. Lind", "B. Okafor", "C. Moreau"}
)

// digest is 64 hex digits of a text and a seed; not for secrets.
func digest(seed uint64, text string) string {
	h := fnv.New64a()
	fmt.Fprint(h, seed, text)
	dice := rand.New(rand.NewPCG(h.Sum64(), seed))
	return fmt.Sprintf("%016x%016x%016x%016x", dice.Uint64(), dice.Uint64(), dice.Uint64(), dice.Uint64())
}

// builds is what the services cost to build at a commit.
func (m *maker) builds(commit int) []history.Build {
	var all []history.Build
	for _, s := range m.Services {
		b := history.Build{Service: s, CleanSeconds: 3.1, IncrementalSeconds: 0.6, BinaryBytes: 9_100_000, Dependencies: 7}
		if lang(s) == "rust" {
			b = history.Build{Service: s, CleanSeconds: 41, IncrementalSeconds: 4.8, BinaryBytes: 6_200_000, Dependencies: 47}
		}
		b.CleanSeconds *= math.Exp(0.02 * m.dice.NormFloat64())
		b.IncrementalSeconds *= math.Exp(0.03 * m.dice.NormFloat64())
		b.BinaryBytes = int64(float64(b.BinaryBytes) * m.level(commit, history.Key{Service: s, Metric: "binary_size"}))
		b.Dependencies += commit / 90
		all = append(all, b)
	}
	return all
}

// gaps is Rust ÷ Go of the first service of either language.
func (m *maker) gaps(values map[history.Key]float64) []history.Gap {
	first := func(want string) string {
		if i := slices.IndexFunc(m.Services, func(s string) bool { return lang(s) == want }); i >= 0 {
			return m.Services[i]
		}
		return ""
	}
	goes, rust := first("go"), first("rust")
	if goes == "" || rust == "" {
		return nil
	}
	var all []history.Gap
	for _, key := range slices.SortedFunc(maps.Keys(values), func(a, b history.Key) int {
		return cmp.Or(strings.Compare(a.Workload, b.Workload), strings.Compare(a.Metric, b.Metric), strings.Compare(a.Service, b.Service))
	}) {
		if key.Service != goes {
			continue
		}
		other := key
		other.Service = rust
		ratio := values[other] / values[key]
		width := math.Exp(2 * m.noise(key.Metric))
		all = append(all, history.Gap{Pair: goes + "/" + rust, Workload: key.Workload, Metric: key.Metric, Ratio: ratio, Low: ratio / width, High: ratio * width})
	}
	return all
}
