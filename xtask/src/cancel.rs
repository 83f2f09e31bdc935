//! `cargo xtask cancel-latency`: how long a cancelled run goes on, over every test model.
//!
//! The measuring is `host-std/benches/cancel.rs`; this builds and runs it, and passes its verdict on.

use crate::place;

/// Runs the benchmark; true when the promise was kept.
pub(crate) fn run() -> Result<bool, String> {
    let mut bench =
        place::cargo(&["bench", "--package", "inferry", "--features", "cli", "--bench", "cancel"]);
    let status = bench.status().map_err(|error| format!("cargo could not be started: {error}"))?;
    Ok(status.success())
}
