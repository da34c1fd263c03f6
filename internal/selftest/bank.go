package selftest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/workload"
)

// BankSchema names the version of a bank's files. A reader refuses any other.
const BankSchema = "duet.bank/1"

// maxLine bounds one line of a bank, in bytes: a round takes some 2 kB a trial.
const maxLine = 16 << 20

// Header is the first line of a session's file: what its rounds were measured with.
type Header struct {
	Schema    string              `json:"schema"`
	Duet      string              `json:"duet"` // Duet's own version
	Started   string              `json:"started"`
	Machine   result.Machine      `json:"machine"`
	Pair      string              `json:"pair"` // sha of the sources of base and plants
	Seed      uint64              `json:"seed"`
	Window    plan.Window         `json:"window"`
	Workloads []workload.Workload `json:"workloads"`
	Subjects  []Subject           `json:"subjects"`
}

// line is every further line: one round with all that it brought.
type line struct {
	Trials []result.Trial `json:"trials,omitempty"`
	Costs  []result.Cost  `json:"costs,omitempty"`
}

// Writer appends one session to a bank. Every round is on disk when Round returns.
type Writer struct {
	file *os.File
	Path string
}

// NewSession begins a session in the bank's folder, which it makes where there is none.
func NewSession(dir string, h Header) (*Writer, error) {
	h.Schema = BankSchema
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making the bank: %w", err)
	}
	names, err := sessions(dir)
	if err != nil {
		return nil, err
	}
	next := 1
	if len(names) > 0 {
		if _, err := fmt.Sscanf(names[len(names)-1], "session-%d.ndjson", &next); err != nil {
			return nil, fmt.Errorf("beginning a session of the bank: %s: %w", names[len(names)-1], err)
		}
		next++
	}
	path := filepath.Join(dir, fmt.Sprintf("session-%06d.ndjson", next))
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("beginning a session of the bank: %w", err)
	}
	w := &Writer{file: file, Path: path}
	if err := w.write(h); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return w, nil
}

// Round appends one round. What no report stands on (service times, latencies of the closed loop, memory curves) is
// left out: a bank holds tens of thousands of trials.
func (w *Writer) Round(trials []result.Trial, costs []result.Cost) error {
	l := line{Trials: slices.Clone(trials), Costs: slices.Clone(costs)}
	for i := range l.Costs {
		l.Costs[i].Functions, l.Costs[i].Lines = nil, nil // whose names are the run's
	}
	for i := range l.Trials {
		t := &l.Trials[i]
		t.Open.Service, t.Closed.Service, t.Closed.Latency = result.Histogram{}, result.Histogram{}, result.Histogram{}
		t.Memory.Curve = nil
	}
	return w.write(l)
}

func (w *Writer) write(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding a round of the bank: %w", err)
	}
	if _, err := w.file.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("writing to the bank: %w", err)
	}
	if err := w.file.Sync(); err != nil {
		return fmt.Errorf("writing to the bank: %w", err)
	}
	return nil
}

// Close ends the session.
func (w *Writer) Close() error { return w.file.Close() }

// sessions are the names of a bank's files, oldest first.
func sessions(dir string) ([]string, error) {
	found, err := filepath.Glob(filepath.Join(dir, "session-*.ndjson"))
	if err != nil {
		return nil, fmt.Errorf("looking for sessions of the bank: %w", err)
	}
	names := make([]string, len(found))
	for i, path := range found {
		names[i] = filepath.Base(path)
	}
	slices.Sort(names)
	return names, nil
}

// Bank is every round that was kept, in the order of measuring.
type Bank struct {
	Sessions []Header
	Timing   []timingRound
	Counting []countRound
	Warnings []string
}

// timingRound is a round's trials by service. Those that do not count are in it, marked.
type timingRound struct {
	session  int
	workload string
	trials   map[string]*banked
}

// countRound is a callgrind round's windows by service and workload.
type countRound struct {
	session int
	costs   map[string]map[string]result.Cost
}

// banked is a trial with its figures at hand and its histogram folded up: unfolded it takes 160 kB.
type banked struct {
	trial   result.Trial // without Open.Latency
	latency []byte       // Open.Latency as JSON
	figures map[string]float64
}

// bank folds a trial up.
func bank(t result.Trial) (*banked, error) {
	b := &banked{figures: map[string]float64{}}
	if t.Invalid == "" {
		for _, m := range result.Metrics() {
			if m.Read == nil {
				continue
			}
			if x, ok := m.Read(t); ok {
				b.figures[m.Name] = x
			}
		}
	}
	var err error
	if b.latency, err = t.Open.Latency.MarshalJSON(); err != nil {
		return nil, err
	}
	t.Open.Latency = result.Histogram{}
	b.trial = t
	return b, nil
}

// unfold is the trial as it was measured.
func (b *banked) unfold() result.Trial {
	t := b.trial
	if err := json.Unmarshal(b.latency, &t.Open.Latency); err != nil {
		panic(fmt.Sprintf("unfolding a histogram that was folded before: %v", err)) // our own bug
	}
	return t
}

