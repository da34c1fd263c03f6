package strictyaml

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Read takes a value out of a node, or refuses it.
type Read func(Node) error

// Field is one key that a map may have.
type Field struct {
	Key      string
	Required bool
	Read     Read
	// Refused says why a key that one might expect has no place here; it is then no choice either.
	Refused string
}

// Map reads a map of known keys. A nil Read of the caller's own is a bug.
func (n Node) Map(fields ...Field) error {
	if n.kind != mapping {
		return n.Errorf("%s: expected a map, got %s", n.Name, n.describe())
	}
	known := map[string]Field{}
	var keys []string
	for _, f := range fields {
		known[f.Key] = f
		if f.Refused == "" {
			keys = append(keys, f.Key)
		}
	}
	given := map[string]bool{}
	for _, e := range n.entries {
		field, ok := known[e.key.text]
		if !ok {
			return e.key.Errorf("unexpected key %q: expected one of %s", shorten(e.key.text), strings.Join(keys, ", "))
		}
		if field.Refused != "" {
			return e.value.Errorf("%s: %s", field.Key, field.Refused)
		}
		given[field.Key] = true
		if err := field.Read(e.value); err != nil {
			return err
		}
	}
	for _, f := range fields {
		if f.Required && !given[f.Key] {
			return n.Errorf("missing key %q", f.Key)
		}
	}
	return nil
}

// IsMap says whether the node is a map, for values that are either a word or a map.
func (n Node) IsMap() bool { return n.kind == mapping }

// Each reads a map of free keys, at most so many.
func Each(most int, read func(key string, value Node) error) Read {
	return func(n Node) error {
		if n.kind != mapping {
			return n.Errorf("%s: expected a map, got %s", n.Name, n.describe())
		}
		if len(n.entries) > most {
			return n.Errorf("%s has %d keys: expected at most %d", n.Name, len(n.entries), most)
		}
		for _, e := range n.entries {
			if err := read(e.key.text, e.value); err != nil {
				return err
			}
		}
		return nil
	}
}

// List reads a list of between least and most items.
func List(least, most int, read Read) Read {
	return func(n Node) error {
		if n.kind != list {
			return n.Errorf("%s: expected a list, got %s", n.Name, n.describe())
		}
		if len(n.items) < least || len(n.items) > most {
			return n.Errorf("%s has %d items: expected %d to %d", n.Name, len(n.items), least, most)
		}
		for _, item := range n.items {
			if err := read(item); err != nil {
				return err
			}
		}
		return nil
	}
}

// Check refuses a text by saying what was expected instead; "" is no objection.
type Check func(string) (expected string)

// Text reads a text. The first check that objects makes the error.
func Text(to *string, checks ...Check) Read {
	return func(n Node) error {
		if n.kind != text {
			hint := ""
			if n.kind == number || n.kind == boolean {
				hint = " (put quotes around it)"
			}
			return n.Errorf("%s: expected text, got %s%s", n.Name, n.describe(), hint)
		}
		return n.checked(to, checks)
	}
}

// Scalar reads a text, number or truth value as it is spelled: for arguments and environments.
func Scalar(to *string, checks ...Check) Read {
	return func(n Node) error {
		if n.kind != text && n.kind != number && n.kind != boolean {
			return n.Errorf("%s: expected text, got %s", n.Name, n.describe())
		}
		return n.checked(to, checks)
	}
}

func (n Node) checked(to *string, checks []Check) error {
	if strings.ContainsFunc(n.text, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r == 0x7f }) {
		return n.Errorf("%s: unexpected control character", n.Name)
	}
	for _, check := range checks {
		if expected := check(n.text); expected != "" {
			return n.Errorf("%s %q: expected %s", n.Name, shorten(n.text), expected)
		}
	}
	*to = n.text
	return nil
}

// Texts reads a list of texts.
func Texts(to *[]string, least, most int, checks ...Check) Read {
	return appendTo(to, least, most, Text, checks)
}

// Scalars reads a list of scalars as they are spelled.
func Scalars(to *[]string, least, most int, checks ...Check) Read {
	return appendTo(to, least, most, Scalar, checks)
}

