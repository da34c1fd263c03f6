//! The one error shape of the contract.

use serde::Serialize;

/// A refusal: what the client did wrong and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No such path, link, user or order.
    #[error("nothing is here")]
    NotFound,
    /// The path exists, for other methods.
    #[error("this path has other methods")]
    MethodNotAllowed,
    /// The body does not call itself `application/json`.
    #[error("content-type must be application/json")]
    NotJson,
    /// The body is over [`crate::settings::BODY_LIMIT`].
    #[error("body must be at most 1048576 bytes")]
    TooLarge,
    /// The body could not be read to its end.
    #[error("body ended early")]
    BadBody,
    /// The body is not JSON.
    #[error("body must be one JSON document in UTF-8")]
    BadJson,
    /// The body is JSON, but no batch.
    #[error("records must be an array of 1 to 1000 records")]
    InvalidBatch,
    /// A record has a bad field (or, with no field, is not an object).
    #[error("{}", rule(field))]
    InvalidRecord {
        /// Index in the batch, from 0.
        record: usize,
        /// Name of the first bad field, or empty.
        field: &'static str,
    },
    /// The URL cannot be shortened.
    #[error("url must be an absolute http or https URL of at most 2048 ASCII characters")]
    InvalidUrl,
    /// The store is at its limit.
    #[error("no more links can be kept")]
    StoreFull,
    /// A parameter of a list is bad.
    #[error("{}", wanted(field))]
    InvalidPage {
        /// The parameter's name.
        field: &'static str,
    },
    /// A field of an order is bad.
    #[error("{}", wanted(field))]
    InvalidOrder {
        /// Index of the item, from 0, where an item is to blame.
        record: Option<usize>,
        /// Name of the first bad field.
        field: &'static str,
    },
    /// The order is for nobody.
    #[error("no such user")]
    UnknownUser,
    /// The order is for a product that is not sold.
    #[error("no such product")]
    UnknownProduct {
        /// Index of the item, from 0.
        record: usize,
    },
    /// A field of a compute request is bad.
    #[error("{}", wanted(field))]
    InvalidCompute {
        /// Name of the first bad field.
        field: &'static str,
    },
    /// Each field of a compute request is good, but not all of them together.
    #[error("expected parts × iterations of at most 20000000")]
    ComputeTooLarge,
    /// The path speaks WebSocket only.
    #[error("this path speaks WebSocket")]
    UpgradeRequired,
    /// No more orders can wait.
    #[error("the order queue is full")]
    Busy,
    /// The route needs a database, and there is none.
    #[error("this service was started without a database (DATABASE_URL)")]
    NoDatabase,
    /// The database failed.
    #[error("the database did not answer")]
    Database,
}

impl Error {
    /// The HTTP status that says so.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::BadBody | Self::BadJson => 400,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::TooLarge => 413,
            Self::NotJson => 415,
            Self::InvalidBatch
            | Self::InvalidRecord { .. }
            | Self::InvalidUrl
            | Self::InvalidPage { .. }
            | Self::InvalidOrder { .. }
            | Self::UnknownUser
            | Self::UnknownProduct { .. }
            | Self::InvalidCompute { .. }
            | Self::ComputeTooLarge => 422,
            Self::UpgradeRequired => 426,
            Self::Busy | Self::NoDatabase | Self::Database => 503,
            Self::StoreFull => 507,
        }
    }

    /// The header that goes with the status, if one does.
    #[must_use]
    pub fn header(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::UpgradeRequired => Some(("upgrade", "websocket")),
            Self::Busy => Some(("retry-after", "1")),
            _ => None,
        }
    }

    /// The JSON document of this error.
    #[must_use]
    pub fn body(&self) -> ErrorBody {
        let (code, record, field) = match self {
            Self::NotFound => ("not_found", None, ""),
            Self::MethodNotAllowed => ("method_not_allowed", None, ""),
            Self::NotJson => ("unsupported_media_type", None, ""),
            Self::TooLarge => ("too_large", None, ""),
            Self::BadBody => ("bad_body", None, ""),
            Self::BadJson => ("bad_json", None, ""),
            Self::InvalidBatch => ("invalid_batch", None, "records"),
            Self::InvalidRecord { record, field } => ("invalid_record", Some(*record), *field),
            Self::InvalidUrl => ("invalid_url", None, "url"),
            Self::StoreFull => ("store_full", None, ""),
            Self::InvalidPage { field } => ("invalid_page", None, *field),
            Self::InvalidOrder { record, field } => ("invalid_order", *record, *field),
            Self::UnknownUser => ("unknown_user", None, "user_id"),
            Self::UnknownProduct { record } => {
                ("unknown_product", Some(*record), "items.product_id")
            }
            Self::InvalidCompute { field } => ("invalid_compute", None, *field),
            Self::ComputeTooLarge => ("invalid_compute", None, "iterations"),
            Self::UpgradeRequired => ("upgrade_required", None, ""),
            Self::Busy => ("busy", None, ""),
            Self::NoDatabase => ("no_database", None, ""),
            Self::Database => ("database", None, ""),
        };
        ErrorBody {
            error: Detail {
                code,
                message: self.to_string(),
                record,
                field,
            },
        }
    }
}

/// The JSON document an [`Error`] travels in: `{"error": {"code", "message", "record"?, "field"?}}`.
#[derive(Debug, Serialize)]
pub struct ErrorBody {
    error: Detail,
}

#[derive(Debug, Serialize)]
struct Detail {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<usize>,
    #[serde(skip_serializing_if = "str::is_empty")]
    field: &'static str,
}

/// What a parameter, or a field of an order or a compute request, must be.
fn wanted(field: &str) -> &'static str {
    match field {
        "after" => "expected a whole number from 0",
        "limit" => "expected a whole number from 1 to 100",
        "items" => "expected 1 to 50 items",
        "items.quantity" => "expected a whole number from 1 to 1000",
        "seed" => "expected a whole number from 0 to 4294967295",
        "parts" => "expected a whole number from 1 to 64",
        "iterations" => "expected a whole number from 1 to 1000000",
        _ => "expected a whole number from 1",
    }
}

/// What a field of a record must be, whatever is wrong with it.
fn rule(field: &str) -> &'static str {
    match field {
        "id" => "id must be an integer from 1 to 9007199254740991",
        "name" => "name must be a string of 1 to 100 characters",
        "email" => "email must be an address of at most 254 ASCII characters",
        "amount" => "amount must be an integer from 0 to 1000000000",
        "quantity" => "quantity must be a number over 0 and up to 1000000",
        "currency" => "currency must be three capital letters",
        "tags" => "tags must be at most 16 strings of 1 to 32 letters, digits, - or _",
        "note" => "note must be a string of at most 500 characters",
        _ => "a record must be an object",
    }
}
