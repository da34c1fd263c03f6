package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
)

// Bounds of an entry. A night of eight services, seven workloads and twelve metrics has about 120 KB and three levels.
const (
	MaxBytes = 2 << 20
	maxDepth = 8
	maxItems = 10_000
	maxRunes = 200 // of a text
	digits   = 7   // of a figure: more than any is measured to
)

// Encode writes an entry as one line of JSON, its file. Figures are rounded to seven digits, and texts that people wrote are
// made one line and cut to 200 runes. What Decode would refuse is an error here.
func Encode(e Entry) ([]byte, error) {
	e = tidy(e)
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(e); err != nil {
		return nil, fmt.Errorf("encoding entry %q: %w", e.ID, err)
	}
	if text.Len() > MaxBytes {
		return nil, fmt.Errorf("encoding entry %q: it would be %d bytes and may be %d: measure fewer workloads or services at once", e.ID, text.Len(), MaxBytes)
	}
	if err := e.check(); err != nil {
		return nil, fmt.Errorf("encoding entry %q: %w", e.ID, err)
	}
	return text.Bytes(), nil
}

// Decode reads one entry strictly: another schema, an unknown or doubled key, trailing text, deep nesting or a figure that
// cannot be real is an error, which begins with name. A history that is read in half would be believed in full.
func Decode(name string, text []byte) (Entry, error) {
	e, err := decode(text)
	if err != nil {
		return Entry{}, fmt.Errorf("%s: %w", name, err)
	}
	return e, nil
}

func decode(text []byte) (Entry, error) {
	if len(text) > MaxBytes {
		return Entry{}, fmt.Errorf("%d bytes, more than the %d an entry may have", len(text), MaxBytes)
	}
	if !json.Valid(text) {
		return Entry{}, invalid(text)
	}
	schema, err := scan(text)
	if err != nil {
		return Entry{}, err
	}
	if schema != Schema {
		return Entry{}, otherSchema(schema)
	}
	var e Entry
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&e); err != nil {
		return Entry{}, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Entry{}, errors.New("text after the entry's end")
	}
	return e, e.check()
}

// invalid says why text is not JSON; a file that ends too early is told apart, since an interrupted copy leaves such.
func invalid(text []byte) error {
	var any json.RawMessage
	err := json.Unmarshal(text, &any)
	if len(bytes.TrimSpace(text)) == 0 {
		return errors.New("empty")
	}
	if err != nil && strings.Contains(err.Error(), "unexpected end") {
		return errors.New("truncated: the JSON ends in its middle")
	}
	return fmt.Errorf("not JSON: %w", err)
}

// otherSchema says what to do with what this version does not read.
func otherSchema(schema string) error {
	if strings.HasPrefix(schema, "duet.night/") {
		return fmt.Errorf("schema %q: this version of Duet reads %q: use the version that wrote it, or a newer one", schema, Schema)
	}
	return fmt.Errorf("schema %q: not an entry of Duet's history (%q)", cut(schema), Schema)
}

// tidy rounds figures and shortens texts, on a copy.
func tidy(e Entry) Entry {
	e.Error = cut(e.Error)
	e.Commit, e.Anchor = tidyCommit(e.Commit), tidyCommit(e.Anchor)
	if e.Previous != nil {
		c := tidyCommit(*e.Previous)
		e.Previous = &c
	}
	e.Machine.CPU, e.Machine.Kernel = cut(e.Machine.CPU), cut(e.Machine.Kernel)
	e.Rows = mapped(e.Rows, func(r *Row) { roundAll(&r.Ratio, &r.Low, &r.High, &r.Anchor, &r.Commit, &r.Noise) })
	e.Gaps = mapped(e.Gaps, func(g *Gap) { roundAll(&g.Ratio, &g.Low, &g.High) })
	e.Builds = mapped(e.Builds, func(b *Build) { roundAll(&b.CleanSeconds, &b.IncrementalSeconds) })
	e.Suspects = mapped(e.Suspects, tidySuspect)
	e.Notes = mapped(e.Notes, func(s *string) { *s = cut(*s) })
	return e
}

func tidyCommit(c Commit) Commit {
	c.Subject, c.Author = cut(c.Subject), cut(c.Author)
	return c
}

func mapped[T any](all []T, change func(*T)) []T {
	if all == nil {
		return nil
	}
	changed := make([]T, len(all))
	for i, one := range all {
		change(&one)
		changed[i] = one
	}
	return changed
}

func roundAll(figures ...*float64) {
	for _, f := range figures {
		*f = round(*f)
	}
}

// round keeps seven significant digits; it never changes an order.
func round(x float64) float64 {
	if x == 0 || math.IsNaN(x) || math.IsInf(x, 0) {
		return x
	}
	places := digits - 1 - int(math.Floor(math.Log10(math.Abs(x))))
	if places > 300 || places < -300 {
		return x
	}
	if places < 0 {
		scale := math.Pow10(-places)
		return math.Round(x/scale) * scale
	}
	scale := math.Pow10(places)
	return math.Round(x*scale) / scale
}

// cut makes a text one printable line of at most 200 runes.
func cut(s string) string {
	line := []rune(strings.Map(func(r rune) rune {
		if r < ' ' || (r >= 0x7f && r < 0xa0) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD")))
	if len(line) > maxRunes {
		line = append(line[:maxRunes-1], '…')
	}
	return string(line)
}
