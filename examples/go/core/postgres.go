//go:build !lean

package core

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// database is PostgreSQL, with the tables of examples/contract/schema.sql. Its statements are prepared once a
// connection, by pgx's cache; the Rust services send the same text.
type database struct {
	pool *pgxpool.Pool
}

// connect opens every connection of a pool, so that no request pays for one. It keeps trying for connectTime: the
// database may be starting, too.
func connect(ctx context.Context, url string, connections int) (*database, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("reading DATABASE_URL: %w", err) // pgx leaves the password out
	}
	config.MinConns, config.MaxConns = int32(connections), int32(connections)
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connecting to the database: %w", err)
	}
	for {
		err := openAll(ctx, pool, connections)
		if err == nil {
			return &database{pool: pool}, nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			pool.Close()
			return nil, fmt.Errorf("connecting to the database: %w", err)
		}
	}
}

// openAll holds all connections at the same time, for a moment.
func openAll(ctx context.Context, pool *pgxpool.Pool, connections int) error {
	var held []*pgxpool.Conn
	defer func() {
		for _, c := range held {
			c.Release()
		}
	}()
	for range connections {
		c, err := pool.Acquire(ctx)
		if err != nil {
			return err
		}
		held = append(held, c)
	}
	return nil
}

func (d *database) close() { d.pool.Close() }

// refusal is what a client is told about err: that nothing is there, or that the database failed.
func refusal(err error) *Error {
	var refused *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		return refused
	case errors.Is(err, pgx.ErrNoRows):
		return NotFound()
	default:
		return databaseFailed()
	}
}

func (d *database) user(ctx context.Context, id int64) (User, *Error) {
	rows, _ := d.pool.Query(ctx, `SELECT id, name, email, city FROM users WHERE id = $1`, id) // the error comes with the rows
	user, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[User])
	return user, refusal(err)
}

func (d *database) users(ctx context.Context, p page) (UserPage, *Error) {
	rows, _ := d.pool.Query(ctx, `SELECT id, name, email, city FROM users WHERE id > $1 ORDER BY id LIMIT $2`, p.after, p.limit)
	users, err := pgx.CollectRows(rows, pgx.RowToStructByPos[User])
	if err != nil {
		return UserPage{}, refusal(err)
	}
	return UserPage{Users: users, Next: p.next(users)}, nil
}

// userOrders is one query over four tables; a user without orders has one row of it, with nothing behind the name.
func (d *database) userOrders(ctx context.Context, id int64) (UserOrders, *Error) {
	rows, _ := d.pool.Query(ctx, `SELECT u.id, u.name, o.id, o.total_cents, p.name, i.quantity, i.price_cents
FROM users u
LEFT JOIN LATERAL (SELECT id, total_cents FROM orders WHERE user_id = u.id ORDER BY id DESC LIMIT 20) o ON true
LEFT JOIN order_items i ON i.order_id = o.id
LEFT JOIN products p ON p.id = i.product_id
WHERE u.id = $1
ORDER BY o.id DESC, i.line`, id)
	answer := UserOrders{Orders: []UserOrder{}}
	var order, total, price *int64
	var product *string
	var quantity *int
	columns := []any{&answer.User.ID, &answer.User.Name, &order, &total, &product, &quantity, &price}
	tag, err := pgx.ForEachRow(rows, columns, func() error {
		if order == nil {
			return nil
		}
		if n := len(answer.Orders); n == 0 || answer.Orders[n-1].ID != *order {
			answer.Orders = append(answer.Orders, UserOrder{ID: *order, TotalCents: *total, Items: []ProductItem{}})
		}
		if product != nil {
			last := &answer.Orders[len(answer.Orders)-1]
			last.Items = append(last.Items, ProductItem{Product: *product, Quantity: *quantity, PriceCents: *price})
		}
		return nil
	})
	if err == nil && tag.RowsAffected() == 0 {
		return UserOrders{}, NotFound()
	}
	return answer, refusal(err)
}

