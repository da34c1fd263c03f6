package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// Bounds of one sample: schemas may refer to themselves, and fan out.
const (
	sampleDepth  = 6
	sampleValues = 200
	sampleItems  = 2
	maxChoices   = 12
	exactly      = 1 << 53 // beyond it JSON readers round
)

// rank puts bodies in the order in which they are preferred.
func rank(media string) int {
	media, _, _ = strings.Cut(strings.ToLower(media), ";")
	switch media = strings.TrimSpace(media); {
	case media == "application/json":
		return 0
	case strings.HasSuffix(media, "+json"):
		return 1
	case media == "*/*" || media == "application/*":
		return 2
	case media == "application/x-www-form-urlencoded":
		return 3
	}
	return 4
}

// concrete is a media type that a header may name.
func concrete(media string) string {
	if strings.Contains(media, "*") {
		return "application/json"
	}
	return escapeTemplate(media)
}

// bodyOf writes a body as a template, if it can.
func bodyOf(media string, m *openapi3.MediaType) (body string, ok bool) {
	if m == nil {
		return "", false
	}
	example, given := exampleOf(m.Example, m.Examples)
	switch rank(media) {
	case 0, 1, 2:
		if given {
			return literal(example), true
		}
		s := sampler{left: sampleValues}
		s.value(m.Schema, 0)
		return s.out.String(), true
	case 3:
		return formOf(m, example)
	}
	if text, isText := example.(string); given && isText && strings.HasPrefix(media, "text/") {
		return escapeTemplate(text), true
	}
	return "", false
}

// formOf writes a form of an example's or a schema's scalars.
func formOf(m *openapi3.MediaType, example any) (string, bool) {
	var pairs []string
	add := func(name, value string) {
		pairs = append(pairs, escapeTemplate(url.QueryEscape(name))+"="+value)
	}
	if object, ok := example.(map[string]any); ok {
		for _, name := range sorted(object) {
			add(name, escapeTemplate(url.QueryEscape(plain(object[name]))))
		}
		return strings.Join(pairs, "&"), len(pairs) > 0
	}
	if m.Schema == nil || m.Schema.Value == nil {
		return "", false
	}
	for _, name := range sorted(m.Schema.Value.Properties) {
		value, _ := scalar(m.Schema.Value.Properties[name], url.QueryEscape)
		add(name, value)
	}
	return strings.Join(pairs, "&"), len(pairs) > 0
}

// exampleOf is the example a document gives, the first by name of several.
func exampleOf(one any, many openapi3.Examples) (any, bool) {
	if one != nil {
		return one, true
	}
	for _, name := range sorted(many) {
		if e := many[name]; e != nil && e.Value != nil && e.Value.Value != nil {
			return e.Value.Value, true
		}
	}
	return nil, false
}

// parameterValue is a parameter's value as a template; given says that the document itself gives it.
func parameterValue(p *openapi3.Parameter, escape func(string) string) (text string, given bool) {
	if example, ok := exampleOf(p.Example, p.Examples); ok {
		return escapeTemplate(escape(plain(example))), true
	}
	return scalar(p.Schema, escape)
}

// scalar is a schema's value outside JSON.
func scalar(ref *openapi3.SchemaRef, escape func(string) string) (text string, given bool) {
	schema := resolve(ref)
	if schema == nil {
		return "{{word}}", false
	}
	if value, ok := givenBy(schema); ok {
		return escapeTemplate(escape(plain(value))), true
	}
	if choices, ok := choicesOf(schema); ok {
		return choices, true
	}
	if schema.Type.Includes("array") {
		return scalar(schema.Items, escape)
	}
	return drawn(schema), false
}

// plain is an example outside JSON: lists are joined by commas.
func plain(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []any:
		parts := make([]string, len(v))
		for i, item := range v {
			parts[i] = plain(item)
		}
		return strings.Join(parts, ",")
	}
	return string(marshal(v))
}

// resolve is the schema behind a reference, without its alternatives: the first counts.
func resolve(ref *openapi3.SchemaRef) *openapi3.Schema {
	for range sampleDepth {
		if ref == nil || ref.Value == nil {
			return nil
		}
		s := ref.Value
		if s.Type != nil || s.Properties != nil || s.Const != nil || s.Enum != nil {
			return s
		}
		switch {
		case len(s.AllOf) == 1:
			ref = s.AllOf[0]
		case len(s.OneOf) > 0:
			ref = firstReal(s.OneOf)
		case len(s.AnyOf) > 0:
			ref = firstReal(s.AnyOf)
		default:
			return s
		}
	}
	return nil
}

