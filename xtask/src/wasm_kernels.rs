//! `cargo xtask wasm-kernels`: the kernels' own tests as WebAssembly with simd128, run by Node.
//!
//! The vectors of WebAssembly are code that no test on this machine's processor reaches. The library's tests are built for
//! WASI, whose standard library a test harness needs, with the instructions on; tests that start threads or expect a panic
//! cannot run there, and are in other modules than those named here. Relaxed-simd is not tested: Node 20 lacks it.

use crate::{place, purity, report::Report};

const TARGET: &str = "wasm32-wasip1";

/// The modules whose tests are run.
pub(crate) const MODULES: [&str; 3] = ["simd::", "math::", "kernel::"];

/// Builds and runs them; true when all passed.
pub(crate) fn run() -> Result<bool, String> {
    let mut report = Report::new(false);
    step(&mut report);
    Ok(report.close())
}

/// Adds them to a report; a line says so when there is no Node.
pub(crate) fn step(report: &mut Report) {
    const STEP: &str = "kernels in WebAssembly";
    if !purity::can_run_wasm(report, STEP, TARGET) {
        return;
    }
    let runner = place::root().join("xtask/wasi.mjs");
    let mut test = place::cargo(&["test", "--package", "inferry-cpu", "--lib", "--target", TARGET]);
    // Instructions that need no optimiser, and a third of the time to build.
    test.args(["--config", "profile.dev.package.inferry-cpu.opt-level=1"]);
    test.env("ARGUMENTS", MODULES.join(" "));
    test.env("RUSTFLAGS", "-Ctarget-feature=+simd128");
    test.env("CARGO_TARGET_WASM32_WASIP1_RUNNER", format!("node --no-warnings {}", runner.display()));
    report.tests(STEP, test);
}
