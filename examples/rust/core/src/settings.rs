//! Limits that are part of the contract, equal in both languages. The fairness knobs of the build stand in
//! `[profile.release]` of the workspace.

use std::time::Duration;

/// Bytes a request body may have.
pub const BODY_LIMIT: usize = 1 << 20;
/// Records a batch may have.
pub const RECORD_LIMIT: usize = 1000;
/// Links one process keeps.
pub const LINK_LIMIT: usize = 1_000_000;
/// Time for requests in flight at shutdown.
pub const DRAIN: Duration = Duration::from_secs(5);

/// Where to listen: `ADDR` as it is, else loopback on `PORT`, else loopback on 8080.
pub fn addr(env: impl Fn(&str) -> Option<String>) -> String {
    let set = |name| env(name).filter(|value| !value.is_empty());
    set("ADDR")
        .unwrap_or_else(|| format!("127.0.0.1:{}", set("PORT").unwrap_or_else(|| "8080".into())))
}
