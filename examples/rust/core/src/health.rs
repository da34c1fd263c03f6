//! The answer to a health check.

use serde::Serialize;

/// Says that the service answers.
#[derive(Debug, Serialize)]
pub struct Health {
    status: &'static str,
}

/// The state of a service that can answer at all.
#[must_use]
pub fn health() -> Health {
    Health { status: "ok" }
}
