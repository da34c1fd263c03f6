package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/duet-bench/duet/examples/go/core"
	"github.com/duet-bench/duet/examples/go/socket"
)

// newRouter routes the contract.
func newRouter(app *core.App) http.Handler {
	r := chi.NewRouter()
	r.Use(middleware.GetHead)
	r.NotFound(func(w http.ResponseWriter, _ *http.Request) { refuse(w, core.NotFound()) })
	r.MethodNotAllowed(methodNotAllowed)

	s := service{app}
	r.Get("/health", s.health)
	r.Get("/links/{code}", s.linkStats)
	r.Get("/{code}", s.follow)
	r.Get("/users", s.users)
	r.Get("/users/{id}", s.user)
	r.Get("/users/{id}/orders", s.userOrders)
	r.Get("/orders/{id}", s.order)
	r.Get("/ws", s.echo)
	r.Head("/ws", methodNotAllowed)
	bodies := r.With(requireJSON, middleware.RequestSize(core.BodyLimit))
	for path, h := range map[string]http.HandlerFunc{
		"/pipeline": s.pipeline, "/links": s.createLink, "/orders": s.placeOrder, "/compute": s.compute,
	} {
		bodies.Post(path, h)
		r.Get(path, methodNotAllowed) // or it would be a short code
	}
	return r
}

func requireJSON(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !core.IsJSON(r.Header.Get("Content-Type")) {
			refuse(w, core.NotJSON())
			return
		}
		next.ServeHTTP(w, r)
	})
}

// service is the handlers.
type service struct{ app *core.App }

func (s service) health(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, core.Healthy(), nil)
}

func (s service) pipeline(w http.ResponseWriter, r *http.Request) {
	body, ok := read(w, r)
	if !ok {
		return
	}
	batch, err := core.Process(body)
	reply(w, http.StatusOK, batch, err)
}

func (s service) createLink(w http.ResponseWriter, r *http.Request) {
	body, ok := read(w, r)
	if !ok {
		return
	}
	link, err := s.app.CreateLink(r.Context(), body)
	if err == nil {
		w.Header().Set("Location", "/"+link.Code)
	}
	reply(w, http.StatusCreated, link, err)
}

func (s service) linkStats(w http.ResponseWriter, r *http.Request) {
	link, err := s.app.LinkStats(r.Context(), chi.URLParam(r, "code"))
	reply(w, http.StatusOK, link, err)
}

func (s service) follow(w http.ResponseWriter, r *http.Request) {
	url, err := s.app.Follow(r.Context(), chi.URLParam(r, "code"))
	if err != nil {
		refuse(w, err)
		return
	}
	// Not http.Redirect: it adds an HTML body that the contract does not have.
	w.Header().Set("Location", url)
	w.WriteHeader(http.StatusFound)
}

func (s service) users(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	page, err := s.app.Users(r.Context(), query["after"], query["limit"])
	reply(w, http.StatusOK, page, err)
}

func (s service) user(w http.ResponseWriter, r *http.Request) {
	user, err := s.app.User(r.Context(), chi.URLParam(r, "id"))
	reply(w, http.StatusOK, user, err)
}

func (s service) userOrders(w http.ResponseWriter, r *http.Request) {
	orders, err := s.app.UserOrders(r.Context(), chi.URLParam(r, "id"))
	reply(w, http.StatusOK, orders, err)
}

func (s service) placeOrder(w http.ResponseWriter, r *http.Request) {
	body, ok := read(w, r)
	if !ok {
		return
	}
	placed, err := s.app.PlaceOrder(r.Context(), body)
	if err == nil {
		w.Header().Set("Location", "/orders/"+strconv.FormatInt(placed.ID, 10))
	}
	reply(w, http.StatusCreated, placed, err)
}

func (s service) order(w http.ResponseWriter, r *http.Request) {
	order, err := s.app.Order(r.Context(), chi.URLParam(r, "id"))
	reply(w, http.StatusOK, order, err)
}

func (s service) compute(w http.ResponseWriter, r *http.Request) {
	body, ok := read(w, r)
	if !ok {
		return
	}
	computed, err := core.Compute(body)
	reply(w, http.StatusOK, computed, err)
}

func (s service) echo(w http.ResponseWriter, r *http.Request) {
	if err := socket.Echo(w, r, s.app); err != nil {
		refuse(w, err)
	}
}

func methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	refuse(w, core.MethodNotAllowedAt(r.URL.Path))
}

// read reads a body of the size that RequestSize has set; what it cannot read it refuses.
func read(w http.ResponseWriter, r *http.Request) (body []byte, ok bool) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		refuse(w, core.BodyError(err))
	}
	return body, err == nil
}

func refuse(w http.ResponseWriter, err *core.Error) {
	for name, value := range err.Header {
		w.Header().Set(name, value)
	}
	reply(w, err.Status, core.ErrorBody{Error: err}, nil)
}

// reply writes v as JSON, or the refusal that came in its place. The contract's types always encode.
func reply(w http.ResponseWriter, status int, v any, err *core.Error) {
	if err != nil {
		refuse(w, err)
		return
	}
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
