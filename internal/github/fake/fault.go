package fake

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
)

// Fault is what befalls one call on its way to GitHub; next is GitHub.
type Fault func(w http.ResponseWriter, r *http.Request, next http.Handler)

// fault is one that waits for its call.
type fault struct {
	method, path string
	left         int // calls it waits for; negative: all
	befall       Fault
}

// Ever is for faults that never end.
const Ever = -1

// Break lets a fault befall the next so many calls of a method whose path ends so; an empty method is any. Of several faults
// that are due, the one that was put first has the call, and nil lets it pass.
func (h *Hub) Break(method, pathEnd string, calls int, f Fault) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.faults = append(h.faults, &fault{method: method, path: pathEnd, left: calls, befall: f})
}

func (h *Hub) due(r *http.Request) Fault {
	for _, f := range h.faults {
		if f.left == 0 || f.method != "" && f.method != r.Method || !strings.HasSuffix(r.URL.Path, f.path) {
			continue
		}
		if f.left > 0 {
			f.left--
		}
		return f.befall
	}
	return nil
}

// Refuse answers without asking GitHub: its limits, and the errors of what stands before it. Headers are name and value in
// turn.
func Refuse(status int, message string, headers ...string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"message":%q,"documentation_url":"https://docs.github.com/rest"}`, message)
	}
}

// Gateway is GitHub's own page for a 502 and its like: no JSON.
func Gateway(status int) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		fmt.Fprintf(w, "<html><body><h1>%d %s</h1></body></html>", status, http.StatusText(status))
	}
}

// Reset breaks the connection before GitHub has the call.
func Reset(w http.ResponseWriter, _ *http.Request, _ http.Handler) { hangUp(w) }

// ResetAfter breaks the connection after GitHub has carried the call out, before a word of the answer.
func ResetAfter(w http.ResponseWriter, r *http.Request, next http.Handler) {
	next.ServeHTTP(httptest.NewRecorder(), r)
	hangUp(w)
}

// FailAfter lets GitHub carry the call out and answers with a gateway's error all the same.
func FailAfter(status int) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(httptest.NewRecorder(), r)
		Gateway(status)(w, r, next)
	}
}

// Half gives GitHub's answer, its status and half of its body, and then breaks the connection.
func Half(w http.ResponseWriter, r *http.Request, next http.Handler) {
	whole := httptest.NewRecorder()
	next.ServeHTTP(whole, r)
	body, _ := io.ReadAll(whole.Body) // from memory
	for name, values := range whole.Header() {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(whole.Code)
	_, _ = w.Write(body[:len(body)/2])
	_ = http.NewResponseController(w).Flush()
	hangUp(w)
}

// hangUp ends a call without another word.
func hangUp(http.ResponseWriter) { panic(http.ErrAbortHandler) }
