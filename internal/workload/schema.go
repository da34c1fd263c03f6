package workload

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/duet-bench/duet/internal/strictyaml"
)

// object is a JSON Schema, or a part of one.
type object = map[string]any

// Schema is the JSON Schema (2020-12) of a workload file, for editors. It knows all that Parse checks but
// duplicates, templates and the bounds of rates and percentages.
func Schema() []byte {
	schema := object{
		"$schema":              "https://json-schema.org/draft/2020-12/schema",
		"$id":                  "https://github.com/duet-bench/duet/raw/main/workload.schema.json",
		"title":                "A Duet workload: a fixed, named stream of requests",
		"type":                 "object",
		"additionalProperties": false,
		"required":             []string{"name", "requests"},
		"properties": object{
			"name":        described(nameSchema(), "What reports and duet.yml call it."),
			"version":     described(intSchema(1, 10_000), "Raised whenever the requests change: series do not cross it. Default 1."),
			"about":       described(object{"type": "string", "minLength": 1, "maxLength": maxText, "pattern": `^[^\n\t]*$`}, "One sentence: what it stresses."),
			"protocol":    described(object{"enum": []any{ProtocolHTTP, ProtocolWebSocket}}, "http (default), or websocket: each request is one message over a connection opened once, answered by one message."),
			"path":        described(pathSchema(), "Of websocket alone: the path at which a connection is opened; a template."),
			"headers":     described(headersSchema(reservedOpening()), "Of websocket alone: headers of the request that opens a connection; templates, by name."),
			"cores":       described(object{"enum": []any{1, "1", "all"}}, "1 (default): the service is pinned to a core of its own; all (default with needs): unpinned, for parallel work and databases."),
			"needs":       described(object{"enum": []any{NeedsPostgres}}, "What every service must have for it (resources in duet.yml); where that cannot be had it is not measured."),
			"connections": described(intSchema(1, maxConnections), "Keep-alive connections a variant. Default 8."),
			"rate": described(object{"type": "string", "anyOf": []any{
				object{"pattern": perSecond.String()}, object{"pattern": strictyaml.PercentPattern},
			}}, "Offered rate of the fixed-rate stage: a share of the slowest base variant's capacity (default 40%) or requests a second, such as 2000/s."),
			"arrivals":   described(object{"enum": []any{ArrivalsConstant, ArrivalsPoisson}}, "How requests follow each other in the fixed-rate stage: constant (default), evenly spaced; poisson: independent of each other, in bursts and lulls."),
			"warm_up":    described(intSchema(0, maxWarmUp), "Requests before measuring, discarded. Default 200."),
			"max_errors": described(object{"type": "string", "pattern": strictyaml.PercentPattern}, "The largest share of bad answers a valid trial may have. Default 1%."),
			"setup":      described(SetupSchema(), "Requests sent before measuring, to every variant."),
			"requests":   described(object{"type": "array", "minItems": 1, "maxItems": maxRequests}, "The mix that is measured."),
		},
		"if": object{"required": []string{"protocol"}, "properties": object{"protocol": object{"const": ProtocolWebSocket}}},
		"then": object{
			"required":   []string{"path"},
			"properties": object{"requests": object{"items": messageSchema(weightSchema())}},
		},
		"else": object{"properties": object{
			"path": false, "headers": false, "requests": object{"items": requestSchema(weightSchema())},
		}},
	}
	return Indented(schema)
}

func weightSchema() object {
	return object{"weight": described(intSchema(1, maxWeight), "Share of the mix, relative to the other requests'. Default 1.")}
}

func pathSchema() object {
	return object{"type": "string", "pattern": `^/[^\n\t]*$`, "maxLength": maxTemplate}
}

func headersSchema(reserved []string) object {
	return object{
		"type": "object", "maxProperties": maxHeaders,
		"propertyNames":        object{"pattern": headerSyntax.String(), "not": object{"pattern": anyCase(reserved)}},
		"additionalProperties": object{"type": "string", "minLength": 1, "maxLength": maxTemplate, "pattern": `^[^\n\t]*$`},
	}
}

