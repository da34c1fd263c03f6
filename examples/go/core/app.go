package core

import (
	"context"
	"sync"
)

// App is what every service answers from: links, the database and the queue of orders. A service reads a request, calls
// one method, and writes what it returned.
type App struct {
	links    *Links    // in memory; nil where they live in the database
	db       *database // nil without one
	orders   *queue    // nil without a database
	stopping context.Context
	sockets  sync.WaitGroup
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
	var err error
	if a.db, err = connect(ctx, s.DatabaseURL, s.PoolSize); err != nil {
		return nil, err
	}
	if s.Links == linksInPostgres {
		a.links = nil
	}
	// An order outlives its request, and shutdown: only the drain ends it.
	life := context.WithoutCancel(ctx)
	a.orders = newQueue(s.OrderWorkers, s.OrderQueue, func(order NewOrder) (PlacedOrder, *Error) {
		return a.db.place(life, order)
	})
	return a, nil
}

// Close ends what outlives requests, as long as drain allows: WebSockets, orders in the queue, the database.
func (a *App) Close(drain context.Context) {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		a.sockets.Wait()
		if a.db != nil {
			a.orders.close()
			a.db.close()
		}
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
	if a.links != nil {
		return a.links.Create(body)
	}
	url, err := parseLink(body)
	if err != nil {
		return Link{}, err
	}
	return a.db.createLink(ctx, url)
}

// Follow returns where code leads and counts the hit.
func (a *App) Follow(ctx context.Context, code string) (url string, err *Error) {
	if a.links != nil {
		return a.links.Follow(code)
	}
	return a.db.followLink(ctx, code)
}

// LinkStats returns the link of code.
func (a *App) LinkStats(ctx context.Context, code string) (Link, *Error) {
	if a.links != nil {
		return a.links.Stats(code)
	}
	return a.db.linkStats(ctx, code)
}

// User returns the user of id, as the path spells it.
func (a *App) User(ctx context.Context, id string) (User, *Error) {
	n, err := a.lookup(id)
	if err != nil {
		return User{}, err
	}
	return a.db.user(ctx, n)
}

// Users returns a page of users. Each parameter comes as all the values that the query gives it.
func (a *App) Users(ctx context.Context, after, limit []string) (UserPage, *Error) {
	if a.db == nil {
		return UserPage{}, noDatabase()
	}
	p, err := parsePage(after, limit)
	if err != nil {
		return UserPage{}, err
	}
	return a.db.users(ctx, p)
}

// UserOrders returns the user of id with the newest 20 orders.
func (a *App) UserOrders(ctx context.Context, id string) (UserOrders, *Error) {
	n, err := a.lookup(id)
	if err != nil {
		return UserOrders{}, err
	}
	return a.db.userOrders(ctx, n)
}

// Order returns the order of id.
func (a *App) Order(ctx context.Context, id string) (Order, *Error) {
	n, err := a.lookup(id)
	if err != nil {
		return Order{}, err
	}
	return a.db.order(ctx, n)
}

// lookup reads an id for a query that needs the database.
func (a *App) lookup(id string) (int64, *Error) {
	if a.db == nil {
		return 0, noDatabase()
	}
	return parseID(id)
}

// PlaceOrder sends an order through the queue and waits for it.
func (a *App) PlaceOrder(ctx context.Context, body []byte) (PlacedOrder, *Error) {
	if a.orders == nil {
		return PlacedOrder{}, noDatabase()
	}
	order, err := parseOrder(body)
	if err != nil {
		return PlacedOrder{}, err
	}
	return a.orders.submit(ctx, order)
}
