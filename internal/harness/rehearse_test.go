package harness

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/workload"
)

func rehearsed(t *testing.T, text string) workload.Workload {
	t.Helper()
	w, err := workload.Parse("w.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// library has books, and chokes on the one that is called 7.
func library(t *testing.T) string {
	books := 0
	mux := http.NewServeMux()
	mux.HandleFunc("POST /books", func(w http.ResponseWriter, _ *http.Request) {
		books++
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"id":%d}`, books)
	})
	mux.HandleFunc("GET /books/{id}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("id") == "7" {
			http.Error(w, "no\x1b[31m", http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, `{"title":"Ulysses"}`)
	})
	mux.HandleFunc("/echo", roles["echoes"])
	mux.HandleFunc("/mute", roles["mute"])
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

func TestRehearse(t *testing.T) {
	at := library(t)
	w := rehearsed(t, `name: books
setup:
  - {method: POST, path: /books, repeat: 9, expect: {status: 201}, capture: {id: $.id}}
requests:
  - name: read
    path: /books/{{capture "id"}}
    expect: {contains: Ulysses}
  - {name: odd, path: /books/7, expect: {status: 500}}
`)
	got, err := Rehearse(t.Context(), at, plan.Plan{Seed: 1}, w, 200)
	if err != nil {
		t.Fatal(err)
	}
	if got.Setup != 9 || got.Asked != 200 || len(got.Messages) != 200 || len(got.Bad) != 1 || got.BadCount() != got.Bad[0].Count {
		t.Fatalf("got %d of setup, %d asked, bad %+v", got.Setup, got.Asked, got.Bad)
	}
	bad := got.Bad[0]
	if bad.Place != "w.yaml:5" || bad.Name != "read" || bad.Count < 2 || bad.Count > 50 || bad.First != `GET /books/7: status 500: expected 200: "no"` {
		t.Errorf("got %+v", bad)
	}
}

func TestRehearseOverWebSocket(t *testing.T) {
	at := library(t)
	for _, c := range []struct {
		path, expect, first string
		bad                 int
	}{
		{"/echo", "{echo: true}", "", 0},
		{"/echo", "{contains: '!'}", `text message: body without "!": "hello"`, 5},
		{"/mute", "{echo: true}", "text message: connection closed without a close frame before an answer", 5},
		{"/nowhere", "{echo: true}", "text message: opening a WebSocket at /nowhere: the service refused to open a WebSocket: status 404, expected 101", 5},
	} {
		w := rehearsed(t, "name: x\nprotocol: websocket\npath: "+c.path+"\nrequests:\n  - {body: hello, expect: "+c.expect+"}\n")
		got, err := Rehearse(t.Context(), at, plan.Plan{Seed: 1}, w, 5)
		if err != nil || got.BadCount() != c.bad {
			t.Errorf("%s: got %+v, %v, want %d bad", c.path, got.Bad, err, c.bad)
			continue
		}
		if c.bad > 0 && (got.Bad[0].First != c.first || got.Bad[0].Place != "w.yaml:5") {
			t.Errorf("%s: got %+v, want %s", c.path, got.Bad[0], c.first)
		}
	}
}

// What is wrong with setup is said with its line.
func TestRehearseSetupFails(t *testing.T) {
	at := library(t)
	check := func(setup, want string) {
		t.Helper()
		w := rehearsed(t, "name: x\nrequests: [{path: /}]\nsetup:\n  - "+setup+"\n")
		if _, err := Rehearse(t.Context(), at, plan.Plan{Seed: 1}, w, 5); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	check("{path: /nowhere}", "w.yaml:4: setup GET /nowhere (1 of 1): status 404: expected 200: ")
	check("{method: POST, path: /books, expect: {status: 201}, capture: {id: $.isbn}}", "setup POST /books: w.yaml:4: request POST /books: capture id: $.isbn: the answer has no isbn")
}

func TestRehearseRefusesURLs(t *testing.T) {
	w := rehearsed(t, "name: x\nrequests: [{path: /}]\n")
	for _, at := range []string{"", "127.0.0.1:80", "https://127.0.0.1:443", "http://127.0.0.1", "http://127.0.0.1:80/api", "http://a:b@127.0.0.1:80", "http://10.0.0.1:80", "http://example.com:80", "http://127.0.0.1.example.com:80", "http://[::2]:80", "http://0.0.0.0:80", "http://127.0.0.1:80?x"} {
		_, err := Rehearse(t.Context(), at, plan.Plan{}, w, 1)
		var usage *plan.UsageError
		if !errors.As(err, &usage) {
			t.Errorf("%q: got %v, want a usage error", at, err)
		}
	}
	got, err := Rehearse(t.Context(), "http://127.0.0.1:1", plan.Plan{}, w, 200)
	if err != nil || got.BadCount() != mostSilent || got.Asked != mostSilent || !strings.Contains(got.Bad[0].First, "connection refused") {
		t.Errorf("nobody there: got %+v, %v", got, err)
	}
}