// messageSchema is a request of a WebSocket workload.
func messageSchema(own object) object {
	properties := object{
		"name": described(nameSchema(), "What errors and reports call it."),
		"type": described(object{"enum": []any{TypeText, TypeBinary}}, "Of the message. Default text."),
		"body": described(object{"type": "string", "minLength": 1, "maxLength": maxTemplate}, "The message; a template."),
		"expect": described(object{
			"type": "object", "additionalProperties": false,
			"properties": object{
				"contains": described(object{"type": "string", "minLength": 1, "maxLength": maxText}, "What the answer must hold."),
				"echo":     described(object{"type": "boolean"}, "Whether the answer must be what was sent, type and bytes."),
			},
		}, "What makes an answer good. Default: any one message is."),
	}
	maps.Copy(properties, own)
	return object{"type": "object", "additionalProperties": false, "required": []string{"body"}, "properties": properties}
}

// Indented writes a schema as it is published.
func Indented(schema map[string]any) []byte {
	text, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		panic(err) // our own bug: maps, slices, strings and numbers always marshal
	}
	return append(text, '\n')
}

func described(schema object, text string) object {
	schema["description"] = text
	return schema
}

func intSchema(least, most int) object {
	return object{"type": "integer", "minimum": least, "maximum": most}
}

func nameSchema() object {
	return object{"type": "string", "pattern": nameSyntax.String()}
}

// SetupSchema is the schema of a list of setup requests; duet.yml has one too.
func SetupSchema() map[string]any {
	return object{
		"type": "array", "maxItems": maxSetup,
		"items": requestSchema(object{
			"repeat": described(intSchema(1, maxRepeat), "Send it so many times; captures then hold as many values. Default 1."),
			"capture": described(object{
				"type": "object", "maxProperties": maxHeaders,
				"propertyNames":        object{"pattern": captureSyntax.String()},
				"additionalProperties": object{"type": "string", "pattern": sourceSyntax.String()},
			}, `Values taken from the answer, by name: a path such as "$.data[0].id", or "header:location".`),
		}),
	}
}

func requestSchema(own object) object {
	properties := object{
		"name":    described(nameSchema(), "What errors and reports call it."),
		"method":  described(object{"enum": Methods()}, "Default GET."),
		"path":    described(pathSchema(), "A template: {{seq}}, {{int 1 9}}, {{hex 8}}, {{word}}, {{words 5}}, {{pick \"a\" \"b\"}}, {{capture \"id\"}}, {{zipf \"id\"}}, {{range n 10}}…{{end}}."),
		"headers": described(headersSchema(reservedHeaders()), "Templates, by name."),
		"body":    described(object{"type": "string", "minLength": 1, "maxLength": maxTemplate}, "A template."),
		"expect": described(object{
			"type": "object", "additionalProperties": false,
			"properties": object{
				"status":   described(intSchema(200, 599), "Default 200."),
				"contains": described(object{"type": "string", "minLength": 1, "maxLength": maxText}, "What the body must hold."),
			},
		}, "What makes an answer good."),
	}
	maps.Copy(properties, own)
	return object{"type": "object", "additionalProperties": false, "required": []string{"path"}, "properties": properties}
}

// anyCase is a pattern of words in any case; JSON Schema's patterns have no flag for it.
func anyCase(words []string) string {
	pattern := []byte("^(")
	for i, word := range words {
		if i > 0 {
			pattern = append(pattern, '|')
		}
		for _, c := range []byte(word) {
			if c >= 'a' && c <= 'z' {
				pattern = append(pattern, '[', c-'a'+'A', c, ']')
			} else {
				pattern = append(pattern, c)
			}
		}
	}
	return string(slices.Concat(pattern, []byte(")$")))
}
