-- What the vectors need and data.sql has not: ids that no sequence reaches.

INSERT INTO users (id, name, email, city) VALUES
  (9001, 'Without Orders', 'without@example.com', 'Kiel'),
  (9002, 'With Many "Orders" & <More>', 'many@example.com', 'Łódź'),
  (9223372036854775807, 'The Last One', 'last@example.com', 'Lund');

INSERT INTO orders (id, user_id, total_cents)
SELECT n, 9002, n FROM generate_series(900001, 900021) AS n;

-- 900001, the oldest, is beyond the 20 that are shown. 900002 has no items, the newest has two of one product.
INSERT INTO order_items (order_id, line, product_id, quantity, price_cents)
SELECT n, 1, 1, 1, n FROM generate_series(900003, 900021) AS n;
INSERT INTO order_items (order_id, line, product_id, quantity, price_cents) VALUES (900021, 2, 1, 1000, 9999);
