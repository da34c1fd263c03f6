package github

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/github/fake"
)

// hub is GitHub with pull request 3, whose head is b.
func hub(t *testing.T, o fake.Options) *fake.Hub {
	t.Helper()
	h := fake.New(t, o)
	h.Open(fake.Pull{Number: 3, Head: sha("b"), Repository: "o/r"})
	return h
}

// client is one of a hub's repository, with a clock that does not wait.
func client(t *testing.T, h *fake.Hub) *Client {
	t.Helper()
	c, err := New(Options{APIURL: h.URL, Token: fake.Token, Repository: "o/r", Clock: newFakeClock()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// now is the run that the tests publish.
var now = Stamp{Run: 7, Attempt: 1, Head: sha("b")}

func publish(t *testing.T, h *fake.Hub) (Published, error) {
	t.Helper()
	return Upsert(t.Context(), client(t, h).Pull(3), Post{Author: bot, Stamp: now, Text: textOf(now)})
}

// Over HTTP, on github.com and on an Enterprise Server, with 249 comments of others and ours among the last.
func TestOverHTTP(t *testing.T) {
	for _, o := range []fake.Options{{}, {Enterprise: true}} {
		h := hub(t, o)
		for i := range 249 {
			h.Say(3, "ann", "comment "+strconv.Itoa(i))
		}
		ours := h.Say(3, bot, bodyOf(t, Stamp{Run: 6, Attempt: 1, Head: sha("a")}))
		h.Say(3, bot, bodyOf(t, Stamp{Run: 6, Attempt: 2, Head: sha("a")}))
		got, err := publish(t, h)
		all := h.Comments(3)
		if err != nil || got.Fate != Posted || h.Writes() != 2 || len(all) != 250 {
			t.Fatalf("got %s, %v after %v with %d comments, want one edit and one delete", got.Fate, err, h.Calls(), len(all))
		}
		if last := all[249]; last.ID != ours || last.Body != bodyOf(t, now) {
			t.Errorf("comment %d says %q, want ours edited in place", last.ID, last.Body)
		}
		h.Remove(ours)
		if got, err := publish(t, h); err != nil || got.Fate != Posted || len(h.Comments(3)) != 250 || h.Comments(3)[249].Body != bodyOf(t, now) {
			t.Errorf("deleted by hand: got %s, %v with %d comments, want it made again", got.Fate, err, len(h.Comments(3)))
		}
	}
}

// SECURITY.md, R12: a read-only token is told from other refusals.
func TestReadOnly(t *testing.T) {
	h := hub(t, fake.Options{})
	h.Grant(map[string]string{"contents": "read", "pull-requests": "read"})
	if _, err := publish(t, h); !errors.Is(err, ErrReadOnly) || len(h.Comments(3)) != 0 {
		t.Errorf("got %v, want that the token is read-only", err)
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
