//! A URL shortener in memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use serde::{Deserialize, Serialize};

#[cfg(feature = "full")]
use crate::Database;
use crate::{Error, json, text};

/// A shortened URL as clients see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    /// The short code.
    pub code: String,
    /// Where it leads.
    pub url: String,
    /// Redirects so far.
    pub hits: u64,
}

/// The shortened URLs, wherever they live.
#[derive(Debug)]
pub enum Links {
    /// In the process, and gone with it.
    Memory(Memory),
    /// In the database.
    #[cfg(feature = "full")]
    Postgres(Database),
}

#[cfg_attr(not(feature = "full"), allow(clippy::unused_async))]
impl Links {
    /// An empty store in memory for at most `limit` links.
    #[must_use]
    pub fn in_memory(limit: usize) -> Self {
        Self::Memory(Memory::new(limit))
    }

    /// Shortens the URL of the document `{"url": "…"}`. Each call makes a new link.
    ///
    /// # Errors
    /// The body is no such document, the URL breaks the rule, or the store is full.
    pub async fn create(&self, body: &[u8]) -> Result<Link, Error> {
        let url = parse(body)?;
        match self {
            Self::Memory(memory) => memory.create(url),
            #[cfg(feature = "full")]
            Self::Postgres(database) => database.create_link(url).await,
        }
    }

    /// Where `code` leads; counts the hit.
    ///
    /// # Errors
    /// There is no such link.
    pub async fn follow(&self, code: &str) -> Result<String, Error> {
        if !is_code(code) {
            return Err(Error::NotFound);
        }
        match self {
            Self::Memory(memory) => memory.follow(code),
            #[cfg(feature = "full")]
            Self::Postgres(database) => database.follow(code).await,
        }
    }

    /// The link of `code`.
    ///
    /// # Errors
    /// There is no such link.
    pub async fn stats(&self, code: &str) -> Result<Link, Error> {
        if !is_code(code) {
            return Err(Error::NotFound);
        }
        match self {
            Self::Memory(memory) => memory.stats(code),
            #[cfg(feature = "full")]
            Self::Postgres(database) => database.link(code).await,
        }
    }
}

/// The shortened URLs of one process.
#[derive(Debug)]
pub struct Memory {
    by_code: RwLock<HashMap<String, Entry>>,
    limit: usize,
}

#[derive(Debug)]
struct Entry {
    url: String,
    hits: AtomicU64,
}

impl Memory {
    fn new(limit: usize) -> Self {
        Self {
            by_code: RwLock::default(),
            limit,
        }
    }

    fn create(&self, url: String) -> Result<Link, Error> {
        // A panic cannot leave the map half changed, so a poisoned lock is as good as any.
        let mut by_code = self.by_code.write().unwrap_or_else(PoisonError::into_inner);
        if by_code.len() >= self.limit {
            return Err(Error::StoreFull);
        }
        let code = code(by_code.len() as u64);
        by_code.insert(
            code.clone(),
            Entry {
                url: url.clone(),
                hits: AtomicU64::new(0),
            },
        );
        Ok(Link { code, url, hits: 0 })
    }

    fn follow(&self, code: &str) -> Result<String, Error> {
        self.with(code, |entry| {
            entry.hits.fetch_add(1, Ordering::Relaxed);
            entry.url.clone()
        })
    }

    fn stats(&self, code: &str) -> Result<Link, Error> {
        self.with(code, |entry| Link {
            code: code.into(),
            url: entry.url.clone(),
            hits: entry.hits.load(Ordering::Relaxed),
        })
    }

    fn with<T>(&self, code: &str, then: impl FnOnce(&Entry) -> T) -> Result<T, Error> {
        let by_code = self.by_code.read().unwrap_or_else(PoisonError::into_inner);
        by_code.get(code).map(then).ok_or(Error::NotFound)
    }
}

fn parse(body: &[u8]) -> Result<String, Error> {
    #[derive(Deserialize)]
    struct Document {
        url: String,
    }
    json::document(body)?
        .map(|document: Document| document.url)
        .filter(|url| valid_url(url))
        .ok_or(Error::InvalidUrl)
}

