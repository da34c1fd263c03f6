//! What every Rust example service shares: the rules of the contract, free of any framework.
//!
//! A service is a thin adapter: it reads a body, calls this crate, and writes what came back. Every
//! [`Error`] knows its status and its JSON shape. The Go package `core` states the same rules;
//! `examples/contract` holds both to them.
//!
//! The feature `full` is the whole contract. Without it there is neither database nor computing, and little to compile:
//! health, the pipeline, and links in memory, as `duet demo` bundles them.

mod error;
mod health;
mod json;
mod links;
mod pipeline;
mod service;
pub mod settings;
#[cfg_attr(feature = "moved", path = "text_moved.rs")]
mod text;

#[cfg(feature = "full")]
mod compute;
#[cfg(feature = "full")]
mod database;
#[cfg(feature = "full")]
mod number;
#[cfg(feature = "full")]
mod orders;
#[cfg(feature = "full")]
mod page;
#[cfg(feature = "full")]
mod shop;

pub use error::{Error, ErrorBody};
pub use health::{Health, health};
pub use json::is_json;
pub use links::{Link, Links, code};
pub use pipeline::{Batch, Line, Record, process};
pub use service::{Service, StartError, Stay};
pub use settings::Settings;

#[cfg(feature = "full")]
pub use compute::{Computed, compute};
#[cfg(feature = "full")]
pub use database::{ConnectError, Database, History, Receipt, User, Users};
#[cfg(feature = "full")]
pub use orders::Placed;
#[cfg(feature = "full")]
pub use shop::Shop;
