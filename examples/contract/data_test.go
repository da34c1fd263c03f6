package contract

import "testing"

// TestData holds the rows that data.sql makes to what README.md says of them.
func TestData(t *testing.T) {
	database := startPostgres(t)
	for query, want := range map[string]string{
		"SELECT count(*) FROM users WHERE id <= 1000":     "1000",
		"SELECT count(*) FROM products":                   "200",
		"SELECT count(*) FROM orders WHERE id <= 5000":    "5000",
		"SELECT count(*) FROM order_items WHERE line > 4": "0",
		"SELECT count(*) FROM orders o WHERE id <= 5000 AND total_cents <> (SELECT sum(quantity * price_cents) FROM order_items WHERE order_id = o.id)": "0",
		"SELECT count(*) FROM order_items i JOIN products p ON p.id = i.product_id WHERE order_id <= 5000 AND i.price_cents <> p.price_cents":           "0",
		"SELECT nextval(pg_get_serial_sequence('users', 'id'))":     "1001",
		"SELECT nextval(pg_get_serial_sequence('products', 'id'))":  "201",
		"SELECT nextval(pg_get_serial_sequence('orders', 'id'))":    "5001",
		"SELECT nextval(pg_get_serial_sequence('links', 'number'))": "1",
	} {
		if got := database.sql(t, template, query); got != want {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}
}
