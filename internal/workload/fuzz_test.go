package workload

import (
	"strings"
	"testing"
)

// FuzzParse holds whatever is accepted to what it promises: a stream that is the same twice, of harmless messages.
func FuzzParse(f *testing.F) {
	f.Add(sample)
	f.Add("name: x\nrequests:\n  - path: /{{range n 3}}{{range n 3}}{{hex 4}}{{end}}{{end}}\n")
	f.Add("name: x\nrequests:\n  - {path: /, body: '{{$a := words 9}}{{print $a $a | urlquery}}'}\n")
	f.Add("name: x\nrequests: [{path: '/{{with pick 1 2}}{{.}}{{else}}x{{end}}', headers: {a: '{{not true}}'}}]\n")
	f.Add("name: x\nprotocol: websocket\npath: /{{hex 4}}\nheaders: {a: '{{word}}'}\nrequests: [{body: '{{words 3}}', expect: {echo: true}}, {type: binary, body: a}]\n")
	f.Fuzz(func(t *testing.T, text string) {
		w, err := Parse("w.yaml", []byte(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "w.yaml:") {
				t.Errorf("no place in %v", err)
			}
			return
		}
		if w.Name == "" || len(w.Requests) == 0 || w.Connections < 1 || (w.Rate.Share > 0) == (w.Rate.PerSecond > 0) {
			t.Errorf("accepted %+v", w)
		}
		captured := Captures{}
		for _, r := range w.Setup {
			for name := range r.Capture {
				captured[name] = []string{"a", "b"}
			}
		}
		first, err := Stream(w, 1, captured, 3)
		if err != nil {
			return
		}
		again, err := Stream(w, 1, captured, 3)
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range first {
			if m.Path != again[i].Path || string(m.Body) != string(again[i].Body) {
				t.Errorf("message %d: %+v and %+v", i, m, again[i])
			}
			if w.Protocol == ProtocolWebSocket {
				if m.Method+m.Path != "" || len(m.Headers) > 0 || m.Type != TypeText && m.Type != TypeBinary || m.Expect.Status != 0 {
					t.Errorf("message %d: %+v", i, m)
				}
				continue
			}
			if !strings.HasPrefix(m.Path, "/") || strings.ContainsAny(m.Path, " \r\n") {
				t.Errorf("path %q", m.Path)
			}
			for _, h := range m.Headers {
				if strings.ContainsAny(h.Name+h.Value, "\r\n") {
					t.Errorf("header %q", h)
				}
			}
		}
	})
}

// FuzzExtract: whatever a service answers, a capture is a bounded text or an error.
func FuzzExtract(f *testing.F) {
	f.Add("$.a[0]['b']", `{"a": [{"b": 1}]}`)
	f.Add("$", `"x"`)
	f.Add("$[[", `[]`)
	f.Fuzz(func(t *testing.T, source, body string) {
		values, err := Extract(Request{Capture: map[string]string{"v": source}}, 200, nil, []byte(body))
		if err == nil && len(values["v"]) > maxCaptured {
			t.Errorf("captured %d bytes", len(values["v"]))
		}
	})
}
