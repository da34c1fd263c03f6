package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/duet-bench/duet/examples/go/core"
)

// newApp routes the contract.
func newApp(app *core.App) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/health", methods{http.MethodGet: health})
	mux.Handle("/pipeline", methods{http.MethodPost: pipeline})
	mux.Handle("/links", methods{http.MethodPost: createLink(app)})
	mux.Handle("/links/{code}", methods{http.MethodGet: linkStats(app)})
	mux.Handle("/{code}", methods{http.MethodGet: follow(app)})
	full(mux, app)
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

func createLink(app *core.App) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := readJSON(w, r)
		if err != nil {
			refuse(w, err)
			return
		}
		link, err := app.CreateLink(r.Context(), body)
		if err != nil {
			refuse(w, err)
			return
		}
		w.Header().Set("Location", "/"+link.Code)
		reply(w, http.StatusCreated, link)
	}
}

func linkStats(app *core.App) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		link, err := app.LinkStats(r.Context(), r.PathValue("code"))
		if err != nil {
			refuse(w, err)
			return
		}
		reply(w, http.StatusOK, link)
	}
}

func follow(app *core.App) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		url, err := app.Follow(r.Context(), r.PathValue("code"))
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
	if !core.IsJSON(r.Header.Get("Content-Type")) {
		return nil, core.NotJSON()
	}
	var buf bytes.Buffer
	if n := r.ContentLength; 0 < n && n <= core.BodyLimit {
		buf.Grow(int(n) + bytes.MinRead)
	}
	if _, err := buf.ReadFrom(http.MaxBytesReader(w, r.Body, core.BodyLimit)); err != nil {
		return nil, core.BodyError(err)
	}
	return buf.Bytes(), nil
}

func refuse(w http.ResponseWriter, err *core.Error) {
	for name, value := range err.Header {
		w.Header().Set(name, value)
	}
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