func (d *database) order(ctx context.Context, id int64) (Order, *Error) {
	rows, _ := d.pool.Query(ctx, `SELECT o.id, o.user_id, o.total_cents, i.product_id, i.quantity, i.price_cents
FROM orders o LEFT JOIN order_items i ON i.order_id = o.id WHERE o.id = $1 ORDER BY i.line`, id)
	order := Order{Items: []OrderItem{}}
	var product, price *int64
	var quantity *int
	columns := []any{&order.ID, &order.UserID, &order.TotalCents, &product, &quantity, &price}
	tag, err := pgx.ForEachRow(rows, columns, func() error {
		if product != nil {
			order.Items = append(order.Items, OrderItem{ProductID: *product, Quantity: *quantity, PriceCents: *price})
		}
		return nil
	})
	if err == nil && tag.RowsAffected() == 0 {
		return Order{}, NotFound()
	}
	return order, refusal(err)
}

// place writes an order in one transaction.
func (d *database) place(ctx context.Context, order NewOrder) (PlacedOrder, *Error) {
	placed := PlacedOrder{UserID: order.UserID, Items: len(order.Items)}
	err := pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		var known bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM users WHERE id = $1)`, order.UserID).Scan(&known); err != nil {
			return err
		}
		if !known {
			return unknownUser()
		}
		rows, err := price(ctx, tx, order.Items)
		if err != nil {
			return err
		}
		for i, cents := range rows.prices {
			placed.TotalCents += cents * rows.quantities[i]
		}
		err = tx.QueryRow(ctx, `INSERT INTO orders (user_id, total_cents) VALUES ($1, $2) RETURNING id`, order.UserID, placed.TotalCents).Scan(&placed.ID)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO order_items (order_id, line, product_id, quantity, price_cents)
SELECT $1, line, product_id, quantity, price_cents
FROM unnest($2::bigint[], $3::int[], $4::bigint[]) WITH ORDINALITY AS t (product_id, quantity, price_cents, line)`,
			placed.ID, rows.products, rows.quantities, rows.prices)
		return err
	})
	if err != nil {
		return PlacedOrder{}, refusal(err)
	}
	return placed, nil
}

// itemRows are an order's items as the columns they are inserted as.
type itemRows struct {
	products, quantities, prices []int64
}

// price looks up what the items cost today.
func price(ctx context.Context, tx pgx.Tx, items []NewItem) (itemRows, error) {
	var r itemRows
	for _, item := range items {
		r.products, r.quantities = append(r.products, item.ProductID), append(r.quantities, item.Quantity)
	}
	rows, _ := tx.Query(ctx, `SELECT id, price_cents FROM products WHERE id = ANY($1)`, r.products)
	known := make(map[int64]int64, len(items))
	var id, cents int64
	if _, err := pgx.ForEachRow(rows, []any{&id, &cents}, func() error {
		known[id] = cents
		return nil
	}); err != nil {
		return itemRows{}, err
	}
	for i, product := range r.products {
		cents, ok := known[product]
		if !ok {
			return itemRows{}, unknownProduct(i)
		}
		r.prices = append(r.prices, cents)
	}
	return r, nil
}

// The links of LINKS=postgres.

func (d *database) add(ctx context.Context, url string) (Link, *Error) {
	var number int64
	if err := d.pool.QueryRow(ctx, `SELECT nextval(pg_get_serial_sequence('links', 'number'))`).Scan(&number); err != nil {
		return Link{}, refusal(err)
	}
	link := Link{Code: Code(uint64(number - 1)), URL: url}
	_, err := d.pool.Exec(ctx, `INSERT INTO links (number, code, url) VALUES ($1, $2, $3)`, number, link.Code, link.URL)
	return link, refusal(err)
}

func (d *database) follow(ctx context.Context, code string) (string, *Error) {
	if !isCode(code) {
		return "", NotFound()
	}
	var url string
	err := d.pool.QueryRow(ctx, `UPDATE links SET hits = hits + 1 WHERE code = $1 RETURNING url`, code).Scan(&url)
	return url, refusal(err)
}

func (d *database) stats(ctx context.Context, code string) (Link, *Error) {
	if !isCode(code) {
		return Link{}, NotFound()
	}
	link := Link{Code: code}
	err := d.pool.QueryRow(ctx, `SELECT url, hits FROM links WHERE code = $1`, code).Scan(&link.URL, &link.Hits)
	return link, refusal(err)
}
