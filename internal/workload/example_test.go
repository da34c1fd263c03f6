package workload_test

import (
	"fmt"
	"net/http"

	"github.com/duet-bench/duet/internal/workload"
)

// A workload from its file to its messages, with what a setup request left.
func Example() {
	w, err := workload.Parse("links.yaml", []byte(`
name: links
setup:
  - {name: create, method: POST, path: /links, expect: {status: 201}, capture: {code: $.code}}
requests:
  - {name: read, weight: 3, path: '/{{zipf "code"}}', expect: {status: 302}}
  - {name: stats, path: '/links/{{capture "code"}}'}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	captures := workload.Captures{}
	for _, body := range []string{`{"code": "a1"}`, `{"code": "b2"}`} { // what the service answered
		values, err := workload.Extract(w.Setup[0], 201, http.Header{}, []byte(body))
		if err != nil {
			fmt.Println(err)
			return
		}
		captures["code"] = append(captures["code"], values["code"])
	}
	messages, err := workload.Stream(w, 42, captures, 4)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range messages {
		fmt.Println(m.Method, m.Path, m.Expect.Status)
	}
	// Output:
	// GET /b2 302
	// GET /a1 302
	// GET /b2 302
	// GET /links/a1 200
}
