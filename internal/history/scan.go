package history

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// scan walks valid JSON once, and yields the top object's schema. It refuses doubled keys, also those that differ in case
// alone, of which encoding/json would take the last, and deep nesting. It is a scanner of its own because three years of
// nights are a hundred megabytes, which encoding/json's tokens take half a minute for.
func scan(text []byte) (schema string, err error) {
	var open []keys // nil: an array
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '{':
			open = append(open, keys{})
		case '[':
			open = append(open, nil)
		case '}', ']':
			open = open[:len(open)-1]
			continue
		case '"':
			end := closing(text, i)
			quoted := text[i : end+1]
			i = end
			after := bytes.TrimLeft(text[end+1:min(len(text), end+16)], " \t\r\n")
			if len(after) == 0 {
				after = bytes.TrimLeft(text[end+1:], " \t\r\n")
			}
			if len(after) == 0 || after[0] != ':' {
				continue // a value
			}
			name := unquote(quoted)
			top := len(open) - 1
			if !open[top].add(name) {
				return "", fmt.Errorf("key %q stands twice in one object", cut(name))
			}
			if top == 0 && name == "schema" {
				schema = firstString(text[end+1:])
			}
			continue
		default:
			continue
		}
		if len(open) > maxDepth {
			return "", fmt.Errorf("nested deeper than %d", maxDepth)
		}
	}
	return schema, nil
}

// keys are the names in one object so far.
type keys map[string]struct{}

// add says whether a name is new.
func (k keys) add(name string) bool {
	folded := fold(name)
	if _, there := k[folded]; there {
		return false
	}
	k[folded] = struct{}{}
	return true
}

// fold is a name without case, by the rule encoding/json matches names to fields with.
func fold(name string) string {
	for i := range len(name) {
		if c := name[i]; c >= utf8.RuneSelf || ('A' <= c && c <= 'Z') {
			return strings.ToLower(strings.ToUpper(name))
		}
	}
	return name
}

// closing is where the string that begins at i ends.
func closing(text []byte, i int) int {
	for i++; text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return i
}

func unquote(quoted []byte) string {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner)
	}
	var s string
	if json.Unmarshal(quoted, &s) != nil {
		return string(inner)
	}
	return s
}

// firstString is the string value after a colon; "" for another kind of value.
func firstString(text []byte) string {
	text = bytes.TrimLeft(text, " \t\r\n:")
	if len(text) == 0 || text[0] != '"' {
		return ""
	}
	return unquote(text[:closing(text, 0)+1])
}
