package core

import (
	"context"
	"sync"
)

// App is what every service answers from: links, the database and the queue of orders. A service reads a request, calls
// one method, and writes what it returned.
type App struct {
	links    links
	shop     shop
	stopping context.Context
	sockets  sync.WaitGroup
}

// links is where links live.
type links interface {
	add(ctx context.Context, url string) (Link, *Error)
	follow(ctx context.Context, code string) (url string, err *Error)
	stats(ctx context.Context, code string) (Link, *Error)
}

// InMemory is an App without a database. It needs no Close.
func InMemory(links *Links) *App {
	return &App{links: links, stopping: context.Background()}
}

// Open connects what the settings ask for. The App is in use until ctx ends, and is then to be closed.
func Open(ctx context.Context, s Settings) (*App, error) {
	a := InMemory(NewLinks(LinkLimit))
	a.stopping = ctx
	if s.DatabaseURL == "" {
		return a, nil
	}
	stored, err := a.shop.open(ctx, s)
	if err != nil {
		return nil, err
	}
	if s.Links == linksInPostgres {
		a.links = stored
	}
	return a, nil
}

// Close ends what outlives requests, as long as drain allows: WebSockets, orders in the queue, the database.
func (a *App) Close(drain context.Context) {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		a.sockets.Wait()
		a.shop.close()
	}()
	select {
	case <-closed:
	case <-drain.Done():
	}
}

// Socket speaks to a connection that outlives its request. When stopping ends, the connection has to end too; Close
// waits for it.
func (a *App) Socket(speak func(stopping context.Context)) {
	a.sockets.Add(1)
	defer a.sockets.Done()
	speak(a.stopping)
}

// CreateLink shortens the URL of the document {"url": "…"}.
func (a *App) CreateLink(ctx context.Context, body []byte) (Link, *Error) {
	url, err := parseLink(body)
	if err != nil {
		return Link{}, err
	}
	return a.links.add(ctx, url)
}

// Follow returns where code leads and counts the hit.
func (a *App) Follow(ctx context.Context, code string) (url string, err *Error) {
	return a.links.follow(ctx, code)
}

// LinkStats returns the link of code.
func (a *App) LinkStats(ctx context.Context, code string) (Link, *Error) {
	return a.links.stats(ctx, code)
}
