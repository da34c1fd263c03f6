package openapi

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/duet-bench/duet/internal/workload"
)

// write makes the file and proves that the parser takes it.
func (d *drafting) write() (Draft, error) {
	name := "api"
	if d.doc.Info != nil {
		name = cmp.Or(slug(d.doc.Info.Title), name)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Drafted from %s. Before it measures anything, edit it until\n", oneLine(d.file))
	b.WriteString("# `duet workload check FILE --url http://127.0.0.1:8080` finds nothing wrong:\n")
	b.WriteString("# - weights are a guess: use the mix that your service sees;\n")
	b.WriteString("# - ids that are drawn do not exist: create some in setup and capture them\n")
	b.WriteString("#   ({{capture \"id\"}} draws one evenly, {{zipf \"id\"}} a few often and most rarely);\n")
	b.WriteString("# - expect.contains holds an answer to more than its status.\n")
	fmt.Fprintf(&b, "name: %s\nversion: 1\n", name)
	b.WriteString(`# about: one sentence: what it stresses
# cores: all          # for services that work in parallel or wait for a database
connections: 8
rate: 25%             # of the slowest base's capacity, or requests a second: 2000/s
# setup:
#   - {name: create, method: POST, path: /things, repeat: 100, body: '{"name":"{{word}}"}', expect: {status: 201}, capture: {id: $.id}}
requests:
`)
	for _, r := range d.requests {
		b.WriteString(r.text())
	}
	const most = 40 // lines about what is not there
	for i, what := range d.leftOut {
		if i == most {
			fmt.Fprintf(&b, "# and %d more\n", len(d.leftOut)-most)
			break
		}
		fmt.Fprintf(&b, "# left out: %s\n", what)
	}
	text := []byte(b.String())
	w, err := workload.Parse(name+".yaml", text)
	if err == nil {
		_, err = workload.Stream(w, 1, nil, 100)
	}
	if err != nil {
		return Draft{}, fmt.Errorf("drafting a workload from %s: %w", d.file, err)
	}
	return Draft{Name: name, Text: text, Requests: len(d.requests), LeftOut: d.leftOut}, nil
}

// text is the request as it stands in the file.
func (r request) text() string {
	var b strings.Builder
	for _, note := range r.notes {
		fmt.Fprintf(&b, "  # %s\n", note)
	}
	fmt.Fprintf(&b, "  - name: %s\n    weight: %d\n    method: %s\n    path: %s\n", r.name, r.weight, r.method, quoted(r.path))
	if len(r.headers) > 0 {
		b.WriteString("    headers:\n")
		for _, h := range r.headers {
			fmt.Fprintf(&b, "      %s: %s\n", quoted(h[0]), quoted(h[1]))
		}
	}
	if r.body != "" {
		fmt.Fprintf(&b, "    body: %s\n", quoted(r.body))
	}
	fmt.Fprintf(&b, "    expect: {status: %d}\n", r.status)
	return b.String()
}

// quoted is a text in single quotes, in which YAML has no escapes but a doubled quote.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// oneLine makes a stranger's text fit for a comment or an error: printable, on one line, not too long.
func oneLine(text string) string {
	const most = 200 // runes
	var b strings.Builder
	n := 0
	for _, r := range text {
		if n++; n > most {
			b.WriteString("…")
			break
		}
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff || r == 0xfffd {
			r = ' '
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}
