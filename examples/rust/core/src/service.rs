//! What one process serves, from its start to its end.

use std::future::Future;

use tokio::sync::watch;
use tokio::time::{self, Instant};

use crate::Links;
#[cfg(feature = "full")]
use crate::database::{ConnectError, Database};
use crate::settings::{DRAIN, Home, LINK_LIMIT, Settings};
#[cfg(feature = "full")]
use crate::{Error, Shop};

/// What the requests of one process share.
#[derive(Debug)]
pub struct Service {
    /// The shortened URLs.
    pub links: Links,
    #[cfg(feature = "full")]
    shop: Option<Shop>,
    stopping: watch::Sender<Option<Instant>>, // when the drain ends, once it has begun
}

/// The service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Links cannot live in a database that is not there.
    #[error("reading LINKS: postgres needs a database: set DATABASE_URL")]
    NoDatabase,
    /// The database cannot be used.
    #[cfg(feature = "full")]
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Nothing in this build speaks to a database.
    #[cfg(not(feature = "full"))]
    #[error(
        "reading DATABASE_URL: this build has no database: unset it, or build with the feature full"
    )]
    Lean,
}

impl Service {
    /// A service without a database.
    #[must_use]
    pub fn in_memory() -> Self {
        Self {
            links: Links::in_memory(LINK_LIMIT),
            #[cfg(feature = "full")]
            shop: None,
            stopping: watch::Sender::new(None),
        }
    }

    /// The service that `settings` ask for, connected to its database.
    ///
    /// # Errors
    /// The database is missing or out of reach.
    #[cfg_attr(not(feature = "full"), allow(clippy::unused_async))]
    pub async fn start(settings: &Settings) -> Result<Self, StartError> {
        match (&settings.database, settings.links) {
            (None, Home::Memory) => Ok(Self::in_memory()),
            (None, Home::Postgres) => Err(StartError::NoDatabase),
            #[cfg(feature = "full")]
            (Some(url), links) => {
                let database = Database::connect(url, settings.pool_size).await?;
                Ok(Self {
                    links: match links {
                        Home::Memory => Links::in_memory(LINK_LIMIT),
                        Home::Postgres => Links::Postgres(database.clone()),
                    },
                    shop: Some(Shop::open(database, settings)),
                    ..Self::in_memory()
                })
            }
            #[cfg(not(feature = "full"))]
            (Some(_), _) => Err(StartError::Lean),
        }
    }

    /// What needs a database.
    ///
    /// # Errors
    /// The service has none.
    #[cfg(feature = "full")]
    pub fn shop(&self) -> Result<&Shop, Error> {
        self.shop.as_ref().ok_or(Error::NoDatabase)
    }

    /// Says that the service is to stop: [`DRAIN`] begins.
    pub fn stop(&self) {
        self.stopping.send_replace(Some(Instant::now() + DRAIN));
    }

    /// For whoever stays after the answer, as a WebSocket does. [`Service::finish`] waits until it is dropped.
    #[must_use]
    pub fn stay(&self) -> Stay {
        Stay(self.stopping.subscribe())
    }

    /// Waits until waiting orders are placed and all who stay are gone, to the end of the drain at most.
    pub async fn finish(&self) {
        self.within_drain(async {
            #[cfg(feature = "full")]
            if let Some(shop) = &self.shop {
                shop.finish().await;
            }
            self.stopping.closed().await;
        })
        .await;
    }

    /// Waits until all who stay are gone, to the end of the drain at most.
    pub async fn empty(&self) {
        self.within_drain(self.stopping.closed()).await;
    }

    async fn within_drain(&self, done: impl Future<Output = ()>) {
        let end = self.stopping.borrow().unwrap_or_else(Instant::now);
        // Who is not done by then has had the time.
        let _ = time::timeout_at(end, done).await;
    }
}

/// Somebody who stays until the service stops.
#[derive(Debug)]
pub struct Stay(watch::Receiver<Option<Instant>>);

impl Stay {
    /// Waits until the service is told to stop.
    pub async fn over(&mut self) {
        // An error says that the service is gone.
        let _ = self.0.wait_for(Option::is_some).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(links: Home, database: Option<&str>) -> Settings {
        Settings {
            links,
            database: database.map(Into::into),
            ..Settings::read(|_| None).unwrap()
        }
    }

    #[tokio::test]
    async fn a_start_without_a_database() {
        let service = Service::start(&settings(Home::Memory, None)).await.unwrap();
        assert!(matches!(service.links, Links::Memory(_)));
        let refusal = Service::start(&settings(Home::Postgres, None)).await;
        assert!(matches!(refusal, Err(StartError::NoDatabase)));
    }

    #[cfg(feature = "full")]
    #[tokio::test]
    async fn a_url_that_means_nothing() {
        let refusal = Service::start(&settings(
            Home::Memory,
            Some("postgres://u:secret@h:port/d"),
        ))
        .await;
        let text = refusal.unwrap_err().to_string();
        assert!(
            text.starts_with("reading DATABASE_URL: ") && !text.contains("secret"),
            "{text}"
        );
    }

    // Time stands still but for the timers.
    #[cfg(feature = "full")]
    #[tokio::test(start_paused = true)]
    async fn a_database_out_of_reach() {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let url = format!("postgres://u:secret@{nobody}/d");
        let start = Instant::now();
        let refusal = Service::start(&settings(Home::Memory, Some(&url))).await;
        let text = refusal.unwrap_err().to_string();
        assert!(
            text.contains("connecting to the database") && !text.contains("secret"),
            "{text}"
        );
        assert!(start.elapsed() <= crate::settings::CONNECT);
    }

    #[tokio::test(start_paused = true)]
    async fn who_stays_is_waited_for_to_the_end_of_the_drain() {
        let service = Service::in_memory();
        let mut stay = service.stay();
        service.stop();
        stay.over().await;
        let start = Instant::now();
        service.finish().await;
        assert_eq!(start.elapsed(), DRAIN);
        drop(stay);
        service.stop();
        let start = Instant::now();
        service.finish().await;
        assert_eq!(start.elapsed(), std::time::Duration::ZERO);
    }
}
