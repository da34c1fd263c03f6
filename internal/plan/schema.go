package plan

import (
	"github.com/duet-bench/duet/internal/strictyaml"
	"github.com/duet-bench/duet/internal/workload"
)

// object is a JSON Schema, or a part of one.
type object = map[string]any

// ConfigSchema is the JSON Schema (2020-12) of duet.yml, for editors. It knows all that ParseConfig checks but
// duplicate names, names that point at nothing, templates, globs and the bounds of durations and percentages.
func ConfigSchema() []byte {
	return workload.Indented(object{
		"$schema":              "https://json-schema.org/draft/2020-12/schema",
		"$id":                  "https://github.com/duet-bench/duet/raw/main/duet.schema.json",
		"title":                "duet.yml",
		"type":                 "object",
		"additionalProperties": false,
		"required":             []string{"services"},
		"not":                  object{"required": []string{"pairs", "matrix"}},
		"properties": object{
			"services":  about(object{"type": "array", "minItems": 1, "maxItems": maxServices, "items": serviceSchema()}, "The programs under test, as this commit builds and runs them."),
			"pairs":     about(object{"type": "array", "maxItems": maxPairs, "items": pairSchema()}, "Services that answer one contract. Default: the one Go and the one Rust service."),
			"matrix":    about(matrixSchema(), "The short form of many pairs: each Go service named with each Rust one, 16 pairs at most. Instead of pairs."),
			"workloads": about(workloadsSchema(), "Bundled workloads by name, your own by path. Head's count. Default [health]."),
			"setup":     about(workload.SetupSchema(), "Requests sent to every variant before each workload's own setup, such as a login."),
			"parity": about(closed(object{
				"ignore":   about(textList(0, object{"pattern": ignoredPath.String()}), `Values that may differ, such as "$.id". Base's count.`),
				"requests": about(object{"type": "integer", "minimum": 1, "maximum": maxParity}, "Answers compared a workload. Default 20."),
			}), "How the answers of both services are compared before load."),
			"margins": about(object{
				"type": "object", "maxProperties": maxList,
				"propertyNames":        object{"pattern": metricName.String()},
				"additionalProperties": object{"type": "string", "pattern": strictyaml.PercentPattern},
			}, "The smallest change worth a reader's time, by metric, such as p50: 2%. Base's count."),
			"budget":    about(durationSchema(), "Measuring time over all workloads, without builds and confirmation: 1s to 6h. Default 2m."),
			"measure":   about(measureSchema(), "How the measuring is cut to the machine: duet doctor --noise says what fits it. Head's count."),
			"resources": about(resourcesSchema(), "What services need beside them: each side's own, for every one of its services."),
			"ignore":    about(textList(0, object{"minLength": 1, "maxLength": maxPath, "pattern": "^[^/]"}), "Changes to these files alone are not measured. Base's count. Default [\"**/*.md\"]."),
			"policy": about(closed(object{
				"gate":              about(object{"enum": Gates()}, "What makes the exit status 1. Default never."),
				"isolation":         about(object{"enum": Isolations()}, "What confines the code under test: container takes an image and a docker engine. Default basic."),
				"self-hosted-forks": about(object{"enum": []string{ForksRefuse, ForksAllow}}, "Whether a fork's code may run on a self-hosted runner. Default refuse."),
			}), "What only base's duet.yml may say."),
			"nightly": about(nightlySchema(), "What duet nightly does on the default branch."),
		},
	})
}

func measureSchema() object {
	look := object{"type": "integer", "minimum": minLook, "maximum": maxLook}
	return closed(object{
		"slice":   about(durationSchema(), "One variant's share of a block, 5ms to 100ms. Default 25ms."),
		"rounds":  about(object{"type": "array", "minItems": 1, "maxItems": maxLooks, "uniqueItems": true, "items": look}, "Rounds after which screening may end, ascending. Default [7, 11, 15]."),
		"pin":     about(object{"enum": []any{true, false, "true", "false"}}, "Whether the services are held to a core of their own. Default true."),
		"count":   about(durationSchema(), "Most time of the instructions pass in screening, to 1h; 0s turns it off. Default 2m."),
		"profile": about(durationSchema(), "Time under load of all CPU profiles together, after measuring, to 1h; 0s turns profiles off. Default 30s."),
	})
}

func about(schema object, text string) object {
	schema["description"] = text
	return schema
}

// closed is a map of known keys.
func closed(properties object, required ...string) object {
	schema := object{"type": "object", "additionalProperties": false, "properties": properties}
	if len(required) > 0 {
		schema["required"] = required
	}
	return schema
}

func textList(least int, item object) object {
	item["type"] = "string"
	return object{"type": "array", "minItems": least, "maxItems": maxList, "items": item}
}

func durationSchema() object {
	return object{"type": "string", "pattern": strictyaml.DurationPattern}
}