// ReadBank reads all sessions of a folder; none at all is an empty bank. A last line that was cut short is left out,
// said. A session of another machine, another Duet or another pair is an error: figures never cross those.
func ReadBank(dir string) (*Bank, error) {
	names, err := sessions(dir)
	if err != nil {
		return nil, err
	}
	b := &Bank{}
	for _, name := range names {
		if err := b.read(filepath.Join(dir, name)); err != nil {
			return nil, fmt.Errorf("reading the bank: %s: %w", name, err)
		}
	}
	return b, nil
}

func (b *Bank) read(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	r := bufio.NewReaderSize(file, 1<<20)
	for number := 1; ; number++ {
		text, err := readLine(r)
		switch {
		case errors.Is(err, io.EOF) && len(text) == 0:
			return nil
		case errors.Is(err, io.EOF):
			b.Warnings = append(b.Warnings, fmt.Sprintf("%s: its last line was cut short and is left out", filepath.Base(path)))
			return nil
		case err != nil:
			return fmt.Errorf("line %d: %w", number, err)
		case number == 1:
			err = b.header(text)
		default:
			err = b.round(text)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
	}
}

// readLine is a line without its end; io.EOF when it has none.
func readLine(r *bufio.Reader) ([]byte, error) {
	var text []byte
	for {
		part, err := r.ReadSlice('\n')
		text = append(text, part...)
		switch {
		case len(text) > maxLine:
			return nil, fmt.Errorf("longer than %d bytes", maxLine)
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil:
			return text, err
		}
		return text[:len(text)-1], nil
	}
}

func decode(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

func (b *Bank) header(text []byte) error {
	var version struct {
		Schema string `json:"schema"`
	}
	if err := json.Unmarshal(text, &version); err != nil {
		return fmt.Errorf("not a bank: %w", err)
	}
	if version.Schema != BankSchema {
		return fmt.Errorf("schema %q: this version of Duet reads %q; use another folder", version.Schema, BankSchema)
	}
	var h Header
	if err := decode(text, &h); err != nil {
		return err
	}
	if len(b.Sessions) > 0 {
		if err := b.Sessions[0].Fits(h); err != nil {
			return err
		}
	}
	b.Sessions = append(b.Sessions, h)
	return nil
}

// Fits says why rounds of another session cannot stand beside those of h; nil when they can. Plants may differ: a
// round is complete in itself.
func (h Header) Fits(other Header) error {
	for _, part := range []struct{ what, ours, theirs string }{
		{"another version of Duet", h.Duet, other.Duet},
		{"other sources of the pair", h.Pair, other.Pair},
		{"another machine", machineText(h.Machine), machineText(other.Machine)},
		{"other toolchains", toolchainText(h.Machine), toolchainText(other.Machine)},
		{"other windows", fmt.Sprint(h.Window), fmt.Sprint(other.Window)},
	} {
		if part.ours != part.theirs {
			return fmt.Errorf("%s: the bank was begun with %s, this is %s; figures do not cross, so use another folder", part.what, part.ours, part.theirs)
		}
	}
	return nil
}

func machineText(m result.Machine) string {
	return fmt.Sprintf("%s/%s %s, %d × %s", m.OS, m.Arch, m.Kernel, m.Cores, m.CPU)
}

func toolchainText(m result.Machine) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(m.Toolchains)) {
		all = append(all, name+" "+m.Toolchains[name])
	}
	return strings.Join(all, ", ")
}

func (b *Bank) round(text []byte) error {
	var l line
	if err := decode(text, &l); err != nil {
		return err
	}
	session := len(b.Sessions) - 1
	if len(l.Trials) > 0 {
		r := timingRound{session: session, workload: l.Trials[0].Workload, trials: map[string]*banked{}}
		for _, t := range l.Trials {
			if t.Workload != r.workload {
				return fmt.Errorf("trials of %s and %s in one round", r.workload, t.Workload)
			}
			folded, err := bank(t)
			if err != nil {
				return err
			}
			r.trials[t.Variant.Service] = folded
		}
		b.Timing = append(b.Timing, r)
	}
	if len(l.Costs) > 0 {
		r := countRound{session: session, costs: map[string]map[string]result.Cost{}}
		for _, c := range l.Costs {
			if r.costs[c.Variant.Service] == nil {
				r.costs[c.Variant.Service] = map[string]result.Cost{}
			}
			r.costs[c.Variant.Service][c.Workload] = c
		}
		b.Counting = append(b.Counting, r)
	}
	return nil
}

// Subjects are those of all sessions, each once, in the order of the first session that has them.
func (b *Bank) Subjects() []Subject {
	var all []Subject
	for _, h := range b.Sessions {
		for _, s := range h.Subjects {
			if !slices.ContainsFunc(all, func(o Subject) bool { return o.Plant == s.Plant && o.Lang == s.Lang && o.Workload == s.Workload }) {
				all = append(all, s)
			}
		}
	}
	return all
}

// Workloads are those of all sessions, each once.
func (b *Bank) Workloads() []workload.Workload {
	var all []workload.Workload
	for _, h := range b.Sessions {
		for _, w := range h.Workloads {
			if !slices.ContainsFunc(all, func(o workload.Workload) bool { return o.Name == w.Name }) {
				all = append(all, w)
			}
		}
	}
	return all
}
