package result

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/duet-bench/duet/internal/plan"
)

// maxDepth bounds the nesting of a run.json; a real one has nine levels.
const maxDepth = 32

// MaxBytes is the most a run.json may be.
const MaxBytes = 8 << 20

// keptRounds is of how many callgrind rounds of each phase the functions stay where room is short: enough to name one.
const keptRounds = 3

// Encode writes a run as run.json: one line an element, so that two runs can be diffed. What is there to be looked
// at alone gives way, said, where the file would be larger than MaxBytes; no verdict stands on it.
func Encode(r Run) ([]byte, error) { return encodeWithin(r, MaxBytes) }

func encodeWithin(r Run, limit int) ([]byte, error) {
	text, err := encode(r, " ")
	if err != nil || len(text) <= limit {
		return text, err
	}
	r.Trials, r.Costs, r.Warnings = slices.Clone(r.Trials), slices.Clone(r.Costs), slices.Clone(r.Warnings)
	noCost := func(*Cost) {}
	for _, rung := range []struct {
		what   string
		indent string
		drop   func(*Trial)
		forget func(*Cost)
	}{
		{"the memory curves of most rounds", " ", func(t *Trial) {
			if t.Round > 1 || t.Phase != plan.Screen {
				t.Memory.Curve = nil
			}
		}, noCost},
		{"the histograms of service time", " ", func(t *Trial) { t.Open.Service, t.Closed.Service = Histogram{}, Histogram{} }, noCost},
		{"the functions and source lines of most callgrind rounds", " ", func(*Trial) {}, func(c *Cost) {
			if c.Round > keptRounds {
				c.Functions, c.Lines = nil, nil
			}
		}},
		{"the latencies of the closed loop", " ", func(t *Trial) { t.Closed.Latency = Histogram{} }, noCost},
		{"all memory curves, functions and source lines, and indentation", "", func(t *Trial) { t.Memory.Curve = nil }, func(c *Cost) {
			c.Functions, c.Lines = nil, nil
		}},
	} {
		for i := range r.Trials {
			rung.drop(&r.Trials[i])
		}
		for i := range r.Costs {
			rung.forget(&r.Costs[i])
		}
		if !slices.ContainsFunc(r.Costs, func(c Cost) bool { return len(c.Functions)+len(c.Lines) > 0 }) {
			r.Names = nil
		}
		r.Warnings = append(r.Warnings, "run.json would be too large, so it leaves out "+rung.what)
		if text, err = encode(r, rung.indent); err != nil || len(text) <= limit {
			return text, err
		}
	}
	return nil, fmt.Errorf("encoding run.json: it would be %d bytes and may be %d: measure fewer workloads or services at once", len(text), limit)
}

func encode(r Run, indent string) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", indent)
	if err := encoder.Encode(r); err != nil {
		return nil, fmt.Errorf("encoding run.json: %w", err)
	}
	return text.Bytes(), nil
}

// Decode reads run.json strictly: another schema, an unknown or doubled key, trailing text or deep nesting is
// an error, because a report must not be made from half of what was written.
func Decode(text []byte) (Run, error) {
	var head struct {
		Schema string `json:"schema"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return Run{}, fmt.Errorf("not a run.json: %w", err)
	}
	if head.Schema != Schema {
		return Run{}, fmt.Errorf("schema %q: this version of Duet reads %q", head.Schema, Schema)
	}
	if err := checkKeys(text); err != nil {
		return Run{}, err
	}
	var r Run
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		return Run{}, fmt.Errorf("decoding run.json: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Run{}, errors.New("decoding run.json: text after its end")
	}
	if err := r.check(); err != nil {
		return Run{}, fmt.Errorf("decoding run.json: %w", err)
	}
	return r, nil
}

// check refuses what a run of ours would not have.
func (r Run) check() error {
	return errors.Join(r.checkNames(), r.checkProfiles(), r.checkShards())
}

// checkKeys refuses doubled keys, also those that differ in case alone: encoding/json would take the last.
func checkKeys(text []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var open []map[string]bool // nil for an array
	var key bool               // the next string is a key
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("decoding run.json: %w", err)
		}
		switch t := token.(type) {
		case json.Delim:
			switch t {
			case '{':
				open, key = append(open, map[string]bool{}), true
			case '[':
				open, key = append(open, nil), false
			default:
				open = open[:len(open)-1]
				key = len(open) > 0 && open[len(open)-1] != nil
			}
			if len(open) > maxDepth {
				return fmt.Errorf("decoding run.json: nested deeper than %d", maxDepth)
			}
			continue
		case string:
			if key {
				seen, name := open[len(open)-1], strings.ToLower(t)
				if seen[name] {
					return fmt.Errorf("decoding run.json: key %q stands twice in one object", t)
				}
				seen[name], key = true, false
				continue
			}
		}
		key = len(open) > 0 && open[len(open)-1] != nil
	}
}
