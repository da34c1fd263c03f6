//! Which part of a list is asked for.

use crate::{Error, number};

/// A page of a list in the order of ids.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// The last id before the page.
    pub after: i64,
    /// How many entries the page has at most.
    pub limit: i64,
}

impl Page {
    /// The page that a query asks for; parameters that mean nothing here are ignored.
    ///
    /// # Errors
    /// Names the first bad parameter.
    pub fn parse(query: &str) -> Result<Self, Error> {
        let parameter = |name, default, valid: fn(&i64) -> bool| {
            let mut given = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
            match (given.next(), given.next()) {
                (None, _) => Ok(default),
                (Some((_, text)), None) => number::plain(&text)
                    .filter(valid)
                    .ok_or(Error::InvalidPage { field: name }),
                _ => Err(Error::InvalidPage { field: name }),
            }
        };
        Ok(Self {
            after: parameter("after", 0, |_| true)?,
            limit: parameter("limit", 20, |limit| (1..=100).contains(limit))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages() {
        for (query, after, limit) in [
            ("", 0, 20),
            ("limit=100&after=980", 980, 100),
            ("x=1&x=2&Limit=0&limit=%31", 0, 1),
            ("after=9223372036854775807&", i64::MAX, 20),
        ] {
            assert_eq!(Page::parse(query), Ok(Page { after, limit }), "{query}");
        }
        for (query, field) in [
            ("after=", "after"),
            ("after", "after"),
            ("after=-1", "after"),
            ("after=1&after=1", "after"),
            ("limit=0&after=x", "after"),
            ("after=9223372036854775808", "after"),
            ("limit=0", "limit"),
            ("limit=101", "limit"),
            ("limit=+5", "limit"),
            ("limit=05", "limit"),
            ("limit=5&limit=5", "limit"),
        ] {
            assert_eq!(
                Page::parse(query),
                Err(Error::InvalidPage { field }),
                "{query}"
            );
        }
    }
}
