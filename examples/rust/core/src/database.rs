//! Users, products, orders and links in `PostgreSQL`. The Go services ask in the same words.

use std::io::{self, Write};
use std::time::Duration;

use deadpool_postgres::tokio_postgres::types::ToSql;
use deadpool_postgres::tokio_postgres::{self as postgres, Config, NoTls, Row};
use deadpool_postgres::{Manager, Pool, PoolError};
use serde::Serialize;
use tokio::time::{self, Instant};

use crate::links::{Link, code};
use crate::orders::{Order, Placed};
use crate::page::Page;
use crate::{Error, settings};

/// A user as clients see it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct User {
    id: i64,
    name: String,
    email: String,
    city: String,
}

/// A part of the list of users.
#[derive(Debug, Serialize)]
pub struct Users {
    users: Vec<User>,
    next: Option<i64>, // the last id of a full page
}

/// A user with the newest orders.
#[derive(Debug, Serialize)]
pub struct History {
    user: Buyer,
    orders: Vec<Bought>,
}

#[derive(Debug, Serialize)]
struct Buyer {
    id: i64,
    name: String,
}

#[derive(Debug, Serialize)]
struct Bought {
    id: i64,
    total_cents: i64,
    items: Vec<BoughtItem>,
}

#[derive(Debug, Serialize)]
struct BoughtItem {
    product: String,
    quantity: i32,
    price_cents: i64,
}

/// An order as it was placed.
#[derive(Debug, Serialize)]
pub struct Receipt {
    id: i64,
    user_id: i64,
    total_cents: i64,
    items: Vec<ReceiptItem>,
}

#[derive(Debug, Serialize)]
struct ReceiptItem {
    product_id: i64,
    quantity: i32,
    price_cents: i64,
}

/// A pool of connections.
#[derive(Debug, Clone)]
pub struct Database {
    pool: Pool,
}

/// The database cannot be used. No message holds the password.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL means nothing.
    #[error("reading DATABASE_URL: {0}: expected postgres://user:password@host:port/database")]
    Url(postgres::Error),
    /// The pool cannot be made.
    #[error("making the database pool: {0}")]
    Pool(#[from] deadpool_postgres::BuildError),
    /// The database refuses.
    #[error("connecting to the database for {} s: {}", settings::CONNECT.as_secs(), causes(.0))]
    Refused(PoolError),
    /// The database is silent.
    #[error("connecting to the database for {} s: no answer", settings::CONNECT.as_secs())]
    Silent,
}

impl Database {
    /// Opens `size` connections, so that no request has to; tries for [`settings::CONNECT`].
    ///
    /// # Errors
    /// The URL means nothing, or the database could not be reached in time.
    pub async fn connect(url: &str, size: usize) -> Result<Self, ConnectError> {
        let config: Config = url.parse().map_err(ConnectError::Url)?;
        let pool = Pool::builder(Manager::new(config, NoTls))
            .max_size(size)
            .build()?;
        let database = Self { pool };
        let deadline = Instant::now() + settings::CONNECT;
        loop {
            let error = match time::timeout_at(deadline, database.open(size)).await {
                Ok(Ok(())) => return Ok(database),
                Ok(Err(error)) => error,
                Err(_) => return Err(ConnectError::Silent),
            };
            let next = Instant::now() + Duration::from_millis(100);
            if next >= deadline {
                return Err(ConnectError::Refused(error));
            }
            time::sleep_until(next).await;
        }
    }

    async fn open(&self, size: usize) -> Result<(), PoolError> {
        let mut open = Vec::with_capacity(size);
        for _ in 0..size {
            open.push(self.pool.get().await?);
        }
        Ok(())
    }

