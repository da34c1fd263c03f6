package github

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

// api is GitHub's part of a pull request's comments, over HTTP.
func api(t *testing.T, f *fakePull, refuse bool) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	say := func(w http.ResponseWriter, status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		if err := json.NewEncoder(w).Encode(v); err != nil {
			t.Error(err)
		}
	}
	comment := func(c Comment) map[string]any {
		return map[string]any{"id": c.ID, "body": c.Body, "user": map[string]any{"login": c.Author}}
	}
	body := func(r *http.Request) string {
		var v struct{ Body string }
		if err := json.NewDecoder(r.Body).Decode(&v); err != nil {
			t.Error(err)
		}
		return v.Body
	}
	mux.HandleFunc("GET /api/v3/repos/o/r/pulls/3", func(w http.ResponseWriter, _ *http.Request) {
		say(w, 200, map[string]any{"number": 3, "head": map[string]any{"sha": f.head}})
	})
	mux.HandleFunc("GET /api/v3/repos/o/r/issues/3/comments", func(w http.ResponseWriter, r *http.Request) {
		page, _ := strconv.Atoi(r.URL.Query().Get("page"))
		size, _ := strconv.Atoi(r.URL.Query().Get("per_page"))
		from := max(page-1, 0) * size
		to := min(from+size, len(f.comments))
		if to < len(f.comments) {
			w.Header().Set("Link", fmt.Sprintf(`<http://%s%s?per_page=%d&page=%d>; rel="next"`, r.Host, r.URL.Path, size, max(page, 1)+1))
		}
		list := []any{}
		for _, c := range f.comments[from:to] {
			list = append(list, comment(c))
		}
		say(w, 200, list)
	})
	guarded := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if refuse {
				say(w, 403, map[string]any{"message": "Resource not accessible by integration"})
				return
			}
			if got := r.Header.Get("Authorization"); got != "Bearer secret" {
				t.Errorf("authorization %q", got)
			}
			h(w, r)
		}
	}
	mux.HandleFunc("POST /api/v3/repos/o/r/issues/3/comments", guarded(func(w http.ResponseWriter, r *http.Request) {
		text := body(r)
		if len(text) > 65536 {
			say(w, 422, map[string]any{"message": "Validation Failed", "errors": []any{map[string]any{"message": "body is too long (maximum is 65536 characters)"}}})
			return
		}
		f.writes++
		f.add(bot, text)
		say(w, 201, comment(f.comments[len(f.comments)-1]))
	}))
	mux.HandleFunc("PATCH /api/v3/repos/o/r/issues/comments/{id}", guarded(func(w http.ResponseWriter, r *http.Request) {
		id, _ := strconv.ParseInt(r.PathValue("id"), 10, 64)
		i := alone(f).find(id)
		if i < 0 {
			say(w, 404, map[string]any{"message": "Not Found"})
			return
		}
		f.writes++
		f.comments[i].Body = body(r)
		say(w, 200, comment(f.comments[i]))
	}))
	mux.HandleFunc("DELETE /api/v3/repos/o/r/issues/comments/{id}", guarded(func(w http.ResponseWriter, r *http.Request) {
		id, _ := strconv.ParseInt(r.PathValue("id"), 10, 64)
		i := alone(f).find(id)
		if i < 0 {
			say(w, 404, map[string]any{"message": "Not Found"})
			return
		}
		f.writes++
		f.comments = append(f.comments[:i:i], f.comments[i+1:]...)
		w.WriteHeader(204)
	}))
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func client(t *testing.T, s *httptest.Server) *Client {
	t.Helper()
	c, err := New(Options{APIURL: s.URL + "/api/v3", Token: "secret", Repository: "o/r", Clock: newFakeClock()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Over HTTP, on a GHES-like address, with 250 comments of others and ours among the last.
func TestOverHTTP(t *testing.T) {
	f := &fakePull{head: sha("b")}
	for i := range 249 {
		f.add("ann", "comment "+strconv.Itoa(i))
	}
	f.add(bot, bodyOf(t, Stamp{Run: 6, Attempt: 1, Head: sha("a")}))
	f.add(bot, bodyOf(t, Stamp{Run: 6, Attempt: 2, Head: sha("a")}))
	now := Stamp{Run: 7, Attempt: 1, Head: sha("b")}
	got, err := Upsert(t.Context(), client(t, api(t, f, false)).Pull(3), Post{Author: bot, Stamp: now, Text: textOf(now)})
	if err != nil || got.Fate != Posted || f.writes != 2 || len(f.comments) != 250 {
		t.Fatalf("got %s, %v after %d writes with %d comments, want one edit and one delete", got.Fate, err, f.writes, len(f.comments))
	}
	if last := f.comments[249]; last.ID != 250 || last.Body != bodyOf(t, now) {
		t.Errorf("comment %d says %q, want ours edited in place", last.ID, last.Body)
	}
	f.comments = f.comments[:10]
	if got, err := Upsert(t.Context(), client(t, api(t, f, false)).Pull(3), Post{Author: bot, Stamp: now, Text: textOf(now)}); err != nil || got.Fate != Posted || len(f.comments) != 11 {
		t.Errorf("deleted by hand: got %s, %v with %d comments, want it made again", got.Fate, err, len(f.comments))
	}
}

// SECURITY.md, R12: a read-only token is told from other refusals.
func TestReadOnly(t *testing.T) {
	f := &fakePull{head: sha("b")}
	now := Stamp{Run: 7, Attempt: 1, Head: sha("b")}
	_, err := Upsert(t.Context(), client(t, api(t, f, true)).Pull(3), Post{Author: bot, Stamp: now, Text: textOf(now)})
	if !errors.Is(err, ErrReadOnly) || len(f.comments) != 0 {
		t.Errorf("got %v, want that the token is read-only", err)
	}
}

func TestTooLong(t *testing.T) {
	f := &fakePull{head: sha("b")}
	now := Stamp{Run: 7, Attempt: 1, Head: sha("b")}
	_, err := Upsert(t.Context(), client(t, api(t, f, false)).Pull(3), Post{Author: bot, Stamp: now, Text: textOf(now) + strings.Repeat("x", 70_000)})
	if err == nil || !strings.Contains(err.Error(), "too long") || f.writes != 0 {
		t.Errorf("got %v, want GitHub's reason", err)
	}
}

// SECURITY.md, R15: the address comes from GITHUB_API_URL alone and is never plain http.
func TestAddresses(t *testing.T) {
	for url, good := range map[string]bool{
		"https://api.github.com": true, "https://ghe.local/api/v3": true, "https://ghe.local/api/v3/": true, "http://127.0.0.1:8080": true, "http://[::1]:1/api/v3": true,
		"http://ghe.local/api/v3": false, "": false, "ghe.local": false, "https://user:secret@ghe.local": false, "ftp://ghe.local": false, "https://": false,
	} {
		c, err := New(Options{APIURL: url, Repository: "o/r"})
		if (err == nil) != good {
			t.Errorf("%q: got %v", url, err)
		}
		if err == nil && !strings.HasSuffix(c.api.BaseURL.Path, "/") {
			t.Errorf("%q: base URL %s has no slash at its end", url, c.api.BaseURL)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error repeats a password", url)
		}
	}
	for _, repository := range []string{"", "o", "o/", "/r", "o/r/x"} {
		if _, err := New(Options{APIURL: "https://ghe.local", Repository: repository}); err == nil {
			t.Errorf("repository %q was taken", repository)
		}
	}
}
