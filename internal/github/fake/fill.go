package fake

import (
	"errors"
	"fmt"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
)

// object is a JSON object.
type object = map[string]any

// maxDepth is deeper than any answer of GitHub's.
const maxDepth = 24

// fill makes a value of a schema: what is said of it, and for what else the schema requires the plainest thing that fits.
// So the fake has an opinion about a few fields, and answers with all those that GitHub answers with. What is said must be
// something that the schema knows.
func fill(s *openapi3.Schema, said any, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errors.New("the schema has no end")
	}
	if branches := append(slices.Clone(s.OneOf), s.AnyOf...); len(branches) > 0 && len(s.Properties) == 0 {
		return fillBranch(branches, said, depth)
	}
	switch v := said.(type) {
	case nil:
		return plainest(s, depth)
	case object:
		return fillObject(s, v, depth)
	case []any:
		return fillArray(s, v, depth)
	default:
		if len(s.Enum) > 0 && !slices.Contains(s.Enum, said) {
			return nil, fmt.Errorf("%v is not one of %v", said, s.Enum)
		}
		return said, nil
	}
}

// null says that a field is null, where fill would otherwise choose.
type null struct{}

func fillBranch(branches openapi3.SchemaRefs, said any, depth int) (any, error) {
	var problems []error
	for _, b := range branches {
		v, err := fill(b.Value, said, depth+1)
		if err == nil {
			return v, nil
		}
		problems = append(problems, err)
	}
	return nil, errors.Join(problems...)
}

func fillArray(s *openapi3.Schema, said []any, depth int) (any, error) {
	if s.Items == nil {
		return nil, errors.New("a list, where GitHub has none")
	}
	all := make([]any, len(said))
	for i := range said {
		var err error
		if all[i], err = fill(s.Items.Value, said[i], depth+1); err != nil {
			return nil, fmt.Errorf("%d: %w", i, err)
		}
	}
	return all, nil
}

func fillObject(s *openapi3.Schema, said object, depth int) (any, error) {
	properties, required := fields(s)
	for name := range said {
		if properties[name] == nil {
			return nil, fmt.Errorf("%q: GitHub has no such field", name)
		}
	}
	out := object{}
	for name, p := range properties {
		v, given := said[name]
		switch {
		case v == null{}:
			out[name] = nil
			continue
		case !given && !slices.Contains(required, name):
			continue
		}
		filled, err := fill(p.Value, v, depth+1)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out[name] = filled
	}
	return out, nil
}

// fields are an object's, with those of the schemas it is all of.
func fields(s *openapi3.Schema) (openapi3.Schemas, []string) {
	properties, required := openapi3.Schemas{}, slices.Clone(s.Required)
	for _, part := range s.AllOf {
		more, needed := fields(part.Value)
		for name, p := range more {
			properties[name] = p
		}
		required = append(required, needed...)
	}
	for name, p := range s.Properties {
		properties[name] = p
	}
	return properties, required
}

// plainest is the plainest value of a schema.
func plainest(s *openapi3.Schema, depth int) (any, error) {
	switch {
	case s.Nullable || s.Type.Includes("null"):
		return nil, nil
	case len(s.Enum) > 0:
		return s.Enum[0], nil
	case s.Type.Includes("object"), len(s.AllOf) > 0, len(s.Properties) > 0:
		return fillObject(s, object{}, depth)
	case s.Type.Includes("array"):
		return []any{}, nil
	case s.Type.Includes("integer"), s.Type.Includes("number"):
		if s.Min != nil {
			return *s.Min, nil
		}
		return 1, nil
	case s.Type.Includes("boolean"):
		return false, nil
	}
	switch s.Format {
	case "date-time":
		return "2026-01-02T03:04:05Z", nil
	case "date":
		return "2026-01-02", nil
	case "uri":
		return "https://github.example/x", nil
	case "email":
		return "x@github.example", nil
	}
	return "x", nil
}