/// http or https, a host, printable ASCII, 2048 characters: stricter and simpler than any parser, so that
/// every service can state the same rule.
fn valid_url(url: &str) -> bool {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', '?', '#']))
        && url.len() <= 2048
        && text::is_printable(url)
}

const CODE_LEN: usize = 6;
const CODES: u64 = 62_u64.pow(6);
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

fn is_code(s: &str) -> bool {
    s.len() == CODE_LEN && s.bytes().all(|c| c.is_ascii_alphanumeric())
}

/// The `n`-th short code: `n` is sent through an affine permutation of `0..62^6`, so that codes are distinct
/// and equal in every service without looking consecutive. `n` must be below `62^6`.
/// The factor shares no divisor with `62^6` and is small enough that the product fits in 64 bits.
#[must_use]
pub fn code(n: u64) -> String {
    const FACTOR: u64 = 268_435_399;
    const SHIFT: u64 = 28_211_099_074;
    let mut x = (n * FACTOR + SHIFT) % CODES;
    let mut digits = [0; CODE_LEN];
    for digit in digits.iter_mut().rev() {
        // The remainder is below 62.
        *digit = ALPHABET[usize::try_from(x % 62).unwrap_or_default()];
        x /= 62;
    }
    digits.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_contract() {
        // The same vectors stand in examples/go/core/links_test.go.
        assert_eq!([0, 1, 2, 999_999].map(code), CODE_VECTORS);
        let all: std::collections::HashSet<_> = (0..10_000).map(code).collect();
        assert_eq!(all.len(), 10_000);
        assert_eq!(code(CODES - 1).len(), CODE_LEN);
    }

    const CODE_VECTORS: [&str; 4] = ["UnCtb0", "V5NDuD", "VNXYDQ", "RksWnD"];

    #[test]
    fn create_follow_stats() {
        let links = Memory::new(2);
        let link = links.create("https://example.org/a?b#c".into()).unwrap();
        assert_eq!(link.code, code(0));
        assert_eq!(links.follow(&link.code).unwrap(), link.url);
        assert_eq!(links.stats(&link.code).unwrap().hits, 1);
        assert_eq!(links.follow("000000"), Err(Error::NotFound));
        links.create("http://x".into()).unwrap();
        assert_eq!(links.create("http://x".into()), Err(Error::StoreFull));
    }

    #[test]
    fn codes_have_one_shape() {
        assert!(is_code("aZ09bY"));
        for text in ["", "links", "abcdefg", "abc-ef", "ééé"] {
            assert!(!is_code(text), "{text}");
        }
    }

    #[test]
    fn urls() {
        assert_eq!(
            parse(br#"{"url":"https://example.org/a?b#c","x":1}"#).unwrap(),
            "https://example.org/a?b#c"
        );
        let long = format!("https://{}", "x".repeat(2041));
        for url in [
            "",
            "example.org",
            "ftp://x",
            "HTTP://x",
            "https://",
            "https:///x",
            "http://?q",
            "http://a b",
            "http://é",
            &long,
        ] {
            let body = serde_json::json!({ "url": url }).to_string();
            assert_eq!(parse(body.as_bytes()), Err(Error::InvalidUrl), "{url}");
        }
        for body in [
            "null",
            "{}",
            "[]",
            r#"["http://x"]"#,
            r#"{"url":null}"#,
            r#"{"url":5}"#,
        ] {
            assert_eq!(parse(body.as_bytes()), Err(Error::InvalidUrl), "{body}");
        }
        for body in ["", "{", r#"{"url":5,"#, r#"{"url":"http://x"} x"#] {
            assert_eq!(parse(body.as_bytes()), Err(Error::BadJson), "{body}");
        }
        assert_eq!(
            parse(b"{\"url\":\"http://x\",\"a\":\"\xff\"}"),
            Err(Error::BadJson)
        );
    }
}
