package report

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// JSON writes report.json: every opinion, indented, with a line feed at the end.
func JSON(r Report) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		panic(fmt.Sprintf("encoding report: %v", err)) // New lets no unencodable figure through: our own bug
	}
	return b.Bytes()
}
