package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A workload is tried on a running service; bad answers and captures that fail are named with their lines.
func TestWorkloadCheckOnService(t *testing.T) {
	things := 0
	mux := http.NewServeMux()
	mux.HandleFunc("POST /things", func(w http.ResponseWriter, _ *http.Request) {
		things++
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"id":"t%d"}`, things)
	})
	mux.HandleFunc("GET /things/{id}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "\x1b[31m::error::%s", r.PathValue("id"))
	})
	service := httptest.NewServer(mux)
	t.Cleanup(service.Close)
	t.Chdir(t.TempDir())

	const start = "name: things\nsetup:\n  - {method: POST, path: /things, repeat: 3, expect: {status: 201}, capture: {id: "
	check := func(name, text string, want exitStatus, out, errors string) {
		t.Helper()
		file := filepath.Join(".", name+".yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var stdout, stderr bytes.Buffer
		got := run(world{
			args:   []string{"workload", "check", file, "--url", service.URL, "--requests", "50"},
			getenv: func(string) string { return "" }, stdout: &stdout, stderr: &stderr,
		})
		if got != want || !strings.Contains(stdout.String(), out) || !strings.Contains(stderr.String(), errors) {
			t.Errorf("%s: got %d, want %d with %q and %q:\n%s%s", name, got, want, out, errors, &stdout, &stderr)
		}
		if all := stdout.String() + stderr.String(); strings.Contains(all, "\x1b") || strings.Contains(all, "::error") {
			t.Errorf("%s: the service's words went out as they came: %q", name, all)
		}
	}
	check("good", start+"$.id}}\nrequests: [{name: read, path: '/things/{{capture \"id\"}}'}]\n", exitOK,
		"3 setup requests well answered, 50 requests asked, all well answered", "")
	check("unlike", start+"$.id}}\nrequests:\n  - {name: read, weight: 4, path: '/things/{{capture \"id\"}}'}\n  - {path: /nothing}\n", exitNotMeasured,
		"unlike.yaml:6: request GET /nothing: 10 bad, such as GET /nothing: status 404: expected 200", "10 requests of 50 badly answered")
	check("quoted", start+"$.id}}\nrequests: [{path: '/things/{{capture \"id\"}}', expect: {contains: x}}]\n", exitNotMeasured,
		`50 bad, such as GET /things/t`, "50 requests of 50 badly answered")
	check("uncaptured", start+"$.name}}\nrequests: [{path: '/things/{{capture \"id\"}}'}]\n", exitNotMeasured,
		"a good workload", "uncaptured.yaml:3: request POST /things: capture id: $.name: the answer has no name")
}
