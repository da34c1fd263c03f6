-- What a fresh database holds: 1,000 users, 200 products, 5,000 orders of 1 to 4 items. Every value follows from an id.

INSERT INTO users (id, name, email, city)
SELECT n, 'User ' || n, 'user' || n || '@example.com',
  (ARRAY['Athens', 'Bergen', 'Cork', 'Delft', 'Espoo', 'Faro', 'Graz', 'Huelva', 'Izmir', 'Jena'])[1 + n % 10]
FROM generate_series(1, 1000) AS n;

INSERT INTO products (id, name, price_cents)
SELECT n, 'Product ' || n, 100 + (n * 37) % 9900
FROM generate_series(1, 200) AS n;

CREATE TEMPORARY TABLE lines AS
SELECT n AS order_id, line, p.id AS product_id, 1 + (n + n / 1000 + line) % 5 AS quantity, p.price_cents
FROM generate_series(1, 5000) AS n
CROSS JOIN LATERAL generate_series(1, 1 + n % 4) AS line
JOIN products p ON p.id = 1 + (n * 13 + line * 29) % 200;

INSERT INTO orders (id, user_id, total_cents)
SELECT order_id, 1 + (order_id * 7) % 1000, sum(quantity * price_cents)
FROM lines GROUP BY order_id ORDER BY order_id;

INSERT INTO order_items (order_id, line, product_id, quantity, price_cents)
SELECT order_id, line, product_id, quantity, price_cents
FROM lines ORDER BY order_id, line;

DROP TABLE lines;

ALTER TABLE users ALTER COLUMN id RESTART WITH 1001;
ALTER TABLE products ALTER COLUMN id RESTART WITH 201;
ALTER TABLE orders ALTER COLUMN id RESTART WITH 5001;

ANALYZE;
