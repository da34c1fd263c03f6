package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/duet-bench/duet/examples/go/core"
)

// newApp routes the contract. Links live as long as the app.
func newApp(links *core.Links) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/health", methods{http.MethodGet: health})
	mux.Handle("/pipeline", methods{http.MethodPost: pipeline})
	mux.Handle("/links", methods{http.MethodPost: createLink(links)})
	mux.Handle("/links/{code}", methods{http.MethodGet: linkStats(links)})
	mux.Handle("/{code}", methods{http.MethodGet: follow(links)})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { refuse(w, core.NotFound()) })
	return mux
}

// methods serves one path. The mux would refuse other methods in plain text; the contract wants JSON.
type methods map[string]http.HandlerFunc

func (m methods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet // net/http drops the body
	}
	if h, ok := m[method]; ok {
		h(w, r)
		return
	}
	var allow []string
	for name := range m {
		allow = append(allow, name)
		if name == http.MethodGet {
			allow = append(allow, http.MethodHead)
		}
	}
	slices.Sort(allow)
	w.Header().Set("Allow", strings.Join(allow, ","))
	refuse(w, core.MethodNotAllowed())
}

func health(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, core.Healthy())
}

func pipeline(w http.ResponseWriter, r *http.Request) {
	body, err := readJSON(w, r)
	if err != nil {
		refuse(w, err)
		return
	}
	batch, err := core.Process(body)
	if err != nil {
		refuse(w, err)
		return
	}
	reply(w, http.StatusOK, batch)
}

func createLink(links *core.Links) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := readJSON(w, r)
		if err != nil {
			refuse(w, err)
			return
		}
		link, err := links.Create(body)
		if err != nil {
			refuse(w, err)
			return
		}
		w.Header().Set("Location", "/"+link.Code)
		reply(w, http.StatusCreated, link)
	}
}

func linkStats(links *core.Links) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		link, err := links.Stats(r.PathValue("code"))
		if err != nil {
			refuse(w, err)
			return
		}
		reply(w, http.StatusOK, link)
	}
}

func follow(links *core.Links) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		url, err := links.Follow(r.PathValue("code"))
		if err != nil {
			refuse(w, err)
			return
		}
		// Not http.Redirect: it adds an HTML body that the contract does not have.
		w.Header().Set("Location", url)
		w.WriteHeader(http.StatusFound)
	}
}

// readJSON reads a body of at most core.BodyLimit bytes that calls itself application/json.
func readJSON(w http.ResponseWriter, r *http.Request) ([]byte, *core.Error) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return nil, core.NotJSON()
	}
	var buf bytes.Buffer
	if n := r.ContentLength; 0 < n && n <= core.BodyLimit {
		buf.Grow(int(n) + bytes.MinRead)
	}
	_, err := buf.ReadFrom(http.MaxBytesReader(w, r.Body, core.BodyLimit))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, core.TooLarge()
	case err != nil:
		return nil, core.BadBody()
	}
	return buf.Bytes(), nil
}

func refuse(w http.ResponseWriter, err *core.Error) {
	reply(w, err.Status, core.ErrorBody{Error: err})
}

// reply writes v as JSON. The contract's types always encode.
func reply(w http.ResponseWriter, status int, v any) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("encoding answer: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The client may be gone; there is nobody left to tell.
	_, _ = w.Write(bytes.TrimSuffix(buf.Bytes(), []byte("\n")))
}
