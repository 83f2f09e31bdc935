//! `cargo xtask test`: every check there is, in the order in which a mistake shows soonest.
//!
//! This is the only list of what "checked" means; `.ci/run` and a person type the same command.

use crate::{behaviours, conformance, loom, npm, place, purity, report::Report, tidy, wasm_kernels, www};

/// Features beyond the default ones whose tests count.
pub(crate) const FEATURES: &str = "inferry/cli";

/// Runs all steps; true when nothing failed, and with `no_skips` nothing was skipped either.
pub(crate) fn run(no_skips: bool) -> Result<bool, String> {
    components()?;
    let mut report = Report::new(no_skips);
    report.command("formatting", place::cargo(&["fmt", "--all", "--check"]));
    report.check("tidiness", tidy::problems);
    let clippy =
        ["clippy", "--workspace", "--all-targets", "--all-features", "--quiet", "--", "-D", "warnings"];
    report.command("clippy", place::cargo(&clippy));
    report.check("clippy of what is built for browsers", || {
        purity::install(npm::TARGET)?;
        let packages = ["--package", "inferry-wasm", "--package", "inferry-wasm-engine"];
        let mut clippy = place::cargo(&["clippy", "--quiet", "--target", npm::TARGET]);
        clippy.args(packages).args(["--", "-D", "warnings"]);
        npm::tools::run(&mut clippy, "clippy has something to say")?;
        Ok(Vec::new())
    });
    let tests = ["test", "--workspace", "--lib", "--bins", "--tests", "--examples", "--features", FEATURES];
    report.tests("tests", place::cargo(&tests));
    report.tests(
        "documentation tests",
        place::cargo(&["test", "--workspace", "--doc", "--features", FEATURES]),
    );
    conformance::step(&mut report);
    behaviours::wasm_step(&mut report);
    wasm_kernels::step(&mut report);
    npm::steps(&mut report);
    www::steps(&mut report);
    report.check("rows of the catalogue of behaviours", behaviours::problems);
    let mut doc = place::cargo(&["doc", "--workspace", "--no-deps", "--features", FEATURES, "--quiet"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    report.command("documentation without dead links", doc);
    loom::steps(&mut report);
    purity::steps(&mut report);
    Ok(report.close())
}

/// Whether a continuous-integration machine runs us.
pub(crate) fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
}

/// A minimal installation of Rust lacks rustfmt and clippy.
fn components() -> Result<(), String> {
    for (component, command) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        if place::output(&mut place::cargo(&[command, "--version"])).is_none() {
            let mut rustup = place::command("rustup");
            if !rustup.args(["component", "add", component]).status().is_ok_and(|status| status.success()) {
                return Err(format!("{component} is missing and rustup could not add it"));
            }
        }
    }
    Ok(())
}