func appendTo(to *[]string, least, most int, read func(*string, ...Check) Read, checks []Check) Read {
	return func(n Node) error {
		all := []string{}
		err := List(least, most, func(item Node) error {
			var value string
			if err := read(&value, checks...)(item); err != nil {
				return err
			}
			all = append(all, value)
			return nil
		})(n)
		*to = all
		return err
	}
}

// Matching objects to what does not match the whole of a pattern.
func Matching(pattern *regexp.Regexp, expected string) Check {
	return func(s string) string {
		if pattern.MatchString(s) {
			return ""
		}
		return expected
	}
}

// AtMost objects to texts that are empty or longer than so many bytes.
func AtMost(bytes int) Check {
	return func(s string) string {
		if s == "" || len(s) > bytes {
			return fmt.Sprintf("1 to %d bytes", bytes)
		}
		return ""
	}
}

// Choice reads one of a few words. A number may be a word too: cores: 1.
func Choice[T ~string](to *T, choices ...T) Read {
	return func(n Node) error {
		words := make([]string, len(choices))
		for i, choice := range choices {
			if n.text == string(choice) && (n.kind == text || n.kind == number) {
				*to = choice
				return nil
			}
			words[i] = string(choice)
		}
		return n.Errorf("%s: expected one of %s, got %s", n.Name, strings.Join(words, ", "), n.describe())
	}
}

var wholeNumber = regexp.MustCompile(`^(0|[1-9][0-9]{0,9})$`)

// Bool reads true or false.
func Bool(to *bool) Read {
	return func(n Node) error {
		if n.kind != boolean {
			return n.Errorf("%s: expected true or false, got %s", n.Name, n.describe())
		}
		*to = n.text == "true"
		return nil
	}
}

// Int reads a whole number, in decimal digits only.
func Int(to *int, least, most int) Read {
	return func(n Node) error {
		if n.kind != number || !wholeNumber.MatchString(n.text) {
			return n.Errorf("%s: expected a whole number from %d to %d, got %s", n.Name, least, most, n.describe())
		}
		value, err := strconv.Atoi(n.text)
		if err != nil || value < least || value > most {
			return n.Errorf("%s %s: expected %d to %d", n.Name, n.text, least, most)
		}
		*to = value
		return nil
	}
}

// What percentages and durations look like, for JSON Schemas too.
const (
	PercentPattern  = `^[0-9]{1,3}(\.[0-9]{1,3})?%$`
	DurationPattern = `^([0-9]{1,6}(\.[0-9]{1,3})?(ms|s|m|h)){1,4}$`
)

var (
	decimalShare   = regexp.MustCompile(PercentPattern)
	durationSyntax = regexp.MustCompile(DurationPattern)
)

// Share reads a percentage such as 2% as a share, 0.02. The bounds are percentages.
func Share(to *float64, least, most float64) Read {
	return func(n Node) error {
		expected := fmt.Sprintf("expected a percentage from %g%% to %g%%", least, most)
		if n.kind != text || !decimalShare.MatchString(n.text) {
			return n.Errorf("%s: %s, got %s", n.Name, expected, n.describe())
		}
		percent, err := strconv.ParseFloat(strings.TrimSuffix(n.text, "%"), 64)
		if err != nil || percent < least || percent > most {
			return n.Errorf("%s %s: %s", n.Name, n.text, expected)
		}
		*to = percent / 100
		return nil
	}
}

// Duration reads a duration such as 90s or 1m30s.
func Duration(to *time.Duration, least, most time.Duration) Read {
	return func(n Node) error {
		expected := fmt.Sprintf("expected %s to %s", Short(least), Short(most))
		if n.kind != text || !durationSyntax.MatchString(n.text) {
			return n.Errorf("%s: %s, such as %s, got %s", n.Name, expected, Short(least), n.describe())
		}
		d, err := time.ParseDuration(n.text)
		if err != nil || d < least || d > most {
			return n.Errorf("%s %s: %s", n.Name, n.text, expected)
		}
		*to = d
		return nil
	}
}

// Short writes a duration without its zero parts: 6h, not 6h0m0s.
func Short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
