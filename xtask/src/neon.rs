//! `cargo xtask neon`: the kernels' own tests, and a few real models, on an AArch64 processor that qemu plays.
//!
//! NEON is code that no test on an x86-64 machine reaches. The library's tests are built for Linux on AArch64 with musl, whose
//! target brings all that linking needs (Rust's own linker does it), and run by qemu's user emulation. The same tests run
//! natively in `cargo xtask test`. The models go through the program `inferry`, which compares them with their fixtures.
//!
//! It is a command of its own: another architecture means building the whole tree again, nine minutes of processor time when
//! nothing is built yet, of which emulation takes less than two. Speed cannot be seen under qemu; what the compiler made of the inner
//! loops was read (`kernel/gemm`, `kernel/conv`, `kernel/bytes`).

use std::path::PathBuf;
use std::process::Command;

use crate::wasm_kernels::MODULES;
use crate::{place, purity, report::Report};

const TARGET: &str = "aarch64-unknown-linux-musl";

const BARE: &str = "aarch64-unknown-none";

const QEMU: &str = "qemu-aarch64";

/// Model and fixture below `tests/models`, without their endings, and how far results may lie apart where the standard
/// (`tolerances.json`) has more than its default: absolutely, relatively, and for which share of the elements more.
const MODELS: [(&str, [&str; 3]); 8] = [
    ("mtcnn_cascade/pnet", DEFAULT),
    ("mtcnn_cascade/rnet", DEFAULT),
    ("mtcnn_cascade/onet", DEFAULT),
    ("derived_mtcnn_onet/onet.int8_qdq", ["3e-2", "1e-2", "0.02"]),
    ("derived_mtcnn_onet/onet.dynamic_u8", ["3e-2", "1e-2", "0.02"]),
    ("derived_mtcnn_onet/onet.fp16", ["5e-3", "5e-3", "0"]),
    ("ppocrv4/ch_ppocr_mobile_v2.0_cls_infer", DEFAULT),
    ("silero_vad/silero_vad_openvino_16k", DEFAULT),
];

const DEFAULT: [&str; 3] = ["1e-3", "1e-3", "0"];

/// Builds and runs everything; true when all passed.
pub(crate) fn run() -> Result<bool, String> {
    if place::output(place::command(QEMU).arg("--version")).is_none() {
        return Err(format!("{QEMU} is not here: install it (on Debian, apt-get install qemu-user)"));
    }
    purity::install(TARGET)?;
    let mut report = Report::new(false);
    let mut test = cargo(&["test", "--package", "inferry-cpu", "--lib", "--no-fail-fast"]);
    test.args(["--", "--show-output", "isa::"]).args(MODULES);
    report.harness("kernels with NEON", test);
    // Where there is no operating system, nobody asks the processor: NEON must compile, and is not chosen.
    purity::install(BARE)?;
    let bare = ["check", "--quiet", "--package", "inferry-cpu", "--target", BARE];
    report.command(&format!("inferry-cpu for {BARE}"), place::cargo(&bare));
    let mut build = cargo(&["build", "--quiet", "--package", "inferry", "--bin", "inferry"]);
    build.args(["--features", "cli"]);
    report.command("the program for AArch64", build);
    for (model, limits) in MODELS {
        report.command(&format!("{model} with NEON"), compare(model, limits));
    }
    Ok(report.close())
}

/// A cargo that builds for AArch64, and runs what it has built under qemu.
fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = place::cargo(arguments);
    cargo.args(["--target", TARGET]);
    // As in `wasm_kernels`: a third of the time to build.
    cargo.args(["--config", "profile.dev.package.inferry-cpu.opt-level=1"]);
    let variable = |what: &str| format!("CARGO_TARGET_{}_{what}", TARGET.replace('-', "_").to_uppercase());
    cargo.env(variable("LINKER"), "rust-lld").env(variable("RUNNER"), QEMU);
    cargo
}

/// The program on one model; it succeeds when the results fit.
fn compare(model: &str, [atol, rtol, outside]: [&str; 3]) -> Command {
    let program: PathBuf = place::target().join(TARGET).join("debug/inferry");
    let file = |ending: &str| place::root().join(format!("tests/models/{model}.{ending}"));
    let mut command = place::command(QEMU);
    command.arg(program).arg("run").arg("--model").arg(file("onnx")).arg("--npz").arg(file("npz"));
    command.args(["--atol", atol, "--rtol", rtol, "--outside", outside, "--threads", "2"]);
    command
}
