package parity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/theory/jsonpath"
	"github.com/theory/jsonpath/spec"
)

// bodies returns the lines in which two bodies differ.
func bodies(a, b Answer, ignore []*jsonpath.Path) []string {
	left, leftOK := decode(a)
	right, rightOK := decode(b)
	if leftOK && rightOK {
		left, leftAny := without(left, ignore)
		right, rightAny := without(right, ignore)
		w := &walk{}
		if leftAny && rightAny { // "$" selects every document, so it is both or none
			w.value("$", left, right)
		}
		return w.shown()
	}
	if bytes.Equal(a.Body, b.Body) {
		return nil
	}
	if utf8.Valid(a.Body) && utf8.Valid(b.Body) {
		return textDiff(string(a.Body), string(b.Body))
	}
	return bytesDiff(a.Body, b.Body)
}

// decode reads a body as one JSON document with numbers as written. A body that is a bare string, number or word
// counts as JSON only where the content-type says so.
func decode(a Answer) (any, bool) {
	media, _, err := mime.ParseMediaType(header(a, "Content-Type"))
	says := err == nil && isJSON(media)
	trimmed := bytes.TrimLeft(a.Body, " \t\r\n")
	if !says && !bytes.HasPrefix(trimmed, []byte("{")) && !bytes.HasPrefix(trimmed, []byte("[")) {
		return nil, false
	}
	// Bad UTF-8 would be replaced silently, and so be equal to other bad UTF-8.
	if !utf8.Valid(a.Body) {
		return nil, false
	}
	dec := json.NewDecoder(bytes.NewReader(a.Body))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return nil, false
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, false
	}
	return v, true
}

func parsePaths(ignore []string) ([]*jsonpath.Path, error) {
	var paths []*jsonpath.Path
	var bad []error
	for _, text := range ignore {
		path, err := jsonpath.Parse(text)
		if err != nil {
			bad = append(bad, fmt.Errorf("ignoring %q: %w", text, err))
			continue
		}
		paths = append(paths, path)
	}
	return paths, errors.Join(bad...)
}

// without returns v without what the paths select, and false if nothing of it is left.
func without(v any, paths []*jsonpath.Path) (any, bool) {
	gone := map[string]bool{}
	for _, path := range paths {
		for at := range path.SelectLocated(v).Paths() {
			gone[at.Pointer()] = true
		}
	}
	if len(gone) == 0 {
		return v, true
	}
	if gone[""] {
		return nil, false
	}
	return prune(v, "", gone), true
}

// prune copies v without the values at the JSON Pointers in gone.
func prune(v any, at string, gone map[string]bool) any {
	switch v := v.(type) {
	case map[string]any:
		kept := make(map[string]any, len(v))
		for key, value := range v {
			if below := at + spec.Normalized(spec.Name(key)).Pointer(); !gone[below] {
				kept[key] = prune(value, below, gone)
			}
		}
		return kept
	case []any:
		kept := make([]any, 0, len(v))
		for i, value := range v {
			if below := at + "/" + strconv.Itoa(i); !gone[below] {
				kept = append(kept, prune(value, below, gone))
			}
		}
		return kept
	default:
		return v
	}
}

// walk collects the differences of two JSON documents in the order of their paths.
type walk struct {
	lines   []string
	skipped int
}

func (w *walk) value(at string, a, b any) {
	switch a := a.(type) {
	case map[string]any:
		if b, ok := b.(map[string]any); ok {
			w.object(at, a, b)
			return
		}
	case []any:
		if b, ok := b.([]any); ok {
			w.array(at, a, b)
			return
		}
	case json.Number:
		if b, ok := b.(json.Number); ok && normal(a) == normal(b) {
			return
		}
	default: // string, bool, nil: comparable
		if !isContainer(b) && a == b {
			return
		}
	}
	left, right := window(encode(a), encode(b))
	w.line('-', at, left)
	w.line('+', at, right)
}

func isContainer(v any) bool {
	switch v.(type) {
	case map[string]any, []any:
		return true
	}
	return false
}

func (w *walk) object(at string, a, b map[string]any) {
	keys := make([]string, 0, len(a)+len(b))
	for key := range a {
		keys = append(keys, key)
	}
	for key := range b {
		if _, both := a[key]; !both {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		left, inA := a[key]
		right, inB := b[key]
		below := at + member(key)
		if inA && inB {
			w.value(below, left, right)
			continue
		}
		w.add('-', below, left, inA)
		w.add('+', below, right, inB)
	}
}

// member writes a key as a person would in a JSONPath.
func member(key string) string {
	plain := key != "" && !strings.ContainsFunc(key, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
	if plain {
		return "." + key
	}
	return "[" + strconv.Quote(key) + "]"
}

func (w *walk) array(at string, a, b []any) {
	for i := range max(len(a), len(b)) {
		below := at + "[" + strconv.Itoa(i) + "]"
		if i < len(a) && i < len(b) {
			w.value(below, a[i], b[i])
			continue
		}
		if i < len(a) {
			w.add('-', below, a[i], true)
		} else {
			w.add('+', below, b[i], true)
		}
	}
}

// add shows a value that only one document has, if it is there.
func (w *walk) add(sign rune, at string, v any, there bool) {
	if there {
		w.line(sign, at, encode(v))
	}
}

func (w *walk) line(sign rune, at, text string) {
	if len(w.lines) >= maxLines {
		w.skipped++
		return
	}
	w.lines = append(w.lines, line(sign, at+": "+text))
}

// encode writes a value that was decoded from JSON, which cannot fail.
func encode(v any) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err.Error()
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (w *walk) shown() []string { return atMost(w.lines, w.skipped) }

// normal writes a number in one way: sign, digits without zeros at either end, exponent of ten. It never expands
// an exponent, so that 1e999999999 costs nothing.
func normal(n json.Number) string {
	text := strings.ToLower(string(n))
	sign := ""
	if rest, negative := strings.CutPrefix(text, "-"); negative {
		sign, text = "-", rest
	}
	mantissa, exponent, _ := strings.Cut(text, "e")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	if digits == "" {
		return "0"
	}
	power := int64(0)
	if exponent != "" {
		var err error
		if power, err = strconv.ParseInt(exponent, 10, 62); err != nil {
			return string(n) // beyond any use: equal only as written
		}
	}
	kept := strings.TrimRight(digits, "0")
	power += int64(len(digits)-len(kept)) - int64(len(fraction))
	return sign + kept + "e" + strconv.FormatInt(power, 10)
}
