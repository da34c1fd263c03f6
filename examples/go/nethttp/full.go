//go:build !lean

package main

import (
	"net/http"
	"strconv"

	"github.com/duet-bench/duet/examples/go/core"
	"github.com/duet-bench/duet/examples/go/socket"
)

// full routes what a lean build does without: what needs a database, computing, and the WebSocket.
func full(mux *http.ServeMux, app *core.App) {
	mux.Handle("/users", methods{http.MethodGet: users(app)})
	mux.Handle("/users/{id}", methods{http.MethodGet: user(app)})
	mux.Handle("/users/{id}/orders", methods{http.MethodGet: userOrders(app)})
	mux.Handle("/orders", methods{http.MethodPost: placeOrder(app)})
	mux.Handle("/orders/{id}", methods{http.MethodGet: order(app)})
	mux.Handle("/compute", methods{http.MethodPost: compute})
	mux.HandleFunc("/ws", echo(app))
}

func users(app *core.App) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		page, err := app.Users(r.Context(), query["after"], query["limit"])
		if err != nil {
			refuse(w, err)
			return
		}
		reply(w, http.StatusOK, page)
	}
}

func user(app *core.App) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		user, err := app.User(r.Context(), r.PathValue("id"))
		if err != nil {
			refuse(w, err)
			return
		}
		reply(w, http.StatusOK, user)
	}
}

func userOrders(app *core.App) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		orders, err := app.UserOrders(r.Context(), r.PathValue("id"))
		if err != nil {
			refuse(w, err)
			return
		}
		reply(w, http.StatusOK, orders)
	}
}

func order(app *core.App) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		order, err := app.Order(r.Context(), r.PathValue("id"))
		if err != nil {
			refuse(w, err)
			return
		}
		reply(w, http.StatusOK, order)
	}
}

func placeOrder(app *core.App) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := readJSON(w, r)
		if err != nil {
			refuse(w, err)
			return
		}
		placed, err := app.PlaceOrder(r.Context(), body)
		if err != nil {
			refuse(w, err)
			return
		}
		w.Header().Set("Location", "/orders/"+strconv.FormatInt(placed.ID, 10))
		reply(w, http.StatusCreated, placed)
	}
}

func compute(w http.ResponseWriter, r *http.Request) {
	body, err := readJSON(w, r)
	if err != nil {
		refuse(w, err)
		return
	}
	computed, err := core.Compute(body)
	if err != nil {
		refuse(w, err)
		return
	}
	reply(w, http.StatusOK, computed)
}

func echo(app *core.App) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet { // a WebSocket has no HEAD, so this is no methods
			refuse(w, core.MethodNotAllowedAt(r.URL.Path))
			return
		}
		if err := socket.Echo(w, r, app); err != nil {
			refuse(w, err)
		}
	}
}