func serviceSchema() object {
	argument := func() object {
		return object{"type": []string{"string", "number", "boolean"}, "minLength": 1, "maxLength": maxArgument}
	}
	readyPath := object{"type": "string", "pattern": requestPath.String()}
	schema := closed(object{
		"name":     about(object{"type": "string", "pattern": serviceName.String()}, "What reports call it. Default: its lang."),
		"lang":     about(object{"enum": []Lang{Go, Rust}}, "Decides how it is built."),
		"dir":      about(dirSchema(), "Its folder; ../NAME is a second checkout beside the repository. Default the repository."),
		"build":    about(object{"type": "array", "minItems": 1, "maxItems": maxList, "items": argument()}, "Argument list of a build command of your own; binary says what it makes. Default: go build, or cargo build --release of the one binary."),
		"binary":   about(localSchema(), "The file that build makes, relative to dir."),
		"run":      about(object{"type": "array", "maxItems": maxList, "items": argument()}, "Arguments of the service; {port} is replaced."),
		"env":      about(envSchema(), "Environment of the service. PORT and ADDR are Duet's."),
		"pass_env": about(textList(0, object{"pattern": envName.String(), "not": object{"pattern": notPassable}}), "Names passed through from the caller. Base's list counts, and never for forks."),
		"ready": about(object{"anyOf": []any{
			readyPath,
			closed(object{"path": readyPath, "timeout": about(durationSchema(), "100ms to 5m. Default 10s.")}),
		}}, "The path that answers once the service is up, and how long that may take. Default /health."),
		"files": about(object{"type": "array", "maxItems": maxList, "items": localSchema()}, "Files copied beside the binary, relative to dir."),
		"port":  about(object{"type": "integer", "minimum": 1, "maximum": 65535}, "A port that the service insists on. Default: Duet chooses one."),
		"pprof": about(object{"type": "string", "pattern": requestPath.String()}, "Path at which the service serves profiles itself, such as /debug/pprof. Default: Duet brings its own profiler."),
	}, "lang")
	schema["dependentRequired"] = object{"build": []string{"binary"}}
	return schema
}

// What isSettable and isPassable refuse, as patterns: JSON Schema's have no flag for any case.
const (
	notSettable = `^(ADDR|HOME|PORT|TMPDIR)$`
	notPassable = notSettable + `|^([Aa][Cc][Tt][Ii][Oo][Nn][Ss]|[Gg][Ii][Tt][Hh][Uu][Bb]|[Ii][Nn][Pp][Uu][Tt]|[Rr][Uu][Nn][Nn][Ee][Rr])_`
)

func envSchema() object {
	return object{
		"type": "object", "maxProperties": maxList,
		"propertyNames":        object{"pattern": envName.String(), "not": object{"pattern": notSettable}},
		"additionalProperties": object{"type": []string{"string", "number", "boolean"}, "maxLength": maxArgument},
	}
}

// notLocal are the ways in which a path leaves its folder or could be taken for a flag; see isLocal.
func notLocal(parent string) object {
	return object{"anyOf": []any{
		object{"pattern": parent},
		object{"pattern": `(^|/)-`},
		object{"pattern": `^/`},
		object{"pattern": `[\\:\n\t]`},
		object{"pattern": `(^|/)\.[Gg][Ii][Tt](/|$)`},
	}}
}

func localSchema() object {
	return object{"type": "string", "maxLength": maxPath, "allOf": []any{
		object{"not": notLocal(`(^|/)\.\.(/|$)`)},
		object{"not": object{"pattern": `^\.?(/+\.?)*$`}}, // the folder itself
	}}
}

func dirSchema() object {
	return object{"type": "string", "anyOf": []any{
		object{"const": "."},
		localSchema(),
		object{"maxLength": maxPath + len("../"), "pattern": `^\.\./[^/]`, "allOf": []any{
			object{"not": notLocal(`/\.\.(/|$)`)},
			object{"not": object{"pattern": `^\.\./\.?(/+\.?)*$`}},
		}},
	}}
}

func workloadsSchema() object {
	name := object{"type": "string", "pattern": workload.NamePattern}
	path := localSchema()
	path["pattern"] = `[/.]`
	return object{"type": "array", "minItems": 1, "maxItems": maxWorkloads, "uniqueItems": true, "items": object{"anyOf": []any{name, path}}}
}

func matrixSchema() object {
	names := func(lang string) object {
		return about(object{"type": "array", "minItems": 1, "maxItems": maxServices, "uniqueItems": true, "items": object{"type": "string"}}, lang+" services' names.")
	}
	return closed(object{"go": names("Go"), "rust": names("Rust")}, "go", "rust")
}

func pairSchema() object {
	return closed(object{
		"name": about(object{"type": "string", "pattern": serviceName.String()}, "Default: GO-RUST."),
		"go":   about(object{"type": "string"}, "A Go service's name."),
		"rust": about(object{"type": "string"}, "A Rust service's name."),
	}, "go", "rust")
}
