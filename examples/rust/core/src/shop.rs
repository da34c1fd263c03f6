//! Users, and what they order.

use crate::database::{Database, History, Receipt, User, Users};
use crate::orders::{Order, Orders, Placed};
use crate::page::Page;
use crate::settings::Settings;
use crate::{Error, number};

/// The shop's database, and the queue of orders before it.
#[derive(Debug)]
pub struct Shop {
    database: Database,
    orders: Orders,
}

impl Shop {
    /// A shop with the workers and the queue that `settings` ask for.
    pub(crate) fn open(database: Database, settings: &Settings) -> Self {
        let store = database.clone();
        let orders = Orders::start(settings.order_workers, settings.order_queue, move |order| {
            let store = store.clone();
            async move { store.place(&order).await }
        });
        Self { database, orders }
    }

    /// The user whose id stands in a path.
    ///
    /// # Errors
    /// There is no such user.
    pub async fn user(&self, id: &str) -> Result<User, Error> {
        let id = number::id(id).ok_or(Error::NotFound)?;
        self.database.user(id).await
    }

    /// The users of the page that a query asks for.
    ///
    /// # Errors
    /// The query is bad.
    pub async fn users(&self, query: &str) -> Result<Users, Error> {
        self.database.users(Page::parse(query)?).await
    }

    /// The newest orders of the user whose id stands in a path.
    ///
    /// # Errors
    /// There is no such user.
    pub async fn history(&self, id: &str) -> Result<History, Error> {
        let id = number::id(id).ok_or(Error::NotFound)?;
        self.database.history(id).await
    }

    /// The order whose id stands in a path.
    ///
    /// # Errors
    /// There is no such order.
    pub async fn order(&self, id: &str) -> Result<Receipt, Error> {
        let id = number::id(id).ok_or(Error::NotFound)?;
        self.database.order(id).await
    }

    /// Places the order of a body: through the queue, by one of the workers.
    ///
    /// # Errors
    /// The body is no order, the queue is full, or the order names nobody or nothing.
    pub async fn place(&self, body: &[u8]) -> Result<Placed, Error> {
        self.orders.submit(Order::parse(body)?).await
    }

    /// Waits until the orders in the queue are placed; no more are taken.
    pub(crate) async fn finish(&self) {
        self.orders.finish().await;
    }
}
