package history

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"

	"github.com/duet-bench/duet/internal/result"
)

// WriteNDJSON writes entries as one line of JSON each, oldest first: the files of a store, one after the other.
func WriteNDJSON(w io.Writer, entries []Entry) error {
	for _, i := range order(entries) {
		text, err := Encode(entries[i])
		if err != nil {
			return err
		}
		if _, err := w.Write(text); err != nil {
			return fmt.Errorf("writing the history: %w", err)
		}
	}
	return nil
}

// maxImport bounds how many entries are read at once: fifty years of nights.
const maxImport = 20_000

// ReadNDJSON reads what WriteNDJSON wrote, each line as strictly as a file of a store; name is for errors.
func ReadNDJSON(name string, r io.Reader) ([]Entry, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 1<<16), MaxBytes+2)
	var entries []Entry
	for n := 1; lines.Scan(); n++ {
		if len(strings.TrimSpace(lines.Text())) == 0 {
			continue
		}
		e, err := Decode(fmt.Sprintf("%s: line %d", name, n), lines.Bytes())
		if err != nil {
			return nil, err
		}
		if entries = append(entries, e); len(entries) > maxImport {
			return nil, fmt.Errorf("%s: more than %d entries", name, maxImport)
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, fmt.Errorf("%s: line %d: more than the %d bytes an entry may have", name, len(entries)+1, MaxBytes)
	} else if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(entries) == 0 {
		return nil, fmt.Errorf("%s: empty: no entry to import", name)
	}
	_, err := inOrder(entries)
	return entries, err
}

// WriteBenchfmt writes the measured nights in the Go benchmark format, which benchstat and golang.org/x/perf read: a result
// of each row for the anchor and for the commit, in base units. They are told apart by the key side, so that
// `benchstat -ignore night,sha -col side` has the anchor beside the commit, all nights together; the machine is a key too.
func WriteBenchfmt(w io.Writer, entries []Entry) error {
	writer := benchfmt.NewWriter(w)
	for _, i := range order(entries) {
		e := &entries[i]
		if e.State != Measured || e.Previous != nil {
			continue
		}
		for _, side := range []string{"anchor", "commit"} {
			if err := writeSide(writer, e, side); err != nil {
				return fmt.Errorf("writing the history: %w", err)
			}
		}
	}
	return nil
}

// writeSide writes one result for each service and workload, with all metrics in it.
func writeSide(w *benchfmt.Writer, e *Entry, side string) error {
	commit := e.Commit
	if side == "anchor" {
		commit = e.Anchor
	}
	keys := [][2]string{{"goos", e.Machine.OS}, {"goarch", e.Machine.Arch}, {"cpu", e.Machine.CPU}, {"isolation", e.Machine.Isolation},
		{"night", e.Recorded}, {"side", side}, {"sha", commit.SHA}}
	for _, r := range groups(e.Rows) {
		one := &benchfmt.Result{Name: benchfmt.Name(benchName(r[0])), Iters: max(r[0].Rounds, 1)}
		for _, row := range r {
			value := row.Commit
			if side == "anchor" {
				value = row.Anchor
			}
			if value > 0 {
				one.Values = append(one.Values, benchfmt.Value{Value: value, Unit: benchUnit(row.Metric)})
			}
		}
		for _, k := range keys {
			if k[1] != "" {
				one.Config = append(one.Config, benchfmt.Config{Key: k[0], Value: []byte(k[1]), File: true})
			}
		}
		if len(one.Values) > 0 {
			if err := w.Write(one); err != nil {
				return err
			}
		}
	}
	return nil
}

// groups is rows of one service and workload together, in the order they come.
func groups(rows []Row) [][]Row {
	where := map[Key]int{}
	var all [][]Row
	for _, r := range rows {
		k := Key{Service: r.Service, Workload: r.Workload}
		i, ok := where[k]
		if !ok {
			i = len(all)
			where[k] = i
			all = append(all, nil)
		}
		all[i] = append(all[i], r)
	}
	return all
}

// benchName is a name of the format, without the word Benchmark: it begins in upper case and has no spaces.
func benchName(r Row) string {
	name := "Service/service=" + word(r.Service)
	if r.Workload == "" {
		return "Build/service=" + word(r.Service)
	}
	return name + "/workload=" + word(r.Workload)
}

func word(s string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == '/' || r == '=' {
			return '_'
		}
		return r
	}, s)
}

// benchUnit is a metric's unit in the format: what the metric is, and a unit that the tools scale.
func benchUnit(metric string) string {
	m, ok := result.MetricByName(metric)
	if !ok {
		return word(metric)
	}
	unit := map[string]string{"s": "sec", "B": "B", "req/s": "req/s"}[m.Unit]
	if unit == "" {
		return word(metric)
	}
	return word(metric) + "-" + unit
}

// Metrics are the names of all metrics that entries have rows of, sorted.
func Metrics(entries []Entry) []string {
	var names []string
	for _, e := range entries {
		for _, r := range e.Rows {
			if at, found := slices.BinarySearch(names, r.Metric); !found {
				names = slices.Insert(names, at, r.Metric)
			}
		}
	}
	return names
}
