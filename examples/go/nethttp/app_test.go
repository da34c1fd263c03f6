package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/duet-bench/duet/examples/go/core"
)

func ask(app http.Handler, method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	w := httptest.NewRecorder()
	app.ServeHTTP(w, r)
	return w
}

func TestLinkLivesAndIsCounted(t *testing.T) {
	app := newApp(core.InMemory(core.NewLinks(10)))
	made := ask(app, "POST", "/links", `{"url":"https://example.org/"}`)
	path := made.Header().Get("Location")
	if made.Code != http.StatusCreated || path != "/"+core.Code(0) {
		t.Fatalf("got %d, Location %q", made.Code, path)
	}
	followed := ask(app, "GET", path, "")
	if followed.Code != http.StatusFound || followed.Header().Get("Location") != "https://example.org/" || followed.Body.Len() != 0 {
		t.Errorf("got %d, %v, %q", followed.Code, followed.Header(), followed.Body)
	}
	want := `{"code":"` + core.Code(0) + `","url":"https://example.org/","hits":1}`
	if got := ask(app, "GET", "/links"+path, "").Body.String(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// refusal is a request and how it is refused.
type refusal struct {
	method, path, body string
	status             int
	code, allow        string
}

func (r refusal) check(t *testing.T, app http.Handler) {
	t.Helper()
	w := ask(app, r.method, r.path, r.body)
	var body core.ErrorBody
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body.Error == nil {
		t.Errorf("%s %s: got body %q", r.method, r.path, w.Body)
		return
	}
	if w.Code != r.status || body.Error.Code != r.code || w.Header().Get("Allow") != r.allow || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%s %s: got %d %s %v", r.method, r.path, w.Code, body.Error.Code, w.Header())
	}
}

func TestRefusalsHaveOneShape(t *testing.T) {
	app := newApp(core.InMemory(core.NewLinks(10)))
	for _, r := range []refusal{
		{"GET", "/a/b/c", "", 404, "not_found", ""},
		{"GET", "/000000", "", 404, "not_found", ""},
		{"GET", "/links", "", 405, "method_not_allowed", "POST"},
		{"DELETE", "/health", "", 405, "method_not_allowed", "GET,HEAD"},
		{"POST", "/pipeline", strings.Repeat(" ", core.BodyLimit+1), 413, "too_large", ""},
		{"POST", "/pipeline", "{", 400, "bad_json", ""},
		{"POST", "/links", "{}", 422, "invalid_url", ""},
	} {
		r.check(t, app)
	}
}

func TestServesUntilToldToStop(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, l, core.InMemory(core.NewLinks(10))) }()
	resp, err := http.Get("http://" + l.Addr().String() + "/health")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || string(body) != `{"status":"ok"}` {
		t.Errorf("got %q, %v", body, err)
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("got %v, want a quiet end", err)
	}
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("still listening")
	}
}
