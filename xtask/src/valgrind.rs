//! `cargo xtask valgrind`: the plain tests of the request protocol and of the desktop host under valgrind's memory checker.
//!
//! Loom proves the protocol on small models; this looks at the memory of the real thing: reads of what was freed, jumps on
//! what was never written, and blocks that nobody can reach at the end. Valgrind emulates the processor, fifty times slower
//! and without AVX-512, so that it is a command of its own, the instruction set is lowered, and tests of kernels are left to
//! the other checks.

use crate::{place, report::Report};

/// What is run: the package, and which of its tests.
const TESTS: [(&str, &[&str]); 3] = [
    ("inferry-core", &["--lib"]),
    ("inferry-template", &["--tests"]),
    ("inferry-behaviour", &["--test", "native", "--test", "waiting", "--test", "profile"]),
];

/// Runs the tests; true when valgrind had nothing to say.
pub(crate) fn run() -> Result<bool, String> {
    if place::output(place::command("valgrind").arg("--version")).is_none() {
        return Err("valgrind is not here: install it (on Debian, apt-get install valgrind)".into());
    }
    let host = place::host_triple().ok_or("rustc does not say what machine this is")?;
    let runner = format!("CARGO_TARGET_{}_RUNNER", host.replace('-', "_").to_uppercase());
    let mut report = Report::new(false);
    for (package, which) in TESTS {
        let mut test = place::cargo(&["test", "--package", package]);
        let known = place::root().join("xtask/valgrind.supp");
        let checker = format!(
            "valgrind --quiet --error-exitcode=9 --leak-check=full --show-leak-kinds=definite,indirect \
             --errors-for-leak-kinds=definite,indirect --suppressions={}",
            known.display()
        );
        test.args(which).env("INFERRY_ISA", "avx2").env(&runner, checker);
        report.tests(&format!("{package} under valgrind"), test);
    }
    Ok(report.close())
}