    /// The rows of a prepared statement.
    async fn rows(
        &self,
        statement: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, PoolError> {
        let client = self.pool.get().await?;
        let statement = client.prepare_cached(statement).await?;
        Ok(client.query(&statement, parameters).await?)
    }

    /// The user of an id.
    ///
    /// # Errors
    /// There is no such user.
    pub async fn user(&self, id: i64) -> Result<User, Error> {
        const USER: &str = "SELECT id, name, email, city FROM users WHERE id = $1";
        let rows = self.rows(USER, &[&id]).await?;
        Ok(User::read(rows.first().ok_or(Error::NotFound)?)?)
    }

    /// The users of a page.
    ///
    /// # Errors
    /// The database failed.
    pub async fn users(&self, page: Page) -> Result<Users, Error> {
        const USERS: &str =
            "SELECT id, name, email, city FROM users WHERE id > $1 ORDER BY id LIMIT $2";
        let rows = self.rows(USERS, &[&page.after, &page.limit]).await?;
        let users = rows.iter().map(User::read).collect::<Result<Vec<_>, _>>()?;
        let full = i64::try_from(users.len()) == Ok(page.limit);
        Ok(Users {
            next: users.last().filter(|_| full).map(|user| user.id),
            users,
        })
    }

    /// A user's 20 newest orders.
    ///
    /// # Errors
    /// There is no such user.
    pub async fn history(&self, user: i64) -> Result<History, Error> {
        const HISTORY: &str = "\
            SELECT u.id, u.name, o.id, o.total_cents, p.name, i.quantity, i.price_cents \
            FROM users u \
            LEFT JOIN LATERAL (SELECT id, total_cents FROM orders WHERE user_id = u.id ORDER BY id DESC LIMIT 20) o ON true \
            LEFT JOIN order_items i ON i.order_id = o.id \
            LEFT JOIN products p ON p.id = i.product_id \
            WHERE u.id = $1 \
            ORDER BY o.id DESC, i.line";
        let rows = self.rows(HISTORY, &[&user]).await?;
        let first = rows.first().ok_or(Error::NotFound)?;
        let mut history = History {
            user: Buyer {
                id: first.try_get(0)?,
                name: first.try_get(1)?,
            },
            orders: Vec::new(),
        };
        for row in &rows {
            history.add(row)?;
        }
        Ok(history)
    }

    /// The order of an id.
    ///
    /// # Errors
    /// There is no such order.
    pub async fn order(&self, id: i64) -> Result<Receipt, Error> {
        const ORDER: &str = "\
            SELECT o.id, o.user_id, o.total_cents, i.product_id, i.quantity, i.price_cents \
            FROM orders o LEFT JOIN order_items i ON i.order_id = o.id WHERE o.id = $1 ORDER BY i.line";
        let rows = self.rows(ORDER, &[&id]).await?;
        let first = rows.first().ok_or(Error::NotFound)?;
        let mut receipt = Receipt {
            id: first.try_get(0)?,
            user_id: first.try_get(1)?,
            total_cents: first.try_get(2)?,
            items: Vec::with_capacity(rows.len()),
        };
        for row in &rows {
            // Null for an order without items.
            if let Some(product_id) = row.try_get(3)? {
                receipt.items.push(ReceiptItem {
                    product_id,
                    quantity: row.try_get(4)?,
                    price_cents: row.try_get(5)?,
                });
            }
        }
        Ok(receipt)
    }

    /// Places an order, wholly or not at all.
    ///
    /// # Errors
    /// Names the unknown user, or the first unknown product.
    pub async fn place(&self, order: &Order) -> Result<Placed, Error> {
        const KNOWN: &str = "SELECT EXISTS (SELECT 1 FROM users WHERE id = $1)";
        const PRICES: &str = "SELECT id, price_cents FROM products WHERE id = ANY($1)";
        const INSERT: &str =
            "INSERT INTO orders (user_id, total_cents) VALUES ($1, $2) RETURNING id";
        const INSERT_ITEMS: &str = "\
            INSERT INTO order_items (order_id, line, product_id, quantity, price_cents) \
            SELECT $1, line, product_id, quantity, price_cents \
            FROM unnest($2::bigint[], $3::int[], $4::bigint[]) WITH ORDINALITY AS t (product_id, quantity, price_cents, line)";

        let mut client = self.pool.get().await?;
        // Rolled back where it is dropped without a commit.
        let transaction = client.transaction().await?;
        let known = transaction.prepare_cached(KNOWN).await?;
        if !transaction
            .query_one(&known, &[&order.user_id])
            .await?
            .try_get::<_, bool>(0)?
        {
            return Err(Error::UnknownUser);
        }
        let products: Vec<i64> = order.items.iter().map(|item| item.product_id).collect();
        let quantities: Vec<i32> = order.items.iter().map(|item| item.quantity).collect();
        let statement = transaction.prepare_cached(PRICES).await?;
        let prices = prices(order, &transaction.query(&statement, &[&products]).await?)?;
        let total: i64 = prices
            .iter()
            .zip(&quantities)
            .map(|(price, quantity)| price * i64::from(*quantity))
            .sum();
        let insert = transaction.prepare_cached(INSERT).await?;
        let id: i64 = transaction
            .query_one(&insert, &[&order.user_id, &total])
            .await?
            .try_get(0)?;
        let insert = transaction.prepare_cached(INSERT_ITEMS).await?;
        transaction
            .execute(&insert, &[&id, &products, &quantities, &prices])
            .await?;
        transaction.commit().await?;
        Ok(Placed {
            id,
            user_id: order.user_id,
            total_cents: total,
            items: order.items.len(),
        })
    }

    /// Keeps a new link.
    pub(crate) async fn create_link(&self, url: String) -> Result<Link, Error> {
        const NUMBER: &str = "SELECT nextval(pg_get_serial_sequence('links', 'number'))";
        const INSERT: &str = "INSERT INTO links (number, code, url) VALUES ($1, $2, $3)";
        let client = self.pool.get().await?;
        let statement = client.prepare_cached(NUMBER).await?;
        let number: i64 = client.query_one(&statement, &[]).await?.try_get(0)?;
        // A sequence counts from 1.
        let code = code(number.unsigned_abs() - 1);
        let statement = client.prepare_cached(INSERT).await?;
        client.execute(&statement, &[&number, &code, &url]).await?;
        Ok(Link { code, url, hits: 0 })
    }

    /// Where a link leads; counts the hit.
    pub(crate) async fn follow(&self, code: &str) -> Result<String, Error> {
        const FOLLOW: &str = "UPDATE links SET hits = hits + 1 WHERE code = $1 RETURNING url";
        let rows = self.rows(FOLLOW, &[&code]).await?;
        Ok(rows.first().ok_or(Error::NotFound)?.try_get(0)?)
    }

    /// The link of a code.
    pub(crate) async fn link(&self, code: &str) -> Result<Link, Error> {
        const LINK: &str = "SELECT url, hits FROM links WHERE code = $1";
        let rows = self.rows(LINK, &[&code]).await?;
        let row = rows.first().ok_or(Error::NotFound)?;
        Ok(Link {
            code: code.into(),
            url: row.try_get(0)?,
            hits: row.try_get::<_, i64>(1)?.unsigned_abs(),
        })
    }
}

impl User {
    fn read(row: &Row) -> Result<Self, postgres::Error> {
        Ok(Self {
            id: row.try_get(0)?,
            name: row.try_get(1)?,
            email: row.try_get(2)?,
            city: row.try_get(3)?,
        })
    }
}

impl History {
    /// Adds what a row says of an order: another of its items, or its first.
    fn add(&mut self, row: &Row) -> Result<(), postgres::Error> {
        // Null for a user without orders.
        let Some(id) = row.try_get(2)? else {
            return Ok(());
        };
        if self.orders.last().is_none_or(|order| order.id != id) {
            self.orders.push(Bought {
                id,
                total_cents: row.try_get(3)?,
                items: Vec::new(),
            });
        }
        // Null for an order without items.
        if let (Some(product), Some(order)) = (row.try_get(4)?, self.orders.last_mut()) {
            order.items.push(BoughtItem {
                product,
                quantity: row.try_get(5)?,
                price_cents: row.try_get(6)?,
            });
        }
        Ok(())
    }
}

/// The price of each item of an order.
fn prices(order: &Order, rows: &[Row]) -> Result<Vec<i64>, Error> {
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        let (id, price): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        found.push((id, price));
    }
    let price = |(record, product): (usize, i64)| {
        let known = found.iter().find(|(id, _)| *id == product);
        known
            .map(|(_, price)| *price)
            .ok_or(Error::UnknownProduct { record })
    };
    order
        .items
        .iter()
        .map(|item| item.product_id)
        .enumerate()
        .map(price)
        .collect()
}

/// Clients learn that the database failed, whoever runs the service learns why.
impl From<PoolError> for Error {
    fn from(error: PoolError) -> Self {
        report(&error);
        Self::Database
    }
}

impl From<postgres::Error> for Error {
    fn from(error: postgres::Error) -> Self {
        report(&error);
        Self::Database
    }
}

fn report(error: &dyn std::error::Error) {
    // Not eprintln!, which panics where nobody listens.
    let _ = writeln!(io::stderr(), "database: {}", causes(error));
}

/// An error and what led to it, in one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |error| error.source()) {
        let cause = cause.to_string();
        // The pool's own errors end with their cause already.
        if !text.ends_with(&cause) {
            text = text + ": " + &cause;
        }
    }
    text
}
