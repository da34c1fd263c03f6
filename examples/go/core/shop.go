//go:build !lean

package core

import (
	"context"
	"net/http"
)

// shop is what needs a database: users, and the queue of orders. It is empty where there is none.
type shop struct {
	db     *database
	orders *queue
}

// open connects the database, and returns the links in it.
func (s *shop) open(ctx context.Context, settings Settings) (links, error) {
	var err error
	if s.db, err = connect(ctx, settings.DatabaseURL, settings.PoolSize); err != nil {
		return nil, err
	}
	// An order outlives its request, and shutdown: only the drain ends it.
	life := context.WithoutCancel(ctx)
	s.orders = newQueue(settings.OrderWorkers, settings.OrderQueue, func(order NewOrder) (PlacedOrder, *Error) {
		return s.db.place(life, order)
	})
	return s.db, nil
}

// close finishes the orders in the queue, and lets go of the database.
func (s *shop) close() {
	if s.db != nil {
		s.orders.close()
		s.db.close()
	}
}

// User returns the user of id, as the path spells it.
func (a *App) User(ctx context.Context, id string) (User, *Error) {
	n, err := a.lookup(id)
	if err != nil {
		return User{}, err
	}
	return a.shop.db.user(ctx, n)
}

// Users returns a page of users. Each parameter comes as all the values that the query gives it.
func (a *App) Users(ctx context.Context, after, limit []string) (UserPage, *Error) {
	if a.shop.db == nil {
		return UserPage{}, noDatabase()
	}
	p, err := parsePage(after, limit)
	if err != nil {
		return UserPage{}, err
	}
	return a.shop.db.users(ctx, p)
}

// UserOrders returns the user of id with the newest 20 orders.
func (a *App) UserOrders(ctx context.Context, id string) (UserOrders, *Error) {
	n, err := a.lookup(id)
	if err != nil {
		return UserOrders{}, err
	}
	return a.shop.db.userOrders(ctx, n)
}

// Order returns the order of id.
func (a *App) Order(ctx context.Context, id string) (Order, *Error) {
	n, err := a.lookup(id)
	if err != nil {
		return Order{}, err
	}
	return a.shop.db.order(ctx, n)
}

// lookup reads an id for a query that needs the database.
func (a *App) lookup(id string) (int64, *Error) {
	if a.shop.db == nil {
		return 0, noDatabase()
	}
	return parseID(id)
}

// PlaceOrder sends an order through the queue and waits for it.
func (a *App) PlaceOrder(ctx context.Context, body []byte) (PlacedOrder, *Error) {
	if a.shop.orders == nil {
		return PlacedOrder{}, noDatabase()
	}
	order, err := parseOrder(body)
	if err != nil {
		return PlacedOrder{}, err
	}
	return a.shop.orders.submit(ctx, order)
}

func noDatabase() *Error {
	return &Error{Status: http.StatusServiceUnavailable, Code: "no_database", Message: "this service was started without a database (DATABASE_URL)"}
}

func databaseFailed() *Error {
	return &Error{Status: http.StatusServiceUnavailable, Code: "database", Message: "the database did not answer"}
}

func busy() *Error {
	return &Error{
		Status: http.StatusServiceUnavailable, Code: "busy", Message: "the order queue is full",
		Header: map[string]string{"Retry-After": "1"},
	}
}

func invalidPage(field, message string) *Error {
	return &Error{Status: http.StatusUnprocessableEntity, Code: "invalid_page", Message: message, Field: field}
}

func invalidOrder(field, message string) *Error {
	return &Error{Status: http.StatusUnprocessableEntity, Code: "invalid_order", Message: message, Field: field}
}

func unknownUser() *Error {
	return &Error{Status: http.StatusUnprocessableEntity, Code: "unknown_user", Message: "no such user", Field: "user_id"}
}

func unknownProduct(item int) *Error {
	return &Error{Status: http.StatusUnprocessableEntity, Code: "unknown_product", Message: "no such product", Record: &item, Field: "items.product_id"}
}
