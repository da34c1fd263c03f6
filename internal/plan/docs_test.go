package plan

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"testing"
)

// docs/configuration.md says of itself that it has every key.
func TestEveryKeyIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"duet.schema.json", "workload.schema.json"} {
		text, err := os.ReadFile("../../" + file)
		if err != nil {
			t.Fatal(err)
		}
		var schema any
		if err := json.Unmarshal(text, &schema); err != nil {
			t.Fatal(err)
		}
		keys := map[string]bool{}
		properties(schema, keys)
		if len(keys) < 10 {
			t.Errorf("%s: %d keys; is it looked at rightly?", file, len(keys))
		}
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			if name := regexp.QuoteMeta(key); !regexp.MustCompile("(?m)(^|[\\s{#-])" + name + ":|^\\| `" + name + "` \\|").Match(page) {
				t.Errorf("docs/configuration.md lacks %s of %s", key, file)
			}
		}
	}
}

// properties gathers the names of all properties that a schema has.
func properties(schema any, keys map[string]bool) {
	switch s := schema.(type) {
	case map[string]any:
		if named, ok := s["properties"].(map[string]any); ok {
			for key := range named {
				keys[key] = true
			}
		}
		for _, inner := range s {
			properties(inner, keys)
		}
	case []any:
		for _, inner := range s {
			properties(inner, keys)
		}
	}
}
