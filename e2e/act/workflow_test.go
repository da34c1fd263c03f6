package act

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

func replaced(t *testing.T, text []byte, old, with string) []byte {
	t.Helper()
	if strings.Count(string(text), old) != 1 {
		t.Fatalf("%q is not there once: %s", old, text)
	}
	return []byte(strings.Replace(string(text), old, with, 1))
}

var subfolder = regexp.MustCompile(`^([^/@]+/[^/@]+)(/[^@]+)?(@.+)$`)

// witnessed is a workflow with a last step, in its one job or in the named one, that writes down what Duet's step has left;
// uses are the repositories of its actions, permissions its jobs'. A job that calls a workflow stays as it is.
func witnessed(t *testing.T, file, last string) (text []byte, uses []string, permissions map[string]string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", file))
	if err != nil {
		t.Fatal(err)
	}
	var w yaml.MapSlice
	if err := yaml.UnmarshalWithOptions(text, &w, yaml.UseOrderedMap()); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	jobs := value(t, w, "jobs").(yaml.MapSlice)
	if len(jobs) != 1 && last == "" {
		t.Fatalf("%s has %d jobs, and which is the last is not said", file, len(jobs))
	}
	permissions = map[string]string{}
	for _, job := range jobs {
		one := job.Value.(yaml.MapSlice)
		for _, p := range value(t, one, "permissions").(yaml.MapSlice) {
			if scope, level := p.Key.(string), p.Value.(string); permissions[scope] != "write" {
				permissions[scope] = level
			}
		}
		if slices.ContainsFunc(one, func(m yaml.MapItem) bool { return m.Key == "steps" }) {
			uses = append(uses, witness(t, file, one, last == "" || job.Key == last)...)
		}
	}
	slices.Sort(uses)
	if text, err = yaml.Marshal(w); err != nil {
		t.Fatal(err)
	}
	return text, slices.Compact(uses), permissions
}

// witness adds the last step to a job, if it is to have one, and names the repositories of the job's actions.
func witness(t *testing.T, file string, one yaml.MapSlice, add bool) (uses []string) {
	t.Helper()
	steps := value(t, one, "steps").([]any)
	id, last := "duet-of-this-test", -1
	for i := range steps {
		s := steps[i].(yaml.MapSlice)
		name := ""
		for _, item := range s {
			if item.Key == "uses" {
				name = item.Value.(string)
			}
		}
		if m := subfolder.FindStringSubmatch(name); m != nil {
			uses = append(uses, m[1]+m[3])
		}
		if strings.HasPrefix(name, "duet-bench/duet@") {
			last = i // of several, those before it fill caches
		}
	}
	if last < 0 {
		t.Fatalf("%s does not use Duet", file)
	}
	if !add {
		return uses
	}
	duet := slices.DeleteFunc(steps[last].(yaml.MapSlice), func(m yaml.MapItem) bool { return m.Key == "id" })
	steps[last] = append(duet, yaml.MapItem{Key: "id", Value: id})
	steps = append(steps, yaml.MapSlice{
		{Key: "name", Value: "witness"}, {Key: "if", Value: "always()"}, {Key: "shell", Value: "bash"},
		{Key: "env", Value: yaml.MapSlice{{Key: "WITNESS", Value: "${{ toJSON(steps." + id + ") }}"}}},
		{Key: "run", Value: `printf %s "$WITNESS" >"$STANDIN_DIR/witness.json"`},
	})
	for i := range one {
		if one[i].Key == "steps" {
			one[i].Value = steps
		}
	}
	return uses
}

func value(t *testing.T, in yaml.MapSlice, key string) any {
	t.Helper()
	for _, item := range in {
		if item.Key == key {
			return item.Value
		}
	}
	t.Fatalf("the workflow has no %s", key)
	return nil
}
