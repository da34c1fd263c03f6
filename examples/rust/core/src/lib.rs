//! What every Rust example service shares: the rules of the contract, free of any framework.
//!
//! A service is a thin adapter: it reads a body, calls this crate, and writes what came back. Every
//! [`Error`] knows its status and its JSON shape. The Go package `core` states the same rules;
//! `examples/contract` holds both to them.

mod error;
mod health;
mod links;
mod pipeline;
pub mod settings;
#[cfg_attr(feature = "moved", path = "text_moved.rs")]
mod text;

pub use error::{Error, ErrorBody};
pub use health::{Health, health};
pub use links::{Link, Links, code};
pub use pipeline::{Batch, Line, Record, process};