// firstReal is the first alternative that is not null.
func firstReal(refs openapi3.SchemaRefs) *openapi3.SchemaRef {
	for _, ref := range refs {
		if ref != nil && ref.Value != nil && !ref.Value.Type.Is("null") {
			return ref
		}
	}
	return nil
}

// givenBy is the value that a schema itself gives.
func givenBy(s *openapi3.Schema) (any, bool) {
	switch {
	case s.Const != nil:
		return s.Const, true
	case s.Example != nil:
		return s.Example, true
	case len(s.Examples) > 0:
		return s.Examples[0], true
	case s.Default != nil:
		return s.Default, true
	}
	return nil, false
}

var simple = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,60}$`)

// choicesOf draws among the plain words of an enum.
func choicesOf(s *openapi3.Schema) (string, bool) {
	text := "{{pick"
	n := 0
	for _, value := range s.Enum {
		word, ok := value.(string)
		if !ok || !simple.MatchString(word) || n == maxChoices {
			continue
		}
		text += " " + strconv.Quote(word)
		n++
	}
	return text + "}}", n > 0
}

// drawn draws a scalar that fits a schema.
func drawn(s *openapi3.Schema) string {
	switch {
	case s.Type.Includes("integer"), s.Type.Includes("number"):
		return number(s)
	case s.Type.Includes("boolean"):
		return "{{pick true false}}"
	}
	return word(s)
}

func number(s *openapi3.Schema) string {
	low, high := 1.0, 1000.0
	if s.Min != nil {
		low = math.Ceil(*s.Min)
		high = max(high, low+1000)
	}
	if v := s.ExclusiveMin.Value; v != nil {
		low = math.Floor(*v) + 1
		high = max(high, low+1000)
	} else if b := s.ExclusiveMin.Bool; b != nil && *b && s.Min != nil {
		low = math.Floor(*s.Min) + 1
	}
	if s.Max != nil {
		high = math.Floor(*s.Max)
	}
	if v := s.ExclusiveMax.Value; v != nil {
		high = math.Ceil(*v) - 1
	} else if b := s.ExclusiveMax.Bool; b != nil && *b && s.Max != nil {
		high = math.Ceil(*s.Max) - 1
	}
	if s.Max != nil || s.ExclusiveMax.Value != nil {
		low = min(low, high)
	}
	if m := s.MultipleOf; m != nil && *m > 0 {
		return strconv.FormatFloat(math.Ceil(low / *m)**m, 'f', -1, 64)
	}
	low, high = min(max(low, -exactly), exactly), min(max(high, -exactly), exactly)
	if low >= high {
		return strconv.FormatFloat(low, 'f', -1, 64)
	}
	return fmt.Sprintf("{{int %.0f %.0f}}", low, high)
}

func word(s *openapi3.Schema) string {
	switch s.Format {
	case "date-time":
		return "2026-01-{{int 10 28}}T{{int 10 23}}:{{int 10 59}}:{{int 10 59}}Z"
	case "date":
		return "2026-01-{{int 10 28}}"
	case "time":
		return "{{int 10 23}}:{{int 10 59}}:{{int 10 59}}Z"
	case "uuid":
		return "{{hex 8}}-{{hex 4}}-4{{hex 3}}-8{{hex 3}}-{{hex 12}}"
	case "email":
		return "{{word}}.{{hex 6}}@example.com"
	case "uri", "url":
		return "https://{{word}}.example/{{hex 8}}"
	case "hostname":
		return "{{word}}.example"
	case "ipv4":
		return "10.{{int 0 255}}.{{int 0 255}}.{{int 1 254}}"
	case "ipv6":
		return "2001:db8::{{hex 4}}"
	}
	const shortest, longest, most = 3, 9, 1024 // letters of {{word}}; digits of {{hex}}
	if s.MinLength <= shortest && (s.MaxLength == nil || *s.MaxLength >= longest) {
		return "{{word}}"
	}
	n := max(s.MinLength, 1)
	if s.MaxLength != nil {
		n = min(max(n, min(*s.MaxLength, 8)), *s.MaxLength)
	}
	return fmt.Sprintf("{{hex %d}}", min(max(n, 1), most))
}

// sampler writes a schema's value as a template of JSON.
type sampler struct {
	out  strings.Builder
	left int                // values that may still be written
	open []*openapi3.Schema // the objects around the value
}

func (s *sampler) value(ref *openapi3.SchemaRef, depth int) {
	s.left--
	schema := resolve(ref)
	if schema == nil || s.left < 0 || depth > sampleDepth {
		s.out.WriteString("null")
		return
	}
	if value, ok := givenBy(schema); ok {
		s.out.WriteString(literal(value))
		return
	}
	if choices, ok := choicesOf(schema); ok {
		s.out.WriteString(`"` + choices + `"`)
		return
	}
	switch {
	case len(schema.Enum) > 0:
		s.out.WriteString(literal(schema.Enum[0]))
	case schema.Type.Includes("object"), schema.Properties != nil, len(schema.AllOf) > 0:
		s.object(schema, depth)
	case schema.Type.Includes("array"):
		s.array(schema, depth)
	case schema.Type.Includes("integer"), schema.Type.Includes("number"), schema.Type.Includes("boolean"):
		s.out.WriteString(drawn(schema))
	case schema.Type.Is("null"):
		s.out.WriteString("null")
	case schema.Type == nil && schema.Format == "" && schema.MaxLength == nil: // anything
		s.out.WriteString("{}")
	default:
		s.out.WriteString(`"` + drawn(schema) + `"`)
	}
}

func (s *sampler) object(schema *openapi3.Schema, depth int) {
	properties, required := openapi3.Schemas{}, map[string]bool{}
	gather(schema, properties, required, sampleDepth)
	s.open = append(s.open, schema)
	defer func() { s.open = s.open[:len(s.open)-1] }()
	s.out.WriteByte('{')
	first := true
	for _, name := range sorted(properties) {
		property := properties[name]
		if property == nil || property.Value == nil || property.Value.ReadOnly {
			continue
		}
		// Deep down, where there is much, and within its own kind, only what must be there.
		again := slices.Contains(s.open, resolve(property))
		if !required[name] && (again || depth >= 3 || s.left < sampleValues/4) {
			continue
		}
		if !first {
			s.out.WriteByte(',')
		}
		first = false
		s.out.WriteString(literal(name) + ":")
		s.value(property, depth+1)
	}
	s.out.WriteByte('}')
}

// gather collects an object's properties over all parts of it.
func gather(schema *openapi3.Schema, properties openapi3.Schemas, required map[string]bool, depth int) {
	if schema == nil || depth == 0 {
		return
	}
	for name, property := range schema.Properties {
		if _, known := properties[name]; !known && len(properties) < sampleValues {
			properties[name] = property
		}
	}
	for _, name := range schema.Required {
		required[name] = true
	}
	for _, part := range schema.AllOf {
		if part != nil {
			gather(part.Value, properties, required, depth-1)
		}
	}
}

func (s *sampler) array(schema *openapi3.Schema, depth int) {
	n := uint64(1)
	if depth < 2 {
		n = sampleItems
	}
	n = max(n, min(schema.MinItems, 10))
	if schema.MaxItems != nil {
		n = min(n, *schema.MaxItems)
	}
	s.out.WriteByte('[')
	for i := range n {
		if i > 0 {
			s.out.WriteByte(',')
		}
		if i < uint64(len(schema.PrefixItems)) {
			s.value(schema.PrefixItems[i], depth+1)
		} else {
			s.value(schema.Items, depth+1)
		}
	}
	s.out.WriteByte(']')
}

// literal is a value as JSON, as a template that says just that.
func literal(v any) string { return escapeTemplate(string(marshal(v))) }

// marshal writes a value that was decoded from JSON or YAML. What a YAML file may not hold unquoted is escaped.
func marshal(v any) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if encoder.Encode(v) != nil {
		return []byte("null") // YAML has values that JSON has not, such as NaN
	}
	var out []byte
	for _, r := range strings.TrimSuffix(b.String(), "\n") {
		if r >= 0x7f && r < 0xa0 || r == 0xfeff || r == 0xfffd {
			out = fmt.Appendf(out, `\u%04x`, r)
		} else {
			out = append(out, string(r)...)
		}
	}
	return out
}

// escapeTemplate keeps a text from being a template.
func escapeTemplate(s string) string { return strings.ReplaceAll(s, "{{", `{{"{{"}}`) }

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
