//! `cargo xtask loom`: every concurrent promise of core, tried in all interleavings that loom can tell apart.
//!
//! The models live in `core/tests/loom.rs`. They are built with `--cfg loom`, which swaps the atomics of every crate
//! in the build, so they get a target folder of their own.

use crate::{place, report::Report};

/// Runs the models; true when all held.
pub(crate) fn run() -> Result<bool, String> {
    let mut report = Report::new(false);
    steps(&mut report);
    Ok(report.close())
}

/// Adds the models to a report.
pub(crate) fn steps(report: &mut Report) {
    if !place::root().join("core/tests/loom.rs").is_file() {
        return;
    }
    let mut loom = place::cargo(&["test", "--package", "inferry-core", "--test", "loom", "--release"]);
    loom.env("RUSTFLAGS", "--cfg loom").env("CARGO_TARGET_DIR", place::target().join("loom"));
    // Built for long and run for a second.
    loom.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
    report.tests("loom models of core", loom);
}
