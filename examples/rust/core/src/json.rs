//! Reading JSON documents as the contract does.

use serde::de::{Deserializer, IgnoredAny, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

use crate::Error;

/// Whether a content-type is that of JSON.
#[must_use]
pub fn is_json(content_type: &str) -> bool {
    let media = content_type.split(';').next().unwrap_or_default();
    media.trim().eq_ignore_ascii_case("application/json")
}

/// The document of a body, or nothing where it is JSON but no such document.
///
/// # Errors
/// The body is not JSON.
pub fn document<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<Option<T>, Error> {
    let text = std::str::from_utf8(body).map_err(|_| Error::BadJson)?;
    match serde_json::from_str::<Object<T>>(text) {
        Ok(Object(document)) => Ok(Some(document)),
        // A wrong type may come before a syntax error, which counts more.
        Err(_) if serde_json::from_str::<IgnoredAny>(text).is_ok() => Ok(None),
        Err(_) => Err(Error::BadJson),
    }
}

/// A struct read from an object alone: serde's derive would also take an array, field by field.
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(AsMap(deserializer)).map(Self)
    }
}

/// Asks for a map where a struct is wanted.
struct AsMap<D>(D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for AsMap<D> {
    type Error = D::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
