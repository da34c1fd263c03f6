//! Limits that are part of the contract, equal in both languages, and what the environment sets. The fairness knobs of
//! the build stand in `[profile.release]` of the workspace.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Bytes a request body may have.
pub const BODY_LIMIT: usize = 1 << 20;
/// Bytes a WebSocket message may have.
pub const MESSAGE_LIMIT: usize = 1 << 16;
/// Records a batch may have.
pub const RECORD_LIMIT: usize = 1000;
/// Links one process keeps in memory.
pub const LINK_LIMIT: usize = 1_000_000;
/// Time for requests in flight at shutdown, and for the orders that wait.
pub const DRAIN: Duration = Duration::from_secs(5);
/// Time for the database to answer at the start.
pub const CONNECT: Duration = Duration::from_secs(10);

/// What the environment sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where to listen: `ADDR` as it is, else loopback on `PORT`, else loopback on 8080.
    pub addr: String,
    /// `DATABASE_URL`: the database, if there is one.
    pub database: Option<String>,
    /// `LINKS`: where links live.
    pub links: Home,
    /// `POOL_SIZE`: connections to the database.
    pub pool_size: usize,
    /// `ORDER_WORKERS`: orders in work at a time.
    pub order_workers: usize,
    /// `ORDER_QUEUE`: orders that may wait.
    pub order_queue: usize,
}

/// Where links live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home {
    /// In the process.
    Memory,
    /// In the database.
    Postgres,
}

/// A variable that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("reading {name}: unexpected {value:?}: expected {expected}")]
pub struct Invalid {
    name: &'static str,
    value: String,
    expected: String,
}

impl Settings {
    /// Reads the environment; an empty variable is as good as none.
    ///
    /// # Errors
    /// Names the first variable that cannot be used, and what it may be.
    pub fn read(env: impl Fn(&str) -> Option<String>) -> Result<Self, Invalid> {
        let set = |name| env(name).filter(|value| !value.is_empty());
        let number = |name, default, range: RangeInclusive<usize>| match set(name) {
            None => Ok(default),
            Some(value) => match value.parse() {
                Ok(number) if range.contains(&number) => Ok(number),
                _ => Err(Invalid {
                    name,
                    value,
                    expected: format!("a whole number from {} to {}", range.start(), range.end()),
                }),
            },
        };
        let port = || set("PORT").unwrap_or_else(|| "8080".into());
        Ok(Self {
            addr: set("ADDR").unwrap_or_else(|| format!("127.0.0.1:{}", port())),
            database: set("DATABASE_URL"),
            links: match set("LINKS").as_deref() {
                None | Some("memory") => Home::Memory,
                Some("postgres") => Home::Postgres,
                Some(value) => {
                    return Err(Invalid {
                        name: "LINKS",
                        value: value.into(),
                        expected: "memory or postgres".into(),
                    });
                }
            },
            pool_size: number("POOL_SIZE", 8, 1..=64)?,
            order_workers: number("ORDER_WORKERS", 4, 1..=64)?,
            order_queue: number("ORDER_QUEUE", 64, 1..=10_000)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, String> {
        Settings::read(|name| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).into())
        })
        .map_err(|invalid| invalid.to_string())
    }

    #[test]
    fn defaults() {
        let settings = read(&[("ADDR", ""), ("LINKS", "")]).unwrap();
        let expected = Settings {
            addr: "127.0.0.1:8080".into(),
            database: None,
            links: Home::Memory,
            pool_size: 8,
            order_workers: 4,
            order_queue: 64,
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn addresses() {
        assert_eq!(read(&[("PORT", "1")]).unwrap().addr, "127.0.0.1:1");
        assert_eq!(read(&[("PORT", "1"), ("ADDR", ":2")]).unwrap().addr, ":2");
    }

    #[test]
    fn refusals() {
        for (name, value, expected) in [
            ("LINKS", "disk", "memory or postgres"),
            ("POOL_SIZE", "0", "a whole number from 1 to 64"),
            ("ORDER_WORKERS", "65", "a whole number from 1 to 64"),
            ("ORDER_QUEUE", "x", "a whole number from 1 to 10000"),
        ] {
            let text = format!("reading {name}: unexpected {value:?}: expected {expected}");
            assert_eq!(read(&[(name, value)]), Err(text));
        }
    }
}
